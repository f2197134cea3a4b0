//! An upstream that is slow, or hangs, trips its breaker although it fails nobody.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::{Client, Dial, Gate, Gateway, Upstream, eventually, orders};

/// An upstream that takes as many milliseconds as the dial shows, and succeeds.
fn taking(millis: &Dial) -> Upstream {
    let millis = millis.clone();
    Upstream::start(move |call| {
        std::thread::sleep(Duration::from_millis(millis.get()));
        call.respond(200, "at last");
    })
}

/// An upstream that answers `/hang` when the gate opens, and everything else at once.
fn hanging(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |call| {
        if call.seen.target == "/hang" {
            gate.pass();
        }
        call.respond(200, "at last");
    })
}

/// A client that has asked for `/hang` and waits.
fn waiting(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    client
}

#[test]
fn slow_answers_trip_though_all_succeed() {
    let millis = Dial::at(0);
    let upstream = taking(&millis);
    let breaker = "{ trip: { slow_rate: 50%, slower_than: 500ms, over: 4 calls }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(client.get("/a").status, 200);
    }
    millis.set(700);
    assert_eq!(client.get("/a").status, 200);
    let rule = gateway.breaker("orders")["rules"][0].clone();
    assert_eq!(rule["rule"], "slow_rate");
    assert_eq!(rule["over"], "4 calls");
    assert_eq!(
        (&rule["observed"], &rule["threshold"]),
        (&0.25.into(), &0.5.into())
    );
    let ratio = r#"fusebox_breaker_slow_ratio{breaker="orders"}"#;
    assert_eq!(gateway.metric(ratio), Some(0.25));
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(client.get("/a").status, 200);
    let open = gateway.breaker("orders");
    assert_eq!(
        (&open["state"], &open["reason_token"]),
        (&"open".into(), &"slow_rate".into())
    );
    assert_eq!(gateway.outcomes("orders"), (6, 0, 0));
    assert_eq!(client.get("/a").status, 503);
    let trips = r#"fusebox_breaker_transitions_total{breaker="orders",from="closed",to="open",reason="slow_rate"}"#;
    assert_eq!(gateway.metric(trips), Some(1.0));
}

#[test]
fn a_client_that_takes_its_time_makes_no_call_slow() {
    let upstream = taking(&Dial::at(0));
    let breaker = "{ trip: { slow_rate: 100%, slower_than: 500ms, over: 1 calls }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let mut client = gateway.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    eventually("the upstream has the head", || upstream.in_flight() == 1);
    // The client's own time, of which this test is about.
    std::thread::sleep(Duration::from_millis(700));
    client.send("y");
    assert_eq!(client.response().status, 200);
    eventually("it counts", || gateway.outcomes("orders") == (1, 0, 0));
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(gateway.breaker("orders")["rules"][0]["calls"], 1);
}

#[test]
fn a_call_that_ran_into_its_timeout_was_slow() {
    let gate = Gate::default();
    let upstream = hanging(&gate);
    let breaker = "{ trip: { slow_rate: 100%, slower_than: 500ms, over: 1 calls }, cooldown: 60s }\n    timeout: { request: 500ms }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    assert_eq!(gateway.get("/hang").status, 504);
    gate.open();
    let open = gateway.breaker("orders");
    assert_eq!(
        (&open["state"], &open["reason_token"]),
        (&"open".into(), &"slow_rate".into())
    );
}

#[test]
fn a_hung_upstream_trips_while_its_calls_still_hang_and_nobody_else_calls() {
    let gate = Gate::default();
    let upstream = hanging(&gate);
    let breaker = "{ trip: { stalled: 3, longer_than: 300ms }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let clients: Vec<_> = (0..3).map(|_| waiting(&gateway)).collect();
    eventually("it trips", || gateway.state("orders") == "open");
    assert_eq!(upstream.in_flight(), 3, "none of them has ended");
    let open = gateway.breaker("orders");
    assert_eq!(open["reason_token"], "stalled");
    let reason = "3 of 3 calls in flight have stalled, the limit is 3";
    assert_eq!(open["reason"], reason);
    let refusal = gateway.get("/a");
    assert_eq!(refusal.status, 503);
    let trips = r#"fusebox_breaker_transitions_total{breaker="orders",from="closed",to="open",reason="stalled"}"#;
    assert_eq!(gateway.metric(trips), Some(1.0));
    gate.open();
    for mut client in clients {
        assert_eq!(client.response().status, 200, "who waited is answered");
    }
    eventually("they are late", || gateway.count("orders", "late") == 3);
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn calls_that_have_their_head_have_not_stalled() {
    let gate = Gate::default();
    let door = gate.clone();
    let upstream = Upstream::start(move |call| match call.seen.target.as_str() {
        "/body" => {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
            door.pass();
            call.send("ok");
        }
        _ => {
            door.pass();
            call.respond(200, "at last");
        }
    });
    let breaker = "{ trip: { stalled: 2, longer_than: 300ms }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let mut client = gateway.client();
            client.send("GET /body HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.head().status, 200);
            client
        })
        .collect();
    let hanging = waiting(&gateway);
    one_has_stalled(&gateway);
    gate.open();
    drop((readers, hanging));
}

#[test]
fn calls_whose_client_keeps_them_waiting_have_not_stalled() {
    let gate = Gate::default();
    let upstream = hanging(&gate);
    let breaker = "{ trip: { stalled: 2, longer_than: 500ms }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let uploads: Vec<_> = (0..4)
        .map(|_| {
            let mut client = gateway.client();
            client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
            client
        })
        .collect();
    eventually("the upstream has their heads", || upstream.in_flight() == 4);
    let hanging = waiting(&gateway);
    one_has_stalled(&gateway);
    for mut client in uploads {
        client.send("y");
        assert_eq!(client.response().status, 200);
    }
    gate.open();
    drop(hanging);
}

#[test]
fn an_upstream_that_hangs_after_a_slow_upload_trips_all_the_same() {
    let gate = Gate::default();
    let upstream = hanging(&gate);
    let breaker = "{ trip: { stalled: 3, longer_than: 500ms }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let mut uploads: Vec<_> = (0..2)
        .map(|_| {
            let mut client = gateway.client();
            client.send("POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
            client
        })
        .collect();
    eventually("the upstream has their heads", || upstream.in_flight() == 2);
    let hanging = waiting(&gateway);
    one_has_stalled(&gateway);
    for client in &mut uploads {
        client.send("y");
    }
    eventually("it trips", || gateway.state("orders") == "open");
    let reason = "3 of 3 calls in flight have stalled, the limit is 3";
    assert_eq!(gateway.breaker("orders")["reason"], reason);
    gate.open();
    drop((uploads, hanging));
}

#[test]
fn calls_that_still_connect_have_not_stalled() {
    let gate = Gate::default();
    let upstream = hanging(&gate);
    // It takes the connection and never answers the handshake.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let connects = format!(
        "  connects:
    url: https://{}
    breaker: {{ trip: {{ stalled: 1, longer_than: 300ms }}, cooldown: 60s }}
routes:
  - {{ path: /connects, upstream: connects }}
",
        silent.local_addr().unwrap()
    );
    let breaker = "{ trip: { stalled: 2, longer_than: 300ms }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker).replace("routes:\n", &connects));
    let mut connecting = gateway.client();
    connecting.send("GET /connects HTTP/1.1\r\nHost: a\r\n\r\n");
    let held = silent.accept().unwrap();
    let hanging = waiting(&gateway);
    one_has_stalled(&gateway);
    let rule = gateway.breaker("connects")["rules"][0].clone();
    assert_eq!(
        (&rule["calls"], &rule["observed"]),
        (&1.into(), &0.0.into())
    );
    gate.open();
    drop((held, connecting, hanging));
}

/// Waits until the one call that hangs has stalled; whatever else was there has had longer.
#[track_caller]
fn one_has_stalled(gateway: &Gateway) {
    eventually("a call stalls", || {
        gateway.breaker("orders")["rules"][0]["observed"] == 1.0
    });
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["state"], "closed", "{breaker}");
    assert_eq!(breaker["rules"][0]["observed"], 1.0, "{breaker}");
    let stalled = r#"fusebox_breaker_stalled_calls{breaker="orders"}"#;
    assert_eq!(gateway.metric(stalled), Some(1.0));
}
