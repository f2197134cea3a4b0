//! Holds a call while the body of its answer flows.

use std::sync::{Arc, Mutex, PoisonError};

use fusebox_plan::CallError;

use super::{Flow, HELD_BACK, UpstreamCall};

/// The owner of a call while its body flows: the body alone, or the body and the timer of a probe.
///
/// A probe must be judged in time even if its client stops reading and the body is not polled, so
/// its call is shared with a task that settles it.
#[derive(Debug)]
pub enum Holder {
    /// The body alone owns the call.
    Body(Box<UpstreamCall>),
    /// The body shares the call with the probe's timer.
    Shared(Arc<Mutex<Option<Box<UpstreamCall>>>>),
}

impl Holder {
    /// Takes a call whose head has come.
    pub fn new(call: Box<UpstreamCall>) -> Holder {
        let Some(at) = call.settles_at().filter(|_| call.is_probe()) else {
            return Holder::Body(call);
        };
        let clock = call.worker.clock.clone();
        let shared = Arc::new(Mutex::new(Some(call)));
        let weak = Arc::downgrade(&shared);
        tokio::spawn(async move {
            loop {
                let rest = at.saturating_since(clock.tick());
                tokio::time::sleep(rest.min(HELD_BACK)).await;
                let Some(shared) = weak.upgrade() else { return };
                let mut call = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(call) = call.as_mut().filter(|call| !call.is_judged()) else {
                    return;
                };
                let now = clock.tick();
                // A client that does not read keeps the upstream's bytes back; an upstream that has
                // sent none is left to the body's own alarm.
                if now >= at && call.flow == Flow::Silent {
                    return;
                }
                if now >= at || call.is_in_the_way(now) {
                    return call.settle();
                }
            }
        });
        Holder::Shared(shared)
    }

    /// Runs `see` on the call, if it is still there.
    pub fn with<T>(&mut self, see: impl FnOnce(&mut UpstreamCall) -> T) -> Option<T> {
        match self {
            Holder::Body(call) => Some(see(call)),
            Holder::Shared(shared) => shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_deref_mut()
                .map(see),
        }
    }

    /// Ends the call with its body.
    pub fn end(self, error: Option<CallError>) {
        match self {
            Holder::Body(call) => call.end(error),
            Holder::Shared(shared) => {
                let call = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(call) = call {
                    call.end(error);
                }
            }
        }
    }
}
