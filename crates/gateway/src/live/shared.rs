//! The state that all workers share: the clock, the live plan, the counters, the slots of each listener.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use fusebox_breaker::Timestamp;

use crate::ground::access_log::AccessLog;
use crate::ground::clock::Clock;
use crate::ground::connection_slots::ConnectionSlots;
use crate::ground::listen::ListenerKey;
use crate::ground::meter::{PerWorker, WorkerMeter};
use crate::ground::pulse::Pulse;
use crate::live::live_plan::Live;
use crate::request::worker::Worker;

/// The time in which the last requests of a listener that a reload removed may still arrive.
const FAREWELL: Duration = Duration::from_secs(5);

/// The most connections over the limit whose refusal one worker delivers in an orderly way at once.
const TURNED_AWAY_MAX: usize = 64;

/// The state shared by all workers.
#[derive(Debug)]
pub struct Shared {
    /// The gateway's clock.
    pub clock: Arc<Clock>,
    /// The plan as it runs now; a request takes its own reference once.
    pub live: ArcSwap<Live>,
    /// The previous plan, and the time until which it is kept.
    former: ArcSwapOption<(Arc<Live>, Timestamp)>,
    pub meters: Arc<PerWorker<WorkerMeter>>,
    /// The access log.
    pub access_log: Arc<AccessLog>,
    /// The liveness check of each worker.
    pub pulses: PerWorker<Pulse>,
    /// The open connections of each listener.
    pub slots: ConnectionSlots,
}

impl Shared {
    /// The shared state of a new gateway, with at most `connections_max` connections over all listeners.
    pub fn new(
        live: Live,
        clock: Arc<Clock>,
        access_log: Arc<AccessLog>,
        workers: usize,
        connections_max: usize,
    ) -> Shared {
        Shared {
            clock,
            live: ArcSwap::from_pointee(live),
            former: ArcSwapOption::empty(),
            meters: Arc::new(PerWorker::new(workers)),
            access_log,
            pulses: PerWorker::new(workers),
            slots: ConnectionSlots::new(connections_max),
        }
    }

    /// Replaces the plan from now on.
    pub fn replace(&self, live: Live) {
        let until = self.clock.exact() + FAREWELL;
        let former = self.live.load_full();
        self.former.store(Some(Arc::new((former, until))));
        self.live.store(Arc::new(live));
    }

    /// The plan for a request that came through the listener of a key: the present one, or the previous one if a reload
    /// has just removed the listener.
    pub fn plan_for(&self, key: &ListenerKey) -> Arc<Live> {
        let live = self.live.load_full();
        if live.listener(key).is_some() {
            return live;
        }
        match &*self.former.load() {
            Some(former) if former.0.listener(key).is_some() => former.0.clone(),
            _ => live,
        }
    }

    /// A worker by its index, from 0; background work has a worker of its own, with the index after the last.
    pub fn worker(&self, index: usize) -> Arc<Worker> {
        // With few descriptors, few are spent on connections that get no service.
        let workers = self.pulses.iter().count();
        let turned_away = TURNED_AWAY_MAX.min(self.slots.all_max() / 8 / workers + 1);
        let (clock, meters) = (self.clock.clone(), self.meters.clone());
        Worker::new(index, clock, meters, self.access_log.clone(), turned_away)
    }

    /// Closes connections that the workers' pools have kept for too long, and drops a former plan in time. One task calls
    /// it for all workers, so that idle ones sleep.
    pub fn sweep(&self) {
        let now = self.clock.tick();
        if self
            .former
            .load()
            .as_ref()
            .is_some_and(|former| former.1 <= now)
        {
            self.former.store(None);
        }
        let live = self.live.load();
        for upstream in &live.upstreams {
            for worker in 0..self.pulses.iter().count() {
                upstream.sweep(worker, now);
            }
        }
    }
}
