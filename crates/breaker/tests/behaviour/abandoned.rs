//! Calls that their callers gave up: ignored, or a failure after so long.

use std::future::{Future, pending};
use std::sync::Arc;

use fusebox_breaker::{Guard, OnAbandoned, Outcome, Phase, Rule, Settings, machine::SettledAs};

use crate::kit::*;
use crate::ways_in::Hand;

fn patient_for(millis: u64) -> Settings {
    Settings {
        on_abandoned: OnAbandoned::FailureAfter(ms(millis)),
        ..in_a_row(2)
    }
}

/// A call that begins at `from` and is given up at `until`.
fn give_up(guard: &Guard<fusebox_breaker::ErrorsFail, Arc<Hand>>, hand: &Hand, until: u64) {
    let mut call = Box::pin(guard.call_async(pending::<Result<(), ()>>));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    hand.set(until);
    drop(call);
}

#[test]
fn calls_given_up_after_so_long_trip_and_earlier_ones_count_as_nothing() {
    let hand = Arc::new(Hand::default());
    let guard = Guard::of(breaker(patient_for(1_000))).clock(hand.clone());
    for round in 0..10 {
        hand.set(round * 10_000);
        give_up(&guard, &hand, round * 10_000 + 999);
    }
    let totals = guard.breaker().snapshot(at(100_000)).totals;
    assert_eq!((totals.ignored, totals.failures), (10, 0));
    for began in [100_000, 200_000] {
        hand.set(began);
        give_up(&guard, &hand, began + 1_000);
    }
    assert_eq!(guard.breaker().snapshot(at(201_000)).phase, Phase::Open);
}

#[test]
fn calls_given_up_are_ignored_unless_that_is_asked_for() {
    let hand = Arc::new(Hand::default());
    let guard = Guard::of(breaker(in_a_row(1))).clock(hand.clone());
    give_up(&guard, &hand, 3_600_000);
    let snapshot = guard.breaker().snapshot(at(3_600_000));
    assert_eq!(
        (snapshot.phase, snapshot.totals.ignored),
        (Phase::Closed, 1)
    );
}

#[test]
fn a_probe_given_up_after_so_long_opens_again() {
    let hand = Arc::new(Hand::default());
    let guard = Guard::of(tripped(
        Settings {
            on_abandoned: OnAbandoned::FailureAfter(ms(300)),
            ..in_a_row(1)
        },
        0,
    ))
    .clock(hand.clone());
    hand.set(1_000);
    give_up(&guard, &hand, 1_300);
    let snapshot = guard.breaker().snapshot(at(1_300));
    assert_eq!((snapshot.phase, snapshot.attempts), (Phase::Open, 2));
}

#[test]
fn callers_that_come_and_leave_in_turn_do_not_hide_a_stalled_call() {
    let stalled = by_rule(Rule::Stalled {
        calls: 1,
        longer_than: ms(500),
    });
    let hand = Arc::new(Hand::default());
    let guard = Guard::of(breaker(stalled)).clock(hand.clone());
    give_up(&guard, &hand, 500);
    assert_eq!(guard.breaker().snapshot(at(500)).phase, Phase::Closed);
    give_up(&guard, &hand, 1_001);
    assert_eq!(guard.breaker().snapshot(at(1_001)).phase, Phase::Open);
}

#[test]
fn an_abandoned_call_is_slow_as_well() {
    let slow = Settings {
        on_abandoned: OnAbandoned::FailureAfter(ms(300)),
        ..by_rule(Rule::SlowRate {
            rate: fusebox_breaker::Ratio::percent(100),
            slower_than: ms(200),
            over: fusebox_breaker::Over::Calls(2),
            min_calls: 2,
        })
    };
    let breaker = breaker(slow);
    for began in [0, 1_000] {
        let permit = breaker.admit(at(began)).unwrap();
        let settled = permit.abandoned(ms(300), at(began + 300));
        assert_eq!(settled.counted, SettledAs::Failure);
    }
    assert_eq!(phase(&breaker, 1_300), Phase::Open);
}

#[test]
fn a_late_word_of_an_abandoned_call_changes_nothing() {
    let breaker = breaker(patient_for(1));
    let late = breaker.admit(at(0)).unwrap();
    (0..2).for_each(|_| drop(call(&breaker, Outcome::Failure, 1)));
    let settled = late.abandoned(ms(500), at(500));
    assert_eq!(settled.counted, SettledAs::Late);
    assert!(settled.transitions.is_empty());
}

/// Fifty callers, one after the other, each of whom gives its call up after two seconds. How many of them were refused.
fn fifty_give_up(settings: Settings) -> (fusebox_breaker::Breaker, usize) {
    let hand = Arc::new(Hand::default());
    let guard = Guard::of(breaker(settings)).clock(hand.clone());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let is_refused = |caller: u64| {
        hand.set(caller * 2_000);
        let mut call = Box::pin(guard.call_async(pending::<Result<(), ()>>));
        let refused = call.as_mut().poll(&mut context).is_ready();
        hand.set(caller * 2_000 + 2_000);
        refused
    };
    let refused = (0..50).map(is_refused).filter(|refused| *refused).count();
    (guard.breaker().clone(), refused)
}

#[test]
fn fifty_calls_given_up_by_an_outer_timeout_are_seen_only_where_that_is_asked_for() {
    let (ignored, refused) = fifty_give_up(Settings::default());
    let totals = ignored.snapshot(at(100_000)).totals;
    assert_eq!((totals.ignored, totals.failures, refused), (50, 0, 0));

    let (counted, refused) = fifty_give_up(Settings {
        on_abandoned: OnAbandoned::FailureAfter(ms(1_000)),
        cooldown: fusebox_breaker::Cooldown::fixed(ms(3_600_000)),
        ..Settings::default()
    });
    let snapshot = counted.snapshot(at(100_000));
    assert_eq!((snapshot.totals.failures, refused), (5, 45));
    assert_eq!(snapshot.reason.unwrap().token(), "consecutive_failures");
}

#[test]
fn permits_given_back_as_abandoned_count_as_futures_that_are_dropped_do() {
    let settings = patient_for(1_000);
    let breaker = breaker(settings);
    let give_back = |lasted: u64, now: u64| {
        let permit = breaker.admit(at(now - lasted)).unwrap();
        permit.abandoned(ms(lasted), at(now)).counted
    };
    assert_eq!(give_back(999, 1_000), SettledAs::Ignored);
    assert_eq!(give_back(1_000, 2_000), SettledAs::Failure);
    // The time in which the other side waited for the caller does not belong to it.
    let waited = breaker.admit(at(2_000)).unwrap();
    let settled = waited.abandoned(ms(10), at(9_000));
    assert_eq!(settled.counted, SettledAs::Ignored);
    assert_eq!(give_back(5_000, 14_000), SettledAs::Failure);
    assert_eq!(phase(&breaker, 14_000), Phase::Open);
}

#[test]
fn a_permit_that_is_simply_dropped_is_ignored_however_long_it_was_held() {
    let breaker = breaker(patient_for(1));
    for call in 0..10 {
        let permit = admit(&breaker, call * 10_000);
        succeed(&breaker, call * 10_000 + 9_000);
        drop(permit);
    }
    let totals = breaker.snapshot(at(100_000)).totals;
    assert_eq!((totals.ignored, totals.failures), (10, 0));
}

fn stalled(calls: u32) -> Settings {
    by_rule(Rule::Stalled {
        calls,
        longer_than: ms(1_000),
    })
}

#[test]
fn fifty_callers_in_turn_who_give_up_trip_a_rule_for_stalled_calls_at_the_first() {
    let hand = Arc::new(Hand::default());
    let guard = Guard::of(breaker(stalled(1))).clock(hand.clone());
    give_up(&guard, &hand, 1_000);
    assert_eq!(guard.breaker().snapshot(at(1_000)).phase, Phase::Closed);
    give_up(&guard, &hand, 2_001);
    let snapshot = guard.breaker().snapshot(at(2_001));
    assert_eq!(snapshot.reason.unwrap().token(), "stalled");
    assert_eq!(snapshot.retry_at, Some(at(3_001)));
    // In the same instant, before anybody else asks: the drop itself has judged.
    assert_eq!(snapshot.recent.last().unwrap().at, at(2_001));
}

#[test]
fn the_first_of_several_callers_who_give_up_together_finds_all_of_them_stalled() {
    let breaker = breaker(stalled(3));
    let mut permits: Vec<_> = (0..3).map(|call| admit(&breaker, call)).collect();
    let first = permits.remove(0).abandoned(ms(2_000), at(2_000));
    assert_eq!(first.transitions.last().unwrap().to, Phase::Open);
    assert_eq!(first.counted, SettledAs::Late, "of the generation before");
    for late in permits {
        assert!(late.abandoned(ms(2_000), at(2_000)).transitions.is_empty());
    }
}

#[test]
fn a_call_given_up_that_the_other_side_had_begun_to_answer_has_not_stalled() {
    let breaker = breaker(stalled(1));
    let permit = admit(&breaker, 0);
    permit.answered();
    assert!(
        permit
            .abandoned(ms(5_000), at(5_000))
            .transitions
            .is_empty()
    );
}

#[test]
fn a_call_given_up_while_held_or_disabled_decides_nothing() {
    use fusebox_breaker::{HoldKind, Mode};
    let held = breaker(patient_for(1));
    held.hold(hold(HoldKind::Closed, None), at(0));
    let disabled = breaker(Settings {
        mode: Mode::Disabled,
        ..patient_for(1)
    });
    for breaker in [held, disabled] {
        for call in 0..10 {
            let permit = admit(&breaker, call * 100);
            let settled = permit.abandoned(ms(50), at(call * 100 + 50));
            assert!(settled.transitions.is_empty());
        }
        assert_eq!(phase(&breaker, 1_000), Phase::Closed);
    }
}
