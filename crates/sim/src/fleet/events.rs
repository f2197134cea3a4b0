//! The scheduled events of a run.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use fusebox_fleet::protocol::{Command, Input, Key};

/// A scheduled event.
#[derive(Debug)]
pub(super) enum ScheduledEvent {
    /// A call comes to a node.
    Call { node: usize, key: usize },
    /// A call ends.
    End {
        node: usize,
        incarnation: u32,
        call: u64,
        failed: bool,
    },
    /// A node's timer fires.
    Timer {
        node: usize,
        incarnation: u32,
        at: u64,
    },
    /// An input reaches a node.
    Input {
        node: usize,
        incarnation: u32,
        input: Input,
    },
    /// A message arrives at a store.
    Arrive {
        node: usize,
        incarnation: u32,
        server: usize,
        message: Message,
        /// The end of the node's wait for an answer, or `None` if it has given up already.
        waits_until: Option<u64>,
    },
    /// A planned fault begins.
    FaultBegins(usize),
    /// A planned fault ends.
    FaultEnds(usize),
    /// The checks verify an expectation.
    Verify(Expected),
}

/// A request from a node to the store.
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

/// An expectation to be verified at a given time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// The fleet has counted enough failures, so it must have opened.
    Tripped {
        key: usize,
        /// The start of the consecutive failures.
        since: u64,
    },
}

/// All scheduled events by time, and in the order of scheduling within a moment.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    heap: BinaryHeap<Entry>,
    count: u64,
}

#[derive(Debug)]
struct Entry {
    at: u64,
    number: u64,
    event: ScheduledEvent,
}

impl Schedule {
    pub fn add(&mut self, at: u64, event: ScheduledEvent) {
        self.count += 1;
        self.heap.push(Entry {
            at,
            number: self.count,
            event,
        });
    }

    pub fn next(&mut self) -> Option<(u64, ScheduledEvent)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl Ord for Entry {
    /// Reversed, because the heap returns the greatest entry first.
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
