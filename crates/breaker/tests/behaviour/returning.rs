//! When a caller is told to come again that finds all probes in flight.

use std::sync::Arc;

use fusebox_breaker::{
    Breaker, Call, CallError, Guard, Outcome, Over, Phase, Ratio, RejectReason, Rule, Settings,
    machine::Next, settings::OnPeriodTimeout,
};

use crate::kit::*;
use crate::ways_in::Hand;

/// Trips at the first failure, open for a second, one probe of at most a minute.
fn patient() -> Settings {
    let mut settings = in_a_row(1);
    settings.half_open.probe_timeout = ms(60_000);
    settings
}

/// A probe that begins at `from` and succeeds after so long.
fn probe_takes(breaker: &Breaker, from: u64, millis: u64) {
    let probe = admit(breaker, from);
    assert!(probe.is_probe());
    probe.record(Outcome::Success, at(from + millis));
}

#[test]
fn while_nothing_is_known_a_refused_caller_comes_again_in_a_second_and_is_told_the_bound_beside() {
    let breaker = tripped(patient(), 0);
    let probe = admit(&breaker, 1_000);
    let rejection = refused(&breaker, 1_200);
    assert_eq!(rejection.reason, RejectReason::BreakerProbing);
    assert_eq!(rejection.retry_at, Some(at(2_200)));
    assert_eq!(rejection.retry_by, Some(at(61_000)));
    assert_eq!(rejection.wait(at(1_200)), Some(ms(1_000)));
    assert_eq!(rejection.retry_after(at(1_200)), Some(1));
    assert_eq!(breaker.check(at(1_200)), Err(rejection));
    let snapshot = breaker.snapshot(at(1_200));
    assert_eq!(snapshot.retry_at, rejection.retry_at);
    assert_eq!(snapshot.retry_by, rejection.retry_by);

    // A probe of 300 ms: who was refused meanwhile is back a second later, and passes.
    probe.record(Outcome::Success, at(1_300));
    assert!(breaker.admit(at(2_200)).is_ok());
}

#[test]
fn near_the_deadline_a_refused_caller_is_told_the_deadline() {
    let breaker = tripped(patient(), 0);
    let _probe = admit(&breaker, 1_000);
    let told = |millis| {
        let rejection = refused(&breaker, millis);
        (rejection.retry_at, rejection.retry_by)
    };
    assert_eq!(told(59_999), (Some(at(60_999)), Some(at(61_000))));
    assert_eq!(told(60_001), (Some(at(61_000)), Some(at(61_000))));
}

#[test]
fn a_refused_caller_is_told_the_usual_duration_of_a_success_where_that_is_longer_than_a_second() {
    let breaker = tripped(patient(), 0);
    probe_takes(&breaker, 1_000, 5_000);
    fail(&breaker, 10_000).expect("trips");
    let _probe = admit(&breaker, 11_000);
    assert_eq!(refused(&breaker, 11_500).retry_at, Some(at(16_500)));
    assert_eq!(refused(&breaker, 11_500).retry_by, Some(at(71_000)));
}

#[test]
fn the_usual_duration_is_learnt_from_ordinary_calls_too_and_survives_trips_and_resets() {
    let settings = Settings {
        trip: vec![Rule::FailureRate {
            rate: Ratio::percent(100),
            over: Over::Time(ms(1_000)),
            min_calls: 1,
        }],
        ..patient()
    };
    let breaker = breaker(settings);
    for call in 0..20 {
        let permit = breaker.admit(at(call * 5_000)).unwrap();
        let ended = Call::from(Outcome::Success).lasting(ms(3_000));
        permit.record(ended, at(call * 5_000 + 3_000));
    }
    breaker.reset(at(100_000));
    fail(&breaker, 110_000).expect("trips");
    let _probe = admit(&breaker, 111_000);
    assert_eq!(refused(&breaker, 111_000).retry_at, Some(at(114_000)));
}

#[test]
fn the_duration_of_failures_and_of_ignored_calls_teaches_nothing() {
    let breaker = tripped(patient(), 0);
    for (from, outcome) in [(1_000, Outcome::Failure), (20_000, Outcome::Ignored)] {
        admit(&breaker, from).record(outcome, at(from + 9_000));
    }
    let _probe = admit(&breaker, 40_000);
    assert_eq!(refused(&breaker, 40_000).retry_at, Some(at(41_000)));
}

#[test]
fn one_slow_success_among_many_quick_ones_keeps_nobody_away() {
    let mut settings = patient();
    settings.half_open.close = fusebox_breaker::CloseRule::Successes(100);
    let breaker = tripped(settings, 0);
    for probe in 0..50 {
        probe_takes(&breaker, 1_000 + probe * 10, 5);
    }
    probe_takes(&breaker, 2_000, 7_000);
    let _probe = admit(&breaker, 10_000);
    assert_eq!(refused(&breaker, 10_000).retry_at, Some(at(11_000)));
}

#[test]
fn the_end_of_a_half_open_period_bounds_both_times() {
    for then in [OnPeriodTimeout::Open, OnPeriodTimeout::Close] {
        let mut settings = patient();
        settings.half_open.period_timeout = Some(ms(500));
        settings.half_open.on_period_timeout = then;
        let breaker = tripped(settings, 0);
        let _probe = admit(&breaker, 1_000);
        let rejection = refused(&breaker, 1_100);
        assert_eq!(
            (rejection.retry_at, rejection.retry_by),
            (Some(at(1_500)), Some(at(1_500)))
        );
    }
}

#[test]
fn no_other_refusal_has_a_bound_beside_its_time() {
    let breaker = tripped(patient(), 0);
    assert_eq!(refused(&breaker, 10).retry_by, None);
    assert_eq!(breaker.snapshot(at(10)).retry_by, None);
    breaker.hold(hold(fusebox_breaker::HoldKind::Open, Some(900)), at(20));
    let rejection = refused(&breaker, 30);
    assert_eq!(
        (rejection.retry_at, rejection.retry_by),
        (Some(at(900)), None)
    );
    assert_eq!(breaker.snapshot(at(30)).retry_by, None);
}

#[test]
fn an_explanation_tells_the_bound() {
    let breaker = tripped(patient(), 0);
    let _probe = admit(&breaker, 1_000);
    let explanation = breaker.explain(at(1_000));
    assert_eq!(explanation.next, Next::ProbeEnds(at(61_000)));
    assert_eq!(explanation.phase, Phase::HalfOpen);
}

#[test]
fn callers_of_a_guard_are_told_the_same() {
    let hand = Arc::new(Hand::default());
    let guard = Guard::of(tripped(patient(), 0)).clock(hand.clone());
    hand.set(1_000);
    let outer = guard.call(|| {
        // While this call probes, another one comes.
        let inner = guard.call(|| Ok::<_, ()>(()));
        let Err(CallError::Rejected(rejection)) = inner else {
            panic!("two probes at once");
        };
        Ok::<_, ()>(rejection)
    });
    let rejection = outer.unwrap();
    assert_eq!(rejection.retry_at, Some(at(2_000)));
    assert_eq!(rejection.retry_by, Some(at(61_000)));
}
