//! Reasons why a fetch has no answer, and the outcome that each is for a breaker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Rejection;
use fusebox_plan::CallError;

use crate::upstream::answer_body::WireError;
use crate::upstream::bulkhead::Full;
use crate::upstream::connect::{NoConnection, Unconnected};
use crate::upstream::redirect::BadLocation;
use crate::upstream::sending::{Cut, Failed, Unanswered};
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

/// A refusal of the breaker before an upstream. Its text is a sentence without its full stop.
#[derive(Debug)]
pub struct Refusal {
    /// The breaker's name.
    pub breaker: Arc<str>,
    /// The breaker's answer.
    pub rejection: Rejection,
    /// Whole seconds until the next try; `None`: the breaker has no time to announce.
    pub retry_after: Option<u64>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key may come from a client.
        let name = self.breaker.escape_debug();
        write!(f, "breaker `{name}` refused the call: {}", self.rejection)?;
        match self.retry_after {
            Some(seconds) => write!(f, "; retry in {seconds} s"),
            None => Ok(()),
        }
    }
}

/// Reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The breaker rejected the call before anything was touched, or its probe gave way to another one's.
    #[error("{0}")]
    Refused(Refusal),
    /// The bulkhead of that upstream had no place.
    #[error("the bulkhead of `{}` refused the call: {} ({})", .0.escape_debug(), sentence(*.1), .1.as_str())]
    Full(Arc<str>, Full),
    /// The request or its endpoint is invalid, whatever the upstream does.
    #[error("{0}")]
    Unsendable(String),
    /// There is no connection, by the upstream's fault or for a shortage of our own.
    #[error("{}", .0.cause)]
    Unconnected(NoConnection),
    /// The connection ended before a byte of the answer came.
    #[error("{}", .0.why)]
    Cut(Cut),
    /// The answer did not come, or not to its end, within the time.
    #[error("timed out")]
    Timeout,
    /// The bytes that came are not an HTTP response.
    #[error("malformed answer")]
    Malformed,
    /// The answer's head is over our own limits.
    #[error("head over our limit")]
    HeadTooLarge,
    /// The answer leads to where no request can go.
    #[error("bad `Location`: {}", .0.why)]
    Location(BadLocation),
    /// The answer is one redirect too many, to this `Location`. The request is the one that it leads to.
    #[error("too many redirects")]
    Redirects(String),
    /// The body broke off or was malformed.
    #[error("{0}")]
    Broken(WireError),
    /// The body broke off in a form that its connection takes for its end, or while it was kept for a repeat that was called off.
    #[error("{0}")]
    BrokenHeld(UpstreamError),
    /// The body has not continued for this long.
    #[error("silent within the body")]
    Silent(Duration),
    /// The body is larger than the policy allows.
    #[error("body over our limit")]
    TooLarge,
    /// The body's compressed form is cut.
    #[error("cut gzip")]
    CutGzip,
    /// The body is not compressed, though it says so.
    #[error("no gzip")]
    NoGzip,
}

fn sentence(full: Full) -> &'static str {
    match full {
        Full::BulkheadFull => "all its places are taken",
        Full::QueueTimeout => "no place became free in time",
    }
}

/// The outcome of a call without an answer, for its breaker.
pub enum Outcome {
    /// The call has ended, with an error or by its last answer's head.
    Ended(Option<CallError>),
    /// The call says nothing about the upstream.
    SaysNothing,
}

impl Fault {
    /// The error of a body that was not read to its end.
    pub fn of_body(&self) -> UpstreamError {
        match self {
            Fault::Broken(error) => UpstreamError::body(error),
            Fault::BrokenHeld(why) => why.clone(),
            Fault::TooLarge => UpstreamError::new(ErrorKind::Limit, "body over our limit"),
            _ => UpstreamError::silent_body(),
        }
    }

    /// The outcome of the call that ended so, before its answer's body.
    pub fn outcome(&self) -> Outcome {
        match self {
            Fault::Unconnected(failed) => match failed.why {
                Unconnected::Upstream(error) => Outcome::Ended(Some(error)),
                Unconnected::Exhausted => Outcome::SaysNothing,
            },
            Fault::Cut(cut) if cut.is_stale || cut.is_unfinished => Outcome::SaysNothing,
            Fault::Cut(cut) => Outcome::Ended(Some(cut.why.kind.as_call_error())),
            Fault::Timeout => Outcome::Ended(Some(CallError::Timeout)),
            Fault::Malformed => Outcome::Ended(Some(CallError::Protocol)),
            Fault::BrokenHeld(why) => Outcome::Ended(Some(why.as_body_error())),
            Fault::Location(_) | Fault::Redirects(_) => Outcome::Ended(None),
            _ => Outcome::SaysNothing,
        }
    }
}

impl From<Unanswered> for Fault {
    fn from(why: Unanswered) -> Fault {
        match why {
            Unanswered::Unconnected(failed) => Fault::Unconnected(failed),
            Unanswered::Cut(cut) => Fault::Cut(cut),
            Unanswered::Failed(Failed::Upstream(CallError::Timeout)) => Fault::Timeout,
            Unanswered::Failed(Failed::Limit) => Fault::HeadTooLarge,
            Unanswered::Failed(_) => Fault::Malformed,
        }
    }
}
