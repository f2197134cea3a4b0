//! Many threads at once: exact numbers, whatever the interleaving.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use fusebox_breaker::{
    HoldKind, Outcome, Over, OwnedPermit, Ratio, Rule, Settings, machine::SettledAs,
};

use crate::kit::*;

const THREADS: usize = 8;

/// Runs `work` in every thread at once.
fn together<R: Send>(work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        let spawn = |index| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(index)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, R>| thread.join().unwrap();
        threads.into_iter().map(join).collect()
    })
}

#[test]
fn of_ten_thousand_callers_at_the_cooldowns_end_exactly_the_allowed_number_passes() {
    for probes in [1, 3, 50] {
        let breaker = tripped(probing(probes, 1_000), 0);
        let admitted: Vec<Vec<OwnedPermit>> = together(|_| {
            let ask = |_| breaker.admit_owned(at(1_000)).ok();
            (0..10_000 / THREADS).filter_map(ask).collect()
        });
        let admitted: Vec<_> = admitted.into_iter().flatten().collect();
        assert_eq!(admitted.len(), probes as usize);
        assert!(admitted.iter().all(OwnedPermit::is_probe));
    }
}

#[test]
fn at_no_time_are_more_probes_in_flight_than_allowed() {
    let breaker = tripped(probing(3, u32::MAX), 0);
    let (in_flight, sent) = (AtomicUsize::new(0), AtomicUsize::new(0));
    together(|_| {
        for _ in 0..5_000 {
            if let Ok(probe) = breaker.admit(at(1_000)) {
                assert!(in_flight.fetch_add(1, Ordering::SeqCst) < 3);
                sent.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
                in_flight.fetch_sub(1, Ordering::SeqCst);
                probe.record(Outcome::Success, at(1_000));
            }
        }
    });
    assert!(sent.into_inner() > 0);
}

/// Fails from all threads until refused; returns the failures that were counted.
fn failures_until_open(settings: Settings) -> (u64, usize) {
    let (breaker, recorder) = recorded(settings);
    let counted = together(|_| {
        let mut counted = 0;
        while let Ok(permit) = breaker.admit(at(1)) {
            let settled = permit.settle(Outcome::Failure, at(1));
            counted += u64::from(settled.counted == SettledAs::Failure);
        }
        counted
    });
    (counted.into_iter().sum(), recorder.heard().len())
}

#[test]
fn failures_of_many_threads_trip_at_exactly_the_threshold_and_once() {
    assert_eq!(failures_until_open(in_a_row(10_000)), (10_000, 1));
    let within = Rule::Failures {
        threshold: 5_000,
        over: Over::Time(ms(1_000)),
        full: false,
    };
    assert_eq!(failures_until_open(by_rule(within)), (5_000, 1));
    let rate = Rule::FailureRate {
        rate: Ratio::ONE,
        over: Over::Calls(4_096),
        min_calls: 4_096,
    };
    assert_eq!(failures_until_open(by_rule(rate)), (4_096, 1));
}

#[test]
fn successes_of_many_threads_are_each_settled_once_and_trip_nothing() {
    let breaker = breaker(in_a_row(2));
    let counted = together(|_| {
        let mut counted = 0;
        for time in 0..20_000 {
            let permit = breaker.admit(at(time)).unwrap();
            let settled = permit.settle(Outcome::Success, at(time));
            counted += u64::from(settled.counted == SettledAs::Success);
        }
        counted
    });
    assert_eq!(counted.into_iter().sum::<u64>(), 8 * 20_000);
    assert_eq!(breaker.snapshot(at(20_000)).generation, 0);
}

#[test]
fn nobody_passes_before_the_cooldowns_end_while_the_breaker_flaps() {
    let breaker = breaker(in_a_row(3));
    let clock = AtomicU64::new(0);
    together(|index| {
        for _ in 0..20_000 {
            let now = clock.fetch_add(1, Ordering::SeqCst);
            match breaker.admit(at(now)) {
                Ok(permit) => {
                    let outcome = if index % 2 == 0 || permit.is_probe() {
                        Outcome::Failure
                    } else {
                        Outcome::Success
                    };
                    if let Some(trip) = permit.record(outcome, at(now)) {
                        assert!(trip.retry_at.is_none_or(|until| until > trip.at));
                    }
                }
                Err(rejection) => assert!(rejection.retry_at.unwrap() > at(now)),
            }
        }
    });
    let recent = breaker.snapshot(at(clock.load(Ordering::SeqCst))).recent;
    for pair in recent.windows(2) {
        assert_eq!(pair[0].generation + 1, pair[1].generation);
        if let (Some(until), "cooldown_ended") = (pair[0].retry_at, pair[1].reason.token()) {
            assert!(pair[1].at >= until);
        }
    }
}

#[test]
fn a_hold_wins_against_every_racing_outcome() {
    for _ in 0..200 {
        let breaker = breaker(in_a_row(1));
        together(|index| {
            if index == 0 {
                breaker.hold(hold(HoldKind::Open, None), at(1));
            } else if let Ok(permit) = breaker.admit(at(1)) {
                permit.record(Outcome::Failure, at(1));
            }
        });
        assert_eq!(
            refuse_reason(&breaker),
            fusebox_breaker::RejectReason::HeldOpen
        );
    }
}

fn refuse_reason(breaker: &fusebox_breaker::Breaker) -> fusebox_breaker::RejectReason {
    refused(breaker, 90_000).reason
}
