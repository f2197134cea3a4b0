//! The access log: a line for each exchange, exactly one, with the facts; and nobody waits for it.
//!
//! Some thousand requests are made; `FUSEBOX_PROVE=1` makes it a million.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::calls::{FIVE, NEVER, RETRY, command, file, file_with, half_open};
use support::{
    Call, Client, Dial, Gate, Gateway, Refusing, Setup, Upstream, eventually, orders, until,
};

const LOG: &str = "access.log";

/// Starts a gateway whose access log is a file.
fn logged(yaml: impl Into<String>) -> Gateway {
    Setup::new(yaml).arg("--access-log").arg(LOG).start()
}

/// Waits until the gateway leaves.
fn gone(call: &mut Call) {
    call.hang();
}

fn path(gateway: &Gateway, name: &str) -> PathBuf {
    gateway.config().with_file_name(name)
}

/// All lines of a log so far, each parsed.
#[track_caller]
fn parsed(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    text.lines().map(line).collect()
}

/// The lines of the log once it has so many; fails if it has more.
#[track_caller]
fn lines(gateway: &Gateway, count: usize) -> Vec<Value> {
    lines_of(gateway, LOG, count)
}

#[track_caller]
fn lines_of(gateway: &Gateway, name: &str, count: usize) -> Vec<Value> {
    let path = path(gateway, name);
    let all = until("the lines are written", || {
        let text = std::fs::read_to_string(&path).ok()?;
        let is_whole = text.is_empty() || text.ends_with('\n');
        (is_whole && text.lines().count() >= count).then(|| parsed(&text))
    });
    assert_eq!(all.len(), count, "{all:#?}");
    all
}

/// The line of one exchange.
#[track_caller]
fn line(gateway: &Gateway) -> Value {
    lines(gateway, 1).remove(0)
}

/// The values of some fields of a line.
fn of<const N: usize>(line: &Value, fields: [&str; N]) -> [Value; N] {
    fields.map(|field| line[field].clone())
}

#[test]
fn a_line_has_the_facts_of_its_exchange() {
    let upstream = Upstream::start(|call: &mut Call| {
        assert_eq!(call.text(), "four");
        call.respond(201, "eleven char");
    });
    let gateway = logged(file(&[upstream.url()], FIVE, &[]));
    let fields = "X-Request-Id: abc\r\nAuthorization: Bearer hush\r\n";
    let answer = gateway
        .client()
        .request("POST", "/a/b?token=hush", fields, "four");
    assert_eq!(answer.status, 201);
    let line = line(&gateway);
    let names = "ts route method path status duration_ms bytes_in bytes_out client request_id upstream endpoint attempts \
                 breaker state generation reason fallback flags protocol";
    let mut names: Vec<_> = names.split(' ').collect();
    names.sort_unstable();
    let mut found: Vec<_> = line.as_object().unwrap().keys().collect();
    found.sort_unstable();
    assert_eq!(found, names);
    let ts = line["ts"].as_str().unwrap();
    assert_eq!(
        (ts.len(), ts.ends_with('Z')),
        ("2026-11-30T15:47:23.000007Z".len(), true),
        "{ts}"
    );
    let endpoint = upstream.addr().to_string();
    let facts = of(&line, ["method", "path", "status", "bytes_in", "bytes_out"]);
    assert_eq!(json!(facts), json!(["POST", "/a/b", 201, 4, 11]));
    let facts = of(
        &line,
        [
            "client",
            "request_id",
            "upstream",
            "endpoint",
            "breaker",
            "state",
        ],
    );
    assert_eq!(
        json!(facts),
        json!(["127.0.0.1", "abc", "orders", endpoint, "orders", "closed"])
    );
    let facts = of(
        &line,
        ["generation", "reason", "fallback", "flags", "protocol"],
    );
    let generation = gateway.breaker("orders")["generation"].clone();
    assert_eq!(
        json!(facts),
        json!([generation, null, null, [], "HTTP/1.1"])
    );
    assert!(line["route"].is_string());
    let attempts = line["attempts"].as_array().unwrap();
    let attempt = of(&attempts[0], ["endpoint", "status", "error", "outcome"]);
    assert_eq!(json!(attempt), json!([endpoint, 201, null, "success"]));
    let (ms, whole) = (
        attempts[0]["ms"].as_f64().unwrap(),
        line["duration_ms"].as_f64().unwrap(),
    );
    assert!(attempts.len() == 1 && ms > 0.0 && ms < whole, "{line}");
    let text = std::fs::read_to_string(path(&gateway, LOG)).unwrap();
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn there_is_no_log_unless_it_is_asked_for() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(orders(&upstream, "{}"));
    assert_eq!(gateway.get("/a").status, 200);
    assert!(!path(&gateway, LOG).exists());
    // The command line wins over the file.
    let yaml = format!("{}access_log: {{ to: {LOG} }}\n", orders(&upstream, "{}"));
    let gateway = Setup::new(yaml).arg("--access-log").arg("off").start();
    assert_eq!(gateway.get("/a").status, 200);
    assert!(!path(&gateway, LOG).exists());
}

#[test]
fn a_refusal_is_logged_with_its_reason_and_what_the_client_got_instead() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let ladder = "fallback: [{ respond: { status: 200, text: spare } }]";
    let gateway = logged(file(&[upstream.url()], FIVE, &[ladder]));
    command(&gateway, "orders", "open");
    assert_eq!(gateway.get("/a").status, 200);
    let line = line(&gateway);
    let facts = of(
        &line,
        [
            "status",
            "state",
            "reason",
            "fallback",
            "flags",
            "attempts",
            "bytes_out",
        ],
    );
    let wanted = json!([
        200,
        gateway.state("orders"),
        "held_open",
        "respond",
        ["CBO", "FB"],
        [],
        5
    ]);
    assert_eq!(json!(facts), wanted);
    assert_eq!(line["generation"], gateway.breaker("orders")["generation"]);
    assert_eq!((upstream.calls(), &line["upstream"]), (0, &json!("orders")));
}

#[test]
fn each_attempt_is_listed_with_its_endpoint_and_outcome() {
    let refusing = Refusing::new();
    let failing = Upstream::dialled(&Dial::at(503));
    let spare = Upstream::dialled(&Dial::at(200));
    let urls = [refusing.url(), failing.url()];
    let gateway = logged(file_with(
        &urls,
        &[RETRY, "fallback: [{ upstream: spare }]"],
        &spare.url(),
    ));
    assert_eq!(gateway.get("/a").status, 200);
    let line = line(&gateway);
    let attempts = line["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 4, "{line:#}");
    for attempt in &attempts[..3] {
        let is_refusing = refusing
            .url()
            .ends_with(attempt["endpoint"].as_str().unwrap());
        let wanted = match is_refusing {
            true => json!([null, "connect", "failure"]),
            false => json!([503, null, "failure"]),
        };
        assert_eq!(json!(of(attempt, ["status", "error", "outcome"])), wanted);
    }
    let last = of(&attempts[3], ["upstream", "endpoint", "status", "outcome"]);
    let endpoint = spare.addr().to_string();
    assert_eq!(json!(last), json!(["spare", endpoint, 200, "success"]));
    assert_eq!(line["fallback"], "upstream=spare");
    let flags = line["flags"].as_array().unwrap();
    assert!(
        flags.contains(&json!("URX")) && flags.contains(&json!("FB")),
        "{line}"
    );
}

#[test]
fn both_attempts_of_a_hedged_call_are_listed() {
    let slow = Upstream::start(|call| {
        call.hang();
    });
    let quick = Upstream::dialled(&Dial::at(200));
    let failing = Upstream::dialled(&Dial::at(503));
    let hedge = "hedge: { after: 20ms }";
    let listed = |line: &Value| {
        let attempts = line["attempts"].as_array().unwrap().iter();
        let of_each = |it| of(it, ["endpoint", "status", "outcome"]);
        let mut all: Vec<_> = attempts.map(|it| json!(of_each(it))).collect();
        all.sort_by_key(Value::to_string);
        all
    };
    let sorted = |mut all: Vec<Value>| {
        all.sort_by_key(Value::to_string);
        all
    };
    let at = |upstream: &Upstream| upstream.addr().to_string();
    let won = logged(file_with(
        &[slow.url(), quick.url()],
        &[hedge],
        &quick.url(),
    ));
    // One of two requests goes to the slow endpoint first.
    let mut client = won.client();
    for _ in 0..2 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert_eq!((slow.calls(), quick.calls()), (1, 2));
    let all = lines(&won, 2);
    let hedged = all.iter().map(listed).find(|attempts| attempts.len() == 2);
    assert_eq!(
        hedged.unwrap_or_else(|| panic!("{all:#?}")),
        sorted(vec![
            json!([at(&slow), null, "ignored"]),
            json!([at(&quick), 200, "success"])
        ])
    );
    let gate = Gate::default();
    let late = Upstream::start({
        let gate = gate.clone();
        move |call| {
            gate.pass();
            call.respond(200, "late");
        }
    });
    let lost = logged(file_with(
        &[late.url(), failing.url()],
        &[hedge, RETRY],
        &quick.url(),
    ));
    let lost = std::sync::Arc::new(lost);
    let get = std::thread::spawn({
        let lost = lost.clone();
        move || lost.get("/a").text()
    });
    let endpoint = at(&failing);
    let labels = format!("upstream=\"orders\",endpoint=\"{endpoint}\",outcome=\"failure\"");
    let failed = format!("fusebox_attempts_total{{{labels}}}");
    eventually("the hedge has failed", || lost.metric(&failed) == Some(1.0));
    gate.open();
    assert_eq!(get.join().unwrap(), "late");
    assert_eq!(
        listed(&line(&lost)),
        sorted(vec![
            json!([endpoint, 503, "failure"]),
            json!([at(&late), 200, "success"])
        ])
    );
}

#[test]
fn a_timeout_and_a_broken_body_say_whose_fault_they_were() {
    let upstream = Upstream::start(|call: &mut Call| match call.seen.target.as_str() {
        "/slow" => gone(call),
        _ => {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            call.close();
        }
    });
    let gateway = logged(file(
        &[upstream.url()],
        NEVER,
        &["timeout: { request: 100ms }"],
    ));
    assert_eq!(gateway.get("/slow").status, 504);
    let slow = line(&gateway);
    let facts = of(&slow, ["status", "reason", "flags"]);
    assert_eq!(json!(facts), json!([504, "timeout", ["UT"]]));
    let attempt = of(&slow["attempts"][0], ["status", "error", "outcome"]);
    assert_eq!(json!(attempt), json!([null, "timeout", "failure"]));
    let mut client = gateway.client();
    client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    drop(client.wire.read_to_end());
    let cut = lines(&gateway, 2).remove(1);
    let facts = of(&cut, ["status", "bytes_out", "flags"]);
    assert_eq!(json!(facts), json!([200, 4, ["UC"]]));
    let attempt = of(&cut["attempts"][0], ["status", "error", "outcome"]);
    assert_eq!(json!(attempt), json!([200, "truncated", "failure"]));
}

#[test]
fn a_client_that_leaves_gets_its_line_too() {
    let upstream = Upstream::start(|call: &mut Call| match call.seen.target.as_str() {
        "/waits" => gone(call),
        _ => {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            gone(call);
        }
    });
    let gateway = logged(file(&[upstream.url()], NEVER, &[]));
    let mut client = gateway.client();
    client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the upstream has it", || upstream.calls() == 1);
    client.wire.reset();
    let waited = line(&gateway);
    let facts = of(&waited, ["path", "status", "flags", "bytes_out"]);
    assert_eq!(json!(facts), json!(["/waits", 499, ["DC"], 0]));
    let attempt = &waited["attempts"][0];
    assert_eq!(
        json!(of(attempt, ["status", "outcome"])),
        json!([null, "ignored"])
    );
    let mut client = gateway.client();
    client.send("GET /flows HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.wire.read_exactly(4).unwrap(), b"half");
    client.wire.reset();
    let left = lines(&gateway, 2).remove(1);
    let facts = of(&left, ["path", "status", "flags", "bytes_out"]);
    assert_eq!(json!(facts), json!(["/flows", 200, ["DC"], 4]));
}

#[test]
fn a_probe_that_outlives_its_client_is_one_line() {
    let upstream = Upstream::start(|call: &mut Call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        gone(call);
    });
    let breaker =
        "{ half_open: { probe_timeout: 300ms }, trip: { consecutive_failures: 5 }, settle: 300ms }";
    let gateway = logged(file(&[upstream.url()], breaker, &[]));
    half_open(&gateway, "orders");
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    client.wire.reset();
    let line = line(&gateway);
    assert_eq!(
        json!(of(&line, ["state", "flags"])),
        json!(["half_open", ["DC"]])
    );
    assert_eq!(line["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_tunnel_is_logged_at_its_end_with_its_bytes() {
    let upstream = Upstream::start(|call: &mut Call| {
        call.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        while let Ok(bytes) = call.wire().read_some() {
            if bytes.is_empty() || !call.send(bytes) {
                break;
            }
        }
        call.close();
    });
    let gateway = logged(file(&[upstream.url()], FIVE, &[]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.head().status, 101);
    client.send("hello");
    assert_eq!(client.wire.read_exactly(5).unwrap(), b"hello");
    assert_eq!(std::fs::read_to_string(path(&gateway, LOG)).unwrap(), "");
    client.wire.finish();
    let line = line(&gateway);
    let facts = of(&line, ["status", "bytes_in", "bytes_out", "flags"]);
    assert_eq!(json!(facts), json!([101, 5, 5, ["UG"]]));
}

#[test]
fn requests_without_a_route_or_a_meaning_have_a_line_each() {
    let yaml = "listen: 127.0.0.1:0\nroutes: [{ name: hi, path: /a, methods: [GET], respond: { text: hello } }]\n";
    // One, whose lines are in order.
    let log = ["--access-log", LOG].map(str::to_owned);
    let setup = log.into_iter().fold(Setup::new(yaml), Setup::arg);
    let gateway = setup.workers(1).start();
    let ask = |bytes: &str| {
        let mut client = gateway.client();
        client.send(bytes);
        client.wire.read_to_end().unwrap()
    };
    ask("GET /a HTTP/1.0\r\n\r\n");
    ask("GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ask("DELETE /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ask("GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    ask("\u{1}\u{2} nonsense\r\n\r\n");
    ask("HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ask("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let lines = lines(&gateway, 7);
    let facts = lines.iter().map(|line| {
        let facts = of(
            line,
            [
                "method",
                "path",
                "status",
                "route",
                "flags",
                "bytes_out",
                "protocol",
            ],
        );
        json!(facts)
    });
    let facts: Vec<_> = facts.collect();
    assert_eq!(facts[0], json!(["GET", "/a", 200, "hi", [], 5, "HTTP/1.0"]));
    assert_eq!(
        json!(&facts[1].as_array().unwrap()[..5]),
        json!(["GET", "/nowhere", 404, null, ["NR"]])
    );
    assert_eq!(
        json!(&facts[2].as_array().unwrap()[..5]),
        json!(["DELETE", "/a", 405, null, ["NR"]])
    );
    assert_eq!(
        json!(&facts[3].as_array().unwrap()[..5]),
        json!(["GET", "/a", 400, null, ["BR"]])
    );
    assert_eq!(
        json!(&facts[4].as_array().unwrap()[..5]),
        json!([null, null, 400, null, ["BR"]])
    );
    assert_eq!(
        facts[5],
        json!(["HEAD", "/a", 200, "hi", [], 0, "HTTP/1.1"])
    );
    assert_eq!(
        facts[6],
        json!(["OPTIONS", "*", 204, null, [], 0, "HTTP/1.1"])
    );
    for line in &lines[1..5] {
        assert!(
            line["reason"].is_string() && line["request_id"].is_string(),
            "{line}"
        );
    }
    assert_eq!(gateway.metric("fusebox_requests_total"), Some(7.0));
}

#[test]
fn only_what_when_and_sample_choose_is_written() {
    let upstream = Upstream::start(|call: &mut Call| {
        let status = call.seen.target[1..4].parse().unwrap();
        call.respond(status, "");
    });
    let log = |rest: &str| {
        format!(
            "{}access_log: {{ to: {LOG}, {rest} }}\n",
            orders(&upstream, NEVER)
        )
    };
    let more = "when: 'status >= 500 || \"x\" in flags', query: true, headers: [user-agent, host]";
    let gateway = Gateway::run(log(more));
    let mut client = gateway.client();
    for status in [200, 503, 404, 500] {
        let path = format!("/{status}?q=%22{status}");
        client.request("GET", &path, "User-Agent: a \"b\"\r\nCookie: hush\r\n", "");
    }
    let lines = lines(&gateway, 2);
    assert_eq!(
        json!(of(&lines[0], ["status", "query"])),
        json!([503, "q=%22503"])
    );
    let host = client.host.clone();
    assert_eq!(
        lines[0]["headers"],
        json!({ "user-agent": "a \"b\"", "host": host })
    );
    // A sample adds to the condition; of everything it is everything.
    gateway.rewrite(&log("when: 'status >= 500', sample: 100%"));
    gateway.sighup();
    gateway.log_line(|line| {
        line["message"] == "reloaded"
            && line["changed"].as_str() == Some("settings changed: access_log")
    });
    client.get("/200");
    let all = self::lines(&gateway, 3);
    assert_eq!(
        json!(of(&all[2], ["status", "query", "headers"])),
        json!([200, null, null])
    );
    gateway.rewrite(&log("sample: 0%"));
    gateway.sighup();
    eventually("the reload is done", || {
        gateway.admin_get("/api/v1/plan").json()["access_log"]["sample"] == "0%"
    });
    client.get("/500");
    gateway.sigterm();
    gateway.wait();
    assert_eq!(self::lines(&gateway, 3).len(), 3);
}

#[test]
fn a_reload_moves_the_log_and_one_that_cannot_be_opened_keeps_the_old_plan() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let to = |to: &str| format!("{}access_log: {{ to: {to} }}\n", orders(&upstream, "{}"));
    let gateway = Gateway::run(to(LOG));
    let mut client = gateway.client();
    client.get("/1");
    gateway.rewrite(&to("other.log"));
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reloaded");
    client.get("/2");
    assert_eq!(lines_of(&gateway, "other.log", 1)[0]["path"], "/2");
    gateway.rewrite(&to("no/such/folder.log"));
    gateway.sighup();
    let failed = gateway.log_line(|line| line["level"] == "ERROR");
    let text = failed.to_string();
    assert!(
        text.contains("cannot write to no/such/folder.log"),
        "{text}"
    );
    client.get("/3");
    assert_eq!(lines_of(&gateway, "other.log", 2)[1]["path"], "/3");
    assert_eq!(line(&gateway)["path"], "/1");
}

#[test]
fn sigusr1_opens_the_file_anew() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = logged(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.get("/1");
    lines(&gateway, 1);
    std::fs::rename(path(&gateway, LOG), path(&gateway, "old.log")).unwrap();
    client.get("/2");
    lines_of(&gateway, "old.log", 2);
    gateway.signal("USR1");
    let wanted = "the access log's file was opened anew";
    gateway.log_line(|line| line["message"] == wanted);
    client.get("/3");
    assert_eq!(line(&gateway)["path"], "/3");
    lines_of(&gateway, "old.log", 2);
}

#[test]
fn every_request_of_many_is_a_line_of_json() {
    const CLIENTS: usize = 4;
    let proves = std::env::var_os("FUSEBOX_PROVE").is_some();
    let each = if proves { 250_000 } else { 500 };
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = logged(orders(&upstream, "{}"));
    let addr = gateway.addr();
    let clients = (0..CLIENTS).map(|_| {
        std::thread::spawn(move || {
            let mut client = Client::to(addr);
            for at in 0..each {
                assert_eq!(client.get(&format!("/{at}")).status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.join().unwrap();
    }
    // At the end no line is left in a buffer.
    gateway.sigterm();
    assert_eq!(gateway.wait().code(), Some(0));
    let all = lines(&gateway, each * CLIENTS);
    let mut ids: Vec<_> = all
        .iter()
        .map(|line| line["request_id"].to_string())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), each * CLIENTS);
}

#[test]
fn a_reader_that_stops_holds_up_nobody_and_what_it_missed_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let yaml = "listen: 127.0.0.1:0\nroutes: [{ path: /, respond: {} }]\n";
    let to = format!(
        "access_log: {{ to: {}, headers: [x-long] }}\n",
        pipe.display()
    );
    let gateway = Setup::new(format!("{yaml}{to}")).workers(1).start();
    // Each line has 48 KiB, so that the pipe and both buffers of 4 MiB are full soon.
    let long = format!("X-Long: {}\r\n", "x".repeat(48 << 10));
    let mut client = gateway.client();
    let mut slowest = Duration::ZERO;
    let dropped = || gateway.metric("fusebox_log_lines_dropped_total").unwrap();
    let mut sent = 0;
    while dropped() < 10.0 {
        for _ in 0..20 {
            let asked = Instant::now();
            assert_eq!(client.request("GET", "/", &long, "").status, 200);
            slowest = slowest.max(asked.elapsed());
            sent += 1;
        }
        assert!(sent < 2_000, "the buffers are bounded");
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // The end does not wait for it either.
    gateway.sigterm();
    assert_eq!(gateway.wait().code(), Some(0));
}
