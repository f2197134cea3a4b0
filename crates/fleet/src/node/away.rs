//! Reachability of the store, and the behaviour of a node during an outage.

use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::io::{Key, Local, News, Order};
use super::{AWAY_AFTER, Node, ROUND, TRY_AGAIN};

/// The reachability of the store, as a node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The store answers.
    Reachable,
    /// The store does not answer: the breakers of this node decide locally.
    Away {
        /// The start of the outage.
        since: Timestamp,
    },
}

impl Health {
    /// The name of the state: `reachable` or `away`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Reachable => "reachable",
            Health::Away { .. } => "away",
        }
    }
}

/// The largest extension of a cooldown in an outage, as a fraction, so that the nodes do not all probe at once.
const ALONE_EXTRA: f64 = 0.2;

#[derive(Debug)]
pub(super) struct StoreMonitor {
    state: Availability,
    answered_at: Timestamp,
}

#[derive(Debug, Clone, Copy)]
enum Availability {
    Good,
    /// The store has failed since then, but not for long enough to count as away.
    Failing {
        since: Timestamp,
        at: Operation,
    },
    Away {
        since: Timestamp,
        at: Operation,
    },
}

/// The kind of operation on the store. A store that serves reads may still reject commands: if it is full, a replica,
/// or denies permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Read,
    Command,
}

impl StoreMonitor {
    pub fn new(now: Timestamp) -> Self {
        StoreMonitor {
            state: Availability::Good,
            answered_at: now,
        }
    }

    pub fn health(&self) -> Health {
        match self.state {
            Availability::Good | Availability::Failing { .. } => Health::Reachable,
            Availability::Away { since, .. } => Health::Away { since },
        }
    }

    pub fn is_away(&self) -> bool {
        matches!(self.state, Availability::Away { .. })
    }

    pub fn fails(&self) -> bool {
        !matches!(self.state, Availability::Good)
    }

    pub fn answered_at(&self) -> Timestamp {
        self.answered_at
    }

    /// The time at which the store will count as away unless it answers.
    pub fn away_at(&self) -> Option<Timestamp> {
        match self.state {
            Availability::Failing { since, .. } => Some(since + AWAY_AFTER),
            Availability::Good | Availability::Away { .. } => None,
        }
    }

    /// True if the store fails at commands.
    pub fn fails_at_commands(&self) -> bool {
        match self.state {
            Availability::Good => false,
            Availability::Failing { at, .. } | Availability::Away { at, .. } => {
                at == Operation::Command
            }
        }
    }

    /// Records an answer. Returns the length of the outage that it ends, if any.
    fn answer(&mut self, work: Operation, now: Timestamp) -> Option<Duration> {
        self.answered_at = now;
        if self.fails_at_commands() && work == Operation::Read {
            return None;
        }
        let before = std::mem::replace(&mut self.state, Availability::Good);
        match before {
            Availability::Away { since, .. } => Some(now.saturating_since(since)),
            Availability::Good | Availability::Failing { .. } => None,
        }
    }

    fn fail(&mut self, work: Operation, now: Timestamp) {
        match &mut self.state {
            Availability::Good => {
                self.state = Availability::Failing {
                    since: now,
                    at: work,
                }
            }
            Availability::Failing { at, .. } | Availability::Away { at, .. } => *at = work.max(*at),
        }
    }

    /// Declares the store away if it has failed for long enough. Returns true if so.
    fn declare_away(&mut self, now: Timestamp) -> bool {
        match self.state {
            Availability::Failing { since, at } if now >= since + AWAY_AFTER => {
                self.state = Availability::Away { since: now, at };
                true
            }
            Availability::Good | Availability::Failing { .. } | Availability::Away { .. } => false,
        }
    }

    /// Discards the failures so far, which a suspension of this process caused.
    fn discard_failures(&mut self, now: Timestamp) {
        if let Availability::Failing { since, .. } = &mut self.state {
            *since = now;
        }
    }
}

impl Node {
    /// Detects that this process was suspended, or starved, for longer than any wait of its own.
    pub(super) fn detect_suspension(&mut self, now: Timestamp) {
        if now.saturating_since(self.latest) > 2 * ROUND {
            self.health.discard_failures(now);
        }
    }

    pub(super) fn answered(&mut self, work: Operation, now: Timestamp) {
        let failed = self.health.fails();
        let back = self.health.answer(work, now);
        if failed && !self.health.fails() {
            // Changes during the failure are read at once, not after another round.
            self.reading.want_all(self.members.keys(), now);
        }
        let Some(after) = back else {
            return;
        };
        self.report(News::StoreBack { after });
        for member in self.members.values_mut() {
            member.known = false;
            member.applied = None;
        }
    }

    pub(super) fn failed(&mut self, id: u64, now: Timestamp) {
        self.counters.failures += 1;
        self.sent_at.remove(&id);
        self.reading.failed(id, now);
        let pending = self.pending.remove(&id);
        let work = match pending {
            Some(_) => Operation::Command,
            None => Operation::Read,
        };
        self.health.fail(work, now);
        if let Some(key) = pending {
            if let Some(member) = self.members.get_mut(&key) {
                member.in_flight.take_if(|flight| flight.id == id);
                member.send_at = now + TRY_AGAIN;
            }
            self.touch(&key, now);
        }
    }

    pub(super) fn check_store(&mut self, now: Timestamp) {
        if self.health.declare_away(now) {
            self.counters.outages += 1;
            self.report(News::StoreAway);
            let open: Vec<Key> = self
                .members
                .iter()
                .filter(|(_, member)| member.local != Local::Closed)
                .map(|(key, _)| key.clone())
                .collect();
            open.iter().for_each(|key| self.go_alone(key));
        }
        self.read_if_due(now);
    }

    /// Makes a breaker decide locally when to probe, after its own cooldown and a random extension.
    pub(super) fn go_alone(&mut self, key: &Key) {
        let share = self.random.f64() * ALONE_EXTRA;
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        member.alone = true;
        member.lease = None;
        member.demand = None;
        let extra = member.sharing.cooldown.mul_f64(share);
        if let Local::Open { until } = &mut member.local {
            *until = *until + extra;
        }
        if let Some(evidence) = &mut member.evidence {
            evidence.until = evidence.until + extra;
        }
        self.order(key, Order::Alone { extra });
    }
}
