//! Whose panic it is: only one that unwinds out of a call's own code says something about the other side.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fusebox_breaker::{ErrorsFail, Guard, OnAbandoned, Phase, Settings, Totals};

use crate::kit::*;
use crate::ways_in::Hand;

type HandGuard = Guard<ErrorsFail, Arc<Hand>>;
type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn guard(settings: Settings) -> (HandGuard, Arc<Hand>) {
    let hand = Arc::new(Hand::default());
    (Guard::of(breaker(settings)).clock(hand.clone()), hand)
}

fn poll(task: &mut Task<'_>) -> Poll<()> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn hangs(guard: &HandGuard) -> Task<'_> {
    Box::pin(async {
        let _ = guard.call_async(pending::<Result<(), ()>>).await;
    })
}

fn totals(guard: &HandGuard) -> Totals {
    guard.breaker().snapshot(guard.now()).totals
}

/// Five calls in flight in the hands of somebody who then panics.
fn dropped_by_a_panic(mut calls: Vec<Task<'_>>) {
    let caught = catch_unwind(AssertUnwindSafe(move || {
        assert!(calls.iter_mut().all(|call| poll(call).is_pending()));
        panic!("a fault of the task's own");
    }));
    assert!(caught.is_err());
}

#[test]
fn calls_in_flight_in_a_task_that_panics_for_its_own_reason_do_not_open_the_breaker() {
    let (guard, _) = guard(in_a_row(1));
    dropped_by_a_panic((0..5).map(|_| hangs(&guard)).collect());
    assert_eq!(guard.breaker().snapshot(at(0)).phase, Phase::Closed);
    assert_eq!((totals(&guard).ignored, totals(&guard).failures), (5, 0));
}

#[test]
fn a_call_in_flight_in_a_task_that_panics_after_so_long_was_abandoned() {
    let (guard, hand) = guard(Settings {
        on_abandoned: OnAbandoned::FailureAfter(ms(100)),
        ..in_a_row(5)
    });
    let task: Task<'_> = Box::pin(async {
        let _ = guard
            .call_async(|| async {
                hand.set(100);
                pending::<Result<(), ()>>().await
            })
            .await;
    });
    dropped_by_a_panic(vec![task]);
    assert_eq!((totals(&guard).ignored, totals(&guard).failures), (0, 1));
}

#[test]
fn of_two_calls_in_one_task_only_the_one_that_panics_counts() {
    let (guard, _) = guard(in_a_row(3));
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let mut other = hangs(&guard);
        assert!(poll(&mut other).is_pending());
        let _ = guard.call(|| -> Result<(), ()> { panic!("the call went wrong") });
    }));
    assert!(caught.is_err());
    assert_eq!((totals(&guard).ignored, totals(&guard).failures), (1, 1));
}

#[test]
fn a_call_whose_later_poll_panics_counts_though_its_future_is_kept() {
    let (guard, _) = guard(in_a_row(1));
    let polls = std::cell::Cell::new(0);
    let mut call: Task<'_> = Box::pin(async {
        let goes_wrong = std::future::poll_fn(|_| -> Poll<Result<(), ()>> {
            polls.set(polls.get() + 1);
            assert!(polls.get() < 2, "the call went wrong");
            Poll::Pending
        });
        let _ = guard.call_async(|| goes_wrong).await;
    });
    assert!(poll(&mut call).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut call))).is_err());
    assert_eq!(guard.breaker().snapshot(at(0)).phase, Phase::Open);
}

/// Calls while it is dropped.
struct Farewell<'a>(&'a HandGuard);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        assert_eq!(self.0.call(|| Ok::<_, ()>(7)), Ok(7));
        assert!(self.0.call(|| Err::<(), _>("down")).is_err());
    }
}

#[test]
fn calls_made_while_the_thread_panics_count_as_they_end() {
    let (guard, _) = guard(in_a_row(3));
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _farewell = Farewell(&guard);
        panic!("a fault of the task's own");
    }));
    assert!(caught.is_err());
    assert_eq!(totals(&guard).failures, 1);
}

#[test]
fn a_classifier_that_panics_says_nothing_about_the_other_side() {
    let (guard, _) = guard(in_a_row(1));
    let guard = guard.classifier(|_: &Result<(), ()>| -> fusebox_breaker::Outcome {
        panic!("the classifier went wrong")
    });
    assert!(catch_unwind(AssertUnwindSafe(|| guard.call(|| Ok(())))).is_err());
    assert_eq!(guard.breaker().snapshot(at(0)).phase, Phase::Closed);
}

#[cfg(feature = "tower")]
mod in_a_layer {
    use fusebox_breaker::BreakerLayer;
    use tower_layer::Layer;
    use tower_service::Service;

    use super::*;

    /// Hangs, or panics in the part of it that the request says.
    #[derive(Clone)]
    struct Inner;

    #[derive(Clone, Copy, PartialEq)]
    enum Request {
        Hang,
        PanicAtOnce,
        PanicLater,
    }

    impl Service<Request> for Inner {
        type Response = ();
        type Error = &'static str;
        type Future = Pin<Box<dyn Future<Output = Result<(), &'static str>>>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request) -> Self::Future {
            assert!(request != Request::PanicAtOnce, "the call went wrong");
            Box::pin(async move {
                assert!(request != Request::PanicLater, "the call went wrong");
                pending().await
            })
        }
    }

    fn task(guard: &HandGuard, request: Request) -> Task<'static> {
        let call = BreakerLayer::new(guard.clone()).layer(Inner).call(request);
        Box::pin(async {
            let _ = call.await;
        })
    }

    #[test]
    fn a_layers_calls_in_flight_in_a_task_that_panics_do_not_open_the_breaker() {
        let (guard, _) = guard(in_a_row(1));
        dropped_by_a_panic((0..5).map(|_| task(&guard, Request::Hang)).collect());
        assert_eq!((totals(&guard).ignored, totals(&guard).failures), (5, 0));
    }

    #[test]
    fn a_layers_call_that_panics_counts_though_its_future_is_kept() {
        for request in [Request::PanicAtOnce, Request::PanicLater] {
            let (guard, _) = guard(in_a_row(1));
            let mut call = task(&guard, request);
            assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut call))).is_err());
            assert_eq!(guard.breaker().snapshot(at(0)).phase, Phase::Open);
        }
    }

    #[test]
    fn a_layers_classifier_that_panics_frees_its_probes_place_though_the_future_is_kept() {
        let (guard, hand) = guard(in_a_row(1));
        assert!(guard.call(|| Err::<(), _>("down")).is_err());
        hand.set(1_000);
        let panics = |_: &Result<(), &'static str>| -> fusebox_breaker::Outcome {
            panic!("the classifier went wrong")
        };
        let layer = BreakerLayer::new(guard.clone().classifier(panics));
        let inner = tower::service_fn(|()| std::future::ready(Ok::<_, &'static str>(())));
        let mut call = Box::pin(layer.layer(inner).call(()));
        assert!(guard.breaker().admit(at(1_000)).is_err(), "it is the probe");
        let mut context = Context::from_waker(Waker::noop());
        let polled = AssertUnwindSafe(|| call.as_mut().poll(&mut context));
        assert!(catch_unwind(polled).is_err());
        assert!(admit(guard.breaker(), 1_000).is_probe());
    }

    #[test]
    fn a_layers_calls_given_up_by_an_outer_timeout_trip_after_so_long() {
        let (guard, hand) = guard(Settings {
            on_abandoned: OnAbandoned::FailureAfter(ms(1_000)),
            ..in_a_row(2)
        });
        for (began, lasted) in [(0, 999), (10_000, 1_000), (20_000, 1_000)] {
            assert_eq!(guard.breaker().snapshot(at(began)).phase, Phase::Closed);
            hand.set(began);
            let mut call = task(&guard, Request::Hang);
            assert!(poll(&mut call).is_pending());
            hand.set(began + lasted);
            drop(call);
        }
        assert_eq!(guard.breaker().snapshot(at(21_000)).phase, Phase::Open);
    }

    #[test]
    fn a_layers_callers_that_come_and_leave_in_turn_do_not_hide_a_stalled_call() {
        let (guard, hand) = guard(by_rule(fusebox_breaker::Rule::Stalled {
            calls: 1,
            longer_than: ms(500),
        }));
        for (began, phase) in [(0, Phase::Closed), (10_000, Phase::Open)] {
            hand.set(began);
            let mut call = task(&guard, Request::Hang);
            assert!(poll(&mut call).is_pending());
            hand.set(began + 500 + u64::from(phase == Phase::Open));
            drop(call);
            assert_eq!(guard.breaker().snapshot(guard.now()).phase, phase);
        }
    }
}
