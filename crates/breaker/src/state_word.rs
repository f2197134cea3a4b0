//! The word that is all that most callers need: the state in short with its generation, packed to be read at once.

use crate::outcome::Phase;

/// The permission of a caller that does not ask the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Calls pass freely.
    Closed,
    /// Calls pass, and each gets its start time.
    Timed,
    /// Calls are refused until the time beside the word.
    Open,
    /// Calls are refused until the time beside the word, by an operator.
    HeldOpen(Phase),
    /// Calls pass until the time beside the word, by an operator.
    HeldClosed,
    /// Calls pass, nothing counts.
    Disabled,
    /// The caller must ask the machine.
    Ask,
}

impl Signal {
    /// The signal's code; 0 only for [`Signal::Ask`]. The two that let calls pass differ in the lowest bit alone.
    pub const fn code(self) -> u64 {
        match self {
            Signal::Ask => 0,
            Signal::Closed => 2,
            Signal::Timed => 3,
            Signal::Open => 4,
            Signal::HeldOpen(Phase::Closed) => 5,
            Signal::HeldOpen(Phase::Open) => 6,
            Signal::HeldOpen(Phase::HalfOpen) => 7,
            Signal::HeldClosed => 8,
            Signal::Disabled => 9,
        }
    }
}

/// A [`Signal`] in the low byte, the generation above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateWord(pub u64);

impl StateWord {
    /// A word of both. Generations stay below 2^56: a restore takes over at most 2^55, and nothing counts through the
    /// rest.
    #[inline]
    pub fn new(signal: Signal, generation: u64) -> Self {
        StateWord(generation << 8 | signal.code())
    }

    pub fn signal(self) -> Signal {
        match self.0 & 0xff {
            2 => Signal::Closed,
            3 => Signal::Timed,
            4 => Signal::Open,
            5 => Signal::HeldOpen(Phase::Closed),
            6 => Signal::HeldOpen(Phase::Open),
            7 => Signal::HeldOpen(Phase::HalfOpen),
            8 => Signal::HeldClosed,
            9 => Signal::Disabled,
            _ => Signal::Ask,
        }
    }

    /// True if calls pass and at most their start time is needed.
    #[inline]
    pub fn is_closed(self) -> bool {
        self.0 & 0xfe == Signal::Closed.code()
    }

    /// True if the signal is [`Signal::Timed`].
    #[inline]
    pub fn is_timed(self) -> bool {
        self.0 & 0xff == Signal::Timed.code()
    }

    /// True if the signal is [`Signal::Open`]; quicker than taking it apart.
    #[inline]
    pub fn is_open(self) -> bool {
        self.0 & 0xff == Signal::Open.code()
    }

    #[inline]
    pub fn generation(self) -> u64 {
        self.0 >> 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_what_it_was_made_of() {
        let phases = [Phase::Closed, Phase::Open, Phase::HalfOpen];
        let signals = [
            Signal::Ask,
            Signal::Closed,
            Signal::Open,
            Signal::HeldClosed,
            Signal::Disabled,
            Signal::Timed,
        ];
        let held = phases.map(Signal::HeldOpen);
        for signal in signals.into_iter().chain(held) {
            for generation in [0, 1, 1 << 55, (1 << 56) - 1] {
                let word = StateWord::new(signal, generation);
                assert_eq!((word.signal(), word.generation()), (signal, generation));
                let closed = matches!(signal, Signal::Closed | Signal::Timed);
                assert_eq!(word.is_closed(), closed);
                assert_eq!(word.is_open(), signal == Signal::Open);
            }
        }
    }
}
