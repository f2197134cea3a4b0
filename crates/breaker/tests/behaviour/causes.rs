//! Causes: a trip's reason says of what kinds its failures were.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fusebox_breaker::{
    Breaker, Call, Cause, Guard, OnAbandoned, Outcome, Over, Ratio, Rule, Settings, Transition,
};

use crate::kit::*;

const REFUSED: Cause = Cause::Word("refused");

fn fail_by(breaker: &Breaker, cause: Cause, millis: u64) -> Option<Transition> {
    let permit = breaker.admit(at(millis)).expect("passes");
    permit.record(Call::from(Outcome::Failure).because(cause), at(millis))
}

fn fail_by_all(breaker: &Breaker, causes: &[Cause]) -> String {
    let mut trip = None;
    for cause in causes {
        trip = fail_by(breaker, *cause, 0);
    }
    let trip = trip.expect("trips at the last failure");
    trip.reason.to_string()
}

#[test]
fn a_row_of_failures_tells_the_cause_of_each() {
    let status = Cause::Status(500);
    let breaker = breaker(in_a_row(5));
    fail_by(&breaker, Cause::Status(404), 0);
    succeed(&breaker, 0);
    let reason = fail_by_all(&breaker, &[REFUSED, status, REFUSED, status, REFUSED]);
    let told = "5 consecutive failures: 3 × refused, 2 × 500 (the limit is 5)";
    assert_eq!(reason, told);
    assert_eq!(
        breaker.snapshot(at(0)).reason.map(|it| it.to_string()),
        Some(told.into())
    );
    assert!(breaker.explain(at(0)).to_string().contains(told));
}

#[test]
fn a_rate_tells_the_last_ten_failures() {
    let breaker = breaker(by_rule(Rule::FailureRate {
        rate: Ratio::percent(50),
        over: Over::Calls(20),
        min_calls: 20,
    }));
    for _ in 0..8 {
        succeed(&breaker, 0);
    }
    let mut causes = vec![REFUSED; 2];
    causes.extend([Cause::Status(503); 10]);
    assert_eq!(
        fail_by_all(&breaker, &causes),
        "60% of 20 calls failed, the limit is 50%; the last 10 failures: 10 × 503"
    );
}

#[test]
fn a_long_row_tells_what_is_remembered_of_it() {
    let breaker = breaker(in_a_row(40));
    assert_eq!(
        fail_by_all(&breaker, &[REFUSED; 40]),
        "40 consecutive failures, the last 32: 32 × refused (the limit is 40)"
    );
}

#[test]
fn failures_without_a_cause_are_unknown_beside_those_with_one() {
    let breaker = breaker(in_a_row(3));
    fail(&breaker, 0);
    fail_by(&breaker, REFUSED, 0);
    let trip = fail(&breaker, 0).unwrap();
    assert_eq!(
        trip.reason.to_string(),
        "3 consecutive failures, the last 2: 1 × unknown, 1 × refused (the limit is 3)"
    );
}

#[test]
fn failures_that_came_before_the_first_known_cause_of_a_row_are_not_among_the_last() {
    for rests in [false, true] {
        let breaker = breaker(in_a_row(3));
        fail_by(&breaker, REFUSED, 0);
        succeed(&breaker, 0);
        if rests {
            breaker.rest(at(0));
        }
        (0..2).for_each(|_| drop(fail(&breaker, 0)));
        assert_eq!(
            fail_by_all(&breaker, &[Cause::Status(500)]),
            "3 consecutive failures, the last 1: 1 × 500 (the limit is 3)"
        );
    }
}

#[test]
fn a_reopening_tells_the_probes_failures_alone() {
    let breaker = breaker(in_a_row(1));
    fail_by(&breaker, REFUSED, 0);
    let reopened = fail_by(&breaker, Cause::Status(502), 1_000).unwrap();
    assert_eq!(
        reopened.reason.to_string(),
        "1 of 1 answered probes failed: 1 × 502"
    );
}

#[test]
fn causes_are_forgotten_with_the_windows() {
    let breaker = breaker(by_rule(Rule::Failures {
        threshold: 3,
        over: Over::Calls(10),
        full: false,
    }));
    fail_by_all(&breaker, &[REFUSED; 3]);
    succeed(&breaker, 1_000);
    fail(&breaker, 1_000);
    assert_eq!(
        fail_by_all(&breaker, &[Cause::Status(500); 2]),
        "3 failures in the last 10 calls, the last 2: 2 × 500 (the limit is 3)"
    );
}

#[test]
fn a_panic_and_a_call_given_up_are_causes_of_their_own() {
    let settings = Settings {
        on_abandoned: OnAbandoned::FailureAfter(Duration::from_nanos(1)),
        ..in_a_row(3)
    };
    let guard = Guard::of(breaker(settings));
    for _ in 0..2 {
        let call = || -> Result<(), ()> { panic!("the call's own") };
        catch_unwind(AssertUnwindSafe(|| guard.call(call))).unwrap_err();
    }
    {
        let call = guard.call_async(std::future::pending::<Result<(), ()>>);
        let mut call = std::pin::pin!(call);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    let reason = guard.breaker().snapshot(guard.now()).reason.unwrap();
    assert_eq!(
        reason.to_string(),
        "3 consecutive failures: 2 × panicked, 1 × abandoned (the limit is 3)"
    );
}
