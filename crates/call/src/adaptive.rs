//! The adaptive limit of calls in flight, from the times of late against a slow baseline.
//!
//! # Rule
//! The mean time of a window is compared with the baseline, as in Netflix's Gradient2. Up to one and a half times the
//! baseline is normal: the limit grows by a fifth of its square root. Above, it shrinks in proportion, by a fifth in a
//! window at most. It grows only if at least half of it was used, so it stays near twice the highest use.
//!
//! # Start
//! The limit begins at `min`, where the first window measures a service without a queue, and doubles in each window in which
//! it is reached, until the times first rise above normal.
//!
//! # Baseline
//! The baseline follows slower times over about twenty seconds, and only while the limit is not reached: under an overload
//! of hours it stays. It follows faster times within seconds. The limit never dips to measure it.
//!
//! # A slower service
//! Times that stay as they are although the limit has halved, or is at `min`, are no queue. The service itself became
//! slower: the new times are the baseline, and the limit starts anew from where it is.
//!
//! # Measured
//! In a queueing model (the simulator's test `overload`, whose doc has the table) at twice and ten times the capacity at
//! least 94 % of it is answered, and 99 % after the first two seconds; without a limit, nothing after five seconds. The p99
//! is 2.5 times the mean time without a queue, up to 5.6 times in the first two seconds; where times scatter, 1.2 times
//! the p99 without a queue. After 15 minutes the limit is the same, and after the overload nothing is refused. A healthy
//! service is refused nothing after the first second, one at nine tenths of its capacity whose times scatter 1 %. One
//! whose calls suddenly take five times as long, without a queue, is refused up to six tenths of its calls for a second;
//! where times scatter, up to nine tenths for five seconds.

mod gradient;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use fusebox_breaker::Timestamp;

use crate::settings::Adaptive;
use gradient::Gradient;

/// The shortest window. One is at least as long as a call of late, so that the next one sees what a new limit does.
const WINDOW: Duration = Duration::from_millis(100);
/// The fewest calls of a window.
const FEWEST_CALLS: u64 = 25;
/// The bits of a window's word that count calls; those above sum their microseconds.
const COUNT_BITS: u32 = 20;

/// An upstream's limit of calls in flight, over all workers. No caller ever waits in it.
#[derive(Debug)]
pub struct AdaptiveLimit {
    limit: AtomicUsize,
    /// The calls of this window and the sum of their times.
    window: CachePadded<AtomicU64>,
    /// The most calls in flight in this window.
    peak: AtomicUsize,
    /// The nanosecond from which on the window may end.
    due: AtomicU64,
    /// Locked once in a window, by the call that ends it; others pass it by.
    gradient: Mutex<Gradient>,
}

impl AdaptiveLimit {
    /// A limit that begins at `min`.
    pub fn new(settings: Adaptive, now: Timestamp) -> AdaptiveLimit {
        let gradient = Gradient::new(settings);
        AdaptiveLimit {
            limit: AtomicUsize::new(gradient.limit()),
            window: CachePadded::default(),
            peak: AtomicUsize::new(0),
            due: AtomicU64::new((now + WINDOW).as_nanos()),
            gradient: Mutex::new(gradient),
        }
    }

    /// The most calls that may be in flight now, from `min` to `max`.
    #[inline]
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Takes in the end of a call: the time to its head, and the calls in flight at its end, itself included.
    ///
    /// For calls whose answer was not judged a failure, and for timeouts, whose time is the limit that cut them. A quick
    /// failure says nothing about a queue and must be left out.
    pub fn ended(&self, now: Timestamp, took: Duration, in_flight: usize) {
        if in_flight > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_flight, Ordering::Relaxed);
        }
        // At most an hour, so that a million of them fit into the sum.
        let micros = took.min(Duration::from_secs(3_600)).as_micros() as u64;
        let call = (micros << COUNT_BITS) | 1;
        let before = self.window.fetch_add(call, Ordering::Relaxed);
        let is_due = now.as_nanos() >= self.due.load(Ordering::Relaxed);
        if is_due && before % (1 << COUNT_BITS) + 1 >= FEWEST_CALLS {
            self.end_window(now);
        }
    }

    #[cold]
    fn end_window(&self, now: Timestamp) {
        let Ok(mut gradient) = self.gradient.try_lock() else {
            return;
        };
        // Another call may have ended it just now.
        if now.as_nanos() < self.due.load(Ordering::Relaxed) {
            return;
        }
        let window = self.window.swap(0, Ordering::Relaxed);
        let peak = self.peak.swap(0, Ordering::Relaxed);
        let count = window % (1 << COUNT_BITS);
        if count == 0 {
            return;
        }
        let mean = (window >> COUNT_BITS) as f64 / count as f64 / 1e6;
        gradient.step(mean, peak);
        self.limit.store(gradient.limit(), Ordering::Relaxed);
        let length = WINDOW.max(Duration::from_secs_f64(mean));
        self.due.store((now + length).as_nanos(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_25_calls_and_100_ms() {
        let settings = Adaptive { min: 8, max: 100 };
        let limit = AdaptiveLimit::new(settings, Timestamp::ZERO);
        let took = Duration::from_millis(5);
        let ended = |at: u64, calls: usize| {
            (0..calls).for_each(|_| limit.ended(Timestamp::from_millis(at), took, 64));
            limit.limit()
        };
        assert_eq!(ended(99, 1_000), 8, "too early");
        assert_eq!(ended(100, 1), 16);
        assert_eq!(ended(200, 24), 16, "too few");
        assert_eq!(ended(200, 1), 32);
    }

    #[test]
    fn a_window_lasts_as_long_as_a_call() {
        let settings = Adaptive { min: 8, max: 100 };
        let limit = AdaptiveLimit::new(settings, Timestamp::ZERO);
        let ended = |at: u64| {
            let took = Duration::from_secs(2);
            (0..25).for_each(|_| limit.ended(Timestamp::from_secs(at), took, 64));
            limit.limit()
        };
        assert_eq!([ended(1), ended(2), ended(3)], [16, 16, 32]);
    }

    #[test]
    fn threads_end_a_window_once() {
        let settings = Adaptive { min: 8, max: 100 };
        let limit = AdaptiveLimit::new(settings, Timestamp::ZERO);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let now = Timestamp::from_millis(150);
                    (0..1_000).for_each(|_| limit.ended(now, Duration::from_millis(5), 8));
                });
            }
        });
        assert_eq!(limit.limit(), 16);
    }
}
