//! What has gone wrong in other breakers must not go wrong here: one test for each way in which a breaker was seen stuck,
//! tripped by nothing, or closed by nobody's success.

use std::sync::Arc;

use fusebox_breaker::{
    Breaker, CloseRule, Cooldown, Guard, HoldKind, Listener, Outcome, Over, OwnedPermit, Phase,
    Ratio, RejectReason, Rule, Settings, Transition,
    machine::{Chance, SettledAs},
    settings::WindowKind,
};

use crate::kit::*;

/// Half of the last four calls; two probes decide by the same rate.
fn half_of_four() -> Settings {
    let rate = Ratio::percent(50);
    let mut settings = by_rule(Rule::FailureRate {
        rate,
        over: Over::Calls(4),
        min_calls: 4,
    });
    settings.half_open.probes = limited(2);
    settings.half_open.close = CloseRule::FailureRate { rate, over: 2 };
    settings
}

#[test]
fn results_of_calls_begun_before_the_trip_are_no_answers_of_probes() {
    let breaker = breaker(half_of_four());
    let early = [admit(&breaker, 0), admit(&breaker, 0)];
    for _ in 0..3 {
        assert_eq!(fail(&breaker, 0), None);
    }
    fail(&breaker, 0).expect("trips");
    let probe = admit(&breaker, 1_000);
    for permit in early {
        let settled = permit.settle(Outcome::Success, at(1_001));
        assert_eq!(settled.counted, SettledAs::Late);
        assert_eq!(phase(&breaker, 1_001), Phase::HalfOpen);
    }
    assert_eq!(probe.record(Outcome::Success, at(1_002)), None);
    assert_eq!(succeed(&breaker, 1_002).unwrap().to, Phase::Closed);
}

#[test]
fn results_of_calls_begun_before_the_trip_make_no_room_for_more_probes() {
    let breaker = breaker(probing(3, 3));
    let early: Vec<_> = (0..3).map(|_| admit(&breaker, 0)).collect();
    fail(&breaker, 0);
    let probes: Vec<_> = (0..3).map(|_| admit(&breaker, 1_000)).collect();
    for permit in early {
        permit.record(Outcome::Success, at(1_000));
        assert_eq!(
            refused(&breaker, 1_000).reason,
            RejectReason::BreakerProbing
        );
    }
    let answer = |probe: OwnedPermit| probe.record(Outcome::Success, at(1_001));
    let closed = probes.into_iter().map(answer).collect::<Vec<_>>();
    assert_eq!(closed[..2], [None, None]);
    assert_eq!(closed[2].as_ref().unwrap().to, Phase::Closed);
}

#[test]
fn probes_that_are_never_heard_of_again_lose_their_places_and_others_go() {
    let breaker = tripped(half_of_four_from_the_first(), 0);
    let lost = [admit(&breaker, 1_000), admit(&breaker, 1_000)];
    refused(&breaker, 1_499);
    std::mem::forget(lost);
    let year = 31_536_000_000;
    assert_eq!(succeed(&breaker, year), None);
    assert_eq!(succeed(&breaker, year).unwrap().to, Phase::Closed);
}

fn half_of_four_from_the_first() -> Settings {
    Settings {
        trip: in_a_row(1).trip,
        ..half_of_four()
    }
}

#[test]
fn a_probe_that_hangs_is_replaced_after_its_timeout_while_it_goes_on_hanging() {
    let breaker = tripped(in_a_row(1), 0);
    let mut hanging = Vec::new();
    for replaced in 0..100 {
        hanging.push(admit(&breaker, 1_000 + replaced * 500));
    }
    assert!(hanging.iter().all(OwnedPermit::is_probe));
    assert_eq!(succeed(&breaker, 51_000).unwrap().to, Phase::Closed);
    for probe in hanging {
        assert_eq!(
            probe.settle(Outcome::Failure, at(51_000)).counted,
            SettledAs::Late
        );
    }
    assert_eq!(phase(&breaker, 51_000), Phase::Closed);
}

#[test]
fn callers_whose_clock_steps_back_trip_it_all_the_same() {
    let breaker = breaker(by_rule(Rule::FailureRate {
        rate: Ratio::percent(50),
        over: Over::Time(ms(10_000)),
        min_calls: 20,
    }));
    succeed(&breaker, 100_000);
    succeed(&breaker, 101_000);
    for failure in 0..17 {
        assert_eq!(fail(&breaker, 100_000 + failure * 10), None);
    }
    assert!(fail(&breaker, 100_170).is_some(), "the 20th call");
}

#[test]
fn a_clock_that_stepped_back_neither_lengthens_the_cooldown_nor_keeps_a_probe() {
    let breaker = tripped(in_a_row(1), 10_000);
    assert_eq!(refused(&breaker, 4_000).retry_at, Some(at(11_000)));
    assert_eq!(refused(&breaker, 10_999).retry_at, Some(at(11_000)));
    let _hanging = admit(&breaker, 11_000);
    assert_eq!(refused(&breaker, 9_000).retry_at, Some(at(11_500)));
    assert!(admit(&breaker, 11_500).is_probe());
}

/// Forces the breaker open for good while a trip is being carried out.
struct Operator;

impl Listener for Operator {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        if transition.to == Phase::Open && transition.from == Phase::Closed {
            breaker.hold(hold(HoldKind::Open, None), transition.at);
        }
    }
}

#[test]
fn an_operators_command_in_the_midst_of_a_trip_is_what_stands_in_the_end() {
    let builder = Breaker::builder("orders", in_a_row(2)).listener(Arc::new(Operator));
    let breaker = builder.build().unwrap();
    fail(&breaker, 0);
    fail(&breaker, 0);
    for millis in [0, 1_000, 3_600_000] {
        assert_eq!(refused(&breaker, millis).reason, RejectReason::HeldOpen);
    }
}

#[test]
fn calls_that_last_longer_than_the_window_count_when_they_end() {
    let within = |kind| {
        let mut settings = by_rule(Rule::ConsecutiveFailures {
            threshold: 3,
            within: Some(ms(10_000)),
        });
        settings.window = kind;
        settings
    };
    for kind in [WindowKind::Sliding, WindowKind::Tumbling] {
        let breaker = breaker(within(kind));
        let hung: Vec<_> = (0..3).map(|_| admit(&breaker, 0)).collect();
        let fails = |permit: OwnedPermit| permit.record(Outcome::Failure, at(10_001));
        let ended: Vec<_> = hung.into_iter().map(fails).collect();
        assert!(ended[1].is_none() && ended[2].is_some(), "{kind:?}");
    }
    // One after the other, where the rule has no time of its own.
    let breaker = breaker(in_a_row(3));
    for call in 0..3 {
        let permit = admit(&breaker, call * 10_001);
        let trips = permit.record(Outcome::Failure, at((call + 1) * 10_001));
        assert_eq!(trips.is_some(), call == 2);
    }
}

#[test]
fn a_call_that_is_cancelled_closes_nothing_and_the_next_caller_is_the_probe() {
    let breaker = tripped(in_a_row(1), 0);
    let guard = Guard::of(breaker.clone()).clock(Frozen);
    // Polled once and dropped: the caller went away.
    let mut call = Box::pin(guard.call_async(std::future::pending::<Result<(), ()>>));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    refused(&breaker, 1_000);
    drop(call);
    assert_eq!(phase(&breaker, 1_000), Phase::HalfOpen);
    assert!(admit(&breaker, 1_000).is_probe());
}

/// A clock that stands at the end of the cooldown of `kit`.
struct Frozen;

impl fusebox_breaker::Clock for Frozen {
    fn now(&self) -> fusebox_breaker::Timestamp {
        at(1_000)
    }
}

#[test]
fn a_call_that_the_callers_own_limit_refuses_after_admission_gives_its_place_back() {
    let breaker = tripped(in_a_row(1), 0);
    let bulkhead_is_full = true;
    let permit = admit(&breaker, 1_000);
    assert!(permit.is_probe());
    if bulkhead_is_full {
        drop(permit);
    }
    assert_eq!(phase(&breaker, 3_600_000), Phase::HalfOpen);
    assert!(admit(&breaker, 1_001).is_probe(), "at once, not later");
    let totals = breaker.snapshot(at(1_001)).totals;
    assert_eq!((totals.failures, totals.ignored), (1, 2));
}

#[test]
fn a_thread_that_dies_with_a_probe_gives_its_place_back() {
    let breaker = tripped(in_a_row(1), 0);
    let probe = admit(&breaker, 1_000);
    let died = std::thread::spawn(move || {
        let _probe = probe;
        std::panic::resume_unwind(Box::new("no message, no hook"));
    });
    assert!(died.join().is_err());
    // Nobody knows whether the other side was to blame, so the next caller probes.
    assert_eq!(succeed(&breaker, 1_000).unwrap().to, Phase::Closed);
}

/// Throws at every transition.
struct Throws;

impl Listener for Throws {
    fn transition(&self, _: &Breaker, transition: &Transition) {
        panic!("{transition}");
    }
}

#[test]
fn a_callback_that_throws_when_the_breaker_half_opens_does_not_keep_it_there() {
    let builder = Breaker::builder("orders", in_a_row(1)).listener(Arc::new(Throws));
    let breaker = builder.build().unwrap();
    fail(&breaker, 0);
    let probe = admit(&breaker, 1_000);
    drop(probe);
    assert_eq!(succeed(&breaker, 1_000).unwrap().to, Phase::Closed);
    assert_eq!(breaker.listener_faults(), 3);
}

/// Throws when it is asked for the jitter of a cooldown.
struct Dice;

impl Chance for Dice {
    fn draw(&self) -> f64 {
        panic!("lost under the table")
    }
}

#[test]
fn a_cooldown_whose_chance_throws_still_opens_and_still_ends() {
    let mut settings = in_a_row(1);
    settings.cooldown = Cooldown {
        jitter: 0.5,
        ..Cooldown::fixed(ms(1_000))
    };
    let builder = Breaker::builder("orders", settings).chance(Arc::new(Dice));
    let breaker = builder.build().unwrap();
    assert_eq!(fail(&breaker, 0).unwrap().retry_at, Some(at(1_000)));
    assert_eq!(refused(&breaker, 999).retry_at, Some(at(1_000)));
    assert_eq!(succeed(&breaker, 1_000).unwrap().to, Phase::Closed);
}

#[test]
fn probes_further_apart_than_the_window_is_long_add_up() {
    let mut settings = by_rule(Rule::FailureRate {
        rate: Ratio::percent(50),
        over: Over::Time(ms(100)),
        min_calls: 1,
    });
    settings.half_open.close = CloseRule::Successes(3);
    let breaker = tripped(settings, 0);
    assert_eq!(succeed(&breaker, 1_000), None);
    assert_eq!(succeed(&breaker, 2_000), None);
    assert_eq!(succeed(&breaker, 3_000).unwrap().to, Phase::Closed);
}

#[test]
fn calls_in_flight_do_not_dilute_the_rate_of_those_that_failed() {
    let breaker = breaker(by_rule(Rule::FailureRate {
        rate: Ratio::percent(50),
        over: Over::Time(ms(10_000)),
        min_calls: 15,
    }));
    let _hanging: Vec<_> = (0..20).map(|_| admit(&breaker, 0)).collect();
    for _ in 0..14 {
        assert_eq!(fail(&breaker, 10), None);
    }
    let trip = fail(&breaker, 10).unwrap();
    assert_eq!(
        trip.reason.to_string(),
        "100% of 15 calls failed, the limit is 50%"
    );
}

#[test]
fn a_long_healthy_past_does_not_outweigh_a_window_of_failures() {
    let breaker = breaker(by_rule(Rule::FailureRate {
        rate: Ratio::percent(50),
        over: Over::Calls(10),
        min_calls: 10,
    }));
    for _ in 0..1_000 {
        succeed(&breaker, 0);
    }
    for _ in 0..4 {
        assert_eq!(fail(&breaker, 0), None);
    }
    assert!(fail(&breaker, 0).is_some(), "five of the last ten");
}
