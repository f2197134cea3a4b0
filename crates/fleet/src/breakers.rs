//! The shared breakers of this process, and the orders carried out on them.

use std::collections::BTreeMap;
use std::time::Duration;

use fusebox_breaker::{
    Breaker, Hold, Phase, Reason, Timestamp, Transition,
    fleet::{FleetOpening, FleetTally, ProbeLease, WeakBreaker},
};

use crate::node::{Batch, Event, Key, Local, Order};

/// The breakers of one process that have joined a fleet. On drop they return to local decisions, since no node would
/// tell them when to probe.
#[derive(Debug, Default)]
pub struct SharedBreakers(BTreeMap<Key, Entry>);

#[derive(Debug)]
struct Entry {
    breaker: WeakBreaker,
    /// The generation of the last transition seen, so that a late one is ignored.
    last_seen: u64,
    /// The generations caused by orders, which are not reported to the fleet.
    ordered: Vec<u64>,
}

impl SharedBreakers {
    /// Adds a breaker, held weakly, and returns its state.
    pub fn add(&mut self, breaker: &Breaker, now: Timestamp) -> Local {
        let snapshot = breaker.snapshot(now);
        self.0.insert(
            breaker.name().clone(),
            Entry {
                breaker: breaker.downgrade(),
                last_seen: snapshot.generation,
                ordered: Vec::new(),
            },
        );
        local(snapshot.phase, snapshot.retry_at, now)
    }

    /// Removes a breaker, which returns to local decisions.
    pub fn remove(&mut self, key: &Key, now: Timestamp) {
        if let Some(entry) = self.0.remove(key) {
            leave(&entry, now);
        }
    }

    /// The names of breakers that were dropped by their owners.
    pub fn gone(&self) -> Vec<Key> {
        let gone = |entry: &Entry| entry.breaker.upgrade().is_none();
        let keys = self.0.iter().filter(|(_, entry)| gone(entry));
        keys.map(|(key, _)| key.clone()).collect()
    }

    /// The names of all shared breakers.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// Number of shared breakers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if no breaker is shared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The event that a transition means to the fleet, or `None` if an order caused the transition or it is late.
    pub fn event(&mut self, key: &Key, transition: &Transition) -> Option<Event> {
        let entry = self.0.get_mut(key)?;
        let ordered = entry
            .ordered
            .iter()
            .position(|g| *g == transition.generation);
        let late = transition.generation <= entry.last_seen;
        entry.last_seen = entry.last_seen.max(transition.generation);
        if let Some(at) = ordered {
            entry.ordered.swap_remove(at);
            return None;
        }
        let by_fleet = matches!(transition.reason, Reason::Fleet { .. });
        (!late && !by_fleet).then(|| Event::of(transition))
    }

    /// The event that describes a breaker's present state, after some of its transitions were missed.
    pub fn look(&mut self, key: &Key, now: Timestamp) -> Option<Event> {
        let entry = self.0.get_mut(key)?;
        let snapshot = entry.breaker.upgrade()?.snapshot(now);
        entry.last_seen = snapshot.generation;
        entry.ordered.clear();
        let own = snapshot.recent.last();
        let own = own.filter(|last| !matches!(last.reason, Reason::Fleet { .. }));
        Some(match own {
            Some(last) if snapshot.phase == last.to => Event::of(last),
            _ => Event::Began(local(snapshot.phase, snapshot.retry_at, now)),
        })
    }

    /// Carries out an order, and returns the counted outcomes if the order asks for them.
    pub fn obey(&mut self, key: &Key, order: Order, now: Timestamp) -> Option<Batch> {
        let entry = self.0.get_mut(key)?;
        let breaker = entry.breaker.upgrade()?;
        let done = match order {
            Order::Open {
                until,
                attempts,
                by,
                why,
            } => {
                let opening = FleetOpening {
                    until,
                    attempts,
                    by: by.into(),
                    reason: why.into(),
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
                let kind = match open {
                    true => Hold::open,
                    false => Hold::closed,
                };
                let hold = Hold {
                    until,
                    ..kind(why, by)
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
        entry
            .ordered
            .extend(done.map(|transition| transition.generation));
        None
    }
}

impl Drop for SharedBreakers {
    fn drop(&mut self) {
        self.0
            .values()
            .for_each(|entry| leave(entry, Timestamp::ZERO));
    }
}

fn leave(entry: &Entry, now: Timestamp) {
    if let Some(breaker) = entry.breaker.upgrade() {
        breaker.go_alone(Duration::ZERO, now);
        breaker.count_for_fleet(false);
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
