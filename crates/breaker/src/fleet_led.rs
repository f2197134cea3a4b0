//! A breaker that many processes share: what their fleet tells it, and what it tells the fleet.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::breaker::{Breaker, Inner};
use crate::machine::{FleetOpening, FleetTally, ProbeLease};
use crate::time::Timestamp;
use crate::transition::Transition;

/// A breaker that is known but not kept: a [`Registry`](crate::Registry) may still let it go.
#[derive(Clone)]
pub struct WeakBreaker(Weak<Inner>);

impl WeakBreaker {
    /// The breaker, as long as somebody keeps it.
    pub fn upgrade(&self) -> Option<Breaker> {
        self.0.upgrade().map(Breaker)
    }
}

impl std::fmt::Debug for WeakBreaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WeakBreaker").field(&self.upgrade()).finish()
    }
}

/// What a fleet does with a breaker. None of it is heard of by the breaker's [`Listener`](crate::Listener) as anything
/// but the transition that it brings about, whose reason is [`Reason::Fleet`](crate::Reason::Fleet).
impl Breaker {
    /// A way to it that does not keep it.
    pub fn downgrade(&self) -> WeakBreaker {
        WeakBreaker(Arc::downgrade(&self.0))
    }

    /// Lets a fleet decide from now on when to probe: an open breaker whose cooldown is over goes on to refuse, with
    /// `breaker_probing`, until it has a [lease](Breaker::probe_by_lease). What it refuses so is told to
    /// [`Listener::demanded`](crate::Listener::demanded), at most ten times a second.
    pub fn follow_fleet(&self) {
        self.with_machine(|machine| machine.follow_fleet());
        self.0.rare.wake();
    }

    /// Decides alone from now on when to probe; an open breaker stays open for so much longer.
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

    /// Counts outcomes for a fleet, or does so no longer. A breaker that counts tells of the first failure by
    /// [`Listener::stirred`](crate::Listener::stirred), and costs nothing more until then.
    pub fn count_for_fleet(&self, counts: bool) {
        self.with_machine(|machine| machine.count_for_fleet(counts));
    }

    /// Counts every outcome from now on, also successes that change nothing here, or does so no longer. Returns what was
    /// counted until now.
    pub fn wake_for_fleet(&self, awake: bool) -> FleetTally {
        self.with_machine(|machine| machine.wake_for_fleet(awake))
    }

    /// A call succeeded somewhere in the fleet: rows of failures that were counted here end, as by a success here.
    pub fn end_row_by_fleet(&self) {
        self.with_machine(|machine| machine.end_row_by_fleet());
    }

    /// What was counted since it was last taken.
    pub fn take_fleet_tally(&self) -> FleetTally {
        self.with_machine(|machine| machine.take_fleet_tally())
    }
}
