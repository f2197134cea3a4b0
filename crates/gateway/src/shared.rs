//! What all workers share: the clock, the live plan, the counters, the seats of each listener.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::live::Live;
use crate::meter::{PerWorker, WorkerMeter};

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The gateway's clock.
    pub clock: Arc<Clock>,
    /// The plan as it runs now; a request takes its own reference once.
    pub live: ArcSwap<Live>,
    /// What each worker counts.
    pub meters: PerWorker<WorkerMeter>,
    /// How many connections each listener has.
    pub seats: Seats,
}

impl Shared {
    /// Closes what a worker's pools have kept for too long.
    pub fn sweep_pools(&self, worker: usize) {
        let now = self.clock.tick();
        for upstream in &self.live.load().upstreams {
            upstream.pool(worker).sweep(now);
        }
    }
}

/// Counts each listener's open connections, over all workers and reloads.
#[derive(Debug, Default)]
pub struct Seats(Mutex<HashMap<Arc<str>, Arc<AtomicUsize>>>);

/// One open connection of a listener.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Seats {
    /// A seat, if fewer than `limit` are taken.
    pub fn take(&self, listener: &Arc<str>, limit: usize) -> Option<Seat> {
        // Taken once a connection, not once a request.
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = match seats.get(listener) {
            Some(taken) => taken,
            None => seats.entry(listener.clone()).or_default(),
        };
        let got = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < limit).then_some(count + 1)
        });
        got.is_ok().then(|| Seat(taken.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let seats = Seats::default();
        let name: Arc<str> = "a".into();
        let first = seats.take(&name, 1);
        assert!(first.is_some() && seats.take(&name, 1).is_none());
        drop(first);
        assert!(seats.take(&name, 1).is_some());
    }
}
