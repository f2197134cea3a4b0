//! One worker thread: its own runtime, its own sockets, its own connections to upstreams.
//!
//! Workers share the plan, the breakers and a few counters; a request never leaves the worker that accepted it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::ground::access_log::AccessLog;
use crate::ground::clock::{Clock, WorkerRef};
use crate::ground::ids::Ids;
use crate::ground::meter::{PerWorker, WorkerMeter};
use crate::request::linger::LingeringConnections;

/// The result of a worker's drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Number of connections that were cut because they did not finish in time.
    pub cut: usize,
}

/// The state of one worker.
#[derive(Debug)]
pub struct Worker {
    /// The worker's index, from 0.
    pub index: usize,
    clock: Arc<Clock>,
    meters: Arc<PerWorker<WorkerMeter>>,
    /// The access log of the gateway.
    pub access_log: Arc<AccessLog>,
    /// The source of request ids.
    pub ids: Ids,
    /// Connections whose clients may still send after their last answer.
    pub lingering: LingeringConnections,
    /// Number of open connections and tunnels.
    open: AtomicUsize,
    left: Notify,
    /// Permits for connections over the limit whose refusal is delivered in an orderly way.
    pub turning_away: Arc<Semaphore>,
}

/// Keeps a worker from ending until it is dropped: one for each connection, tunnel or detached run.
#[derive(Debug)]
pub struct TaskToken(Arc<Worker>);

impl Drop for TaskToken {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

impl Worker {
    /// A worker without connections, with `turned_away` permits for connections over the limit.
    pub fn new(
        index: usize,
        clock: Arc<Clock>,
        meters: Arc<PerWorker<WorkerMeter>>,
        access_log: Arc<AccessLog>,
        turned_away: usize,
    ) -> Arc<Worker> {
        Arc::new(Worker {
            index,
            clock,
            meters,
            access_log,
            ids: Ids::new(fastrand::u64(..)),
            lingering: LingeringConnections::default(),
            open: AtomicUsize::new(0),
            left: Notify::new(),
            turning_away: Arc::new(Semaphore::new(turned_away)),
        })
    }

    /// The gateway's clock.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Counts of this worker.
    pub fn meter(&self) -> &WorkerMeter {
        self.meters.of(self.index)
    }

    /// The worker's index and the clock, for code that carries its requests.
    pub fn to_ref(&self) -> WorkerRef {
        WorkerRef {
            clock: self.clock.clone(),
            index: self.index,
        }
    }

    /// A token that keeps the worker from ending.
    pub fn task_token(self: &Arc<Worker>) -> TaskToken {
        self.open.fetch_add(1, Ordering::AcqRel);
        TaskToken(self.clone())
    }

    /// Waits until all tokens are dropped, at most for `limit`.
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
