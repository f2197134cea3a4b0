//! The other side's own word about when to return.

use fusebox_breaker::{Breaker, Call, Cooldown, Outcome, RetryAfter, Settings, Transition};

use crate::kit::{at, breaker, changes, in_a_row, ms};

fn heeding(retry_after: RetryAfter) -> Settings {
    Settings {
        retry_after,
        cooldown: Cooldown {
            factor: 1.0,
            jitter: 0.0,
            ..Cooldown::exponential(ms(1_000))
        },
        ..in_a_row(1)
    }
}

fn told(breaker: &Breaker, outcome: Outcome, after: u64, millis: u64) -> Option<Transition> {
    let call = Call::from(outcome).retry_after(ms(after));
    breaker.admit(at(millis)).unwrap().record(call, at(millis))
}

fn cooldown_after(retry_after: RetryAfter, after: u64) -> u64 {
    let trip = told(&breaker(heeding(retry_after)), Outcome::Failure, after, 0).expect("trips");
    trip.retry_at.unwrap().as_nanos() / 1_000_000
}

#[test]
fn the_word_of_the_outcome_that_trips_is_the_cooldown_within_bounds() {
    assert_eq!(cooldown_after(RetryAfter::Ignore, 4_000), 1_000);
    assert_eq!(cooldown_after(RetryAfter::Honour, 4_000), 4_000);
    assert_eq!(cooldown_after(RetryAfter::Honour, 200), 200);
    assert_eq!(
        cooldown_after(RetryAfter::Honour, 1_000_000),
        10_000,
        "the cap holds"
    );
    assert_eq!(
        cooldown_after(RetryAfter::Honour, 0),
        1_000,
        "zero says nothing"
    );
}

#[test]
fn jitter_lengthens_an_honoured_word_and_never_shortens_it() {
    let mut settings = heeding(RetryAfter::Honour);
    settings.cooldown.jitter = 0.5;
    for seed in 0..50 {
        let builder = Breaker::builder("orders", settings.clone()).seed(seed);
        let trip = told(&builder.build().unwrap(), Outcome::Failure, 4_000, 0).unwrap();
        let until = trip.retry_at.unwrap();
        assert!(at(4_000) <= until && until <= at(6_000), "{until:?}");
    }
}

#[test]
fn one_such_answer_trips_by_itself_where_the_setting_says_so() {
    let mut settings = heeding(RetryAfter::Trip);
    settings.trip = in_a_row(5).trip;
    let breaker = breaker(settings);
    assert_eq!(told(&breaker, Outcome::Ignored, 3_000, 0), None);
    assert_eq!(told(&breaker, Outcome::Success, 0, 0), None);
    let trip = told(&breaker, Outcome::Success, 3_000, 0).expect("trips");
    assert_eq!(changes(&trip).2, "retry_after");
    assert_eq!(trip.retry_at, Some(at(3_000)));
    assert_eq!(
        trip.reason.to_string(),
        "the other side asked to be called again after 3s"
    );
    let again = told(&breaker, Outcome::Success, 2_000, 3_000).expect("a probe told so reopens");
    assert_eq!(again.retry_at, Some(at(5_000)));
    assert_eq!(again.attempts, 2);
}

#[test]
fn a_failed_probe_that_is_told_when_to_return_sets_the_next_cooldown() {
    let breaker = breaker(heeding(RetryAfter::Honour));
    told(&breaker, Outcome::Failure, 4_000, 0).expect("trips");
    let again = told(&breaker, Outcome::Failure, 7_000, 4_000).expect("reopens");
    assert_eq!(again.retry_at, Some(at(11_000)));
}
