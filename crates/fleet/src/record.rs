//! The record of a breaker: the state that a fleet agrees on.
//!
//! Records are JSON with short names, which the server's script reads as well. Fields added by a newer version are
//! preserved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::change::NODES_MAX;

/// The schema of the records written here. Records of a later schema are left unchanged.
pub const SCHEMA: u32 = 1;

/// The upper bound of all numbers in a record, exclusive. The server's Lua does not print larger numbers exactly.
pub const NUMBER_END: u64 = 100_000_000_000_000;

/// The most bytes in a record. Longer data was not written by a fleet.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// The most rules with counts in a record, and the most numbers for one rule.
const RULES_MAX: usize = 64;
const COUNTS_MAX: usize = 128;

/// Identifies a state of a fleet's breaker. The term grows with every change of state, lease and hold; the epoch grows
/// when a lost record is restored. `since` distinguishes different states with the same numbers, which the halves of a
/// split store may create.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Version {
    /// Number of times the record was lost and restored.
    #[serde(rename = "e")]
    pub epoch: u64,
    /// Number of changes of state, lease and hold.
    #[serde(rename = "t")]
    pub term: u64,
    /// The start of the term, in milliseconds on the server's clock.
    #[serde(rename = "since")]
    pub since: u64,
}

impl Version {
    /// The part that only grows: epoch and term.
    pub fn number(self) -> (u64, u64) {
        (self.epoch, self.term)
    }

    /// True if this is the last possible epoch. No fleet reaches it, so the record was written by something else, and
    /// later records count although their numbers are lower.
    pub(crate) fn is_the_last(self) -> bool {
        self.epoch + 1 >= NUMBER_END
    }

    /// Advances to the next term; after the last term to the next epoch.
    pub(crate) fn step(&mut self) {
        self.term += 1;
        if self.term >= NUMBER_END {
            self.term = 0;
            self.step_epoch();
        }
    }

    /// Advances to the next epoch; after the last one to the first.
    pub(crate) fn step_epoch(&mut self) {
        self.epoch += 1;
        if self.epoch >= NUMBER_END {
            self.epoch = 0;
        }
    }
}

/// The state of a fleet's breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls pass, except at a node that has tripped on its own evidence and was outvoted.
    #[default]
    Closed,
    /// Calls are rejected until the cooldown ends.
    Open,
    /// The node with the lease sends probes.
    HalfOpen,
}

/// The shared state of one breaker. Times are in milliseconds on the server's clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The schema, [`SCHEMA`].
    #[serde(rename = "v")]
    pub schema: u32,
    /// The version of the state.
    #[serde(flatten)]
    pub version: Version,
    /// The number of the last write.
    #[serde(rename = "r")]
    pub revision: u64,
    /// The time of the last write.
    pub at: u64,
    /// The breaker's state.
    #[serde(rename = "s")]
    pub state: State,
    /// The end of the last cooldown; 0 before the first.
    #[serde(rename = "u")]
    pub until: u64,
    /// Trips since the breaker was last closed.
    #[serde(rename = "a")]
    pub attempts: u32,
    /// The reason of the last opening or closing, as text.
    #[serde(default)]
    pub why: String,
    /// The node or operator behind the last opening or closing.
    #[serde(default)]
    pub by: String,
    /// True if an operator closed the breaker.
    #[serde(rename = "ops", default, skip_serializing_if = "std::ops::Not::not")]
    pub by_operator: bool,
    /// The nodes that have tripped, each with the end of its own cooldown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub votes: BTreeMap<String, u64>,
    /// The last batch of each node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last: BTreeMap<String, LastBatch>,
    /// Counts of each shared rule, by the rule's index: pairs of a start time and a number of failures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, Vec<u64>>,
    /// The lease to probe, present exactly while half-open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The latest request of another node for the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub want: Option<Want>,
    /// An operator's fleet-wide hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<FleetHold>,
    /// The last operator's command that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<Stamp>,
    /// The origin of a restored record, until its next change of state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew: Option<Anew>,
    /// Fields written by a newer version.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Identifies one command of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The name of the node.
    #[serde(rename = "n")]
    pub node: String,
    /// The identifier of the process, different after every start.
    #[serde(rename = "i")]
    pub incarnation: String,
    /// The sequence number of the command, which grows within a process.
    #[serde(rename = "q")]
    pub sequence: u64,
}

/// The last batch of a node that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBatch {
    /// The identifier of the process.
    #[serde(rename = "i")]
    pub incarnation: String,
    /// The sequence number of the batch.
    #[serde(rename = "q")]
    pub sequence: u64,
    /// The time at which it was counted.
    pub at: u64,
}

/// The origin of a restored record: the newest version from before the loss that went into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anew {
    /// The epoch of that version.
    #[serde(rename = "e")]
    pub epoch: u64,
    /// The term of that version.
    #[serde(rename = "t")]
    pub term: u64,
    /// The first epoch after the loss.
    #[serde(rename = "f")]
    pub first: u64,
}

/// The permission for one node to probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The node that holds the lease.
    #[serde(rename = "n")]
    pub node: String,
    /// The identifier of the process; empty if the record was lost and restored, so that no process leads by it.
    #[serde(rename = "i")]
    pub incarnation: String,
    /// The end of the lease, unless renewed.
    pub ends: u64,
    /// The start of the lease.
    pub since: u64,
}

/// A request for the lease while another node holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The node that asked.
    #[serde(rename = "n")]
    pub node: String,
    /// The time of its last request.
    pub at: u64,
}

/// An operator's fleet-wide hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetHold {
    /// True if held open, false if held closed.
    pub open: bool,
    /// The end of the hold, or `None` until it is released.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The operator's reason.
    pub why: String,
    /// The operator's name.
    pub by: String,
}

impl Record {
    /// The initial record of a breaker, before any write.
    pub fn fresh() -> Record {
        Record {
            schema: SCHEMA,
            ..Record::default()
        }
    }

    /// Parses a record. Returns `None` if it is damaged, has another schema, or cannot have been written by a fleet.
    pub fn read(bytes: &[u8]) -> Option<Record> {
        if bytes.len() > RECORD_BYTES_MAX {
            return None;
        }
        let record: Record = serde_json::from_slice(bytes).ok()?;
        (record.schema == SCHEMA && record.is_sound()).then_some(record)
    }

    /// Checks that all numbers are exact and all lists within their limits.
    fn is_sound(&self) -> bool {
        let Version { epoch, term, since } = self.version;
        let mut numbers = vec![epoch, term, since, self.revision, self.at, self.until];
        numbers.extend(self.votes.values());
        numbers.extend(self.last.values().flat_map(|it| [it.sequence, it.at]));
        numbers.extend(self.counts.values().flatten());
        numbers.extend(self.lease.iter().flat_map(|it| [it.ends, it.since]));
        numbers.extend(self.want.iter().map(|it| it.at));
        numbers.extend(self.hold.iter().filter_map(|it| it.until));
        numbers.extend(self.word.iter().map(|it| it.sequence));
        numbers.extend(
            self.anew
                .iter()
                .flat_map(|it| [it.epoch, it.term, it.first]),
        );
        // A lease exists exactly while the breaker is half-open.
        self.lease.is_some() == (self.state == State::HalfOpen)
            && self.votes.len() <= NODES_MAX
            && self.last.len() <= NODES_MAX
            && self.counts.len() <= RULES_MAX
            && self
                .counts
                .values()
                .all(|counts| counts.len() <= COUNTS_MAX)
            && numbers.iter().all(|number| *number < NUMBER_END)
    }

    /// Encodes the record as JSON.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record is numbers and text under names")
    }

    /// True if the record was lost and restored by a node that did not know the version `seen`. To a node that has seen
    /// it, the record still counts as lost.
    pub fn is_made_without(&self, seen: Version) -> bool {
        self.anew
            .is_some_and(|anew| seen.epoch < anew.first && seen.number() > (anew.epoch, anew.term))
    }

    /// The fleet's failure count for a rule at the time `now`. The rule is given by its index and its time window in
    /// milliseconds (0 for no limit).
    pub fn counted(&self, rule: usize, within: u64, now: u64) -> u64 {
        let pairs = self.counts.get(&rule.to_string());
        let pairs = pairs.into_iter().flat_map(|flat| flat.chunks_exact(2));
        pairs
            .filter(|pair| within == 0 || now < pair[0].saturating_add(within))
            .map(|pair| pair[1])
            .sum()
    }
}
