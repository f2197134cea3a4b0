//! JSON as Go's `encoding/json` reads and writes it, including its messages.
//!
//! `read` and `write` are its two directions; here are the faults of a text.

use crate::language::fault::{Fault, FaultKind};

mod read;
mod write;

/// The value that a number becomes when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// A float: in definitions, requests, and texts that a path enters.
    Float,
    /// The number's own text: in upstreams' answers.
    Text,
}

/// A fault of a JSON text, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonFault {
    /// The fault, in Go's words.
    pub message: String,
    /// The number of bytes read before the fault.
    pub offset: u64,
    /// The kind of the fault.
    pub kind: JsonFaultKind,
}

/// The kind of a JSON text's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFaultKind {
    /// The text has only blanks.
    Empty,
    /// The text ends inside a value.
    Truncated,
    /// A byte is invalid at its place.
    Syntax,
    /// A number is outside the range of floats.
    Range,
    /// The text would exceed the limit of all texts.
    TooLong,
}

impl From<JsonFault> for Fault {
    fn from(fault: JsonFault) -> Fault {
        Fault {
            kind: match fault.kind {
                JsonFaultKind::Syntax => FaultKind::Syntax {
                    offset: fault.offset,
                },
                _ => FaultKind::Plain,
            },
            message: fault.message.into(),
        }
    }
}
