//! The queue of requests that wait for a half-open breaker's probe place, and its order.
//!
//! Some answers say nothing about the upstream, and a client that provokes them in a loop would keep all others from
//! probing. So clients that provoked one lately wait behind those that did not: by their own mark always, and every
//! other time by their target's mark as well, since others may have caused that one. Among equals the first and the
//! last in the queue are called in turn: the first, so that every request gets its turn; the last, so that a newcomer
//! does not have to outlast a queue that was there before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use tokio::sync::Notify;

/// The most requests in one queue.
const WAITING_MAX: usize = 1_024;

/// The most clients, and the most targets, that are marked for an answer that said nothing.
const MARKS_MAX: usize = 1_024;

/// The life of a mark: longer than many clients take to have one turn each.
const MARK_AGE: Duration = Duration::from_secs(600);

/// The client and the target of a request that may probe, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prober {
    client: u64,
    target: u64,
}

impl Prober {
    /// A prober, from hashes that no client can predict.
    pub fn new(client: u64, target: u64) -> Prober {
        Prober { client, target }
    }
}

/// The position of a request in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Others are called first.
    Waits,
    /// The next place is this request's.
    Called,
    /// The request was dropped for a better one when the queue was full.
    Out,
}

/// A request in the queue.
#[derive(Debug)]
struct Waiting {
    number: u64,
    prober: Prober,
    wake: Arc<Notify>,
}

/// The queue for one breaker's probe places. `now` never goes back by more than a tick.
#[derive(Debug, Default)]
pub struct ProbeQueue {
    /// The waiting requests in order of arrival.
    waiting: Vec<Waiting>,
    next_number: u64,
    called: Option<u64>,
    /// Number of called requests that have left, which decides how the next one is chosen.
    turns: u32,
    /// The probers of the probes in flight.
    holders: Vec<Prober>,
    clients: Marks,
    targets: Marks,
}

impl ProbeQueue {
    /// Joins the queue. Returns a number, and the notifier that wakes when the request's standing changes. `None`: the
    /// queue is full of requests that are as good.
    pub fn join(&mut self, prober: Prober, now: Timestamp) -> Option<(u64, Arc<Notify>)> {
        if self.waiting.len() >= WAITING_MAX {
            self.push_out(prober, now)?;
        }
        let number = self.next_number;
        self.next_number += 1;
        let wake = Arc::new(Notify::new());
        self.waiting.push(Waiting {
            number,
            prober,
            wake: wake.clone(),
        });
        if self.called.is_none() {
            self.called = Some(number);
        }
        Some((number, wake))
    }

    /// Makes room for a prober by dropping the last of the worst ones; `None`: no request is worse.
    fn push_out(&mut self, prober: Prober, now: Timestamp) -> Option<()> {
        let rank = self.rank(prober, now);
        let ranks = self.waiting.iter().map(|it| self.rank(it.prober, now));
        let (worst, at) = ranks.zip(0..).max()?;
        if worst <= rank {
            return None;
        }
        let out = self.waiting.remove(at);
        out.wake.notify_one();
        if self.called == Some(out.number) {
            self.call(now);
        }
        Some(())
    }

    /// Leaves the queue, served or not; if the request was called, another one is called next.
    pub fn leave(&mut self, number: u64, now: Timestamp) {
        self.waiting.retain(|it| it.number != number);
        if self.called == Some(number) {
            self.turns = self.turns.wrapping_add(1);
            self.call(now);
        }
    }

    /// Calls the next request by the present marks, in place of the one called before.
    pub fn call(&mut self, now: Timestamp) {
        let (by_target, first) = match self.turns % 4 {
            0 => (true, true),
            1 => (false, false),
            2 => (true, false),
            _ => (false, true),
        };
        let rank = |it: &&Waiting| match by_target {
            true => self.rank(it.prober, now),
            false => u8::from(self.clients.has(it.prober.client, now)),
        };
        let best = self.waiting.iter().map(|it| rank(&it)).min();
        let mut equals = self.waiting.iter().filter(|it| Some(rank(it)) == best);
        let next = match first {
            true => equals.next(),
            false => equals.next_back(),
        };
        if let Some(next) = next {
            next.wake.notify_one();
        }
        self.called = next.map(|it| it.number);
    }

    pub fn standing(&self, number: u64) -> Standing {
        match self.waiting.iter().any(|it| it.number == number) {
            false => Standing::Out,
            true if self.called == Some(number) => Standing::Called,
            true => Standing::Waits,
        }
    }

    /// Marks a prober after its probe has ended with an answer that said nothing about the upstream.
    pub fn blame(&mut self, prober: Prober, now: Timestamp) {
        self.clients.set(prober.client, now);
        self.targets.set(prober.target, now);
    }

    /// True if a waiting request is better than that prober.
    pub fn has_better(&self, prober: Prober, now: Timestamp) -> bool {
        let rank = self.rank(prober, now);
        let mut others = self.waiting.iter();
        rank > 0 && others.any(|it| self.rank(it.prober, now) < rank)
    }

    /// Notes the beginning of a prober's probe.
    pub fn hold(&mut self, prober: Prober) {
        self.holders.push(prober);
    }

    /// Notes the end of a prober's probe.
    pub fn let_go(&mut self, prober: Prober) {
        if let Some(at) = self.holders.iter().position(|holder| *holder == prober) {
            self.holders.swap_remove(at);
        }
    }

    /// True while a probe of a marked prober is in flight.
    pub fn is_held_by_blamed(&self, now: Timestamp) -> bool {
        self.holders
            .iter()
            .any(|holder| self.rank(*holder, now) > 0)
    }

    /// Number of waiting requests.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if no request waits or probes, and no mark is left.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.waiting.is_empty()
            && self.holders.is_empty()
            && self.clients.is_empty(now)
            && self.targets.is_empty(now)
    }

    /// The marks of a prober, from 0 to 2; fewer are better.
    fn rank(&self, prober: Prober, now: Timestamp) -> u8 {
        let client = self.clients.has(prober.client, now);
        let target = self.targets.has(prober.target, now);
        u8::from(client) + u8::from(target)
    }
}

/// The times of answers that said nothing, by the hash of their client or target.
#[derive(Debug, Default)]
struct Marks(HashMap<u64, Timestamp>);

impl Marks {
    fn set(&mut self, hash: u64, now: Timestamp) {
        if self.0.len() >= MARKS_MAX && !self.0.contains_key(&hash) {
            let oldest = self.0.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(hash, now);
    }

    fn has(&self, hash: u64, now: Timestamp) -> bool {
        let at = self.0.get(&hash);
        at.is_some_and(|at| now < *at + MARK_AGE)
    }

    fn is_empty(&self, now: Timestamp) -> bool {
        self.0.values().all(|at| now >= *at + MARK_AGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

    fn prober(client: u64, target: u64) -> Prober {
        Prober::new(client, target)
    }

    fn join(queue: &mut ProbeQueue, client: u64, target: u64) -> u64 {
        queue.join(prober(client, target), NOW).unwrap().0
    }

    /// The numbers in the order in which they are called, each leaving as soon as it is called.
    fn order(mut queue: ProbeQueue) -> Vec<u64> {
        let mut order = Vec::new();
        queue.call(NOW);
        while let Some(number) = queue.called {
            order.push(number);
            queue.leave(number, NOW);
        }
        order
    }

    #[test]
    fn the_first_and_the_last_to_come_are_called_in_turn() {
        let mut queue = ProbeQueue::default();
        let all: Vec<u64> = (0..5).map(|target| join(&mut queue, 1, target)).collect();
        assert_eq!(order(queue), [all[0], all[4], all[3], all[1], all[2]]);
    }

    #[test]
    fn marked_probers_wait_behind_the_others() {
        let mut queue = ProbeQueue::default();
        queue.blame(prober(1, 1), NOW);
        let both = join(&mut queue, 1, 1);
        let client = join(&mut queue, 1, 2);
        let target = join(&mut queue, 2, 1);
        let neither = join(&mut queue, 2, 2);
        assert!(queue.has_better(prober(1, 1), NOW));
        assert!(
            !queue.has_better(prober(3, 3), NOW),
            "unmarked probers come first"
        );
        assert_eq!(order(queue), [neither, target, client, both]);
    }

    #[test]
    fn a_prober_marked_while_it_waits_moves_back() {
        let mut queue = ProbeQueue::default();
        let (first, second) = (join(&mut queue, 1, 1), join(&mut queue, 2, 2));
        assert_eq!(queue.standing(first), Standing::Called);
        queue.blame(prober(1, 1), NOW);
        queue.call(NOW);
        assert_eq!(queue.standing(first), Standing::Waits);
        assert_eq!(queue.standing(second), Standing::Called);
    }

    #[test]
    fn a_marked_target_does_not_keep_a_good_client_back() {
        let mut queue = ProbeQueue::default();
        queue.blame(prober(99, 1), NOW);
        let bots: Vec<u64> = (0..30).collect();
        for bot in &bots {
            join(&mut queue, *bot, 1_000 + bot);
        }
        let honest = join(&mut queue, 50, 1);
        let mut target = 2_000;
        for turn in 0.. {
            let called = queue.called.unwrap();
            if called == honest {
                break;
            }
            assert!(
                turn < 2 * bots.len(),
                "each of the others has one good turn"
            );
            let prober = queue
                .waiting
                .iter()
                .find(|it| it.number == called)
                .unwrap()
                .prober;
            queue.blame(prober, NOW);
            queue.leave(called, NOW);
            // The client returns at once, for another target.
            target += 1;
            join(&mut queue, prober.client, target);
        }
    }

    #[test]
    fn a_probe_of_a_marked_prober_is_known_while_it_is_in_flight() {
        let mut queue = ProbeQueue::default();
        queue.hold(prober(1, 1));
        assert!(!queue.is_held_by_blamed(NOW));
        queue.blame(prober(1, 2), NOW);
        assert!(queue.is_held_by_blamed(NOW));
        queue.let_go(prober(1, 1));
        assert!(!queue.is_held_by_blamed(NOW));
    }

    #[test]
    fn blame_is_forgotten_after_its_time() {
        let mut queue = ProbeQueue::default();
        queue.blame(prober(1, 1), NOW);
        assert!(!queue.is_idle(NOW));
        assert_eq!(queue.rank(prober(1, 1), NOW + MARK_AGE), 0);
        assert!(queue.is_idle(NOW + MARK_AGE));
    }

    #[test]
    fn a_full_queue_takes_only_probers_that_are_better_than_its_last() {
        let mut queue = ProbeQueue::default();
        queue.blame(prober(1, 1), NOW);
        let all: Vec<u64> = (0..WAITING_MAX).map(|_| join(&mut queue, 1, 1)).collect();
        assert!(queue.join(prober(1, 1), NOW).is_none());
        let better = join(&mut queue, 2, 2);
        assert_eq!(queue.len(), WAITING_MAX);
        assert_eq!(queue.standing(*all.last().unwrap()), Standing::Out);
        queue.call(NOW);
        assert_eq!(queue.standing(better), Standing::Called);
    }

    #[test]
    fn the_oldest_blame_makes_room_for_the_newest() {
        let mut queue = ProbeQueue::default();
        let later = |n: u64| NOW + Duration::from_micros(n);
        for n in 0..=MARKS_MAX as u64 {
            queue.blame(prober(n, n), later(n));
        }
        let end = later(MARKS_MAX as u64);
        assert_eq!(queue.rank(prober(0, 0), end), 0);
        assert_eq!(queue.rank(prober(1, 1), end), 2);
    }

    #[test]
    fn a_request_is_called_while_any_waits() {
        let mut seed = 7_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        let mut queue = ProbeQueue::default();
        let mut here: Vec<u64> = Vec::new();
        for _ in 0..2_000 {
            match random() % 4 {
                0 | 1 => here.extend(
                    queue
                        .join(prober(random() % 4, random() % 4), NOW)
                        .map(|it| it.0),
                ),
                2 if !here.is_empty() => {
                    let at = random() as usize % here.len();
                    queue.leave(here.swap_remove(at), NOW);
                }
                _ => queue.blame(prober(random() % 4, random() % 4), NOW),
            }
            here.retain(|number| queue.standing(*number) != Standing::Out);
            assert_eq!(queue.called.is_some(), queue.len() > 0);
            assert_eq!(queue.len(), here.len());
        }
    }
}
