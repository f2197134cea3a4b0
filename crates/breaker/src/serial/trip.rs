//! The rules of a breaker: a list of maps, or one map, each with one rule or several that share a window.

use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::text::Span;
use crate::ratio::Ratio;
use crate::settings::{Over, Rule};

/// The default span of a rate.
const OVER: Over = Over::Time(Duration::from_secs(10));

/// The default of the fewest calls of a rate over a time.
const MIN_CALLS: u32 = 20;

/// The rules of one map. `within` belongs to every count, `over` and `min_calls` to every rate.
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map of rules, such as { consecutive_failures: 5 }"
)]
struct Rules {
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive_failures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_rate: Option<Ratio>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_rate: Option<Ratio>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slower_than: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longer_than: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adaptive: Option<Adaptive>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_calls: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<bool>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map such as { memory: 5 }"
)]
struct Adaptive {
    memory: u32,
}

impl Default for Adaptive {
    fn default() -> Self {
        Adaptive { memory: 5 }
    }
}

impl From<&Rule> for Rules {
    fn from(rule: &Rule) -> Self {
        let mut rules = Rules::default();
        match *rule {
            Rule::ConsecutiveFailures { threshold, within } => {
                rules.consecutive_failures = Some(threshold);
                rules.within = within.map(Span);
            }
            Rule::Failures {
                threshold,
                over,
                full,
            } => {
                rules.failures = Some(threshold);
                match over {
                    Over::Time(time) => rules.within = Some(Span(time)),
                    Over::Calls(_) => rules.over = Some(over),
                }
                rules.full = full.then_some(true);
            }
            Rule::FailureRate {
                rate,
                over,
                min_calls,
            } => {
                rules.failure_rate = Some(rate);
                rules.over = Some(over);
                rules.min_calls = Some(min_calls);
            }
            Rule::SlowRate {
                rate,
                slower_than,
                over,
                min_calls,
            } => {
                rules.slow_rate = Some(rate);
                rules.slower_than = Some(Span(slower_than));
                rules.over = Some(over);
                rules.min_calls = Some(min_calls);
            }
            Rule::Stalled { calls, longer_than } => {
                rules.stalled = Some(calls);
                rules.longer_than = Some(Span(longer_than));
            }
            Rule::Adaptive { memory } => rules.adaptive = Some(Adaptive { memory }),
        }
        rules
    }
}

impl Rules {
    /// The window of `failures`, which is `within`, or `over` where that is a number of calls.
    fn window_of_failures<E: Error>(&self) -> Result<Over, E> {
        let rates = self.failure_rate.is_some() || self.slow_rate.is_some();
        match (self.within, self.over) {
            (Some(_), Some(_)) if !rates => Err(E::custom(
                "failures has two windows, within and over; keep one of them, or give each rule a map of its own",
            )),
            (Some(Span(within)), _) => Ok(Over::Time(within)),
            (None, Some(over @ Over::Calls(_))) => Ok(over),
            (None, Some(Over::Time(time))) => Err(E::custom(format_args!(
                "over gives failures no window: over a time it belongs to rate rules; write within: {}",
                Span(time)
            ))),
            (None, None) if self.consecutive_failures.is_some() => Err(E::custom(
                "two rules in one map, consecutive_failures and failures, and the latter has no window; \
                 add within: 60s, which then holds for both, or give each rule a map of its own",
            )),
            (None, None) => Err(E::custom(
                "failures: no window; add one, such as within: 60s or over: 100 calls",
            )),
        }
    }

    /// Adds the rules of this map, in the order of its fields.
    fn add_to<E: Error>(self, rules: &mut Vec<Rule>) -> Result<(), E> {
        let before = rules.len();
        let within = self.within.map(|within| within.0);
        let over = self.over.unwrap_or(OVER);
        let min_calls = self.min_calls.unwrap_or(match over {
            Over::Time(_) => MIN_CALLS,
            Over::Calls(calls) => calls,
        });
        let counts = self.consecutive_failures.is_some() || self.failures.is_some();
        let rates = self.failure_rate.is_some() || self.slow_rate.is_some();
        let stray = [
            (
                within.is_some() && !counts,
                "within",
                "consecutive_failures or failures",
            ),
            (
                self.over.is_some() && !rates && self.failures.is_none(),
                "over",
                "failures, failure_rate or slow_rate",
            ),
            (
                self.min_calls.is_some() && !rates,
                "min_calls",
                "failure_rate or slow_rate",
            ),
            (
                self.full.is_some() && self.failures.is_none(),
                "full",
                "failures",
            ),
            (
                self.slower_than.is_some() && self.slow_rate.is_none(),
                "slower_than",
                "slow_rate",
            ),
            (
                self.longer_than.is_some() && self.stalled.is_none(),
                "longer_than",
                "stalled",
            ),
        ];
        if let Some((_, field, of)) = stray.into_iter().find(|(stray, ..)| *stray) {
            return Err(E::custom(format_args!(
                "{field} belongs to {of}; add the rule, or leave {field} out"
            )));
        }
        if let Some(threshold) = self.consecutive_failures {
            rules.push(Rule::ConsecutiveFailures { threshold, within });
        }
        if let Some(threshold) = self.failures {
            let over = self.window_of_failures()?;
            let full = self.full.unwrap_or(false);
            rules.push(Rule::Failures {
                threshold,
                over,
                full,
            });
        }
        rules.extend(self.failure_rate.map(|rate| Rule::FailureRate {
            rate,
            over,
            min_calls,
        }));
        if let Some(rate) = self.slow_rate {
            let Span(slower_than) = self.slower_than.ok_or_else(|| {
                E::custom(
                    "slow_rate: no limit of a call's duration; add one, such as slower_than: 2s",
                )
            })?;
            rules.push(Rule::SlowRate {
                rate,
                slower_than,
                over,
                min_calls,
            });
        }
        if let Some(calls) = self.stalled {
            let Span(longer_than) = self.longer_than.ok_or_else(|| {
                E::custom(
                    "stalled: no limit of a call's duration; add one, such as longer_than: 10s",
                )
            })?;
            rules.push(Rule::Stalled { calls, longer_than });
        }
        if let Some(Adaptive { memory }) = self.adaptive {
            rules.push(Rule::Adaptive { memory });
        }
        if rules.len() == before {
            return Err(E::custom(
                "a rule without a name; add one, such as consecutive_failures: 5",
            ));
        }
        Ok(())
    }
}

/// Writes a list of maps, a rule each.
pub(crate) fn serialize<S: Serializer>(rules: &[Rule], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(rules.len()))?;
    for rule in rules {
        list.serialize_element(&Rules::from(rule))?;
    }
    list.end()
}

/// Reads a list of maps, or one map.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Rule>, D::Error> {
    struct Maps;

    impl<'de> Visitor<'de> for Maps {
        type Value = Vec<Rule>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of rules, such as [{ consecutive_failures: 5 }]")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Rule>, A::Error> {
            let mut rules = Vec::new();
            while let Some(map) = list.next_element::<Rules>()? {
                map.add_to(&mut rules)?;
            }
            Ok(rules)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<Rule>, A::Error> {
            let mut rules = Vec::new();
            Rules::deserialize(MapAccessDeserializer::new(map))?.add_to(&mut rules)?;
            Ok(rules)
        }
    }

    deserializer.deserialize_any(Maps)
}

impl Serialize for Rule {
    /// A map, as in a list of rules.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Rules::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rules = Vec::new();
        Rules::deserialize(deserializer)?.add_to(&mut rules)?;
        match rules[..] {
            [rule] => Ok(rule),
            _ => Err(D::Error::custom(
                "several rules where one is expected; give each a map of its own",
            )),
        }
    }
}
