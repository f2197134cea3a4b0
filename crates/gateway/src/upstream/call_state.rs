//! What all calls of one upstream share over the workers: the retry budget, the bulkhead's places, and counts.

use std::sync::Arc;

use fusebox_breaker::Timestamp;
use fusebox_call::attempts::RetryResult;
use fusebox_call::budget::RetryBudget;
use fusebox_call::{Budget, Bulkhead as Settings, Concurrent};

use crate::ground::meter::Counter;
use crate::upstream::bulkhead::{Bulkhead, BulkheadBounds};
use crate::upstream::last_good::LastGood;

/// The shared state of an upstream's calls; each part is kept over reloads while it fits.
#[derive(Debug, Clone)]
pub struct CallState {
    /// The retries and hedges that are afforded.
    pub budget: Arc<RetryBudget>,
    budget_settings: Budget,
    /// The places for calls in flight; `None`: no bound.
    pub bulkhead: Option<LiveBulkhead>,
    /// True if a call may take several attempts, so that they are counted.
    pub repeats: bool,
    /// The last good answers; `None`: no rung uses them.
    pub last_good: Option<Arc<LastGood>>,
    /// Counts of what came of retries and of the ladder.
    pub counts: Arc<CallCounts>,
}

/// A bulkhead with the bounds of its queue.
#[derive(Debug, Clone)]
pub struct LiveBulkhead {
    /// The places for calls in flight.
    pub places: Arc<Bulkhead>,
    /// The bounds of the queue.
    pub bounds: BulkheadBounds,
    concurrent: Concurrent,
}

impl LiveBulkhead {
    /// The bulkhead of those settings, with the places of the one before it, which calls in flight hold.
    pub fn new(settings: &Settings, before: Option<&LiveBulkhead>, now: Timestamp) -> LiveBulkhead {
        let streams_max = settings.streams_max;
        let before = before.filter(|before| match settings.concurrent {
            Concurrent::Fixed(_) => !before.places.is_adaptive(),
            Concurrent::Adaptive(_) => before.concurrent == settings.concurrent,
        });
        let places = match (before, settings.concurrent) {
            (Some(before), Concurrent::Fixed(limit)) => {
                before.places.resize(limit, streams_max);
                before.places.clone()
            }
            (Some(before), Concurrent::Adaptive(_)) => before.places.clone(),
            (None, Concurrent::Fixed(limit)) => Bulkhead::new(limit, streams_max),
            (None, Concurrent::Adaptive(bounds)) => Bulkhead::adaptive(bounds, streams_max, now),
        };
        LiveBulkhead {
            concurrent: settings.concurrent,
            places,
            bounds: BulkheadBounds {
                queued_max: settings.queued_max,
                queue_for: settings.queue_for,
            },
        }
    }
}

/// Counts of an upstream's retries and of its ladder's rungs.
#[derive(Debug, Default)]
pub struct CallCounts {
    retries: [Counter; RetryResult::ALL.len()],
    rungs: [[Counter; RungResult::ALL.len()]; RungKind::ALL.len()],
    unanswered: Counter,
}

/// A rung of a ladder, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RungKind {
    /// The last good answer.
    LastGood,
    /// Another upstream's answer.
    Upstream,
    /// A fixed answer.
    Respond,
}

impl RungKind {
    /// All kinds, in the order of their counters.
    pub const ALL: [RungKind; 3] = [RungKind::LastGood, RungKind::Upstream, RungKind::Respond];

    /// The results that a rung of the kind may have.
    pub const fn results(self) -> &'static [RungResult] {
        match self {
            RungKind::LastGood => &RungResult::ALL,
            RungKind::Upstream => &[RungResult::Served, RungResult::Skipped, RungResult::Failed],
            RungKind::Respond => &[RungResult::Served],
        }
    }

    /// The label's value: `last_good`, `upstream` or `respond`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RungKind::LastGood => "last_good",
            RungKind::Upstream => "upstream",
            RungKind::Respond => "respond",
        }
    }
}

/// The result of one rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RungResult {
    /// An answer to the client.
    Served,
    /// No try: the rung does not apply to the request.
    Skipped,
    /// A try that failed.
    Failed,
    /// Nothing kept for the request.
    None,
    /// The request carries a credential for which nothing may be kept.
    Credential,
}

impl RungResult {
    /// All results, in the order of their counters.
    pub const ALL: [RungResult; 5] = [
        RungResult::Served,
        RungResult::Skipped,
        RungResult::Failed,
        RungResult::None,
        RungResult::Credential,
    ];

    /// The label's value: `served`, `skipped`, `failed`, `none` or `credential`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RungResult::Served => "served",
            RungResult::Skipped => "skipped",
            RungResult::Failed => "failed",
            RungResult::None => "none",
            RungResult::Credential => "credential",
        }
    }
}

impl CallCounts {
    /// Counts a call that could have been retried.
    pub fn count_retry(&self, result: RetryResult) {
        self.retries[result as usize].add();
    }

    /// Number of calls that could have been retried, by their result.
    pub fn retries(&self, result: RetryResult) -> u64 {
        self.retries[result as usize].get()
    }

    /// Counts a rung that was looked at.
    pub fn count_rung(&self, rung: RungKind, result: RungResult) {
        self.rungs[rung as usize][result as usize].add();
    }

    /// Number of rungs that were looked at, by their kind and result.
    pub fn rungs(&self, rung: RungKind, result: RungResult) -> u64 {
        self.rungs[rung as usize][result as usize].get()
    }

    /// Counts a ladder of which no rung gave an answer.
    pub fn count_unanswered(&self) {
        self.unanswered.add();
    }

    /// Number of ladders of which no rung gave an answer.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.get()
    }
}

impl CallState {
    /// The state for an upstream of a plan, with what fits of the state before it.
    pub fn new(
        budget: Budget,
        bulkhead: Option<&Settings>,
        repeats: bool,
        last_good: Option<Arc<LastGood>>,
        before: Option<&CallState>,
        now: Timestamp,
    ) -> CallState {
        let kept = before.filter(|before| before.budget_settings == budget);
        let places = before.and_then(|before| before.bulkhead.as_ref());
        CallState {
            budget: kept.map_or_else(
                || Arc::new(RetryBudget::new(budget, now)),
                |it| it.budget.clone(),
            ),
            budget_settings: budget,
            repeats,
            last_good,
            bulkhead: bulkhead.map(|settings| LiveBulkhead::new(settings, places, now)),
            counts: before.map_or_else(Default::default, |it| it.counts.clone()),
        }
    }
}
