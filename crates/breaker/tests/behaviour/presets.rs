//! The presets: what trips each of them, and how soon it is back.

use fusebox_breaker::{Breaker, Outcome, Phase, Settings};

use crate::kit::*;

/// Replays a pattern of outcomes, a call every 10 ms, for 10,000 calls: how many were made when it tripped.
fn trips_after(settings: Settings, pattern: &str) -> Option<usize> {
    let breaker = breaker(settings);
    let outcomes = pattern.chars().cycle().take(10_000).enumerate();
    outcomes
        .map(|(number, outcome)| (number, if outcome == 'F' { F } else { S }))
        .find_map(|(number, outcome)| {
            call(&breaker, outcome, 10 * number as u64).map(|_| number + 1)
        })
}

const F: Outcome = Outcome::Failure;
const S: Outcome = Outcome::Success;

#[test]
fn four_failures_and_a_success_again_and_again_trip_by_default() {
    for settings in [Settings::default(), Settings::standard()] {
        assert_eq!(trips_after(settings, "FFFFS"), Some(20));
    }
}

#[test]
fn every_second_failure_trips_by_default_and_every_third_does_not() {
    assert_eq!(trips_after(Settings::default(), "FS"), Some(20));
    assert_eq!(trips_after(Settings::default(), "FSS"), None);
    assert_eq!(trips_after(Settings::default(), "F"), Some(5));
}

#[test]
fn a_call_now_and_then_that_fails_between_successes_trips_nothing() {
    let breaker = breaker(Settings::default());
    for minute in 0..1_000 {
        let outcome = if minute % 5 == 4 { S } else { F };
        assert_eq!(call(&breaker, outcome, minute * 60_000), None);
    }
}

#[test]
fn fast_settings_trip_at_three_in_a_row_or_a_quarter_and_are_back_in_five_seconds() {
    assert_eq!(trips_after(Settings::fast(), "F"), Some(3));
    assert_eq!(trips_after(Settings::fast(), "SSSF"), Some(12));
    assert_eq!(trips_after(Settings::fast(), "SSSSF"), None);
    let breaker = breaker(Settings::fast());
    (0..3).for_each(|_| drop(fail(&breaker, 0)));
    assert_eq!(refused(&breaker, 4_999).retry_at, Some(at(5_000)));
    assert_eq!(succeed(&breaker, 5_000).unwrap().to, Phase::Closed);
}

#[test]
fn tolerant_settings_trip_at_ten_in_a_row_or_three_quarters_of_many() {
    assert_eq!(trips_after(Settings::tolerant(), "F"), Some(10));
    assert_eq!(trips_after(Settings::tolerant(), "FFFS"), Some(50));
    assert_eq!(trips_after(Settings::tolerant(), "FFS"), None);
}

#[test]
fn all_presets_are_sound_and_differ() {
    let presets = [Settings::fast(), Settings::standard(), Settings::tolerant()];
    for (number, settings) in presets.iter().enumerate() {
        assert!(Breaker::new("orders", settings.clone()).is_ok());
        assert!(!presets[..number].contains(settings));
    }
}
