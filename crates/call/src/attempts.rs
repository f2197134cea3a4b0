//! The attempts of one call: whether another one follows an end, when, and why not.
//!
//! # Order
//! After the end of an attempt the caller asks [`Attempts::ended`]. A repeat looks at the breaker, the request's body, the
//! answer's length and the time left, takes its token from the budget and then pauses; [`Attempts::after_backoff`] looks at
//! the breaker and the bulkhead's place again. The answer that failed is kept over the pause, because it goes out if the
//! repeat is called off.
//!
//! # Free repeats
//! A request that the upstream did not process is sent again once, without `retry`, token or pause, in whatever state the
//! breaker is.
//!
//! # Hedges
//! A GET or HEAD that waits for a head gets a second attempt from [`Attempts::hedge`]. The first answer that is not
//! retried wins; the other attempt is cancelled and counts nowhere. While one is still in flight, the other one's end
//! without such an answer is [`Next::Wait`].
//!
//! # Results
//! A call that could have been retried has one [`RetryResult`], given with its end.

mod backoff;
mod facts;
mod result;

use std::time::Duration;

use fusebox_breaker::{Outcome, Timestamp};
use http::{Method, StatusCode};

pub use facts::{Answer, Body, Call, End, Moment, Repeats};
pub use result::RetryResult;

use crate::settings::Retry;

/// The bytes of a failed answer's body that are kept over a pause; a longer answer is not retried.
pub const ANSWER_KEPT_MAX: usize = 64 * 1024;

/// The most attempts of a call that is hedged but not retried.
const HEDGED_ATTEMPTS: u32 = 2;

/// The attempts of one call, from the first on. Holds no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Attempts {
    state: State,
    /// The attempts that were begun, without the free repeat.
    made: u32,
    is_free_used: bool,
    is_hedged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// One attempt is in flight.
    Attempting,
    /// Two attempts are in flight.
    Hedging,
    /// A repeat is paid for, and waits.
    Pausing,
    /// The call has its answer.
    Returned,
}

/// The course after the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// This end is the call's: its answer goes to the client, or our own where there is none. The result is to be
    /// counted, unless the call could not have been retried.
    Return(Option<RetryResult>),
    /// Send the same request again at once, on a new connection.
    RepeatFree,
    /// Keep the answer, give the place back, wait this long, then ask [`Attempts::after_backoff`]. The token is taken.
    RetryAfter(Duration),
    /// Drop this end and wait for the other attempt in flight.
    Wait,
}

/// The course after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Resume {
    /// Drop the answer that was kept and begin the next attempt, at another endpoint if there is one.
    Attempt,
    /// The answer that was kept goes out, with this result; without one if the call was not in a pause.
    Return(Option<RetryResult>),
}

impl Attempts {
    /// The first attempt of a call. Pays the call's part into the budget.
    pub fn begin(call: &Call<'_>, now: Timestamp) -> Attempts {
        if let Some(repeats) = &call.repeats {
            repeats.budget.deposit(now);
        }
        Attempts {
            state: State::Attempting,
            made: 1,
            is_free_used: false,
            is_hedged: false,
        }
    }

    /// The number of the attempt that was begun last, from 1: above 1, the value of `Fusebox-Attempt`. A free repeat has
    /// the number of the attempt that it replaces.
    pub const fn number(&self) -> u32 {
        self.made
    }

    /// True while two attempts are in flight.
    pub const fn is_hedging(&self) -> bool {
        matches!(self.state, State::Hedging)
    }

    /// The time limit of an attempt that begins after `used` of `timeout.total`: `per_try`, `timeout.request` and the rest
    /// of the total, whichever is shortest. At its end the attempt is [`End::TimedOut`].
    pub fn limit(call: &Call<'_>, used: Duration) -> Duration {
        let per_try = call.retry().and_then(|retry| retry.per_try);
        let own = per_try.map_or(call.request_timeout, |it| it.min(call.request_timeout));
        own.min(call.total.saturating_sub(used))
    }

    /// Decides what follows the end of an attempt. Takes the token of a repeat. Once the call has returned, every end is
    /// returned without a result.
    pub fn ended(&mut self, call: &Call<'_>, end: &End, at: &Moment) -> Next {
        match self.state {
            State::Attempting => self.decide(call, end, at),
            State::Hedging => {
                self.state = State::Attempting;
                if end.is_no_answer() || self.is_wanted(call, end, at) {
                    Next::Wait
                } else {
                    self.finish(end)
                }
            }
            State::Pausing | State::Returned => {
                self.state = State::Returned;
                Next::Return(None)
            }
        }
    }

    /// Decides after a pause: the breaker is looked at again, and under a bulkhead the repeat needs a new place.
    pub fn after_backoff(
        &mut self,
        call: &Call<'_>,
        used: Duration,
        is_closed: bool,
        has_place: bool,
    ) -> Resume {
        if self.state != State::Pausing {
            return Resume::Return(None);
        }
        let denied = if !is_closed {
            Some(RetryResult::BreakerOpen)
        } else if used >= call.total {
            Some(RetryResult::Total)
        } else if !has_place {
            Some(RetryResult::Bulkhead)
        } else {
            None
        };
        if denied.is_some() {
            self.state = State::Returned;
            return Resume::Return(denied);
        }
        self.state = State::Attempting;
        self.made += 1;
        Resume::Attempt
    }

    /// Ends a pause because the answer turned out to be longer than [`ANSWER_KEPT_MAX`]: it goes out, or its place is
    /// taken by a rung of the ladder.
    pub fn answer_too_long(&mut self) -> RetryResult {
        self.state = State::Returned;
        RetryResult::TooLong
    }

    /// Ends a pause because the answer had not come whole when what was left of `timeout.total` was over: it goes out as it
    /// comes.
    pub fn answer_too_late(&mut self) -> RetryResult {
        self.state = State::Returned;
        RetryResult::Total
    }

    /// Ends the call because its client has left; the result, if it could have been retried. In a pause the outcome of the
    /// last attempt stays.
    pub fn client_left(&mut self) -> Option<RetryResult> {
        let state = std::mem::replace(&mut self.state, State::Returned);
        let is_retried = self.made > 1 && state != State::Returned;
        (is_retried || state == State::Pausing).then_some(RetryResult::Left)
    }

    /// The time without a head after which [`hedge`](Attempts::hedge) is worth asking; `None`: never for this call.
    pub fn hedge_after(&self, call: &Call<'_>) -> Option<Duration> {
        let repeats = call.repeats.as_ref()?;
        let attempts = call.retry().map_or(HEDGED_ATTEMPTS, |it| it.attempts);
        let is_fit = self.state == State::Attempting
            && !self.is_hedged
            && self.made < attempts
            && call.is_repeatable()
            && !call.is_probe
            && matches!(*call.method, Method::GET | Method::HEAD);
        let hedge = repeats.hedge?;
        is_fit.then_some(hedge.after)
    }

    /// Decides on one more attempt at another endpoint, beside the one in flight. Takes its token. Under a bulkhead it
    /// needs a place of its own. The probe of an ejected endpoint is not hedged: cut off each time, it would never find out
    /// whether the endpoint is well.
    #[must_use]
    pub fn hedge(&mut self, call: &Call<'_>, at: &Moment, has_place: bool) -> bool {
        let (Some(_), Some(repeats)) = (self.hedge_after(call), &call.repeats) else {
            return false;
        };
        let is_fit = at.is_closed && has_place && at.body != Body::Lost && at.used < call.total;
        if !is_fit || at.is_endpoint_probe || !repeats.budget.take(at.now) {
            return false;
        }
        self.state = State::Hedging;
        self.is_hedged = true;
        self.made += 1;
        true
    }

    /// Decides for the last attempt in flight.
    fn decide(&mut self, call: &Call<'_>, end: &End, at: &Moment) -> Next {
        let is_free = *end == End::NotProcessed && !self.is_free_used && at.body != Body::Lost;
        if is_free && at.used < call.total {
            self.is_free_used = true;
            return Next::RepeatFree;
        }
        let Some(repeats) = call.repeats.filter(|_| self.is_wanted(call, end, at)) else {
            return self.finish(end);
        };
        let Some(retry) = repeats.retry.filter(|retry| self.made < retry.attempts) else {
            self.state = State::Returned;
            return Next::Return((self.made > 1).then_some(RetryResult::Failure));
        };
        let pause = self.pause(retry, end, at);
        if let Some(result) = denied(call, end, at, pause) {
            self.state = State::Returned;
            return Next::Return(Some(result));
        }
        if !repeats.budget.take(at.now) {
            self.state = State::Returned;
            return Next::Return(Some(RetryResult::Budget));
        }
        self.state = State::Pausing;
        Next::RetryAfter(pause)
    }

    /// Returns an end that nothing is to follow.
    fn finish(&mut self, end: &End) -> Next {
        self.state = State::Returned;
        let result = match end {
            End::ClientFault => RetryResult::Left,
            End::Answered(answer) if answer.judged != Outcome::Failure => RetryResult::Success,
            _ => RetryResult::Failure,
        };
        Next::Return((self.made > 1).then_some(result))
    }

    /// True if `on` and `methods` want another attempt after an end, attempts and budget aside.
    fn is_wanted(&self, call: &Call<'_>, end: &End, at: &Moment) -> bool {
        let Some(retry) = call.retry().filter(|_| call.is_repeatable()) else {
            return false;
        };
        let is_named = match end {
            End::ConnectError => return retry.on.connect_error || at.is_endpoint_probe,
            // Without a free repeat, a stream that was refused is a reset like any other.
            End::NotProcessed | End::Reset => retry.on.reset || at.is_endpoint_probe,
            End::TimedOut => retry.on.timeout || at.is_endpoint_probe,
            End::Answered(answer) if answer.is_from_fusebox || answer.is_final => false,
            End::Answered(Answer {
                grpc_status: Some(code),
                ..
            }) if retry.on.grpc.has(*code) => return true,
            End::Answered(answer) => {
                let is_failed_probe = at.is_endpoint_probe && answer.judged == Outcome::Failure;
                retry.on.statuses.contains(&answer.status) || is_failed_probe
            }
            End::ClientFault | End::OwnFault => false,
        };
        is_named && retry.methods.contains(call.method)
    }

    /// The pause before the next attempt. An endpoint that failed its probe is left at once.
    fn pause(&self, retry: &Retry, end: &End, at: &Moment) -> Duration {
        if at.is_endpoint_probe {
            return Duration::ZERO;
        }
        let asked = match end {
            End::Answered(answer) if is_patient(answer) => answer.retry_after,
            _ => None,
        };
        let jittered = backoff::pause(&retry.backoff, self.made - 1, at.draw);
        jittered.max(asked.unwrap_or_default())
    }
}

/// The reason, other than the budget, why a repeat that is wanted is not made.
fn denied(call: &Call<'_>, end: &End, at: &Moment, pause: Duration) -> Option<RetryResult> {
    if call.is_probe || !at.is_closed {
        Some(RetryResult::BreakerOpen)
    } else if at.body == Body::Lost {
        Some(RetryResult::BodyTooLarge)
    } else if matches!(end, End::Answered(answer) if answer.is_long) {
        Some(RetryResult::TooLong)
    } else if at.used.saturating_add(pause) >= call.total {
        Some(RetryResult::Total)
    } else {
        None
    }
}

/// True for the answers whose `Retry-After` is obeyed.
fn is_patient(answer: &Answer) -> bool {
    let is_busy = matches!(
        answer.status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    is_busy || answer.grpc_status.is_some()
}
