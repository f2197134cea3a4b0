//! The probes of one half-open period: who is in flight until when, and what has been answered.

use std::collections::BTreeSet;

use super::grant::Slot;
use crate::time::Timestamp;

/// Places are ordered by deadline, so the earliest is found and reclaimed at once, whatever their number and even when
/// a change of settings gave later probes an earlier deadline.
#[derive(Clone, Debug, Default)]
pub(super) struct Probing {
    slots: BTreeSet<Slot>,
    given: u64,
    successes: u32,
    failures: u32,
}

impl Probing {
    pub fn take(&mut self, deadline: Timestamp) -> Slot {
        self.given += 1;
        let slot = Slot {
            deadline,
            number: self.given,
        };
        self.slots.insert(slot);
        slot
    }

    /// Frees a place; false when it had been reclaimed.
    pub fn free(&mut self, slot: Slot) -> bool {
        self.slots.remove(&slot)
    }

    /// Moves a place's deadline later, unless the place has been reclaimed; says what the place is then.
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

    /// Frees all places whose deadline has come, and says whether there were any.
    pub fn reclaim(&mut self, now: Timestamp) -> bool {
        let before = self.slots.len();
        while self.slots.first().is_some_and(|slot| slot.deadline <= now) {
            self.slots.pop_first();
        }
        self.slots.len() < before
    }

    pub fn answer(&mut self, failed: bool) {
        let count = if failed {
            &mut self.failures
        } else {
            &mut self.successes
        };
        *count = count.saturating_add(1);
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

    pub fn successes(&self) -> u32 {
        self.successes
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}
