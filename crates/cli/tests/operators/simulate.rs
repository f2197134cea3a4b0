//! `fusebox simulate --scenarios`: a line a scenario, the count at the end, and an exit code that says whether all went
//! well.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails its test by panicking"
)]

use std::process::{Command, Output};

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

#[test]
fn what_cannot_be_run_is_refused() {
    let ended = simulate(&["gateway.yaml", "--trace", "trace.jsonl"]);
    assert!(text(&ended.stderr).contains("is not supported yet"));
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(simulate(&[]).status.code(), Some(2));
}
