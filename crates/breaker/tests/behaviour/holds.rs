//! Holds, release and reset: an operator's word wins.

use fusebox_breaker::{
    Breaker, HoldKind, Outcome, Phase, Reason, RejectReason, machine::SettledAs,
};

use crate::kit::*;

/// One breaker in each state at 1,000 ms, the half-open one with a probe in flight.
fn in_each_state() -> [(Breaker, Phase); 3] {
    let half_open = tripped(in_a_row(1), 0);
    std::mem::forget(admit(&half_open, 1_000));
    [
        (breaker(in_a_row(1)), Phase::Closed),
        (tripped(in_a_row(1), 900), Phase::Open),
        (half_open, Phase::HalfOpen),
    ]
}

#[test]
fn a_breaker_held_open_refuses_every_call_whatever_its_state() {
    for (breaker, state) in in_each_state() {
        let generation = breaker.snapshot(at(1_000)).generation;
        let held = breaker.hold(hold(HoldKind::Open, Some(9_000)), at(1_000));
        assert_eq!(changes(&held), (state, state, "held_open"));
        assert_eq!(held.generation, generation + 1);
        assert_eq!(held.reason.to_string(), "held open by ann: maintenance");
        for time in [1_000, 5_000, 8_999] {
            let rejection = refused(&breaker, time);
            assert_eq!(rejection.reason, RejectReason::HeldOpen);
            assert_eq!(rejection.phase, state, "the state is the machine's own");
            assert_eq!(rejection.retry_at, Some(at(9_000)));
            assert_eq!(breaker.check(at(time)), Err(rejection));
            assert_eq!(phase(&breaker, time), state, "frozen beneath the hold");
        }
    }
}

#[test]
fn a_breaker_held_closed_permits_every_call_and_judges_none() {
    for (breaker, state) in in_each_state() {
        breaker.hold(hold(HoldKind::Closed, None), at(1_000));
        for time in 1_000..1_100 {
            let permit = admit(&breaker, time);
            assert!(!permit.is_probe());
            let settled = permit.settle(Outcome::Failure, at(time));
            assert_eq!(settled.counted, SettledAs::Failure);
            assert!(settled.transitions.is_empty());
            breaker.report(Outcome::Failure, at(time));
        }
        assert_eq!(phase(&breaker, 1_100), state);
        assert!(breaker.check(at(1_100)).is_ok());
    }
}

#[test]
fn a_hold_without_end_names_no_time_to_return() {
    let breaker = breaker(in_a_row(1));
    breaker.hold(hold(HoldKind::Open, None), at(0));
    assert_eq!(refused(&breaker, u64::MAX / 2_000_000).retry_at, None);
    assert_eq!(breaker.snapshot(at(5)).retry_at, None);
}

#[test]
fn released_from_held_open_a_breaker_probes() {
    for (breaker, state) in in_each_state() {
        breaker.hold(hold(HoldKind::Open, None), at(1_000));
        let generation = breaker.snapshot(at(1_000)).generation;
        let released = breaker.release(at(2_000)).unwrap();
        assert_eq!(changes(&released), (state, Phase::HalfOpen, "released"));
        assert_eq!(released.generation, generation + 1);
        assert!(admit(&breaker, 2_000).is_probe(), "all places are free");
    }
}

#[test]
fn released_from_held_closed_a_breaker_is_closed_with_empty_windows() {
    let first = breaker(in_a_row(2));
    fail(&first, 0);
    for breaker in [first, tripped(in_a_row(1), 0)] {
        breaker.hold(hold(HoldKind::Closed, None), at(10));
        let released = breaker.release(at(20)).unwrap();
        assert_eq!(released.to, Phase::Closed);
        assert_eq!(released.attempts, 0);
        let snapshot = breaker.snapshot(at(20));
        assert_eq!(snapshot.rules[0].observed, 0.0);
        assert_eq!(snapshot.hold, None);
        assert!(succeed(&breaker, 20).is_none());
    }
}

#[test]
fn a_hold_ends_by_itself_as_if_released_and_that_is_recorded() {
    for (kind, after) in [
        (HoldKind::Open, Phase::HalfOpen),
        (HoldKind::Closed, Phase::Closed),
    ] {
        let (breaker, recorder) = recorded(in_a_row(1));
        breaker.hold(hold(kind, Some(1_000)), at(0));
        assert!(breaker.snapshot(at(999)).hold.is_some());
        let seen = breaker.snapshot(at(1_000));
        assert_eq!((seen.hold, seen.phase), (None, after));
        let _permit = admit(&breaker, 1_000);
        let ended = recorder.heard().pop().unwrap();
        assert_eq!(ended.reason.token(), "hold_ended");
        assert_eq!((ended.to, ended.at), (after, at(1_000)));
        assert_eq!(breaker.snapshot(at(1_000)).phase, after);
    }
}

#[test]
fn after_a_holds_end_reading_tells_what_the_next_call_will_find() {
    let breaker = breaker(in_a_row(3));
    fail(&breaker, 0);
    breaker.hold(hold(HoldKind::Closed, Some(500)), at(1));
    let during = breaker.snapshot(at(499));
    assert_eq!((during.rules[0].failures, during.retry_at), (1, None));
    let read = breaker.snapshot(at(700));
    breaker.tick(at(700));
    let found = breaker.snapshot(at(700));
    assert_eq!((read.phase, read.attempts), (found.phase, found.attempts));
    assert_eq!((&read.rules, &read.hold), (&found.rules, &found.hold));
    assert_eq!(read.since, at(500));
}

#[test]
fn release_without_a_hold_does_nothing() {
    for (breaker, state) in in_each_state() {
        let before = breaker.snapshot(at(1_000));
        assert_eq!(breaker.release(at(1_000)), None);
        assert_eq!(breaker.snapshot(at(1_000)), before);
        assert_eq!(before.phase, state);
    }
}

#[test]
fn a_new_hold_replaces_the_old_one() {
    let breaker = breaker(in_a_row(1));
    breaker.hold(hold(HoldKind::Open, None), at(0));
    let replaced = breaker.hold(hold(HoldKind::Closed, Some(50)), at(1));
    assert_eq!(replaced.generation, 2);
    assert!(breaker.admit(at(2)).is_ok());
    assert_eq!(breaker.snapshot(at(50)).phase, Phase::Closed);
}

#[test]
fn a_call_that_began_before_a_hold_does_not_undo_it() {
    let breaker = breaker(in_a_row(1));
    let before = admit(&breaker, 0);
    breaker.hold(hold(HoldKind::Closed, None), at(1));
    let during = admit(&breaker, 2);
    let settled = before.settle(Outcome::Failure, at(3));
    assert_eq!(settled.counted, SettledAs::Late);
    breaker.release(at(4));
    let settled = during.settle(Outcome::Failure, at(5));
    assert_eq!(settled.counted, SettledAs::Late);
    assert_eq!(phase(&breaker, 5), Phase::Closed);
}

#[test]
fn a_hold_placed_after_the_cooldown_ended_freezes_the_half_open_state() {
    let breaker = tripped(in_a_row(1), 0);
    let held = breaker.hold(hold(HoldKind::Closed, None), at(1_500));
    assert_eq!(held.from, Phase::HalfOpen);
    assert_eq!(phase(&breaker, 9_000), Phase::HalfOpen);
}

#[test]
fn reset_begins_anew_from_every_state_and_under_every_hold() {
    for holding in [None, Some(HoldKind::Open), Some(HoldKind::Closed)] {
        for (breaker, state) in in_each_state() {
            if let Some(kind) = holding {
                breaker.hold(hold(kind, None), at(1_000));
            }
            let generation = breaker.snapshot(at(1_000)).generation;
            let reset = breaker.reset(at(1_001));
            assert_eq!(changes(&reset), (state, Phase::Closed, "reset"));
            assert_eq!((reset.generation, reset.attempts), (generation + 1, 0));
            let snapshot = breaker.snapshot(at(1_001));
            assert_eq!((snapshot.hold, snapshot.retry_at), (None, None));
            assert!(breaker.admit(at(1_001)).is_ok());
        }
    }
}

#[test]
fn reset_empties_the_windows() {
    let breaker = breaker(in_a_row(2));
    fail(&breaker, 0);
    let straggler = admit(&breaker, 0);
    breaker.reset(at(0));
    assert_eq!(
        straggler.settle(Outcome::Failure, at(0)).counted,
        SettledAs::Late
    );
    assert_eq!(fail(&breaker, 0), None);
    assert!(fail(&breaker, 0).is_some());
}

#[test]
fn the_last_transitions_are_remembered_and_no_more_than_sixteen() {
    let breaker = breaker(in_a_row(1));
    for time in 0..40 {
        breaker.reset(at(time));
    }
    let recent = breaker.snapshot(at(40)).recent;
    assert_eq!(recent.len(), fusebox_breaker::snapshot::RECENT);
    assert_eq!(recent.last().unwrap().generation, 40);
    assert!(recent.iter().all(|seen| seen.reason == Reason::Reset));
}
