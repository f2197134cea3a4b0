//! A breaker's record: the part of a breaker that outlives the process (docs/machine.md, "Over a restart").

use std::time::Duration;

use bytes::Bytes;
use fusebox_breaker::{HoldKind, Saved, SavedState, snapshot::SavedHold};
use fusebox_store::NewObject;
use serde::{Deserialize, Serialize};

/// A record that is not renewed for this long belongs to a removed breaker; see
/// [`RENEWED_EVERY`](crate::host::records::RENEWED_EVERY).
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// The stored form of a breaker. Times are wall times, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the record's form.
    v: u8,
    state: State,
    /// The time at which an open breaker's cooldown ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    generation: u64,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldRecord>,
    /// True if only a share of the calls passed, after a close.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ramp: bool,
    /// The URL of the upstream behind it; `None` in records of versions that did not write it, and of breakers without
    /// an upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HoldRecord {
    open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    reason: String,
    by: String,
}

impl Record {
    /// The record at the wall time `wall`; `ramp`: true while the breaker is in its ramp.
    pub fn of(saved: &Saved, ramp: bool, wall: u64) -> Record {
        let at = |remaining: Duration| wall.saturating_add(millis(remaining));
        let (state, until) = match saved.state {
            SavedState::Closed => (State::Closed, None),
            SavedState::Open { remaining } => (State::Open, Some(at(remaining))),
            SavedState::HalfOpen => (State::HalfOpen, None),
        };
        let hold = saved.hold.as_ref().map(|hold| HoldRecord {
            open: hold.kind == HoldKind::Open,
            until: hold.remaining.map(at),
            reason: hold.reason.to_string(),
            by: hold.by.to_string(),
        });
        Record {
            v: 1,
            state,
            until,
            generation: saved.generation,
            attempts: saved.attempts,
            hold,
            ramp,
            url: None,
        }
    }

    /// The same record, for a breaker before an upstream at this URL.
    pub fn at(self, url: Option<&str>) -> Record {
        Record {
            url: url.map(str::to_owned),
            ..self
        }
    }

    /// The state to restore at the wall time `wall`. A time that has passed leaves nothing remaining; a clock that was
    /// set back cannot lengthen a cooldown, since the breaker bounds it.
    pub fn saved(&self, wall: u64) -> Saved {
        let remaining = |until: u64| Duration::from_millis(until.saturating_sub(wall));
        let mut saved = Saved::new(match self.state {
            State::Closed => SavedState::Closed,
            State::Open => SavedState::Open {
                remaining: remaining(self.until.unwrap_or(wall)),
            },
            State::HalfOpen => SavedState::HalfOpen,
        });
        saved.generation = self.generation;
        saved.attempts = self.attempts;
        saved.hold = self.hold.as_ref().map(|hold| SavedHold {
            kind: if hold.open {
                HoldKind::Open
            } else {
                HoldKind::Closed
            },
            remaining: hold.until.map(remaining),
            reason: hold.reason.as_str().into(),
            by: hold.by.as_str().into(),
        });
        saved
    }

    pub fn to_object(&self) -> NewObject {
        let value = serde_json::to_vec(self).expect("a record is plain data");
        NewObject {
            value: Bytes::from(value),
            media_type: "application/json".into(),
            ttl: Some(KEPT_FOR),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If it is not valid JSON of a known version; the text gives the reason.
    pub fn from_bytes(bytes: &[u8]) -> Result<Record, String> {
        let record: Record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if record.v == 1 {
            Ok(record)
        } else {
            Err(format!("its form {} is newer than this program", record.v))
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(remaining: u64) -> Saved {
        let mut saved = Saved::new(SavedState::Open {
            remaining: Duration::from_millis(remaining),
        });
        saved.generation = 7;
        saved.attempts = 2;
        saved.hold = Some(SavedHold {
            kind: HoldKind::Open,
            remaining: None,
            reason: "moving house".into(),
            by: "ann".into(),
        });
        saved
    }

    #[test]
    fn a_record_survives_its_bytes_and_the_time_in_between() {
        let record = Record::of(&open(30_000), false, 1_000_000);
        let read = Record::from_bytes(&record.to_object().value).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.saved(1_010_000), open(20_000));
    }

    #[test]
    fn a_cooldown_that_ended_meanwhile_has_nothing_left() {
        let record = Record::of(&open(30_000), false, 1_000_000);
        assert_eq!(record.saved(9_000_000), open(0));
    }

    #[test]
    fn the_first_form_of_a_record_is_read_for_ever() {
        let bytes = br#"{"v":1,"state":"open","until":1030000,"generation":7,"attempts":2,"hold":{"open":true,"reason":"moving house","by":"ann"}}"#;
        assert_eq!(
            Record::from_bytes(bytes).unwrap().saved(1_000_000),
            open(30_000)
        );
    }

    #[test]
    fn a_record_says_whether_there_was_a_ramp() {
        let saved = Saved::new(SavedState::Closed);
        for ramp in [true, false] {
            let bytes = Record::of(&saved, ramp, 1_000_000).to_object().value;
            assert_eq!(Record::from_bytes(&bytes).unwrap().ramp, ramp);
        }
    }

    #[test]
    fn a_newer_form_is_refused_not_guessed_at() {
        let bytes = br#"{"v":2,"state":"closed","generation":7,"attempts":0}"#;
        assert!(Record::from_bytes(bytes).unwrap_err().contains("newer"));
    }
}
