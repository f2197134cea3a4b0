//! The cooldown, the ramp and the meaning of abandoned calls: a word or a duration, or a map.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::text::{Share, Span, duration, read};
use super::word::unknown;
use crate::ramp::Ramp;
use crate::ratio::Ratio;
use crate::settings::{Cooldown, OnAbandoned};

/// The map form. Its defaults are those of [`Cooldown::exponential`].
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a map of base, factor, max and jitter"
)]
struct CooldownMap {
    #[serde(default)]
    base: Option<Span>,
    #[serde(default)]
    factor: Option<f64>,
    #[serde(default)]
    max: Option<Span>,
    #[serde(default)]
    jitter: Option<Share>,
}

impl Serialize for Cooldown {
    /// Writes a duration if it is the same every time, else a map.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Cooldown::fixed(self.base) {
            return Span(self.base).serialize(serializer);
        }
        let map = CooldownMap {
            base: Some(Span(self.base)),
            factor: Some(self.factor),
            max: Some(Span(self.max)),
            jitter: Some(Share(self.jitter)),
        };
        map.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cooldown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DurationOrMap;

        impl<'de> Visitor<'de> for DurationOrMap {
            type Value = Cooldown;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"30s\", or a map of base, factor, max and jitter")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Cooldown, E> {
                duration(text).map(Cooldown::fixed).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cooldown, A::Error> {
                let map = CooldownMap::deserialize(MapAccessDeserializer::new(map))?;
                let base = map.base.map_or(Cooldown::default().base, |base| base.0);
                let usual = Cooldown::exponential(base);
                Ok(Cooldown {
                    base,
                    factor: map.factor.unwrap_or(usual.factor),
                    max: map.max.map_or(usual.max, |max| max.0),
                    jitter: map.jitter.map_or(usual.jitter, |jitter| jitter.0),
                })
            }
        }

        deserializer.deserialize_any(DurationOrMap)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a map of over, from and curve, such as { over: \"10s\" }"
)]
struct RampMap {
    over: Span,
    #[serde(default)]
    from: Option<Ratio>,
    /// The only curve that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    curve: Option<Curve>,
}

/// The growth of the share.
#[derive(Clone, Copy)]
pub(super) enum Curve {
    Linear,
}

impl Serialize for Ramp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = RampMap {
            over: Span(self.over),
            from: Some(self.from),
            curve: None,
        };
        map.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ramp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = RampMap::deserialize(deserializer)?;
        let usual = Ramp::linear(map.over.0);
        Ok(Ramp {
            from: map.from.unwrap_or(usual.from),
            ..usual
        })
    }
}

impl Serialize for OnAbandoned {
    /// Writes the duration from which on it is a failure, or `ignore`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            OnAbandoned::Ignore => serializer.serialize_str("ignore"),
            OnAbandoned::FailureAfter(after) => Span(after).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OnAbandoned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = ["a duration such as \"1s\", or \"ignore\""];
        read(deserializer, &expected, |text| match text {
            "ignore" | "ignored" => Ok(OnAbandoned::Ignore),
            _ if text.starts_with(|start: char| start.is_ascii_digit()) => {
                duration(text).map(OnAbandoned::FailureAfter)
            }
            _ => Err(unknown(
                "abandoned",
                text,
                &["a duration such as 1s", "ignore"],
            )),
        })
    }
}
