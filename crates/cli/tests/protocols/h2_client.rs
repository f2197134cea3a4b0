//! HTTP/2 towards upstreams: connections, streams and their ends.

use super::h2_peer::Peer;
use crate::support::{Client, Gateway, Setup, Upstream, eventually, until};

/// A gateway before `url` with those lines at the upstream.
fn gateway(url: &str, lines: &str) -> Gateway {
    setup(url, lines).start()
}

fn setup(url: &str, lines: &str) -> Setup {
    let lines: Vec<_> = lines.lines().map(|line| format!("    {line}\n")).collect();
    Setup::new(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {url}
{}
    breaker: {{ trip: {{ consecutive_failures: 100 }} }}
routes:
  - path: \"/{{*rest}}\"
    upstream: orders
",
        lines.concat()
    ))
    .workers(1)
}

/// Sends requests to those paths at once, each on a connection of its own; returns the clients.
fn begin(gateway: &Gateway, paths: &[&str]) -> Vec<Client> {
    let asking = paths.iter().map(|path| {
        let mut client = gateway.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client
    });
    asking.collect()
}

#[test]
fn the_authority_is_the_clients_where_it_is_preserved_or_the_name_that_the_file_gives() {
    let peer = Peer::start(&[]);
    for (keys, authority) in [
        ("http: 2\nhost: preserve", "Shop.test:81"),
        ("http: 2\nhost: orders.test:8443", "orders.test:8443"),
    ] {
        let gateway = gateway(&peer.url(), keys);
        let mut client = gateway.client();
        client.host = "Shop.test:81".into();
        let shown = client.request("GET", "/echo", "", "").json();
        let fields = shown["fields"].as_array().unwrap();
        let all = |name: &str| {
            let named = fields.iter().filter(|field| field[0] == name);
            named.map(|field| field[1].clone()).collect::<Vec<_>>()
        };
        assert_eq!(all(":authority"), [authority], "{keys}");
        assert_eq!(all("x-forwarded-host"), ["Shop.test:81"], "{keys}");
        assert!(all("host").is_empty(), "{keys}");
    }
}

#[test]
fn a_request_arrives_in_the_form_of_http2() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut client = gateway.client();
    client.send(
        "POST /echo?q=<1> HTTP/1.1\r\nHost: orders.test\r\nConnection: te, x-hop\r\nx-hop: 1\r\nTE: trailers\r\n\
         Transfer-Encoding: chunked\r\nCookie: a=1\r\nTrailer: x-t\r\n\r\n3\r\nabc\r\n0\r\nx-t: 9\r\n\r\n",
    );
    let response = client.response_to("POST");
    assert_eq!(response.status, 200, "{}", response.text());
    let shown = response.json();
    let fields = shown["fields"].as_array().unwrap();
    let field = |name: &str| {
        let found = fields.iter().find(|field| field[0] == name);
        found.map(|field| field[1].as_str().unwrap().to_owned())
    };
    assert_eq!(field(":method").as_deref(), Some("POST"));
    assert_eq!(field(":scheme").as_deref(), Some("http"));
    assert_eq!(field(":path").as_deref(), Some("/echo?q=%3C1%3E"));
    let authority = format!("127.0.0.1:{}", peer.port());
    assert_eq!(field(":authority"), Some(authority));
    assert_eq!(field("x-forwarded-host").as_deref(), Some("orders.test"));
    assert_eq!(field("te").as_deref(), Some("trailers"));
    assert_eq!(field("cookie").as_deref(), Some("a=1"));
    for absent in ["host", "connection", "transfer-encoding", "x-hop", "expect"] {
        assert_eq!(field(absent), None, "{absent}");
    }
    assert_eq!(shown["body"], "abc");
    assert_eq!(shown["trailers"], serde_json::json!([["x-t", "9"]]));
}

#[test]
fn an_answers_trailers_arrive() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut client = gateway.client();
    client.send("GET /trailers HTTP/1.1\r\nHost: a\r\nConnection: te\r\nTE: trailers\r\n\r\n");
    let response = client.response_to("GET");
    assert_eq!((response.status, response.text().as_str()), (200, "body"));
    assert_eq!(response.trailers.get("x-sum"), Some("7"));
}

#[test]
fn requests_that_come_while_a_connection_is_made_share_it() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut clients = begin(&gateway, &["/hold"; 20]);
    peer.sees("request", 20);
    assert_eq!(gateway.get("/release").status, 200);
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    peer.had_connections(1);
    assert_eq!(
        gateway.metric("fusebox_upstream_idle_connections{upstream=\"orders\"}"),
        Some(1.0)
    );
}

#[test]
fn a_connection_whose_streams_are_taken_gets_another_one_beside_it() {
    let peer = Peer::start(&["--streams", "2"]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut clients = begin(&gateway, &["/hold"; 5]);
    peer.sees("request", 5);
    peer.had_connections(3);
    assert_eq!(gateway.get("/release").status, 200);
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    // Streams that have ended leave room for others.
    let mut clients = begin(&gateway, &["/hold"; 5]);
    peer.sees("request", 11);
    assert_eq!(gateway.get("/release").status, 200);
    assert_eq!(
        clients.iter_mut().map(|it| it.response().status).max(),
        Some(200)
    );
    peer.had_connections(3);
    assert_eq!(gateway.outcomes("orders"), (12, 0, 0));
}

#[test]
fn a_client_that_leaves_ends_its_stream_alone() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2\nbulkhead: { concurrent: 3 }");
    let mut clients = begin(&gateway, &["/hold", "/hold"]);
    peer.sees("request", 2);
    clients.remove(0).wire.reset();
    // CANCEL.
    until("the stream is reset", || {
        peer.seen("reset 1 ")
            .first()
            .filter(|line| line.ends_with(" 8"))
            .cloned()
    });
    assert_eq!(gateway.get("/release").status, 200);
    assert_eq!(clients[0].response().status, 200);
    peer.had_connections(1);
    eventually("the call is ignored", || {
        gateway.outcomes("orders") == (2, 0, 1)
    });
    eventually("its place is free", || {
        gateway.metric("fusebox_bulkhead_in_flight{upstream=\"orders\"}") == Some(0.0)
    });
}

#[test]
fn a_client_that_leaves_within_its_upload_resets_the_stream() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    for (path, requests) in [("/ok", 1), ("/head-early", 2)] {
        let mut client = gateway.client();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
        ));
        peer.sees("request", requests);
        if path == "/head-early" {
            assert_eq!(client.head().status, 200);
        }
        client.wire.close();
        peer.sees("reset", requests);
    }
    assert!(
        peer.seen("reset").iter().all(|line| line.ends_with(" 8")),
        "{:?}",
        peer.seen("reset")
    );
    assert_eq!(gateway.get("/ok").status, 200);
    peer.had_connections(1);
    eventually("both are ignored", || {
        gateway.outcomes("orders") == (1, 0, 2)
    });
}

#[test]
fn a_client_that_leaves_within_its_answer_resets_the_stream() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut client = gateway.client();
    client.send("GET /body-hang HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    client.wire.reset();
    peer.sees("reset 1 1 8", 1);
    assert_eq!(gateway.get("/ok").status, 200);
    peer.had_connections(1);
    eventually("the call is ignored", || {
        gateway.outcomes("orders") == (1, 0, 1)
    });
}

#[test]
fn a_reload_sends_new_requests_over_a_new_connection() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut held = begin(&gateway, &["/hold"]);
    peer.sees("request", 1);
    gateway.sighup();
    gateway.log_line(|line| {
        line["message"]
            .as_str()
            .is_some_and(|it| it.contains("reload"))
    });
    assert_eq!(gateway.get("/release").status, 200);
    assert_eq!(held[0].response().status, 200);
    peer.sees("closed 1", 1);
    peer.had_connections(2);
}

#[test]
fn a_refused_stream_goes_again_without_a_word() {
    let peer = Peer::start(&[]);
    let gateway = gateway(
        &peer.url(),
        "http: 2\nretry: { attempts: 2, budget: { ratio: 1%, min: 1 } }",
    );
    let before = gateway.metric("fusebox_retry_budget_ratio{upstream=\"orders\"}");
    let mut client = gateway.client();
    assert_eq!(client.get("/refuse-once/a").status, 200);
    assert_eq!(client.post("/refuse-once/b", "body").status, 200);
    assert_eq!(client.post("/refuse-late-once", "body").status, 200);
    assert_eq!(client.get("/goaway-above/a").status, 200);
    assert_eq!(client.post("/goaway-above/b", "body").status, 200);
    assert_eq!(gateway.outcomes("orders"), (5, 0, 0));
    let budget = gateway.metric("fusebox_retry_budget_ratio{upstream=\"orders\"}");
    assert!(budget >= before, "{budget:?} {before:?}");
    // Each went once more on its own, not as a retry.
    peer.sees("request", 10);
    assert_eq!(peer.seen("request").len(), 10);
}

#[test]
fn streams_below_a_goaways_last_one_are_answered_and_new_ones_go_elsewhere() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let response = gateway.get("/goaway-below");
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    assert_eq!(gateway.get("/ok").status, 200);
    peer.had_connections(2);
    assert_eq!(gateway.outcomes("orders"), (2, 0, 0));
}

#[test]
fn a_lost_connection_fails_each_of_its_streams() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut clients = begin(&gateway, &["/drop-three"; 3]);
    for client in &mut clients {
        let response = client.response();
        assert_eq!(
            (response.status, response.json()["reason"].as_str()),
            (502, Some("reset"))
        );
    }
    assert_eq!(gateway.outcomes("orders"), (0, 3, 0));
    assert_eq!(
        gateway.metric("fusebox_upstream_errors_total{upstream=\"orders\",kind=\"reset\"}"),
        Some(3.0)
    );
}

#[test]
fn an_upstream_that_speaks_no_http2_fails_before_a_request_is_sent() {
    let upstream = Upstream::start(|call| call.respond(200, "one"));
    let gateway = gateway(&upstream.url(), "http: 2\ntimeout: { connect: 1s }");
    let response = gateway.get("/");
    assert_eq!(response.status, 502, "{}", response.text());
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
    assert!(
        upstream.seen().iter().all(|seen| seen.target != "/"),
        "{:?}",
        upstream.calls()
    );
}

#[test]
fn another_protocol_is_refused_where_http2_is_spoken() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut client = gateway.client();
    let lines = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let response = client.request("GET", "/ok", lines, "");
    assert_eq!(response.status, 501);
    assert!(response.text().contains("HTTP/2"), "{}", response.text());
    assert_eq!(gateway.outcomes("orders").1, 0);
    assert_eq!(gateway.get("/ok").status, 200);
}

#[test]
fn an_offered_body_is_asked_for() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut client = gateway.client();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    );
    assert_eq!(client.head().status, 100);
    client.send("abc");
    let response = client.response_to("POST");
    assert_eq!(response.json()["body"], "abc");
}

#[test]
fn connections_are_closed_when_they_are_idle_or_old() {
    let peer = Peer::start(&[]);
    let gateway = gateway(
        &peer.url(),
        "http: 2\npool: { idle_timeout: 300ms, max_age: 1h }",
    );
    assert_eq!(gateway.get("/ok").status, 200);
    peer.sees("closed 1", 1);
    let young = setup(&peer.url(), "http: 2\npool: { max_age: 300ms }").start();
    let mut held = begin(&young, &["/hold"]);
    peer.sees("request", 2);
    until("a new stream has a new connection", || {
        assert_eq!(young.get("/ok").status, 200);
        (peer.seen("connection").len() > 2).then_some(())
    });
    assert!(peer.seen("closed 2").is_empty(), "it still has a stream");
    assert_eq!(young.get("/release").status, 200);
    assert_eq!(held[0].response().status, 200);
    peer.sees("closed 2", 1);
}

#[test]
fn checks_of_health_speak_http2_on_connections_of_their_own() {
    let peer = Peer::start(&[]);
    let gateway = gateway(
        &peer.url(),
        "http: 2\nhealth: { path: /healthz, interval: 100ms, rise: 1 }",
    );
    peer.sees("request", 2);
    assert!(peer.seen("request")[0].ends_with(" 1 /healthz"));
    eventually("it is healthy", || {
        let shown = gateway.admin_get("/api/v1/upstreams").json();
        shown["upstreams"][0]["endpoints"][0]["health"] == "healthy"
    });
    peer.sees("connection", 2);
}

#[test]
fn a_hedge_that_loses_ends_its_stream() {
    let (slow, quick) = (Peer::start(&[]), Peer::start(&[]));
    let gateway = Setup::new(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    endpoints: [{{ url: {}/hang }}, {{ url: {} }}]
    http: 2
    hedge: {{ after: 50ms }}
    breaker: {{}}
routes:
  - path: \"/{{*rest}}\"
    upstream: orders
",
        slow.url(),
        quick.url()
    ))
    .workers(1)
    .start();
    for _ in 0..2 {
        assert_eq!(gateway.get("/ok").status, 200);
    }
    slow.sees("reset 1 ", 1);
    slow.had_connections(1);
    assert_eq!(gateway.outcomes("orders"), (2, 0, 0));
}

#[test]
fn a_client_that_does_not_read_stalls_nobody_else() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer.url(), "http: 2");
    let mut slow = gateway.client();
    slow.wire.keep_little();
    slow.send("GET /large/100000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(slow.head().status, 200);
    for _ in 0..3 {
        assert_eq!(gateway.get("/ok").status, 200);
    }
    peer.had_connections(1);
}
