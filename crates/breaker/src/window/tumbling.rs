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

    pub fn record(&mut self, failed: bool) {
        self.record_run(Run {
            hits: failed.into(),
            length: 1,
        });
    }

    pub fn record_run(&mut self, run: Run) {
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

/// The calls of a span that began with the first of them. The first call at or after its end begins a new span.
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

    pub fn record(&mut self, failed: bool, now: Timestamp) {
        let run = Run {
            hits: failed.into(),
            length: 1,
        };
        self.record_run(run, now);
    }

    pub fn record_run(&mut self, run: Run, now: Timestamp) {
        if self.tally(now).calls == 0 {
            self.clear();
            self.began = now;
        }
        self.tally.take(run);
    }

    pub fn tally(&self, now: Timestamp) -> Tally {
        if now.as_nanos().saturating_sub(self.began.as_nanos()) < self.span {
            self.tally
        } else {
            Tally::default()
        }
    }

    /// When the span of `now` ends; now, where the window is empty and its next call begins one.
    pub fn edge(&self, now: Timestamp) -> Timestamp {
        if self.tally(now).calls == 0 {
            return now;
        }
        Timestamp::from_nanos(self.began.as_nanos().saturating_add(self.span))
    }

    pub fn is_blank(&self) -> bool {
        self.tally.calls == 0
    }

    pub fn clear(&mut self) {
        self.tally = Tally::default();
    }
}
