//! The times of the last k failures: exact to the failure's own time.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Tally, span_nanos};
use crate::time::Timestamp;

/// The times of at most `keep` failures. The oldest leaves for the newest, so the window counts at most `keep`.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    keep: usize,
    span: u64,
    times: VecDeque<Timestamp>,
}

impl Times {
    pub fn new(keep: u32, span: Duration) -> Self {
        Times {
            keep: keep as usize,
            span: span_nanos(span),
            times: VecDeque::new(),
        }
    }

    pub fn record(&mut self, now: Timestamp) {
        if self.times.is_empty() {
            self.times.reserve_exact(self.keep);
        }
        if self.times.len() >= self.keep {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    pub fn tally(&self, now: Timestamp) -> Tally {
        let old = self
            .times
            .partition_point(|time| now.as_nanos().saturating_sub(time.as_nanos()) >= self.span);
        let failures = (self.times.len() - old) as u64;
        Tally {
            calls: failures,
            failures,
        }
    }

    pub fn is_blank(&self) -> bool {
        self.times.is_empty()
    }

    pub fn clear(&mut self) {
        self.times = VecDeque::new();
    }

    /// Takes over the newest times of another window, as many as it keeps, unless it has as many already.
    pub fn carry(&mut self, old: &Times) {
        let surplus = old.times.len().saturating_sub(self.keep);
        if old.times.len() - surplus <= self.times.len() {
            return;
        }
        self.times.clear();
        self.times.reserve_exact(self.keep);
        self.times.extend(old.times.iter().skip(surplus));
    }
}
