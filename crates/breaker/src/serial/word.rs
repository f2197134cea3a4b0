//! Enums of words: written as the word, read from it, with all words named where one is unknown.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::cooldown::Curve;
use super::text::read;
use crate::outcome::SettledAs;
use crate::outcome::{HoldKind, Outcome, Phase, RejectReason};
use crate::ratio::Compare;
use crate::rule_kind::RuleKind;
use crate::settings::{
    History, JudgeOn, Mode, OnPanic, OnPeriodTimeout, OnProbeTimeout, Places, RetryAfter,
    WindowKind,
};

/// Writes an enum as its words, and reads it from them and from their synonyms.
macro_rules! words {
    ($($name:literal $type:ident { $($variant:ident = $word:literal $(or $synonym:literal)*),+ $(,)? })+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(match self { $($type::$variant => $word),+ })
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let known = [$($word),+];
                read(deserializer, &known, |word| match word {
                    $($word $(| $synonym)* => Ok($type::$variant),)+
                    _ => Err(unknown($name, word, &known)),
                })
            }
        }
    )+};
}

words! {
    "state" Phase { Closed = "closed", Open = "open", HalfOpen = "half_open" }
    "outcome" Outcome { Success = "success", Failure = "failure", Ignored = "ignored" }
    "mode" Mode { Enforce = "enforce", Monitor = "monitor", Disabled = "disabled" }
    "hold" HoldKind { Open = "open", Closed = "closed" }
    "reason" RejectReason {
        BreakerOpen = "breaker_open",
        BreakerProbing = "breaker_probing",
        BreakerRamp = "breaker_ramp",
        BreakerAdaptive = "breaker_adaptive",
        HeldOpen = "held_open",
    }
    "rule" RuleKind {
        ConsecutiveFailures = "consecutive_failures",
        Failures = "failures",
        FailureRate = "failure_rate",
        SlowRate = "slow_rate",
        Stalled = "stalled",
        Adaptive = "adaptive",
    }
    "judge_on" JudgeOn { EveryOutcome = "outcomes" or "every_outcome", Failures = "failures" }
    "comparison" Compare { AtLeast = ">=" or "at_least", Above = ">" or "above" }
    "window" WindowKind { Sliding = "sliding", Tumbling = "tumbling" }
    "history" History { Clear = "clear", Keep = "keep" }
    "retry_after" RetryAfter { Ignore = "ignore", Honour = "honour" or "honor", Trip = "trip" }
    "on_panic" OnPanic { Failure = "failure", Ignored = "ignored" or "ignore" }
    "curve" Curve { Linear = "linear" }
    "places" Places { Freed = "freed", Spent = "spent" }
    "on_probe_timeout" OnProbeTimeout { Replace = "replace", Fail = "fail" }
    "on_period_timeout" OnPeriodTimeout { Open = "open", Close = "close" }
}

impl Serialize for SettledAs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The error that names an unknown word and the known ones.
pub(super) fn unknown(name: &str, word: &str, known: &[&str]) -> String {
    format!("unknown {name} {word:?}; expected {}", one_of(known))
}

/// The words as a sentence has them: `closed, open or half_open`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}
