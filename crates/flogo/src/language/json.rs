//! JSON as Go's `encoding/json` reads and writes it, down to its messages.
//!
//! `read` and `write` are its two directions; here is what is wrong with a text.

use crate::language::fault::{Fault, FaultKind};

mod read;
mod write;

/// What a number becomes when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// A float: in definitions, requests, and texts that a path leads into.
    Float,
    /// Its own text: in answers of upstreams.
    Text,
}

/// Why a text is not JSON, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonFault {
    /// What is wrong.
    pub message: String,
    /// How many bytes had been read.
    pub offset: u64,
    /// How it is wrong.
    pub kind: JsonFaultKind,
}

/// How a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFaultKind {
    /// There is nothing but blanks.
    Empty,
    /// It ends within a value.
    Truncated,
    /// A byte is where it may not be.
    Syntax,
    /// A number that no float holds.
    Range,
    /// It would be longer than any text may be.
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
