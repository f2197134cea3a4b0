//! The rules: what each one measures, and when what it measured is enough to trip.

use std::fmt;

use crate::settings::{Compare, Over, Rule};
use crate::transition::Reason;
use crate::window::Tally;

/// A rule without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuleKind {
    /// [`Rule::ConsecutiveFailures`].
    ConsecutiveFailures,
    /// [`Rule::Failures`].
    Failures,
    /// [`Rule::FailureRate`].
    FailureRate,
}

impl RuleKind {
    /// `consecutive_failures`, `failures` or `failure_rate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RuleKind::ConsecutiveFailures => "consecutive_failures",
            RuleKind::Failures => "failures",
            RuleKind::FailureRate => "failure_rate",
        }
    }

    /// The path of the rule's setting.
    pub(crate) const fn setting(self) -> &'static str {
        match self {
            RuleKind::ConsecutiveFailures => "trip.consecutive_failures",
            RuleKind::Failures => "trip.failures",
            RuleKind::FailureRate => "trip.failure_rate",
        }
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Rule {
    /// Which rule this is.
    pub const fn kind(&self) -> RuleKind {
        match self {
            Rule::ConsecutiveFailures { .. } => RuleKind::ConsecutiveFailures,
            Rule::Failures { .. } => RuleKind::Failures,
            Rule::FailureRate { .. } => RuleKind::FailureRate,
        }
    }

    /// How far back the rule looks; none for failures in a row without a time.
    pub fn over(&self) -> Option<Over> {
        match *self {
            Rule::ConsecutiveFailures { within, .. } => within.map(Over::Time),
            Rule::Failures { over, .. } | Rule::FailureRate { over, .. } => Some(over),
        }
    }

    /// The rule's limit: a number of failures, or a share from 0 to 1.
    pub fn threshold(&self) -> f64 {
        match *self {
            Rule::ConsecutiveFailures { threshold, .. } | Rule::Failures { threshold, .. } => {
                f64::from(threshold)
            }
            Rule::FailureRate { rate, .. } => rate.as_f64(),
        }
    }

    /// The fewest calls on which the rule decides; 0 where it has no such limit.
    pub fn min_calls(&self) -> u32 {
        match *self {
            Rule::Failures {
                over: Over::Calls(calls),
                full: true,
                ..
            } => calls,
            Rule::FailureRate { min_calls, .. } => min_calls,
            Rule::Failures { .. } | Rule::ConsecutiveFailures { .. } => 0,
        }
    }

    /// Whether a success can be the outcome that meets the rule: only by filling its window.
    /// A kept history may hold enough failures already; a success must not trip on those.
    pub(crate) fn met_by_success(&self) -> bool {
        match self {
            Rule::ConsecutiveFailures { .. } => false,
            Rule::Failures { full, .. } => *full,
            Rule::FailureRate { .. } => true,
        }
    }

    /// What the rule sees in a window, in the unit of its threshold.
    pub(crate) fn observed(&self, tally: Tally) -> f64 {
        match self {
            Rule::ConsecutiveFailures { .. } | Rule::Failures { .. } => tally.failures as f64,
            Rule::FailureRate { .. } if tally.calls == 0 => 0.0,
            Rule::FailureRate { .. } => tally.failures as f64 / tally.calls as f64,
        }
    }

    /// The reason to trip, when the window meets the rule.
    pub(crate) fn judge(&self, tally: Tally, compare: Compare) -> Option<Reason> {
        let met = tally.calls >= u64::from(self.min_calls())
            && match *self {
                Rule::ConsecutiveFailures { threshold, .. } | Rule::Failures { threshold, .. } => {
                    tally.failures >= u64::from(threshold)
                }
                Rule::FailureRate { rate, .. } => rate.is_met(tally.failures, tally.calls, compare),
            };
        met.then(|| Reason::Rule {
            rule: self.kind(),
            observed: self.observed(tally),
            threshold: self.threshold(),
            calls: tally.calls,
            over: self.over(),
        })
    }
}
