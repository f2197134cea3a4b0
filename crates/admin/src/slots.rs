//! The seats of the admin API's clients, and who gives one up when they are short.
//!
//! | a connection | its seat |
//! |---|---|
//! | that has sent no head, or part of one | goes first, the longest wait before the others |
//! | that has sent part of a body | goes next |
//! | that does not read its answer | goes next |
//! | whose request is complete | is its own until the answer is written; where all are so, the oldest goes then |
//!
//! So a crowd that says nothing, or half of something, only ever drives itself out, and one that asks without end is
//! answered once each.

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

/// The seats that are taken, by number. Locked before a seat's own state.
#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: BTreeMap<u64, Entry>,
    /// How many of them have been asked to leave.
    asked: usize,
}

#[derive(Debug)]
struct Entry {
    seat: Arc<Seat>,
    asked: Asked,
}

/// Whether a connection has been asked to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    /// It has a last look at its socket.
    Leaving,
    /// It leaves once its request is answered.
    Finishing,
}

/// A seat that is taken; free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    seats: Seats,
    number: u64,
    /// The seat.
    pub seat: Arc<Seat>,
}

impl Place {
    /// Whether a connection that was asked leaves at once; else once its request is answered, for that has come
    /// meanwhile.
    pub fn leaves_at_once(&self) -> bool {
        let mut taken = self.seats.taken();
        let waits = self.seat.state().rank().is_some();
        if let Some(entry) = taken.seats.get_mut(&self.number)
            && !waits
        {
            entry.asked = Asked::Finishing;
        }
        waits
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(entry) = taken.seats.remove(&self.number)
            && entry.asked != Asked::No
        {
            taken.asked -= 1;
        }
        drop(taken);
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
    /// By the seat's number: by its age.
    Served(u64),
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

    /// A seat; where all are taken, somebody is asked to leave.
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
        let max = self.0.max;
        let mut taken = self.taken();
        let is_full = |taken: &Taken| taken.seats.len() - taken.asked >= max;
        if is_full(&taken) || taken.seats.len() >= 2 * max {
            taken.ask();
        }
        // Who is asked goes on for a moment, beside those who stay.
        if is_full(&taken) || taken.seats.len() >= 2 * max {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        let seat = Arc::new(Seat::new(clock::now()));
        let entry = Entry {
            seat: seat.clone(),
            asked: Asked::No,
        };
        taken.seats.insert(number, entry);
        drop(taken);
        Some(Place {
            seats: self.clone(),
            number,
            seat,
        })
    }

    /// Asks whoever gives way first to leave.
    pub fn ask_one_to_leave(&self) {
        self.taken().ask();
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn ask(&mut self) {
        let candidates = self.seats.iter_mut().filter_map(|(number, entry)| {
            let waits = entry.seat.state().rank();
            let rank = match (entry.asked, waits) {
                (Asked::No, None) => Rank::Served(*number),
                (Asked::No | Asked::Finishing, Some(rank)) => rank,
                (Asked::Finishing, None) | (Asked::Leaving, _) => return None,
            };
            Some((rank, entry))
        });
        let Some((_, entry)) = candidates.min_by_key(|(rank, _)| *rank) else {
            return;
        };
        if entry.asked == Asked::No {
            self.asked += 1;
        }
        entry.asked = Asked::Leaving;
        entry.seat.asked.notify_one();
    }
}

impl Seat {
    fn new(now: Instant) -> Seat {
        Seat {
            state: Mutex::new(State {
                phase: Phase::Fresh { since: now },
                unread_since: None,
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

    fn asked(place: &Place) -> Asked {
        place.seats.taken().seats[&place.number].asked
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
        let mut newcomers = Vec::new();
        for (asks, at_once) in [(3, true), (4, true), (2, true), (1, true), (0, false)] {
            let newcomer = seats.enter().await;
            newcomer.seat.begun();
            newcomers.push(newcomer);
            assert_eq!(asked(&places[asks]), Asked::Leaving, "{asks}");
            assert_eq!(places[asks].leaves_at_once(), at_once, "{asks}");
        }
        assert_eq!(asked(&places[0]), Asked::Finishing);
        assert_eq!(asked(&places[5]), Asked::No);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_at_the_last_moment_is_answered() {
        let seats = Seats::new(1);
        let first = seats.enter().await;
        first.seat.input_awaited();
        let second = seats.enter().await;
        first.seat.asked().await;
        first.seat.begun();
        assert!(!first.leaves_at_once());
        second.seat.begun();
        assert!(seats.try_enter().is_none(), "twice the seats at most");
        // The first one does not read its answer, and is asked again.
        first.seat.output_awaited();
        assert!(seats.try_enter().is_none() && first.leaves_at_once());
        drop(first);
        assert!(seats.try_enter().is_some());
        drop(second);
        assert_eq!(seats.taken().asked, 0);
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
