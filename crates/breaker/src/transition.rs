//! Transitions of a breaker with their reasons: every change of state, hold or generation, in words and numbers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cause::{Causes, TOLD};
use crate::outcome::Phase;
use crate::ratio::rounded;
use crate::recorder::Recorder;
use crate::rule_kind::RuleKind;
use crate::settings::Over;
use crate::time::{Rounded, Timestamp};

/// One change of a breaker. A hold, a release, a reset and a restore are transitions too, even if the state stays the
/// same.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    /// The state before.
    pub from: Phase,
    /// The state after.
    pub to: Phase,
    /// The reason of the change.
    pub reason: Reason,
    /// The time of the change, on the breaker's clock.
    pub at: Timestamp,
    /// The generation that began with this change.
    pub generation: u64,
    /// Trips since the breaker was last closed, this one included.
    pub attempts: u32,
    /// The earliest time at which calls may pass again, if this change stopped them.
    pub retry_at: Option<Timestamp>,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}: {}", self.to, self.reason)
        } else {
            write!(f, "{} -> {}: {}", self.from, self.to, self.reason)
        }
    }
}

/// The reason why a breaker changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// A rule was met: the breaker tripped.
    Rule {
        /// The rule's kind.
        rule: RuleKind,
        /// The observed value: a number of failures, or a share from 0 to 1.
        observed: f64,
        /// The rule's limit, in the same unit.
        threshold: f64,
        /// The calls in the rule's window; for rules that look at failures alone, the failures.
        calls: u64,
        /// The span that the rule looks back; `None` if that is up to the last success.
        over: Option<Over>,
        /// The causes of the failures, if known: of a row all, at most 32; else of the last 10.
        causes: Causes,
    },
    /// Probes failed: the breaker reopened.
    ProbeFailed {
        /// Failed probes of this half-open period.
        failures: u32,
        /// All answered probes of this half-open period.
        answers: u32,
        /// The causes of the failures, if known; at most 32.
        causes: Causes,
    },
    /// Probes were slow: the breaker reopened.
    ProbesSlow {
        /// Slow probes of this half-open period.
        slow: u32,
        /// All answered probes of this half-open period.
        answers: u32,
    },
    /// A probe missed its deadline: the breaker reopened.
    ProbeTimeout,
    /// The half-open period lasted too long without a decision: the breaker opened or closed, as its settings say.
    PeriodTimeout,
    /// The other side asked to be called later, which by the settings alone trips.
    RetryAfter {
        /// The time after which it asked to be called again.
        after: Duration,
    },
    /// An operator, or another breaker's verdict, tripped it.
    Forced {
        /// The operator or breaker.
        by: Arc<str>,
        /// The reason in words.
        reason: Arc<str>,
    },
    /// The breaker follows a fleet, and takes over its findings, or continues after it.
    Fleet {
        /// The process or operator that caused it.
        by: Arc<str>,
        /// The reason in words.
        reason: Arc<str>,
    },
    /// Probes answered well: the breaker closed.
    ProbesSucceeded {
        /// Successful probes of this half-open period.
        successes: u32,
        /// All answered probes of this half-open period.
        answers: u32,
    },
    /// The cooldown ended: the breaker probes.
    CooldownEnded,
    /// An operator holds the breaker open.
    HeldOpen {
        /// The operator's name.
        by: Arc<str>,
        /// The operator's reason.
        reason: Arc<str>,
    },
    /// An operator holds the breaker closed.
    HeldClosed {
        /// The operator's name.
        by: Arc<str>,
        /// The operator's reason.
        reason: Arc<str>,
    },
    /// An operator released the hold.
    Released {
        /// The operator who had placed the hold.
        by: Arc<str>,
    },
    /// The hold came to its own end.
    HoldEnded {
        /// The operator who had placed the hold.
        by: Arc<str>,
    },
    /// An operator reset the breaker.
    Reset,
    /// The breaker restored the state that an earlier process had left.
    Restored,
    /// New settings have no rule in common with the old ones, so the breaker started again.
    Reconfigured,
}

impl Reason {
    /// A short stable name for metrics and logs: the rule's name, or `probe_failed`, `probe_slow`, `probe_timeout`,
    /// `period_timeout`, `probe_ok`, `retry_after`, `forced`, `fleet`, `cooldown_ended`, `held_open`, `held_closed`, `released`, `hold_ended`, `reset`, `restored`, `reconfigured`.
    pub const fn token(&self) -> &'static str {
        match self {
            Reason::Rule { rule, .. } => rule.as_str(),
            Reason::ProbeFailed { .. } => "probe_failed",
            Reason::ProbesSlow { .. } => "probe_slow",
            Reason::ProbeTimeout => "probe_timeout",
            Reason::PeriodTimeout => "period_timeout",
            Reason::RetryAfter { .. } => "retry_after",
            Reason::Forced { .. } => "forced",
            Reason::Fleet { .. } => "fleet",
            Reason::ProbesSucceeded { .. } => "probe_ok",
            Reason::CooldownEnded => "cooldown_ended",
            Reason::HeldOpen { .. } => "held_open",
            Reason::HeldClosed { .. } => "held_closed",
            Reason::Released { .. } => "released",
            Reason::HoldEnded { .. } => "hold_ended",
            Reason::Reset => "reset",
            Reason::Restored => "restored",
            Reason::Reconfigured => "reconfigured",
        }
    }

    /// The same reason with the causes of its failures, as far as they are remembered.
    pub(crate) fn with_causes(mut self, outcomes: &Recorder) -> Self {
        match &mut self {
            Reason::Rule {
                rule: RuleKind::ConsecutiveFailures,
                observed,
                causes,
                ..
            } => *causes = outcomes.causes.last(*observed as usize),
            Reason::Rule {
                rule: RuleKind::Failures,
                observed,
                causes,
                ..
            } => *causes = outcomes.causes.last(TOLD.min(*observed as usize)),
            Reason::Rule {
                rule: RuleKind::FailureRate,
                observed,
                calls,
                causes,
                ..
            } => {
                let failures = (*observed * *calls as f64).round() as usize;
                *causes = outcomes.causes.last(TOLD.min(failures));
            }
            Reason::ProbeFailed {
                failures, causes, ..
            } => *causes = outcomes.causes.last(*failures as usize),
            _ => {}
        }
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Rule {
                rule: RuleKind::FailureRate,
                observed,
                threshold,
                calls,
                causes,
                ..
            } => {
                write!(
                    f,
                    "{}% of {calls} calls failed, the limit is {}%",
                    rounded(observed * 100.0),
                    rounded(threshold * 100.0)
                )?;
                match causes.total() {
                    0 => Ok(()),
                    1 => write!(f, "; the last failure: {causes}"),
                    told => write!(f, "; the last {told} failures: {causes}"),
                }
            }
            Reason::Rule {
                rule: RuleKind::SlowRate,
                observed,
                threshold,
                calls,
                ..
            } => write!(
                f,
                "{}% of {calls} calls were slow, the limit is {}%",
                rounded(observed * 100.0),
                rounded(threshold * 100.0)
            ),
            Reason::Rule {
                rule: RuleKind::Stalled,
                observed,
                threshold,
                calls,
                ..
            } => write!(
                f,
                "{observed} of {calls} calls in flight have stalled, the limit is {threshold}"
            ),
            Reason::Rule {
                rule,
                observed,
                threshold,
                over,
                causes,
                ..
            } => {
                let noun = match (rule, *observed == 1.0) {
                    (RuleKind::ConsecutiveFailures, false) => "consecutive failures",
                    (RuleKind::ConsecutiveFailures, true) => "consecutive failure",
                    (_, false) => "failures",
                    (_, true) => "failure",
                };
                write!(f, "{observed} {noun}")?;
                if let Some(over) = over {
                    write!(f, " {over}")?;
                }
                match causes.total() {
                    0 => write!(f, ", the limit is {threshold}"),
                    told if told as f64 == *observed => {
                        write!(f, ": {causes} (the limit is {threshold})")
                    }
                    told => write!(f, ", the last {told}: {causes} (the limit is {threshold})"),
                }
            }
            Reason::ProbeFailed {
                failures,
                answers,
                causes,
            } => {
                write!(f, "{failures} of {answers} answered probes failed")?;
                match causes.is_empty() {
                    true => Ok(()),
                    false => write!(f, ": {causes}"),
                }
            }
            Reason::ProbesSlow { slow, answers } => {
                write!(f, "{slow} of {answers} answered probes were slow")
            }
            Reason::ProbeTimeout => f.write_str("a probe missed its deadline"),
            Reason::PeriodTimeout => f.write_str("the half-open period lasted too long"),
            Reason::RetryAfter { after } => {
                let after = Rounded(*after);
                write!(f, "the other side asked to be called again after {after}")
            }
            Reason::Forced { by, reason } => write!(f, "tripped by {by}: {reason}"),
            Reason::Fleet { by, reason } => write!(f, "told by {by}: {reason}"),
            Reason::ProbesSucceeded { successes, answers } => {
                write!(f, "{successes} of {answers} answered probes succeeded")
            }
            Reason::CooldownEnded => f.write_str("the cooldown ended"),
            Reason::HeldOpen { by, reason } => write!(f, "held open by {by}: {reason}"),
            Reason::HeldClosed { by, reason } => write!(f, "held closed by {by}: {reason}"),
            Reason::Released { by } => write!(f, "the hold placed by {by} was released"),
            Reason::HoldEnded { by } => write!(f, "the hold placed by {by} came to its end"),
            Reason::Reset => f.write_str("reset by an operator"),
            Reason::Restored => f.write_str("restored from before a restart"),
            Reason::Reconfigured => {
                f.write_str("the new settings have no rule in common with the old ones")
            }
        }
    }
}

/// The transitions of one event, in order: none, one or two.
///
/// Two come about when time alone owed one and the event itself made another, as when a report arrives after the
/// cooldown: the breaker half-opens, then closes or opens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transitions {
    first: Option<Transition>,
    second: Option<Transition>,
}

impl Transitions {
    /// The transitions in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Transition> {
        self.first.iter().chain(&self.second)
    }

    /// True if nothing happened.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The last transition, if any.
    pub fn last(&self) -> Option<&Transition> {
        self.second.as_ref().or(self.first.as_ref())
    }

    /// The last transition by value.
    pub fn into_last(self) -> Option<Transition> {
        self.second.or(self.first)
    }

    pub(crate) fn push(&mut self, transition: Transition) {
        if self.first.is_none() {
            self.first = Some(transition);
        } else {
            debug_assert!(
                self.second.is_none(),
                "one event makes at most two transitions"
            );
            self.second = Some(transition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(rule: RuleKind, observed: f64, threshold: f64, over: Option<Over>) -> Reason {
        Reason::Rule {
            rule,
            observed,
            threshold,
            calls: 20,
            over,
            causes: Causes::default(),
        }
    }

    #[test]
    fn a_reason_reads_as_a_sentence() {
        let minute = Some(Over::Time(Duration::from_secs(60)));
        assert_eq!(
            rule(RuleKind::ConsecutiveFailures, 5.0, 5.0, None).to_string(),
            "5 consecutive failures, the limit is 5"
        );
        assert_eq!(
            rule(RuleKind::Failures, 20.0, 20.0, minute).to_string(),
            "20 failures within 1m, the limit is 20"
        );
        assert_eq!(
            rule(RuleKind::Failures, 1.0, 1.0, Some(Over::Calls(10))).to_string(),
            "1 failure in the last 10 calls, the limit is 1"
        );
        assert_eq!(
            rule(RuleKind::FailureRate, 0.6, 0.5, minute).to_string(),
            "60% of 20 calls failed, the limit is 50%"
        );
    }
}
