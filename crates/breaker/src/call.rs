//! A call that has ended: its outcome with further facts.

use std::time::Duration;

use crate::cause::Cause;
use crate::outcome::Outcome;
use crate::ratio::Compare;

/// The end of a call, with its duration, the other side's wish for the next call and the cause of a failure, as far as
/// they are known.
///
/// Wherever a `Call` is expected, an [`Outcome`] alone will do.
///
/// ```
/// use fusebox_breaker::{Breaker, Call, Outcome, Settings, Timestamp};
/// use std::time::Duration;
///
/// let breaker = Breaker::new("orders", Settings::default())?;
/// let permit = breaker.admit(Timestamp::ZERO).expect("closed");
/// let call = Call::from(Outcome::Failure)
///     .lasting(Duration::from_millis(80))
///     .retry_after(Duration::from_secs(5));
/// permit.record(call, Timestamp::from_millis(80));
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The call's outcome.
    pub outcome: Outcome,
    /// The duration of the call; `None`: the time from the permit to the record, if a rule needs it.
    pub duration: Option<Duration>,
    /// The time after which the other side asked to be called again.
    pub retry_after: Option<Duration>,
    /// The cause of a failure, for the reason of a trip; ignored for other outcomes.
    pub cause: Option<Cause>,
}

impl Call {
    #[inline]
    pub(crate) const fn of(outcome: Outcome, duration: Option<Duration>) -> Self {
        Call {
            outcome,
            duration,
            retry_after: None,
            cause: None,
        }
    }

    /// A copy in another place, so that this one may stay in registers.
    #[inline]
    pub(crate) fn again(&self) -> Self {
        Call {
            outcome: self.outcome,
            duration: self.duration,
            retry_after: self.retry_after,
            cause: self.cause,
        }
    }

    /// The same call with a duration.
    #[must_use]
    pub const fn lasting(self, duration: Duration) -> Self {
        Call {
            duration: Some(duration),
            ..self
        }
    }

    /// The same call with the other side's wish to be called again after this time.
    #[must_use]
    pub const fn retry_after(self, after: Duration) -> Self {
        Call {
            retry_after: Some(after),
            ..self
        }
    }

    /// The same call with the cause of its failure.
    #[must_use]
    pub const fn because(self, cause: Cause) -> Self {
        Call {
            cause: Some(cause),
            ..self
        }
    }

    /// True if outcome and duration are all that is known, so that it may be noted without the machine.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        self.retry_after.is_none() && self.cause.is_none()
    }

    /// True if the call was slow; `None` if its duration is unknown.
    pub(crate) fn is_slow(&self, slower_than: Duration, compare: Compare) -> Option<bool> {
        self.duration.map(|duration| match compare {
            Compare::AtLeast => duration >= slower_than,
            Compare::Above => duration > slower_than,
        })
    }
}

impl From<Outcome> for Call {
    #[inline]
    fn from(outcome: Outcome) -> Self {
        Call::of(outcome, None)
    }
}
