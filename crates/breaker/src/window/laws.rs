//! The laws of every window, against models that remember everything.

use std::time::Duration;

use proptest::prelude::*;

use super::{Tally, Window};
use crate::log::Run;
use crate::ratio::Ratio;
use crate::settings::{Over, Rule, WindowKind};
use crate::time::Timestamp;

const SPAN: u64 = 6_400;

fn over(over: Over) -> Rule {
    Rule::FailureRate {
        rate: Ratio::ONE,
        over,
        min_calls: 1,
    }
}

fn span() -> Over {
    Over::Time(Duration::from_nanos(SPAN))
}

/// Steps of time, mostly small, now and then far, each with an outcome.
fn calls() -> impl Strategy<Value = Vec<(u64, bool)>> {
    let step = prop_oneof![
        6 => 0..150u64,
        3 => 0..SPAN / 4,
        1 => 0..SPAN * 3,
        1 => Just(u64::MAX / 1_000),
    ];
    prop::collection::vec((step, any::<bool>()), 1..300)
}

fn count<'a>(calls: impl IntoIterator<Item = &'a (u64, bool)>) -> Tally {
    let mut tally = Tally::default();
    for (_, failed) in calls {
        tally.calls += 1;
        tally.failures += u64::from(*failed);
    }
    tally
}

fn younger(seen: &[(u64, bool)], now: u64, age: u64) -> Tally {
    count(seen.iter().filter(|(at, _)| now - at < age))
}

/// Replays the steps and hands the window, everything seen and the time to `law` after each.
fn replay(
    window: &mut Window,
    steps: &[(u64, bool)],
    mut law: impl FnMut(&Window, &[(u64, bool)], u64) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = 0u64;
    let mut seen = Vec::new();
    for &(step, failed) in steps {
        now = now.saturating_add(step);
        window.record(failed, Timestamp::from_nanos(now));
        seen.push((now, failed));
        law(window, &seen, now)?;
    }
    Ok(())
}

fn at(now: u64) -> Timestamp {
    Timestamp::from_nanos(now)
}

proptest! {
    #[test]
    fn a_call_window_holds_exactly_the_last_calls(size in 1u32..200, steps in calls()) {
        let mut window = Window::of(&over(Over::Calls(size)), WindowKind::Sliding);
        replay(&mut window, &steps, |window, seen, now| {
            let last = seen.len().saturating_sub(size as usize);
            prop_assert_eq!(window.tally(at(now)), count(&seen[last..]));
            Ok(())
        })?;
    }

    #[test]
    fn a_tumbling_call_window_holds_exactly_the_calls_since_it_was_last_full(
        size in 1u32..50, steps in calls(),
    ) {
        let mut window = Window::of(&over(Over::Calls(size)), WindowKind::Tumbling);
        replay(&mut window, &steps, |window, seen, now| {
            let began = (seen.len() - 1) / size as usize * size as usize;
            prop_assert_eq!(window.tally(at(now)), count(&seen[began..]));
            Ok(())
        })?;
    }

    #[test]
    fn a_time_window_counts_nothing_as_old_as_its_span_and_errs_by_less_than_a_bucket(
        steps in calls(), later in 0..SPAN * 2,
    ) {
        let mut window = Window::of(&over(span()), WindowKind::Sliding);
        replay(&mut window, &steps, |window, seen, now| {
            for now in [now, now.saturating_add(later)] {
                let tally = window.tally(at(now));
                let most = younger(seen, now, SPAN);
                let least = younger(seen, now, SPAN - SPAN / 64 + 1);
                prop_assert!(tally.calls <= most.calls && tally.failures <= most.failures);
                prop_assert!(tally.calls >= least.calls && tally.failures >= least.failures);
            }
            Ok(())
        })?;
    }

    #[test]
    fn reading_a_time_window_ahead_of_its_next_call_tells_what_rolling_would(
        steps in calls(), later in 0..SPAN * 2,
    ) {
        let mut window = Window::of(&over(span()), WindowKind::Sliding);
        replay(&mut window, &steps, |window, _, now| {
            let now = at(now.saturating_add(later));
            let read = window.tally(now);
            let mut rolled = window.clone();
            rolled.record(false, now);
            prop_assert_eq!(rolled.tally(now).calls, read.calls + 1);
            prop_assert_eq!(rolled.tally(now).failures, read.failures);
            Ok(())
        })?;
    }

    #[test]
    fn a_tumbling_time_window_holds_the_calls_since_it_began(steps in calls(), began in 0..SPAN) {
        let mut window = Window::of(&over(span()), WindowKind::Tumbling);
        window.begin(at(began));
        let (mut began, mut first) = (began, 0);
        replay(&mut window, &steps, |window, seen, now| {
            if now.saturating_sub(began) >= SPAN {
                (began, first) = (now, seen.len() - 1);
            }
            prop_assert_eq!(window.tally(at(now)), count(&seen[first..]));
            Ok(())
        })?;
    }

    #[test]
    fn failures_within_a_time_are_exact_up_to_the_limit(limit in 1u32..20, steps in calls()) {
        let rule = Rule::Failures { threshold: limit, over: span(), full: false };
        let mut window = Window::of(&rule, WindowKind::Sliding);
        replay(&mut window, &steps, |window, seen, now| {
            let all = younger(seen, now, SPAN).failures;
            prop_assert_eq!(window.tally(at(now)).failures, all.min(limit.into()));
            Ok(())
        })?;
    }

    #[test]
    fn failures_in_a_row_within_a_time_are_exact_up_to_the_limit(
        limit in 1u32..20, steps in calls(),
    ) {
        let within = Some(Duration::from_nanos(SPAN));
        let rule = Rule::ConsecutiveFailures { threshold: limit, within };
        let mut window = Window::of(&rule, WindowKind::Sliding);
        replay(&mut window, &steps, |window, seen, now| {
            let row = seen.iter().rev().take_while(|(_, failed)| *failed);
            let young = row.filter(|(at, _)| now - at < SPAN).count() as u64;
            prop_assert_eq!(window.tally(at(now)).failures, young.min(limit.into()));
            Ok(())
        })?;
    }

    #[test]
    fn a_run_booked_at_once_is_the_same_as_booked_one_by_one(
        runs in prop::collection::vec((0..SPAN / 2, any::<u64>(), 0..=30u32), 1..40),
        which in 0usize..6, limit in 1u32..80, kind in prop_oneof![
            Just(WindowKind::Sliding), Just(WindowKind::Tumbling)
        ],
    ) {
        let within = Some(Duration::from_nanos(SPAN));
        let rule = [
            Rule::ConsecutiveFailures { threshold: limit, within: None },
            Rule::ConsecutiveFailures { threshold: limit, within },
            Rule::Failures { threshold: limit, over: span(), full: false },
            over(span()),
            over(Over::Calls(limit)),
            Rule::Adaptive { memory: limit },
        ][which];
        let mut at_once = Window::of(&rule, kind);
        let mut one_by_one = at_once.clone();
        let mut now = 0;
        for (step, hits, length) in runs {
            now += step;
            let run = Run { hits: hits & ((1 << length) - 1), length };
            at_once.record_run(run, at(now));
            run.iter().for_each(|failed| one_by_one.record(failed, at(now)));
            for later in [0, SPAN / 64, SPAN / 2, SPAN - 1, SPAN] {
                prop_assert_eq!(at_once.tally(at(now + later)), one_by_one.tally(at(now + later)));
            }
        }
    }

    #[test]
    fn within_its_room_a_window_of_calls_gets_no_more_hits_than_may_be_missing(
        size in 1u32..100, before in prop::collection::vec(any::<bool>(), 0..200),
        missing in 0u64..40, after in prop::collection::vec(prop::bool::weighted(0.9), 0..200),
    ) {
        let mut window = Window::of(&over(Over::Calls(size)), WindowKind::Sliding);
        before.into_iter().for_each(|failed| window.record(failed, at(0)));
        let (room, most) = (window.room(missing), window.tally(at(0)).failures + missing);
        prop_assert!(room >= missing.min(size.into()));
        let mut hits = 0;
        for failed in after {
            hits += u64::from(failed);
            if hits > room {
                break;
            }
            window.record(failed, at(0));
            prop_assert!(window.tally(at(0)).failures <= most);
        }
    }

    #[test]
    fn a_success_that_is_said_to_change_nothing_changes_nothing(
        steps in calls(), which in 0usize..4, kind in prop_oneof![
            Just(WindowKind::Sliding), Just(WindowKind::Tumbling)
        ],
    ) {
        let within = Some(Duration::from_nanos(SPAN));
        let rule = [
            Rule::ConsecutiveFailures { threshold: 3, within: None },
            Rule::ConsecutiveFailures { threshold: 3, within },
            Rule::Failures { threshold: 3, over: span(), full: false },
            over(span()),
        ][which];
        let mut window = Window::of(&rule, kind);
        replay(&mut window, &steps, |window, _, now| {
            if window.success_changes_nothing() {
                let mut after = window.clone();
                after.record(false, at(now));
                for later in [0, 1, SPAN / 2, SPAN] {
                    let then = at(now.saturating_add(later));
                    prop_assert_eq!(after.tally(then), window.tally(then));
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_full_bucket_counter_neither_overflows_nor_underflows() {
    let mut window = super::Buckets::new(Duration::from_nanos(SPAN));
    window.record(Run::one(true), at(0));
    window.fill_newest(u32::MAX - 1);
    window.record(Run::one(true), at(1));
    window.record(Run::one(true), at(2));
    let most = u64::from(u32::MAX);
    let full = Tally {
        calls: most,
        failures: most,
    };
    assert_eq!(window.tally(at(3)), full);
    assert_eq!(window.tally(at(SPAN)), Tally::default());
}
