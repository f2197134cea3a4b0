//! The breakers of this process that are shared, and what is done to them.

use std::collections::BTreeMap;
use std::time::Duration;

use fusebox_breaker::{
    Breaker, Hold, HoldKind, Phase, Reason, Timestamp, Transition,
    fleet::{FleetOpening, FleetTally, ProbeLease, WeakBreaker},
};

use crate::node::{Batch, Event, Key, Local, Order};

/// The shared breakers of one process: all that have joined. Dropped, they are on their own: nobody would tell them when to probe.
#[derive(Debug, Default)]
pub struct SharedBreakers(BTreeMap<Key, One>);

#[derive(Debug)]
struct One {
    breaker: WeakBreaker,
    /// The generation of the last transition that was heard of, so that one that comes late is passed over.
    heard: u64,
    /// The generations that orders brought about, and that are not news.
    obeyed: Vec<u64>,
}

impl SharedBreakers {
    /// Takes a breaker in, without keeping it, and says what state it is in.
    pub fn add(&mut self, breaker: &Breaker, now: Timestamp) -> Local {
        let snapshot = breaker.snapshot(now);
        self.0.insert(
            breaker.name().clone(),
            One {
                breaker: breaker.downgrade(),
                heard: snapshot.generation,
                obeyed: Vec::new(),
            },
        );
        local(snapshot.phase, snapshot.retry_at, now)
    }

    /// Lets a breaker go: it is on its own.
    pub fn remove(&mut self, key: &Key, now: Timestamp) {
        if let Some(breaker) = self.0.remove(key).and_then(|one| one.breaker.upgrade()) {
            breaker.go_alone(Duration::ZERO, now);
            breaker.count_for_fleet(false);
        }
    }

    /// The breakers that nobody keeps any more.
    pub fn gone(&self) -> Vec<Key> {
        let gone = |one: &One| one.breaker.upgrade().is_none();
        let keys = self.0.iter().filter(|(_, one)| gone(one));
        keys.map(|(key, _)| key.clone()).collect()
    }

    /// Their names.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a transition means to the fleet; nothing where an order brought it about, or where it is late.
    pub fn event(&mut self, key: &Key, transition: &Transition) -> Option<Event> {
        let one = self.0.get_mut(key)?;
        let obeyed = one.obeyed.iter().position(|g| *g == transition.generation);
        let late = transition.generation <= one.heard;
        one.heard = one.heard.max(transition.generation);
        if let Some(at) = obeyed {
            one.obeyed.swap_remove(at);
            return None;
        }
        let told = matches!(transition.reason, Reason::Fleet { .. });
        (!late && !told).then(|| Event::of(transition))
    }

    /// What a breaker is, some of whose transitions were not heard of.
    pub fn look(&mut self, key: &Key, now: Timestamp) -> Option<Event> {
        let one = self.0.get_mut(key)?;
        let snapshot = one.breaker.upgrade()?.snapshot(now);
        one.heard = snapshot.generation;
        one.obeyed.clear();
        let own = snapshot.recent.last();
        let own = own.filter(|last| !matches!(last.reason, Reason::Fleet { .. }));
        Some(match own {
            Some(last) if snapshot.phase == last.to => Event::of(last),
            _ => Event::Began(local(snapshot.phase, snapshot.retry_at, now)),
        })
    }

    /// Carries out an order, and returns what was counted, where it asks for that.
    pub fn obey(&mut self, key: &Key, order: Order, now: Timestamp) -> Option<Batch> {
        let one = self.0.get_mut(key)?;
        let breaker = one.breaker.upgrade()?;
        let done = match order {
            Order::Open {
                until,
                attempts,
                by,
                why,
            } => {
                let (by, reason) = (by.into(), why.into());
                let opening = FleetOpening {
                    until,
                    attempts,
                    by,
                    reason,
                };
                breaker.open_by_fleet(opening, now)
            }
            Order::Close { by, why } => breaker.close_by_fleet(by, why, now),
            Order::Lease {
                start_by,
                ends,
                renewed,
            } => {
                let lease = ProbeLease {
                    start_by,
                    ends,
                    renewed,
                };
                breaker.probe_by_lease(lease, now)
            }
            Order::Alone { extra } => breaker.go_alone(extra, now),
            Order::Follow => {
                breaker.follow_fleet();
                None
            }
            Order::Hold {
                open,
                until,
                by,
                why,
            } => {
                let kind = if open {
                    HoldKind::Open
                } else {
                    HoldKind::Closed
                };
                let (by, reason) = (by.into(), why.into());
                let hold = Hold {
                    kind,
                    until,
                    reason,
                    by,
                };
                Some(breaker.hold(hold, now))
            }
            Order::Release => breaker.release(now),
            Order::EndRow => {
                breaker.end_row_by_fleet();
                None
            }
            Order::Watch(awake) => return Some(batch(breaker.wake_for_fleet(awake))),
            Order::Collect => return Some(batch(breaker.take_fleet_tally())),
        };
        one.obeyed
            .extend(done.map(|transition| transition.generation));
        None
    }
}

impl Drop for SharedBreakers {
    fn drop(&mut self) {
        for breaker in self.0.values().filter_map(|one| one.breaker.upgrade()) {
            breaker.go_alone(Duration::ZERO, Timestamp::ZERO);
            breaker.count_for_fleet(false);
        }
    }
}

fn local(phase: Phase, retry_at: Option<Timestamp>, now: Timestamp) -> Local {
    match phase {
        Phase::Closed => Local::Closed,
        Phase::Open => Local::Open {
            until: retry_at.unwrap_or(now),
        },
        Phase::HalfOpen => Local::Probing,
    }
}

fn batch(tally: FleetTally) -> Batch {
    Batch {
        had_success: tally.had_success,
        row: tally.row,
        failures: tally.failures,
    }
}
