//! The kinds of rules: their names, without their numbers.

use std::fmt;

/// A rule without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuleKind {
    /// The kind of [`Rule::ConsecutiveFailures`](crate::Rule::ConsecutiveFailures).
    ConsecutiveFailures,
    /// The kind of [`Rule::Failures`](crate::Rule::Failures).
    Failures,
    /// The kind of [`Rule::FailureRate`](crate::Rule::FailureRate).
    FailureRate,
    /// The kind of [`Rule::SlowRate`](crate::Rule::SlowRate).
    SlowRate,
    /// The kind of [`Rule::Stalled`](crate::Rule::Stalled).
    Stalled,
    /// The kind of [`Rule::Adaptive`](crate::Rule::Adaptive).
    Adaptive,
}

impl RuleKind {
    /// The word `consecutive_failures`, `failures`, `failure_rate`, `slow_rate`, `stalled` or `adaptive`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RuleKind::ConsecutiveFailures => "consecutive_failures",
            RuleKind::Failures => "failures",
            RuleKind::FailureRate => "failure_rate",
            RuleKind::SlowRate => "slow_rate",
            RuleKind::Stalled => "stalled",
            RuleKind::Adaptive => "adaptive",
        }
    }

    /// The path of the rule's setting.
    pub(crate) const fn setting(self) -> &'static str {
        match self {
            RuleKind::ConsecutiveFailures => "trip.consecutive_failures",
            RuleKind::Failures => "trip.failures",
            RuleKind::FailureRate => "trip.failure_rate",
            RuleKind::SlowRate => "trip.slow_rate",
            RuleKind::Stalled => "trip.stalled",
            RuleKind::Adaptive => "trip.adaptive",
        }
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
