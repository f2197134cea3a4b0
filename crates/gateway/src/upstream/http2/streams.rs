//! The streams of one HTTP/2 connection: how many are open, how many the upstream allows, and the use of one.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Context;

use fusebox_breaker::Timestamp;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::{Closer, STREAMS_MAX};
use crate::upstream::parting::{CloseOnDrop, Parting};

/// The count of a connection's streams.
#[derive(Debug)]
pub struct Streams {
    open: AtomicUsize,
    /// The most that the upstream allows; 0 until it has said so.
    allowed: AtomicUsize,
    has_ended: AtomicBool,
    /// The time of the last use, in nanoseconds; 0: none has been noted.
    used_at: AtomicU64,
    /// Notified when the upstream has sent its settings, and when the connection has ended.
    changed: Notify,
    /// Wakes the connection's task for each read, until the upstream has sent its settings.
    task: AtomicWaker,
    /// The stream whose body has just begun to go out, and whose task is the next to be spawned.
    beginning: Mutex<Option<Arc<StreamUse>>>,
}

impl Streams {
    /// The count of a new connection.
    pub fn new() -> Arc<Streams> {
        Arc::new(Streams {
            open: AtomicUsize::new(0),
            allowed: AtomicUsize::new(0),
            has_ended: AtomicBool::new(false),
            used_at: AtomicU64::new(0),
            changed: Notify::new(),
            task: AtomicWaker::new(),
            beginning: Mutex::default(),
        })
    }

    /// Number of open streams.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The most streams at a time, by the upstream's limit and ours.
    pub fn most(&self) -> usize {
        self.allowed.load(Ordering::Relaxed).min(STREAMS_MAX)
    }

    /// True if another stream may be opened.
    pub fn has_room(&self) -> bool {
        self.open() < self.most()
    }

    /// Notes the time of a use.
    pub fn used(&self, now: Timestamp) {
        self.used_at.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// The time since which no stream has been open; `None`: one is open. A connection that was never noted as used is
    /// from now on.
    pub fn idle_since(&self, now: Timestamp) -> Option<Timestamp> {
        if self.open() > 0 {
            return None;
        }
        match self.used_at.load(Ordering::Relaxed) {
            0 => {
                self.used(now);
                Some(now)
            }
            at => Some(Timestamp::from_nanos(at)),
        }
    }

    /// True once a stream has been opened.
    pub fn was_used(&self) -> bool {
        self.used_at.load(Ordering::Relaxed) > 0
    }

    /// Opens a stream.
    pub fn begin(self: &Arc<Streams>, closer: Option<&Arc<Closer>>) -> Arc<StreamUse> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let parting = Arc::<Parting>::default();
        Arc::new(StreamUse {
            streams: self.clone(),
            _closer: closer.cloned(),
            _closing: CloseOnDrop(parting.clone()),
            parting,
            is_cut: AtomicBool::new(false),
            task: OnceLock::new(),
        })
    }

    /// Gives the task that was just spawned to the stream whose body has begun before it; others belong to none.
    pub fn spawned(&self, task: &AbortHandle) {
        let Some(stream) = self.beginning.lock().take() else {
            return;
        };
        let _ = stream.task.set(task.clone());
        if stream.is_cut() {
            task.abort();
        }
    }

    /// Waits until the upstream has said how many streams it allows; false: the connection ended before.
    pub async fn settled(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            if self.most() > 0 {
                return true;
            }
            if self.has_ended() {
                return false;
            }
            changed.await;
        }
    }

    /// Has the task woken for the next read, until the upstream has sent its settings.
    pub fn watch(&self, cx: &Context<'_>) {
        if self.most() == 0 {
            self.task.register(cx.waker());
        }
    }

    /// Notes that bytes have come.
    pub fn read(&self) {
        if self.most() == 0 {
            self.task.wake();
        }
    }

    /// Notes how many streams the upstream allows.
    pub fn allow(&self, allowed: usize) {
        let before = self.allowed.swap(allowed, Ordering::Relaxed);
        if before == 0 && allowed > 0 {
            self.changed.notify_waiters();
        }
    }

    /// Notes that the connection takes no further stream.
    pub fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// True if the connection takes no further stream.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }
}

/// The use of one stream, by its call and by the task that sends its body: the stream is open while either has it.
#[derive(Debug)]
pub struct StreamUse {
    streams: Arc<Streams>,
    parting: Arc<Parting>,
    /// Keeps the connection open.
    _closer: Option<Arc<Closer>>,
    /// Frees a place that waits for the end of the stream.
    _closing: CloseOnDrop,
    is_cut: AtomicBool,
    /// The task that sends the body, if it does not fit into the window at once.
    task: OnceLock<AbortHandle>,
}

impl StreamUse {
    /// The part that the place of a call on the stream is tied to.
    pub fn parting(&self) -> &Arc<Parting> {
        &self.parting
    }

    /// Notes that the body begins to go out: if it does not go at once, the next task to be spawned sends it.
    pub fn begins_body(self: &Arc<StreamUse>) {
        *self.streams.beginning.lock() = Some(self.clone());
    }

    /// Notes that the body has gone, or was given up.
    pub fn ends_body(self: &Arc<StreamUse>) {
        let mut beginning = self.streams.beginning.lock();
        if beginning.as_ref().is_some_and(|it| Arc::ptr_eq(it, self)) {
            *beginning = None;
        }
    }

    /// True while a task sends the body.
    pub fn is_sending(&self) -> bool {
        self.task.get().is_some_and(|task| !task.is_finished())
    }

    /// Ends the sending of the body, whatever it waits for, so that the stream is reset; the connection stays.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// True if the body is to be sent no further.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }
}

impl Drop for StreamUse {
    fn drop(&mut self) {
        self.streams.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::bulkhead::Bulkhead;

    #[test]
    fn streams_are_counted_against_the_smaller_of_both_limits() {
        let streams = Streams::new();
        assert!(!streams.has_room(), "nothing is known yet");
        streams.allow(2);
        let (one, two) = (streams.begin(None), streams.begin(None));
        assert!(!streams.has_room());
        drop(one);
        assert!(streams.has_room());
        let body = two.clone();
        drop(two);
        assert_eq!(streams.open(), 1, "its body is still on its way");
        drop(body);
        assert_eq!(streams.open(), 0);
        streams.allow(usize::MAX);
        assert_eq!(streams.most(), STREAMS_MAX);
    }

    #[test]
    fn a_place_waits_for_the_end_of_its_stream_alone() {
        let streams = Streams::new();
        let (mine, other) = (streams.begin(None), streams.begin(None));
        let bulkhead = Bulkhead::new(1, 1);
        let mut place = bulkhead.try_enter().unwrap();
        place.goes_over(mine.parting());
        drop(place);
        assert_eq!(bulkhead.in_flight(), 1);
        drop(other);
        assert_eq!(bulkhead.in_flight(), 1, "another stream says nothing");
        drop(mine);
        assert_eq!(bulkhead.in_flight(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_it_is_settled_says_so() {
        let streams = Streams::new();
        let waiting = tokio::spawn({
            let streams = streams.clone();
            async move { streams.settled().await }
        });
        tokio::task::yield_now().await;
        streams.end();
        assert!(!waiting.await.unwrap());
        let streams = Streams::new();
        streams.allow(1);
        assert!(streams.settled().await);
    }
}
