//! Time: one origin for all clocks of a process, and stamps of other clocks refused.

use std::sync::Arc;

use std::time::Duration;

use fusebox_breaker::{
    Breaker, CallError, Clock, Cooldown, Guard, Guards, HoldKind, MonotonicClock, OnAbandoned,
    Outcome, Over, Phase, Ratio, Registry, RejectReason, Rule, Settings, Timestamp,
    machine::SettledAs,
};

use crate::kit::*;

/// Waits until the process's clock has moved on by so many milliseconds.
fn pass(millis: u64) {
    let end = MonotonicClock.now() + ms(millis);
    while MonotonicClock.now() < end {
        std::thread::yield_now();
    }
}

#[test]
fn clocks_made_at_different_times_tell_the_same_time() {
    let early: Arc<dyn Clock> = Arc::new(MonotonicClock);
    pass(5);
    let late = MonotonicClock;
    let told = [early.now(), late.now(), early.now()];
    assert!(told.is_sorted(), "{told:?}");
    assert!(told[0] >= Timestamp::ZERO + ms(5));
}

#[test]
fn the_coarse_time_is_never_ahead_and_comes_after() {
    for _ in 0..10_000 {
        let coarse = MonotonicClock.coarse();
        assert!(coarse <= MonotonicClock.now());
    }
    let now = MonotonicClock.now();
    while MonotonicClock.coarse() < now {
        std::thread::yield_now();
    }
}

#[test]
fn a_clock_behind_a_pointer_tells_its_own_coarse_time() {
    struct Hourly;
    impl Clock for Hourly {
        fn now(&self) -> Timestamp {
            at(3_600_001)
        }
        fn coarse(&self) -> Timestamp {
            at(3_600_000)
        }
    }
    let coarse = |clock: &dyn Clock| clock.coarse();
    let shared: Arc<dyn Clock> = Arc::new(Hourly);
    for told in [coarse(&Hourly), coarse(&&Hourly), coarse(&shared)] {
        assert_eq!(told, at(3_600_000));
    }
}

#[test]
fn guards_made_one_after_the_other_on_one_breaker_agree_on_the_time() {
    let breaker = breaker(in_a_row(1));
    let first = Guard::of(breaker.clone());
    pass(5);
    let second = Guard::of(breaker);
    // Either opens it, and to either it is open for the whole cooldown.
    for (one, other) in [(&first, &second), (&second, &first)] {
        let failed = one.call(|| Err::<(), _>("down"));
        assert_eq!(failed, Err(CallError::Failed("down")));
        let Err(CallError::Rejected(rejection)) = other.call(|| Ok::<_, &str>(())) else {
            panic!("passed an open breaker");
        };
        let wait = rejection.wait(other.now()).unwrap();
        assert!(wait > ms(0) && wait <= ms(1_000), "{wait:?}");
        one.breaker().reset(one.now());
    }
}

#[test]
fn guards_by_key_have_the_clock_of_all_other_guards() {
    let guards = Guards::new(Registry::new("tenants", in_a_row(1)).unwrap());
    pass(5);
    let later = Guard::of(breaker(in_a_row(1)));
    let told = [guards.now(), later.now(), guards.of("acme").now()];
    assert!(told.is_sorted(), "{told:?}");
}

const DAY: u64 = 24 * 3_600 * 1_000;
const YEAR: u64 = 365 * DAY;

/// Milliseconds since 1970, as a wall clock has them.
const WALL: u64 = 1_790_000_000_000;

fn far_stamps(breaker: &Breaker) -> u64 {
    breaker.snapshot(at(0)).totals.far_stamps
}

#[test]
fn a_wall_clocks_stamp_neither_opens_nor_closes_nor_moves_anything_and_is_counted() {
    let breaker = breaker(in_a_row(1));
    // This success is all that the breaker knows of the time.
    succeed(&breaker, 5);
    let permit = breaker.admit(at(6)).unwrap();
    let settled = permit.settle(Outcome::Failure, at(WALL));
    assert_eq!(settled.counted, SettledAs::Untracked);
    assert!(settled.transitions.is_empty());
    assert_eq!(breaker.report(Outcome::Failure, at(WALL)), None);
    assert_eq!(breaker.tick(at(WALL)), None);
    assert_eq!(far_stamps(&breaker), 3);
    assert_eq!(phase(&breaker, 7), Phase::Closed);

    fail(&breaker, 10).expect("trips");
    for _ in 0..3 {
        let rejection = refused(&breaker, WALL);
        assert_eq!(rejection.reason, RejectReason::BreakerOpen);
        assert_eq!(rejection.retry_at, Some(at(1_010)));
    }
    assert_eq!(breaker.check(at(WALL)), Err(refused(&breaker, 11)));
    assert_eq!(breaker.tick(at(WALL)), None);
    assert_eq!(
        phase(&breaker, WALL),
        Phase::Open,
        "looked at by another clock"
    );
    assert_eq!(far_stamps(&breaker), 8);

    let probe = admit(&breaker, 1_010);
    assert_eq!(refused(&breaker, WALL).reason, RejectReason::BreakerProbing);
    assert_eq!(
        probe.settle(Outcome::Success, at(WALL)).counted,
        SettledAs::Untracked
    );
    assert_eq!(phase(&breaker, 1_011), Phase::HalfOpen);
    assert!(succeed(&breaker, 1_011).is_some(), "its place is free");
}

#[test]
fn a_stamp_of_a_year_ahead_is_accepted_and_a_later_one_is_not() {
    let start = |settings| {
        let breaker = breaker(settings);
        succeed(&breaker, 1_000);
        breaker
    };
    let accepted = start(in_a_row(1));
    assert!(fail(&accepted, 1_000 + YEAR).is_some());
    let rule = Rule::FailureRate {
        rate: Ratio::percent(100),
        over: Over::Time(ms(1_000)),
        min_calls: 1,
    };
    for settings in [in_a_row(1), by_rule(rule)] {
        let refused = start(settings);
        assert_eq!(fail(&refused, 1_001 + YEAR), None);
        assert_eq!(far_stamps(&refused), 1);
        assert!(fail(&refused, 1_001).is_none() || phase(&refused, 1_001) == Phase::Open);
    }
}

#[test]
fn years_may_pass_in_steps_of_a_year() {
    let breaker = breaker(in_a_row(2));
    for year in 0..100 {
        assert_eq!(fail(&breaker, year * YEAR), None);
        succeed(&breaker, year * YEAR);
    }
    assert_eq!(far_stamps(&breaker), 0);
    fail(&breaker, 100 * YEAR);
    assert!(fail(&breaker, 100 * YEAR).is_some());
}

#[test]
fn the_first_stamp_is_accepted_whatever_it_says() {
    let breaker = breaker(in_a_row(1));
    assert_eq!(
        fail(&breaker, WALL).unwrap().retry_at,
        Some(at(WALL + 1_000))
    );
    assert!(admit(&breaker, WALL + 1_000).is_probe());
    assert_eq!(far_stamps(&breaker), 0);
}

#[test]
fn a_reset_restarts_the_clock_also_to_an_earlier_time() {
    // Before it, the breaker had gone by another clock from the start.
    for reset_at in [100, WALL + 100] {
        let breaker = breaker(in_a_row(1));
        fail(&breaker, WALL);
        assert_eq!(refused(&breaker, 50).retry_at, Some(at(WALL + 1_000)));
        breaker.reset(at(reset_at));
        succeed(&breaker, 60);
        assert_eq!(fail(&breaker, 70).unwrap().retry_at, Some(at(1_070)));
        let closed = succeed(&breaker, 1_070).expect("the cooldown is over");
        assert_eq!((closed.to, closed.at), (Phase::Closed, at(1_070)));
        assert_eq!(far_stamps(&breaker), 0);
        assert_eq!(breaker.report(Outcome::Failure, at(WALL)), None);
        assert_eq!(far_stamps(&breaker), 1);
    }
}

#[test]
fn windows_of_time_begin_anew_with_the_first_stamp_after_a_reset() {
    for window in [
        fusebox_breaker::settings::WindowKind::Sliding,
        fusebox_breaker::settings::WindowKind::Tumbling,
    ] {
        let settings = Settings {
            window,
            ..by_rule(Rule::Failures {
                threshold: 2,
                over: Over::Time(ms(100)),
                full: false,
            })
        };
        let breaker = breaker(settings);
        fail(&breaker, WALL);
        breaker.reset(at(WALL));
        assert_eq!(breaker.snapshot(at(1_000)).rules[0].failures, 0);
        assert_eq!(fail(&breaker, 1_000), None);
        assert_eq!(breaker.snapshot(at(1_000)).since, at(1_000));
        assert_eq!(fail(&breaker, 1_100), None, "the first is forgotten");
        assert!(fail(&breaker, 1_150).is_some());
    }
}

#[test]
fn two_clocks_in_turn_open_only_by_the_one_that_was_there_first() {
    let breaker = breaker(in_a_row(3));
    succeed(&breaker, 0);
    for call in 0..100 {
        assert_eq!(fail(&breaker, WALL + call), None);
        if call % 40 == 39 {
            assert_eq!(fail(&breaker, call), None);
        }
    }
    assert_eq!(far_stamps(&breaker), 100);
    assert_eq!(breaker.snapshot(at(100)).totals.failures, 2);
    assert_eq!(fail(&breaker, 100).unwrap().retry_at, Some(at(1_100)));
}

#[test]
fn a_far_stamp_that_comes_after_noted_outcomes_loses_none_of_them() {
    let breaker = breaker(in_a_row(20));
    for call in 0..10 {
        assert_eq!(fail(&breaker, call), None);
    }
    assert_eq!(fail(&breaker, WALL), None);
    for call in 10..19 {
        assert_eq!(fail(&breaker, call), None);
    }
    assert!(fail(&breaker, 19).is_some());
    assert_eq!(far_stamps(&breaker), 1);
}

#[test]
fn calls_given_up_or_that_panic_at_a_far_stamp_count_as_nothing() {
    let breaker = breaker(Settings {
        on_abandoned: OnAbandoned::FailureAfter(ms(1)),
        ..in_a_row(1)
    });
    let permits = [admit(&breaker, 0), admit(&breaker, 0)];
    let [given_up, panicked] = permits;
    let settled = given_up.abandoned(ms(WALL), at(WALL));
    assert_eq!(settled.counted, SettledAs::Untracked);
    assert_eq!(panicked.panicked(at(WALL)), None);
    assert_eq!(
        (phase(&breaker, 0), far_stamps(&breaker)),
        (Phase::Closed, 2)
    );
}

#[test]
fn stalled_calls_are_neither_made_nor_found_by_a_far_stamp() {
    let breaker = breaker(by_rule(Rule::Stalled {
        calls: 1,
        longer_than: ms(100),
    }));
    let _hangs = admit(&breaker, 0);
    let _stray = admit(&breaker, WALL);
    assert_eq!(breaker.tick(at(WALL)), None);
    let seen = &breaker.snapshot(at(100)).rules[0];
    assert_eq!((seen.calls, seen.failures), (1, 0));
    assert!(breaker.tick(at(101)).is_some());
}

#[test]
fn a_hold_by_another_clock_lasts_as_long_as_it_was_meant_to() {
    let breaker = breaker(in_a_row(1));
    succeed(&breaker, 1_000);
    breaker.hold(hold(HoldKind::Open, Some(WALL + 500)), at(WALL));
    assert_eq!(refused(&breaker, 1_001).retry_at, Some(at(1_500)));
    assert_eq!(refused(&breaker, WALL).reason, RejectReason::HeldOpen);
    assert!(admit(&breaker, 1_500).is_probe());
}

#[test]
fn commands_by_another_clock_are_carried_out_at_the_breakers_own_time() {
    let breaker = breaker(in_a_row(1));
    succeed(&breaker, 1_000);
    let drill = || fusebox_breaker::machine::ForcedTrip {
        by: "ann".into(),
        reason: "a drill".into(),
        cooldown: None,
    };
    let trip = breaker.trip(drill(), at(WALL)).unwrap();
    assert_eq!((trip.at, trip.retry_at), (at(1_000), Some(at(2_000))));
    breaker.hold(hold(HoldKind::Open, None), at(1_100));
    assert_eq!(breaker.release(at(WALL)).unwrap().at, at(1_100));
    assert_eq!(far_stamps(&breaker), 2);
}

#[test]
fn a_probes_deadline_cannot_be_moved_to_another_clocks_time() {
    let breaker = tripped(in_a_row(1), 0);
    let mut probe = admit(&breaker, 1_000);
    probe.extend(at(WALL));
    assert_eq!(probe.deadline(), Some(at(1_500)));
    std::mem::forget(probe);
    assert!(admit(&breaker, 1_500).is_probe());
    assert_eq!(far_stamps(&breaker), 1);
}

#[test]
fn who_was_told_to_return_after_years_is_not_too_far_ahead() {
    let years = Duration::from_millis(3 * YEAR);
    let breaker = tripped(
        Settings {
            cooldown: Cooldown::fixed(years),
            ..in_a_row(1)
        },
        0,
    );
    assert_eq!(refused(&breaker, 3 * YEAR - 1).retry_at, Some(at(3 * YEAR)));
    assert_eq!(
        refused(&breaker, 100 * YEAR).reason,
        RejectReason::BreakerOpen
    );
    assert!(succeed(&breaker, 3 * YEAR).is_some());
    breaker.hold(hold(HoldKind::Open, Some(10 * YEAR)), at(3 * YEAR));
    assert!(admit(&breaker, 10 * YEAR).is_probe());
}

/// The time of day, as a program must not tell it to a breaker.
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        at(WALL) + (MonotonicClock.now().saturating_since(Timestamp::ZERO))
    }
}

#[test]
fn a_guard_with_a_wall_clock_beside_one_without_opens_nothing_for_decades() {
    let guard = Guard::of(breaker(in_a_row(1)));
    let stray = guard.clone().clock(WallClock);
    assert_eq!(guard.call(|| Ok::<_, ()>(())), Ok(()));
    for _ in 0..10 {
        assert_eq!(stray.call(|| Err::<(), _>(())), Err(CallError::Failed(())));
        assert_eq!(guard.call(|| Ok::<_, ()>(())), Ok(()));
    }
    assert_eq!(far_stamps(guard.breaker()), 10);
}

#[test]
fn a_far_stamp_lets_no_key_look_old() {
    let registry = Registry::builder("tenants", in_a_row(5))
        .max_keys(2)
        .build()
        .unwrap();
    for key in ["one", "two"] {
        fail(&registry.get_or_create(key, at(1_000)), 1_000);
    }
    for key in ["three", "one", "four"] {
        registry.get_or_create(key, at(WALL));
    }
    assert_eq!((registry.len(), registry.counts().evicted_idle), (2, 0));
    // By the clock that was there first, they do grow old.
    let later = 1_000 + 600_000;
    registry.get_or_create("two", at(later));
    registry.get_or_create("five", at(later));
    assert!(registry.contains("five") && registry.contains("two"));
    assert_eq!(registry.counts().evicted_idle, 1);
}

#[test]
fn a_breaker_laid_to_rest_still_knows_the_time() {
    for settings in [in_a_row(1), Settings::default()] {
        let breaker = breaker(settings);
        succeed(&breaker, 1_000);
        breaker.rest(at(60_000));
        for _ in 0..5 {
            assert_eq!(fail(&breaker, WALL), None);
        }
        assert_eq!(far_stamps(&breaker), 5);
        assert_eq!(phase(&breaker, 60_001), Phase::Closed);
    }
}
