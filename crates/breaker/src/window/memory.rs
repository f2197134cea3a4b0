//! The last outcomes with an adaptive rule's weights.
//!
//! The formula and its corner cases are those of Project Flogo's circuit breaker activity, mode d: an outcome that was
//! never seen is a success of the greatest age; where all outcomes are of one instant, nothing is refused.

use super::{Tally, span_nanos};
use crate::time::Timestamp;

/// The age of an outcome that was never seen: the longest duration of the formula's origin, some 292 years.
const NEVER: u64 = i64::MAX as u64;

/// The steepness with which the probability follows the outcomes.
const STEEPNESS: f64 = 8.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Success,
    Failure,
    /// The weight of a refused call, whose outcome is unknown.
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Memory {
    size: u32,
    /// The oldest of a full ring, which is the next to be overwritten.
    next: u32,
    ring: Vec<(Weight, Timestamp)>,
}

impl Memory {
    pub fn new(size: u32) -> Self {
        Memory {
            size,
            next: 0,
            ring: Vec::new(),
        }
    }

    pub fn size(&self) -> u32 {
        self.size
    }

    pub fn record(&mut self, weight: Weight, now: Timestamp) {
        if self.ring.len() < self.size as usize {
            self.ring
                .reserve_exact(self.size as usize - self.ring.len());
            self.ring.push((weight, now));
        } else {
            self.ring[self.next as usize] = (weight, now);
            self.next = (self.next + 1) % self.size;
        }
    }

    /// The probability with which a call is refused, in whole thousandths.
    pub fn probability(&self, now: Timestamp) -> f64 {
        let unseen = self.size as usize - self.ring.len();
        let age = |time: Timestamp| span_nanos_since(time, now);
        let span = match self.ring.get(self.next as usize) {
            Some((_, oldest)) if unseen == 0 => age(*oldest),
            _ => NEVER,
        };
        if span == 0 {
            return 0.0;
        }
        let (mut weighed, mut fresh) = (0.0, 0.0);
        for (weight, time) in &self.ring {
            let freshness = (-(age(*time) as f64) / span as f64).exp();
            fresh += freshness;
            weighed += match weight {
                Weight::Success => freshness,
                Weight::Failure => -freshness,
                Weight::Unknown => 0.0,
            };
        }
        let never = unseen as f64 * (-1.0f64).exp();
        let mean = (weighed + never) / (fresh + never);
        let probability = 1.0 / (1.0 + (STEEPNESS * mean).exp());
        (probability * 1000.0).floor() / 1000.0
    }

    pub fn tally(&self) -> Tally {
        let failures = self
            .ring
            .iter()
            .filter(|(weight, _)| *weight == Weight::Failure);
        Tally {
            calls: self.ring.len() as u64,
            failures: failures.count() as u64,
        }
    }

    /// True if an empty memory would give nearly the same: only successes.
    pub fn is_blank(&self) -> bool {
        self.ring
            .iter()
            .all(|(weight, _)| *weight == Weight::Success)
    }

    pub fn clear(&mut self) {
        *self = Memory::new(self.size);
    }
}

fn span_nanos_since(time: Timestamp, now: Timestamp) -> u64 {
    let since = now.saturating_since(time);
    if since.is_zero() {
        0
    } else {
        span_nanos(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(weight: Weight, count: u64) -> Memory {
        let mut memory = Memory::new(5);
        (0..count).for_each(|second| memory.record(weight, Timestamp::from_millis(second * 1_000)));
        memory
    }

    #[test]
    fn outcomes_of_one_kind_give_the_probabilities_of_the_formula() {
        let now = Timestamp::from_millis(5_000);
        assert_eq!(after(Weight::Success, 5).probability(now), 0.0);
        assert_eq!(after(Weight::Unknown, 5).probability(now), 0.5);
        assert_eq!(after(Weight::Failure, 5).probability(now), 0.999);
        assert_eq!(Memory::new(5).probability(now), 0.0);
    }

    #[test]
    fn a_fresh_failure_weighs_more_than_an_old_one() {
        let now = Timestamp::from_millis(6_000);
        let mut fresh = after(Weight::Success, 5);
        fresh.record(Weight::Failure, Timestamp::from_millis(5_000));
        let mut old = after(Weight::Failure, 1);
        (1..5)
            .for_each(|second| old.record(Weight::Success, Timestamp::from_millis(second * 1_000)));
        assert!(fresh.probability(now) > old.probability(now));
    }

    #[test]
    fn outcomes_never_seen_are_old_successes() {
        // One failure just now (weight 1), four never seen (1/e each): s = (4/e - 1) / (4/e + 1).
        let mut memory = Memory::new(5);
        let now = Timestamp::from_millis(1_000);
        memory.record(Weight::Failure, now);
        let never = 4.0 * (-1.0f64).exp();
        let mean = (never - 1.0) / (never + 1.0);
        let exact = 1.0 / (1.0 + (8.0 * mean).exp());
        assert_eq!(memory.probability(now), (exact * 1000.0).floor() / 1000.0);
    }

    #[test]
    fn outcomes_of_one_instant_refuse_nothing() {
        let mut memory = Memory::new(1);
        memory.record(Weight::Failure, Timestamp::from_millis(7));
        assert_eq!(memory.probability(Timestamp::from_millis(7)), 0.0);
        assert_eq!(memory.probability(Timestamp::from_millis(8)), 0.999);
    }
}
