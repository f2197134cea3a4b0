//! The place of a half-open breaker's probe: who wants it, and how a request waits for it.
//!
//! While every probe says something of the upstream, nobody waits: a request that finds one in flight is refused at
//! once. For a while after one has ended with an answer that says nothing (over our own limits, matched by
//! `ignore`), complete requests stand in the line of [`crate::upstream::probe_queue`] instead: whoever provokes such answers in a loop would take
//! the place again each time that it is free, and an honest client that comes once a second never meet it so. Whoever
//! closes its side leaves the line, since most such clients are gone.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusebox_breaker::{OwnedPermit, RejectReason, Rejection, Timestamp};
use http::{Method, Uri};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::ground::clock::Clock;
use crate::ground::meter::Moment;
use crate::upstream::probe_queue::{ProbeQueue, Prober, Standing};

/// How long a request waits for its turn at most.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long requests wait for the place after a probe has ended that said nothing.
const CONTESTED: Duration = Duration::from_secs(5);

/// After how long the one that is called asks again though nobody said that the place is free.
const LOOK: Duration = Duration::from_millis(50);

/// Who wants a breaker's probe places, and who may have the next one.
#[derive(Debug, Default)]
pub struct ProbeTurns {
    /// When a complete request last asked for it.
    wanted: Moment,
    /// When a probe last ended that said nothing of the upstream.
    idle_end: Moment,
    /// How many stand in the line.
    waiting: AtomicUsize,
    /// A probe is in flight of somebody who provoked such an answer.
    is_held_by_blamed: AtomicBool,
    /// How probers are told apart; of its own, so that no client can pass for another.
    hasher: RandomState,
    /// There is none until a probe has said nothing.
    queue: Mutex<Option<Box<ProbeQueue>>>,
}

impl ProbeTurns {
    /// A complete request has asked for the place.
    pub fn want(&self, now: Timestamp) {
        self.wanted.set(now);
    }

    /// When a complete request last asked for the place; none where none ever did.
    pub fn wanted_at(&self) -> Option<Timestamp> {
        self.wanted.get()
    }

    /// Who asks: an IPv6 client is known by the network of its site (48 bits, RFC 6177), since it may have all addresses of
    /// that, and a target by its method and path.
    pub fn prober(&self, client: IpAddr, method: &Method, uri: &Uri) -> Prober {
        let client = match client.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 80) as u64,
        };
        let target = (method.as_str(), uri.path());
        Prober::new(self.hasher.hash_one(client), self.hasher.hash_one(target))
    }

    /// A probe of that prober begins.
    pub fn begins(&self, prober: Prober, now: Timestamp) {
        let mut queue = self.lock();
        queue.get_or_insert_default().hold(prober);
        self.note_holders(&queue, now);
    }

    fn note_holders(&self, queue: &Option<Box<ProbeQueue>>, now: Timestamp) {
        let is = queue
            .as_ref()
            .is_some_and(|queue| queue.is_held_by_blamed(now));
        self.is_held_by_blamed.store(is, Ordering::Relaxed);
    }

    /// A probe of that prober has ended; `is_ignored`: it said nothing of the upstream.
    pub fn ended(&self, prober: Option<Prober>, is_ignored: bool, now: Timestamp) {
        let mut queue = self.lock();
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

    /// A place that was taken is free again, and nothing was learnt.
    pub fn freed(&self, now: Timestamp) {
        if let Some(queue) = self.lock().as_deref_mut() {
            queue.call(now);
        }
    }

    /// Whether requests that find the place taken wait for it.
    pub fn is_contested(&self, now: Timestamp) -> bool {
        self.is_held_by_blamed.load(Ordering::Relaxed)
            || self.idle_end.get().is_some_and(|at| now < at + CONTESTED)
    }

    /// Whether somebody waits for the place.
    pub fn has_queue(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether somebody waits for the place who stands before the prober that has it.
    pub fn has_better(&self, prober: Prober, now: Timestamp) -> bool {
        let queue = self.has_queue().then(|| self.lock());
        queue.is_some_and(|queue| {
            queue
                .as_ref()
                .is_some_and(|queue| queue.has_better(prober, now))
        })
    }

    /// Waits in the line until `ask` gets a permit or another refusal than that a probe is in flight, but not once the
    /// client has `left`.
    ///
    /// # Errors
    /// The breaker's refusal: the last one, or `refused` where it never asked, where the turn did not come in time,
    /// the line is full or the client has left.
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
        let mut queue = self.lock();
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

    fn lock(&self) -> MutexGuard<'_, Option<Box<ProbeQueue>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's stand in the line; dropped, it has left.
struct Ticket<'a> {
    turns: &'a ProbeTurns,
    clock: &'a Clock,
    number: u64,
    wake: Arc<Notify>,
}

impl Ticket<'_> {
    fn standing(&self) -> Standing {
        let queue = self.turns.lock();
        queue
            .as_ref()
            .map_or(Standing::Out, |queue| queue.standing(self.number))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.turns.lock().as_deref_mut() {
            queue.leave(self.number, self.clock.tick());
            self.turns.waiting.store(queue.len(), Ordering::Relaxed);
        }
    }
}
