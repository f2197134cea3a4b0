//! The rules: each with its measure, and the condition to trip.

use crate::call::Call;
use crate::cause::Causes;
use crate::outcome::Outcome;
use crate::ratio::Compare;
use crate::rule_kind::RuleKind;
use crate::settings::{Over, Rule};
use crate::transition::Reason;
use crate::window::Tally;

impl Rule {
    /// The kind of this rule.
    pub const fn kind(&self) -> RuleKind {
        match self {
            Rule::ConsecutiveFailures { .. } => RuleKind::ConsecutiveFailures,
            Rule::Failures { .. } => RuleKind::Failures,
            Rule::FailureRate { .. } => RuleKind::FailureRate,
            Rule::SlowRate { .. } => RuleKind::SlowRate,
            Rule::Stalled { .. } => RuleKind::Stalled,
            Rule::Adaptive { .. } => RuleKind::Adaptive,
        }
    }

    /// The span that the rule looks back; `None` for failures in a row without a time, and for rules without a window.
    pub fn over(&self) -> Option<Over> {
        match *self {
            Rule::ConsecutiveFailures { within, .. } => within.map(Over::Time),
            Rule::Failures { over, .. }
            | Rule::FailureRate { over, .. }
            | Rule::SlowRate { over, .. } => Some(over),
            Rule::Stalled { .. } | Rule::Adaptive { .. } => None,
        }
    }

    /// The rule's limit: a number of failures or calls, or a share from 0 to 1; 1 for an adaptive rule.
    pub fn threshold(&self) -> f64 {
        match *self {
            Rule::ConsecutiveFailures { threshold, .. } | Rule::Failures { threshold, .. } => {
                f64::from(threshold)
            }
            Rule::FailureRate { rate, .. } | Rule::SlowRate { rate, .. } => rate.as_f64(),
            Rule::Stalled { calls, .. } => f64::from(calls),
            Rule::Adaptive { .. } => 1.0,
        }
    }

    /// The fewest calls on which the rule decides; 0 without such a limit.
    pub fn min_calls(&self) -> u32 {
        match *self {
            Rule::Failures {
                over: Over::Calls(calls),
                full: true,
                ..
            } => calls,
            Rule::FailureRate { min_calls, .. } | Rule::SlowRate { min_calls, .. } => min_calls,
            Rule::Failures { .. }
            | Rule::ConsecutiveFailures { .. }
            | Rule::Stalled { .. }
            | Rule::Adaptive { .. } => 0,
        }
    }

    /// True if the call is a hit of the rule; `None` if the rule does not look at the call.
    pub(crate) fn hit(&self, call: &Call, slow: Compare) -> Option<bool> {
        match *self {
            Rule::Stalled { .. } => None,
            Rule::SlowRate { slower_than, .. } => call.is_slow(slower_than, slow),
            Rule::ConsecutiveFailures { .. }
            | Rule::Failures { .. }
            | Rule::FailureRate { .. }
            | Rule::Adaptive { .. } => Some(call.outcome == Outcome::Failure),
        }
    }

    /// True if a success can be the outcome that meets the rule: only by filling its window. A kept history may hold
    /// enough failures already; a success must not trip on those.
    pub(crate) fn met_by_success(&self) -> bool {
        match self {
            Rule::ConsecutiveFailures { .. } | Rule::Stalled { .. } | Rule::Adaptive { .. } => {
                false
            }
            Rule::Failures { full, .. } => *full,
            Rule::FailureRate { .. } | Rule::SlowRate { .. } => true,
        }
    }

    /// The value that the rule observes in a window, in the unit of its threshold.
    pub(crate) fn observed(&self, tally: Tally) -> f64 {
        match self {
            Rule::ConsecutiveFailures { .. } | Rule::Failures { .. } | Rule::Stalled { .. } => {
                tally.failures as f64
            }
            _ if tally.calls == 0 => 0.0,
            Rule::FailureRate { .. } | Rule::SlowRate { .. } | Rule::Adaptive { .. } => {
                tally.failures as f64 / tally.calls as f64
            }
        }
    }

    /// The reason to trip, if the window meets the rule.
    pub(crate) fn judge(&self, tally: Tally, compare: Compare) -> Option<Reason> {
        let met = tally.calls >= u64::from(self.min_calls())
            && match *self {
                Rule::ConsecutiveFailures { threshold, .. } | Rule::Failures { threshold, .. } => {
                    tally.failures >= u64::from(threshold)
                }
                Rule::FailureRate { rate, .. } | Rule::SlowRate { rate, .. } => {
                    rate.is_met(tally.failures, tally.calls, compare)
                }
                Rule::Stalled { calls, .. } => tally.failures >= u64::from(calls),
                // The rule refuses by chance and never trips.
                Rule::Adaptive { .. } => false,
            };
        met.then(|| Reason::Rule {
            rule: self.kind(),
            observed: self.observed(tally),
            threshold: self.threshold(),
            calls: tally.calls,
            over: self.over(),
            causes: Causes::default(),
        })
    }
}
