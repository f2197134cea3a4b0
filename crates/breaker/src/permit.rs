//! Leave for one call: it carries the generation that gave it, and gives its place back when dropped.

use crate::breaker::Breaker;
use crate::call::Call;
use crate::machine::{Grant, Settled};
use crate::outcome::Rejection;
use crate::time::Timestamp;
use crate::transition::Transition;

/// Leave for one call, borrowed from its breaker.
///
/// Record the outcome when the call has ended. A permit that is dropped counts as
/// [`Outcome::Ignored`](crate::Outcome::Ignored) and frees its place, so a call that is cancelled cannot leave the
/// breaker stuck. One that is dropped while its thread panics counts as [`OnPanic`](crate::OnPanic) says. One that is
/// never dropped loses its place at its deadline.
#[must_use = "a permit that is dropped at once counts as an ignored call"]
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    grant: Option<Grant>,
}

/// Leave for one call, like [`Permit`], holding its breaker itself, so it can be moved to another task.
#[must_use = "a permit that is dropped at once counts as an ignored call"]
#[derive(Debug)]
pub struct OwnedPermit {
    breaker: Breaker,
    grant: Option<Grant>,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(crate) fn new(breaker: &'a Breaker, grant: Grant) -> Self {
        Permit {
            breaker,
            grant: Some(grant),
        }
    }
}

impl OwnedPermit {
    #[inline]
    pub(crate) fn new(breaker: Breaker, grant: Grant) -> Self {
        OwnedPermit {
            breaker,
            grant: Some(grant),
        }
    }
}

macro_rules! permit_methods {
    ($permit:ty) => {
        impl $permit {
            /// Tells how the call ended, and returns the last transition that this brought about.
            #[inline]
            pub fn record(mut self, call: impl Into<Call>, now: Timestamp) -> Option<Transition> {
                let call = call.into();
                if self.takes(&call, now) {
                    return None;
                }
                let grant = self.take_grant();
                self.breaker
                    .settle(grant, call, now)
                    .transitions
                    .into_last()
            }

            /// Tells how the call ended, and returns as what it was counted and all that this brought about.
            #[inline]
            pub fn settle(mut self, call: impl Into<Call>, now: Timestamp) -> Settled {
                let call = call.into();
                if self.takes(&call, now) {
                    return Settled::of(call.outcome);
                }
                let grant = self.take_grant();
                self.breaker.settle(grant, call, now)
            }

            /// Looks at the grant where it lies: moving it costs more than deciding.
            #[inline]
            fn takes(&mut self, call: &Call, now: Timestamp) -> bool {
                let takes = |grant| self.breaker.takes(grant, call, now);
                let taken = self.grant.as_ref().is_some_and(takes);
                if taken {
                    self.grant = None;
                }
                taken
            }

            #[inline]
            fn take_grant(&mut self) -> Grant {
                self.grant
                    .take()
                    .expect("only settling, which consumes the permit, takes its grant")
            }

            /// Tells that the call panicked: a failure or nothing, as [`OnPanic`](crate::OnPanic) says.
            pub fn panicked(mut self, now: Timestamp) -> Option<Transition> {
                let grant = self.take_grant();
                self.breaker.panicked(grant, now).transitions.into_last()
            }

            /// The breaker that gave this permit.
            pub fn breaker(&self) -> &Breaker {
                &self.breaker
            }

            /// The generation in which the outcome counts; in any later one it is late.
            pub fn generation(&self) -> u64 {
                self.grant.as_ref().map_or(0, Grant::generation)
            }

            /// Whether the call is a probe, whose outcome decides whether the breaker closes.
            pub fn is_probe(&self) -> bool {
                self.grant.as_ref().is_some_and(Grant::is_probe)
            }

            /// When the probe's place is given to another; none for calls that are no probes.
            pub fn deadline(&self) -> Option<Timestamp> {
                self.grant.as_ref().and_then(Grant::deadline)
            }

            /// Moves a probe's deadline later; never earlier, and not once it has passed.
            /// Does nothing for calls that are no probes.
            pub fn extend(&mut self, deadline: Timestamp) {
                if let Some(grant) = &mut self.grant
                    && grant.is_probe()
                {
                    self.breaker.extend(grant, deadline);
                }
            }

            /// The other side has begun to answer: the call is not in flight any more for
            /// [`Rule::Stalled`](crate::Rule::Stalled). Its outcome is still to be recorded.
            pub fn answered(&self) {
                if let Some(grant) = &self.grant
                    && grant.is_flight()
                {
                    self.breaker.answered(grant);
                }
            }

            /// The refusal that a monitor did not carry out.
            pub fn would_reject(&self) -> Option<&Rejection> {
                self.grant.as_ref().and_then(Grant::would_reject)
            }
        }

        impl Drop for $permit {
            #[inline]
            fn drop(&mut self) {
                if let Some(grant) = self.grant.take() {
                    self.breaker.drop_grant(grant);
                }
            }
        }
    };
}

permit_methods!(Permit<'_>);
permit_methods!(OwnedPermit);
