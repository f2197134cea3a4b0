//! `fusebox simulate`: scenarios with a line each and a count at the end; logs of every form, replayed; sweeps; and
//! assumed phases. The numbers of the replays are worked out in the comments.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails its test by panicking"
)]

use std::process::{Command, Output};

use serde_json::{Value, json};

const SCENARIOS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../conformance/breaker.json"
);

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fusebox"))
        .arg("simulate")
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn scenarios_that_come_out_as_expected_are_counted_and_end_well() {
    let ended = simulate(&["--scenarios", SCENARIOS]);
    let out = text(&ended.stdout);
    let passed = out.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(passed >= 19, "{out}");
    assert_eq!(
        out.lines().last(),
        Some(&*format!("{passed} passed, 0 failed"))
    );
    assert!(
        out.contains("not run, because they show what a breaker must not do: R17,"),
        "{out}"
    );
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn one_scenario_can_be_run_by_its_id() {
    let ended = simulate(&["--scenarios", SCENARIOS, "--id", "R20"]);
    let out = text(&ended.stdout);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.starts_with("ok   R20 conformance: "), "{out}");
    assert!(out.ends_with("\n1 passed, 0 failed\n"), "{out}");
    let ended = simulate(&["--scenarios", SCENARIOS, "--id", "R999"]);
    assert!(text(&ended.stderr).contains("unknown scenario R999; expected one of R04, "));
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn a_scenario_that_comes_out_otherwise_is_told_and_ends_badly() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.json");
    std::fs::write(
        &file,
        r#"{ "scenarios": [{ "id": "W", "kind": "conformance", "title": "one failure opens",
            "config": { "trip": { "policy": "consecutive", "threshold": 2 },
                        "cooldown": { "kind": "fixed", "ms": 5 },
                        "half_open": { "max_calls": 1, "decide": "first_probe" } },
            "steps": [{ "op": "call", "outcome": "failure", "expect": "permit", "state": "open" }] }] }"#,
    )
    .unwrap();
    let ended = simulate(&["--scenarios", &file.to_string_lossy()]);
    assert_eq!(
        text(&ended.stdout),
        "FAIL W conformance: one failure opens: step 1: expected the state open, it is closed (no event yet) \
         (against the machine)\n0 passed, 1 failed\n"
    );
    assert_eq!(ended.status.code(), Some(1));
}

/// A folder with a configuration: two upstreams with breakers, and one without.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(
        &dir,
        "fusebox.yaml",
        r#"
version: 1
listen: 127.0.0.1:0
upstreams:
  orders: { url: "http://127.0.0.1:1", breaker: { trip: { consecutive_failures: 5 }, cooldown: 5s } }
  tenants: { url: "http://127.0.0.1:1", breaker: { key: "{header.x-tenant}", trip: { consecutive_failures: 2 }, cooldown: 60s } }
  plain: { url: "http://127.0.0.1:1" }
routes:
  - { path: "/orders/{id}", methods: [GET], upstream: orders }
  - { path: "/orders/static", upstream: plain }
  - { path: "/tenants/{*rest}", upstream: tenants }
  - { path: /ping, respond: { text: pong } }
"#,
    );
    dir
}

fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

/// The report of a replay, with its notes.
fn replayed(dir: &tempfile::TempDir, log: &str, args: &[&str]) -> (Value, String) {
    let config = dir.path().join("fusebox.yaml");
    let mut all = vec![config.to_str().unwrap(), "--trace", log, "--json"];
    all.extend(args);
    let ended = simulate(&all);
    let notes = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{notes}");
    (serde_json::from_slice(&ended.stdout).unwrap(), notes)
}

/// Lines of an outage: 100 calls/s over 30 s of 30 ms each, failing from 10 s to 20 s. `line` writes one of them, by its
/// time in milliseconds and whether it fails.
fn outage(line: impl Fn(u64, bool) -> String) -> String {
    let each =
        (0..3_000).map(|number| line(number * 10, (10_000..20_000).contains(&(number * 10))));
    each.map(|line| line + "\n").collect()
}

/// The outage under the breaker of `orders`: the trip is at 10.07 s, and 5.03 s later a probe has failed, at 15.10 s; the
/// one of 20.10 s closes at 20.13 s. 8 failures pass; of the good calls those of 20.00 to 20.12 s are refused less one.
fn is_outage(report: &Value, name: &str) {
    let breaker = &report["breakers"][0];
    assert_eq!(
        *breaker,
        json!({
            "name": name,
            "trips": [
                { "at_ms": 10_070, "from": "closed", "reason": breaker["trips"][0]["reason"], "until_ms": 15_070 },
                { "at_ms": 15_100, "from": "half_open", "reason": breaker["trips"][1]["reason"], "until_ms": 20_100 },
            ],
            "calls": 3_000 - 992 - 12,
            "failed": 8,
            "refused": 992 + 12,
            "refused_failed": 992,
            "refused_good": 12,
            "unknown": 0,
            "detect_ms": 70,
            "recover_ms": 130,
        })
    );
    let reason = breaker["trips"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("5 consecutive failures"), "{reason}");
}

fn status(fails: bool) -> u16 {
    if fails { 503 } else { 200 }
}

#[test]
fn json_lines_of_any_names_are_replayed() {
    let dir = folder();
    let log = outage(|at, fails| {
        let at = 1_700_000_000_000 + at;
        json!({ "time": at, "rt": 30, "http": { "status": status(fails) }, "svc": "orders" })
            .to_string()
    });
    let log = write(&dir, "app.ndjson", &log);
    let map = "at=.time,ms=.rt,status=.http.status,upstream=.svc";
    let (report, notes) = replayed(&dir, &log, &["--map", map]);
    is_outage(&report, "orders");
    assert!(
        notes.contains("an open breaker takes load off its upstream"),
        "{notes}"
    );
    // The same with the ends of the calls, from standard input.
    let ends = outage(|at, fails| {
        json!({ "at": 5.0 + (at + 30) as f64 / 1e3, "ms": 30, "status": status(fails), "upstream": "orders" }).to_string()
    });
    let ends = write(&dir, "ends.ndjson", &ends);
    let (report, _) = replayed(&dir, &ends, &["--at-end"]);
    is_outage(&report, "orders");
}

#[test]
fn the_order_of_lines_and_unreadable_ones_change_nothing_and_the_latter_are_said() {
    let dir = folder();
    let log = outage(|at, fails| format!("{},30,{},orders", at as f64 / 1e3, status(fails)));
    let mut lines: Vec<_> = log.lines().rev().collect();
    lines.insert(7, "yesterday,30,200,orders");
    lines.insert(100, "\"cut");
    let log = write(
        &dir,
        "log.csv",
        &format!("at,ms,status,upstream\n{}\n", lines.join("\n")),
    );
    let (report, notes) = replayed(&dir, &log, &[]);
    is_outage(&report, "orders");
    assert!(notes.contains("2 of 3002 lines cannot be read:"), "{notes}");
    assert!(notes.contains("log.csv:9: no readable time"), "{notes}");
    assert!(
        notes.contains("log.csv:102: expected as many values"),
        "{notes}"
    );
}

#[test]
fn lines_of_nginx_and_envoy_go_to_the_breaker_of_the_route_that_their_path_takes() {
    let dir = folder();
    let nginx = outage(|at, fails| {
        // nginx has times to the second, so here a JSON form with milliseconds.
        json!({ "msec": format!("{:.3}", 1_700_000_000.0 + at as f64 / 1e3), "request": "GET /orders/7?a=b HTTP/1.1",
                "status": status(fails), "request_time": "0.030", "upstream_response_time": "0.030" })
        .to_string()
    });
    let nginx = write(&dir, "nginx.json", &nginx);
    let (report, notes) = replayed(&dir, &nginx, &[]);
    is_outage(&report, "orders");
    assert!(notes.contains("with --at-end"), "{notes}");
    let envoy = outage(|at, fails| {
        let (code, flags) = if fails { (503, "UF,URX") } else { (200, "-") };
        format!(
            "[2026-11-30T15:47:{:02}.{:03}Z] \"GET /orders/7 HTTP/1.1\" {code} {flags} 0 5 30 29 \"-\" \"curl\" \"id\" \"a.test\" \"10.0.0.1:80\"",
            at / 1_000,
            at % 1_000
        )
    });
    let lines = "[2026-11-30T15:47:00.000Z] \"GET /orders/static HTTP/1.1\" 200 - 0 5 30 29 \"-\" \"curl\" \"id\" \"a.test\" \"-\"\n\
                 [2026-11-30T15:47:00.000Z] \"POST /orders/7 HTTP/1.1\" 405 - 0 5 30 - \"-\" \"curl\" \"id\" \"a.test\" \"-\"\n\
                 [2026-11-30T15:47:00.000Z] \"GET /nowhere HTTP/1.1\" 404 NR 0 5 0 - \"-\" \"curl\" \"id\" \"a.test\" \"-\"\n";
    let envoy = write(&dir, "envoy.log", &(lines.to_owned() + &envoy));
    let (report, notes) = replayed(&dir, &envoy, &[]);
    is_outage(&report, "orders");
    assert_eq!(
        report["breakers"][0]["trips"][0]["reason"],
        "5 consecutive failures: 5 × connect (the limit is 5)"
    );
    assert!(
        notes.contains(
            "1 lines are about upstreams without a breaker here, and are left out: plain"
        ),
        "{notes}"
    );
    assert!(
        notes.contains("1 lines take no route to an upstream"),
        "{notes}"
    );
    assert!(
        notes.contains("1 lines were answered without asking an upstream"),
        "{notes}"
    );
}

#[test]
fn combined_lines_of_one_second_keep_the_order_of_the_file() {
    let dir = folder();
    let line = |status: u16| {
        format!(
            "192.0.2.7 - - [30/Nov/2026:15:47:23 +0000] \"GET /orders/7 HTTP/1.1\" {status} 157 \"-\" \"curl\" 0.030 0.029\n"
        )
    };
    // Never five failures in a row, though the second has more of them than successes.
    let alternating: String = [502, 502, 502, 502, 200]
        .iter()
        .cycle()
        .take(100)
        .map(|it| line(*it))
        .collect();
    let log = write(&dir, "access.log", &alternating);
    let (report, _) = replayed(&dir, &log, &["--format", "nginx"]);
    assert_eq!(report["breakers"][0]["trips"], json!([]));
    assert_eq!(report["breakers"][0]["failed"], 80);
}

#[test]
fn our_own_log_has_the_outcome_of_the_last_attempt_and_a_breaker_for_each_key() {
    let dir = folder();
    let line = |second: u64, tenant: &str, status: u16, flags: &str, attempts: &str| {
        format!(
            "{{\"ts\":\"2026-11-30T15:47:{second:02}.000000Z\",\"route\":\"/tenants/{{*rest}}\",\"method\":\"GET\",\"path\":\"/tenants/a\",\
             \"status\":{status},\"duration_ms\":12.000,\"upstream\":\"tenants\",\"endpoint\":\"a:1\",\"attempts\":[{attempts}],\
             \"flags\":[{flags}],\"headers\":{{\"x-tenant\":\"{tenant}\"}}}}\n"
        )
    };
    let attempt = |status: &str, outcome: &str| {
        format!(
            "{{\"endpoint\":\"a:1\",\"ms\":5.000,\"status\":{status},\"error\":null,\"outcome\":\"{outcome}\"}}"
        )
    };
    let (bad, good) = (attempt("500", "failure"), attempt("200", "success"));
    let retried = format!("{bad},{good}");
    let log: String = [
        // acme: two failures trip; the next is refused here as it was live; the last would have been good.
        line(1, "acme", 500, "", &bad),
        line(2, "acme", 500, "", &bad),
        line(3, "acme", 503, "\"CBO\"", ""),
        line(4, "acme", 200, "", &good),
        // beta: each call fails first and is good after a retry; one leaves.
        line(1, "beta", 200, "", &retried),
        line(2, "beta", 200, "", &retried),
        line(3, "beta", 499, "\"DC\"", &attempt("null", "ignored")),
    ]
    .concat();
    let log = write(&dir, "own.log", &log);
    let (report, _) = replayed(&dir, &log, &[]);
    let acme = &report["breakers"][0];
    assert_eq!(
        (&acme["name"], &acme["failed"], &acme["calls"]),
        (&json!("tenants/acme"), &json!(2), &json!(2))
    );
    assert_eq!(
        (&acme["refused"], &acme["unknown"], &acme["refused_good"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(acme["trips"][0]["at_ms"], 1_012);
    let beta = &report["breakers"][1];
    assert_eq!(
        (&beta["name"], &beta["failed"], &beta["calls"]),
        (&json!("tenants/beta"), &json!(0), &json!(3))
    );
    let (report, _) = replayed(&dir, &log, &["--breaker", "tenants/beta"]);
    assert_eq!(report["breakers"].as_array().unwrap().len(), 1);
}

#[test]
fn a_sweep_ranks_the_values_prints_the_line_to_paste_and_warns_where_none_is_better() {
    let dir = folder();
    let config = dir.path().join("fusebox.yaml");
    let log = outage(|at, fails| format!("{},30,{},orders", at as f64 / 1e3, status(fails)));
    let log = write(&dir, "log.csv", &format!("at,ms,status,upstream\n{log}"));
    let (report, _) = replayed(&dir, &log, &["--sweep", "consecutive_failures=3..7"]);
    // Each step less trips 10 ms earlier: one failure less, and one good call less at the end.
    let tried = report["sweep"].as_array().unwrap();
    let values: Vec<_> = tried
        .iter()
        .map(|it| it["value"].as_u64().unwrap())
        .collect();
    assert_eq!(values, [3, 4, 5, 6, 7]);
    assert_eq!(tried[0]["rule"], "consecutive_failures");
    assert_eq!(
        (&tried[0]["failed"], &tried[0]["refused_good"]),
        (&json!(6), &json!(10))
    );
    assert_eq!(report["best"]["line"], "trip: { consecutive_failures: 3 }");
    let args = [
        config.to_str().unwrap(),
        "--trace",
        &log,
        "--sweep",
        "consecutive_failures=5..7",
    ];
    let out = text(&simulate(&args).stdout);
    assert!(
        out.contains("warning: the best is not better than today's settings"),
        "{out}"
    );
    let args = [
        config.to_str().unwrap(),
        "--trace",
        &log,
        "--sweep",
        "consecutive_failures=2..4",
    ];
    let out = text(&simulate(&args).stdout);
    assert!(
        out.contains("in the breaker of orders:\n    trip: { consecutive_failures: 2 }\n"),
        "{out}"
    );
}

#[test]
fn assumed_phases_test_a_configuration() {
    let dir = folder();
    let config = dir.path().join("fusebox.yaml");
    let run = |asserts: &[&str]| {
        let mut args = vec![config.to_str().unwrap(), "--breaker", "orders", "--assume"];
        args.push("healthy 10s at 100/s, 30ms; down 10s; healthy 10s");
        for assert in asserts {
            args.extend(["--assert", assert]);
        }
        let ended = simulate(&args);
        (ended.status.code(), text(&ended.stdout))
    };
    let all = [
        "opens_after <= 5",
        "opens_within <= 70ms",
        "recovers_within < 131ms",
        "trips == 2",
        "refused_good <= 1%",
    ];
    let (code, out) = run(&all);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.ends_with("5 held, 0 failed\n"), "{out}");
    let (code, out) = run(&["opens_after < 5", "refused_good == 0%"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("FAIL orders: opens_after < 5; found 5\n"),
        "{out}"
    );
    assert!(
        out.contains("FAIL orders: refused_good == 0%; found 0.4%\n"),
        "{out}"
    );
    // Nothing that never happens is below a limit.
    let args = [
        config.to_str().unwrap(),
        "--assume",
        "healthy 10s",
        "--assert",
        "opens_after <= 5",
        "--json",
    ];
    let ended = simulate(&args);
    assert_eq!(ended.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["assertions"][0]["found"], "the breaker never opened");
    assert_eq!(
        report["assertions"].as_array().unwrap().len(),
        2,
        "one for each breaker"
    );
}

#[test]
fn wrong_usage_says_what_is_expected() {
    let dir = folder();
    let config = dir.path().join("fusebox.yaml");
    let config = config.to_str().unwrap();
    let log = write(&dir, "a.csv", "at,status,upstream\n1,200,orders\n");
    let said = |args: &[&str]| {
        let ended = simulate(args);
        (ended.status.code(), text(&ended.stderr))
    };
    for (args, expected) in [
        (
            &["--sweep", "consecutive=3"][..],
            "unknown setting `consecutive`; expected one of consecutive_failures,",
        ),
        (
            &["--sweep", "over=5..10"],
            "`5` is not a value of `over`; expected a duration such as 10s",
        ),
        (
            &["--map", "when=.t"],
            "unknown fact `when`; expected one of at,",
        ),
        (&["--assert", "trips == 1"], "cannot be used with"),
        (
            &["--format", "apache"],
            "possible values: fusebox, nginx, envoy, csv, ndjson",
        ),
    ] {
        let mut all = vec![config, "--trace", &log];
        all.extend(args);
        let (code, said) = said(&all);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    for (args, expected) in [
        (
            &[][..],
            "<--trace <FILE>|--assume <PHASES>|--scenarios <FILE>>",
        ),
        (
            &[config],
            "<--trace <FILE>|--assume <PHASES>|--scenarios <FILE>>",
        ),
        (
            &[config, "--assume", "down 1s", "--sweep", "over=5s"],
            "cannot be used with",
        ),
        (
            &[config, "--assume", "down"],
            "expected the length of the phase, such as `60s`",
        ),
        (
            &[config, "--assume", "down 1s", "--assert", "opens <= 5"],
            "unknown fact `opens`; expected one of opens_after",
        ),
    ] {
        let (code, said) = said(args);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_log_that_says_nothing_is_an_error_that_helps() {
    let dir = folder();
    let config = dir.path().join("fusebox.yaml");
    let fails = |name: &str, log: &str, args: &[&str]| {
        let log = write(&dir, name, log);
        let mut all = vec![config.to_str().unwrap(), "--trace", &log];
        all.extend(args);
        let ended = simulate(&all);
        assert_eq!(ended.status.code(), Some(1));
        text(&ended.stderr)
    };
    assert!(fails("a", "", &[]).contains("has no lines"));
    assert!(
        fails("a", "hello\n", &[])
            .contains("the first line is of no form that is known; expected the access log of")
    );
    let said = fails("a", "{\"t\":1}\n{\"t\":2}\n", &[]);
    assert!(
        said.contains(
            "no line can be read as ndjson; line 1: no readable time (`at`); name the form"
        ),
        "{said}"
    );
    let said = fails("a", "when,status\n1,200\n", &[]);
    assert!(
        said.contains("stands for `at`; name its column with --map at=NAME"),
        "{said}"
    );
    let said = fails("a", "at,status,upstream\n1,200,billing\n", &[]);
    assert!(
        said.contains("none of the 1 lines is about a breaker of"),
        "{said}"
    );
    assert!(
        said.contains("the log names the upstreams billing"),
        "{said}"
    );
    let said = fails(
        "a",
        "at,status,upstream\n1,200,orders\n",
        &["--breaker", "billing"],
    );
    assert!(
        said.contains("has no breaker `billing`; expected one of orders, tenants"),
        "{said}"
    );
    let said = fails(
        "a",
        "at,status,upstream\n1,200,orders\n2,200,tenants\n",
        &["--sweep", "consecutive_failures=3..4"],
    );
    assert!(
        said.contains("add --breaker with one of orders, tenants"),
        "{said}"
    );
    std::fs::write(dir.path().join("a.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    let ended = simulate(&[
        config.to_str().unwrap(),
        "--trace",
        dir.path().join("a.gz").to_str().unwrap(),
    ]);
    assert!(text(&ended.stderr).contains("is compressed; run `zcat"));
}
