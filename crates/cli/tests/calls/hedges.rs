//! Hedges: one more attempt at another endpoint beside one that keeps us waiting (docs/calls.md).

use std::sync::Arc;
use std::thread;

use crate::support::calls::{FIVE, alone, attempts, command, file, half_open, retries};
use crate::support::{Gate, Gateway, Refusing, Response, Seen, Upstream, eventually};

const HEDGE: &str = "hedge: { after: 20ms }";
/// Pays for as many hedges as there are, and repeats what `on` names.
const RICH: &str =
    "retry: { attempts: 2, backoff: { base: 1ms, max: 1ms }, budget: { ratio: 100%, min: 100 } }";

/// Keeps each request waiting until its connection ends.
fn hanging() -> Upstream {
    Upstream::start(|call| {
        call.hang();
    })
}

fn answering(status: u16, body: &'static str) -> Upstream {
    Upstream::start(move |call| call.respond(status, body))
}

/// Answers each request when the gate is open.
fn gated(status: u16, body: &'static str) -> (Upstream, Gate) {
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            call.body();
            gate.pass();
            call.respond(status, body);
        }
    });
    (upstream, gate)
}

fn get_at(gateway: &Arc<Gateway>, path: &'static str) -> thread::JoinHandle<Response> {
    let gateway = gateway.clone();
    thread::spawn(move || gateway.get(path))
}

/// An upstream whose first request is hedged: once it is answered, the time of a hedge has passed for all requests that
/// the same worker took before.
struct Witness {
    slow: Upstream,
    quick: Upstream,
}

impl Witness {
    fn new() -> Witness {
        Witness {
            slow: hanging(),
            quick: answering(200, "quick"),
        }
    }

    fn start(&self, yaml: String) -> Arc<Gateway> {
        self.start_with(yaml, HEDGE)
    }

    fn start_with(&self, yaml: String, hedge: &str) -> Arc<Gateway> {
        let (slow, quick) = (self.slow.url(), self.quick.url());
        let upstream = format!(
            "  witness: {{ endpoints: [{{ url: {slow} }}, {{ url: {quick} }}], breaker: {FIVE}, {hedge} }}
routes:
  - {{ path: /witness, upstream: witness }}"
        );
        Arc::new(alone(yaml.replace("routes:", &upstream)))
    }

    /// Waits until the time of a hedge has passed.
    #[track_caller]
    fn waits(&self, gateway: &Gateway) {
        assert_eq!(gateway.get("/witness").text(), "quick");
        assert_eq!((self.slow.calls(), self.quick.calls()), (1, 1));
    }
}

#[test]
fn a_get_that_waits_has_one_more_attempt_elsewhere_and_the_loser_counts_nothing() {
    let (slow, quick) = (hanging(), answering(200, "quick"));
    let gateway = Gateway::run(file(&[slow.url(), quick.url()], FIVE, &[HEDGE]));
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(client.get("/a").text(), "quick");
    }
    assert_eq!((slow.calls(), quick.calls()), (1, 2));
    eventually("the loser's connection is closed", || slow.open() == 0);
    assert_eq!(gateway.outcomes("orders"), (2, 0, 0));
    assert_eq!(attempts(&gateway, &slow), (0.0, 0.0, 0.0));
    assert_eq!(attempts(&gateway, &quick), (2.0, 0.0, 0.0));
    let endpoint = format!("orders@{}", slow.addr());
    assert_eq!(gateway.outcomes(&endpoint), (0, 0, 0));
    assert_eq!(retries(&gateway, "success"), 1.0, "it is an attempt");
    let number = |seen: &Seen| seen.fields.get("fusebox-attempt").map(str::to_owned);
    assert_eq!(number(&slow.last()), None);
    assert_eq!(number(&quick.seen()[0]), Some("2".to_owned()));
    assert_eq!(number(&quick.seen()[1]), None);
}

#[test]
fn the_first_attempt_may_win_after_all() {
    let (first, gate) = gated(200, "first");
    let second = hanging();
    let gateway = Arc::new(Gateway::run(file(
        &[first.url(), second.url()],
        FIVE,
        &[HEDGE],
    )));
    let get = get_at(&gateway, "/a");
    eventually("both attempts", || {
        first.in_flight() + second.in_flight() == 2
    });
    gate.open();
    assert_eq!(get.join().unwrap().text(), "first");
    eventually("the loser's connection is closed", || second.open() == 0);
    assert_eq!(first.open(), 1, "the winner's is kept");
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    assert_eq!(attempts(&gateway, &first), (1.0, 0.0, 0.0));
    assert_eq!(attempts(&gateway, &second), (0.0, 0.0, 0.0));
    assert_eq!(retries(&gateway, "success"), 1.0);
}

#[test]
fn a_head_is_hedged_and_no_other_method_is() {
    let witness = Witness::new();
    let (first, gate) = gated(200, "first");
    let second = answering(200, "second");
    let yaml = file(&[first.url(), second.url()], FIVE, &[HEDGE, RICH]);
    let gateway = witness.start(yaml);
    let methods = ["POST", "PUT", "DELETE", "OPTIONS"];
    let waiting: Vec<_> = methods
        .into_iter()
        .enumerate()
        .map(|(before, method)| {
            let client = gateway.clone();
            let request = thread::spawn(move || client.client().request(method, "/a", "", ""));
            eventually("it waits", || first.in_flight() == before + 1);
            // The turn of the other endpoint.
            assert_eq!(
                gateway.client().request("PUT", "/a", "", "").text(),
                "second"
            );
            request
        })
        .collect();
    witness.waits(&gateway);
    assert_eq!(second.calls(), methods.len());
    assert_eq!(gateway.client().request("HEAD", "/a", "", "").status, 200);
    assert_eq!(second.last().method, "HEAD");
    gate.open();
    for request in waiting {
        assert_eq!(request.join().unwrap().text(), "first");
    }
    assert_eq!(second.calls(), methods.len() + 1);
    assert_eq!(gateway.outcomes("orders"), (9, 0, 0));
}

#[test]
fn the_body_of_a_get_goes_to_both() {
    let body = "x".repeat(20_000);
    let slow = Upstream::start(|call| {
        call.body();
        call.hang();
    });
    let echo = Upstream::start(|call| {
        let body = call.text();
        call.respond(200, &body);
    });
    let gateway = Gateway::run(file(&[slow.url(), echo.url()], FIVE, &[HEDGE]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    eventually("the first attempt", || slow.calls() == 1);
    client.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    assert_eq!(client.response().text(), format!("ab{body}"));
    assert_eq!((slow.calls(), echo.calls()), (1, 1));
}

#[test]
fn a_hedge_needs_a_token() {
    let witness = Witness::new();
    let (first, gate) = gated(200, "first");
    let second = answering(200, "second");
    let none = "retry: { attempts: 2, budget: { ratio: 1%, min: 0 } }";
    let yaml = file(&[first.url(), second.url()], FIVE, &[HEDGE, none]);
    let gateway = witness.start(yaml);
    let get = get_at(&gateway, "/a");
    eventually("it waits", || first.in_flight() == 1);
    witness.waits(&gateway);
    gate.open();
    assert_eq!(get.join().unwrap().text(), "first");
    assert_eq!(second.calls(), 0);
    assert_eq!(retries(&gateway, "budget"), 0.0, "no error of its own");
}

#[test]
fn a_hedge_takes_a_place_and_the_loser_gives_it_back_at_once() {
    let slow = hanging();
    let gate = Gate::default();
    let quick = Upstream::start({
        let gate = gate.clone();
        move |call| {
            call.body();
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
            gate.pass();
            call.send("lf");
        }
    });
    let bulkhead = "bulkhead: { concurrent: 2 }";
    let urls = [slow.url(), quick.url()];
    let gateway = Gateway::run(file(&urls, FIVE, &[HEDGE, bulkhead]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status, 200);
    let in_flight = || gateway.metric("fusebox_bulkhead_in_flight{upstream=\"orders\"}");
    // The loser's place is free as soon as its connection is closed, while the answer is still on its way.
    eventually("the loser's place is free", || in_flight() == Some(1.0));
    gate.open();
    assert_eq!(client.wire.read_exactly(4).unwrap(), b"half");
    eventually("the place is free", || in_flight() == Some(0.0));
}

#[test]
fn without_a_free_place_there_is_no_hedge() {
    let witness = Witness::new();
    let (first, gate) = gated(200, "first");
    let second = answering(200, "second");
    let bulkhead = "bulkhead: { concurrent: 1 }";
    let yaml = file(&[first.url(), second.url()], FIVE, &[HEDGE, RICH, bulkhead]);
    let gateway = witness.start(yaml);
    let get = get_at(&gateway, "/a");
    eventually("it waits", || first.in_flight() == 1);
    witness.waits(&gateway);
    gate.open();
    assert_eq!(get.join().unwrap().text(), "first");
    assert_eq!(second.calls(), 0);
}

#[test]
fn a_probe_is_not_hedged() {
    let witness = Witness::new();
    let ((first, one), (second, two)) = (gated(200, "ok"), gated(200, "ok"));
    let yaml = file(&[first.url(), second.url()], FIVE, &[HEDGE, RICH]);
    let gateway = witness.start(yaml);
    half_open(&gateway, "orders");
    let get = get_at(&gateway, "/a");
    eventually("it waits", || first.in_flight() + second.in_flight() == 1);
    witness.waits(&gateway);
    one.open();
    two.open();
    assert_eq!(get.join().unwrap().text(), "ok");
    assert_eq!(first.calls() + second.calls(), 1);
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
}

#[test]
fn a_breaker_that_has_opened_meanwhile_gets_no_hedge() {
    let witness = Witness::new();
    let (first, gate) = gated(200, "first");
    let second = answering(200, "second");
    let later = "hedge: { after: 500ms }";
    let yaml = file(&[first.url(), second.url()], FIVE, &[later, RICH]);
    let gateway = witness.start_with(yaml, later);
    let get = get_at(&gateway, "/a");
    eventually("it waits", || first.in_flight() == 1);
    command(&gateway, "orders", "open");
    let is_late = second.calls() > 0;
    witness.waits(&gateway);
    gate.open();
    assert_eq!(get.join().unwrap().text(), "first");
    assert!(is_late || second.calls() == 0);
}

#[test]
fn the_probe_of_an_ejected_endpoint_is_not_hedged() {
    let witness = Witness::new();
    let (first, gate) = gated(200, "first");
    let second = answering(200, "second");
    let yaml = file(&[first.url(), second.url()], FIVE, &[HEDGE, RICH]);
    let gateway = witness.start(yaml);
    let endpoint = format!("orders@{}", first.addr());
    half_open(&gateway, &endpoint);
    let get = get_at(&gateway, "/a");
    eventually("it probes", || first.in_flight() == 1);
    witness.waits(&gateway);
    gate.open();
    assert_eq!(get.join().unwrap().text(), "first");
    assert_eq!(second.calls(), 0);
    assert_eq!(gateway.state(&endpoint), "closed");
}

#[test]
fn without_retry_the_first_answer_wins_whatever_it_is() {
    let (slow, busy) = (hanging(), answering(503, "busy"));
    let gateway = Gateway::run(file(&[slow.url(), busy.url()], FIVE, &[HEDGE]));
    let response = gateway.get("/a");
    assert_eq!((response.status, response.text().as_str()), (503, "busy"));
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    assert_eq!(attempts(&gateway, &slow), (0.0, 0.0, 0.0));
    assert_eq!(attempts(&gateway, &busy), (0.0, 1.0, 0.0));
    assert_eq!(retries(&gateway, "failure"), 1.0);
}

#[test]
fn an_attempt_that_fails_leaves_the_call_to_the_other_one() {
    let (busy, dead) = (answering(503, "busy"), Refusing::new());
    for url in [busy.url(), dead.url()] {
        let (slow, gate) = gated(200, "slow");
        let address = url.replace("http://", "");
        let gateway = Arc::new(Gateway::run(file(&[slow.url(), url], FIVE, &[HEDGE, RICH])));
        let get = get_at(&gateway, "/a");
        let labels = format!("upstream=\"orders\",endpoint=\"{address}\",outcome=\"failure\"");
        let failed = format!("fusebox_attempts_total{{{labels}}}");
        eventually("the hedge has failed", || {
            gateway.metric(&failed) == Some(1.0)
        });
        gate.open();
        assert_eq!(get.join().unwrap().text(), "slow");
        assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
        assert_eq!(attempts(&gateway, &slow), (1.0, 0.0, 0.0));
        assert_eq!(retries(&gateway, "success"), 1.0);
    }
}

#[test]
fn when_both_fail_the_client_gets_the_last_answer() {
    for is_first_last in [false, true] {
        let (first, one) = gated(503, "first");
        let (second, two) = gated(503, "second");
        let bulkhead = "bulkhead: { concurrent: 2 }";
        let urls = [first.url(), second.url()];
        let gateway = Arc::new(Gateway::run(file(&urls, FIVE, &[HEDGE, RICH, bulkhead])));
        let get = get_at(&gateway, "/a");
        eventually("both attempts", || {
            first.in_flight() + second.in_flight() == 2
        });
        let (earlier, gates) = match is_first_last {
            false => (&first, [one, two]),
            true => (&second, [two, one]),
        };
        gates[0].open();
        eventually("one has failed", || {
            attempts(&gateway, earlier) == (0.0, 1.0, 0.0)
        });
        let in_flight = gateway.metric("fusebox_bulkhead_in_flight{upstream=\"orders\"}");
        assert_eq!(in_flight, Some(1.0), "its place is free");
        assert_eq!(gateway.outcomes("orders"), (0, 0, 0));
        gates[1].open();
        let response = get.join().unwrap();
        let last = if is_first_last { "first" } else { "second" };
        assert_eq!((response.status, response.text().as_str()), (503, last));
        assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
        for endpoint in [&first, &second] {
            assert_eq!(attempts(&gateway, endpoint), (0.0, 1.0, 0.0));
        }
        assert_eq!(retries(&gateway, "failure"), 1.0);
        let failed = gateway.breaker("orders")["last_failures"].clone();
        assert_eq!(failed.as_array().unwrap().len(), 1);
    }
}

#[test]
fn the_total_ends_both() {
    let (first, second) = (hanging(), hanging());
    let total = "timeout: { request: 300ms }";
    let urls = [first.url(), second.url()];
    let gateway = Gateway::run(file(&urls, FIVE, &[HEDGE, total]));
    assert_eq!(gateway.get("/a").status, 504);
    assert_eq!((first.calls(), second.calls()), (1, 1));
    eventually("both are cut", || first.open() + second.open() == 0);
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    for endpoint in [&first, &second] {
        assert_eq!(attempts(&gateway, endpoint), (0.0, 1.0, 0.0));
    }
    assert_eq!(retries(&gateway, "failure"), 1.0);
}

#[test]
fn a_client_that_leaves_ends_both_and_nobody_has_failed() {
    let (first, second) = (hanging(), hanging());
    let bulkhead = "bulkhead: { concurrent: 2 }";
    let urls = [first.url(), second.url()];
    let gateway = Gateway::run(file(&urls, FIVE, &[HEDGE, bulkhead]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("both attempts", || {
        first.in_flight() + second.in_flight() == 2
    });
    client.wire.reset();
    eventually("both are cut", || first.open() + second.open() == 0);
    eventually("it is counted", || retries(&gateway, "left") == 1.0);
    assert_eq!(gateway.outcomes("orders"), (0, 0, 1));
    for endpoint in [&first, &second] {
        assert_eq!(attempts(&gateway, endpoint), (0.0, 0.0, 1.0));
    }
    let in_flight = gateway.metric("fusebox_bulkhead_in_flight{upstream=\"orders\"}");
    assert_eq!(in_flight, Some(0.0));
}

#[test]
fn a_client_that_leaves_after_one_has_failed_leaves_no_failure_behind() {
    let (busy, gate) = gated(503, "busy");
    let second = hanging();
    let urls = [busy.url(), second.url()];
    let at_once = "{ trip: { consecutive_failures: 5 }, settle: 1ms }";
    let gateway = Gateway::run(file(&urls, at_once, &[HEDGE, RICH]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("both attempts", || {
        busy.in_flight() + second.in_flight() == 2
    });
    gate.open();
    eventually("one has failed", || {
        attempts(&gateway, &busy) == (0.0, 1.0, 0.0)
    });
    client.wire.reset();
    eventually("it is counted", || retries(&gateway, "left") == 1.0);
    assert_eq!(gateway.outcomes("orders"), (0, 0, 1));
    assert_eq!(attempts(&gateway, &second), (0.0, 0.0, 1.0));
}

#[test]
fn a_call_whose_first_attempt_has_failed_stalls_with_the_other_one() {
    let (busy, gate) = gated(503, "busy");
    let second = hanging();
    let stalled = "{ trip: { stalled: 1, longer_than: 300ms }, cooldown: 60s }";
    let urls = [busy.url(), second.url()];
    let gateway = Gateway::run(file(&urls, stalled, &[HEDGE, RICH]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("the hedge", || second.in_flight() == 1);
    gate.open();
    eventually("it trips", || gateway.state("orders") == "open");
    assert_eq!(gateway.breaker("orders")["reason_token"], "stalled");
    assert_eq!(second.in_flight(), 1, "it still hangs");
}
