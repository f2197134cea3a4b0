//! What is to happen when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use fusebox_fleet::protocol::{Command, Input, Key};

/// What is to happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// Somebody calls.
    Call { node: usize, key: usize },
    /// A call ends.
    End {
        node: usize,
        life: u32,
        call: u64,
        failed: bool,
    },
    /// A node wanted to be woken.
    Wake { node: usize, life: u32, at: u64 },
    /// A node is told something.
    Hear {
        node: usize,
        life: u32,
        input: Input,
    },
    /// A message arrives at a store.
    Arrive {
        node: usize,
        life: u32,
        server: usize,
        message: Message,
        /// When nobody waits for the answer any more; none where nobody does already.
        waits_until: Option<u64>,
    },
    /// A planned fault begins.
    Begin(usize),
    /// A planned fault is over.
    Over(usize),
    /// The checks look whether what was to happen by now has happened.
    Look(Expected),
}

/// What a node sends to the store.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Apply {
        id: u64,
        key: usize,
        command: Box<Command>,
        poison: Option<Vec<u8>>,
    },
    Read {
        id: u64,
        keys: Vec<Key>,
    },
}

impl Message {
    pub fn id(&self) -> u64 {
        match self {
            Message::Apply { id, .. } | Message::Read { id, .. } => *id,
        }
    }
}

/// What is to have happened by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// The fleet has counted enough failures, and opened.
    Tripped {
        key: usize,
        /// Where the row of failures began.
        since: u64,
    },
}

/// All that is to happen, the next first; what is due at the same moment in the order in which it was asked for.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Entry>,
    count: u64,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    number: u64,
    happening: Happening,
}

impl Agenda {
    pub fn add(&mut self, at: u64, happening: Happening) {
        self.count += 1;
        self.heap.push(Entry {
            at,
            number: self.count,
            happening,
        });
    }

    pub fn next(&mut self) -> Option<(u64, Happening)> {
        self.heap.pop().map(|entry| (entry.at, entry.happening))
    }
}

impl Ord for Entry {
    /// The heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}
