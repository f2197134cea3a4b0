//! Grants: the machine's answer for a call that may pass, and the result when the call has ended.

use std::time::Duration;

use crate::outcome::SettledAs;
use crate::outcome::{Outcome, Rejection};
use crate::time::Timestamp;
use crate::transition::Transitions;
use crate::window::Flight;

/// The answer to [`Machine::admit`](super::Machine::admit).
#[derive(Debug)]
pub struct Admission {
    /// The grant for a call, or the refusal.
    pub result: Result<Grant, Rejection>,
    /// Transitions caused by time.
    pub transitions: Transitions,
}

/// The answer to [`Machine::check`](super::Machine::check).
#[derive(Debug)]
pub struct Checked {
    /// The answer for a call.
    pub result: Result<(), Rejection>,
    /// Transitions caused by time.
    pub transitions: Transitions,
}

/// Permission for one call: the content of a permit. It cannot be copied, so an outcome cannot be recorded twice.
#[derive(Debug)]
#[must_use = "a grant that is neither recorded nor dropped through the machine keeps a probe's place until its deadline"]
pub struct Grant {
    pub(crate) generation: u64,
    pub(crate) kind: GrantKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantKind {
    /// Granted while closed.
    Call,
    /// Granted while closed, with the time: a rule judges durations.
    Timed(Timestamp),
    /// Granted while closed, and counted as in flight.
    Flight(Flight),
    /// Granted while half-open.
    Probe(Slot),
    /// Granted because an operator holds the breaker closed.
    Held,
    /// Granted by a monitor that would have refused.
    Shadow(Rejection),
    /// Granted by a disabled breaker.
    Untracked,
}

/// A probe's place: no two probes of one half-open period have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub deadline: Timestamp,
    pub number: u64,
    pub start: Timestamp,
}

impl Grant {
    /// The generation in which the outcome counts.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// True for a probe, whose outcome decides whether the breaker closes.
    pub fn is_probe(&self) -> bool {
        matches!(self.kind, GrantKind::Probe(_))
    }

    /// The time at which the probe's place is freed for another; `None` for other calls.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.kind {
            GrantKind::Probe(slot) => Some(slot.deadline),
            _ => None,
        }
    }

    pub(crate) fn is_flight(&self) -> bool {
        matches!(self.kind, GrantKind::Flight(_))
    }

    /// The time since the call began, if the grant knows it.
    pub(crate) fn lasted(&self, now: Timestamp) -> Option<Duration> {
        let start = match self.kind {
            GrantKind::Timed(start) => start,
            GrantKind::Flight(flight) => flight.start,
            GrantKind::Probe(slot) => slot.start,
            GrantKind::Call | GrantKind::Held | GrantKind::Shadow(_) | GrantKind::Untracked => {
                return None;
            }
        };
        Some(now.saturating_since(start))
    }

    /// The refusal that a monitor did not enforce.
    pub fn would_reject(&self) -> Option<&Rejection> {
        match &self.kind {
            GrantKind::Shadow(rejection) => Some(rejection),
            _ => None,
        }
    }
}

/// The result of recording an outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The category in which it was counted.
    pub counted: SettledAs,
    /// The transitions that it caused.
    pub transitions: Transitions,
}

impl Settled {
    /// An outcome in time without a transition.
    #[inline]
    pub(crate) fn of(outcome: Outcome) -> Self {
        Settled {
            counted: outcome.into(),
            transitions: Transitions::default(),
        }
    }
}
