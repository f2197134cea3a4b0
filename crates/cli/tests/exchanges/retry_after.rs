//! An upstream's own word about when to return.

use crate::support::{Gateway, Upstream, orders};
use serde_json::Value;

/// The breaker of an upstream that has answered once, with a status and fields; its cooldown is a second, at most forty.
#[track_caller]
fn after(settings: &str, status: u16, fields: &'static str) -> (Gateway, Value) {
    let upstream = Upstream::start(move |call| call.respond_with(status, fields, "no"));
    let cooldown = "cooldown: { base: 1s, max: 40s, jitter: 0% }";
    let breaker = format!("{{ {settings}, {cooldown} }}");
    let gateway = Gateway::run(orders(&upstream, &breaker));
    let answer = gateway.get("/a");
    assert_eq!(answer.status, status);
    let said = fields
        .lines()
        .find_map(|line| line.strip_prefix("Retry-After: "));
    assert_eq!(
        answer.fields.get("retry-after"),
        said,
        "the client hears it too"
    );
    let breaker = gateway.breaker("orders");
    (gateway, breaker)
}

const HONOUR: &str = "trip: { consecutive_failures: 1 }, retry_after: honour";
const TRIP: &str = "trip: { consecutive_failures: 100 }, retry_after: trip";

/// How long the breaker stays open, in whole seconds from its trip.
#[track_caller]
fn open_for(breaker: &Value) -> u64 {
    assert_eq!(breaker["state"], "open", "{breaker}");
    let seconds = breaker["retry_after"].as_u64().unwrap();
    // Some of it may have passed since.
    [1, 30, 40]
        .into_iter()
        .find(|whole| *whole >= seconds)
        .unwrap()
}

#[test]
fn the_seconds_that_an_upstream_asks_for_are_the_cooldown() {
    let (gateway, breaker) = after(HONOUR, 503, "Retry-After: 30\r\n");
    assert_eq!(open_for(&breaker), 30);
    assert_eq!(breaker["reason_token"], "consecutive_failures");
    let refusal = gateway.get("/a");
    let seconds: u64 = refusal.fields.get("retry-after").unwrap().parse().unwrap();
    assert!((2..=30).contains(&seconds), "Retry-After: {seconds}");
}

#[test]
fn a_date_is_held_against_the_answers_own() {
    // Long ago by our clock, half a minute by the upstream's.
    for fields in [
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sunday, 06-Nov-94 08:50:07 GMT\r\n",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun Nov  6 08:50:07 1994\r\n",
    ] {
        let (_gateway, breaker) = after(HONOUR, 500, fields);
        assert_eq!(open_for(&breaker), 30, "{fields}");
    }
}

#[test]
fn an_upstream_cannot_ask_for_more_than_the_settings_allow() {
    for fields in [
        "Retry-After: 86400\r\n",
        "Retry-After: 99999999999999999999999999\r\n",
        "Retry-After: Tue, 31 Dec 2199 23:59:59 GMT\r\n",
    ] {
        let (_gateway, breaker) = after(HONOUR, 503, fields);
        assert_eq!(open_for(&breaker), 40, "{fields}");
    }
}

#[test]
fn what_says_nothing_leaves_the_cooldown_as_it_is() {
    for fields in [
        "Retry-After: soon\r\n",
        "Retry-After: 0\r\n",
        "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "",
    ] {
        let upstream = Upstream::start(move |call| call.respond_with(503, fields, "no"));
        let breaker = format!("{{ {HONOUR}, cooldown: {{ base: 30s, max: 40s, jitter: 0% }} }}");
        let gateway = Gateway::run(orders(&upstream, &breaker));
        assert_eq!(gateway.get("/a").status, 503);
        assert_eq!(open_for(&gateway.breaker("orders")), 30, "{fields}");
    }
}

#[test]
fn unless_it_is_asked_for_the_field_means_nothing() {
    let ignoring = "trip: { consecutive_failures: 1 }";
    let (_gateway, breaker) = after(ignoring, 503, "Retry-After: 30\r\n");
    assert_eq!(open_for(&breaker), 1);
}

#[test]
fn one_answer_that_asks_for_time_trips_by_itself() {
    // A 429 is nobody's failure, and says all the same that the upstream has enough.
    for status in [429, 503, 500] {
        let (gateway, breaker) = after(TRIP, status, "Retry-After: 30\r\n");
        assert_eq!(open_for(&breaker), 30, "{status}");
        assert_eq!(breaker["reason_token"], "retry_after");
        let refusal = gateway.get("/a");
        let reason = r#"breaker_open; breaker="orders"; state=open"#;
        assert_eq!(refusal.fields.get("fusebox-reason"), Some(reason));
        let trips = r#"fusebox_breaker_transitions_total{breaker="orders",from="closed",to="open",reason="retry_after"}"#;
        assert_eq!(gateway.metric(trips), Some(1.0));
    }
}

#[test]
fn answers_that_do_not_speak_of_the_upstreams_load_do_not_trip() {
    // A redirect or an accepted job says when to look again, not that there is too much to do.
    for (status, fields) in [
        (302, "Location: /b\r\nRetry-After: 30\r\n"),
        (202, "Retry-After: 30\r\n"),
        (429, ""),
        (503, ""),
    ] {
        let (_gateway, breaker) = after(TRIP, status, fields);
        assert_eq!(breaker["state"], "closed", "{status}");
    }
}
