//! Tests of the retry budget.

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_secs(1_000);

fn budget(ratio: f64, min: u32) -> RetryBudget {
    RetryBudget::new(Budget { ratio, min }, START)
}

/// The retries that calls get, all of which fail and want one.
fn retries(budget: &RetryBudget, calls: usize, from: Timestamp, every: Duration) -> usize {
    let times = std::iter::successors(Some(from), |at| Some(*at + every));
    times
        .take(calls)
        .filter(|at| {
            budget.deposit(*at);
            budget.take(*at)
        })
        .count()
}

/// All tokens at a moment, taken.
fn drained(budget: &RetryBudget, now: Timestamp) -> usize {
    std::iter::repeat_with(|| budget.take(now))
        .take_while(|taken| *taken)
        .count()
}

#[test]
fn it_begins_with_min() {
    for min in [0, 1, 3, 7, 1_000, 70_000] {
        let budget = budget(0.2, min);
        assert_eq!(budget.tokens(START), min);
        assert_eq!(drained(&budget, START), min as usize);
        assert_eq!(budget.tokens(START), 0);
    }
}

#[test]
fn a_thousand_failing_calls_make_200_retries_and_min_however_long_it_was_idle_before() {
    for idle in [0, 1, 5, 10, 11, 3_600, 1_000_000] {
        for every in [0, 1, 10, 40] {
            let budget = budget(0.2, 3);
            let from = START + Duration::from_secs(idle);
            let retries = retries(&budget, 1_000, from, Duration::from_millis(every));
            assert!(
                (200..=203).contains(&retries),
                "{retries} after {idle} s, every {every} ms"
            );
        }
    }
}

#[test]
fn few_calls_get_min_a_second() {
    let budget = budget(0.2, 3);
    // Five calls a second would pay in one retry a second.
    let retries = retries(&budget, 500, START, Duration::from_millis(200));
    assert!((300..=303).contains(&retries), "{retries}");
}

#[test]
fn an_hour_without_calls_gives_ten_seconds_of_min() {
    let budget = budget(0.2, 3);
    let later = START + Duration::from_secs(3_600);
    assert_eq!(budget.tokens(later), 30);
    assert_eq!(budget.ratio(later), 1.0);
    assert_eq!(drained(&budget, later), 30);
    assert_eq!(budget.ratio(later), 0.0);
    assert_eq!(drained(&budget, later + Duration::from_secs(1)), 3);
}

#[test]
fn an_hour_without_retries_saves_up_ten_seconds_of_deposits() {
    let budget = budget(0.2, 3);
    let hour = START + Duration::from_secs(3_600);
    for at in 0..3_600 * 100u64 {
        budget.deposit(START + Duration::from_millis(at * 10));
    }
    // Nine full seconds of 100 calls each, and the current one, which has just begun.
    let capacity = budget.capacity(hour);
    assert_eq!(capacity, 180);
    assert_eq!(drained(&budget, hour), 180);
}

#[test]
fn a_burst_after_a_busy_hour_is_bound_by_the_calls_of_the_last_ten_seconds() {
    let budget = budget(0.2, 3);
    for at in 0..100_000 {
        budget.deposit(START + Duration::from_micros(at * 10));
    }
    let later = START + Duration::from_secs(12);
    assert_eq!(budget.capacity(later), 30);
    budget.deposit(later);
    assert_eq!(drained(&budget, later), 30);
}

#[test]
fn after_a_storm_min_a_second_is_there_at_once() {
    let budget = budget(0.2, 3);
    retries(&budget, 10_000, START, Duration::from_millis(1));
    let quiet = START + Duration::from_secs(10);
    drained(&budget, quiet);
    let each: Vec<_> = (1..=5)
        .map(|second| drained(&budget, quiet + Duration::from_secs(second)))
        .collect();
    assert_eq!(each, [3; 5]);
}

#[test]
fn without_min_only_calls_pay() {
    let budget = budget(0.5, 0);
    assert_eq!(budget.ratio(START), 0.0);
    assert_eq!(drained(&budget, START + Duration::from_secs(60)), 0);
    let later = START + Duration::from_secs(61);
    assert_eq!(retries(&budget, 100, later, Duration::ZERO), 50);
}

#[test]
fn a_ratio_pays_exactly() {
    for (ratio, tokens) in [(0.29, 29), (0.07, 7), (0.1, 10), (0.125, 12), (1.0, 100)] {
        let budget = budget(ratio, 0);
        (0..100).for_each(|_| budget.deposit(START));
        assert_eq!(drained(&budget, START), tokens, "{ratio}");
    }
}

#[test]
fn tokens_over_capacity_is_the_ratio() {
    let budget = budget(0.2, 3);
    assert_eq!(budget.ratio(START), 0.1);
    (0..1_000).for_each(|_| budget.deposit(START));
    assert_eq!(budget.capacity(START), 200);
    assert_eq!(budget.tokens(START), 200);
    assert!((0..50).all(|_| budget.take(START)));
    assert_eq!(budget.ratio(START), 0.75);
}

#[test]
fn threads_never_take_more_than_there_is() {
    for _ in 0..50 {
        let budget = budget(0.2, 3);
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (budget, taken) = (&budget, &taken);
                scope.spawn(move || {
                    // The clocks of the threads differ a little.
                    let now = START + Duration::from_nanos(thread);
                    for _ in 0..100 {
                        budget.deposit(now);
                        if budget.take(now) {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner() + drained(&budget, START), 83);
    }
}

/// A step of a random sequence: time passes, then calls come, then retries are wanted.
fn step() -> impl Strategy<Value = (u64, u64, u64)> {
    let pause = prop_oneof![0u64..2_000, 0u64..100_000, Just(3_600_000)];
    (pause, 0u64..300, 0u64..100)
}

proptest! {
    #[test]
    fn retries_stay_within_ratio_of_the_calls_or_min_a_second(
        percent in 1u32..=100, min in 0u32..20, steps in prop::collection::vec(step(), 1..60),
    ) {
        let ratio = f64::from(percent) / 100.0;
        let budget = budget(ratio, min);
        let (mut now, mut calls, mut taken) = (START, 0, 0);
        let began = seconds(START);
        // What each second gives at most; the time from one step to the next gives `min` a second.
        let (mut allowed, mut calls_of_second, mut second) = (0.0, 0, began);
        for (pause, new, wanted) in steps {
            now = now + Duration::from_millis(pause);
            if seconds(now) > second {
                let passed = (seconds(now) - second) as f64 - 1.0;
                allowed += f64::max(ratio * calls_of_second as f64, min.into());
                allowed += passed * f64::from(min);
                (calls_of_second, second) = (0, seconds(now));
            }
            (0..new).for_each(|_| budget.deposit(now));
            calls += new;
            calls_of_second += new;
            let capacity = budget.capacity(now) as usize;
            prop_assert!(budget.tokens(now) as usize <= capacity);
            prop_assert!((0.0..=1.0).contains(&budget.ratio(now)));
            let got = (0..wanted).filter(|_| budget.take(now)).count();
            prop_assert!(got <= capacity);
            taken += got;
            // The tokens held at the beginning and, once, what the account by time had saved up.
            let least = f64::max(ratio * calls_of_second as f64, min.into());
            let law = f64::from(min) * 11.0 + allowed + least;
            prop_assert!(taken as f64 <= law + 1.0, "{taken} retries, {law} allowed");
            let sum = f64::from(min) + ratio * calls as f64
                + f64::from(min) * (now - START).as_secs_f64();
            prop_assert!(taken as f64 <= sum + 1e-3, "{taken} retries, {sum} deposited");
        }
    }

    #[test]
    fn a_token_that_was_paid_in_is_there(percent in 1u32..=100, min in 0u32..20, calls in 0u64..1_000) {
        let budget = budget(f64::from(percent) / 100.0, min);
        (0..calls).for_each(|_| budget.deposit(START));
        let earned = calls * u64::from(percent) / 100;
        let expected = (earned + u64::from(min)).min(budget.capacity(START).into());
        prop_assert_eq!(drained(&budget, START) as u64, expected);
    }
}
