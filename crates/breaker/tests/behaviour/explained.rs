//! Why open, why still closed, when next; and what was seen last.

use std::time::Duration;

use fusebox_breaker::{
    Call, HoldKind, Outcome, Over, Ratio, Rule, Settings, Timestamp,
    machine::{Gap, Next, SettledAs},
    snapshot::RECENT_OUTCOMES,
};

use crate::kit::{admit, at, breaker, by_rule, fail, hold, in_a_row, ms, tripped};

#[test]
fn a_closed_breaker_says_what_is_missing_for_a_trip() {
    let mut settings = in_a_row(5);
    settings.trip.push(Rule::FailureRate {
        rate: Ratio::percent(50),
        over: Over::Time(ms(10_000)),
        min_calls: 20,
    });
    let breaker = breaker(settings);
    fail(&breaker, 0);
    let explanation = breaker.explain(at(2_000));
    assert_eq!(explanation.rules[0].gap, Gap::BelowLimit);
    assert_eq!(explanation.rules[1].gap, Gap::TooFewCalls { missing: 19 });
    assert_eq!(explanation.next, Next::RuleMet);
    assert_eq!(
        explanation.to_string(),
        "closed for 2s; consecutive_failures at 1 of 5; failure_rate has seen 1 calls and waits for 19 more; \
         stays so until a rule is met"
    );
}

#[test]
fn a_sentence_has_milliseconds_up_to_ten_seconds_and_then_whole_seconds() {
    let breaker = breaker(in_a_row(5));
    let after = |nanos| breaker.explain(Timestamp::from_nanos(nanos)).to_string();
    assert!(after(2_025_793_518).starts_with("closed for 2.025s;"));
    assert!(after(57_974_206_482).starts_with("closed for 57s;"));
}

#[test]
fn an_open_breaker_says_why_and_until_when() {
    let breaker = tripped(in_a_row(1), 100);
    let explanation = breaker.explain(at(600));
    assert_eq!(explanation.next, Next::CooldownEnds(at(1_100)));
    assert_eq!(
        explanation.to_string(),
        "open for 500ms; last change: closed -> open: 1 consecutive failure, the limit is 1; \
         the cooldown ends in 500ms"
    );
}

#[test]
fn a_half_open_breaker_says_who_is_awaited() {
    let breaker = tripped(in_a_row(1), 0);
    assert_eq!(breaker.explain(at(1_000)).next, Next::Probe);
    let _probe = admit(&breaker, 1_000);
    let explanation = breaker.explain(at(1_200));
    assert_eq!(explanation.next, Next::ProbeEnds(at(1_500)));
    let sentence = explanation.to_string();
    assert!(sentence.contains("1 probes in flight"), "{sentence}");
}

#[test]
fn a_held_breaker_names_who_holds_it_and_until_when() {
    let breaker = breaker(in_a_row(1));
    breaker.hold(hold(HoldKind::Open, Some(900)), at(0));
    assert_eq!(breaker.explain(at(300)).next, Next::HoldEnds(at(900)));
    breaker.hold(hold(HoldKind::Open, None), at(400));
    let explanation = breaker.explain(at(500));
    assert_eq!(explanation.next, Next::Release);
    let sentence = explanation.to_string();
    assert!(sentence.contains("by ann: maintenance"), "{sentence}");
}

#[test]
fn the_flight_recorder_keeps_the_last_outcomes() {
    let settings = by_rule(Rule::Failures {
        threshold: 1_000,
        over: Over::Calls(1_000),
        full: false,
    });
    let breaker = breaker(settings);
    for millis in 0..100 {
        let permit = breaker.admit(at(millis)).unwrap();
        permit.record(Call::from(Outcome::Failure).lasting(ms(7)), at(millis));
    }
    drop(admit(&breaker, 100));
    let outcomes = breaker.snapshot(at(100)).outcomes;
    assert_eq!(outcomes.len(), RECENT_OUTCOMES);
    let last = outcomes.last().unwrap();
    assert_eq!(last.counted, SettledAs::Ignored);
    let before = outcomes[RECENT_OUTCOMES - 2];
    assert_eq!(before.counted, SettledAs::Failure);
    let one = crate::kit::breaker(in_a_row(1));
    let call = Call::from(Outcome::Failure).lasting(ms(7));
    one.admit(at(3))
        .unwrap()
        .record(call, at(10))
        .expect("trips");
    let last = one.snapshot(at(10)).outcomes.pop().unwrap();
    assert_eq!((last.at, last.duration), (at(10), Some(ms(7))));
}

#[test]
fn a_dry_run_says_what_new_settings_would_keep_and_keeps_the_old_ones() {
    let breaker = tripped(in_a_row(1), 0);
    let other = by_rule(Rule::Adaptive { memory: 5 });
    let before = breaker.snapshot(at(10));
    assert!(!breaker.would_reconfigure(other, at(10)).unwrap().state_kept);
    assert!(
        breaker
            .would_reconfigure(in_a_row(3), at(10))
            .unwrap()
            .state_kept
    );
    let mut nonsense: Settings = in_a_row(1);
    nonsense.trip.clear();
    assert_eq!(
        breaker
            .would_reconfigure(nonsense, at(10))
            .unwrap_err()
            .len(),
        1
    );
    assert_eq!(breaker.snapshot(at(10)), before);
}

#[test]
fn after_a_stamp_of_another_clock_it_counts_as_refusals_do_and_says_so() {
    let wall = Timestamp::from_secs(1_796_000_000);
    let breaker = breaker(in_a_row(1));
    breaker.admit(wall).unwrap().record(Outcome::Failure, wall);
    let told = breaker.refused(breaker.admit(at(0)).unwrap_err(), at(0));
    assert_eq!(told.retry_in(), Some(Duration::from_secs(1_796_000_001)));
    let explanation = breaker.explain(at(0));
    assert_eq!((explanation.at, explanation.asked), (wall, at(0)));
    let expected = "; the cooldown ends in 20787d 53m 21s; the last stamp was 20787d 53m 20s after this time, \
                    as of another clock: give all stamps by one clock, and reset";
    let sentence = explanation.to_string();
    assert!(sentence.ends_with(expected), "{sentence}");

    // The other way round the stamp is refused.
    let breaker = tripped(in_a_row(1), 0);
    let sentence = breaker.explain(wall).to_string();
    assert!(
        sentence.contains("the cooldown ends in 0s; the last stamp was 20787d 53m 20s before"),
        "{sentence}"
    );

    // Callers of one clock who are a little late do not look so.
    let sentence = tripped(in_a_row(1), 30_000).explain(at(1)).to_string();
    assert!(!sentence.contains("clock"), "{sentence}");
    let later = tripped(in_a_row(1), 0).explain(at(9_999_999)).to_string();
    assert!(!later.contains("clock"), "{later}");
}
