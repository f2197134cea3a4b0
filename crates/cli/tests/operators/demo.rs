//! `fusebox demo`: the first thing that anybody sees of the program.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Program;

/// The numbers before each `ms` in a line.
fn millis(line: &str) -> Vec<f64> {
    let parts: Vec<_> = line.split(" ms").collect();
    let before = parts[..parts.len() - 1].iter();
    before
        .map(|part| part.rsplit(' ').next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn once_shows_trip_fast_refusal_fallback_answer_probe_and_recovery_and_ends_by_itself() {
    let began = Instant::now();
    let program = Program::new().patience(Duration::from_secs(60));
    let ended = program.run(["demo", "--once", "--admin", "127.0.0.1:0"]);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
    let lines: Vec<_> = ended.stdout.lines().collect();
    let find = |what: &str| lines.iter().position(|line| line.contains(what));
    let at = |what: &str| find(what).unwrap_or_else(|| panic!("no {what:?} in {lines:#?}"));
    let story = [
        at("dashboard  http://127.0.0.1:"),
        at("the order service fails"),
        at("TRIP: breaker orders is open: 5 consecutive failures"),
        at("refused: breaker_open, retry in "),
        at("PROBE: breaker orders is half-open: the cooldown ended"),
        at("the order service is healthy again"),
        at("RECOVERY: breaker orders is closed: "),
    ];
    assert!(story.is_sorted(), "{lines:#?}");
    let stale = lines[at("FALLBACK: the last good answer, ")];
    assert!(stale.contains(" x GET  200  "), "{stale}");
    assert!(at("s old (breaker_open)") > story[2], "{lines:#?}");
    for seen in [
        "trip           seen",
        "fallback       seen: ",
        "probe          seen",
        "recovery       seen",
    ] {
        at(seen);
    }
    // "N calls refused in X ms each, a real call takes Y ms"
    let summary = lines[at("fast refusal   seen: ")];
    let [refusal, call] = millis(summary)[..] else {
        panic!("{summary}");
    };
    assert!(refusal < call && call >= 40.0, "{summary}");
    // It has left nothing behind.
    assert_eq!(program.dir().read_dir().unwrap().count(), 0);
}

#[test]
fn it_goes_on_until_it_is_interrupted() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fusebox"))
        .args(["demo", "--admin", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let served = lines.find(|line| line.as_ref().unwrap().contains(" x GET  200  "));
    assert!(served.is_some());
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &pid]).status();
    assert!(kill.unwrap().success());
    assert!(child.wait().unwrap().success());
}
