//! The endpoints in use at one moment, and the choice among them.
//!
//! # Who may be chosen
//! One that is neither ejected nor unhealthy, and that the call has not tried; else one that it has tried; else, if all
//! that are not ejected are unhealthy, any of those; else the one ejected longest ago. There is always a choice, but none
//! that should be used while [an operator holds all](EndpointSet::is_held): one that is held gets no calls.
//!
//! # Cost
//! The ordinary choice looks at one or two endpoints and at one shared word that says when to look closer. Only while
//! something is out of order does it look at all of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fusebox_breaker::{RejectReason, Timestamp};

use super::ask::{Ask, Tried};
use super::chosen::{Chosen, Way};
use super::endpoint::{EJECTED, Endpoint, HELD, IRREGULAR, NEVER, UNHEALTHY, WOULD_EJECT};
use super::field::{Field, Tier};
use super::ledger::Ledger;
use crate::balance::{
    hashed, is_less_costly, is_less_loaded, least_costly, least_loaded, median, spread,
};
use crate::settings::Balance;

/// An upstream's endpoints as one update made them, never empty. Held by the calls that began with it.
pub struct EndpointSet {
    pub(super) members: Box<[Member]>,
    /// One round of the weighted turns.
    pub(super) schedule: Box<[u16]>,
    pub(super) balance: Balance,
    /// True if breakers take endpoints out of use: ejection is on, and there are several.
    pub(super) ejects: bool,
    /// The most that may be ejected at once.
    pub(super) ejected_most: usize,
    pub(super) healthy_min: usize,
    pub(super) weight_mean: f64,
    /// The first cooldown, in nanoseconds: an ended one waits that much longer for a request that may be repeated.
    pub(super) patience: u64,
    pub(super) ledger: Arc<Ledger>,
}

/// An endpoint's place in a set.
#[derive(Debug, Clone)]
pub struct Member {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) weight: u32,
    pub(super) url: Arc<str>,
    /// The hash of its name.
    pub(super) key: u64,
}

impl Member {
    /// The endpoint with its state.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The share of the calls, relative to those of the others.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// The URL as configured or resolved.
    pub fn url(&self) -> &Arc<str> {
        &self.url
    }
}

impl EndpointSet {
    /// The endpoints, in the order of the configuration.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// True if endpoints can be ejected: then their breakers record each attempt.
    pub fn ejects(&self) -> bool {
        self.ejects
    }

    /// True while an operator holds the breakers of all endpoints open, so that a call has to be refused.
    pub fn is_held(&self, now: Timestamp) -> bool {
        let are_held = || {
            let mut members = self.members.iter();
            self.ejects && members.all(|member| member.endpoint.facts() & HELD != 0)
        };
        if !are_held() {
            return false;
        }
        // A hold may have ended by itself.
        if self.ledger.is_due(now) {
            self.ledger.settle(now);
        }
        are_held()
    }

    /// The time at which the first of the holds ends, while all endpoints are held; `None`: none ends by itself.
    pub fn held_until(&self) -> Option<Timestamp> {
        let until = |member: &Member| member.endpoint.vitals.until.load(Ordering::Acquire);
        let ends = self.members.iter().map(until).filter(|until| *until > 0);
        ends.min().map(Timestamp::from_nanos)
    }

    /// The endpoint for an attempt. Chance is asked by the balancers that draw.
    #[inline]
    pub fn choose(&self, ask: &Ask<'_>, chance: &mut fastrand::Rng) -> Chosen {
        if let [only] = &*self.members {
            return self.chosen_at(0, only, Way::Unrecorded);
        }
        self.choose_one(ask, chance)
    }

    fn choose_one(&self, ask: &Ask<'_>, chance: &mut fastrand::Rng) -> Chosen {
        if self.ledger.is_due(ask.now)
            && let Some(probe) = self.probe(ask)
        {
            return probe;
        }
        let mut refused = Tried::NONE;
        let is_plain = ask.tried.is_empty() && ask.upstream_probe.is_none();
        if is_plain && let Some(index) = self.quick(ask, chance) {
            match self.way_to(index, ask.now) {
                Ok(way) => return self.chosen(index, way),
                Err(_) => refused.add_id(self.members[index].endpoint.id()),
            };
        }
        self.careful(ask, refused, chance)
    }

    /// The choice of an ordinary moment; `None` if the endpoint whose turn it is cannot have it.
    #[inline]
    fn quick(&self, ask: &Ask<'_>, chance: &mut fastrand::Rng) -> Option<usize> {
        match self.balance {
            Balance::Hash if ask.hash.is_some() => None,
            Balance::RoundRobin | Balance::Hash => {
                let turn = self.ledger.turns.fetch_add(1, Ordering::Relaxed) as usize;
                let round = self.schedule.len();
                let index = usize::from(self.schedule[turn % round]);
                match self.members[index].endpoint.facts() & IRREGULAR {
                    0 => Some(index),
                    // Half its weight: every second round.
                    WOULD_EJECT if (turn / round).is_multiple_of(2) => Some(index),
                    _ => None,
                }
            }
            // Chances that are right for halves too are drawn with care.
            Balance::LeastRequest | Balance::P2cEwma
                if self.ledger.has_halves.load(Ordering::Acquire) =>
            {
                None
            }
            Balance::LeastRequest | Balance::P2cEwma => {
                let (first, second) = self.two_regular(chance)?;
                let field = self.field(Tier::Usable, ask, &Tried::NONE);
                let second_is_better = match self.balance {
                    Balance::P2cEwma => is_less_costly(&field, second, first),
                    _ => is_less_loaded(&field, second, first),
                };
                Some(if second_is_better { second } else { first })
            }
        }
    }

    /// Two different endpoints drawn by weight, if both are regular.
    fn two_regular(&self, chance: &mut fastrand::Rng) -> Option<(usize, usize)> {
        let draw = |chance: &mut fastrand::Rng| {
            usize::from(self.schedule[chance.usize(..self.schedule.len())])
        };
        let (first, mut second) = (draw(chance), draw(chance));
        if second == first {
            let all = self.members.len();
            second = (first + chance.usize(1..all)) % all;
        }
        let facts = |index: usize| self.members[index].endpoint.facts() & IRREGULAR;
        (facts(first) | facts(second) == 0).then_some((first, second))
    }

    /// The choice when something is out of order, tier by tier.
    fn careful(&self, ask: &Ask<'_>, mut refused: Tried, chance: &mut fastrand::Rng) -> Chosen {
        use Tier::{Distinct, Fresh, FreshKept, Kept, Usable};
        let first_refused = self.by_id(&refused);
        for tier in [Distinct, Fresh, Usable, FreshKept, Kept] {
            if tier == Distinct && ask.upstream_probe.is_none() {
                continue;
            }
            let mut only = first_refused.filter(|_| matches!(tier, Fresh | Usable));
            while let Some(index) = self.pick(&self.field(tier, ask, &refused), ask, chance) {
                let is_lost = tier == Distinct && !self.claim(index, ask);
                let way = self.way_to(index, ask.now);
                match way {
                    Ok(way) if !is_lost => return self.chosen(index, way),
                    _ => only = only.or(Some(index).filter(|_| !is_lost)),
                }
                if !refused.add_id(self.members[index].endpoint.id()) {
                    break;
                }
            }
            // All of the tier refuse by chance, as after an ejection with a ramp: one of them must do.
            if let Some(index) = only {
                let way = self
                    .way_to(index, ask.now)
                    .unwrap_or_else(|refusing| refusing);
                return self.chosen(index, way);
            }
        }
        self.longest_ejected(ask)
    }

    /// The index of the one refused so far.
    fn by_id(&self, refused: &Tried) -> Option<usize> {
        if refused.is_empty() {
            return None;
        }
        let mut all = self.members.iter();
        all.position(|member| refused.has(member.endpoint.id()))
    }

    fn pick(&self, field: &Field<'_>, ask: &Ask<'_>, chance: &mut fastrand::Rng) -> Option<usize> {
        match (&self.balance, ask.hash) {
            (Balance::Hash, Some(text)) => hashed(field, text),
            (Balance::RoundRobin | Balance::Hash, _) => {
                let turn = self.ledger.spare_turns.fetch_add(1, Ordering::Relaxed);
                spread(field, turn)
            }
            (Balance::LeastRequest, _) => least_loaded(field, chance),
            (Balance::P2cEwma, _) => least_costly(field, chance),
        }
    }

    /// Takes the endpoint for this round of the upstream's breaker; false if another probe has.
    fn claim(&self, index: usize, ask: &Ask<'_>) -> bool {
        let round = ask.upstream_probe.map_or(0, |round| round.wrapping_add(1));
        let last = &self.members[index].endpoint.vitals.round;
        last.swap(round, Ordering::AcqRel) != round
    }

    /// The probe that an ejected endpoint waits for, if this attempt may be it.
    fn probe(&self, ask: &Ask<'_>) -> Option<Chosen> {
        self.ledger.settle_if_stirred(ask.now);
        // A repeat must not fail again, and the upstream's own probe goes to no ejected one.
        if !ask.tried.is_empty() || ask.upstream_probe.is_some() {
            return None;
        }
        for (index, member) in self.members.iter().enumerate() {
            let due = member.endpoint.vitals.due.load(Ordering::Acquire);
            let patience = if ask.replayable { 0 } else { self.patience };
            if due == NEVER || ask.now.as_nanos() < due.saturating_add(patience) {
                continue;
            }
            let permit = member.endpoint.breaker().admit_owned(ask.now);
            self.ledger.settle(ask.now);
            if let Ok(permit) = permit {
                return Some(self.chosen(index, Way::Permit(permit)));
            }
        }
        None
    }

    /// The one ejected longest ago, when all are; one tried before only if there is no other, and one held open by an
    /// operator only if all are, as by a hold that has come since the call was admitted.
    fn longest_ejected(&self, ask: &Ask<'_>) -> Chosen {
        let worth = |index: &usize| {
            let endpoint = &self.members[*index].endpoint;
            let is_held = endpoint.facts() & HELD != 0;
            let since = endpoint.vitals.ejected_at.load(Ordering::Acquire);
            (is_held, ask.tried.has(endpoint.id()), since)
        };
        let index = (0..self.members.len()).min_by_key(worth).unwrap_or(0);
        let permit = self.members[index].endpoint.breaker().admit_owned(ask.now);
        self.chosen(index, permit.map_or(Way::Unrecorded, Way::Permit))
    }

    /// The way to an endpoint; as an error, the way if it has to be used although its breaker refuses.
    #[inline]
    fn way_to(&self, index: usize, now: Timestamp) -> Result<Way, Way> {
        let endpoint = &self.members[index].endpoint;
        if !self.ejects || endpoint.facts() & (EJECTED | WOULD_EJECT) != 0 {
            return Ok(Way::Unrecorded);
        }
        match endpoint.breaker().admit_owned(now) {
            Ok(permit) => Ok(Way::Permit(permit)),
            Err(rejection) => Err(match rejection.reason {
                RejectReason::BreakerRamp | RejectReason::BreakerAdaptive => Way::Report,
                // It has tripped just now, and the account does not say so yet.
                _ => Way::Unrecorded,
            }),
        }
    }

    #[inline]
    fn chosen(&self, index: usize, way: Way) -> Chosen {
        self.chosen_at(index, &self.members[index], way)
    }

    #[inline]
    fn chosen_at(&self, index: usize, member: &Member, way: Way) -> Chosen {
        Chosen {
            index,
            vitals: member.endpoint.vitals.clone(),
            way,
        }
    }

    fn field<'a>(&'a self, tier: Tier, ask: &'a Ask<'a>, refused: &'a Tried) -> Field<'a> {
        Field {
            set: self,
            tier,
            ask,
            refused,
            pool: match self.balance {
                Balance::P2cEwma => self.median(ask.now),
                _ => 0.0,
            },
        }
    }

    /// The median of the average times in nanoseconds, at most a tenth of a second old.
    fn median(&self, now: Timestamp) -> f64 {
        let (last, now) = (&self.ledger.median_at, now.as_nanos());
        let taken = last.load(Ordering::Relaxed);
        let is_old = taken == 0 || now > taken.saturating_add(100_000_000);
        let claim =
            || last.compare_exchange(taken, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        if is_old && claim().is_ok() {
            let averages = self.members.iter().map(|member| member.endpoint.ewma());
            let median = median(averages).map_or(0.0, |median| median.as_nanos() as f64);
            self.ledger
                .median
                .store(median.to_bits(), Ordering::Relaxed);
        }
        f64::from_bits(self.ledger.median.load(Ordering::Relaxed))
    }

    /// True if an endpoint is neither ejected nor unhealthy.
    pub(super) fn has_usable(&self) -> bool {
        let mut all = self.members.iter().map(|member| member.endpoint.facts());
        all.any(|facts| facts & (EJECTED | UNHEALTHY) == 0)
    }
}

impl fmt::Debug for EndpointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.members.iter().map(|member| member.endpoint.name());
        f.debug_list().entries(names).finish()
    }
}
