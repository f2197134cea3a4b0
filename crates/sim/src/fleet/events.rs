//! The scheduled events of a run.

use std::collections::BTreeMap;

use fusebox_fleet::protocol::{Command, Input, Key};

#[derive(Debug)]
pub(super) enum ScheduledEvent {
    /// A call comes to a node.
    Call {
        node: usize,
        key: usize,
    },
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
    FaultBegins(usize),
    FaultEnds(usize),
    /// The fleet has counted enough failures, so the checks verify that it has opened.
    Verify {
        key: usize,
        /// The start of the consecutive failures.
        since: u64,
    },
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

/// All scheduled events by time, and in the order of scheduling within a moment.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    events: BTreeMap<(u64, u64), ScheduledEvent>,
    count: u64,
}

impl Schedule {
    pub fn add(&mut self, at: u64, event: ScheduledEvent) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    pub fn next(&mut self) -> Option<(u64, ScheduledEvent)> {
        let ((at, _), event) = self.events.pop_first()?;
        Some((at, event))
    }
}
