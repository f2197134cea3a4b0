//! What one client may cost: over a limit it gets the right answer, and its connection ends cleanly.

use std::time::{Duration, Instant};

use crate::support::{Client, Ending, Gate, Gateway, Setup, Upstream, eventually, orders};

/// A gateway with limits before an upstream that answers well.
fn limited(limits: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start(|call| call.respond(200, "fine"));
    let yaml =
        orders(&upstream, "{ trip: { consecutive_failures: 1 } }") + &format!("limits: {limits}\n");
    (Gateway::run(yaml), upstream)
}

/// Reads one answer, and sees that the connection ends cleanly behind it.
#[track_caller]
fn last_answer(client: &mut Client) -> u16 {
    let status = client.response().status;
    assert_eq!(
        client.ended(),
        (Vec::new(), Ending::Closed),
        "after {status}"
    );
    status
}

#[test]
fn connections_over_the_limit_are_turned_away_cleanly() {
    let (gateway, upstream) = limited("{ connections: 3 }");
    let mut inside: Vec<_> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut inside {
        assert_eq!(client.get("/a").status, 200);
    }
    for sends_first in [true, false, true] {
        let mut outside = gateway.client();
        if sends_first {
            outside
                .wire
                .send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
                .ok();
        }
        let response = outside.response();
        assert_eq!(response.status, 503);
        assert_eq!(response.fields.get("retry-after"), Some("1"));
        assert_eq!(
            response.fields.get("fusebox-reason"),
            Some("connections_full")
        );
        assert_eq!(response.fields.get("connection"), Some("close"));
        assert_eq!(response.json()["retry_after"], 1);
        outside.wire.finish();
        assert_eq!(outside.ended(), (Vec::new(), Ending::Closed));
    }
    assert_eq!(upstream.calls(), 3);
    for client in &mut inside {
        assert_eq!(
            client.get("/a").status,
            200,
            "who is inside notices nothing"
        );
    }
    drop(inside.pop());
    eventually("a seat is free", || gateway.get("/a").status == 200);
}

#[test]
fn connections_beyond_what_open_files_carry_are_turned_away_and_it_is_said() {
    let upstream = Upstream::start(|call| call.respond(200, "fine"));
    let gateway = Setup::new(orders(&upstream, "{}"))
        .workers(2)
        .nofile(256)
        .start();
    let warning = gateway.log_line(|line| line["have"] == 256);
    assert_eq!(warning["level"], "WARN");
    assert!(warning["wanted"].as_u64() > Some(20_000), "{warning}");
    let room = warning["clients"].as_u64().expect("a number");
    assert!((32..128).contains(&room), "{warning}");
    let mut inside: Vec<_> = (0..room).map(|_| gateway.client()).collect();
    for client in &mut inside {
        assert_eq!(client.get("/a").status, 200);
    }
    // More than are waited for until they have read it.
    let mut crowd: Vec<_> = (0..300).map(|_| gateway.client()).collect();
    for client in &mut crowd {
        assert_eq!(client.response().status, 503);
    }
    for client in &mut inside {
        assert_eq!(client.get("/a").status, 200);
    }
    assert_eq!(gateway.admin_get("/healthz").status, 200);
    let failed = |line: &String| line.contains("no connection could be accepted");
    assert!(!gateway.log().iter().any(failed));
}

#[test]
fn a_head_over_the_limit_is_431() {
    let (gateway, upstream) = limited("{ head: 8KiB, fields: 20 }");
    let fill = |bytes: usize| {
        format!(
            "GET /a HTTP/1.1\r\nHost: gateway.test\r\nX-Fill: {}\r\n\r\n",
            "x".repeat(bytes)
        )
    };
    let mut client = gateway.client();
    client.send(fill(7_000));
    assert_eq!(client.response().status, 200);
    client.send(fill(9_000));
    assert_eq!(last_answer(&mut client), 431);
    let fields = |count: usize| {
        let lines: String = (0..count).map(|n| format!("X-{n}: v\r\n")).collect();
        format!("GET /a HTTP/1.1\r\n{lines}Host: gateway.test\r\n\r\n")
    };
    let mut client = gateway.client();
    client.send(fields(19));
    assert_eq!(client.response().status, 200);
    client.send(fields(20));
    assert_eq!(last_answer(&mut client), 431);
    assert_eq!(upstream.calls(), 2);
}

#[test]
fn a_head_may_be_as_large_as_the_file_says() {
    let (gateway, upstream) = limited("{ head: 1MiB }");
    let mut client = gateway.client();
    let fill = "x".repeat(900_000);
    client.send(format!(
        "GET /a HTTP/1.1\r\nHost: gateway.test\r\nX-Fill: {fill}\r\n\r\n"
    ));
    assert_eq!(client.response().status, 200);
    assert_eq!(
        upstream.last().fields.get("x-fill").map(str::len),
        Some(fill.len())
    );
}

#[test]
fn a_head_that_never_ends_is_431_before_it_fills_the_memory() {
    let (gateway, _upstream) = limited("{ head: 8KiB }");
    let mut client = gateway.client();
    let before = gateway.rss();
    client
        .wire
        .send("GET /a HTTP/1.1\r\nHost: gateway.test\r\nX-Fill: ")
        .ok();
    let block = vec![b'x'; 64 * 1024];
    // It is over after a few of these; the rest is not taken.
    for _ in 0..1_000 {
        if client.wire.send(&block).is_err() {
            break;
        }
    }
    let grown = gateway.rss().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
    if let Ok(Some(response)) = client.try_response_to("GET") {
        assert_eq!(response.status, 431);
    }
}

#[test]
fn a_target_over_the_limit_is_414() {
    let (gateway, upstream) = limited("{ head: 128KiB }");
    let mut client = gateway.client();
    client.send(format!(
        "GET /{} HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "x".repeat(60_000)
    ));
    assert_eq!(client.response().status, 200);
    client.send(format!(
        "GET /{} HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "x".repeat(70_000)
    ));
    assert_eq!(last_answer(&mut client), 414);
    assert_eq!(upstream.calls(), 1);
}

#[test]
fn a_head_that_comes_too_slowly_is_408() {
    let (gateway, upstream) = limited("{ head_timeout: 600ms }");
    let start = Instant::now();
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n");
    assert_eq!(last_answer(&mut client), 408);
    assert!(
        start.elapsed() >= Duration::from_millis(550),
        "{:?}",
        start.elapsed()
    );
    // A byte now and then does not make it faster.
    let mut client = gateway.client();
    let start = Instant::now();
    for byte in "GET /a HTTP/1.1\r\nHost: gateway.test\r\nX-Slow: 1234567890".bytes() {
        if client.wire.send([byte]).is_err() || start.elapsed() > Duration::from_secs(10) {
            break;
        }
        client.wire.socket().set_nonblocking(true).unwrap();
        let answered = client.wire.socket().peek(&mut [0]).is_ok();
        client.wire.socket().set_nonblocking(false).unwrap();
        if answered {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.response().status, 408);
    assert_eq!(upstream.calls(), 0);
    let mut client = gateway.client();
    assert_eq!(client.get("/a").status, 200);
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(
        client.get("/a").status,
        200,
        "an idle connection has another limit"
    );
    client.send("GET /a HT");
    assert_eq!(
        last_answer(&mut client),
        408,
        "and the next head has this one"
    );
}

#[test]
fn a_connection_without_a_first_byte_is_closed() {
    let (gateway, _upstream) = limited("{ first_byte: 500ms, keep_alive: 60s }");
    let start = Instant::now();
    let mut silent = gateway.client();
    let mut busy = gateway.client();
    assert_eq!(busy.get("/a").status, 200);
    assert_eq!(
        silent.ended(),
        (Vec::new(), Ending::Closed),
        "there is nobody to answer"
    );
    assert!(
        start.elapsed() >= Duration::from_millis(450),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(busy.get("/a").status, 200);
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let gate = Gate::default();
    let inner = gate.clone();
    let upstream = Upstream::start(move |call| {
        if call.seen.target == "/slow" {
            inner.pass();
        }
        call.respond(200, "fine");
    });
    let yaml = orders(&upstream, "{}") + "limits: { keep_alive: 500ms }\n";
    let gateway = Gateway::run(yaml);
    let mut busy = gateway.client();
    busy.send("GET /slow HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    let mut idle = gateway.client();
    assert_eq!(idle.get("/a").status, 200);
    let start = Instant::now();
    assert_eq!(idle.ended(), (Vec::new(), Ending::Closed));
    assert!(
        start.elapsed() >= Duration::from_millis(450),
        "{:?}",
        start.elapsed()
    );
    gate.open();
    assert_eq!(
        busy.response().status,
        200,
        "it waited for the upstream, not the client"
    );
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let upstream = Upstream::start(|call| {
        let block = vec![b'x'; 1 << 20];
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while call.send(&block) {}
    });
    let breaker = "{ trip: { consecutive_failures: 1 } }";
    let gateway = Gateway::run(orders(&upstream, breaker) + "limits: { keep_alive: 500ms }\n");
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    eventually("the upstream is let go", || {
        upstream.calls() == 1 && upstream.in_flight() == 0
    });
    assert_eq!(
        gateway.outcomes("orders"),
        (0, 0, 1),
        "that is the client's fault"
    );
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn an_upload_that_comes_too_slowly_is_408() {
    let (gateway, upstream) = limited("{ body_rate: 1KiB/s }");
    let mut client = gateway.client();
    let start = Instant::now();
    client.send("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100000\r\n\r\nbegin");
    assert_eq!(last_answer(&mut client), 408);
    // The rate is measured after the first ten seconds.
    assert!(
        start.elapsed() >= Duration::from_secs(9),
        "{:?}",
        start.elapsed()
    );
    eventually("the upstream is let go", || upstream.in_flight() == 0);
    assert_eq!(gateway.outcomes("orders"), (0, 0, 1));
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn an_upload_over_the_limit_is_413() {
    let (gateway, upstream) = limited("{ request_body: 64KiB }");
    let body = "x".repeat(64 * 1024);
    assert_eq!(
        gateway.client().post("/a", &body).status,
        200,
        "up to the limit"
    );
    let mut client = gateway.client();
    client.send(format!(
        "POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {}\r\n\r\n{body}x",
        body.len() + 1
    ));
    assert_eq!(last_answer(&mut client), 413);
    assert_eq!(upstream.calls(), 1, "its length was enough to know");
    let mut client = gateway.client();
    client.send(format!(
        "POST /a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n1\r\nx\r\n0\r\n\r\n",
        body.len()
    ));
    assert_eq!(last_answer(&mut client), 413);
    eventually("the upstream is let go", || upstream.in_flight() == 0);
    assert_eq!(gateway.count("orders", "failure"), 0);
}

#[test]
fn a_large_upload_that_is_refused_gets_its_answer() {
    let (gateway, _upstream) = limited("{ request_body: 64KiB }");
    let mut client = gateway.client();
    client.send("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 900000\r\n\r\n");
    client.wire.send(vec![b'x'; 900_000]).ok();
    assert_eq!(last_answer(&mut client), 413);
}

#[test]
fn an_upload_that_goes_on_after_its_answer_keeps_the_connection_busy() {
    let (sender, received) = std::sync::mpsc::channel();
    let upstream = Upstream::start(move |call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        sender.send(call.body().len()).unwrap();
    });
    let limits = "limits: { head_timeout: 500ms, keep_alive: 500ms }\n";
    let gateway = Gateway::run(orders(&upstream, "{}") + limits);
    let mut client = gateway.client();
    client.send("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 15\r\n\r\n");
    assert_eq!(client.response().text(), "early");
    for _ in 0..15 {
        client.send("x");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(received.recv_timeout(crate::support::PATIENCE).unwrap(), 15);
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    assert_eq!(
        client.ended(),
        (Vec::new(), Ending::Closed),
        "idle from here on"
    );
}

#[test]
fn a_tunnel_counts_as_a_connection_until_it_ends() {
    let upstream = Upstream::start(|call| {
        if !call.seen.fields.has("upgrade") {
            return call.respond(200, "fine");
        }
        call.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n",
        );
        call.hang();
    });
    let gateway = Gateway::run(orders(&upstream, "{}") + "limits: { connections: 1 }\n");
    let mut tunnel = gateway.client();
    tunnel.send(
        "GET /a HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n",
    );
    assert_eq!(tunnel.head().status, 101);
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(gateway.metric("fusebox_connections"), Some(1.0));
    drop(tunnel);
    eventually("its seat is free", || gateway.get("/a").status == 200);
}
