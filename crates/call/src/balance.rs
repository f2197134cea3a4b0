//! The choice among endpoints: round robin, two random choices by load or by time, consistent hash.
//!
//! The endpoints that may be chosen at all are given as candidates. Nothing here takes a lock or allocates.

mod ewma;
mod schedule;

pub use ewma::{Ewma, median};
pub(crate) use schedule::schedule;

/// Endpoints to choose from, by their index. One of weight 0 is no candidate.
pub(crate) trait Candidates {
    /// The number of indexes.
    fn len(&self) -> usize;
    /// The share of calls, relative to that of the others; 0 for no candidate.
    fn weight(&self, index: usize) -> u64;
    /// The attempts in flight.
    fn load(&self, index: usize) -> u64;
    /// The cost of one more attempt: its expected time with those in flight.
    fn cost(&self, index: usize) -> f64;
    /// The hash of the endpoint's name.
    fn key(&self, index: usize) -> u64;
}

/// 2^64 divided by the golden ratio: its multiples are spread as evenly as any sequence can be.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The candidate of a turn: over many turns in a row, exact by weight to within a few.
pub(crate) fn spread(all: &impl Candidates, turn: u64) -> Option<usize> {
    drawn(all, sum(all, None), turn.wrapping_mul(GOLDEN), None)
}

/// Two different candidates drawn by weight, or the only one.
pub(crate) fn two(
    all: &impl Candidates,
    chance: &mut fastrand::Rng,
) -> Option<(usize, Option<usize>)> {
    let first = drawn(all, sum(all, None), chance.u64(..), None)?;
    let rest = sum(all, Some(first));
    Some((first, drawn(all, rest, chance.u64(..), Some(first))))
}

/// The better of two random candidates by attempts in flight for their weight; the first drawn if they are equal.
pub(crate) fn least_loaded(all: &impl Candidates, chance: &mut fastrand::Rng) -> Option<usize> {
    let (first, second) = two(all, chance)?;
    Some(match second {
        Some(second) if is_less_loaded(all, second, first) => second,
        _ => first,
    })
}

/// The better of two random candidates by cost; the first drawn if neither is clearly better.
pub(crate) fn least_costly(all: &impl Candidates, chance: &mut fastrand::Rng) -> Option<usize> {
    let (first, second) = two(all, chance)?;
    Some(match second {
        Some(second) if is_less_costly(all, second, first) => second,
        _ => first,
    })
}

/// True if `one` has fewer attempts in flight for its weight than `other`.
pub(crate) fn is_less_loaded(all: &impl Candidates, one: usize, other: usize) -> bool {
    all.load(one) * all.weight(other) < all.load(other) * all.weight(one)
}

/// True if `one` costs clearly less than `other`: by more than 5 %. Equal ones then share the attempts by their weight,
/// and one that was slow and is hardly known to be slower any more gets some of them.
pub(crate) fn is_less_costly(all: &impl Candidates, one: usize, other: usize) -> bool {
    all.cost(one) < 0.95 * all.cost(other)
}

/// The candidate for a text by its hash: always the same one, by rendezvous, so that with a candidate that leaves only
/// its own texts move. One that has 1.25 of its share of the attempts in flight, rounded up, gives way to the next.
pub(crate) fn hashed(all: &impl Candidates, text: u64) -> Option<usize> {
    let candidates = || {
        (0..all.len())
            .map(|index| (index, all.weight(index)))
            .filter(|(_, weight)| *weight > 0)
    };
    let (mut weights, mut loads, mut last) = (0, 1, None);
    let mut are_equal = true;
    for (index, weight) in candidates() {
        weights += weight;
        loads += all.load(index);
        are_equal &= last.is_none_or(|last| last == weight);
        last = Some(weight);
    }
    let (mut best, mut spare) = (None, None);
    for (index, weight) in candidates() {
        let hash = mixed(text ^ all.key(index));
        // Of equal weights the higher hash has the higher score, and a logarithm is slow.
        let score = if are_equal {
            hash as f64
        } else {
            score(hash, weight)
        };
        let place = match 4 * all.load(index) * weights < 5 * loads * weight {
            true => &mut best,
            false => &mut spare,
        };
        if place.is_none_or(|(_, best)| score > best) {
            *place = Some((index, score));
        }
    }
    best.or(spare).map(|(index, _)| index)
}

/// The hash of a text, the same in every process and on every node.
pub fn hash_of(text: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    mixed(text.bytes().fold(0xCBF2_9CE4_8422_2325, fnv))
}

/// The bits mixed so that each depends on all (the finaliser of SplitMix64).
fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// The rendezvous score: the highest one of all wins with a probability as its weight says.
fn score(hash: u64, weight: u64) -> f64 {
    let uniform = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    weight as f64 / -uniform.ln()
}

fn sum(all: &impl Candidates, without: Option<usize>) -> u64 {
    let others = (0..all.len()).filter(|index| Some(*index) != without);
    others.map(|index| all.weight(index)).sum()
}

/// The candidate at a place of the line of weights, the place given as a part of 2^64. A weight that shrinks meanwhile
/// makes it the last candidate.
fn drawn(all: &impl Candidates, weights: u64, place: u64, without: Option<usize>) -> Option<usize> {
    let mut left = ((u128::from(place) * u128::from(weights)) >> 64) as u64;
    let mut last = None;
    for index in (0..all.len()).filter(|index| Some(*index) != without) {
        let weight = all.weight(index);
        if weight == 0 {
            continue;
        }
        last = Some(index);
        if left < weight {
            break;
        }
        left -= weight;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Candidates as `(weight, load, cost)`.
    struct Table(Vec<(u64, u64, f64)>);

    impl Candidates for Table {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn weight(&self, index: usize) -> u64 {
            self.0[index].0
        }
        fn load(&self, index: usize) -> u64 {
            self.0[index].1
        }
        fn cost(&self, index: usize) -> f64 {
            self.0[index].2
        }
        fn key(&self, index: usize) -> u64 {
            hash_of(&format!("10.0.0.{index}:80"))
        }
    }

    fn idle(weights: &[u64]) -> Table {
        Table(weights.iter().map(|weight| (*weight, 0, 1.0)).collect())
    }

    fn times(weights: &[u64], mut choose: impl FnMut(u64) -> Option<usize>) -> Vec<u64> {
        let mut times = vec![0; weights.len()];
        (0..10_000).for_each(|turn| times[choose(turn).unwrap()] += 1);
        times
    }

    #[test]
    fn turns_are_spread_by_weight_to_within_a_thousandth() {
        let weights = [3, 0, 1, 6];
        let table = idle(&weights);
        for (times, weight) in times(&weights, |turn| spread(&table, turn))
            .iter()
            .zip(weights)
        {
            assert!(times.abs_diff(weight * 1000) <= 10, "{times} of {weight}");
        }
    }

    #[test]
    fn of_two_the_less_loaded_for_its_weight_is_taken() {
        let mut chance = fastrand::Rng::with_seed(1);
        let table = Table(vec![(1, 1, 1.0), (4, 3, 1.0)]);
        assert!((0..100).all(|_| least_loaded(&table, &mut chance) == Some(1)));
        let idle = idle(&[1, 3]);
        let mut chance = fastrand::Rng::with_seed(2);
        let times = times(&[1, 3], |_| least_loaded(&idle, &mut chance));
        assert!(times[0].abs_diff(2500) < 200, "{times:?}");
    }

    #[test]
    fn of_two_the_one_that_costs_less_is_taken_and_the_worst_of_all_never() {
        let mut chance = fastrand::Rng::with_seed(3);
        let table = Table(vec![(1, 0, 3.0), (1, 0, 9.0), (1, 0, 1.0)]);
        assert!((0..500).all(|_| least_costly(&table, &mut chance) != Some(1)));
    }

    #[test]
    fn texts_are_spread_by_weight() {
        let weights = [1, 2, 0, 1];
        let table = idle(&weights);
        let times = times(&weights, |turn| {
            hashed(&table, hash_of(&format!("tenant-{turn}")))
        });
        for (times, weight) in times.iter().zip(weights) {
            assert!(times.abs_diff(weight * 2500) < 150, "{times} of {weight}");
        }
    }

    #[test]
    fn a_text_moves_only_from_an_endpoint_above_its_share() {
        let home = hashed(&idle(&[1, 1, 1]), 7).unwrap();
        let loaded = |load, others| {
            let row = |index| (1, if index == home { load } else { others }, 1.0);
            hashed(&Table((0..3).map(row).collect()), 7)
        };
        // 100 in flight, the new one included: at most 41.67 + 1 of the 100 may be at one of the three.
        assert_eq!(loaded(41, 29), Some(home));
        assert_ne!(loaded(43, 28), Some(home));
        assert_eq!(loaded(0, 0), Some(home));
    }

    proptest! {
        #[test]
        fn with_an_endpoint_that_leaves_only_its_texts_move(
            mut weights in prop::collection::vec(1u64..9, 2..20), leaving: prop::sample::Index, text: u64,
        ) {
            let leaving = leaving.index(weights.len());
            let before = hashed(&idle(&weights), text);
            weights[leaving] = 0;
            let after = hashed(&idle(&weights), text);
            prop_assert_ne!(after, Some(leaving));
            prop_assert!(before == after || before == Some(leaving));
        }

        #[test]
        fn only_candidates_are_chosen(weights in prop::collection::vec(0u64..3, 0..9), place: u64) {
            let (table, mut chance) = (idle(&weights), fastrand::Rng::with_seed(place));
            let chosen = [
                spread(&table, place),
                least_loaded(&table, &mut chance),
                least_costly(&table, &mut chance),
                hashed(&table, place),
            ];
            for index in chosen {
                match index {
                    Some(index) => prop_assert!(weights[index] > 0),
                    None => prop_assert!(weights.iter().all(|weight| *weight == 0)),
                }
            }
        }
    }
}
