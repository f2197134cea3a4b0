//! Time: one origin for all clocks of a process.

use std::sync::Arc;

use fusebox_breaker::{CallError, Clock, Guard, Guards, MonotonicClock, Registry, Timestamp};

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
fn guards_made_one_after_the_other_on_one_breaker_agree_on_the_time() {
    let breaker = breaker(in_a_row(1));
    let first = Guard::new(breaker.clone());
    pass(5);
    let second = Guard::new(breaker);
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
    let later = Guard::new(breaker(in_a_row(1)));
    let told = [guards.now(), later.now(), guards.of("acme").now()];
    assert!(told.is_sorted(), "{told:?}");
}
