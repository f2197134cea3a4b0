//! The listeners of the event stream: each has a bounded queue, and one that does not keep up is cut off.
//!
//! One task reads the gateway's ring and writes each event once for all. It also samples the breakers' rates, once a
//! second, which every listener that asked for pulses gets in the same bytes; without listeners and calls it looks more
//! rarely, so that the process sleeps. Nothing here waits for a listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fusebox_gateway::{Gateway, Sampler};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::clock::{self, Instant};
use crate::frame;
use crate::slots::Activity;
use crate::wishes::Wishes;

/// The most listeners at once.
pub const LISTENERS_MAX: usize = 64;
/// The most frames in a listener's queue.
const QUEUED_MAX: usize = 256;
/// The most bytes in a listener's queue. Pulses of many breakers are long.
const QUEUED_BYTES_MAX: usize = 4 << 20;
/// The time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// The same in seconds while there are neither listeners nor calls: their first seconds are then sampled as one.
const CALM_SECONDS: u64 = 5;
/// The longest silence on a stream.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// The longest wait for the ends of the streams, and the time between two looks.
const FAREWELL: Duration = Duration::from_millis(500);
const FAREWELL_LOOK: Duration = Duration::from_millis(10);

/// All listeners, cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gateway: Gateway,
    node: Arc<str>,
    max: usize,
    state: Mutex<State>,
    /// Notified when a listener has joined.
    joined: Notify,
    /// One more for each stream that has not ended.
    streams: Arc<()>,
}

#[derive(Debug, Default)]
struct State {
    listeners: Vec<Listener>,
    /// The number of the last event that the listeners have been given.
    forwarded: u64,
    next: u64,
    is_over: bool,
}

#[derive(Debug)]
struct Listener {
    number: u64,
    wishes: Wishes,
    /// The number of the last event that it has been given with its first bytes.
    begun: u64,
    queue: mpsc::Sender<Bytes>,
    queued_bytes: Arc<AtomicUsize>,
    spoken_at: Instant,
    activity: Arc<Activity>,
}

impl Listener {
    /// Puts a frame into the queue. False if it is full: then the connection is cut.
    fn tell(&mut self, bytes: &Bytes, now: Instant) -> bool {
        self.spoken_at = now;
        let queued = self.queued_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let taken =
            queued + bytes.len() <= QUEUED_BYTES_MAX && self.queue.try_send(bytes.clone()).is_ok();
        if !taken {
            self.activity.cut_off();
        }
        taken
    }
}

/// The frames for one listener, which leaves when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    number: u64,
    first: Option<Bytes>,
    queue: mpsc::Receiver<Bytes>,
    queued_bytes: Arc<AtomicUsize>,
    _stream: Arc<()>,
}

impl Subscription {
    /// The next bytes of the stream; `None`: it is over.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let bytes = self.queue.recv().await?;
        self.queued_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
        Some(bytes)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.0.state.lock();
        state.listeners.retain(|it| it.number != self.number);
    }
}

/// The reason why a listener is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are as many as there may be.
    Listeners,
    /// The gateway ends.
    Over,
}

impl Hub {
    /// A hub without listeners, of which it takes at most `max`.
    pub fn new(gateway: Gateway, max: usize) -> Hub {
        Hub(Arc::new(Inner {
            node: gateway.node(),
            gateway,
            max: max.min(LISTENERS_MAX),
            state: Mutex::default(),
            joined: Notify::new(),
            streams: Arc::default(),
        }))
    }

    /// Number of listeners.
    pub fn listeners(&self) -> usize {
        self.0.state.lock().listeners.len()
    }

    /// Adds a listener that continues after an event, by its identifier; without one, with the next event.
    ///
    /// # Errors
    /// [`Full`]
    pub fn subscribe(
        &self,
        wishes: Wishes,
        last_id: Option<&str>,
        activity: Arc<Activity>,
    ) -> Result<Subscription, Full> {
        let Inner { gateway, node, .. } = &*self.0;
        let mut state = self.0.state.lock();
        if state.is_over {
            return Err(Full::Over);
        }
        if state.listeners.len() >= self.0.max {
            return Err(Full::Listeners);
        }
        let (first, begun) = frame::beginning(gateway, node, last_id, &wishes);
        let (queue, frames) = mpsc::channel(QUEUED_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        state.next += 1;
        let number = state.next;
        state.listeners.push(Listener {
            number,
            wishes,
            begun,
            queue,
            queued_bytes: queued_bytes.clone(),
            spoken_at: clock::now(),
            activity,
        });
        self.0.joined.notify_one();
        Ok(Subscription {
            hub: self.clone(),
            number,
            first: Some(first),
            queue: frames,
            queued_bytes,
            _stream: self.0.streams.clone(),
        })
    }

    /// Waits until the streams have ended, those of slow clients for a moment only.
    pub async fn farewell(&self) {
        let mut left = FAREWELL;
        while Arc::strong_count(&self.0.streams) > 1 && !left.is_zero() {
            tokio::time::sleep(FAREWELL_LOOK).await;
            left = left.saturating_sub(FAREWELL_LOOK);
        }
        // The end of a stream is written after its last frame.
        tokio::time::sleep(FAREWELL_LOOK).await;
    }

    /// Serves the listeners until the gateway drains, and samples the breakers.
    pub async fn run(self) {
        let events = self.0.gateway.events().clone();
        let mut last = events.watch();
        self.0.state.lock().forwarded = events.latest(0).0;
        let mut sampler = Sampler::new(self.0.gateway.clone());
        // The sample to come: its time, and the number of seconds that it stands for.
        let (mut at, mut seconds) = (clock::now(), 1);
        loop {
            let is_news = tokio::select! {
                _ = last.changed() => {
                    self.forward();
                    true
                }
                () = self.0.joined.notified() => true,
                () = events.closed() => break,
                () = tokio::time::sleep_until(at) => false,
            };
            if is_news {
                let before = at - Duration::from_secs(seconds);
                let soon = clock::now() + SAMPLE_EVERY;
                if soon < at {
                    at = soon;
                    seconds = (at - before).as_secs().max(1);
                }
                continue;
            }
            sampler.sample(seconds).await;
            self.beat(&sampler);
            let is_calm = self.listeners() == 0 && sampler.is_calm();
            seconds = if is_calm { CALM_SECONDS } else { 1 };
            // A sample that took long moves those after it.
            at = at.max(clock::now() - SAMPLE_EVERY) + Duration::from_secs(seconds);
        }
        self.forward();
        let mut state = self.0.state.lock();
        state.is_over = true;
        // The streams end with their queues.
        state.listeners.clear();
    }

    /// Gives the listeners the events that have come.
    fn forward(&self) {
        let Inner { gateway, node, .. } = &*self.0;
        let mut state = self.0.state.lock();
        let rest = gateway.events().after(state.forwarded);
        let now = clock::now();
        if rest.missed > 0 {
            let first = state.forwarded + rest.missed;
            let gap = frame::gap(gateway, node, Some(rest.missed), first);
            state.listeners.retain_mut(|it| it.tell(&gap, now));
        }
        for event in &rest.events {
            let mut bytes = None;
            state.listeners.retain_mut(|listener| {
                if event.number <= listener.begun || !listener.wishes.include(event) {
                    return true;
                }
                let bytes = bytes.get_or_insert_with(|| frame::event(gateway, node, event));
                listener.tell(bytes, now)
            });
            state.forwarded = event.number;
        }
    }

    /// Sends the rates, and a comment on each stream that was silent for long.
    fn beat(&self, sampler: &Sampler) {
        let mut state = self.0.state.lock();
        let now = clock::now();
        if state.listeners.iter().any(|it| it.wishes.pulses) {
            let pulse = frame::pulse(&self.0.gateway, &self.0.node, &sampler.pulse());
            let wants =
                |listener: &mut Listener| !listener.wishes.pulses || listener.tell(&pulse, now);
            state.listeners.retain_mut(wants);
        }
        state.listeners.retain_mut(|listener| {
            let silence = now.duration_since(listener.spoken_at);
            silence < SILENCE_MAX || listener.tell(&frame::ALIVE, now)
        });
    }
}
