//! An upstream of a running plan: its breakers, its connections, what is counted of it.

use std::sync::Arc;
use std::time::Duration;

use fusebox_plan::plan::Upstream;
use http::{HeaderValue, Method, StatusCode};

use crate::ground::meter::RequestMeters;
use crate::upstream::breakers::UpstreamBreakers;
use crate::upstream::event_switch::EventSwitch;
use crate::upstream::pool::{Pool, Pools};
use crate::upstream::stall_watch;
use crate::upstream::upstream_errors::UpstreamErrors;

/// An upstream, with its breakers and connections.
#[derive(Debug)]
pub struct LiveUpstream {
    /// The plan's upstream.
    pub plan: Arc<Upstream>,
    /// Its breakers, or none; kept over reloads while they fit.
    pub breakers: Arc<UpstreamBreakers>,
    /// Who hears of them; kept with them.
    pub events: Arc<EventSwitch>,
    /// Beyond which times a call to it has stalled, shortest first.
    pub stall_limits: Arc<[Duration]>,
    /// What `Host` says to it.
    pub host: HeaderValue,
    /// Each worker's connections to it.
    pub pools: Pools,
    /// What each worker counts of it; kept over reloads by its name.
    pub meter: RequestMeters,
    /// Its errors by kind; kept over reloads by its name.
    pub errors: Arc<UpstreamErrors>,
}

impl LiveUpstream {
    /// An upstream as a plan says, with the breakers before it and the listener that they were made with; `None`: no
    /// breaker is asked, counted or shown.
    pub fn new(
        plan: Arc<Upstream>,
        breakers: Option<(Arc<UpstreamBreakers>, Arc<EventSwitch>)>,
        pools: Pools,
        meter: RequestMeters,
        errors: Arc<UpstreamErrors>,
    ) -> LiveUpstream {
        let host = HeaderValue::from_str(&plan.endpoint.authority);
        let (breakers, events) =
            breakers.unwrap_or_else(|| (Arc::new(UpstreamBreakers::None), EventSwitch::off()));
        LiveUpstream {
            breakers,
            events,
            stall_limits: stall_watch::limits(&plan.breaker.settings),
            host: host.expect("a checked authority is a field value"),
            pools,
            meter,
            errors,
            plan,
        }
    }

    /// A worker's connections to it.
    pub fn pool(&self, worker: usize) -> &Arc<Pool> {
        &self.pools[worker % self.pools.len()]
    }

    /// The idle connections of all workers.
    pub fn idle_connections(&self) -> usize {
        self.pools.iter().map(|pool| pool.idle_count()).sum()
    }

    /// Connections to it that ended for bytes that nobody had asked for.
    pub fn unasked(&self) -> u64 {
        self.pools.first().map_or(0, |pool| pool.unasked())
    }

    /// Counts a response of the upstream, and how long it took.
    pub fn observe(&self, worker: usize, status: StatusCode, duration: Duration) {
        // What the upstream was asked is counted with the route; a label less here is a series less.
        self.meter
            .of(worker)
            .observe(&Method::GET, status, duration);
    }

    /// Has nobody hear of its breakers any more: others of the same names have taken their place.
    pub fn silence(&self) {
        self.events.turn_off();
    }
}
