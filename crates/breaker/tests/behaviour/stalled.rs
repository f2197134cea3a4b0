//! Calls in flight for too long: an upstream that hangs must trip without a single outcome.

use fusebox_breaker::{Outcome, Phase, RejectReason, Rule, Settings, Timestamp};

use crate::kit::{admit, at, breaker, by_rule, changes, hold, ms, refused, succeed};
use fusebox_breaker::HoldKind;

fn three_longer_than_a_second() -> Settings {
    by_rule(Rule::Stalled {
        calls: 3,
        longer_than: ms(1_000),
    })
}

#[test]
fn the_call_that_finds_enough_stalled_ones_trips_and_is_refused() {
    let breaker = breaker(three_longer_than_a_second());
    let _hanging: Vec<_> = (0..3).map(|millis| admit(&breaker, millis)).collect();
    let _passes = admit(&breaker, 1_002);
    assert_eq!(refused(&breaker, 1_003).reason, RejectReason::BreakerOpen);
    let reason = breaker.snapshot(at(1_003)).reason.unwrap();
    assert_eq!(
        reason.to_string(),
        "3 of 4 calls in flight have stalled, the limit is 3"
    );
}

#[test]
fn a_tick_judges_when_no_call_comes() {
    let breaker = breaker(three_longer_than_a_second());
    let _hanging: Vec<_> = (0..3).map(|_| admit(&breaker, 0)).collect();
    assert_eq!(breaker.tick(at(1_000)), None);
    let trip = breaker.tick(at(1_001)).expect("trips");
    assert_eq!(changes(&trip), (Phase::Closed, Phase::Open, "stalled"));
    assert_eq!(trip.retry_at, Some(at(2_001)));
}

#[test]
fn calls_that_ended_or_were_dropped_or_began_to_be_answered_have_not_stalled() {
    let breaker = breaker(three_longer_than_a_second());
    let mut permits: Vec<_> = (0..5).map(|_| admit(&breaker, 0)).collect();
    permits.pop().unwrap().record(Outcome::Success, at(1));
    drop(permits.pop());
    permits[0].answered();
    assert_eq!(breaker.tick(at(5_000)), None);
    assert_eq!(breaker.snapshot(at(5_000)).rules[0].failures, 2);
    assert_eq!(breaker.snapshot(at(5_000)).rules[0].calls, 2);
}

#[test]
fn a_call_is_in_flight_from_when_the_other_side_has_all_that_it_needs() {
    let breaker = breaker(three_longer_than_a_second());
    let mut permits: Vec<_> = (0..3).map(|_| admit(&breaker, 0)).collect();
    permits[0].waits_since(Timestamp::MAX);
    assert_eq!(breaker.tick(at(5_000)), None, "one is not sent yet");
    permits[0].waits_since(at(5_000));
    permits[1].waits_since(at(5_500));
    assert_eq!(breaker.tick(at(6_500)), None);
    assert_eq!(breaker.snapshot(at(6_500)).rules[0].failures, 2);
    let trip = breaker.tick(at(6_501)).expect("trips");
    assert_eq!(changes(&trip), (Phase::Closed, Phase::Open, "stalled"));
}

#[test]
fn a_stalled_call_that_waits_for_its_client_again_has_not_stalled() {
    let breaker = breaker(three_longer_than_a_second());
    let mut permits: Vec<_> = (0..3).map(|_| admit(&breaker, 0)).collect();
    permits[2].answered();
    assert_eq!(breaker.tick(at(2_000)), None);
    assert_eq!(breaker.snapshot(at(2_000)).rules[0].failures, 2);
    permits[0].waits_since(at(2_000));
    permits[2].waits_since(at(0));
    let seen = breaker.snapshot(at(2_001)).rules[0].clone();
    assert_eq!((seen.failures, seen.calls), (1, 2), "answered is answered");
}

#[test]
fn stalled_calls_of_an_earlier_generation_are_not_waited_for() {
    let breaker = breaker(three_longer_than_a_second());
    let hanging: Vec<_> = (0..3).map(|_| admit(&breaker, 0)).collect();
    breaker.tick(at(1_001)).expect("trips");
    assert_eq!(succeed(&breaker, 2_001).unwrap().to, Phase::Closed);
    assert_eq!(breaker.tick(at(9_000)), None);
    for mut late in hanging {
        late.waits_since(at(2_500));
        assert_eq!(breaker.tick(at(9_000)), None);
        assert_eq!(
            late.settle(Outcome::Failure, at(9_000)).counted.as_str(),
            "late"
        );
    }
}

#[test]
fn calls_that_began_before_a_hold_or_a_reset_stall_nothing_after_it() {
    let breaker = breaker(three_longer_than_a_second());
    let _hanging: Vec<_> = (0..3).map(|_| admit(&breaker, 0)).collect();
    breaker.hold(hold(HoldKind::Closed, None), at(1));
    breaker.release(at(2));
    assert_eq!(breaker.tick(at(9_000)), None);
    let _more: Vec<_> = (0..3).map(|_| admit(&breaker, 9_000)).collect();
    breaker.reset(at(9_001));
    assert_eq!(breaker.tick(at(20_000)), None);
}

#[test]
fn a_call_in_flight_over_a_change_of_settings_still_stalls_by_the_new_ones() {
    let breaker = breaker(three_longer_than_a_second());
    let _hanging: Vec<_> = (0..3).map(|_| admit(&breaker, 0)).collect();
    let settings = by_rule(Rule::Stalled {
        calls: 3,
        longer_than: ms(3_000),
    });
    assert!(breaker.reconfigure(settings, at(10)).unwrap().state_kept);
    assert_eq!(breaker.tick(at(3_000)), None);
    assert!(breaker.tick(at(3_001)).is_some());
}
