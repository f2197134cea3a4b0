//! `monitor` decides everything and refuses nothing; `disabled` decides nothing.

use crate::support::{Dial, Gateway, Upstream, eventually, orders};

#[test]
fn monitor_trips_but_refuses_nothing() {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let breaker = "{ mode: monitor, trip: { consecutive_failures: 3 }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/a").status, 500);
    }
    assert_eq!(gateway.state("orders"), "open");
    status.set(200);
    for _ in 0..7 {
        let response = client.get("/a");
        assert_eq!(response.status, 200);
        assert!(!response.fields.has("fusebox-reason"));
    }
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["mode"], "monitor");
    assert_eq!(
        breaker["state"], "open",
        "what would have been refused proves nothing"
    );
    assert_eq!(breaker["counts"]["would_reject"], 7);
    assert_eq!(breaker["counts"]["rejected"], 0);
    assert_eq!(upstream.calls(), 10);
    let series = r#"fusebox_breaker_would_reject_total{breaker="orders"}"#;
    assert_eq!(gateway.metric(series), Some(7.0));
}

#[test]
fn monitor_recovers_by_its_probes_as_enforce_would() {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let breaker = "{ mode: monitor, trip: { consecutive_failures: 1 }, cooldown: 300ms }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    assert_eq!(gateway.get("/a").status, 500);
    assert_eq!(gateway.state("orders"), "open");
    status.set(200);
    eventually("it recovers", || {
        assert_eq!(gateway.get("/a").status, 200);
        gateway.state("orders") == "closed"
    });
}

#[test]
fn disabled_records_nothing() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let breaker = "{ mode: disabled, trip: { consecutive_failures: 1 } }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/a").status, 500);
    }
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["mode"], "disabled");
    assert_eq!(breaker["state"], "closed");
    assert_eq!(breaker["attempts"], 0);
    assert_eq!(upstream.calls(), 5);
}
