//! A listener with a certificate: everything goes over TLS as it does without, and what is not TLS holds nobody up.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc;

use crate::support::tls::{Files, certificate, connect, connect_with, trusting};
use crate::support::{Client, Ending, Gateway, PATIENCE, Program, Setup, Upstream};

/// A listener that speaks TLS, and `orders` behind it.
fn yaml(tls: &str, upstream: &str, limits: &str) -> String {
    format!(
        "listeners: [{{ name: public, addr: \"127.0.0.1:0\", tls: {tls} }}]
limits: {limits}
upstreams:
  orders: {{ url: \"{upstream}\", breaker: {{}} }}
routes:
  - {{ path: \"/{{*rest}}\", upstream: orders }}
"
    )
}

/// The record header of a TLS handshake that never goes on.
const HALF: [u8; 5] = [0x16, 3, 1, 0, 200];

#[track_caller]
fn debug_line(gateway: &Gateway, words: &str) {
    let line = gateway.log_line(|line| {
        let said = |key: &str| line[key].as_str().unwrap_or_default().contains(words);
        said("message") || said("reason")
    });
    assert_eq!(line["level"], "DEBUG");
}

#[test]
fn requests_of_one_connection_are_served_and_named_https() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(|call| call.respond(200, "safe"));
    let gateway = Gateway::run(yaml(&files.yaml(), &upstream.url(), "{}"));
    let mut client = connect(gateway.addr(), &own).unwrap();
    for _ in 0..3 {
        let response = client.get("/a");
        assert_eq!((response.status, &*response.text()), (200, "safe"));
    }
    assert_eq!(
        gateway.metric("fusebox_connections_accepted_total"),
        Some(1.0)
    );
    let fields = upstream.last().fields;
    assert_eq!(fields.get("x-forwarded-proto"), Some("https"));
    let forwarded = fields.get("forwarded").unwrap();
    assert!(forwarded.contains("proto=https"), "{forwarded}");

    let url = format!("https://{}", gateway.addr());
    gateway.log_line(|line| line["message"] == "listening" && line["url"] == *url);
    let ready = gateway.admin_get("/readyz?verbose").text();
    assert!(ready.contains(&format!("public on {url}")), "{ready}");
    let plan = gateway.admin_get("/api/v1/plan");
    let shown = &plan.json()["listeners"][0]["tls"];
    assert_eq!(shown["cert"], files.cert().to_str().unwrap());
    assert_eq!(shown["key"], files.key().to_str().unwrap());
    assert!(!plan.text().contains("-----BEGIN"));
    assert!(!gateway.log().join("").contains("-----BEGIN"));
}

#[test]
fn bodies_stream_both_ways() {
    let own = certificate();
    let files = Files::of(&own);
    let (sender, received) = mpsc::channel();
    let upstream = Upstream::start(move |call| {
        sender.send(call.wire().read_chunk().unwrap()).unwrap();
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        sender.send(call.wire().read_chunk().unwrap()).unwrap();
        assert!(call.wire().read_chunk().unwrap().is_empty());
        call.wire().read_line().unwrap();
        let large = "x".repeat(1 << 20);
        call.send(format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()));
    });
    let gateway = Gateway::run(yaml(&files.yaml(), &upstream.url(), "{}"));
    let mut client = connect(gateway.addr(), &own).unwrap();
    client.send(
        "POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
    );
    // Each part arrives before the next one is sent.
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), b"one");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.wire.read_chunk().unwrap(), b"first");
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), b"two");
    let mut rest = 0;
    loop {
        match client.wire.read_chunk().unwrap().len() {
            0 => break,
            length => rest += length,
        }
    }
    assert_eq!(rest, 1 << 20);
}

#[test]
fn a_websocket_flows_both_ways() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(|call| {
        call.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        while let Ok(bytes) = call.wire().read_some() {
            if bytes.is_empty() || !call.send(bytes) {
                break;
            }
        }
        call.close();
    });
    let gateway = Gateway::run(yaml(&files.yaml(), &upstream.url(), "{}"));
    let mut client = connect(gateway.addr(), &own).unwrap();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.head().status, 101);
    for size in [1, 125, 70_000] {
        let bytes = vec![0xff; size];
        client.send(&bytes);
        assert_eq!(client.wire.read_exactly(size).unwrap(), bytes);
    }
}

#[test]
fn a_reload_shows_a_new_certificate_and_a_bad_pair_changes_nothing() {
    let (first, second) = (certificate(), certificate());
    let files = Files::of(&first);
    let upstream = Upstream::start(|call| call.respond(200, "safe"));
    let gateway = Gateway::run(yaml(&files.yaml(), &upstream.url(), "{}"));
    let mut before = connect(gateway.addr(), &first).unwrap();
    assert_eq!(before.get("/a").status, 200);

    std::fs::write(files.key(), second.signing_key.serialize_pem()).unwrap();
    gateway.sighup();
    let refused = gateway.log_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "ERROR" && message.contains("fusebox.yaml:1:")
    });
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("does not belong to the certificate"),
        "{message}"
    );
    gateway.log_line(|line| line["message"] == "reload failed; the old plan stays in use");
    assert_eq!(
        connect(gateway.addr(), &first).unwrap().get("/a").status,
        200
    );

    files.replace(&second);
    gateway.sighup();
    let reloaded = gateway.log_line(|line| line["message"] == "reloaded");
    assert_eq!(reloaded["changed"], "listeners changed (1): public");
    assert!(connect(gateway.addr(), &first).is_err());
    assert_eq!(
        connect(gateway.addr(), &second).unwrap().get("/a").status,
        200
    );
    assert_eq!(before.get("/a").status, 200, "an open connection goes on");
}

#[test]
fn sessions_outlive_a_reload_with_the_same_certificate() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(|call| call.respond(200, "safe"));
    let first = yaml(&files.yaml(), &upstream.url(), "{}");
    let gateway = Gateway::run(&*first);
    let config = trusting(&own);
    let connect = || {
        let (mut client, resumed) = connect_with(gateway.addr(), config.clone()).unwrap();
        // The session's ticket comes before the answer.
        assert_eq!(client.get("/a").status, 200);
        resumed
    };
    assert_eq!((connect(), connect()), (false, true));
    gateway.rewrite(&first.replace("limits: {}", "limits: { fields: 99 }"));
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reloaded");
    assert!(connect());
}

#[test]
fn a_reload_turns_tls_on_where_there_was_none() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(|call| call.respond(200, "safe"));
    let secure = yaml(&files.yaml(), &upstream.url(), "{}");
    let plain = secure.replace(&format!(", tls: {}", files.yaml()), "");
    let gateway = Gateway::run(plain);
    assert_eq!(gateway.get("/a").status, 200);
    gateway.rewrite(&secure);
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reloaded");
    assert_eq!(connect(gateway.addr(), &own).unwrap().get("/a").status, 200);
}

#[test]
fn a_pair_that_cannot_be_used_is_refused_with_its_line() {
    let (own, other) = (certificate(), certificate());
    let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let damaged = |text: &str| text.replacen('M', "*", 1);
    let config = "listeners:
  - addr: 127.0.0.1:0
    tls:
      cert: tls/cert.pem
      key: tls/key.pem
routes: [{ path: /, respond: {} }]
";
    let check = |cert: &str, key: &str, verb: &str| {
        let program = Program::new().file("fusebox.yaml", config);
        let tls = program.dir().join("tls");
        std::fs::create_dir(&tls).unwrap();
        std::fs::write(tls.join("cert.pem"), cert).unwrap();
        std::fs::write(tls.join("key.pem"), key).unwrap();
        let finished = program.run([verb, "fusebox.yaml"]);
        (finished.code, finished.stdout + &finished.stderr)
    };
    let (code, said) = check(&cert, &key, "check");
    assert_eq!(code, Some(0), "{said}");
    let chain = format!("{cert}{}", other.cert.pem());
    assert_eq!(check(&chain, &key, "check").0, Some(0));
    for (cert, key, expected) in [
        (
            &cert,
            &other.signing_key.serialize_pem(),
            "fusebox.yaml:5:12: error: the private key in `tls/key.pem` does not belong to the certificate in `tls/cert.pem`; name the key of the chain's first certificate, which is the server's own",
        ),
        (
            &damaged(&cert),
            &key,
            "fusebox.yaml:4:13: error: the certificate in `tls/cert.pem` cannot be used: its base64 is damaged; ",
        ),
        (
            &cert,
            &damaged(&key),
            "fusebox.yaml:5:12: error: the private key in `tls/key.pem` cannot be used: its base64 is damaged; ",
        ),
        (
            &cert,
            &key.replace("-----END PRIVATE KEY-----", ""),
            "fusebox.yaml:5:12: error: the private key in `tls/key.pem` cannot be used: its `-----END …-----` line is missing; ",
        ),
        (
            &cert,
            &"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(),
            "fusebox.yaml:5:12: error: the private key in `tls/key.pem` cannot be used: expected an RSA key of at least 2048 bits, ",
        ),
        (
            &format!("{cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            &key,
            "fusebox.yaml:4:13: error: the certificate in `tls/cert.pem` cannot be used: number 2 in the file: ",
        ),
    ] {
        for verb in ["check", "run"] {
            let (code, said) = check(cert, key, verb);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains(expected), "{verb}: {said}");
            assert!(!said.contains("-----BEGIN"), "{said}");
        }
    }
}

#[test]
fn a_handshake_that_stalls_ends_in_time() {
    let files = Files::of(&certificate());
    let limits = "{ first_byte: 1s, head_timeout: 200ms }";
    let gateway = Setup::new(yaml(&files.yaml(), "http://127.0.0.1:9", limits))
        .env("RUST_LOG", "debug")
        .start();
    let mut half = Client::to(gateway.addr());
    // Whether it is closed or reset: the bytes of half a record may lie unread.
    half.wire.send(HALF).ok();
    let mut silent = Client::to(gateway.addr());
    half.ended();
    debug_line(&gateway, "TLS handshake took too long");
    assert_eq!(silent.ended(), (Vec::new(), Ending::Closed));
}

#[test]
fn a_handshake_that_stalls_holds_up_neither_others_nor_a_drain() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(|call| call.respond(200, "safe"));
    let limits = "{ first_byte: 1h, head_timeout: 1h, drain: 1h }";
    let gateway = Setup::new(yaml(&files.yaml(), &upstream.url(), limits))
        .workers(1)
        .start();
    let mut half = Client::to(gateway.addr());
    half.send(HALF);
    let _silent = Client::to(gateway.addr());
    assert_eq!(connect(gateway.addr(), &own).unwrap().get("/a").status, 200);
    gateway.sigterm();
    assert!(gateway.wait().success());
}

#[test]
fn each_side_is_told_what_the_other_speaks() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(|call| call.respond(200, "safe"));
    let both = yaml(&files.yaml(), &upstream.url(), "{}").replace(
        "listeners: [",
        "listeners: [{ name: plain, addr: \"127.0.0.1:0\" }, ",
    );
    let gateway = Setup::new(both).env("RUST_LOG", "debug").start();
    let (secure, plain) = (gateway.addr_of("public"), gateway.addr_of("plain"));

    let response = Client::to(secure).get("/a");
    assert_eq!(response.status, 400);
    assert!(response.text().contains("https://"), "{}", response.text());
    debug_line(&gateway, "plain HTTP came to a port that speaks TLS");

    let error = connect(plain, &own).err().unwrap();
    assert!(error.to_string().contains("corrupt"), "{error}");
    debug_line(
        &gateway,
        "a TLS handshake came to a port that speaks plain HTTP",
    );

    // Neither HTTP nor TLS.
    let mut noise = Client::to(secure);
    noise.send([0x16, 3, 1, 0, 4, 9, 9, 9, 9]);
    noise.ended();
    debug_line(&gateway, "a client's TLS handshake failed");
    assert_eq!(upstream.calls(), 0);
    assert_eq!(connect(secure, &own).unwrap().get("/a").status, 200);
}

#[test]
fn a_connection_over_the_limit_is_closed_without_a_word() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(|call| call.respond(200, "safe"));
    let gateway = Gateway::run(yaml(&files.yaml(), &upstream.url(), "{ connections: 1 }"));
    let mut first = connect(gateway.addr(), &own).unwrap();
    assert_eq!(first.get("/a").status, 200);
    let mut second = TcpStream::connect(gateway.addr()).unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    second.write_all(&HALF).ok();
    let mut said = Vec::new();
    second.read_to_end(&mut said).ok();
    assert!(said.is_empty());
    assert_eq!(first.get("/a").status, 200);
}

#[test]
fn curl_speaks_to_it() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(|call| call.respond(200, "safe"));
    let gateway = Gateway::run(yaml(&files.yaml(), &upstream.url(), "{}"));
    let port = gateway.addr().port();
    let curl = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--noproxy",
            "*",
        ])
        .arg("--cacert")
        .arg(files.cert())
        .args([
            "--connect-to",
            &format!("localhost:{port}:127.0.0.1:{port}"),
        ])
        .args(["--write-out", " %{http_version} %{ssl_verify_result}"])
        .arg(format!("https://localhost:{port}/a"))
        .output();
    let Ok(curl) = curl else {
        eprintln!("there is no curl here");
        return;
    };
    let said = String::from_utf8_lossy(&curl.stdout);
    let errors = String::from_utf8_lossy(&curl.stderr);
    assert_eq!((&*said, &*errors), ("safe 2 0", ""));
}
