//! The result of a call that could have been retried.

use std::fmt;

/// The result of a call that could have been retried: the label of `fusebox_retries_total{result}`, counted once a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryResult {
    /// A repeat brought an answer that is no failure.
    Success,
    /// The last repeat failed too.
    Failure,
    /// The budget was spent.
    Budget,
    /// The breaker was not closed, before or after the pause.
    BreakerOpen,
    /// More of the request's body had been sent than is kept.
    BodyTooLarge,
    /// The failed answer is longer than is kept over a pause.
    TooLong,
    /// No place of the bulkhead was free after the pause.
    Bulkhead,
    /// The pause, the upstream's `Retry-After` or the rest of the failed answer did not fit into `timeout.total`.
    Total,
    /// The client left in the pause or in a repeat.
    Left,
}

impl RetryResult {
    /// All results, in the order of their counters.
    pub const ALL: [RetryResult; 9] = [
        RetryResult::Success,
        RetryResult::Failure,
        RetryResult::Budget,
        RetryResult::BreakerOpen,
        RetryResult::BodyTooLarge,
        RetryResult::TooLong,
        RetryResult::Bulkhead,
        RetryResult::Total,
        RetryResult::Left,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            RetryResult::Success => "success",
            RetryResult::Failure => "failure",
            RetryResult::Budget => "budget",
            RetryResult::BreakerOpen => "breaker_open",
            RetryResult::BodyTooLarge => "body_too_large",
            RetryResult::TooLong => "too_long",
            RetryResult::Bulkhead => "bulkhead",
            RetryResult::Total => "total",
            RetryResult::Left => "left",
        }
    }
}

impl fmt::Display for RetryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
