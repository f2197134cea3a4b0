//! The average response time of late, which forgets by time, shared over all workers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;

/// The time after which a sample weighs a little more than a third (1/e), in nanoseconds: 10 s.
const DECAY: f64 = 10e9;

/// The shortest time between two samples, in nanoseconds: about a millisecond. More of them would say nothing more, and
/// would only move the memory line from worker to worker.
const APART: u64 = 1 << 20;

/// An average of response times in which older ones weigh exponentially less by their age, and not by their number.
///
/// Each sample is written by the one thread that wins the right to it, so no lock is taken; a sample less than a millisecond after the
/// last one is left out.
#[derive(Debug, Default)]
pub struct Ewma {
    /// The average in nanoseconds, as the bits of an `f64`; 0 while nothing is known.
    average: AtomicU64,
    /// The time of the last sample, in nanoseconds.
    at: AtomicU64,
}

impl Ewma {
    /// An average that begins at a value, as if it had just been measured.
    pub fn starting(value: Option<Duration>, now: Timestamp) -> Ewma {
        let nanos = value.map_or(0.0, |value| value.as_nanos() as f64);
        Ewma {
            average: AtomicU64::new(nanos.to_bits()),
            at: AtomicU64::new(now.as_nanos()),
        }
    }

    /// Takes a response time. That of a failure can only raise the average: an endpoint that fails quickly is no fast
    /// one.
    #[inline]
    pub fn take(&self, lasted: Duration, failed: bool, now: Timestamp) {
        let (known, at) = (self.nanos(), self.at.load(Ordering::Relaxed));
        let age = now.as_nanos().saturating_sub(at);
        if known <= 0.0 || age >= APART {
            self.take_anyway(lasted, failed, now, known, at);
        }
    }

    #[inline(never)]
    fn take_anyway(&self, lasted: Duration, failed: bool, now: Timestamp, known: f64, at: u64) {
        let age = now.as_nanos().saturating_sub(at);
        let sample = (lasted.as_nanos() as f64).max(1.0);
        let won = self
            .at
            .compare_exchange(
                at,
                now.as_nanos().max(at),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok();
        if !won || failed && sample < known {
            return;
        }
        let average = match known > 0.0 {
            true => sample + (known - sample) * remains(age),
            false => sample,
        };
        self.average.store(average.to_bits(), Ordering::Relaxed);
    }

    /// The average after the last sample, or the value that it began with; `None` while nothing is known.
    pub fn average(&self) -> Option<Duration> {
        let nanos = self.nanos();
        (nanos > 0.0).then(|| Duration::from_nanos(nanos as u64))
    }

    /// The expected response time in nanoseconds at `now`: the average, which without samples moves towards that of the
    /// whole pool, so that an endpoint that was once slow is tried again, and one that was idle is not flooded.
    pub fn expected(&self, pool: f64, now: Timestamp) -> f64 {
        let known = self.nanos();
        if known <= 0.0 {
            return pool;
        }
        let age = now
            .as_nanos()
            .saturating_sub(self.at.load(Ordering::Relaxed));
        pool + (known - pool) * remains(age)
    }

    #[inline]
    fn nanos(&self) -> f64 {
        f64::from_bits(self.average.load(Ordering::Relaxed))
    }
}

/// The weight of what was known that many nanoseconds ago, from 1 down to 0.
#[inline]
fn remains(age: u64) -> f64 {
    let age = age as f64 / DECAY;
    // The first two terms of the series are exact to a millionth here, and much quicker.
    if age < 1e-3 { 1.0 - age } else { (-age).exp() }
}

/// The number of averages that a median looks at.
const LOOKED_AT: usize = 64;

/// The lower median of the known averages, of the first 64 of them; `None` if none is known.
pub fn median<'a>(all: impl Iterator<Item = &'a Ewma>) -> Option<Duration> {
    let mut known = [0.0; LOOKED_AT];
    let mut count = 0;
    for nanos in all
        .map(Ewma::nanos)
        .filter(|nanos| *nanos > 0.0)
        .take(LOOKED_AT)
    {
        known[count] = nanos;
        count += 1;
    }
    let known = &mut known[..count];
    known.sort_unstable_by(f64::total_cmp);
    let middle = known.get(count.saturating_sub(1) / 2)?;
    Some(Duration::from_nanos(*middle as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn with(samples: &[(u64, u64)]) -> Ewma {
        let ewma = Ewma::default();
        for (secs, lasted) in samples {
            ewma.take(millis(*lasted), false, at(*secs));
        }
        ewma
    }

    #[test]
    fn the_first_sample_is_the_average() {
        assert_eq!(with(&[]).average(), None);
        assert_eq!(with(&[(3, 40)]).average(), Some(millis(40)));
    }

    #[test]
    fn an_old_average_weighs_by_its_age() {
        // After ten seconds 1/e of it is left, after a minute a four-hundredth.
        let after = |secs| {
            with(&[(0, 100), (secs, 200)])
                .average()
                .unwrap()
                .as_millis()
        };
        assert_eq!([after(10), after(60)], [163, 199]);
    }

    #[test]
    fn a_thousand_samples_at_once_weigh_as_one() {
        let ewma = with(&[(0, 100), (10, 200)]);
        let before = ewma.average();
        (0..1000).for_each(|_| ewma.take(millis(9000), false, at(10)));
        assert_eq!(ewma.average(), before);
    }

    #[test]
    fn a_quick_failure_makes_no_endpoint_fast_and_a_slow_one_makes_it_slow() {
        let ewma = with(&[(0, 100)]);
        ewma.take(millis(1), true, at(5));
        assert_eq!(ewma.average(), Some(millis(100)));
        ewma.take(millis(900), true, at(15));
        assert!(ewma.average().unwrap() > millis(500));
    }

    #[test]
    fn without_samples_the_expectation_moves_to_that_of_the_pool() {
        let ewma = with(&[(0, 1000)]);
        let expected = |secs| (ewma.expected(100e6, at(secs)) / 1e6).round() as u64;
        assert_eq!([expected(0), expected(10), expected(100)], [1000, 431, 100]);
    }

    #[test]
    fn the_median_leaves_out_the_unknown() {
        let all = [
            with(&[]),
            with(&[(0, 30)]),
            with(&[(0, 5000)]),
            with(&[(0, 10)]),
        ];
        assert_eq!(median(all.iter()), Some(millis(30)));
        assert_eq!(median([].iter()), None);
    }

    proptest! {
        #[test]
        fn an_average_lies_between_its_samples(samples in prop::collection::vec((1u64..100_000, 0u64..60), 1..50)) {
            let ewma = Ewma::default();
            let mut now = 0;
            for (lasted, pause) in &samples {
                now += pause;
                ewma.take(millis(*lasted), false, at(now));
            }
            let average = ewma.average().unwrap();
            let least = samples.iter().map(|sample| sample.0).min().unwrap();
            let most = samples.iter().map(|sample| sample.0).max().unwrap();
            prop_assert!(millis(least) <= average + Duration::from_micros(1) && average <= millis(most));
        }
    }
}
