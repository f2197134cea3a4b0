//! Open: calls are refused until the cooldown ends.

use fusebox_breaker::{Cooldown, Phase, Probes, RejectReason, Rejection, Timestamp};

use crate::kit::*;

#[test]
fn an_open_breaker_refuses_and_says_when_to_return() {
    let breaker = tripped(in_a_row(1), 0);
    for time in [0, 500, 999] {
        let mut expected = Rejection::new(RejectReason::BreakerOpen, Phase::Open);
        expected.retry_at = Some(at(1_000));
        assert_eq!(refused(&breaker, time), expected);
        assert_eq!(breaker.check(at(time)), Err(expected));
        assert_eq!(breaker.snapshot(at(time)).retry_at, Some(at(1_000)));
    }
}

#[test]
fn no_call_passes_a_nanosecond_before_the_cooldown_ends_and_one_passes_at_its_end() {
    let breaker = tripped(in_a_row(1), 0);
    let end = at(1_000);
    assert!(
        breaker
            .admit(Timestamp::from_nanos(end.as_nanos() - 1))
            .is_err()
    );
    assert!(breaker.admit(end).unwrap().is_probe());
}

#[test]
fn refusals_neither_lengthen_nor_shorten_the_cooldown() {
    let breaker = tripped(in_a_row(1), 0);
    (0..1_000).for_each(|time| {
        refused(&breaker, time);
    });
    assert_eq!(breaker.snapshot(at(999)).generation, 1);
    assert!(admit(&breaker, 1_000).is_probe());
}

#[test]
fn reading_the_state_after_the_cooldown_says_half_open_and_changes_nothing() {
    let breaker = tripped(in_a_row(1), 0);
    assert_eq!(phase(&breaker, 999), Phase::Open);
    let snapshot = breaker.snapshot(at(1_000));
    assert_eq!((snapshot.phase, snapshot.generation), (Phase::HalfOpen, 1));
    assert_eq!(snapshot.since, at(1_000));
    assert_eq!(snapshot.retry_at, None);
    assert_eq!(snapshot.probes.unwrap().in_flight, 0);
}

#[test]
fn checking_after_the_cooldown_goes_half_open_and_takes_no_place() {
    let (breaker, recorder) = recorded(in_a_row(1));
    fail(&breaker, 0);
    assert_eq!(breaker.check(at(1_000)), Ok(()));
    assert_eq!(breaker.check(at(1_000)), Ok(()));
    let last = recorder.heard().pop().unwrap();
    assert_eq!(
        changes(&last),
        (Phase::Open, Phase::HalfOpen, "cooldown_ended")
    );
    assert!(admit(&breaker, 1_000).is_probe());
}

#[test]
fn a_tick_after_the_cooldown_goes_half_open_without_a_call() {
    let breaker = tripped(in_a_row(1), 0);
    assert_eq!(breaker.tick(at(999)), None);
    let transition = breaker.tick(at(1_000)).unwrap();
    assert_eq!(transition.to, Phase::HalfOpen);
    assert_eq!(breaker.tick(at(2_000)), None);
}

#[test]
fn a_cooldown_grows_with_every_trip_and_begins_anew_after_a_close() {
    let mut settings = in_a_row(1);
    settings.cooldown = Cooldown {
        jitter: 0.0,
        max: ms(3_000),
        ..Cooldown::exponential(ms(1_000))
    };
    let breaker = breaker(settings);
    let mut now = 0;
    for (attempt, cooldown) in [(1, 1_000), (2, 2_000), (3, 3_000), (4, 3_000)] {
        let trip = fail(&breaker, now).unwrap();
        assert_eq!(trip.attempts, attempt);
        assert_eq!(trip.retry_at, Some(at(now + cooldown)));
        now += cooldown;
    }
    succeed(&breaker, now);
    assert_eq!(breaker.snapshot(at(now)).attempts, 0);
    let trip = fail(&breaker, now).unwrap();
    assert_eq!((trip.attempts, trip.retry_at), (1, Some(at(now + 1_000))));
}

#[test]
fn jitter_is_drawn_at_the_trip_and_only_lengthens() {
    let mut settings = in_a_row(1);
    settings.half_open.probes = Probes::Unlimited;
    settings.cooldown.jitter = 0.2;
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let builder = fusebox_breaker::Breaker::builder("orders", settings.clone());
        let breaker = builder.seed(seed).build().unwrap();
        let until = fail(&breaker, 0).unwrap().retry_at.unwrap();
        assert!((at(1_000)..=at(1_200)).contains(&until), "{until:?}");
        assert_eq!(refused(&breaker, 1).retry_at, Some(until));
        assert!(breaker.admit(until).is_ok());
        seen.insert(until);
    }
    assert!(seen.len() > 150, "the draws differ");
}
