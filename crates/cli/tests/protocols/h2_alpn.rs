//! The version of HTTP that ALPN chooses, before nginx and before servers that know less.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::h2_peer::Peer;
use crate::support::tls::{Files, certificate};
use crate::support::{Gateway, Setup, eventually, orders_at};

/// A gateway that trusts that certificate and speaks so to `https://localhost`.
fn gateway(port: u16, http: &str, files: &Files) -> Gateway {
    let yaml = orders_at(&format!("https://localhost:{port}"), "{}");
    let yaml = yaml.replace("    breaker:", &format!("    {http}\n    breaker:"));
    Setup::new(yaml)
        .workers(1)
        .env("SSL_CERT_FILE", files.cert().to_str().unwrap())
        .start()
}

/// nginx with HTTP/2 over TLS, which ends with this; its answers name the version and the connection.
struct Nginx(Child, u16);

impl Nginx {
    fn start(files: &Files, speaks: &str, lines: &str) -> Nginx {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let (dir, cert, key) = (files.dir().display(), files.cert(), files.key());
        let (cert, key) = (cert.display(), key.display());
        let config = files.dir().join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{
    listen 127.0.0.1:{port} {speaks}; {lines}
    ssl_certificate {cert}; ssl_certificate_key {key};
    location / {{ return 200 \"$server_protocol $connection $http_host\"; }}
  }}
}}"
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        eventually("nginx listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Nginx(child, port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nginx_is_spoken_to_in_the_version_that_alpn_chooses() {
    let files = Files::of(&certificate());
    let nginx = Nginx::start(&files, "ssl http2", "");
    for (http, version) in [
        ("# the default", "HTTP/2.0"),
        ("http: auto", "HTTP/2.0"),
        ("http: 2", "HTTP/2.0"),
        ("http: 1", "HTTP/1.1"),
    ] {
        let gateway = gateway(nginx.1, http, &files);
        let answers: Vec<_> = (0..3).map(|_| gateway.get("/a").text()).collect();
        let words: Vec<_> = answers[0].split(' ').collect();
        assert_eq!(words[0], version, "{http}");
        assert_eq!(words[2], format!("localhost:{}", nginx.1));
        assert!(answers.iter().all(|it| *it == answers[0]), "{answers:?}");
    }
}

#[test]
fn a_switch_of_protocols_goes_over_http1_beside_http2() {
    let files = Files::of(&certificate());
    let nginx = Nginx::start(&files, "ssl http2", "");
    let gateway = gateway(nginx.1, "http: auto", &files);
    assert!(gateway.get("/").text().starts_with("HTTP/2.0"));
    let lines = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let response = gateway.client().request("GET", "/", lines, "");
    assert!(
        response.text().starts_with("HTTP/1.1"),
        "{}",
        response.text()
    );
    assert!(gateway.get("/").text().starts_with("HTTP/2.0"));
}

#[test]
fn a_crowd_before_an_upstream_that_chooses_http1_gets_a_connection_each() {
    let files = Files::of(&certificate());
    let nginx = Nginx::start(&files, "ssl", "");
    let gateway = gateway(nginx.1, "http: auto", &files);
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| gateway.get("/").text()))
            .collect();
        for answer in asked {
            assert!(answer.join().unwrap().starts_with("HTTP/1.1"));
        }
    });
}

#[test]
fn nginx_that_ends_connections_by_goaway_answers_every_request() {
    let files = Files::of(&certificate());
    let nginx = Nginx::start(&files, "ssl http2", "keepalive_requests 20;");
    let gateway = gateway(nginx.1, "http: 2", &files);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..25 {
                    let response = client.post("/", "body");
                    assert_eq!(response.status, 200, "{}", response.text());
                }
            });
        }
    });
    assert_eq!(gateway.outcomes("orders"), (100, 0, 0));
}

#[test]
fn without_h2_by_alpn_http_2_fails_to_connect_and_says_so() {
    let files = Files::of(&certificate());
    let (cert, key) = (files.cert(), files.key());
    let tls = ["--tls", cert.to_str().unwrap(), key.to_str().unwrap()];
    let peer = Peer::start(&[&tls[..], &["--no-alpn"]].concat());
    let gateway = gateway(peer.port(), "http: 2", &files);
    let response = gateway.get("/");
    assert_eq!(response.status, 502);
    assert_eq!(response.json()["reason"], "connect");
    let line = gateway.log_line(|line| line["kind"] == "connect");
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("no HTTP/2 by ALPN"), "{message}");
    assert!(message.contains("write `http: auto`"), "{message}");
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
}

#[test]
fn a_burst_at_the_start_makes_one_connection_over_tls() {
    let files = Files::of(&certificate());
    let (cert, key) = (files.cert(), files.key());
    let peer = Peer::start(&["--tls", cert.to_str().unwrap(), key.to_str().unwrap()]);
    let gateway = gateway(peer.port(), "http: auto", &files);
    let mut clients: Vec<_> = (0..20).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    peer.sees("request", 20);
    assert_eq!(gateway.get("/release").status, 200);
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    peer.had_connections(1);
}
