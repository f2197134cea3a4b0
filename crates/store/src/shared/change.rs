//! A change of a record: one function, written once for this process and once for a server.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::WallTime;

/// What a change does: from the record as it is (none where there is none), the arguments and the time, to the record
/// as it is to be. It must depend on nothing else.
pub type ChangeFn = fn(record: Option<&[u8]>, args: &[Bytes], now: WallTime) -> Changed;

/// A named function on a record, in the two languages in which it can be carried out.
///
/// Both do the same: whoever writes one proves it by running them side by side.
#[derive(Clone, Copy)]
pub struct Change {
    /// A short name, for metrics and messages.
    pub name: &'static str,
    /// The body of a Lua 5.1 function of three arguments: `record`, a string or `nil`; `args`, a table of strings
    /// counted from 1; and `now`, the time in milliseconds since the Unix epoch. It returns nothing to leave the record
    /// as it is. Else it returns the new record (a string), the milliseconds that it lives from now, and whether it is
    /// pushed (a boolean). It calls no command of the server; `cjson` is there.
    pub lua: &'static str,
    /// The same in Rust.
    pub rust: ChangeFn,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a change makes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Nothing: the record is as before, and lives as long as before.
    Kept,
    /// A new record.
    Written {
        /// Its bytes: some, and no more than [`RECORD_BYTES_MAX`](crate::records::RECORD_BYTES_MAX).
        record: Bytes,
        /// How long it lives from now on, unless it is written again, in whole milliseconds.
        live_for: Duration,
        /// Whether subscribers hear of it.
        push: bool,
    },
}

/// A record right after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The record, none where there is none; empty where something lies there that no change wrote.
    pub record: Option<Bytes>,
    /// The time that the change was told.
    pub now: WallTime,
}
