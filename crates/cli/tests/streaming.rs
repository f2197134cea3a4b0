//! Bodies of any size pass through as they come, in constant memory, whatever their framing.

mod support;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use support::{Dial, Gate, Gateway, Setup, Upstream, eventually, orders};

/// How many bytes a large body has: 256 MiB, or 1 GiB for the proof.
fn large() -> u64 {
    let proof = std::env::var("FUSEBOX_PROVE").is_ok_and(|value| value == "1");
    if proof { 1 << 30 } else { 256 << 20 }
}

/// What the gateway may occupy while it carries them.
const MEMORY: u64 = 64 << 20;

const BLOCK: usize = 256 * 1024;

#[test]
fn a_large_download_takes_constant_memory() {
    let upstream = Upstream::start(|call| {
        let length = large();
        call.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ));
        let block = vec![b'd'; BLOCK];
        for _ in 0..length / BLOCK as u64 {
            if !call.send(&block) {
                return;
            }
        }
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("GET /large HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    let head = client.head();
    assert_eq!(
        head.fields.get("content-length"),
        Some(large().to_string().as_str())
    );
    client.wire.skip(large()).unwrap();
    let most = gateway.rss_most();
    assert!(most < MEMORY, "{most} bytes");
    assert_eq!(
        client.get("/again").fields.get("content-length"),
        head.fields.get("content-length")
    );
}

#[test]
fn a_large_upload_takes_constant_memory() {
    let (sender, received) = mpsc::channel();
    let upstream = Upstream::start(move |call| {
        let length = call.seen.fields.get("content-length").map(str::to_owned);
        let read = call.wire().skip(large());
        sender.send((length, read.is_ok())).ok();
        call.respond(200, "got it");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send(format!(
        "POST /large HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {}\r\n\r\n",
        large()
    ));
    let block = vec![b'u'; BLOCK];
    for _ in 0..large() / BLOCK as u64 {
        client.send(&block);
    }
    assert_eq!(client.response().text(), "got it");
    assert_eq!(received.recv().unwrap(), (Some(large().to_string()), true));
    let most = gateway.rss_most();
    assert!(most < MEMORY, "{most} bytes");
}

#[test]
fn readers_that_stop_take_constant_memory() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"40000\r\n".to_vec(), vec![b'x'; 0x40000], b"\r\n".to_vec()].concat();
        while call.send(&chunk) {}
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut clients: Vec<_> = (0..40).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.wire.keep_little();
        client.send("GET /large HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        assert_eq!(client.head().status, 200);
    }
    // Nobody reads: what the upstream offers stays with the upstream.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(upstream.in_flight(), 40);
    let most = gateway.rss_most();
    assert!(most < MEMORY, "{most} bytes");
    let chunk = clients[0].wire.read_chunk().unwrap();
    assert_eq!(chunk.first(), Some(&b'x'));
}

#[test]
fn an_answer_arrives_piece_by_piece() {
    let (next, turns) = mpsc::channel::<()>();
    let turns = std::sync::Mutex::new(turns);
    let upstream = Upstream::start(move |call| {
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let turns = turns.lock().unwrap();
        for piece in ["one", "two", "three"] {
            call.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
            if turns.recv_timeout(support::PATIENCE).is_err() {
                return;
            }
        }
        call.send("0\r\n\r\n");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("GET /events HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert_eq!(
        client.head().fields.get("transfer-encoding"),
        Some("chunked")
    );
    for piece in ["one", "two", "three"] {
        // The next piece is not sent before this one has been read.
        assert_eq!(client.wire.read_chunk().unwrap(), piece.as_bytes());
        next.send(()).unwrap();
    }
    assert_eq!(client.wire.read_chunk().unwrap(), b"");
}

#[test]
fn an_upload_arrives_piece_by_piece() {
    let (sender, pieces) = mpsc::channel();
    let upstream = Upstream::start(move |call| {
        loop {
            let piece = call.wire().read_chunk().unwrap();
            let end = piece.is_empty();
            sender.send(piece).ok();
            if end {
                break;
            }
        }
        call.wire().read_line().unwrap();
        call.respond(200, "");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client
        .send("POST /events HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        assert_eq!(
            pieces.recv_timeout(support::PATIENCE).unwrap(),
            piece.as_bytes()
        );
    }
    client.send("0\r\n\r\n");
    assert_eq!(pieces.recv_timeout(support::PATIENCE).unwrap(), b"");
    assert_eq!(client.response().status, 200);
}

#[test]
fn both_directions_flow_at_once() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        loop {
            let Ok(piece) = call.wire().read_chunk() else {
                return;
            };
            call.send(format!("{:x}\r\n", piece.len()));
            call.send([&piece[..], b"\r\n"].concat());
            if piece.is_empty() {
                call.wire().read_line().ok();
                return;
            }
        }
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("POST /echo HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head().status, 200);
    for word in ["ping", "pong", "peng"] {
        client.send(format!("4\r\n{word}\r\n"));
        assert_eq!(client.wire.read_chunk().unwrap(), word.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.wire.read_chunk().unwrap(), b"");
    assert_eq!(client.wire.read_line().unwrap(), "");
    assert_eq!(gateway.outcomes("orders").0, 1);
}

#[test]
fn a_get_with_a_body_keeps_it() {
    let upstream = Upstream::start(|call| {
        let body = call.text();
        call.respond(200, &body);
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("GET /search HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\r\nquery");
    assert_eq!(client.response().text(), "query");
    assert_eq!(upstream.last().fields.get("content-length"), Some("5"));
    client.send("GET /search HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nquery\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "query");
    assert_eq!(
        upstream.last().fields.get("transfer-encoding"),
        Some("chunked")
    );
}

#[test]
fn bodies_of_no_bytes_keep_their_framing() {
    let upstream = Upstream::start(|call| {
        let chunked = call.seen.target == "/chunked";
        call.body();
        match chunked {
            true => call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            false => call.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        };
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    let response = client.post("/empty", "");
    assert_eq!(response.fields.get("content-length"), Some("0"));
    assert_eq!(upstream.last().fields.get("content-length"), Some("0"));
    client.get("/empty");
    assert!(!upstream.last().fields.has("content-length"));
    assert!(!upstream.last().fields.has("transfer-encoding"));
    client.send("POST /chunked HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.response().body, b"");
    assert_eq!(client.get("/empty").status, 200);
}

#[test]
fn an_answer_to_head_has_no_body_and_keeps_its_length() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"a\"\r\n\r\n");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    for _ in 0..2 {
        let response = client.request("HEAD", "/a", "", "");
        assert_eq!(response.status, 200);
        assert_eq!(response.fields.get("content-length"), Some("12345"));
        assert_eq!(response.fields.get("etag"), Some("\"a\""));
    }
    assert_eq!(
        upstream.connections(),
        1,
        "the connection is free after the head"
    );
    assert_eq!(gateway.outcomes("orders"), (2, 0, 0));
}

#[test]
fn answers_without_a_body_leave_the_connections_usable() {
    let upstream = Upstream::start(|call| match call.seen.target.as_str() {
        "/204" => {
            call.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
        "/304" => {
            call.send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 77\r\n\r\n");
        }
        _ => call.respond(200, "body"),
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    for _ in 0..2 {
        let response = client.get("/204");
        assert_eq!(response.status, 204);
        assert!(
            !response.fields.has("content-length") && !response.fields.has("transfer-encoding")
        );
        let response = client.get("/304");
        assert_eq!(
            (response.status, response.fields.get("etag")),
            (304, Some("\"a\""))
        );
        assert_eq!(client.get("/200").text(), "body");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn interim_answers_do_not_end_the_request() {
    let upstream = Upstream::start(|call| {
        call.body();
        call.send(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n",
        );
        call.respond(200, "final");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    let mut response = client.response();
    while response.status < 200 {
        response = client.response();
    }
    assert_eq!((response.status, response.text().as_str()), (200, "final"));
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
}

#[test]
fn trailers_pass_both_ways() {
    let (sender, trailers) = mpsc::channel();
    let upstream = Upstream::start(move |call| {
        let (body, trailers) = call.body_and_trailers();
        sender.send((body, trailers)).ok();
        call.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Late\r\n\r\n\
             4\r\nbody\r\n0\r\nX-Sum: 123\r\nX-Late: yes\r\n\r\n",
        );
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send(
        "POST /a HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
         Trailer: X-Check, Host\r\n\r\n3\r\nabc\r\n0\r\nX-Check: 77\r\nHost: evil\r\n\r\n",
    );
    let response = client.response();
    assert_eq!(response.text(), "body");
    assert_eq!(response.trailers.get("x-sum"), Some("123"));
    assert_eq!(response.trailers.get("x-late"), Some("yes"));
    let (body, trailers) = trailers.recv().unwrap();
    assert_eq!(body, b"abc");
    assert_eq!(trailers.get("x-check"), Some("77"));
    assert!(
        !trailers.has("host"),
        "a trailer must not change what the request means"
    );
    assert_eq!(client.get("/again").status, 200);
}

#[test]
fn a_client_that_expects_100_gets_it_when_the_upstream_is_ready() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 100 Continue\r\n\r\n");
        call.respond(200, "got it");
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    let head = "POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    client.send(head);
    assert_eq!(client.head().status, 100);
    client.send("body");
    assert_eq!(client.response().text(), "got it");
    assert!(upstream.last().fields.has("expect"), "it is the upstream's");
    // One that does not wait for it is served as well.
    client.send(format!("{head}body"));
    let mut response = client.response();
    if response.status == 100 {
        response = client.response();
    }
    assert_eq!(response.text(), "got it");
}

#[test]
fn a_client_that_expects_100_gets_a_refusal_instead() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let gateway = Gateway::run(orders(
        &upstream,
        "{ trip: { consecutive_failures: 1 }, cooldown: 60s }",
    ));
    gateway.get("/a");
    let mut client = gateway.client();
    client.send("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status, 503, "the first thing that it hears");
    assert_eq!(upstream.calls(), 1);
    let mut client = gateway.client();
    client.send("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nGET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert_eq!(client.response().status, 503);
    client.wire.finish();
    let (rest, _) = client.ended();
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(rest.matches("HTTP/1.1 ").count() <= 1, "{rest}");
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_uploading() {
    let gate = Gate::default();
    let inner = gate.clone();
    let upstream = Upstream::start(move |call| {
        call.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        inner.pass();
        call.close();
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 1000000\r\n\r\nbegin");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    gate.open();
}

#[test]
fn an_early_answer_survives_an_upstream_that_reads_no_further() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        call.wire().finish();
        call.hang();
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    for round in 0..20 {
        let mut client = gateway.client();
        client.send("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 8000000\r\n\r\n");
        client.wire.send(vec![b'x'; 8_000_000]).ok();
        let response = client.response();
        assert_eq!(
            (response.status, response.text().as_str()),
            (413, "no"),
            "round {round}"
        );
    }
    assert_eq!(gateway.outcomes("orders"), (20, 0, 0));
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.0 200 OK\r\n\r\nold style");
        call.close();
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    let response = client.get("/a");
    assert_eq!(
        (response.version.as_str(), response.text().as_str()),
        ("HTTP/1.1", "old style")
    );
    assert_eq!(response.fields.get("transfer-encoding"), Some("chunked"));
    assert_eq!(
        client.get("/a").text(),
        "old style",
        "our side of it stays open"
    );
    assert_eq!(gateway.outcomes("orders"), (2, 0, 0));
}

#[test]
fn a_stream_outlives_the_requests_timeout() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..10 {
            call.send("1\r\nx\r\n");
            std::thread::sleep(Duration::from_millis(100));
        }
        call.send("0\r\n\r\n");
    });
    let yaml = orders(&upstream, "{}").replace(
        "    breaker:",
        "    timeout: { request: 300ms }\n    breaker:",
    );
    let gateway = Gateway::run(yaml);
    let start = Instant::now();
    assert_eq!(gateway.get("/a").body, b"xxxxxxxxxx");
    assert!(start.elapsed() > Duration::from_millis(300));
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
}

#[test]
fn a_hundred_streams_flow_side_by_side() {
    let gate = Gate::default();
    let inner = gate.clone();
    let upstream = Upstream::start(move |call| {
        let name = call.seen.target.clone();
        call.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            name.len() + 4
        ));
        inner.pass();
        call.send(format!("{name}done"));
    });
    let gateway = Setup::new(orders(&upstream, "{}")).start();
    let mut clients: Vec<_> = (0..100).map(|_| gateway.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!(
            "GET /{number} HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
        ));
    }
    eventually("all are at the upstream", || gate.waiting() == 100);
    gate.open();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.response().text(), format!("/{number}done"));
    }
}
