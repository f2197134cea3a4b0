//! The matrix of verdicts: every way a message can end, by whose doing, at which moment, with the one
//! outcome that its call has. Each case has a breaker of its own, by a key.

mod support;

mod verdicts {
    pub mod cases;
    pub mod client;
    pub mod upstream;
}

use support::{Gateway, Setup, Upstream};
use verdicts::cases::{Case, cases};
use verdicts::client::{Seen, play};
use verdicts::upstream::{Stage, script};

/// The gateway under test: a breaker for each case, which trips at the first failure.
fn gateway(upstream: &Upstream) -> Gateway {
    Setup::new(format!(
        "listen: 127.0.0.1:0
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
    let inner = stage.clone();
    let upstream = Upstream::start(move |call| script(call, &inner));
    let gateway = gateway(&upstream);
    let cases = cases();
    // Cases wait for time-outs and for each other's peers, not for the machine: many at once.
    let queue = std::sync::Mutex::new(cases.iter());
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().next() else {
                        return;
                    };
                    if let Err(why) = judge(&gateway, case, &stage) {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{}: {why}", case.name()));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "{} of {} cases are wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(cases.len() > 200, "only {} cases", cases.len());
    println!("{} cases", cases.len());
}

/// Plays a case and compares what came of it with what is right.
fn judge(gateway: &Gateway, case: &Case, stage: &Stage) -> Result<(), String> {
    let Seen { status, whole } = play(gateway, case, stage);
    let want = case.right();
    let path = format!("/api/v1/breakers/orders%2F{}", case.name());
    let counts = support::until("the call is judged", || {
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
