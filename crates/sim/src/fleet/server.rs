//! The simulated store: records, changed by one command after another on the store's own clock, with a lagging replica.

use fusebox_fleet::protocol::{Command, Key, Lease, Record, State, Version};

use super::MS;
use super::rules::Rules;
use super::tally::{Ruling, Tally};

/// The time of the store's clock at the start of a run, in milliseconds.
const START: u64 = 1_700_000_000_000;

/// The retention of earlier records, which bounds the lag of a replica.
const RETENTION: u64 = 2_000 * MS;

/// A simulated store.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub state: Availability,
    /// Incremented when the store loses data: leases of an earlier history are void.
    pub history: u32,
    /// The offset of the store's clock, in milliseconds.
    pub skew: i64,
    records: Vec<StoredRecord>,
    /// Earlier records, each with the time until which it was valid, the oldest first.
    past: std::collections::VecDeque<(u64, usize, StoredRecord)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    Up,
    /// Connections are rejected.
    Refusing,
    /// Requests are not answered.
    Silent,
}

/// A stored record, with the start of its term in the time of the run.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredRecord {
    pub bytes: Option<Vec<u8>>,
    pub record: Option<Record>,
    pub began: u64,
    /// True if the record was written by a foreign client, so that it counts nothing.
    pub poisoned: bool,
    /// The counts expected in the record since its term began.
    pub tally: Tally,
}

pub(super) struct CommandEffect {
    pub before: StoredRecord,
    pub changed: bool,
    pub push: bool,
    /// The store's time when the command was carried out.
    pub time: u64,
    /// For a batch of failures, the expectation whether it opens the record.
    pub ruling: Option<Ruling>,
}

impl Server {
    pub fn new(keys: usize) -> Self {
        Server {
            state: Availability::Up,
            history: 0,
            skew: 0,
            records: vec![StoredRecord::default(); keys],
            past: std::collections::VecDeque::new(),
        }
    }

    /// The time that the store's clock shows.
    pub fn time(&self, now: u64) -> u64 {
        (START + now / MS).saturating_add_signed(self.skew)
    }

    pub fn record(&self, key: usize) -> &StoredRecord {
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
    ) -> CommandEffect {
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
                .is_some_and(|(until, ..)| until + RETENTION < now)
            {
                self.past.pop_front();
            }
            self.records[key] = StoredRecord {
                bytes: Some(rewritten.record),
                record,
                began,
                poisoned: false,
                tally,
            };
        }
        CommandEffect {
            before,
            changed,
            push,
            time,
            ruling,
        }
    }

    /// Reads the records under these keys.
    pub fn read(&self, keys: &[Key], names: &[Key]) -> Vec<Option<Vec<u8>>> {
        let index = |key: &Key| names.iter().position(|name| name == key);
        let read = |key: &Key| index(key).and_then(|key| self.records[key].bytes.clone());
        keys.iter().map(read).collect()
    }

    /// Removes all records.
    pub fn flush(&mut self, now: u64) {
        self.history += 1;
        self.past.clear();
        let blank = StoredRecord {
            began: now,
            ..StoredRecord::default()
        };
        self.records.fill(blank);
    }

    /// Overwrites all records, as a foreign client may.
    pub fn poison(&mut self, kind: u8, now: u64) {
        self.history += 1;
        self.past.clear();
        let time = self.time(now);
        self.records.fill(StoredRecord {
            bytes: Some(poison(kind, time)),
            began: now,
            poisoned: is_well_formed(kind),
            ..StoredRecord::default()
        });
    }

    /// Restores the records of an earlier time, as a failover to a lagging replica does.
    pub fn restore(&mut self, lag: u64, now: u64) {
        self.history += 1;
        let then = now.saturating_sub(lag);
        while let Some((until, key, record)) = self.past.pop_back() {
            if until <= then {
                break;
            }
            self.records[key] = record;
        }
        self.past.clear();
    }
}

/// True if this kind of foreign data is a well-formed, though implausible, record.
fn is_well_formed(kind: u8) -> bool {
    matches!(kind % 8, 4 | 5 | 7)
}

/// Data from a foreign client at this time of the server: unreadable, or a record that no breaker accepts.
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
                node: "stranger".to_owned(),
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
        // Longer than any cooldown of a plan, but not longer than a cooldown with a lease.
        _ => record.until = time + 10_000,
    }
    record.write()
}

impl StoredRecord {
    /// Counts a batch that is about the present version of the record.
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
