//! The schemas of the gateway as a whole: its state, its upstreams, the plan, a reload, and problems.

use serde_json::{Value, json};

use super::breakers::{HOLDS, STATES, common};
use super::flow::flow_members;
use super::schema::{
    Named, flag, list, number, object, of, or_null, share, text, time, whole, words,
};
use crate::problem_kind::Kind;

/// The schemas of this file, by name.
pub fn schemas() -> Vec<Named> {
    let upstreams = || list(of("Upstream"), "the upstreams");
    vec![
        ("State", state()),
        ("Gateway", gateway()),
        ("Row", row()),
        ("FlowRow", flow_row()),
        ("Rates", rates()),
        ("Second", second()),
        ("Upstream", upstream()),
        ("Endpoint", endpoint()),
        (
            "Upstreams",
            object("All upstreams", vec![("upstreams", upstreams())]),
        ),
        ("Plan", plan()),
        ("Reloaded", reloaded()),
        ("Diagnostic", diagnostic()),
        (
            "Purged",
            object("Removed answers", vec![("removed", whole("their number"))]),
        ),
        ("Problem", problem()),
        ("ReloadProblem", reload_problem()),
    ]
}

fn state() -> Value {
    let row = json!({ "anyOf": [of("Row"), of("FlowRow")] });
    let counts = [
        ("breakers", "all breakers"),
        ("open", "open ones"),
        ("half_open", "half-open ones"),
        ("closed", "closed ones"),
        ("held", "those under a hold"),
        ("ramp", "those in a ramp"),
        ("disabled", "disabled ones"),
    ];
    let counts = counts.map(|(name, about)| (name, whole(about)));
    object(
        "One snapshot of all that a dashboard shows",
        vec![
            (
                "event_id",
                text("the last event that this contains: continue from it"),
            ),
            ("now", time("the time of the reading")),
            ("gateway", of("Gateway")),
            ("counts", object("Numbers of breakers", counts.into())),
            (
                "breakers",
                json!({ "type": "array", "maxItems": 1_000, "items": row, "description": "the breakers, red first" }),
            ),
            ("more", whole("breakers that have no row")),
            ("incomplete", or_null(text("why breakers are missing"))),
            ("watchers", whole("open streams of events")),
            ("upstreams", list(of("Upstream"), "the upstreams")),
            (
                "events",
                list(of("KeptEvent"), "the last 200 events, oldest first"),
            ),
        ],
    )
}

fn gateway() -> Value {
    let config = object(
        "The configuration that runs",
        vec![
            ("file", text("its files")),
            ("hash", text("the SHA-256 of their content")),
            ("loaded_at", time("when it was read")),
        ],
    );
    let store = object(
        "The store",
        vec![
            (
                "state",
                words(&["reachable", "away", "none"], "`none`: it is in memory"),
            ),
            ("kind", words(&["memory", "embedded", "valkey"], "its kind")),
        ],
    );
    let node = object(
        "A gateway of the fleet",
        vec![
            ("name", text("its name")),
            ("self", flag("true for this gateway")),
            ("seen_at", or_null(time("when it last wrote"))),
        ],
    );
    let fleet = object(
        "The fleet",
        vec![
            ("nodes", list(node, "the gateways that records name")),
            ("expected", or_null(whole("the largest quorum"))),
        ],
    );
    object(
        "The gateway",
        vec![
            ("node", text("its name")),
            ("version", text("its version")),
            ("started_at", time("its start")),
            ("config", config),
            ("draining", flag("true while it drains")),
            ("read_only", flag("true if this token may only read")),
            ("store", store),
            ("fleet", or_null(fleet)),
        ],
    )
}

fn row() -> Value {
    let mut members = common();
    let minute = json!({ "type": "array", "maxItems": 60, "items": of("Second"), "description": "the last minute, one entry a second, oldest first" });
    let endpoints = object(
        "The endpoints of the upstream",
        vec![
            ("in_use", whole("those that get calls")),
            ("of", whole("all")),
        ],
    );
    members.extend([
        ("why", or_null(text("why it is not simply closed"))),
        ("rates", of("Rates")),
        ("minute", minute),
        ("endpoints", or_null(endpoints)),
    ]);
    object("A breaker in the state", members)
}

fn flow_row() -> Value {
    let null = || json!({ "type": "null" });
    let mut members = flow_members();
    members.extend([
        ("generation", null()),
        ("since", null()),
        ("ramp", null()),
        ("why", or_null(text("why it is open"))),
        ("rules", json!({ "type": "array", "maxItems": 0 })),
        ("rates", null()),
        ("minute", null()),
        ("endpoints", null()),
    ]);
    object(
        "A breaker that a flow builds, in the state. Its calls are not counted",
        members,
    )
}

fn rates() -> Value {
    object(
        "Rates over the last 10 s",
        vec![
            ("calls_per_s", number("ended calls, without refused ones")),
            (
                "failed_ratio",
                or_null(share("the share of failed calls; null without calls")),
            ),
            ("refused_per_s", number("refused calls")),
            ("fallback_per_s", number("calls that a fallback answered")),
            (
                "p50_ms",
                or_null(number("the median time to an answer's head")),
            ),
            ("p95_ms", or_null(number("the 95th percentile"))),
            ("p99_ms", or_null(number("the 99th percentile"))),
        ],
    )
}

fn second() -> Value {
    json!({
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "items": { "type": "integer", "minimum": 0 },
        "description": "The calls of a second: ended well, failed, refused",
    })
}

fn upstream() -> Value {
    let bulkhead = object(
        "The bulkhead",
        vec![
            ("concurrent", whole("calls that it lets in")),
            ("in_flight", whole("calls under way")),
            ("queued", whole("calls that wait")),
        ],
    );
    let budget = share("the tokens of the budget, as a part of what it can hold");
    let last_good = object(
        "Kept answers",
        vec![
            ("entries", whole("their number")),
            ("bytes", whole("their size")),
        ],
    );
    let fallback = ["last_good", "upstream", "respond", "none"];
    let fallback = fallback.map(|rung| (rung, whole("answers of this rung")));
    object(
        "An upstream, or the target of an application's requests",
        vec![
            ("name", text("its name")),
            ("endpoints", list(of("Endpoint"), "its endpoints")),
            ("bulkhead", or_null(bulkhead)),
            (
                "retry",
                or_null(object("The retries", vec![("budget_ratio", budget)])),
            ),
            ("last_good", or_null(last_good)),
            ("fallback", object("Answers of the ladder", fallback.into())),
        ],
    )
}

fn endpoint() -> Value {
    let health = ["unknown", "healthy", "unhealthy", "kept"];
    object(
        "An endpoint",
        vec![
            ("name", text("its name")),
            ("url", text("its URL")),
            ("weight", whole("its weight")),
            ("state", words(&STATES, "the state of its breaker")),
            ("hold", or_null(words(&HOLDS, "the hold of its breaker"))),
            ("health", words(&health, "the verdict of its health checks")),
            (
                "ejected",
                flag("true while it gets no calls because of its breaker"),
            ),
            (
                "would_eject",
                flag("true if only the limit of ejections keeps it in use"),
            ),
            ("ejected_until", or_null(time("the end of its ejection"))),
            ("in_flight", or_null(whole("attempts under way"))),
            (
                "ewma_ms",
                or_null(number("the average time of late, in milliseconds")),
            ),
        ],
    )
}

fn plan() -> Value {
    json!({
        "type": "object",
        "description": "The plan as it runs, in the native form; `fusebox schema` prints its schema",
        "properties": {
            "version": { "const": 1 },
            "listeners": { "type": "array" },
            "limits": { "type": "object" },
            "upstreams": { "type": "object" },
            "routes": { "type": "array" },
        },
        "required": ["version", "listeners", "limits", "upstreams", "routes"],
        "additionalProperties": true,
    })
}

fn reloaded() -> Value {
    object(
        "A reload that was taken",
        vec![
            ("result", json!({ "const": "ok" })),
            ("changed", list(text("a name"), "the names of what changed")),
        ],
    )
}

fn diagnostic() -> Value {
    object(
        "A fault in a file",
        vec![
            ("file", text("the file")),
            ("line", whole("the line, from 1")),
            ("column", whole("the column in characters, from 1")),
            ("severity", words(&["error", "warning"], "its weight")),
            ("message", text("the fault and its mend")),
        ],
    )
}

fn problem() -> Value {
    object("A problem (RFC 9457)", problem_members(Kind::ALL))
}

fn reload_problem() -> Value {
    let kinds = [Kind::ConfigurationRefused, Kind::ConfigurationFailed];
    let mut members = problem_members(&kinds);
    members.push((
        "result",
        words(&["refused", "failed"], "the result of the reload"),
    ));
    members.push((
        "diagnostics",
        list(of("Diagnostic"), "the faults in the files"),
    ));
    object(
        "A reload that was not taken: the old configuration stays in use",
        members,
    )
}

fn problem_members(kinds: &[Kind]) -> Vec<Named> {
    let uris: Vec<_> = kinds.iter().map(|kind| kind.uri()).collect();
    let uris: Vec<_> = uris.iter().map(String::as_str).collect();
    let status =
        json!({ "type": "integer", "minimum": 400, "maximum": 599, "description": "the status" });
    vec![
        (
            "type",
            words(&uris, "the kind of the problem, for programs"),
        ),
        ("title", text("the kind in a few words")),
        ("status", status),
        ("detail", text("a sentence about this one")),
    ]
}
