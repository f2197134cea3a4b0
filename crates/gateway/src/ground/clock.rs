//! The gateway's clock: coarse time for decisions, exact time where something is measured.
//!
//! Reading the system's monotonic clock costs more than deciding whether a call may pass. The kernel keeps a copy of that
//! clock, which it sets at each of its own ticks and whenever it leaves its sleep; a request reads that copy. It may lag
//! behind the clock but never runs ahead of it: a cooldown that ends by exact time is compared with a time that is at most
//! late, so no call passes early.
//!
//! No thread of the gateway keeps the time, so a gateway without requests sleeps, and a worker that is busy for long with
//! one request does not stop the others' time.

#![allow(clippy::disallowed_methods)] // The one file of this crate that may read the system's clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fusebox_breaker::{Clock as BreakerClock, MonotonicClock, Timestamp};

/// Number of nanoseconds in a millisecond.
const NANOS: u64 = 1_000_000;

/// The step of the wall clock, in nanoseconds, from which past times are shown differently. Below it they stay as they
/// were shown first.
const STEP: u64 = NANOS / 2;

/// The longest reading of both clocks that counts, in nanoseconds: a longer one was interrupted.
const READING_MAX: u64 = NANOS / 10;

/// A monotonic clock, of the origin that all clocks of breakers in this process have, beside the wall clock.
#[derive(Debug, Default)]
pub struct Clock {
    monotonic: MonotonicClock,
    /// The wall time at the origin, in nanoseconds since the Unix epoch; 0 until it was read.
    wall_origin: AtomicU64,
}

impl Clock {
    /// The time as of the kernel's last tick: at most late, by 1 to 10 ms, depending on the kernel. It costs a fifth of
    /// [`exact`](Clock::exact). Where a system has no such time, it is the exact one.
    #[inline]
    pub fn tick(&self) -> Timestamp {
        self.monotonic.coarse()
    }

    /// The time to the nanosecond.
    pub fn exact(&self) -> Timestamp {
        self.monotonic.now()
    }

    /// Milliseconds since the Unix epoch, for people and for data that outlives the process.
    pub fn wall_millis(&self) -> u64 {
        u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock beside this one. A time that is shown twice is the same both times, unless the system's clock was
    /// set in between.
    pub fn wall(&self) -> Wall {
        let kept = self.wall_origin.load(Ordering::Relaxed);
        let (mut origin, mut took) = self.read_origin();
        for _ in 0..4 {
            if took <= READING_MAX {
                break;
            }
            (origin, took) = self.read_origin();
        }
        let is_vague = took > READING_MAX && kept > 0;
        if is_vague || origin.abs_diff(kept) <= STEP {
            return Wall { origin: kept };
        }
        self.wall_origin.store(origin, Ordering::Relaxed);
        Wall { origin }
    }

    /// The wall time at the origin by one reading of both clocks, and the time that the reading took.
    fn read_origin(&self) -> (u64, u64) {
        let before = self.exact().as_nanos();
        let wall = u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX);
        let after = self.exact().as_nanos();
        let origin = wall.saturating_sub(before.midpoint(after));
        (origin, after.saturating_sub(before))
    }
}

/// The clock of breakers outside the request path.
impl BreakerClock for Clock {
    fn now(&self) -> Timestamp {
        self.exact()
    }

    fn coarse(&self) -> Timestamp {
        self.tick()
    }
}

/// The wall clock beside the monotonic one.
#[derive(Debug, Clone, Copy)]
pub struct Wall {
    /// The wall time at the monotonic clock's origin, in nanoseconds since the Unix epoch.
    origin: u64,
}

impl Wall {
    /// The wall time at which the monotonic clock shows `at`, in milliseconds since the Unix epoch.
    pub fn millis_at(&self, at: Timestamp) -> u64 {
        self.nanos_at(at) / NANOS
    }

    /// The same rounded up, so that a client that waits until then does not come too early.
    pub fn millis_by(&self, at: Timestamp) -> u64 {
        self.nanos_at(at).div_ceil(NANOS)
    }

    /// The wall time at which the monotonic clock shows `at`, in microseconds since the Unix epoch.
    pub fn micros_at(&self, at: Timestamp) -> u64 {
        self.nanos_at(at) / (NANOS / 1_000)
    }

    fn nanos_at(&self, at: Timestamp) -> u64 {
        self.origin.saturating_add(at.as_nanos())
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The worker that carries a request, as code below it knows it: by its index, with the gateway's clock.
#[derive(Debug, Clone)]
pub struct WorkerRef {
    /// The gateway's clock.
    pub clock: Arc<Clock>,
    /// The worker's index, from 0: its place in meters and pools.
    pub index: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_never_early_and_little_late_however_long_nobody_asked() {
        let clock = Clock::default();
        let mut last = clock.tick();
        for pause in [0, 1, 5, 90, 0, 200, 0] {
            std::thread::sleep(Duration::from_millis(pause));
            let before = clock.exact();
            let tick = clock.tick();
            assert!(tick <= clock.exact() && tick >= last);
            // Late by a tick, and by what a busy machine adds.
            assert!(before.saturating_since(tick) < Duration::from_secs(1));
            last = tick;
        }
    }

    #[test]
    fn a_tick_goes_on_while_a_worker_computes_for_long() {
        let clock = Clock::default();
        let (began, first) = (clock.exact(), clock.tick());
        while clock.tick() == first {
            let since = clock.exact().saturating_since(began);
            assert!(since < Duration::from_secs(10), "the tick stands still");
        }
    }

    #[test]
    fn a_past_time_does_not_move_between_readings() {
        let clock = Clock::default();
        let at = clock.exact();
        let shown = clock.wall().nanos_at(at);
        for _ in 0..1_000 {
            assert_eq!(clock.wall().nanos_at(at), shown);
        }
        clock.wall_origin.fetch_sub(NANOS, Ordering::Relaxed);
        assert!(
            clock.wall().nanos_at(at).abs_diff(shown) < STEP,
            "the clock was set"
        );
    }

    #[test]
    fn a_time_to_come_back_is_rounded_up_and_one_that_has_been_down() {
        let wall = Wall {
            origin: 995_000_400,
        };
        let times = |nanos| {
            let at = Timestamp::from_nanos(nanos);
            (wall.millis_at(at), wall.millis_by(at))
        };
        assert_eq!(times(5_000_000), (1_000, 1_001));
        assert_eq!(times(4_999_600), (1_000, 1_000));
        assert_eq!(times(6_999_601), (1_002, 1_003));
        assert_eq!(times(0), (995, 996));
    }
}
