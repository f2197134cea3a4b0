//! The choice of a key to evict for a new one.
//!
//! The first choice is the least recently used key whose breaker has no state; the second one, of those unused for long
//! enough, the least recently used one whose breaker is not open. One with a handle elsewhere counts as used just now.
//!
//! A breaker found with state in it is laid aside, so that a thousand of them do not stand before the one that can go.
//! Those aside are looked at again in turn, as many as the budget allows: all of them while new keys come one by one,
//! some dozens each while they come in a flood.

use std::time::Duration;

use super::order::Order;
use crate::breaker::Breaker;
use crate::last_use::{FINE, Moment};
use crate::machine::Loss;
use crate::time::{Timestamp, nanos};

/// Number of breakers that may be looked at for a new key, whatever came before.
const LOOKS_EACH: usize = 32;

/// The time in nanoseconds that allows one more look at a breaker: a fraction of what a look takes.
const NANOS_PER_LOOK: u64 = 4_000;

/// The most looks that can be saved up.
const LOOKS_MAX: usize = 16_384;

/// Number of handles to an unused breaker: those of the registry's set, and of its order.
const OWN_HANDS: usize = 2;

/// Number of breakers that are laid to rest, if possible, when another one is made.
const LAID_TO_REST: usize = 2;

/// An evicted key with its breaker.
pub(super) enum Gone {
    /// The breaker had no state.
    Spare(Breaker),
    /// The key was unused for long enough.
    Idle(Breaker),
}

/// The breakers with a key of their own, as candidates for eviction.
pub(super) struct Room {
    /// Breakers without state when they were last looked at, if that was ever.
    order: Order,
    /// Breakers with state.
    aside: Vec<Breaker>,
    /// The next of those aside to be looked at.
    next: usize,
    budget: usize,
    /// The moment up to which the budget has grown.
    grown: Moment,
    /// The next chunk of the order to be laid to rest, and the index in it.
    resting: (usize, usize),
}

/// The moment of a request for room.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub time: Timestamp,
    pub moment: Moment,
    pub idle_after: Duration,
}

impl Now {
    fn is_idle(self, last: Moment) -> bool {
        // A key's time may be as much too late, if many came at one time, as it may be too early.
        self.moment.saturating_sub(last) + FINE >= nanos(self.idle_after)
    }
}

impl Default for Room {
    fn default() -> Self {
        Room {
            order: Order::default(),
            aside: Vec::new(),
            next: 0,
            budget: LOOKS_MAX,
            grown: 0,
            resting: (0, 0),
        }
    }
}

impl Room {
    pub fn len(&self) -> usize {
        self.order.len() + self.aside.len()
    }

    /// Adds a breaker whose key is used now.
    pub fn insert(&mut self, breaker: Breaker, now: Moment) {
        self.order.insert(breaker, now, now);
    }

    /// Removes a breaker, whatever its state. Looks at all of them.
    pub fn remove(&mut self, breaker: &Breaker) {
        if !self.order.remove(breaker) {
            self.aside.retain(|other| !other.is(breaker));
        }
    }

    /// Lays the next few breakers to rest, so that all are looked at again and again while the registry grows.
    pub fn lay_to_rest(&mut self, now: Timestamp) {
        for _ in 0..LAID_TO_REST {
            let (chunk, at) = self.resting;
            match self.order.chunk(chunk).get(at) {
                Some(breaker) => {
                    breaker.rest(now);
                    self.resting = (chunk, at + 1);
                }
                None if at == 0 => self.resting = (0, 0),
                None => self.resting = (chunk + 1, 0),
            }
        }
    }

    /// Removes the breaker that is evicted for a new key, if there is one.
    pub fn make(&mut self, now: Now) -> Option<Gone> {
        let grown = now.moment.saturating_sub(self.grown) / NANOS_PER_LOOK;
        self.grown = now.moment;
        let grown = usize::try_from(grown).unwrap_or(LOOKS_MAX);
        self.budget = (self.budget + LOOKS_EACH)
            .saturating_add(grown)
            .min(LOOKS_MAX);
        let mut idlest = self.look_aside(now);
        // Each at most once: those with handles elsewhere are put back behind the others.
        let mut left = self.order.len();
        while self.budget > 0
            && left > 0
            && let Some(breaker) = self.order.take_least(now.moment)
        {
            self.budget -= 1;
            left -= 1;
            let last = breaker.last_use().last(now.moment);
            match loss(&breaker, now.time) {
                Some(Loss::Nothing) if leave(&breaker) => return Some(Gone::Spare(breaker)),
                Some(Loss::Nothing) | None => {
                    breaker.last_use().touch(now.moment);
                    self.order.insert(breaker, now.moment, now.moment);
                }
                Some(Loss::Evidence) => {
                    if now.is_idle(last) && idlest.is_none_or(|(least, _)| last < least) {
                        idlest = Some((last, self.aside.len()));
                    }
                    self.aside.push(breaker);
                }
                Some(Loss::State) => self.aside.push(breaker),
            }
        }
        let (_, at) = idlest?;
        leave(&self.aside[at]).then(|| Gone::Idle(self.aside.swap_remove(at)))
    }

    /// Puts back those aside that have lost their state, and finds the least recently used of the idle ones: its last
    /// use, and its index.
    fn look_aside(&mut self, now: Now) -> Option<(Moment, usize)> {
        let mut idlest: Option<(Moment, usize)> = None;
        // The other half is for the order, in which a key without anything would go first.
        let looks = (self.budget / 2).min(self.aside.len());
        if looks == self.aside.len() {
            // All of them, from the first on: one that takes the index of another is then still to come, and none is
            // looked at twice instead of another.
            self.next = 0;
        }
        for _ in 0..looks {
            self.budget -= 1;
            if self.next >= self.aside.len() {
                self.next = 0;
            }
            let at = self.next;
            let breaker = &self.aside[at];
            let last = breaker.last_use().last(now.moment);
            match loss(breaker, now.time) {
                Some(Loss::Nothing) => {
                    let spare = self.aside.swap_remove(at);
                    // The last one has taken its index, and may have been looked at before.
                    if let Some((_, idle)) = &mut idlest
                        && *idle == self.aside.len()
                    {
                        *idle = at;
                    }
                    self.order.insert(spare, last, now.moment);
                    continue;
                }
                Some(Loss::Evidence)
                    if now.is_idle(last) && idlest.is_none_or(|(least, _)| last < least) =>
                {
                    idlest = Some((last, at));
                }
                Some(Loss::Evidence | Loss::State) | None => {}
            }
            self.next = at + 1;
        }
        idlest
    }
}

/// The loss if a breaker were evicted; `None`: it has a handle elsewhere.
fn loss(breaker: &Breaker, now: Timestamp) -> Option<Loss> {
    (breaker.hands() <= OWN_HANDS).then(|| breaker.loss(now))
}

fn leave(breaker: &Breaker) -> bool {
    breaker.last_use().leave(|| breaker.hands() <= OWN_HANDS)
}
