//! Callers without a permit: check, then report. This is how Flogo's circuit breaker is driven.

use fusebox_breaker::{
    Breaker, Cooldown, HalfOpen, Outcome, Over, Phase, Probes, Rule, Settings, machine::SettledAs,
    settings::History,
};

use crate::kit::*;

/// A breaker of Flogo's: open for exactly 5 s, history kept, no limit to probes.
fn flogo(rule: Rule) -> Breaker {
    breaker(Settings {
        trip: vec![rule],
        cooldown: Cooldown::fixed(ms(5_000)),
        history: History::Keep,
        half_open: HalfOpen {
            probes: Probes::Unlimited,
            ..HalfOpen::default()
        },
        ..Settings::default()
    })
}

fn failed(breaker: &Breaker, millis: u64) -> Option<Phase> {
    let transition = breaker.report(Outcome::Failure, at(millis));
    transition.map(|transition| transition.to)
}

fn succeeded(breaker: &Breaker, millis: u64) -> Option<Phase> {
    let transition = breaker.report(Outcome::Success, at(millis));
    transition.map(|transition| transition.to)
}

fn trips_when_checked(breaker: &Breaker, millis: u64) -> bool {
    breaker.check(at(millis)).is_err()
}

#[test]
fn a_report_while_closed_is_booked_and_judged() {
    let breaker = breaker(in_a_row(2));
    assert_eq!(failed(&breaker, 0), None);
    assert_eq!(succeeded(&breaker, 0), None);
    assert_eq!(failed(&breaker, 0), None);
    assert_eq!(failed(&breaker, 0), Some(Phase::Open));
}

#[test]
fn a_report_while_open_changes_nothing_and_is_late() {
    let breaker = tripped(in_a_row(1), 0);
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored] {
        let settled = breaker.report_settled(outcome, at(500));
        assert_eq!(settled.counted, SettledAs::Late);
        assert!(settled.transitions.is_empty());
    }
    assert_eq!(refused(&breaker, 500).retry_at, Some(at(1_000)));
}

#[test]
fn a_report_after_the_cooldown_counts_as_a_probes_answer() {
    let breaker = tripped(in_a_row(1), 0);
    let settled = breaker.report_settled(Outcome::Failure, at(1_000));
    let path: Vec<_> = settled.transitions.iter().map(changes).collect();
    assert_eq!(
        path,
        [
            (Phase::Open, Phase::HalfOpen, "cooldown_ended"),
            (Phase::HalfOpen, Phase::Open, "probe_failed"),
        ]
    );
    assert_eq!(failed(&breaker, 1_500), None);
    assert_eq!(succeeded(&breaker, 2_000), Some(Phase::Closed));
}

#[test]
fn a_reported_success_while_half_open_counts_beside_the_probes() {
    let breaker = tripped(probing(1, 2), 0);
    let _probe = admit(&breaker, 1_000);
    assert_eq!(succeeded(&breaker, 1_000), None);
    assert_eq!(succeeded(&breaker, 1_000), Some(Phase::Closed));
}

#[test]
fn a_row_is_counted_by_reports_and_any_report_after_the_pause_decides() {
    let breaker = flogo(Rule::ConsecutiveFailures {
        threshold: 2,
        within: None,
    });
    failed(&breaker, 0);
    failed(&breaker, 0);
    assert!(trips_when_checked(&breaker, 4_999));
    assert!(!trips_when_checked(&breaker, 5_000));
    assert!(!trips_when_checked(&breaker, 5_000), "every caller passes");
    failed(&breaker, 5_000);
    assert!(
        trips_when_checked(&breaker, 9_999),
        "one failure trips again"
    );
    assert_eq!(succeeded(&breaker, 10_000), Some(Phase::Closed));
    failed(&breaker, 10_000);
    assert!(!trips_when_checked(&breaker, 10_000), "the row began anew");
}

#[test]
fn failures_within_a_period_outlive_the_pause_and_a_success_does_not_trip_on_them() {
    let breaker = flogo(Rule::Failures {
        threshold: 3,
        over: Over::Time(ms(60_000)),
        full: false,
    });
    for time in 0..3 {
        failed(&breaker, time);
    }
    assert_eq!(succeeded(&breaker, 5_002), Some(Phase::Closed));
    assert_eq!(succeeded(&breaker, 5_003), None);
    assert_eq!(
        failed(&breaker, 5_004),
        Some(Phase::Open),
        "the period is longer than the pause, so one more failure is enough"
    );
}

#[test]
fn a_success_does_not_trip_on_failures_that_were_there_before() {
    let settings = Settings {
        history: History::Keep,
        ..by_rule(Rule::Failures {
            threshold: 3,
            over: Over::Calls(10),
            full: false,
        })
    };
    let breaker = breaker(settings);
    for time in 0..3 {
        fail(&breaker, time);
    }
    succeed(&breaker, 1_002);
    assert_eq!(breaker.snapshot(at(1_002)).rules[0].failures, 3);
    assert_eq!(succeed(&breaker, 1_003), None);
    assert!(fail(&breaker, 1_004).is_some());
}

#[test]
fn a_failed_probe_enters_the_kept_window_too() {
    let breaker = flogo(Rule::Failures {
        threshold: 3,
        over: Over::Time(ms(6_000)),
        full: false,
    });
    for time in 0..3 {
        failed(&breaker, time);
    }
    failed(&breaker, 5_500);
    assert_eq!(succeeded(&breaker, 10_500), Some(Phase::Closed));
    assert_eq!(failed(&breaker, 10_500), None);
    assert_eq!(
        failed(&breaker, 10_501),
        Some(Phase::Open),
        "with the probe's at 5,500 these are three within the period"
    );
}

#[test]
fn a_row_within_a_period_begins_anew_after_the_pause() {
    let breaker = flogo(Rule::ConsecutiveFailures {
        threshold: 2,
        within: Some(ms(60_000)),
    });
    failed(&breaker, 0);
    failed(&breaker, 1);
    assert_eq!(succeeded(&breaker, 5_001), Some(Phase::Closed));
    assert_eq!(failed(&breaker, 5_002), None);
    assert_eq!(failed(&breaker, 5_003), Some(Phase::Open));
}
