//! Hedges: a second attempt beside one that keeps us waiting.

use fusebox_call::Hedge;
use fusebox_call::attempts::{Attempts, Body, End, Moment, Next, RetryResult};
use http::Method;

use crate::kit::{Case, NOT_RETRIABLE, RETRIED, START, moment, ms, returned, status};

/// A call whose second attempt has begun.
fn hedging(case: &Case) -> Attempts {
    let mut attempts = case.begin();
    assert!(attempts.hedge(&case.call(), &moment(), true));
    assert!(attempts.is_hedging());
    attempts
}

fn both() -> Case {
    let mut case = Case::attempts(3);
    case.hedge = Some(Hedge { after: ms(200) });
    case
}

#[test]
fn get_and_head_are_hedged_and_nothing_else() {
    for (method, after) in [
        (Method::GET, Some(ms(200))),
        (Method::HEAD, Some(ms(200))),
        (Method::OPTIONS, None),
        (Method::PUT, None),
        (Method::POST, None),
    ] {
        let case = Case {
            method,
            ..Case::hedged()
        };
        let mut attempts = case.begin();
        assert_eq!(attempts.hedge_after(&case.call()), after);
        let is_begun = attempts.hedge(&case.call(), &moment(), true);
        assert_eq!(is_begun, after.is_some(), "{}", case.method);
    }
}

#[test]
fn a_hedge_takes_a_token_and_counts_as_an_attempt() {
    let case = Case::hedged();
    let attempts = hedging(&case);
    assert_eq!((attempts.number(), case.tokens()), (2, 2));
    assert_eq!(attempts.hedge_after(&case.call()), None, "one of them");

    let mut case = Case::attempts(2);
    case.hedge = Some(Hedge { after: ms(200) });
    let mut attempts = hedging(&case);
    let next = attempts.ended(&case.call(), &status(503), &moment());
    assert_eq!(next, Next::Wait);
    let next = attempts.ended(&case.call(), &status(503), &moment());
    assert_eq!(next, returned(RetryResult::Failure), "two attempts are all");
}

#[test]
fn no_hedge_without_token_place_time_body_or_a_closed_breaker_or_for_an_endpoints_probe() {
    let at = [
        (
            Moment {
                is_closed: false,
                ..moment()
            },
            true,
        ),
        (
            Moment {
                body: Body::Lost,
                ..moment()
            },
            true,
        ),
        (
            Moment {
                used: ms(30_000),
                ..moment()
            },
            true,
        ),
        (
            Moment {
                is_endpoint_probe: true,
                ..moment()
            },
            true,
        ),
        (moment(), false),
    ];
    let case = Case::hedged();
    for (at, has_place) in at {
        assert!(!case.begin().hedge(&case.call(), &at, has_place), "{at:?}");
    }
    assert_eq!(case.tokens(), 4, "five calls have paid for one more");
    let mut attempts = case.begin();
    while case.budget.take(START) {}
    assert!(!attempts.hedge(&case.call(), &moment(), true));
}

#[test]
fn no_hedge_for_a_probe_an_upgrade_or_another_proxys_attempt() {
    let cases = [
        Case {
            is_probe: true,
            ..Case::hedged()
        },
        Case {
            is_upgrade: true,
            ..Case::hedged()
        },
        Case {
            is_attempt: true,
            ..Case::hedged()
        },
        Case {
            hedge: None,
            ..Case::hedged()
        },
        Case {
            hedge: Some(Hedge { after: ms(200) }),
            ..Case::attempts(1)
        },
    ];
    for case in cases {
        assert!(
            !case.begin().hedge(&case.call(), &moment(), true),
            "{case:?}"
        );
    }
}

#[test]
fn the_first_answer_that_is_not_retried_wins() {
    let case = both();
    for winner in [status(200), status(404), status(500)] {
        let mut attempts = hedging(&case);
        let next = attempts.ended(&case.call(), &winner, &moment());
        assert!(matches!(next, Next::Return(Some(_))), "{winner:?}");
        let late = attempts.ended(&case.call(), &status(200), &moment());
        assert_eq!(late, NOT_RETRIABLE, "the other one counts nothing");
    }
}

#[test]
fn an_end_that_would_be_retried_waits_for_the_other_attempt() {
    for end in [
        status(503),
        End::ConnectError,
        End::Reset,
        End::TimedOut,
        End::NotProcessed,
        End::OwnFault,
    ] {
        let case = both();
        let mut attempts = hedging(&case);
        let next = attempts.ended(&case.call(), &end, &moment());
        assert_eq!(next, Next::Wait, "{end:?}");
        let next = attempts.ended(&case.call(), &status(200), &moment());
        assert_eq!(next, returned(RetryResult::Success), "{end:?}");
    }
}

#[test]
fn after_two_failures_the_call_is_retried_as_ever() {
    let case = both();
    let mut attempts = hedging(&case);
    let _ = attempts.ended(&case.call(), &status(503), &moment());
    let next = attempts.ended(&case.call(), &status(503), &moment());
    assert_eq!(next, Next::RetryAfter(ms(50)));
    let _ = attempts.after_backoff(&case.call(), ms(150), true, true);
    assert_eq!(attempts.number(), 3);
    let next = attempts.ended(&case.call(), &status(503), &moment());
    assert_eq!(next, returned(RetryResult::Failure));
}

#[test]
fn without_retry_a_hedged_answer_wins_whatever_it_is() {
    let case = Case::hedged();
    let mut attempts = hedging(&case);
    let next = attempts.ended(&case.call(), &status(503), &moment());
    assert_eq!(next, returned(RetryResult::Failure));
}

#[test]
fn a_client_that_leaves_ends_both_attempts() {
    let case = Case::hedged();
    let mut attempts = hedging(&case);
    let next = attempts.ended(&case.call(), &End::ClientFault, &moment());
    assert_eq!(next, returned(RetryResult::Left));
}

#[test]
fn a_repeat_may_be_hedged_too() {
    let case = both();
    let mut attempts = case.begin();
    assert_eq!(
        attempts.ended(&case.call(), &status(503), &moment()),
        RETRIED
    );
    assert_eq!(attempts.hedge_after(&case.call()), None, "not in a pause");
    let _ = attempts.after_backoff(&case.call(), ms(150), true, true);
    assert!(attempts.hedge(&case.call(), &moment(), true));
    assert_eq!(attempts.number(), 3);
}
