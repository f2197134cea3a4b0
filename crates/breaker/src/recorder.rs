//! The flight recorder: the last outcomes, bounded.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cause::LastCauses;
use crate::log::Run;
use crate::outcome::SettledAs;
use crate::time::Timestamp;

/// Number of outcomes that a breaker remembers.
pub const RECENT_OUTCOMES: usize = 32;

/// An outcome with its category.
///
/// A shared [`Breaker`](crate::Breaker) writes nothing for a success that changes nothing, so those are missing here.
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flown {
    /// The time at which it was booked. An outcome that decided nothing may have been booked with the next event only.
    pub at: Timestamp,
    /// The generation that admitted its call; for a report without a permit, the current one.
    pub generation: u64,
    /// The category in which it was counted.
    pub counted: SettledAs,
    /// The duration of the call, if known. Outcomes that decided nothing and were booked later are without it.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::serial::optional_duration")
    )]
    pub duration: Option<Duration>,
}

/// The last outcomes. The memory is allocated with the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    written: VecDeque<Written>,
    /// Number of outcomes in it.
    length: usize,
    /// The causes of the failures among them and of some before, since the windows began.
    pub causes: LastCauses,
}

/// An entry written at once.
#[derive(Clone, Copy, Debug)]
enum Written {
    One(Flown),
    /// Outcomes that were noted first, see [`Log`](crate::log::Log).
    Run {
        at: Timestamp,
        generation: u64,
        failures: Run,
    },
}

impl Written {
    fn length(&self) -> usize {
        match self {
            Written::One(_) => 1,
            Written::Run { failures, .. } => failures.length as usize,
        }
    }
}

impl Recorder {
    pub fn write(&mut self, flown: Flown) {
        self.push(Written::One(flown));
    }

    pub fn write_run(&mut self, at: Timestamp, generation: u64, failures: Run) {
        self.push(Written::Run {
            at,
            generation,
            failures,
        });
    }

    fn push(&mut self, written: Written) {
        self.length += written.length();
        while let Some(first) = self.written.front().map(Written::length)
            && self.length - first >= RECENT_OUTCOMES
        {
            self.written.pop_front();
            self.length -= first;
        }
        self.written.push_back(written);
    }

    /// The outcomes, oldest first.
    pub fn read(&self) -> Vec<Flown> {
        let mut read = Vec::with_capacity(self.length);
        for written in &self.written {
            match *written {
                Written::One(flown) => read.push(flown),
                Written::Run {
                    at,
                    generation,
                    failures,
                } => read.extend(failures.iter().map(|failed| Flown {
                    at,
                    generation,
                    counted: if failed {
                        SettledAs::Failure
                    } else {
                        SettledAs::Success
                    },
                    duration: None,
                })),
            }
        }
        read.drain(..read.len().saturating_sub(RECENT_OUTCOMES));
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_last_outcomes_are_kept_in_their_order_written_one_by_one_or_at_once(
            lengths in prop::collection::vec(0u32..=30, 1..40), hits: u64,
        ) {
            let mut recorder = Recorder::default();
            let mut all = Vec::new();
            for (number, length) in lengths.into_iter().enumerate() {
                let at = Timestamp::from_nanos(number as u64);
                if length == 0 {
                    let counted = SettledAs::Ignored;
                    recorder.write(Flown { at, generation: 0, counted, duration: None });
                    all.push((at, counted));
                } else {
                    let run = Run { hits: hits & ((1 << length) - 1), length };
                    recorder.write_run(at, 0, run);
                    all.extend(run.iter().map(|failed| {
                        (at, if failed { SettledAs::Failure } else { SettledAs::Success })
                    }));
                }
                let kept = recorder.read().into_iter().map(|flown| (flown.at, flown.counted));
                let last = all.len().saturating_sub(RECENT_OUTCOMES);
                prop_assert!(kept.eq(all[last..].iter().copied()));
                prop_assert!(recorder.written.len() <= RECENT_OUTCOMES);
            }
        }
    }
}
