//! Slots for the admin API's connections, and the order in which connections are evicted when slots are short.
//!
//! | connection | eviction |
//! |---|---|
//! | has sent no head, or part of one | first, the longest wait before the others |
//! | has sent part of a body | next |
//! | does not read its answer | next |
//! | has sent a complete request | after its answer is written; if all are in this state, the oldest |
//!
//! So a crowd of idle or half-finished requests only ever evicts its own connections, and a crowd of complete requests
//! is answered once each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::clock::{self, Instant};

/// The interval at which a new connection retries to find a slot.
const RETRY_EVERY: Duration = Duration::from_millis(10);

/// All slots for connections, cheap to clone.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

/// The occupied slots, by number. Locked before a connection's own state.
#[derive(Debug, Default)]
struct Taken {
    next: u64,
    slots: BTreeMap<u64, Entry>,
    /// Number of connections that are being evicted.
    evicting: usize,
}

#[derive(Debug)]
struct Entry {
    activity: Arc<Activity>,
    eviction: Eviction,
}

/// The progress of a connection's eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Eviction {
    None,
    /// The connection reads its socket a last time, then closes.
    Leaving,
    /// The connection closes once its request is answered.
    Finishing,
}

/// An occupied slot, freed on drop.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    number: u64,
    /// The connection's activity.
    pub activity: Arc<Activity>,
}

impl Slot {
    /// True if an evicted connection closes at once; false if a request has arrived meanwhile, which is answered first.
    pub fn closes_at_once(&self) -> bool {
        let mut taken = self.slots.0.taken.lock();
        let waits = self.activity.state.lock().rank().is_some();
        if let Some(entry) = taken.slots.get_mut(&self.number)
            && !waits
        {
            entry.eviction = Eviction::Finishing;
        }
        waits
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.taken.lock();
        if let Some(entry) = taken.slots.remove(&self.number)
            && entry.eviction != Eviction::None
        {
            taken.evicting -= 1;
        }
        drop(taken);
        self.slots.0.freed.notify_one();
    }
}

/// The activity of one connection: what it waits for, and since when.
#[derive(Debug)]
pub struct Activity {
    state: Mutex<State>,
    evicted: Notify,
    cut: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The time since when the client has read nothing of its answer.
    unread_since: Option<Instant>,
}

/// The phase of a connection between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The socket has not been read yet for the next request.
    Fresh { since: Instant },
    /// The next head is incomplete.
    Head { since: Instant },
    /// A head has arrived, with as much of the body as was read; the request is being answered.
    Serving { since: Instant },
    /// The rest of the body is missing.
    Body { since: Instant },
}

/// The order of eviction: the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Head(Instant),
    Body(Instant),
    Unread(Instant),
    /// A request being answered, by the slot's number, which is its age.
    Served(u64),
}

impl State {
    /// The rank of a connection that waits for its client; `None` if it waits for the gateway.
    fn rank(&self) -> Option<Rank> {
        match (self.unread_since, self.phase) {
            (Some(since), _) => Some(Rank::Unread(since)),
            (None, Phase::Head { since }) => Some(Rank::Head(since)),
            (None, Phase::Body { since }) => Some(Rank::Body(since)),
            (None, Phase::Fresh { .. } | Phase::Serving { .. }) => None,
        }
    }
}

impl Slots {
    /// A set of `max` free slots.
    pub fn new(max: usize) -> Slots {
        Slots(Arc::new(Inner {
            max,
            taken: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// Waits for a slot; if all are occupied, evicts a connection.
    pub async fn acquire(&self) -> Slot {
        loop {
            if let Some(slot) = self.try_acquire() {
                return slot;
            }
            // Wakes earlier when a slot becomes free.
            timeout(RETRY_EVERY, self.0.freed.notified()).await.ok();
        }
    }

    fn try_acquire(&self) -> Option<Slot> {
        let max = self.0.max;
        let mut taken = self.0.taken.lock();
        let is_full = |taken: &Taken| taken.slots.len() - taken.evicting >= max;
        if is_full(&taken) || taken.slots.len() >= 2 * max {
            taken.evict();
        }
        // An evicted connection lives on for a moment, beside the others.
        if is_full(&taken) || taken.slots.len() >= 2 * max {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        let activity = Arc::new(Activity::new(clock::now()));
        let entry = Entry {
            activity: activity.clone(),
            eviction: Eviction::None,
        };
        taken.slots.insert(number, entry);
        drop(taken);
        Some(Slot {
            slots: self.clone(),
            number,
            activity,
        })
    }

    /// Evicts the connection that is first in the order of eviction.
    pub fn evict_one(&self) {
        self.0.taken.lock().evict();
    }
}

impl Taken {
    fn evict(&mut self) {
        let candidates = self.slots.iter_mut().filter_map(|(number, entry)| {
            let waits = entry.activity.state.lock().rank();
            let rank = match (entry.eviction, waits) {
                (Eviction::None, None) => Rank::Served(*number),
                (Eviction::None | Eviction::Finishing, Some(rank)) => rank,
                (Eviction::Finishing, None) | (Eviction::Leaving, _) => return None,
            };
            Some((rank, entry))
        });
        let Some((_, entry)) = candidates.min_by_key(|(rank, _)| *rank) else {
            return;
        };
        if entry.eviction == Eviction::None {
            self.evicting += 1;
        }
        entry.eviction = Eviction::Leaving;
        entry.activity.evicted.notify_one();
    }
}

impl Activity {
    fn new(now: Instant) -> Activity {
        Activity {
            state: Mutex::new(State {
                phase: Phase::Fresh { since: now },
                unread_since: None,
            }),
            evicted: Notify::new(),
            cut: Notify::new(),
        }
    }

    /// Records that the connection had nothing to read.
    pub fn input_awaited(&self) {
        let mut state = self.state.lock();
        if let Phase::Fresh { since } = state.phase {
            state.phase = Phase::Head { since };
        }
    }

    /// Records that a complete head has arrived.
    pub fn request_begun(&self) {
        let since = clock::now();
        self.state.lock().phase = Phase::Serving { since };
    }

    /// Records that a body had nothing to read.
    pub fn body_awaited(&self) {
        let mut state = self.state.lock();
        if let Phase::Serving { since } = state.phase {
            state.phase = Phase::Body { since };
        }
    }

    /// Records that a part of a body, or its end, has arrived.
    pub fn body_came(&self) {
        let mut state = self.state.lock();
        if let Phase::Body { since } = state.phase {
            state.phase = Phase::Serving { since };
        }
    }

    /// Records that the answer is complete; unwritten bytes of it wait for the client.
    pub fn answered(&self) {
        let since = clock::now();
        self.state.lock().phase = Phase::Fresh { since };
    }

    /// Records that the client has read some of its answer.
    pub fn output_taken(&self) {
        self.state.lock().unread_since = None;
    }

    /// Records that the client reads no more of its answer for now.
    pub fn output_awaited(&self) {
        self.state
            .lock()
            .unread_since
            .get_or_insert_with(clock::now);
    }

    /// Waits until the connection is evicted.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Cuts the connection off, whatever is still to be written.
    pub fn cut_off(&self) {
        self.cut.notify_one();
    }

    /// Waits until the connection is cut off.
    pub async fn is_cut_off(&self) {
        self.cut.notified().await;
    }

    /// True if the client has read nothing for at least `limit`.
    pub fn is_unread_for(&self, limit: Duration) -> bool {
        let since = self.state.lock().unread_since;
        since.is_some_and(|since| clock::now().duration_since(since) >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn eviction(slot: &Slot) -> Eviction {
        slot.slots.0.taken.lock().slots[&slot.number].eviction
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_wait_for_their_client_are_evicted_longest_wait_first() {
        let slots = Slots::new(6);
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.push(slots.acquire().await);
            advance(Duration::from_millis(1)).await;
        }
        let activity = |at: usize| &taken[at].activity;
        activity(0).request_begun();
        activity(1).request_begun();
        activity(1).output_awaited();
        activity(2).request_begun();
        activity(2).body_awaited();
        activity(3).input_awaited();
        activity(4).input_awaited();
        // The last one's socket has not been read yet.
        let mut newcomers = Vec::new();
        for (evicted, at_once) in [(3, true), (4, true), (2, true), (1, true), (0, false)] {
            let newcomer = slots.acquire().await;
            newcomer.activity.request_begun();
            newcomers.push(newcomer);
            assert_eq!(eviction(&taken[evicted]), Eviction::Leaving, "{evicted}");
            assert_eq!(taken[evicted].closes_at_once(), at_once, "{evicted}");
        }
        assert_eq!(eviction(&taken[0]), Eviction::Finishing);
        assert_eq!(eviction(&taken[5]), Eviction::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_at_the_last_moment_is_answered() {
        let slots = Slots::new(1);
        let first = slots.acquire().await;
        first.activity.input_awaited();
        let second = slots.acquire().await;
        first.activity.evicted().await;
        first.activity.request_begun();
        assert!(!first.closes_at_once());
        second.activity.request_begun();
        assert!(slots.try_acquire().is_none(), "twice the slots at most");
        // The first one does not read its answer, and is evicted again.
        first.activity.output_awaited();
        assert!(slots.try_acquire().is_none() && first.closes_at_once());
        drop(first);
        assert!(slots.try_acquire().is_some());
        drop(second);
        assert_eq!(slots.0.taken.lock().evicting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_its_answer_is_not_unread() {
        let activity = Activity::new(clock::now());
        activity.request_begun();
        activity.output_awaited();
        advance(Duration::from_secs(9)).await;
        activity.output_awaited();
        assert!(activity.is_unread_for(Duration::from_secs(9)));
        activity.output_taken();
        assert!(!activity.is_unread_for(Duration::ZERO));
    }
}
