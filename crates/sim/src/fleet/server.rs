//! The store: records, changed one command after the other on a clock of its own; with a copy that lags behind.

use fusebox_fleet::protocol::{Command, Key, Lease, Record, State, Version};

use super::MS;
use super::rules::Rules;
use super::tally::{Ruling, Tally};

/// What its clock shows at the start of a run, in milliseconds.
const START: u64 = 1_700_000_000_000;

/// How long the past is kept that a copy may lag behind.
const PAST: u64 = 2_000 * MS;

/// One store.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub state: Serving,
    /// Grows when it loses something: leases of before bind nobody of after.
    pub history: u32,
    /// How much its clock is ahead, in milliseconds.
    pub skew: i64,
    records: Vec<Kept>,
    /// What records were, with the time until which they were so, the oldest first.
    past: std::collections::VecDeque<(u64, usize, Kept)>,
}

/// Whether it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serving {
    Yes,
    /// It refuses connections.
    Refuses,
    /// It says nothing.
    Silent,
}

/// A record as it is kept, with the moment of the run at which its term began.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub bytes: Option<Vec<u8>>,
    pub record: Option<Record>,
    pub began: u64,
    /// Whether what lies there is a record that somebody else wrote, and so counts nothing.
    pub poisoned: bool,
    /// What it ought to have counted since.
    pub tally: Tally,
}

/// What a command did.
pub(super) struct Done {
    pub before: Kept,
    pub changed: bool,
    pub push: bool,
    /// The time that it was told.
    pub time: u64,
    /// Whether it ought to have opened the record, where it is a batch of failures.
    pub ruling: Option<Ruling>,
}

impl Server {
    pub fn new(keys: usize) -> Self {
        Server {
            state: Serving::Yes,
            history: 0,
            skew: 0,
            records: vec![Kept::default(); keys],
            past: std::collections::VecDeque::new(),
        }
    }

    /// What its clock shows.
    pub fn time(&self, now: u64) -> u64 {
        (START + now / MS).saturating_add_signed(self.skew)
    }

    pub fn kept(&self, key: usize) -> &Kept {
        &self.records[key]
    }

    /// Carries out a command.
    pub fn apply(
        &mut self,
        key: usize,
        command: &Command,
        poison: Option<&[u8]>,
        now: u64,
        rules: &mut dyn Rules,
    ) -> Done {
        let time = self.time(now);
        let before = self.records[key].clone();
        let ruling = self.records[key].count(command, time);
        let rewritten = rules.change(before.bytes.as_deref(), command, poison, time);
        let (changed, push) = match &rewritten {
            Some(rewritten) => (true, rewritten.push),
            None => (false, false),
        };
        if let Some(rewritten) = rewritten {
            let record = Record::read(&rewritten.record);
            let version = |record: &Option<Record>| match record {
                Some(record) => record.version,
                None => Version::default(),
            };
            let (began, tally) = match version(&record) == version(&before.record) {
                true => (before.began, self.records[key].tally.clone()),
                false => (now, Tally::default()),
            };
            self.past.push_back((now, key, before.clone()));
            while self
                .past
                .front()
                .is_some_and(|(until, ..)| until + PAST < now)
            {
                self.past.pop_front();
            }
            self.records[key] = Kept {
                bytes: Some(rewritten.record),
                record,
                began,
                poisoned: false,
                tally,
            };
        }
        Done {
            before,
            changed,
            push,
            time,
            ruling,
        }
    }

    /// What the records under these keys are.
    pub fn read(&self, keys: &[Key], names: &[Key]) -> Vec<Option<Vec<u8>>> {
        let index = |key: &Key| names.iter().position(|name| name == key);
        let read = |key: &Key| index(key).and_then(|key| self.records[key].bytes.clone());
        keys.iter().map(read).collect()
    }

    /// Forgets everything.
    pub fn flush(&mut self, now: u64) {
        self.history += 1;
        self.past.clear();
        let blank = Kept {
            began: now,
            ..Kept::default()
        };
        self.records.fill(blank);
    }

    /// Has all its records written over by somebody who is no fleet.
    pub fn poison(&mut self, kind: u8, now: u64) {
        self.history += 1;
        self.past.clear();
        let time = self.time(now);
        self.records.fill(Kept {
            bytes: Some(poison(kind, time)),
            began: now,
            poisoned: can_be_read(kind),
            ..Kept::default()
        });
    }

    /// Becomes what it was so long ago, as a copy that lags behind does when it takes over.
    pub fn fall_back(&mut self, lag: u64, now: u64) {
        self.history += 1;
        let then = now.saturating_sub(lag);
        while let Some((until, key, kept)) = self.past.pop_back() {
            if until <= then {
                break;
            }
            self.records[key] = kept;
        }
        self.past.clear();
    }
}

/// Whether what somebody else writes is a record, though none that is believed.
fn can_be_read(kind: u8) -> bool {
    matches!(kind % 8, 4 | 5 | 7)
}

/// What somebody else writes at this time of the server: nothing that can be read, or a record that no breaker believes.
fn poison(kind: u8, time: u64) -> Vec<u8> {
    let far = time + 1_000_000_000;
    let mut record = Record {
        version: Version {
            epoch: 3,
            term: 1_000,
            since: time,
        },
        state: State::Open,
        until: far,
        at: time,
        revision: 1_000,
        ..Record::fresh()
    };
    match kind % 8 {
        0 => return b"poison".to_vec(),
        1 => return Vec::new(),
        2 => record.version.term = 1 << 53,
        3 => record.version.epoch = u64::MAX,
        4 => {
            record.state = State::HalfOpen;
            record.until = time;
            record.lease = Some(Lease {
                node: "somebody".to_owned(),
                incarnation: "else".to_owned(),
                ends: far,
                since: time,
            });
        }
        5 => {}
        6 => {
            record.state = State::HalfOpen;
            record.until = time;
        }
        // Longer than any cooldown of a plot, and not than one with a lease.
        _ => record.until = time + 10_000,
    }
    record.write()
}

impl Kept {
    /// Counts a batch that is about the record as it is.
    fn count(&mut self, command: &Command, time: u64) -> Option<Ruling> {
        if self.poisoned {
            return None;
        }
        let record = self.record.as_ref();
        let version = record.map_or(Version::default(), |record| record.version);
        let closed = record.is_none_or(|record| record.state == State::Closed);
        (closed && command.about == version)
            .then(|| self.tally.take(&command.from, &command.act, time))?
    }
}
