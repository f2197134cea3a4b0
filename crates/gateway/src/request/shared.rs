//! What all workers share: the clock, the live plan, the counters, the seats of each listener.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use fusebox_breaker::Timestamp;

use crate::ground::clock::Clock;
use crate::ground::listen::Place;
use crate::ground::meter::{PerWorker, WorkerMeter};
use crate::ground::pulse::Pulse;
use crate::live::live_plan::Live;

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
    /// Whether each worker still runs.
    pub pulses: PerWorker<Pulse>,
    /// How many connections each listener has.
    pub seats: Seats,
}

impl Shared {
    /// What the workers of a new gateway share, with at most `connections_max` connections over all listeners.
    pub fn new(live: Live, clock: Arc<Clock>, workers: usize, connections_max: usize) -> Shared {
        Shared {
            clock,
            live: ArcSwap::from_pointee(live),
            former: ArcSwapOption::empty(),
            meters: PerWorker::new(workers),
            pulses: PerWorker::new(workers),
            seats: Seats::new(connections_max),
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
            client.target().pool(worker).sweep(now);
        }
    }
}

/// Counts the open connections, each listener's and all together, over all workers and reloads.
#[derive(Debug)]
pub struct Seats {
    /// How many all listeners together may have, whatever the plan says: so many the process can carry.
    all_max: usize,
    all: Arc<AtomicUsize>,
    listeners: Mutex<HashMap<Place, Arc<AtomicUsize>>>,
}

/// One open connection: of its listener, and of all listeners.
#[derive(Debug)]
pub struct Seat([Arc<AtomicUsize>; 2]);

impl Drop for Seat {
    fn drop(&mut self) {
        for taken in &self.0 {
            taken.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Seats {
    /// Nobody sits yet; at most `all_max` ever do.
    pub fn new(all_max: usize) -> Seats {
        Seats {
            all_max,
            all: Arc::default(),
            listeners: Mutex::default(),
        }
    }

    /// How many all listeners together may have.
    pub fn all_max(&self) -> usize {
        self.all_max
    }

    /// A seat, if fewer than `limit` are taken at this listener and there is room in the process.
    pub fn take(&self, listener: &Place, limit: usize) -> Option<Seat> {
        // Taken once a connection, not once a request.
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let taken = match listeners.get(listener) {
            Some(taken) => taken.clone(),
            None => listeners.entry(listener.clone()).or_default().clone(),
        };
        drop(listeners);
        if !take_one(&self.all, self.all_max) {
            return None;
        }
        if !take_one(&taken, limit) {
            self.all.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Seat([taken, self.all.clone()]))
    }
}

fn take_one(taken: &AtomicUsize, limit: usize) -> bool {
    let got = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
        (count < limit).then_some(count + 1)
    });
    got.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(addr: &str) -> Place {
        let plan = fusebox_plan::plan::Listener {
            name: "a".into(),
            addr: addr.parse().unwrap(),
            trusted_proxies: Vec::new(),
            encoded_slash_allowed: false,
            double_slash_allowed: false,
            manner: fusebox_plan::plan::Manner::Native,
            tls: None,
        };
        Place::of(&plan)
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let seats = Seats::new(usize::MAX);
        let place = place("127.0.0.1:8080");
        let first = seats.take(&place, 1);
        assert!(first.is_some() && seats.take(&place, 1).is_none());
        drop(first);
        assert!(seats.take(&place, 1).is_some());
    }

    #[test]
    fn all_listeners_together_have_no_more_seats_than_the_process_can_carry() {
        let seats = Seats::new(2);
        let (one, other) = (place("127.0.0.1:8080"), place("127.0.0.1:8081"));
        let first = seats.take(&one, 10);
        let _second = seats.take(&other, 10).unwrap();
        assert!(seats.take(&one, 10).is_none() && seats.take(&other, 10).is_none());
        assert!(seats.take(&other, 1).is_none(), "a refusal takes none");
        drop(first);
        assert!(seats.take(&other, 1).is_none());
        assert!(seats.take(&other, 10).is_some());
    }
}
