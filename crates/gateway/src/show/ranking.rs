//! The breakers in the order in which an operator wants to see them: those that refuse first.

use std::collections::BTreeMap;

use fusebox_breaker::{Mode, Phase, Snapshot};

use crate::host::gateway::Gateway;
use crate::show::pages::{self, Listed};

/// Number of breakers to look at before other tasks of the thread get their turn.
const AT_A_TIME: usize = 250;

/// The breakers' counts, and those of them that an operator must look at first.
#[derive(Debug)]
pub struct Ranking {
    /// Counts of all breakers.
    pub counts: StateCounts,
    /// The first breakers by [`Rank`], within a rank by name.
    pub breakers: Vec<Listed>,
    /// Number of further breakers.
    pub more: usize,
}

/// Counts of breakers. Each is open, half-open or closed; the others count some of them again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// All breakers.
    pub breakers: usize,
    /// Open ones.
    pub open: usize,
    /// Half-open ones.
    pub half_open: usize,
    /// Closed ones.
    pub closed: usize,
    /// Those that an operator holds.
    pub held: usize,
    /// Those that let a growing part of the calls pass after a close.
    pub ramp: usize,
    /// Disabled ones.
    pub disabled: usize,
}

impl StateCounts {
    /// Counts a breaker by its state alone.
    pub fn count(&mut self, phase: Phase) {
        self.breakers += 1;
        match phase {
            Phase::Open => self.open += 1,
            Phase::HalfOpen => self.half_open += 1,
            Phase::Closed => self.closed += 1,
        }
    }

    fn add(&mut self, snapshot: &Snapshot) {
        self.count(snapshot.phase);
        self.held += usize::from(snapshot.hold.is_some());
        self.ramp += usize::from(snapshot.ramp.is_some());
        self.disabled += usize::from(snapshot.mode == Mode::Disabled);
    }
}

/// The place of a breaker in the order, the first one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It refuses, and waits for the end of its cooldown.
    Open,
    /// It lets probes pass.
    HalfOpen,
    /// An operator holds it.
    Held,
    /// It lets a growing part of the calls pass after a close.
    Ramp,
    /// It is closed, and a rule has seen failures.
    Failing,
    /// It is closed.
    Closed,
    /// It neither refuses nor watches.
    Disabled,
}

impl Rank {
    /// The rank of a breaker.
    pub fn of(snapshot: &Snapshot) -> Rank {
        match snapshot.phase {
            _ if snapshot.mode == Mode::Disabled => Rank::Disabled,
            _ if snapshot.hold.is_some() => Rank::Held,
            Phase::Open => Rank::Open,
            Phase::HalfOpen => Rank::HalfOpen,
            Phase::Closed if snapshot.ramp.is_some() => Rank::Ramp,
            Phase::Closed if snapshot.rules.iter().any(|rule| rule.observed > 0.0) => Rank::Failing,
            Phase::Closed => Rank::Closed,
        }
    }
}

impl Gateway {
    /// The breakers that exist now, at most `limit` of them, with the counts of all.
    pub async fn ranking(&self, limit: usize) -> Ranking {
        let live = self.0.shared.live.load_full();
        let own = live.own_breakers();
        let mut counts = StateCounts::default();
        let mut by_rank: BTreeMap<Rank, Vec<_>> = BTreeMap::new();
        for (position, breakers) in pages::positions(&live, &own) {
            for breaker in breakers {
                let snapshot = breaker.snapshot(self.clock().exact());
                counts.add(&snapshot);
                let rank = by_rank.entry(Rank::of(&snapshot)).or_default();
                rank.push((breaker, position));
                if counts.breakers.is_multiple_of(AT_A_TIME) {
                    tokio::task::yield_now().await;
                }
            }
        }
        let mut chosen = Vec::new();
        for mut breakers in by_rank.into_values() {
            breakers.sort_by(|a, b| a.0.name().cmp(b.0.name()));
            breakers.truncate(limit - chosen.len());
            chosen.extend(breakers);
        }
        let chosen = chosen.into_iter();
        let breakers: Vec<_> = chosen
            .map(|(breaker, position)| pages::listed(&live, &own, breaker, position))
            .collect();
        Ranking {
            counts,
            more: counts.breakers - breakers.len(),
            breakers,
        }
    }
}
