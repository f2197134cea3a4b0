//! What clients do wrong in their requests: an upstream never takes a part of an upload for the whole, nor the client's
//! fault for the gateway's, and the log says who left.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use serde_json::{Value, json};

use crate::h2_peer::Peer;
use crate::h2_server::{said, script, yaml};
use crate::support::{Call, Client, Gateway, Setup, Upstream, eventually};

/// An upstream that says of each upload whether it was whole, and answers `/seen/N` once N uploads have come.
fn recorder() -> (Upstream, mpsc::Receiver<bool>) {
    let (sender, whole) = mpsc::channel();
    let begun = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::start(move |call: &mut Call| {
        if let Some(number) = call.seen.target.strip_prefix("/seen/") {
            let number = number.parse().unwrap();
            eventually("the upload has come", || {
                begun.load(Ordering::SeqCst) >= number
            });
            return call.respond(200, "seen");
        }
        let fields = call.seen.fields.clone();
        begun.fetch_add(1, Ordering::SeqCst);
        let body = call.wire().read_body(&fields, false);
        sender.send(body.is_ok()).unwrap();
        call.respond(200, "whole");
    });
    (upstream, whole)
}

/// A gateway that logs, for HTTP/2 without TLS.
fn logged(upstream: &Upstream) -> Gateway {
    let setup = Setup::new(yaml(&upstream.url(), "{}"));
    setup.arg("--access-log").arg("access.log").start()
}

/// The lines of the uploads, once there are so many.
#[track_caller]
fn uploads(gateway: &Gateway, count: usize) -> Vec<Value> {
    let path = gateway.config().with_file_name("access.log");
    let read = || -> Vec<Value> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let whole = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        whole
            .filter(|line: &Value| line["method"] == "POST")
            .collect()
    };
    eventually("the lines are written", || read().len() >= count);
    read()
}

#[test]
fn an_upload_that_is_reset_by_whatever_code_never_arrives_as_a_whole_one() {
    let (upstream, whole) = recorder();
    let gateway = logged(&upstream);
    let port = gateway.addr().port().to_string();
    let seen = said(script("h2_clients.py").args([&port, "half_uploads"]));
    let codes = usize::try_from(seen["resets"].as_u64().unwrap()).unwrap();
    assert!(codes > 4, "{seen}");
    for number in 0..codes {
        assert!(!whole.recv().unwrap(), "upload {number} of {codes}");
    }
    eventually("each call is ignored", || {
        gateway.count("orders", "ignored") == codes as u64
    });
    let (_, failure, _) = gateway.outcomes("orders");
    assert_eq!((failure, &*gateway.state("orders")), (0, "closed"));
    for line in uploads(&gateway, codes) {
        let facts = ["status", "flags", "grpc_status"].map(|it| line[it].clone());
        assert_eq!(json!(facts), json!([499, ["DC"], null]), "{line}");
    }
}

/// A gateway before a strict upstream of HTTP/2, whose breaker opens at the first failure.
fn before_http2(peer: &Peer) -> Gateway {
    let url = format!("{}\", http: \"2", peer.url());
    Gateway::run(yaml(&url, "{}"))
}

#[test]
fn white_space_around_a_value_is_the_clients_fault_and_no_reset_of_the_upstreams() {
    let peer = Peer::start(&[]);
    let gateway = before_http2(&peer);
    let port = gateway.addr().port().to_string();
    let seen = said(script("h2_clients.py").args([&port, "improper"]));
    assert_eq!(seen["heads"], json!(["400", "400", "400", "400", "400"]));
    assert_eq!(seen["trailers"], seen["heads"], "{seen}");
    assert_eq!(seen["crumbs"], "200", "{seen}");
    assert_eq!(
        (gateway.outcomes("orders").1, &*gateway.state("orders")),
        (0, "closed")
    );
}

#[test]
fn trailers_of_a_connection_never_keep_an_upstream_of_http2_waiting() {
    let peer = Peer::start(&[]);
    let gateway = before_http2(&peer);
    let mut client = gateway.client();
    for line in [
        "Connection: x-t",
        "Keep-Alive: 5",
        "Proxy-Connection: close",
        "Upgrade: x",
        "HTTP2-Settings: AAA",
        "TE: gzip",
        "Transfer-Encoding: gzip",
        "Content-Length: 3",
    ] {
        client.send(format!(
            "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n{line}\r\n\r\n"
        ));
        assert_eq!(client.response().status, 200, "{line}");
    }
    assert_eq!(gateway.outcomes("orders").1, 0);
}

#[test]
fn a_client_of_http1_that_resets_within_its_upload_is_logged_as_one_that_left() {
    let (upstream, whole) = recorder();
    let gateway = logged(&upstream);
    let upload = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let begin = |number: usize| {
        let mut client = Client::to(gateway.addr());
        client.send(upload);
        assert_eq!(gateway.get(&format!("/seen/{number}")).text(), "seen");
        client
    };
    begin(1).wire.reset();
    assert!(!whole.recv().unwrap());
    let line = uploads(&gateway, 1).remove(0);
    let facts = ["status", "flags"].map(|it| line[it].clone());
    assert_eq!(json!(facts), json!([499, ["DC"]]), "{line}");
    // A client that closes its side alone still reads, and is told.
    let mut client = begin(2);
    client.wire.finish();
    assert_eq!(client.response().status, 400);
    assert!(!whole.recv().unwrap());
    let line = uploads(&gateway, 2).remove(1);
    let facts = ["status", "flags"].map(|it| line[it].clone());
    assert_eq!(json!(facts), json!([400, []]), "{line}");
    assert_eq!(gateway.outcomes("orders").1, 0);
}
