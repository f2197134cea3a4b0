//! Leave for one call: it carries the generation that gave it, and gives its place back when dropped.

use std::time::Duration;

use crate::breaker::Breaker;
use crate::call::Call;
use crate::machine::{Grant, Settled};
use crate::outcome::{Outcome, Rejection};
use crate::time::Timestamp;
use crate::token::Token;
use crate::transition::Transition;

/// Leave for one call, borrowed from its breaker.
///
/// Record the outcome when the call has ended. A permit that is dropped counts as
/// [`Outcome::Ignored`](crate::Outcome::Ignored) and frees its place, so a call that is cancelled cannot leave the
/// breaker stuck; so too while its thread panics, since that need not be the call's fault. Who catches a panic of the call
/// says so by [`Permit::panicked`]. A permit that is never dropped loses its place at its deadline.
#[doc(alias = "permission")]
#[must_use = "a permit that is dropped at once counts as an ignored call"]
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    token: Token,
}

/// Leave for one call, like [`Permit`], holding its breaker itself, so it can be moved to another task.
#[must_use = "a permit that is dropped at once counts as an ignored call"]
#[derive(Debug)]
pub struct OwnedPermit {
    /// There until the permit is settled.
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

    /// What it is made of. Nothing is left of the permit that could be dropped: the mere chance of that, should
    /// something unwind, would make the compiler keep it in memory.
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

    /// As for a [`Permit`]; what is left of this one is empty.
    #[inline(always)]
    fn into_parts(mut self) -> (Breaker, Token) {
        let parts = (self.breaker.take().expect(SETTLED), self.token.take());
        std::mem::forget(self);
        parts
    }
}

/// Why a permit has its breaker.
const SETTLED: &str = "only settling takes the breaker, and consumes the permit";

macro_rules! permit_methods {
    ($permit:ty) => {
        impl $permit {
            /// Tells how the call ended, and returns the last transition that this brought about.
            #[inline(always)]
            pub fn record(self, call: impl Into<Call>, now: Timestamp) -> Option<Transition> {
                let (call, (breaker, token)) = (call.into(), self.into_parts());
                breaker.record(token, call, now)
            }

            /// Tells how the call ended, as [`record`](Self::record) does, for callers that do not ask what it brought
            /// about: the quickest way.
            #[inline(always)]
            pub fn conclude(self, call: impl Into<Call>, now: Timestamp) {
                let (call, (breaker, token)) = (call.into(), self.into_parts());
                breaker.conclude(token, call, now);
            }

            /// Tells how the call ended, and returns as what it was counted and all that this brought about.
            #[inline(always)]
            pub fn settle(self, call: impl Into<Call>, now: Timestamp) -> Settled {
                let (call, (breaker, token)) = (call.into(), self.into_parts());
                breaker.settle(token, call, now)
            }

            /// Tells that the call panicked: a failure or nothing, as [`OnPanic`](crate::OnPanic) says. For callers that
            /// catch the panic of the call itself; a [`Guard`](crate::Guard) does so by itself.
            pub fn panicked(self, now: Timestamp) -> Option<Transition> {
                let (breaker, token) = self.into_parts();
                let settled = breaker.panicked(token.into_grant()?, now);
                settled.transitions.into_last()
            }

            /// Tells that the caller gave the call up after it had lasted so long: a failure or nothing, as
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

            /// Whether the call is a probe, whose outcome decides whether the breaker closes.
            pub fn is_probe(&self) -> bool {
                self.token.boxed().is_some_and(Grant::is_probe)
            }

            /// When the probe's place is given to another; none for calls that are no probes.
            pub fn deadline(&self) -> Option<Timestamp> {
                self.token.boxed().and_then(Grant::deadline)
            }

            /// Moves a probe's deadline later; never earlier, and not once it has passed.
            /// Does nothing for calls that are no probes.
            pub fn extend(&mut self, deadline: Timestamp) {
                let breaker = self.breaker().clone();
                if let Some(grant) = self.token.boxed_mut()
                    && grant.is_probe()
                {
                    breaker.extend(grant, deadline);
                }
            }

            /// The other side has had all that it needs to answer since `start`, and only since then: from there on the
            /// call is in flight for [`Rule::Stalled`](crate::Rule::Stalled), and lasts, where nobody says how long it
            /// took. [`Timestamp::MAX`]: it has not yet. Without a word that is since the permit was given.
            ///
            /// For callers that connect first, or whose request comes piece by piece from somebody else: the time before
            /// was not the other side's. It may be said again and again. A call that has been
            /// [answered](Self::answered) stays so.
            pub fn waits_since(&mut self, start: Timestamp) {
                let breaker = self.breaker().clone();
                match self.token.boxed_mut() {
                    Some(grant) => breaker.waits_since(grant, start),
                    None => self.token.restart(start),
                }
            }

            /// The other side has begun to answer: the call is not in flight any more for
            /// [`Rule::Stalled`](crate::Rule::Stalled). Its outcome is still to be recorded.
            pub fn answered(&self) {
                if let Some(grant) = self.token.boxed()
                    && grant.is_flight()
                {
                    self.breaker().answered(grant);
                }
            }

            /// The refusal that a monitor did not carry out.
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
