//! Reading of records: all of them once in a round, in case pushes were lost, and the evaluation of what was read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::io::{Key, Local, News, Output};
use super::poison::Judgement;
use super::{Node, READ_KEYS, ROUND, TRY_AGAIN, is_closed, version_of};
use crate::record::{Record, State};

/// The time within which a lost record without information is restored, by the first node to do so.
const ASSERT_WITHIN: Duration = Duration::from_millis(500);

/// The origin of a record's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Read on request: the bytes were stored at some time since the request; `server` is the server's time.
    Read { server: u64 },
    /// Pushed, at an unknown time.
    Push,
}

#[derive(Debug)]
pub(super) struct Reading {
    /// The time of the next read of all records.
    round_at: Timestamp,
    /// Records to be read before that.
    wanted: BTreeSet<Key>,
    /// The time of that earlier read.
    wanted_at: Timestamp,
    under_way: BTreeMap<u64, Vec<Key>>,
}

impl Reading {
    pub fn new(first: Timestamp) -> Self {
        Reading {
            round_at: first,
            wanted: BTreeSet::new(),
            wanted_at: Timestamp::ZERO,
            under_way: BTreeMap::new(),
        }
    }

    pub fn want(&mut self, key: Key, now: Timestamp) {
        self.wanted.insert(key);
        self.wanted_at = now;
    }

    /// Requests an early read of a record, but not before `at`.
    pub fn want_by(&mut self, key: Key, at: Timestamp) {
        self.wanted_at = match self.wanted.is_empty() {
            true => at,
            false => self.wanted_at.min(at),
        };
        self.wanted.insert(key);
    }

    pub fn want_all<'a>(&mut self, keys: impl Iterator<Item = &'a Key>, now: Timestamp) {
        self.wanted.extend(keys.cloned());
        self.wanted_at = now;
    }

    pub fn answered(&mut self, id: u64) -> Vec<Key> {
        self.under_way.remove(&id).unwrap_or_default()
    }

    pub fn failed(&mut self, id: u64, now: Timestamp) {
        if let Some(keys) = self.under_way.remove(&id) {
            self.wanted.extend(keys);
        }
        self.wanted_at = now + TRY_AGAIN;
        self.round_at = self.round_at.max(self.wanted_at);
    }

    pub fn next_at(&self, fails: bool) -> Timestamp {
        if fails && !self.under_way.is_empty() {
            // The answer or the failure of the present read comes first.
            return Timestamp::MAX;
        }
        match self.wanted.is_empty() {
            true => self.round_at,
            false => self.round_at.min(self.wanted_at),
        }
    }
}

impl Node {
    pub(super) fn read_if_due(&mut self, now: Timestamp) {
        let fails = self.health.fails();
        if now < self.reading.next_at(fails) {
            return;
        }
        if fails {
            // One short read, or a command without effect, tests the store; reading everything may prevent its
            // recovery.
            self.reading.round_at = now + TRY_AGAIN;
            self.reading.wanted_at = now + TRY_AGAIN;
            let known = self.members.iter().find(|(_, member)| member.known);
            match known.map(|(key, _)| key.clone()) {
                Some(key) if self.health.fails_at_commands() => self.try_command(&key, now),
                _ => {
                    let first = self.members.keys().next().cloned();
                    first.into_iter().for_each(|key| self.read(vec![key], now));
                }
            }
            return;
        }
        if now >= self.reading.round_at {
            let jitter = ROUND.mul_f64(0.1 * self.random.f64());
            self.reading.round_at = now + (ROUND - jitter);
            // A read without an answer yet is not repeated.
            if self.reading.under_way.is_empty() {
                self.reading.want_all(self.members.keys(), now);
            }
        }
        let mut wanted = std::mem::take(&mut self.reading.wanted).into_iter();
        loop {
            let keys = wanted.by_ref().filter(|key| self.members.contains_key(key));
            let keys: Vec<Key> = keys.take(READ_KEYS).collect();
            if keys.is_empty() {
                return;
            }
            self.read(keys, now);
        }
    }

    fn read(&mut self, keys: Vec<Key>, now: Timestamp) {
        let id = self.id(now);
        self.counters.reads += 1;
        self.reading.under_way.insert(id, keys.clone());
        self.outputs.push_back(Output::Read { id, keys });
    }

    /// Tests the store with a command: an assertion of the record, which changes it only if the store has lost it.
    fn try_command(&mut self, key: &Key, now: Timestamp) {
        let id = self.send_assertion(key, now);
        self.reading.under_way.insert(id, Vec::new());
    }

    /// Evaluates a record, or its absence.
    pub(super) fn observe(
        &mut self,
        key: &Key,
        bytes: Option<&[u8]>,
        source: Source,
        now: Timestamp,
    ) {
        let server = match source {
            Source::Read { server } => Some(server),
            // Before the first answer the server's time is unknown, so a push cannot be judged.
            Source::Push if self.server_time.at(now).is_none() => return,
            Source::Push => self.server_time.at(now),
        };
        let read = match bytes.map(|bytes| self.judge(key, bytes, server)) {
            None => None,
            Some(Judgement::Sound(record)) => Some(*record),
            Some(Judgement::LaterSchema) => {
                self.counters.unreadable += 1;
                return self.handle_later_schema(key, now);
            }
            Some(Judgement::Poison { why, opening }) => {
                self.counters.unreadable += 1;
                if let (Source::Read { .. }, Some(bytes)) = (source, bytes) {
                    self.handle_poison(key, bytes, why, opening, now);
                }
                // The origin of a push is uncertain; the stored bytes are read within a round.
                return;
            }
        };
        if let Some(record) = &read
            && source == Source::Push
        {
            self.server_time.learn_at_least(record.at, now);
        }
        let within = ASSERT_WITHIN.mul_f64(self.random.f64());
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        if source != Source::Push {
            let again = member.clear_poison(now);
            again
                .into_iter()
                .for_each(|at| self.reading.want_by(key.clone(), at));
        }
        let (old, new) = (version_of(member.seen.as_ref()), version_of(read.as_ref()));
        // A fleet that was open or held is not closed by a node that did not know of that.
        let told = member
            .seen
            .as_ref()
            .is_some_and(|seen| seen.state != State::Closed || seen.hold.is_some());
        let unaware = told && read.as_ref().is_some_and(|read| read.is_made_without(old));
        let newer = (new.number() > old.number() && !unaware)
            || (old.is_the_last() && new != old && source != Source::Push);
        let same = new == old;
        if newer || same {
            let revision = |record: Option<&Record>| record.map_or(0, |record| record.revision);
            let at = |record: Option<&Record>| record.map_or(0, |record| record.at);
            // A late record has both a lower revision and an earlier time. A record that was lost before it had any
            // information begins again with the same version and a lower revision, but at a later time.
            let late = revision(read.as_ref()) < revision(member.seen.as_ref())
                && at(read.as_ref()) <= at(member.seen.as_ref());
            if newer || !late {
                member.seen = read;
            }
            member.lost = None;
            member.known = true;
        } else if source == Source::Push {
            if unaware {
                self.reading.want(key.clone(), now);
            }
        } else {
            // Less than has been seen, or something else of the same version: the stored record is not adopted.
            if member.lost.is_none() {
                // A restoration without effect on any breaker can wait; a record that describes an ended opening does
                // harm.
                let harmless = is_closed(member.seen.as_ref())
                    && is_closed(read.as_ref())
                    && member.local == Local::Closed;
                member.lost = Some(if harmless { now + within } else { now });
                let key = key.clone();
                self.report(News::RecordLost { key });
            }
            if let Some(member) = self.members.get_mut(key) {
                member.known = true;
            }
        }
    }

    /// The time to restore a record that is lost or was never valid: at once if it differs from local knowledge,
    /// otherwise after a random delay, so that one node acts for all.
    pub(super) fn draw_assertion(&mut self, key: &Key, now: Timestamp) -> Timestamp {
        let within = ASSERT_WITHIN.mul_f64(self.random.f64());
        let member = self.members.get(key);
        let harmless = member
            .is_some_and(|member| is_closed(member.seen.as_ref()) && member.local == Local::Closed);
        if harmless { now + within } else { now }
    }
}
