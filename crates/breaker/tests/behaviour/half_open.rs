//! Half-open: probes decide.

use fusebox_breaker::{
    Breaker, Call, CloseRule, OnPanic, OnProbeTimeout, Outcome, Phase, Probes, Ratio, RejectReason,
    Settings,
    machine::SettledAs,
    settings::{Compare, OnPeriodTimeout, Places, SlowProbes},
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

/// A probe at a second past the trip whose caller says that it panicked.
fn panicked_probe(on_panic: OnPanic) -> Breaker {
    let mut settings = in_a_row(1);
    settings.on_panic = on_panic;
    let breaker = tripped(settings, 0);
    breaker.admit(at(1_000)).unwrap().panicked(at(1_000));
    breaker
}

#[test]
fn a_probe_whose_thread_panics_for_another_reason_only_gives_its_place_back() {
    let breaker = tripped(in_a_row(1), 0);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _probe = breaker.admit(at(1_000)).unwrap();
        panic!("a fault of the caller's own");
    }));
    assert!(caught.is_err());
    assert_eq!(phase(&breaker, 1_000), Phase::HalfOpen);
    assert!(admit(&breaker, 1_000).is_probe());
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

/// Four probes of a period decide by their rate of failures.
fn four_of_a_period() -> Settings {
    let mut settings = probing(4, 1);
    settings.half_open.places = Places::Spent;
    settings.half_open.close = CloseRule::FailureRate {
        rate: Ratio::percent(50),
        over: 4,
    };
    settings
}

#[test]
fn a_settled_probe_uses_its_place_up_where_places_are_for_the_period() {
    let breaker = tripped(four_of_a_period(), 0);
    succeed(&breaker, 1_000);
    call(&breaker, Outcome::Ignored, 1_000);
    drop(admit(&breaker, 1_000));
    let probes: Vec<_> = (0..3).map(|_| admit(&breaker, 1_000)).collect();
    let rejection = refused(&breaker, 1_000);
    assert_eq!(rejection.reason, RejectReason::BreakerProbing);
    assert_eq!(rejection.retry_at, Some(at(1_500)));
    assert_eq!(breaker.snapshot(at(1_000)).retry_at, Some(at(1_500)));
    std::mem::forget(probes);
    assert!(
        admit(&breaker, 1_500).is_probe(),
        "a lost probe frees its place"
    );
}

#[test]
fn places_are_counted_anew_in_the_next_period() {
    let breaker = tripped(four_of_a_period(), 0);
    for outcome in "FFSS".chars() {
        match outcome {
            'F' => fail(&breaker, 1_000),
            _ => succeed(&breaker, 1_000),
        };
    }
    assert_eq!(phase(&breaker, 1_000), Phase::Open);
    let _probes: Vec<_> = (0..4).map(|_| admit(&breaker, 2_000)).collect();
    refused(&breaker, 2_000);
}

#[test]
fn settings_that_change_when_the_places_are_used_up_leave_nobody_waiting() {
    let breaker = tripped(four_of_a_period(), 0);
    succeed(&breaker, 1_000);
    succeed(&breaker, 1_000);
    let mut settings = four_of_a_period();
    settings.half_open.probes = limited(1);
    settings.half_open.close = CloseRule::Successes(1);
    breaker.reconfigure(settings, at(1_000)).unwrap();
    assert_eq!(succeed(&breaker, 1_000).unwrap().to, Phase::Closed);
}

#[test]
fn slow_probes_reopen_where_their_rate_is_judged() {
    let mut settings = four_of_a_period();
    settings.half_open.slow = Some(SlowProbes {
        rate: Ratio::percent(50),
        slower_than: ms(100),
    });
    let play = |slow: &[bool]| {
        let breaker = tripped(settings.clone(), 0);
        let settle = |slow: &bool| {
            let lasting = ms(if *slow { 101 } else { 100 });
            let permit = admit(&breaker, 1_000);
            permit.record(Call::from(Outcome::Success).lasting(lasting), at(1_000))
        };
        slow.iter().map(settle).fold(None, Option::or).unwrap()
    };
    assert_eq!(play(&[true, false, false, false]).to, Phase::Closed);
    let reopened = play(&[true, false, true, false]);
    assert_eq!(
        changes(&reopened),
        (Phase::HalfOpen, Phase::Open, "probe_slow")
    );
    assert_eq!(
        reopened.reason.to_string(),
        "2 of 4 answered probes were slow"
    );
}

#[test]
fn a_probes_duration_that_is_not_given_is_the_time_since_its_permit() {
    let mut settings = four_of_a_period();
    settings.half_open.slow = Some(SlowProbes {
        rate: Ratio::percent(100),
        slower_than: ms(100),
    });
    for (took, then) in [(100, Phase::Closed), (101, Phase::Open)] {
        let breaker = tripped(settings.clone(), 0);
        let probes: Vec<_> = (0..4).map(|_| admit(&breaker, 1_000)).collect();
        let answer =
            |probe: fusebox_breaker::OwnedPermit| probe.record(Outcome::Success, at(1_000 + took));
        let decided = probes.into_iter().map(answer).fold(None, Option::or);
        assert_eq!(decided.unwrap().to, then);
    }
}

#[test]
fn a_row_of_successes_begins_anew_with_a_failure_that_does_not_reopen() {
    let mut settings = probing(1, 2);
    settings.half_open.failures = 3;
    settings.half_open.in_a_row = true;
    let breaker = tripped(settings, 0);
    let period = |answers: &str, millis| {
        let mut last = None;
        for answer in answers.chars() {
            assert_eq!(last, None, "{answers}");
            last = match answer {
                'F' => fail(&breaker, millis),
                _ => succeed(&breaker, millis),
            };
        }
        last.unwrap().to
    };
    assert_eq!(period("SFSFF", 1_000), Phase::Open);
    assert_eq!(period("SFSS", 2_000), Phase::Closed);
}

#[test]
fn a_half_open_period_that_decides_nothing_ends_with_its_time() {
    for (end, then) in [
        (OnPeriodTimeout::Open, Phase::Open),
        (OnPeriodTimeout::Close, Phase::Closed),
    ] {
        let mut settings = probing(1, 2);
        settings.half_open.period_timeout = Some(ms(700));
        settings.half_open.on_period_timeout = end;
        let (breaker, recorder) = recorded(settings);
        fail(&breaker, 0);
        succeed(&breaker, 1_000);
        let probe = admit(&breaker, 1_300);
        assert_eq!(refused(&breaker, 1_300).retry_at, Some(at(1_700)));
        assert_eq!(phase(&breaker, 1_699), Phase::HalfOpen);
        let late = probe.settle(Outcome::Success, at(1_700));
        assert_eq!(late.counted, SettledAs::Late);
        let ended = recorder.heard().pop().unwrap();
        assert_eq!(changes(&ended), (Phase::HalfOpen, then, "period_timeout"));
        assert_eq!(phase(&breaker, 1_700), then);
        assert_eq!(
            ended.attempts,
            if then == Phase::Open { 2 } else { 0 },
            "it counts as a trip, or as a close"
        );
    }
}

#[test]
fn a_half_open_period_ends_without_a_call_at_a_tick() {
    let mut settings = in_a_row(1);
    settings.half_open.period_timeout = Some(ms(700));
    let breaker = tripped(settings, 0);
    breaker.tick(at(1_000));
    assert_eq!(breaker.tick(at(1_699)), None);
    let opened = breaker.tick(at(1_700)).unwrap();
    assert_eq!(opened.retry_at, Some(at(2_700)));
}

#[test]
fn half_open_settings_that_could_not_decide_are_refused() {
    let faults = |change: &dyn Fn(&mut Settings)| {
        let mut settings = four_of_a_period();
        change(&mut settings);
        match settings.validate() {
            Ok(()) => Vec::new(),
            Err(errors) => errors.iter().map(|error| error.setting()).collect(),
        }
    };
    assert!(faults(&|_| {}).is_empty());
    let slow = |rate, slower_than| Some(SlowProbes { rate, slower_than });
    let few = &|settings: &mut Settings| settings.half_open.probes = limited(3);
    assert_eq!(faults(few), ["half_open.places"]);
    let unlimited = &|settings: &mut Settings| settings.half_open.probes = Probes::Unlimited;
    assert_eq!(faults(unlimited), ["half_open.places"]);
    let counted = &|settings: &mut Settings| {
        settings.half_open.close = CloseRule::Successes(3);
        settings.half_open.failures = 3;
        settings.half_open.slow = slow(Ratio::percent(50), ms(1));
    };
    assert_eq!(faults(counted), ["half_open.places", "half_open.slow_rate"]);
    let in_a_row = &|settings: &mut Settings| {
        settings.half_open.in_a_row = true;
        settings.half_open.close = CloseRule::Successes(1);
        settings.half_open.failures = 2;
    };
    assert_eq!(faults(in_a_row), ["half_open.places"]);
    let rate_in_a_row = &|settings: &mut Settings| settings.half_open.in_a_row = true;
    assert_eq!(faults(rate_in_a_row), ["half_open.in_a_row"]);
    let never = &|settings: &mut Settings| {
        settings.compare = Compare::Above;
        settings.half_open.slow = slow(Ratio::ONE, ms(0));
        settings.half_open.period_timeout = Some(ms(0));
    };
    assert_eq!(
        faults(never),
        [
            "half_open.period_timeout",
            "half_open.slower_than",
            "half_open.slow_rate"
        ]
    );
}
