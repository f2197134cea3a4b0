//! A plan as it runs: with its routers built, its breakers made or kept, its connections pooled.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use fusebox_breaker::Listener as BreakerListener;
use fusebox_fleet::Fleet;
use fusebox_plan::mule::app::FlowId;
use fusebox_plan::plan::{
    Cors, KeyPart, Listener, Manner, Plan, Respond, Rewrite, Route, Share, Step, Upstream,
};
use http::{HeaderValue, Method};
use tokio_rustls::TlsAcceptor;

use crate::flogo::{self, Caster, Counters, Flogo, LiveHandler, RestRouter};
use crate::ground::clock::Clock;
use crate::ground::listen::Place;
use crate::ground::meter::{PerWorker, RequestMeter, RequestMeters};
use crate::live::changes::Changes;
use crate::live::changes::Reloaded;
use crate::live::router::Router;
use crate::live::tls;
use crate::message::guard::PathRules;
use crate::mule::{AppCaster, FlowRouter, LiveApp, Shelves, wall_time};
use crate::upstream::breakers::{Guarded, Guards};
use crate::upstream::ears::Ears;
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::{Keeping, Pool};
use crate::upstream::trust::Trust;
use crate::upstream::upstream_errors::UpstreamErrors;

/// A plan as it runs.
#[derive(Debug)]
pub struct Live {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Its routes, in the plan's order.
    pub routes: Vec<Arc<LiveRoute>>,
    /// Its upstreams, in the plan's order.
    pub upstreams: Vec<Arc<LiveUpstream>>,
    /// The actions of its Flogo handlers.
    pub flogo: Flogo,
    /// Its Mule application.
    pub app: Option<Arc<LiveApp>>,
    /// Few, and asked for with every request: comparing is cheaper than hashing.
    listeners: BTreeMap<Place, LiveListener>,
}

/// A listener, with the routes that it serves.
pub struct LiveListener {
    /// How it finds a request's route; the values are places in [`Live::routes`].
    pub finds: Finds,
    /// What it shows of itself over TLS; `None`: its connections are plain.
    pub tls: Option<TlsAcceptor>,
    /// What it lets pass in a path.
    pub rules: PathRules,
    plan: Arc<Listener>,
}

impl std::fmt::Debug for LiveListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveListener")
            .field("finds", &self.finds)
            .finish_non_exhaustive()
    }
}

/// How a listener finds the route of a request.
#[derive(Debug)]
pub enum Finds {
    /// By the path, then by the method.
    Native(Router),
    /// As Flogo's REST trigger does.
    Rest(RestRouter),
    /// As Mule's HTTP listener does.
    Flows(FlowRouter),
}

impl Finds {
    fn new(plan: &Plan, listener: &Listener) -> Result<Finds, String> {
        let served = plan
            .routes
            .iter()
            .enumerate()
            .filter(|(_, route)| serves(listener, route));
        Ok(match listener.manner {
            Manner::Native => {
                let paths = served.map(|(at, route)| (route.path.as_str(), at));
                Finds::Native(Router::new(paths)?)
            }
            Manner::Mule => {
                let flows = served.map(|(at, route)| {
                    let methods = route.methods.as_deref();
                    (route.path.as_str(), methods, at)
                });
                Finds::Flows(FlowRouter::new(flows)?)
            }
            Manner::Rest(_) => {
                let handlers = served.map(|(at, route)| {
                    let methods = route.methods.as_deref().unwrap_or_default();
                    (route.path.as_str(), methods, at)
                });
                Finds::Rest(RestRouter::new(handlers)?)
            }
        })
    }
}

/// A route, with its upstreams found.
#[derive(Debug)]
pub struct LiveRoute {
    /// The plan's route.
    pub plan: Arc<Route>,
    /// What is done, in order.
    pub steps: Vec<LiveStep>,
    /// What each worker counts of it; kept over reloads by the route's name.
    pub meter: Arc<PerWorker<RequestMeter>>,
    /// A step reads the path's parameters. To keep them for each request costs an allocation and two more for each.
    pub reads_params: bool,
}

/// One thing that a route does.
#[derive(Debug)]
pub enum LiveStep {
    /// Answers with what the file says.
    Respond(Respond),
    /// Passes the request to an upstream, past its breaker.
    Forward(LiveForward),
    /// Has a Flogo handler answer.
    Run(Arc<LiveHandler>),
    /// Has a Mule flow answer.
    Flow(FlowId),
}

impl LiveStep {
    /// Whether it reads the path's parameters: to rewrite the path, for a breaker's key, or for an application.
    fn reads_params(&self) -> bool {
        match self {
            LiveStep::Respond(_) => false,
            LiveStep::Forward(forward) => {
                let key = &forward.upstream.plan.breaker.key.0;
                forward.rewrite.is_some() || key.iter().any(|part| matches!(part, KeyPart::Path(_)))
            }
            LiveStep::Run(_) | LiveStep::Flow(_) => true,
        }
    }
}

/// A call to an upstream.
#[derive(Debug)]
pub struct LiveForward {
    /// Which one.
    pub upstream: Arc<LiveUpstream>,
    /// The path that it sees; `None`: the request's own.
    pub rewrite: Option<Rewrite>,
}

impl LiveListener {
    /// What is said of other origins, where the listener is a REST trigger's.
    pub fn cors(&self) -> Option<&Cors> {
        match &self.plan.manner {
            Manner::Rest(manner) => Some(&manner.cors),
            Manner::Native | Manner::Mule => None,
        }
    }

    /// Whether a peer may speak of others in `X-Forwarded-*`.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.plan
            .trusted_proxies
            .iter()
            .any(|net| net.contains(&peer))
    }
}

impl LiveRoute {
    /// Whether it takes requests of a method: one that it names, or any where it names none. Whoever
    /// takes `GET` takes `HEAD` (RFC 9110, section 9.3.2).
    pub fn takes(&self, method: &Method) -> bool {
        let methods = self.plan.methods.as_ref();
        methods.is_none_or(|methods| {
            methods.contains(method) || (*method == Method::HEAD && methods.contains(&Method::GET))
        })
    }

    /// Whether it names a method among those that it takes.
    pub fn names(&self, method: &Method) -> bool {
        let methods = self.plan.methods.as_ref();
        methods.is_some_and(|methods| methods.contains(method))
    }
}

impl Live {
    /// The methods that the routes of one path take, as a 405 says them in `Allow`.
    pub fn allow(&self, routes: &[usize]) -> HeaderValue {
        let methods = routes
            .iter()
            .flat_map(|route| self.routes[*route].plan.methods.iter().flatten());
        let mut methods: Vec<_> = methods.map(Method::as_str).collect();
        if let Some(get) = methods.iter().position(|method| *method == "GET")
            && !methods.contains(&"HEAD")
        {
            methods.insert(get + 1, "HEAD");
        }
        HeaderValue::from_str(&methods.join(", ")).expect("methods are field values")
    }

    /// Every breaker that exists now, with the upstream or the action that it belongs to.
    pub fn breakers(&self) -> impl Iterator<Item = (Arc<str>, Guarded)> {
        let upstreams = self.upstreams.iter().flat_map(|upstream| {
            let name = &upstream.plan.name;
            let all = upstream.guards.all().into_iter();
            all.map(|guarded| (name.clone(), guarded))
        });
        let services = self.flogo.breakers();
        upstreams.chain(services.map(|(action, guarded)| (action.clone(), guarded.clone())))
    }

    /// The breaker of a name, with the upstream or the action that it belongs to.
    pub fn breaker(&self, name: &str) -> Option<(Arc<str>, Guarded)> {
        let before = self
            .upstreams
            .iter()
            .find_map(|upstream| Some((upstream.plan.name.clone(), upstream.guards.find(name)?)));
        before.or_else(|| {
            let mut services = self.flogo.breakers();
            let found = services.find(|(_, guarded)| &**guarded.breaker.name() == name);
            found.map(|(action, guarded)| (action.clone(), guarded.clone()))
        })
    }

    /// The listener that has a place.
    pub fn listener(&self, place: &Place) -> Option<&LiveListener> {
        self.listeners.get(place)
    }
}

/// What is needed to make a plan live, and what outlives one plan.
#[derive(Debug)]
pub struct Foundry {
    workers: usize,
    clock: Arc<Clock>,
    announcer: Announcer,
    fleet: Option<Fleet>,
    trust: Trust,
    counters: Counters,
    shelves: Shelves,
    meters: Mutex<HashMap<(Kind, Arc<str>), RequestMeters>>,
    errors: Mutex<HashMap<Arc<str>, Arc<UpstreamErrors>>>,
}

/// Who hears of the breakers' transitions.
#[derive(Clone)]
struct Announcer(Arc<dyn BreakerListener>);

impl std::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Announcer")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Route,
    Upstream,
    Service,
    Requester,
}

impl Foundry {
    /// A foundry for `workers` workers; `listener` hears of every transition, breakers are shared
    /// through `fleet`, and what flows keep is kept in `shelves`.
    pub fn new(
        workers: usize,
        clock: Arc<Clock>,
        listener: Arc<dyn BreakerListener>,
        fleet: Option<Fleet>,
        shelves: Shelves,
    ) -> Foundry {
        Foundry {
            workers,
            clock,
            announcer: Announcer(listener),
            fleet,
            trust: Trust::default(),
            counters: Counters::default(),
            shelves,
            meters: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    /// Makes a plan live. What of the previous one still fits goes on: breakers with their state,
    /// connections, counters. Says what could not be kept, and what is shared otherwise than before.
    ///
    /// # Errors
    /// What the plan asks for that cannot be had; nothing has changed then.
    pub fn cast(&self, plan: Plan, previous: Option<&Live>) -> Result<(Live, Reloaded), String> {
        let plan = Arc::new(plan);
        let mut listeners = BTreeMap::new();
        for listener in &plan.listeners {
            let finds = Finds::new(&plan, listener)?;
            let place = Place::of(listener);
            // Clients can take their sessions up again while the certificate is the same.
            let kept = previous
                .and_then(|previous| previous.listener(&place))
                .filter(|kept| kept.plan.tls == listener.tls)
                .and_then(|kept| kept.tls.clone());
            let tls = match (&listener.tls, kept) {
                (None, _) => None,
                (Some(_), Some(kept)) => Some(kept),
                (Some(tls), None) => Some(
                    tls::acceptor(tls)
                        .map_err(|error| format!("listener `{}`: {error}", listener.name))?,
                ),
            };
            let rules = PathRules {
                encoded_slash_allowed: listener.encoded_slash_allowed,
                double_slash_allowed: listener.double_slash_allowed,
            };
            listeners.insert(
                place,
                LiveListener {
                    finds,
                    rules,
                    tls,
                    plan: listener.clone(),
                },
            );
        }
        let mut pools = Vec::new();
        for upstream in &plan.upstreams {
            pools.push(self.pools(&plan, upstream, previous)?);
        }
        let flogo = previous.map(|live| &live.flogo);
        let clients = flogo::clients(&plan, self.workers, flogo, &self.trust)?;
        let mut reloaded = Reloaded {
            changes: previous.map_or_else(Changes::default, |previous| {
                Changes::between(&previous.plan, &plan)
            }),
            ..Reloaded::default()
        };
        let app = self.app(&plan, previous, &mut reloaded.lost)?;
        // From here on nothing fails, so that breakers are changed only by a plan that runs.
        let upstreams: Vec<_> = plan
            .upstreams
            .iter()
            .zip(pools)
            .map(|(upstream, pools)| {
                Arc::new(self.upstream(upstream, pools, previous, &mut reloaded))
            })
            .collect();
        for old in previous.iter().flat_map(|live| &live.upstreams) {
            let name = &old.plan.name;
            if !plan.upstreams.iter().any(|upstream| upstream.name == *name) {
                reloaded.lost.push(format!(
                    "breakers of {name}: the upstream is gone, and their state with it"
                ));
            }
        }
        let caster = Caster {
            workers: self.workers,
            clock: &self.clock,
            listener: &self.announcer.0,
            counters: &self.counters,
            meter: &|name| self.meter(Kind::Service, name),
            errors: &|name| self.errors(name),
            previous: flogo,
        };
        let flogo = caster.cast(&plan, clients, &mut reloaded.lost);
        let routes = plan
            .routes
            .iter()
            .map(|route| Arc::new(self.route(route, &upstreams, &flogo)))
            .collect();
        Ok((
            Live {
                plan,
                routes,
                upstreams,
                flogo,
                app,
                listeners,
            },
            reloaded,
        ))
    }

    fn app(
        &self,
        plan: &Plan,
        previous: Option<&Live>,
        lost: &mut Vec<String>,
    ) -> Result<Option<Arc<LiveApp>>, String> {
        let previous = previous.and_then(|live| live.app.as_deref());
        let Some(app) = &plan.app else {
            lost.extend(previous.iter().flat_map(|app| app.queues.lost()));
            return Ok(None);
        };
        let caster = AppCaster {
            workers: self.workers,
            now: wall_time(&self.clock),
            limits: &plan.limits,
            trust: &self.trust,
            shelves: &self.shelves,
            meter: &|name| self.meter(Kind::Requester, name),
            errors: &|name| self.errors(name),
            previous,
        };
        Ok(Some(Arc::new(caster.cast(app, lost)?)))
    }

    fn pools(
        &self,
        plan: &Plan,
        upstream: &Arc<Upstream>,
        previous: Option<&Live>,
    ) -> Result<Arc<[Arc<Pool>]>, String> {
        if let Some(previous) = previous
            && let Some(old) = find(previous, &upstream.name)
            && old.plan.endpoint == upstream.endpoint
            && old.plan.timeout.connect == upstream.timeout.connect
            && Keeping::of(&old.plan) == Keeping::of(upstream)
            && previous.plan.limits == plan.limits
        {
            // A reload is also how an operator says that the name points elsewhere now.
            old.pools.iter().for_each(|pool| pool.clear());
            return Ok(old.pools.clone());
        }
        Pool::for_workers(self.workers, upstream, None, &plan.limits, &self.trust)
            .map_err(|error| format!("upstream `{}`: {error}", upstream.name))
    }

    fn upstream(
        &self,
        plan: &Arc<Upstream>,
        pools: Arc<[Arc<Pool>]>,
        previous: Option<&Live>,
        reloaded: &mut Reloaded,
    ) -> LiveUpstream {
        let old = previous.and_then(|live| find(live, &plan.name));
        let mut settings_changed = false;
        let (guards, ears) = match old {
            // What was learnt at one place says nothing of another.
            Some(old) if old.plan.endpoint == plan.endpoint && old.guards.fit(plan) => {
                let (was, is) = (&old.plan.breaker, &plan.breaker);
                let keys = |plan: &fusebox_plan::plan::Breaker| {
                    (plan.keys_max, plan.idle_after, plan.on_overflow)
                };
                if was.settings != is.settings || keys(was) != keys(is) {
                    let lost = old.guards.reconfigure(is, self.clock.exact());
                    reloaded.lost.extend(lost);
                    settings_changed = true;
                }
                (old.guards.clone(), old.ears.clone())
            }
            _ => {
                if let Some(old) = old {
                    let what = if old.plan.endpoint == plan.endpoint {
                        "their key"
                    } else {
                        "the upstream's url"
                    };
                    let now = self.clock.exact();
                    let held = |guarded: &Guarded| guarded.breaker.snapshot(now).hold.is_some();
                    let holds = old.guards.all().iter().filter(|it| held(it)).count();
                    let holds = match holds {
                        0 => String::new(),
                        holds => format!("; {holds} held by an operator, no more"),
                    };
                    reloaded.lost.push(format!(
                        "breakers of {}: {what} changed, so they begin anew{holds}",
                        plan.name
                    ));
                }
                let ears = Ears::new(self.announcer.0.clone(), self.fleet.clone());
                let guards = Guards::new(plan, self.workers, &self.clock, ears.clone());
                (Arc::new(guards), ears)
            }
        };
        let kept = old.filter(|old| Arc::ptr_eq(&old.ears, &ears));
        let was = old.map_or(Share::None, |old| old.plan.breaker.share);
        let is = plan.breaker.share;
        // The fleet takes what it must know of the settings when a breaker joins.
        if kept.is_none() || was != is || settings_changed {
            ears.share(is, || guards.all());
        }
        if was != is && previous.is_some() {
            let name = &plan.name;
            let said = format!("breakers of {name}: shared as `{is}`, were `{was}`");
            reloaded.shared.push(said);
        }
        if is != Share::None && self.fleet.is_none() {
            tracing::warn!(
                upstream = %plan.name,
                "its breakers are to be shared, and the store is no Valkey server: each decides alone"
            );
        }
        let meter = self.meter(Kind::Upstream, &plan.name);
        let errors = self.errors(&plan.name);
        LiveUpstream::new(plan.clone(), Some((guards, ears)), pools, meter, errors)
    }

    fn route(
        &self,
        plan: &Arc<Route>,
        upstreams: &[Arc<LiveUpstream>],
        flogo: &Flogo,
    ) -> LiveRoute {
        let steps = plan.steps.iter().map(|step| match step {
            Step::Flow(flow) => LiveStep::Flow(*flow),
            Step::Run(handler) => LiveStep::Run(Arc::new(flogo.handler(handler))),
            Step::Respond(respond) => LiveStep::Respond(respond.clone()),
            Step::Forward(forward) => {
                let upstream = upstreams
                    .iter()
                    .find(|live| live.plan.name == forward.upstream.name);
                let upstream = upstream
                    .expect("a checked route names an upstream of its plan")
                    .clone();
                LiveStep::Forward(LiveForward {
                    upstream,
                    rewrite: forward.rewrite.clone(),
                })
            }
        });
        let steps: Vec<_> = steps.collect();
        LiveRoute {
            plan: plan.clone(),
            reads_params: steps.iter().any(LiveStep::reads_params),
            steps,
            meter: self.meter(Kind::Route, &plan.name),
        }
    }

    fn meter(&self, kind: Kind, name: &Arc<str>) -> RequestMeters {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meters.entry((kind, name.clone()));
        meter
            .or_insert_with(|| Arc::new(PerWorker::new(self.workers)))
            .clone()
    }

    /// The errors of an upstream, a service or a requester: one object for a name, so that no label comes twice.
    fn errors(&self, name: &Arc<str>) -> Arc<UpstreamErrors> {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = errors.entry(name.clone());
        errors
            .or_insert_with(|| UpstreamErrors::new(name.clone()))
            .clone()
    }
}

fn serves(listener: &Listener, route: &Route) -> bool {
    let listeners = route.listeners.as_ref();
    listeners.is_none_or(|names| names.contains(&listener.name))
}

fn find<'a>(live: &'a Live, name: &str) -> Option<&'a Arc<LiveUpstream>> {
    live.upstreams
        .iter()
        .find(|upstream| &*upstream.plan.name == name)
}
