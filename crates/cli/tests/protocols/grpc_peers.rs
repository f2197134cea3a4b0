//! gRPC with the clients and servers of grpcio, over HTTP/2 on both sides.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Gateway, Setup, eventually, python};

/// A script beside the tests, run by the Python of the tests.
fn script(name: &str) -> Command {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/protocols")
        .join(name);
    let mut command = Command::new(python::program("python3"));
    command.arg(file).env("GRPC_VERBOSITY", "NONE");
    command
}

/// A server of grpcio; it ends when it is dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn start() -> Server {
        let mut child = script("grpc_server.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the server prints its port");
        Server { child, port }
    }

    /// Calls a method without the gateway.
    fn directly(&self, method: &str) -> Vec<Value> {
        run(&format!("127.0.0.1:{}", self.port), &[method])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a scenario of the client; a line of JSON each.
pub fn run(address: &str, words: &[&str]) -> Vec<Value> {
    let output = script("grpc_client.py")
        .arg(address)
        .args(words)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {text}{errors}");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// A gateway that speaks HTTP/2 on both sides.
fn gateway(server: &Server, breaker: &str, more: &str) -> Gateway {
    Setup::new(format!(
        "listeners: [{{ name: public, addr: 127.0.0.1:0, http2: cleartext }}]
upstreams:
  t:
    url: http://127.0.0.1:{}
    http: 2
    breaker: {breaker}
{more}
routes:
  - path: \"/t.T/{{method}}\"
    upstream: t
",
        server.port
    ))
    .workers(1)
    .start()
}

fn client(gateway: &Gateway, words: &[&str]) -> Vec<Value> {
    run(&gateway.addr().to_string(), words)
}

#[test]
fn a_server_of_grpcio_that_fails_in_trailers_opens_the_breaker_after_exactly_five() {
    let server = Server::start();
    let gateway = gateway(&server, "{ cooldown: 60s }", "");
    let calls = client(&gateway, &["late", "7"]);
    for call in &calls[..5] {
        assert_eq!(call["code"], 14, "{call}");
        assert_eq!(call["message"], "as asked");
        assert_eq!(call["messages"], json!(["message"]));
    }
    for call in &calls[5..] {
        assert_eq!(call["code"], 14, "{call}");
        let message = call["message"].as_str().unwrap();
        assert!(
            message.starts_with("breaker \"t\" refused the call"),
            "{call}"
        );
        assert_eq!(call["messages"], json!([]));
    }
    assert_eq!(gateway.outcomes("t"), (0, 5, 0));
    let last = &gateway.breaker("t")["last_failures"][0];
    assert_eq!(last["error"], "grpc 14 UNAVAILABLE", "{last}");
    // What a client of grpcio sees of a refusal.
    let refused = &client(&gateway, &["Echo"])[0];
    assert_eq!(refused["code"], 14);
    let trailers = &refused["trailers"];
    let millis: u64 = trailers["grpc-retry-pushback-ms"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((40_000..=60_000).contains(&millis), "{refused}");
    let reason = trailers["fusebox-reason"].as_str().unwrap();
    assert!(reason.starts_with("breaker_open"), "{refused}");
    assert_eq!(server.directly("Count").len(), 1, "it still serves");
}

#[test]
fn ten_thousand_calls_with_deadlines_of_a_millisecond_leave_the_breaker_closed() {
    let server = Server::start();
    let gateway = gateway(&server, "{ trip: { consecutive_failures: 1 } }", "");
    let seen = &client(&gateway, &["deadlines", "10000"])[0];
    // A client whose deadline has passed says 4 or 1; one whose connection we end for too many resets says 14.
    let codes = seen["codes"].as_object().unwrap();
    let count = codes.values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(count, 10_000, "{seen}");
    assert!(
        codes
            .keys()
            .all(|code| ["1", "4", "14"].contains(&code.as_str())),
        "{seen}"
    );
    assert_eq!(gateway.state("t"), "closed");
    eventually("no call is left", || {
        let (good, bad, _) = gateway.outcomes("t");
        (good, bad) == (0, 0)
    });
}

#[test]
fn requests_that_are_none_of_grpc_do_not_open_the_breaker_of_a_grpc_service() {
    let server = Server::start();
    let gateway = gateway(
        &server,
        "{ trip: { consecutive_failures: 1 }, cooldown: 60s }",
        "",
    );
    assert_eq!(client(&gateway, &["Echo"])[0]["code"], 0);
    // grpcio resets their streams, as any browser's.
    for (method, lines) in [
        ("GET", ""),
        ("GET", "Content-Type: application/grpc\r\n"),
        ("POST", "Content-Type: application/json\r\n"),
        ("PUT", "Content-Type: application/grpc\r\n"),
    ] {
        let answer = gateway.client().request(method, "/t.T/Echo", lines, "");
        assert_eq!(answer.status, 415, "{method} {lines}: {}", answer.text());
    }
    // A call that says nothing of trailers is one of gRPC all the same.
    let lines = "Content-Type: application/grpc\r\n";
    let body = "\0\0\0\0\x02hi";
    let answer = gateway.client().request("POST", "/t.T/Echo", lines, body);
    assert_eq!((answer.status, &*answer.text()), (200, body));
    assert_eq!(gateway.outcomes("t"), (2, 0, 4));
    // grpcio answers INTERNAL to metadata that is not base64.
    let lines = "Content-Type: application/grpc\r\nx-trace-bin: !!\r\n";
    let answer = gateway.client().request("POST", "/t.T/Echo", lines, body);
    assert_eq!(answer.fields.get("grpc-status"), Some("3"));
    assert_eq!(gateway.outcomes("t"), (2, 0, 4));
}

#[test]
fn messages_flow_in_every_direction() {
    let server = Server::start();
    let gateway = gateway(&server, "{}", "");
    let chat = &client(&gateway, &["chat", "20"])[0];
    let words = chat["words"].as_array().unwrap();
    assert_eq!(words.len(), 20);
    assert_eq!(words[19], "re: word 19");
    let streams = &client(&gateway, &["streams", "1000"])[0];
    assert_eq!(streams["collected"], "a,b,c");
    assert_eq!(streams["spread"], 1000);
    assert_eq!(gateway.outcomes("t"), (3, 0, 0));
}

#[test]
fn the_deadline_reaches_the_server() {
    let server = Server::start();
    let gateway = gateway(&server, "{}", "");
    let answer = &client(&gateway, &["left", "5"])[0];
    let left: f64 = answer["body"].as_str().unwrap().parse().unwrap();
    // grpcio rounds the time up as it sends it.
    assert!((1.0..5.05).contains(&left), "{left}");
}

#[test]
fn a_call_that_ended_unavailable_before_a_message_is_retried() {
    let server = Server::start();
    let gateway = gateway(&server, "{}", "    retry: {}");
    let answer = &client(&gateway, &["FirstFails"])[0];
    assert_eq!(answer["code"], 0, "{answer}");
    assert_eq!(answer["body"], "hello");
    assert_eq!(gateway.outcomes("t"), (1, 0, 0));
    let retries = "fusebox_retries_total{upstream=\"t\",result=\"success\"}";
    assert_eq!(gateway.metric(retries), Some(1.0));
}

#[test]
fn without_a_server_a_call_is_unavailable() {
    let server = Server::start();
    let gateway = gateway(&server, "{}", "");
    drop(server);
    let answer = &client(&gateway, &["Echo"])[0];
    assert_eq!(answer["code"], 14, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.starts_with("upstream \"t\""), "{answer}");
}

#[test]
fn the_health_service_of_grpcio_is_asked() {
    let server = Server::start();
    let health = "    health: { grpc: true, interval: 20ms, rise: 1, fall: 1 }";
    let gateway = gateway(&server, "{}", health);
    let shown = || {
        let shown = gateway.admin_get("/api/v1/upstreams").json();
        shown["upstreams"][0]["endpoints"][0]["health"].clone()
    };
    eventually("it is healthy", || shown() == "healthy");
    drop(server);
    eventually("it is not", || shown() == "kept");
}
