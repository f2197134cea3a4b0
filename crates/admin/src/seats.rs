//! The seats of the admin API's clients, and who gives one up when they are short.
//!
//! | a connection | its seat |
//! |---|---|
//! | whose request is complete | is its own until the answer is written |
//! | that has sent no head, or part of one | goes first, the longest wait before the others |
//! | that has sent part of a body | goes next |
//! | that does not read its answer | goes last |
//!
//! So a crowd that says nothing, or half of something, only ever drives itself out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::clock::{self, Instant};

/// How long a newcomer waits before it looks again for a seat that can be freed.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// All seats.
#[derive(Debug, Clone)]
pub struct Seats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: BTreeMap<u64, Arc<Seat>>,
}

/// A seat that is taken; free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    seats: Seats,
    number: u64,
    /// The seat.
    pub seat: Arc<Seat>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seats.taken().seats.remove(&self.number);
        self.seats.0.freed.notify_one();
    }
}

/// What one connection does with its seat.
#[derive(Debug)]
pub struct Seat {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Since when the client has taken nothing of what is written to it.
    unread_since: Option<Instant>,
    /// Whether it has been asked to leave.
    is_asked: bool,
}

/// Where a connection is between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody has looked yet whether the next request has come.
    Fresh { since: Instant },
    /// The next head has not come, or not all of it.
    Head { since: Instant },
    /// A head has come, and as much of the body as was asked for; it is answered.
    Serving { since: Instant },
    /// The rest of the body has not come.
    Body { since: Instant },
}

impl Phase {
    /// There was nothing to read.
    fn input_awaited(self) -> Phase {
        match self {
            Phase::Fresh { since } => Phase::Head { since },
            other => other,
        }
    }

    /// There was nothing to read of a body.
    fn body_awaited(self) -> Phase {
        match self {
            Phase::Serving { since } => Phase::Body { since },
            other => other,
        }
    }

    /// More of a body has come, or its end.
    fn body_came(self) -> Phase {
        match self {
            Phase::Body { since } => Phase::Serving { since },
            other => other,
        }
    }
}

/// Who gives way first: the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Head(Instant),
    Body(Instant),
    Unread(Instant),
}

impl State {
    /// `None`: the connection waits for us, not for its client.
    fn rank(&self) -> Option<Rank> {
        match (self.unread_since, self.phase) {
            (Some(since), _) => Some(Rank::Unread(since)),
            (None, Phase::Head { since }) => Some(Rank::Head(since)),
            (None, Phase::Body { since }) => Some(Rank::Body(since)),
            (None, Phase::Fresh { .. } | Phase::Serving { .. }) => None,
        }
    }
}

impl Seats {
    /// So many seats, all free.
    pub fn new(max: usize) -> Seats {
        Seats(Arc::new(Inner {
            max,
            taken: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// A seat; where all are taken, somebody is asked to leave. While everybody is being served it waits.
    pub async fn enter(&self) -> Place {
        loop {
            if let Some(place) = self.try_enter() {
                return place;
            }
            // Sooner where a seat becomes free.
            timeout(LOOK_AGAIN, self.0.freed.notified()).await.ok();
        }
    }

    fn try_enter(&self) -> Option<Place> {
        let mut taken = self.taken();
        let staying = |taken: &Taken| {
            let seats = taken.seats.values();
            seats.filter(|seat| !seat.state().is_asked).count()
        };
        if staying(&taken) >= self.0.max {
            ask(&taken);
        }
        // Who was asked has one more look at its socket, which takes a moment.
        if staying(&taken) >= self.0.max || taken.seats.len() >= 2 * self.0.max {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        let seat = Arc::new(Seat::new(clock::now()));
        taken.seats.insert(number, seat.clone());
        drop(taken);
        Some(Place {
            seats: self.clone(),
            number,
            seat,
        })
    }

    /// Asks whoever gives way first to leave, where anybody does.
    pub fn ask_one_to_leave(&self) {
        ask(&self.taken());
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(taken: &Taken) {
    let waiting = taken.seats.values().filter_map(|seat| {
        let state = seat.state();
        let rank = state.rank().filter(|_| !state.is_asked)?;
        Some((rank, seat))
    });
    if let Some((_, seat)) = waiting.min_by_key(|(rank, _)| *rank) {
        seat.state().is_asked = true;
        seat.asked.notify_one();
    }
}

impl Seat {
    fn new(now: Instant) -> Seat {
        Seat {
            state: Mutex::new(State {
                phase: Phase::Fresh { since: now },
                unread_since: None,
                is_asked: false,
            }),
            asked: Notify::new(),
        }
    }

    /// There was nothing to read on the connection.
    pub fn input_awaited(&self) {
        let mut state = self.state();
        state.phase = state.phase.input_awaited();
    }

    /// A whole head has come.
    pub fn begun(&self) {
        let since = clock::now();
        self.state().phase = Phase::Serving { since };
    }

    /// There was nothing to read of a body.
    pub fn body_awaited(&self) {
        let mut state = self.state();
        state.phase = state.phase.body_awaited();
    }

    /// More of a body has come, or its end.
    pub fn body_came(&self) {
        let mut state = self.state();
        state.phase = state.phase.body_came();
    }

    /// The answer is made; what of it is not written yet waits for the client.
    pub fn answered(&self) {
        let since = clock::now();
        self.state().phase = Phase::Fresh { since };
    }

    /// The client has taken something of what is written to it.
    pub fn output_taken(&self) {
        self.state().unread_since = None;
    }

    /// The client takes nothing more for now.
    pub fn output_awaited(&self) {
        self.state().unread_since.get_or_insert_with(clock::now);
    }

    /// Waits until the connection is asked to leave.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Whether a connection that was asked leaves: not if its client has ended the wait meanwhile.
    pub fn gives_way(&self) -> bool {
        let mut state = self.state();
        state.is_asked = state.rank().is_some();
        state.is_asked
    }

    /// Whether the client has taken nothing for so long.
    pub fn is_unread_for(&self, limit: Duration) -> bool {
        let since = self.state().unread_since;
        since.is_some_and(|since| clock::now().duration_since(since) >= limit)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn is_asked(place: &Place) -> bool {
        place.seat.state().is_asked
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_its_client_gives_way_the_longest_wait_first() {
        let seats = Seats::new(6);
        let mut places = Vec::new();
        for _ in 0..6 {
            places.push(seats.enter().await);
            advance(Duration::from_millis(1)).await;
        }
        let seat = |at: usize| &places[at].seat;
        seat(0).begun();
        seat(1).begun();
        seat(1).output_awaited();
        seat(2).begun();
        seat(2).body_awaited();
        seat(3).input_awaited();
        seat(4).input_awaited();
        // Nobody has looked yet what the last one has sent.
        for asked in [3, 4, 2, 1] {
            let newcomer = seats.enter().await;
            newcomer.seat.begun();
            let all: Vec<_> = (0..6).filter(|at| is_asked(&places[*at])).collect();
            assert!(all.contains(&asked), "{asked} in {all:?}");
            assert!(seat(asked).gives_way());
            std::mem::forget(newcomer);
        }
        assert!(!is_asked(&places[0]) && !is_asked(&places[5]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_at_the_last_moment_is_served() {
        let seats = Seats::new(1);
        let first = seats.enter().await;
        first.seat.input_awaited();
        let second = seats.enter().await;
        first.seat.asked().await;
        first.seat.begun();
        assert!(!first.seat.gives_way() && !is_asked(&first));
        // Both are served; a third waits for one of them.
        second.seat.begun();
        assert!(seats.try_enter().is_none());
        first.seat.answered();
        first.seat.input_awaited();
        assert!(seats.try_enter().is_none(), "twice the seats at most");
        drop(second);
        assert!(seats.try_enter().is_some() && is_asked(&first));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_is_not_one_that_does_not() {
        let seat = Seat::new(clock::now());
        seat.begun();
        seat.output_awaited();
        advance(Duration::from_secs(9)).await;
        seat.output_awaited();
        assert!(seat.is_unread_for(Duration::from_secs(9)));
        seat.output_taken();
        assert!(!seat.is_unread_for(Duration::ZERO));
    }
}
