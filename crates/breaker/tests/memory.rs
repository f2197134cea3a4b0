//! What an idle breaker among many takes, counted at the allocator. A program of its own, so that nobody else allocates.

#![allow(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

use std::alloc::System;
use std::time::Duration;

use fusebox_breaker::{Outcome, Over, Phase, Ratio, Registry, Rule, Settings, Timestamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KEYS: usize = 20_000;

/// What an idle breaker may take beside the text of its key.
const BYTES: usize = 200;

fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn key(number: usize) -> String {
    format!("tenant-{number:05}")
}

fn rate(over: Over) -> Rule {
    Rule::FailureRate {
        rate: Ratio::percent(50),
        over,
        min_calls: 20,
    }
}

/// Bytes of each breaker beside its key, after one call each, laid to rest much later.
fn each(trip: Vec<Rule>) -> usize {
    let before = held();
    let settings = Settings {
        trip,
        ..Settings::default()
    };
    let registry = Registry::builder("orders", settings).max_keys(KEYS);
    let registry = registry.build().unwrap();
    let called = Timestamp::from_millis(5);
    for number in 0..KEYS {
        let breaker = registry.get_or_create(&key(number), called);
        let permit = breaker.admit(called).unwrap();
        permit.record(Outcome::Success, called);
    }
    registry.rest(Timestamp::from_millis(60_000));
    assert_eq!(registry.len(), KEYS);
    let bytes = (held() - before) / KEYS - key(0).len();
    // It is a breaker still.
    let breaker = registry.get(&key(7)).unwrap();
    let now = Timestamp::from_millis(70_000);
    while breaker
        .admit(now)
        .is_ok_and(|permit| permit.record(Outcome::Failure, now).is_none())
    {}
    assert_eq!(breaker.snapshot(now).phase, Phase::Open);
    bytes
}

#[test]
fn an_idle_breaker_among_many_takes_few_bytes_beside_its_key() {
    let ten_seconds = Over::Time(Duration::from_secs(10));
    let rules = [
        Settings::default().trip,
        vec![Settings::default().trip[0]],
        vec![rate(ten_seconds)],
        vec![rate(Over::Calls(100))],
    ];
    for trip in rules {
        let bytes = each(trip.clone());

        assert!(bytes <= BYTES, "{trip:?}: {bytes} bytes");
    }
}
