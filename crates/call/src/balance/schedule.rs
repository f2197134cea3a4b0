//! The order of a smooth weighted round robin, computed once: no endpoint comes twice in a row if another is due.

/// The longest round of a schedule; larger weights are scaled down to it.
const LONGEST: u64 = 4096;

/// One round: each index as often as its weight says, spread evenly. The round is as long as the sum of the weights
/// after division by their common factor, at most about 4096.
pub(crate) fn schedule(weights: &[u32]) -> Box<[u16]> {
    let weights: Vec<u64> = weights
        .iter()
        .map(|weight| u64::from(*weight).max(1))
        .collect();
    let common = weights.iter().copied().fold(0, common_factor).max(1);
    let sum: u64 = weights.iter().sum::<u64>() / common;
    let scaled = |weight: u64| match sum > LONGEST {
        true => ((weight / common) * LONGEST / sum).max(1),
        false => weight / common,
    };
    let weights: Vec<i64> = weights
        .into_iter()
        .map(|weight| scaled(weight) as i64)
        .collect();
    let round: i64 = weights.iter().sum();
    // Each turn everyone gains its weight, and the richest one is taken and pays a whole round.
    let mut credits = vec![0; weights.len()];
    let turns = (0..round).map(|_| {
        for (credit, weight) in credits.iter_mut().zip(&weights) {
            *credit += weight;
        }
        let richest = (0..credits.len())
            .rev()
            .max_by_key(|index| credits[*index])
            .unwrap_or(0);
        credits[richest] -= round;
        richest as u16
    });
    turns.collect()
}

fn common_factor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_factor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_take_turns_and_unequal_ones_are_spread() {
        assert_eq!(*schedule(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(*schedule(&[7, 7]), [0, 1]);
        assert_eq!(*schedule(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn huge_weights_keep_their_proportions_within_a_bounded_round() {
        let round = schedule(&[3_000_000_000, 1_000_000_001, 1]);
        let times = |index| round.iter().filter(|at| **at == index).count() as f64;
        assert!(round.len() <= 4200 && times(2) == 1.0);
        assert!((times(0) / times(1) - 3.0).abs() < 0.05);
    }
}
