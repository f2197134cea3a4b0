//! The calls in flight, and which of them have stalled.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Tally, span_nanos};
use crate::time::Timestamp;

/// A call in flight: no two of one breaker have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flight {
    pub start: Timestamp,
    pub number: u64,
}

/// Calls in flight in the order in which they began. Each is moved once from the young to the stalled, unless it is begun
/// anew, so judging costs the same however many there are.
#[derive(Clone, Debug)]
pub(crate) struct Flights {
    longer_than: u64,
    young: BTreeSet<Flight>,
    stalled: BTreeSet<Flight>,
}

impl Flights {
    pub fn new(longer_than: Duration) -> Self {
        Flights {
            longer_than: span_nanos(longer_than),
            young: BTreeSet::new(),
            stalled: BTreeSet::new(),
        }
    }

    /// Notes that a call has begun.
    pub fn take_off(&mut self, flight: Flight) {
        self.young.insert(flight);
    }

    /// Notes that a call is not in flight any more.
    pub fn land(&mut self, flight: Flight) {
        let _ = self.young.remove(&flight) || self.stalled.remove(&flight);
    }

    /// Counts a call from another time on, unless it has landed.
    pub fn restart(&mut self, flight: Flight, start: Timestamp) {
        if self.young.remove(&flight) || self.stalled.remove(&flight) {
            self.take_off(Flight { start, ..flight });
        }
    }

    /// Moves those that have stalled by now.
    pub fn age(&mut self, now: Timestamp) {
        while let Some(flight) = self.young.first().copied()
            && self.is_stalled(flight, now)
        {
            self.young.pop_first();
            self.stalled.insert(flight);
        }
    }

    /// All in flight, and as failures the stalled ones.
    pub fn tally(&self, now: Timestamp) -> Tally {
        let aged = self
            .young
            .iter()
            .take_while(|flight| self.is_stalled(**flight, now));
        let stalled = self.stalled.len() + aged.count();
        Tally {
            calls: (self.young.len() + self.stalled.len()) as u64,
            failures: stalled as u64,
        }
    }

    pub fn clear(&mut self) {
        self.young = BTreeSet::new();
        self.stalled = BTreeSet::new();
    }

    /// Takes over the calls that are in flight elsewhere.
    pub fn carry(&mut self, old: &Flights) {
        self.young.extend(old.young.iter().chain(&old.stalled));
    }

    fn is_stalled(&self, flight: Flight, now: Timestamp) -> bool {
        now.as_nanos().saturating_sub(flight.start.as_nanos()) > self.longer_than
    }
}
