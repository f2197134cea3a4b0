//! After a close, calls come back share by share.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fusebox_breaker::{Breaker, Mode, Phase, Ramp, Ratio, RejectReason, Settings};

use crate::adaptive::Fixed;
use crate::kit::{at, call, fail, in_a_row, ms, succeed};
use fusebox_breaker::Outcome;

/// Trips at two failures in a row; a ramp of ten seconds from 20 %.
fn ramping() -> Settings {
    Settings {
        ramp: Some(Ramp {
            over: ms(10_000),
            from: Ratio::percent(20),
        }),
        ..in_a_row(2)
    }
}

/// Closed by its probe at two seconds.
fn closed_at_two_seconds(settings: Settings, chance: Arc<Fixed>) -> Breaker {
    let builder = Breaker::builder("orders", settings).chance(chance);
    let breaker = builder.build().unwrap();
    fail(&breaker, 0);
    fail(&breaker, 0).expect("trips");
    assert_eq!(succeed(&breaker, 2_000).unwrap().to, Phase::Closed);
    breaker
}

#[test]
fn a_ramp_lets_its_share_pass_and_refuses_the_rest_for_a_second() {
    let chance = Fixed::at(199);
    let breaker = closed_at_two_seconds(ramping(), chance.clone());
    assert!(breaker.check(at(2_000)).is_ok());
    chance.0.store(200, Ordering::Relaxed);
    let refused = breaker.admit(at(2_000)).unwrap_err();
    assert_eq!(refused.reason, RejectReason::BreakerRamp);
    assert_eq!(refused.retry_at, Some(at(3_000)));
    let snapshot = breaker.snapshot(at(7_000));
    assert!((snapshot.ramp.unwrap().share - 0.6).abs() < 1e-9);
    assert!((snapshot.admit_probability - 0.6).abs() < 1e-9);
    assert_eq!(snapshot.ramp.unwrap().ends, at(12_000));
    assert_eq!(snapshot.phase, Phase::Closed);
}

#[test]
fn at_the_end_of_the_ramp_every_call_passes() {
    let breaker = closed_at_two_seconds(ramping(), Fixed::at(999));
    assert!(breaker.check(at(11_900)).is_err());
    assert!(breaker.check(at(12_000)).is_ok());
    assert_eq!(breaker.snapshot(at(12_000)).ramp, None);
}

#[test]
fn a_failure_that_trips_nothing_halves_the_share() {
    let breaker = closed_at_two_seconds(ramping(), Fixed::at(0));
    assert_eq!(fail(&breaker, 7_000), None);
    let ramp = breaker.snapshot(at(7_000)).ramp.unwrap();
    assert!((ramp.share - 0.3).abs() < 1e-9);
    assert_eq!(call(&breaker, Outcome::Ignored, 7_000), None);
    assert_eq!(breaker.snapshot(at(7_000)).ramp, Some(ramp));
    assert_eq!(ramp.ends, at(7_000 + 8_750));
}

#[test]
fn the_rules_trip_in_a_ramp_and_the_generation_spans_it() {
    let breaker = closed_at_two_seconds(ramping(), Fixed::at(0));
    let generation = breaker.snapshot(at(2_000)).generation;
    let permit = breaker.admit(at(2_000)).unwrap();
    let _ = breaker.admit(at(12_000)).unwrap();
    assert_eq!(permit.generation(), generation);
    fail(&breaker, 12_000);
    assert_eq!(fail(&breaker, 12_000).unwrap().to, Phase::Open);
}

#[test]
fn a_reset_or_a_monitor_knows_no_ramp() {
    let breaker = closed_at_two_seconds(ramping(), Fixed::at(999));
    let monitor = Settings {
        mode: Mode::Monitor,
        ..ramping()
    };
    breaker.reconfigure(monitor, at(2_000)).unwrap();
    let permit = breaker.admit(at(2_000)).unwrap();
    let reason = permit.would_reject().unwrap().reason;
    assert_eq!(reason, RejectReason::BreakerRamp);
    breaker.reconfigure(ramping(), at(2_000)).unwrap();
    assert!(breaker.check(at(2_000)).is_err());
    breaker.reset(at(2_000));
    assert!(breaker.check(at(2_000)).is_ok());
    breaker.begin_ramp(at(2_000));
    assert!(breaker.check(at(2_000)).is_err());
}

#[test]
fn settings_without_a_ramp_end_one_under_way() {
    let breaker = closed_at_two_seconds(ramping(), Fixed::at(999));
    breaker.reconfigure(in_a_row(2), at(2_000)).unwrap();
    assert!(breaker.check(at(2_000)).is_ok());
}
