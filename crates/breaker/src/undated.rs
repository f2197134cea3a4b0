//! Asking and telling with a clock at hand that is read only where the time matters.
//!
//! A closed breaker without a rule about durations admits by its word alone, and many an outcome changes nothing or is
//! noted without a time. Reading the clock would cost such a call several times what all else does. Everything that a
//! time decides reads it: an open breaker, a probe, a slow or stalled call, a window of time, the outcome that may trip.

use std::time::Duration;

use crate::breaker::Breaker;
use crate::call::Call;
use crate::leave::Leave;
use crate::outcome::Rejection;
use crate::refused::Refused;
use crate::time::Timestamp;

/// Longer than a [coarse](crate::Clock::coarse) time may lag behind.
const LAG: Duration = Duration::from_secs(1);

/// Leave for a call, and when it began, where somebody wanted to know.
pub(crate) struct Begun {
    pub leave: Leave,
    pub at: Option<Timestamp>,
}

/// The answer at a known time. Not a `Result`, which the compiler would build where the quick answer's is, hence in memory.
pub(crate) struct Asked {
    pub begun: Begun,
    pub refused: Option<Refused>,
}

impl Breaker {
    /// Leave for a call that needs no time, where there is such.
    #[inline]
    pub(crate) fn undated_leave(&self) -> Option<Leave> {
        self.0.core.undated_leave()
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
    pub(crate) fn ask_at(&self, now: Timestamp) -> Asked {
        let (leave, refused) = match self.leave(now) {
            Ok(leave) => (leave, None),
            Err(rejection) => (Leave::default(), Some(self.refused(rejection, now))),
        };
        let at = Some(now);
        Asked {
            begun: Begun { leave, at },
            refused,
        }
    }

    /// Tells how a call ended, and spends its leave. Where nobody else says how long it took, that is the time since it
    /// began, if that is known.
    ///
    /// The leave stays where it is until it is known that it must be moved, which few calls need.
    #[inline]
    pub(crate) fn end(
        &self,
        leave: &mut Leave,
        at: Option<Timestamp>,
        call: Call,
        clock: impl FnOnce() -> Timestamp,
    ) {
        if let Some(plain) = leave.plain()
            && call.is_plain()
            && (self.0.core.ignores(plain.word, call.outcome)
                || self.0.core.takes_undated(plain, call.outcome))
        {
            leave.spend();
            return;
        }
        let leave = leave.take();
        self.end_at(Begun { leave, at }, call, clock());
    }

    #[inline(never)]
    fn end_at(&self, begun: Begun, call: Call, now: Timestamp) {
        let took = begun.at.map(|began| now.saturating_since(began));
        let duration = call.duration.or(took);
        self.conclude(begun.leave, Call { duration, ..call }, now);
    }

    /// Tells that a call's caller gave it up. Of one of which nobody knows when it began, nobody wants to know how long it
    /// lasted either.
    pub(crate) fn give_up(&self, begun: Begun, clock: impl FnOnce() -> Timestamp) {
        let Some(began) = begun.at else {
            self.drop_leave(begun.leave);
            return;
        };
        let now = clock();
        if let Some(grant) = begun.leave.into_grant() {
            self.abandoned(grant, now.saturating_since(began), now);
        }
    }
}
