//! Whoever reaches the admin port without meaning well: odd requests, endless ones, and names that are meant for a
//! terminal.

use crate::support::{Client, Dial, Gateway, Program, Upstream, orders};
use serde_json::Value;

fn gateway(breaker: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(orders(&upstream, breaker));
    (gateway, upstream)
}

/// Sends bytes on a connection of their own; the status of the answer, where there is one.
fn sent(gateway: &Gateway, bytes: &str) -> Option<u16> {
    let mut client = gateway.admin();
    client.wire.send(bytes).ok()?;
    client.wire.finish();
    let answer = client.try_response_to("GET").ok()?;
    answer.map(|answer| answer.status)
}

#[track_caller]
fn is_unmoved(gateway: &Gateway) {
    let breaker = gateway.breaker("orders");
    assert_eq!(
        (&breaker["hold"], &breaker["state"]),
        (&Value::Null, &"closed".into())
    );
    assert_eq!(gateway.admin_get("/healthz").status, 200);
}

#[test]
fn odd_targets_and_methods_move_nothing() {
    let (gateway, _upstream) = gateway("{}");
    let open = "/api/v1/breakers/orders/open";
    let ask = |line: &str| {
        sent(
            &gateway,
            &format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"),
        )
    };
    for line in [
        format!("GET {open}"),
        format!("HEAD {open}"),
        format!("PUT {open}"),
        format!("PATCH {open}"),
        format!("TRACE {open}"),
        format!("OPTIONS {open}"),
        format!("post {open}"),
        format!("POST /{open}"),
        format!("POST {open}/"),
        "POST /api/v1/breakers/x/../orders/open".into(),
        "POST /api/v1/breakers/x/%2e%2e/orders/open".into(),
        "POST /api/v1/breakers/orders%2Fopen".into(),
        "POST /api/v1/breakers/orders/%6fpen%2f".into(),
        "POST /api/v1/breakers/orders%00/open".into(),
        "POST /api/v1/breakers/orders;a=b/open".into(),
        "POST /api/v1/breakers/orders%2F/open".into(),
        "POST /api/v1/breakers/ORDERS/open".into(),
        "POST /api/v1/breakers//open".into(),
        "POST /api/v1/breakers/%C0%AForders/open".into(),
        format!("POST /api/v1/breakers/{}/open", "a".repeat(9_000)),
        "OPTIONS *".into(),
        "GET *".into(),
        "CONNECT 127.0.0.1:80".into(),
        "PRI *".into(),
    ] {
        let status = ask(&line);
        let refused = status.is_none_or(|status| (400..500).contains(&status));
        assert!(refused, "{line}: {status:?}");
    }
    is_unmoved(&gateway);
    // These are requests like any other.
    let absolute = format!("GET http://{}/healthz", gateway.admin_addr());
    assert_eq!(ask(&absolute), Some(200));
    let head = gateway.admin().request("HEAD", "/api/v1/breakers", "", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn two_readings_of_one_request_are_none() {
    let (gateway, _upstream) = gateway("{}");
    let post =
        "POST /api/v1/breakers/orders/open HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
    let inner = "POST /api/v1/breakers/orders/open HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "Transfer-Encoding: gzip, chunked, gzip\r\n\r\n0\r\n\r\n",
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    ] {
        let status = sent(&gateway, &format!("{post}{fields}"));
        let refused = status.is_none_or(|status| (400..500).contains(&status));
        assert!(refused, "{fields:?}: {status:?}");
    }
    // What stands in a body is a body.
    let get = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n";
    let length = inner.len();
    let hidden = format!("{get}Content-Length: {length}\r\n\r\n{inner}");
    assert_eq!(sent(&gateway, &hidden), Some(200));
    is_unmoved(&gateway);
}

#[test]
fn requests_one_behind_the_other_are_answered_in_their_order() {
    let (gateway, _upstream) = gateway("{}");
    let mut client = gateway.admin();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let paths = ["/healthz", "/nowhere", "/api/v1/breakers"];
    let all: String = paths
        .iter()
        .cycle()
        .take(90)
        .map(|it| request(it))
        .collect();
    client.send(all);
    for _ in 0..30 {
        for status in [200, 404, 200] {
            assert_eq!(client.response().status, status);
        }
    }
}

#[test]
fn a_body_without_end_is_cut_and_not_kept() {
    let (gateway, _upstream) = gateway("{}");
    let before = gateway.rss();
    let head = "POST /api/v1/breakers/orders/open HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let mut clients: Vec<_> = (0..8).map(|_| Client::to(gateway.admin_addr())).collect();
    for client in &mut clients {
        client.send(head);
        // 16 MiB, of which it takes 16 KiB.
        for _ in 0..256 {
            if client.wire.send(&chunk).is_err() {
                break;
            }
        }
        if let Ok(Some(response)) = client.try_response_to("POST") {
            assert_eq!(response.status, 413);
        }
    }
    is_unmoved(&gateway);
    let grown = gateway.rss_most().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
}

#[test]
fn a_name_that_a_client_chose_does_not_steer_the_operators_terminal() {
    let (gateway, _upstream) = gateway("{ key: \"{header.x-tenant}\", max_keys: 9 }");
    // CSI as one character, and one that turns the rest of the line around.
    let name = "a\u{9b}2J\u{202e}b";
    let lines = format!("X-Tenant: {name}\r\n");
    assert_eq!(
        gateway.client().request("GET", "/a", &lines, "").status,
        200
    );
    let admin = format!("http://{}", gateway.admin_addr());
    let run = |args: &[&str]| Program::new().run([args, &["--admin", &admin]].concat());
    // A key's control characters are written out, the rest is for whoever shows it to escape.
    let full = "orders/a%C2%9B2J\u{202e}b";
    let ls = run(&["breakers", "ls"]).stdout;
    let show = run(&["breakers", "show", full]).stdout;
    let unknown = run(&["breakers", "show", "orders/none"]).stderr;
    for shown in [ls, show, unknown] {
        assert!(shown.contains(r"orders/a%C2%9B2J\u{202e}b"), "{shown:?}");
        assert!(!shown.contains(['\u{9b}', '\u{202e}']), "{shown:?}");
    }
}
