//! A refusal for the caller of a guard: the breaker, the reason, and the time of the next try.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::outcome::{RejectReason, Rejection};
use crate::time::{Rounded, Timestamp};
use crate::transition::Reason;

/// A refusal with the breaker's name and the reason for which it opened.
///
/// [`CallError::Rejected`](crate::CallError::Rejected) holds it, and it is a [`Rejection`] by `Deref`, so that
/// `refused.reason` and `refused.retry_at` are there. Clones are cheap. Its text is a whole sentence for a log:
///
/// ```
/// use fusebox_breaker::{CallError, Guard, Settings};
///
/// let guard = Guard::new("orders", Settings::default())?;
/// for _ in 0..5 {
///     let _ = guard.call(|| Err::<(), _>("down"));
/// }
/// let Err(CallError::Rejected(refused)) = guard.call(|| Ok::<(), &str>(())) else {
///     panic!("five failures in a row open it");
/// };
/// assert_eq!(&**refused.breaker(), "orders");
/// let text = refused.to_string();
/// assert!(text.starts_with("breaker `orders` is open: 5 consecutive failures, the limit is 5; retry in "));
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone)]
pub struct Refused {
    pub(crate) rejection: Rejection,
    pub(crate) at: Timestamp,
    pub(crate) context: Arc<RefusalContext>,
}

/// The facts that all refusals of one generation share.
pub(crate) struct RefusalContext {
    pub breaker: Arc<str>,
    pub generation: u64,
    /// The time at which the state began.
    pub since: Timestamp,
    pub why: Option<Reason>,
}

impl Refused {
    /// The name of the breaker that refused.
    pub fn breaker(&self) -> &Arc<str> {
        &self.context.breaker
    }

    /// The reason why the breaker opened, or is held open. `None` if it is closed and chance refused, or if too
    /// many transitions have followed, so that the reason is forgotten.
    pub fn why(&self) -> Option<&Reason> {
        self.context.why.as_ref()
    }

    /// The refusal without its context.
    pub fn rejection(&self) -> Rejection {
        self.rejection
    }

    /// The time of the refusal, by the guard's clock; by its [coarse](crate::Clock::coarse) time, so some milliseconds early,
    /// where the breaker stays open for more than a second.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The time from the refusal until a call may pass, for callers that return right after it. `None` if it is
    /// unknown, as under a hold without end. See [`Rejection::wait`] for one that is counted from another time.
    pub fn retry_in(&self) -> Option<Duration> {
        self.rejection.wait(self.at)
    }
}

impl Deref for Refused {
    type Target = Rejection;

    fn deref(&self) -> &Rejection {
        &self.rejection
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        refused.rejection
    }
}

impl PartialEq for Refused {
    fn eq(&self, other: &Self) -> bool {
        let facts = |refused: &Refused| (refused.rejection, refused.at);
        facts(self) == facts(other) && self.context.breaker == other.context.breaker
    }
}

impl Eq for Refused {}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("breaker", &self.context.breaker)
            .field("rejection", &self.rejection)
            .field("at", &self.at)
            .field("why", &self.context.why)
            .finish()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key may come from a client.
        write!(f, "breaker `{}` ", self.context.breaker.escape_debug())?;
        let opened = |f: &mut fmt::Formatter<'_>, before| match self.why() {
            Some(why) => write!(f, "{before}{why}"),
            None => Ok(()),
        };
        match (self.rejection.reason, self.why()) {
            (RejectReason::HeldOpen, Some(why @ Reason::HeldOpen { .. })) => write!(f, "is {why}")?,
            (RejectReason::HeldOpen, _) => f.write_str("is held open by an operator")?,
            (RejectReason::BreakerOpen, _) => {
                f.write_str("is open")?;
                opened(f, ": ")?;
            }
            (RejectReason::BreakerProbing, _) => {
                f.write_str("is half-open and all its probes are in flight; it opened for ")?;
                match self.why() {
                    Some(why) => why.fmt(f)?,
                    None => f.write_str("a reason that is forgotten")?,
                }
            }
            (RejectReason::BreakerRamp, _) => {
                f.write_str("closed lately and lets only a share of the calls pass")?;
            }
            (RejectReason::BreakerAdaptive, _) => {
                f.write_str(
                    "lets only a share of the calls pass, as many of the last ones failed",
                )?;
            }
        }
        match self.retry_in() {
            Some(wait) => write!(f, "; retry in {}", Rounded(wait)),
            None => Ok(()),
        }
    }
}

impl Error for Refused {}
