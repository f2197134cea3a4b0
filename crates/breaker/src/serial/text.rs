//! Durations, ratios and spans as text: `90s`, `50%`, `100 calls`.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::word::one_of;
use crate::ratio::Ratio;
use crate::settings::Over;
use crate::time::Timestamp;

/// A duration as text, exact to the nanosecond and as the configuration reads it: in the largest unit that needs no
/// fraction, `250ms` or `90s`.
#[derive(Clone, Copy)]
pub(super) struct Span(pub Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 5] = [
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        let unit = UNITS.iter().find(|(unit, _)| nanos.is_multiple_of(*unit));
        let (unit, name) = unit.unwrap_or(&(1, "ns"));
        write!(f, "{}{name}", nanos / unit)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = ["a duration with a unit, such as \"250ms\", \"30s\" or \"5m\""];
        read(deserializer, &expected, |text| duration(text).map(Span))
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| {
        format!(
            "invalid duration {text:?}; expected a number with a unit, such as 250ms, 30s or 5m"
        )
    })
}

/// Reads a text by `parse`, whose error is the whole message.
pub(super) fn read<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    expected: &[&str],
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    struct Text<'a, P>(&'a [&'a str], P);

    impl<T, P: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Text<'_, P> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&one_of(self.0))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(expected, parse))
}

/// A share from 0 to 1, as a number or in percent.
#[derive(Clone, Copy)]
pub(super) struct Share(pub f64);

impl Serialize for Share {
    /// Writes percent if that is exact.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let percent = (self.0 * 1e6).round() / 1e4;
        match percent / 100.0 == self.0 {
            true => serializer.collect_str(&format_args!("{percent}%")),
            false => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Number)
            .map(|parts| match parts {
                Parts::Share(share) => Share(share),
                Parts::Fraction(part, whole) => Share(f64::from(part) / f64::from(whole)),
            })
    }
}

impl Serialize for Ratio {
    /// Writes percent if four decimals are exact, else a fraction.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (part, whole) = self.parts();
        match 1_000_000 % whole {
            0 => serializer.collect_str(self),
            _ => serializer.collect_str(&format_args!("{part}/{whole}")),
        }
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ratio = match deserializer.deserialize_any(Number)? {
            Parts::Share(share) => Ratio::new(share),
            Parts::Fraction(part, whole) => Ratio::of(part, whole),
        };
        ratio.map_err(|error| D::Error::custom(format_args!("{}; {}", error.what(), error.mend())))
    }
}

/// A share as it was written.
enum Parts {
    Share(f64),
    Fraction(u32, u32),
}

/// Reads a share: `0.5`, `"50%"`, `"1/2"`.
struct Number;

impl Visitor<'_> for Number {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a share of calls, such as \"50%\" or 0.5")
    }

    fn visit_f64<E: Error>(self, share: f64) -> Result<Parts, E> {
        Ok(Parts::Share(share))
    }

    fn visit_u64<E: Error>(self, share: u64) -> Result<Parts, E> {
        Ok(Parts::Share(share as f64))
    }

    fn visit_i64<E: Error>(self, share: i64) -> Result<Parts, E> {
        Ok(Parts::Share(share as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Parts, E> {
        let parts = if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.trim_end().parse::<f64>().ok();
            percent.map(|percent| Parts::Share(percent / 100.0))
        } else if let Some((part, whole)) = text.split_once('/') {
            let parts = part.trim().parse().ok().zip(whole.trim().parse().ok());
            parts
                .filter(|(_, whole)| *whole > 0)
                .map(|(part, whole)| Parts::Fraction(part, whole))
        } else {
            None
        };
        parts.ok_or_else(|| {
            E::custom(format_args!(
                "invalid ratio {text:?}; expected a share of calls, such as 50% or 0.5"
            ))
        })
    }
}

impl Serialize for Over {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Over::Time(time) => Span(time).serialize(serializer),
            Over::Calls(calls) => serializer.collect_str(&format_args!("{calls} calls")),
        }
    }
}

impl<'de> Deserialize<'de> for Over {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = ["a duration or a number of calls, such as \"10s\" or \"100 calls\""];
        read(deserializer, &expected, |text| {
            let calls = text
                .strip_suffix("calls")
                .or_else(|| text.strip_suffix("call"));
            let over = match calls {
                Some(calls) => calls.trim_end().parse().ok().map(Over::Calls),
                None => humantime::parse_duration(text).ok().map(Over::Time),
            };
            over.ok_or_else(|| {
                format!(
                    "invalid window {text:?}; expected a duration or a number of calls, such as 10s or 100 calls"
                )
            })
        })
    }
}

impl Serialize for Timestamp {
    /// Nanoseconds since the origin.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.as_nanos())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Timestamp::from_nanos)
    }
}
