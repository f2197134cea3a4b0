//! The one place of this crate where a clock is read, for the ways in that do not ask the caller for the time.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::time::Timestamp;

/// The origin of every [`MonotonicClock`], set when the first of them is read.
///
/// This is the crate's only global. All times told to one breaker must have one origin, and a program makes its guards,
/// layers and fleets in many places, at many times: with an origin for each of them, a call would pass an open breaker, or
/// be refused for seconds too long, wherever two of them meet. Nothing else could be shared by all of them unasked.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Tells the time to a [`Guard`](crate::Guard): on a clock that never runs backwards, from one origin.
///
/// All that speaks to one breaker must have clocks of one origin. [`MonotonicClock`] is the clock of all that brings none,
/// so another one is best derived from it. A program with very many calls has a word that one thread advances every
/// millisecond, which costs one load to read. It may lag, and must not run ahead.
///
/// ```
/// use fusebox_breaker::{Clock, MonotonicClock, Timestamp};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// struct Tick(AtomicU64);
///
/// impl Tick {
///     fn advance(&self) {
///         self.0.store(MonotonicClock.now().as_nanos(), Ordering::Relaxed);
///     }
/// }
///
/// impl Clock for Tick {
///     fn now(&self) -> Timestamp {
///         Timestamp::from_nanos(self.0.load(Ordering::Relaxed))
///     }
/// }
/// ```
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The monotonic clock of the operating system, counted from one origin in the whole process: the moment at which it was
/// first read. All values of it tell the same time, whenever and wherever they were made.
///
/// It is the clock of every [`Guard`](crate::Guard), [`Guards`](crate::Guards) and layer that was given no other, and of a
/// fleet.
///
/// ```
/// use fusebox_breaker::{Clock, MonotonicClock};
///
/// let (one, other) = (MonotonicClock, MonotonicClock);
/// let times = [one.now(), other.now(), one.now()];
/// assert!(times.is_sorted());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonotonicClock;

impl Clock for MonotonicClock {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + origin().elapsed()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the clock for callers that bring none"
)]
fn origin() -> Instant {
    *ORIGIN.get_or_init(Instant::now)
}

/// Sets the origin, so that [`uptime`] counts from now at the latest.
pub(crate) fn begin() {
    origin();
}

/// The time that the process has run, at the least: since the first breaker was made, or the clock was first read.
pub(crate) fn uptime() -> Duration {
    origin().elapsed()
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
