//! Every field of the format has its effect, and wrong expectations and wrong formats are reported.

use fusebox_sim::{Kind, Suite, Verdict};
use serde_json::{Value, json};

fn rate() -> Value {
    json!({ "policy": "count_window_rate", "window_calls": 4, "min_calls": 4, "failure_rate": 0.5 })
}

fn in_a_row(threshold: u32) -> Value {
    json!({ "policy": "consecutive", "threshold": threshold })
}

fn config(trip: Value) -> Value {
    json!({
        "trip": trip,
        "cooldown": { "kind": "fixed", "ms": 1000 },
        "half_open": { "max_calls": 1, "decide": "first_probe" },
    })
}

fn config_with(trip: Value, part: &str, value: Value) -> Value {
    let mut config = config(trip);
    config[part] = value;
    config
}

fn verdict(config: Value, steps: Value) -> Verdict {
    let file = json!({ "scenarios": [{
        "id": "t", "kind": "divergence", "title": "a test", "config": config, "steps": steps,
    }] });
    let suite = Suite::read(&file.to_string()).expect("a file of scenarios");
    suite.cases()[0].run()
}

#[track_caller]
fn passes(config: Value, steps: Value) {
    assert_eq!(verdict(config, steps), Verdict::Passed);
}

#[track_caller]
fn fails(config: Value, steps: Value, why: &str) {
    match verdict(config, steps) {
        Verdict::Failed(told) => assert!(told.contains(why), "{told}"),
        other => panic!("{other:?}"),
    }
}

fn failures(times: u32, state: &str) -> Value {
    json!({ "op": "call", "outcome": "failure", "expect": "permit", "times": times, "state": state })
}

fn refused(state: &str) -> Value {
    json!({ "op": "call", "outcome": "none", "expect": "reject", "state": state })
}

fn advance(ms: u64, state: &str) -> Value {
    json!({ "op": "advance", "ms": ms, "state": state })
}

fn force(to: &str) -> Value {
    json!({ "op": "force", "to": to, "state": to })
}

fn call(outcome: &str, state: &str) -> Value {
    json!({ "op": "call", "outcome": outcome, "expect": "permit", "state": state })
}

fn acquire(id: &str) -> Value {
    json!({ "op": "acquire", "id": id, "expect": "permit" })
}

fn complete(id: &str, outcome: &str, state: &str) -> Value {
    json!({ "op": "complete", "id": id, "outcome": outcome, "duration_ms": 0, "state": state })
}

#[test]
fn the_projects_scenarios_come_out_as_expected() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../conformance/breaker.json"
    );
    let suite = Suite::read(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(suite.cases().len() >= 28);
    for case in suite.cases() {
        let expected = match case.kind() {
            Kind::Defect => Verdict::NotRun,
            Kind::Conformance | Kind::Divergence => Verdict::Passed,
        };
        assert_eq!(case.run(), expected, "{} {}", case.id(), case.title());
    }
}

/// Scenarios of well-known breakers, each with the settings that give the same behaviour.
#[test]
fn other_breakers_behaviours_come_out_with_their_settings() {
    let suite = Suite::read(include_str!("cases/libraries.json")).unwrap();
    for case in suite.cases() {
        assert_eq!(
            case.run(),
            Verdict::Passed,
            "{} {}",
            case.id(),
            case.title()
        );
    }
}

#[test]
fn every_policy_trips_at_its_threshold() {
    passes(
        config(in_a_row(3)),
        json!([failures(2, "closed"), failures(1, "open")]),
    );
    passes(
        config(rate()),
        json!([failures(3, "closed"), failures(1, "open")]),
    );
    let count = json!({ "policy": "count_window_count", "window_calls": 5, "failures": 2 });
    passes(
        config(count),
        json!([
            failures(1, "closed"),
            call("success", "closed"),
            failures(1, "open")
        ]),
    );
    let in_time = json!({ "policy": "time_window_rate", "window_ms": 1000, "min_calls": 2, "failure_rate": 1.0 });
    passes(
        config(in_time),
        json!([
            failures(1, "closed"),
            advance(1000, "closed"),
            failures(1, "closed"),
            failures(1, "open")
        ]),
    );
    let counted =
        json!({ "policy": "time_window_count", "window_ms": 1000, "failures": 2, "buckets": 10 });
    passes(
        config(counted),
        json!([
            failures(1, "closed"),
            advance(999, "closed"),
            failures(1, "open")
        ]),
    );
    let tumbling =
        json!({ "policy": "tumbling_window_consecutive", "window_ms": 1000, "threshold": 2 });
    passes(
        config(tumbling),
        json!([
            failures(1, "closed"),
            advance(1001, "closed"),
            failures(1, "closed"),
            failures(1, "open")
        ]),
    );
}

#[test]
fn a_window_of_calls_that_is_shorter_than_its_minimum_needs_only_to_be_full() {
    let trip = json!({ "policy": "count_window_rate", "window_calls": 2, "min_calls": 100, "failure_rate": 1.0 });
    passes(
        config(trip),
        json!([failures(1, "closed"), failures(1, "open")]),
    );
}

#[test]
fn rates_are_compared_and_judged_as_configured() {
    let trip = |compare: &str, on: &str| {
        let mut trip = rate();
        trip["compare"] = json!(compare);
        trip["evaluate_on"] = json!(on);
        config(trip)
    };
    let half = |state: &str| {
        json!([
            failures(2, "closed"),
            call("success", "closed"),
            call("success", state)
        ])
    };
    passes(trip(">=", "every_outcome"), half("open"));
    passes(trip(">=", "failure"), half("closed"));
    passes(trip(">", "every_outcome"), half("closed"));
}

#[test]
fn slow_calls_trip_over_the_same_window() {
    let mut config = config_with(
        rate(),
        "slow",
        json!({ "duration_ms": 100, "compare": ">=", "rate": 0.5 }),
    );
    let slow = |ms: u64, times: u32, state: &str| json!({ "op": "call", "outcome": "success", "duration_ms": ms, "times": times, "state": state });
    let steps = json!([
        slow(99, 2, "closed"),
        slow(100, 1, "closed"),
        slow(100, 1, "open"),
        { "op": "check", "slow_rate": 0.5, "failure_rate": 0.0 },
    ]);
    passes(config.clone(), steps.clone());
    config["slow"]["compare"] = json!(">");
    fails(config, steps, "expected the state open, it is closed");
}

#[test]
fn a_call_without_a_duration_took_the_time_between_permit_and_outcome() {
    let config = config_with(
        json!({ "policy": "count_window_rate", "window_calls": 1, "min_calls": 1, "failure_rate": 1.0 }),
        "slow",
        json!({ "duration_ms": 100, "compare": ">", "rate": 1.0 }),
    );
    passes(
        config,
        json!([acquire("a"), advance(101, "closed"), { "op": "complete", "id": "a", "outcome": "success", "state": "open" }]),
    );
}

#[test]
fn a_cooldown_that_must_be_over_is_not_over_at_its_end() {
    let strict = json!({ "kind": "fixed", "ms": 1000, "admit_when_elapsed": ">" });
    passes(
        config_with(in_a_row(1), "cooldown", strict),
        json!([
            failures(1, "open"),
            { "op": "call", "outcome": "none", "expect": "reject", "retry_after_ms": 1000 },
            advance(1000, "open"), refused("open"),
            advance(1, "half_open"), call("success", "closed"),
        ]),
    );
    let growing =
        json!({ "kind": "exponential", "initial_ms": 1000, "multiplier": 3, "max_ms": 2000 });
    passes(
        config_with(in_a_row(1), "cooldown", growing),
        json!([
            failures(1, "open"), advance(1000, "half_open"), failures(1, "open"),
            advance(1999, "open"), advance(1, "half_open"), call("success", "closed"),
            { "op": "check", "generator_attempts": [0, 1] },
        ]),
    );
}

#[test]
fn a_result_may_carry_its_own_open_duration() {
    let cooldown =
        json!({ "kind": "fixed", "ms": 1000, "admit_when_elapsed": ">", "from_result": true });
    passes(
        config_with(rate(), "cooldown", cooldown),
        json!([
            call("retry_after_30s", "open"),
            advance(30_000, "open"),
            advance(1, "half_open")
        ]),
    );
    passes(config(rate()), json!([call("retry_after_30s", "closed")]));
}

#[test]
fn probes_decide_as_configured() {
    let half_open = |half_open: Value, steps: Value| {
        let mut all = vec![force("half_open")];
        all.extend(steps.as_array().unwrap().iter().cloned());
        passes(
            config_with(rate(), "half_open", half_open),
            Value::Array(all),
        );
    };
    half_open(
        json!({ "max_calls": 3, "decide": "rate_over_probes", "decide_after": 3 }),
        json!([
            failures(1, "half_open"),
            call("success", "half_open"),
            call("success", "closed")
        ]),
    );
    half_open(
        json!({ "max_calls": 2, "decide": "consecutive_successes", "close_after": 2, "open_on_first_failure": true }),
        json!([call("success", "half_open"), failures(1, "open")]),
    );
    let ratio = json!({ "max_calls": 5, "decide": "success_ratio", "successes": 3, "of": 5 });
    half_open(
        ratio.clone(),
        json!([
            failures(2, "half_open"),
            call("success", "half_open"),
            failures(1, "open")
        ]),
    );
    half_open(
        ratio,
        json!([
            failures(2, "half_open"),
            call("success", "half_open"),
            call("success", "half_open"),
            call("success", "closed")
        ]),
    );
    half_open(
        json!({ "max_calls": 3, "decide": "failure_count", "open_after": 2, "close_after_successes": 1 }),
        json!([failures(1, "half_open"), failures(1, "open")]),
    );
    half_open(
        json!({ "max_calls": null, "decide": "first_result" }),
        json!([
            acquire("a"),
            acquire("b"),
            acquire("c"),
            complete("b", "success", "closed"),
            complete("a", "failure", "closed")
        ]),
    );
}

#[test]
fn a_settled_probe_frees_its_place_or_uses_it_up() {
    let then = |decide: Value, last: Value| {
        passes(
            config_with(rate(), "half_open", decide),
            json!([
                force("half_open"),
                call("success", "half_open"),
                call("ignored", "half_open"),
                acquire("a"),
                acquire("b"),
                last
            ]),
        );
    };
    let rate = json!({ "max_calls": 3, "decide": "rate_over_probes", "decide_after": 3 });
    then(rate, refused("half_open"));
    let row = json!({ "max_calls": 3, "decide": "consecutive_successes", "close_after": 3, "open_on_first_failure": true });
    then(row, refused("half_open"));
    let ratio = json!({ "max_calls": 3, "decide": "success_ratio", "successes": 2, "of": 3 });
    then(ratio, acquire("c"));
}

#[test]
fn a_failed_probe_may_only_begin_the_count_of_successes_anew() {
    let row = json!({ "max_calls": 1, "decide": "consecutive_successes", "close_after": 2, "open_on_first_failure": false });
    passes(
        config_with(rate(), "half_open", row),
        json!([
            force("half_open"),
            call("success", "half_open"),
            failures(5, "half_open"),
            call("success", "half_open"),
            call("success", "closed")
        ]),
    );
}

#[test]
fn a_rate_of_slow_calls_is_at_least_its_limit_whatever_failures_are_compared_with() {
    let mut trip = rate();
    trip["compare"] = json!(">");
    let slow = json!({ "duration_ms": 100, "compare": ">", "rate": 0.5 });
    let calls = |ms: u64, state: &str| json!({ "op": "call", "outcome": "success", "duration_ms": ms, "times": 2, "state": state });
    passes(
        config_with(trip.clone(), "slow", slow.clone()),
        json!([calls(101, "closed"), calls(1, "open")]),
    );
    let failing = json!([failures(2, "closed"), { "op": "call", "outcome": "success", "times": 2, "state": "closed" }]);
    passes(config_with(trip, "slow", slow), failing);
}

#[test]
fn a_period_without_a_probe_ends_after_the_longest_wait_too() {
    let waits = |then: &str| json!({ "max_calls": 1, "decide": "first_probe", "max_wait_ms": 500, "after_max_wait": then });
    for then in ["open", "closed"] {
        passes(
            config_with(rate(), "half_open", waits(then)),
            json!([
                force("half_open"),
                advance(499, "half_open"),
                advance(1, then)
            ]),
        );
    }
}

#[test]
fn probes_that_never_answer_reopen_after_the_longest_wait_or_keep_it_half_open_for_ever() {
    let waits = |ms: u64| json!({ "max_calls": 1, "decide": "first_probe", "max_wait_ms": ms, "after_max_wait": "open" });
    passes(
        config_with(rate(), "half_open", waits(500)),
        json!([
            force("half_open"),
            acquire("a"),
            advance(499, "half_open"),
            advance(1, "open")
        ]),
    );
    passes(
        config_with(rate(), "half_open", waits(0)),
        json!([
            force("half_open"),
            acquire("a"),
            advance(31_536_000_000, "half_open"),
            refused("half_open")
        ]),
    );
}

#[test]
fn an_ignored_outcome_frees_its_permit_or_counts_as_a_success() {
    let steps = |state: &str| {
        json!([
            force("half_open"),
            acquire("a"),
            refused("half_open"),
            complete("a", "ignored", state)
        ])
    };
    passes(config(rate()), steps("half_open"));
    let neutral = config_with(rate(), "ignored", json!("neutral_release_permit"));
    passes(neutral, steps("half_open"));
    let success = config_with(rate(), "ignored", json!("counts_as_success"));
    passes(success.clone(), steps("closed"));
    // A cancelled call says nothing, whatever the library made of it.
    passes(
        success,
        json!([
            force("half_open"),
            acquire("a"),
            complete("a", "cancelled", "half_open"),
            call("success", "closed")
        ]),
    );
}

#[test]
fn every_state_can_be_brought_about_from_every_other() {
    let states = [
        "closed",
        "open",
        "half_open",
        "forced_open",
        "isolated",
        "disabled",
        "metrics_only",
    ];
    for from in states {
        for to in states {
            let passes_calls = matches!(to, "closed" | "half_open" | "disabled" | "metrics_only");
            let then = if passes_calls {
                acquire("a")
            } else {
                refused(to)
            };
            passes(config(rate()), json!([force(from), force(to), then]));
        }
    }
}

#[test]
fn a_forced_state_lasts_or_ends_by_itself() {
    passes(
        config(rate()),
        json!([force("open"), advance(1000, "half_open")]),
    );
    passes(
        config(rate()),
        json!([force("forced_open"), advance(1_000_000, "forced_open")]),
    );
    let monitor = json!([force("metrics_only"), failures(3, "metrics_only"), { "op": "check", "failures": 3 }, failures(9, "metrics_only")]);
    passes(config(rate()), monitor);
    passes(
        config(rate()),
        json!([force("metrics_only"), failures(9, "metrics_only"), call("success", "metrics_only"), { "op": "check", "buffered": 4, "failure_rate": 0.75 }, force("closed"), { "op": "check", "buffered": 0 }, failures(3, "closed"), failures(1, "open")]),
    );
    passes(
        config(rate()),
        json!([failures(3, "closed"), force("disabled"), failures(9, "disabled"), { "op": "check", "buffered": 0 }]),
    );
}

#[test]
fn counters_exist_for_policies_without_a_window_of_calls_too() {
    let three = json!([
        call("success", "closed"), failures(1, "closed"), call("success", "closed"),
        { "op": "check", "requests": 3, "failures": 1, "buffered": 3, "buffered_max": 3 },
    ]);
    passes(config(in_a_row(2)), three.clone());
    let counted = json!({ "policy": "time_window_count", "window_ms": 1000, "failures": 2 });
    passes(config(counted), three);
    fails(
        config(rate()),
        json!([failures(1, "closed"), { "op": "check", "buffered_max": 0 }]),
        "at most 0, it is 1",
    );
    fails(
        config(rate()),
        json!([{ "op": "check", "slow_rate": 0.0 }]),
        "no rule",
    );
}

#[test]
fn requests_are_the_calls_begun_in_a_period_and_an_open_one_has_none() {
    let mut config = config_with(in_a_row(3), "late_results", json!("discard_by_generation"));
    config["half_open"] =
        json!({ "max_calls": 2, "decide": "consecutive_successes", "close_after": 2 });
    let check = |requests: u64, failures: u64| json!({ "op": "check", "requests": requests, "failures": failures });
    passes(
        config,
        json!([
            acquire("a"),
            failures(2, "closed"),
            check(3, 2),
            failures(1, "open"),
            check(0, 0),
            advance(1000, "half_open"),
            check(0, 0),
            acquire("b"),
            check(1, 0),
            call("success", "half_open"),
            check(2, 0),
            complete("b", "success", "closed"),
            check(0, 0),
        ]),
    );
}

#[test]
fn a_tumbling_window_begins_with_the_closed_period_and_is_cleared_when_it_is_over() {
    let tumbling = json!({ "policy": "tumbling_window_rate", "window_ms": 1000, "min_calls": 2, "failure_rate": 1.0 });
    passes(
        config(tumbling),
        json!([
            advance(900, "closed"),
            failures(1, "closed"),
            advance(101, "closed"),
            failures(1, "closed"),
            advance(1000, "closed"),
            failures(1, "open"),
        ]),
    );
}

#[test]
fn a_rate_of_too_few_calls_is_below_zero() {
    passes(
        config(rate()),
        json!([failures(1, "closed"), { "op": "check", "failure_rate": -1 }]),
    );
}

#[test]
fn wall_clocks_move_nothing_and_waiting_is_virtual() {
    passes(
        config(in_a_row(1)),
        json!([
            failures(1, "open"),
            { "op": "wall_clock_step", "ms": -5000, "state": "open" },
            { "op": "wall_clock_step", "ms": 5000, "state": "open" },
            { "op": "advance", "ms": 1000, "real_time": true, "state": "half_open" },
        ]),
    );
}

#[test]
fn ids_can_be_reused_and_an_outcome_recorded_twice_counts_once() {
    passes(
        config(in_a_row(2)),
        json!([
            { "op": "repeat", "times": 3, "steps": [acquire("a"), complete("a", "success", "closed")], "state": "closed" },
            acquire("a"), complete("a", "failure", "closed"), complete("a", "failure", "closed"),
        ]),
    );
    fails(
        config(rate()),
        json!([complete("x", "success", "closed")]),
        "unknown permit `x`",
    );
}

#[test]
fn a_failed_expectation_is_reported_with_its_step() {
    fails(
        config(in_a_row(2)),
        json!([failures(2, "open"), failures(1, "open")]),
        "step 2: expected a permit, but the breaker is open",
    );
    fails(
        config(in_a_row(2)),
        json!([{ "op": "repeat", "times": 3, "steps": [failures(1, "closed")] }]),
        "step 1 round 2, 1: expected the state closed, it is open",
    );
    fails(
        config(rate()),
        json!([refused("closed")]),
        "step 1: expected a rejection",
    );
    fails(
        config(in_a_row(1)),
        json!([failures(1, "open"), { "op": "call", "outcome": "none", "expect": "reject", "retry_after_ms": 5 }]),
        "expected retry_after_ms",
    );
}

#[test]
fn unknown_fields_and_values_are_rejected() {
    let closed = || json!([call("success", "closed")]);
    let mut unknown = config(rate());
    unknown["trip"]["mood"] = json!("bad");
    fails(unknown, closed(), "unknown field `mood`");
    fails(
        config(rate()),
        json!([{ "op": "dance" }]),
        "unknown variant `dance`",
    );
    fails(
        config(rate()),
        json!([{ "op": "acquire", "id": "a", "then": "it leaks" }]),
        "unknown field `then`",
    );
    fails(
        config(rate()),
        json!([call("shrug", "closed")]),
        "unknown outcome `shrug`; expected success",
    );
    fails(
        config(json!({ "policy": "consecutive" })),
        closed(),
        "config.trip.threshold is missing",
    );
    fails(
        config(in_a_row(0)),
        closed(),
        "invalid settings: trip.consecutive_failures",
    );
}

#[test]
fn behaviour_that_the_breaker_does_not_have_is_an_error() {
    let waits = json!({ "max_calls": 1, "decide": "first_probe", "max_wait_ms": 5, "after_max_wait": "disabled" });
    fails(
        config_with(rate(), "half_open", waits),
        json!([call("success", "closed")]),
        "the breaker cannot go to disabled",
    );
}

#[test]
fn a_text_that_is_no_file_of_scenarios_is_refused_with_the_way_to_write_one() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{ "scenarios": [{ "kind": "rumour", "id": "a" }] }"#,
    ] {
        let error = Suite::read(text).unwrap_err().to_string();
        assert!(error.contains("a list `scenarios`"), "{error}");
    }
}

#[test]
fn a_defect_is_not_run() {
    let file = json!({ "scenarios": [{ "id": "d", "kind": "defect", "title": "t", "config": 1, "steps": 2 }] });
    let suite = Suite::read(&file.to_string()).unwrap();
    assert_eq!(suite.cases()[0].run(), Verdict::NotRun);
}
