//! Causes of failures, as a trip's reason lists them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::outcome::Outcome;

/// The most causes that a breaker remembers.
const REMEMBERED: usize = 32;

/// The most causes in a reason, if the rule looks at more than a row of failures.
pub(crate) const TOLD: usize = 10;

pub(crate) const PANICKED: Cause = Cause::Word("panicked");

/// The cause of a call that its caller gave up, if that is a failure.
pub(crate) const ABANDONED: Cause = Cause::Word("abandoned");

/// The cause of one failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// A response's status, such as 503.
    Status(u16),
    /// A word or two from the caller, such as `refused` or `certificate expired`.
    Word(&'static str),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Status(status) => status.fmt(f),
            Cause::Word(word) => f.write_str(word),
        }
    }
}

/// The causes of several failures, each with its number, the most frequent first. A failure without a cause is counted
/// too, unless all are such: then there are no causes.
///
/// Its `Display` is a list such as `3 × refused, 2 × 500`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(Arc<[(Option<Cause>, u32)]>);

impl Causes {
    /// Each cause with the number of its failures, the most frequent first; `None` for failures without a cause.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Cause>, u32)> {
        self.0.iter().copied()
    }

    /// True if no cause is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of failures of all causes.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Counts causes; of equally frequent ones the first in `failures` comes first.
    fn count(failures: impl Iterator<Item = Option<Cause>>) -> Self {
        let mut counts: Vec<(Option<Cause>, u32)> = Vec::new();
        for cause in failures {
            match counts.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, count)) => *count += 1,
                None => counts.push((cause, 1)),
            }
        }
        if counts.iter().all(|(cause, _)| cause.is_none()) {
            return Causes::default();
        }
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Causes(counts.into())
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (cause, count)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match cause {
                Some(cause) => write!(f, "{comma}{count} × {cause}")?,
                None => write!(f, "{comma}{count} × unknown")?,
            }
        }
        Ok(())
    }
}

/// The causes of the last failures, oldest first. The memory is allocated with the first known cause.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastCauses(VecDeque<Option<Cause>>);

impl LastCauses {
    /// Remembers an outcome's cause, if it is a failure.
    pub fn see(&mut self, outcome: Outcome, cause: Option<Cause>) {
        if outcome == Outcome::Failure {
            self.push(cause);
        }
    }

    /// Remembers `failures` failures without a known cause.
    pub fn see_unknown(&mut self, failures: u32) {
        (0..failures).for_each(|_| self.push(None));
    }

    fn push(&mut self, cause: Option<Cause>) {
        if cause.is_none() && self.0.is_empty() {
            return;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(cause);
    }

    /// The causes of the last failures, at most `failures`, beginning with the first known one: so earlier memories do
    /// not matter.
    pub fn last(&self, failures: usize) -> Causes {
        let first = self.0.len().saturating_sub(failures);
        let unknown = self.0.range(first..).take_while(|cause| cause.is_none());
        let known = first + unknown.count();
        Causes::count(self.0.range(known..).rev().copied())
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(causes: &[Option<Cause>]) -> LastCauses {
        let mut last = LastCauses::default();
        for cause in causes {
            last.push(*cause);
        }
        last
    }

    const REFUSED: Option<Cause> = Some(Cause::Word("refused"));
    const STATUS: Option<Cause> = Some(Cause::Status(500));

    #[test]
    fn the_most_frequent_cause_comes_first_and_of_equals_the_latest() {
        let last = seen(&[STATUS, REFUSED, REFUSED, STATUS, REFUSED]);
        assert_eq!(last.last(5).to_string(), "3 × refused, 2 × 500");
        assert_eq!(last.last(2).to_string(), "1 × refused, 1 × 500");
        assert_eq!((last.last(5).total(), last.last(9).total()), (5, 5));
    }

    #[test]
    fn failures_without_a_cause_are_told_only_beside_others() {
        assert!(seen(&[None, None]).last(2).is_empty());
        let last = seen(&[REFUSED, None, None]);
        assert_eq!(last.last(3).to_string(), "2 × unknown, 1 × refused");
        assert!(last.last(2).is_empty());
    }

    #[test]
    fn the_oldest_causes_are_forgotten() {
        let mut last = seen(&[STATUS; 40]);
        assert_eq!(last.last(usize::MAX).total(), REMEMBERED as u64);
        last.see_unknown(50);
        assert!(last.last(usize::MAX).is_empty());
    }
}
