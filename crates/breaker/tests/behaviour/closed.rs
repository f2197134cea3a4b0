//! Closed: calls pass and are judged.

use fusebox_breaker::{Outcome, Over, Phase, Ratio, Rule, machine::SettledAs, settings::JudgeOn};

use crate::kit::*;

#[test]
fn a_closed_breaker_gives_permits_without_a_deadline() {
    let breaker = breaker(in_a_row(3));
    let permit = breaker.admit(at(0)).unwrap();
    assert!(!permit.is_probe());
    assert_eq!(permit.deadline(), None);
    assert_eq!(permit.would_reject(), None);
    assert_eq!(permit.generation(), 0);
}

#[test]
fn the_failure_that_reaches_the_threshold_trips_and_tells_what_was_seen() {
    let breaker = breaker(in_a_row(5));
    for time in 0..4 {
        assert_eq!(fail(&breaker, time), None);
    }
    let trip = fail(&breaker, 4).unwrap();
    assert_eq!(
        changes(&trip),
        (Phase::Closed, Phase::Open, "consecutive_failures")
    );
    assert_eq!(
        trip.reason.to_string(),
        "5 consecutive failures, the limit is 5"
    );
    assert_eq!((trip.generation, trip.attempts), (1, 1));
    assert_eq!(trip.retry_at, Some(at(1_004)));
    assert_eq!(breaker.snapshot(at(4)).reason, Some(trip.reason));
}

#[test]
fn a_success_between_failures_begins_the_row_anew() {
    let breaker = breaker(in_a_row(2));
    for time in 0..10 {
        assert_eq!(fail(&breaker, time), None);
        assert_eq!(succeed(&breaker, time), None);
    }
}

#[test]
fn ignored_calls_neither_break_nor_lengthen_a_row() {
    let breaker = breaker(in_a_row(2));
    fail(&breaker, 0);
    assert_eq!(call(&breaker, Outcome::Ignored, 1), None);
    assert!(fail(&breaker, 2).is_some());
}

#[test]
fn a_dropped_permit_counts_as_ignored() {
    let breaker = breaker(in_a_row(1));
    drop(breaker.admit(at(0)).unwrap());
    drop(admit(&breaker, 0));
    let totals = breaker.snapshot(at(0)).totals;
    assert_eq!((totals.ignored, totals.failures), (2, 0));
    assert_eq!(phase(&breaker, 0), Phase::Closed);
}

#[test]
fn a_long_call_counts_when_it_ends_in_the_closed_period_in_which_it_began() {
    let breaker = breaker(in_a_row(1));
    let permit = admit(&breaker, 0);
    let settled = permit.settle(Outcome::Failure, at(86_400_000));
    assert_eq!(settled.counted, SettledAs::Failure);
    assert_eq!(phase(&breaker, 86_400_000), Phase::Open);
}

#[test]
fn an_outcome_of_an_earlier_generation_is_late_in_every_state() {
    let breaker = breaker(in_a_row(1));
    let stragglers: Vec<_> = (0..6).map(|_| admit(&breaker, 0)).collect();
    let mut stragglers = stragglers.into_iter();
    let mut straggle = |outcome, millis| {
        let settled = stragglers.next().unwrap().settle(outcome, at(millis));
        assert_eq!(settled.counted, SettledAs::Late);
        assert!(settled.transitions.is_empty());
    };
    fail(&breaker, 0);
    straggle(Outcome::Success, 10);
    straggle(Outcome::Failure, 10);
    let probe = admit(&breaker, 1_000);
    straggle(Outcome::Success, 1_000);
    straggle(Outcome::Failure, 1_000);
    assert_eq!(phase(&breaker, 1_000), Phase::HalfOpen);
    probe.record(Outcome::Success, at(1_000));
    straggle(Outcome::Failure, 1_001);
    straggle(Outcome::Success, 1_001);
    assert_eq!(phase(&breaker, 1_001), Phase::Closed);
    assert_eq!(breaker.snapshot(at(1_001)).totals.late, 6);
}

#[test]
fn a_success_that_brings_the_window_to_its_minimum_trips() {
    let rate = by_rule(Rule::FailureRate {
        rate: Ratio::percent(50),
        over: Over::Calls(10),
        min_calls: 4,
    });
    let mut on_failures = rate.clone();
    on_failures.judge_on = JudgeOn::Failures;

    let breaker = breaker(rate);
    fail(&breaker, 0);
    fail(&breaker, 0);
    succeed(&breaker, 0);
    let trip = succeed(&breaker, 0).unwrap();
    assert_eq!(
        trip.reason.to_string(),
        "50% of 4 calls failed, the limit is 50%"
    );

    let breaker = crate::kit::breaker(on_failures);
    fail(&breaker, 0);
    fail(&breaker, 0);
    succeed(&breaker, 0);
    assert_eq!(succeed(&breaker, 0), None);
    assert!(fail(&breaker, 0).is_some());
}

#[test]
fn checking_a_closed_breaker_keeps_nothing() {
    let breaker = breaker(in_a_row(1));
    assert_eq!(breaker.check(at(0)), Ok(()));
    assert_eq!(breaker.snapshot(at(0)).totals, Default::default());
    assert_eq!(breaker.snapshot(at(0)).generation, 0);
}

#[test]
fn time_that_steps_back_between_threads_is_taken_for_the_latest_asked_at() {
    let breaker = breaker(in_a_row(2));
    fail(&breaker, 5_000);
    breaker.tick(at(5_000));
    let trip = fail(&breaker, 4_000).unwrap();
    assert_eq!(trip.at, at(5_000));
    assert_eq!(trip.retry_at, Some(at(6_000)));
    assert_eq!(refused(&breaker, 4_000).retry_at, Some(at(6_000)));
}
