//! Calls whose end says nothing, or less than it seems: requests that were not processed, clients that leave, our own
//! limits (docs/calls.md).

use crate::support::calls::{
    FIVE, RESPOND, RETRY, alone, attempts, command, file, file_with, half_open, marks, retries,
};
use crate::support::{Gate, Gateway, Upstream, eventually};

/// An upstream whose connections end without an answer as the second request comes on them.
fn forgetful() -> Upstream {
    let requests = std::sync::Mutex::new(std::collections::HashMap::<usize, usize>::new());
    Upstream::start(move |call| {
        let connection = call.seen.connection;
        let count = {
            let mut requests = requests.lock().unwrap();
            let count = requests.entry(connection).or_default();
            *count += 1;
            *count
        };
        let body = call.text();
        if count > 1 {
            call.close();
        } else {
            call.respond(200, &body);
        }
    })
}

#[test]
fn an_idempotent_request_on_a_connection_that_ended_is_repeated_free() {
    for (method, body) in [("GET", ""), ("HEAD", ""), ("PUT", "hello"), ("DELETE", "")] {
        let upstream = forgetful();
        let gateway = alone(file(&[upstream.url()], FIVE, &[RETRY]));
        let mut client = gateway.client();
        assert_eq!(client.get("/warm").status, 200);
        let response = client.request(method, "/a", "", body);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, body),
            "{method}"
        );
        // A slow machine may have opened a new connection for a body at once.
        assert!(upstream.calls() == 3 || !body.is_empty(), "{method}");
        assert_eq!(gateway.outcomes("orders"), (2, 0, 0), "{method}");
        assert_eq!(attempts(&gateway, &upstream), (2.0, 0.0, 0.0), "{method}");
        for result in ["success", "failure", "budget"] {
            assert_eq!(retries(&gateway, result), 0.0, "{method}: it is no retry");
        }
        let mut seen = upstream.seen().into_iter();
        assert!(seen.all(|it| !it.fields.has("fusebox-attempt")), "{method}");
    }
}

#[test]
fn a_post_on_a_connection_that_ended_is_ignored_and_not_repeated() {
    for (more, status, rung) in [(RETRY, 502, ""), (RESPOND, 200, "respond")] {
        let upstream = forgetful();
        let gateway = alone(file(
            &[upstream.url()],
            FIVE,
            &[RETRY, more][usize::from(more == RETRY)..],
        ));
        let mut client = gateway.client();
        // Within a moment it goes out on the kept connection; a slow machine takes a new one.
        let mut warmed = 0;
        let response = loop {
            assert!(warmed < 1_000, "a POST never met a kept connection");
            assert_eq!(client.get("/warm").status, 200);
            warmed += 1;
            let (calls, connections) = (upstream.calls(), upstream.connections());
            let response = client.post("/a", "hello");
            if upstream.connections() == connections {
                assert_eq!(upstream.calls(), calls + 1, "it may have been executed");
                break response;
            }
            assert_eq!(response.text(), "hello");
            warmed += 1;
        };
        assert_eq!((response.status, marks(&response).1), (status, rung));
        assert_eq!(gateway.outcomes("orders"), (warmed, 0, 1));
        assert_eq!(attempts(&gateway, &upstream), (warmed as f64, 0.0, 1.0));
    }
}

#[test]
fn a_client_that_leaves_in_a_pause_leaves_the_outcome_of_the_last_attempt() {
    let upstream = Upstream::start(|call| call.respond(503, "busy"));
    let pause = "retry: { attempts: 3, backoff: { base: 5m, max: 5m, jitter: none } }";
    let total = "timeout: { request: 5s, total: 10m }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[pause, total]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the first attempt has failed", || {
        attempts(&gateway, &upstream) == (0.0, 1.0, 0.0)
    });
    assert_eq!(gateway.outcomes("orders"), (0, 0, 0), "nothing yet");
    client.wire.reset();
    eventually("the call has ended", || {
        gateway.outcomes("orders") == (0, 1, 0)
    });
    assert_eq!(upstream.calls(), 1);
    assert_eq!(attempts(&gateway, &upstream), (0.0, 1.0, 0.0));
    assert_eq!(retries(&gateway, "left"), 1.0);
}

#[test]
fn a_client_that_leaves_in_an_attempt_is_ignored_by_both_breakers() {
    let gate = Gate::default();
    let [one, two] = [(); 2].map(|()| {
        let gate = gate.clone();
        Upstream::start(move |call| {
            gate.pass();
            call.respond(200, "ok");
        })
    });
    let gateway = Gateway::run(file(&[one.url(), two.url()], FIVE, &[RETRY]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the attempt", || gate.waiting() == 1);
    client.wire.reset();
    eventually("the call has ended", || {
        gateway.outcomes("orders") == (0, 0, 1)
    });
    gate.open();
    let ignored = [&one, &two].map(|endpoint| attempts(&gateway, endpoint));
    let sum = ignored.iter().fold((0.0, 0.0, 0.0), |sum, it| {
        (sum.0 + it.0, sum.1 + it.1, sum.2 + it.2)
    });
    assert_eq!(sum, (0.0, 0.0, 1.0));
    assert_eq!(one.calls() + two.calls(), 1);
}

#[test]
fn an_answer_over_our_own_limits_is_ignored_and_not_repeated() {
    let [one, two] = [(); 2].map(|()| {
        Upstream::start(|call| {
            let long = "x".repeat(300_000);
            call.respond_with(200, &format!("X-Long: {long}\r\n"), "");
        })
    });
    let gateway = Gateway::run(file(&[one.url(), two.url()], FIVE, &[RETRY]));
    assert_eq!(gateway.get("/a").status, 502);
    assert_eq!(one.calls() + two.calls(), 1);
    assert_eq!(gateway.outcomes("orders"), (0, 0, 1));
    let (at_one, at_two) = (attempts(&gateway, &one), attempts(&gateway, &two));
    assert_eq!(
        (
            at_one.0 + at_two.0,
            at_one.1 + at_two.1,
            at_one.2 + at_two.2
        ),
        (0.0, 0.0, 1.0)
    );
}

/// An upstream that answers once the gate is open.
fn behind(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |call| {
        gate.pass();
        call.respond(200, "ok");
    })
}

#[test]
fn a_client_that_leaves_a_rungs_upstream_is_ignored_there() {
    let gate = Gate::default();
    let (main, spare) = (Upstream::start(|call| call.respond(500, "")), behind(&gate));
    let rung = "fallback: [{ upstream: spare }]";
    let gateway = Gateway::run(file_with(&[main.url()], &[rung], &spare.url()));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the rung", || gate.waiting() == 1);
    client.wire.reset();
    eventually("the call has ended", || {
        gateway.outcomes("spare") == (0, 0, 1)
    });
    gate.open();
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
}

#[test]
fn a_probe_of_a_rungs_upstream_goes_on_without_its_client() {
    let gate = Gate::default();
    let (main, spare) = (Upstream::start(|call| call.respond(200, "")), behind(&gate));
    let rung = "fallback: [{ upstream: spare }]";
    let gateway = Gateway::run(file_with(&[main.url()], &[rung], &spare.url()));
    command(&gateway, "orders", "open");
    half_open(&gateway, "spare");
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the rung", || gate.waiting() == 1);
    client.wire.reset();
    assert_eq!(gateway.get("/a").status, 503, "the probe's place is taken");
    gate.open();
    eventually("the probe has ended", || {
        gateway.outcomes("spare") != (0, 0, 0)
    });
    assert_eq!(gateway.outcomes("spare"), (1, 0, 0));
    assert_eq!(gateway.state("spare"), "closed");
}

#[test]
fn a_probe_without_an_answer_in_time_is_its_endpoints_failure_even_if_its_place_is_given_on() {
    let gate = Gate::default();
    let (one, two) = (behind(&gate), behind(&gate));
    let breaker = "{ trip: { consecutive_failures: 5 }, cooldown: 1h, half_open: { probe_timeout: 50ms, on_probe_timeout: replace } }";
    let gateway = Gateway::run(file(&[one.url(), two.url()], breaker, &[]));
    half_open(&gateway, "orders");
    assert_eq!(gateway.get("/a").status, 504);
    assert_eq!(gateway.state("orders"), "half_open");
    assert_eq!(gateway.outcomes("orders"), (0, 0, 1));
    let (at_one, at_two) = (attempts(&gateway, &one), attempts(&gateway, &two));
    assert_eq!((at_one.1 + at_two.1, at_one.2 + at_two.2), (1.0, 0.0));
    gate.open();
}
