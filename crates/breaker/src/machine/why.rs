//! The reason for which a machine refuses calls.

use super::{Machine, State};
use crate::outcome::{HoldKind, Phase};
use crate::transition::{Reason, Transition};

impl Machine {
    /// The reason of the last transition that stopped the calls: of the hold, or of the last opening. None while closed, or
    /// where that transition is forgotten.
    pub(crate) fn why_closed_to_calls(&self) -> Option<&Reason> {
        let held = self.hold.as_ref().map(|hold| hold.kind);
        let stopped = |transition: &&Transition| match (held, &self.state) {
            (Some(HoldKind::Open), _) => matches!(
                transition.reason,
                Reason::HeldOpen { .. } | Reason::Restored
            ),
            (Some(HoldKind::Closed), _) | (None, State::Closed { .. }) => false,
            (None, State::Open { .. } | State::HalfOpen(_)) => {
                transition.to == Phase::Open && transition.from != Phase::Open
                    || matches!(transition.reason, Reason::Restored)
            }
        };
        let last = self.recent.iter().rev().find(stopped)?;
        Some(&last.reason)
    }
}
