//! The view of an endpoint for `/api/v1/upstreams` and the metrics: plain data.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fusebox_breaker::{HoldKind, Phase, Timestamp};

use super::endpoint::{EJECTED, UNHEALTHY, WOULD_EJECT};
use super::set::EndpointSet;
use crate::health::Health;

/// One endpoint at one moment. Health and ejection are two facts, and neither is derived from the other.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointView {
    /// The endpoint's name, such as `10.0.0.2:8081`.
    pub name: Arc<str>,
    /// The URL as configured or resolved.
    pub url: Arc<str>,
    /// The share of the calls, relative to those of the others.
    pub weight: u32,
    /// The state of its breaker; closed where ejection is off.
    pub state: Phase,
    /// The word for its health: `unknown`, `healthy`, `unhealthy`, or `kept` for one that is unhealthy and in use all
    /// the same, since no other is left.
    pub health: &'static str,
    /// The operator's hold on its breaker; `None`: there is none.
    pub hold: Option<HoldKind>,
    /// True if it gets no calls because its breaker is open or held open: `fusebox_endpoint_ejected`.
    pub ejected: bool,
    /// True if its breaker is open and it stays in use with half its weight, because the limit of ejections is reached.
    pub would_eject: bool,
    /// The end of the cooldown, or of the hold, of an ejected one; past while it waits for its probe, or for the probe's answer.
    pub ejected_until: Option<Timestamp>,
    /// The attempts in flight.
    pub in_flight: usize,
    /// The average response time of late.
    pub ewma: Option<Duration>,
}

impl EndpointView {
    /// True unless its health checks fail, whether it is in use or not: `fusebox_endpoint_up`.
    pub fn is_up(&self) -> bool {
        !matches!(self.health, "unhealthy" | "kept")
    }

    /// The average response time in milliseconds, to the microsecond.
    pub fn ewma_ms(&self) -> Option<f64> {
        self.ewma.map(|ewma| ewma.as_micros() as f64 / 1000.0)
    }
}

impl EndpointSet {
    /// The endpoints at `now`, in the order of the configuration.
    pub fn views(&self, now: Timestamp) -> Vec<EndpointView> {
        self.ledger.settle_if_stirred(now);
        let has_usable = self.has_usable();
        let views = self.members.iter().map(|member| {
            let (endpoint, facts) = (&member.endpoint, member.endpoint.facts());
            let is_ejected = facts & EJECTED != 0;
            let until = endpoint.vitals.until.load(Ordering::Acquire);
            let snapshot = self.ejects.then(|| endpoint.breaker().snapshot(now));
            EndpointView {
                name: endpoint.name().clone(),
                url: member.url.clone(),
                weight: member.weight,
                state: snapshot.as_ref().map_or(Phase::Closed, |it| it.phase),
                hold: snapshot.and_then(|it| it.hold).map(|hold| hold.kind),
                health: match endpoint.health() {
                    Health::Unhealthy if !has_usable && !is_ejected => "kept",
                    health => health.as_str(),
                },
                ejected: is_ejected,
                would_eject: facts & WOULD_EJECT != 0,
                ejected_until: (is_ejected && until > 0).then(|| Timestamp::from_nanos(until)),
                in_flight: endpoint.in_flight(),
                ewma: endpoint.ewma().average(),
            }
        });
        views.collect()
    }

    /// The number of endpoints that are in use: neither ejected nor, unless all of those are, unhealthy.
    pub fn in_use(&self) -> usize {
        let facts = || self.members.iter().map(|member| member.endpoint.facts());
        match facts()
            .filter(|facts| facts & (EJECTED | UNHEALTHY) == 0)
            .count()
        {
            0 => facts().filter(|facts| facts & EJECTED == 0).count(),
            usable => usable,
        }
    }
}
