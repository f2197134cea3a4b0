//! The turns to probe of a half-open breaker: the requests that want its place, and their wait.
//!
//! While every probe says something about the upstream, there is no wait: a request that finds one in flight is
//! rejected at once. For a while after a probe has ended with an answer that says nothing (over our own limits, matched
//! by `ignore`), complete requests wait in the queue of [`crate::upstream::probe_queue`] instead. Otherwise a client
//! that provokes such answers in a loop would take the place each time that it is free, and an honest client that comes
//! once a second would never find it so. A client that closes its side leaves the queue, since most such clients have
//! gone.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fusebox_breaker::{OwnedPermit, RejectReason, Rejection, Timestamp};
use http::Method;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::ground::clock::Clock;
use crate::ground::meter::Moment;
use crate::upstream::probe_queue::{ProbeQueue, Prober, Standing};

/// The longest wait of a request for its turn.
const PATIENCE: Duration = Duration::from_secs(4);

/// The time for which requests wait for the place after a probe that said nothing.
const CONTESTED: Duration = Duration::from_secs(5);

/// The time after which a called request asks the breaker again without a signal.
const LOOK: Duration = Duration::from_millis(50);

/// The requests that want a breaker's probe places, and the choice of the next one.
#[derive(Debug, Default)]
pub struct ProbeTurns {
    /// The last time that a complete request asked for a place.
    wanted: Moment,
    /// The last time that a probe ended without saying anything about the upstream.
    idle_end: Moment,
    /// Number of requests in the queue.
    waiting: AtomicUsize,
    /// True while a probe of a marked prober is in flight.
    is_held_by_blamed: AtomicBool,
    /// The hasher of clients and targets; of its own, so that no client can pass for another.
    hasher: RandomState,
    /// The queue; `None` until a probe has said nothing.
    queue: Mutex<Option<Box<ProbeQueue>>>,
}

impl ProbeTurns {
    /// Notes that a complete request asks for a place.
    pub fn want(&self, now: Timestamp) {
        self.wanted.set(now);
    }

    /// The last time that a complete request asked for a place; `None`: never.
    pub fn wanted_at(&self) -> Option<Timestamp> {
        self.wanted.get()
    }

    /// The prober of a request. An IPv6 client is known by the network of its site (48 bits, RFC 6177), since it may
    /// have all addresses of that, and a target by its method and path.
    pub fn prober(&self, client: IpAddr, method: &Method, path: &str) -> Prober {
        let client = match client.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 80) as u64,
        };
        let target = (method.as_str(), path);
        Prober::new(self.hasher.hash_one(client), self.hasher.hash_one(target))
    }

    /// Notes the beginning of a prober's probe.
    pub fn begins(&self, prober: Prober, now: Timestamp) {
        let mut queue = self.queue.lock();
        queue.get_or_insert_default().hold(prober);
        self.note_holders(&queue, now);
    }

    fn note_holders(&self, queue: &Option<Box<ProbeQueue>>, now: Timestamp) {
        let is = queue
            .as_ref()
            .is_some_and(|queue| queue.is_held_by_blamed(now));
        self.is_held_by_blamed.store(is, Ordering::Relaxed);
    }

    /// Notes the end of a prober's probe; `is_ignored`: it said nothing about the upstream.
    pub fn ended(&self, prober: Option<Prober>, is_ignored: bool, now: Timestamp) {
        let mut queue = self.queue.lock();
        if let (Some(prober), Some(queue)) = (prober, queue.as_deref_mut()) {
            queue.let_go(prober);
        }
        if is_ignored {
            self.idle_end.set(now);
            if let Some(prober) = prober {
                queue.get_or_insert_default().blame(prober, now);
            }
        }
        self.note_holders(&queue, now);
        match queue.as_deref_mut() {
            Some(idle) if idle.is_idle(now) => *queue = None,
            Some(queue) => queue.call(now),
            None => {}
        }
    }

    /// Notes that a place is free again without a result.
    pub fn freed(&self, now: Timestamp) {
        if let Some(queue) = self.queue.lock().as_deref_mut() {
            queue.call(now);
        }
    }

    /// True if requests that find the place taken wait for it.
    pub fn is_contested(&self, now: Timestamp) -> bool {
        self.is_held_by_blamed.load(Ordering::Relaxed)
            || self.idle_end.get().is_some_and(|at| now < at + CONTESTED)
    }

    /// True if a request waits for the place.
    pub fn has_queue(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// True if a waiting request is better than the prober that has the place.
    pub fn has_better(&self, prober: Prober, now: Timestamp) -> bool {
        let better = |queue: &mut ProbeQueue| queue.has_better(prober, now);
        self.has_queue() && self.queue.lock().as_deref_mut().is_some_and(better)
    }

    /// Waits in the queue until `ask` gets a permit or a rejection for another reason than a probe in flight, but ends
    /// when the client has `left`.
    ///
    /// # Errors
    /// The breaker's rejection: the last one, or `refused` if it was never asked, if the turn did not come in time, the
    /// queue is full or the client has left.
    pub async fn wait(
        &self,
        prober: Prober,
        refused: Rejection,
        left: impl Future<Output = ()>,
        clock: &Clock,
        ask: impl Fn() -> Result<OwnedPermit, Rejection>,
    ) -> Result<OwnedPermit, Rejection> {
        let Some(ticket) = self.join(prober, clock) else {
            return Err(refused);
        };
        let until = Instant::now() + PATIENCE;
        let mut left = pin!(left);
        let mut refused = refused;
        loop {
            let standing = ticket.standing();
            match standing {
                Standing::Out => return Err(refused),
                Standing::Called => match ask() {
                    Err(probing) if probing.reason == RejectReason::BreakerProbing => {
                        refused = probing
                    }
                    asked => return asked,
                },
                Standing::Waits => {}
            }
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Err(refused);
            }
            let pause = match standing {
                Standing::Called => rest.min(LOOK),
                _ => rest,
            };
            tokio::select! {
                biased;
                () = &mut left => return Err(refused),
                _ = timeout(pause, ticket.wake.notified()) => {}
            }
        }
    }

    fn join<'a>(&'a self, prober: Prober, clock: &'a Clock) -> Option<Ticket<'a>> {
        let mut queue = self.queue.lock();
        let queue = queue.get_or_insert_default();
        let (number, wake) = queue.join(prober, clock.tick())?;
        self.waiting.store(queue.len(), Ordering::Relaxed);
        Some(Ticket {
            turns: self,
            clock,
            number,
            wake,
        })
    }
}

/// A request's number in the queue; it leaves when this is dropped.
struct Ticket<'a> {
    turns: &'a ProbeTurns,
    clock: &'a Clock,
    number: u64,
    wake: Arc<Notify>,
}

impl Ticket<'_> {
    fn standing(&self) -> Standing {
        let queue = self.turns.queue.lock();
        queue
            .as_ref()
            .map_or(Standing::Out, |queue| queue.standing(self.number))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.turns.queue.lock().as_deref_mut() {
            queue.leave(self.number, self.clock.tick());
            self.turns.waiting.store(queue.len(), Ordering::Relaxed);
        }
    }
}
