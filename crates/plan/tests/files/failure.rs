//! The calls that a failure expression counts, and the facts that it sees.

use std::time::Duration;

use crate::support::read_text;
use fusebox_breaker::Outcome;
use fusebox_plan::{Call, CallError, Failure, Ruling};
use http::HeaderMap;

fn failure(expression: &str) -> Failure {
    let text = format!(
        "listen: 127.0.0.1:0\nroutes: [{{ path: /, upstream: a }}]\nupstreams:\n  a:\n    url: http://a\n    breaker:\n{}      failure: |-\n        {expression}\n",
        if expression.contains("body") {
            "      failure_body: 64KiB\n"
        } else {
            ""
        },
    );
    // The warnings of `check` are tested elsewhere.
    let plan = read_text(&text).plan.expect("warnings at the most");
    plan.upstreams[0].breaker.failure.clone()
}

fn call(status: u16, error: Option<CallError>) -> Call<'static> {
    Call {
        status,
        headers: None,
        duration: Duration::from_millis(1500),
        error,
        body: None,
        grpc_status: None,
        client_subject: "",
    }
}

/// The ruling of a rule whose evaluation does not fail.
fn decided(failed: bool) -> Ruling {
    Ruling {
        outcome: outcome(failed),
        errors: Vec::new(),
    }
}

fn outcome(failed: bool) -> Outcome {
    match failed {
        true => Outcome::Failure,
        false => Outcome::Success,
    }
}

#[track_caller]
fn judges(expression: &str, call: &Call<'_>, failed: bool) {
    let ruling = failure(expression).judge(call);
    assert_eq!(ruling, decided(failed), "{expression}");
}

#[test]
fn by_default_a_5xx_or_any_error_fails() {
    for (status, error, failed) in [
        (200, None, false),
        (499, None, false),
        (500, None, true),
        (599, None, true),
        (0, Some(CallError::Connect), true),
        (200, Some(CallError::Truncated), true),
    ] {
        let ruling = Failure::Default.judge(&call(status, error));
        assert_eq!(ruling, decided(failed), "{status} {error:?}");
        judges(
            "(status >= 500 || error != '')",
            &call(status, error),
            failed,
        );
    }
}

#[test]
fn the_defaults_own_text_is_the_default() {
    assert_eq!(failure("status >= 500 || error != \"\""), Failure::Default);
    assert_ne!(failure("status >= 501 || error != \"\""), Failure::Default);
    assert_eq!(failure("status == 1"), failure("status == 1"));
    assert_ne!(failure("status == 1"), failure("status == 2"));
}

#[test]
fn errors_are_words_and_flags() {
    for (error, word) in [
        (CallError::Connect, "connect"),
        (CallError::Tls, "tls"),
        (CallError::Timeout, "timeout"),
        (CallError::Reset, "reset"),
        (CallError::Truncated, "truncated"),
        (CallError::Protocol, "protocol"),
    ] {
        judges(&format!("error == '{word}'"), &call(0, Some(error)), true);
        judges(
            "connect_error",
            &call(0, Some(error)),
            error == CallError::Connect,
        );
        judges(
            "timeout",
            &call(0, Some(error)),
            error == CallError::Timeout,
        );
        judges(
            "truncated",
            &call(0, Some(error)),
            error == CallError::Truncated,
        );
    }
    judges(
        "error != '' || connect_error || timeout || truncated || status != 200",
        &call(200, None),
        false,
    );
}

#[test]
fn fields_are_found_by_lower_case_name_and_joined() {
    let mut headers = HeaderMap::new();
    headers.append("X-Mark", "a".parse().unwrap());
    headers.append("x-mark", "b".parse().unwrap());
    headers.append("x-raw", http::HeaderValue::from_bytes(b"\xff").unwrap());
    let call = Call {
        headers: Some(&headers),
        ..call(200, None)
    };
    judges("headers['x-mark'] == 'a, b'", &call, true);
    judges(
        "'x-mark' in headers && !('X-Mark' in headers) && size(headers) == 2",
        &call,
        true,
    );
    judges("headers.exists(name, headers[name] == 'a, b')", &call, true);
    judges("has(headers.nope)", &call, false);
    judges("headers['x-raw'] == '\u{fffd}'", &call, true);
    let ruling = failure("headers['X-Mark'] == 'a, b'").judge(&call);
    assert!(ruling.errors[0].what.contains("no such key `X-Mark`"));
}

#[test]
fn a_call_without_a_response_has_no_fields() {
    judges(
        "size(headers) == 0 && !has(headers.age) && !('age' in headers)",
        &call(0, Some(CallError::Reset)),
        true,
    );
}

#[test]
fn the_duration_and_the_body_are_seen() {
    judges("duration > duration('1s')", &call(200, None), true);
    judges(
        "duration >= duration('1.5s') && duration.getMilliseconds() == 1500",
        &call(200, None),
        true,
    );
    let with = |body| Call {
        body: Some(body),
        ..call(200, None)
    };
    judges("body.contains('\"error\"')", &with(br#"{"error":1}"#), true);
    judges("body == 'a\u{fffd}'", &with(b"a\xff"), true);
    judges("body == ''", &call(200, None), true);
}

#[test]
fn a_failed_expression_leaves_the_call_to_the_default_and_reports_its_error() {
    let failure = failure("headers['x-nope'] == '1'");
    for (status, failed) in [(200, false), (503, true)] {
        let ruling = failure.judge(&call(status, None));
        assert_eq!(ruling.outcome, outcome(failed));
        assert_eq!(
            ruling.errors[0].to_string(),
            "no such key `x-nope` (at character 8)"
        );
    }
    let ruling = self::failure("dyn(status)").judge(&call(503, None));
    assert_eq!(ruling.outcome, Outcome::Failure);
    assert!(ruling.errors[0].what.contains("gave an int"));
}

#[test]
fn a_body_that_is_too_long_to_match_is_only_an_error() {
    let failure = failure("body.matches('x')");
    let body = vec![b'y'; 100_000];
    let ruling = failure.judge(&Call {
        body: Some(&body),
        ..call(200, None)
    });
    assert_eq!((ruling.outcome, ruling.errors.len()), (Outcome::Success, 1));
}

#[test]
fn a_plan_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&read_text("").plan);
}
