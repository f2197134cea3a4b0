//! The clock of a guard: read where the time matters, and nowhere else.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fusebox_breaker::{
    CallError, Clock, Cooldown, ErrorsFail, Guard, Guards, OnAbandoned, Outcome, Over, Phase,
    Ratio, Registry, Rule, Settings, Timestamp, machine::SettledAs,
};

use crate::kit::*;
use crate::ways_in::{Hand, now_or_never};

/// How far the coarse time lags behind, in milliseconds.
const LAG: u64 = 10;

/// A clock that counts its readings, the coarse ones apart.
#[derive(Default)]
struct Counted {
    hand: Hand,
    reads: AtomicU32,
    coarse_reads: AtomicU32,
}

impl Clock for Counted {
    fn now(&self) -> Timestamp {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.hand.now()
    }

    fn coarse(&self) -> Timestamp {
        self.coarse_reads.fetch_add(1, Ordering::Relaxed);
        let exact = self.hand.now().as_nanos() / 1_000_000;
        at(exact.saturating_sub(LAG))
    }
}

impl Counted {
    fn reads(&self) -> u32 {
        self.reads.swap(0, Ordering::Relaxed)
    }

    fn coarse_reads(&self) -> u32 {
        self.coarse_reads.swap(0, Ordering::Relaxed)
    }
}

type CountedGuard = Guard<ErrorsFail, Arc<Counted>>;

/// A guard whose breaker has been told the time once, as by its first call.
fn guard(settings: Settings) -> (CountedGuard, Arc<Counted>) {
    let (guard, clock) = fresh(settings);
    guard.breaker().tick(at(0));
    (guard, clock)
}

fn fresh(settings: Settings) -> (CountedGuard, Arc<Counted>) {
    let clock = Arc::new(Counted::default());
    (Guard::of(breaker(settings)).clock(clock.clone()), clock)
}

fn succeed(guard: &CountedGuard) {
    assert_eq!(guard.call(|| Ok::<_, ()>(())), Ok(()));
}

fn fail(guard: &CountedGuard) {
    assert!(guard.call(|| Err::<(), _>("down")).is_err());
}

fn rate_over(over: Over) -> Settings {
    by_rule(Rule::FailureRate {
        rate: Ratio::percent(50),
        over,
        min_calls: 10,
    })
}

#[test]
fn a_call_of_a_closed_breaker_reads_no_clock_where_no_rule_asks_for_the_time() {
    for settings in [in_a_row(3), rate_over(Over::Calls(100))] {
        let (guard, clock) = guard(settings);
        succeed(&guard);
        fail(&guard);
        assert_eq!(
            now_or_never(guard.call_async(|| ready(Ok::<_, ()>(())))),
            Some(Ok(()))
        );
        assert_eq!(clock.reads(), 0);
    }
}

#[test]
fn a_call_by_a_known_key_reads_the_clock_only_coarsely() {
    let clock = Arc::new(Counted::default());
    let registry = Registry::new("tenants", in_a_row(3)).unwrap();
    let guards = Guards::new(registry).clock(clock.clone());
    let call = || guards.of("acme").call(|| Ok::<_, ()>(()));
    assert_eq!(call(), Ok(()));
    assert!(clock.reads() > 0, "the key is new, and so is its breaker");
    clock.coarse_reads();
    for _ in 0..10 {
        assert_eq!(call(), Ok(()));
    }
    assert_eq!((clock.reads(), clock.coarse_reads()), (0, 10));
}

#[test]
fn the_first_call_of_all_and_the_first_after_a_reset_tell_the_time() {
    let (guard, clock) = fresh(in_a_row(3));
    for _ in 0..2 {
        succeed(&guard);
        assert_eq!(clock.reads(), 1);
        fail(&guard);
        succeed(&guard);
        assert_eq!(clock.reads(), 0);
        guard.breaker().reset(at(0));
    }
}

#[test]
fn the_outcome_that_may_trip_is_recorded_at_its_own_time() {
    let (guard, clock) = guard(in_a_row(2));
    fail(&guard);
    clock.hand.set(7_000);
    fail(&guard);
    assert_eq!(clock.reads(), 1);
    let retry_at = guard.breaker().snapshot(at(7_000)).retry_at;
    assert_eq!(retry_at, Some(at(8_000)));
}

#[test]
fn an_open_breaker_and_its_probe_have_exact_times() {
    let (guard, clock) = guard(in_a_row(1));
    fail(&guard);
    clock.hand.set(999);
    assert!(
        guard.call(|| Ok::<_, ()>(())).is_err(),
        "not a moment early"
    );
    clock.hand.set(1_000);
    clock.reads();
    succeed(&guard);
    assert_eq!(clock.reads(), 2);
    assert_eq!(guard.breaker().snapshot(at(1_000)).since, at(1_000));
}

#[test]
fn a_breaker_that_stays_open_for_long_refuses_by_the_coarse_time() {
    const OPENED: u64 = 100;
    const ENDS: u64 = OPENED + 3_600_000;
    let (guard, clock) = guard(Settings {
        cooldown: Cooldown::fixed(ms(3_600_000)),
        ..in_a_row(1)
    });
    clock.hand.set(OPENED);
    fail(&guard);
    clock.reads();
    let refused = |millis| {
        clock.hand.set(millis);
        match guard.call(|| Ok::<_, ()>(())) {
            Err(CallError::Rejected(refused)) => refused,
            other => panic!("at {millis} ms: {other:?}"),
        }
    };
    let first = refused(OPENED + 1);
    assert_eq!(first.at(), at(OPENED), "not before it opened");
    let early = refused(1_000);
    assert_eq!((early.at(), early.retry_at), (at(990), Some(at(ENDS))));
    assert_eq!((clock.reads(), clock.coarse_reads()), (0, 2));
    // Near the end only the exact time will do.
    assert_eq!(refused(ENDS - 1).at(), at(ENDS - 1));
    clock.hand.set(ENDS);
    succeed(&guard);
    assert_eq!(guard.breaker().snapshot(at(ENDS)).totals.refused, 3);
}

#[test]
fn a_window_of_time_hears_when_each_outcome_came() {
    let (guard, clock) = guard(rate_over(Over::Time(ms(10_000))));
    (0..5).for_each(|_| fail(&guard));
    assert!(clock.reads() >= 5);
    // Ten seconds later the first five are forgotten.
    clock.hand.set(20_000);
    (0..9).for_each(|_| fail(&guard));
    assert_eq!(guard.breaker().snapshot(at(20_000)).phase, Phase::Closed);
    fail(&guard);
    assert_eq!(guard.breaker().snapshot(at(20_000)).phase, Phase::Open);
}

#[test]
fn slow_calls_are_timed_from_end_to_end() {
    let (guard, clock) = guard(by_rule(Rule::SlowRate {
        rate: Ratio::ONE,
        slower_than: ms(100),
        over: Over::Calls(1),
        min_calls: 1,
    }));
    let lasts = |millis| {
        let begun = guard.now();
        let ends = begun.as_nanos() / 1_000_000 + millis;
        guard.call(|| {
            clock.hand.set(ends);
            Ok::<_, ()>(())
        })
    };
    assert!(lasts(100).is_ok());
    assert_eq!(guard.breaker().snapshot(guard.now()).phase, Phase::Closed);
    assert!(lasts(101).is_ok());
    assert_eq!(guard.breaker().snapshot(guard.now()).phase, Phase::Open);
}

#[test]
fn calls_begun_before_abandoned_ones_counted_are_ignored_when_given_up() {
    let (guard, clock) = guard(in_a_row(1));
    let mut early = Box::pin(guard.call_async(pending::<Result<(), ()>>));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(early.as_mut().poll(&mut context).is_pending());
    let counting = Settings {
        on_abandoned: OnAbandoned::FailureAfter(ms(1)),
        ..in_a_row(1)
    };
    guard.breaker().reconfigure(counting, at(0)).unwrap();
    clock.hand.set(5_000);
    drop(early);
    let snapshot = guard.breaker().snapshot(at(5_000));
    assert_eq!(snapshot.phase, Phase::Closed);
    assert_eq!(
        snapshot.outcomes.last().unwrap().counted,
        SettledAs::Ignored
    );
    let mut late = Box::pin(guard.call_async(pending::<Result<(), ()>>));
    assert!(late.as_mut().poll(&mut context).is_pending());
    clock.hand.set(5_001);
    drop(late);
    assert_eq!(guard.breaker().snapshot(at(5_001)).phase, Phase::Open);
}

#[test]
fn concluding_counts_as_recording_does() {
    for settings in [
        in_a_row(3),
        rate_over(Over::Calls(10)),
        rate_over(Over::Time(ms(10_000))),
    ] {
        let (recorded, concluded) = (breaker(settings.clone()), breaker(settings));
        for step in 0..200_u64 {
            let now = at(step * 100);
            let outcome = match step % 10 {
                3 => Outcome::Success,
                6 => Outcome::Ignored,
                _ => Outcome::Failure,
            };
            let permits = (recorded.admit(now), concluded.admit(now));
            if let (Ok(one), Ok(other)) = permits {
                one.record(outcome, now);
                other.conclude(outcome, now);
            }
            assert_eq!(recorded.snapshot(now), concluded.snapshot(now));
        }
        assert!(recorded.snapshot(at(20_000)).generation > 0, "it tripped");
    }
}
