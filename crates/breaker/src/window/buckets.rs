//! The calls of the last t, counted in buckets.
//!
//! A window of `t` has 64 buckets of `t / 64`. A call is never counted once it is `t` old, and never forgotten before it
//! is `t - t / 64` old: the window errs by less than one bucket, 1.6 % of `t`, and only by forgetting early. The first
//! bucket begins with the first call that an empty window sees, so that call is remembered for exactly `t`.

use std::time::Duration;

use super::{Tally, span_nanos};
use crate::log::Run;
use crate::time::Timestamp;

const BUCKETS: u64 = 64;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    calls: u32,
    failures: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    span: u64,
    /// The start of bucket number 0.
    origin: u64,
    /// The number of the newest bucket, counted from `origin`.
    newest: u64,
    calls: u64,
    failures: u64,
    /// Bucket number `n` lives at `n % BUCKETS`; those that left the window are zero.
    ring: Box<[Bucket]>,
}

impl Buckets {
    pub fn new(span: Duration) -> Self {
        Buckets {
            span: span_nanos(span),
            origin: 0,
            newest: 0,
            calls: 0,
            failures: 0,
            ring: Box::default(),
        }
    }

    pub fn span(&self) -> u64 {
        self.span
    }

    pub fn record(&mut self, run: Run, now: Timestamp) {
        if self.ring.is_empty() {
            self.ring = vec![Bucket::default(); BUCKETS as usize].into_boxed_slice();
        }
        self.roll(now);
        if self.calls == 0 {
            self.origin = now.as_nanos();
            self.newest = 0;
        }
        let bucket = &mut self.ring[(self.newest % BUCKETS) as usize];
        // A full counter stays as it is, so that the calls that leave with the bucket are those that entered.
        let (run, _) = run.split(u32::MAX - bucket.calls);
        bucket.calls += run.length;
        bucket.failures += run.count();
        self.calls += u64::from(run.length);
        self.failures += u64::from(run.count());
    }

    pub fn tally(&self, now: Timestamp) -> Tally {
        let mut tally = Tally {
            calls: self.calls,
            failures: self.failures,
        };
        for number in self.leaving(now) {
            let bucket = self.ring[(number % BUCKETS) as usize];
            tally.calls -= u64::from(bucket.calls);
            tally.failures -= u64::from(bucket.failures);
        }
        tally
    }

    /// The time at which the bucket of `now` ends and the oldest leaves; `now` if the window is empty and its next call
    /// begins it.
    pub fn edge(&self, now: Timestamp) -> Timestamp {
        if self.tally(now).calls == 0 {
            return now;
        }
        let width = self.span.div_ceil(BUCKETS);
        let ended = (self.number(now) + 1).saturating_mul(width);
        Timestamp::from_nanos(self.origin.saturating_add(ended))
    }

    pub fn clear(&mut self) {
        self.ring = Box::default();
        (self.calls, self.failures) = (0, 0);
    }

    /// Drops the buckets that left the window; at most all of them, however far time has jumped.
    fn roll(&mut self, now: Timestamp) {
        for number in self.leaving(now) {
            let bucket = std::mem::take(&mut self.ring[(number % BUCKETS) as usize]);
            self.calls -= u64::from(bucket.calls);
            self.failures -= u64::from(bucket.failures);
        }
        self.newest = self.newest.max(self.number(now));
    }

    /// The numbers of the buckets that are in the ring and no longer in the window.
    fn leaving(&self, now: Timestamp) -> std::ops::Range<u64> {
        if self.calls == 0 {
            return 0..0;
        }
        let oldest = (self.newest + 1).saturating_sub(BUCKETS);
        let first_kept = (self.number(now) + 1).saturating_sub(BUCKETS);
        oldest..first_kept.clamp(oldest, self.newest + 1)
    }

    /// Sets the newest bucket to that number of failed calls.
    #[cfg(test)]
    pub fn fill_newest(&mut self, failures: u32) {
        let bucket = &mut self.ring[(self.newest % BUCKETS) as usize];
        *bucket = Bucket {
            calls: failures,
            failures,
        };
        (self.calls, self.failures) = (failures.into(), failures.into());
    }

    fn number(&self, now: Timestamp) -> u64 {
        let width = self.span.div_ceil(BUCKETS);
        now.as_nanos().saturating_sub(self.origin) / width
    }
}
