//! The effect of each command on a record: the complete protocol from the store's point of view.
//!
//! The store runs [`LUA`]. [`change`] does the same in Rust, as the reference and for stores in memory. All times are
//! the server's.

use crate::command::{Act, Command, CountRule};
use crate::record::{
    Anew, FleetHold, LastBatch, Lease, NUMBER_END, RECORD_BYTES_MAX, Record, SCHEMA, State, Want,
};

/// The Lua version of [`change`]: the body of a function of `record`, `args` and `now`. The second argument is the
/// poison.
pub const LUA: &str = include_str!("change.lua");

/// The most nodes with a vote, and with a last batch, in one record. The oldest entries are dropped first.
pub const NODES_MAX: usize = 256;

/// The lifetime of a node's last batch, in milliseconds. No command is under way for that long.
const LAST_BATCH_LIFETIME: u64 = 60_000;

/// The lifetime of a record after its last write and its last deadline, in milliseconds: a week.
const RECORD_LIFETIME: u64 = 7 * 24 * 3_600_000;

/// Number of parts into which a rule's time window is divided, to keep the record small.
const PARTS: u64 = 32;

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The record's bytes.
    pub record: Vec<u8>,
    /// The record's time to live, in milliseconds.
    pub live_for: u64,
    /// True to push the record to all nodes.
    pub push: bool,
}

/// Applies a command at the time `now`. Returns `None` if the command changes nothing.
///
/// A damaged record counts as absent, and so does one that equals `poison`: bytes that the sender found there and
/// rejected as implausible. A record of a later schema is left unchanged, and so is any record if the command cannot be
/// parsed.
pub fn change(
    record: Option<&[u8]>,
    command: &[u8],
    poison: Option<&[u8]>,
    now: u64,
) -> Option<Rewritten> {
    let command = Command::read(command)?;
    let (mut record, damaged) = match record.map(|bytes| (bytes, Record::read(bytes))) {
        None => (Record::fresh(), false),
        Some((bytes, _)) if poison == Some(bytes) => (Record::fresh(), true),
        Some((_, Some(record))) => (record, false),
        Some((bytes, None)) if is_of_later_schema(bytes) => return None,
        Some((_, None)) => (Record::fresh(), true),
    };
    record.expire(now);
    let push = record.apply(&command, damaged, now)?;
    record.revision += 1;
    if record.revision >= NUMBER_END {
        record.revision = 1;
    }
    record.at = now;
    let hold = record.hold.as_ref().and_then(|hold| hold.until);
    let last = record.until.max(hold.unwrap_or(0)).saturating_sub(now);
    Some(Rewritten {
        record: record.write(),
        live_for: RECORD_LIFETIME + last,
        push,
    })
}

/// True if the bytes are a record of a later version of this program.
pub(crate) fn is_of_later_schema(bytes: &[u8]) -> bool {
    if bytes.len() > RECORD_BYTES_MAX {
        return false;
    }
    let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let schema = value.as_ref().and_then(|value| value.get("v")?.as_f64());
    schema.is_some_and(|schema| {
        schema.fract() == 0.0 && schema > f64::from(SCHEMA) && schema < NUMBER_END as f64
    })
}

impl Record {
    /// Applies the passage of time: removes ended holds, votes and remembered batches.
    pub(crate) fn expire(&mut self, now: u64) {
        if let Some(until) = self.hold.as_ref().and_then(|hold| hold.until)
            && now >= until
        {
            self.end_hold(until);
        }
        self.votes.retain(|_, ends| now < *ends);
        self.last
            .retain(|_, last| now < last.at + LAST_BATCH_LIFETIME);
    }

    /// Carries out a command. Returns true to push the record to all nodes, or `None` if nothing changed. `damaged`
    /// is true if other bytes lay in the record's place.
    fn apply(&mut self, command: &Command, damaged: bool, now: u64) -> Option<bool> {
        let from = &command.from;
        let (about, number) = (command.about, self.version.number());
        if command.act.is_word() {
            if self.word.as_ref() == Some(from) {
                return None;
            }
            if about.number() > number {
                self.version = about;
                self.version.step_epoch();
            }
        } else if matches!(command.act, Act::Assert { .. }) {
            let older = about.number() < number && !self.is_made_without(about);
            if older || (about == self.version && !damaged) {
                return None;
            }
        } else if about != self.version || self.hold.is_some() {
            return None;
        }
        match &command.act {
            Act::Trip {
                cooldown,
                attempts,
                why,
                quorum,
            } => {
                if self.state != State::Closed {
                    return None;
                }
                make_room(&mut self.votes, &from.node, |ends| *ends);
                self.votes.insert(from.node.clone(), now + cooldown);
                if (self.votes.len() as u64) < u64::from(*quorum) {
                    return Some(false);
                }
                self.open(now + cooldown, *attempts, why, &from.node, now);
                Some(true)
            }
            Act::Batch {
                had_success,
                row,
                failures,
                rules,
                cooldown,
            } => {
                if self.state != State::Closed {
                    return None;
                }
                let repeated = self.last.get(&from.node).is_some_and(|last| {
                    last.incarnation == from.incarnation && from.sequence <= last.sequence
                });
                if repeated {
                    return None;
                }
                make_room(&mut self.last, &from.node, |last| last.at);
                let last = LastBatch {
                    incarnation: from.incarnation.clone(),
                    sequence: from.sequence,
                    at: now,
                };
                self.last.insert(from.node.clone(), last);
                let (mut before, mut after, mut met) = (0, 0, None);
                for (number, rule) in rules.iter().enumerate() {
                    let added = if rule.row { *row } else { *failures };
                    let (old, new) = self.count(number, rule, *had_success, added, now);
                    if rule.row {
                        (before, after) = (before + old, after + new);
                    }
                    if new >= rule.threshold && met.is_none() {
                        met = Some((new, rule));
                    }
                }
                let Some((counted, rule)) = met else {
                    return Some((before > 0) != (after > 0));
                };
                let what = if rule.row {
                    "consecutive failures"
                } else {
                    "failures"
                };
                let why = format!(
                    "{counted} {what} over the fleet, the limit is {}",
                    rule.threshold
                );
                let attempts = self.attempts.saturating_add(1);
                self.open(now + cooldown, attempts, &why, &from.node, now);
                Some(true)
            }
            Act::Lease { span, used } => {
                let mine = self.lease.as_ref().is_some_and(|lease| {
                    lease.node == from.node && lease.incarnation == from.incarnation
                });
                match (self.state, &mut self.lease) {
                    (State::Closed, _) => None,
                    (State::Open, _) if now < self.until => None,
                    (State::HalfOpen, Some(lease)) if now < lease.ends && mine => {
                        let wanted = self
                            .want
                            .as_ref()
                            .is_some_and(|want| want.node != from.node && now < want.at + span);
                        if wanted && !used && now >= lease.since + span {
                            return None;
                        }
                        lease.ends = now + span;
                        Some(false)
                    }
                    (State::HalfOpen, Some(lease)) if now < lease.ends => {
                        self.want = Some(Want {
                            node: from.node.clone(),
                            at: now,
                        });
                        Some(false)
                    }
                    // A cooldown never ends early, whichever node wants the lease.
                    (State::HalfOpen, _) if now < self.until => None,
                    (State::Open | State::HalfOpen, _) => {
                        self.begin(now);
                        self.state = State::HalfOpen;
                        self.lease = Some(Lease {
                            node: from.node.clone(),
                            incarnation: from.incarnation.clone(),
                            ends: now + span,
                            since: now,
                        });
                        Some(true)
                    }
                }
            }
            Act::Close { .. } | Act::Reopen { .. } if !self.is_led_by(command, now) => None,
            Act::Close { why } => {
                self.close(why, &from.node, now);
                Some(true)
            }
            Act::Reopen {
                cooldown,
                attempts,
                why,
            } => {
                self.open(now + cooldown, *attempts, why, &from.node, now);
                Some(true)
            }
            Act::Assert {
                open_for,
                led,
                attempts,
                why,
                by,
                hold,
            } => {
                let left = |until: u64| until.max(now);
                let mine = open_for.map(|span| now + span);
                let theirs = (self.state != State::Closed).then(|| left(self.until));
                let until = mine.max(theirs);
                // A node that held the lease before the loss may still be probing: the lease cannot be renewed, and no
                // node leads before it ends.
                let lost = |node: &String, ends| Lease {
                    node: node.clone(),
                    incarnation: String::new(),
                    ends,
                    since: now,
                };
                let ours = led.iter().map(|led| lost(&led.node, now + led.span));
                let found = self.lease.iter().map(|lease| lost(&lease.node, lease.ends));
                let lease = found.chain(ours).max_by_key(|lease| lease.ends);
                if mine.is_some() || theirs.is_none() {
                    (self.why, self.by) = (why.clone(), by.clone());
                }
                self.attempts = self.attempts.max(*attempts);
                let votes = std::mem::take(&mut self.votes);
                let known = self.anew.filter(|_| about.number() < number);
                self.version.epoch = self.version.epoch.max(about.epoch);
                self.version.term = self.version.term.max(about.term);
                self.begin(now);
                self.version.step_epoch();
                self.anew = Some(Anew {
                    epoch: about.epoch,
                    term: about.term,
                    first: known.map_or(self.version.epoch, |known| known.first),
                });
                if self.hold.is_none() {
                    self.hold = hold.clone();
                }
                self.state = match until {
                    Some(until) => {
                        self.until = until;
                        let free = self.hold.is_none();
                        self.lease = lease.filter(|lease| free && lease.ends > until);
                        match self.lease {
                            Some(_) => State::HalfOpen,
                            None => State::Open,
                        }
                    }
                    None => {
                        self.votes = votes;
                        State::Closed
                    }
                };
                Some(true)
            }
            Act::Hold {
                open,
                span,
                why,
                by,
            } => {
                if self.state == State::HalfOpen {
                    (self.state, self.until) = (State::Open, now);
                }
                self.begin(now);
                self.hold = Some(FleetHold {
                    open: *open,
                    until: span.map(|span| now + span),
                    why: why.clone(),
                    by: by.clone(),
                });
                self.word = Some(from.clone());
                Some(true)
            }
            Act::Release { .. } => {
                self.hold.as_ref()?;
                self.begin(now);
                self.end_hold(now);
                self.word = Some(from.clone());
                Some(true)
            }
            Act::Reset { by } => {
                self.hold = None;
                self.close("reset by an operator", by, now);
                self.by_operator = true;
                self.word = Some(from.clone());
                Some(true)
            }
        }
    }

    fn is_led_by(&self, command: &Command, now: u64) -> bool {
        self.state == State::HalfOpen
            && self.lease.as_ref().is_some_and(|lease| {
                lease.node == command.from.node
                    && lease.incarnation == command.from.incarnation
                    && now <= lease.ends
            })
    }

    /// Adds failures to a rule's count, and returns the count before and after.
    fn count(
        &mut self,
        number: usize,
        rule: &CountRule,
        had_success: bool,
        added: u64,
        now: u64,
    ) -> (u64, u64) {
        let key = number.to_string();
        let mut pairs = self.counts.remove(&key).unwrap_or_default();
        let counts = |at: u64| rule.within == 0 || now < at + rule.within;
        let recent = pairs.chunks_exact(2).filter(|pair| counts(pair[0]));
        pairs = recent.flatten().copied().collect();
        let sum = |pairs: &[u64]| pairs.iter().skip(1).step_by(2).sum::<u64>();
        let before = sum(&pairs);
        if rule.row && had_success {
            pairs.clear();
        }
        if added > 0 {
            let part = (rule.within / PARTS).max(1);
            let newest = pairs.len().checked_sub(2);
            match newest {
                Some(newest) if rule.within == 0 || now < pairs[newest] + part => {
                    pairs[newest + 1] += added;
                }
                _ => pairs.extend([now, added]),
            }
        }
        let after = sum(&pairs);
        if !pairs.is_empty() {
            self.counts.insert(key, pairs);
        }
        (before, after)
    }

    fn open(&mut self, until: u64, attempts: u32, why: &str, by: &str, now: u64) {
        self.begin(now);
        self.state = State::Open;
        self.until = until;
        self.attempts = attempts;
        self.why = why.to_owned();
        self.by = by.to_owned();
    }

    fn close(&mut self, why: &str, by: &str, now: u64) {
        self.begin(now);
        self.state = State::Closed;
        self.attempts = 0;
        self.why = why.to_owned();
        self.by = by.to_owned();
    }

    /// Begins a term, and clears everything that belonged to the previous one.
    fn begin(&mut self, now: u64) {
        self.version.step();
        self.version.since = now;
        self.by_operator = false;
        self.anew = None;
        self.votes.clear();
        self.last.clear();
        self.counts.clear();
        self.lease = None;
        self.want = None;
    }

    fn end_hold(&mut self, at: u64) {
        let Some(hold) = self.hold.take() else {
            return;
        };
        if hold.open {
            (self.state, self.until) = (State::Open, at);
        } else {
            self.state = State::Closed;
            self.attempts = 0;
        }
    }
}

/// Makes room for one more node, by removing the oldest entries.
fn make_room<T>(
    nodes: &mut std::collections::BTreeMap<String, T>,
    node: &str,
    age: impl Fn(&T) -> u64,
) {
    while nodes.len() >= NODES_MAX && !nodes.contains_key(node) {
        let oldest = nodes.iter().min_by_key(|(name, entry)| (age(entry), *name));
        let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
            return;
        };
        nodes.remove(&oldest);
    }
}
