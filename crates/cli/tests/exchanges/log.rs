//! The log on standard error: nobody who does not read it holds the gateway up, and JSON is JSON from the first line.

use crate::support::{Dial, Gateway, Program, Setup, Upstream, orders};
use serde_json::{Value, json};

/// A gateway whose log nobody reads, which has logged more than the pipe holds, and was never held up by it.
fn with_a_full_pipe() -> (Gateway, Upstream) {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Setup::new(orders(&upstream, "{}")).unread().start();
    let mut client = gateway.client();
    let mut admin = gateway.admin();
    // Each is a line of 250 bytes or more; a pipe holds 64 KiB, the reader of the test 8 KiB.
    for at in 0..600 {
        let action = ["open", "release", "reset"][at % 3];
        let path = format!("/api/v1/breakers/orders/{action}");
        let lines = "Content-Type: application/json\r\n";
        let body = json!({ "reason": "x".repeat(100) }).to_string();
        let body = if action == "open" { &body } else { "{}" };
        assert_eq!(admin.request("POST", &path, lines, body).status, 200);
    }
    assert_eq!(client.get("/a").status, 200);
    assert_eq!(admin.get("/healthz").status, 200);
    (gateway, upstream)
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let (gateway, _upstream) = with_a_full_pipe();
    gateway.sighup();
    assert_eq!(gateway.get("/a").status, 200);
    gateway.sigterm();
    assert_eq!(gateway.wait().code(), Some(0));
    gateway.read_log();
}

#[test]
fn lines_that_were_not_read_in_time_come_when_they_are() {
    let (gateway, _upstream) = with_a_full_pipe();
    assert_eq!(gateway.metric("fusebox_log_lines_dropped_total"), Some(0.0));
    gateway.sigterm();
    gateway.read_log();
    gateway.log_line(|line| line["message"] == "drained");
    assert_eq!(gateway.wait().code(), Some(0));
    let log = gateway.log();
    for line in &log {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    assert!(log.len() > 600, "{}", log.len());
}

/// Runs the program to its end and takes every line of its standard error for JSON.
#[track_caller]
fn json_lines(program: &Program, args: &[&str]) -> (Option<i32>, Vec<Value>) {
    let ended = program.run(args);
    let lines = ended.stderr.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(line["timestamp"].is_string(), "{line}");
        line
    });
    (ended.code, lines.collect())
}

#[test]
fn with_log_json_what_goes_wrong_before_the_start_is_json_too() {
    let program = Program::new()
        .file(
            "bad.yaml",
            "listen: 127.0.0.1:0\nlimits: { \"dr\u{2028}ain\": 1s }\nroutes: 1\n",
        )
        .file(
            "open.yaml",
            "listen: 127.0.0.1:0\nadmin: { addr: 0.0.0.0:0 }\nroutes: [{ path: /, respond: {} }]\n",
        );
    for (args, code, said) in [
        (&["bad.yaml"][..], 1, "bad.yaml:2:"),
        (&["nowhere.yaml"], 1, "cannot read nowhere.yaml"),
        (&["open.yaml"], 1, "token"),
        (&["open.yaml", "--bogus"], 2, "--bogus"),
        (&[], 2, "FILE"),
    ] {
        let args: Vec<_> = [&["run", "--log", "json"], args].concat();
        let (ended, lines) = json_lines(&program, &args);
        assert_eq!(ended, Some(code), "{lines:?}");
        let error = lines.iter().find(|line| {
            line["level"] == "ERROR" && line["message"].as_str().unwrap().contains(said)
        });
        assert!(error.is_some(), "{said} in {lines:?}");
    }
    let by_variable = Program::new().env("FUSEBOX_LOG", "json");
    assert_eq!(
        json_lines(&by_variable, &["run", "nowhere.yaml"]).0,
        Some(1)
    );
    assert_eq!(json_lines(&by_variable, &["run", "--bogus"]).0, Some(2));
}

#[test]
fn for_a_person_the_same_is_plain() {
    let ended = Program::new().run(["run", "nowhere.yaml", "--log", "pretty"]);
    assert!(
        ended
            .stderr
            .starts_with("fusebox: cannot read nowhere.yaml"),
        "{ended:?}"
    );
}

#[test]
fn a_line_is_one_line_whatever_a_breakers_holder_writes() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(orders(&upstream, "{}"));
    // The admin API takes no control characters, and this is none.
    let reason = "moved\u{2028}{\"level\":\"ERROR\"}";
    let answer = gateway.admin_post("/api/v1/breakers/orders/open", &json!({ "reason": reason }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    gateway.log_line(|line| line["reason"] == reason);
    assert!(!gateway.log().join("\n").contains('\u{2028}'));
}
