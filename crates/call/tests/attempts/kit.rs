//! A call under test: its settings, and the moment of its next decision.

use std::time::Duration;

use fusebox_breaker::{Outcome, Timestamp};
use fusebox_call::attempts::{
    Answer, Attempts, Body, Call, End, Moment, Next, Repeats, Resume, RetryResult,
};
use fusebox_call::budget::RetryBudget;
use fusebox_call::{Budget, Hedge, Retry};
use http::{Method, StatusCode};

pub const START: Timestamp = Timestamp::from_secs(1_000);

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A call with a retry of two attempts, a GET unless it is changed.
#[derive(Debug)]
pub struct Case {
    pub method: Method,
    pub retry: Option<Retry>,
    pub hedge: Option<Hedge>,
    pub is_configured: bool,
    pub is_upgrade: bool,
    pub is_attempt: bool,
    pub is_probe: bool,
    pub total: Duration,
    pub budget: RetryBudget,
}

impl Case {
    pub fn of(method: Method) -> Case {
        Case {
            method,
            retry: Some(Retry::default()),
            hedge: None,
            is_configured: true,
            is_upgrade: false,
            is_attempt: false,
            is_probe: false,
            total: ms(30_000),
            budget: RetryBudget::new(Budget::default(), START),
        }
    }

    pub fn attempts(attempts: u32) -> Case {
        let mut case = Case::of(Method::GET);
        case.retry.as_mut().unwrap().attempts = attempts;
        case
    }

    pub fn hedged() -> Case {
        Case {
            hedge: Some(Hedge { after: ms(200) }),
            retry: None,
            ..Case::of(Method::GET)
        }
    }

    pub fn retry(&mut self) -> &mut Retry {
        self.retry.as_mut().unwrap()
    }

    pub fn call(&self) -> Call<'_> {
        let repeats = Repeats {
            retry: self.retry.as_ref(),
            hedge: self.hedge,
            budget: &self.budget,
        };
        Call {
            method: &self.method,
            is_upgrade: self.is_upgrade,
            is_attempt: self.is_attempt,
            is_probe: self.is_probe,
            request_timeout: ms(10_000),
            total: self.total,
            repeats: self.is_configured.then_some(repeats),
        }
    }

    pub fn begin(&self) -> Attempts {
        Attempts::begin(&self.call(), START)
    }

    /// The decision after a first attempt.
    pub fn first(&self, end: End, at: Moment) -> Next {
        self.begin().ended(&self.call(), &end, &at)
    }

    /// Ends attempts one after another, each of them with a pause before the next; the number made and the result.
    pub fn course(&self, ends: &[End]) -> (usize, Option<RetryResult>) {
        let mut attempts = self.begin();
        for (index, end) in ends.iter().enumerate() {
            match attempts.ended(&self.call(), end, &moment()) {
                Next::Return(result) => return (index + 1, result),
                Next::RepeatFree => {}
                Next::RetryAfter(_) => {
                    let resumed = attempts.after_backoff(&self.call(), ms(0), true, true);
                    assert_eq!(resumed, Resume::Attempt);
                }
                Next::Wait => panic!("nothing else is in flight"),
            }
        }
        panic!("more attempts than ends")
    }

    pub fn tokens(&self) -> u32 {
        self.budget.tokens(START)
    }
}

/// A moment in which nothing speaks against a repeat, with the longest pause.
pub fn moment() -> Moment {
    Moment {
        now: START,
        used: ms(100),
        is_closed: true,
        body: Body::None,
        is_endpoint_probe: false,
        draw: 1.0,
    }
}

/// An answer that is judged by its status alone.
pub fn status(status: u16) -> End {
    let judged = if status >= 500 {
        Outcome::Failure
    } else {
        Outcome::Success
    };
    End::Answered(answer(status, judged))
}

pub fn answer(status: u16, judged: Outcome) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        judged,
        retry_after: None,
        is_from_fusebox: false,
        is_long: false,
        grpc_status: None,
        is_final: false,
    }
}

pub const RETRIED: Next = Next::RetryAfter(ms(25));
pub const NOT_RETRIABLE: Next = Next::Return(None);

pub const fn returned(result: RetryResult) -> Next {
    Next::Return(Some(result))
}
