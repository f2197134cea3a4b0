//! What a breaker shows of itself: its state in full, and the part of it that outlives a process.

use std::sync::Arc;
use std::time::Duration;

use crate::outcome::{Hold, HoldKind, Phase};
use crate::recorder::Flown;
use crate::rule::RuleKind;
use crate::settings::{Mode, Over};
use crate::time::Timestamp;
use crate::transition::{Reason, Transition};

/// A breaker at one moment. Reading it changes nothing: what time alone has decided since the last call is shown, and
/// carried out by the next call.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The state; half-open once the cooldown is over.
    pub phase: Phase,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// The operator's hold, while it lasts.
    pub hold: Option<Hold>,
    /// Grows by one with every transition, hold, release and reset.
    pub generation: u64,
    /// Trips since the breaker was last closed.
    pub attempts: u32,
    /// When the state began.
    pub since: Timestamp,
    /// The earliest time at which a call may pass, when none does now and the time is known.
    pub retry_at: Option<Timestamp>,
    /// Why the last transition happened; none before the first.
    pub reason: Option<Reason>,
    /// Outcomes since the breaker was made.
    pub totals: Totals,
    /// What each rule sees, in the order of the settings.
    pub rules: Vec<RuleStatus>,
    /// The probes, while half-open.
    pub probes: Option<ProbeStatus>,
    /// The last transitions, oldest first, at most [`RECENT`].
    pub recent: Vec<Transition>,
    /// The moment of all this.
    pub at: Timestamp,
    /// The ramp after a close, until all calls pass.
    pub ramp: Option<RampStatus>,
    /// The probability with which a call passes now, from 0 to 1: less than 1 in a ramp and by an adaptive rule.
    pub admit_probability: f64,
    /// The last outcomes, oldest first, at most [`RECENT_OUTCOMES`](crate::RECENT_OUTCOMES).
    pub outcomes: Vec<Flown>,
}

/// A ramp under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RampStatus {
    /// The share of calls that passes, from 0 to 1.
    pub share: f64,
    /// When all calls pass again, if nothing fails until then.
    pub ends: Timestamp,
}

/// How many transitions a breaker remembers.
pub const RECENT: usize = 16;

/// Outcomes since a breaker was made: each outcome is counted in exactly one of the first four.
///
/// **Not every success is counted.** A shared [`Breaker`](crate::Breaker) writes nothing for a success that changes
/// nothing, so where no rule looks at successes, `successes` lacks all but a few. The other outcomes are complete. Who wants
/// every success counts what [`Permit::settle`](crate::Permit::settle) returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Successes that were in time.
    pub successes: u64,
    /// Failures that were in time.
    pub failures: u64,
    /// Outcomes that say nothing, dropped permits among them.
    pub ignored: u64,
    /// Outcomes that came too late to count: of an earlier generation, of a probe that had missed its deadline, or
    /// reported without a permit while open.
    pub late: u64,
    /// Calls through guards and layers that were refused, and refusals that their callers
    /// [counted](crate::Breaker::refused). They are no outcomes. A [`Machine`](crate::Machine) counts none.
    pub refused: u64,
}

/// What a rule sees.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleStatus {
    /// Which rule.
    pub rule: RuleKind,
    /// Its name, such as `failure_rate`.
    pub name: &'static str,
    /// What it sees: a number of failures or calls, or a share from 0 to 1. For an adaptive rule, the probability with
    /// which it refuses.
    pub observed: f64,
    /// Its limit, in the same unit.
    pub threshold: f64,
    /// Calls in its window; where it looks at failures alone, the failures; for stalled calls, all in flight.
    pub calls: u64,
    /// What it looks for in its window: failures, slow calls or stalled calls.
    pub failures: u64,
    /// The fewest calls on which it decides; 0 where it has no such limit.
    pub min_calls: u32,
    /// How far back it looks; none for failures in a row without a time.
    pub over: Option<Over>,
}

/// The probes of a half-open period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeStatus {
    /// Probes that have not answered yet.
    pub in_flight: u32,
    /// How many may be in flight at once; none without a limit.
    pub limit: Option<u32>,
    /// Successes that close, or answers that decide where a rate decides.
    pub needed: u32,
    /// Successes so far.
    pub successes: u32,
    /// Failures so far.
    pub failures: u32,
}

/// What outlives a process, as plain data: times are relative, the caller turns them into wall time and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The state.
    pub state: SavedState,
    /// The generation.
    pub generation: u64,
    /// Trips since the breaker was last closed.
    pub attempts: u32,
    /// The operator's hold.
    pub hold: Option<SavedHold>,
}

/// The state of a [`Saved`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedState {
    /// Calls passed.
    Closed,
    /// Calls were refused for this much longer.
    Open {
        /// The rest of the cooldown.
        remaining: Duration,
    },
    /// Probes were being sent. Restored as open with nothing remaining, so the next call probes.
    HalfOpen,
}

/// The hold of a [`Saved`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedHold {
    /// Which way the breaker was held.
    pub kind: HoldKind,
    /// How much longer; none for a hold without end.
    pub remaining: Option<Duration>,
    /// Why.
    pub reason: Arc<str>,
    /// Who.
    pub by: Arc<str>,
}
