//! Permission for one call: it carries the generation that gave it, and frees its place when dropped.

use std::time::Duration;

use crate::breaker::Breaker;
use crate::call::Call;
use crate::machine::{Grant, Settled};
use crate::outcome::{Outcome, Rejection};
use crate::time::Timestamp;
use crate::token::Token;
use crate::transition::Transition;

/// Permission for one call, borrowed from its breaker.
///
/// Record the outcome when the call has ended. A permit that is dropped counts as
/// [`Outcome::Ignored`](crate::Outcome::Ignored) and frees its place, so a call that is cancelled cannot leave the
/// breaker stuck; the same holds while its thread panics, since that need not be the call's fault. Code that catches a
/// panic of the call reports it by [`Permit::panicked`]. A permit that is never dropped loses its place at its
/// deadline.
#[doc(alias = "permission")]
#[must_use = "a permit that is dropped at once counts as an ignored call"]
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    token: Token,
}

/// Permission for one call, like [`Permit`], with a handle to its breaker, so it can be moved to another task.
#[must_use = "a permit that is dropped at once counts as an ignored call"]
#[derive(Debug)]
pub struct OwnedPermit {
    /// The breaker, until the permit is settled.
    breaker: Option<Breaker>,
    token: Token,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(crate) fn new(breaker: &'a Breaker, token: Token) -> Self {
        Permit { breaker, token }
    }

    /// The breaker that gave this permit.
    pub fn breaker(&self) -> &Breaker {
        self.breaker
    }

    /// The permit's parts. Nothing is left of it that could be dropped: otherwise the compiler would keep it in memory,
    /// for the case of an unwinding panic.
    #[inline(always)]
    fn into_parts(mut self) -> (&'a Breaker, Token) {
        let parts = (self.breaker, self.token.take());
        std::mem::forget(self);
        parts
    }
}

impl OwnedPermit {
    #[inline]
    pub(crate) fn new(breaker: Breaker, token: Token) -> Self {
        OwnedPermit {
            breaker: Some(breaker),
            token,
        }
    }

    /// The breaker that gave this permit.
    pub fn breaker(&self) -> &Breaker {
        self.breaker.as_ref().expect(SETTLED)
    }

    /// As for a [`Permit`]; the rest of this one is empty.
    #[inline(always)]
    fn into_parts(mut self) -> (Breaker, Token) {
        let parts = (self.breaker.take().expect(SETTLED), self.token.take());
        std::mem::forget(self);
        parts
    }
}

/// The reason why a permit has its breaker.
const SETTLED: &str = "only settling takes the breaker, and consumes the permit";

macro_rules! permit_methods {
    ($permit:ty) => {
        impl $permit {
            /// Records the call's outcome, and returns the last transition that it caused.
            #[inline(always)]
            pub fn record(self, call: impl Into<Call>, now: Timestamp) -> Option<Transition> {
                let (call, (breaker, token)) = (call.into(), self.into_parts());
                breaker.record(token, call, now)
            }

            /// Records the call's outcome as [`record`](Self::record) does, for callers that do not need the
            /// transition: the quickest way.
            #[inline(always)]
            pub fn conclude(self, call: impl Into<Call>, now: Timestamp) {
                let (call, (breaker, token)) = (call.into(), self.into_parts());
                breaker.conclude(token, call, now);
            }

            /// Records the call's outcome, and returns its category and all transitions that it caused.
            #[inline(always)]
            pub fn settle(self, call: impl Into<Call>, now: Timestamp) -> Settled {
                let (call, (breaker, token)) = (call.into(), self.into_parts());
                breaker.settle(token, call, now)
            }

            /// Records that the call panicked: a failure or nothing, as [`OnPanic`](crate::OnPanic) says. For callers
            /// that catch the panic of the call itself; a [`Guard`](crate::Guard) does so by itself.
            pub fn panicked(self, now: Timestamp) -> Option<Transition> {
                let (breaker, token) = self.into_parts();
                let settled = breaker.panicked(token.into_grant()?, now);
                settled.transitions.into_last()
            }

            /// Records that the caller gave the call up after `lasted`: a failure or nothing, as
            /// [`OnAbandoned`](crate::OnAbandoned) says. Time in which the other side waited for the caller does not
            /// belong to it.
            pub fn abandoned(self, lasted: Duration, now: Timestamp) -> Settled {
                let (breaker, token) = self.into_parts();
                match token.into_grant() {
                    Some(grant) => breaker.abandoned(grant, lasted, now),
                    None => Settled::of(Outcome::Ignored),
                }
            }

            /// The generation in which the outcome counts; in any later one it is late.
            pub fn generation(&self) -> u64 {
                self.token.generation()
            }

            /// True for a probe, whose outcome decides whether the breaker closes.
            pub fn is_probe(&self) -> bool {
                self.token.boxed().is_some_and(Grant::is_probe)
            }

            /// The time at which the probe's place is freed for another; `None` for other calls.
            pub fn deadline(&self) -> Option<Timestamp> {
                self.token.boxed().and_then(Grant::deadline)
            }

            /// Moves a probe's deadline later; never earlier, and not once it has passed. Does nothing for other calls.
            pub fn extend(&mut self, deadline: Timestamp) {
                let breaker = self.breaker().clone();
                if let Some(grant) = self.token.boxed_mut()
                    && grant.is_probe()
                {
                    breaker.extend(grant, deadline);
                }
            }

            /// Notes that the other side has had all that it needs to answer since `start`, and only since then: from
            /// there on the call is in flight for [`Rule::Stalled`](crate::Rule::Stalled), and has its duration, unless
            /// another one is given. [`Timestamp::MAX`]: it has not yet. Without this call the time counts from the
            /// permit on.
            ///
            /// For callers that connect first, or whose request comes piece by piece from a client: the time before was
            /// not the other side's. It may be called again and again. A call that has been [answered](Self::answered)
            /// stays so.
            pub fn waits_since(&mut self, start: Timestamp) {
                let breaker = self.breaker().clone();
                match self.token.boxed_mut() {
                    Some(grant) => breaker.waits_since(grant, start),
                    None => self.token.restart(start),
                }
            }

            /// Notes that the other side has begun to answer: the call is not in flight any more for
            /// [`Rule::Stalled`](crate::Rule::Stalled). Its outcome is still to be recorded.
            pub fn answered(&self) {
                if let Some(grant) = self.token.boxed()
                    && grant.is_flight()
                {
                    self.breaker().answered(grant);
                }
            }

            /// The refusal that a monitor did not enforce.
            pub fn would_reject(&self) -> Option<&Rejection> {
                self.token.boxed().and_then(Grant::would_reject)
            }
        }

        impl Drop for $permit {
            #[inline(always)]
            fn drop(&mut self) {
                if !self.token.is_spent() {
                    let token = self.token.take();
                    self.breaker().drop_token(token);
                }
            }
        }
    };
}

permit_methods!(Permit<'_>);
permit_methods!(OwnedPermit);
