//! A grant as a permit holds it: two plain numbers for almost every call, so that a permit travels in registers.
//!
//! Almost every permit says no more than "granted while closed, in this generation, at this time". As an enum whose
//! largest variant is three times that, it would be written to memory and read back for every call. So the grants that
//! say more lie in a box: those of probes, of calls that are watched in flight, and a monitor's.

use crate::machine::{Grant, GrantKind};
use crate::state_word::{Signal, StateWord};
use crate::time::Timestamp;

/// The code of a token whose grant lies in the box.
const BOXED: u64 = 16;

/// The content of a permit until it is settled.
#[derive(Debug, Default)]
pub(crate) struct Token {
    /// The permission in the low byte, the generation above. For the most part the [`StateWord`] that admitted the
    /// call; 0 for a token that is spent.
    ticket: u64,
    /// The time at which the call was admitted, or [began to wait](Token::restart), if it is a [`PlainToken`].
    time: Timestamp,
    grant: Option<Box<Grant>>,
}

/// A token of only two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlainToken {
    /// The word that admitted the call.
    pub word: StateWord,
    /// The time of the admission, or the later start from which the call is counted.
    pub time: Timestamp,
}

impl PlainToken {
    /// The call's duration in nanoseconds, if the breaker needed its start.
    pub fn lasted(self, now: Timestamp) -> Option<u64> {
        let lasted = now.as_nanos().saturating_sub(self.time.as_nanos());
        self.word.is_timed().then_some(lasted)
    }
}

impl From<PlainToken> for Token {
    fn from(plain: PlainToken) -> Self {
        Token::by(plain.word, plain.time)
    }
}

impl Token {
    /// A token from a word that [lets calls pass](StateWord::is_closed).
    #[inline]
    pub fn by(word: StateWord, now: Timestamp) -> Self {
        Token {
            ticket: word.0,
            time: now,
            grant: None,
        }
    }

    pub fn of(grant: Grant) -> Self {
        let (signal, time) = match grant.kind {
            GrantKind::Call => (Signal::Closed, Timestamp::ZERO),
            GrantKind::Timed(start) => (Signal::Timed, start),
            GrantKind::Held => (Signal::HeldClosed, Timestamp::ZERO),
            GrantKind::Untracked => (Signal::Disabled, Timestamp::ZERO),
            GrantKind::Flight(_) | GrantKind::Probe(_) | GrantKind::Shadow(_) => {
                return Token {
                    ticket: grant.generation << 8 | BOXED,
                    time: Timestamp::ZERO,
                    grant: Some(Box::new(grant)),
                };
            }
        };
        Token::by(StateWord::new(signal, grant.generation), time)
    }

    /// The grant; `None` for a spent token.
    pub fn into_grant(self) -> Option<Grant> {
        if let Some(grant) = self.grant {
            return Some(*grant);
        }
        let word = StateWord(self.ticket);
        let kind = match word.signal() {
            Signal::Closed => GrantKind::Call,
            Signal::Timed => GrantKind::Timed(self.time),
            Signal::HeldClosed => GrantKind::Held,
            Signal::Disabled => GrantKind::Untracked,
            Signal::Open | Signal::HeldOpen(_) | Signal::Ask => return None,
        };
        Some(Grant {
            generation: word.generation(),
            kind,
        })
    }

    /// Moves the token to another place, and leaves this one spent. Piece by piece, so that the pieces may stay in
    /// registers.
    #[inline]
    pub fn take(&mut self) -> Token {
        Token {
            ticket: std::mem::take(&mut self.ticket),
            time: self.time,
            grant: self.grant.take(),
        }
    }

    /// Spends a token that is [plain](Token::plain).
    #[inline]
    pub fn spend(&mut self) {
        self.ticket = 0;
    }

    /// Counts the call from another time on, if its grant does not lie in the box.
    pub fn restart(&mut self, start: Timestamp) {
        self.time = start;
    }

    #[inline]
    pub fn is_spent(&self) -> bool {
        self.ticket == 0
    }

    #[inline]
    pub fn generation(&self) -> u64 {
        self.word().generation()
    }

    /// The plain form of a token whose call was granted while closed, without further facts.
    #[inline]
    pub fn plain(&self) -> Option<PlainToken> {
        let plain = self.grant.is_none() && self.word().is_closed();
        plain.then(|| PlainToken {
            word: self.word(),
            time: self.time,
        })
    }

    #[inline]
    pub fn word(&self) -> StateWord {
        StateWord(self.ticket)
    }

    /// The grant in the box, with further facts about the call.
    pub fn boxed(&self) -> Option<&Grant> {
        self.grant.as_deref()
    }

    pub fn boxed_mut(&mut self) -> Option<&mut Grant> {
        self.grant.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Slot;
    use crate::outcome::{Phase, RejectReason, Rejection};
    use crate::window::Flight;

    #[test]
    fn a_token_round_trips_to_its_grant() {
        let time = Timestamp::from_nanos(u64::MAX - 1);
        let rejection = Rejection::at(RejectReason::HeldOpen, Phase::HalfOpen, Some(time));
        let kinds = [
            GrantKind::Call,
            GrantKind::Timed(time),
            GrantKind::Flight(Flight {
                start: time,
                number: 7,
            }),
            GrantKind::Probe(Slot {
                deadline: time,
                number: 8,
                start: Timestamp::from_nanos(9),
            }),
            GrantKind::Held,
            GrantKind::Shadow(rejection),
            GrantKind::Untracked,
        ];
        for (kind, generation) in kinds
            .into_iter()
            .zip((0..7).map(|by| ((1 << 56) - 1) >> by))
        {
            let mut token = Token::of(Grant { generation, kind });
            assert_eq!(token.generation(), generation);
            let back = token.take().into_grant().unwrap();
            assert_eq!((back.generation, back.kind), (generation, kind));
            assert!(token.is_spent() && token.into_grant().is_none());
        }
    }

    #[test]
    fn a_word_that_admits_calls_is_a_token_itself() {
        let now = Timestamp::from_nanos(3);
        let token = |signal| {
            Token::by(StateWord::new(signal, 5), now)
                .into_grant()
                .unwrap()
                .kind
        };
        assert_eq!(token(Signal::Closed), GrantKind::Call);
        assert_eq!(token(Signal::Timed), GrantKind::Timed(now));
    }
}
