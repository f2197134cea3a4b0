//! The end of a connection that is cut, which the place of its call in a bulkhead outlasts.
//!
//! A call may end before its connection: its client resets, or its time is over. The connection is then cut by its own
//! task, a moment later, and until the socket is closed the upstream still has the request. So the place stays with the
//! connection until then, or an upstream would see one request more than `concurrent`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::upstream::bulkhead::Place;

/// The part of a connection that its call's place is tied to.
#[derive(Debug, Default)]
pub struct Parting {
    /// True while a call with a place uses the connection, so that one without takes no lock.
    is_tied: AtomicBool,
    state: Mutex<State>,
}

/// The state of a connection, for the place of the call on it.
#[derive(Debug, Default)]
enum State {
    /// No call with a place is on its way here.
    #[default]
    Free,
    /// A call with a place is on its way.
    Tied,
    /// The call has ended, and its place waits for the connection.
    Owing(Place),
    /// The socket is closed.
    Closed,
}

impl Parting {
    /// Begins a call with a place on the connection.
    pub fn tie(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Free) {
            *state = State::Tied;
            self.is_tied.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the call on the connection, which may carry the next one; a place that waits is free.
    pub fn untie(&self) {
        if !self.is_tied.load(Ordering::Relaxed) {
            return;
        }
        self.is_tied.store(false, Ordering::Relaxed);
        let mut state = self.state.lock();
        if matches!(*state, State::Closed) {
            return;
        }
        let was = std::mem::take(&mut *state);
        drop(state);
        was.free();
    }

    /// Keeps the place of an ended call while the connection is still in use for it; frees it if not.
    pub fn outlast(&self, place: Place) {
        let mut state = self.state.lock();
        match *state {
            State::Tied => *state = State::Owing(place),
            State::Free | State::Owing(_) | State::Closed => {
                drop(state);
                drop(place);
            }
        }
    }

    fn close(&self) {
        let was = std::mem::replace(&mut *self.state.lock(), State::Closed);
        was.free();
    }
}

impl State {
    /// Frees the place that waits, if one does.
    fn free(self) {
        if let State::Owing(place) = self {
            drop(place);
        }
    }
}

/// Frees a waiting place once the connection's task, and with it the socket, has been dropped.
#[derive(Debug)]
pub struct CloseOnDrop(pub Arc<Parting>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::bulkhead::Bulkhead;

    /// A bulkhead of one place, whose call is on a connection.
    fn on_its_way() -> (Arc<Bulkhead>, Place, Arc<Parting>) {
        let bulkhead = Bulkhead::new(1, 1);
        let mut place = bulkhead.try_enter().unwrap();
        let parting = Arc::new(Parting::default());
        place.goes_over(&parting);
        (bulkhead, place, parting)
    }

    #[test]
    fn a_place_waits_for_the_end_of_the_connection_that_its_call_left_in_use() {
        let (bulkhead, place, parting) = on_its_way();
        let task = CloseOnDrop(parting);
        drop(place);
        assert_eq!(bulkhead.in_flight(), 1);
        assert!(bulkhead.try_enter().is_none());
        drop(task);
        assert_eq!(bulkhead.in_flight(), 0);
        assert!(bulkhead.try_enter().is_some());
    }

    #[test]
    fn a_place_is_free_at_once_where_the_connection_was_given_back_or_has_ended() {
        let (bulkhead, place, parting) = on_its_way();
        parting.untie();
        drop(place);
        assert_eq!(bulkhead.in_flight(), 0);
        let (bulkhead, place, parting) = on_its_way();
        drop(CloseOnDrop(parting));
        drop(place);
        assert_eq!(bulkhead.in_flight(), 0);
    }

    #[test]
    fn a_connection_that_is_given_back_after_its_call_frees_the_place() {
        let (bulkhead, place, parting) = on_its_way();
        drop(place);
        parting.untie();
        assert_eq!(bulkhead.in_flight(), 0);
        let mut next = bulkhead.try_enter().unwrap();
        next.goes_over(&parting);
        drop(next);
        assert_eq!(bulkhead.in_flight(), 1, "the next call has it in use");
    }
}
