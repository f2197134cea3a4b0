//! Whose fault it was: only the upstream's faults count, each once, under its own name.

use std::time::Duration;

use crate::support::{
    Call, Client, Dial, Ending, Gate, Gateway, Refusing, Response, Upstream, eventually, orders,
};

/// Trips at the first failure, so that any that is counted by mistake is seen at once.
const TOUCHY: &str = "{ trip: { consecutive_failures: 1 }, cooldown: 60s }";

/// A gateway with limits that clients can run into, before an upstream that answers well.
fn touchy(script: impl Fn(&mut Call) + Send + Sync + 'static) -> (Gateway, Upstream) {
    let upstream = Upstream::start(script);
    let yaml = orders(&upstream, TOUCHY) + "limits: { request_body: 100KiB, body_rate: 1KiB/s }\n";
    (Gateway::run(yaml), upstream)
}

/// What a client did was no failure, and the next request is served as ever.
#[track_caller]
fn unharmed(gateway: &Gateway) {
    assert_eq!(gateway.count("orders", "failure"), 0);
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(gateway.get("/next").status, 200);
    assert_eq!(gateway.count("orders", "failure"), 0);
}

fn fine(call: &mut Call) {
    call.respond(200, "fine");
}

#[test]
fn a_client_that_closes_its_side_before_the_answer_gets_it() {
    let gate = Gate::default();
    let inner = gate.clone();
    let (gateway, upstream) = touchy(move |call| {
        inner.pass();
        fine(call);
    });
    for (at, text) in [
        "GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\n\r\nbody",
    ]
    .iter()
    .enumerate()
    {
        let mut client = gateway.client();
        client.send(text);
        client.wire.finish();
        eventually("the call is at the upstream", || upstream.calls() == at + 1);
        gate.open();
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "fine"));
        assert_eq!(response.fields.get("connection"), Some("close"));
        assert_eq!(client.ended().1, Ending::Closed);
    }
    assert_eq!(gateway.outcomes("orders"), (2, 0, 0));
    unharmed(&gateway);
}

#[test]
fn a_call_whose_client_has_closed_its_connection_is_judged_by_its_answer() {
    let gate = Gate::default();
    let inner = gate.clone();
    let (gateway, upstream) = touchy(move |call| {
        inner.pass();
        fine(call);
    });
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    eventually("the call is at the upstream", || upstream.in_flight() == 1);
    drop(client);
    gate.open();
    eventually("it is judged", || gateway.outcomes("orders") == (1, 0, 0));
    unharmed(&gateway);
}

#[test]
fn a_client_that_resets_before_the_answer_counts_as_nothing() {
    let (gateway, upstream) = touchy(|call| match call.seen.target.as_str() {
        "/hang" => {
            call.hang();
        }
        _ => fine(call),
    });
    let mut client = gateway.client();
    client.send("GET /hang HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    eventually("the call is at the upstream", || upstream.in_flight() == 1);
    client.wire.reset();
    eventually("it is ignored", || gateway.outcomes("orders") == (0, 0, 1));
    unharmed(&gateway);
}

#[test]
fn a_client_that_hangs_up_within_the_answer_counts_as_nothing() {
    let gate = Gate::default();
    let inner = gate.clone();
    let (gateway, _upstream) = touchy(move |call| match call.seen.target.as_str() {
        "/long" => {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nbegin");
            inner.pass();
            let block = vec![b'x'; 64 * 1024];
            while call.send(&block) {}
        }
        _ => fine(call),
    });
    let mut client = gateway.client();
    client.send("GET /long HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert_eq!(client.head().status, 200);
    drop(client);
    gate.open();
    eventually("it is ignored", || gateway.outcomes("orders") == (0, 0, 1));
    unharmed(&gateway);
}

#[test]
fn a_client_that_hangs_up_within_its_body_counts_as_nothing() {
    let (gateway, upstream) = touchy(fine);
    for framing in [
        "Content-Length: 100\r\n\r\nshort",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
    ] {
        let before = (upstream.calls(), gateway.count("orders", "ignored"));
        let mut client = gateway.client();
        client.send(format!(
            "POST /up HTTP/1.1\r\nHost: gateway.test\r\n{framing}"
        ));
        eventually("the call is at the upstream", || {
            upstream.calls() > before.0
        });
        drop(client);
        eventually("it is ignored", || {
            gateway.count("orders", "ignored") > before.1
        });
        unharmed(&gateway);
    }
}

#[test]
fn a_half_closed_client_that_sent_too_little_counts_as_nothing() {
    let (gateway, upstream) = touchy(fine);
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100\r\n\r\nshort");
    client.wire.finish();
    let _ = client.ended();
    eventually("no call is left", || upstream.in_flight() == 0);
    eventually("it is ignored", || gateway.count("orders", "ignored") == 1);
    unharmed(&gateway);
}

#[test]
fn a_malformed_chunk_counts_as_nothing() {
    let (gateway, _upstream) = touchy(fine);
    for (round, chunk) in [
        "zz\r\n",
        "5\r\nabcdefgh\r\n",
        "-1\r\n",
        "ffffffffffffffffff\r\n",
    ]
    .iter()
    .enumerate()
    {
        let mut client = gateway.client();
        client.send(format!(
            "POST /up HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n{chunk}"
        ));
        assert_eq!(client.response().status, 400, "{chunk:?}");
        let _ = client.ended();
        assert_eq!(gateway.count("orders", "ignored"), round as u64 + 1);
        unharmed(&gateway);
    }
}

#[test]
fn a_malformed_chunk_after_the_answer_has_begun_counts_as_nothing() {
    let (gateway, _upstream) = touchy(|call| match call.seen.target.as_str() {
        "/echo" => {
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
            call.hang();
        }
        _ => fine(call),
    });
    let mut client = gateway.client();
    client.send("POST /echo HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.wire.read_chunk().unwrap(), b"abc");
    client.send("zz\r\n");
    let (rest, _) = client.ended();
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "the client must see that the answer is not whole"
    );
    eventually("it is ignored", || gateway.count("orders", "ignored") == 1);
    unharmed(&gateway);
}

#[test]
fn a_client_that_leaves_its_upload_after_the_answer_has_begun_counts_as_nothing() {
    let (gateway, _upstream) = touchy(|call| match call.seen.target.as_str() {
        "/echo" => {
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
            call.hang();
        }
        _ => fine(call),
    });
    let mut client = gateway.client();
    client.send("POST /echo HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100\r\n\r\nabc");
    assert_eq!(client.head().status, 200);
    drop(client);
    eventually("it is ignored", || gateway.count("orders", "ignored") == 1);
    unharmed(&gateway);
}

#[test]
fn an_upstream_that_waits_for_a_slow_upload_is_not_silent() {
    let upstream = Upstream::start(|call| match call.seen.target.as_str() {
        "/echo" => {
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
            let body = call.body();
            call.send(format!("{:x}\r\n", body.len()));
            call.send([&body[..], b"\r\n0\r\n\r\n"].concat());
        }
        _ => fine(call),
    });
    let yaml = orders(&upstream, TOUCHY);
    let timeouts = "    timeout: { request: 400ms, idle: 400ms }\n    breaker:";
    let gateway = Gateway::run(yaml.replace("    breaker:", timeouts));
    let mut client = gateway.client();
    client.send("POST /echo HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 6\r\n\r\nabc");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.wire.read_chunk().unwrap(), b"abc");
    // The client pauses for three times what the upstream may.
    std::thread::sleep(Duration::from_millis(1_200));
    client.send("def");
    assert_eq!(client.wire.read_chunk().unwrap(), b"abcdef");
    assert_eq!(client.wire.read_chunk().unwrap(), b"");
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    unharmed(&gateway);
}

#[test]
fn a_body_over_the_limit_counts_as_nothing() {
    let (gateway, upstream) = touchy(fine);
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 200000\r\n\r\n");
    assert_eq!(client.response().status, 413, "its length alone says it");
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..4 {
        client.wire.send(&chunk).ok();
    }
    assert_eq!(client.response().status, 413);
    eventually("no call is left", || upstream.in_flight() == 0);
    unharmed(&gateway);
}

#[test]
fn a_slow_upload_is_not_a_slow_upstream() {
    let upstream = Upstream::start(fine);
    let yaml = orders(&upstream, TOUCHY) + "limits: { body_rate: 1KiB/s }\n";
    let yaml = yaml.replace(
        "    breaker:",
        "    timeout: { request: 500ms }\n    breaker:",
    );
    let gateway = Gateway::run(yaml);
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 12\r\n\r\n");
    for _ in 0..12 {
        client.send("x");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(
        client.response().status,
        200,
        "it had {} ms and took twice that",
        500
    );
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    unharmed(&gateway);
}

#[test]
fn an_upstream_that_takes_a_large_upload_slowly_is_not_late() {
    const BLOCK: usize = 1 << 20;
    let upstream = Upstream::start(|call| {
        if call.seen.target == "/up" {
            call.wire().keep_little();
            for _ in 0..24 {
                call.wire().read_exactly(BLOCK).unwrap();
                std::thread::sleep(Duration::from_millis(60));
            }
        }
        fine(call);
    });
    let yaml = orders(&upstream, TOUCHY);
    let timeout = "    timeout: { request: 700ms }\n    breaker:";
    let gateway = Gateway::run(yaml.replace("    breaker:", timeout));
    let mut client = gateway.client();
    let head = "POST /up HTTP/1.1\r\nHost: gateway.test\r\nContent-Length:";
    client.send(format!("{head} {}\r\n\r\n", 24 * BLOCK));
    client.send(vec![b'x'; 24 * BLOCK]);
    let status = client.response().status;
    assert_eq!(status, 200, "it went on taking bytes all the time");
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
}

#[test]
fn an_upstream_that_stops_taking_an_upload_is_late() {
    let gate = Gate::default();
    let inner = gate.clone();
    let upstream = Upstream::start(move |call| {
        inner.pass();
        call.close();
    });
    let yaml = orders(&upstream, "{ trip: { consecutive_failures: 2 } }");
    let timeout = "    timeout: { request: 700ms }\n    breaker:";
    let gateway = Gateway::run(yaml.replace("    breaker:", timeout));
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100000000\r\n\r\n");
    let mut writer = client.wire.socket().try_clone().unwrap();
    // Most of it has nowhere to go.
    std::thread::spawn(move || std::io::Write::write_all(&mut writer, &vec![b'x'; 100_000_000]));
    says(&client.response(), 504, "timeout");
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    gate.open();
}

#[test]
fn a_slow_reader_is_not_a_slow_upstream() {
    const LENGTH: usize = 64 << 20;
    let (gateway, upstream) = {
        let upstream = Upstream::start(|call| match call.seen.target.as_str() {
            "/long" => {
                call.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"
                ));
                call.send(vec![b'x'; LENGTH]);
            }
            _ => fine(call),
        });
        let yaml = orders(&upstream, TOUCHY);
        let timeouts = "    timeout: { request: 400ms, idle: 400ms }\n    breaker:";
        (
            Gateway::run(yaml.replace("    breaker:", timeouts)),
            upstream,
        )
    };
    let mut client = gateway.client();
    client.wire.keep_little();
    client.send("GET /long HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert_eq!(client.head().status, 200);
    // For three times what the upstream may pause the client reads nothing.
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(
        upstream.in_flight(),
        1,
        "the answer does not fit between them"
    );
    client.wire.skip(LENGTH as u64).unwrap();
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    unharmed(&gateway);
}

#[test]
fn what_the_gateway_refuses_itself_counts_as_nothing() {
    let (gateway, upstream) = touchy(fine);
    let refused = [
        ("GET /a/../b HTTP/1.1\r\nHost: gateway.test\r\n\r\n", 400),
        ("GET /a HTTP/1.1\r\n\r\n", 400),
        (
            "GET /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400,
        ),
        ("TRACE /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n", 405),
        (
            "GET /a HTTP/1.1\r\nHost: gateway.test\r\nExpect: wonders\r\n\r\n",
            417,
        ),
    ];
    for (request, status) in refused {
        let mut client = gateway.client();
        client.send(request);
        assert_eq!(client.response().status, status, "{request:?}");
    }
    assert_eq!(gateway.outcomes("orders"), (0, 0, 0));
    assert_eq!(upstream.calls(), 0);
    unharmed(&gateway);
}

/// Has one call fail, sees that it is counted once, and that its answer says `reason`.
#[track_caller]
fn fails(script: impl Fn(&mut Call) + Send + Sync + 'static) -> (Gateway, Response) {
    let upstream = Upstream::start(script);
    let yaml = orders(
        &upstream,
        "{ trip: { consecutive_failures: 2 }, cooldown: 60s }",
    )
    .replace(
        "    breaker:",
        "    timeout: { request: 600ms, idle: 600ms }\n    breaker:",
    );
    let gateway = Gateway::run(yaml);
    let response = gateway.get("/a");
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    assert_eq!(gateway.state("orders"), "closed", "once and not twice");
    assert_eq!(upstream.calls(), 1);
    (gateway, response)
}

#[track_caller]
fn says(response: &Response, status: u16, reason: &str) {
    assert_eq!(
        (response.status, &response.json()["reason"]),
        (status, &reason.into())
    );
    assert_eq!(response.json()["upstream"], "orders");
    assert!(
        !response.fields.has("connection"),
        "the client's connection is as good as ever"
    );
}

#[test]
fn a_server_error_is_one_failure_and_passes_on_as_it_is() {
    for status in [500, 503, 599] {
        let (_, response) = fails(move |call| call.respond_with(status, "X-A: b\r\n", "sorry"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (status, "sorry")
        );
        assert_eq!(response.fields.get("x-a"), Some("b"));
    }
}

#[test]
fn a_reset_is_one_failure() {
    let (_, response) = fails(|call| call.reset());
    says(&response, 502, "reset");
}

#[test]
fn a_connection_closed_without_an_answer_is_one_failure() {
    let (_, response) = fails(|call| call.close());
    says(&response, 502, "reset");
}

#[test]
fn a_connection_closed_within_the_head_is_one_failure() {
    let (_, response) = fails(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Le");
        call.close();
    });
    says(&response, 502, "reset");
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_one_failure() {
    let (_, response) = fails(|call| {
        call.hang();
    });
    says(&response, 504, "timeout");
}

#[test]
fn an_upstream_that_answers_half_a_head_in_time_is_one_failure() {
    let (_, response) = fails(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
        call.hang();
    });
    says(&response, 504, "timeout");
}

#[test]
fn what_is_not_http_is_one_failure() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        let (_, response) = fails(move |call| {
            call.send(answer);
            call.hang();
        });
        assert_eq!(response.status, 502, "{answer:?}");
        says(&response, 502, "protocol");
    }
}

#[test]
fn a_head_over_our_own_limits_counts_as_nothing() {
    let large = format!("X-Large: {}\r\n", "x".repeat(100_000));
    let many: String = (0..150).map(|n| format!("X-{n}: v\r\n")).collect();
    for lines in [large, many] {
        let (gateway, _upstream) = touchy(move |call| match call.seen.target.as_str() {
            "/over" => call.respond_with(200, &lines, ""),
            _ => fine(call),
        });
        says(&gateway.get("/over"), 502, "limit");
        assert_eq!(gateway.outcomes("orders"), (0, 0, 1));
        unharmed(&gateway);
    }
}

#[test]
fn a_refused_connection_is_one_failure() {
    let refusing = Refusing::new();
    let breaker = "{ trip: { consecutive_failures: 2 }, cooldown: 60s }";
    let gateway = Gateway::run(crate::support::orders_at(&refusing.url(), breaker));
    let response = gateway.get("/a");
    says(&response, 502, "connect");
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    gateway.get("/a");
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn a_name_that_nobody_knows_is_a_failure_to_connect() {
    let gateway = Gateway::run(crate::support::orders_at(
        "http://no-such-host.invalid:81",
        TOUCHY,
    ));
    says(&gateway.get("/a"), 502, "connect");
    assert_eq!(gateway.state("orders"), "open");
}

/// A body that is not whole: one failure, and the client is told by a connection that is cut.
#[track_caller]
fn cut(script: impl Fn(&mut Call) + Send + Sync + 'static) {
    let upstream = Upstream::start(script);
    let yaml = orders(
        &upstream,
        "{ trip: { consecutive_failures: 2 }, cooldown: 60s }",
    )
    .replace(
        "    breaker:",
        "    timeout: { request: 5s, idle: 600ms }\n    breaker:",
    );
    let gateway = Gateway::run(yaml);
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert!(
        client.try_response_to("GET").is_err(),
        "the body must not look whole"
    );
    eventually("it is counted", || gateway.outcomes("orders") == (0, 1, 0));
    assert_eq!(gateway.state("orders"), "closed", "once and not twice");
}

#[test]
fn a_body_cut_short_is_one_failure() {
    cut(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        call.close();
    });
}

#[test]
fn a_chunked_body_cut_short_is_one_failure() {
    cut(|call| {
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
        call.close();
    });
}

#[test]
fn a_body_that_is_reset_is_one_failure() {
    cut(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        call.reset();
    });
}

#[test]
fn a_malformed_chunk_from_the_upstream_is_one_failure() {
    cut(|call| {
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n");
        call.hang();
    });
}

#[test]
fn a_body_that_stops_flowing_is_one_failure() {
    cut(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        call.hang();
    });
}

#[test]
fn a_failure_after_two_good_calls_on_one_connection_is_one_failure() {
    let count = Dial::default();
    let inner = count.clone();
    let upstream = Upstream::start(move |call| match inner.next() {
        0 | 1 => fine(call),
        _ => {
            call.body();
            call.close();
        }
    });
    let gateway = Gateway::run(orders(&upstream, "{ trip: { consecutive_failures: 2 } }"));
    let mut client = gateway.client();
    assert_eq!(client.get("/a").status, 200);
    assert_eq!(client.get("/a").status, 200);
    // Repeated on a new connection, which fails for good.
    says(&client.get("/a"), 502, "reset");
    assert_eq!(gateway.outcomes("orders"), (2, 1, 0));
}

#[test]
fn stragglers_of_an_earlier_generation_count_no_more() {
    let gate = Gate::default();
    let inner = gate.clone();
    let upstream = Upstream::start(move |call| {
        if call.seen.target == "/slow" {
            inner.pass();
        }
        call.respond(500, "");
    });
    let gateway = Gateway::run(orders(&upstream, TOUCHY));
    let addr = gateway.addr();
    let slow = std::thread::spawn(move || Client::to(addr).get("/slow").status);
    eventually("the slow call is at the upstream", || gate.waiting() == 1);
    assert_eq!(gateway.get("/a").status, 500);
    assert_eq!(gateway.state("orders"), "open");
    let before = gateway.breaker("orders");
    gate.open();
    assert_eq!(slow.join().unwrap(), 500);
    let after = gateway.breaker("orders");
    assert_eq!(after["counts"]["late"], 1);
    for unchanged in ["generation", "attempts", "reason", "state"] {
        assert_eq!(before[unchanged], after[unchanged], "{unchanged}");
    }
}

/// An upstream that never answers `/hang`, before which calls given up after 300 ms are failures.
fn impatient(trip: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start(|call| match call.seen.target.as_str() {
        "/hang" => {
            call.hang();
        }
        _ => fine(call),
    });
    let breaker = format!("{{ trip: {trip}, cooldown: 60s, abandoned: 300ms }}");
    let gateway = Gateway::run(orders(&upstream, &breaker));
    (gateway, upstream)
}

#[test]
fn clients_that_give_up_on_an_upstream_that_hangs_open_its_breaker() {
    let (gateway, upstream) = impatient("{ consecutive_failures: 3, failures: 3, within: 60s }");
    for round in 0..3 {
        let mut client = gateway.client();
        client.send("GET /hang HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        eventually("the call is at the upstream", || upstream.in_flight() == 1);
        let asked = std::time::Instant::now();
        eventually("it has waited long enough", || {
            asked.elapsed() > Duration::from_millis(400)
        });
        // Most clients with a time limit close their connection; some reset it.
        if round == 0 {
            client.wire.reset();
        } else {
            drop(client);
        }
        eventually("it is given up", || upstream.in_flight() == 0);
        eventually("it failed", || {
            gateway.outcomes("orders") == (0, round + 1, 0)
        });
    }
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn clients_that_give_up_early_or_owe_their_body_count_as_nothing_all_the_same() {
    let (gateway, upstream) = impatient("{ consecutive_failures: 1 }");
    let mut hasty = gateway.client();
    hasty.send("GET /hang HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    eventually("the call is at the upstream", || upstream.in_flight() == 1);
    hasty.wire.reset();
    eventually("it is ignored", || gateway.outcomes("orders") == (0, 0, 1));
    let mut owing = gateway.client();
    owing.send("POST /hang HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 9\r\n\r\nhalf");
    eventually("the call is at the upstream", || upstream.in_flight() == 1);
    let asked = std::time::Instant::now();
    eventually("it has waited long", || {
        asked.elapsed() > Duration::from_millis(700)
    });
    drop(owing);
    eventually("it is ignored", || gateway.outcomes("orders") == (0, 0, 2));
    unharmed(&gateway);
}

#[test]
fn an_offered_body_is_the_clients_wait_whatever_clock_runs() {
    // It knows no expectation, and reads the whole request first.
    let upstream = Upstream::start(fine);
    let breaker = "{ trip: [{ consecutive_failures: 1 }, { stalled: 1, longer_than: 300ms }], abandoned: 300ms, cooldown: 60s }\n    timeout: { request: 400ms }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let offer = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let mut leaves = gateway.client();
    leaves.send(offer);
    eventually("it is at the upstream", || upstream.calls() == 1);
    std::thread::sleep(Duration::from_millis(600));
    leaves.wire.reset();
    eventually("it is ignored", || gateway.outcomes("orders") == (0, 0, 1));
    let mut sends = gateway.client();
    sends.send(offer);
    assert_eq!(sends.head().status, 100);
    std::thread::sleep(Duration::from_millis(600));
    sends.send("body");
    assert_eq!(sends.response().status, 200);
    assert_eq!(gateway.outcomes("orders"), (1, 0, 1));
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn the_last_byte_of_a_slow_upload_does_not_race_the_upstreams_patience() {
    let (gateway, upstream) = touchy(|call| {
        if call.seen.target == "/slow" {
            // Its patience ends as the last byte comes.
            let _ = call.wire().read_exactly(5);
            call.close();
        } else {
            fine(call);
        }
    });
    let mut client = gateway.client();
    client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
    eventually("it is at the upstream", || upstream.calls() == 1);
    std::thread::sleep(Duration::from_millis(200));
    client.send("o");
    let response = client.response();
    assert_eq!(response.status, 502);
    assert_eq!(response.json()["reason"], "client");
    assert_eq!(gateway.outcomes("orders"), (0, 0, 1));
    unharmed(&gateway);
}

#[test]
fn limits_of_ours_that_an_answers_body_meets_count_as_nothing() {
    let trailers: String = (0..150).map(|at| format!("x-{at}: 1\r\n")).collect();
    let extension = "e".repeat(20_000);
    for rest in [
        format!("2\r\nok\r\n0\r\n{trailers}\r\n"),
        format!("2\r\nok\r\n2;{extension}\r\nok\r\n0\r\n\r\n"),
    ] {
        let (gateway, _upstream) = touchy(move |call| {
            if call.seen.target == "/over" {
                call.body();
                call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                call.send(&rest);
            } else {
                fine(call);
            }
        });
        let mut client = gateway.client();
        client.send("GET /over HTTP/1.1\r\nHost: a\r\n\r\n");
        client.ended();
        eventually("it is ignored", || gateway.outcomes("orders") == (0, 0, 1));
        unharmed(&gateway);
    }
}

#[test]
fn a_method_that_a_server_does_not_know_and_a_body_that_it_overlooks_count_as_nothing() {
    let (gateway, _upstream) = touchy(|call| match call.seen.method.as_str() {
        "FOO" => call.respond(501, "no such method"),
        "DELETE" => {
            // Never reads the body, and ends the connection over it.
            call.wire();
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
            call.reset();
        }
        _ => fine(call),
    });
    assert_eq!(gateway.client().request("FOO", "/a", "", "").status, 501);
    let mut client = gateway.client();
    client.send("DELETE /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    client.ended();
    eventually("both are ignored", || {
        gateway.outcomes("orders") == (0, 0, 2)
    });
    unharmed(&gateway);
    assert_eq!(gateway.client().post("/a", "x").status, 200);
}

#[test]
fn a_client_that_leaves_within_its_body_is_noticed_at_once_where_giving_up_may_fail_too() {
    let (gateway, upstream) = impatient("{ consecutive_failures: 1 }");
    let mut client = gateway.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    client.send("x".repeat(100_000));
    eventually("it is at the upstream", || upstream.calls() == 1);
    client.wire.finish();
    let asked = std::time::Instant::now();
    assert_eq!(client.response().status, 400);
    assert!(asked.elapsed() < Duration::from_secs(5));
    unharmed(&gateway);
}

#[test]
fn an_upstream_that_does_not_read_is_let_go_when_its_call_is_over() {
    let upstream = Upstream::start(|call| {
        call.wire();
        if call.seen.target == "/early" {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        // It reads nothing, and waits for the end.
        std::thread::sleep(Duration::from_secs(1));
        call.hang();
    });
    let yaml = orders(
        &upstream,
        "{}\n    timeout: { request: 500ms }\n    pool: { idle: 0 }",
    );
    let gateway = Gateway::run(yaml);
    let addr = gateway.addr();
    for (path, status) in [("/late", 504), ("/early", 200)] {
        let mut client = Client::to(addr);
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n"
        ));
        let socket = client.wire.socket().try_clone().unwrap();
        std::thread::spawn(move || {
            use std::io::Write as _;
            // As much as the way takes.
            (&socket).write_all(&vec![0; 50_000_000]).ok();
        });
        assert_eq!(client.head().status, status);
        drop(client);
        eventually("its connection is closed", || upstream.open() == 0);
    }
}
