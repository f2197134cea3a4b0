//! The loss of an eviction: the cost for a registry of dropping a machine.

use super::Machine;
use crate::outcome::Phase;
use crate::time::Timestamp;

/// The loss if a machine were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: the machine is closed and holds no failure.
    Nothing,
    /// Evidence that grows old: failures or slow calls in its windows, a ramp, or a trip whose cooldown is over.
    Evidence,
    /// The state: the machine is open, or held.
    State,
}

impl Machine {
    pub(crate) fn loss(&self, now: Timestamp) -> Loss {
        let now = self.moment(now);
        if self.held(now).is_some() {
            return Loss::State;
        }
        match self.phase(now) {
            Phase::Open => Loss::State,
            Phase::HalfOpen => Loss::Evidence,
            // A hold that has ended leaves windows that the next event empties.
            Phase::Closed if self.placed_hold().is_some() => Loss::Nothing,
            Phase::Closed if self.is_ramping(now) => Loss::Evidence,
            Phase::Closed => {
                let mut windows = self.windows.iter();
                match windows.any(|window| window.holds_failures(now)) {
                    true => Loss::Evidence,
                    false => Loss::Nothing,
                }
            }
        }
    }
}
