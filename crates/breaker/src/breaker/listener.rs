//! Listeners: the events of a breaker.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::refused::Refused;
use crate::transition::Transition;

/// Receives every transition of a breaker.
///
/// Every function of a breaker and a transition implements it; see
/// [`Builder::on_transition`](crate::Builder::on_transition) for a closure in place.
///
/// Called in the thread whose call caused the transition, after the breaker's lock is released, so it may call the
/// breaker; but its work delays that one call. Transitions of different threads may arrive out of order: their
/// generations give the order. A panic is caught and changes nothing.
///
/// A listener that answers every transition with another one would never end: beyond 64 at once on one breaker, further
/// ones are not announced. Those and the caught panics are counted, see [`Breaker::listener_faults`].
pub trait Listener: Send + Sync {
    /// Called after `transition` has happened to `breaker`.
    fn transition(&self, breaker: &Breaker, transition: &Transition);

    /// Called for a refused call through a [`Guard`](crate::Guard) or a layer, or one that its caller
    /// [counted](Breaker::refused).
    ///
    /// It is called for each of them, in the thread of the call: an open breaker refuses as fast as callers ask. Calls
    /// refused while this runs in the same thread are not announced.
    fn refused(&self, breaker: &Breaker, refused: &Refused) {
        let _ = (breaker, refused);
    }

    /// Called when a call was refused only because the fleet that the breaker [follows](Breaker::follow_fleet) has not
    /// let it probe; at most ten times a second.
    fn demanded(&self, breaker: &Breaker) {
        let _ = breaker;
    }

    /// Called for the first failure counted for the fleet since the tally was last [taken](Breaker::take_fleet_tally).
    fn stirred(&self, breaker: &Breaker) {
        let _ = breaker;
    }

    /// Called when a registry has just made `breaker`, before its first call.
    fn made(&self, breaker: &Breaker) {
        let _ = breaker;
    }
}

impl<F> Listener for F
where
    F: Fn(&Breaker, &Transition) + Send + Sync,
{
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self(breaker, transition);
    }
}

/// A listener of refusals alone.
pub(crate) struct OnRefused<F>(pub F);

impl<F: Fn(&Breaker, &Refused) + Send + Sync> Listener for OnRefused<F> {
    fn transition(&self, _: &Breaker, _: &Transition) {}

    fn refused(&self, breaker: &Breaker, refused: &Refused) {
        (self.0)(breaker, refused);
    }
}

/// All listeners of a breaker, shared by those of a registry, so that each breaker holds only a thin pointer.
pub(crate) type Listeners = Arc<Vec<Arc<dyn Listener>>>;

/// The listeners in shared form; `None` without any.
pub(crate) fn shared(listeners: Vec<Arc<dyn Listener>>) -> Option<Listeners> {
    (!listeners.is_empty()).then(|| Arc::new(listeners))
}

/// Calls `word` on each of them; returns the number of panics.
pub(crate) fn tell_all(listeners: &Listeners, word: impl Fn(&dyn Listener)) -> usize {
    let heard = |listener: &&Arc<dyn Listener>| {
        catch_unwind(AssertUnwindSafe(|| word(&***listener))).is_err()
    };
    listeners.iter().filter(heard).count()
}

impl Breaker {
    /// Announces a refusal without counting concurrent announcements, unlike a transition: that count would be written
    /// where all threads read. Nested ones are cut off in their own thread.
    pub(crate) fn tell_refused(&self, refused: &Refused) {
        thread_local! {
            static TELLS: Cell<bool> = const { Cell::new(false) };
        }
        let Some(listeners) = self.listeners() else {
            return;
        };
        if TELLS.replace(true) {
            return;
        }
        let faults = tell_all(listeners, |listener| listener.refused(self, refused));
        TELLS.set(false);
        self.count_listener_faults(faults);
    }
}
