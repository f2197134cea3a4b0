//! Warnings about failures that a breaker could never see, and the outcome of a call under both expressions.

use std::time::Duration;

use crate::support::{check, lines, plan_of, read_text};
use fusebox_breaker::{OnAbandoned, OnOverflow, Outcome};
use fusebox_plan::{Call, CallError};

fn file(breaker: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nroutes: [{{ path: /, upstream: a }}]\nupstreams:\n  a:\n    url: http://a\n    breaker: {breaker}\n"
    )
}

#[track_caller]
fn says(breaker: &str, expected: &str) {
    check(&file(breaker), expected);
}

#[track_caller]
fn says_nothing(breaker: &str) {
    plan_of(&file(breaker));
}

const GONE: &str = "a call without an answer never counts as a failure here, so an unreachable upstream never trips the breaker";

#[test]
fn a_failure_over_the_status_alone_misses_an_unreachable_upstream() {
    for failure in [
        "status >= 500",
        "status in [500, 503]",
        "\"x-error\" in headers",
    ] {
        says(
            &format!("{{ failure: '{failure}' }}"),
            &format!("6:25: warning: {GONE}; add `|| error != \"\"` to `failure`"),
        );
    }
    for failure in [
        "status >= 500 || error != \"\"",
        "status < 200 || status >= 500",
        "error == \"timeout\"",
        "status >= 500 || connect_error",
        "duration > duration(\"1s\")",
    ] {
        says_nothing(&format!("{{ failure: '{failure}' }}"));
    }
}

#[test]
fn ignoring_all_errors_or_all_failures_is_a_warning() {
    says(
        "{ ignore: 'status < 200' }",
        &format!("6:24: warning: {GONE}; leave errors to `failure`: add `&& error == \"\"` to it"),
    );
    says(
        "{ ignore: 'status >= 500 || error != \"\"' }",
        "6:24: warning: no call can ever count as a failure with these expressions, so the breaker never trips; use `status` or `error` in `failure`, and ignore less",
    );
    says(
        "{ ignore: 'status < 500 && error == \"\"' }",
        "6:24: warning: no answer can ever count as a success with these expressions, so a half-open breaker never closes; exclude good answers from `failure` and `ignore`, such as a status below 400",
    );
    says(
        "{ ignore: 'true' }",
        "6:24: warning: with this ignore expression every call is ignored, so the breaker never trips; use `status` or `error`, or write `mode: disabled`",
    );
    // Answers are unknown if an expression uses their fields.
    says_nothing("{ ignore: '\"x-skip\" in headers' }");
    says_nothing("{ ignore: 'status == 404' }");
}

#[test]
fn a_clients_404s_can_interrupt_every_row_of_failures() {
    says(
        "{ trip: { consecutive_failures: 5 } }",
        "6:24: warning: any success ends a row of failures: the 404s of a single client can keep this breaker closed while all else fails; add a rate, as in `[{ consecutive_failures: 5 }, { failure_rate: 50%, over: 10s, min_calls: 20 }]`, or `ignore: 'status == 404'`",
    );
    says_nothing("{ trip: { consecutive_failures: 5 }, ignore: 'status == 404' }");
    says_nothing(
        "{ trip: { consecutive_failures: 5 }, failure: 'status >= 400 || error != \"\"' }",
    );
    says_nothing("{ trip: { consecutive_failures: 1 } }");
    says_nothing("{ trip: [{ consecutive_failures: 5 }, { failures: 9, within: 10s }] }");
    says_nothing("{}");
}

#[test]
fn rules_without_failures_do_not_help_beside_a_row() {
    for others in [
        "{ stalled: 5, longer_than: 2s }",
        "{ slow_rate: 50%, slower_than: 2s }",
        "{ adaptive: {} }",
        "{ consecutive_failures: 9, within: 60s }",
    ] {
        for trip in [
            format!("[{{ consecutive_failures: 5 }}, {others}]"),
            format!("[{others}, {{ consecutive_failures: 5 }}]"),
        ] {
            let reading = read_text(&file(&format!("{{ trip: {trip} }}")));
            let report = lines(&reading);
            assert_eq!(report.lines().count(), 1, "{trip}: {report}");
            assert!(
                report.contains("warning: any success ends a row"),
                "{trip}: {report}"
            );
        }
    }
    says_nothing(
        "{ trip: [{ consecutive_failures: 5 }, { stalled: 5, longer_than: 2s }, { failure_rate: 50% }] }",
    );
    says_nothing("{ trip: { stalled: 5, longer_than: 2s } }");
}

#[test]
fn ignoring_every_timeout_is_a_warning_unless_a_rule_counts_hanging_calls() {
    const HANGS: &str = "6:24: warning: every timeout is ignored here, so a hanging upstream never trips the breaker; leave timeouts to `failure`, or add a rule such as `{ stalled: 20, longer_than: 2s }` to `trip`";
    for ignore in [
        "timeout",
        "error == \"timeout\"",
        "status == 404 || timeout",
    ] {
        says(&format!("{{ ignore: '{ignore}' }}"), HANGS);
    }
    says_nothing("{ ignore: 'timeout && duration < duration(\"1s\")' }");
    says_nothing("{ ignore: 'connect_error' }");
    says_nothing(
        "{ ignore: 'timeout', trip: [{ failure_rate: 50% }, { stalled: 5, longer_than: 2s }] }",
    );
}

#[test]
fn a_fault_in_an_ignore_expression_is_an_error_at_its_place() {
    says(
        "{ ignore: 'status == 404 || statsu == 1' }",
        "6:42: error: in the ignore expression: unknown variable `statsu`; did you mean `status`?",
    );
    says(
        "{ ignore: 'body == \"\"' }",
        "6:24: error: the ignore expression uses `body`, but `failure_body` is not set; add `failure_body: 64KiB` beside it",
    );
    says_nothing("{ ignore: 'body.contains(\"maintenance\")', failure_body: 1KiB }");
}

#[test]
fn ignore_is_evaluated_before_failure_and_its_own_error_ignores_nothing() {
    let text = file(
        "{ ignore: 'status == 404 || int(headers[\"x-n\"]) > 1', failure: 'status >= 400 || error != \"\"' }",
    );
    let plan = plan_of(&text);
    let breaker = &plan.upstreams[0].breaker;
    let judged = |status, error, headers: &http::HeaderMap| {
        let call = Call {
            status,
            headers: Some(headers),
            duration: Duration::ZERO,
            error,
            body: None,
            grpc_status: None,
            client_subject: "",
        };
        let ruling = breaker.judge(&call);
        (ruling.outcome, ruling.errors.len())
    };
    let none = http::HeaderMap::new();
    let mut two = http::HeaderMap::new();
    two.insert("x-n", http::HeaderValue::from_static("2"));
    assert_eq!(judged(404, None, &none), (Outcome::Ignored, 0));
    assert_eq!(judged(500, None, &two), (Outcome::Ignored, 0));
    assert_eq!(judged(500, None, &none), (Outcome::Failure, 1));
    assert_eq!(judged(200, None, &none), (Outcome::Success, 1));
    let reset = Some(CallError::Reset);
    assert_eq!(judged(0, reset, &none), (Outcome::Failure, 1));
    assert!(breaker.sees_headers());
}

#[test]
fn keys_and_abandoned_calls_are_as_the_file_says() {
    let plan = plan_of(&file(
        "{ key: '{header.x-tenant}', max_keys: 5, idle_after: 1h, on_overflow: pass, abandoned: 1s }",
    ));
    let breaker = &plan.upstreams[0].breaker;
    assert_eq!(breaker.idle_after, Some(Duration::from_secs(3_600)));
    assert_eq!(breaker.on_overflow, OnOverflow::Pass);
    let after = OnAbandoned::FailureAfter(Duration::from_secs(1));
    assert_eq!(breaker.settings.on_abandoned, after);
    let shown = plan.to_json()["upstreams"]["a"]["breaker"].clone();
    assert_eq!(shown["idle_after"], "1h");
    assert_eq!(shown["on_overflow"], "pass");
    assert_eq!(shown["abandoned"], "1s");
}

#[test]
fn key_settings_without_a_key_and_an_unreachable_abandoned_are_reported() {
    says(
        "{ idle_after: 1h, on_overflow: pass }",
        "6:28: warning: `idle_after` has no effect: all calls of the upstream share one breaker; remove it, or give a `key`
6:45: warning: `on_overflow` has no effect: all calls of the upstream share one breaker; remove it, or give a `key`",
    );
    says(
        "{ abandoned: 30s }",
        "6:27: error: `abandoned` is 30s, and every call ends after `timeout.request`, 30s, so no call could be given up so late; lower it, or raise `timeout.request`",
    );
    let reading = read_text(&file("{ on_overflow: drop }"));
    assert!(lines(&reading).contains("share"), "{}", lines(&reading));
}
