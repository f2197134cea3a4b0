//! Windows that fill once and then start anew.

use std::time::Duration;

use super::{Tally, span_nanos};
use crate::log::Run;
use crate::time::Timestamp;

/// Up to `size` calls. The one after them begins a new window.
#[derive(Clone, Debug)]
pub(crate) struct TumblingCalls {
    size: u32,
    tally: Tally,
}

impl TumblingCalls {
    pub fn new(size: u32) -> Self {
        TumblingCalls {
            size,
            tally: Tally::default(),
        }
    }

    pub fn size(&self) -> u32 {
        self.size
    }

    pub fn record(&mut self, run: Run) {
        let mut rest = run;
        while rest.length > 0 {
            if self.tally.calls >= u64::from(self.size) {
                self.clear();
            }
            let run;
            (run, rest) = rest.split(self.size - self.tally.calls as u32);
            self.tally.take(run);
        }
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    pub fn clear(&mut self) {
        self.tally = Tally::default();
    }
}

/// The calls of a span. The first span begins with the closed period; the first call at or after the end of one begins the
/// next.
#[derive(Clone, Debug)]
pub(crate) struct TumblingTime {
    span: u64,
    began: Timestamp,
    tally: Tally,
}

impl TumblingTime {
    pub fn new(span: Duration) -> Self {
        TumblingTime {
            span: span_nanos(span),
            began: Timestamp::ZERO,
            tally: Tally::default(),
        }
    }

    pub fn span(&self) -> u64 {
        self.span
    }

    /// Begins a span, whatever was in the one before.
    pub fn begin(&mut self, now: Timestamp) {
        self.clear();
        self.began = now;
    }

    pub fn record(&mut self, run: Run, now: Timestamp) {
        if self.is_over(now) {
            self.begin(now);
        }
        self.tally.take(run);
    }

    pub fn tally(&self, now: Timestamp) -> Tally {
        if self.is_over(now) {
            Tally::default()
        } else {
            self.tally
        }
    }

    /// The time at which the span of `now` ends; `now` if it is over and the next call begins another.
    pub fn edge(&self, now: Timestamp) -> Timestamp {
        if self.is_over(now) {
            return now;
        }
        Timestamp::from_nanos(self.began.as_nanos().saturating_add(self.span))
    }

    pub fn is_blank(&self) -> bool {
        self.tally.calls == 0
    }

    /// True if no span is under way but the first.
    pub fn is_as_new(&self, now: Timestamp) -> bool {
        self.began == Timestamp::ZERO || self.is_over(now)
    }

    /// Forgets the calls; the span continues.
    pub fn clear(&mut self) {
        self.tally = Tally::default();
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.as_nanos().saturating_sub(self.began.as_nanos()) >= self.span
    }
}
