//! The last minute of a breaker, second by second, from counters that calls write anyway.
//!
//! A sampler reads the counters once a second and notes by how much they grew. A breaker without calls costs it only the
//! reading: seconds in which nothing was noted are zeros.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// The number of seconds that are kept.
pub const SECONDS: usize = 60;

/// The number of seconds that rates look back.
pub const RATE_SECONDS: u64 = 10;

/// Counts of calls: those that ended well, failed, were refused, or say nothing about the upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls that ended well.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that say nothing about the upstream.
    pub ignored: u64,
    /// Answers of a ladder, where they are counted by breaker.
    pub fallbacks: u64,
}

impl Totals {
    fn since(self, earlier: Totals) -> [u32; 5] {
        let grown =
            |now: u64, then: u64| u32::try_from(now.saturating_sub(then)).unwrap_or(u32::MAX);
        [
            grown(self.ok, earlier.ok),
            grown(self.failed, earlier.failed),
            grown(self.refused, earlier.refused),
            grown(self.ignored, earlier.ignored),
            grown(self.fallbacks, earlier.fallbacks),
        ]
    }
}

/// The progress of the sampling, for those who read what was sampled.
#[derive(Debug, Default)]
pub struct Progress {
    sample: AtomicU64,
    /// The time over which rates look back, in milliseconds.
    span: AtomicU64,
}

impl Progress {
    /// Notes a sample, and the time over which rates look back from it.
    pub fn advance(&self, sample: u64, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.span.store(millis, Ordering::Relaxed);
        self.sample.store(sample, Ordering::Relaxed);
    }

    /// The number of the last sample, and the time over which rates look back from it.
    pub fn now(&self) -> (u64, Duration) {
        let span = self.span.load(Ordering::Relaxed);
        let sample = self.sample.load(Ordering::Relaxed);
        (sample, Duration::from_millis(span))
    }
}

/// Facts of the last seconds that are no counts of calls, which the sampler adds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Around {
    /// Answers that a ladder gave, where they are counted by upstream.
    pub fallbacks: u64,
    /// The times that half, 95 % and 99 % of the answers took at most, in milliseconds.
    pub quantiles: Option<[f64; 3]>,
}

/// The rates of a breaker over the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Calls that ended, per second; refused ones are not among them.
    pub calls_per_s: f64,
    /// The share of failures among those that ended well or failed; `None`: there were none.
    pub failed_ratio: Option<f64>,
    /// Refused calls per second.
    pub refused_per_s: f64,
    /// Answers of a ladder per second.
    pub fallback_per_s: f64,
    /// The median of the times to the head of an answer, in milliseconds; `None`: no answer, or too many breakers are busy.
    pub p50_ms: Option<f64>,
    /// The 95th percentile, likewise.
    pub p95_ms: Option<f64>,
    /// The 99th percentile, likewise.
    pub p99_ms: Option<f64>,
}

/// A breaker's last minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Rates over the last 10 s.
    pub rates: Rates,
    /// For each of the last 60 s, the oldest first: calls that ended well, failed and were refused.
    pub minute: Vec<[u32; 3]>,
}

impl Default for Series {
    /// A minute without a call.
    fn default() -> Series {
        Series {
            rates: Rates::default(),
            minute: vec![[0; 3]; SECONDS],
        }
    }
}

/// The sampled seconds of one breaker; nothing is allocated before its first call.
#[derive(Debug, Default)]
pub struct Sampled(OnceLock<Box<Mutex<Ring>>>);

#[derive(Debug)]
struct Ring {
    /// The counters at the last sample.
    totals: Totals,
    /// The sample's number at which something was last noted.
    noted: u64,
    /// The samples, by their number modulo the ring's length.
    seconds: [[u32; 5]; SECONDS],
    around: Around,
}

impl Sampled {
    /// Takes the counters at a sample of a number. Returns true if there were calls in the last 10 s.
    pub fn note(&self, sample: u64, totals: Totals) -> bool {
        if self.0.get().is_none() && totals == Totals::default() {
            return false;
        }
        let ring = self.0.get_or_init(|| {
            Box::new(Mutex::new(Ring {
                totals: Totals::default(),
                noted: sample,
                seconds: [[0; 5]; SECONDS],
                around: Around::default(),
            }))
        });
        let mut ring = ring.lock();
        if ring.totals != totals {
            ring.forget(sample);
            let grown = totals.since(ring.totals);
            ring.seconds[slot(sample)] = grown;
            ring.totals = totals;
            ring.noted = sample;
        }
        ring.noted + RATE_SECONDS > sample && ring.seconds[slot(ring.noted)] != [0; 5]
    }

    /// Adds the facts that are no counts of calls; those of an earlier sample are not kept.
    pub fn set_around(&self, around: Around) {
        if let Some(ring) = self.0.get() {
            ring.lock().around = around;
        }
    }

    /// The last second at a sample: calls that ended well, failed and were refused.
    pub fn second(&self, sample: u64) -> [u32; 3] {
        let ring = self.0.get().map(|ring| ring.lock());
        ring.map_or([0; 3], |ring| ring.shown(sample))
    }

    /// The rates at a sample, over the last 10 s, of which `span` has been sampled.
    pub fn rates(&self, sample: u64, span: Duration) -> Rates {
        let ring = self.0.get().map(|ring| ring.lock());
        ring.map_or_else(Rates::default, |ring| ring.rates(sample, span))
    }

    /// The last minute at a sample; `None`: there was never a call.
    pub fn series(&self, sample: u64, span: Duration) -> Option<Series> {
        let ring = self.0.get()?.lock();
        let first = (sample + 1).saturating_sub(SECONDS as u64);
        let known = (first..=sample).map(|sample| ring.shown(sample));
        let mut minute = vec![[0; 3]; SECONDS.saturating_sub((sample + 1 - first) as usize)];
        minute.extend(known);
        let rates = ring.rates(sample, span);
        Some(Series { rates, minute })
    }
}

fn slot(sample: u64) -> usize {
    (sample % SECONDS as u64) as usize
}

impl Ring {
    /// Clears the slots between the last noted sample and this one.
    fn forget(&mut self, sample: u64) {
        let first = (self.noted + 1).max((sample + 1).saturating_sub(SECONDS as u64));
        for old in first..=sample {
            self.seconds[slot(old)] = [0; 5];
        }
    }

    /// The counts of a sample that is at most a minute old.
    fn at(&self, sample: u64) -> [u32; 5] {
        let is_kept = sample <= self.noted && sample + SECONDS as u64 > self.noted;
        if is_kept {
            self.seconds[slot(sample)]
        } else {
            [0; 5]
        }
    }

    fn shown(&self, sample: u64) -> [u32; 3] {
        let [ok, failed, refused, _, _] = self.at(sample);
        [ok, failed, refused]
    }

    fn rates(&self, sample: u64, span: Duration) -> Rates {
        let first = (sample + 1).saturating_sub(RATE_SECONDS);
        let mut sums = [0_u64; 5];
        for sample in first..=sample {
            for (sum, count) in sums.iter_mut().zip(self.at(sample)) {
                *sum += u64::from(count);
            }
        }
        let [ok, failed, refused, ignored, fallbacks] = sums;
        let seconds = span.as_secs_f64().max(0.001);
        let judged = ok + failed;
        let quantile = |at: usize| self.around.quantiles.map(|all| all[at]);
        Rates {
            calls_per_s: (judged + ignored) as f64 / seconds,
            failed_ratio: (judged > 0).then(|| failed as f64 / judged as f64),
            refused_per_s: refused as f64 / seconds,
            fallback_per_s: (self.around.fallbacks + fallbacks) as f64 / seconds,
            p50_ms: quantile(0),
            p95_ms: quantile(1),
            p99_ms: quantile(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(ok: u64, failed: u64, refused: u64) -> Totals {
        Totals {
            ok,
            failed,
            refused,
            ignored: 0,
            fallbacks: 0,
        }
    }

    const SPAN: Duration = Duration::from_secs(10);

    #[test]
    fn a_second_shows_by_how_much_the_counters_grew() {
        let sampled = Sampled::default();
        assert!(sampled.note(5, totals(100, 10, 0)));
        assert_eq!(sampled.second(5), [100, 10, 0]);
        sampled.note(6, totals(130, 20, 0));
        sampled.note(7, totals(130, 20, 40));
        assert_eq!(sampled.second(6), [30, 10, 0]);
        assert_eq!(sampled.second(7), [0, 0, 40]);
        let rates = sampled.rates(7, SPAN);
        assert_eq!((rates.calls_per_s, rates.refused_per_s), (15.0, 4.0));
        assert_eq!(rates.failed_ratio, Some(20.0 / 150.0));
    }

    #[test]
    fn seconds_without_calls_are_zeros_and_a_minute_ends() {
        let sampled = Sampled::default();
        assert!(!sampled.note(0, totals(0, 0, 0)));
        assert_eq!(
            sampled.series(0, SPAN),
            None,
            "nothing is kept before a call"
        );
        assert!(sampled.note(1, totals(1, 0, 0)));
        assert!(sampled.note(10, totals(1, 0, 0)));
        assert!(!sampled.note(11, totals(1, 0, 0)), "10 s ago");
        let minute = |sample| sampled.series(sample, SPAN).unwrap().minute;
        assert_eq!(minute(1)[59], [1, 0, 0]);
        assert_eq!(minute(11)[49], [1, 0, 0]);
        assert_eq!(minute(60)[0], [1, 0, 0]);
        assert_eq!(minute(61), vec![[0; 3]; 60]);
        sampled.note(65, totals(3, 0, 0));
        assert_eq!(minute(65)[59], [2, 0, 0]);
        assert_eq!(minute(65)[..59], [[0; 3]; 59]);
        assert_eq!(sampled.rates(65, SPAN).calls_per_s, 0.2);
        sampled.note(200, totals(4, 0, 0));
        assert_eq!(minute(200)[..59], [[0; 3]; 59]);
    }
}
