//! What a call's end tells each breaker: answers that are too long, refusals, probes, rungs, ejected endpoints
//! (docs/calls.md).

use std::sync::Arc;
use std::thread;

use crate::support::calls::{
    FIVE, NEVER, RESPOND, RETRY, attempts, command, file, file_with, half_open, marks, retries,
};
use crate::support::{Dial, Gate, Gateway, Refusing, Upstream, eventually};

/// More than is kept of an answer that failed.
const LONG: usize = 70_000;

/// Answers 503 with a long body, whose length is said in the head or is not.
fn long_winded(is_said: bool) -> Upstream {
    Upstream::start(move |call| {
        let body = "x".repeat(LONG);
        if is_said {
            call.respond(503, &body);
        } else {
            call.body();
            call.send("HTTP/1.1 503 Oh\r\nTransfer-Encoding: chunked\r\n\r\n");
            call.send(format!("{LONG:x}\r\n{body}\r\n0\r\n\r\n"));
        }
    })
}

#[test]
fn an_answer_too_long_to_be_kept_is_not_repeated_but_passed_on() {
    for is_said in [true, false] {
        let upstream = long_winded(is_said);
        let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY]));
        let response = gateway.get("/a");
        assert_eq!((response.status, response.body.len()), (503, LONG));
        assert_eq!(upstream.calls(), 1, "its length is said: {is_said}");
        assert_eq!(retries(&gateway, "too_long"), 1.0);
        assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
        assert_eq!(attempts(&gateway, &upstream), (0.0, 1.0, 0.0));
    }
}

#[test]
fn an_answer_too_long_to_be_kept_is_dropped_for_a_rung() {
    for is_said in [true, false] {
        let upstream = long_winded(is_said);
        let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY, RESPOND]));
        let response = gateway.get("/a");
        assert_eq!(marks(&response), (200, "respond", ""));
        assert_eq!(response.text(), "status_503");
        assert_eq!(upstream.calls(), 1);
        assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    }
}

#[test]
fn a_refused_call_and_a_failed_one_may_have_answers_of_their_own() {
    let upstream = Upstream::start(|call| call.respond(503, "busy"));
    let rungs = |more| {
        let refused = "{ respond: { on: [refused], status: 503, text: \"refused: {reason}\" } }";
        Gateway::run(file(
            &[upstream.url()],
            FIVE,
            &[&format!("fallback: [{refused}{more}]")],
        ))
    };
    let gateway = rungs(", { respond: { on: [failed], status: 502, text: \"failed: {reason}\" } }");
    for _ in 0..5 {
        let response = gateway.get("/a");
        assert_eq!(marks(&response), (502, "respond", ""));
        assert_eq!(response.text(), "failed: status_503");
    }
    let response = gateway.get("/a");
    assert_eq!(marks(&response), (503, "respond", "breaker_open"));
    assert_eq!(response.text(), "refused: breaker_open");
    // Without a rung for failed calls the upstream's own answer passes.
    let gateway = rungs("");
    let response = gateway.get("/a");
    assert_eq!(
        (marks(&response), response.text().as_str()),
        ((503, "", ""), "busy")
    );
    command(&gateway, "orders", "open");
    assert_eq!(gateway.get("/a").text(), "refused: held_open");
}

#[test]
fn a_breaker_that_opens_before_the_pause_ends_the_call_with_the_answer_that_failed() {
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            gate.pass();
            call.respond(503, "busy");
        }
    });
    let gateway = Arc::new(Gateway::run(file(&[upstream.url()], FIVE, &[RETRY])));
    let client = thread::spawn({
        let gateway = gateway.clone();
        move || gateway.get("/a")
    });
    eventually("the attempt", || gate.waiting() == 1);
    command(&gateway, "orders", "open");
    gate.open();
    let response = client.join().unwrap();
    assert_eq!(marks(&response), (503, "", ""));
    assert_eq!(response.text(), "busy");
    assert_eq!(upstream.calls(), 1);
    assert_eq!(retries(&gateway, "breaker_open"), 1.0);
}

#[test]
fn a_probe_goes_to_no_endpoint_that_is_ejected() {
    let [one, two] = [Dial::at(200), Dial::at(200)].map(|it| Upstream::dialled(&it));
    let breaker = "{ trip: { consecutive_failures: 5 }, cooldown: 1h, half_open: { failure_rate: 50%, over: 4 calls } }";
    let gateway = Gateway::run(file(&[one.url(), two.url()], breaker, &[]));
    let name = format!("orders@{}", one.addr());
    command(&gateway, &name, "open");
    half_open(&gateway, "orders");
    for _ in 0..4 {
        assert_eq!(gateway.get("/a").status, 200);
    }
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!((one.calls(), two.calls()), (0, 4));
    assert_eq!(gateway.outcomes(&name), (0, 0, 0));
    // Nor does any other call, repeats or not.
    for _ in 0..4 {
        assert_eq!(gateway.get("/a").status, 200);
    }
    assert_eq!((one.calls(), two.calls()), (0, 8));
}

#[test]
fn with_every_endpoint_ejected_a_probe_goes_to_the_one_ejected_longest_ago() {
    let status = Dial::at(500);
    let [one, two] = [Upstream::dialled(&status), Upstream::dialled(&status)];
    let ejection = "ejection: { consecutive_failures: 1, for: { base: 1h, max: 1h }, max_ejected: 100%, min_healthy: 0 }";
    let gateway = Gateway::run(file(&[one.url(), two.url()], FIVE, &[ejection]));
    let mut first = None;
    for call in 1..=2 {
        assert_eq!(gateway.get("/a").status, 500);
        assert_eq!(one.calls() + two.calls(), call);
        first = first.or(Some(one.calls() == 1));
    }
    let (first, second) = if first == Some(true) {
        (&one, &two)
    } else {
        (&two, &one)
    };
    assert_eq!((first.calls(), second.calls()), (1, 1));
    status.set(200);
    half_open(&gateway, "orders");
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!((first.calls(), second.calls()), (2, 1));
}

#[test]
fn a_refusal_is_no_outcome_and_reaches_no_endpoint() {
    let gate = Gate::default();
    let [one, two] = [(); 2].map(|()| {
        let gate = gate.clone();
        Upstream::start(move |call| {
            gate.pass();
            call.respond(200, "ok");
        })
    });
    let bulkhead = "bulkhead: { concurrent: 1, queued: 1, queue_for: 1s }";
    let urls = [one.url(), two.url()];
    let gateway = Arc::new(Gateway::run(file(&urls, FIVE, &[RETRY, RESPOND, bulkhead])));
    let get = |gateway: &Arc<Gateway>| {
        let gateway = gateway.clone();
        thread::spawn(move || gateway.get("/a"))
    };
    let admitted = get(&gateway);
    eventually("one is served", || gate.waiting() == 1);
    let queued = get(&gateway);
    let waits = "fusebox_bulkhead_queued{upstream=\"orders\"}";
    // It waits, unless a slow machine has let its time pass already.
    let late = "fusebox_bulkhead_rejected_total{upstream=\"orders\",reason=\"queue_timeout\"}";
    eventually("another waits", || {
        gateway.metric(waits) == Some(1.0) || gateway.metric(late) == Some(1.0)
    });
    let is_late = gateway.metric(late) == Some(1.0);
    if !is_late {
        let response = gateway.get("/a");
        let (status, rung, reason) = marks(&response);
        assert_eq!((status, rung), (200, "respond"));
        assert!(
            ["bulkhead_full", "queue_timeout"].contains(&reason),
            "{reason}"
        );
    }
    let response = queued.join().unwrap();
    assert_eq!(marks(&response), (200, "respond", "queue_timeout"));
    // An open breaker refuses before the bulkhead is looked at.
    command(&gateway, "orders", "open");
    let response = gateway.get("/a");
    assert_eq!(marks(&response), (200, "respond", "held_open"));
    assert_eq!(gateway.count("orders", "rejected"), 1);
    assert_eq!(gateway.outcomes("orders"), (0, 0, 0));
    assert_eq!(one.calls() + two.calls(), 1);
    command(&gateway, "orders", "reset");
    gate.open();
    assert_eq!(admitted.join().unwrap().status, 200);
    assert_eq!(gateway.count("orders", "rejected"), 1);
    for endpoint in [&one, &two] {
        let (_, failures, ignored) = attempts(&gateway, endpoint);
        assert_eq!((failures, ignored), (0.0, 0.0));
    }
}

#[test]
fn after_the_last_rung_the_first_answer_goes_out() {
    let spare = Upstream::start(|call| call.respond(500, "spare"));
    let rung = "fallback: [{ upstream: spare }]";
    let run = |url: String, more: &[&str]| {
        Gateway::run(file_with(&[url], &[&[rung], more].concat(), &spare.url()))
    };
    let main = Upstream::start(|call| call.respond(500, "main"));
    let gateway = run(main.url(), &[]);
    assert_eq!(gateway.get("/a").text(), "main");
    assert_eq!(
        gateway.outcomes("orders"),
        (0, 1, 0),
        "its own failure alone"
    );
    assert_eq!(gateway.outcomes("spare"), (0, 1, 0));
    command(&gateway, "orders", "open");
    let response = gateway.get("/a");
    assert_eq!(marks(&response), (503, "", "held_open"));
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    assert_eq!(gateway.outcomes("spare"), (0, 2, 0));
    let refusing = Refusing::new();
    let gateway = run(refusing.url(), &[]);
    assert_eq!(gateway.get("/a").status, 502);
    let silent = Upstream::start(|call| {
        call.hang();
    });
    let gateway = run(silent.url(), &["timeout: { request: 50ms }"]);
    assert_eq!(gateway.get("/a").status, 504);
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    assert_eq!(spare.calls(), 4);
}

#[test]
fn a_wish_to_be_called_later_is_heard_of_the_final_answer_alone() {
    let next = Dial::at(0);
    let script = next.clone();
    let [one, two] = [(); 2].map(|()| {
        let next = script.clone();
        Upstream::start(move |call| match next.next() {
            0 | 2 | 3 => call.respond_with(500, "Retry-After: 60\r\n", "busy"),
            _ => call.respond(200, "ok"),
        })
    });
    let breaker = "{ trip: { consecutive_failures: 5 }, cooldown: { base: 1h, max: 1h, factor: 1, jitter: 0% }, retry_after: trip }";
    let retry = "retry: { attempts: 2, on: [\"500\"], backoff: { base: 1ms, max: 1ms }, budget: { ratio: 100%, min: 100 } }";
    let gateway = Gateway::run(file(&[one.url(), two.url()], breaker, &[retry]));
    assert_eq!(gateway.get("/a").status, 200);
    let shown = gateway.breaker("orders");
    assert_eq!(shown["state"], "closed", "{shown}");
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    let response = gateway.get("/a");
    assert_eq!((response.status, response.text().as_str()), (500, "busy"));
    let shown = gateway.breaker("orders");
    assert_eq!(shown["state"], "open", "{shown}");
    assert_eq!(
        gateway.outcomes("orders"),
        (1, 1, 0),
        "one answer trips by itself"
    );
    for endpoint in [&one, &two] {
        assert_eq!(
            gateway.state(&format!("orders@{}", endpoint.addr())),
            "closed"
        );
    }
}

#[test]
fn an_endpoint_over_the_limit_of_ejections_stays_in_use_with_half_its_weight() {
    let dead = [500, 500].map(|status| Upstream::start(move |call| call.respond(status, "dead")));
    let alive = Upstream::start(|call| call.respond(200, "alive"));
    let urls = [dead[0].url(), dead[1].url(), alive.url()];
    let ejection = "ejection: { consecutive_failures: 1, for: { base: 1h, max: 1h } }";
    let gateway = Gateway::run(file(&urls, NEVER, &[ejection]));
    let mut client = gateway.client();
    for _ in 0..3 {
        client.get("/a");
    }
    // Both have failed; one of three may be ejected.
    let open = |of: &Upstream| gateway.state(&format!("orders@{}", of.addr())) == "open";
    assert!(open(&dead[0]) && open(&dead[1]));
    let ejected = |of: &Upstream| {
        let labels = format!("{{upstream=\"orders\",endpoint=\"{}\"}}", of.addr());
        gateway.metric(&format!("fusebox_endpoint_ejected{labels}"))
    };
    assert_eq!(
        [&dead[0], &dead[1], &alive].map(ejected),
        [Some(1.0), Some(0.0), Some(0.0)]
    );
    assert_eq!((dead[0].calls(), dead[1].calls(), alive.calls()), (1, 1, 1));
    for _ in 0..30 {
        client.get("/a");
    }
    assert_eq!(dead[0].calls(), 1);
    // A third of the calls, to within one at each end.
    assert!((9..=13).contains(&(dead[1].calls())), "{}", dead[1].calls());
    assert_eq!(
        gateway.outcomes("orders").0 + gateway.outcomes("orders").1,
        33
    );
}

#[test]
fn each_rung_that_was_looked_at_is_counted_with_its_result() {
    let main = Upstream::start(|call| call.respond(500, "main"));
    let status = Dial::at(500);
    let spare = Upstream::dialled(&status);
    let rungs = "fallback: [{ upstream: spare }, { respond: { status: 200, text: \"{reason}\" } }]";
    let gateway = Gateway::run(file_with(&[main.url()], &[rungs], &spare.url()));
    let count = |rung: &str, result: &str| {
        let labels = format!("{{upstream=\"orders\",rung=\"{rung}\",result=\"{result}\"}}");
        let count = gateway.metric(&format!("fusebox_fallback_total{labels}"));
        count.unwrap_or_default()
    };
    // One that fails, one that must not have a request that may have been executed, one that serves, one that refuses.
    assert_eq!(marks(&gateway.get("/a")).1, "respond");
    assert_eq!(marks(&gateway.client().post("/a", "hello")).1, "respond");
    status.set(200);
    assert_eq!(marks(&gateway.get("/a")).1, "upstream=spare");
    command(&gateway, "spare", "open");
    assert_eq!(marks(&gateway.get("/a")).1, "respond");
    let upstream = ["served", "skipped", "failed"].map(|result| count("upstream", result));
    assert_eq!(upstream, [1.0, 1.0, 2.0]);
    assert_eq!(count("respond", "served"), 3.0);
    assert_eq!(gateway.outcomes("orders"), (0, 4, 0));
    assert_eq!(gateway.outcomes("spare"), (1, 1, 0));
    assert_eq!(gateway.count("spare", "rejected"), 1);
}
