//! HTTP/2 towards clients: who speaks it, what its requests become, how its connections end.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::support::tls::{Files, certificate};
use crate::support::{Call, Gate, Gateway, Upstream, eventually, python};

/// A script beside this file, for Python.
pub fn script(name: &str) -> Command {
    let mut command = Command::new(python::program("python3"));
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocols");
    command.arg(beside.join(name)).stderr(Stdio::inherit());
    command
}

/// The last line of a script's output.
#[track_caller]
pub fn said(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last();
    let last = last.unwrap_or_else(|| panic!("{command:?} says nothing"));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Plays a scenario of `h2_clients.py`.
#[track_caller]
fn client(gateway: &Gateway, scenario: &str) -> Value {
    let port = gateway.addr().port().to_string();
    said(script("h2_clients.py").args([&port, scenario]))
}

/// A client that goes on beside the test.
struct Running(Child, BufReader<ChildStdout>);

impl Running {
    fn start(gateway: &Gateway, scenario: &str) -> Running {
        let port = gateway.addr().port().to_string();
        let mut command = script("h2_clients.py");
        let mut child = command
            .args([&port, scenario])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Running(child, out)
    }

    #[track_caller]
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A listener that takes HTTP/2 without TLS, and `orders` behind it.
pub fn yaml(upstream: &str, limits: &str) -> String {
    format!(
        "listeners: [{{ name: public, addr: \"127.0.0.1:0\", http2: cleartext }}]
limits: {limits}
upstreams:
  orders: {{ url: \"{upstream}\", breaker: {{ trip: {{ consecutive_failures: 1 }}, cooldown: 60s }} }}
routes:
  - {{ path: \"/{{*rest}}\", upstream: orders }}
  - {{ path: /ping, respond: {{ status: 200, text: pong }} }}
"
    )
}

/// An upstream that never fails of its own.
pub fn serve(call: &mut Call) {
    let path = call.seen.target.clone();
    match path.as_str() {
        "/slow" => {
            call.hang();
        }
        "/drip" => {
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
            call.hang();
        }
        "/big" => call.respond(200, &"x".repeat(1 << 20)),
        "/none" => call.respond(204, ""),
        _ => call.respond(200, &path),
    }
}

fn curl(args: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sS", "-k", "--max-time", "20"])
        .args(args)
        .output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + &String::from_utf8_lossy(&output.stderr)
}

const VERSION: [&str; 2] = ["-w", "\n%{http_version} %{http_code}"];

#[test]
fn a_client_without_tls_chooses_by_how_it_begins() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let url = format!("http://{}/a", gateway.addr());
    let known = ["--http2-prior-knowledge", &url, VERSION[0], VERSION[1]];
    assert_eq!(curl(&known), "/a\n2 200");
    assert_eq!(curl(&[&url, VERSION[0], VERSION[1]]), "/a\n1.1 200");
    // `Upgrade: h2c` is passed over.
    assert_eq!(
        curl(&["--http2", &url, VERSION[0], VERSION[1]]),
        "/a\n1.1 200"
    );

    let off = yaml(&upstream.url(), "{}").replace("http2: cleartext", "http2: off");
    let gateway = Gateway::run(off);
    let mut client = gateway.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.head().status, 505);
}

#[test]
fn a_client_with_tls_chooses_in_the_handshake() {
    let own = certificate();
    let files = Files::of(&own);
    let upstream = Upstream::start(serve);
    let tls = |http2: &str| {
        let tls = format!("tls: {}{http2}", files.yaml());
        yaml(&upstream.url(), "{}").replace("http2: cleartext", &tls)
    };
    for (http2, version) in [("", "2"), (", http2: auto", "2"), (", http2: off", "1.1")] {
        let gateway = Gateway::run(tls(http2));
        let url = format!("https://{}/a", gateway.addr());
        let got = curl(&["--http2", &url, VERSION[0], VERSION[1]]);
        assert_eq!(got, format!("/a\n{version} 200"), "{http2}");
        assert_eq!(
            upstream.last().fields.get("x-forwarded-proto"),
            Some("https")
        );
        let got = curl(&["--http1.1", &url, VERSION[0], VERSION[1]]);
        assert_eq!(got, "/a\n1.1 200", "{http2}");
        let shown = gateway.admin_get("/api/v1/plan").json();
        let word = shown["listeners"][0]["http2"].as_str().unwrap_or_default();
        assert!(http2.ends_with(word), "{http2}: {word}");
    }
}

#[test]
fn a_reload_changes_what_new_clients_may_speak() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let url = format!("http://{}/a", gateway.addr());
    let known = ["--http2-prior-knowledge", &url, VERSION[0], VERSION[1]];
    assert_eq!(curl(&known), "/a\n2 200");
    let off = yaml(&upstream.url(), "{}").replace("http2: cleartext", "http2: off");
    gateway.rewrite(&off);
    gateway.sighup();
    gateway.log_line(|line| {
        line["message"]
            .as_str()
            .is_some_and(|it| it.contains("reloaded"))
    });
    let got = curl(&known);
    assert!(!got.contains("2 200"), "{got}");
}

#[test]
fn a_hundred_requests_share_one_connection() {
    let gate = std::sync::Arc::new(Gate::default());
    let held = gate.clone();
    let upstream = Upstream::start(move |call| {
        held.pass();
        let path = call.seen.target.clone();
        call.respond(200, &path);
    });
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let client = Running::start(&gateway, "many");
    eventually("all are in flight at once", || gate.waiting() == 100);
    gate.open();
    let mut client = client;
    let seen = client.next();
    assert_eq!(seen["ends"], serde_json::json!(["200"]));
    assert_eq!(seen["own"], true, "each stream has its own answer");
    let accepted = gateway.metric("fusebox_connections_accepted_total");
    assert_eq!(accepted, Some(1.0));
    drop(client);
    eventually("the connection is counted as ended", || {
        gateway.metric("fusebox_connections") == Some(0.0)
    });
}

#[test]
fn ten_thousand_requests_of_h2load_are_all_answered() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    for (path, count) in [("ping", "10000"), ("a", "1000")] {
        let url = format!("http://{}/{path}", gateway.addr());
        let mut command = Command::new("h2load");
        let output = command
            .args(["-n", count, "-c", "4", "-m", "25", &url])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let all = format!("{count} succeeded, 0 failed, 0 errored, 0 timeout");
        assert!(text.contains(&all), "{text}");
    }
    assert_eq!(gateway.outcomes("orders"), (1000, 0, 0));
}

#[test]
fn a_request_reaches_an_upstream_in_the_form_of_http_1() {
    let upstream = Upstream::start(|call| {
        let (body, trailers) = call.body_and_trailers();
        let sum = trailers.get("x-sum").unwrap_or_default().to_owned();
        let body = String::from_utf8(body).unwrap();
        call.send(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\
             Keep-Alive: timeout=5\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-sum: {sum}\r\n\r\n",
            body.len()
        ));
    });
    let dir = tempfile::tempdir().unwrap();
    let log: PathBuf = dir.path().join("access.log");
    let yaml = yaml(&upstream.url(), "{}");
    let gateway = Gateway::run(format!("{yaml}access_log: {{ to: {} }}\n", log.display()));
    let seen = client(&gateway, "form");
    assert_eq!(
        (&seen["end"], &seen["body"]),
        (&"200".into(), &"hello world".into())
    );
    let head = &seen["head"];
    assert_eq!(head["trailers"]["x-sum"], "11");
    for field in ["connection", "keep-alive", "transfer-encoding"] {
        assert!(head[field].is_null(), "{head}");
    }
    let asked = upstream.last();
    assert_eq!((&*asked.method, &*asked.target), ("POST", "/form?q=%61"));
    let own = upstream.addr().to_string();
    for (field, value) in [
        ("host", own.as_str()),
        ("cookie", "a=1; b=2"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("via", "2 fusebox"),
        ("x-forwarded-host", "gateway.test"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(asked.fields.all(field), [value], "{field}");
    }
    assert!(!asked.fields.has("expect"));
    eventually("the line is written", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains("\"protocol\":\"HTTP/2\"") && text.contains("\"bytes_in\":11")
    });
}

#[test]
fn a_body_that_nobody_reads_ends_its_stream_alone() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let seen = client(&gateway, "unread");
    assert_eq!(seen["ends"], serde_json::json!(["200"]), "{seen}");
    assert_eq!(
        seen["resets"],
        serde_json::json!([0]),
        "NO_ERROR, behind the answer: {seen}"
    );
    assert_eq!(seen["after"], "200", "{seen}");
}

#[test]
fn an_answer_to_an_unread_body_is_not_lost_to_a_reset_behind_it() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{ request_body: 2MiB }"));
    let seen = client(&gateway, "ended_late");
    assert_eq!(seen["ends"], serde_json::json!(["200"]), "{seen}");
    assert_eq!(
        (&seen["resets"], &seen["after"]),
        (&0.into(), &"200".into()),
        "{seen}"
    );
    // curl loses an answer that comes with a reset, however complete it is.
    gateway.admin_post("/api/v1/breakers/orders/open", &serde_json::json!({}));
    let dir = tempfile::TempDir::new().unwrap();
    let body = dir.path().join("body");
    for (path, length, status) in [
        ("ping", 60_000, "\n2 200"),
        ("a", 1 << 20, "\n2 503"),
        ("a", 3 << 20, "\n2 413"),
    ] {
        std::fs::write(&body, "x".repeat(length)).unwrap();
        let url = format!("http://{}/{path}", gateway.addr());
        let upload = format!("@{}", body.display());
        let [written, version] = VERSION;
        let known = "--http2-prior-knowledge";
        let said = curl(&[known, "--data-binary", &upload, &url, written, version]);
        assert!(said.ends_with(status), "{path} {length}: {said}");
    }
}

#[test]
fn interim_answers_are_dropped_and_counted() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n");
        call.respond(200, "late");
    });
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let url = format!("http://{}/a", gateway.addr());
    let got = curl(&[
        "--http2-prior-knowledge",
        "-i",
        &url,
        VERSION[0],
        VERSION[1],
    ]);
    assert!(
        got.starts_with("HTTP/2 200") && got.ends_with("late\n2 200"),
        "{got}"
    );
    let dropped = gateway.metric("fusebox_interim_answers_dropped_total");
    assert_eq!(dropped, Some(1.0));
}

#[test]
fn a_head_over_the_limit_is_431() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{ head: 16KiB }"));
    let url = format!("http://{}/a", gateway.addr());
    let field = format!("x: {}", "y".repeat(20_000));
    let got = curl(&[
        "--http2-prior-knowledge",
        "-H",
        &field,
        &url,
        VERSION[0],
        VERSION[1],
    ]);
    assert_eq!(got, "\n2 431");
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn an_answer_that_breaks_resets_its_stream_alone() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        call.close();
    });
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let seen = client(&gateway, "broken");
    assert_eq!(
        (&seen["cut"], &seen["bytes"], &seen["after"]),
        (&"reset 2".into(), &4.into(), &"200".into())
    );
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
}

#[test]
fn a_body_over_the_limit_is_413_and_the_connection_goes_on() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{ request_body: 32KiB }"));
    let seen = client(&gateway, "large");
    assert_eq!(
        (&seen["end"], &seen["after"]),
        (&"413".into(), &"200".into())
    );
    let (_, failure, _) = gateway.outcomes("orders");
    assert_eq!((failure, &*gateway.state("orders")), (0, "closed"));
}

#[test]
fn a_probe_is_judged_although_its_client_has_reset_its_stream() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |call| match call.seen.target.as_str() {
        "/fail" => call.respond(500, ""),
        _ => {
            held.pass();
            call.respond(200, "late");
        }
    });
    let yaml = yaml(&upstream.url(), "{}").replace("cooldown: 60s", "cooldown: 50ms");
    let gateway = Gateway::run(yaml);
    assert_eq!(gateway.get("/fail").status, 500);
    eventually("its cooldown is over", || {
        gateway.state("orders") == "half_open"
    });
    let seen = client(&gateway, "abandon");
    assert_eq!(seen["after"], "200");
    gate.open();
    eventually("the probe closes the breaker", || {
        gateway.state("orders") == "closed"
    });
}

#[test]
fn answers_without_a_body_have_none() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let seen = client(&gateway, "bare");
    assert_eq!(
        seen["ends"],
        serde_json::json!(["200", "200", "204"]),
        "{seen}"
    );
    assert_eq!(
        seen["lengths"],
        serde_json::json!(["1048576", "4"]),
        "{seen}"
    );
    assert_eq!(seen["bodies"], 0, "{seen}");
}

#[test]
fn sixty_clients_that_leave_move_no_breaker() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let seen = client(&gateway, "leave");
    assert_eq!(seen["after"], "200", "{seen}");
    eventually("nothing is in flight any more", || {
        upstream.in_flight() == 0
    });
    eventually("every connection is counted as ended", || {
        gateway.metric("fusebox_connections") == Some(0.0)
    });
    let (success, failure, _) = gateway.outcomes("orders");
    assert_eq!((success, failure), (0, 0));
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn an_abandoned_call_is_the_failure_that_the_file_makes_it() {
    let upstream = Upstream::start(serve);
    let yaml =
        yaml(&upstream.url(), "{}").replace("cooldown: 60s", "cooldown: 60s, abandoned: 50ms");
    let gateway = Gateway::run(yaml);
    let port = gateway.addr().port().to_string();
    said(script("h2_clients.py").args([&port, "abandon"]));
    eventually("the breaker hears of it", || {
        gateway.state("orders") == "open"
    });
}

#[test]
fn a_client_that_opens_no_window_loses_its_streams() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{ stream_stall: 300ms }"));
    let before = gateway.rss();
    let seen = client(&gateway, "stalled");
    assert_eq!(
        (&seen["count"], &seen["bytes"]),
        (&20.into(), &0.into()),
        "{seen}"
    );
    assert_eq!(seen["resets"], serde_json::json!([8]), "{seen}");
    assert_eq!(seen["after"], "204", "the connection goes on: {seen}");
    assert!(seen["ms"].as_u64().unwrap() >= 300, "{seen}");
    let grown = gateway.rss_most().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 20 answers of 1 MiB");
    eventually("nothing is in flight any more", || {
        upstream.in_flight() == 0
    });
    let (_, failure, _) = gateway.outcomes("orders");
    assert_eq!((failure, &*gateway.state("orders")), (0, "closed"));
}

#[test]
fn a_download_by_small_windows_is_no_flood() {
    let upstream = Upstream::start(|call| call.respond(200, &"x".repeat(2 << 20)));
    // Two updates for each KiB are far more than 50 frames a second.
    let gateway = Gateway::run(yaml(&upstream.url(), "{ control_frames: 10 }"));
    let seen = client(&gateway, "slow_reader");
    assert_eq!(
        (&seen["end"], &seen["bytes"]),
        (&"200".into(), &(2 << 20).into()),
        "{seen}"
    );
}

#[test]
fn an_idle_connection_gets_goaway() {
    let upstream = Upstream::start(serve);
    let gateway = Gateway::run(yaml(&upstream.url(), "{ keep_alive: 300ms }"));
    let seen = client(&gateway, "idle");
    assert_eq!(
        (&seen["end"], &seen["closed"]),
        (&"200".into(), &true.into()),
        "{seen}"
    );
    assert_eq!(seen["goaways"], serde_json::json!([0, 0]), "{seen}");
}

#[test]
fn what_stalls_before_its_first_request_is_closed() {
    let upstream = Upstream::start(serve);
    let limits = "{ head_timeout: 300ms, first_byte: 300ms }";
    let gateway = Gateway::run(yaml(&upstream.url(), limits));
    for scenario in ["silent", "half"] {
        assert_eq!(client(&gateway, scenario)["closed"], true, "{scenario}");
    }
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn a_drain_says_goaway_and_lets_the_rest_finish() {
    let gate = std::sync::Arc::new(Gate::default());
    let held = gate.clone();
    let upstream = Upstream::start(move |call| {
        held.pass();
        call.respond(200, "late");
    });
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let mut client = Running::start(&gateway, "ending");
    let mut silent = Running::start(&gateway, "silent");
    assert_eq!(client.next()["asked"], true);
    eventually("the request is at its upstream", || gate.waiting() == 1);
    eventually("both clients are there", || {
        gateway.metric("fusebox_connections") == Some(2.0)
    });
    gateway.sigterm();
    assert_eq!(client.next()["told"], true);
    gate.open();
    let seen = client.next();
    assert_eq!(
        (&seen["end"], &seen["closed"]),
        (&"200".into(), &true.into()),
        "{seen}"
    );
    assert_eq!(
        silent.next()["closed"],
        true,
        "a connection before its preface holds nobody up"
    );
    assert!(gateway.wait().success());
}

#[test]
fn a_drain_under_load_loses_no_request_that_was_begun() {
    let upstream = Upstream::start(serve);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("access.log");
    let yaml = yaml(&upstream.url(), "{}");
    let gateway = Gateway::run(format!("{yaml}access_log: {{ to: {} }}\n", log.display()));
    let url = format!("http://{}/a", gateway.addr());
    let mut command = Command::new("h2load");
    command.args(["-n", "1000000", "-c", "4", "-m", "10", &url]);
    let load = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually("the load is on", || {
        gateway.count("orders", "success") > 500
    });
    gateway.sigterm();
    assert!(gateway.wait().success());
    let output = load.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // h2load counts requests as begun that it had not sent when GOAWAY came; so the gateway's own count is compared.
    let log = std::fs::read_to_string(&log).unwrap();
    let is_answered = |line: &str| line.contains("\"status\":200,");
    assert!(log.lines().all(is_answered), "{log}");
    let answered = format!(" {} succeeded,", log.lines().count());
    assert!(text.contains(&answered), "{answered} {text}");
}

#[test]
fn a_listener_that_a_reload_removes_lets_its_streams_finish() {
    let gate = std::sync::Arc::new(Gate::default());
    let held = gate.clone();
    let upstream = Upstream::start(move |call| {
        held.pass();
        call.respond(200, "late");
    });
    let before = yaml(&upstream.url(), "{}");
    let gateway = Gateway::run(&*before);
    let mut client = Running::start(&gateway, "ending");
    assert_eq!(client.next()["asked"], true);
    eventually("the request is at its upstream", || gate.waiting() == 1);
    gateway.rewrite(&before.replace("127.0.0.1:0", "127.0.0.2:0"));
    gateway.sighup();
    assert_eq!(client.next()["told"], true);
    gate.open();
    let seen = client.next();
    assert_eq!(
        (&seen["end"], &seen["closed"]),
        (&"200".into(), &true.into()),
        "{seen}"
    );
}

#[test]
fn a_websocket_flows_in_a_stream() {
    let upstream = Upstream::start(|call| {
        assert_eq!(call.seen.method, "GET");
        assert_eq!(
            call.seen.fields.get("sec-websocket-key").map(str::len),
            Some(24)
        );
        call.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        while let Ok(bytes) = call.wire().read_some() {
            if bytes.is_empty() || !call.send(bytes) {
                break;
            }
        }
        call.close();
    });
    let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
    let seen = client(&gateway, "websocket");
    assert_eq!(seen["head"][":status"], "200", "{seen}");
    assert!(seen["head"]["sec-websocket-accept"].is_null(), "{seen}");
    assert_eq!(
        (&seen["echoed"], &seen["end"]),
        (&true.into(), &"200".into()),
        "{seen}"
    );
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
    eventually("the upstream's end is closed too", || upstream.open() == 0);
}
