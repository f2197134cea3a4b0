//! Breakers in the order of their keys' last use; the least recent is found in bounded work.
//!
//! They lie in chunks, each with a moment before which none of its keys was last used. A use moves nothing; so a key
//! may be more recent than its chunk says, and is moved when its chunk becomes the first. In the first chunk those that
//! were not used since the second chunk's moment are less recent than all others: the least of them is the least of
//! all. Every move is paid for by a use, and a look at the first chunk is as long as a chunk may be.

use std::collections::VecDeque;

use crate::breaker::Breaker;
use crate::last_use::Moment;

/// Number of keys at which a chunk is full; with twice as many it is split.
const FULL: usize = 32;

/// The most keys that are moved to find one; then the least recent of those seen will do.
const MOVES: usize = 4_096;

#[derive(Default)]
pub(super) struct Order {
    chunks: VecDeque<Chunk>,
    len: usize,
}

struct Chunk {
    /// The moment before which no key of this chunk was last used.
    from: Moment,
    breakers: Vec<Breaker>,
}

impl Order {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Inserts a breaker at the place of its key's last use.
    pub fn insert(&mut self, breaker: Breaker, last: Moment, now: Moment) {
        self.len += 1;
        let mut waiting = vec![(last, breaker)];
        while let Some((last, breaker)) = waiting.pop() {
            let at = self.place(last);
            let chunk = &mut self.chunks[at];
            chunk.from = chunk.from.min(last);
            chunk.breakers.push(breaker);
            if chunk.breakers.len() >= 2 * FULL {
                waiting.extend(self.split(at, now));
            }
        }
    }

    /// The index of the chunk of a moment, created if there is none or the last is full.
    fn place(&mut self, last: Moment) -> usize {
        let after = self.chunks.partition_point(|chunk| chunk.from <= last);
        let ends = after == self.chunks.len();
        match after.checked_sub(1) {
            Some(at) if !ends || self.chunks[at].breakers.len() < FULL => at,
            // Before the first chunk there is none; it then begins earlier.
            None if !ends => 0,
            _ => {
                self.chunks.push_back(Chunk {
                    from: last,
                    breakers: Vec::with_capacity(FULL),
                });
                after
            }
        }
    }

    /// Splits a chunk in two halves, and returns those that belong to later chunks.
    fn split(&mut self, at: usize, now: Moment) -> Vec<(Moment, Breaker)> {
        let next = self.from(at + 1);
        let breakers = std::mem::take(&mut self.chunks[at].breakers);
        let mut dated: Vec<_> = breakers
            .into_iter()
            .map(|breaker| (breaker.last_use().last(now), breaker))
            .collect();
        dated.sort_by_key(|(last, _)| *last);
        let later = dated.split_off(dated.partition_point(|(last, _)| *last < next));
        let half = dated.split_off(dated.len() / 2);
        self.chunks[at].breakers = undated(dated);
        if let Some((from, _)) = half.first() {
            let from = *from;
            let breakers = undated(half);
            self.chunks.insert(at + 1, Chunk { from, breakers });
        }
        later
    }

    /// The moment of a chunk; of the one behind the last, the end of time.
    fn from(&self, at: usize) -> Moment {
        self.chunks.get(at).map_or(Moment::MAX, |chunk| chunk.from)
    }

    /// Removes the breaker whose key was used least recently.
    pub fn take_least(&mut self, now: Moment) -> Option<Breaker> {
        let mut moves = 0;
        loop {
            let next = self.from(1);
            let first = self.chunks.front_mut()?;
            let mut least: Option<(Moment, usize)> = None;
            let mut least_later: Option<(Moment, usize)> = None;
            let dates: Vec<_> = first
                .breakers
                .iter()
                .map(|breaker| breaker.last_use().last(now))
                .collect();
            for (at, last) in dates.iter().enumerate() {
                let found = if *last < next {
                    &mut least
                } else {
                    &mut least_later
                };
                if found.is_none_or(|(least, _)| *last < least) {
                    *found = Some((*last, at));
                }
            }
            if let Some((_, at)) = least.or(least_later.filter(|_| moves > MOVES)) {
                self.len -= 1;
                return Some(first.breakers.remove(at));
            }
            // All of them, if any, belong to later chunks.
            let moved = self.chunks.pop_front().map(|chunk| chunk.breakers);
            for (breaker, last) in moved.into_iter().flatten().zip(dates) {
                moves += 1;
                self.len -= 1;
                self.insert(breaker, last, now);
            }
        }
    }

    /// Removes a breaker, if it is here. Looks at all of them.
    pub fn remove(&mut self, breaker: &Breaker) -> bool {
        for chunk in &mut self.chunks {
            if let Some(at) = chunk.breakers.iter().position(|other| other.is(breaker)) {
                chunk.breakers.remove(at);
                self.len -= 1;
                return true;
            }
        }
        false
    }

    /// The chunks, of which each has at most some dozens of breakers.
    pub fn chunk(&self, at: usize) -> &[Breaker] {
        self.chunks
            .get(at)
            .map_or(&[], |chunk| chunk.breakers.as_slice())
    }
}

fn undated(dated: Vec<(Moment, Breaker)>) -> Vec<Breaker> {
    dated.into_iter().map(|(_, breaker)| breaker).collect()
}
