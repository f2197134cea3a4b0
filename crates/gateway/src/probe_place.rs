//! The place of a half-open breaker's probe: who wants it, and whose turn it is.
//!
//! Some answers say nothing of the upstream: those over our own limits, those that `ignore` matches. Clients that
//! provoke such answers in a loop take the place again each time that it is free, and an honest client that comes
//! once a second never meets it free. So once a probe has ended that way, complete requests that find the place taken
//! wait in a line for it, first come, first served, and nobody takes it before them. While no probe ends that
//! way nobody waits: a request that finds a probe in flight is refused at once. Whoever closes its side leaves the line,
//! since most such clients are gone, and those would make it longer at no cost of their own.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_breaker::{OwnedPermit, RejectReason, Rejection, Timestamp};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::meter::Moment;

/// How long a request waits for its turn at most.
const PATIENCE: Duration = Duration::from_secs(4);

/// How many requests may wait for one breaker's place at a time; more are refused at once.
const LINE_MAX: usize = 1_024;

/// After how long the first in the line asks again though nobody said that the place is free.
const LOOK: Duration = Duration::from_millis(50);

/// Who wants a breaker's probe places, and who may have the next one.
#[derive(Debug)]
pub struct ProbePlace {
    /// When a complete request last asked for it.
    wanted: Moment,
    /// The last probe to end said nothing of the upstream.
    is_contested: AtomicBool,
    /// The right to ask next: a semaphore serves in the order of coming.
    turn: Semaphore,
    /// The right to stand in the line.
    line: Semaphore,
    freed: Notify,
}

impl Default for ProbePlace {
    fn default() -> ProbePlace {
        ProbePlace {
            wanted: Moment::default(),
            is_contested: AtomicBool::new(false),
            turn: Semaphore::new(1),
            line: Semaphore::new(LINE_MAX),
            freed: Notify::new(),
        }
    }
}

impl ProbePlace {
    /// A complete request has asked for the place.
    pub fn want(&self, now: Timestamp) {
        self.wanted.set(now);
    }

    /// When a complete request last asked for the place; none where none ever did.
    pub fn wanted_at(&self) -> Option<Timestamp> {
        self.wanted.get()
    }

    /// A probe has ended; `is_ignored`: it said nothing of the upstream.
    pub fn ended(&self, is_ignored: bool) {
        if self.is_contested.load(Ordering::Relaxed) != is_ignored {
            self.is_contested.store(is_ignored, Ordering::Relaxed);
        }
        self.freed();
    }

    /// A place that was taken is free again, and nothing was learnt.
    pub fn freed(&self) {
        self.freed.notify_one();
    }

    /// Whether requests that find the place taken wait for it.
    pub fn is_contested(&self) -> bool {
        self.is_contested.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for the place.
    pub fn has_line(&self) -> bool {
        self.turn.available_permits() == 0
    }

    /// Waits in the line until `ask` gets a permit or another refusal than that a probe is in flight, but not once the
    /// client has `left`.
    ///
    /// # Errors
    /// The breaker's refusal: the last one, where the turn did not come in time; `refused`, where the line is full or
    /// the client has left.
    pub async fn wait(
        &self,
        refused: Rejection,
        left: impl Future<Output = ()>,
        ask: impl Fn() -> Result<OwnedPermit, Rejection>,
    ) -> Result<OwnedPermit, Rejection> {
        tokio::select! {
            biased;
            () = left => Err(refused),
            asked = self.stand(refused, ask) => asked,
        }
    }

    async fn stand(
        &self,
        refused: Rejection,
        ask: impl Fn() -> Result<OwnedPermit, Rejection>,
    ) -> Result<OwnedPermit, Rejection> {
        let Ok(_stand) = self.line.try_acquire() else {
            return Err(refused);
        };
        let until = Instant::now() + PATIENCE;
        let Ok(Ok(_turn)) = timeout_at(until, self.turn.acquire()).await else {
            return Err(refused);
        };
        loop {
            match ask() {
                Err(rejection) if rejection.reason == RejectReason::BreakerProbing => {
                    if Instant::now() >= until {
                        return Err(rejection);
                    }
                    timeout(LOOK, self.freed.notified()).await.ok();
                }
                asked => return asked,
            }
        }
    }
}
