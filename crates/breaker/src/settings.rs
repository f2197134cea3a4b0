//! The settings of a breaker: the conditions of a trip, the length of an open period, the way back.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::outcome::Outcome;
use crate::ramp::Ramp;
use crate::ratio::Ratio;
use crate::time::Rounded;

mod check;
mod presets;

pub use crate::ratio::Compare;
pub use crate::settings_error::{SettingsError, SettingsErrors};
pub use check::{MAX_CALLS, MAX_FAILURES, MAX_MEMORY};

/// All settings of a breaker. Their meaning and defaults are tabled in `docs/machine.md`.
///
/// ```
/// use fusebox_breaker::{Cooldown, Rule, Settings};
/// use std::time::Duration;
///
/// let settings = Settings {
///     trip: vec![Rule::ConsecutiveFailures { threshold: 3, within: None }],
///     cooldown: Cooldown::fixed(Duration::from_secs(60)),
///     ..Settings::default()
/// };
/// assert!(settings.validate().is_ok());
/// ```
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(
        default,
        deny_unknown_fields,
        expecting = "a map of settings, such as { trip: [{ consecutive_failures: 5 }], cooldown: \"30s\" }"
    )
)]
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The rules, any of which trips the breaker; the first one met, in this order, is named as the reason.
    /// Default: those of [`Settings::standard`].
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::trip"))]
    pub trip: Vec<Rule>,
    /// The outcomes after which the rules are judged. Default: every outcome.
    pub judge_on: JudgeOn,
    /// The comparison of a rate with its limit. Default: at least.
    pub compare: Compare,
    /// The comparison of a call's duration with `slower_than`. Default: above.
    pub slow_compare: Compare,
    /// The kind of windows, sliding or tumbling. Default: sliding.
    pub window: WindowKind,
    /// The fate of windows and counts across an open period. Default: cleared.
    pub history: History,
    /// The length of an open period. Default: 30 s, exact.
    pub cooldown: Cooldown,
    /// The meaning of the other side's own wish for the next call. Default: none.
    pub retry_after: RetryAfter,
    /// The way in which the breaker finds out that the other side is well again. Default: one probe, whose success
    /// closes.
    pub half_open: HalfOpen,
    /// The return of calls after a close; without a ramp all return at once. Default: none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub ramp: Option<Ramp>,
    /// The meaning of a call that panicked. Default: a failure. As data it is written only if it is another.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "OnPanic::is_failure"))]
    pub on_panic: OnPanic,
    /// The meaning of a call that its caller gave up. Default: nothing. As data it is `abandoned: 1s`, as in the
    /// configuration.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "abandoned", skip_serializing_if = "OnAbandoned::is_ignore")
    )]
    pub on_abandoned: OnAbandoned,
    /// The mode: decisions are enforced, only monitored, or off. Default: enforced.
    pub mode: Mode,
}

/// The facts about a call that the rules need beside its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watches {
    /// No further facts.
    Outcomes,
    /// The time at which it began.
    Durations,
    /// The fact that it is in flight.
    Flights,
}

impl Settings {
    pub(crate) fn has_adaptive(&self) -> bool {
        self.trip
            .iter()
            .any(|rule| matches!(rule, Rule::Adaptive { .. }))
    }

    /// The nanoseconds from which a call is slow, if all rules that judge durations agree on it.
    pub(crate) fn slow_from(&self) -> Option<u64> {
        let mut limits = self.trip.iter().filter_map(|rule| match rule {
            Rule::SlowRate { slower_than, .. } => Some(*slower_than),
            _ => None,
        });
        let limit = limits.next()?;
        let from = match self.slow_compare {
            Compare::AtLeast => limit,
            Compare::Above => limit.checked_add(Duration::from_nanos(1))?,
        };
        let from = u64::try_from(from.as_nanos()).ok()?;
        // A duration beyond the range of nanoseconds is stored as the highest.
        (from < u64::MAX && limits.all(|other| other == limit)).then_some(from)
    }

    /// True if the start of each call must be known though no rule looks at it: for the duration of a call that its
    /// caller gave up.
    pub(crate) fn wants_starts(&self) -> bool {
        self.on_abandoned != OnAbandoned::Ignore
    }

    /// The facts that the rules need about each call.
    pub(crate) fn watches(&self) -> Watches {
        let each = self.trip.iter().map(|rule| match rule {
            Rule::Stalled { .. } => Watches::Flights,
            Rule::SlowRate { .. } => Watches::Durations,
            Rule::ConsecutiveFailures { .. }
            | Rule::Failures { .. }
            | Rule::FailureRate { .. }
            | Rule::Adaptive { .. } => Watches::Outcomes,
        });
        each.max().unwrap_or(Watches::Outcomes)
    }
}

/// A condition that trips the breaker.
#[doc(alias = "failure_policy")]
#[doc(alias = "failure threshold")]
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// A number of failures in a row, with no success between them.
    ConsecutiveFailures {
        /// The number of failures at which the breaker trips, 1 or more.
        threshold: u32,
        /// The time within which all of them must have happened, if given: the first less than `within` before the
        /// last. Measured on the failures' own times, so `threshold` is then at most [`MAX_FAILURES`].
        within: Option<Duration>,
    },
    /// A number of failures, whatever succeeds between them.
    Failures {
        /// The number of failures at which the breaker trips, 1 or more; at most [`MAX_FAILURES`] over a time.
        threshold: u32,
        /// The time or the number of last calls looked at.
        over: Over,
        /// Wait until the window holds all its calls. Only with [`Over::Calls`].
        full: bool,
    },
    /// The share of failures among the calls looked at.
    FailureRate {
        /// The share at which the breaker trips, compared as [`Settings::compare`] says.
        rate: Ratio,
        /// The time or the number of last calls looked at.
        over: Over,
        /// The fewest calls on which the rule decides. The configuration's default is 20, or `n` over `n` calls.
        min_calls: u32,
    },
    /// The share of slow calls among the calls looked at, whether they succeeded or failed.
    ///
    /// A call's duration is the one given with its [`Call`](crate::Call), else the time from its permit, or from
    /// [`waits_since`](crate::Permit::waits_since), to its end. Calls of unknown duration, reported without either, are
    /// not looked at.
    SlowRate {
        /// The share at which the breaker trips, compared as [`Settings::compare`] says.
        rate: Ratio,
        /// The duration that is slow, above zero, compared as [`Settings::slow_compare`] says.
        slower_than: Duration,
        /// The time or the number of last calls looked at.
        over: Over,
        /// The fewest calls on which the rule decides.
        min_calls: u32,
    },
    /// A number of calls in flight for too long: an upstream that hangs gives no outcome that another rule could see.
    ///
    /// Judged when a call asks to pass, when its caller [gives one up](crate::Permit::abandoned), that one among them,
    /// and at a [`tick`](crate::Breaker::tick). A call is in flight from its permit on, or from the time at which [the
    /// other side has all that it needs](crate::Permit::waits_since), until its permit is settled, dropped, or notes
    /// that the [answer has begun](crate::Permit::answered).
    Stalled {
        /// The number of stalled calls at which the breaker trips, 1 or more.
        calls: u32,
        /// A call in flight longer than this is stalled. Above zero.
        longer_than: Duration,
    },
    /// No trip and no cooldown: while closed, calls are refused with a probability that follows the last outcomes.
    ///
    /// With each outcome weighing +1 (success), -1 (failure) or 0 (refused by this rule), and less the older it is
    /// (`a = e^(-age / age of the oldest)`), `s = sum(weight * a) / sum(a)` and the probability is
    /// `1 / (1 + e^(8 s))`, in whole thousandths: 0 after successes alone, 0.999 after failures alone. This is the
    /// adaptive mode (d) of Project Flogo's circuit breaker activity.
    Adaptive {
        /// Number of last outcomes that are weighed, 1 to [`MAX_MEMORY`]. Each admission weighs all of them.
        memory: u32,
    },
}

/// The span that a rule looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Over {
    /// A time. A call exactly this old no longer counts.
    Time(Duration),
    /// A number of last calls, 1 to [`MAX_CALLS`].
    Calls(u32),
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Over::Time(time) => write!(f, "within {}", Rounded(*time)),
            Over::Calls(calls) => write!(f, "in the last {calls} calls"),
        }
    }
}

/// The outcomes after which the rules are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JudgeOn {
    /// Successes and failures: a success that brings a window to its minimum of calls may trip.
    #[default]
    EveryOutcome,
    /// Failures but no successes.
    Failures,
}

/// The way in which windows forget.
#[doc(alias = "sliding window")]
#[doc(alias = "tumbling window")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowKind {
    /// Old calls leave one by one as new ones come or time passes.
    #[default]
    Sliding,
    /// The window is filled once, then cleared as a whole. A timed one begins with the first call that it sees.
    Tumbling,
}

/// The fate of windows and counts across an open period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// The breaker closes with empty windows.
    #[default]
    Clear,
    /// Windows live on, with the answers of the probes in them; the success that closes ends a row of failures.
    Keep,
}

/// The length of an open period: `base * factor^(attempts - 1)`, at most `max`, then lengthened by the jitter.
///
/// `attempts` is the number of trips since the breaker was last closed. Jitter only lengthens: the cooldown is drawn
/// uniformly from `c` to `c * (1 + jitter)` at the trip, so the reported time of return is true from the start.
#[doc(alias = "wait_duration_in_open")]
#[doc(alias = "break_duration")]
#[doc(alias = "reset_timeout")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cooldown {
    /// The first cooldown, above zero. Default 30 s.
    pub base: Duration,
    /// The growth from one trip to the next, 1 or more. Default 1; 2 for [`Cooldown::exponential`].
    pub factor: f64,
    /// The longest cooldown before jitter, `base` or more. Default `base`; `10 * base` for [`Cooldown::exponential`].
    pub max: Duration,
    /// The largest share by which a cooldown is lengthened, 0 to 1. Default 0; 0.2 for [`Cooldown::exponential`].
    pub jitter: f64,
}

impl Cooldown {
    /// The same cooldown every time, exact. The other side's own wish ([`RetryAfter`]) can only shorten it, as its
    /// `max` is its `base`; to give the wish room, set `max` too.
    pub const fn fixed(base: Duration) -> Self {
        Cooldown {
            base,
            factor: 1.0,
            max: base,
            jitter: 0.0,
        }
    }

    /// A cooldown that doubles from trip to trip up to ten times `base`, with a jitter of 20 %.
    pub const fn exponential(base: Duration) -> Self {
        Cooldown {
            base,
            factor: 2.0,
            max: base.saturating_mul(10),
            jitter: 0.2,
        }
    }
}

impl Default for Cooldown {
    fn default() -> Self {
        Cooldown::fixed(Duration::from_secs(30))
    }
}

/// The breaker's probing after its cooldown.
#[doc(alias = "half-open")]
#[doc(alias = "permitted_calls_in_half_open")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HalfOpen {
    /// The most probes in flight at once. Default 1.
    pub probes: Probes,
    /// The condition on the probes' answers for a close. Default: one success.
    pub close: CloseRule,
    /// The time limit of a probe, after which its place is given to another, above zero. Default 60 s.
    pub probe_timeout: Duration,
    /// The meaning of a probe that took longer. Default: its place is given to another and it counts neither way.
    pub on_probe_timeout: OnProbeTimeout,
    /// Number of failed probes of one half-open period that reopen, 1 or more; only with [`CloseRule::Successes`].
    /// Default 1.
    pub failures: u32,
    /// True if the successes of [`CloseRule::Successes`] must come in a row: a failure that does not reopen then
    /// restarts their count. Default: false.
    pub in_a_row: bool,
    /// The use of a settled probe's place: freed for another, or used up. Default: freed.
    pub places: Places,
    /// The share of slow probes that reopens, as failures do; only with [`CloseRule::FailureRate`]. Default: none does.
    pub slow: Option<SlowProbes>,
    /// The time limit of a half-open period without a decision, above zero. Default: none.
    pub period_timeout: Option<Duration>,
    /// The state after a half-open period that exceeded its limit. Default: the breaker opens.
    pub on_period_timeout: OnPeriodTimeout,
}

impl Default for HalfOpen {
    fn default() -> Self {
        HalfOpen {
            probes: Probes::default(),
            close: CloseRule::default(),
            probe_timeout: Duration::from_secs(60),
            on_probe_timeout: OnProbeTimeout::default(),
            failures: 1,
            in_a_row: false,
            places: Places::default(),
            slow: None,
            period_timeout: None,
            on_period_timeout: OnPeriodTimeout::default(),
        }
    }
}

/// The most probes in flight at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probes {
    /// A number; [`HalfOpen::places`] says whether a settled probe frees its place.
    Limited(NonZeroU32),
    /// Every call passes until one of them decides.
    Unlimited,
}

impl Default for Probes {
    fn default() -> Self {
        Probes::Limited(NonZeroU32::MIN)
    }
}

/// The use of the place of a probe that has answered. One that was ignored, dropped or lost frees it in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// The place is freed: [`HalfOpen::probes`] limits the probes in flight.
    #[default]
    Freed,
    /// The place is used up: [`HalfOpen::probes`] limits the probes of a half-open period. While none is in flight
    /// another may go all the same, so that settings that change on the way leave no caller waiting.
    Spent,
}

/// The share of slow probes from which on the breaker opens again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowProbes {
    /// The share of slow answers that reopens, compared as [`Settings::compare`] says.
    pub rate: Ratio,
    /// The duration that is slow, above zero, compared as [`Settings::slow_compare`] says.
    pub slower_than: Duration,
}

/// The state after a half-open period that lasted longer than [`HalfOpen::period_timeout`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPeriodTimeout {
    /// Another cooldown, as after a failed probe.
    #[default]
    Open,
    /// The closed state, as after enough successes.
    Close,
}

/// The condition on the probes' answers that closes the breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CloseRule {
    /// A number of successes closes, [`HalfOpen::failures`] failures reopen.
    Successes(u32),
    /// Decided when `over` probes have answered: reopens when the share of failures meets `rate`, else closes.
    FailureRate {
        /// The share of failures that reopens, compared as [`Settings::compare`] says.
        rate: Ratio,
        /// The number of answers that decide, 1 or more.
        over: u32,
    },
}

impl Default for CloseRule {
    fn default() -> Self {
        CloseRule::Successes(1)
    }
}

/// The meaning of a probe that missed its deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnProbeTimeout {
    /// Another probe takes its place; the late one counts neither way.
    #[default]
    Replace,
    /// The late probe reopens the breaker.
    Fail,
}

/// The meaning of the other side's own wish for the next call (`Retry-After`, RFC 9110 section 10.2.3).
///
/// The caller reads it, makes it a duration and gives it with the [`Call`](crate::Call). A wish of zero says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryAfter {
    /// The wish has no effect.
    #[default]
    Ignore,
    /// The wish of the outcome that trips is the cooldown, at most [`Cooldown::max`], then lengthened by the jitter.
    Honour,
    /// As `Honour`, and one outcome with such a wish trips by itself; an ignored outcome does not.
    Trip,
}

/// The meaning of a call that panicked: a panic that unwinds out of the closure of [`Guard::call`](crate::Guard::call),
/// or out of a poll of the future of [`Guard::call_async`](crate::Guard::call_async) or of a layer; or a permit that was
/// [given back as panicked](crate::Permit::panicked).
///
/// Permits and futures that are dropped because their thread panics for another reason say nothing about the other
/// side: they count as any that are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPanic {
    /// The call failed.
    #[default]
    Failure,
    /// The call says nothing about the other side. The counterpart for calls that were given up is
    /// [`OnAbandoned::Ignore`].
    Ignored,
}

impl OnPanic {
    pub(crate) const fn outcome(self) -> Outcome {
        match self {
            OnPanic::Failure => Outcome::Failure,
            OnPanic::Ignored => Outcome::Ignored,
        }
    }
}

/// The meaning of a call that its caller gave up: a future of [`Guard::call_async`](crate::Guard::call_async) or of a
/// layer that was dropped before its end, or a permit that was [given back as abandoned](crate::Permit::abandoned).
///
/// A permit that is simply dropped is ignored in any case, since the time for which it was held is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnAbandoned {
    /// The call says nothing about the other side: the caller may have left for reasons of its own. The counterpart for
    /// calls that panicked is [`OnPanic::Ignored`].
    #[default]
    Ignore,
    /// The call is a failure if it had lasted at least this long, above zero. For callers whose patience is shorter
    /// than any timeout of the call: an other side that hangs gives them no outcome that a rule could see.
    FailureAfter(Duration),
}

#[cfg(feature = "serde")]
impl OnPanic {
    fn is_failure(&self) -> bool {
        *self == OnPanic::Failure
    }
}

#[cfg(feature = "serde")]
impl OnAbandoned {
    fn is_ignore(&self) -> bool {
        *self == OnAbandoned::Ignore
    }
}

/// The mode of a breaker: decisions are enforced, only monitored, or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Decisions are carried out.
    #[default]
    Enforce,
    /// Everything is decided and nothing refused, held or not: a permit notes that it would have been refused.
    Monitor,
    /// Everything passes and nothing is recorded.
    Disabled,
}

impl Mode {
    /// The word `enforce`, `monitor` or `disabled`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Monitor => "monitor",
            Mode::Disabled => "disabled",
        }
    }
}
