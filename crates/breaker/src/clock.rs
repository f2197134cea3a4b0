//! The one place of this crate where a clock is read, for the ways in that do not ask the caller for the time.

use std::time::Instant;

use crate::time::Timestamp;

/// Tells the time to a [`Guard`](crate::Guard): on a clock that never runs backwards, from one origin.
///
/// A program with very many calls implements it by a word that one thread advances every millisecond, which costs one
/// load to read. It may lag, and must not run ahead.
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> Timestamp;
}

/// The monotonic clock of the operating system, counted from the making of this value. Copies share its origin.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    origin: Instant,
}

impl MonotonicClock {
    /// A clock that begins now.
    #[allow(
        clippy::disallowed_methods,
        reason = "the clock for callers that bring none"
    )]
    pub fn start() -> Self {
        MonotonicClock {
            origin: Instant::now(),
        }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        MonotonicClock::start()
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.origin.elapsed()
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}
