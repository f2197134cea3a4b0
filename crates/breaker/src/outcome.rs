//! The words between a breaker and its callers: the outcome of a call, the reported state, the reason of a refusal.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The other side did its work.
    Success,
    /// The other side failed.
    Failure,
    /// The call says nothing about the other side: the caller gave up, or the fault was the caller's own.
    Ignored,
}

impl Outcome {
    /// The word `success`, `failure` or `ignored`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Ignored => "ignored",
        }
    }
}

/// The reported state. Holds and modes are reported beside it and never change it.
#[doc(alias = "state")]
#[doc(alias = "CircuitState")]
#[doc(alias = "half-open")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Calls pass freely.
    Closed,
    /// Calls are refused until the cooldown ends.
    Open,
    /// The cooldown is over; probes find out whether to close.
    HalfOpen,
}

impl Phase {
    /// The word `closed`, `open` or `half_open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Closed => "closed",
            Phase::Open => "open",
            Phase::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal, with its reason and the time of the next try.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The reason of the refusal.
    pub reason: RejectReason,
    /// The state that refused the call.
    pub phase: Phase,
    /// The time at which it is worth asking again, if that is known. A hold without end has none.
    ///
    /// For an open breaker, the end of the cooldown; for a half-open one whose probes are all in flight, the time by
    /// which one of them will usually have answered: as far away as a success usually takes, at least a second, and at
    /// most [`retry_by`](Rejection::retry_by). The usual duration is a mean over the last successes whose duration the
    /// breaker knew, probes among them; a second, while it knows of none.
    pub retry_at: Option<Timestamp>,
    /// The time by which a probe's place is free at the latest: the earliest deadline of the probes in flight, or the
    /// end of the half-open period. Only for [`RejectReason::BreakerProbing`], and `None` while a fleet's permission to
    /// probe is missing.
    pub retry_by: Option<Timestamp>,
}

impl Rejection {
    /// The refusal of a breaker that is open until a time.
    #[inline]
    pub(crate) const fn until(until: Timestamp) -> Self {
        Rejection::at(RejectReason::BreakerOpen, Phase::Open, Some(until))
    }

    /// A refusal for that reason in that phase, with the time to return.
    #[inline]
    pub(crate) const fn at(
        reason: RejectReason,
        phase: Phase,
        retry_at: Option<Timestamp>,
    ) -> Self {
        Rejection {
            reason,
            phase,
            retry_at,
            retry_by: None,
        }
    }

    /// A refusal for that reason in that phase, without a time to return.
    pub fn new(reason: RejectReason, phase: Phase) -> Self {
        Rejection::at(reason, phase, None)
    }

    /// The time from `now` until it is worth asking again; zero if that has come. `None` if it is unknown, as under a
    /// hold without end: the caller then waits as long as it thinks fit.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        self.retry_at.map(|at| at.saturating_since(now))
    }

    /// The same in whole seconds, rounded up and at least 1, as for `Retry-After` (RFC 9110 section 10.2.3), so that a
    /// caller that waits that long does not come too early.
    ///
    /// ```
    /// use fusebox_breaker::{Phase, RejectReason, Rejection, Timestamp};
    ///
    /// let mut rejection = Rejection::new(RejectReason::BreakerOpen, Phase::Open);
    /// rejection.retry_at = Some(Timestamp::from_millis(30_000));
    /// assert_eq!(rejection.retry_after(Timestamp::from_millis(1_900)), Some(29));
    /// ```
    pub fn retry_after(&self, now: Timestamp) -> Option<u64> {
        self.wait(now).map(Self::whole_seconds)
    }

    /// The whole seconds of `Retry-After` for a wait: rounded up from the nanosecond, and at least 1. For callers that
    /// know the wait from a [`Snapshot`](crate::Snapshot) or a setting, and must not announce less than a refusal does.
    ///
    /// ```
    /// use fusebox_breaker::Rejection;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Rejection::whole_seconds(Duration::from_micros(1_000_400)), 2);
    /// assert_eq!(Rejection::whole_seconds(Duration::ZERO), 1);
    /// ```
    pub const fn whole_seconds(wait: Duration) -> u64 {
        let begun = wait.subsec_nanos() > 0;
        match wait.as_secs().saturating_add(begun as u64) {
            0 => 1,
            seconds => seconds,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            RejectReason::BreakerOpen => "the breaker is open and its cooldown has not ended",
            RejectReason::BreakerProbing => {
                "the breaker is half-open and all its probes are in flight"
            }
            RejectReason::BreakerRamp => {
                "the breaker has closed lately and lets only a share of the calls pass"
            }
            RejectReason::BreakerAdaptive => {
                "so many of the last calls failed that only a share of the calls passes"
            }
            RejectReason::HeldOpen => "the breaker is held open by an operator",
        })
    }
}

impl std::error::Error for Rejection {}

/// The reason why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The cooldown has not ended.
    BreakerOpen,
    /// As many probes as allowed are in flight.
    BreakerProbing,
    /// The breaker closed lately, and its ramp lets only a share of the calls pass.
    BreakerRamp,
    /// An adaptive rule lets only a share of the calls pass.
    BreakerAdaptive,
    /// An operator holds the breaker open.
    HeldOpen,
}

impl RejectReason {
    /// The stable token for headers, logs and metrics: `breaker_open`, `breaker_probing`, `breaker_ramp`,
    /// `breaker_adaptive` or `held_open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RejectReason::BreakerOpen => "breaker_open",
            RejectReason::BreakerProbing => "breaker_probing",
            RejectReason::BreakerRamp => "breaker_ramp",
            RejectReason::BreakerAdaptive => "breaker_adaptive",
            RejectReason::HeldOpen => "held_open",
        }
    }

    /// True if chance refused the call, in a ramp or by an adaptive rule: another one at the same time might have
    /// passed.
    pub const fn is_chance(self) -> bool {
        match self {
            RejectReason::BreakerRamp | RejectReason::BreakerAdaptive => true,
            RejectReason::BreakerOpen | RejectReason::BreakerProbing | RejectReason::HeldOpen => {
                false
            }
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An operator's command: the breaker is held open or closed whatever its rules say.
///
/// ```
/// use fusebox_breaker::{Breaker, Hold, Settings, Timestamp};
///
/// let breaker = Breaker::new("orders", Settings::default())?;
/// let now = Timestamp::ZERO;
/// breaker.hold(Hold::open("the database moves", "ann").until(now + std::time::Duration::from_secs(600)), now);
/// assert!(breaker.admit(now).is_err());
/// breaker.release(now);
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The direction of the hold.
    pub kind: HoldKind,
    /// The time at which the hold ends by itself, as if released then; `None`: only a release or a reset ends it.
    pub until: Option<Timestamp>,
    /// The operator's reason.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text_of"))]
    pub reason: Arc<str>,
    /// The operator's name.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text_of"))]
    pub by: Arc<str>,
}

impl Hold {
    /// A hold under which every call is refused, until it is released.
    pub fn open(reason: impl Into<Arc<str>>, by: impl Into<Arc<str>>) -> Self {
        Hold::new(HoldKind::Open, reason.into(), by.into())
    }

    /// A hold under which every call passes, until it is released.
    pub fn closed(reason: impl Into<Arc<str>>, by: impl Into<Arc<str>>) -> Self {
        Hold::new(HoldKind::Closed, reason.into(), by.into())
    }

    fn new(kind: HoldKind, reason: Arc<str>, by: Arc<str>) -> Self {
        Hold {
            kind,
            until: None,
            reason,
            by,
        }
    }

    /// The same hold with an end of its own, at that time of the breaker's clock.
    #[must_use]
    pub fn until(self, end: Timestamp) -> Self {
        Hold {
            until: Some(end),
            ..self
        }
    }
}

/// The direction of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "force_open")]
#[doc(alias = "isolate")]
pub enum HoldKind {
    /// Every call is refused.
    Open,
    /// Every call passes.
    Closed,
}

impl HoldKind {
    /// The word `open` or `closed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            HoldKind::Open => "open",
            HoldKind::Closed => "closed",
        }
    }
}

/// The category in which an outcome was counted: each outcome in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettledAs {
    /// A success in time.
    Success,
    /// A failure in time.
    Failure,
    /// An outcome that says nothing.
    Ignored,
    /// An outcome that came too late to count.
    Late,
    /// An uncounted outcome: the breaker is disabled, or the stamp was [refused](crate::Totals::far_stamps).
    Untracked,
}

impl SettledAs {
    /// The word `success`, `failure`, `ignored`, `late` or `untracked`.
    pub const fn as_str(self) -> &'static str {
        match self {
            SettledAs::Success => "success",
            SettledAs::Failure => "failure",
            SettledAs::Ignored => "ignored",
            SettledAs::Late => "late",
            SettledAs::Untracked => "untracked",
        }
    }
}

impl From<Outcome> for SettledAs {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => SettledAs::Success,
            Outcome::Failure => SettledAs::Failure,
            Outcome::Ignored => SettledAs::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(retry_at: Option<Timestamp>) -> Rejection {
        Rejection::at(RejectReason::BreakerOpen, Phase::Open, retry_at)
    }

    #[test]
    fn who_waits_as_long_as_it_was_told_does_not_come_too_early() {
        let at = Timestamp::from_nanos(5_000_000_001);
        let told = |now| {
            let now = Timestamp::from_nanos(now);
            (
                rejection(Some(at)).wait(now),
                rejection(Some(at)).retry_after(now),
            )
        };
        assert_eq!(told(1), (Some(Duration::from_secs(5)), Some(5)));
        assert_eq!(
            told(0),
            (Some(Duration::from_nanos(5_000_000_001)), Some(6))
        );
        assert_eq!(
            told(5_000_000_000),
            (Some(Duration::from_nanos(1)), Some(1))
        );
        assert_eq!(told(9_000_000_000), (Some(Duration::ZERO), Some(1)));
    }

    #[test]
    fn whole_seconds_are_rounded_up_from_the_nanosecond_and_at_least_one() {
        for (nanos, seconds) in [
            (0, 1),
            (400_000, 1),
            (1_000_000_000, 1),
            (1_000_000_001, 2),
            (1_000_400_000, 2),
            (2_000_000_000, 2),
        ] {
            let wait = Duration::from_nanos(nanos);
            assert_eq!(Rejection::whole_seconds(wait), seconds, "{nanos} ns");
        }
        assert_eq!(Rejection::whole_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_hold_without_end_tells_no_time() {
        let endless = rejection(None);
        assert_eq!(endless.wait(Timestamp::ZERO), None);
        assert_eq!(endless.retry_after(Timestamp::ZERO), None);
    }
}
