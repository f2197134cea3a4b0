//! What a node is told and what it answers.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Phase, Reason, Timestamp, Transition};

use crate::command::Command;

/// The name of a shared breaker: the same at all nodes.
pub type Key = Arc<str>;

/// What a node is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Something happened to a breaker here.
    Local {
        /// Which breaker.
        key: Key,
        /// What.
        event: Event,
    },
    /// An operator's word over the whole fleet.
    Word {
        /// Which breaker.
        key: Key,
        /// The word.
        word: Word,
    },
    /// A command was answered.
    Applied {
        /// Which, as in [`Output::Apply`].
        id: u64,
        /// The record right after it.
        record: Option<Vec<u8>>,
        /// The server's time, in milliseconds.
        now: u64,
    },
    /// A read was answered.
    ReadOut {
        /// Which, as in [`Output::Read`].
        id: u64,
        /// The records, in the order of the keys.
        records: Vec<Option<Vec<u8>>>,
        /// The server's time, in milliseconds.
        now: u64,
    },
    /// A command or a read failed, or took too long: it may have happened, or not.
    Failed {
        /// Which.
        id: u64,
    },
    /// A record was pushed.
    Pushed {
        /// Which breaker's.
        key: Key,
        /// The record.
        record: Vec<u8>,
    },
    /// Pushes may have been missed.
    Gap,
    /// The time that [`Node::wake_at`](crate::protocol::Node::wake_at) told has come.
    Wake,
}

/// What happened to a breaker here, other than by an [`Order`].
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It opened: by its rules, by its probes, by force.
    Opened {
        /// The end of its cooldown.
        until: Timestamp,
        /// Trips since it was last closed.
        attempts: u32,
        /// Why, in words.
        why: String,
    },
    /// It began to probe.
    Probing,
    /// Its probes closed it.
    Recovered {
        /// Why, in words.
        why: String,
    },
    /// An operator here holds it.
    Held,
    /// The hold is over, and this is what it is in now.
    Unheld(Local),
    /// It began anew in this state, for reasons of this node alone: a reset, a restart, new settings.
    Began(Local),
    /// A call was refused only because the fleet has not let this node probe.
    Demanded,
    /// A failure was counted after a time in which there was nothing to count.
    Stirred,
    /// What was counted since the last time, see [`Order::Collect`].
    Counted(Batch),
}

impl Event {
    /// What a transition of a breaker means; the transition is not the result of an order.
    pub fn of(transition: &Transition) -> Event {
        let state = || match transition.to {
            Phase::Closed => Local::Closed,
            Phase::Open => Local::Open {
                until: transition.retry_at.unwrap_or(transition.at),
            },
            Phase::HalfOpen => Local::Probing,
        };
        match (&transition.reason, transition.to) {
            (Reason::HeldOpen { .. } | Reason::HeldClosed { .. }, _) => Event::Held,
            (Reason::Released { .. } | Reason::HoldEnded { .. }, _) => Event::Unheld(state()),
            (Reason::Reset | Reason::Restored | Reason::Reconfigured, _) => Event::Began(state()),
            (reason, Phase::Open) => Event::Opened {
                until: transition.retry_at.unwrap_or(transition.at),
                attempts: transition.attempts,
                why: reason.to_string(),
            },
            (_, Phase::HalfOpen) => Event::Probing,
            (reason, Phase::Closed) => Event::Recovered {
                why: reason.to_string(),
            },
        }
    }
}

/// What state a breaker here is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// Calls pass.
    Closed,
    /// Calls are refused until then, at least.
    Open {
        /// The end of the cooldown.
        until: Timestamp,
    },
    /// It probes, or waits for somebody who does.
    Probing,
}

/// Outcomes of calls since the last batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whether a call succeeded.
    pub had_success: bool,
    /// The failures after the last success; all, where none succeeded.
    pub row: u64,
    /// All failures.
    pub failures: u64,
}

impl Batch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Batch::default()
    }

    /// Adds what came after it.
    pub fn add(&mut self, later: Batch) {
        self.row = if later.had_success {
            later.row
        } else {
            self.row + later.row
        };
        self.had_success |= later.had_success;
        self.failures += later.failures;
    }
}

/// An operator's word over the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Hold the breaker, see [`Hold`](fusebox_breaker::Hold).
    Hold {
        /// Whether open, else closed.
        open: bool,
        /// How long; without it until it is released.
        span: Option<Duration>,
        /// Why.
        why: String,
        /// Who.
        by: String,
    },
    /// End the hold.
    Release {
        /// Who.
        by: String,
    },
    /// Close the breaker, and end the hold.
    Reset {
        /// Who.
        by: String,
    },
}

/// What a node wants done. All of it at once, in this order, but nothing waits for anything else.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a command, and tell the answer as [`Input::Applied`] or [`Input::Failed`].
    Apply {
        /// The number under which to answer.
        id: u64,
        /// The record.
        key: Key,
        /// The command.
        command: Command,
        /// What the node has found in the record's place and does not believe: if it is there still, the command finds
        /// no record.
        poison: Option<Vec<u8>>,
    },
    /// Read records, and tell the answer as [`Input::ReadOut`] or [`Input::Failed`].
    Read {
        /// The number under which to answer.
        id: u64,
        /// The records.
        keys: Vec<Key>,
    },
    /// Tell a breaker here. What it does then is no [`Event`].
    Order {
        /// Which breaker.
        key: Key,
        /// What.
        order: Order,
    },
    /// Tell people.
    Tell(News),
}

/// What the fleet wants of a breaker here.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Be open until then, and let the fleet say who probes.
    Open {
        /// The end of the cooldown. It may have passed.
        until: Timestamp,
        /// Trips since the breaker was last closed.
        attempts: u32,
        /// Who brought it about.
        by: String,
        /// Why.
        why: String,
    },
    /// Be closed.
    Close {
        /// Who brought it about.
        by: String,
        /// Why.
        why: String,
    },
    /// Probe.
    Lease {
        /// The last moment at which a probe may begin.
        start_by: Timestamp,
        /// The moment at which the last one is over, whatever becomes of it.
        ends: Timestamp,
        /// Whether a lease goes on; a new one begins a half-open period of its own.
        renewed: bool,
    },
    /// Decide alone when to probe, and stay open for so much longer.
    Alone {
        /// How much longer.
        extra: Duration,
    },
    /// Let the fleet say who probes.
    Follow,
    /// Be held.
    Hold {
        /// Whether open, else closed.
        open: bool,
        /// When the hold ends by itself.
        until: Option<Timestamp>,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Be held no longer.
    Release,
    /// Note every outcome from now on, also successes that change nothing here, or do so no longer. Answer with what was
    /// counted until now, as [`Event::Counted`].
    Watch(bool),
    /// A call succeeded somewhere: rows of failures that were counted here end.
    EndRow,
    /// Answer with what was counted since the last time, as [`Event::Counted`].
    Collect,
}

/// What people may want to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The store does not answer: every breaker here is on its own.
    StoreAway,
    /// The store answers again.
    StoreBack {
        /// How long it was away.
        after: Duration,
    },
    /// A record was lost by the store, and is made anew.
    RecordLost {
        /// Which.
        key: Key,
    },
    /// A record is of a later version of this program, and left alone. The breaker is on its own.
    RecordUnreadable {
        /// Which.
        key: Key,
    },
    /// What lies in a record's place cannot be believed, and is made anew from what is known here. Told once a minute
    /// of each breaker.
    RecordUnsound {
        /// Which.
        key: Key,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Other processes go by this one's name: their votes and counts are taken for this one's, and give way to them.
    /// Told once a minute.
    NameTaken {
        /// How many.
        others: usize,
    },
    /// A breaker is not shared, and so on its own.
    NotShared {
        /// Which.
        key: Key,
        /// Why.
        why: String,
    },
    /// An operator's word was not carried out: the store did not take it in time.
    WordDropped {
        /// Which breaker.
        key: Key,
        /// The word.
        word: Word,
    },
}
