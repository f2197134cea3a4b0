//! Measures a choice of an endpoint and its end, without and with ejection: `cargo run --release --example choice_cost`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement prints and reads the clock"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fusebox_breaker::{Call, Outcome, Timestamp};
use fusebox_call::endpoints::{Ask, ChoiceRules, EndpointSpec, Endpoints};
use fusebox_call::{Balance, Ejection};

/// Short enough that some runs are undisturbed on a busy machine.
const TURNS: u32 = 5_000;
const RUNS: u32 = 400;

fn main() {
    println!("nanoseconds of one choice and its end, best of {RUNS} runs of {TURNS}");
    let handle = Arc::new(());
    let counted = best(|_| drop(black_box(handle.clone())));
    let nothing = best(|turn| _ = black_box(turn));
    println!(
        "for comparison: an empty turn {nothing:.1}, one reference counted and released {counted:.1}"
    );
    println!("{:>24} {:>6} {:>6} {:>6}", "endpoints", 1, 3, 20);
    let balances = [
        Balance::RoundRobin,
        Balance::LeastRequest,
        Balance::P2cEwma,
        Balance::Hash,
    ];
    for balance in balances {
        for ejection in [None, Some(Ejection::default())] {
            let name = format!(
                "{balance:?}{}",
                if ejection.is_some() {
                    " + ejection"
                } else {
                    ""
                }
            );
            let rules = ChoiceRules {
                balance: balance.clone(),
                ejection,
            };
            let cost = |all| measure(all, &rules);
            println!(
                "{name:>24} {:>6.1} {:>6.1} {:>6.1}",
                cost(1),
                cost(3),
                cost(20)
            );
        }
    }
}

fn measure(all: usize, rules: &ChoiceRules) -> f64 {
    let specs: Vec<_> = (0..all)
        .map(|n| EndpointSpec::at(&format!("10.0.0.{n}:80")))
        .collect();
    let start = Timestamp::from_secs(1);
    let endpoints = Endpoints::new("orders", &specs, rules, Arc::new(()), start).unwrap();
    let (set, mut chance) = (endpoints.set(), fastrand::Rng::with_seed(1));
    best(|turn| {
        let now = start + Duration::from_micros(turn.into());
        let ask = Ask {
            hash: Some(turn.into()),
            ..Ask::first(now)
        };
        let chosen = set.choose(black_box(&ask), &mut chance);
        let call = Call::from(Outcome::Success).lasting(Duration::from_millis(3));
        black_box(chosen).end(call, now);
    })
}

/// The nanoseconds of one turn in the best run.
fn best(mut turn: impl FnMut(u32)) -> f64 {
    let runs = (0..RUNS).map(|run| {
        let begun = Instant::now();
        (0..TURNS).for_each(|number| turn(run * TURNS + number));
        begun.elapsed().as_nanos() as f64 / f64::from(TURNS)
    });
    runs.fold(f64::MAX, f64::min)
}
