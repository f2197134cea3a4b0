//! Calls that their callers gave up: ignored, or a failure after so long.

use std::future::{Future, pending};
use std::sync::Arc;

use fusebox_breaker::{Guard, OnAbandoned, Outcome, Phase, Rule, Settings, SettledAs};

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
