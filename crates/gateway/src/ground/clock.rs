//! The gateway's clock: a coarse tick for decisions, exact time where something is measured.
//!
//! Reading the system's monotonic clock costs more than deciding whether a call may pass. So one thread copies it once
//! a millisecond into one word, and a request reads that word. The tick may lag behind the clock but never runs ahead
//! of it: a cooldown that ends by exact time is compared with a tick that is at most late, so no call passes early.
//!
//! A gateway without requests should not wake a core a thousand times a second. So after some ticks the thread leaves
//! [`DOZING`] in the word and sleeps, until the next read, which takes the system's clock instead and wakes the thread.

#![allow(clippy::disallowed_methods)] // The one file of this crate that may read the system's clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fusebox_breaker::{Clock as BreakerClock, Timestamp};

/// Number of nanoseconds in a millisecond.
const NANOS: u64 = 1_000_000;

/// Time between two ticks.
const TICK: Duration = Duration::from_millis(1);

/// Number of ticks before the thread sleeps, unless a read has asked for more.
const TICKS: u32 = 64;

/// The word's value while the thread sleeps; no clock runs that long.
const DOZING: u64 = u64::MAX;

/// The step of the wall clock, in nanoseconds, from which past times are shown differently. Below it they stay as they
/// were shown first.
const STEP: u64 = NANOS / 2;

/// The longest reading of both clocks that counts, in nanoseconds: a longer one was interrupted.
const READING_MAX: u64 = NANOS / 10;

/// A monotonic clock whose origin is the moment it was started.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    /// Milliseconds since the origin, or [`DOZING`].
    tick: AtomicU64,
    ticking: OnceLock<Thread>,
    /// The wall time at the origin, in nanoseconds since the Unix epoch.
    wall_origin: AtomicU64,
}

impl Clock {
    /// Starts the clock and the thread that advances its tick; the thread ends with the clock.
    pub fn start() -> std::io::Result<Arc<Clock>> {
        let clock = Arc::new(Clock {
            origin: Instant::now(),
            tick: AtomicU64::new(0),
            ticking: OnceLock::new(),
            wall_origin: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&clock);
        let ticking = std::thread::Builder::new()
            .name("fusebox-tick".into())
            .spawn(move || advance(&weak))?;
        clock.ticking.get_or_init(|| ticking.thread().clone());
        Ok(clock)
    }

    /// The time to the millisecond, at most a tick or two late: one load.
    #[inline]
    pub fn tick(&self) -> Timestamp {
        match self.tick.load(Ordering::Relaxed) {
            DOZING => self.wake(),
            millis => Timestamp::from_millis(millis),
        }
    }

    /// The time to the millisecond by the system's clock; from now on the thread ticks again.
    #[cold]
    fn wake(&self) -> Timestamp {
        let millis = self.millis();
        let (order, none) = (Ordering::AcqRel, Ordering::Relaxed);
        let is_first = self.tick.compare_exchange(DOZING, millis, order, none);
        if let (Ok(_), Some(ticking)) = (is_first, self.ticking.get()) {
            ticking.unpark();
        }
        Timestamp::from_millis(millis)
    }

    /// Whole milliseconds since the origin.
    fn millis(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(DOZING - 1)
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

/// Wakes the thread, so that it sees that its clock is gone.
impl Drop for Clock {
    fn drop(&mut self) {
        if let Some(ticking) = self.ticking.get() {
            ticking.unpark();
        }
    }
}

/// Advances the tick as long as the clock lives.
fn advance(clock: &Weak<Clock>) {
    loop {
        for _ in 0..TICKS {
            let Some(clock) = clock.upgrade() else {
                return;
            };
            clock.tick.store(clock.millis(), Ordering::Relaxed);
            drop(clock);
            std::thread::sleep(TICK);
        }
        let Some(dozing) = clock.upgrade() else {
            return;
        };
        // Without its handle in the clock the thread could not be woken.
        if dozing.ticking.get().is_some() {
            dozing.tick.store(DOZING, Ordering::Release);
        }
        drop(dozing);
        while is_dozing(clock) {
            std::thread::park();
        }
    }
}

fn is_dozing(clock: &Weak<Clock>) -> bool {
    let clock = clock.upgrade();
    clock.is_some_and(|clock| clock.tick.load(Ordering::Acquire) == DOZING)
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
        let clock = Clock::start().unwrap();
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
    fn a_clock_that_nobody_reads_sleeps_and_is_woken_by_the_next_reader() {
        let clock = Clock::start().unwrap();
        for _ in 0..2 {
            while clock.tick.load(Ordering::Relaxed) != DOZING {
                std::thread::sleep(TICK);
            }
            let read = clock.tick();
            assert!(clock.exact().saturating_since(read) < Duration::from_secs(1));
            while clock.tick.load(Ordering::Relaxed) == read.as_nanos() / NANOS {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_past_time_does_not_move_between_readings() {
        let clock = Clock::start().unwrap();
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
