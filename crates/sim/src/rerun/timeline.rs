//! Calls over time, in buckets of equal width.

use super::Fact;

/// Calls of one bucket, by their start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Admitted, and not failed.
    pub good: u64,
    /// Admitted, and failed.
    pub failed: u64,
    /// Refused, and had failed anyway.
    pub refused_failed: u64,
    /// Refused, and would have succeeded.
    pub refused_good: u64,
    /// Without an outcome in the log.
    pub unknown: u64,
}

/// The buckets of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// The length of all buckets, in nanoseconds; at least 1.
    pub span: u64,
    /// The buckets in order.
    pub buckets: Vec<Bucket>,
}

impl Timeline {
    pub(super) fn new(span: u64, count: usize) -> Timeline {
        Timeline {
            span: span.max(1),
            buckets: vec![Bucket::default(); count.max(1)],
        }
    }

    pub(super) fn note(&mut self, at: u64, fact: Fact, admitted: bool) {
        let count = self.buckets.len();
        let place = u128::from(at) * count as u128 / u128::from(self.span);
        let place = usize::try_from(place).unwrap_or(usize::MAX).min(count - 1);
        let bucket = &mut self.buckets[place];
        *match (fact, admitted) {
            (Fact::Unknown | Fact::Left, _) => &mut bucket.unknown,
            (Fact::Failure, true) => &mut bucket.failed,
            (Fact::Failure, false) => &mut bucket.refused_failed,
            (Fact::Success | Fact::Ignored, true) => &mut bucket.good,
            (Fact::Success | Fact::Ignored, false) => &mut bucket.refused_good,
        } += 1;
    }
}
