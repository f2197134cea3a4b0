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

use crate::ground::histogram::Histogram;

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
    /// Reports of programs that came too late to reach the breaker, which counts the other late ones itself.
    pub late: Counter,
    rejected: [Counter; 3],
    rejected_for: [Counter; REASONS.len()],
    /// Calls that monitor mode let pass although the breaker would have rejected them.
    pub would_reject: Counter,
    /// Failure expressions that could not be evaluated; the default rule decided.
    pub expression_errors: Counter,
    /// Bodies that broke after their call had been judged a success.
    pub late_truncations: Counter,
    /// Answers that a ladder gave instead, of a key's breaker; an upstream counts those of its one breaker.
    pub fallbacks: Counter,
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

/// Counts of each worker for one route or upstream, shared by all who count it.
pub type RequestMeters = std::sync::Arc<PerWorker<RequestMeter>>;

/// The methods that have a label of their own; the rest is `_OTHER`, since clients choose them.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "_OTHER",
];

const STATUSES: usize = 500;

/// The histograms of one method, by status.
#[derive(Debug)]
struct ByStatus {
    histograms: Box<[OnceLock<Box<Histogram>>]>,
    /// A bit for each status that has one, so that reading them all looks at no others.
    made: [AtomicU64; STATUSES.div_ceil(64)],
}

impl Default for ByStatus {
    fn default() -> ByStatus {
        ByStatus {
            histograms: (0..STATUSES).map(|_| OnceLock::new()).collect(),
            made: Default::default(),
        }
    }
}

impl ByStatus {
    fn of(&self, at: usize) -> &Histogram {
        self.histograms[at].get_or_init(|| {
            self.made[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
            Box::default()
        })
    }

    /// Every histogram with its index.
    fn each(&self) -> impl Iterator<Item = (usize, &Histogram)> {
        let words = self.made.iter().enumerate().flat_map(|(word, bits)| {
            let bits = bits.load(Ordering::Relaxed);
            let set = (0..64).filter(move |bit| bits & (1 << bit) != 0);
            set.map(move |bit| word * 64 + bit)
        });
        words.filter_map(|at| Some((at, &**self.histograms[at].get()?)))
    }
}

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
        let status = usize::from(status.as_u16())
            .saturating_sub(100)
            .min(STATUSES - 1);
        let statuses = self.methods[at].get_or_init(ByStatus::default);
        statuses.of(status).observe(duration);
    }

    /// Every histogram with its method and status.
    pub fn each(&self, mut see: impl FnMut(&'static str, u16, &Histogram)) {
        for (method, statuses) in METHODS.iter().zip(&self.methods) {
            for (at, histogram) in statuses.get().into_iter().flat_map(ByStatus::each) {
                see(method, (at + 100) as u16, histogram);
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
    /// HTTP/2 connections ended for too many control frames or for an error of the protocol.
    pub connections_cut: Counter,
    /// HTTP/2 streams that we reset.
    pub streams_reset: Counter,
    /// Interim answers that could not be passed on to HTTP/2 clients.
    pub interim_dropped: Counter,
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
