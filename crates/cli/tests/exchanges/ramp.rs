//! After a close, calls come back share by share.

use crate::support::{Dial, Gateway, Upstream, eventually, orders, until};

/// A gateway whose breaker has just closed into its ramp, before an upstream that answers what the dial says.
fn closed(ramp: &str) -> (Gateway, Upstream, Dial) {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let breaker =
        format!("{{ trip: {{ consecutive_failures: 3 }}, cooldown: 300ms, ramp: {ramp} }}");
    let gateway = Gateway::run(orders(&upstream, &breaker));
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").status, 500);
    }
    status.set(200);
    eventually("the cooldown ends", || {
        gateway.state("orders") == "half_open"
    });
    assert_eq!(gateway.get("/a").status, 200, "the probe");
    assert_eq!(gateway.state("orders"), "closed");
    (gateway, upstream, status)
}

/// The share that passes; none: there is no ramp.
#[track_caller]
fn share(gateway: &Gateway) -> Option<f64> {
    gateway.breaker("orders")["ramp"]["share"].as_f64()
}

#[test]
fn a_share_of_the_calls_passes_and_the_rest_is_told_to_come_back_soon() {
    let (gateway, upstream, _status) = closed("{ over: 60s, from: 20% }");
    let before = share(&gateway).unwrap();
    let calls = upstream.calls();
    let mut client = gateway.client();
    let mut refused = 0;
    for _ in 0..200 {
        let answer = client.get("/a");
        if answer.status == 200 {
            continue;
        }
        refused += 1;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.fields.get("retry-after"), Some("1"));
        let reason = r#"breaker_ramp; breaker="orders"; state=closed"#;
        assert_eq!(answer.fields.get("fusebox-reason"), Some(reason));
        assert_eq!(answer.json()["retry_after"], 1);
    }
    // Four of five, give or take ten standard deviations and some seconds of the ramp.
    assert!((80..=195).contains(&refused), "{refused} of 200 refused");
    assert_eq!(upstream.calls(), calls + 200 - refused);
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["state"], "closed");
    assert_eq!(breaker["counts"]["rejected_for"]["breaker_ramp"], refused);
    let now = breaker["ramp"]["share"].as_f64().unwrap();
    assert!(
        before >= 0.2 && now > before && now < 1.0,
        "{before} to {now}"
    );
    assert_eq!(breaker["admit_probability"], now);
    assert!(breaker["ramp"]["ends"].as_str().unwrap().ends_with('Z'));
    assert_eq!(breaker["explanation"]["next"]["event"], "ramp_ends");
    let rejected =
        r#"fusebox_breaker_rejected_reason_total{breaker="orders",reason="breaker_ramp"}"#;
    assert_eq!(gateway.metric(rejected), Some(refused as f64));
    let ratio = gateway.metric(r#"fusebox_breaker_ramp_ratio{breaker="orders"}"#);
    assert!(ratio.is_some_and(|ratio| ratio >= now), "{ratio:?}");
}

#[test]
fn at_the_end_of_the_ramp_all_calls_pass() {
    let (gateway, _upstream, _status) = closed("{ over: 500ms }");
    eventually("the ramp ends", || share(&gateway).is_none());
    let mut client = gateway.client();
    for _ in 0..50 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert_eq!(gateway.breaker("orders")["admit_probability"], 1.0);
}

#[test]
fn a_failure_halves_the_share() {
    let (gateway, _upstream, status) = closed("{ over: 6000s, from: 80% }");
    assert!(share(&gateway).unwrap() >= 0.8);
    status.set(500);
    eventually("a failing call passes", || gateway.get("/a").status == 500);
    let halved = share(&gateway).unwrap();
    assert!((0.4..0.42).contains(&halved), "{halved}");
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn after_a_restart_a_ramp_begins_anew() {
    let (mut gateway, _upstream, status) = closed("{ over: 6000s, from: 80% }");
    eventually("the close is persisted", || {
        gateway.breaker("orders")["persisted"] == true
    });
    status.set(500);
    eventually("a failing call passes", || gateway.get("/a").status == 500);
    assert!(share(&gateway).unwrap() < 0.5);
    gateway.kill9();
    status.set(200);
    gateway.restart();
    assert_eq!(gateway.state("orders"), "closed");
    let anew = share(&gateway).expect("a ramp");
    assert!((0.8..0.82).contains(&anew), "{anew}");
    let refused = until("a call is refused", || {
        let answer = gateway.get("/a");
        (answer.status == 503).then_some(answer)
    });
    let reason = refused.fields.get("fusebox-reason").unwrap();
    assert!(reason.starts_with("breaker_ramp;"), "{reason}");
}

#[test]
fn a_ramp_that_has_ended_does_not_come_back() {
    let (mut gateway, _upstream, _status) = closed("{ over: 500ms }");
    eventually("the ramp ends", || share(&gateway).is_none());
    gateway.sigterm();
    assert!(gateway.wait().success());
    gateway.restart();
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(share(&gateway), None);
    assert_eq!(gateway.get("/a").status, 200);
}
