//! One worker thread: its own runtime, its own sockets, its own connections to upstreams.
//!
//! Workers share the plan, the breakers and a few counters; a request never leaves the worker that
//! accepted it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::ground::clock::Desk;
use crate::ground::ids::Ids;
use crate::ground::meter::WorkerMeter;
use crate::request::linger::LingerRoom;
use crate::request::shared::Shared;

/// How many connections over the limit a worker tells so at once.
const TURNED_AWAY_MAX: usize = 64;

/// How a worker's drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they did not finish in time.
    pub cut: usize,
}

/// What belongs to one worker.
#[derive(Debug)]
pub struct Worker {
    /// Counted from 0.
    pub index: usize,
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Makes request ids.
    pub ids: Ids,
    /// Connections whose clients may still be sending behind their last answer.
    pub lingering: LingerRoom,
    /// Connections and tunnels that are open.
    open: AtomicUsize,
    left: Notify,
    /// Places for connections over the limit that are waited for until they have read why.
    pub turning_away: Arc<Semaphore>,
}

/// Keeps a worker from ending; dropped when a connection or tunnel is done.
#[derive(Debug)]
pub struct Stay(Arc<Worker>);

impl Drop for Stay {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

impl Worker {
    /// A worker without connections yet. What runs beside the workers has one of its own, of the index
    /// after the last.
    pub fn new(index: usize, shared: Arc<Shared>) -> Arc<Worker> {
        // Where descriptors are few, few are spent on those that get no service.
        let workers = shared.pulses.iter().count();
        let turned_away = TURNED_AWAY_MAX.min(shared.seats.all_max() / 8 / workers + 1);
        Arc::new(Worker {
            index,
            shared,
            ids: Ids::new(fastrand::u64(..)),
            lingering: LingerRoom::default(),
            open: AtomicUsize::new(0),
            left: Notify::new(),
            turning_away: Arc::new(Semaphore::new(turned_away)),
        })
    }

    /// What this worker counts.
    pub fn meter(&self) -> &WorkerMeter {
        self.shared.meters.of(self.index)
    }

    /// The clock, and which worker this is.
    pub fn desk(&self) -> Desk {
        Desk {
            clock: self.shared.clock.clone(),
            worker: self.index,
        }
    }

    /// Notes something that must finish before the worker may end.
    pub fn stay(self: &Arc<Worker>) -> Stay {
        self.open.fetch_add(1, Ordering::AcqRel);
        Stay(self.clone())
    }

    /// Waits until nothing is open any more, at most for `limit`.
    pub async fn wait_until_empty(&self, limit: Duration) -> Drained {
        let empty = async {
            loop {
                let left = self.left.notified();
                if self.open.load(Ordering::Acquire) == 0 {
                    return;
                }
                left.await;
            }
        };
        match tokio::time::timeout(limit, empty).await {
            Ok(()) => Drained { cut: 0 },
            Err(_) => Drained {
                cut: self.open.load(Ordering::Acquire),
            },
        }
    }
}
