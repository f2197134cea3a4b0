//! The outcomes that a closed machine can take before it can decide anything.

use super::{Machine, State};
use crate::log::{Allowed, Log};
use crate::settings::{Mode, Over, Rule, Settings, Watches, WindowKind};
use crate::time::Timestamp;
use crate::window::Tally;

/// The outcomes that may be booked later, in their order, without a visible difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headroom {
    /// Number of failed or slow outcomes that cannot meet a rule, with any number of others between them.
    misses: u64,
    /// Before this time no window forgets anything, and outcomes of any time may be booked as of the machine's latest.
    /// At most the [horizon](super::Latest::horizon), so that no stamp that may be refused is noted.
    pub edge: Timestamp,
    /// True if no window ever forgets by time, so that outcomes without a known time may be booked.
    pub timeless: bool,
}

impl Machine {
    /// The headroom, if there is any: closed and neither held nor disabled, and the log can note all that the rules
    /// need.
    pub(crate) fn headroom(&self) -> Option<Headroom> {
        let bare = matches!(self.state, State::Closed { ramp: None })
            && self.latest.has_begun()
            && self.hold.is_none()
            && self.settings.mode != Mode::Disabled
            && match self.settings.watches() {
                Watches::Outcomes => true,
                Watches::Durations => self.settings.slow_from().is_some(),
                Watches::Flights => false,
            };
        if !bare {
            return None;
        }
        let latest = self.time();
        let rules = self.settings.trip.iter().zip(&self.windows);
        let mut each = rules.map(|(rule, window)| {
            let (may_wait, edge) = window.waits(latest);
            let missing = missing(rule, &self.settings, window.tally(latest))?;
            // A machine that counts for a fleet must report the first failure.
            let may_wait = may_wait && !self.counting.is_asleep();
            let misses = if may_wait { window.room(missing) } else { 0 };
            Some((misses, edge))
        });
        let (misses, edge) = each.try_fold((u64::MAX, Timestamp::MAX), |least, headroom| {
            let (misses, edge) = headroom?;
            Some((least.0.min(misses), least.1.min(edge)))
        })?;
        Some(Headroom {
            misses,
            edge: edge.min(self.latest.horizon()),
            timeless: edge == Timestamp::MAX,
        })
    }

    /// The outcomes that a log may take within the headroom.
    pub(crate) fn allows(&self, headroom: Headroom) -> Allowed {
        Allowed {
            misses: headroom.misses,
            quiet: self.success_changes_nothing(),
            wide: self.settings.watches() == Watches::Durations,
        }
    }

    /// Takes a time without an event.
    pub(crate) fn see(&mut self, now: Timestamp) {
        self.accept(now);
    }

    /// Books outcomes that had to wait within the headroom, in their order. The log holds all that is known of them.
    pub(crate) fn catch_up_with(&mut self, log: Log) {
        if log.is_empty() {
            return;
        }
        let (failures, slows) = log.runs();
        let latest = self.time();
        for (rule, window) in self.settings.trip.iter().zip(&mut self.windows) {
            let run = match rule {
                Rule::SlowRate { .. } => slows,
                Rule::ConsecutiveFailures { .. }
                | Rule::Failures { .. }
                | Rule::FailureRate { .. }
                | Rule::Stalled { .. }
                | Rule::Adaptive { .. } => failures,
            };
            window.record_run(run, latest);
        }
        self.counting.run(failures);
        let failed = u64::from(failures.count());
        self.totals.failures += failed;
        self.outcomes.causes.see_unknown(failures.count());
        self.totals.successes += u64::from(failures.length) - failed;
        self.outcomes.write_run(latest, self.generation, failures);
    }
}

/// The most further hits that certainly do not meet the rule; `None` if a miss may meet it already.
fn missing(rule: &Rule, settings: &Settings, tally: Tally) -> Option<u64> {
    let limit = match *rule {
        Rule::ConsecutiveFailures { threshold, .. } | Rule::Failures { threshold, .. } => {
            u64::from(threshold)
        }
        Rule::FailureRate {
            rate,
            over,
            min_calls,
        }
        | Rule::SlowRate {
            rate,
            over,
            min_calls,
            ..
        } => {
            // A window that slides, or one of a time before it forgets, does not have fewer calls than now. One that
            // fills and is then cleared may.
            let kept = match (over, settings.window) {
                (Over::Calls(_), WindowKind::Tumbling) => 0,
                _ => tally.calls,
            };
            rate.least(kept.max(u64::from(min_calls)).max(1))
        }
        Rule::Stalled { .. } | Rule::Adaptive { .. } => return None,
    };
    limit.checked_sub(tally.failures + 1)
}
