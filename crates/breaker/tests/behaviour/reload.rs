//! New settings for a running breaker.

use fusebox_breaker::{
    Breaker, HoldKind, Outcome, Over, Phase, Ratio, Rule, Settings,
    machine::{SettledAs, WindowFate},
    settings::WindowKind,
    snapshot::RuleKind,
};

use crate::kit::*;

fn rate(over: Over) -> Settings {
    by_rule(Rule::FailureRate {
        rate: Ratio::percent(50),
        over,
        min_calls: 4,
    })
}

fn fates(breaker: &Breaker, settings: Settings) -> Vec<WindowFate> {
    let reconfigured = breaker.reconfigure(settings, at(10)).unwrap();
    assert!(reconfigured.state_kept);
    assert!(reconfigured.transitions.is_empty());
    reconfigured
        .windows
        .into_iter()
        .map(|(_, fate)| fate)
        .collect()
}

#[test]
fn a_closed_breaker_keeps_its_count_and_its_calls_in_flight() {
    let breaker = breaker(in_a_row(5));
    fail(&breaker, 0);
    fail(&breaker, 0);
    let in_flight = admit(&breaker, 0);
    assert_eq!(fates(&breaker, in_a_row(3)), [WindowFate::Carried]);
    assert_eq!(breaker.snapshot(at(10)).rules[0].observed, 2.0);
    assert!(in_flight.record(Outcome::Failure, at(11)).is_some());
}

#[test]
fn a_threshold_lowered_below_the_count_trips_at_the_next_failure() {
    let breaker = breaker(in_a_row(5));
    for _ in 0..4 {
        fail(&breaker, 0);
    }
    fates(&breaker, in_a_row(2));
    assert_eq!(phase(&breaker, 10), Phase::Closed);
    let trip = fail(&breaker, 11).unwrap();
    assert_eq!(
        trip.reason.to_string(),
        "5 consecutive failures, the limit is 2"
    );
}

#[test]
fn an_open_breaker_keeps_the_end_of_its_cooldown() {
    let breaker = tripped(in_a_row(1), 0);
    let mut longer = in_a_row(7);
    longer.cooldown.base = ms(60_000);
    longer.cooldown.max = ms(60_000);
    fates(&breaker, longer);
    let snapshot = breaker.snapshot(at(10));
    assert_eq!((snapshot.generation, snapshot.attempts), (1, 1));
    assert_eq!(refused(&breaker, 999).retry_at, Some(at(1_000)));
    let trip = fail(&breaker, 1_000).unwrap();
    assert_eq!(
        trip.retry_at,
        Some(at(61_000)),
        "the new one holds from the next trip"
    );
}

#[test]
fn a_half_open_breaker_keeps_its_probes_and_answers() {
    let breaker = tripped(probing(2, 3), 0);
    succeed(&breaker, 1_000);
    let probe = admit(&breaker, 1_000);
    breaker.reconfigure(probing(1, 2), at(1_001)).unwrap();
    assert!(breaker.admit(at(1_002)).is_err(), "the new limit is in use");
    let close = probe.record(Outcome::Success, at(1_003)).unwrap();
    assert_eq!(close.to, Phase::Closed);
}

#[test]
fn a_hold_is_kept_even_when_the_rest_begins_anew() {
    let breaker = tripped(in_a_row(1), 0);
    breaker.hold(hold(HoldKind::Open, None), at(5));
    breaker.reconfigure(rate(Over::Calls(10)), at(10)).unwrap();
    assert!(breaker.snapshot(at(10)).hold.is_some());
    assert!(breaker.admit(at(10)).is_err());
}

#[test]
fn windows_are_carried_where_their_shape_fits_and_cleared_where_not() {
    let settings = rate(Over::Calls(10));
    let filled = || {
        let breaker = breaker(settings.clone());
        fail(&breaker, 0);
        succeed(&breaker, 0);
        breaker
    };
    let mut stricter = settings.clone();
    stricter.trip[0] = Rule::FailureRate {
        rate: Ratio::percent(10),
        over: Over::Calls(10),
        min_calls: 3,
    };
    let breaker = filled();
    assert_eq!(fates(&breaker, stricter), [WindowFate::Carried]);
    assert!(succeed(&breaker, 11).is_some());

    let breaker = filled();
    assert_eq!(
        fates(&breaker, rate(Over::Calls(20))),
        [WindowFate::Cleared]
    );
    assert_eq!(breaker.snapshot(at(10)).rules[0].calls, 0);

    let breaker = filled();
    let mut tumbling = settings.clone();
    tumbling.window = WindowKind::Tumbling;
    assert_eq!(fates(&breaker, tumbling), [WindowFate::Cleared]);

    let breaker = filled();
    assert_eq!(
        fates(&breaker, rate(Over::Time(ms(1_000)))),
        [WindowFate::Cleared]
    );
}

#[test]
fn times_of_failures_are_carried_whatever_the_new_numbers() {
    let within = |threshold, time| {
        by_rule(Rule::Failures {
            threshold,
            over: Over::Time(ms(time)),
            full: false,
        })
    };
    let breaker = breaker(within(5, 1_000));
    for time in [0, 5, 6, 7] {
        fail(&breaker, time);
    }
    assert_eq!(fates(&breaker, within(3, 5)), [WindowFate::Carried]);
    assert_eq!(breaker.snapshot(at(10)).rules[0].observed, 2.0);
    assert!(fail(&breaker, 10).is_some());
}

#[test]
fn of_several_windows_that_fit_the_fullest_is_carried() {
    let within = |threshold, time| Rule::Failures {
        threshold,
        over: Over::Time(ms(time)),
        full: false,
    };
    let (short, long) = (within(4, 10), within(100, 1_000));
    for (old, new) in [
        ([short, long], [long, short]),
        ([long, short], [long, short]),
    ] {
        let with = |rules: [Rule; 2]| Settings {
            trip: rules.to_vec(),
            ..in_a_row(1)
        };
        let breaker = breaker(with(old));
        for index in 0..8 {
            fail(&breaker, index * 20);
        }
        let reconfigured = breaker.reconfigure(with(new), at(140)).unwrap();
        assert_eq!(reconfigured.windows[0].1, WindowFate::Carried);
        assert_eq!(breaker.snapshot(at(140)).rules[0].failures, 8);
    }
}

#[test]
fn a_lowered_limit_keeps_only_as_many_failures_as_it_needs() {
    let within = |threshold| {
        by_rule(Rule::Failures {
            threshold,
            over: Over::Time(ms(1_000)),
            full: false,
        })
    };
    let breaker = breaker(within(100));
    for time in 0..8 {
        fail(&breaker, time);
    }
    fates(&breaker, within(4));
    assert_eq!(breaker.snapshot(at(10)).rules[0].failures, 4);
    let trip = fail(&breaker, 10).unwrap();
    assert_eq!(
        trip.reason.to_string(),
        "4 failures within 1s, the limit is 4"
    );
}

#[test]
fn a_window_is_carried_when_one_of_several_fits() {
    let mut settings = rate(Over::Calls(10));
    settings.trip.push(rate(Over::Calls(20)).trip[0]);
    let breaker = breaker(settings);
    fail(&breaker, 0);
    assert_eq!(
        fates(&breaker, rate(Over::Calls(20))),
        [WindowFate::Carried]
    );
    assert_eq!(breaker.snapshot(at(10)).rules[0].calls, 1);
}

#[test]
fn a_rule_added_to_an_open_breaker_does_not_close_it() {
    let breaker = tripped(in_a_row(1), 0);
    let mut more = in_a_row(1);
    more.trip.insert(0, rate(Over::Calls(10)).trip[0]);
    let reconfigured = breaker.reconfigure(more, at(10)).unwrap();
    assert_eq!(
        reconfigured.windows,
        [
            (RuleKind::FailureRate, WindowFate::New),
            (RuleKind::ConsecutiveFailures, WindowFate::Carried)
        ]
    );
    assert_eq!(
        reconfigured.to_string(),
        "state, generation and attempts kept; failure_rate: a new rule with an empty window; \
         consecutive_failures: window carried over"
    );
    assert!(breaker.admit(at(10)).is_err());
}

#[test]
fn rules_with_nothing_in_common_begin_anew_and_say_so() {
    let breaker = tripped(in_a_row(1), 0);
    let straggler_of_old = breaker.snapshot(at(0)).generation;
    let reconfigured = breaker.reconfigure(rate(Over::Calls(10)), at(10)).unwrap();
    assert!(!reconfigured.state_kept);
    assert!(reconfigured.to_string().starts_with("began anew"));
    let transition = reconfigured.transitions.last().unwrap();
    assert_eq!(
        changes(transition),
        (Phase::Open, Phase::Closed, "reconfigured")
    );
    assert_eq!(transition.generation, straggler_of_old + 1);
    assert_eq!(breaker.snapshot(at(10)).attempts, 0);
}

#[test]
fn a_call_in_flight_across_a_fresh_start_is_late() {
    let breaker = breaker(in_a_row(1));
    let straggler = admit(&breaker, 0);
    breaker.reconfigure(rate(Over::Calls(10)), at(1)).unwrap();
    assert_eq!(
        straggler.settle(Outcome::Failure, at(2)).counted,
        SettledAs::Late
    );
}

#[test]
fn bad_settings_leave_the_old_ones_in_force() {
    let breaker = breaker(in_a_row(2));
    fail(&breaker, 0);
    let errors = breaker.reconfigure(in_a_row(0), at(1)).unwrap_err();
    assert_eq!(errors[0].setting(), "trip.consecutive_failures");
    assert_eq!(*breaker.settings(), in_a_row(2));
    assert!(fail(&breaker, 2).is_some());
}
