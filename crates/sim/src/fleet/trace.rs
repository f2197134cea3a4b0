//! What happened, in order: a hash of all of it, and the last of it in words for whoever has to find a fault.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::MS;

/// How many of the last events are told with a violation.
const TOLD: usize = 200;

/// One thing that happened.
#[derive(Clone, Debug, Hash)]
pub(super) enum Note {
    /// A fault began or ended.
    Fault { number: usize, begins: bool },
    /// A call was let through, as a probe or not, or refused.
    Call {
        node: usize,
        key: usize,
        verdict: Verdict,
    },
    /// A call ended.
    End {
        node: usize,
        key: usize,
        failed: bool,
    },
    /// A breaker changed its state by itself.
    Moved {
        node: usize,
        key: usize,
        to: &'static str,
    },
    /// A node told a breaker.
    Order {
        node: usize,
        key: usize,
        order: &'static str,
    },
    /// A breaker told what it has counted.
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
    /// A command was carried out; the record is then of this term.
    Applied {
        node: usize,
        key: usize,
        act: &'static str,
        epoch: u64,
        term: u64,
        state: &'static str,
    },
    /// A node was told that a command or a read failed.
    Failed { node: usize },
    /// A node read.
    Read { node: usize },
    /// A node heard a push.
    Pushed { node: usize },
    /// A node heard of a gap.
    Gap { node: usize },
    /// A node was woken.
    Woken { node: usize },
    /// A node told people.
    News { node: usize, what: &'static str },
}

/// What was said to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    Passed,
    Probes,
    Refused,
}

/// The record of a run.
#[derive(Debug)]
pub(super) struct Trace {
    hash: Fnv,
    events: u64,
    last: VecDeque<(u64, Note)>,
}

impl Trace {
    pub fn new() -> Self {
        Trace {
            hash: Fnv::default(),
            events: 0,
            last: VecDeque::with_capacity(TOLD),
        }
    }

    pub fn write(&mut self, at: u64, note: Note) {
        self.events += 1;
        at.hash(&mut self.hash);
        note.hash(&mut self.hash);
        if self.last.len() == TOLD {
            self.last.pop_front();
        }
        self.last.push_back((at, note));
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
        for (at, note) in &self.last {
            writeln!(f, "  {:>12.3} ms  {note:?}", *at as f64 / MS as f64)?;
        }
        Ok(())
    }
}

/// FNV-1a of 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same for every build, unlike the standard
/// library's.
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
