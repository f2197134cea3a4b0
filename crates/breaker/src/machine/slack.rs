//! How much a closed machine can still take before anything can be decided.

use super::{Machine, SettledAs, State};
use crate::recorder::Flown;
use crate::settings::{Mode, Over, Rule, Settings, Watches, WindowKind};
use crate::time::Timestamp;
use crate::window::Tally;

/// What may be booked later than it came, in its order, with no difference to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slack {
    /// So many failures, and any number of successes between them, meet no rule.
    pub failures: u64,
    /// Before this time, no window forgets anything, and outcomes of any time may be booked as of the machine's latest.
    pub edge: Timestamp,
}

impl Machine {
    /// The slack, where there is some: closed and neither held nor disabled, and no rule looks at more than outcomes.
    pub(crate) fn slack(&self) -> Option<Slack> {
        let bare = matches!(self.state, State::Closed { ramp: None })
            && self.hold.is_none()
            && self.settings.mode != Mode::Disabled
            && self.settings.watches() == Watches::Outcomes;
        if !bare {
            return None;
        }
        let rules = self.settings.trip.iter().zip(&self.windows);
        let mut slacks = rules.map(|(rule, window)| {
            let (may_wait, edge) = window.waits(self.latest);
            let missing = missing(rule, &self.settings, window.tally(self.latest))?;
            let failures = if may_wait { missing } else { 0 };
            Some(Slack { failures, edge })
        });
        let none = Slack {
            failures: u64::MAX,
            edge: Timestamp::MAX,
        };
        slacks.try_fold(none, |least, slack| {
            let slack = slack?;
            Some(Slack {
                failures: least.failures.min(slack.failures),
                edge: least.edge.min(slack.edge),
            })
        })
    }

    /// Books outcomes that had to wait within the slack, in their order. Whether each is a failure is all that is known.
    pub(crate) fn catch_up_with(&mut self, outcomes: impl Iterator<Item = bool>) {
        for failed in outcomes {
            // Every rule looks at outcomes alone, else there is no slack.
            for window in &mut self.windows {
                window.record(failed, self.latest);
            }
            let counted = if failed {
                self.totals.failures += 1;
                SettledAs::Failure
            } else {
                self.totals.successes += 1;
                SettledAs::Success
            };
            self.outcomes.write(Flown {
                at: self.latest,
                generation: self.generation,
                counted,
                duration: None,
            });
        }
    }
}

/// How many further failures, at the most, certainly do not meet the rule; none where a success may meet it already.
fn missing(rule: &Rule, settings: &Settings, tally: Tally) -> Option<u64> {
    let limit = match *rule {
        Rule::ConsecutiveFailures { threshold, .. } | Rule::Failures { threshold, .. } => {
            u64::from(threshold)
        }
        Rule::FailureRate {
            rate,
            over,
            min_calls,
        } => {
            // A window that slides, or one of a time before it forgets, does not have fewer calls than now. One that
            // fills and is then cleared may.
            let kept = match (over, settings.window) {
                (Over::Calls(_), WindowKind::Tumbling) => 0,
                _ => tally.calls,
            };
            rate.least(kept.max(u64::from(min_calls)).max(1))
        }
        Rule::SlowRate { .. } | Rule::Stalled { .. } | Rule::Adaptive { .. } => return None,
    };
    limit.checked_sub(tally.failures + 1)
}
