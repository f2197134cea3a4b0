//! The schemas of breakers: one in full, its parts, and a list of them.

use serde_json::{Value, json};

use super::schema::{
    Named, flag, list, number, object, of, or_null, share, text, time, whole, without, words,
};

/// The states of a breaker.
pub const STATES: [&str; 3] = ["closed", "open", "half_open"];
/// The kinds of a breaker.
pub const KINDS: [&str; 4] = ["upstream", "endpoint", "flow", "service"];
const MODES: [&str; 3] = ["enforce", "monitor", "disabled"];
/// The kinds of a hold.
pub const HOLDS: [&str; 2] = ["open", "closed"];
const RULES: [&str; 6] = [
    "consecutive_failures",
    "failures",
    "failure_rate",
    "slow_rate",
    "stalled",
    "adaptive",
];
const REFUSALS: [&str; 5] = [
    "breaker_open",
    "breaker_probing",
    "breaker_ramp",
    "breaker_adaptive",
    "held_open",
];
const NEXT: [&str; 8] = [
    "rule_met",
    "cooldown_ends",
    "hold_ends",
    "release",
    "probe",
    "probe_ends",
    "ramp_ends",
    "unknown",
];
const GAPS: [&str; 6] = [
    "below_limit",
    "too_few_calls",
    "awaits_judging",
    "not_judged",
    "never_trips",
    "unknown",
];
/// The schemas of this file, by name.
pub fn schemas() -> Vec<Named> {
    let mut full = breaker();
    full.push(("explanation", explanation()));
    full.push((
        "last_failures",
        list(of("Failure"), "the last ten failures, newest first"),
    ));
    vec![
        ("Breaker", object("A breaker", breaker())),
        (
            "BreakerInFull",
            without(
                object("A breaker with what happened to it", full),
                &["explanation"],
            ),
        ),
        ("Breakers", breakers()),
        ("Hold", hold()),
        ("Rule", rule()),
        ("Ramp", ramp()),
        ("Transition", transition()),
        ("Failure", failure()),
    ]
}

/// The members of a breaker that a row of the state has, too.
pub fn common() -> Vec<Named> {
    vec![
        (
            "name",
            text("the breaker's name, such as `orders`, `orders/KEY` or `orders@HOST:PORT`"),
        ),
        (
            "upstream",
            text("the upstream, or the part of an application, that it belongs to"),
        ),
        ("kind", words(&KINDS, "what it stands before")),
        (
            "state",
            words(&STATES, "the machine's state, also under a hold"),
        ),
        (
            "mode",
            words(
                &MODES,
                "whether it refuses calls, only says that it would, or counts nothing",
            ),
        ),
        ("hold", or_null(of("Hold"))),
        (
            "generation",
            whole("the number of state changes, resets among them"),
        ),
        ("since", time("the start of this state")),
        (
            "reason",
            or_null(text("the reason for this state, as a sentence")),
        ),
        ("retry_at", or_null(time("when it is worth calling again"))),
        ("ramp", or_null(of("Ramp"))),
        ("persisted", flag("true if the store has this generation")),
        (
            "rules",
            list(of("Rule"), "the rules, with what each observes"),
        ),
    ]
}

fn breaker() -> Vec<Named> {
    let mut members = common();
    members.extend([
        ("attempts", whole("the openings in a row")),
        ("now", time("the time of the reading")),
        ("reason_token", or_null(text("the reason as a word, as metrics have it"))),
        ("retry_by", or_null(time("while all probes are in flight, when a place is free at the latest"))),
        ("retry_after", or_null(json!({ "type": "integer", "minimum": 1, "description": "whole seconds to `retry_at`, rounded up" }))),
        ("admit_probability", share("the probability with which a call passes now")),
        ("fleet", or_null(of("FleetPart"))),
        (
            "counts",
            object(
                "Calls since the start",
                vec![
                    ("success", whole("calls that ended well")),
                    ("failure", whole("calls that failed")),
                    ("ignored", whole("calls that count as neither")),
                    ("late", whole("results that came too late to count")),
                    ("rejected", whole("refused calls")),
                    (
                        "rejected_for",
                        object("Refused calls by reason", REFUSALS.map(|it| (it, whole("refused calls"))).into()),
                    ),
                    ("would_reject", whole("calls that monitor mode let pass")),
                ],
            ),
        ),
        (
            "probes",
            or_null(object(
                "The probes of a half-open breaker",
                vec![
                    ("in_flight", whole("probes under way")),
                    ("limit", or_null(whole("the most at once"))),
                    ("successes", whole("probes that ended well")),
                    ("failures", whole("probes that failed")),
                ],
            )),
        ),
        ("recent", list(of("Transition"), "the last transitions, oldest first")),
    ]);
    members
}

fn hold() -> Value {
    object(
        "An operator's hold",
        vec![
            ("kind", words(&HOLDS, "held open or held closed")),
            ("until", or_null(time("its end; null: it has none"))),
            ("reason", text("the operator's reason")),
            ("by", text("the operator")),
        ],
    )
}

fn rule() -> Value {
    object(
        "A rule that can trip the breaker. Observed value and threshold have one unit: failures, a share from 0 to 1, or stalled calls",
        vec![
            ("rule", words(&RULES, "the kind of the rule")),
            ("observed", or_null(number("the observed value"))),
            ("threshold", or_null(number("the value at which it trips"))),
            ("calls", whole("the calls in its window")),
            ("min_calls", whole("the calls that it needs")),
            (
                "over",
                or_null(text("its window, such as `10s` or `100 calls`")),
            ),
        ],
    )
}

fn ramp() -> Value {
    object(
        "The way back to all calls after a close",
        vec![
            ("share", share("the share of calls that passes")),
            ("ends", time("when all calls pass")),
        ],
    )
}

fn transition() -> Value {
    object(
        "A change of state",
        vec![
            ("at", time("its time")),
            ("from", words(&STATES, "the state before")),
            ("to", words(&STATES, "the state after")),
            ("generation", whole("the generation that began")),
            ("attempts", whole("the openings in a row")),
            ("reason", text("the reason, as a sentence")),
            ("reason_token", text("the reason as a word")),
            (
                "retry_at",
                or_null(time(
                    "when it is worth calling again, if this stopped calls",
                )),
            ),
        ],
    )
}

fn failure() -> Value {
    let status = json!({ "type": ["integer", "null"], "minimum": 100, "maximum": 999, "description": "the answer's status" });
    object(
        "A failed call. `status` or `error` is null",
        vec![
            ("at", time("its end")),
            (
                "endpoint",
                or_null(text("the endpoint, where there is one")),
            ),
            ("status", status),
            ("error", or_null(text("the error's name"))),
            (
                "ms",
                or_null(number(
                    "milliseconds to the answer's head or to the failure",
                )),
            ),
            ("request_id", or_null(text("the client's request"))),
        ],
    )
}

fn explanation() -> Value {
    object(
        "The reason for the state, and the next event",
        vec![
            ("text", text("a sentence")),
            (
                "next",
                object(
                    "The next event",
                    vec![
                        ("event", words(&NEXT, "its kind")),
                        ("at", or_null(time("its time, where it is known"))),
                    ],
                ),
            ),
            (
                "rules",
                list(
                    object(
                        "Why a rule has not tripped",
                        vec![
                            ("rule", words(&RULES, "the kind of the rule")),
                            ("gap", words(&GAPS, "the reason")),
                            ("missing_calls", or_null(whole("calls that it still needs"))),
                        ],
                    ),
                    "the rules",
                ),
            ),
        ],
    )
}

fn breakers() -> Value {
    let one = json!({ "anyOf": [of("Breaker"), of("FlowBreaker")] });
    object(
        "A page of the breakers",
        vec![
            ("total", whole("the breakers on all pages")),
            (
                "next",
                or_null(text("the name to send as `after` for the next page")),
            ),
            ("incomplete", or_null(text("why breakers are missing"))),
            ("breakers", list(one, "the breakers, by name")),
        ],
    )
}
