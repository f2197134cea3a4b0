//! A breaker that many processes share: the fleet's commands to it, and its reports to the fleet.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::breaker::{Breaker, Inner};
use crate::machine::{FleetOpening, FleetTally, ProbeLease};
use crate::time::Timestamp;
use crate::transition::Transition;

/// A reference to a breaker that does not keep it: a [`Registry`](crate::Registry) may still evict it.
#[derive(Clone)]
pub struct WeakBreaker(Weak<Inner>);

impl WeakBreaker {
    /// The breaker, as long as another handle keeps it.
    pub fn upgrade(&self) -> Option<Breaker> {
        self.0.upgrade().map(Breaker)
    }
}

impl std::fmt::Debug for WeakBreaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WeakBreaker").field(&self.upgrade()).finish()
    }
}

/// Commands of a fleet. The breaker's [`Listener`](crate::Listener) receives only the transitions that they cause, with
/// the reason [`Reason::Fleet`](crate::Reason::Fleet).
impl Breaker {
    /// A reference that does not keep the breaker.
    pub fn downgrade(&self) -> WeakBreaker {
        WeakBreaker(Arc::downgrade(&self.0))
    }

    /// Lets a fleet decide from now on when to probe: an open breaker whose cooldown is over continues to refuse, with
    /// `breaker_probing`, until it has a [lease](Breaker::probe_by_lease).
    /// [`Listener::demanded`](crate::Listener::demanded) is called for such refusals, at most ten times a second.
    pub fn follow_fleet(&self) {
        self.with_machine(|machine| machine.follow_fleet());
        self.0.rare.wake();
    }

    /// Decides alone from now on when to probe; an open breaker stays open for `extra` longer.
    pub fn go_alone(&self, extra: Duration, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.go_alone(extra, now))
    }

    /// Takes over that the fleet is open, and follows it. Under an operator's hold nothing happens.
    pub fn open_by_fleet(&self, opening: FleetOpening, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.open_by_fleet(opening, now))
    }

    /// Takes over that the fleet is closed, and follows it. Under an operator's hold, or while closed, nothing happens.
    pub fn close_by_fleet(
        &self,
        by: impl Into<Arc<str>>,
        reason: impl Into<Arc<str>>,
        now: Timestamp,
    ) -> Option<Transition> {
        let (by, reason) = (by.into(), reason.into());
        self.change(|machine| machine.close_by_fleet(by, reason, now))
    }

    /// Lets calls probe while the lease lasts.
    pub fn probe_by_lease(&self, lease: ProbeLease, now: Timestamp) -> Option<Transition> {
        self.change(|machine| machine.probe_by_lease(lease, now))
    }

    /// Starts or stops counting outcomes for a fleet. A breaker that counts reports the first failure to
    /// [`Listener::stirred`](crate::Listener::stirred), and costs nothing more until then.
    pub fn count_for_fleet(&self, counts: bool) {
        self.with_machine(|machine| machine.count_for_fleet(counts));
    }

    /// Starts or stops counting every outcome, also successes that change nothing here. Returns the counts until now.
    pub fn wake_for_fleet(&self, awake: bool) -> FleetTally {
        self.with_machine(|machine| machine.wake_for_fleet(awake))
    }

    /// Notes a success elsewhere in the fleet: rows of failures that were counted here end, as by a success here.
    pub fn end_row_by_fleet(&self) {
        self.with_machine(|machine| machine.end_row_by_fleet());
    }

    /// The counts since they were last taken.
    pub fn take_fleet_tally(&self) -> FleetTally {
        self.with_machine(|machine| machine.take_fleet_tally())
    }
}
