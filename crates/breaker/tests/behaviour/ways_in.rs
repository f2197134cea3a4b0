//! A call in one line: closures and futures behind a breaker.

use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use fusebox_breaker::{
    Call, CallError, Clock, Guard, OnPanic, Outcome, Over, Phase, Ratio, Rule, Timestamp,
    machine::SettledAs,
};

use crate::kit::{at, breaker, by_rule, in_a_row, ms, tripped};

/// A clock that is set by hand, in milliseconds.
#[derive(Default)]
pub struct Hand(AtomicU64);

impl Hand {
    pub fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::Relaxed))
    }
}

/// Polls a future once that needs no waiting.
pub fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn a_closure_is_called_only_when_the_breaker_lets_it_pass() {
    let guard = Guard::of(breaker(in_a_row(1))).clock(Arc::new(Hand::default()));
    assert_eq!(guard.call(|| Ok::<_, &str>(7)), Ok(7));
    assert_eq!(
        guard.call(|| Err::<u32, _>("down")),
        Err(CallError::Failed("down"))
    );
    let refused = guard.call(|| -> Result<u32, &str> { unreachable!("the breaker is open") });
    let Err(CallError::Rejected(rejection)) = &refused else {
        panic!("refused: {refused:?}");
    };
    assert_eq!(rejection.retry_at, Some(at(1_000)));
    assert_eq!(rejection.wait(guard.now()), Some(ms(1_000)));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "breaker `orders` is open: 1 consecutive failure, the limit is 1; retry in 1s"
    );
}

#[test]
fn a_future_is_made_only_when_the_breaker_lets_it_pass() {
    let guard = Guard::of(breaker(in_a_row(1))).clock(Arc::new(Hand::default()));
    assert_eq!(
        now_or_never(guard.call_async(|| ready(Ok::<_, &str>(7)))),
        Some(Ok(7))
    );
    let failed = now_or_never(guard.call_async(|| ready(Err::<u32, _>("down"))));
    assert_eq!(failed, Some(Err(CallError::Failed("down"))));
    let refused = now_or_never(
        guard.call_async(|| -> std::future::Ready<Result<u32, &str>> {
            unreachable!("the breaker is open")
        }),
    );
    assert!(matches!(refused, Some(Err(CallError::Rejected(_)))));
}

#[test]
fn a_future_dropped_before_its_end_is_ignored_and_frees_its_place() {
    let clock = Arc::new(Hand::default());
    let guard = Guard::of(tripped(in_a_row(1), 0)).clock(clock.clone());
    clock.set(1_000);
    assert_eq!(
        now_or_never(guard.call_async(pending::<Result<(), ()>>)),
        None
    );
    let last = *guard.breaker().snapshot(at(1_000)).outcomes.last().unwrap();
    assert_eq!(last.counted, SettledAs::Ignored);
    assert_eq!(guard.call(|| Ok::<_, ()>(())), Ok(()));
    assert_eq!(guard.breaker().snapshot(at(1_000)).phase, Phase::Closed);
}

/// A call that begins at 100 ms and panics at 400 ms; when a breaker that trips at once would open until.
fn opened_by_a_panic(on_panic: OnPanic, asynchronously: bool) -> Option<Timestamp> {
    let mut settings = in_a_row(1);
    settings.on_panic = on_panic;
    let clock = Arc::new(Hand::default());
    let guard = Guard::of(breaker(settings)).clock(clock.clone());
    clock.set(100);
    let goes_wrong = || -> Result<(), ()> {
        clock.set(400);
        panic!("the call went wrong")
    };
    let caught = catch_unwind(AssertUnwindSafe(|| {
        if asynchronously {
            let _ = now_or_never(guard.call_async(|| async { goes_wrong() }));
        } else {
            let _ = guard.call(goes_wrong);
        }
    }));
    assert!(caught.is_err(), "the panic goes on");
    guard.breaker().snapshot(at(400)).retry_at
}

#[test]
fn a_panic_is_a_failure_at_its_own_time_or_nothing_as_the_settings_say() {
    for asynchronously in [false, true] {
        let opened = |on_panic| opened_by_a_panic(on_panic, asynchronously);
        assert_eq!(opened(OnPanic::Failure), Some(at(1_400)));
        assert_eq!(opened(OnPanic::Ignored), None);
    }
}

#[test]
fn a_classifier_says_what_a_result_means() {
    let guard = Guard::of(breaker(in_a_row(1)))
        .clock(Arc::new(Hand::default()))
        .classifier(|result: &Result<u16, &str>| match result {
            Ok(500..) => Outcome::Failure,
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Ignored,
        });
    assert_eq!(
        guard.call(|| Err("our own fault")),
        Err(CallError::Failed("our own fault"))
    );
    assert_eq!(guard.call(|| Ok(404)), Ok(404));
    assert_eq!(guard.breaker().snapshot(at(0)).phase, Phase::Closed);
    assert_eq!(guard.call(|| Ok(503)), Ok(503));
    assert_eq!(guard.breaker().snapshot(at(0)).phase, Phase::Open);
}

#[test]
fn a_calls_duration_is_measured_unless_the_classifier_knows_better() {
    let slow = by_rule(Rule::SlowRate {
        rate: Ratio::ONE,
        slower_than: ms(100),
        over: Over::Calls(2),
        min_calls: 2,
    });
    let clock = Arc::new(Hand::default());
    let guard = Guard::of(breaker(slow)).clock(clock.clone());
    let lasts_150ms = || -> Result<(), ()> {
        clock.set(clock.now().as_nanos() / 1_000_000 + 150);
        Ok(())
    };
    assert!(guard.call(lasts_150ms).is_ok());
    assert_eq!(guard.breaker().snapshot(clock.now()).rules[0].failures, 1);
    let knows = |_: &Result<(), ()>| Call::from(Outcome::Success).lasting(ms(1));
    assert!(guard.clone().classifier(knows).call(lasts_150ms).is_ok());
    assert_eq!(guard.breaker().snapshot(clock.now()).rules[0].failures, 1);
}
