//! An upstream of a running plan: its breakers, its connections, its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Upstream;
use http::{Method, StatusCode};

use crate::ground::meter::RequestMeters;
use crate::upstream::breakers::UpstreamBreakers;
use crate::upstream::call_state::CallState;
use crate::upstream::endpoints::{LiveEndpoint, SeveralEndpoints};
use crate::upstream::event_switch::EventSwitch;
use crate::upstream::own_tls::OwnTls;
use crate::upstream::pool::{Pool, Pools};
use crate::upstream::stall_watch;
use crate::upstream::upstream_errors::UpstreamErrors;

/// An upstream, with its breakers and connections.
#[derive(Debug)]
pub struct LiveUpstream {
    /// The plan's upstream.
    pub plan: Arc<Upstream>,
    /// The upstream's breakers, if any; kept over reloads while they fit.
    pub breakers: Arc<UpstreamBreakers>,
    /// The listener of their events; kept with them.
    pub events: Arc<EventSwitch>,
    /// The times after which a call has stalled, shortest first.
    pub stall_limits: Arc<[Duration]>,
    /// The endpoints, in the plan's order; at least one.
    pub endpoints: Vec<Arc<LiveEndpoint>>,
    /// The choice among several endpoints; `None`: there is one.
    pub several: Option<Arc<SeveralEndpoints>>,
    /// The TLS of its endpoints, where the plan has settings for it.
    pub own_tls: Option<Arc<OwnTls>>,
    /// The state that all its calls share.
    pub calls: CallState,
    /// Counts of each worker; kept over reloads by the upstream's name.
    pub meter: RequestMeters,
    /// Errors by kind; kept over reloads by the upstream's name.
    pub errors: Arc<UpstreamErrors>,
    /// True once it has given an answer of gRPC.
    has_spoken_grpc: AtomicBool,
}

impl LiveUpstream {
    /// An upstream of a plan, with its breakers and the listener that they were built with; `None`: no breaker.
    pub fn new(
        plan: Arc<Upstream>,
        breakers: Option<(Arc<UpstreamBreakers>, Arc<EventSwitch>)>,
        endpoints: Vec<Arc<LiveEndpoint>>,
        several: Option<Arc<SeveralEndpoints>>,
        meter: RequestMeters,
        errors: Arc<UpstreamErrors>,
        calls: CallState,
    ) -> LiveUpstream {
        let (breakers, events) =
            breakers.unwrap_or_else(|| (Arc::new(UpstreamBreakers::None), EventSwitch::off()));
        LiveUpstream {
            breakers,
            events,
            stall_limits: stall_watch::limits(&plan.breaker.settings),
            endpoints,
            several,
            own_tls: None,
            calls,
            meter,
            errors,
            has_spoken_grpc: AtomicBool::new(false),
            plan,
        }
    }

    /// The same upstream with settings of its own for the TLS of its endpoints.
    pub fn with_tls(self, own_tls: Option<Arc<OwnTls>>) -> LiveUpstream {
        LiveUpstream { own_tls, ..self }
    }

    /// Notes that it has given an answer of gRPC.
    pub fn speaks_grpc(&self) {
        if !self.has_spoken_grpc.load(Ordering::Relaxed) {
            self.has_spoken_grpc.store(true, Ordering::Relaxed);
        }
    }

    /// True if it is known to speak gRPC: by its answers, or by its health checks.
    pub fn is_grpc(&self) -> bool {
        let health = self.plan.health.as_ref();
        self.has_spoken_grpc.load(Ordering::Relaxed) || health.is_some_and(|it| it.grpc.is_some())
    }

    /// The name under which its calls are counted and shown; for a target of an application that of the upstream before
    /// it, if there is one.
    pub fn name_of_calls(&self) -> &Arc<str> {
        self.breakers.name().unwrap_or(&self.plan.name)
    }

    /// True if it has breakers, which may not exist before their first call.
    pub fn is_guarded(&self) -> bool {
        !matches!(*self.breakers, UpstreamBreakers::None)
    }

    /// True if its attempts are counted, since a call may take several.
    pub fn repeats(&self) -> bool {
        self.calls.repeats
    }

    /// The first endpoint, which is the only one of most upstreams.
    pub fn endpoint(&self) -> &Arc<LiveEndpoint> {
        &self.endpoints[0]
    }

    /// The endpoints in use now, with their names.
    pub fn named_endpoints(&self) -> Vec<(Arc<str>, Arc<LiveEndpoint>)> {
        match &self.several {
            None => vec![(self.endpoint().name.clone(), self.endpoint().clone())],
            Some(several) => {
                let members = several.members().into_iter();
                members
                    .map(|(member, live)| (member.name().clone(), live))
                    .collect()
            }
        }
    }

    /// The connections of one worker to the first endpoint.
    pub fn pool(&self, worker: usize) -> &Arc<Pool> {
        self.endpoint().pool(worker)
    }

    /// The connections of all workers to the first endpoint.
    pub fn pools(&self) -> &Pools {
        &self.endpoint().pools
    }

    /// True if it may say of any request that it has not processed it, as an upstream of HTTP/2 may.
    pub fn may_refuse_streams(&self, worker: usize) -> bool {
        let pool = self.pool(worker);
        match self.several {
            None => pool.speaks_http2(),
            // Each address has connections of its own.
            Some(_) => pool.may_speak_http2(),
        }
    }

    /// Closes connections of one worker that were kept for too long, to whichever endpoint.
    pub fn sweep(&self, worker: usize, now: Timestamp) {
        for endpoint in &self.endpoints {
            endpoint.pool(worker).sweep(now);
        }
        if let Some(several) = &self.several {
            for (_, endpoint) in several.members() {
                endpoint.pool(worker).sweep(now);
            }
        }
    }

    /// Number of idle connections of all workers.
    pub fn idle_connections(&self) -> usize {
        let endpoints = self.named_endpoints().into_iter();
        let idle = |live: &LiveEndpoint| live.pools.iter().map(|pool| pool.idle_count()).sum();
        endpoints.map(|(_, live)| -> usize { idle(&live) }).sum()
    }

    /// Number of connections that ended because unrequested bytes came.
    pub fn unasked(&self) -> u64 {
        let firsts = self.endpoints.iter().filter_map(|it| it.pools.first());
        firsts.map(|pool| pool.unasked()).sum()
    }

    /// Counts a response of the upstream, and its time.
    pub fn observe(&self, worker: usize, status: StatusCode, duration: Duration) {
        // The method is counted with the route; a label less here is a series less.
        self.meter
            .of(worker)
            .observe(&Method::GET, status, duration);
    }

    /// Drops all further events of its breakers, since others of the same names have replaced them.
    pub fn silence(&self) {
        self.events.turn_off();
    }
}
