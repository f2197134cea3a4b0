//! Repeats and what they need: the request's body, a place in the bulkhead, the rest of the time (docs/calls.md).

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::calls::{
    FIVE, RETRY, alone, attempts, command, file, file_with, marks, retries,
};
use crate::support::{Dial, Gate, Gateway, Refusing, Setup, Upstream, eventually};

/// Answers 503 at the first request, before its body, and the body of any other one.
fn hasty() -> Upstream {
    let next = Dial::at(0);
    Upstream::start(move |call| {
        if next.next() == 0 {
            call.send("HTTP/1.1 503 Oh\r\nContent-Length: 4\r\n\r\nbusy");
        } else {
            let body = call.text();
            call.respond(200, &body);
        }
    })
}

#[test]
fn a_body_on_its_way_goes_on_at_the_next_attempt() {
    let upstream = hasty();
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY]));
    let mut client = gateway.client();
    client.send("PUT /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    eventually("the second attempt", || upstream.calls() == 2);
    client.send("2\r\nde\r\n0\r\n\r\n");
    let response = client.response_to("PUT");
    assert_eq!((response.status, response.text().as_str()), (200, "abcde"));
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    assert_eq!(attempts(&gateway, &upstream), (1.0, 1.0, 0.0));
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked_by_the_next_attempt() {
    let next = Dial::at(0);
    let upstream = Upstream::start(move |call| {
        assert_eq!(call.seen.fields.get("expect"), Some("100-continue"));
        if next.next() == 0 {
            call.send("HTTP/1.1 503 Oh\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbusy");
            call.hang();
        } else {
            call.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = call.text();
            call.respond(200, &body);
        }
    });
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY]));
    let mut client = gateway.client();
    client.send("PUT /a HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().status, 100);
    assert_eq!(upstream.calls(), 2);
    client.send("hello");
    let response = client.response_to("PUT");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
}

#[test]
fn a_body_of_any_length_goes_on_after_a_connection_that_was_refused() {
    let dead = Refusing::new();
    let alive = Upstream::start(|call| {
        let body = call.body();
        call.respond(200, &body.len().to_string());
    });
    let small = "retry: { attempts: 2, buffer: 1KiB, backoff: { base: 1ms, max: 1ms } }";
    let gateway = Gateway::run(file(&[dead.url(), alive.url()], FIVE, &[small]));
    for method in ["POST", "PUT", "PATCH"] {
        for _ in 0..2 {
            let response = gateway
                .client()
                .request(method, "/a", "", &"x".repeat(100_000));
            assert_eq!((response.status, response.text().as_str()), (200, "100000"));
        }
    }
    assert_eq!(retries(&gateway, "success"), 3.0, "each second one");
}

#[test]
fn the_length_of_an_answer_to_head_is_no_body() {
    let next = Dial::at(0);
    let upstream = Upstream::start(move |call| {
        let status = if next.next() == 0 { 503 } else { 200 };
        call.send(format!(
            "HTTP/1.1 {status} Oh\r\nContent-Length: 70000\r\n\r\n"
        ));
    });
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY]));
    let response = gateway.client().request("HEAD", "/a", "", "");
    assert_eq!((response.status, upstream.calls()), (200, 2));
}

#[test]
fn a_call_without_a_place_after_its_pause_ends_with_the_answer_that_failed() {
    let (gate, next) = (Gate::default(), Dial::at(0));
    let second = Gate::default();
    let upstream = Upstream::start({
        let (gate, second) = (gate.clone(), second.clone());
        move |call| match next.next() {
            0 => {
                gate.pass();
                call.respond(503, "busy");
            }
            _ => {
                second.pass();
                call.respond(200, "ok");
            }
        }
    });
    let bulkhead = "bulkhead: { concurrent: 1, queued: 1, queue_for: 30s }";
    let gateway = Arc::new(Gateway::run(file(
        &[upstream.url()],
        FIVE,
        &[RETRY, bulkhead],
    )));
    let get = || {
        let gateway = gateway.clone();
        thread::spawn(move || gateway.get("/a"))
    };
    let first = get();
    eventually("the first attempt", || gate.waiting() == 1);
    let queued = get();
    let waits = "fusebox_bulkhead_queued{upstream=\"orders\"}";
    eventually("another call waits", || gateway.metric(waits) == Some(1.0));
    // The pause gives the place to the one that waits.
    gate.open();
    let response = first.join().unwrap();
    assert_eq!((response.status, response.text().as_str()), (503, "busy"));
    assert_eq!(retries(&gateway, "bulkhead"), 1.0);
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    second.open();
    assert_eq!(queued.join().unwrap().status, 200);
    assert_eq!((upstream.calls(), upstream.in_flight_most()), (2, 1));
}

#[test]
fn a_failed_answer_that_drips_is_passed_on_when_the_total_is_over() {
    let upstream = Upstream::start(|call| {
        call.body();
        call.send("HTTP/1.1 503 Oh\r\nContent-Length: 10\r\n\r\nbusy");
        call.hang();
    });
    let total = "timeout: { request: 300ms, total: 500ms, idle: 1h }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY, total]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    let began = Instant::now();
    assert_eq!(client.head().status, 503);
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(retries(&gateway, "total"), 1.0);
    assert_eq!(upstream.calls(), 1);
}

#[test]
fn a_refused_post_with_a_long_body_has_a_fixed_answer_and_no_other_upstream() {
    let upstream = Upstream::start(|call| call.respond(200, "main"));
    let spare = Upstream::start(|call| call.respond(200, "spare"));
    let rungs = "fallback: [{ upstream: spare }, { respond: { status: 200, text: \"{reason}\" } }]";
    let gateway = Gateway::run(file_with(&[upstream.url()], &[rungs], &spare.url()));
    command(&gateway, "orders", "open");
    for (length, rung) in [(1_000, "upstream=spare"), (200_000, "respond")] {
        let mut client = gateway.client();
        let response = client.post("/a", &"x".repeat(length));
        assert_eq!(marks(&response), (200, rung, "held_open"), "{length}");
    }
    assert_eq!((upstream.calls(), spare.calls()), (0, 1));
}

#[test]
fn only_a_believed_proxy_says_that_it_repeats_by_itself() {
    let next = Dial::at(0);
    let upstream = Upstream::start(move |call| {
        let status = if next.next() == 0 { 503 } else { 200 };
        call.respond(status, "");
    });
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY]));
    let lines = "Fusebox-Attempt: 7\r\n";
    assert_eq!(gateway.client().request("GET", "/a", lines, "").status, 200);
    let seen = upstream.seen();
    let numbers: Vec<_> = seen
        .iter()
        .map(|it| it.fields.get("fusebox-attempt"))
        .collect();
    assert_eq!(numbers, [None, Some("2")]);
}

#[test]
fn a_thrown_away_answer_leaves_its_connection_for_the_next_attempt() {
    let next = Dial::at(0);
    let upstream = Upstream::start(move |call| {
        let status = if next.next().is_multiple_of(2) {
            503
        } else {
            200
        };
        call.respond(status, &"x".repeat(60_000));
    });
    let gateway = alone(file(&[upstream.url()], FIVE, &[RETRY]));
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert_eq!((upstream.calls(), upstream.connections()), (10, 1));
}

#[test]
fn a_connection_cut_before_an_answer_is_repeated_for_methods_that_may_be() {
    for (method, hits) in [("GET", 3), ("PUT", 3), ("POST", 1)] {
        let upstream = Upstream::start(|call| {
            call.body();
            call.reset();
        });
        let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY]));
        let response = gateway.client().request(method, "/a", "", "");
        assert_eq!((response.status, upstream.calls()), (502, hits), "{method}");
        assert_eq!(gateway.outcomes("orders"), (0, 1, 0), "{method}");
        assert_eq!(
            attempts(&gateway, &upstream),
            (0.0, hits as f64, 0.0),
            "{method}"
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_repeated_if_it_had_failed_and_passed_on_if_not() {
    let next = Dial::at(0);
    let upstream = Upstream::start(move |call| {
        let status = if next.next() == 0 { 503 } else { 200 };
        call.body();
        call.send(format!(
            "HTTP/1.1 {status} Oh\r\nContent-Length: 10\r\n\r\nhalf"
        ));
        call.close();
    });
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status, 200);
    let (body, _) = client.ended();
    assert_eq!(body, b"half");
    assert_eq!(upstream.calls(), 2);
    eventually("it is judged", || gateway.outcomes("orders") == (0, 1, 0));
    assert_eq!(attempts(&gateway, &upstream), (0.0, 2.0, 0.0));
}

#[test]
fn many_clients_share_one_budget_and_leave_no_place_behind() {
    let upstream = Upstream::start(|call| call.respond(503, "busy"));
    let breaker = "{ trip: { consecutive_failures: 100000 }, cooldown: 1h }";
    let retry = "retry: { attempts: 2, backoff: { base: 1ms, max: 1ms } }";
    let bulkhead = "bulkhead: { concurrent: 6, queued: 100, queue_for: 30s }";
    let yaml = file(&[upstream.url()], breaker, &[retry, bulkhead]);
    let gateway = Arc::new(Setup::new(yaml).workers(4).start());
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let gateway = gateway.clone();
            thread::spawn(move || {
                let mut client = gateway.client();
                for _ in 0..50 {
                    let response = client.get("/a");
                    assert_eq!((response.status, response.text().as_str()), (503, "busy"));
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    assert_eq!(gateway.outcomes("orders"), (0, 500, 0));
    let [failure, budget, bulkhead] =
        ["failure", "budget", "bulkhead"].map(|result| retries(&gateway, result));
    assert_eq!(failure + budget + bulkhead, 500.0);
    assert_eq!(upstream.calls() as f64, 500.0 + failure);
    // What a place was lost for is paid for as well.
    let paid = failure + bulkhead;
    assert!((100.0..=103.0).contains(&paid), "{failure} and {bulkhead}");
    let in_flight = gateway.metric("fusebox_bulkhead_in_flight{upstream=\"orders\"}");
    assert_eq!(in_flight, Some(0.0));
}
