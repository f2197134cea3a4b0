//! The outcomes that decide nothing yet, noted in one word instead of being booked one by one.
//!
//! A machine that has just been asked knows how many failures it still takes, at the least, before any rule can be met,
//! whatever succeeds between them. So many outcomes may wait: here, in their order, one bit each, added by one
//! compare-and-swap. Whoever needs the machine next books them first, so nobody ever sees a machine without them.

/// How many outcomes a log holds.
const CAPACITY: u32 = 30;

/// The highest allowance that is told; a higher one is told as this.
const ALLOWANCE_MAX: u32 = 31;

const OPEN: u64 = 1;
const QUIET: u64 = 1 << 1;
const ALLOWANCE: u32 = 2;
const LENGTH: u32 = 7;
const OUTCOMES: u32 = 12;
const TAG: u32 = 42;

/// From the lowest bit: open (1), quiet (1), allowance (5), length (5), outcomes (30, a failure is a set bit), and the low
/// bits of the generation (22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log(pub u64);

/// What to do with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It changes nothing.
    Nothing,
    /// Put this log in place of the old one, if that is still there.
    As(Log),
    /// The machine must be asked.
    Ask,
}

impl Log {
    /// A log that takes nothing.
    pub const SHUT: Log = Log(0);

    /// An empty log. `allowance`: so many failures may be noted. `quiet`: until then, a success changes nothing.
    pub fn empty(generation: u64, allowance: u64, quiet: bool) -> Self {
        let allowance = allowance.min(u64::from(ALLOWANCE_MAX));
        let quiet = if quiet { QUIET } else { 0 };
        Log(generation << TAG | allowance << ALLOWANCE | quiet | OPEN)
    }

    /// Whether a success of that generation changes nothing.
    #[inline]
    pub fn is_quiet(self, generation: u64) -> bool {
        let mask = u64::MAX << TAG | QUIET | OPEN;
        self.0 & mask == (generation << TAG | QUIET | OPEN)
    }

    #[inline]
    pub fn note(self, generation: u64, failed: bool) -> Noted {
        if self.0 & OPEN == 0 || self.0 >> TAG != generation << TAG >> TAG {
            return Noted::Ask;
        }
        if !failed && self.0 & QUIET != 0 {
            return Noted::Nothing;
        }
        let length = self.length();
        if length == CAPACITY || (failed && self.allowance() == 0) {
            return Noted::Ask;
        }
        let mut noted = self.0 + (1 << LENGTH);
        if failed {
            noted = ((noted - (1 << ALLOWANCE)) | (1 << (OUTCOMES + length))) & !QUIET;
        }
        Noted::As(Log(noted))
    }

    /// Whether each noted outcome is a failure, in their order.
    pub fn outcomes(self) -> impl Iterator<Item = bool> {
        (0..self.length()).map(move |number| self.0 >> (OUTCOMES + number) & 1 == 1)
    }

    #[inline]
    fn length(self) -> u32 {
        (self.0 >> LENGTH) as u32 & 31
    }

    #[inline]
    fn allowance(self) -> u32 {
        (self.0 >> ALLOWANCE) as u32 & 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_shut_log_or_one_of_another_generation_takes_nothing() {
        assert_eq!(Log::SHUT.note(0, false), Noted::Ask);
        assert_eq!(Log::empty(7, 3, true).note(8, false), Noted::Ask);
        assert_eq!(Log::empty(7, 3, true).note(7, false), Noted::Nothing);
    }

    proptest! {
        #[test]
        fn a_log_gives_back_what_was_noted_and_never_more_failures_than_allowed(
            generation in 0u64..1 << 56, allowance in 0u64..100, quiet: bool, outcomes in prop::collection::vec(any::<bool>(), 0..64),
        ) {
            let mut log = Log::empty(generation, allowance, quiet);
            let mut noted = Vec::new();
            for failed in outcomes {
                match log.note(generation, failed) {
                    Noted::As(next) => {
                        noted.push(failed);
                        log = next;
                    }
                    Noted::Nothing => {
                        prop_assert!(quiet && !noted.contains(&true) && !failed);
                        prop_assert!(log.is_quiet(generation));
                    }
                    Noted::Ask => {
                        let failures = noted.iter().filter(|failed| **failed).count() as u64;
                        prop_assert!(noted.len() == 30 || (failed && failures == allowance.min(31)));
                    }
                }
                prop_assert_eq!(log.outcomes().collect::<Vec<_>>(), noted.clone());
            }
        }
    }
}
