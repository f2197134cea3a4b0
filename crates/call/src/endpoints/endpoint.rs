//! One endpoint: its breaker, health and load, shared over all workers and kept over a reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use fusebox_breaker::{Breaker, Timestamp};

use super::ledger::Ledger;
use crate::balance::Ewma;
use crate::health::Health;

/// Set while the endpoint gets no calls because its breaker is open.
pub(super) const EJECTED: u32 = 1;
/// Set while its breaker is open although it stays in use, because too many others are ejected.
pub(super) const WOULD_EJECT: u32 = 2;
/// Set with [`EJECTED`] while an operator holds its breaker open.
pub(super) const HELD: u32 = 4;
/// Set while its health checks fail.
pub(super) const UNHEALTHY: u32 = 8;
/// Set while its health checks succeed.
pub(super) const HEALTHY: u32 = 16;
/// The facts that make an endpoint no ordinary choice.
pub(super) const IRREGULAR: u32 = EJECTED | WOULD_EJECT | HELD | UNHEALTHY;

/// The time of what will not happen.
pub(super) const NEVER: u64 = u64::MAX;

/// One endpoint of an upstream. The same one stands in every set that has its name, so its state outlives a reload.
#[derive(Debug)]
pub struct Endpoint {
    /// Held by this endpoint and by each of its attempts, so that the number of holders counts those in flight.
    pub(super) vitals: Arc<CachePadded<Vitals>>,
}

/// The state of an endpoint.
#[derive(Debug)]
pub(super) struct Vitals {
    pub id: u32,
    pub name: Arc<str>,
    pub breaker: Breaker,
    pub facts: AtomicU32,
    /// The time from which a call may probe; [`NEVER`] without an open breaker, or while it must not be probed.
    pub due: AtomicU64,
    /// The end of the last cooldown.
    pub until: AtomicU64,
    /// The time since which it is ejected.
    pub ejected_at: AtomicU64,
    /// The last half-open round of the upstream that probed here, plus one.
    pub round: AtomicU64,
    pub ewma: Ewma,
    pub ledger: Arc<Ledger>,
}

impl Endpoint {
    pub(super) fn new(
        id: u32,
        name: Arc<str>,
        breaker: Breaker,
        ewma: Ewma,
        ledger: Arc<Ledger>,
    ) -> Endpoint {
        Endpoint {
            vitals: Arc::new(CachePadded::new(Vitals {
                id,
                name,
                breaker,
                facts: AtomicU32::new(0),
                due: AtomicU64::new(NEVER),
                until: AtomicU64::new(0),
                ejected_at: AtomicU64::new(0),
                round: AtomicU64::new(0),
                ewma,
                ledger,
            })),
        }
    }

    /// A number that no other endpoint of the upstream has or had, for a caller's own table of connections.
    pub fn id(&self) -> u32 {
        self.vitals.id
    }

    /// The authority, with the base path where several share it: `10.0.0.2:8081`.
    pub fn name(&self) -> &Arc<str> {
        &self.vitals.name
    }

    /// The breaker, which records each attempt while ejection is on: for the API, for saving and restoring.
    pub fn breaker(&self) -> &Breaker {
        &self.vitals.breaker
    }

    /// The number of attempts in flight.
    pub fn in_flight(&self) -> usize {
        Arc::strong_count(&self.vitals) - 1
    }

    /// The average response time of late.
    pub fn ewma(&self) -> &Ewma {
        &self.vitals.ewma
    }

    /// The finding of its health checks.
    pub fn health(&self) -> Health {
        match self.facts() {
            facts if facts & UNHEALTHY != 0 => Health::Unhealthy,
            facts if facts & HEALTHY != 0 => Health::Healthy,
            _ => Health::Unknown,
        }
    }

    /// Sets the finding of its health checks, and says whether it is another one.
    pub fn set_health(&self, health: Health, now: Timestamp) -> bool {
        let bits = match health {
            Health::Unknown => 0,
            Health::Healthy => HEALTHY,
            Health::Unhealthy => UNHEALTHY,
        };
        let before = self.vitals.facts.fetch_or(bits, Ordering::AcqRel);
        let others = (HEALTHY | UNHEALTHY) & !bits;
        self.vitals.facts.fetch_and(!others, Ordering::AcqRel);
        let changed = before & (HEALTHY | UNHEALTHY) != bits;
        if changed {
            self.vitals.ledger.settle(now);
        }
        changed
    }

    #[inline]
    pub(super) fn facts(&self) -> u32 {
        self.vitals.facts.load(Ordering::Acquire)
    }
}

impl Vitals {
    /// Replaces the facts of ejection, and keeps those of health.
    pub fn mark(&self, marks: u32) {
        self.facts.fetch_or(marks, Ordering::AcqRel);
        let others = (EJECTED | WOULD_EJECT | HELD) & !marks;
        self.facts.fetch_and(!others, Ordering::AcqRel);
    }
}
