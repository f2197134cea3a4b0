//! Counters that requests add to: one set per worker thread, summed when they are read.
//!
//! A worker writes only its own set, so counting costs an uncontended add and no lock. The metrics' names are in
//! [`crate::show::metrics`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use fusebox_breaker::{Phase, RejectReason, Rejection, Timestamp, machine::SettledAs};
use http::{Method, StatusCode};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The time of an event's last occurrence, on the gateway's clock.
#[derive(Debug, Default)]
pub struct Moment(AtomicU64);

impl Moment {
    /// Notes an occurrence.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_nanos().max(1), Ordering::Relaxed);
    }

    /// The last occurrence; `None` if there was none.
    pub fn get(&self) -> Option<Timestamp> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos > 0).then(|| Timestamp::from_nanos(nanos))
    }
}

#[derive(Debug)]
pub struct PerWorker<T>(Box<[CachePadded<T>]>);

impl<T: Default> PerWorker<T> {
    pub fn new(workers: usize) -> PerWorker<T> {
        PerWorker(
            (0..workers.max(1))
                .map(|_| CachePadded::new(T::default()))
                .collect(),
        )
    }
}

impl<T> PerWorker<T> {
    /// The worker's own value.
    pub fn of(&self, worker: usize) -> &T {
        &self.0[worker % self.0.len()]
    }

    /// The sum of one number over all workers.
    pub fn sum(&self, value: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(|worker| value(worker)).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|worker| &**worker)
    }
}

/// The reasons for which calls are refused.
pub const REASONS: [RejectReason; 5] = [
    RejectReason::BreakerOpen,
    RejectReason::BreakerProbing,
    RejectReason::BreakerRamp,
    RejectReason::BreakerAdaptive,
    RejectReason::HeldOpen,
];

#[derive(Debug, Default)]
pub struct BreakerMeter {
    /// Calls that ended well.
    pub success: Counter,
    /// Calls that failed.
    pub failure: Counter,
    /// Calls that say nothing about the upstream: the client left, or sent a malformed body.
    pub ignored: Counter,
    rejected: [Counter; 3],
    rejected_for: [Counter; REASONS.len()],
    /// Calls that monitor mode let pass although the breaker would have rejected them.
    pub would_reject: Counter,
    /// Failure expressions that could not be evaluated; the default rule decided.
    pub expression_errors: Counter,
    /// Bodies that broke after their call had been judged a success.
    pub late_truncations: Counter,
}

impl BreakerMeter {
    /// Counts a call as the breaker counted it. The breaker itself counts late ones, and a disabled one counts none.
    pub fn count(&self, counted: SettledAs) {
        match counted {
            SettledAs::Success => self.success.add(),
            SettledAs::Failure => self.failure.add(),
            SettledAs::Ignored => self.ignored.add(),
            SettledAs::Late | SettledAs::Untracked => {}
        }
    }

    /// Counts a refusal, by the breaker's phase and by the reason.
    pub fn refuse(&self, rejection: &Rejection) {
        self.rejected(rejection.phase).add();
        if let Some(at) = REASONS
            .iter()
            .position(|reason| *reason == rejection.reason)
        {
            self.rejected_for[at].add();
        }
    }

    /// Calls refused for one reason, by its index in [`REASONS`].
    pub fn rejected_for(&self, at: usize) -> u64 {
        self.rejected_for[at].get()
    }

    /// Calls refused in any phase.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(Counter::get).sum()
    }

    /// The counter of calls refused in a phase.
    pub fn rejected(&self, phase: Phase) -> &Counter {
        &self.rejected[match phase {
            Phase::Closed => 0,
            Phase::Open => 1,
            Phase::HalfOpen => 2,
        }]
    }
}

/// The upper bounds of a duration histogram's buckets, in seconds: OpenTelemetry's for HTTP.
pub const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Number of durations in each bucket; the last bucket has no upper bound.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BOUNDS.len());
        self.buckets[bucket].add();
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Adds what this histogram holds to a sum of several.
    pub fn add_to(&self, sum: &mut HistogramSum) {
        for (total, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.get();
        }
        sum.seconds += self.nanos.load(Ordering::Relaxed) as f64 / 1e9;
    }
}

#[derive(Debug, Default, Clone)]
pub struct HistogramSum {
    /// The count of each bucket of [`BOUNDS`], and of those over the last bound.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// The sum of all durations, in seconds.
    pub seconds: f64,
}

/// Counts of each worker for one route or upstream, shared by all who count it.
pub type RequestMeters = std::sync::Arc<PerWorker<RequestMeter>>;

/// The methods that have a label of their own; the rest is `_OTHER`, since clients choose them.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "_OTHER",
];

const STATUSES: usize = 500;

type ByStatus = Box<[OnceLock<Box<Histogram>>]>;

/// Counts of one worker for one route or upstream: durations by method and status. A histogram is made the first time
/// its method and status are seen; from then on finding it is two loads.
#[derive(Debug, Default)]
pub struct RequestMeter {
    methods: [OnceLock<ByStatus>; METHODS.len()],
}

impl RequestMeter {
    pub fn observe(&self, method: &Method, status: StatusCode, duration: Duration) {
        let other = METHODS.len() - 1;
        let at = METHODS
            .iter()
            .position(|name| *name == method.as_str())
            .unwrap_or(other);
        let statuses =
            self.methods[at].get_or_init(|| (0..STATUSES).map(|_| OnceLock::new()).collect());
        let status = usize::from(status.as_u16())
            .saturating_sub(100)
            .min(STATUSES - 1);
        statuses[status].get_or_init(Box::default).observe(duration);
    }

    /// Every histogram with its method and status.
    pub fn each(&self, mut see: impl FnMut(&'static str, u16, &Histogram)) {
        for (method, statuses) in METHODS.iter().zip(&self.methods) {
            for (status, histogram) in
                (100..).zip(statuses.get().into_iter().flat_map(|s| s.iter()))
            {
                if let Some(histogram) = histogram.get() {
                    see(method, status, histogram);
                }
            }
        }
    }
}

/// Counts of one worker that belong to no route or breaker.
#[derive(Debug, Default)]
pub struct WorkerMeter {
    /// Connections accepted so far.
    pub connections: Counter,
    pub connections_ended: Counter,
    /// Connections refused because `limits.connections` were open.
    pub connections_refused: Counter,
    /// Requests begun so far.
    pub requests: Counter,
    /// Requests ended, their answers sent or given up.
    pub requests_ended: Counter,
    /// Requests refused before a route was looked for.
    pub requests_refused: Counter,
    /// Requests for which there was no route, or not with their method.
    pub requests_unrouted: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_still_holds_it() {
        let histogram = Histogram::default();
        for millis in [5, 6, 10_000, 10_001] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut sum = HistogramSum::default();
        histogram.add_to(&mut sum);
        assert_eq!(
            (
                sum.buckets[0],
                sum.buckets[1],
                sum.buckets[13],
                sum.buckets[14]
            ),
            (1, 1, 1, 1)
        );
        assert!((sum.seconds - 20.012).abs() < 1e-9);
    }

    #[test]
    fn methods_that_a_client_makes_up_share_a_label() {
        let meter = RequestMeter::default();
        for method in ["GET", "BREW", "STEEP"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            meter.observe(&method, StatusCode::OK, Duration::ZERO);
        }
        let mut seen = Vec::new();
        meter.each(|method, status, _| seen.push((method, status)));
        assert_eq!(seen, [("GET", 200), ("_OTHER", 200)]);
    }
}
