//! A command to a record: who asks for what, and which state of the record it is about.

use serde::{Deserialize, Serialize};

use crate::record::{FleetHold, Stamp, Version};

/// The longest span that a command can tell, in milliseconds: some thirty years.
pub const SPAN_MAX: u64 = 1_000_000_000_000;

/// The most characters of a reason.
pub const WHY_MAX: usize = 256;

/// One command. It changes the record only in the state that it is about; an operator's word in any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The state that the sender has seen.
    #[serde(flatten)]
    pub about: Version,
    /// Who sends it.
    #[serde(flatten)]
    pub from: Stamp,
    /// What for.
    #[serde(flatten)]
    pub act: Act,
}

/// What a command is to do. Spans are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Act {
    /// The sender has tripped. The fleet opens when so many nodes have.
    Trip {
        /// How long the sender stays open.
        cooldown: u64,
        /// Trips of the sender since it was last closed.
        attempts: u32,
        /// Why.
        why: String,
        /// How many nodes it takes, 1 or more.
        quorum: u32,
    },
    /// What the sender has seen since its last batch.
    Batch {
        /// Whether a call succeeded.
        had_success: bool,
        /// The failures after the last success; all, where none succeeded.
        row: u64,
        /// All failures.
        failures: u64,
        /// What is counted together.
        rules: Vec<CountRule>,
        /// How long to stay open when a rule is met.
        cooldown: u64,
    },
    /// The sender wants to probe, or to go on probing.
    Lease {
        /// How long.
        span: u64,
        /// Whether it has sent a probe since the lease was given.
        used: bool,
    },
    /// The sender's probes answered well.
    Close {
        /// Why.
        why: String,
    },
    /// The sender's probes failed.
    Reopen {
        /// How long to stay open.
        cooldown: u64,
        /// Trips since the breaker was last closed.
        attempts: u32,
        /// Why.
        why: String,
    },
    /// The record is lost, and this is what the sender knew.
    Assert {
        /// How much longer it is open; none where it was closed.
        open_for: Option<u64>,
        /// Who probed then; none where nobody did.
        led: Option<Box<Led>>,
        /// Trips since the breaker was last closed.
        attempts: u32,
        /// Why it was open or closed.
        why: String,
        /// Who had brought that about.
        by: String,
        /// The hold over the fleet.
        hold: Option<FleetHold>,
    },
    /// An operator holds the breaker over the whole fleet.
    Hold {
        /// Whether open, else closed.
        open: bool,
        /// How long; without it until it is released.
        span: Option<u64>,
        /// Why.
        why: String,
        /// Who.
        by: String,
    },
    /// An operator ends the hold over the fleet.
    Release {
        /// Who.
        by: String,
    },
    /// An operator closes the breaker over the whole fleet.
    Reset {
        /// Who.
        by: String,
    },
}

/// A leave to probe that may be in use still, although the record that told of it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    /// The node that had it.
    #[serde(rename = "n")]
    pub node: String,
    /// How much longer, in milliseconds.
    pub span: u64,
}

/// A rule whose failures are counted over the whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountRule {
    /// So many failures trip, 1 or more.
    pub threshold: u64,
    /// That happened within so many milliseconds; 0 for any time.
    pub within: u64,
    /// Whether a success ends the count.
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

    /// Whether it is an operator's word.
    pub const fn is_word(&self) -> bool {
        matches!(
            self,
            Act::Hold { .. } | Act::Release { .. } | Act::Reset { .. }
        )
    }
}

impl Command {
    /// Reads a command; none where it is not one.
    pub fn read(bytes: &[u8]) -> Option<Command> {
        serde_json::from_slice(bytes).ok()
    }

    /// Writes it.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a command is numbers and text under names")
    }
}
