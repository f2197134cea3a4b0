//! The gateway's clock: a coarse tick for decisions, exact time where something is measured.
//!
//! Reading the system's monotonic clock costs more than deciding whether a call may pass. So one thread copies it once
//! a millisecond into one word, and a request reads that word. The tick may lag behind the clock but never runs ahead
//! of it: a cooldown that ends by exact time is compared with a tick that is at most late, so no call passes early.

#![allow(clippy::disallowed_methods)] // The one file of this crate that may read the system's clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fusebox_breaker::{Clock as BreakerClock, Timestamp};

/// Number of nanoseconds in a millisecond.
const NANOS: u64 = 1_000_000;

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(1);

/// A monotonic clock whose origin is the moment it was started.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    tick: AtomicU64,
}

impl Clock {
    /// Starts the clock and the thread that advances its tick; the thread ends with the clock.
    pub fn start() -> std::io::Result<Arc<Clock>> {
        let clock = Arc::new(Clock {
            origin: Instant::now(),
            tick: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&clock);
        std::thread::Builder::new()
            .name("fusebox-tick".into())
            .spawn(move || advance(&weak))?;
        Ok(clock)
    }

    /// The time to the millisecond, at most a tick or two late: one load.
    pub fn tick(&self) -> Timestamp {
        Timestamp::from_millis(self.tick.load(Ordering::Relaxed))
    }

    /// The time to the nanosecond.
    pub fn exact(&self) -> Timestamp {
        let nanos = self.origin.elapsed().as_nanos();
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Milliseconds since the Unix epoch, for people and for data that outlives the process.
    pub fn wall_millis(&self) -> u64 {
        u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock beside this one, read now. Times shown together are converted by one such reading: two readings
    /// may be a millisecond apart.
    pub fn wall(&self) -> Wall {
        Wall {
            now: self.exact(),
            nanos: u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// The clock of breakers outside the request path.
impl BreakerClock for Clock {
    fn now(&self) -> Timestamp {
        self.exact()
    }
}

/// The wall clock beside the monotonic one, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Wall {
    now: Timestamp,
    nanos: u64,
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

    fn nanos_at(&self, at: Timestamp) -> u64 {
        let (now, at) = (self.now.as_nanos(), at.as_nanos());
        self.nanos
            .saturating_add(at.saturating_sub(now))
            .saturating_sub(now.saturating_sub(at))
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn advance(clock: &Weak<Clock>) {
    while let Some(clock) = clock.upgrade() {
        let millis = clock.origin.elapsed().as_millis();
        clock
            .tick
            .store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
        drop(clock);
        std::thread::sleep(TICK);
    }
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
    fn a_time_to_come_back_is_rounded_up_and_one_that_has_been_down() {
        let wall = Wall {
            now: Timestamp::from_nanos(5_000_000),
            nanos: 1_000_000_400,
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
