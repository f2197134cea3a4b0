//! A saved breaker: a flat record, readable also by formats that do not describe themselves.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Error as _, Serialize, Serializer};

use super::text::Span;
use crate::outcome::{HoldKind, Phase};
use crate::snapshot::{Saved, SavedHold, SavedState};

/// A record. Unknown fields are passed over, since a later version may have written them.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(expecting = "a saved breaker: a map of state, generation, attempts and more")]
struct Record<'a> {
    state: Phase,
    /// The rest of the cooldown, of an open breaker.
    #[serde(default)]
    remaining: Option<Span>,
    generation: u64,
    attempts: u32,
    #[serde(default)]
    hold: Option<HoldRecord<'a>>,
    #[serde(default)]
    written_at: Option<Wall>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(expecting = "a saved hold: a map of kind, reason and by")]
struct HoldRecord<'a> {
    kind: HoldKind,
    #[serde(default)]
    remaining: Option<Span>,
    reason: std::borrow::Cow<'a, str>,
    by: std::borrow::Cow<'a, str>,
}

impl Serialize for Saved {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (state, remaining) = match self.state {
            SavedState::Closed => (Phase::Closed, None),
            SavedState::Open { remaining } => (Phase::Open, Some(Span(remaining))),
            SavedState::HalfOpen => (Phase::HalfOpen, None),
        };
        let record = Record {
            state,
            remaining,
            generation: self.generation,
            attempts: self.attempts,
            hold: self.hold.as_ref().map(|hold| HoldRecord {
                kind: hold.kind,
                remaining: hold.remaining.map(Span),
                reason: (&*hold.reason).into(),
                by: (&*hold.by).into(),
            }),
            written_at: self.written_at.map(Wall),
        };
        record.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Saved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = Record::deserialize(deserializer)?;
        let remaining = record.remaining.map_or(Duration::ZERO, |span| span.0);
        Ok(Saved {
            state: match record.state {
                Phase::Closed => SavedState::Closed,
                Phase::Open => SavedState::Open { remaining },
                Phase::HalfOpen => SavedState::HalfOpen,
            },
            generation: record.generation,
            attempts: record.attempts,
            hold: record.hold.map(|hold| SavedHold {
                kind: hold.kind,
                remaining: hold.remaining.map(|span| span.0),
                reason: Arc::from(&*hold.reason),
                by: Arc::from(&*hold.by),
            }),
            written_at: record.written_at.map(|wall| wall.0),
        })
    }
}

/// A wall time as RFC 3339 says it, in UTC.
struct Wall(SystemTime);

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The formatter fails outside the years that the form can tell, and `collect_str` would panic then.
        let seconds = self.0.duration_since(SystemTime::UNIX_EPOCH);
        match seconds {
            Ok(since) if since.as_secs() < YEAR_10000 => {
                serializer.collect_str(&humantime::format_rfc3339(self.0))
            }
            _ => Err(S::Error::custom(
                "the wall time is outside the years 1970 to 9999; set the system's clock",
            )),
        }
    }
}

/// The seconds from 1970 to the year 10000.
const YEAR_10000: u64 = 253_402_300_800;

impl<'de> Deserialize<'de> for Wall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map(Wall).map_err(|_| {
            D::Error::custom(format_args!(
                "invalid time {text:?}; expected RFC 3339 in UTC, such as 2026-11-30T12:00:00Z"
            ))
        })
    }
}
