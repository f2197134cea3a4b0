//! The trace of a run: a hash of all events, and the text of the last ones for finding a fault.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::MS;

/// Number of events printed with a violation.
const LINES_MAX: usize = 200;

#[derive(Clone, Debug, Hash)]
pub(super) enum TraceEntry {
    /// A fault began or ended.
    Fault { number: usize, begins: bool },
    /// A call was admitted, as a probe or not, or rejected.
    Call {
        node: usize,
        key: usize,
        result: CallResult,
    },
    /// A call ended.
    End {
        node: usize,
        key: usize,
        failed: bool,
    },
    /// A breaker changed its state.
    Moved {
        node: usize,
        key: usize,
        to: &'static str,
    },
    /// A node gave an order to a breaker.
    Order {
        node: usize,
        key: usize,
        order: &'static str,
    },
    /// A breaker reported its counts.
    Counted {
        node: usize,
        key: usize,
        had_success: bool,
        row: u64,
        failures: u64,
    },
    /// A node sent a command.
    Sent {
        node: usize,
        key: usize,
        act: &'static str,
    },
    /// A command was carried out, with the term and state of the record after it.
    Applied {
        node: usize,
        key: usize,
        act: &'static str,
        epoch: u64,
        term: u64,
        state: &'static str,
    },
    /// A node was informed that a command or a read failed.
    Failed { node: usize },
    /// A node received the answer to a read or command.
    Read { node: usize },
    /// A node received a push.
    Pushed { node: usize },
    /// A node was informed of a gap in the pushes.
    Gap { node: usize },
    /// A node's timer fired.
    Woken { node: usize },
    /// A node reported news.
    News { node: usize, what: &'static str },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CallResult {
    Passed,
    Probe,
    Rejected,
}

#[derive(Debug)]
pub(super) struct Trace {
    hash: Fnv,
    events: u64,
    last: VecDeque<(u64, TraceEntry)>,
}

impl Trace {
    pub fn new() -> Self {
        Trace {
            hash: Fnv::default(),
            events: 0,
            last: VecDeque::with_capacity(LINES_MAX),
        }
    }

    pub fn write(&mut self, at: u64, entry: TraceEntry) {
        self.events += 1;
        at.hash(&mut self.hash);
        entry.hash(&mut self.hash);
        if self.last.len() == LINES_MAX {
            self.last.pop_front();
        }
        self.last.push_back((at, entry));
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in &self.last {
            writeln!(f, "  {:>12.3} ms  {entry:?}", *at as f64 / MS as f64)?;
        }
        Ok(())
    }
}

/// The 64-bit FNV-1a hash (<http://www.isthe.com/chongo/tech/comp/fnv/>), which unlike the standard library's is the
/// same in every build.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
