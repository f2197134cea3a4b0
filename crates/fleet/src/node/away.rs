//! Whether the store answers, and what to do while it does not.

use std::time::Duration;

use fusebox_breaker::Timestamp;

use super::words::{Key, Local, News, Order};
use super::{AWAY_AFTER, Node, ROUND, TRY_AGAIN};

/// How the store is, to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Reachable,
    /// It does not: the breakers of this node are on their own.
    Away {
        /// Since when.
        since: Timestamp,
    },
}

impl Health {
    /// `reachable` or `away`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Reachable => "reachable",
            Health::Away { .. } => "away",
        }
    }
}

/// By how much a cooldown grows at the most when the store is away, so that the nodes do not all probe at once.
const ALONE_EXTRA: f64 = 0.2;

#[derive(Debug)]
pub(super) struct Store {
    state: Answering,
    answered_at: Timestamp,
}

#[derive(Debug, Clone, Copy)]
enum Answering {
    Yes,
    /// It has failed since then, not for long enough to be taken for away.
    Fails {
        since: Timestamp,
        at: Work,
    },
    Away {
        since: Timestamp,
        at: Work,
    },
}

/// What the store is asked for. One that is read from may still take no command: full, or a copy, or without the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Read,
    Command,
}

impl Store {
    pub fn new(now: Timestamp) -> Self {
        Store {
            state: Answering::Yes,
            answered_at: now,
        }
    }

    pub fn health(&self) -> Health {
        match self.state {
            Answering::Yes | Answering::Fails { .. } => Health::Reachable,
            Answering::Away { since, .. } => Health::Away { since },
        }
    }

    pub fn is_away(&self) -> bool {
        matches!(self.state, Answering::Away { .. })
    }

    pub fn fails(&self) -> bool {
        !matches!(self.state, Answering::Yes)
    }

    pub fn answered_at(&self) -> Timestamp {
        self.answered_at
    }

    /// When it is to be taken for away, unless it answers.
    pub fn away_at(&self) -> Option<Timestamp> {
        match self.state {
            Answering::Fails { since, .. } => Some(since + AWAY_AFTER),
            Answering::Yes | Answering::Away { .. } => None,
        }
    }

    /// Whether it is commands that it does not take.
    pub fn fails_at_commands(&self) -> bool {
        match self.state {
            Answering::Yes => false,
            Answering::Fails { at, .. } | Answering::Away { at, .. } => at == Work::Command,
        }
    }

    /// Takes an answer, and says how long the store had been away, where it had.
    fn answer(&mut self, work: Work, now: Timestamp) -> Option<Duration> {
        self.answered_at = now;
        if self.fails_at_commands() && work == Work::Read {
            return None;
        }
        let before = std::mem::replace(&mut self.state, Answering::Yes);
        match before {
            Answering::Away { since, .. } => Some(now.saturating_since(since)),
            Answering::Yes | Answering::Fails { .. } => None,
        }
    }

    fn fail(&mut self, work: Work, now: Timestamp) {
        match &mut self.state {
            Answering::Yes => {
                self.state = Answering::Fails {
                    since: now,
                    at: work,
                }
            }
            Answering::Fails { at, .. } | Answering::Away { at, .. } => *at = work.max(*at),
        }
    }

    /// Whether it is to be taken for away from now on.
    fn give_up(&mut self, now: Timestamp) -> bool {
        match self.state {
            Answering::Fails { since, at } if now >= since + AWAY_AFTER => {
                self.state = Answering::Away { since: now, at };
                true
            }
            Answering::Yes | Answering::Fails { .. } | Answering::Away { .. } => false,
        }
    }

    /// It was this process that slept: what failed meanwhile says nothing of the store.
    fn forgive(&mut self, now: Timestamp) {
        if let Answering::Fails { since, .. } = &mut self.state {
            *since = now;
        }
    }
}

impl Node {
    /// Notices that this process was stopped, or had no time, for longer than any wait of its own.
    pub(super) fn notice_sleep(&mut self, now: Timestamp) {
        if now.saturating_since(self.latest) > 2 * ROUND {
            self.health.forgive(now);
        }
    }

    pub(super) fn answered(&mut self, work: Work, now: Timestamp) {
        let failed = self.health.fails();
        let back = self.health.answer(work, now);
        if failed && !self.health.fails() {
            // What changed meanwhile is known at once, not after another round.
            self.reading.want_all(self.members.keys(), now);
        }
        let Some(after) = back else {
            return;
        };
        self.tell(News::StoreBack { after });
        for member in self.members.values_mut() {
            member.known = false;
            member.applied = None;
        }
    }

    pub(super) fn failed(&mut self, id: u64, now: Timestamp) {
        self.counters.failures += 1;
        self.sent_at.remove(&id);
        self.reading.failed(id, now);
        let asked = self.asked.remove(&id);
        let work = match asked {
            Some(_) => Work::Command,
            None => Work::Read,
        };
        self.health.fail(work, now);
        if let Some(key) = asked {
            if let Some(member) = self.members.get_mut(&key) {
                member.in_flight.take_if(|flight| flight.id == id);
                member.send_at = now + TRY_AGAIN;
            }
            self.touch(&key, now);
        }
    }

    pub(super) fn look_at_store(&mut self, now: Timestamp) {
        if self.health.give_up(now) {
            self.counters.outages += 1;
            self.tell(News::StoreAway);
            let open: Vec<Key> = self
                .members
                .iter()
                .filter(|(_, member)| member.local != Local::Closed)
                .map(|(key, _)| key.clone())
                .collect();
            open.iter().for_each(|key| self.go_alone(key));
        }
        self.read_what_is_due(now);
    }

    /// Lets a breaker decide alone when to probe, after its own cooldown and some more.
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
