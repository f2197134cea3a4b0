//! The endpoints that a choice may take, tier by tier, as the balancers see them.

use std::sync::atomic::Ordering;

use super::ask::{Ask, Tried};
use super::endpoint::{EJECTED, UNHEALTHY, WOULD_EJECT};
use super::set::EndpointSet;
use crate::balance::Candidates;

/// The endpoints that are asked, from the best ones on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// In use, healthy, not tried, and not probed in this round of the upstream's breaker.
    Distinct,
    /// In use, healthy, not tried.
    Fresh,
    /// In use and healthy.
    Usable,
    /// In use and not tried.
    FreshKept,
    /// All that are in use.
    Kept,
}

/// The endpoints of a tier, as the balancers see them.
pub(super) struct Field<'a> {
    pub set: &'a EndpointSet,
    pub tier: Tier,
    pub ask: &'a Ask<'a>,
    pub refused: &'a Tried,
    /// The median of the average times, in nanoseconds.
    pub pool: f64,
}

impl Candidates for Field<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.set.members.len()
    }

    /// Twice the weight, so that there is a half.
    #[inline]
    fn weight(&self, index: usize) -> u64 {
        let member = &self.set.members[index];
        let facts = member.endpoint.facts();
        let (id, vitals) = (member.endpoint.id(), &member.endpoint.vitals);
        let is_usable = facts & (EJECTED | UNHEALTHY) == 0;
        let is_fresh = || !self.ask.tried.has(id);
        let is_in = match self.tier {
            Tier::Distinct => {
                let round = self
                    .ask
                    .upstream_probe
                    .map_or(0, |round| round.wrapping_add(1));
                is_usable && is_fresh() && vitals.round.load(Ordering::Acquire) != round
            }
            Tier::Fresh => is_usable && is_fresh(),
            Tier::Usable => is_usable,
            Tier::FreshKept => facts & EJECTED == 0 && is_fresh(),
            Tier::Kept => facts & EJECTED == 0,
        };
        if !is_in || self.refused.has(id) {
            return 0;
        }
        let weight = u64::from(member.weight).max(1);
        if facts & WOULD_EJECT == 0 {
            2 * weight
        } else {
            weight
        }
    }

    #[inline]
    fn load(&self, index: usize) -> u64 {
        self.set.members[index].endpoint.in_flight() as u64
    }

    #[inline]
    fn cost(&self, index: usize) -> f64 {
        let endpoint = &self.set.members[index].endpoint;
        let expected = endpoint.ewma().expected(self.pool, self.ask.now).max(1.0);
        // Relative to the average weight, so that an idle endpoint costs what it takes, whatever its weight.
        let weight = f64::from(self.set.members[index].weight);
        let half = if endpoint.facts() & WOULD_EJECT == 0 {
            1.0
        } else {
            0.5
        };
        expected * (1.0 + self.load(index) as f64 * self.set.weight_mean / (weight * half))
    }

    #[inline]
    fn key(&self, index: usize) -> u64 {
        self.set.members[index].key
    }
}
