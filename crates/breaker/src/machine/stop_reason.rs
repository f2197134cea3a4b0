//! The reason for which a machine refuses calls.

use super::{Machine, State};
use crate::outcome::{HoldKind, Phase};
use crate::transition::Reason;

impl Machine {
    /// The reason why calls are stopped: that of the hold, or of the last opening. `None` while closed, or if that
    /// opening is forgotten.
    pub(crate) fn stop_reason(&self) -> Option<Reason> {
        match (&self.hold, &self.state) {
            // The hold itself has its reason even after a restart, when the last transition is the restore.
            (Some(hold), _) => (hold.kind == HoldKind::Open).then(|| Reason::HeldOpen {
                by: hold.by.clone(),
                reason: hold.reason.clone(),
            }),
            (None, State::Closed { .. }) => None,
            (None, State::Open { .. } | State::HalfOpen(_)) => {
                let last = self.recent.iter().rev().find(|transition| {
                    transition.to == Phase::Open && transition.from != Phase::Open
                        || matches!(transition.reason, Reason::Restored)
                })?;
                Some(last.reason.clone())
            }
        }
    }
}
