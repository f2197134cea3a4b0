//! The probes of one half-open period: those in flight with their deadlines, and the answers.

use std::collections::BTreeSet;

use super::grant::Slot;
use crate::settings::{HalfOpen, Places, Probes};
use crate::time::Timestamp;

/// Places are ordered by deadline, so the earliest is found and reclaimed at once, whatever their number and even when
/// a change of settings gave later probes an earlier deadline.
#[derive(Clone, Debug, Default)]
pub(super) struct Probing {
    slots: BTreeSet<Slot>,
    given: u64,
    pub successes: u32,
    pub failures: u32,
    /// Successes since the last failure.
    pub row: u32,
    /// Slow answers among them.
    pub slow: u32,
}

impl Probing {
    pub fn take(&mut self, start: Timestamp, deadline: Timestamp) -> Slot {
        self.given += 1;
        let slot = Slot {
            deadline,
            number: self.given,
            start,
        };
        self.slots.insert(slot);
        slot
    }

    /// Frees a place; false when it had been reclaimed.
    pub fn free(&mut self, slot: Slot) -> bool {
        self.slots.remove(&slot)
    }

    /// Moves a place's deadline later, unless the place has been reclaimed; returns the place afterwards.
    pub fn extend(&mut self, slot: Slot, deadline: Timestamp) -> Slot {
        let later = Slot {
            deadline: slot.deadline.max(deadline),
            ..slot
        };
        if self.slots.remove(&slot) {
            self.slots.insert(later);
            return later;
        }
        slot
    }

    /// Restarts a probe's timing from another time, and returns its place afterwards.
    pub fn restart(&mut self, slot: Slot, start: Timestamp) -> Slot {
        let restarted = Slot { start, ..slot };
        if self.slots.remove(&slot) {
            self.slots.insert(restarted);
        }
        restarted
    }

    /// Frees all places whose deadline has come; true if there were any.
    pub fn reclaim(&mut self, now: Timestamp) -> bool {
        let before = self.slots.len();
        while self.slots.first().is_some_and(|slot| slot.deadline <= now) {
            self.slots.pop_first();
        }
        self.slots.len() < before
    }

    pub fn answer(&mut self, failed: bool, slow: bool) {
        if failed {
            self.failures = self.failures.saturating_add(1);
            self.row = 0;
        } else {
            self.successes = self.successes.saturating_add(1);
            self.row = self.row.saturating_add(1);
        }
        self.slow = self.slow.saturating_add(u32::from(slow));
    }

    /// True if every place is taken, with `in_flight` probes in flight.
    pub fn is_full(&self, in_flight: u32, half_open: &HalfOpen) -> bool {
        let Probes::Limited(limit) = half_open.probes else {
            return false;
        };
        let taken = match half_open.places {
            Places::Freed => in_flight,
            Places::Spent if in_flight == 0 => 0,
            Places::Spent => in_flight.saturating_add(self.answers()),
        };
        taken >= limit.get()
    }

    pub fn in_flight(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Probes in flight whose deadline is still ahead.
    pub fn in_flight_at(&self, now: Timestamp) -> u32 {
        let live = self.slots.iter().filter(|slot| slot.deadline > now).count();
        u32::try_from(live).unwrap_or(u32::MAX)
    }

    /// The next time at which a place becomes free by itself.
    pub fn earliest_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let mut deadlines = self.slots.iter().map(|slot| slot.deadline);
        deadlines.find(|deadline| *deadline > now)
    }

    pub fn answers(&self) -> u32 {
        self.successes.saturating_add(self.failures)
    }
}
