//! Tells the time: the crate's one place that reads a clock.

use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(any(feature = "embedded", feature = "valkey"))]
use std::time::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment of wall time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub u64);

impl WallTime {
    /// The moment `span` after this one. A span is counted in whole milliseconds, rounded up, so
    /// that nothing expires before its time; past the end of time it stops there.
    pub fn after(self, span: Duration) -> WallTime {
        let ms = span.as_nanos().div_ceil(1_000_000);
        WallTime(self.0.saturating_add(u64::try_from(ms).unwrap_or(u64::MAX)))
    }
}

/// Where a store learns what time it is.
pub trait Clock: Send + Sync {
    /// The wall time now. It may jump in either direction; a store copes.
    fn now(&self) -> WallTime;
}

/// The clock of the machine.
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

/// A clock that stands still until it is told to move, for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: WallTime) -> Self {
        ManualClock(AtomicU64::new(now.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let now = self.now();
        self.set(now.after(by));
    }

    /// Sets the clock, forward or backward.
    pub fn set(&self, now: WallTime) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> WallTime {
        WallTime(self.0.load(Ordering::SeqCst))
    }
}

/// Measures how long a piece of work takes, unmoved by jumps of the wall clock.
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
