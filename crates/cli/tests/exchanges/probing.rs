//! A half-open breaker lets its probes through and nobody else, and no probe can wedge it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::support::{
    Backlogged, Call, Client, Dial, Ending, Gate, Gateway, Response, Setup, Upstream, eventually,
};

/// What the upstream does with a call, chosen by a dial.
const FAIL: u64 = 0;
const ANSWER: u64 = 1;
const OTHER: u64 = 2;

/// An upstream that fails, answers, or does something else.
fn upstream(mode: &Dial, other: impl Fn(&mut Call) + Send + Sync + 'static) -> Upstream {
    let mode = mode.clone();
    Upstream::start(move |call| match mode.get() {
        FAIL => call.respond(500, "failed"),
        ANSWER => call.respond(200, "answered"),
        _ => other(call),
    })
}

fn file(upstream: &Upstream, half_open: &str, timeout: &str) -> String {
    let breaker = format!(
        "{{ trip: {{ consecutive_failures: 1 }}, cooldown: 300ms, half_open: {half_open} }}\n    timeout: {timeout}"
    );
    crate::support::orders(upstream, &breaker)
}

/// A gateway whose breaker was tripped and whose cooldown is over.
fn half_open(upstream: &Upstream, mode: &Dial, yaml: String) -> Gateway {
    let gateway = Gateway::run(yaml);
    mode.set(FAIL);
    assert_eq!(gateway.get("/a").status, 500);
    eventually("the cooldown ends", || {
        gateway.state("orders") == "half_open"
    });
    assert_eq!(upstream.calls(), 1);
    gateway
}

#[test]
fn two_hundred_clients_at_the_cooldowns_end_are_one_probe() {
    crowd(1);
}

#[test]
fn two_hundred_clients_at_the_cooldowns_end_are_three_probes() {
    crowd(3);
}

/// 200 clients ask again and again from before the cooldown's end until the probes are let go.
fn crowd(probes: usize) {
    let (mode, gate) = (Dial::at(OTHER), Gate::default());
    let probing = AtomicUsize::new(0);
    let most = Arc::new(AtomicUsize::new(0));
    let upstream = {
        let (gate, most) = (gate.clone(), most.clone());
        upstream(&mode, move |call| {
            let now = probing.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            gate.pass();
            probing.fetch_sub(1, Ordering::SeqCst);
            call.respond(200, "answered");
        })
    };
    let half = format!("{{ probes: {probes}, successes: {probes}, probe_timeout: 20s }}");
    let gateway = Gateway::run(file(&upstream, &half, "{ request: 30s }"));
    mode.set(FAIL);
    assert_eq!(gateway.get("/a").status, 500);
    mode.set(OTHER);
    let addr = gateway.addr();
    let start = Arc::new(Barrier::new(200));
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let (start, gate) = (start.clone(), gate.clone());
            std::thread::spawn(move || {
                let mut client = Client::to(addr);
                start.wait();
                // Once the probes wait at the gate nobody else is let through, so every other
                // client goes on until it has been told so at least ten times.
                let (mut passed, mut refused, mut told) = (0, 0, 0);
                while passed == 0 && told < 10 {
                    let late = gate.waiting() == probes;
                    let response = client.get("/a");
                    match response.status {
                        200 => passed += 1,
                        status => {
                            assert_eq!(status, 503);
                            refused += 1;
                            let reason = response.fields.get("fusebox-reason").unwrap();
                            if late {
                                assert!(reason.starts_with("breaker_probing;"), "{reason}");
                                assert!(reason.ends_with("state=half_open"), "{reason}");
                                assert_eq!(response.fields.get("retry-after"), Some("1"));
                                told += 1;
                            }
                        }
                    }
                }
                (passed, refused)
            })
        })
        .collect();
    eventually("the probes are at the upstream", || {
        gate.waiting() == probes
    });
    eventually("all others are done", || {
        clients.iter().filter(|client| client.is_finished()).count() == 200 - probes
    });
    assert_eq!(gateway.state("orders"), "half_open");
    // A probe may take twenty seconds; most do not, so all are told to come back soon.
    let shown = gateway.breaker("orders");
    assert_eq!(shown["probes"]["in_flight"], probes);
    assert_eq!(shown["retry_after"], 1);
    assert!(shown["retry_by"].as_str() > shown["retry_at"].as_str());
    gate.open();
    let ends: Vec<(usize, usize)> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    let passed: usize = ends.iter().map(|end| end.0).sum();
    assert_eq!(passed, probes);
    assert_eq!(most.load(Ordering::SeqCst), probes);
    assert_eq!(upstream.calls(), 1 + probes);
    assert_eq!(gateway.state("orders"), "closed");
    let refused: usize = ends.iter().map(|end| end.1).sum();
    assert_eq!(gateway.count("orders", "rejected"), refused as u64);
}

#[test]
fn a_settled_probe_frees_its_slot_for_the_next() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |_| {});
    let yaml = file(&upstream, "{ probes: 1, successes: 3 }", "{ request: 10s }");
    let gateway = half_open(&upstream, &mode, yaml);
    mode.set(ANSWER);
    for success in 1..=3 {
        assert_eq!(
            gateway.state("orders"),
            "half_open",
            "before success {success}"
        );
        assert_eq!(gateway.get("/a").status, 200);
    }
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn a_hung_probe_reopens_at_its_deadline_and_is_aborted() {
    let (mode, (ending, ended)) = (Dial::at(FAIL), std::sync::mpsc::channel());
    let upstream = upstream(&mode, move |call| {
        ending.send(call.hang()).ok();
    });
    let yaml = file(&upstream, "{ probe_timeout: 700ms }", "{ request: 25s }");
    let gateway = half_open(&upstream, &mode, yaml);
    mode.set(OTHER);
    let start = Instant::now();
    let response = gateway.get("/a");
    let took = start.elapsed();
    assert_eq!(response.status, 504);
    assert_eq!(response.json()["reason"], "timeout");
    assert!(took >= Duration::from_millis(700), "aborted after {took:?}");
    assert!(took < Duration::from_secs(20), "aborted after {took:?}");
    assert!(matches!(
        ended.recv().unwrap(),
        Some(Ending::Closed | Ending::Reset)
    ));
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["attempts"], 2, "{breaker}");
    assert_eq!(gateway.count("orders", "failure"), 2);
    mode.set(ANSWER);
    eventually("it recovers", || gateway.get("/a").status == 200);
}

#[test]
fn a_probe_that_cannot_connect_in_its_time_reopens_too() {
    // A listener whose queue is full lets nobody in: connecting takes for ever.
    let full = Backlogged::new();
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 300ms, half_open: { probe_timeout: 600ms } }\n    timeout: { connect: 4s, request: 25s }";
    let gateway = Gateway::run(crate::support::orders_at(&full.url(), breaker));
    assert_eq!(
        gateway.get("/a").status,
        502,
        "no connection within its timeout"
    );
    eventually("the cooldown ends", || {
        gateway.state("orders") == "half_open"
    });
    let start = Instant::now();
    let response = gateway.get("/a");
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(600) && took < Duration::from_millis(3_500),
        "{took:?}"
    );
    assert_eq!(response.status, 502, "{}", response.text());
    assert_eq!(response.json()["reason"], "connect");
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["attempts"], 2);
    assert_eq!(
        breaker["reason_token"], "probe_failed",
        "its own end, not the net's"
    );
    assert_eq!(gateway.count("orders", "failure"), 2);
}

#[test]
fn a_probe_whose_client_leaves_goes_on_and_is_judged() {
    for (answer, state) in [(200, "closed"), (500, "half_open")] {
        let (mode, gate) = (Dial::at(FAIL), Gate::default());
        let upstream = {
            let gate = gate.clone();
            upstream(&mode, move |call| {
                gate.pass();
                call.respond(answer, "late");
            })
        };
        let yaml = file(&upstream, "{ probe_timeout: 20s }", "{ request: 25s }");
        let gateway = half_open(&upstream, &mode, yaml);
        mode.set(OTHER);
        let mut client = gateway.client();
        client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        eventually("the probe is at the upstream", || upstream.calls() == 2);
        client.wire.reset();
        assert_eq!(gateway.get("/a").status, 503, "its place is taken");
        gate.open();
        let good = u64::from(answer == 200);
        eventually("it is judged", || {
            gateway.outcomes("orders") == (good, 2 - good, 0)
        });
        eventually("it has decided", || gateway.state("orders") == state);
        assert_eq!(gateway.breaker("orders")["attempts"], 2 * (1 - good));
    }
}

#[test]
fn a_probe_whose_client_leaves_within_the_answer_is_judged_by_the_rest() {
    for whole in [true, false] {
        let (mode, gate) = (Dial::at(FAIL), Gate::default());
        let upstream = {
            let gate = gate.clone();
            upstream(&mode, move |call| {
                call.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
                gate.pass();
                if whole {
                    call.send("rest");
                } else {
                    call.close();
                }
            })
        };
        let yaml = file(&upstream, "{ probe_timeout: 20s }", "{ request: 25s }");
        let gateway = half_open(&upstream, &mode, yaml);
        mode.set(OTHER);
        let mut client = gateway.client();
        client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        assert_eq!(client.head().status, 200);
        assert_eq!(
            gateway.state("orders"),
            "half_open",
            "half a body proves nothing"
        );
        client.wire.reset();
        gate.open();
        let good = u64::from(whole);
        eventually("it is judged", || {
            gateway.outcomes("orders") == (good, 2 - good, 0)
        });
        assert_eq!(gateway.breaker("orders")["attempts"], 2 * (1 - good));
    }
}

#[test]
fn a_client_that_has_not_sent_all_takes_no_probes_place() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |_| {});
    let yaml = file(&upstream, "{ probe_timeout: 500ms }", "{ request: 20s }");
    let gateway = half_open(&upstream, &mode, yaml);
    mode.set(ANSWER);
    let half_sent: Vec<_> = [
        "Content-Length: 6\r\n\r\nab",
        "Content-Length: 6\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Content-Length: 6\r\nExpect: 100-continue\r\n\r\n",
    ]
    .iter()
    .map(|rest| {
        let mut slow = gateway.client();
        slow.send(format!(
            "POST /slow HTTP/1.1\r\nHost: gateway.test\r\n{rest}"
        ));
        slow
    })
    .collect();
    let mut slow = half_sent;
    // The offered one is asked for, so all have been read by now.
    assert_eq!(slow[3].head().status, 100);
    assert_eq!(gateway.breaker("orders")["probes"]["in_flight"], 0);
    assert_eq!(upstream.calls(), 1);
    assert_eq!(gateway.get("/a").status, 200, "an honest client probes");
    assert_eq!(gateway.state("orders"), "closed");
    slow[0].send("cdef");
    assert_eq!(slow[0].response().status, 200);
    assert_eq!(gateway.outcomes("orders"), (2, 1, 0));
}

#[test]
fn a_body_too_long_to_be_kept_probes_when_no_complete_request_wants_to() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |_| {});
    let half = "{ probes: 1, successes: 2, probe_timeout: 5s }";
    let gateway = half_open(&upstream, &mode, file(&upstream, half, "{ request: 20s }"));
    mode.set(ANSWER);
    let long = "x".repeat(200_000);
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.state("orders"), "half_open", "one of two");
    let refused = gateway.client().post("/long", &long);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.fields.get("retry-after"), Some("1"));
    let reason = refused.fields.get("fusebox-reason").unwrap();
    assert!(reason.starts_with("breaker_probing"), "{reason}");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(gateway.client().post("/long", &long).status, 200);
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn a_long_probe_whose_client_is_slow_within_the_answer_neither_wedges_nor_reopens() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
        if call.body().len() == 200_000 {
            call.send("done");
        }
    });
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 300ms, settle: 500ms }";
    let gateway = half_open(&upstream, &mode, crate::support::orders(&upstream, breaker));
    mode.set(OTHER);
    let mut slow = gateway.client();
    slow.send("POST /slow HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 200000\r\n\r\n");
    slow.send("x".repeat(100_000));
    assert_eq!(slow.head().status, 200);
    slow.ended();
    eventually("its call is given up", || upstream.in_flight() == 0);
    eventually("it is ignored", || gateway.outcomes("orders") == (0, 1, 1));
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["state"], "half_open");
    assert_eq!(breaker["probes"]["in_flight"], 0);
    let long = "x".repeat(200_000);
    assert_eq!(gateway.client().post("/quick", &long).text(), "done");
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn a_trickling_client_does_not_make_its_probe_a_failure() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |_| {});
    let yaml = file(&upstream, "{ probe_timeout: 500ms }", "{ request: 20s }");
    let gateway = half_open(&upstream, &mode, yaml);
    mode.set(ANSWER);
    let mut client = gateway.client();
    client.send("POST /slow HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..15 {
        client.send("1\r\nx\r\n");
        std::thread::sleep(Duration::from_millis(100));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(gateway.outcomes("orders"), (1, 1, 0));
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn a_hung_probe_may_count_as_nothing() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |call| {
        call.hang();
    });
    let half = "{ probe_timeout: 500ms, on_probe_timeout: replace }";
    let gateway = half_open(&upstream, &mode, file(&upstream, half, "{ request: 25s }"));
    mode.set(OTHER);
    assert_eq!(gateway.get("/a").status, 504);
    eventually("it is aborted", || upstream.in_flight() == 0);
    assert_eq!(gateway.state("orders"), "half_open");
    assert_eq!(gateway.outcomes("orders"), (0, 1, 1));
    mode.set(ANSWER);
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn a_probe_that_gets_a_head_and_nothing_more_reopens() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        call.hang();
    });
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 300ms, settle: 600ms }";
    let gateway = half_open(&upstream, &mode, crate::support::orders(&upstream, breaker));
    mode.set(OTHER);
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert!(client.wire.read_exactly(1).is_err(), "it is cut");
    assert_eq!(gateway.breaker("orders")["attempts"], 2);
    assert_eq!(gateway.outcomes("orders"), (0, 2, 0));
    eventually("it is aborted", || upstream.in_flight() == 0);
}

#[test]
fn a_probe_with_an_endless_answer_is_judged_by_its_first_seconds() {
    let (mode, gate) = (Dial::at(FAIL), Gate::default());
    let upstream = {
        let gate = gate.clone();
        upstream(&mode, move |call| {
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
            gate.pass();
            call.send("3\r\ndef\r\n");
            call.close();
        })
    };
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 300ms, settle: 600ms }";
    let gateway = half_open(&upstream, &mode, crate::support::orders(&upstream, breaker));
    mode.set(OTHER);
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert_eq!(client.head().status, 200);
    // Nothing more is sent: still it is judged.
    eventually("it is judged good", || gateway.state("orders") == "closed");
    assert_eq!(gateway.outcomes("orders"), (1, 1, 0));
    // From then on it may be as silent as any other answer.
    std::thread::sleep(Duration::from_millis(1_000));
    gate.open();
    assert_eq!(client.wire.read_chunk().unwrap(), b"abc");
    assert_eq!(client.wire.read_chunk().unwrap(), b"def");
    client.ended();
    assert_eq!(
        gateway.state("orders"),
        "closed",
        "a cut after that counts no more"
    );
    assert_eq!(gateway.outcomes("orders"), (1, 1, 0));
    let cuts = r#"fusebox_breaker_late_truncations_total{breaker="orders"}"#;
    assert_eq!(gateway.metric(cuts), Some(1.0));
}

#[test]
fn probes_are_judged_by_rate_where_the_file_says_so() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |_| {});
    let half = "{ probes: 1, failure_rate: 50%, over: 4 calls }";
    let yaml = file(&upstream, half, "{ request: 10s }");
    let gateway = half_open(&upstream, &mode, yaml);
    let statuses = |modes: [u64; 4]| {
        modes.map(|next| {
            mode.set(next);
            gateway.get("/a").status
        })
    };
    assert_eq!(statuses([FAIL, ANSWER, ANSWER, FAIL]), [500, 200, 200, 500]);
    assert_eq!(
        gateway.breaker("orders")["attempts"],
        2,
        "half of them failed"
    );
    eventually("the cooldown ends", || {
        gateway.state("orders") == "half_open"
    });
    assert_eq!(
        statuses([FAIL, ANSWER, ANSWER, ANSWER]),
        [500, 200, 200, 200]
    );
    assert_eq!(
        gateway.state("orders"),
        "closed",
        "a quarter of them failed"
    );
}

#[test]
fn as_many_failed_probes_as_the_file_says_reopen() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |_| {});
    let half = "{ probes: 1, successes: 2, failures: 2 }";
    let gateway = half_open(&upstream, &mode, file(&upstream, half, "{ request: 10s }"));
    let mut client = gateway.client();
    for (answer, status, state) in [
        (ANSWER, 200, "half_open"),
        (FAIL, 500, "half_open"),
        (FAIL, 500, "open"),
    ] {
        mode.set(answer);
        assert_eq!(client.get("/a").status, status);
        assert_eq!(
            gateway.breaker("orders")["recent"]
                .as_array()
                .unwrap()
                .last()
                .unwrap()["to"],
            state
        );
    }
}

#[test]
fn one_worker_probes_as_many_do() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |_| {});
    let yaml = file(&upstream, "{ probes: 2, successes: 2 }", "{ request: 10s }");
    let gateway = Setup::new(yaml).workers(1).start();
    assert_eq!(gateway.get("/a").status, 500);
    mode.set(ANSWER);
    eventually("it recovers", || gateway.get("/a").status == 200);
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn a_long_probe_that_stops_gives_its_place_to_a_complete_request() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |_| {});
    let gateway = half_open(
        &upstream,
        &mode,
        file(&upstream, "{ probe_timeout: 20s }", "{ request: 20s }"),
    );
    mode.set(ANSWER);
    let mut long = gateway.client();
    long.send("POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    long.send("x".repeat(70_000));
    eventually("it probes", || upstream.calls() == 2);
    let refused = gateway.get("/a");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.fields.get("retry-after"), Some("1"));
    eventually("an honest client probes", || {
        gateway.get("/a").status == 200
    });
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(long.response().status, 408);
    assert_eq!(
        gateway.count("orders", "failure"),
        1,
        "the one that tripped"
    );
}

/// Clients that provoke answers which say nothing of the upstream, each again as soon as it has one, and how long an
/// honest client that obeys `Retry-After` waits for the breaker to close beside them.
fn beside_clients_that_provoke_nothing(
    attackers: usize,
    latency: Duration,
    attack: fn(std::net::SocketAddr),
    honest: fn(&Gateway) -> Response,
) -> Duration {
    let mode = Dial::at(FAIL);
    let large = format!(
        "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /{}\r\n\r\n",
        "a".repeat(200_000)
    );
    let upstream = {
        let mode = mode.clone();
        Upstream::start(move |call| match mode.get() {
            FAIL => call.respond(500, "failed"),
            _ if call.seen.target == "/large" => {
                std::thread::sleep(latency);
                call.send(&large);
            }
            _ => call.respond(200, "answered"),
        })
    };
    let gateway = Gateway::run(crate::support::orders(
        &upstream,
        "{ trip: { consecutive_failures: 1 }, cooldown: 300ms }",
    ));
    assert_eq!(gateway.get("/a").status, 500);
    mode.set(ANSWER);
    let addr = gateway.addr();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..attackers {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    attack(addr);
                }
            });
        }
        eventually("the attackers probe", || {
            gateway.count("orders", "ignored") > attackers as u64
        });
        let came = Instant::now();
        loop {
            let answer = honest(&gateway);
            if answer.status == 200 {
                break;
            }
            let after: u64 = answer.fields.get("retry-after").unwrap().parse().unwrap();
            std::thread::sleep(Duration::from_secs(after));
        }
        let took = came.elapsed();
        over.store(true, Ordering::Relaxed);
        assert_eq!(gateway.state("orders"), "closed");
        took
    })
}

/// Asks for an answer over the gateway's limits.
fn provoke(addr: std::net::SocketAddr) {
    Client::to(addr).get("/large");
}

fn get(gateway: &Gateway) -> Response {
    gateway.get("/a")
}

#[test]
fn clients_that_provoke_answers_that_say_nothing_take_turns_with_honest_ones() {
    // The cooldown is over when the honest client comes.
    let most = Duration::from_secs(2);
    for (attackers, latency) in [(1, 0), (12, 0), (64, 100), (250, 20)] {
        let latency = Duration::from_millis(latency);
        let took = beside_clients_that_provoke_nothing(attackers, latency, provoke, get);
        assert!(took < most, "{attackers} attackers: {took:?}");
    }
}

#[test]
fn a_slow_probe_whose_client_provoked_such_answers_gives_way_after_a_second() {
    // Without that, each place would be theirs for three seconds.
    let took = beside_clients_that_provoke_nothing(3, Duration::from_secs(3), provoke, get);
    assert!(took < Duration::from_millis(2_500), "{took:?}");
}

#[test]
fn a_request_with_a_body_waits_for_the_place_too() {
    let latency = Duration::from_millis(500);
    let took = beside_clients_that_provoke_nothing(2, latency, provoke, |gateway| {
        gateway.client().post("/a", "ten bytes.")
    });
    assert!(took < Duration::from_millis(2_500), "{took:?}");
}

#[test]
fn clients_that_leave_do_not_stand_in_the_line_for_a_probe() {
    let leave = |addr| {
        let mut client = Client::to(addr);
        let sent = client.wire.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        sent.ok();
        drop(client);
        std::thread::sleep(Duration::from_millis(5));
    };
    // In a line, sixteen of them would take eight seconds.
    let latency = Duration::from_millis(500);
    let took = beside_clients_that_provoke_nothing(16, latency, leave, get);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_probe_whose_client_does_not_read_gives_way_to_a_complete_request() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |call| {
        if call.seen.target == "/a" {
            return call.respond(200, "answered");
        }
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let block = vec![b'x'; 100_000];
        let _ = (0..1000).all(|_| call.send(&block));
    });
    let gateway = half_open(
        &upstream,
        &mode,
        file(&upstream, "{ probe_timeout: 20s }", "{ request: 20s }"),
    );
    mode.set(OTHER);
    let mut idle = gateway.client();
    idle.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it probes", || upstream.calls() == 2);
    let start = Instant::now();
    eventually("an honest client is served", || {
        gateway.get("/a").status == 200
    });
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn a_stream_that_goes_on_gives_its_place_to_a_complete_request() {
    let mode = Dial::at(FAIL);
    let upstream = upstream(&mode, |call| {
        if call.seen.target == "/a" {
            return call.respond(200, "answered");
        }
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while call.send("5\r\ntick \r\n") {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let gateway = half_open(
        &upstream,
        &mode,
        file(&upstream, "{ probe_timeout: 20s }", "{ request: 20s }"),
    );
    mode.set(OTHER);
    let mut stream = gateway.client();
    stream.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it probes", || upstream.calls() == 2);
    let start = Instant::now();
    assert_eq!(gateway.get("/a").status, 503);
    eventually("an honest client is served", || {
        gateway.get("/a").status == 200
    });
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(gateway.state("orders"), "closed");
}
