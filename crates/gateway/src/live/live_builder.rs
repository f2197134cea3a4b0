//! Makes plans live: builds the parts that are new in a plan, and keeps those of the plan before it that fit.

use crate::app::{App, AppBuilder, Host};
use crate::ground::clock::Clock;
use crate::ground::listen::ListenerKey;
use crate::ground::meter::{PerWorker, RequestMeters};
use crate::ground::stores::StoreHandle;
use crate::live::by_name::{self, Demand, Upstreams};
use crate::live::changes::Changes;
use crate::live::changes::Reloaded;
use crate::live::live_plan::{Live, LiveListener, LiveRoute, LiveStep};
use crate::live::router::Router;
use crate::live::tls::LiveTls;
use crate::message::validate::PathRules;
use crate::request::exchange::{ListenerRules, RouteFacts};
use crate::request::forward::Forward;
use crate::request::ladder::{Ladder, LiveRung};
use crate::upstream::announcing::Announcing;
use crate::upstream::breakers::{BreakerExtras, BreakerKind, LiveBreaker, UpstreamBreakers};
use crate::upstream::call_state::{CallState, LiveBulkhead};
use crate::upstream::endpoints::{EndpointWatch, LiveEndpoint, SeveralEndpoints};
use crate::upstream::event_switch::EventSwitch;
use crate::upstream::events::Events;
use crate::upstream::last_good::LastGood;
use crate::upstream::last_good::key::{Salt, Scope};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::own_tls::OwnTls;
use crate::upstream::pool::{Pool, PoolLimits, Pools};
use crate::upstream::service::LiveService;
use crate::upstream::trust::Trust;
use crate::upstream::upstream_errors::UpstreamErrors;
use fusebox_breaker::{Breaker, Listener as BreakerListener};
use fusebox_call::Bulkhead;
use fusebox_fleet::Fleet;
use fusebox_plan::plan::{
    Forward as PlannedForward, Http2, Manner, Plan, Route, Rung, ServiceBreaker, Share, Step,
    Upstream,
};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The breakers before an upstream, with their listener.
type Breakers = (Arc<UpstreamBreakers>, Arc<EventSwitch>);

/// The parts of a guard, which all targets behind it share.
#[derive(Clone)]
struct GuardParts {
    breakers: Breakers,
    calls: CallState,
    /// Counts of attempts at the targets' one address.
    attempts: Arc<BreakerExtras>,
}

/// Makes plans live, and keeps the state that outlives one plan.
pub struct LiveBuilder {
    context: BuildContext,
    trust: Trust,
    meters: Mutex<HashMap<(Kind, Arc<str>), RequestMeters>>,
    errors: Mutex<HashMap<Arc<str>, Arc<UpstreamErrors>>>,
}

impl std::fmt::Debug for LiveBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveBuilder").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Route,
    Upstream,
    Target,
}

/// The resources of a [`LiveBuilder`].
pub struct BuildContext {
    pub workers: usize,
    /// The gateway's clock.
    pub clock: Arc<Clock>,
    /// The listener of every breaker's transitions.
    pub listener: Arc<dyn BreakerListener>,
    /// The gateway's events, of which transitions are some.
    pub events: Arc<Events>,
    /// The fleet through which breakers are shared; `None`: the gateway is alone.
    pub fleet: Option<Fleet>,
    /// The builders of applications, one for each dialect that can be run.
    pub apps: Vec<Arc<dyn AppBuilder>>,
    /// A store that outlives the process.
    pub durable: StoreHandle,
    /// A store that ends with the process.
    pub volatile: StoreHandle,
    /// The store of records, which is on this machine.
    pub records: StoreHandle,
    /// The salt of last good answers in it.
    pub salt: Salt,
}

impl LiveBuilder {
    /// A builder without a previous plan.
    pub fn new(context: BuildContext) -> LiveBuilder {
        LiveBuilder {
            context,
            trust: Trust::default(),
            meters: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    /// Makes a plan live. Parts of the previous one that still fit are kept: breakers with their state, connections,
    /// counters. The result lists the state that could not be kept, and breakers whose sharing changed.
    ///
    /// # Errors
    /// The unavailable resource that the plan needs; nothing has changed then.
    pub fn build(&self, plan: Plan, previous: Option<&Live>) -> Result<(Live, Reloaded), String> {
        let plan = Arc::new(plan);
        // The choice among endpoints is one object over reloads, so those that leave are looked up before.
        let own_before: Vec<_> = previous.iter().flat_map(|it| it.own_breakers()).collect();
        let listeners = listeners(&plan, previous)?;
        let mut endpoints = Vec::new();
        for upstream in &plan.upstreams {
            let own_tls = own_tls(upstream, previous)?;
            let reached = self.endpoints(&plan, upstream, own_tls.as_ref(), previous)?;
            endpoints.push((reached, own_tls));
        }
        let mut reloaded = Reloaded {
            changes: previous.map_or_else(Changes::default, |previous| {
                Changes::between(&previous.plan, &plan)
            }),
            ..Reloaded::default()
        };
        let app = self.app(&plan, previous, &mut reloaded)?;
        // From here on nothing fails, so that breakers are changed only by a plan that runs.
        let demands = by_name::demands(&plan.routes);
        let mut upstreams: Vec<_> = plan
            .upstreams
            .iter()
            .zip(endpoints)
            .map(|(upstream, (endpoints, own_tls))| {
                let demand = demands.get(&*upstream.name).copied().unwrap_or_default();
                let live = self.upstream(upstream, endpoints, demand, previous, &mut reloaded);
                Arc::new(live.with_tls(own_tls))
            })
            .collect();
        upstreams.extend(app.iter().flat_map(|app| app.targets()));
        let mut seen = HashSet::new();
        let guarded = upstreams.iter().filter(|it| it.is_guarded());
        let guarded = guarded.filter(|it| seen.insert(Arc::as_ptr(&it.breakers)));
        let guarded = guarded.cloned().collect();
        let guarded: Vec<_> = guarded;
        let by_name = by_name::named(&upstreams, |it| Some(&it.plan.name));
        let forwards = by_name::forwards(previous);
        let routes = plan.routes.iter().map(|route| {
            let old = forwards.get(&*route.name).copied();
            Arc::new(self.route(route, &by_name, old))
        });
        let services = plan.breakers.iter();
        let services = services.map(|it| self.service(it, previous, &mut reloaded));
        let services = services.collect();
        let live = Live {
            routes: routes.collect(),
            guarded_by_name: by_name::named(&guarded, |it| it.breakers.name()),
            by_name,
            services,
            plan: plan.clone(),
            guarded,
            upstreams,
            app,
            listeners,
        };
        let before = previous.iter().flat_map(|previous| &previous.guarded);
        for name in before.filter_map(|old| old.breakers.name()) {
            if live.guarded(name).is_none() {
                reloaded.lost.push(format!(
                    "breakers of {name}: the upstream is gone, and their state with it"
                ));
            }
        }
        for (_, old) in own_before {
            let name = old.breaker.name();
            if live.breaker(name).is_none() {
                let what = match old.extras.kind {
                    BreakerKind::Endpoint => "endpoint",
                    BreakerKind::Upstream | BreakerKind::Flow => "service",
                    BreakerKind::Service => "entry in `breakers`",
                };
                reloaded.lost.push(format!(
                    "breaker {name}: its {what} is gone, and its state with it"
                ));
            }
        }
        Ok((live, reloaded))
    }

    fn app(
        &self,
        plan: &Arc<Plan>,
        previous: Option<&Live>,
        reloaded: &mut Reloaded,
    ) -> Result<Option<Arc<dyn App>>, String> {
        let before = previous.and_then(|live| live.app.as_ref());
        let Some(program) = &plan.app else {
            let lost = before.iter().flat_map(|app| app.lost());
            reloaded.lost.extend(lost);
            return Ok(None);
        };
        // Both the application and its targets may have something to say.
        let of_targets = RefCell::new((Reloaded::default(), HashMap::new()));
        let host = Host {
            plan,
            workers: self.context.workers,
            clock: &self.context.clock,
            listener: &|part| self.listener(part, BreakerKind::Flow),
            durable: &self.context.durable,
            volatile: &self.context.volatile,
            trust: &self.trust,
            target: &|upstream, pools| {
                let (reloaded, made) = &mut *of_targets.borrow_mut();
                self.target(plan, upstream, pools, previous, reloaded, made)
            },
        };
        let mut builders = self.context.apps.iter();
        let built = builders.find_map(|it| it.build(&host, before, &mut reloaded.lost));
        let (of_targets, _) = of_targets.into_inner();
        reloaded.lost.extend(of_targets.lost);
        reloaded.shared.extend(of_targets.shared);
        let built = built.unwrap_or_else(|| {
            let dialect = program.dialect();
            Err(format!(
                "this program was built without the dialect `{dialect}`"
            ))
        });
        built.map(Some)
    }

    /// The endpoints of an upstream, with the connections of the previous plan to those that stay.
    fn endpoints(
        &self,
        plan: &Plan,
        upstream: &Arc<Upstream>,
        own_tls: Option<&Arc<OwnTls>>,
        previous: Option<&Live>,
    ) -> Result<Vec<Arc<LiveEndpoint>>, String> {
        let kept = previous.and_then(|previous| {
            let old = previous.upstream(&upstream.name)?;
            let fits = old.plan.timeout.connect == upstream.timeout.connect
                && old.plan.http == upstream.http
                && PoolLimits::of(&old.plan) == PoolLimits::of(upstream)
                && previous.plan.limits == plan.limits
                && old.own_tls.as_ref().map(Arc::as_ptr) == own_tls.map(Arc::as_ptr);
            fits.then_some(old)
        });
        let endpoints = upstream.endpoints.iter().map(|it| {
            let endpoint = &it.endpoint;
            let mut old = kept.iter().flat_map(|old| &old.endpoints);
            if let Some(old) = old.find(|old| old.plan == *endpoint) {
                // With a reload an operator may also announce that the name has a new address.
                old.pools.iter().for_each(|pool| pool.clear());
                return Ok(old.clone());
            }
            let trust = match own_tls {
                Some(own) => &Trust::Renewed(own.clone()),
                None => &self.trust,
            };
            let limits = &plan.limits;
            let pools = Pool::for_workers(
                self.context.workers,
                upstream,
                endpoint,
                None,
                limits,
                trust,
            )
            .map_err(|error| format!("upstream `{}`: {error}", upstream.name))?;
            Ok(Arc::new(LiveEndpoint::new(endpoint.clone(), pools)))
        });
        endpoints.collect()
    }

    fn upstream(
        &self,
        plan: &Arc<Upstream>,
        endpoints: Vec<Arc<LiveEndpoint>>,
        demand: Demand,
        previous: Option<&Live>,
        reloaded: &mut Reloaded,
    ) -> LiveUpstream {
        let breakers = self.breakers(&plan.name, plan, previous, reloaded);
        let meter = self.meter(Kind::Upstream, &plan.name);
        let errors = self.errors(&plan.name);
        let before = previous.and_then(|previous| previous.upstream(&plan.name));
        let calls = self.calls(plan, demand.repeats, demand.last_good, before);
        let several = self.several(plan, &endpoints, previous);
        let (plan, breakers) = (plan.clone(), Some(breakers));
        LiveUpstream::new(plan, breakers, endpoints, several, meter, errors, calls)
    }

    /// The choice among the endpoints of an upstream, if it has several; the previous plan's with its state.
    fn several(
        &self,
        plan: &Upstream,
        endpoints: &[Arc<LiveEndpoint>],
        previous: Option<&Live>,
    ) -> Option<Arc<SeveralEndpoints>> {
        if endpoints.len() < 2 && plan.health.is_none() && plan.resolve.is_none() {
            return None;
        }
        let now = self.context.clock.exact();
        let old = previous.and_then(|previous| previous.upstream(&plan.name));
        let checked = "a plan's settings have been checked";
        if let Some(several) = old.and_then(|old| old.several.clone()) {
            let old = old.map(|old| (&old.endpoints, old.plan.resolve));
            let stay = old.is_some_and(|(old, resolve)| {
                let same = old.iter().zip(endpoints).all(|(a, b)| Arc::ptr_eq(a, b));
                same && old.len() == endpoints.len() && resolve.is_some() && plan.resolve.is_some()
            });
            // The addresses that were looked up stay too.
            let updated = match stay {
                true => several.update_rules(plan, now),
                false => several.update(plan, endpoints, now).map(drop),
            };
            updated.expect(checked);
            return Some(several);
        }
        let watch = EndpointWatch {
            upstream: plan.name.clone(),
            listener: self.listener(&plan.name, BreakerKind::Endpoint),
            events: self.context.events.clone(),
            clock: self.context.clock.clone(),
            ejected: Mutex::default(),
        };
        let several = SeveralEndpoints::new(plan, endpoints, watch, now);
        Some(Arc::new(several.expect(checked)))
    }

    /// The state that an upstream's calls share, with what fits of the previous plan's.
    fn calls(
        &self,
        plan: &Upstream,
        repeats: bool,
        age_max: Option<Duration>,
        before: Option<&Arc<LiveUpstream>>,
    ) -> CallState {
        let repeats = repeats || plan.retry.is_some() || plan.hedge.is_some();
        let before = before.map(|before| &before.calls);
        let now = self.context.clock.exact();
        CallState::new(
            plan.budget,
            plan.bulkhead.as_ref(),
            repeats,
            self.last_good(plan, age_max, before),
            before,
            now,
        )
    }

    /// The last good answers of an upstream, kept as long as `age_max` allows; the previous plan's if they fit. `None`:
    /// no rung uses them.
    fn last_good(
        &self,
        plan: &Upstream,
        age_max: Option<Duration>,
        before: Option<&CallState>,
    ) -> Option<Arc<LastGood>> {
        let age_max = age_max?;
        // Another URL is another service, whose answers are its own.
        let name = format!("{}@{}", plan.name, plan.endpoint().url());
        let kept = before.and_then(|before| before.last_good.as_ref());
        let fits = |kept: &&Arc<LastGood>| {
            *kept.settings() == plan.last_good && kept.age_max() == age_max && kept.name() == name
        };
        if let Some(kept) = kept.filter(fits) {
            return Some(kept.clone());
        }
        let (settings, store) = (plan.last_good.clone(), self.context.records.0.clone());
        let salt = self.context.salt.clone();
        let (last_good, writer) = LastGood::new(&name, settings, age_max, store, salt);
        // Without a runtime nothing is written, and answers are kept in memory alone.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(writer.run());
        }
        Some(last_good)
    }

    /// A target of an application's own requests, with the plan's guard before it, if there is one. `made` has the parts
    /// of the guards that other targets stand behind.
    fn target(
        &self,
        plan: &Plan,
        target: Upstream,
        pools: Pools,
        previous: Option<&Live>,
        reloaded: &mut Reloaded,
        made: &mut HashMap<Arc<str>, GuardParts>,
    ) -> Arc<LiveUpstream> {
        let mut guards = plan.guards.iter();
        let guard = guards.find(|it| it.targets.contains(&target.name));
        let endpoint = LiveEndpoint::new(target.endpoint().clone(), pools);
        let meter = self.meter(Kind::Target, &target.name);
        let errors = self.errors(&target.name);
        let (target, endpoint, breakers, calls) = match guard {
            None => {
                let calls = self.calls(&target, false, None, None);
                (target, endpoint, None, calls)
            }
            Some(guard) => {
                let target = guard.before(target);
                let parts = made.entry(guard.name.clone());
                let parts =
                    parts.or_insert_with(|| self.guard(&guard.name, &target, previous, reloaded));
                let endpoint = LiveEndpoint {
                    extras: parts.attempts.clone(),
                    ..endpoint
                };
                let breakers = Some(parts.breakers.clone());
                (target, endpoint, breakers, parts.calls.clone())
            }
        };
        let (target, endpoints) = (Arc::new(target), vec![Arc::new(endpoint)]);
        let live = LiveUpstream::new(target, breakers, endpoints, None, meter, errors, calls);
        Arc::new(live)
    }

    /// The parts of a guard before its first target; those of the previous plan where they fit.
    fn guard(
        &self,
        name: &Arc<str>,
        target: &Upstream,
        previous: Option<&Live>,
        reloaded: &mut Reloaded,
    ) -> GuardParts {
        let before = previous.and_then(|live| live.guarded(name));
        let there = before.filter(|it| it.plan.endpoint() == target.endpoint());
        let attempts = there.map(|it| it.endpoint().extras.clone());
        GuardParts {
            breakers: self.breakers(name, target, previous, reloaded),
            calls: self.calls(target, false, None, before),
            attempts: attempts.unwrap_or_else(|| {
                let extras = BreakerExtras::new(self.context.workers, BreakerKind::Endpoint);
                Arc::new(extras)
            }),
        }
    }

    /// The listener of the breakers that belong to an upstream or to a part of an application.
    fn listener(&self, upstream: &Arc<str>, kind: BreakerKind) -> Arc<dyn BreakerListener> {
        Arc::new(Announcing {
            gateway: self.context.listener.clone(),
            events: self.context.events.clone(),
            upstream: upstream.clone(),
            kind,
        })
    }

    /// The breakers of a name that a plan wants before an upstream, with their listener; those of the previous plan
    /// where they fit.
    fn breakers(
        &self,
        name: &Arc<str>,
        plan: &Upstream,
        previous: Option<&Live>,
        reloaded: &mut Reloaded,
    ) -> Breakers {
        let old = previous.and_then(|live| live.guarded(name));
        let mut settings_changed = false;
        let (breakers, events) = match old {
            // What was learnt at one place says nothing of another.
            Some(old) if old.plan.endpoint() == plan.endpoint() && old.breakers.fit(plan) => {
                let (was, is) = (&old.plan.breaker, &plan.breaker);
                let keys = |plan: &fusebox_plan::plan::Breaker| {
                    (plan.keys_max, plan.idle_after, plan.on_overflow)
                };
                if was.settings != is.settings || keys(was) != keys(is) {
                    let lost = old.breakers.reconfigure(is, self.context.clock.exact());
                    reloaded.lost.extend(lost);
                    settings_changed = true;
                }
                (old.breakers.clone(), old.events.clone())
            }
            _ => {
                if let Some(old) = old {
                    let what = if old.plan.endpoint() == plan.endpoint() {
                        "their key"
                    } else {
                        "the upstream's url"
                    };
                    let now = self.context.clock.exact();
                    let held = |live_breaker: &LiveBreaker| {
                        live_breaker.breaker.snapshot(now).hold.is_some()
                    };
                    let holds = old.breakers.all().iter().filter(|it| held(it)).count();
                    let holds = match holds {
                        0 => String::new(),
                        holds => format!("; {holds} held by an operator, no more"),
                    };
                    reloaded.lost.push(format!(
                        "breakers of {name}: {what} changed, so they begin anew{holds}"
                    ));
                }
                let listener = self.listener(name, BreakerKind::Upstream);
                let events = EventSwitch::new(listener, self.context.fleet.clone());
                let breakers = UpstreamBreakers::new(
                    name,
                    plan,
                    self.context.workers,
                    &self.context.clock,
                    events.clone(),
                );
                (Arc::new(breakers), events)
            }
        };
        let kept = old.filter(|old| Arc::ptr_eq(&old.events, &events));
        let was = old.map_or(Share::None, |old| old.plan.breaker.share);
        let is = plan.breaker.share;
        // The fleet takes what it must know of the settings when a breaker joins.
        if kept.is_none() || was != is || settings_changed {
            events.share(is, || breakers.all());
        }
        if was != is && previous.is_some() {
            let said = format!("breakers of {name}: shared as `{is}`, were `{was}`");
            reloaded.shared.push(said);
        }
        if is != Share::None && self.context.fleet.is_none() {
            tracing::warn!(
                upstream = %name,
                "its breakers are to be shared, but the store is not a Valkey server: each decides alone"
            );
        }
        (breakers, events)
    }

    /// A breaker without an upstream; that of the previous plan with its state.
    fn service(
        &self,
        plan: &Arc<ServiceBreaker>,
        previous: Option<&Live>,
        reloaded: &mut Reloaded,
    ) -> Arc<LiveService> {
        let (name, is) = (&plan.name, plan.breaker.share);
        let checked = "a plan's settings have been checked";
        let old = previous.and_then(|live| live.service(name));
        let (live_breaker, events) = match old {
            Some(old) => (old.live_breaker.clone(), old.events.clone()),
            None => {
                let listener = self.listener(name, BreakerKind::Service);
                let events = EventSwitch::new(listener, self.context.fleet.clone());
                let breaker = Breaker::builder(name.clone(), plan.breaker.settings.clone());
                let breaker = breaker.listener(events.clone()).build().expect(checked);
                let extras = BreakerExtras::new(self.context.workers, BreakerKind::Service).timed();
                let extras = Arc::new(extras);
                (LiveBreaker { breaker, extras }, events)
            }
        };
        let was = old.map_or(Share::None, |old| old.plan.breaker.share);
        let changed = old.is_some_and(|it| it.plan.breaker.settings != plan.breaker.settings);
        if changed {
            let now = self.context.clock.exact();
            let settings = plan.breaker.settings.clone();
            let done = live_breaker.breaker.reconfigure(settings, now);
            reloaded.lost.extend(UpstreamBreakers::lost(
                &live_breaker.breaker,
                &done.expect(checked),
            ));
        }
        if was != is || changed {
            events.share(is, || vec![live_breaker.clone()]);
        }
        if was != is && previous.is_some() {
            let said = format!("breaker {name}: shared as `{is}`, was `{was}`");
            reloaded.shared.push(said);
        }
        if is != Share::None && self.context.fleet.is_none() {
            tracing::warn!(
                breaker = %name,
                "the breaker is to be shared, but the store is not a Valkey server: it decides alone"
            );
        }
        Arc::new(LiveService {
            plan: plan.clone(),
            live_breaker,
            events,
        })
    }

    /// A route's step to an upstream. A bulkhead of the route's own keeps its places over a reload.
    fn forward(
        &self,
        route: &Route,
        plan: &PlannedForward,
        upstreams: &Upstreams,
        old: Option<&Arc<Forward>>,
    ) -> Forward {
        let named = |name: &str| {
            let found = upstreams.get(name);
            let found = found.expect("a checked route names an upstream of its plan");
            found.clone()
        };
        let upstream = named(&plan.upstream.name);
        let now = self.context.clock.exact();
        let bulkhead = match &plan.bulkhead {
            Some(own) => {
                let before = old.filter(|old| old.has_own_bulkhead);
                let before = before.and_then(|old| old.bulkhead.as_ref());
                Some(LiveBulkhead::new(own, before, now))
            }
            None => upstream.calls.bulkhead.clone(),
        };
        let concurrency = route.concurrency_max.map(|max| {
            let before = old.and_then(|old| old.concurrency.as_ref());
            LiveBulkhead::new(&Bulkhead::of_route(max), before, now)
        });
        let rungs = plan.fallback().iter().map(|rung| match rung {
            Rung::LastGood(age) => LiveRung::LastGood(*age),
            Rung::Upstream(name) => LiveRung::Upstream(named(name)),
            Rung::Respond(respond) => LiveRung::Respond(respond.clone()),
        });
        Forward {
            path: route.path.as_str().into(),
            rewrite: plan.rewrite.clone(),
            scope: Scope::of(route.request.set.iter().map(|(name, value)| (name, value))),
            changes: route.request.clone(),
            retry: plan.retry().cloned(),
            has_own_bulkhead: plan.bulkhead.is_some(),
            bulkhead,
            concurrency,
            ladder: Ladder {
                rungs: rungs.collect(),
            },
            upstream,
        }
    }

    fn route(
        &self,
        plan: &Arc<Route>,
        upstreams: &Upstreams,
        old: Option<&Arc<Forward>>,
    ) -> LiveRoute {
        let steps = plan.steps.iter().map(|step| match step {
            Step::App(step) => LiveStep::App(*step),
            Step::Respond(respond) => LiveStep::Respond(respond.clone()),
            Step::Forward(forward) => {
                LiveStep::Forward(Arc::new(self.forward(plan, forward, upstreams, old)))
            }
        });
        let steps: Vec<_> = steps.collect();
        LiveRoute {
            plan: plan.clone(),
            reads_params: steps.iter().any(LiveStep::reads_params),
            steps,
            facts: Arc::new(RouteFacts {
                name: plan.name.clone(),
                meter: self.meter(Kind::Route, &plan.name),
            }),
        }
    }

    fn meter(&self, kind: Kind, name: &Arc<str>) -> RequestMeters {
        let mut meters = self.meters.lock();
        let meter = meters.entry((kind, name.clone()));
        meter
            .or_insert_with(|| Arc::new(PerWorker::new(self.context.workers)))
            .clone()
    }

    /// The errors of an upstream or a target: one object for a name, so that no label comes twice.
    fn errors(&self, name: &Arc<str>) -> Arc<UpstreamErrors> {
        let mut errors = self.errors.lock();
        let errors = errors.entry(name.clone());
        errors
            .or_insert_with(|| UpstreamErrors::new(name.clone()))
            .clone()
    }
}

/// The TLS of an upstream with settings of its own; the previous plan's if they are the same.
fn own_tls(upstream: &Upstream, previous: Option<&Live>) -> Result<Option<Arc<OwnTls>>, String> {
    let Some(settings) = &upstream.tls else {
        return Ok(None);
    };
    let before = previous.and_then(|previous| previous.upstream(&upstream.name)?.own_tls.clone());
    if let Some(kept) = before.filter(|kept| kept.current().settings == *settings) {
        return Ok(Some(kept));
    }
    let own = OwnTls::new(settings.clone());
    let own = own.map_err(|fault| format!("upstream `{}`: {fault}", upstream.name))?;
    Ok(Some(Arc::new(own)))
}

/// The listeners of a plan, each with its router and its TLS.
fn listeners(
    plan: &Plan,
    previous: Option<&Live>,
) -> Result<BTreeMap<ListenerKey, LiveListener>, String> {
    let limits = Arc::new(plan.limits.clone());
    let mut listeners = BTreeMap::new();
    for listener in &plan.listeners {
        let router = match listener.manner {
            Manner::App => None,
            Manner::Native => {
                let served = plan.routes.iter().enumerate();
                let served = served.filter(|(_, route)| listener.serves(route));
                Some(Router::new(served.map(|(at, route)| (route.as_ref(), at)))?)
            }
        };
        let key = ListenerKey::of(listener);
        // Clients can resume their sessions while the certificates are the same.
        let kept = previous.and_then(|previous| previous.listener(&key)?.tls.clone());
        let offered = protocols(listener.http2());
        let tls = match (&listener.tls, kept) {
            (None, _) => None,
            (Some(tls), Some(kept)) if kept.serves(tls, offered) => Some(kept),
            (Some(tls), _) => {
                let tls = LiveTls::new(tls.clone(), offered);
                let tls = tls.map_err(|fault| format!("listener `{}`: {fault}", listener.name))?;
                Some(Arc::new(tls))
            }
        };
        let rules = ListenerRules {
            name: listener.name.clone(),
            limits: limits.clone(),
            paths: PathRules {
                encoded_slash_allowed: listener.encoded_slash_allowed,
                double_slash_allowed: listener.double_slash_allowed,
            },
            trusted_proxies: listener.trusted_proxies.clone(),
        };
        listeners.insert(
            key,
            LiveListener {
                rules: Arc::new(rules),
                router,
                tls,
                plan: listener.clone(),
            },
        );
    }
    Ok(listeners)
}

/// The protocols of a listener's TLS (ALPN), in the order of preference.
fn protocols(http2: Http2) -> &'static [&'static [u8]] {
    match http2 {
        Http2::Auto => &[b"h2", b"http/1.1"],
        Http2::Cleartext | Http2::Off => &[b"http/1.1"],
    }
}
