//! The queue before a half-open breaker's probe place, and who in it is next.
//!
//! Some answers say nothing of the upstream, and whoever provokes them in a loop would keep everybody else from
//! probing. So those who provoked one lately stand behind those who did not: once for whom they come from, and every
//! other time for what they ask for as well, since others may have brought that into bad repute. Among equals the first to
//! come and the last to come are called in turn: the first, so that everybody's time comes; the last, so that no newcomer
//! has to outlast a queue that was there before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use tokio::sync::Notify;

/// How many requests stand in one queue at most.
const WAITING_MAX: usize = 1_024;

/// How many clients, and how many targets, are remembered for an answer that said nothing.
const MARKS_MAX: usize = 1_024;

/// How long they are remembered: longer than it takes many clients to have their turn once.
const MARK_AGE: Duration = Duration::from_secs(600);

/// Whom a request comes from and what it asks for, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prober {
    client: u64,
    target: u64,
}

impl Prober {
    /// An prober, by hashes that no client can foresee.
    pub fn new(client: u64, target: u64) -> Prober {
        Prober { client, target }
    }
}

/// Where somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Others are before it.
    Waits,
    /// The next place is its own.
    Called,
    /// It has given way to somebody better in a full queue.
    Out,
}

/// Somebody in the line.
#[derive(Debug)]
struct Waiting {
    number: u64,
    prober: Prober,
    wake: Arc<Notify>,
}

/// The queue before one breaker's probe place. `now` never goes back by more than a tick.
#[derive(Debug, Default)]
pub struct ProbeQueue {
    /// In the order of their coming.
    waiting: Vec<Waiting>,
    next_number: u64,
    called: Option<u64>,
    /// How many were called and have left, which says by what the next one is chosen.
    turns: u32,
    /// The probers of the probes in flight.
    holders: Vec<Prober>,
    clients: Marks,
    targets: Marks,
}

impl ProbeQueue {
    /// Stands in the line; returns its number, and what wakes it when its standing changes. `None` where the line is full of
    /// others that are as good.
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

    /// Makes room for an prober at the cost of the last of those that are worse; `None` where there is none.
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

    /// Leaves the line, served or not; somebody else is called if it had been.
    pub fn leave(&mut self, number: u64, now: Timestamp) {
        self.waiting.retain(|it| it.number != number);
        if self.called == Some(number) {
            self.turns = self.turns.wrapping_add(1);
            self.call(now);
        }
    }

    /// Calls whoever is next, by what is known now; whoever was called before is so no more.
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

    /// Where the one with that number stands.
    pub fn standing(&self, number: u64) -> Standing {
        match self.waiting.iter().any(|it| it.number == number) {
            false => Standing::Out,
            true if self.called == Some(number) => Standing::Called,
            true => Standing::Waits,
        }
    }

    /// An prober's probe has ended, and its answer said nothing of the upstream.
    pub fn blame(&mut self, prober: Prober, now: Timestamp) {
        self.clients.set(prober.client, now);
        self.targets.set(prober.target, now);
    }

    /// Whether somebody waits who stands before that prober.
    pub fn has_better(&self, prober: Prober, now: Timestamp) -> bool {
        let rank = self.rank(prober, now);
        let mut others = self.waiting.iter();
        rank > 0 && others.any(|it| self.rank(it.prober, now) < rank)
    }

    /// A probe of that prober begins.
    pub fn hold(&mut self, prober: Prober) {
        self.holders.push(prober);
    }

    /// A probe of that prober has ended.
    pub fn let_go(&mut self, prober: Prober) {
        if let Some(at) = self.holders.iter().position(|holder| *holder == prober) {
            self.holders.swap_remove(at);
        }
    }

    /// True while a probe of somebody who is blamed is in flight.
    pub fn is_held_by_blamed(&self, now: Timestamp) -> bool {
        self.holders
            .iter()
            .any(|holder| self.rank(*holder, now) > 0)
    }

    /// How many stand in the line.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits, probes or is blamed.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.waiting.is_empty()
            && self.holders.is_empty()
            && self.clients.is_empty(now)
            && self.targets.is_empty(now)
    }

    /// How much an prober is to blame, from 0 to 2; less is better.
    fn rank(&self, prober: Prober, now: Timestamp) -> u8 {
        let client = self.clients.has(prober.client, now);
        let target = self.targets.has(prober.target, now);
        u8::from(client) + u8::from(target)
    }
}

/// What provoked an answer that said nothing, and when.
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

    /// The numbers in the order in which they are called, each leaving as soon as it is.
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
    fn the_blamed_stand_behind_the_others() {
        let mut queue = ProbeQueue::default();
        queue.blame(prober(1, 1), NOW);
        let both = join(&mut queue, 1, 1);
        let client = join(&mut queue, 1, 2);
        let target = join(&mut queue, 2, 1);
        let neither = join(&mut queue, 2, 2);
        assert!(queue.has_better(prober(1, 1), NOW));
        assert!(
            !queue.has_better(prober(3, 3), NOW),
            "nobody stands before those who are not blamed"
        );
        assert_eq!(order(queue), [neither, target, client, both]);
    }

    #[test]
    fn whoever_is_blamed_while_it_waits_stands_back_from_then_on() {
        let mut queue = ProbeQueue::default();
        let (first, second) = (join(&mut queue, 1, 1), join(&mut queue, 2, 2));
        assert_eq!(queue.standing(first), Standing::Called);
        queue.blame(prober(1, 1), NOW);
        queue.call(NOW);
        assert_eq!(queue.standing(first), Standing::Waits);
        assert_eq!(queue.standing(second), Standing::Called);
    }

    #[test]
    fn a_target_in_bad_repute_does_not_keep_a_good_client_back() {
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
            // It comes again at once, for something else.
            target += 1;
            join(&mut queue, prober.client, target);
        }
    }

    #[test]
    fn a_probe_of_somebody_who_is_blamed_is_known_while_it_is_in_flight() {
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
    fn a_full_line_takes_nobody_but_those_who_are_better_than_its_last() {
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
    fn somebody_is_called_as_long_as_anybody_waits() {
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
