//! Clocks: the only file of the crate that reads the time.

use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(any(feature = "embedded", feature = "valkey"))]
use std::time::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in wall time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub u64);

impl WallTime {
    /// Returns the moment `span` after this one. The span is rounded up to whole milliseconds, so that nothing expires
    /// early; the sum saturates at the largest `u64`.
    pub fn after(self, span: Duration) -> WallTime {
        let ms = span.as_nanos().div_ceil(1_000_000);
        WallTime(self.0.saturating_add(u64::try_from(ms).unwrap_or(u64::MAX)))
    }
}

/// The source of wall time for a store.
pub trait Clock: Send + Sync {
    /// Returns the current wall time. It may jump in either direction; stores tolerate that.
    fn now(&self) -> WallTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one file that may read a clock"
    )]
    fn now(&self) -> WallTime {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until it is set or advanced, for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Makes a clock that shows `now`.
    pub fn new(now: WallTime) -> Self {
        ManualClock(AtomicU64::new(now.0))
    }

    /// Moves the clock forward by a span.
    pub fn advance(&self, by: Duration) {
        let now = self.now();
        self.set(now.after(by));
    }

    /// Sets the clock to a moment, earlier or later.
    pub fn set(&self, now: WallTime) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> WallTime {
        WallTime(self.0.load(Ordering::SeqCst))
    }
}

/// Measures elapsed time, unaffected by jumps of the wall clock.
#[cfg(any(feature = "embedded", feature = "valkey"))]
pub(crate) struct Stopwatch(Instant);

#[cfg(any(feature = "embedded", feature = "valkey"))]
impl Stopwatch {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one file that may read a clock"
    )]
    pub(crate) fn start() -> Self {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_rounded_up_to_whole_milliseconds() {
        assert_eq!(WallTime(5).after(Duration::from_micros(1)), WallTime(6));
        assert_eq!(WallTime(5).after(Duration::from_millis(1)), WallTime(6));
        assert_eq!(WallTime(5).after(Duration::MAX), WallTime(u64::MAX));
    }
}
