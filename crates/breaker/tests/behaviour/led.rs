//! A breaker that a fleet leads: it probes by leave alone, takes over what others found out, and counts for them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use fusebox_breaker::{
    Breaker, HoldKind, Listener, Outcome, Phase, Registry, RejectReason, Settings, Transition,
    fleet::{FleetOpening, FleetTally, ProbeLease},
};
use proptest::prelude::*;

use crate::kit::*;

/// Counts what it hears beside transitions.
#[derive(Default)]
struct Ear {
    demanded: AtomicU32,
    stirred: AtomicU32,
    made: Mutex<Vec<String>>,
}

impl Ear {
    fn demanded(&self) -> u32 {
        self.demanded.load(Ordering::Relaxed)
    }

    fn stirred(&self) -> u32 {
        self.stirred.load(Ordering::Relaxed)
    }
}

impl Listener for Ear {
    fn transition(&self, _: &Breaker, _: &Transition) {}

    fn demanded(&self, _: &Breaker) {
        self.demanded.fetch_add(1, Ordering::Relaxed);
    }

    fn stirred(&self, _: &Breaker) {
        self.stirred.fetch_add(1, Ordering::Relaxed);
    }

    fn made(&self, breaker: &Breaker) {
        self.made.lock().unwrap().push(breaker.name().to_string());
    }
}

fn heard(settings: Settings) -> (Breaker, Arc<Ear>) {
    let ear = Arc::new(Ear::default());
    let builder = Breaker::builder("orders", settings).listener(ear.clone());
    (builder.seed(7).build().unwrap(), ear)
}

fn lease(start_by: u64, ends: u64) -> ProbeLease {
    ProbeLease {
        start_by: at(start_by),
        ends: at(ends),
        renewed: false,
    }
}

fn opening(until: u64) -> FleetOpening {
    FleetOpening {
        until: at(until),
        attempts: 3,
        by: "node-2".into(),
        reason: "5 consecutive failures".into(),
    }
}

#[test]
fn a_led_breaker_whose_cooldown_ended_refuses_and_tells_of_the_demand() {
    let (breaker, ear) = heard(in_a_row(1));
    breaker.follow_fleet();
    fail(&breaker, 0);
    assert_eq!(refused(&breaker, 999).reason, RejectReason::BreakerOpen);
    assert_eq!(ear.demanded(), 0);
    let rejection = refused(&breaker, 1_000);
    assert_eq!(rejection.reason, RejectReason::BreakerProbing);
    assert_eq!(rejection.phase, Phase::HalfOpen);
    assert_eq!(rejection.retry_at, Some(at(2_000)));
    assert_eq!(phase(&breaker, 1_000), Phase::HalfOpen);
    assert_eq!(breaker.snapshot(at(1_000)).admit_probability, 0.0);
    assert_eq!(ear.demanded(), 1);
    for millis in 1_001..1_100 {
        refused(&breaker, millis);
    }
    assert_eq!(ear.demanded(), 1, "at most ten times a second");
    refused(&breaker, 1_100);
    assert_eq!(ear.demanded(), 2);
    assert!(breaker.report(Outcome::Success, at(1_100)).is_none());
}

#[test]
fn a_lease_lets_the_probes_begin_until_its_time_and_no_later() {
    let (breaker, ear) = heard(probing(2, 2));
    breaker.follow_fleet();
    fail(&breaker, 0);
    breaker.probe_by_lease(lease(3_000, 3_500), at(900));
    assert_eq!(refused(&breaker, 999).reason, RejectReason::BreakerOpen);
    let first = admit(&breaker, 2_900);
    let second = admit(&breaker, 2_999);
    refused(&breaker, 2_999);
    second.record(Outcome::Ignored, at(3_000));
    assert_eq!(
        refused(&breaker, 3_000).reason,
        RejectReason::BreakerProbing
    );
    assert!(ear.demanded() >= 1);
    drop(first);
    let renewed = ProbeLease {
        renewed: true,
        ..lease(5_000, 5_500)
    };
    assert!(breaker.probe_by_lease(renewed, at(3_000)).is_none());
    succeed(&breaker, 3_001);
    let closed = succeed(&breaker, 4_999).unwrap();
    assert_eq!(
        changes(&closed),
        (Phase::HalfOpen, Phase::Closed, "probe_ok")
    );
}

#[test]
fn a_probe_is_over_when_its_lease_is_however_it_is_extended() {
    let (breaker, _) = heard(in_a_row(1));
    breaker.follow_fleet();
    fail(&breaker, 0);
    breaker.probe_by_lease(lease(1_600, 2_000), at(1_000));
    let mut probe = admit(&breaker, 1_550);
    assert_eq!(probe.deadline(), Some(at(2_000)));
    probe.extend(at(9_000));
    assert_eq!(probe.deadline(), Some(at(2_000)));
    assert!(
        probe.record(Outcome::Success, at(2_000)).is_none(),
        "too late"
    );
    assert_eq!(phase(&breaker, 2_000), Phase::HalfOpen);
}

#[test]
fn a_new_lease_is_a_half_open_period_of_its_own() {
    let (breaker, _) = heard(in_a_row(1));
    breaker.follow_fleet();
    fail(&breaker, 0);
    breaker.probe_by_lease(lease(2_000, 9_000), at(1_000));
    let old = admit(&breaker, 1_000);
    breaker.probe_by_lease(lease(3_000, 9_000), at(1_100));
    let new = admit(&breaker, 1_100);
    assert!(
        old.record(Outcome::Success, at(1_200)).is_none(),
        "an older lease's"
    );
    assert_eq!(
        new.record(Outcome::Success, at(1_200)).unwrap().to,
        Phase::Closed
    );
}

#[test]
fn a_lease_ends_with_the_half_open_period() {
    let (breaker, _) = heard(in_a_row(1));
    breaker.follow_fleet();
    fail(&breaker, 0);
    breaker.probe_by_lease(lease(60_000, 90_000), at(1_000));
    fail(&breaker, 1_000);
    assert_eq!(
        refused(&breaker, 2_000).reason,
        RejectReason::BreakerProbing
    );
}

#[test]
fn what_the_fleet_found_out_is_taken_over_with_its_reason() {
    let (breaker, recorder) = recorded(in_a_row(5));
    let opened = breaker.open_by_fleet(opening(7_000), at(100)).unwrap();
    assert_eq!(changes(&opened), (Phase::Closed, Phase::Open, "fleet"));
    assert_eq!(
        opened.reason.to_string(),
        "told by node-2: 5 consecutive failures"
    );
    assert_eq!((opened.attempts, opened.retry_at), (3, Some(at(7_000))));
    assert!(
        breaker.open_by_fleet(opening(7_000), at(101)).is_none(),
        "nothing new"
    );
    assert_eq!(refused(&breaker, 6_999).retry_at, Some(at(7_000)));
    let later = breaker.open_by_fleet(opening(8_000), at(200)).unwrap();
    assert_eq!(changes(&later), (Phase::Open, Phase::Open, "fleet"));
    assert_eq!(refused(&breaker, 7_000).retry_at, Some(at(8_000)));
    assert_eq!(
        refused(&breaker, 8_000).reason,
        RejectReason::BreakerProbing
    );
    let closed = breaker.close_by_fleet("node-3", "1 of 1 answered probes succeeded", at(8_100));
    assert_eq!(
        changes(&closed.unwrap()),
        (Phase::Open, Phase::Closed, "fleet")
    );
    assert!(
        breaker
            .close_by_fleet("node-3", "again", at(8_100))
            .is_none()
    );
    succeed(&breaker, 8_100);
    assert_eq!(recorder.heard().len(), 3);
}

#[test]
fn an_operators_hold_here_wins_over_the_fleet() {
    let (breaker, _) = heard(in_a_row(1));
    breaker.follow_fleet();
    breaker.hold(hold(HoldKind::Closed, None), at(0));
    assert!(breaker.open_by_fleet(opening(7_000), at(1)).is_none());
    succeed(&breaker, 2);
    breaker.hold(hold(HoldKind::Open, None), at(3));
    assert!(breaker.close_by_fleet("node-2", "well", at(4)).is_none());
    breaker.probe_by_lease(lease(100, 200), at(4));
    assert_eq!(refused(&breaker, 5).reason, RejectReason::HeldOpen);
}

#[test]
fn alone_it_probes_after_its_cooldown_and_some_more() {
    let (breaker, _) = heard(in_a_row(1));
    breaker.follow_fleet();
    fail(&breaker, 0);
    let alone = breaker.go_alone(ms(150), at(500)).unwrap();
    assert_eq!((alone.to, alone.retry_at), (Phase::Open, Some(at(1_150))));
    refused(&breaker, 1_149);
    let probe = admit(&breaker, 1_150);
    breaker.follow_fleet();
    assert_eq!(
        refused(&breaker, 1_200).reason,
        RejectReason::BreakerProbing
    );
    assert_eq!(
        probe.record(Outcome::Success, at(1_200)).unwrap().to,
        Phase::Closed
    );
    assert!(
        breaker.go_alone(ms(100), at(1_300)).is_none(),
        "closed, there is nothing to wait for"
    );
}

#[test]
fn a_breaker_at_rest_goes_on_to_follow_and_to_count() {
    let (breaker, ear) = heard(in_a_row(3));
    breaker.follow_fleet();
    breaker.count_for_fleet(true);
    breaker.rest(at(0));
    fail(&breaker, 1);
    assert_eq!(ear.stirred(), 1);
    fail(&breaker, 2);
    fail(&breaker, 3);
    assert_eq!(
        refused(&breaker, 2_000).reason,
        RejectReason::BreakerProbing
    );
}

#[test]
fn the_first_failure_is_told_and_the_next_one_after_the_count_was_taken() {
    let (breaker, ear) = heard(in_a_row(100));
    breaker.count_for_fleet(true);
    succeed(&breaker, 0);
    assert_eq!(ear.stirred(), 0);
    fail(&breaker, 1);
    fail(&breaker, 2);
    assert_eq!(ear.stirred(), 1);
    let tally = |had_success, row, failures| FleetTally {
        had_success,
        row,
        failures,
    };
    assert_eq!(breaker.wake_for_fleet(true), tally(false, 2, 2));
    for millis in 0..40 {
        fail(&breaker, millis);
    }
    succeed(&breaker, 41);
    fail(&breaker, 42);
    assert_eq!(breaker.take_fleet_tally(), tally(true, 1, 41));
    assert_eq!(breaker.wake_for_fleet(false), FleetTally::default());
    assert_eq!(ear.stirred(), 1);
    fail(&breaker, 43);
    assert_eq!(ear.stirred(), 2);
}

#[test]
fn a_success_elsewhere_ends_the_row_here() {
    let (breaker, _) = heard(in_a_row(3));
    fail(&breaker, 0);
    fail(&breaker, 1);
    breaker.end_row_by_fleet();
    assert!(fail(&breaker, 2).is_none());
    assert!(fail(&breaker, 3).is_none());
    assert!(fail(&breaker, 4).is_some());
}

#[test]
fn what_was_counted_ends_with_the_closed_period() {
    let (breaker, _) = heard(in_a_row(2));
    breaker.count_for_fleet(true);
    fail(&breaker, 0);
    fail(&breaker, 1);
    assert_eq!(breaker.take_fleet_tally(), FleetTally::default());
    succeed(&breaker, 1_001);
    assert_eq!(
        breaker.take_fleet_tally(),
        FleetTally::default(),
        "a probe's"
    );
}

#[test]
fn a_registry_tells_of_each_breaker_that_it_makes_once() {
    let ear = Arc::new(Ear::default());
    let registry = Registry::builder("tenants", in_a_row(1)).max_keys(1);
    let registry = registry.listener(ear.clone()).build().unwrap();
    for key in ["a", "a", "b", "b"] {
        let breaker = registry.get_or_create(key, at(0));
        fail(&breaker, 0);
        breaker.reset(at(0));
        breaker.follow_fleet();
        fail(&breaker, 0);
        breaker.go_alone(ms(0), at(0));
        drop(breaker.admit(at(5_000)));
        breaker.reset(at(5_000));
        fail(&breaker, 5_000);
        breaker.reset(at(5_000));
    }
    assert_eq!(ear.made.lock().unwrap()[0], "tenants/a");
    assert_eq!(ear.made.lock().unwrap().len(), 2);
}

#[test]
fn a_weak_breaker_is_not_kept() {
    let breaker = breaker(in_a_row(1));
    let weak = breaker.downgrade();
    assert_eq!(weak.upgrade().unwrap().name(), breaker.name());
    drop(breaker);
    assert!(weak.upgrade().is_none());
}

proptest! {
    #[test]
    fn no_outcome_is_counted_twice_or_never(
        steps in prop::collection::vec((any::<bool>(), 0..8u8), 0..300),
    ) {
        let (breaker, ear) = heard(in_a_row(1_000));
        breaker.count_for_fleet(true);
        breaker.wake_for_fleet(true);
        let (mut expected, mut told) = (FleetTally::default(), 0);
        let mut awake = true;
        for (number, (failed, then)) in steps.into_iter().enumerate() {
            let outcome = if failed { Outcome::Failure } else { Outcome::Success };
            call(&breaker, outcome, number as u64);
            expected.failures += u64::from(failed);
            expected.row = if failed { expected.row + 1 } else { 0 };
            expected.had_success |= !failed;
            if !awake && expected.failures == 1 && failed {
                told += 1;
            }
            prop_assert_eq!(ear.stirred(), told);
            let found = match then {
                0 => breaker.take_fleet_tally(),
                1 => { awake = true; breaker.wake_for_fleet(true) }
                2 => { awake = false; breaker.wake_for_fleet(false) }
                _ => continue,
            };
            let quiet = FleetTally { had_success: found.had_success, ..expected };
            // Asleep, a success that changes nothing need not be noted.
            prop_assert_eq!(found, quiet);
            expected = FleetTally::default();
        }
    }
}
