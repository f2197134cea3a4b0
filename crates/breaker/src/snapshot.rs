//! Views of a breaker: its state in full, and the part of it that outlives a process.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::outcome::{Hold, HoldKind, Phase};
use crate::settings::{Mode, Over};
use crate::time::Timestamp;
use crate::transition::{Reason, Transition};

pub use crate::cause::Causes;
pub use crate::recorder::{Flown, RECENT_OUTCOMES};
pub use crate::rule_kind::RuleKind;

/// A breaker at one moment. Reading it changes nothing: decisions of time alone since the last call are shown, and
/// carried out by the next call.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The state; half-open once the cooldown is over.
    pub phase: Phase,
    /// The mode: enforced, monitored or disabled.
    pub mode: Mode,
    /// The operator's hold, while it lasts.
    pub hold: Option<Hold>,
    /// The generation: grows by one with every transition, hold, release and reset.
    pub generation: u64,
    /// Trips since the breaker was last closed.
    pub attempts: u32,
    /// The time at which the state began.
    pub since: Timestamp,
    /// The time at which it is worth asking again, if no call passes now and that is known, see
    /// [`Rejection::retry_at`].
    ///
    /// [`Rejection::retry_at`]: crate::Rejection::retry_at
    pub retry_at: Option<Timestamp>,
    /// The time by which a probe's place is free again at the latest, while all are taken.
    pub retry_by: Option<Timestamp>,
    /// The reason of the last transition; `None` before the first.
    pub reason: Option<Reason>,
    /// Outcomes since the breaker was made.
    pub totals: Totals,
    /// The state of each rule, in the order of the settings.
    pub rules: Vec<RuleStatus>,
    /// The probes, while half-open.
    pub probes: Option<ProbeStatus>,
    /// The last transitions, oldest first, at most [`RECENT`].
    pub recent: Vec<Transition>,
    /// The time of this snapshot.
    pub at: Timestamp,
    /// The ramp after a close, until all calls pass.
    pub ramp: Option<RampStatus>,
    /// The probability with which a call passes now, from 0 to 1: less than 1 in a ramp and by an adaptive rule.
    pub admit_probability: f64,
    /// The last outcomes, oldest first, at most [`RECENT_OUTCOMES`].
    pub outcomes: Vec<Flown>,
}

/// A ramp under way.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RampStatus {
    /// The share of calls that passes, from 0 to 1.
    pub share: f64,
    /// The time at which all calls pass again, if nothing fails until then.
    pub ends: Timestamp,
}

/// Number of transitions that a breaker remembers.
pub const RECENT: usize = 16;

/// Outcomes since a breaker was made: each outcome is counted in exactly one of the first four, or came with a stamp that
/// was refused.
///
/// **Not every success is counted.** A shared [`Breaker`](crate::Breaker) writes nothing for a success that changes
/// nothing, so if no rule looks at successes, `successes` lacks all but a few. The other outcomes are complete. A
/// caller that needs every success counts the results of [`Permit::settle`](crate::Permit::settle).
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Stamps that were refused, whatever they came with: more than a year ahead of the last one accepted, hence of another
    /// clock. A closed breaker lets calls pass without a look at their stamps, so those of admissions may be missing.
    pub far_stamps: u64,
    /// Calls through guards and layers that were refused, and refusals that their callers
    /// [counted](crate::Breaker::refused). They are not outcomes. A [`Machine`](crate::machine::Machine) counts none.
    pub refused: u64,
    /// Calls that [`Mode::Monitor`] let pass and [`Mode::Enforce`] would have refused. They are not outcomes.
    pub would_reject: u64,
}

/// The state of a rule.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RuleStatus {
    /// The kind of the rule.
    pub rule: RuleKind,
    /// The rule's name, such as `failure_rate`.
    pub name: &'static str,
    /// The observed value: a number of failures or calls, or a share from 0 to 1. For an adaptive rule, the probability
    /// with which it refuses.
    pub observed: f64,
    /// The rule's limit, in the same unit.
    pub threshold: f64,
    /// Calls in the rule's window; if it looks at failures alone, the failures; for stalled calls, all in flight.
    pub calls: u64,
    /// Hits in the rule's window: failures, slow calls or stalled calls.
    pub failures: u64,
    /// The fewest calls on which it decides; 0 without such a limit.
    pub min_calls: u32,
    /// The span that the rule looks back; `None` for failures in a row without a time.
    pub over: Option<Over>,
}

/// The probes of a half-open period.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeStatus {
    /// Probes that have not answered yet.
    pub in_flight: u32,
    /// The most probes in flight at once; `None` without a limit.
    pub limit: Option<u32>,
    /// Number of successes that close, or of answers after which a rate decides.
    pub needed: u32,
    /// Number of successes so far.
    pub successes: u32,
    /// Number of failures so far.
    pub failures: u32,
}

/// The part of a breaker that outlives a process, as plain data. Its times are relative; [`Saved::at`] keeps them true
/// over a restart.
///
/// ```
/// use fusebox_breaker::{Breaker, Outcome, Settings, Timestamp};
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let before = Breaker::new("orders", Settings::default())?;
/// for _ in 0..5 {
///     before.report(Outcome::Failure, Timestamp::ZERO);
/// }
/// // SystemTime::now() in a program, at both ends.
/// let stopped = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let saved = before.saved(Timestamp::ZERO).at(stopped);
///
/// // Bytes on a disk, twenty seconds, another process: ten of the thirty seconds remain.
/// let after = Breaker::new("orders", Settings::default())?;
/// let started = stopped + Duration::from_secs(20);
/// after.restore(&saved.at(started), Timestamp::ZERO);
/// assert_eq!(
///     after.snapshot(Timestamp::ZERO).retry_at,
///     Some(Timestamp::from_millis(10_000))
/// );
/// # Ok::<(), fusebox_breaker::SettingsErrors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// The state to restore.
    pub state: SavedState,
    /// The last generation.
    pub generation: u64,
    /// Trips since the breaker was last closed.
    pub attempts: u32,
    /// The operator's hold, if any.
    pub hold: Option<SavedHold>,
    /// The wall time at which all this is true, as [`Saved::at`] set it; `None` if it was not called.
    pub written_at: Option<SystemTime>,
}

impl Saved {
    /// A record of that state: of the first generation, never tripped, not held, at no wall time.
    pub fn new(state: SavedState) -> Self {
        Saved {
            state,
            generation: 0,
            attempts: 0,
            hold: None,
            written_at: None,
        }
    }

    /// The same at a wall time: the first call notes that time, every later one takes the time that has passed since
    /// off the rest of the cooldown and of the hold. So it is called before a record is written and again after it was
    /// read.
    ///
    /// A wall clock that went back takes nothing off, and nothing becomes longer than it was. A breaker whose cooldown
    /// ended meanwhile is open with nothing remaining, so its next call probes; a hold that ended meanwhile ends at the
    /// restored breaker's first event, as if released.
    #[must_use]
    pub fn at(mut self, wall: SystemTime) -> Self {
        let passed = self
            .written_at
            .and_then(|written| wall.duration_since(written).ok())
            .unwrap_or_default();
        if let SavedState::Open { remaining } = &mut self.state {
            *remaining = remaining.saturating_sub(passed);
        }
        if let Some(hold) = &mut self.hold {
            hold.remaining = hold
                .remaining
                .map(|remaining| remaining.saturating_sub(passed));
        }
        self.written_at = Some(wall);
        self
    }
}

/// The state of a [`Saved`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedState {
    /// Calls passed freely.
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
    /// The direction of the hold.
    pub kind: HoldKind,
    /// The rest of the hold; `None` for a hold without end.
    pub remaining: Option<Duration>,
    /// The operator's reason.
    pub reason: Arc<str>,
    /// The operator's name.
    pub by: Arc<str>,
}
