//! Commands to a breaker and views of it, apart from its calls: holds, resets, settings, snapshots, records.

use std::sync::Arc;

use super::Breaker;
use crate::machine::{Explanation, ForcedTrip, Reconfigured};
use crate::outcome::Hold;
use crate::rare_state::RareState;
use crate::settings::{Settings, SettingsErrors};
use crate::snapshot::{Saved, Snapshot};
use crate::time::Timestamp;
use crate::transition::Transition;

impl Breaker {
    /// Holds the breaker open or closed by an operator's command, until the hold ends, is released, or is replaced.
    #[doc(alias = "force_open")]
    #[doc(alias = "isolate")]
    #[doc(alias = "disable")]
    pub fn hold(&self, hold: Hold, now: Timestamp) -> Transition {
        self.change(|machine| machine.hold(hold, now))
            .expect("a hold is always a transition")
    }

    /// Ends the hold: a breaker held open continues half-open, one held closed continues closed with empty windows.
    /// Nothing happens without a hold.
    pub fn release(&self, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.release(now))
    }

    /// Starts again: closed, windows empty, no hold. The clock starts again too: the next stamp is taken as the first
    /// one, even if it is earlier than all before.
    pub fn reset(&self, now: Timestamp) -> Transition {
        self.change(|machine| machine.reset(now))
            .expect("a reset is always a transition")
    }

    /// Trips the breaker as a rule would: it opens for a cooldown and comes back by itself.
    /// While it is open already, or held, nothing happens.
    pub fn trip(&self, trip: ForcedTrip, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.trip(trip, now))
    }

    /// Starts the ramp of the settings again, see [`Machine::begin_ramp`](crate::machine::Machine::begin_ramp).
    pub fn begin_ramp(&self, now: Timestamp) {
        self.with_machine(|machine| machine.begin_ramp(now));
    }

    /// Carries out decisions of time alone, for a caller that wants the listener's events even without calls.
    pub fn tick(&self, now: Timestamp) -> Option<Transition> {
        let transitions = self.with_machine(|machine| machine.tick(now));
        self.announce(&transitions);
        transitions.into_last()
    }

    /// Takes new settings, and reports which state was kept and which was cleared.
    ///
    /// # Errors
    /// All faults of the new settings; the old ones then stay in force.
    pub fn reconfigure(
        &self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Reconfigured, SettingsErrors> {
        let reconfigured = self.with_machine(|machine| machine.reconfigure(settings, now))?;
        self.0.rare.wake();
        self.announce(&reconfigured.transitions);
        Ok(reconfigured)
    }

    /// The result that [`Breaker::reconfigure`] would have, without a change.
    ///
    /// # Errors
    /// All faults of the new settings.
    pub fn would_reconfigure(
        &self,
        settings: impl Into<Arc<Settings>>,
        now: Timestamp,
    ) -> Result<Reconfigured, SettingsErrors> {
        self.0
            .core
            .look(|machine| machine.would_reconfigure(settings, now))
    }

    /// Explains why the breaker is open or still closed, and when that changes: for a person, or as data. Changes
    /// nothing.
    pub fn explain(&self, now: Timestamp) -> Explanation {
        self.0.core.look(|machine| machine.explain(now))
    }

    /// The whole state at `now`. Changes nothing.
    #[doc(alias = "state")]
    #[doc(alias = "metrics")]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let mut snapshot = self.0.core.look(|machine| machine.snapshot(now));
        snapshot.totals.refused = self.0.rare.get().map_or(0, RareState::refused);
        snapshot
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.core.settings()
    }

    /// The part of the state that outlives the process.
    pub fn saved(&self, now: Timestamp) -> Saved {
        self.0.core.look(|machine| machine.saved(now))
    }

    /// Restores the state that an earlier process left, see [`Machine::restore`](crate::machine::Machine::restore).
    pub fn restore(&self, saved: &Saved, now: Timestamp) -> Transition {
        self.change(|machine| machine.restore(saved, now))
            .expect("a restore is always a transition")
    }

    /// True if nothing would be lost with this breaker: closed, no hold, nothing in its windows.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.0.core.look(|machine| machine.is_idle(now))
    }

    /// Frees the memory of a breaker without any state: no transition since it was made, windows empty, no call watched
    /// in flight, no source of chance of its own. Only the [last outcomes](crate::Snapshot::outcomes) and the usual
    /// duration of a success are forgotten. Any other breaker stays as it is; one that has tripped keeps its history. A
    /// [`Registry`](crate::Registry) calls this by itself when it grows.
    pub fn rest(&self, now: Timestamp) {
        self.0.core.rest(now);
    }
}
