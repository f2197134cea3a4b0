//! Makes a Flogo application live, keeping what an earlier plan has that still fits: breakers with
//! their state, windows of limiters, connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fusebox_breaker::{Breaker, machine::WindowFate};
use fusebox_gateway::app::Host;
use fusebox_gateway::parts::{BreakerExtras, LiveBreaker, LiveUpstream};
use fusebox_plan::plan::{Limits, Plan};

use super::action::{Count, Does, LiveAction, LiveService};
use super::breaker::BreakerService;
use super::channels::LiveChannel;
use super::handler::LiveHandler;
use super::limiter::{Limit, Limiter};
use super::rest::{self, Client, Rest};
use super::router::RestRouter;
use super::scope::Names;
use crate::program::target_name;
use crate::{Action, Activity, App, Choice, Cors, Handler, Map, RestActivity, Service, Value};

/// A Flogo application as it runs.
#[derive(Debug)]
pub struct LiveApp {
    /// The handlers of its REST triggers, by the number of their routes' steps.
    pub handlers: Vec<Arc<LiveHandler>>,
    /// The clients that its services call others through.
    clients: Vec<Arc<Client>>,
    /// The answer to preflight requests.
    pub cors: Cors,
    routers: HashMap<Arc<str>, RestRouter>,
    actions: Vec<Arc<LiveAction>>,
    channels: Vec<LiveChannel>,
}

impl LiveApp {
    /// The router of a listener's requests.
    pub fn router(&self, listener: &str) -> Option<&RestRouter> {
        self.routers.get(listener)
    }

    /// The breakers among the services, each with its action's name.
    pub fn own_breakers(&self) -> impl Iterator<Item = (&Arc<str>, &LiveBreaker)> {
        own_breakers(&self.actions)
    }

    /// The channel of a name.
    pub fn channel(&self, name: &str) -> Option<&LiveChannel> {
        self.channels.iter().find(|channel| &*channel.name == name)
    }

    /// The upstreams that services call.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<LiveUpstream>> {
        let services = self.actions.iter().flat_map(|action| &action.services);
        services.filter_map(|service| match &service.does {
            Does::Rest(rest) => Some(rest.target()),
            _ => None,
        })
    }
}

fn own_breakers(actions: &[Arc<LiveAction>]) -> impl Iterator<Item = (&Arc<str>, &LiveBreaker)> {
    actions.iter().flat_map(|action| {
        let breakers = action.breakers();
        breakers.map(|BreakerService(live_breaker)| (&action.plan.name, live_breaker))
    })
}

/// Counters by name: they belong to the process, whatever the plan.
#[derive(Debug, Default)]
pub struct Counters(Mutex<HashMap<Arc<str>, Count>>);

impl Counters {
    fn of(&self, name: &Arc<str>) -> Count {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.entry(name.clone()).or_default().clone()
    }
}

/// What is needed to make an application live.
pub struct Builder<'a> {
    /// What the host gives.
    pub host: &'a Host<'a>,
    /// The process's counters.
    pub counters: &'a Counters,
    /// What ran before.
    pub previous: Option<&'a LiveApp>,
}

fn find<'a>(
    clients: &'a [Arc<Client>],
    wanted: &RestActivity,
    limits: &Limits,
) -> Option<&'a Arc<Client>> {
    clients.iter().find(|client| client.serves(wanted, limits))
}

/// The routers of an application's listeners, by their names.
fn routers(plan: &Plan) -> Result<HashMap<Arc<str>, RestRouter>, String> {
    let mut routers = HashMap::new();
    for listener in &plan.listeners {
        let served = plan.routes.iter().enumerate();
        let served = served.filter(|(_, route)| listener.serves(route));
        let handlers = served.map(|(at, route)| {
            let methods = route.methods.as_deref().unwrap_or_default();
            (route.path.as_str(), methods, at)
        });
        routers.insert(listener.name.clone(), RestRouter::new(handlers)?);
    }
    Ok(routers)
}

impl Builder<'_> {
    /// Makes an application live. Says in sentences what could not be kept.
    ///
    /// # Errors
    /// Which service wants what cannot be had.
    pub fn build(&self, app: &App, lost: &mut Vec<String>) -> Result<LiveApp, String> {
        let routers = routers(self.host.plan)?;
        let clients = self.clients(app)?;
        let actions: Vec<_> = app
            .actions()
            .into_iter()
            .map(|action| Arc::new(self.action(action, &clients, lost)))
            .collect();
        let handler = |plan: &Arc<Handler>| Arc::new(handler(plan, &actions));
        let channels = app.channels.iter().map(|channel| {
            let taken = app.subscriptions.iter();
            let taken = taken.filter(|it| it.channel == channel.name);
            let handlers = taken.map(|it| handler(&it.handler));
            LiveChannel::new(channel.name.clone(), channel.capacity, handlers.collect())
        });
        Ok(LiveApp {
            handlers: app.handlers.iter().map(handler).collect(),
            channels: channels.collect(),
            cors: app.cors.clone(),
            clients,
            routers,
            actions,
        })
    }

    /// The clients that the services call through; of the previous application those that still fit.
    fn clients(&self, app: &App) -> Result<Vec<Arc<Client>>, String> {
        let limits = &self.host.plan.limits;
        let mut clients: Vec<Arc<Client>> = Vec::new();
        for action in app.actions() {
            for service in &action.services {
                let Activity::Rest(wanted) = &service.activity else {
                    continue;
                };
                if find(&clients, wanted, limits).is_some() {
                    continue;
                }
                let previous = self.previous;
                let kept = previous.and_then(|previous| find(&previous.clients, wanted, limits));
                let client = match kept {
                    Some(kept) => kept.clone(),
                    None => {
                        let (workers, trust) = (self.host.workers, self.host.trust);
                        let made = Client::new(wanted, limits, workers, trust);
                        let named =
                            |error| format!("service `{}/{}`: {error}", action.name, service.name);
                        Arc::new(made.map_err(named)?)
                    }
                };
                if !wanted.tls.verified && wanted.endpoint.tls {
                    tracing::warn!(
                        action = %action.name, service = %service.name, uri = %wanted.uri,
                        "the certificate of this service is NOT verified, as the file says: whoever \
                         is on the way can read and change what is sent"
                    );
                }
                clients.push(client);
            }
        }
        Ok(clients)
    }

    fn action(
        &self,
        action: &Arc<Action>,
        clients: &[Arc<Client>],
        lost: &mut Vec<String>,
    ) -> LiveAction {
        let names = Names::default();
        let services = action.services.iter().map(|service| {
            let settings = match &service.settings {
                Value::Object(settings) => settings.clone(),
                _ => Arc::default(),
            };
            let cleared = names.context(settings.clone(), Map::new().into(), Value::Null);
            let does = self.service(action, service, &settings, clients, lost);
            LiveService {
                name: service.name.clone(),
                settings,
                cleared,
                does,
            }
        });
        LiveAction {
            services: services.collect(),
            plan: action.clone(),
            names,
        }
    }

    fn service(
        &self,
        action: &Action,
        service: &Service,
        settings: &Map,
        clients: &[Arc<Client>],
        lost: &mut Vec<String>,
    ) -> Does {
        match &service.activity {
            Activity::Breaker(wanted) => {
                let kept = self.previous.iter().flat_map(|app| app.own_breakers());
                let kept = kept
                    .map(|(_, live_breaker)| live_breaker)
                    .find(|live_breaker| *live_breaker.breaker.name() == wanted.name);
                let checked = "a plan's settings have been checked";
                let live_breaker = match kept {
                    Some(live_breaker) => {
                        if *live_breaker.breaker.settings() != wanted.settings {
                            let now = self.host.clock.exact();
                            let settings = wanted.settings.clone();
                            let done = live_breaker
                                .breaker
                                .reconfigure(settings, now)
                                .expect(checked);
                            let cleared = |fate: &WindowFate| *fate == WindowFate::Cleared;
                            if !done.state_kept || done.windows.iter().any(|(_, it)| cleared(it)) {
                                lost.push(format!("breaker {}: {done}", wanted.name));
                            }
                        }
                        live_breaker.clone()
                    }
                    None => LiveBreaker {
                        breaker: Breaker::builder(wanted.name.clone(), wanted.settings.clone())
                            .listener(self.host.listener.clone())
                            .build()
                            .expect(checked),
                        extras: Arc::new(BreakerExtras::new(self.host.workers)),
                    },
                };
                Does::Breaker(BreakerService(live_breaker))
            }
            Activity::Rest(wanted) => {
                let client = find(clients, wanted, &self.host.plan.limits);
                let client = client.expect("every caller of the plan has a client");
                let upstream = rest::upstream(target_name(action, service), wanted);
                let target = (self.host.target)(upstream, client.pools().clone());
                Does::Rest(Rest::new(wanted.clone(), settings, target))
            }
            Activity::RateLimiter(wanted) => {
                let limit = Limit {
                    calls: wanted.limit,
                    window: wanted.window,
                    spike_threshold: wanted.spike_threshold,
                    decay_rate: wanted.decay_rate,
                };
                let kept = self.previous.and_then(|app| app.limiter(action, service));
                let kept = kept.filter(|limiter| limiter.limit() == limit);
                Does::Limit(kept.unwrap_or_else(|| Arc::new(Limiter::new(limit))))
            }
            Activity::Jwt => Does::Jwt,
            Activity::Log => Does::Log,
            Activity::Counter(wanted) => {
                Does::Count(self.counters.of(&wanted.counter), wanted.operation)
            }
            Activity::Channel => Does::Publish,
            Activity::Return(mapping) => Does::Return(mapping.clone()),
            Activity::Reply(mapping) => Does::Reply(mapping.clone()),
        }
    }
}

/// A handler with its actions.
fn handler(plan: &Arc<Handler>, actions: &[Arc<LiveAction>]) -> LiveHandler {
    let of = |choice: &Choice| {
        let mut known = actions.iter();
        let found = known.find(|action| action.plan.name == choice.action.name);
        found.expect("every action of the plan is live").clone()
    };
    LiveHandler {
        actions: plan.choices.iter().map(of).collect(),
        plan: plan.clone(),
    }
}

impl LiveApp {
    fn action(&self, name: &str) -> Option<&Arc<LiveAction>> {
        self.actions
            .iter()
            .find(|action| &*action.plan.name == name)
    }

    fn limiter(&self, action: &Action, service: &Service) -> Option<Arc<Limiter>> {
        let service = self.action(&action.name)?.service(&service.name)?;
        match &service.does {
            Does::Limit(limiter) => Some(limiter.clone()),
            _ => None,
        }
    }
}
