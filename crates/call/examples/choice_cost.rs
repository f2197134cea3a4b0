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

const TURNS: u32 = 1_000_000;

fn main() {
    println!("nanoseconds of one choice and its end, best of 7 runs of {TURNS}");
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
    let runs = (0..7).map(|_| {
        let begun = Instant::now();
        for turn in 0..TURNS {
            let now = start + Duration::from_micros(turn.into());
            let ask = Ask {
                hash: Some(turn.into()),
                ..Ask::first(now)
            };
            let chosen = set.choose(black_box(&ask), &mut chance);
            let call = Call::from(Outcome::Success).lasting(Duration::from_millis(3));
            black_box(chosen).end(call, now);
        }
        begun.elapsed().as_nanos() as f64 / f64::from(TURNS)
    });
    runs.fold(f64::MAX, f64::min)
}
