//! The inputs and outputs of a node.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Phase, Reason, Timestamp, Transition};

use crate::command::Command;

/// The name of a shared breaker, the same at all nodes.
pub type Key = Arc<str>;

/// An input to a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// An event of a local breaker.
    Local {
        /// The breaker's name.
        key: Key,
        /// The local event.
        event: Event,
    },
    /// An operator's fleet-wide command.
    Word {
        /// The breaker's name.
        key: Key,
        /// The operator's command.
        word: Word,
    },
    /// A command was answered.
    Applied {
        /// The command's number, from [`Output::Apply`].
        id: u64,
        /// The record right after the command.
        record: Option<Vec<u8>>,
        /// The server's time, in milliseconds.
        now: u64,
    },
    /// A read was answered.
    ReadOut {
        /// The read's number, from [`Output::Read`].
        id: u64,
        /// The records, in the order of the keys.
        records: Vec<Option<Vec<u8>>>,
        /// The server's time, in milliseconds.
        now: u64,
    },
    /// A command or a read failed or timed out; a command may have been carried out all the same.
    Failed {
        /// The number of the command or read.
        id: u64,
    },
    /// A record was pushed.
    Pushed {
        /// The breaker's name.
        key: Key,
        /// The pushed record.
        record: Vec<u8>,
    },
    /// Pushes may have been missed.
    Gap,
    /// The time from [`Node::wake_at`](crate::protocol::Node::wake_at) has come.
    Wake,
}

/// An event of a local breaker that was not caused by an [`Order`].
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The breaker opened: by its rules, by its probes or by force.
    Opened {
        /// The end of its cooldown.
        until: Timestamp,
        /// Trips since the breaker was last closed.
        attempts: u32,
        /// The reason, as text.
        why: String,
    },
    /// The breaker began to probe.
    Probing,
    /// The breaker's probes closed it.
    Recovered {
        /// The reason, as text.
        why: String,
    },
    /// A local operator holds the breaker.
    Held,
    /// The local hold ended, with the state after it.
    Unheld(Local),
    /// The breaker was reset, restored or reconfigured locally, with its new state.
    Began(Local),
    /// A call was rejected only because the fleet has not let this node probe.
    Demanded,
    /// A failure was counted after a time without failures to count.
    Stirred,
    /// The outcomes since the last report, see [`Order::Collect`].
    Counted(Batch),
}

impl Event {
    /// The event that a transition of a breaker means. The transition must not be the result of an order.
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

/// The state of a local breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// Calls are admitted.
    Closed,
    /// Calls are rejected, at least until the cooldown ends.
    Open {
        /// The end of the cooldown.
        until: Timestamp,
    },
    /// The breaker probes, or waits for the node that does.
    Probing,
}

/// Outcomes of calls since the last batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batch {
    /// True if at least one call succeeded.
    pub had_success: bool,
    /// Failures after the last success, or all failures if no call succeeded.
    pub row: u64,
    /// Number of all failures.
    pub failures: u64,
}

impl Batch {
    /// True if no outcome was counted.
    pub fn is_empty(&self) -> bool {
        *self == Batch::default()
    }

    /// Adds the outcomes of a later batch.
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

/// An operator's fleet-wide command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Hold the breaker, see [`Hold`](fusebox_breaker::Hold).
    Hold {
        /// True to hold open, false to hold closed.
        open: bool,
        /// Length of the hold, or `None` until it is released.
        span: Option<Duration>,
        /// The operator's reason.
        why: String,
        /// The operator's name.
        by: String,
    },
    /// End the hold.
    Release {
        /// The operator's name.
        by: String,
    },
    /// Close the breaker, and end the hold.
    Reset {
        /// The operator's name.
        by: String,
    },
}

/// An output of a node, for the driver to carry out. Outputs are begun in order, and none waits for another's end.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a command, and pass on the answer as [`Input::Applied`] or [`Input::Failed`].
    Apply {
        /// The number for the answer.
        id: u64,
        /// The breaker's name.
        key: Key,
        /// The command to the record.
        command: Command,
        /// Bytes that the node found in the record's place and rejected. If they are still there, the command treats
        /// the record as absent.
        poison: Option<Vec<u8>>,
    },
    /// Read records, and pass on the answer as [`Input::ReadOut`] or [`Input::Failed`].
    Read {
        /// The number for the answer.
        id: u64,
        /// The names of the breakers.
        keys: Vec<Key>,
    },
    /// Carry out an order on a local breaker. Its transition is not an [`Event`].
    Order {
        /// The breaker's name.
        key: Key,
        /// The order to carry out.
        order: Order,
    },
    /// Report news to the operators.
    Tell(News),
}

/// A change that the fleet requires of a local breaker.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Open until then, and let the fleet decide on probes.
    Open {
        /// The end of the cooldown, possibly in the past.
        until: Timestamp,
        /// Trips since the breaker was last closed.
        attempts: u32,
        /// The node or operator behind the opening.
        by: String,
        /// The reason of the opening.
        why: String,
    },
    /// Close the breaker.
    Close {
        /// The node or operator behind the closing.
        by: String,
        /// The reason of the closing.
        why: String,
    },
    /// Send probes under a lease.
    Lease {
        /// The last moment at which a probe may begin.
        start_by: Timestamp,
        /// The moment at which the last probe has ended, in any case.
        ends: Timestamp,
        /// True if the lease was renewed; a new lease begins a new half-open period.
        renewed: bool,
    },
    /// Decide locally on probes, and stay open for longer.
    Alone {
        /// The extension of the cooldown.
        extra: Duration,
    },
    /// Let the fleet decide on probes.
    Follow,
    /// Apply a fleet-wide hold.
    Hold {
        /// True to hold open, false to hold closed.
        open: bool,
        /// The end of the hold, or `None` until it is released.
        until: Option<Timestamp>,
        /// The operator's name.
        by: String,
        /// The operator's reason.
        why: String,
    },
    /// End the fleet-wide hold.
    Release,
    /// Start (true) or stop (false) reporting every outcome, including successes without effect here. Answered with the
    /// outcomes so far, as [`Event::Counted`].
    Watch(bool),
    /// Reset the local counts of consecutive failures, since a call succeeded at some node.
    EndRow,
    /// Report the outcomes since the last report, as [`Event::Counted`].
    Collect,
}

/// A report of a node for its operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The store does not answer: every local breaker decides locally.
    StoreAway,
    /// The store answers again.
    StoreBack {
        /// The length of the outage.
        after: Duration,
    },
    /// The store lost a record, which is being restored.
    RecordLost {
        /// The breaker's name.
        key: Key,
    },
    /// A record is of a later version of this program, and is left unchanged. The breaker decides locally.
    RecordUnreadable {
        /// The breaker's name.
        key: Key,
    },
    /// A record's place holds implausible data, and the record is being restored from local knowledge. Reported at most
    /// once a minute for each breaker.
    RecordUnsound {
        /// The breaker's name.
        key: Key,
        /// The fault found in the data.
        why: &'static str,
    },
    /// Other processes use this node's name, so that their votes and counts and this node's replace each other.
    /// Reported at most once a minute.
    NameTaken {
        /// Number of other processes.
        others: usize,
    },
    /// A breaker is not shared, so it decides locally.
    NotShared {
        /// The breaker's name.
        key: Key,
        /// The reason, as text.
        why: String,
    },
    /// An operator's command was not carried out, because the store did not accept it in time.
    WordDropped {
        /// The breaker's name.
        key: Key,
        /// The dropped command.
        word: Word,
    },
}
