//! The half-open state's settings: one flat map.

use std::fmt;
use std::num::NonZeroU32;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::text::Span;
use super::word::unknown;
use crate::ratio::Ratio;
use crate::settings::{
    CloseRule, HalfOpen, OnPeriodTimeout, OnProbeTimeout, Over, Places, Probes, SlowProbes,
};

#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map of probes, successes, failures, probe_timeout and more, such as { probes: 2 }"
)]
struct HalfOpenMap {
    probes: Option<Probes>,
    places: Places,
    #[serde(skip_serializing_if = "Option::is_none")]
    successes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u32>,
    in_a_row: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_rate: Option<Ratio>,
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_rate: Option<Ratio>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slower_than: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_timeout: Option<Span>,
    on_probe_timeout: OnProbeTimeout,
    #[serde(skip_serializing_if = "Option::is_none")]
    period_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_period_timeout: Option<OnPeriodTimeout>,
}

impl Serialize for HalfOpen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (successes, failure_rate, over) = match self.close {
            CloseRule::Successes(successes) => (Some(successes), None, None),
            CloseRule::FailureRate { rate, over } => (None, Some(rate), Some(Over::Calls(over))),
        };
        let map = HalfOpenMap {
            probes: Some(self.probes),
            places: self.places,
            successes,
            // Beside a rate it has no meaning but its default.
            failures: (successes.is_some() || self.failures != 1).then_some(self.failures),
            in_a_row: self.in_a_row,
            failure_rate,
            over,
            slow_rate: self.slow.map(|slow| slow.rate),
            slower_than: self.slow.map(|slow| Span(slow.slower_than)),
            probe_timeout: Some(Span(self.probe_timeout)),
            on_probe_timeout: self.on_probe_timeout,
            period_timeout: self.period_timeout.map(Span),
            // Without the time the configuration takes it for a mistake.
            on_period_timeout: (self.period_timeout.is_some()
                || self.on_period_timeout != OnPeriodTimeout::default())
            .then_some(self.on_period_timeout),
        };
        map.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HalfOpen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = HalfOpenMap::deserialize(deserializer)?;
        let close = match (map.successes, map.failure_rate, map.over) {
            (None, None, None) => CloseRule::default(),
            (Some(successes), None, None) => CloseRule::Successes(successes),
            (None, Some(rate), Some(Over::Calls(over))) => CloseRule::FailureRate { rate, over },
            (None, Some(_), _) => {
                return Err(D::Error::custom(
                    "half_open.failure_rate: no number of answers to judge; add one, such as over: 10 calls",
                ));
            }
            (None | Some(_), None, Some(_)) => {
                return Err(D::Error::custom(
                    "half_open.over belongs to failure_rate; add the rate, or leave over out",
                ));
            }
            (Some(_), Some(_), _) => {
                return Err(D::Error::custom(
                    "half_open: successes and failure_rate both decide; keep one of them",
                ));
            }
        };
        let slow = match (map.slow_rate, map.slower_than) {
            (Some(rate), Some(Span(slower_than))) => Some(SlowProbes { rate, slower_than }),
            (None, None) => None,
            _ => {
                return Err(D::Error::custom(
                    "half_open: slow_rate and slower_than belong together; give both or none",
                ));
            }
        };
        let usual = HalfOpen::default();
        Ok(HalfOpen {
            probes: map.probes.unwrap_or(usual.probes),
            close,
            probe_timeout: map.probe_timeout.map_or(usual.probe_timeout, |span| span.0),
            on_probe_timeout: map.on_probe_timeout,
            failures: map.failures.unwrap_or(usual.failures),
            in_a_row: map.in_a_row,
            places: map.places,
            slow,
            period_timeout: map.period_timeout.map(|span| span.0),
            on_period_timeout: map.on_period_timeout.unwrap_or_default(),
        })
    }
}

impl Serialize for Probes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Probes::Limited(probes) => probes.serialize(serializer),
            Probes::Unlimited => serializer.serialize_str("unlimited"),
        }
    }
}

impl<'de> Deserialize<'de> for Probes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrWord;

        impl Visitor<'_> for NumberOrWord {
            type Value = Probes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of probes, 1 or more, or \"unlimited\"")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Probes, E> {
                let probes = u32::try_from(number).ok().and_then(NonZeroU32::new);
                probes.map(Probes::Limited).ok_or_else(|| {
                    E::custom(format_args!(
                        "{number} is not a number of probes; expected 1 or more, or unlimited"
                    ))
                })
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Probes, E> {
                self.visit_u64(u64::try_from(number).unwrap_or(0))
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Probes, E> {
                match word {
                    "unlimited" => Ok(Probes::Unlimited),
                    _ => Err(E::custom(unknown(
                        "probes",
                        word,
                        &["a number", "unlimited"],
                    ))),
                }
            }
        }

        deserializer.deserialize_any(NumberOrWord)
    }
}
