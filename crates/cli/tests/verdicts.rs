//! The matrix of verdicts: every way a message can end, by whose doing, at which moment, with the one
//! outcome that its call has. Each case has a breaker of its own, by a key. What an upstream does is judged alike before
//! a native route, a Mule flow's request and a Flogo service.

mod support;

mod verdicts {
    pub mod apps;
    pub mod cases;
    pub mod client;
    pub mod h2_client;
    pub mod upstream;
}

use support::{Gateway, Setup, Upstream};
use verdicts::apps;
use verdicts::cases::{Case, cases};
use verdicts::client::{Seen, play};
use verdicts::h2_client;
use verdicts::upstream::{Stage, script};

/// The gateway under test: a breaker for each case, which trips at the first failure.
fn gateway(upstream: &Upstream) -> Gateway {
    Setup::new(format!(
        "listeners: [{{ addr: \"127.0.0.1:0\", http2: cleartext }}]
upstreams:
  orders:
    url: {}
    timeout: {{ request: 1500ms, idle: 1500ms }}
    pool: {{ idle: 0 }}
    breaker: {{ key: \"{{header.x-case}}\", trip: {{ consecutive_failures: 1 }}, cooldown: 60s }}
limits: {{ head: 16KiB, fields: 60 }}
routes:
  - path: \"/{{*rest}}\"
    upstream: orders
",
        upstream.url()
    ))
    .workers(1)
    .start()
}

#[test]
fn every_way_a_message_can_end_has_the_one_right_verdict() {
    let stage = Stage::default();
    let upstream = playing(&stage);
    let gateway = gateway(&upstream);
    let cases = cases();
    all_are_right(&cases, &stage, |case| {
        let seen = play(&gateway, case, &stage);
        judged(&gateway, case)?;
        answered(case, &seen)
    });
    assert!(cases.len() > 200, "only {} cases", cases.len());
    println!("{} cases", cases.len());
}

#[test]
fn a_client_of_http_2_gets_the_same_verdicts() {
    let stage = Stage::default();
    let upstream = playing(&stage);
    let gateway = gateway(&upstream);
    let cases: Vec<_> = cases().into_iter().filter(h2_client::plays).collect();
    all_are_right(&cases, &stage, |case| {
        let seen = h2_client::play(&gateway, case, &stage);
        judged(&gateway, case)?;
        answered(case, &seen)
    });
    assert!(cases.len() > 80, "only {} cases", cases.len());
    println!("{} cases", cases.len());
}

#[test]
fn the_requests_of_a_mule_flow_have_the_same_verdicts() {
    let stage = Stage::default();
    let upstream = playing(&stage);
    let gateway = apps::mule(&upstream);
    let cases: Vec<_> = cases().into_iter().filter(apps::is_for_mule).collect();
    all_are_right(&cases, &stage, |case| {
        apps::ask(&gateway, case);
        judged(&gateway, case)
    });
    assert!(cases.len() > 60, "only {} cases", cases.len());
    println!("{} cases", cases.len());
}

#[test]
fn the_calls_of_a_flogo_service_have_the_same_verdicts() {
    let stage = Stage::default();
    let upstream = playing(&stage);
    let gateway = apps::flogo(&upstream);
    let cases: Vec<_> = cases().into_iter().filter(apps::is_for_flogo).collect();
    all_are_right(&cases, &stage, |case| {
        apps::ask(&gateway, case);
        judged(&gateway, case)
    });
    assert!(cases.len() > 30, "only {} cases", cases.len());
    println!("{} cases", cases.len());
}

/// A service that plays the upstream's part of each case.
fn playing(stage: &Stage) -> Upstream {
    let stage = stage.clone();
    Upstream::start(move |call| script(call, &stage))
}

/// Plays the cases and fails with all whose verdict is wrong.
#[track_caller]
fn all_are_right(cases: &[Case], stage: &Stage, play: impl Fn(&Case) -> Result<(), String> + Sync) {
    // Cases wait for time-outs and for each other's peers, not for the machine: many at once.
    let queue = std::sync::Mutex::new(cases.iter());
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().expect("a lock").next() else {
                        return;
                    };
                    if let Err(why) = play(case)
                        && !stage.was_late(case)
                    {
                        wrong
                            .lock()
                            .expect("a lock")
                            .push(format!("{}: {why}", case.name()));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().expect("a lock");
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "{} of {} cases are wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Compares what a case's breaker heard with what is right.
fn judged(gateway: &Gateway, case: &Case) -> Result<(), String> {
    let want = case.right();
    let path = format!("/api/v1/breakers/orders%2F{}", case.name());
    let counts = support::until(&format!("the call of {} is judged", case.name()), || {
        let shown = gateway.admin_get(&path);
        let counts = (shown.status == 200).then(|| shown.json()["counts"].clone())?;
        let judged = ["success", "failure", "ignored"]
            .iter()
            .any(|it| counts[it] != 0);
        judged.then_some(counts)
    });
    let count = |what: &str| counts[what].as_u64().unwrap_or(u64::MAX);
    let got = (count("success"), count("failure"), count("ignored"));
    if got != want.outcome.counts() {
        return Err(format!(
            "success, failure, ignored are {got:?}, not {:?}",
            want.outcome
        ));
    }
    Ok(())
}

/// Compares what a client saw with what is right.
fn answered(case: &Case, seen: &Seen) -> Result<(), String> {
    let want = case.right();
    let Seen { status, whole } = *seen;
    if let Some(right) = want.status
        && status != Some(right)
    {
        return Err(format!("the client got {status:?}, not {right}"));
    }
    if let Some(right) = want.whole
        && whole != right
    {
        return Err(format!("the client's answer is whole: {whole}"));
    }
    Ok(())
}
