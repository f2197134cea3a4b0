//! The bulkhead before an upstream or a route: places for calls in flight, exact over all workers.
//!
//! A call takes a place before its permit and gives it back when the answer's body has ended. Without a free place it
//! waits in a fair queue, if there is one. A refusal moves no breaker (docs/calls.md). Tunnels and event streams move to
//! places of their own once they have begun.
//!
//! # Exact
//! One number counts all that hold a place or wait for one. A call that would make it grow beyond places and queue together
//! is refused, and one that finds it below the places finds one free. So a place that passes from one call to the next takes no room in
//! the queue, however late the next one notices.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_call::Adaptive;
use fusebox_call::adaptive::AdaptiveLimit;
use tokio::sync::Semaphore;

use crate::upstream::parting::Parting;

/// Places for calls in flight; kept over reloads by the name of their upstream or route.
#[derive(Debug)]
pub struct Bulkhead {
    places: Semaphore,
    /// The most calls in flight.
    limit: AtomicUsize,
    /// Places that vanish when their calls end, since the limit became lower.
    excess: AtomicUsize,
    /// Calls that hold a place or wait for one.
    present: AtomicUsize,
    in_flight: AtomicUsize,
    queued: AtomicUsize,
    streams: AtomicUsize,
    /// The most tunnels and event streams.
    streams_max: AtomicUsize,
    rejected: [AtomicU64; Full::ALL.len()],
    /// The limit that follows the upstream's times; `None`: it is fixed.
    adaptive: Option<AdaptiveLimit>,
}

/// The bounds of a bulkhead's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadBounds {
    /// The most calls that wait for a place.
    pub queued_max: usize,
    /// The longest wait for a place.
    pub queue_for: Duration,
}

/// The reason why a call got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All places are taken, and so is the queue.
    BulkheadFull,
    /// No place became free in time.
    QueueTimeout,
}

impl Full {
    /// All reasons, in the order of their counters.
    pub const ALL: [Full; 2] = [Full::BulkheadFull, Full::QueueTimeout];

    /// The word for `Fusebox-Reason`, logs and metrics: `bulkhead_full` or `queue_timeout`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Full::BulkheadFull => "bulkhead_full",
            Full::QueueTimeout => "queue_timeout",
        }
    }
}

impl Bulkhead {
    /// A bulkhead with that many free places for calls and for streams.
    pub fn new(limit: usize, streams_max: usize) -> Arc<Bulkhead> {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Arc::new(Bulkhead {
            places: Semaphore::new(limit),
            limit: AtomicUsize::new(limit),
            excess: AtomicUsize::new(0),
            present: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            streams_max: AtomicUsize::new(streams_max),
            rejected: Default::default(),
            adaptive: None,
        })
    }

    /// A bulkhead whose number of places follows the upstream's times from now on.
    pub fn adaptive(settings: Adaptive, streams_max: usize, now: Timestamp) -> Arc<Bulkhead> {
        let adaptive = AdaptiveLimit::new(settings, now);
        let bulkhead = Bulkhead::new(adaptive.limit(), streams_max);
        let bulkhead = Arc::into_inner(bulkhead).expect("a new one has one owner");
        Arc::new(Bulkhead {
            adaptive: Some(adaptive),
            ..bulkhead
        })
    }

    /// True if the number of places follows the upstream's times.
    pub fn is_adaptive(&self) -> bool {
        self.adaptive.is_some()
    }

    /// A place for a call, at once or after a wait in the queue; a call whose client leaves, so that `left` resolves,
    /// leaves the queue.
    ///
    /// # Errors
    /// The reason why there is none; it is counted.
    pub async fn enter(
        self: &Arc<Bulkhead>,
        bounds: BulkheadBounds,
        left: impl Future<Output = ()>,
    ) -> Result<Place, Full> {
        let Some(mut waiting) = self.join(bounds.queued_max) else {
            return Err(self.reject(Full::BulkheadFull));
        };
        if let Some(place) = waiting.try_take() {
            return Ok(place);
        }
        let queued = Queued::new(self);
        let free = tokio::time::timeout(bounds.queue_for, self.places.acquire());
        let free = tokio::select! {
            biased;
            free = free => free.ok().and_then(Result::ok),
            () = left => None,
        };
        drop(queued);
        match free {
            Some(free) => {
                free.forget();
                Ok(waiting.takes())
            }
            None => Err(self.reject(Full::QueueTimeout)),
        }
    }

    /// A place that is free now, unless others wait for it.
    pub fn try_enter(self: &Arc<Bulkhead>) -> Option<Place> {
        self.join(0)?.try_take()
    }

    /// Joins those that hold a place or wait for one; `None`: all places are taken, and that many wait.
    fn join(self: &Arc<Bulkhead>, queued_max: usize) -> Option<Waiting> {
        let room = self.limit.load(Ordering::Acquire) + self.excess.load(Ordering::Acquire);
        let room = room.saturating_add(queued_max);
        let present = &self.present;
        let joined = present.fetch_update(Ordering::AcqRel, Ordering::Acquire, |it| {
            (it < room).then_some(it + 1)
        });
        joined.ok().map(|_| Waiting(Some(self.clone())))
    }

    /// Counts a refusal.
    pub fn reject(&self, why: Full) -> Full {
        self.rejected[why as usize].fetch_add(1, Ordering::Relaxed);
        why
    }

    /// Changes the number of places. Calls in flight keep theirs: above the new limit a place vanishes when its call
    /// ends.
    pub fn resize(&self, limit: usize, streams_max: usize) {
        self.streams_max.store(streams_max, Ordering::Relaxed);
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let was = self.limit.swap(limit, Ordering::AcqRel);
        if limit > was {
            let mut more = limit - was;
            // Places that were to vanish stay.
            while more > 0 && self.take_excess() {
                more -= 1;
            }
            self.places.add_permits(more);
        } else {
            let less = was - limit;
            let gone = self.places.forget_permits(less);
            self.excess.fetch_add(less - gone, Ordering::AcqRel);
        }
    }

    fn take_excess(&self) -> bool {
        self.excess
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |it| it.checked_sub(1))
            .is_ok()
    }

    /// The most calls in flight.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Number of calls in flight, without streams that have places of their own.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Number of calls that wait for a place.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Number of calls refused for a reason.
    pub fn rejected(&self, why: Full) -> u64 {
        self.rejected[why as usize].load(Ordering::Relaxed)
    }
}

/// A call in the queue; leaving it is counted however it happens.
struct Queued<'a>(&'a Bulkhead);

impl Queued<'_> {
    fn new(bulkhead: &Bulkhead) -> Queued<'_> {
        bulkhead.queued.fetch_add(1, Ordering::Relaxed);
        Queued(bulkhead)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call without a place yet; dropped without one, it is gone.
struct Waiting(Option<Arc<Bulkhead>>);

impl Waiting {
    /// A place that is free now.
    fn try_take(&mut self) -> Option<Place> {
        self.0.as_ref()?.places.try_acquire().ok()?.forget();
        Some(self.takes())
    }

    /// The place of a permit that was taken.
    fn takes(&mut self) -> Place {
        let bulkhead = self.0.take().expect("a call takes one place");
        bulkhead.in_flight.fetch_add(1, Ordering::Relaxed);
        Place {
            bulkhead,
            kind: PlaceKind::Call,
            over: None,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bulkhead) = &self.0 {
            bulkhead.present.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A place in a bulkhead, given back when it is dropped, or with the connection that its call has left in use.
#[derive(Debug)]
pub struct Place {
    bulkhead: Arc<Bulkhead>,
    kind: PlaceKind,
    /// The connection that its call is on.
    over: Option<Arc<Parting>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlaceKind {
    Call,
    Stream,
}

impl Place {
    /// Takes in the time of a call that was answered, or that ended by a time limit; a quick failure says nothing.
    pub fn answered(&self, took: Duration, now: Timestamp) {
        let bulkhead = &self.bulkhead;
        if let Some(adaptive) = &bulkhead.adaptive {
            adaptive.ended(now, took, bulkhead.in_flight());
            let limit = adaptive.limit();
            if limit != bulkhead.limit() {
                bulkhead.resize(limit, bulkhead.streams_max.load(Ordering::Relaxed));
            }
        }
    }

    /// Ties the place to the connection that its call goes out on now.
    pub fn goes_over(&mut self, parting: &Arc<Parting>) {
        parting.tie();
        self.over = Some(parting.clone());
    }

    /// Moves a call that has become a tunnel or an event stream to the places for those, if there is room.
    pub fn become_stream(&mut self) {
        if self.kind == PlaceKind::Stream {
            return;
        }
        let streams = &self.bulkhead.streams;
        let streams_max = self.bulkhead.streams_max.load(Ordering::Relaxed);
        let room = streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, |it| {
            (it < streams_max).then_some(it + 1)
        });
        if room.is_ok() {
            self.free_call();
            self.kind = PlaceKind::Stream;
        }
    }

    fn free_call(&self) {
        self.bulkhead.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.bulkhead.take_excess() {
            self.bulkhead.places.add_permits(1);
        }
        // Last, so that a call that finds room finds the place too.
        self.bulkhead.present.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(parting) = self.over.take() {
            return parting.outlast(Place {
                bulkhead: self.bulkhead.clone(),
                kind: self.kind,
                over: None,
            });
        }
        match self.kind {
            PlaceKind::Call => self.free_call(),
            PlaceKind::Stream => {
                self.bulkhead.streams.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

#[cfg(test)]
mod tests;
