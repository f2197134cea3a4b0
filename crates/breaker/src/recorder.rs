//! The flight recorder: the last outcomes, bounded.

use std::time::Duration;

use crate::machine::SettledAs;
use crate::time::Timestamp;

/// How many outcomes a breaker remembers.
pub const RECENT_OUTCOMES: usize = 32;

/// An outcome as it was counted.
///
/// A shared [`Breaker`](crate::Breaker) writes nothing for a success that changes nothing, so those are missing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flown {
    /// When it was booked. An outcome that decided nothing may have been booked with the next event only.
    pub at: Timestamp,
    /// The generation that admitted its call; for a report without a permit, the current one.
    pub generation: u64,
    /// As what it was counted.
    pub counted: SettledAs,
    /// How long the call took, where that is known. Outcomes that decided nothing and were booked later are without it.
    pub duration: Option<Duration>,
}

/// A ring that takes its memory with the first outcome.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    /// The oldest, once the ring is full.
    next: u8,
    ring: Vec<Flown>,
}

impl Recorder {
    pub fn write(&mut self, flown: Flown) {
        if self.ring.len() < RECENT_OUTCOMES {
            self.ring.push(flown);
        } else {
            self.ring[usize::from(self.next)] = flown;
            self.next = (self.next + 1) % RECENT_OUTCOMES as u8;
        }
    }

    /// Oldest first.
    pub fn read(&self) -> Vec<Flown> {
        let (newer, older) = self.ring.split_at(usize::from(self.next));
        [older, newer].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_outcomes_are_kept_in_their_order() {
        let mut recorder = Recorder::default();
        for number in 0..100u64 {
            recorder.write(Flown {
                at: Timestamp::from_nanos(number),
                generation: 0,
                counted: SettledAs::Success,
                duration: None,
            });
            let kept: Vec<u64> = recorder
                .read()
                .iter()
                .map(|flown| flown.at.as_nanos())
                .collect();
            let oldest = (number + 1).saturating_sub(RECENT_OUTCOMES as u64);
            assert_eq!(kept, (oldest..=number).collect::<Vec<_>>());
        }
    }
}
