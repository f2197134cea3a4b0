//! The two clocks that our breaker is measured with: a word that a thread advances, and the system's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fusebox_breaker::Timestamp;

/// Says what time it is.
pub(crate) trait Clock: Clone + Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// Lets time pass.
    fn pass(&self, time: Duration);
}

/// A word that holds the time as of the last millisecond. Reading it is one load.
#[derive(Clone)]
pub struct Tick {
    start: Instant,
    word: Arc<AtomicU64>,
}

impl Tick {
    /// A word that stands at zero.
    #[allow(clippy::new_without_default)] // It begins a clock, which is no value of its own.
    pub fn new() -> Self {
        Tick {
            start: Instant::now(),
            word: Arc::default(),
        }
    }

    /// Advances the word from a thread of its own until the program ends.
    pub fn run(&self) {
        let tick = self.clone();
        std::thread::spawn(move || {
            loop {
                tick.advance();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// The word.
    #[inline]
    pub fn read(&self) -> u64 {
        self.word.load(Ordering::Relaxed)
    }

    fn advance(&self) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.word.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for Tick {
    #[inline]
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.read())
    }

    fn pass(&self, time: Duration) {
        std::thread::sleep(time);
        self.advance();
    }
}

/// The system's monotonic clock.
#[derive(Clone)]
pub(crate) struct System(Instant);

impl System {
    pub fn new() -> Self {
        System(Instant::now())
    }
}

impl Clock for System {
    #[inline]
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.0.elapsed()
    }

    fn pass(&self, time: Duration) {
        std::thread::sleep(time);
    }
}
