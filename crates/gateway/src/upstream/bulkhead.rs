//! The bulkhead before an upstream or a route: places for calls in flight, exact over all workers.
//!
//! A call takes a place before its permit and gives it back when the answer's body has ended. Without a free place it
//! waits in a fair queue, if there is one. A refusal moves no breaker (docs/calls.md). Tunnels and event streams move to
//! places of their own once they have begun.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_call::Adaptive;
use fusebox_call::adaptive::AdaptiveLimit;
use tokio::sync::Semaphore;

/// Places for calls in flight; kept over reloads by the name of their upstream or route.
#[derive(Debug)]
pub struct Bulkhead {
    places: Semaphore,
    /// The most calls in flight.
    limit: AtomicUsize,
    /// Places that vanish when their calls end, since the limit became lower.
    excess: AtomicUsize,
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
        if let Some(place) = self.try_enter() {
            return Ok(place);
        }
        if self.queued.fetch_add(1, Ordering::Relaxed) >= bounds.queued_max {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(self.reject(Full::BulkheadFull));
        }
        let _waiting = Waiting(self);
        let free = tokio::time::timeout(bounds.queue_for, self.places.acquire());
        let free = tokio::select! {
            biased;
            free = free => free.ok().and_then(Result::ok),
            () = left => None,
        };
        match free {
            Some(free) => {
                free.forget();
                Ok(self.taken())
            }
            None => Err(self.reject(Full::QueueTimeout)),
        }
    }

    /// A place that is free now, unless others wait for it.
    pub fn try_enter(self: &Arc<Bulkhead>) -> Option<Place> {
        self.places.try_acquire().ok()?.forget();
        Some(self.taken())
    }

    fn taken(self: &Arc<Bulkhead>) -> Place {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Place {
            bulkhead: self.clone(),
            kind: PlaceKind::Call,
        }
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
struct Waiting<'a>(&'a Bulkhead);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place in a bulkhead, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    bulkhead: Arc<Bulkhead>,
    kind: PlaceKind,
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
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.kind {
            PlaceKind::Call => self.free_call(),
            PlaceKind::Stream => {
                self.bulkhead.streams.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn bounds(queued_max: usize) -> BulkheadBounds {
        BulkheadBounds {
            queued_max,
            queue_for: Duration::from_millis(200),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_places_and_queue_a_call_is_refused_at_once_and_in_the_queue_after_its_time() {
        let bulkhead = Bulkhead::new(2, 1);
        let first = bulkhead.enter(bounds(1), pending()).await.unwrap();
        let second = bulkhead.enter(bounds(1), pending()).await.unwrap();
        let third = tokio::spawn({
            let bulkhead = bulkhead.clone();
            async move { bulkhead.enter(bounds(1), pending()).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(bulkhead.queued(), 1);
        let full = bulkhead.enter(bounds(1), pending()).await.unwrap_err();
        assert_eq!(full, Full::BulkheadFull);
        assert_eq!(third.await.unwrap().unwrap_err(), Full::QueueTimeout);
        assert_eq!((bulkhead.in_flight(), bulkhead.queued()), (2, 0));
        assert_eq!(Full::ALL.map(|why| bulkhead.rejected(why)), [1, 1]);
        drop((first, second));
        assert_eq!(bulkhead.in_flight(), 0);
        assert!(bulkhead.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_place_before_who_comes_later() {
        let bulkhead = Bulkhead::new(1, 1);
        let first = bulkhead.try_enter().unwrap();
        let waiting = tokio::spawn({
            let bulkhead = bulkhead.clone();
            async move { bulkhead.enter(bounds(1), pending()).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(bulkhead.try_enter().is_none(), "the place is promised");
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_the_queue_frees_its_turn() {
        let bulkhead = Bulkhead::new(1, 1);
        let first = bulkhead.try_enter().unwrap();
        assert!(bulkhead.enter(bounds(1), ready(())).await.is_err());
        assert_eq!(bulkhead.queued(), 0);
        drop(first);
        assert!(bulkhead.try_enter().is_some());
    }

    #[test]
    fn a_stream_frees_its_calls_place_while_there_is_room_for_streams() {
        let bulkhead = Bulkhead::new(1, 1);
        let mut stream = bulkhead.try_enter().unwrap();
        stream.become_stream();
        stream.become_stream();
        let mut other = bulkhead.try_enter().unwrap();
        other.become_stream();
        assert!(bulkhead.try_enter().is_none(), "the streams are full");
        drop(stream);
        assert!(bulkhead.try_enter().is_none());
        drop(other);
        assert_eq!(bulkhead.in_flight(), 0);
        assert!(bulkhead.try_enter().is_some());
    }

    #[test]
    fn a_lower_limit_takes_places_away_as_calls_end_and_a_higher_one_gives_them_back() {
        let bulkhead = Bulkhead::new(3, 1);
        let calls: Vec<_> = (0..3).map(|_| bulkhead.try_enter().unwrap()).collect();
        bulkhead.resize(1, 1);
        bulkhead.resize(2, 1);
        let mut calls = calls.into_iter();
        drop(calls.next());
        assert!(bulkhead.try_enter().is_none(), "two are still in flight");
        drop(calls.next());
        let call = bulkhead.try_enter().unwrap();
        assert!(bulkhead.try_enter().is_none());
        drop((call, calls));
        bulkhead.resize(4, 1);
        let calls: Vec<_> = (0..4).map(|_| bulkhead.try_enter().unwrap()).collect();
        assert!(bulkhead.try_enter().is_none());
        drop(calls);
    }
}
