//! Hearing of what happens to a breaker.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::refused::Refused;
use crate::transition::Transition;

/// Hears of every transition of a breaker.
///
/// Every function from a breaker and a transition is one; see [`Builder::on_transition`](crate::Builder::on_transition)
/// for a closure in place.
///
/// Called in the thread whose call brought the transition about, after the breaker's lock is released, so it may call
/// the breaker; but what it does delays that one call. Transitions of different threads may arrive out of order: their
/// generations tell the order. A panic is caught and changes nothing.
///
/// A listener that answers every transition with another one would never end: past 64 at once on one breaker, further
/// ones are not announced. Those and the caught panics are counted, see [`Breaker::listener_faults`].
pub trait Listener: Send + Sync {
    /// `breaker` has just gone through `transition`.
    fn transition(&self, breaker: &Breaker, transition: &Transition);

    /// A call through a [`Guard`](crate::Guard) or a layer was refused, or one whose caller [said so](Breaker::refused).
    ///
    /// Each of them is told, in the thread of its call: an open breaker refuses as fast as it is asked. Calls refused
    /// while this runs in the same thread are not told.
    fn refused(&self, breaker: &Breaker, refused: &Refused) {
        let _ = (breaker, refused);
    }

    /// A call was refused only because the fleet that the breaker [follows](Breaker::follow_fleet) has not let it probe.
    /// Told at most ten times a second.
    fn demanded(&self, breaker: &Breaker) {
        let _ = breaker;
    }

    /// A failure was counted for the fleet, the first since it was last [told](Breaker::take_fleet_tally).
    fn stirred(&self, breaker: &Breaker) {
        let _ = breaker;
    }

    /// A registry has just made `breaker`, which nobody has asked anything yet.
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

/// A function that hears of refusals alone.
pub(crate) struct OnRefused<F>(pub F);

impl<F: Fn(&Breaker, &Refused) + Send + Sync> Listener for OnRefused<F> {
    fn transition(&self, _: &Breaker, _: &Transition) {}

    fn refused(&self, breaker: &Breaker, refused: &Refused) {
        (self.0)(breaker, refused);
    }
}

/// All listeners of a breaker, shared by those of a registry, so that each holds but a thin pointer.
pub(crate) type Listeners = Arc<Vec<Arc<dyn Listener>>>;

/// Nothing, where there are none.
pub(crate) fn shared(listeners: Vec<Arc<dyn Listener>>) -> Option<Listeners> {
    (!listeners.is_empty()).then(|| Arc::new(listeners))
}

/// Lets each of them hear it; returns how many went wrong.
pub(crate) fn tell_all(listeners: &Listeners, word: impl Fn(&dyn Listener)) -> usize {
    let heard = |listener: &&Arc<dyn Listener>| {
        catch_unwind(AssertUnwindSafe(|| word(&***listener))).is_err()
    };
    listeners.iter().filter(heard).count()
}

impl Breaker {
    /// Unlike a transition, a refusal is announced without counting who announces at once: that would be written where
    /// all threads read. Nested ones are cut off in their own thread.
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
