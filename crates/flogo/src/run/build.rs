//! Builds a running application, and reuses the parts of the previous one that still match: breakers with their state,
//! windows of limiters, connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fusebox_breaker::{Breaker, machine::WindowFate};
use fusebox_gateway::app::Host;
use fusebox_gateway::parts::{BreakerExtras, BreakerKind, LiveBreaker, LiveUpstream};
use fusebox_plan::plan::{Limits, Plan};

use super::action::{Counter, LiveAction, LiveActivity, LiveService};
use super::breaker::BreakerService;
use super::channels::LiveChannel;
#[cfg(feature = "graphql")]
use super::graphql::GraphQl;
use super::handler::LiveHandler;
use super::limiter::Limiter;
use super::quota::Quota;
use super::rest::{self, Client, Rest};
use super::router::RestRouter;
use super::scope::Names;
use crate::program::target_name;
use crate::{Action, Activity, App, Choice, Cors, Handler, Map, RestActivity, Service, Value};

/// A running Flogo application, built from a plan.
#[derive(Debug)]
pub struct LiveApp {
    /// The handlers of the REST triggers, by the numbers of their routes' steps.
    pub handlers: Vec<Arc<LiveHandler>>,
    /// The clients of all REST services.
    clients: Vec<Arc<Client>>,
    /// The answers to preflight requests.
    pub cors: Cors,
    routers: HashMap<Arc<str>, RestRouter>,
    actions: Vec<Arc<LiveAction>>,
    channels: Vec<LiveChannel>,
}

impl LiveApp {
    /// The router of a listener.
    pub fn router(&self, listener: &str) -> Option<&RestRouter> {
        self.routers.get(listener)
    }

    /// The breakers among the services, with the names of their actions.
    pub fn own_breakers(&self) -> impl Iterator<Item = (&Arc<str>, &LiveBreaker)> {
        let services = self.actions.iter().flat_map(|action| {
            let services = action.services.iter();
            services.map(|service| (&action.plan.name, &service.activity))
        });
        services.filter_map(|(action, activity)| match activity {
            LiveActivity::Breaker(BreakerService(live_breaker)) => Some((action, live_breaker)),
            _ => None,
        })
    }

    /// The channel with that name.
    pub fn channel(&self, name: &str) -> Option<&LiveChannel> {
        self.channels.iter().find(|channel| &*channel.name == name)
    }

    /// The running activity of a service.
    fn activity(&self, action: &Action, service: &Service) -> Option<&LiveActivity> {
        let mut actions = self.actions.iter();
        let action = actions.find(|known| known.plan.name == action.name)?;
        let mut services = action.services.iter();
        let service = services.find(|known| known.name == service.name)?;
        Some(&service.activity)
    }

    /// The upstreams of all REST services.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<LiveUpstream>> {
        let services = self.actions.iter().flat_map(|action| &action.services);
        services.filter_map(|service| match &service.activity {
            LiveActivity::Rest(rest) => Some(rest.target()),
            _ => None,
        })
    }
}

/// Counters by name, which belong to the process and outlive a plan.
#[derive(Debug, Default)]
pub struct Counters(Mutex<HashMap<Arc<str>, Counter>>);

impl Counters {
    fn of(&self, name: &Arc<str>) -> Counter {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.entry(name.clone()).or_default().clone()
    }
}

/// The inputs for building an application.
pub struct Builder<'a> {
    /// The host's services, with the plan.
    pub host: &'a Host<'a>,
    /// The counters of the process.
    pub counters: &'a Counters,
    /// The application that ran before, if any.
    pub previous: Option<&'a LiveApp>,
}

fn find<'a>(
    clients: &'a [Arc<Client>],
    activity: &RestActivity,
    limits: &Limits,
) -> Option<&'a Arc<Client>> {
    let mut clients = clients.iter();
    clients.find(|client| client.serves(activity, limits))
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
    /// Builds an application. `lost` receives a sentence for each state that could not be reused.
    ///
    /// # Errors
    /// The service with an unavailable resource, and the reason.
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

    /// The clients of all REST services, reusing those of the previous application that still match.
    fn clients(&self, app: &App) -> Result<Vec<Arc<Client>>, String> {
        let limits = &self.host.plan.limits;
        let mut clients: Vec<Arc<Client>> = Vec::new();
        for (action, service) in app.services() {
            let Activity::Rest(activity) = &service.activity else {
                continue;
            };
            if find(&clients, activity, limits).is_some() {
                continue;
            }
            let previous = self.previous;
            let reused = previous.and_then(|previous| find(&previous.clients, activity, limits));
            let client = match reused {
                Some(reused) => reused.clone(),
                None => {
                    let made = Client::new(activity, limits, self.host.workers, self.host.trust);
                    let name = target_name(action, service);
                    Arc::new(made.map_err(|error| format!("service `{name}`: {error}"))?)
                }
            };
            if !activity.tls.verified && activity.endpoint.tls {
                tracing::warn!(
                    action = %action.name, service = %service.name, uri = %activity.uri,
                    "the certificate of this service is NOT verified, as configured: anyone on the \
                     network path can read and change all traffic"
                );
            }
            clients.push(client);
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
            let activity = self.service(action, service, &settings, clients, lost);
            LiveService {
                name: service.name.clone(),
                settings,
                cleared,
                activity,
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
    ) -> LiveActivity {
        match &service.activity {
            Activity::Breaker(activity) => {
                let previous = self.previous.iter().flat_map(|app| app.own_breakers());
                let mut previous = previous.map(|(_, live_breaker)| live_breaker);
                let reused = previous.find(|it| *it.breaker.name() == activity.name);
                let checked = "a plan's settings have been checked";
                let live_breaker = match reused {
                    Some(live_breaker) => {
                        let breaker = &live_breaker.breaker;
                        if *breaker.settings() != activity.settings {
                            let now = self.host.clock.exact();
                            let done = breaker.reconfigure(activity.settings.clone(), now);
                            let done = done.expect(checked);
                            let cleared = |fate: &WindowFate| *fate == WindowFate::Cleared;
                            if !done.state_kept || done.windows.iter().any(|(_, it)| cleared(it)) {
                                lost.push(format!("breaker {}: {done}", activity.name));
                            }
                        }
                        live_breaker.clone()
                    }
                    None => LiveBreaker {
                        breaker: Breaker::builder(activity.name.clone(), activity.settings.clone())
                            .listener((self.host.listener)(&action.name))
                            .build()
                            .expect(checked),
                        extras: Arc::new(BreakerExtras::new(self.host.workers, BreakerKind::Flow)),
                    },
                };
                LiveActivity::Breaker(BreakerService(live_breaker))
            }
            Activity::Rest(activity) => {
                let client = find(clients, activity, &self.host.plan.limits);
                let client = client.expect("every caller of the plan has a client");
                let upstream = rest::upstream(target_name(action, service), activity);
                let target = (self.host.target)(upstream, client.pools().clone());
                LiveActivity::Rest(Rest::new(activity.clone(), settings, target))
            }
            Activity::RateLimiter(activity) => {
                match self.previous.and_then(|app| app.activity(action, service)) {
                    Some(LiveActivity::Limit(known)) if known.limit() == activity => {
                        LiveActivity::Limit(known.clone())
                    }
                    _ => LiveActivity::Limit(Arc::new(Limiter::new(activity.clone()))),
                }
            }
            Activity::Quota(activity) => {
                match self.previous.and_then(|app| app.activity(action, service)) {
                    Some(LiveActivity::Quota(known)) if known.plan() == activity => {
                        LiveActivity::Quota(known.clone())
                    }
                    _ => LiveActivity::Quota(Arc::new(Quota::new(activity.clone()))),
                }
            }
            #[cfg(feature = "graphql")]
            Activity::GraphQl(activity) => {
                match self.previous.and_then(|app| app.activity(action, service)) {
                    Some(LiveActivity::GraphQl(known)) if known.plan() == activity => {
                        LiveActivity::GraphQl(known.clone())
                    }
                    _ => LiveActivity::GraphQl(Arc::new(GraphQl::new(activity))),
                }
            }
            #[cfg(feature = "script")]
            Activity::Script(text) => LiveActivity::Script(text.clone()),
            // Reading refuses activities whose feature is off.
            #[allow(unreachable_patterns, reason = "with all features nothing is left")]
            Activity::GraphQl(_) | Activity::Script(_) => LiveActivity::Nothing,
            // A connection is passed on by a route of the plan.
            Activity::Pass(_) => LiveActivity::Nothing,
            Activity::Jwt => LiveActivity::Jwt,
            Activity::Log => LiveActivity::Log,
            Activity::Nothing => LiveActivity::Nothing,
            Activity::Counter(activity) => {
                LiveActivity::Count(self.counters.of(&activity.counter), activity.operation)
            }
            Activity::Channel => LiveActivity::Publish,
            Activity::Return(mapping) => LiveActivity::Return(mapping.clone()),
            Activity::Reply(mapping) => LiveActivity::Reply(mapping.clone()),
        }
    }
}

/// Combines a handler with its running actions.
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
