//! A trip that no rule brought about.

use fusebox_breaker::{HoldKind, Phase, machine::ForcedTrip};

use crate::kit::{
    at, breaker, changes, fail, hold, in_a_row, ms, phase, refused, succeed, tripped,
};

fn verdict(cooldown: Option<u64>) -> ForcedTrip {
    ForcedTrip {
        by: "ann".into(),
        reason: "the pager rang".into(),
        cooldown: cooldown.map(ms),
    }
}

#[test]
fn a_forced_trip_opens_for_a_cooldown_and_comes_back_by_itself() {
    let breaker = breaker(in_a_row(5));
    let trip = breaker.trip(verdict(None), at(10)).expect("trips");
    assert_eq!(changes(&trip), (Phase::Closed, Phase::Open, "forced"));
    assert_eq!(trip.reason.to_string(), "tripped by ann: the pager rang");
    assert_eq!((trip.attempts, trip.retry_at), (1, Some(at(1_010))));
    assert_eq!(refused(&breaker, 1_009).retry_at, Some(at(1_010)));
    assert_eq!(succeed(&breaker, 1_010).unwrap().to, Phase::Closed);
}

#[test]
fn a_forced_trip_may_bring_its_own_cooldown() {
    let breaker = breaker(in_a_row(5));
    breaker.trip(verdict(Some(300)), at(0)).expect("trips");
    assert_eq!(phase(&breaker, 299), Phase::Open);
    assert_eq!(phase(&breaker, 300), Phase::HalfOpen);
}

#[test]
fn a_forced_trip_reopens_a_half_open_breaker_and_leaves_an_open_or_held_one_alone() {
    let breaker = tripped(in_a_row(1), 0);
    assert_eq!(breaker.trip(verdict(None), at(500)), None);
    let again = breaker
        .trip(verdict(None), at(1_000))
        .expect("half-open by now");
    assert_eq!((again.from, again.attempts), (Phase::HalfOpen, 2));
    breaker.reset(at(1_001));
    breaker.hold(hold(HoldKind::Closed, None), at(1_002));
    assert_eq!(breaker.trip(verdict(None), at(1_003)), None);
    breaker.release(at(1_004));
    assert!(fail(&breaker, 1_005).is_some());
}

#[test]
fn a_forced_trip_of_a_held_breaker_moves_nothing_even_when_its_cooldown_has_ended() {
    let breaker = tripped(in_a_row(1), 0);
    breaker.hold(hold(HoldKind::Closed, None), at(500));
    let before = breaker.snapshot(at(2_000));
    assert_eq!(breaker.trip(verdict(None), at(2_000)), None);
    assert_eq!(breaker.snapshot(at(2_000)), before);
    assert_eq!(before.phase, Phase::Open);
}
