//! A fleet under load with an outage of all servers: what comes after it.

use std::time::Duration;

use fusebox_breaker::{Cooldown, Mode as BreakerMode, Ramp, Settings};
use fusebox_call::{Budget, Ejection, Retry, RetryOn};

use crate::parts::{Mode, Plan, Second};
use crate::world::World;

const SEEDS: [u64; 3] = [1, 2, 3];
const GATEWAYS: usize = 5;
const SERVERS: usize = 3;
/// Attempts that a server works on at the same time, each for 20 ms: 200 a second.
const WORKERS: usize = 4;
/// Calls a second at each gateway: half of what the servers can do.
const RATE: f64 = 60.0;

/// Seconds of health before the outage, of the outage, and after it.
const BEFORE: usize = 10;
const OUTAGE: usize = 30;
const AFTER: usize = 30;
const END: usize = BEFORE + OUTAGE;

const COOLDOWN: usize = 5;
const RAMP: usize = 5;

/// Retry with its default budget, behind breakers that trip as by default.
fn guarded() -> Plan {
    let seconds = |count: usize| Duration::from_secs(count as u64);
    Plan {
        breaker: Settings {
            cooldown: Cooldown::fixed(seconds(COOLDOWN)),
            ramp: Some(Ramp::linear(seconds(RAMP))),
            ..Settings::standard()
        },
        ejection: Some(Ejection::default()),
        retry: Some(Retry {
            attempts: 3,
            on: RetryOn {
                timeout: true,
                ..RetryOn::default()
            },
            per_try: Some(Duration::from_millis(500)),
            ..Retry::default()
        }),
        budget: Budget::default(),
        request_timeout: Duration::from_secs(2),
        total: Duration::from_secs(2),
    }
}

/// The same retry without a budget, a breaker or an ejection.
fn unguarded() -> Plan {
    let guarded = guarded();
    Plan {
        breaker: Settings {
            mode: BreakerMode::Disabled,
            ..guarded.breaker.clone()
        },
        ejection: None,
        budget: Budget {
            ratio: 1.0,
            min: 1_000_000,
        },
        ..guarded
    }
}

/// A run of healthy seconds, an outage of the first `servers`, and health again.
fn run(seed: u64, plan: Plan, servers: usize, outage: Mode) -> Vec<Second> {
    let mut world = World::new(seed, plan, GATEWAYS, SERVERS, WORKERS);
    let seconds = |count: usize| Duration::from_secs(count as u64);
    let set = |world: &mut World, mode| {
        (0..servers).for_each(|server| world.set_mode(server, mode));
    };
    world.load(RATE);
    world.pass(seconds(BEFORE));
    set(&mut world, outage);
    world.pass(seconds(OUTAGE));
    set(&mut world, Mode::Working);
    world.pass(seconds(AFTER));
    // Some calls of the last seconds have not ended.
    world.seconds.truncate(END + AFTER - 3);
    world.seconds
}

fn sum(seconds: &[Second]) -> Second {
    seconds.iter().fold(Second::default(), |sum, it| Second {
        calls: sum.calls + it.calls,
        attempts: sum.attempts + it.attempts,
        good: sum.good + it.good,
        refused: sum.refused + it.refused,
    })
}

#[test]
fn after_an_outage_a_fleet_has_recovered_within_cooldown_and_ramp() {
    for outage in [Mode::Failing, Mode::Stalled] {
        for seed in SEEDS {
            let seconds = run(seed, guarded(), SERVERS, outage);
            let context = format!("{outage:?}, seed {seed}");
            // The last probe that failed may have taken until a second after the outage.
            let recovered = &seconds[END + 1 + COOLDOWN + RAMP..];
            for second in recovered {
                assert_eq!(second.refused, 0, "{context}: {second:?}");
                assert_eq!(second.good, second.calls, "{context}: {second:?}");
            }
            // Calls of the second before the outage may have met it.
            let before = sum(&seconds[..BEFORE - 1]);
            assert_eq!(before.good, before.calls, "{context}: {before:?}");
        }
    }
}

#[test]
fn retries_add_a_fifth_to_the_load_at_most_and_nothing_once_an_outage_is_over() {
    for outage in [Mode::Failing, Mode::Stalled] {
        for seed in SEEDS {
            let seconds = run(seed, guarded(), SERVERS, outage);
            let context = format!("{outage:?}, seed {seed}");
            let least = GATEWAYS * Budget::default().min as usize;
            for till in 1..=seconds.len() {
                let so_far = sum(&seconds[..till]);
                let most = 1.2 * so_far.calls as f64 + least as f64;
                assert!(
                    so_far.attempts as f64 <= most,
                    "{context}, second {till}: {so_far:?}"
                );
            }
            // Five breakers probe, one attempt each time.
            let cut_off = sum(&seconds[BEFORE + 3..END]);
            let probes = GATEWAYS * OUTAGE.div_ceil(COOLDOWN);
            assert!(cut_off.attempts <= probes, "{context}: {cut_off:?}");
            for second in &seconds[END..] {
                let most = 1.2 * second.calls as f64;
                assert!(second.attempts as f64 <= most, "{context}: {second:?}");
            }
        }
    }
}

#[test]
fn an_outage_of_one_server_is_its_endpoints_affair() {
    for outage in [Mode::Failing, Mode::Stalled] {
        for seed in SEEDS {
            let seconds = run(seed, guarded(), 1, outage);
            let context = format!("{outage:?}, seed {seed}");
            let all = sum(&seconds);
            assert_eq!(
                all.refused, 0,
                "{context}: no upstream's breaker has opened"
            );
            assert_eq!(all.good, all.calls, "{context}: no client has noticed");
        }
    }
}

#[test]
fn without_budget_and_breaker_the_same_outage_never_ends() {
    let seconds = run(1, unguarded(), SERVERS, Mode::Stalled);
    let last = sum(&seconds[seconds.len() - 10..]);
    assert!(last.attempts as f64 > 2.0 * last.calls as f64, "{last:?}");
    assert!((last.good as f64) < 0.1 * last.calls as f64, "{last:?}");
}
