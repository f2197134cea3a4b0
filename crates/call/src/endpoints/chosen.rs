//! One attempt's hold on its endpoint: counted in flight until it is dropped, and recorded by the endpoint's breaker.

use std::mem;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use fusebox_breaker::{Breaker, Call, Outcome, OwnedPermit, Timestamp};

use super::endpoint::Vitals;

/// The endpoint chosen for one attempt. The attempt is in flight until this is ended or dropped; dropped, it says
/// nothing about the endpoint.
#[derive(Debug)]
#[must_use = "an attempt is in flight for as long as its choice is kept"]
pub struct Chosen {
    pub(super) index: usize,
    pub(super) vitals: Arc<CachePadded<Vitals>>,
    pub(super) way: Way,
}

/// The way in which the endpoint's breaker records the attempt.
#[derive(Debug)]
pub(super) enum Way {
    /// Not at all: ejection is off, or the breaker is open and the attempt goes there all the same.
    Unrecorded,
    /// By the permit that it gave.
    Permit(OwnedPermit),
    /// As a report: it would have refused the call by chance, but there was no other.
    Report,
}

impl Chosen {
    /// The endpoint's place in the set that was asked.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The endpoint's number, see [`Endpoint::id`](super::Endpoint::id).
    pub fn id(&self) -> u32 {
        self.vitals.id
    }

    /// The endpoint's name.
    pub fn name(&self) -> &Arc<str> {
        &self.vitals.name
    }

    /// The endpoint's breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.vitals.breaker
    }

    /// True if the attempt finds out whether an ejected endpoint is well again.
    pub fn is_probe(&self) -> bool {
        matches!(&self.way, Way::Permit(permit) if permit.is_probe())
    }

    /// The permit of the endpoint's breaker, if it gave one: to move a probe's deadline, or to say since when the
    /// endpoint has had the whole request.
    pub fn permit_mut(&mut self) -> Option<&mut OwnedPermit> {
        match &mut self.way {
            Way::Permit(permit) => Some(permit),
            Way::Unrecorded | Way::Report => None,
        }
    }

    /// Ends the attempt: the endpoint's breaker takes its outcome, the average its duration, if the call has one. A wish
    /// to be called later (`Retry-After`) has no effect here.
    #[inline]
    pub fn end(mut self, call: impl Into<Call>, now: Timestamp) {
        let call = Call {
            retry_after: None,
            ..call.into()
        };
        if let Some(lasted) = call.duration
            && call.outcome != Outcome::Ignored
        {
            let failed = call.outcome == Outcome::Failure;
            self.vitals.ewma.take(lasted, failed, now);
        }
        match mem::replace(&mut self.way, Way::Unrecorded) {
            Way::Permit(permit) => {
                let is_probe = permit.is_probe();
                permit.conclude(call, now);
                // An ignored probe changes no state, and its place is free again.
                if is_probe {
                    self.vitals.ledger.settle(now);
                }
            }
            Way::Report => {
                self.vitals.breaker.report(call, now);
            }
            Way::Unrecorded => {}
        }
    }
}

impl Drop for Chosen {
    #[inline]
    fn drop(&mut self) {
        // Looked at before it is taken, as most are ended and so have nothing to drop.
        if matches!(self.way, Way::Permit(_))
            && let Way::Permit(permit) = mem::replace(&mut self.way, Way::Unrecorded)
        {
            let is_probe = permit.is_probe();
            drop(permit);
            if is_probe {
                self.vitals.ledger.stir();
            }
        }
    }
}
