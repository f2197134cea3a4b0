//! An upgraded connection is a tunnel for bytes; nothing becomes one that both sides did not ask for.

use std::io::ErrorKind;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Call, Client, Ending, Gateway, Upstream, eventually, orders, orders_at};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Agrees to a tunnel in which every byte comes back.
fn echo(call: &mut Call) {
    if !call.seen.fields.has("upgrade") {
        return call.respond(200, "no tunnel");
    }
    call.send(AGREE);
    while let Ok(bytes) = call.wire().read_some() {
        if bytes.is_empty() || !call.send(bytes) {
            break;
        }
    }
    call.close();
}

#[track_caller]
fn tunnel(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(ASK);
    assert_eq!(client.head().status, 101);
    client
}

#[test]
fn a_websocket_flows_both_ways() {
    let upstream = Upstream::start(echo);
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send(ASK);
    let head = client.head();
    assert_eq!(head.status, 101);
    assert_eq!(head.fields.get("upgrade"), Some("websocket"));
    assert_eq!(
        head.fields
            .get("connection")
            .map(str::to_lowercase)
            .as_deref(),
        Some("upgrade")
    );
    assert_eq!(
        head.fields.get("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    let asked = upstream.last().fields;
    assert_eq!(asked.get("upgrade"), Some("websocket"));
    assert_eq!(
        asked.get("connection").map(str::to_lowercase).as_deref(),
        Some("upgrade")
    );
    assert_eq!(
        asked.get("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
    for size in [1, 125, 70_000] {
        let bytes = vec![0xff; size];
        client.send(&bytes);
        assert_eq!(client.wire.read_exactly(size).unwrap(), bytes);
    }
    client.wire.finish();
    assert_eq!(client.ended(), (Vec::new(), Ending::Closed));
    eventually("the upstream's end is closed too", || upstream.open() == 0);
    assert_eq!(
        gateway.outcomes("orders"),
        (1, 0, 0),
        "the 101 was the success"
    );
}

#[test]
fn the_upstream_may_end_the_tunnel() {
    let upstream = Upstream::start(|call| {
        call.send(AGREE);
        call.send("bye");
        call.close();
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = tunnel(&gateway);
    assert_eq!(client.ended().0, b"bye");
}

#[test]
fn bytes_behind_the_head_wait_for_the_101() {
    let (sender, receiver) = mpsc::channel();
    let upstream = Upstream::start(move |call| {
        // Were they passed on at once, they would be here by now.
        call.wire()
            .socket()
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let early = call.wire().read_some();
        call.wire()
            .socket()
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        call.send(AGREE);
        let after = call.wire().read_exactly(5);
        sender
            .send((early.map_err(|error| error.kind()), after.unwrap()))
            .unwrap();
        call.close();
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send(format!("{ASK}early"));
    assert_eq!(client.head().status, 101);
    let (before, after) = receiver.recv_timeout(crate::support::PATIENCE).unwrap();
    assert!(
        matches!(before, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "{before:?}"
    );
    assert_eq!(after, b"early");
}

#[test]
fn a_refused_upgrade_is_an_answer_like_any_other() {
    let upstream = Upstream::start(|call| call.respond(403, "not you"));
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send(format!(
        "{ASK}GET /next HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
    ));
    assert_eq!(client.response().text(), "not you");
    assert_eq!(client.response().status, 403);
    let targets: Vec<_> = upstream
        .seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(
        targets,
        ["/chat", "/next"],
        "read as a request, by the same rules"
    );
    assert_eq!(gateway.outcomes("orders"), (2, 0, 0));
}

#[test]
fn an_open_breaker_refuses_an_upgrade_and_a_101_closes_it() {
    let upstream = Upstream::start(|call| match call.seen.fields.has("x-bad") {
        true => call.respond(500, ""),
        false => echo(call),
    });
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 500ms }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    assert_eq!(
        gateway
            .client()
            .request("GET", "/a", "X-Bad: 1\r\n", "")
            .status,
        500
    );
    let mut client = gateway.client();
    client.send(ASK);
    let refusal = client.response();
    assert_eq!(refusal.status, 503);
    assert!(refusal.fields.has("fusebox-reason") && !refusal.fields.has("upgrade"));
    eventually("the cooldown ends", || {
        gateway.state("orders") == "half_open"
    });
    let mut client = tunnel(&gateway);
    assert_eq!(gateway.state("orders"), "closed");
    client.send("x");
    assert_eq!(client.wire.read_exactly(1).unwrap(), b"x");
}

#[test]
fn h2c_is_never_passed_on() {
    let upstream = Upstream::start(echo);
    let gateway = Gateway::run(orders(&upstream, "{}"));
    for protocol in ["h2c", "H2C", "websocket, h2c", "h2c, websocket", "h2c/1"] {
        let mut client = gateway.client();
        client.send(format!(
            "GET /a HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "no tunnel"),
            "{protocol}"
        );
        let seen = upstream.last().fields;
        assert!(!seen.has("upgrade") && !seen.has("http2-settings") && !seen.has("connection"));
    }
}

#[test]
fn an_upgrade_that_connection_does_not_name_is_none() {
    let upstream = Upstream::start(echo);
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.response().text(), "no tunnel");
    client.send("GET /a HTTP/1.0\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.response().text(), "no tunnel");
}

/// An upstream that answers so fails, and the client gets 502 and no tunnel.
#[track_caller]
fn refused(ask: &str, answer: &'static str) {
    let upstream = Upstream::start(move |call| {
        call.send(answer);
        call.hang();
    });
    let gateway = Gateway::run(orders(&upstream, "{ trip: { consecutive_failures: 2 } }"));
    let mut client = gateway.client();
    client.send(ask);
    let response = client.response();
    assert_eq!(response.status, 502, "{answer:?}");
    assert_eq!(response.json()["reason"], "protocol");
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
}

#[test]
fn a_101_that_nobody_asked_for_is_a_failure() {
    refused("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n", AGREE);
}

#[test]
fn a_101_to_another_protocol_than_the_one_asked_for_is_a_failure() {
    refused(
        ASK,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    );
    refused(
        ASK,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
    );
}

#[test]
fn a_silent_tunnel_is_closed_and_a_busy_one_is_not() {
    let upstream = Upstream::start(echo);
    let yaml = orders(&upstream, "{}") + "limits: { upgrade_idle: 700ms }\n";
    let gateway = Gateway::run(yaml);
    let mut client = tunnel(&gateway);
    for _ in 0..15 {
        client.send("x");
        assert_eq!(client.wire.read_exactly(1).unwrap(), b"x");
        std::thread::sleep(Duration::from_millis(100));
    }
    let start = std::time::Instant::now();
    assert!(client.ended().0.is_empty());
    assert!(
        start.elapsed() >= Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    eventually("the upstream's end is closed too", || upstream.open() == 0);
}

#[test]
fn a_client_that_leaves_before_the_101_counts_as_nothing() {
    let upstream = Upstream::start(|call| {
        call.hang();
    });
    let gateway = Gateway::run(orders_at(
        &upstream.url(),
        "{ trip: { consecutive_failures: 1 } }",
    ));
    let mut client = gateway.client();
    client.send(ASK);
    eventually("it is at the upstream", || upstream.in_flight() == 1);
    client.wire.reset();
    eventually("it is given up", || gateway.outcomes("orders") == (0, 0, 1));
    assert_eq!(gateway.state("orders"), "closed");
}
