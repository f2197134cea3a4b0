//! The share of slow calls, whether they succeeded or failed.

use fusebox_breaker::{
    Call, Outcome, Over, Ratio, Reason, Rule, Settings, Timestamp,
    settings::{Compare, JudgeOn},
    snapshot::RuleKind,
};

use crate::kit::{admit, at, breaker, by_rule, in_a_row, ms, tripped};

fn half_slower_than_100ms() -> Settings {
    by_rule(Rule::SlowRate {
        rate: Ratio::percent(50),
        slower_than: ms(100),
        over: Over::Calls(4),
        min_calls: 4,
    })
}

/// Ends calls of those durations at once; the index of the one that trips.
fn tripping_call(settings: Settings, durations: &[u64]) -> Option<usize> {
    let breaker = breaker(settings);
    durations.iter().position(|millis| {
        let permit = breaker.admit(at(0)).unwrap();
        let call = Call::from(Outcome::Success).lasting(ms(*millis));
        permit.record(call, at(0)).is_some()
    })
}

#[test]
fn slow_successes_trip_and_the_reason_tells_their_share() {
    let breaker = breaker(half_slower_than_100ms());
    for millis in [101, 1, 1] {
        let call = Call::from(Outcome::Success).lasting(ms(millis));
        assert_eq!(breaker.admit(at(0)).unwrap().record(call, at(0)), None);
    }
    let call = Call::from(Outcome::Failure).lasting(ms(500));
    let trip = breaker.admit(at(0)).unwrap().record(call, at(0)).unwrap();
    let Reason::Rule {
        rule,
        observed,
        threshold,
        calls,
        ..
    } = trip.reason
    else {
        panic!("a rule trips: {trip}");
    };
    assert_eq!(
        (rule, observed, threshold, calls),
        (RuleKind::SlowRate, 0.5, 0.5, 4)
    );
    assert_eq!(
        trip.reason.to_string(),
        "50% of 4 calls were slow, the limit is 50%"
    );
}

#[test]
fn a_call_of_exactly_the_limit_is_slow_only_where_the_setting_says_so() {
    let durations = [100, 100, 100, 100];
    assert_eq!(tripping_call(half_slower_than_100ms(), &durations), None);
    let at_least = Settings {
        slow_compare: Compare::AtLeast,
        ..half_slower_than_100ms()
    };
    assert_eq!(tripping_call(at_least, &durations), Some(3));
}

#[test]
fn a_call_lasts_from_when_the_other_side_has_all_that_it_needs() {
    let breaker = breaker(half_slower_than_100ms());
    for (start, slow) in [(at(400), 0), (at(399), 1), (Timestamp::MAX, 1)] {
        let mut permit = admit(&breaker, 0);
        permit.waits_since(at(1));
        permit.waits_since(start);
        permit.record(Outcome::Success, at(500));
        assert_eq!(breaker.snapshot(at(500)).rules[0].failures, slow);
    }
    let breaker = tripped(in_a_row(1), 0);
    let mut probe = admit(&breaker, 1_000);
    probe.waits_since(at(1_300));
    probe.record(Outcome::Success, at(1_400)).expect("closes");
    let outcomes = breaker.snapshot(at(1_400)).outcomes;
    assert_eq!(outcomes.last().unwrap().duration, Some(ms(100)));
}

#[test]
fn so_it_is_where_it_decides_nothing_yet() {
    for (slow_compare, slow) in [(Compare::Above, 0), (Compare::AtLeast, 1)] {
        let breaker = breaker(Settings {
            slow_compare,
            ..half_slower_than_100ms()
        });
        let permit = breaker.admit(at(0)).unwrap();
        permit.record(Outcome::Success, at(100));
        assert_eq!(breaker.snapshot(at(100)).rules[0].failures, slow);
    }
}

#[test]
fn a_fast_call_that_fills_the_window_trips_only_where_every_outcome_is_judged() {
    let durations = [200, 200, 200, 1, 200];
    assert_eq!(tripping_call(half_slower_than_100ms(), &durations), Some(3));
    let on_failures = Settings {
        judge_on: JudgeOn::Failures,
        ..half_slower_than_100ms()
    };
    assert_eq!(
        tripping_call(on_failures, &durations),
        Some(4),
        "a slow call is judged"
    );
}

#[test]
fn a_duration_that_is_not_given_is_the_time_since_the_permit() {
    let breaker = breaker(half_slower_than_100ms());
    let permits: Vec<_> = (0..4).map(|_| breaker.admit(at(0)).unwrap()).collect();
    let changes = permits
        .into_iter()
        .map(|permit| permit.record(Outcome::Success, at(101)));
    assert_eq!(changes.filter(Option::is_some).count(), 1);
}

#[test]
fn reports_of_unknown_duration_are_not_looked_at() {
    let breaker = breaker(half_slower_than_100ms());
    for _ in 0..10 {
        breaker.report(Outcome::Success, at(0));
    }
    assert_eq!(breaker.snapshot(at(0)).rules[0].calls, 0);
}

#[test]
fn slow_calls_within_a_time_are_forgotten_with_it() {
    let mut settings = half_slower_than_100ms();
    settings.trip = vec![Rule::SlowRate {
        rate: Ratio::percent(50),
        slower_than: ms(100),
        over: Over::Time(ms(1_000)),
        min_calls: 2,
    }];
    let breaker = breaker(settings);
    let slow = Call::from(Outcome::Success).lasting(ms(150));
    assert_eq!(breaker.admit(at(0)).unwrap().record(slow, at(0)), None);
    assert_eq!(
        breaker.admit(at(1_000)).unwrap().record(slow, at(1_000)),
        None
    );
    assert!(
        breaker
            .admit(at(1_001))
            .unwrap()
            .record(slow, at(1_001))
            .is_some()
    );
}
