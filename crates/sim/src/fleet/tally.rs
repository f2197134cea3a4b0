//! The expected counts of a fleet, from every batch that arrived once, independent of the record's counts.

use std::collections::{BTreeMap, BTreeSet};

use fusebox_fleet::protocol::{Act, CountRule, Stamp};

/// Number of parts into which a record divides a rule's time window, which limits its precision.
const PARTS: u64 = 32;

/// The batches that have arrived since the start of a term.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    seen: BTreeSet<(String, String, u64)>,
    /// For each rule, by its index: times and numbers of failures.
    counts: BTreeMap<usize, Vec<(u64, u64)>>,
}

/// The expectation whether the fleet opens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// The fleet must not open.
    TooFew,
    /// The fleet may open or not, since the threshold is reached within one part of the rule's window.
    Either,
    /// The fleet must open.
    Enough,
}

impl Tally {
    /// Counts a batch. A batch that arrived before gives no expectation.
    pub fn take(&mut self, from: &Stamp, act: &Act, time: u64) -> Option<Ruling> {
        let Act::Batch {
            had_success,
            row,
            failures,
            rules,
            ..
        } = act
        else {
            return None;
        };
        let name = (from.node.clone(), from.incarnation.clone(), from.sequence);
        if !self.seen.insert(name) {
            return None;
        }
        let mut ruling = Ruling::TooFew;
        for (number, rule) in rules.iter().enumerate() {
            let counts = self.counts.entry(number).or_default();
            if rule.row && *had_success {
                counts.clear();
            }
            counts.push((time, if rule.row { *row } else { *failures }));
            let part = rule.within.div_ceil(PARTS);
            let surely = sum(counts, rule, time, rule.within.saturating_sub(part));
            let perhaps = sum(counts, rule, time, rule.within + part);
            if surely >= rule.threshold {
                return Some(Ruling::Enough);
            }
            if perhaps >= rule.threshold {
                ruling = Ruling::Either;
            }
        }
        Some(ruling)
    }
}

fn sum(counts: &[(u64, u64)], rule: &CountRule, time: u64, within: u64) -> u64 {
    let inside = |at: u64| rule.within == 0 || time < at + within;
    let counted = counts.iter().filter(|(at, _)| inside(*at));
    counted.map(|(_, failures)| failures).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(tally: &mut Tally, sequence: u64, had_success: bool, row: u64) -> Option<Ruling> {
        let from = Stamp {
            node: "a".to_owned(),
            incarnation: "1".to_owned(),
            sequence,
        };
        let act = Act::Batch {
            had_success,
            row,
            failures: row,
            rules: vec![CountRule {
                threshold: 3,
                within: 0,
                row: true,
            }],
            cooldown: 1_000,
        };
        tally.take(&from, &act, 5)
    }

    #[test]
    fn a_row_is_counted_in_the_order_of_arrival_and_a_batch_once() {
        let mut tally = Tally::default();
        assert_eq!(take(&mut tally, 1, false, 2), Some(Ruling::TooFew));
        assert_eq!(take(&mut tally, 1, false, 2), None);
        assert_eq!(take(&mut tally, 2, true, 2), Some(Ruling::TooFew));
        assert_eq!(take(&mut tally, 3, false, 1), Some(Ruling::Enough));
    }
}
