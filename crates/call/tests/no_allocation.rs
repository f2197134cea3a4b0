//! A choice and its end allocate nothing. A program of its own, so that nobody else allocates.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Call, Outcome, Timestamp};
use fusebox_call::endpoints::{Ask, ChoiceRules, EndpointSpec, Endpoints, Tried};
use fusebox_call::health::Health;
use fusebox_call::{Balance, Ejection};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_choice_and_its_end_allocate_nothing() {
    for balance in [
        Balance::RoundRobin,
        Balance::LeastRequest,
        Balance::P2cEwma,
        Balance::Hash,
    ] {
        for (all, unhealthy) in [(1, false), (3, false), (3, true)] {
            let specs: Vec<_> = (0..all)
                .map(|n| EndpointSpec::at(&format!("10.0.0.{n}:80")))
                .collect();
            let rules = ChoiceRules {
                balance: balance.clone(),
                ejection: Some(Ejection::default()),
            };
            let mut now = Timestamp::from_secs(1);
            let endpoints = Endpoints::new("orders", &specs, &rules, Arc::new(()), now).unwrap();
            if unhealthy {
                let set = endpoints.set();
                set.members()[0]
                    .endpoint()
                    .set_health(Health::Unhealthy, now);
            }
            let mut chance = fastrand::Rng::with_seed(1);
            let mut attempt = |outcome: Outcome, now: Timestamp| {
                let mut tried = Tried::NONE;
                for _ in 0..2 {
                    let ask = Ask {
                        hash: Some(7),
                        tried: &tried,
                        ..Ask::first(now)
                    };
                    let chosen = endpoints.look().choose(&ask, &mut chance);
                    tried.add(&chosen);
                    chosen.end(Call::from(outcome).lasting(Duration::from_millis(3)), now);
                }
            };
            let mut turns = |times: u32| {
                for turn in 0..times {
                    now = now + Duration::from_millis(5);
                    let fails = turn % 4 == 0;
                    attempt(
                        if fails {
                            Outcome::Failure
                        } else {
                            Outcome::Success
                        },
                        now,
                    );
                }
            };
            // A breaker makes room for its counts once, with the first outcomes that it has to remember.
            turns(300);
            let before = ALLOCATOR.stats().allocations;
            turns(300);
            assert_eq!(
                ALLOCATOR.stats().allocations - before,
                0,
                "{balance:?} {all}"
            );
        }
    }
}
