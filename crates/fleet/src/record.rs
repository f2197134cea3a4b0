//! The record of a breaker: all that a fleet agrees on about it.
//!
//! It is kept as JSON with short names, which the server's script reads as well. What a newer version adds is kept as
//! it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::change::NODES_MAX;

/// The schema of the records written here. A record of a later schema is not touched.
pub const SCHEMA: u32 = 1;

/// The end of a record's numbers: all are below it. The server's Lua writes larger ones with less than all their digits.
pub const NUMBER_END: u64 = 100_000_000_000_000;

/// The most bytes of a record. What is longer was not written by a fleet.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// How many rules a record counts by, and how many numbers it keeps for one of them.
const RULES_MAX: usize = 64;
const COUNTS_MAX: usize = 128;

/// A state of a breaker that a whole fleet is in. Terms grow with every change of state, lease and hold; epochs when a
/// record that was lost is made anew. `since` tells apart what two halves of a split store did under the same number.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Version {
    /// How often the record was lost and made anew.
    #[serde(rename = "e")]
    pub epoch: u64,
    /// How often the fleet changed its mind.
    #[serde(rename = "t")]
    pub term: u64,
    /// When the term began, in milliseconds on the server's clock.
    #[serde(rename = "since")]
    pub since: u64,
}

impl Version {
    /// What only grows.
    pub fn number(self) -> (u64, u64) {
        (self.epoch, self.term)
    }

    /// Whether no epoch comes after this one. No fleet lives for so long: somebody else wrote it, and what is found
    /// after it counts, although it is lower.
    pub(crate) fn is_the_last(self) -> bool {
        self.epoch + 1 >= NUMBER_END
    }

    /// Goes to the next term; past the last one to the next epoch.
    pub(crate) fn step(&mut self) {
        self.term += 1;
        if self.term >= NUMBER_END {
            self.term = 0;
            self.step_epoch();
        }
    }

    /// Goes to the next epoch; past the last one to the first.
    pub(crate) fn step_epoch(&mut self) {
        self.epoch += 1;
        if self.epoch >= NUMBER_END {
            self.epoch = 0;
        }
    }
}

/// The state that a record tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls pass, except at a node that is open by its own evidence and outvoted.
    #[default]
    Closed,
    /// Calls are refused until the cooldown ends.
    Open,
    /// The node with the lease probes.
    HalfOpen,
}

/// All that a fleet agrees on about one breaker. Times are milliseconds on the server's clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    #[serde(rename = "v")]
    pub schema: u32,
    /// Which state of the breaker this is.
    #[serde(flatten)]
    pub version: Version,
    /// Grows with every write.
    #[serde(rename = "r")]
    pub revision: u64,
    /// When it was written.
    pub at: u64,
    /// The state.
    #[serde(rename = "s")]
    pub state: State,
    /// The end of the last cooldown; 0 before the first.
    #[serde(rename = "u")]
    pub until: u64,
    /// Trips since the breaker was last closed.
    #[serde(rename = "a")]
    pub attempts: u32,
    /// Why it last opened or closed, in words.
    #[serde(default)]
    pub why: String,
    /// Who brought that about: a node, or an operator.
    #[serde(default)]
    pub by: String,
    /// Whether an operator closed it.
    #[serde(rename = "ops", default, skip_serializing_if = "is_false")]
    pub by_operator: bool,
    /// The nodes that have tripped, each with the end of its own cooldown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub votes: BTreeMap<String, u64>,
    /// The last batch of each node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last: BTreeMap<String, LastBatch>,
    /// For each rule that is counted together, by its number: pairs of a time and the failures from then on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, Vec<u64>>,
    /// Who may probe, while half-open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The last other node that wanted to probe meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub want: Option<Want>,
    /// An operator's hold over the whole fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<FleetHold>,
    /// The last word of an operator that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<Stamp>,
    /// Where the record was lost, and nothing has happened since it was made anew: what went into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew: Option<Anew>,
    /// What a newer version has written.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Which command of which process something was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The node's name.
    #[serde(rename = "n")]
    pub node: String,
    /// Which process of that name: another after every start.
    #[serde(rename = "i")]
    pub incarnation: String,
    /// Grows with every command of that process.
    #[serde(rename = "q")]
    pub sequence: u64,
}

/// The last batch of a node that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBatch {
    /// Which process of the node's name.
    #[serde(rename = "i")]
    pub incarnation: String,
    /// The batch's sequence.
    #[serde(rename = "q")]
    pub sequence: u64,
    /// When it was counted.
    pub at: u64,
}

/// What went into a record that was made anew: the newest state from before the loss, and all since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anew {
    /// The epoch of that state.
    #[serde(rename = "e")]
    pub epoch: u64,
    /// Its term.
    #[serde(rename = "t")]
    pub term: u64,
    /// The first epoch after the loss.
    #[serde(rename = "f")]
    pub first: u64,
}

/// Leave to probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The node that has it.
    #[serde(rename = "n")]
    pub node: String,
    /// Which process of that name; empty where the record was lost since, so that no process leads by it.
    #[serde(rename = "i")]
    pub incarnation: String,
    /// When it ends, unless it is renewed.
    pub ends: u64,
    /// When it was given.
    pub since: u64,
}

/// A node's wish to probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The node.
    #[serde(rename = "n")]
    pub node: String,
    /// When it last asked.
    pub at: u64,
}

/// An operator's hold over the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetHold {
    /// Whether it is held open, else closed.
    pub open: bool,
    /// When it ends by itself.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why.
    pub why: String,
    /// Who.
    pub by: String,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Record {
    /// The record of a breaker of which nothing is written.
    pub fn fresh() -> Record {
        Record {
            schema: SCHEMA,
            ..Record::default()
        }
    }

    /// Reads a record; none where it is damaged, of another schema, or no fleet can have written it.
    pub fn read(bytes: &[u8]) -> Option<Record> {
        if bytes.len() > RECORD_BYTES_MAX {
            return None;
        }
        let record: Record = serde_json::from_slice(bytes).ok()?;
        (record.schema == SCHEMA && record.is_sound()).then_some(record)
    }

    /// Whether all its numbers can be told exactly, and it holds no more and no less than a fleet writes.
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
        // Somebody probes while it is half-open, and nobody else.
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

    /// Writes it.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record is numbers and text under names")
    }

    /// Whether it was lost, and made anew by somebody who did not know of this state. To who does, it is lost still.
    pub fn is_made_without(&self, seen: Version) -> bool {
        self.anew
            .is_some_and(|anew| seen.epoch < anew.first && seen.number() > (anew.epoch, anew.term))
    }

    /// The failures that a rule counts at `now` over the fleet, the rule given by its number and how far it looks back
    /// (0: without end).
    pub fn counted(&self, rule: usize, within: u64, now: u64) -> u64 {
        let pairs = self.counts.get(&rule.to_string());
        let pairs = pairs.into_iter().flat_map(|flat| flat.chunks_exact(2));
        pairs
            .filter(|pair| within == 0 || now < pair[0].saturating_add(within))
            .map(|pair| pair[1])
            .sum()
    }
}
