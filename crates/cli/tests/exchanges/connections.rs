//! Connections are kept on both sides, used for one thing at a time, and replaced when they die.

use crate::support::{Gate, Gateway, Setup, Upstream, eventually, orders};

/// One worker, so that there is one pool to count.
fn alone(upstream: &Upstream) -> Gateway {
    Setup::new(orders(upstream, "{}")).workers(1).start()
}

fn echo() -> Upstream {
    Upstream::start(|call| {
        let body = call.text();
        let answer = format!("{} {}", call.seen.target, body);
        call.respond(200, &answer);
    })
}

#[test]
fn requests_share_a_connection_on_both_sides() {
    let upstream = echo();
    let gateway = alone(&upstream);
    let mut client = gateway.client();
    for number in 0..20 {
        let response = client.post(&format!("/{number}"), "body");
        assert_eq!(response.text(), format!("/{number} body"));
        assert!(!response.fields.has("connection"));
    }
    assert_eq!(
        gateway.get("/other").status,
        200,
        "another client uses it too"
    );
    assert_eq!((upstream.calls(), upstream.connections()), (21, 1));
}

#[test]
fn a_pool_that_keeps_none_uses_a_connection_for_each_request() {
    let upstream = echo();
    let file = orders(&upstream, "{}\n    pool: { idle: 0 }");
    let gateway = Setup::new(file).workers(1).start();
    let mut client = gateway.client();
    for number in 0..5 {
        assert_eq!(client.get(&format!("/{number}")).status, 200);
    }
    assert_eq!((upstream.calls(), upstream.connections()), (5, 5));
}

#[test]
fn requests_in_flight_have_a_connection_each() {
    let gate = Gate::default();
    let inner = gate.clone();
    let upstream = Upstream::start(move |call| {
        inner.pass();
        call.respond(200, "");
    });
    let gateway = alone(&upstream);
    let mut clients: Vec<_> = (0..5).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    }
    eventually("all are at the upstream", || gate.waiting() == 5);
    assert_eq!(upstream.connections(), 5);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    for client in &mut clients {
        assert_eq!(client.get("/b").status, 200);
    }
    assert_eq!(upstream.connections(), 5, "they are used again");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = echo();
    let gateway = alone(&upstream);
    let mut client = gateway.client();
    client.send(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let texts = [
        client.response().text(),
        client.response().text(),
        client.response().text(),
    ];
    assert_eq!(texts, ["/1 ", "/2 abc", "/3 "]);
}

#[test]
fn a_connection_that_either_side_wants_closed_is_closed() {
    let upstream = Upstream::start(|call| {
        let last = call.seen.target == "/last";
        call.respond_with(200, if last { "Connection: close\r\n" } else { "" }, "");
        if last {
            call.close();
        }
    });
    let gateway = alone(&upstream);
    let mut client = gateway.client();
    let response = client.get("/last");
    assert!(
        !response.fields.has("connection"),
        "that is between the gateway and the upstream"
    );
    assert_eq!(client.get("/a").status, 200);
    assert_eq!(upstream.connections(), 2);
    let response = client.request("GET", "/a", "Connection: close\r\n", "");
    assert_eq!(response.fields.get("connection"), Some("close"));
    assert!(client.ended().0.is_empty());
    assert!(!upstream.last().fields.has("connection"));
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(
        upstream.connections(),
        2,
        "the upstream's connection was not the client's"
    );
}

#[test]
fn clients_of_http_1_0_are_served() {
    let upstream = Upstream::start(|call| match call.seen.target.as_str() {
        "/stream" => {
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
        }
        _ => call.respond(200, "whole"),
    });
    let gateway = alone(&upstream);
    let mut client = gateway.client();
    client.send("GET /whole HTTP/1.0\r\nHost: gateway.test\r\n\r\n");
    let response = client.response();
    assert_eq!(response.text(), "whole");
    assert!(
        client.ended().0.is_empty(),
        "it is closed unless asked otherwise"
    );
    assert_eq!(upstream.last().version, "HTTP/1.1");
    let mut client = gateway.client();
    client.send("GET /stream HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert!(
        !response.fields.has("transfer-encoding"),
        "HTTP/1.0 has no chunks"
    );
    assert_eq!(response.text(), "abcdef");
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("GET /whole HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = client.response();
        assert_eq!(response.text(), "whole");
        assert_eq!(
            response
                .fields
                .get("connection")
                .map(str::to_lowercase)
                .as_deref(),
            Some("keep-alive")
        );
    }
}

/// An upstream that serves one request well, then closes its connection as soon as the next
/// request comes on it: to the gateway, a connection that died while it was idle.
fn dying() -> Upstream {
    Upstream::start(|call| {
        let first = call.seen.fields.get("x-warm").is_some();
        if first || call.seen.connection > 0 {
            let body = call.text();
            call.respond(200, &body);
        } else {
            call.close();
        }
    })
}

#[test]
fn a_get_on_a_connection_that_died_is_tried_once_more() {
    let upstream = dying();
    let gateway = alone(&upstream);
    let mut client = gateway.client();
    assert_eq!(client.request("GET", "/a", "X-Warm: 1\r\n", "").status, 200);
    assert_eq!(client.get("/b").status, 200);
    assert_eq!((upstream.calls(), upstream.connections()), (3, 2));
    assert_eq!(
        gateway.outcomes("orders"),
        (2, 0, 0),
        "one request, one outcome"
    );
}

#[test]
fn a_get_that_fails_on_a_new_connection_too_has_failed() {
    let upstream = Upstream::start(|call| match call.seen.fields.has("x-warm") {
        true => call.respond(200, ""),
        false => call.close(),
    });
    let gateway = alone(&upstream);
    let mut client = gateway.client();
    assert_eq!(client.request("GET", "/a", "X-Warm: 1\r\n", "").status, 200);
    assert_eq!(client.get("/b").status, 502);
    assert_eq!(upstream.calls(), 3, "once more and no more");
    assert_eq!(gateway.outcomes("orders"), (1, 1, 0));
}

#[test]
fn a_post_is_never_sent_twice() {
    for body in ["", "body"] {
        let upstream = dying();
        let gateway = alone(&upstream);
        let mut client = gateway.client();
        assert_eq!(client.request("GET", "/a", "X-Warm: 1\r\n", "").status, 200);
        let response = client.post("/b", body);
        assert_eq!(response.status, 502, "{body:?}");
        assert_eq!(response.json()["reason"], "reset");
        let posts = upstream
            .seen()
            .iter()
            .filter(|seen| seen.method == "POST")
            .count();
        assert_eq!(posts, 1, "{body:?}");
        // The end of an idle connection is not the service's failure.
        assert_eq!(gateway.outcomes("orders"), (1, 0, 1));
    }
}

#[test]
fn connections_that_the_upstream_closed_are_not_used() {
    let upstream = echo();
    let gateway = alone(&upstream);
    let mut client = gateway.client();
    let idle = || gateway.metric(r#"fusebox_upstream_idle_connections{upstream="orders"}"#);
    for _ in 0..5 {
        // A POST would fail for good on a connection that is closed already.
        assert_eq!(client.post("/a", "body").status, 200);
        eventually("the connection is idle", || idle() == Some(1.0));
        upstream.cut_connections();
        eventually("the gateway has seen that it is closed", || {
            idle() == Some(0.0)
        });
    }
    assert_eq!(gateway.outcomes("orders"), (5, 0, 0));
}

#[test]
fn a_restarted_upstream_is_found_again() {
    let upstream = echo();
    let gateway = alone(&upstream);
    let addr = upstream.addr();
    let mut client = gateway.client();
    assert_eq!(client.get("/a").status, 200);
    upstream.stop();
    assert_eq!(client.get("/a").status, 502);
    let again = Upstream::at(addr, None, |call| call.respond(200, "new"));
    assert_eq!(client.get("/a").text(), "new");
    drop(again);
}

#[test]
fn bytes_behind_an_answer_are_never_the_next_answer() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let upstream = Upstream::start(move |call| match call.seen.target.as_str() {
        "/two" => {
            call.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none{evil}"
            ));
        }
        "/chunked" => {
            let one = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n";
            call.send(format!("{one}{evil}"));
        }
        "/head" => {
            call.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n{evil}"
            ));
        }
        "/empty" => {
            call.send(format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"));
        }
        _ => call.respond(200, "good"),
    });
    let gateway = alone(&upstream);
    let mut other = gateway.client();
    for round in 0..50 {
        for (method, path) in [
            ("GET", "/two"),
            ("GET", "/chunked"),
            ("HEAD", "/head"),
            ("GET", "/empty"),
        ] {
            gateway.client().request(method, path, "", "");
            assert_eq!(
                other.get("/good").text(),
                "good",
                "after {path}, round {round}"
            );
        }
    }
}

#[test]
fn an_upstream_that_promises_an_answer_for_ever_harms_nobody_else() {
    let upstream = Upstream::start(|call| match call.seen.target.as_str() {
        "/promise" => {
            let promises = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
            while call.send(&promises) {}
        }
        _ => call.respond(200, "fine"),
    });
    let yaml = orders(&upstream, "{}")
        .replace("    breaker:", "    timeout: { request: 1s }\n    breaker:");
    let gateway = Setup::new(yaml).workers(1).start();
    let mut waiting = gateway.client();
    waiting.send("GET /promise HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    eventually("the promises have begun", || upstream.calls() == 1);
    assert_eq!(gateway.get("/a").text(), "fine");
    let response = loop {
        let response = waiting.response();
        if response.status >= 200 {
            break response;
        }
    };
    assert_eq!(response.status, 502);
    assert_eq!(response.json()["reason"], "protocol");
    eventually("the upstream is let go", || upstream.in_flight() == 0);
}

#[test]
fn both_sides_may_be_ipv6() {
    let loopback = "[::1]:0".parse().unwrap();
    if std::net::TcpListener::bind(loopback).is_err() {
        // This machine has no IPv6.
        return;
    }
    let upstream = Upstream::at(loopback, None, |call| call.respond(200, "six"));
    let yaml = orders(&upstream, "{}").replace("listen: 127.0.0.1:0", "listen: \"[::1]:0\"");
    let gateway = Gateway::run(yaml);
    assert_eq!(gateway.get("/a").text(), "six");
    let seen = upstream.last().fields;
    assert_eq!(seen.get("x-forwarded-for"), Some("::1"));
    assert_eq!(seen.get("host"), Some(upstream.addr().to_string().as_str()));
    assert!(
        seen.get("forwarded").unwrap().starts_with("for=\"[::1]\";"),
        "{seen:?}"
    );
}
