//! Outcomes that decide nothing yet, noted in one word instead of being booked one by one.
//!
//! A machine knows after each event how many failures (and slow calls) it can take before any rule can be met, whatever
//! succeeds between them. That number of outcomes may wait: here, in their order, added by one compare-and-swap. The
//! next user of the machine books them first, all at once, so a machine without them is never visible.

/// Number of bits for outcomes: as many outcomes, or half as many if each is noted with its slowness.
const CAPACITY: u32 = 30;

/// The highest allowance in the word; a higher one is stored as this.
const ALLOWANCE_MAX: u32 = 31;

const OPEN: u64 = 1;
const QUIET: u64 = 1 << 1;
const WIDE: u64 = 1 << 2;
const ALLOWANCE: u32 = 3;
const LENGTH: u32 = 8;
const OUTCOMES: u32 = 13;
const TURN: u32 = 43;

/// From the lowest bit: open (1), quiet (1), wide (1), allowance (5), length (5), outcomes (30, from the first), and the
/// low bits of the turn (21). A turn lasts as long as generation and settings do, so that no log of one can be taken for
/// a log of another.
///
/// An outcome is one bit, set for a failure; in a wide log two, the higher one set for a slow call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log(pub u64);

/// The outcomes that a log may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Number of failed or slow outcomes.
    pub misses: u64,
    /// True if a success changes nothing until one of them is noted.
    pub quiet: bool,
    /// True if each outcome is noted with its slowness.
    pub wide: bool,
}

/// The action for an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The outcome changes nothing.
    Nothing,
    /// Put this log in place of the old one, if that is still there.
    As(Log),
    /// The log is full: its outcomes must be booked first.
    Full,
    /// The machine must be asked.
    Ask,
}

/// A run of outcomes in their order: a bit each, the lowest is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub hits: u64,
    pub length: u32,
}

impl Log {
    /// A log that takes nothing.
    pub const SHUT: Log = Log(0);

    /// An empty log, or a shut one if nothing is allowed.
    pub fn empty(turn: u64, allowed: Option<Allowed>) -> Self {
        let Some(allowed) = allowed else {
            return Log(turn << TURN);
        };
        let flag = |set, bit| if set { bit } else { 0 };
        let misses = allowed.misses.min(u64::from(ALLOWANCE_MAX)) << ALLOWANCE;
        Log(turn << TURN | misses | flag(allowed.wide, WIDE) | flag(allowed.quiet, QUIET) | OPEN)
    }

    /// The low bits of its turn.
    pub fn turn(self) -> u64 {
        self.0 >> TURN
    }

    /// True if a success changes nothing.
    #[inline]
    pub fn is_quiet(self) -> bool {
        self.0 & (OPEN | QUIET) == OPEN | QUIET
    }

    /// True if the slowness of each call is noted.
    #[inline]
    pub fn is_wide(self) -> bool {
        self.0 & WIDE != 0
    }

    /// Notes an outcome whose slowness does not matter.
    #[inline(always)]
    pub fn note(self, failed: bool) -> Noted {
        if self.is_wide() {
            return Noted::Ask;
        }
        self.add(failed.into(), 1)
    }

    /// Notes an outcome with the slowness of its call, which is dropped if it does not matter.
    #[inline(always)]
    pub fn note_timed(self, failed: bool, slow: bool) -> Noted {
        if !self.is_wide() {
            return self.note(failed);
        }
        self.add(u64::from(failed) | u64::from(slow) << 1, 2)
    }

    #[inline(always)]
    fn add(self, bits: u64, width: u32) -> Noted {
        let length = self.length();
        if self.0 & OPEN == 0 {
            return Noted::Ask;
        }
        if length + width > CAPACITY {
            return Noted::Full;
        }
        // None of these sums overflows its field: the length was checked, and so was the allowance.
        let noted = self.0.wrapping_add(u64::from(width) << LENGTH);
        if bits == 0 {
            return match self.is_quiet() {
                true => Noted::Nothing,
                false => Noted::As(Log(noted)),
            };
        }
        if self.allowance() == 0 {
            return Noted::Ask;
        }
        let noted = noted.wrapping_sub(1 << ALLOWANCE) | bits << (OUTCOMES + length);
        Noted::As(Log(noted & !QUIET))
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.length() == 0
    }

    /// The noted outcomes: the failures, and the slow calls. The latter is empty if slowness was not noted.
    pub fn runs(self) -> (Run, Run) {
        let length = self.length();
        let bits = self.0 >> OUTCOMES & ((1 << length) - 1);
        if !self.is_wide() {
            return (Run { hits: bits, length }, Run::default());
        }
        let every_second = |bits| Run {
            hits: every_second(bits),
            length: length / 2,
        };
        (every_second(bits), every_second(bits >> 1))
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

/// The bits number 0, 2, 4 and so on of the lower half, moved together.
fn every_second(bits: u64) -> u64 {
    let mut bits = bits & 0x5555_5555;
    for (by, mask) in [
        (1, 0x3333_3333),
        (2, 0x0f0f_0f0f),
        (4, 0x00ff_00ff),
        (8, 0x0000_ffff),
    ] {
        bits = (bits | bits >> by) & mask;
    }
    bits
}

impl Run {
    pub fn one(hit: bool) -> Self {
        Run {
            hits: hit.into(),
            length: 1,
        }
    }

    /// Number of hits in the run.
    pub fn count(self) -> u32 {
        self.hits.count_ones()
    }

    /// Number of hits after the last miss; all, if there is none.
    pub fn row(self) -> u32 {
        (self.hits << (u64::BITS - self.length).min(63)).leading_ones()
    }

    /// The outcomes in their order, true for a hit.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = bool> + ExactSizeIterator {
        (0..self.length).map(move |number| self.hits >> number & 1 == 1)
    }

    /// The first outcomes, at most `at`, and the rest.
    pub fn split(self, at: u32) -> (Run, Run) {
        let at = at.min(self.length);
        let first = Run {
            hits: self.hits & ((1 << at) - 1),
            length: at,
        };
        let rest = Run {
            hits: self.hits >> at,
            length: self.length - at,
        };
        (first, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allowed(misses: u64, quiet: bool, wide: bool) -> Option<Allowed> {
        Some(Allowed {
            misses,
            quiet,
            wide,
        })
    }

    #[test]
    fn a_shut_log_takes_nothing() {
        for log in [Log::SHUT, Log::empty(7, None)] {
            assert_eq!(log.note(true), Noted::Ask);
            assert!(!log.is_quiet() && log.is_empty());
        }
        assert_eq!(Log::empty(7, None).turn(), 7);
    }

    #[test]
    fn a_wide_log_takes_no_outcome_of_unknown_slowness() {
        let log = Log::empty(7, allowed(3, false, true));
        assert_eq!(log.note(true), Noted::Ask);
    }

    #[test]
    fn a_row_of_hits_ends_at_the_last_miss() {
        let run = |hits, length| Run { hits, length }.row();
        assert_eq!([run(0, 0), run(0b1, 1), run(0b0, 1)], [0, 1, 0]);
        assert_eq!([run(0b1101, 4), run(0b0111, 4), run(0b1111, 4)], [2, 0, 4]);
    }

    proptest! {
        #[test]
        fn a_log_gives_back_what_was_noted_and_never_more_misses_than_allowed(
            turn in 0u64..1 << 21, misses in 0u64..100, quiet: bool, wide: bool,
            outcomes in prop::collection::vec(any::<(bool, bool)>(), 0..64),
        ) {
            let mut log = Log::empty(turn, allowed(misses, quiet, wide));
            let mut noted = Vec::new();
            for (failed, slow) in outcomes {
                let missed = failed || (wide && slow);
                let missed_before = noted.iter().filter(|(failed, slow)| *failed || (wide && *slow));
                let missed_before = missed_before.count() as u64;
                match log.note_timed(failed, slow) {
                    Noted::As(next) => {
                        noted.push((failed, slow));
                        log = next;
                    }
                    Noted::Nothing => {
                        prop_assert!(quiet && missed_before == 0 && !missed && log.is_quiet());
                    }
                    Noted::Full => prop_assert_eq!(noted.len(), if wide { 15 } else { 30 }),
                    Noted::Ask => prop_assert!(missed && missed_before == misses.min(31)),
                }
                let (failures, slows) = log.runs();
                prop_assert!(failures.iter().eq(noted.iter().map(|(failed, _)| *failed)));
                if wide {
                    prop_assert!(slows.iter().eq(noted.iter().map(|(_, slow)| *slow)));
                }
                prop_assert_eq!(log.turn(), turn);
            }
        }

        #[test]
        fn a_run_in_two_parts_is_the_same_run(hits: u64, length in 0u32..=30, at in 0u32..40) {
            let run = Run { hits: hits & ((1 << length) - 1), length };
            let (first, rest) = run.split(at);
            prop_assert!(run.iter().eq(first.iter().chain(rest.iter())));
            prop_assert_eq!(run.count(), first.count() + rest.count());
        }
    }
}
