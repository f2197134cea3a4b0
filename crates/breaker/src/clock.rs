//! The only file of this crate that reads a clock, for entry points that do not take the time as an argument.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::time::Timestamp;

/// The origin of every [`MonotonicClock`], set when the first of them is read.
///
/// This is the crate's only global. All times given to one breaker must have one origin, and a program makes its
/// guards, layers and fleets in many places, at many times: with an origin for each of them, a call would pass an open
/// breaker, or be refused for seconds too long, wherever two of them meet. Only a global is shared by all of them
/// without an argument.
static ORIGIN: OnceLock<Origin> = OnceLock::new();

/// Gives a [`Guard`](crate::Guard) the time: on a clock that never runs backwards, from one origin.
///
/// All callers of one breaker must have clocks of one origin. [`MonotonicClock`] is the default, so another one is best
/// derived from it. A program with very many calls can have one thread copy the time into one word every millisecond,
/// which costs one load to read. It may lag, and must not run ahead.
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
    /// The present time.
    fn now(&self) -> Timestamp;

    /// The present time for uses in which some milliseconds do not matter, such as the age of a key, or a refusal by a
    /// breaker that is open for long: at most [`now`](Clock::now), behind it by less than a second, usually by a few
    /// milliseconds, and from the same origin. Default: `now`.
    ///
    /// A clock that can read it faster than `now` should do so; [`MonotonicClock`] does on Linux.
    fn coarse(&self) -> Timestamp {
        self.now()
    }
}

/// The monotonic clock of the operating system, counted from one origin in the whole process: the time at which it was
/// first read. All values of it show the same time, whenever and wherever they were made.
///
/// It is the clock of every [`Guard`](crate::Guard), [`Guards`](crate::Guards) and layer without another one, and of a
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
        Timestamp::ZERO + origin().exact.elapsed()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    fn coarse(&self) -> Timestamp {
        let begun = origin().kernel;
        Timestamp::from_nanos(kernel::last_tick().saturating_sub(begun))
    }
}

/// One moment in both readings of the clock.
struct Origin {
    exact: Instant,
    /// The kernel's reading in nanoseconds, taken after the other one, so that no coarse time is ahead of an exact one.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    kernel: u64,
}

fn origin() -> &'static Origin {
    ORIGIN.get_or_init(|| Origin {
        #[allow(
            clippy::disallowed_methods,
            reason = "the clock for callers that bring none"
        )]
        exact: Instant::now(),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        kernel: kernel::now(),
    })
}

/// The kernel's monotonic clock, which is that of [`Instant`], as nanoseconds since its start.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel {
    use rustix::time::{ClockId, Timespec, clock_gettime};

    pub fn now() -> u64 {
        nanos(clock_gettime(ClockId::Monotonic))
    }

    /// The time as of the kernel's last tick, 1 to 10 ms ago at the most: a fifth of the cost, as no counter is read.
    #[inline]
    pub fn last_tick() -> u64 {
        nanos(clock_gettime(ClockId::MonotonicCoarse))
    }

    #[inline]
    fn nanos(time: Timespec) -> u64 {
        // Both are never negative.
        let [secs, nanos] = [
            u64::try_from(time.tv_sec).unwrap_or(0),
            u64::try_from(time.tv_nsec).unwrap_or(0),
        ];
        secs * 1_000_000_000 + nanos
    }
}

/// Sets the origin, so that [`uptime`] counts from now at the latest.
pub(crate) fn begin() {
    origin();
}

/// A lower bound of the process's run time: since the first breaker was made, or the clock was first read.
pub(crate) fn uptime() -> Duration {
    origin().exact.elapsed()
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn coarse(&self) -> Timestamp {
        (**self).coarse()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn coarse(&self) -> Timestamp {
        (**self).coarse()
    }
}
