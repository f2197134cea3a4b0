//! Every way an HTTP/2 upstream can end a stream, with the one outcome that its call has.

use super::h2_peer::Peer;
use crate::support::{Gateway, Setup, eventually};

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Success,
    Failure,
    Ignored,
}
use Right::{Failure, Ignored, Success};

/// One way: the path that names it, the status that its client sees, the outcome, and the kind of error that is counted.
struct End {
    path: &'static str,
    method: &'static str,
    status: u16,
    right: Right,
    kind: Option<&'static str>,
}

const fn end(
    path: &'static str,
    method: &'static str,
    status: u16,
    right: Right,
    kind: Option<&'static str>,
) -> End {
    End {
        path,
        method,
        status,
        right,
        kind,
    }
}

const ENDS: [End; 27] = [
    end("/ok", "GET", 200, Success, None),
    end("/ok", "POST", 200, Success, None),
    end("/trailers", "GET", 200, Success, None),
    end("/trailers-only/0", "GET", 200, Success, None),
    end("/early-hints", "GET", 200, Success, None),
    end("/status/503", "GET", 503, Failure, None),
    // Not processed: once more for free, and a second time it is the upstream's failure.
    end("/refuse-once/GET", "GET", 200, Success, None),
    end("/refuse", "GET", 502, Failure, Some("reset")),
    end("/refuse-once/POST", "POST", 200, Success, None),
    end("/goaway-above", "GET", 200, Success, None),
    end("/goaway-below", "GET", 200, Success, None),
    end("/goaway-below-cut", "GET", 502, Failure, Some("reset")),
    // NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED and an unknown code.
    end("/reset/0", "GET", 502, Failure, Some("reset")),
    end("/reset/1", "GET", 502, Failure, Some("protocol")),
    end("/reset/2", "GET", 502, Failure, Some("reset")),
    end("/reset/8", "GET", 502, Failure, Some("reset")),
    end("/reset/8", "POST", 502, Failure, Some("reset")),
    end("/reset/11", "GET", 502, Failure, Some("protocol")),
    end("/reset/13", "GET", 502, Failure, Some("protocol")),
    end("/reset/48879", "GET", 502, Failure, Some("reset")),
    end("/garbage", "GET", 502, Failure, Some("protocol")),
    end("/drop", "POST", 502, Failure, Some("reset")),
    end("/hang", "GET", 504, Failure, Some("timeout")),
    end("/big-head/17000", "GET", 502, Ignored, Some("limit")),
    end("/big-head/100000", "GET", 502, Ignored, Some("limit")),
    end("/many-fields/300", "GET", 502, Ignored, Some("limit")),
    end("/answer-early", "POST", 200, Success, None),
];

/// Ends within a body: the path, the outcome and the kind.
const BROKEN: [(&str, &str); 8] = [
    ("/body-reset/0", "truncated"),
    ("/body-reset/2", "truncated"),
    ("/body-reset/8", "truncated"),
    ("/body-reset/11", "protocol"),
    ("/length-reset/0", "truncated"),
    ("/body-drop", "truncated"),
    ("/body-hang", "timeout"),
    ("/body-reset/7", "truncated"),
];

/// A gateway with a breaker for each case; each has a new connection, or an old one would say nothing of the upstream.
fn gateway(peer: &Peer) -> Gateway {
    Setup::new(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {}
    http: 2
    timeout: {{ request: 1s, idle: 1s }}
    breaker: {{ key: \"{{header.x-case}}\", trip: {{ consecutive_failures: 5 }} }}
limits: {{ head: 16KiB, fields: 200 }}
routes:
  - path: \"/{{*rest}}\"
    upstream: orders
",
        peer.url()
    ))
    .workers(1)
    .start()
}

fn counted(gateway: &Gateway, kind: &str) -> f64 {
    let series = format!("fusebox_upstream_errors_total{{upstream=\"orders\",kind=\"{kind}\"}}");
    gateway.metric(&series).unwrap_or_default()
}

fn judged(gateway: &Gateway, case: &str, right: Right) {
    let name = format!("orders/{case}");
    let wanted = match right {
        Success => (1, 0, 0),
        Failure => (0, 1, 0),
        Ignored => (0, 0, 1),
    };
    eventually(&format!("{case} is {right:?}"), || {
        gateway.outcomes(&name) == wanted
    });
}

#[test]
fn every_end_of_a_stream_has_the_one_right_verdict() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer);
    for (number, end) in ENDS.iter().enumerate() {
        let before = end.kind.map(|kind| counted(&gateway, kind));
        let case = format!("case-{number}");
        let body = if end.method == "POST" { "body" } else { "" };
        let lines = format!("x-case: {case}\r\n");
        let mut client = gateway.client();
        let response = client.request(end.method, end.path, &lines, body);
        let shown = format!("{} {}: {}", end.method, end.path, response.text());
        assert_eq!(response.status, end.status, "{shown}");
        judged(&gateway, &case, end.right);
        let after = end.kind.map(|kind| counted(&gateway, kind));
        assert_eq!(after, before.map(|before| before + 1.0), "{shown}");
    }
}

#[test]
fn every_end_within_a_body_has_the_one_right_verdict() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer);
    for (number, (path, kind)) in BROKEN.iter().enumerate() {
        let before = counted(&gateway, kind);
        let case = format!("case-{number}");
        let mut client = gateway.client();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nx-case: {case}\r\n\r\n"
        ));
        let answer = client.try_response_to("GET");
        assert!(
            !matches!(answer, Ok(Some(_))),
            "{path}: a client must see that it is cut"
        );
        judged(&gateway, &case, Failure);
        assert_eq!(counted(&gateway, kind), before + 1.0, "{path}");
    }
}

#[test]
fn a_refused_request_whose_body_is_not_kept_says_nothing() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer);
    let mut client = gateway.client();
    let body = "x".repeat(100_000);
    let response = client.request("POST", "/refuse-once", "x-case: a\r\n", &body);
    assert_eq!(response.status, 502, "{}", response.text());
    judged(&gateway, "a", Ignored);
    // The peer's own word of it may come after the gateway's answer.
    peer.sees("request", 1);
    assert_eq!(peer.seen("request").len(), 1);
}

#[test]
fn a_window_that_never_opens_is_the_upstreams_failure() {
    let peer = Peer::start(&["--window", "0"]);
    let gateway = gateway(&peer);
    let mut client = gateway.client();
    let response = client.request("POST", "/ok", "x-case: a\r\n", "body");
    assert_eq!(response.status, 504, "{}", response.text());
    judged(&gateway, "a", Failure);
    // Without a body nothing waits for it.
    assert_eq!(client.get("/ok").status, 200);
    peer.had_connections(1);
}

#[test]
fn an_upload_that_no_window_takes_is_reset_some_time_after_its_answer() {
    let peer = Peer::start(&["--window", "0"]);
    let gateway = gateway(&peer);
    let mut client = gateway.client();
    let response = client.request("POST", "/answer-at-once", "x-case: a\r\n", "body");
    assert_eq!(response.status, 200);
    judged(&gateway, "a", Success);
    // CANCEL; the connection goes on.
    peer.sees("reset 1 1 8", 1);
    assert_eq!(gateway.get("/ok").status, 200);
    peer.had_connections(1);
}

#[test]
fn the_end_of_an_idle_connection_says_nothing_as_on_http1() {
    let peer = Peer::start(&[]);
    let gateway = gateway(&peer);
    let mut client = gateway.client();
    for (method, path, right) in [
        // A GET goes again on a new connection, which ends too and then counts.
        ("GET", "/drop", Failure),
        // A POST may have been executed.
        ("POST", "/drop", Ignored),
    ] {
        assert_eq!(client.get("/ok").status, 200);
        let lines = format!("x-case: {method}\r\n");
        let response = client.request(method, path, &lines, "");
        assert_eq!(response.status, 502, "{}", response.text());
        judged(&gateway, method, right);
    }
}
