//! What outlives a process, and how the next one takes it up.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fusebox_breaker::{Cooldown, HoldKind, Phase, Saved, SavedState, Settings};

use crate::kit::*;

/// A new process's breaker, whose time begins at zero again.
fn restarted(settings: Settings, saved: &Saved) -> fusebox_breaker::Breaker {
    let breaker = breaker(settings);
    let restored = breaker.restore(saved, at(0));
    assert_eq!(restored.reason.token(), "restored");
    assert!(restored.generation > saved.generation);
    breaker
}

#[test]
fn an_open_breaker_is_still_open_for_the_rest_of_its_cooldown() {
    let before = tripped(in_a_row(1), 5_000);
    let saved = before.saved(at(5_400));
    assert_eq!(saved.state, SavedState::Open { remaining: ms(600) });
    let after = restarted(in_a_row(1), &saved);
    assert_eq!(refused(&after, 599).retry_at, Some(at(600)));
    assert_eq!(after.snapshot(at(0)).attempts, 1);
    assert!(admit(&after, 600).is_probe());
}

#[test]
fn a_remaining_cooldown_is_at_most_the_longest_that_can_be_drawn() {
    let mut settings = in_a_row(1);
    settings.cooldown = Cooldown {
        jitter: 0.5,
        max: ms(4_000),
        ..Cooldown::exponential(ms(1_000))
    };
    let mut saved = Saved::new(SavedState::Open {
        remaining: ms(86_400_000),
    });
    saved.generation = 3;
    saved.attempts = 2;
    let after = restarted(settings, &saved);
    assert_eq!(refused(&after, 0).retry_at, Some(at(6_000)));
}

#[test]
fn half_open_returns_as_open_with_nothing_remaining() {
    let before = tripped(in_a_row(1), 0);
    let _probe = admit(&before, 1_000);
    let saved = before.saved(at(1_000));
    assert_eq!(saved.state, SavedState::HalfOpen);
    let after = restarted(in_a_row(1), &saved);
    assert_eq!(phase(&after, 0), Phase::HalfOpen);
    let probe = admit(&after, 0);
    assert!(probe.is_probe());
    assert!(after.admit(at(0)).is_err(), "probes are limited as ever");
}

#[test]
fn an_open_breaker_whose_cooldown_is_over_is_saved_as_half_open() {
    let before = tripped(in_a_row(1), 0);
    assert_eq!(before.saved(at(1_000)).state, SavedState::HalfOpen);
}

#[test]
fn a_closed_breaker_returns_closed_with_empty_windows() {
    let before = breaker(in_a_row(2));
    fail(&before, 0);
    let after = restarted(in_a_row(2), &before.saved(at(0)));
    assert_eq!(fail(&after, 0), None);
    assert!(fail(&after, 0).is_some());
}

#[test]
fn a_hold_returns_with_the_rest_of_its_time() {
    let before = breaker(in_a_row(1));
    before.hold(hold(HoldKind::Open, Some(900)), at(0));
    let after = restarted(in_a_row(1), &before.saved(at(300)));
    let held = after.snapshot(at(0)).hold.unwrap();
    assert_eq!((held.until, &*held.by), (Some(at(600)), "ann"));
    assert_eq!(refused(&after, 599).retry_at, Some(at(600)));
    assert!(admit(&after, 600).is_probe());
}

#[test]
fn a_hold_that_is_over_is_not_saved() {
    let before = tripped(in_a_row(1), 0);
    before.hold(hold(HoldKind::Closed, Some(900)), at(0));
    let saved = before.saved(at(900));
    assert_eq!((saved.hold, saved.state), (None, SavedState::Closed));
    assert_eq!(saved.attempts, 0);
}

#[test]
fn the_generation_goes_on_above_the_saved_one_and_above_the_breakers_own() {
    let before = tripped(in_a_row(1), 0);
    let saved = before.saved(at(0));
    let after = restarted(in_a_row(1), &saved);
    assert!(after.snapshot(at(0)).generation > saved.generation + 999);
    let again = after.restore(&saved, at(0));
    assert!(again.generation > after.saved(at(0)).generation - 1);
    assert!(again.generation > saved.generation + 1_999);
}

#[test]
fn a_damaged_generation_does_not_stop_the_count() {
    let mut saved = Saved::new(SavedState::Closed);
    saved.generation = u64::MAX;
    saved.attempts = u32::MAX;
    let breaker = breaker(in_a_row(1));
    let restored = breaker.restore(&saved, at(0));
    let trip = fail(&breaker, 0).unwrap();
    assert_eq!(trip.generation, restored.generation + 1);
    assert_eq!(trip.attempts, u32::MAX);
    assert!(breaker.admit(at(0)).is_err());
}

/// A wall time so many milliseconds after some day.
fn wall(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000) + ms(millis)
}

#[test]
fn the_time_between_two_processes_is_taken_off_the_cooldown() {
    let saved = tripped(in_a_row(1), 0).saved(at(400)).at(wall(0));
    assert_eq!(saved.state, SavedState::Open { remaining: ms(600) });
    let after = restarted(in_a_row(1), &saved.clone().at(wall(250)));
    assert_eq!(refused(&after, 0).retry_at, Some(at(350)));
    let late = restarted(in_a_row(1), &saved.clone().at(wall(600)));
    assert!(admit(&late, 0).is_probe());
    // Asked again, and again: the same as asked once.
    let twice = saved.clone().at(wall(100)).at(wall(250));
    assert_eq!(twice, saved.at(wall(250)));
}

#[test]
fn a_wall_clock_that_went_back_makes_nothing_longer() {
    let saved = tripped(in_a_row(1), 0).saved(at(400)).at(wall(5_000));
    let earlier = saved.at(wall(0));
    assert_eq!(earlier.state, SavedState::Open { remaining: ms(600) });
    assert_eq!(earlier.written_at, Some(wall(0)));
}

#[test]
fn a_record_that_says_no_time_loses_none() {
    let saved = tripped(in_a_row(1), 0).saved(at(400));
    assert_eq!(
        saved.at(wall(9_000)).state,
        SavedState::Open { remaining: ms(600) }
    );
}

#[test]
fn a_hold_that_ended_between_two_processes_ends_as_if_released() {
    let before = tripped(in_a_row(1), 0);
    before.hold(hold(HoldKind::Open, Some(900)), at(0));
    let saved = before.saved(at(0)).at(wall(0));
    let held = restarted(in_a_row(1), &saved.clone().at(wall(899)));
    assert_eq!(
        refused(&held, 0).reason,
        fusebox_breaker::RejectReason::HeldOpen
    );
    let ended = restarted(in_a_row(1), &saved.at(wall(900)));
    assert!(admit(&ended, 0).is_probe());
    assert_eq!(ended.snapshot(at(0)).hold, None);
    // One without an end lasts.
    before.hold(hold(HoldKind::Open, None), at(0));
    let endless = before.saved(at(0)).at(wall(0)).at(wall(1_000_000));
    assert!(endless.hold.is_some());
}
