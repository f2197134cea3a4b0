//! What all workers share: the clock, the live plan, the counters, the seats of each listener.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use fusebox_breaker::Timestamp;

use crate::clock::Clock;
use crate::listen::Place;
use crate::live::Live;
use crate::meter::{PerWorker, WorkerMeter};

/// How long the last requests of a listener that a reload took away may take to arrive.
const FAREWELL: Duration = Duration::from_secs(5);

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The gateway's clock.
    pub clock: Arc<Clock>,
    /// The plan as it runs now; a request takes its own reference once.
    pub live: ArcSwap<Live>,
    /// The plan before that, and until when it is kept.
    former: ArcSwapOption<(Arc<Live>, Timestamp)>,
    /// What each worker counts.
    pub meters: PerWorker<WorkerMeter>,
    /// How many connections each listener has.
    pub seats: Seats,
}

impl Shared {
    /// What the workers of a new gateway share.
    pub fn new(live: Live, clock: Arc<Clock>, workers: usize) -> Shared {
        Shared {
            clock,
            live: ArcSwap::from_pointee(live),
            former: ArcSwapOption::empty(),
            meters: PerWorker::new(workers),
            seats: Seats::default(),
        }
    }

    /// Runs another plan from now on.
    pub fn replace(&self, live: Live) {
        let until = self.clock.exact() + FAREWELL;
        let former = self.live.load_full();
        self.former.store(Some(Arc::new((former, until))));
        self.live.store(Arc::new(live));
    }

    /// The plan that a request runs under that came through the listener of a place: the one that
    /// runs now, or the one before where a reload has just taken the listener away.
    pub fn plan_for(&self, place: &Place) -> Arc<Live> {
        let live = self.live.load_full();
        if live.listener(place).is_some() {
            return live;
        }
        match &*self.former.load() {
            Some(former) if former.0.listener(place).is_some() => former.0.clone(),
            _ => live,
        }
    }

    /// Closes what a worker's pools have kept for too long, and lets a former plan go.
    pub fn sweep(&self, worker: usize) {
        let now = self.clock.tick();
        if self
            .former
            .load()
            .as_ref()
            .is_some_and(|former| former.1 <= now)
        {
            self.former.store(None);
        }
        for upstream in &self.live.load().upstreams {
            upstream.pool(worker).sweep(now);
        }
        for client in &self.live.load().flogo.clients {
            client.pool(worker).sweep(now);
        }
        for client in self
            .live
            .load()
            .app
            .iter()
            .flat_map(|app| app.clients.all())
        {
            client.pool(worker).sweep(now);
        }
    }
}

/// Counts each listener's open connections, over all workers and reloads.
#[derive(Debug, Default)]
pub struct Seats(Mutex<HashMap<Place, Arc<AtomicUsize>>>);

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
    pub fn take(&self, listener: &Place, limit: usize) -> Option<Seat> {
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
        let plan = fusebox_plan::plan::Listener {
            name: "a".into(),
            addr: "127.0.0.1:8080".parse().unwrap(),
            trusted_proxies: Vec::new(),
            encoded_slash_allowed: false,
            double_slash_allowed: false,
            manner: fusebox_plan::plan::Manner::Native,
            tls: None,
        };
        let place = Place::of(&plan);
        let first = seats.take(&place, 1);
        assert!(first.is_some() && seats.take(&place, 1).is_none());
        drop(first);
        assert!(seats.take(&place, 1).is_some());
    }
}
