//! Which connections to an upstream are used again, and that their end is not the service's failure.

use std::time::Duration;

use crate::support::{Call, Dial, Gateway, Setup, Upstream, eventually, orders};

const TOUCHY: &str = "{ trip: { consecutive_failures: 1 }, cooldown: 60s }";

/// One worker, whose connections can be counted.
fn alone(yaml: String) -> Gateway {
    Setup::new(yaml).workers(1).start()
}

/// With a line of settings before the breaker's.
fn with(upstream: &Upstream, line: &str) -> Gateway {
    let breaker = format!("    {line}\n    breaker:");
    alone(orders(upstream, TOUCHY).replace("    breaker:", &breaker))
}

#[test]
fn a_connection_is_used_again_after_every_whole_answer() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n",
        "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-t: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTrailer: x-t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
    ];
    for answer in answers {
        let upstream = Upstream::start(move |call| {
            call.body();
            call.send(answer);
        });
        let yaml = orders(&upstream, "{ trip: { consecutive_failures: 1000 } }");
        let gateway = alone(yaml);
        let mut client = gateway.client();
        for _ in 0..10 {
            let mut response = client.request("GET", "/a", "TE: trailers\r\n", "");
            while response.status < 200 {
                response = client.response();
            }
        }
        assert_eq!(upstream.connections(), 1, "{answer}");
        let (good, bad, ignored) = gateway.outcomes("orders");
        assert_eq!((good + bad, ignored), (10, 0), "{answer}");
    }
}

#[test]
fn failures_that_end_in_trailers_trip_and_a_success_that_does_closes() {
    let status = Dial::at(500);
    let inner = status.clone();
    let upstream = Upstream::start(move |call| {
        call.body();
        call.send(format!(
            "HTTP/1.1 {} Status\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-t: 1\r\n\r\n",
            inner.get()
        ));
    });
    let gateway = alone(orders(
        &upstream,
        "{ trip: { consecutive_failures: 5 }, cooldown: 300ms }",
    ));
    for round in 1..=20 {
        let expected = if round <= 5 { 500 } else { 503 };
        assert_eq!(gateway.get("/a").status, expected, "round {round}");
        if round == 5 {
            assert_eq!(gateway.state("orders"), "open");
        }
        if round > 5 {
            break;
        }
    }
    status.set(200);
    eventually("the cooldown ends", || {
        gateway.state("orders") == "half_open"
    });
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.state("orders"), "closed");
}

/// An upstream whose kept connections end when the second request comes on them, as those do that it
/// has just given up.
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
        if count > 1 {
            call.close();
        } else {
            call.respond(200, "first");
        }
    })
}

#[test]
fn the_end_of_an_idle_connection_is_no_failure_whatever_the_method() {
    for (method, status, outcomes) in [
        ("GET", 200, (2, 0, 0)),
        ("DELETE", 200, (2, 0, 0)),
        ("POST", 502, (1, 0, 1)),
        ("PATCH", 502, (1, 0, 1)),
    ] {
        let upstream = forgetful();
        let gateway = with(&upstream, "timeout: { request: 5s }");
        let mut client = gateway.client();
        assert_eq!(client.get("/warm").status, 200);
        // Within the moment in which any request may use a kept connection.
        let response = client.request(method, "/a", "", "");
        if upstream.connections() == 1 || status == 200 {
            assert_eq!(response.status, status, "{method}");
            assert_eq!(gateway.outcomes("orders"), outcomes, "{method}");
        } else {
            // The machine took longer than a moment.
            assert_eq!(response.status, 200, "{method}");
        }
        assert_eq!(gateway.state("orders"), "closed");
    }
}

#[test]
fn a_small_body_that_is_kept_goes_again_on_another_connection_whatever_the_method() {
    for (method, lines) in [
        ("GET", "Content-Length: 4\r\n"),
        ("OPTIONS", "Content-Length: 4\r\n"),
        ("DELETE", "Content-Length: 4\r\n"),
        ("PUT", "Content-Length: 4\r\n"),
    ] {
        let upstream = forgetful();
        let gateway = with(&upstream, "retry: { attempts: 2 }");
        let mut client = gateway.client();
        assert_eq!(client.get("/warm").status, 200);
        let host = client.host.clone();
        client.send(format!(
            "{method} /a HTTP/1.1\r\nHost: {host}\r\n{lines}\r\nbody"
        ));
        assert_eq!(client.response().status, 200, "{method}");
        assert_eq!(gateway.outcomes("orders"), (2, 0, 0), "{method}");
    }
}

#[test]
fn a_body_that_its_client_still_holds_back_goes_on_another_connection() {
    let upstream = forgetful();
    let gateway = with(&upstream, "retry: { attempts: 2 }");
    let mut client = gateway.client();
    assert_eq!(client.get("/warm").status, 200);
    let host = client.host.clone();
    client.send(format!(
        "PUT /a HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    ));
    // The gateway asks for the body, or has waited for it long enough.
    client.send("body");
    let mut response = client.response();
    if response.status == 100 {
        response = client.response();
    }
    assert_eq!(response.status, 200);
    assert_eq!(gateway.outcomes("orders"), (2, 0, 0));
}

#[test]
fn a_request_that_must_not_be_repeated_has_a_fresh_connection_after_a_moment() {
    let upstream = forgetful();
    let gateway = with(&upstream, "timeout: { request: 5s }");
    let mut client = gateway.client();
    for connections in 1..=3 {
        assert_eq!(client.post("/a", "body").status, 200);
        assert_eq!(upstream.connections(), connections);
        // The program's own clock must pass the 100 ms in which an idle connection serves any request.
        std::thread::sleep(Duration::from_millis(150));
    }
}

#[test]
fn an_upstreams_keep_alive_is_undercut() {
    let upstream = Upstream::start(|call| {
        call.respond_with(200, "Keep-Alive: timeout=1\r\n", "kept");
    });
    let gateway = with(&upstream, "timeout: { request: 5s }");
    let mut client = gateway.client();
    assert_eq!(client.get("/a").status, 200);
    let response = client.get("/a");
    assert!(
        !response.fields.has("keep-alive"),
        "it is the upstream's own"
    );
    assert_eq!(upstream.connections(), 1);
    // The program's own clock must pass the time for which the connection is kept, and no event tells its end.
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(client.get("/a").status, 200);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn connections_grow_no_older_than_they_may() {
    let upstream = Upstream::start(|call| call.respond(200, "ok"));
    let gateway = with(&upstream, "pool: { max_age: 300ms }");
    let mut client = gateway.client();
    assert_eq!(client.get("/a").status, 200);
    assert_eq!(client.get("/a").status, 200);
    assert_eq!(upstream.connections(), 1);
    // Used all the time, it grows old all the same.
    for _ in 0..4 {
        // The connection grows old by the program's own clock; a longer pause does no harm.
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(client.get("/a").status, 200);
    }
    assert!(upstream.connections() > 1);
}

#[test]
fn a_reload_ends_idle_connections() {
    let upstream = Upstream::start(|call| call.respond(200, "ok"));
    let gateway = with(&upstream, "timeout: { request: 5s }");
    assert_eq!(gateway.get("/a").status, 200);
    eventually("the connection is idle", || upstream.open() == 1);
    gateway.sighup();
    eventually("it is closed", || upstream.open() == 0);
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn without_idle_connections_every_request_has_its_own() {
    let upstream = Upstream::start(|call| call.respond(200, "ok"));
    let gateway = with(&upstream, "pool: { idle: 0 }");
    let mut client = gateway.client();
    for count in 1..=3 {
        assert_eq!(client.get("/a").status, 200);
        assert_eq!(upstream.connections(), count);
    }
}

#[test]
fn bytes_that_nobody_asked_for_end_the_connection_and_are_counted() {
    let unasked = r#"fusebox_upstream_unasked_total{upstream="orders"}"#;
    let upstream = Upstream::start(|call| {
        call.body();
        let more = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL";
        call.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood{more}"
        ));
    });
    let gateway = with(&upstream, "timeout: { request: 5s }");
    let mut client = gateway.client();
    for count in 1..=5 {
        assert_eq!(client.get("/a").text(), "good");
        eventually("it is counted", || {
            gateway.metric(unasked) == Some(f64::from(count))
        });
    }
    assert_eq!(upstream.connections(), 5);
    assert_eq!(gateway.outcomes("orders"), (5, 0, 0));
}

#[test]
fn bytes_that_come_on_an_idle_connection_end_it_without_another_request() {
    let unasked = r#"fusebox_upstream_unasked_total{upstream="orders"}"#;
    let upstream = Upstream::start(|call| {
        call.body();
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
        // Behind the answer, so that it is found on the connection at rest; sooner, it is found behind the answer.
        std::thread::sleep(Duration::from_millis(50));
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
    });
    let gateway = with(&upstream, "timeout: { request: 5s }");
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "good");
    eventually("it is counted", || gateway.metric(unasked) == Some(1.0));
    eventually("it is closed", || upstream.open() == 0);
    assert_eq!(client.get("/a").text(), "good");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_body_where_none_belongs_is_the_last_thing_on_its_connection() {
    let upstream = Upstream::start(|call: &mut Call| {
        // It overlooks the body, as some do, and takes it for the next request.
        let last = call.seen.fields.get("connection") == Some("close");
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if last {
            call.wire().finish();
            call.hang();
        } else {
            call.wire();
        }
    });
    let gateway = with(&upstream, "timeout: { request: 5s }");
    let hidden = "GET /private HTTP/1.1\r\nHost: a\r\n\r\n";
    for method in ["GET", "DELETE", "OPTIONS"] {
        let mut client = gateway.client();
        for _ in 0..5 {
            assert_eq!(client.request(method, "/a", "", hidden).status, 200);
        }
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 15);
    assert!(seen.iter().all(|seen| seen.target == "/a"));
    assert_eq!(upstream.connections(), 15);
    assert_eq!(gateway.outcomes("orders"), (15, 0, 0));
}
