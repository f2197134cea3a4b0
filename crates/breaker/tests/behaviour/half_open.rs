//! Half-open: probes decide.

use fusebox_breaker::{
    Breaker, CloseRule, Compare, OnPanic, OnProbeTimeout, Outcome, Phase, Probes, Ratio,
    RejectReason, SettledAs,
};

use crate::kit::*;

#[test]
fn the_first_call_after_the_cooldown_is_a_probe_with_a_deadline() {
    let (breaker, recorder) = recorded(in_a_row(1));
    fail(&breaker, 0);
    let probe = admit(&breaker, 1_000);
    assert!(probe.is_probe());
    assert_eq!(probe.deadline(), Some(at(1_500)));
    assert_eq!(probe.generation(), 2);
    let last = recorder.heard().pop().unwrap();
    assert_eq!(
        changes(&last),
        (Phase::Open, Phase::HalfOpen, "cooldown_ended")
    );
}

#[test]
fn no_more_probes_are_in_flight_than_allowed_and_the_rest_are_told_the_earliest_deadline() {
    let breaker = tripped(probing(2, 2), 0);
    let first = admit(&breaker, 1_000);
    let _second = admit(&breaker, 1_100);
    let rejection = refused(&breaker, 1_200);
    assert_eq!(rejection.reason, RejectReason::BreakerProbing);
    assert_eq!(rejection.phase, Phase::HalfOpen);
    assert_eq!(rejection.retry_at, Some(at(1_500)));
    assert_eq!(breaker.check(at(1_200)), Err(rejection));
    assert_eq!(breaker.snapshot(at(1_200)).retry_at, Some(at(1_500)));
    assert_eq!(first.record(Outcome::Success, at(1_200)), None);
    assert_eq!(breaker.check(at(1_200)), Ok(()));
    assert!(admit(&breaker, 1_200).is_probe());
}

#[test]
fn enough_successes_close_and_the_windows_are_empty() {
    let breaker = tripped(probing(1, 3), 0);
    assert_eq!(succeed(&breaker, 1_000), None);
    assert_eq!(succeed(&breaker, 1_001), None);
    let close = succeed(&breaker, 1_002).unwrap();
    assert_eq!(
        changes(&close),
        (Phase::HalfOpen, Phase::Closed, "probe_ok")
    );
    assert_eq!((close.generation, close.attempts), (3, 0));
    assert_eq!(breaker.snapshot(at(1_002)).rules[0].observed, 0.0);
    assert_eq!(close.reason.to_string(), "3 of 3 answered probes succeeded");
}

#[test]
fn one_failed_probe_reopens_for_another_cooldown() {
    let breaker = tripped(probing(3, 3), 0);
    let other = admit(&breaker, 1_000);
    succeed(&breaker, 1_000);
    let trip = fail(&breaker, 1_200).unwrap();
    assert_eq!(
        changes(&trip),
        (Phase::HalfOpen, Phase::Open, "probe_failed")
    );
    assert_eq!((trip.attempts, trip.retry_at), (2, Some(at(2_200))));
    let late = other.settle(Outcome::Success, at(1_300));
    assert_eq!(late.counted, SettledAs::Late);
    assert_eq!(phase(&breaker, 1_300), Phase::Open);
}

#[test]
fn successes_of_an_earlier_half_open_period_do_not_add_up() {
    let breaker = tripped(probing(2, 2), 0);
    succeed(&breaker, 1_000);
    fail(&breaker, 1_000);
    assert_eq!(succeed(&breaker, 2_000), None);
    assert!(succeed(&breaker, 2_000).is_some());
}

#[test]
fn a_probe_whose_client_hung_up_neither_closes_nor_trips() {
    let breaker = tripped(in_a_row(1), 0);
    drop(admit(&breaker, 1_000));
    assert_eq!(call(&breaker, Outcome::Ignored, 1_001), None);
    assert_eq!(phase(&breaker, 1_001), Phase::HalfOpen);
    assert!(admit(&breaker, 1_001).is_probe(), "its place is free");
}

/// A probe at a second past the trip whose thread panics with the permit in hand.
fn panicked_probe(on_panic: OnPanic) -> Breaker {
    let mut settings = in_a_row(1);
    settings.on_panic = on_panic;
    let breaker = tripped(settings, 0);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _probe = breaker.admit(at(1_000)).unwrap();
        panic!("the call went wrong");
    }));
    assert!(caught.is_err());
    breaker
}

#[test]
fn a_probe_that_panics_reopens() {
    let breaker = panicked_probe(OnPanic::Failure);
    assert_eq!(refused(&breaker, 1_000).retry_at, Some(at(2_000)));
    assert!(admit(&breaker, 2_000).is_probe());
}

#[test]
fn a_probe_that_panics_only_gives_its_place_back_where_panics_are_ignored() {
    let breaker = panicked_probe(OnPanic::Ignored);
    assert!(admit(&breaker, 1_000).is_probe());
}

#[test]
fn three_failed_probes_reopen_or_one_success_closes() {
    let mut settings = probing(3, 1);
    settings.half_open.failures = 3;
    let breaker = tripped(settings, 0);
    assert_eq!(fail(&breaker, 1_000), None);
    assert_eq!(fail(&breaker, 1_001), None);
    assert_eq!(succeed(&breaker, 1_002).unwrap().to, Phase::Closed);
    fail(&breaker, 1_003).expect("trips");
    assert_eq!(fail(&breaker, 2_003), None);
    assert_eq!(fail(&breaker, 2_003), None);
    let reopened = fail(&breaker, 2_003).expect("the third reopens");
    assert_eq!(changes(&reopened).2, "probe_failed");
}

#[test]
fn a_forgotten_probe_loses_its_place_at_its_deadline_and_counts_neither_way() {
    let breaker = tripped(in_a_row(1), 0);
    std::mem::forget(admit(&breaker, 1_000));
    assert_eq!(refused(&breaker, 1_499).retry_at, Some(at(1_500)));
    assert_eq!(breaker.snapshot(at(1_500)).probes.unwrap().in_flight, 0);
    assert!(succeed(&breaker, 1_500).is_some());
}

#[test]
fn the_late_answer_of_a_probe_that_lost_its_place_is_discarded() {
    for outcome in [Outcome::Success, Outcome::Failure] {
        let breaker = tripped(in_a_row(1), 0);
        let slow = admit(&breaker, 1_000);
        let replacement = admit(&breaker, 1_500);
        let settled = slow.settle(outcome, at(1_600));
        assert_eq!(settled.counted, SettledAs::Late);
        assert_eq!(phase(&breaker, 1_600), Phase::HalfOpen);
        assert_eq!(
            refused(&breaker, 1_600).reason,
            RejectReason::BreakerProbing,
            "the late answer frees nobody else's place"
        );
        assert!(replacement.record(Outcome::Success, at(1_700)).is_some());
    }
}

#[test]
fn a_deadline_is_missed_by_time_alone_even_if_nobody_took_the_place() {
    let breaker = tripped(in_a_row(1), 0);
    let slow = admit(&breaker, 1_000);
    assert_eq!(
        slow.settle(Outcome::Success, at(1_500)).counted,
        SettledAs::Late
    );
    assert_eq!(phase(&breaker, 1_500), Phase::HalfOpen);
}

#[test]
fn a_deadline_moves_later_only_and_only_while_it_has_not_passed() {
    let breaker = tripped(in_a_row(1), 0);
    let mut probe = admit(&breaker, 1_000);
    probe.extend(at(1_200));
    assert_eq!(probe.deadline(), Some(at(1_500)));
    probe.extend(at(2_000));
    assert_eq!(probe.deadline(), Some(at(2_000)));
    assert_eq!(refused(&breaker, 1_700).retry_at, Some(at(2_000)));
    assert!(admit(&breaker, 2_000).is_probe());
    probe.extend(at(9_000));
    assert_eq!(
        probe.settle(Outcome::Success, at(2_001)).counted,
        SettledAs::Late
    );
}

#[test]
fn a_call_that_is_no_probe_has_no_deadline_to_move() {
    let breaker = breaker(in_a_row(1));
    let mut call = admit(&breaker, 0);
    call.extend(at(9_000));
    assert_eq!(call.deadline(), None);
}

#[test]
fn a_missed_deadline_reopens_where_it_counts_as_a_failure() {
    let mut settings = in_a_row(1);
    settings.half_open.on_probe_timeout = OnProbeTimeout::Fail;
    let breaker = tripped(settings.clone(), 0);
    std::mem::forget(admit(&breaker, 1_000));
    let rejection = refused(&breaker, 1_500);
    assert_eq!(rejection.reason, RejectReason::BreakerOpen);
    assert_eq!(rejection.retry_at, Some(at(2_500)));
    assert_eq!(
        breaker.snapshot(at(1_500)).reason.unwrap().token(),
        "probe_timeout"
    );

    let breaker = tripped(settings, 0);
    let slow = admit(&breaker, 1_000);
    let settled = slow.settle(Outcome::Failure, at(1_500));
    assert_eq!(settled.counted, SettledAs::Late);
    assert_eq!(
        changes(settled.transitions.last().unwrap()),
        (Phase::HalfOpen, Phase::Open, "probe_timeout")
    );
}

#[test]
fn unlimited_probes_all_pass_and_the_first_answer_decides() {
    let mut settings = in_a_row(1);
    settings.half_open.probes = Probes::Unlimited;
    let breaker = tripped(settings, 0);
    let mut probes: Vec<_> = (0..1_000).map(|_| admit(&breaker, 1_000)).collect();
    let status = breaker.snapshot(at(1_000)).probes.unwrap();
    assert_eq!((status.in_flight, status.limit), (1_000, None));
    let close = probes.pop().unwrap().record(Outcome::Success, at(1_001));
    assert_eq!(close.unwrap().to, Phase::Closed);
    let late = probes.pop().unwrap().settle(Outcome::Failure, at(1_002));
    assert_eq!(late.counted, SettledAs::Late);
}

#[test]
fn a_rate_over_the_probes_decides_when_all_have_answered() {
    let mut settings = probing(4, 1);
    settings.half_open.close = CloseRule::FailureRate {
        rate: Ratio::percent(50),
        over: 4,
    };
    let play = |settings: &fusebox_breaker::Settings, answers: &str| {
        let breaker = tripped(settings.clone(), 0);
        let mut last = None;
        for answer in answers.chars() {
            assert_eq!(phase(&breaker, 1_000), Phase::HalfOpen, "{answers}");
            last = match answer {
                'F' => fail(&breaker, 1_000),
                'S' => succeed(&breaker, 1_000),
                _ => call(&breaker, Outcome::Ignored, 1_000),
            };
        }
        last.map(|transition| transition.to)
    };
    assert_eq!(play(&settings, "FFSF"), Some(Phase::Open));
    assert_eq!(play(&settings, "FFIISS"), Some(Phase::Open));
    assert_eq!(play(&settings, "FSSS"), Some(Phase::Closed));
    assert_eq!(play(&settings, "FFF"), None);
    settings.compare = Compare::Above;
    assert_eq!(play(&settings, "FFSS"), Some(Phase::Closed));
}
