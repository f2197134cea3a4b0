//! Admission and outcomes with a clock at hand that is read only if the time matters.
//!
//! A closed breaker without a rule about durations admits by its word alone, and many an outcome changes nothing or is
//! noted without a time. Reading the clock would cost such a call several times what all else does. Every decision that
//! depends on a time reads it: an open breaker, a probe, a slow or stalled call, a window of time, the outcome that may
//! trip.

use std::time::Duration;

use crate::breaker::Breaker;
use crate::call::Call;
use crate::outcome::Rejection;
use crate::refused::Refused;
use crate::time::Timestamp;
use crate::token::Token;

/// The most by which a [coarse](crate::Clock::coarse) time may lag behind.
const LAG: Duration = Duration::from_secs(1);

/// A token for a call, with the time at which it began, if that is needed.
pub(crate) struct TimedToken {
    pub token: Token,
    pub at: Option<Timestamp>,
}

/// The answer at a known time. Not a `Result`, which the compiler would build in the place of the quick answer's, hence
/// in memory.
pub(crate) struct TimedAdmission {
    pub timed: TimedToken,
    pub refused: Option<Refused>,
}

impl Breaker {
    /// A token for a call that needs no time, if the breaker is in such a state.
    #[inline]
    pub(crate) fn undated_token(&self) -> Option<Token> {
        self.0.core.undated_token()
    }

    /// The refusal of a breaker that is open at a coarse time and for far longer than that may lag.
    #[inline]
    pub(crate) fn refused_by_far(&self, coarse: impl FnOnce() -> Timestamp) -> Option<Refused> {
        if !self.0.core.word().is_open() {
            return None;
        }
        let now = coarse();
        let until = self.0.core.open_until(now + LAG)?;
        Some(self.refused_coarsely(Rejection::until(until), now))
    }

    /// Asks whether a call may pass, at a known time.
    #[inline(never)]
    pub(crate) fn ask_at(&self, now: Timestamp) -> TimedAdmission {
        let (token, refused) = match self.admit_token(now) {
            Ok(token) => (token, None),
            Err(rejection) => (Token::default(), Some(self.refused(rejection, now))),
        };
        let at = Some(now);
        TimedAdmission {
            timed: TimedToken { token, at },
            refused,
        }
    }

    /// Records the outcome of a call, and spends its token. Without another duration the call's is the time since it
    /// began, if that is known.
    ///
    /// The token stays in place until it is certain that it must be moved, which few calls need.
    #[inline]
    pub(crate) fn end(
        &self,
        token: &mut Token,
        at: Option<Timestamp>,
        call: Call,
        clock: impl FnOnce() -> Timestamp,
    ) {
        if let Some(plain) = token.plain()
            && call.is_plain()
            && (self.0.core.ignores(plain.word, call.outcome)
                || self.0.core.takes_undated(plain, call.outcome))
        {
            token.spend();
            return;
        }
        let token = token.take();
        self.end_at(TimedToken { token, at }, call, clock());
    }

    #[inline(never)]
    fn end_at(&self, timed: TimedToken, call: Call, now: Timestamp) {
        let took = timed.at.map(|began| now.saturating_since(began));
        let duration = call.duration.or(took);
        self.conclude(timed.token, Call { duration, ..call }, now);
    }

    /// Records that a call's caller gave it up. A call without a start time does not need its duration either.
    pub(crate) fn give_up(&self, timed: TimedToken, clock: impl FnOnce() -> Timestamp) {
        let Some(began) = timed.at else {
            self.drop_token(timed.token);
            return;
        };
        let now = clock();
        if let Some(grant) = timed.token.into_grant() {
            self.abandoned(grant, now.saturating_since(began), now);
        }
    }
}
