//! The rules: each trips at exactly its threshold.

use fusebox_breaker::{
    Breaker, Over, Phase, Ratio, Rule, Settings,
    settings::{Compare, WindowKind},
};

use crate::kit::*;

/// Replays `F` and `S` one millisecond apart and returns the number of calls up to the trip.
fn trips_after(breaker: &Breaker, calls: &str) -> Option<usize> {
    calls.chars().enumerate().find_map(|(index, call)| {
        let trip = match call {
            'F' => fail(breaker, index as u64),
            _ => succeed(breaker, index as u64),
        };
        trip.map(|_| index + 1)
    })
}

fn failures(threshold: u32, over: Over, full: bool) -> Settings {
    by_rule(Rule::Failures {
        threshold,
        over,
        full,
    })
}

fn rate(percent: u8, over: Over, min_calls: u32) -> Settings {
    by_rule(Rule::FailureRate {
        rate: Ratio::percent(percent),
        over,
        min_calls,
    })
}

#[test]
fn failures_of_the_last_calls_need_no_full_window() {
    let settings = failures(3, Over::Calls(5), false);
    assert_eq!(trips_after(&breaker(settings.clone()), "FSFF"), Some(4));
    assert_eq!(
        trips_after(&breaker(settings.clone()), "FSSFSSFSSFSS"),
        None
    );
    assert_eq!(trips_after(&breaker(settings), "FSSFSSSFSFF"), Some(11));
}

#[test]
fn failures_of_a_full_window_wait_for_it_and_a_success_may_fill_it() {
    let settings = failures(3, Over::Calls(5), true);
    assert_eq!(trips_after(&breaker(settings.clone()), "FFFS"), None);
    assert_eq!(trips_after(&breaker(settings.clone()), "FFFSS"), Some(5));
    assert_eq!(trips_after(&breaker(settings), "FFSSFF"), Some(5));
}

#[test]
fn failures_within_a_time_count_to_the_nanosecond_whatever_succeeds_between() {
    let settings = failures(3, Over::Time(ms(100)), false);
    assert_eq!(trips_after(&breaker(settings.clone()), "FSFSF"), Some(5));

    let breaker = breaker(settings);
    fail(&breaker, 0);
    fail(&breaker, 50);
    assert_eq!(
        fail(&breaker, 100),
        None,
        "the first is exactly as old as the window"
    );
    let trip = fail(&breaker, 149).unwrap();
    assert_eq!(
        trip.reason.to_string(),
        "3 failures within 100ms, the limit is 3"
    );
}

#[test]
fn a_row_of_failures_within_a_time_must_fit_into_it() {
    let settings = by_rule(Rule::ConsecutiveFailures {
        threshold: 3,
        within: Some(ms(100)),
    });
    let breaker = breaker(settings);
    fail(&breaker, 0);
    fail(&breaker, 60);
    assert_eq!(fail(&breaker, 120), None);
    succeed(&breaker, 121);
    fail(&breaker, 122);
    fail(&breaker, 123);
    assert_eq!(
        fail(&breaker, 222),
        None,
        "122 is exactly as old as the time"
    );
    let trip = fail(&breaker, 222).unwrap();
    assert_eq!(trip.reason.token(), "consecutive_failures");
}

#[test]
fn a_row_that_was_too_slow_trips_as_soon_as_its_last_failures_fit() {
    let breaker = breaker(by_rule(Rule::ConsecutiveFailures {
        threshold: 3,
        within: Some(ms(100)),
    }));
    for time in [0, 200, 400, 600] {
        assert_eq!(fail(&breaker, time), None);
    }
    fail(&breaker, 610);
    assert_eq!(phase(&breaker, 610), Phase::Closed);
    assert!(fail(&breaker, 620).is_some());
}

#[test]
fn a_rate_is_met_at_exactly_its_limit_or_only_above_it() {
    let mut settings = rate(60, Over::Calls(5), 5);
    assert_eq!(trips_after(&breaker(settings.clone()), "SFSFF"), Some(5));
    settings.compare = Compare::Above;
    assert_eq!(trips_after(&breaker(settings), "SFSFFF"), Some(6));
}

#[test]
fn a_call_window_slides_so_old_successes_leave() {
    let settings = rate(50, Over::Calls(4), 4);
    let calls = "S".repeat(1_000) + "FF";
    assert_eq!(trips_after(&breaker(settings), &calls), Some(1_002));
}

#[test]
fn fewer_calls_than_the_minimum_decide_nothing() {
    let settings = rate(50, Over::Time(ms(10_000)), 10);
    assert_eq!(trips_after(&breaker(settings.clone()), "FFFFFFFFF"), None);
    assert_eq!(trips_after(&breaker(settings), "FFFFFFFFFF"), Some(10));
}

#[test]
fn a_rate_over_a_time_forgets_what_is_older() {
    let breaker = breaker(rate(50, Over::Time(ms(10_000)), 4));
    for _ in 0..3 {
        fail(&breaker, 0);
    }
    assert_eq!(fail(&breaker, 10_000), None, "the three are too old");
    let status = &breaker.snapshot(at(10_000)).rules[0];
    assert_eq!((status.calls, status.failures), (1, 1));
    fail(&breaker, 10_000);
    fail(&breaker, 19_999);
    assert!(fail(&breaker, 19_999).is_some());
}

#[test]
fn a_jump_of_centuries_costs_no_more_than_a_step() {
    let breaker = breaker(rate(50, Over::Time(ms(1)), 2));
    for century in 0..5u64 {
        assert_eq!(fail(&breaker, century * 3_155_760_000_000), None);
    }
}

#[test]
fn a_tumbling_time_is_cleared_as_a_whole() {
    let mut settings = rate(60, Over::Time(ms(30_000)), 3);
    settings.window = WindowKind::Tumbling;
    settings.judge_on = fusebox_breaker::settings::JudgeOn::Failures;
    let breaker = breaker(settings);
    for _ in 0..5 {
        succeed(&breaker, 0);
        assert_eq!(fail(&breaker, 0), None);
    }
    succeed(&breaker, 29_999);
    fail(&breaker, 30_999);
    let status = &breaker.snapshot(at(30_999)).rules[0];
    assert_eq!((status.calls, status.failures), (1, 1));
    succeed(&breaker, 30_999);
    assert!(fail(&breaker, 30_999).is_some());
}

#[test]
fn a_tumbling_time_begins_with_the_closed_period_and_then_with_the_first_call_after_its_end() {
    let mut settings = rate(100, Over::Time(ms(100)), 2);
    settings.window = WindowKind::Tumbling;
    let breaker = breaker(settings);
    let close_at = |millis| {
        breaker.reset(at(millis));
        assert_eq!(fail(&breaker, millis + 99), None);
    };
    close_at(0);
    assert_eq!(fail(&breaker, 100), None, "the time began with the period");
    close_at(1_000);
    assert!(fail(&breaker, 1_099).is_some(), "one short of its end");
    close_at(2_000);
    assert_eq!(fail(&breaker, 2_150), None);
    assert!(fail(&breaker, 2_249).is_some(), "the time began at 2,150");
}

#[test]
fn a_tumbling_number_of_calls_is_cleared_as_a_whole() {
    let mut settings = failures(3, Over::Calls(4), false);
    settings.window = WindowKind::Tumbling;
    assert_eq!(
        trips_after(&breaker(settings.clone()), "SSFFFSSSFSFF"),
        Some(12)
    );
}

#[test]
fn a_tumbling_time_bounds_a_row_of_failures() {
    let mut settings = by_rule(Rule::ConsecutiveFailures {
        threshold: 3,
        within: Some(ms(100)),
    });
    settings.window = WindowKind::Tumbling;
    let breaker = breaker(settings);
    fail(&breaker, 0);
    fail(&breaker, 99);
    assert_eq!(fail(&breaker, 100), None, "a new span began");
    fail(&breaker, 101);
    assert!(fail(&breaker, 102).is_some());
}

#[test]
fn any_rule_trips_and_the_first_one_met_is_named() {
    let mut settings = in_a_row(3);
    settings.trip.push(Rule::Failures {
        threshold: 3,
        over: Over::Calls(10),
        full: false,
    });
    let row = breaker(settings.clone());
    fail(&row, 0);
    fail(&row, 0);
    assert_eq!(
        fail(&row, 0).unwrap().reason.token(),
        "consecutive_failures"
    );
    let spread = breaker(settings);
    fail(&spread, 0);
    succeed(&spread, 0);
    fail(&spread, 0);
    assert_eq!(fail(&spread, 0).unwrap().reason.token(), "failures");
}

#[test]
fn what_each_rule_sees_is_shown() {
    let mut settings = rate(50, Over::Calls(10), 5);
    settings.trip.push(in_a_row(4).trip[0]);
    let breaker = breaker(settings);
    succeed(&breaker, 0);
    fail(&breaker, 0);
    fail(&breaker, 0);
    fail(&breaker, 0);
    let rules = breaker.snapshot(at(0)).rules;
    assert_eq!((rules[0].name, rules[0].observed), ("failure_rate", 0.75));
    assert_eq!((rules[0].threshold, rules[0].min_calls), (0.5, 5));
    assert_eq!((rules[0].calls, rules[0].failures), (4, 3));
    assert_eq!(
        (rules[1].name, rules[1].observed, rules[1].threshold),
        ("consecutive_failures", 3.0, 4.0)
    );
}
