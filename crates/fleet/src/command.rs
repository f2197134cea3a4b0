//! Commands to a record: the sender, the request, and the version of the record that it applies to.

use serde::{Deserialize, Serialize};

use crate::record::{FleetHold, Stamp, Version};

/// The longest span in a command, in milliseconds: about thirty years.
pub const SPAN_MAX: u64 = 1_000_000_000_000;

/// The most characters in a reason.
pub const WHY_MAX: usize = 256;

/// A command to a record. It takes effect only on the version that it is about; an operator's command takes effect on
/// any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The version of the record that the sender has seen.
    #[serde(flatten)]
    pub about: Version,
    /// The sender, and the command's sequence number.
    #[serde(flatten)]
    pub from: Stamp,
    /// The requested change.
    #[serde(flatten)]
    pub act: Act,
}

/// The change that a command requests. Spans are in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Act {
    /// The sender has tripped. The fleet opens once `quorum` nodes have.
    Trip {
        /// The remaining time for which the sender is open.
        cooldown: u64,
        /// Trips of the sender since it was last closed.
        attempts: u32,
        /// The reason of the trip.
        why: String,
        /// Number of tripped nodes that open the fleet, 1 or more.
        quorum: u32,
    },
    /// The outcomes of the sender's calls since its last batch.
    Batch {
        /// True if at least one call succeeded.
        had_success: bool,
        /// Failures after the last success, or all failures if no call succeeded.
        row: u64,
        /// Number of all failures.
        failures: u64,
        /// The rules that are counted over the fleet.
        rules: Vec<CountRule>,
        /// The cooldown if a rule trips.
        cooldown: u64,
    },
    /// The sender asks for the lease to probe, or for its renewal.
    Lease {
        /// The requested length of the lease.
        span: u64,
        /// True if the sender has sent a probe under its present lease.
        used: bool,
    },
    /// The sender's probes succeeded.
    Close {
        /// The reason of the closing.
        why: String,
    },
    /// The sender's probes failed.
    Reopen {
        /// The new cooldown.
        cooldown: u64,
        /// Trips since the breaker was last closed.
        attempts: u32,
        /// The reason of the reopening.
        why: String,
    },
    /// The record was lost; the sender restores it from its own knowledge.
    Assert {
        /// Remaining cooldown, or `None` if the breaker was closed.
        open_for: Option<u64>,
        /// The lease to probe that was in force, if any.
        led: Option<Box<Led>>,
        /// Trips since the breaker was last closed.
        attempts: u32,
        /// The reason of the last opening or closing.
        why: String,
        /// The node or operator behind the last opening or closing.
        by: String,
        /// The fleet-wide hold, if any.
        hold: Option<FleetHold>,
    },
    /// An operator holds the breaker over the whole fleet.
    Hold {
        /// True to hold open, false to hold closed.
        open: bool,
        /// Length of the hold, or `None` until it is released.
        span: Option<u64>,
        /// The operator's reason.
        why: String,
        /// The operator's name.
        by: String,
    },
    /// An operator ends the hold over the fleet.
    Release {
        /// The operator's name.
        by: String,
    },
    /// An operator closes the breaker over the whole fleet.
    Reset {
        /// The operator's name.
        by: String,
    },
}

/// A lease to probe that may still be in use although its record was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    /// The node that held the lease.
    #[serde(rename = "n")]
    pub node: String,
    /// Remaining length of the lease, in milliseconds.
    pub span: u64,
}

/// A rule whose failures are counted over the whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountRule {
    /// Number of failures that trips, 1 or more.
    pub threshold: u64,
    /// The time window in milliseconds, or 0 for no limit.
    pub within: u64,
    /// True to count only consecutive failures: a success resets the count.
    pub row: bool,
}

impl Act {
    /// A short stable name for metrics: `trip`, `batch`, `lease`, `close`, `reopen`, `assert`, `hold`, `release` or
    /// `reset`.
    pub const fn name(&self) -> &'static str {
        match self {
            Act::Trip { .. } => "trip",
            Act::Batch { .. } => "batch",
            Act::Lease { .. } => "lease",
            Act::Close { .. } => "close",
            Act::Reopen { .. } => "reopen",
            Act::Assert { .. } => "assert",
            Act::Hold { .. } => "hold",
            Act::Release { .. } => "release",
            Act::Reset { .. } => "reset",
        }
    }

    /// True for an operator's command.
    pub const fn is_word(&self) -> bool {
        matches!(
            self,
            Act::Hold { .. } | Act::Release { .. } | Act::Reset { .. }
        )
    }
}

impl Command {
    /// Parses a command. Returns `None` if the bytes are not one.
    pub fn read(bytes: &[u8]) -> Option<Command> {
        serde_json::from_slice(bytes).ok()
    }

    /// Encodes the command as JSON.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a command is numbers and text under names")
    }
}
