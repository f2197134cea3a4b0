//! The facts that a decision on attempts is made of: the call, the end of an attempt, the moment.

use std::time::Duration;

use fusebox_breaker::{Outcome, Timestamp};
use http::{Method, StatusCode};

use crate::budget::RetryBudget;
use crate::settings::{Hedge, Retry};

/// Facts of a call that hold from its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// True if the client asks for another protocol. Never retried or hedged.
    pub is_upgrade: bool,
    /// True if it came with `Fusebox-Attempt` from a believed proxy, which retries by itself. Never retried or hedged.
    pub is_attempt: bool,
    /// True if the upstream's breaker let it pass as a probe: one attempt, and a free repeat.
    pub is_probe: bool,
    /// `timeout.request`: the time limit of one attempt.
    pub request_timeout: Duration,
    /// `timeout.total`: from the first attempt to the head of the final answer, waits for the client not counted.
    pub total: Duration,
    /// The retries and hedges; `None` if neither is on.
    pub repeats: Option<Repeats<'a>>,
}

impl<'a> Call<'a> {
    pub(super) fn retry(&self) -> Option<&'a Retry> {
        self.repeats.and_then(|repeats| repeats.retry)
    }

    /// True if more than a free repeat may follow the first attempt, as far as the request goes.
    pub(super) const fn is_repeatable(&self) -> bool {
        !self.is_upgrade && !self.is_attempt
    }
}

/// The retries and hedges of a call, with the budget that pays for them.
#[derive(Debug, Clone, Copy)]
pub struct Repeats<'a> {
    /// The route's `retry`, or else the upstream's.
    pub retry: Option<&'a Retry>,
    /// The upstream's `hedge`.
    pub hedge: Option<Hedge>,
    /// The upstream's budget.
    pub budget: &'a RetryBudget,
}

/// The end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The upstream did not process the request: nothing of it was written, an idempotent one met the end of a pooled
    /// connection before a byte of its answer, or HTTP/2 refused its stream.
    NotProcessed,
    /// There was no connection: refused, name not found, TLS failed, or the connect timeout.
    ConnectError,
    /// The connection was cut, or the answer malformed, before its head was complete.
    Reset,
    /// `per_try`, `timeout.request` or what was left of `timeout.total` was over before the head.
    TimedOut,
    /// The head of an answer came.
    Answered(Answer),
    /// The client left, was too slow, or sent something malformed. Never repeated.
    ClientFault,
    /// Our own limits or resources ended it. Never repeated.
    OwnFault,
}

impl End {
    /// True if no answer came, although the client still waits for one.
    pub(super) const fn is_no_answer(&self) -> bool {
        !matches!(self, End::Answered(_) | End::ClientFault)
    }
}

/// The head of an upstream's answer, as far as repeats depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The upstream's own status.
    pub status: StatusCode,
    /// The outcome by the upstream's `failure` and `ignore`. Repeats follow `on` instead, in both directions.
    pub judged: Outcome,
    /// The wait that `Retry-After` or `grpc-retry-pushback-ms` asks for; used with 429, 503 and a gRPC status.
    pub retry_after: Option<Duration>,
    /// The status of a gRPC call that ended with its head; `None`: not gRPC, or still open.
    pub grpc_status: Option<u8>,
    /// True if the upstream asks for no repeat: its `grpc-retry-pushback-ms` is negative.
    pub is_final: bool,
    /// True if it has `Fusebox-Reason`: an inner Fusebox has decided already.
    pub is_from_fusebox: bool,
    /// True if its body is known to be longer than [`ANSWER_KEPT_MAX`](super::ANSWER_KEPT_MAX).
    pub is_long: bool,
}

/// The request's body, as far as it can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// All that was sent of it is kept, or nothing was sent yet, however long it is.
    Kept,
    /// More of it was sent than `buffer` keeps.
    Lost,
}

/// Facts at the time of a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// The current time.
    pub now: Timestamp,
    /// The time of `timeout.total` that is used, waits for the client not counted.
    pub used: Duration,
    /// True if the upstream's breaker is closed and not held open, if it is in monitor mode, or if there is none.
    pub is_closed: bool,
    /// The state of the request's body.
    pub body: Body,
    /// True if the attempt was the probe of an ejected endpoint and another endpoint is there. If it failed, by `on` or by
    /// `failure`, the next attempt follows at once.
    pub is_endpoint_probe: bool,
    /// A random number from 0 (included) to 1 (excluded), for the jitter.
    pub draw: f64,
}
