//! Counts of evictions, and of calls without room.

use std::sync::atomic::{AtomicU64, Ordering};

use super::OnOverflow;
use super::room::Gone;
use crate::breaker::Breaker;

/// Counts of keys of a [`Registry`](crate::Registry) that were evicted for new ones, and of calls without room for
/// their key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCounts {
    /// Keys evicted because they were closed and held no failure.
    pub evicted_spare: u64,
    /// Keys evicted because they were not used for a long time.
    pub evicted_idle: u64,
    /// Number of times that a key got a shared breaker.
    pub overflow_shared: u64,
    /// Number of times that a key passed unjudged.
    pub overflow_passed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    spare: AtomicU64,
    idle: AtomicU64,
    shared: AtomicU64,
    passed: AtomicU64,
}

impl Counters {
    /// Counts an evicted key, and returns its breaker.
    pub fn gone(&self, gone: Gone) -> Breaker {
        let (counter, breaker) = match gone {
            Gone::Spare(breaker) => (&self.spare, breaker),
            Gone::Idle(breaker) => (&self.idle, breaker),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        breaker
    }

    /// Counts a call whose key found no room.
    pub fn overflowed(&self, how: OnOverflow) {
        let counter = match how {
            OnOverflow::Share => &self.shared,
            OnOverflow::Pass => &self.passed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> KeyCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        KeyCounts {
            evicted_spare: read(&self.spare),
            evicted_idle: read(&self.idle),
            overflow_shared: read(&self.shared),
            overflow_passed: read(&self.passed),
        }
    }
}
