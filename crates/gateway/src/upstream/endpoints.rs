//! The endpoints of a running upstream: the connections to each, and the choice of one for each attempt.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fusebox_breaker::machine::SettledAs;
use fusebox_breaker::{
    Breaker, Builder, Call, Listener, Outcome, RejectReason, Rejection, Timestamp,
};
use fusebox_call::endpoints::{
    Ask, ChoiceRules, Chosen, EjectionChange, Endpoint as Member, EndpointSet, EndpointSpec,
    EndpointView, Endpoints, EndpointsError, Updated, Watch,
};
use fusebox_plan::plan::{Endpoint, Upstream};
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ground::clock::{Clock, WorkerRef};
use crate::upstream::breakers::{BreakerExtras, BreakerKind, LiveBreaker};
use crate::upstream::events::{Events, News};
use crate::upstream::last_failures::FailedCall;
use crate::upstream::pool::{Pool, Pools};

/// One endpoint of an upstream.
#[derive(Debug)]
pub struct LiveEndpoint {
    /// The endpoint's address.
    pub plan: Endpoint,
    /// The name while it is the only one: the URL's authority.
    pub name: Arc<str>,
    /// The value of the `Host` field.
    pub host: HeaderValue,
    /// The address of the host that it stands for; `None`: the host's, whatever it is at each connection.
    pub address: Option<IpAddr>,
    /// The connections of each worker.
    pub pools: Pools,
    /// Counts of attempts by their outcome.
    pub extras: Arc<BreakerExtras>,
}

impl LiveEndpoint {
    /// An endpoint with its connections.
    pub fn new(plan: Endpoint, pools: Pools) -> LiveEndpoint {
        let host = HeaderValue::from_str(&plan.authority);
        LiveEndpoint {
            host: host.expect("a checked authority is a field value"),
            name: plan.authority.as_str().into(),
            extras: Arc::new(BreakerExtras::new(pools.len(), BreakerKind::Endpoint).timed()),
            pools,
            address: None,
            plan,
        }
    }

    /// The connections of one worker.
    pub fn pool(&self, worker: usize) -> &Arc<Pool> {
        &self.pools[worker % self.pools.len()]
    }
}

/// The endpoints of an upstream that has several, with the choice among them; kept over reloads.
#[derive(Debug)]
pub struct SeveralEndpoints {
    choice: Endpoints,
    current: ArcSwap<Current>,
    /// Asks for the names to be looked up now.
    lookup: Notify,
}

/// The endpoints at one moment.
#[derive(Debug)]
struct Current {
    set: Arc<EndpointSet>,
    /// The connections, in the order of the set.
    live: Box<[Arc<LiveEndpoint>]>,
}

/// Equips the breakers of an upstream's endpoints with the gateway's listener, and publishes their ejections.
pub struct EndpointWatch {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The gateway's listener.
    pub listener: Arc<dyn Listener>,
    /// The events to publish to.
    pub events: Arc<Events>,
    /// The gateway's clock.
    pub clock: Arc<Clock>,
    /// The endpoints that are out of use.
    pub ejected: Mutex<HashSet<Arc<str>>>,
}

impl Watch for EndpointWatch {
    fn equip(&self, _endpoint: &str, builder: Builder) -> Builder {
        builder.listener(self.listener.clone())
    }

    fn ejection(&self, change: &EjectionChange) {
        let mut ejected = self.ejected.lock();
        let was = match change.ejected {
            true => !ejected.insert(change.endpoint.clone()),
            false => ejected.remove(&change.endpoint),
        };
        // One that stays in use in spite of its breaker was never out.
        if !was && !change.ejected {
            return;
        }
        let news = News::Ejection {
            upstream: self.upstream.clone(),
            endpoint: change.endpoint.clone(),
            ejected: change.ejected,
            until: change.until,
        };
        self.events.publish(self.clock.exact(), news);
    }
}

fn specs(plan: &Upstream, live: &[Arc<LiveEndpoint>]) -> Vec<EndpointSpec> {
    let weight = |live: &LiveEndpoint| {
        let mut planned = plan.endpoints.iter();
        planned
            .find(|it| it.endpoint == live.plan)
            .map_or(1, |it| it.weight)
    };
    let specs = live.iter().map(|live| {
        let Endpoint {
            tls,
            port,
            authority,
            base_path,
            ..
        } = &live.plan;
        let scheme = if *tls { "https" } else { "http" };
        let authority = match live.address {
            Some(address) => SocketAddr::new(address, *port).to_string(),
            None => authority.clone(),
        };
        EndpointSpec {
            url: format!("{scheme}://{authority}{base_path}").into(),
            authority: authority.into(),
            path: base_path.as_str().into(),
            weight: weight(live),
        }
    });
    specs.collect()
}

fn rules(plan: &Upstream) -> ChoiceRules {
    ChoiceRules {
        balance: plan.balance.clone(),
        ejection: plan.ejection.clone(),
    }
}

impl SeveralEndpoints {
    /// The endpoints of a plan; `watch` receives their breakers' transitions and their ejections.
    ///
    /// # Errors
    /// Faults of the ejection's settings, which a checked plan has not.
    pub fn new(
        plan: &Upstream,
        live: &[Arc<LiveEndpoint>],
        watch: EndpointWatch,
        now: Timestamp,
    ) -> Result<SeveralEndpoints, EndpointsError> {
        let choice = Endpoints::new(
            plan.name.clone(),
            &specs(plan, live),
            &rules(plan),
            Arc::new(watch),
            now,
        )?;
        let current = Current {
            set: choice.set(),
            live: live.into(),
        };
        Ok(SeveralEndpoints {
            choice,
            current: ArcSwap::from_pointee(current),
            lookup: Notify::new(),
        })
    }

    /// Takes the endpoints of another plan, or other addresses of their names; those that stay keep their state.
    ///
    /// # Errors
    /// As for [`SeveralEndpoints::new`]; nothing is changed then.
    pub fn update(
        &self,
        plan: &Upstream,
        live: &[Arc<LiveEndpoint>],
        now: Timestamp,
    ) -> Result<Updated, EndpointsError> {
        let updated = self.choice.update(&specs(plan, live), &rules(plan), now)?;
        self.current.store(Arc::new(Current {
            set: self.choice.set(),
            live: live.into(),
        }));
        Ok(updated)
    }

    /// The endpoint for an attempt.
    pub fn choose(&self, ask: &Ask<'_>) -> EndpointAttempt {
        let current = self.current.load();
        let chosen = current.set.choose(ask, &mut fastrand::Rng::new());
        EndpointAttempt {
            endpoint: current.live[chosen.index()].clone(),
            chosen: Some(chosen),
        }
    }

    /// The rejection of every call while an operator holds all endpoints open, unless the upstream's own breaker rejects
    /// it; `None`: there is an endpoint to call.
    pub fn rejection(&self, breaker: &Breaker, now: Timestamp) -> Option<Rejection> {
        let current = self.current.load();
        if !current.set.is_held(now) {
            return None;
        }
        let own = breaker.check(now).err();
        Some(own.unwrap_or_else(|| {
            let phase = breaker.snapshot(now).phase;
            let mut rejection = Rejection::new(RejectReason::HeldOpen, phase);
            rejection.retry_at = current.set.held_until();
            rejection
        }))
    }

    /// The endpoints as they are shown.
    pub fn views(&self, now: Timestamp) -> Vec<EndpointView> {
        self.choice.set().views(now)
    }

    /// The breakers of the endpoints; none if none is ever ejected.
    pub fn breakers(&self) -> Vec<LiveBreaker> {
        let current = self.current.load();
        let members = current.set.members().iter().zip(&current.live);
        let members = members.filter(|_| current.set.ejects());
        let breakers = members.map(|(member, live)| LiveBreaker {
            breaker: member.endpoint().breaker().clone(),
            extras: live.extras.clone(),
        });
        breakers.collect()
    }

    /// The endpoints in use, each with its connections.
    pub fn members(&self) -> Vec<(Arc<Member>, Arc<LiveEndpoint>)> {
        let current = self.current.load();
        let members = current.set.members().iter().zip(&current.live);
        let members = members.map(|(member, live)| (member.endpoint().clone(), live.clone()));
        members.collect()
    }

    /// Asks for the names of the endpoints to be looked up soon.
    pub fn want_lookup(&self) {
        self.lookup.notify_one();
    }

    /// Resolves when the names are to be looked up.
    pub async fn wants_lookup(&self) {
        self.lookup.notified().await;
    }

    /// Takes other rules of the choice; the endpoints stay.
    ///
    /// # Errors
    /// As for [`SeveralEndpoints::new`]; nothing is changed then.
    pub fn update_rules(&self, plan: &Upstream, now: Timestamp) -> Result<(), EndpointsError> {
        self.choice.update(&[], &rules(plan), now)?;
        let live = self.current.load().live.clone();
        let set = self.choice.set();
        self.current.store(Arc::new(Current { set, live }));
        Ok(())
    }

    /// Takes account of breakers that were restored, commanded or held for a time.
    pub fn settle(&self, now: Timestamp) {
        self.choice.settle(now);
    }
}

/// An attempt at an endpoint; dropped without an end, it says nothing about the endpoint.
#[derive(Debug)]
pub struct EndpointAttempt {
    endpoint: Arc<LiveEndpoint>,
    /// The hold on one of several endpoints.
    chosen: Option<Chosen>,
}

impl EndpointAttempt {
    /// Begins an attempt at an upstream's only endpoint.
    pub fn at_only(endpoint: Arc<LiveEndpoint>) -> EndpointAttempt {
        EndpointAttempt {
            endpoint,
            chosen: None,
        }
    }

    /// The endpoint of this attempt.
    pub fn endpoint(&self) -> &Arc<LiveEndpoint> {
        &self.endpoint
    }

    /// The endpoint's name.
    pub fn name(&self) -> &Arc<str> {
        match &self.chosen {
            Some(chosen) => chosen.name(),
            None => &self.endpoint.name,
        }
    }

    /// The hold on one of several endpoints.
    pub fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_ref()
    }

    /// Ends the attempt with its outcome; `failed` says more about a failure.
    pub fn end(
        mut self,
        outcome: Outcome,
        duration: Duration,
        failed: Option<&FailedCall>,
        worker: &WorkerRef,
    ) {
        let now = worker.clock.exact();
        let counted = match outcome {
            Outcome::Success => SettledAs::Success,
            Outcome::Failure => SettledAs::Failure,
            Outcome::Ignored => SettledAs::Ignored,
        };
        let extras = &self.endpoint.extras;
        extras.meters.of(worker.index).count(counted);
        if let Some(failed) = failed {
            extras.failures.note(failed.clone());
        }
        if let Some(chosen) = self.chosen.take() {
            let call = Call {
                outcome,
                // What failed in no time says nothing about the time of an answer.
                duration: (!duration.is_zero()).then_some(duration),
                retry_after: None,
                cause: failed.and_then(|failed| failed.cause),
            };
            chosen.end(call, now);
        }
    }
}
