//! A breaker's reports: transitions with their reasons, in words and numbers. Written only.

use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::text::Span;
use crate::cause::{Cause, Causes};
use crate::transition::Reason;

/// Writes a duration that may be unknown.
pub(crate) fn optional_duration<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(Span).serialize(serializer)
}

/// Writes a shared text.
pub(crate) fn text_of<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Serialize for Cause {
    /// A status as a number, a word as a string.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cause::Status(status) => serializer.serialize_u16(*status),
            Cause::Word(word) => serializer.serialize_str(word),
        }
    }
}

impl Serialize for Causes {
    /// A list of causes with their numbers, the most frequent first; the cause is null where it is unknown.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Counted {
            cause: Option<Cause>,
            failures: u32,
        }

        let mut list = serializer.serialize_seq(None)?;
        for (cause, failures) in self.iter() {
            list.serialize_element(&Counted { cause, failures })?;
        }
        list.end()
    }
}

impl Serialize for Reason {
    /// A map: `token` and `text` of every reason, then its own numbers.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("token", self.token())?;
        map.serialize_entry("text", &Text(self))?;
        match self {
            Reason::Rule {
                rule: _,
                observed,
                threshold,
                calls,
                over,
                causes,
            } => {
                map.serialize_entry("observed", observed)?;
                map.serialize_entry("threshold", threshold)?;
                map.serialize_entry("calls", calls)?;
                map.serialize_entry("over", over)?;
                map.serialize_entry("causes", causes)?;
            }
            Reason::ProbeFailed {
                failures,
                answers,
                causes,
            } => {
                map.serialize_entry("failures", failures)?;
                map.serialize_entry("answers", answers)?;
                map.serialize_entry("causes", causes)?;
            }
            Reason::ProbesSlow { slow, answers } => {
                map.serialize_entry("slow", slow)?;
                map.serialize_entry("answers", answers)?;
            }
            Reason::ProbesSucceeded { successes, answers } => {
                map.serialize_entry("successes", successes)?;
                map.serialize_entry("answers", answers)?;
            }
            Reason::RetryAfter { after } => map.serialize_entry("after", &Span(*after))?,
            Reason::Forced { by, reason }
            | Reason::Fleet { by, reason }
            | Reason::HeldOpen { by, reason }
            | Reason::HeldClosed { by, reason } => {
                map.serialize_entry("by", &**by)?;
                map.serialize_entry("reason", &**reason)?;
            }
            Reason::Released { by } | Reason::HoldEnded { by } => {
                map.serialize_entry("by", &**by)?;
            }
            Reason::ProbeTimeout
            | Reason::PeriodTimeout
            | Reason::CooldownEnded
            | Reason::Reset
            | Reason::Restored
            | Reason::Reconfigured => {}
        }
        map.end()
    }
}

struct Text<'a>(&'a Reason);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}
