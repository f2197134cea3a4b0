//! Changes of shared records: functions written once in Rust and once in Lua.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::WallTime;

/// A function from a record (`None` if absent), arguments and the time to the changed record. It must depend on nothing
/// else.
pub type ChangeFn = fn(record: Option<&[u8]>, args: &[Bytes], now: WallTime) -> Changed;

/// A named function on a record, in the two languages that stores can run.
///
/// Both versions must behave the same; prove it with a test that runs them side by side.
#[derive(Clone, Copy)]
pub struct Change {
    /// A short name for metrics and messages.
    pub name: &'static str,
    /// The body of a Lua 5.1 function of three parameters: `record`, a string or `nil`; `args`, a table of strings
    /// counted from 1; and `now`, the time in milliseconds since the Unix epoch. It returns nothing to keep the record.
    /// Otherwise it returns the new record (a string), its time to live in milliseconds from now, and whether to push
    /// it (a boolean). It must not call commands of the server; `cjson` is available.
    pub lua: &'static str,
    /// The same function in Rust.
    pub rust: ChangeFn,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The result of a change function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The record is unchanged and keeps its time to live.
    Kept,
    /// The record is replaced.
    Written {
        /// The new record: at least one byte and at most [`RECORD_BYTES_MAX`](crate::records::RECORD_BYTES_MAX).
        record: Bytes,
        /// The time to live from now, in whole milliseconds, unless the record is written again.
        live_for: Duration,
        /// True to push the record to its subscribers.
        push: bool,
    },
}

/// A record right after a change was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The record: `None` if absent, empty if the stored bytes were not written by a change.
    pub record: Option<Bytes>,
    /// The time that the change function received.
    pub now: WallTime,
}
