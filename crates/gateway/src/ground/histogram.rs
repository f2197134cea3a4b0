//! Histograms of durations: counted in fine steps, shown in OpenTelemetry's buckets or as percentiles.
//!
//! Each bound of the shown buckets is also one of the steps, so that the steps add up to them. A duration costs one search
//! and two adds, however fine the steps are.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::ground::meter::Counter;

/// The upper bounds of a duration histogram's buckets, in seconds: OpenTelemetry's for HTTP.
pub const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The upper bounds of the steps, in microseconds.
const STEPS: [u32; 54] = [
    50, 100, 150, 200, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 6_000, 7_500,
    10_000, 12_500, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000, 60_000, 75_000, 85_000,
    100_000, 125_000, 150_000, 200_000, 250_000, 300_000, 400_000, 500_000, 600_000, 750_000,
    850_000, 1_000_000, 1_250_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 4_000_000,
    5_000_000, 6_000_000, 7_500_000, 8_500_000, 10_000_000, 15_000_000, 20_000_000, 30_000_000,
    60_000_000,
];

/// Number of durations in each step; the last one has no upper bound.
#[derive(Debug)]
pub struct Histogram {
    steps: [Counter; STEPS.len() + 1],
    nanos: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            steps: std::array::from_fn(|_| Counter::default()),
            nanos: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        self.steps[step_of(duration)].add();
        self.nanos.fetch_add(nanos(duration), Ordering::Relaxed);
    }

    /// Adds what this histogram holds to a sum of several, in the shown buckets.
    pub fn add_to(&self, sum: &mut HistogramSum) {
        let bounds = STEPS.iter().map(|micros| f64::from(*micros) / 1e6);
        for (count, upper) in self.steps.iter().zip(bounds.chain([f64::INFINITY])) {
            let bucket = BOUNDS.partition_point(|bound| *bound < upper);
            sum.buckets[bucket] += count.get();
        }
        sum.seconds += self.nanos.load(Ordering::Relaxed) as f64 / 1e9;
    }

    /// Adds what this histogram holds to a sum of several, step by step.
    pub fn add_steps(&self, sum: &mut StepSums) {
        for (total, count) in sum.0.iter_mut().zip(&self.steps) {
            // Only differences are looked at, so that the low bits are enough.
            *total = total.wrapping_add(count.get() as u32);
        }
    }
}

/// A histogram of one breaker among many, which all workers share. It has no memory before its first duration.
#[derive(Debug, Default)]
pub struct SharedSteps(OnceLock<Box<SharedCounts>>);

#[derive(Debug)]
struct SharedCounts {
    now: [AtomicU32; STEPS.len() + 1],
    /// The counts when the breaker last rested.
    rested: [AtomicU32; STEPS.len() + 1],
}

impl SharedSteps {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let zeros = || std::array::from_fn(|_| AtomicU32::new(0));
        let counts = self.0.get_or_init(|| {
            Box::new(SharedCounts {
                now: zeros(),
                rested: zeros(),
            })
        });
        counts.now[step_of(duration)].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts of now.
    pub fn read(&self) -> StepSums {
        self.0
            .get()
            .map_or_else(StepSums::default, |it| StepSums::of(&it.now))
    }

    /// The counts when the breaker last rested; zeros if it never has.
    pub fn read_rested(&self) -> StepSums {
        self.0
            .get()
            .map_or_else(StepSums::default, |it| StepSums::of(&it.rested))
    }

    /// Notes that the breaker rests: what comes next is counted from here.
    pub fn rest(&self) {
        let counts = self.0.get();
        for (rested, now) in counts.iter().flat_map(|it| it.rested.iter().zip(&it.now)) {
            rested.store(now.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// The index of the step that a duration belongs to.
fn step_of(duration: Duration) -> usize {
    let nanos = nanos(duration);
    STEPS.partition_point(|bound| u64::from(*bound) * 1_000 < nanos)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The sum of several histograms, in the shown buckets.
#[derive(Debug, Default, Clone)]
pub struct HistogramSum {
    /// The count of each bucket of [`BOUNDS`], and of those over the last bound.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// The sum of all durations, in seconds.
    pub seconds: f64,
}

/// The sum of several histograms, step by step. Sums wrap around; their differences are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSums([u32; STEPS.len() + 1]);

impl Default for StepSums {
    fn default() -> StepSums {
        StepSums([0; STEPS.len() + 1])
    }
}

impl StepSums {
    fn of(counts: &[AtomicU32; STEPS.len() + 1]) -> StepSums {
        StepSums(std::array::from_fn(|at| counts[at].load(Ordering::Relaxed)))
    }

    /// The durations, in milliseconds, that half, 95 % and 99 % of all do not exceed; `None`: there is none.
    pub fn quantiles(&self) -> Option<[f64; 3]> {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| self.quantile(share));
        Some([p50?, p95?, p99?])
    }

    /// The durations counted since an earlier sum.
    pub fn since(&self, earlier: &StepSums) -> StepSums {
        StepSums(std::array::from_fn(|at| {
            self.0[at].wrapping_sub(earlier.0[at])
        }))
    }

    /// The duration, in milliseconds, that a share of all does not exceed, evenly spread within a step; `None`: there is
    /// none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let wanted = share * total as f64;
        let mut below = 0.0;
        let mut lower = 0.0;
        for (at, count) in self.0.iter().enumerate() {
            let upper = STEPS
                .get(at)
                .map_or(lower, |micros| f64::from(*micros) / 1e3);
            let count = f64::from(*count);
            if count > 0.0 && below + count >= wanted {
                return Some(lower + (upper - lower) * (wanted - below) / count);
            }
            below += count;
            lower = upper;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(millis: impl IntoIterator<Item = u64>) -> Histogram {
        let histogram = Histogram::default();
        let each = |millis| histogram.observe(Duration::from_millis(millis));
        millis.into_iter().for_each(each);
        histogram
    }

    #[test]
    fn what_comes_after_a_rest_is_told_apart() {
        let steps = SharedSteps::default();
        assert_eq!(steps.read(), StepSums::default());
        steps.rest();
        steps.observe(Duration::from_millis(100));
        steps.rest();
        for _ in 0..3 {
            steps.observe(Duration::from_millis(10));
        }
        let since = steps.read().since(&steps.read_rested());
        let [p50, _, p99] = since.quantiles().unwrap();
        assert!((7.5..=10.0).contains(&p50) && p99 <= 10.0, "{p50} {p99}");
        steps.rest();
        assert_eq!(steps.read().since(&steps.read_rested()).quantiles(), None);
    }

    #[test]
    fn a_duration_falls_into_the_bucket_that_still_holds_it() {
        let mut sum = HistogramSum::default();
        counted([5, 6, 10_000, 10_001]).add_to(&mut sum);
        let shown = [0, 1, 13, 14].map(|at| sum.buckets[at]);
        assert_eq!(shown, [1, 1, 1, 1]);
        assert!((sum.seconds - 20.012).abs() < 1e-9);
    }

    #[test]
    fn each_shown_bound_is_a_step() {
        for bound in BOUNDS {
            let micros = (bound * 1e6).round() as u32;
            assert!(STEPS.contains(&micros), "{bound}");
        }
        assert!(STEPS.is_sorted());
    }

    #[test]
    fn a_percentile_is_within_a_step_of_the_true_one() {
        let mut sums = StepSums::default();
        counted(1..=1_000).add_steps(&mut sums);
        for (share, truth) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let shown = sums.quantile(share).unwrap();
            assert!((shown - truth).abs() / truth < 0.02, "{share}: {shown}");
        }
        assert_eq!(StepSums::default().quantile(0.5), None);
    }

    #[test]
    fn only_what_came_since_an_earlier_sum_counts() {
        let (mut before, mut after) = (StepSums::default(), StepSums::default());
        let histogram = counted([1; 100]);
        histogram.add_steps(&mut before);
        (0..10).for_each(|_| histogram.observe(Duration::from_secs(90)));
        histogram.add_steps(&mut after);
        assert_eq!(after.since(&before).quantile(0.5), Some(60_000.0));
        assert_eq!(after.since(&after).quantile(0.99), None);
    }
}
