//! A breaker trips at exactly its threshold, refuses at once and for free, and recovers.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Dial, Gateway, Upstream, eventually, orders};

const FIVE: &str = "{ trip: { consecutive_failures: 5 }, cooldown: 60s }";

/// A gateway whose breaker one failure has just opened, before an upstream that fails.
fn tripped(cooldown: &str) -> (Gateway, Upstream, Dial) {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let breaker = format!("{{ trip: {{ consecutive_failures: 1 }}, cooldown: {cooldown} }}");
    let gateway = Gateway::run(orders(&upstream, &breaker));
    assert_eq!(gateway.get("/a").status, 500);
    assert_eq!(gateway.state("orders"), "open");
    (gateway, upstream, status)
}

#[test]
fn a_breaker_trips_at_its_threshold_and_not_before() {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let gateway = Gateway::run(orders(&upstream, FIVE));
    let mut client = gateway.client();
    for call in 1..=5 {
        assert_eq!(gateway.state("orders"), "closed", "before call {call}");
        assert_eq!(client.get("/a").status, 500, "call {call} gets through");
    }
    assert_eq!(gateway.state("orders"), "open");
    assert_eq!(client.get("/a").status, 503);
    assert_eq!(upstream.calls(), 5);
    assert_eq!(gateway.outcomes("orders"), (0, 5, 0));
}

#[test]
fn a_success_between_failures_starts_the_count_anew() {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let gateway = Gateway::run(orders(&upstream, FIVE));
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(client.get("/a").status, 500);
    }
    status.set(404);
    assert_eq!(
        client.get("/a").status,
        404,
        "the client's mistake, and so a success"
    );
    status.set(500);
    for _ in 0..4 {
        assert_eq!(client.get("/a").status, 500);
    }
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(client.get("/a").status, 500);
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn concurrent_failures_trip_at_the_threshold_too() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let breaker = "{ trip: { consecutive_failures: 20 }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let addr = gateway.addr();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = crate::support::Client::to(addr);
                (0..20).filter(|_| client.get("/a").status == 500).count()
            })
        })
        .collect();
    let passed: usize = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    // Calls that were on their way when the breaker tripped count no more, but they were made.
    assert!((20..=20 + 7).contains(&passed), "{passed} calls passed");
    assert_eq!(upstream.calls(), passed);
    let trips = r#"fusebox_breaker_transitions_total{breaker="orders",from="closed",to="open",reason="consecutive_failures"}"#;
    assert_eq!(gateway.metric(trips), Some(1.0));
}

#[test]
fn an_open_breaker_costs_the_upstream_neither_call_nor_connection() {
    let (gateway, upstream, status) = tripped("60s");
    status.set(200);
    let (calls, connections) = (upstream.calls(), upstream.connections());
    let mut kept = gateway.client();
    for _ in 0..30 {
        assert_eq!(gateway.get("/a").status, 503);
        assert_eq!(kept.get("/b").status, 503);
    }
    assert_eq!(upstream.calls(), calls);
    assert_eq!(upstream.connections(), connections);
    assert_eq!(gateway.count("orders", "rejected"), 60);
    let rejected = r#"fusebox_breaker_rejected_total{breaker="orders",state="open"}"#;
    assert_eq!(gateway.metric(rejected), Some(60.0));
}

#[test]
fn a_refusal_says_why_and_when_to_come_back() {
    let (gateway, _upstream, _) = tripped("60s");
    let refusal = gateway.get("/a");
    assert_eq!(refusal.status, 503);
    let seconds: u64 = refusal.fields.get("retry-after").unwrap().parse().unwrap();
    assert!((30..=60).contains(&seconds), "Retry-After: {seconds}");
    assert_eq!(
        refusal.fields.get("fusebox-reason"),
        Some(r#"breaker_open; breaker="orders"; state=open"#)
    );
    assert_eq!(refusal.fields.get("content-type"), Some("application/json"));
    assert!(refusal.fields.has("x-request-id"));
    assert!(refusal.fields.has("date"));
    let body = refusal.json();
    assert_eq!(body["breaker"], "orders");
    assert_eq!(body["retry_after"], seconds);
    assert!(body["error"].as_str().unwrap().contains("breaker_open"));
    let mut names: Vec<_> = body.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["breaker", "error", "retry_after"]);
}

#[test]
fn a_refusal_to_head_has_the_same_fields_and_no_body() {
    let (gateway, _upstream, _) = tripped("60s");
    let mut client = gateway.client();
    let refusal = client.request("HEAD", "/a", "", "");
    assert_eq!(refusal.status, 503);
    assert!(refusal.fields.has("retry-after") && refusal.fields.has("fusebox-reason"));
    // Were there a body, it would be read as the head of this answer.
    assert_eq!(client.get("/a").status, 503);
}

#[test]
fn a_refused_upload_is_never_read_as_a_request() {
    let (gateway, upstream, _) = tripped("60s");
    let inner = "GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    for padding in [0, 100_000, 4_000_000] {
        let body = inner.repeat(1 + padding / inner.len());
        let mut client = gateway.client();
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // Where the gateway stops listening, the rest of the body has nowhere to go.
        client.wire.send(head + &body).ok();
        assert_eq!(client.response().status, 503, "{padding} bytes of padding");
        let next = "GET /next HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n";
        client.wire.send(next).ok();
        let (rest, _) = client.ended();
        let answers = String::from_utf8_lossy(&rest).matches("HTTP/1.1 ").count();
        assert!(
            answers <= 1,
            "{answers} answers to the one request that followed"
        );
    }
    assert_eq!(upstream.calls(), 1, "the one that tripped the breaker");
    assert!(gateway.count("orders", "rejected") <= 6);
}

#[test]
fn a_breaker_recovers_after_its_cooldown_and_lets_nothing_through_before() {
    let failed_at = Arc::new(Mutex::new(None));
    let passed_at = Arc::new(Mutex::new(None));
    let upstream = {
        let (failed_at, passed_at) = (failed_at.clone(), passed_at.clone());
        Upstream::start(move |call| {
            let mut failed_at = failed_at.lock().unwrap();
            if failed_at.is_none() {
                *failed_at = Some(Instant::now());
                return call.respond(500, "");
            }
            passed_at.lock().unwrap().get_or_insert_with(Instant::now);
            call.respond(200, "again");
        })
    };
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 1s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let mut client = gateway.client();
    assert_eq!(client.get("/a").status, 500);
    let mut refused = 0;
    eventually("a call passes", || {
        let status = client.get("/a").status;
        refused += u32::from(status == 503);
        assert!(matches!(status, 200 | 503), "{status}");
        status == 200
    });
    assert!(refused > 0);
    let (failed, passed) = (
        failed_at.lock().unwrap().unwrap(),
        passed_at.lock().unwrap().unwrap(),
    );
    let waited = passed - failed;
    assert!(
        waited >= Duration::from_secs(1),
        "a call passed after {waited:?}"
    );
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(client.get("/a").text(), "again");
    let recent = gateway.breaker("orders")["recent"].to_string();
    for state in ["half_open", "closed", "open"] {
        assert!(recent.contains(state), "{recent}");
    }
}

#[test]
fn retry_after_is_true() {
    let (gateway, _upstream, status) = tripped("1s");
    status.set(200);
    let refusal = gateway.get("/a");
    assert_eq!(refusal.status, 503);
    let seconds: u64 = refusal.fields.get("retry-after").unwrap().parse().unwrap();
    assert_eq!(seconds, 1);
    // This is what a client does that believes the field.
    std::thread::sleep(Duration::from_secs(seconds));
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn a_failed_probe_reopens_for_longer() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: { base: 500ms, factor: 100, max: 100s, jitter: 0% } }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    assert_eq!(gateway.get("/a").status, 500);
    eventually("the cooldown ends", || {
        gateway.state("orders") == "half_open"
    });
    assert_eq!(gateway.get("/a").status, 500, "the probe");
    let refusal = gateway.get("/a");
    assert_eq!(refusal.status, 503);
    let seconds: u64 = refusal.fields.get("retry-after").unwrap().parse().unwrap();
    assert!((30..=50).contains(&seconds), "Retry-After: {seconds}");
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["attempts"], 2);
    assert_eq!(upstream.calls(), 2);
}

#[test]
fn an_upstream_without_a_breaker_never_refuses() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let yaml = orders(&upstream, "{}").replace("    breaker: {}\n", "");
    let gateway = Gateway::run(yaml);
    let mut client = gateway.client();
    for _ in 0..50 {
        assert_eq!(client.get("/a").status, 500);
    }
    assert_eq!(upstream.calls(), 50);
}
