//! What would be lost with a machine: how easily a registry may let it go.

use super::Machine;
use crate::outcome::Phase;
use crate::time::Timestamp;

/// What would be lost with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Nothing: it is closed and holds no failure.
    Nothing,
    /// Evidence that grows old: failures or slow calls in its windows, a ramp, or a trip whose cooldown is over.
    Evidence,
    /// Its state: it is open, or held.
    State,
}

impl Machine {
    /// What would be lost with this machine at `now`.
    pub(crate) fn worth(&self, now: Timestamp) -> Worth {
        let now = self.moment(now);
        if self.held(now).is_some() {
            return Worth::State;
        }
        match self.phase(now) {
            Phase::Open => Worth::State,
            Phase::HalfOpen => Worth::Evidence,
            // A hold that has ended leaves windows that the next event empties.
            Phase::Closed if self.placed_hold().is_some() => Worth::Nothing,
            Phase::Closed if self.is_ramping(now) => Worth::Evidence,
            Phase::Closed => {
                let mut windows = self.windows.iter();
                match windows.any(|window| window.holds_failures(now)) {
                    true => Worth::Evidence,
                    false => Worth::Nothing,
                }
            }
        }
    }
}
