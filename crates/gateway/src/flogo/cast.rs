//! Makes a plan's Flogo handlers live, keeping what an earlier plan has that still fits: breakers with
//! their state, windows of limiters, connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fusebox_breaker::{Breaker, Listener, machine::WindowFate};
use fusebox_plan::flogo::{Action, Activity, Handler, Map, RestActivity, Service, Value};
use fusebox_plan::plan::{Plan, Step};

use super::action::{Count, Does, LiveAction, LiveService};
use super::breaker::BreakerService;
use super::channels::LiveChannel;
use super::handler::LiveHandler;
use super::limiter::{Limit, Limiter};
use super::rest::{self, Client, Rest};
use super::scope::Names;
use crate::ground::clock::Clock;
use crate::ground::meter::RequestMeters;
use crate::upstream::breakers::{Beside, Guarded};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::trust::Trust;
use crate::upstream::upstream_errors::UpstreamErrors;

/// What of a plan is Flogo's, as it runs.
#[derive(Debug, Default)]
pub struct Flogo {
    /// The actions; their names are unique.
    pub actions: Vec<Arc<LiveAction>>,
    /// What their services call others through.
    pub clients: Vec<Arc<Client>>,
    channels: Vec<LiveChannel>,
}

impl Flogo {
    /// The breakers among the services, each with its action's name.
    pub fn breakers(&self) -> impl Iterator<Item = (&Arc<str>, &Guarded)> {
        self.actions.iter().flat_map(|action| {
            let breakers = action.breakers();
            breakers.map(|BreakerService(guarded)| (&action.plan.name, guarded))
        })
    }

    /// The channel of a name.
    pub fn channel(&self, name: &str) -> Option<&LiveChannel> {
        self.channels.iter().find(|channel| &*channel.name == name)
    }

    /// The services that call others, by their names.
    pub fn callers(&self) -> impl Iterator<Item = (String, &Rest)> {
        self.actions.iter().flat_map(|action| {
            action.services.iter().filter_map(|service| {
                let Does::Rest(rest) = &service.does else {
                    return None;
                };
                let name = format!("{}/{}", action.plan.name, service.name);
                Some((name, rest))
            })
        })
    }
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

/// What is needed to make actions live.
pub struct Caster<'a> {
    /// How many workers there are.
    pub workers: usize,
    /// The gateway's clock.
    pub clock: &'a Clock,
    /// Who hears of the breakers' transitions.
    pub listener: &'a Arc<dyn Listener>,
    /// The process's counters.
    pub counters: &'a Counters,
    /// What each worker counts of a caller.
    pub meter: &'a dyn Fn(&Arc<str>) -> RequestMeters,
    /// The errors of a caller.
    pub errors: &'a dyn Fn(&Arc<str>) -> Arc<UpstreamErrors>,
    /// What ran before.
    pub previous: Option<&'a Flogo>,
}

/// The clients that a plan's services call through; of a previous plan those that still fit.
///
/// # Errors
/// Which service wants what cannot be had.
pub fn clients(
    plan: &Plan,
    workers: usize,
    previous: Option<&Flogo>,
    system: &Trust,
) -> Result<Vec<Arc<Client>>, String> {
    let mut clients: Vec<Arc<Client>> = Vec::new();
    for action in actions(plan) {
        for service in &action.services {
            let Activity::Rest(wanted) = &service.activity else {
                continue;
            };
            if find(&clients, wanted, plan).is_some() {
                continue;
            }
            let kept = previous.and_then(|previous| find(&previous.clients, wanted, plan));
            let client = match kept {
                Some(kept) => kept.clone(),
                None => {
                    let made = Client::new(wanted, &plan.limits, workers, system);
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

fn find<'a>(
    clients: &'a [Arc<Client>],
    wanted: &RestActivity,
    plan: &Plan,
) -> Option<&'a Arc<Client>> {
    clients
        .iter()
        .find(|client| client.serves(wanted, &plan.limits))
}

/// The actions of a plan, each once.
fn actions(plan: &Plan) -> Vec<&Arc<Action>> {
    let mut actions: Vec<&Arc<Action>> = Vec::new();
    for handler in handlers(plan) {
        for choice in &handler.choices {
            if !actions.iter().any(|known| known.name == choice.action.name) {
                actions.push(&choice.action);
            }
        }
    }
    actions
}

fn handlers(plan: &Plan) -> impl Iterator<Item = &Arc<Handler>> {
    let routes = plan.routes.iter().flat_map(|route| &route.steps);
    let steps = routes.filter_map(|step| match step {
        Step::Run(handler) => Some(handler),
        Step::Respond(_) | Step::Forward(_) | Step::Flow(_) => None,
    });
    steps.chain(plan.subscriptions.iter().map(|it| &it.handler))
}

impl Caster<'_> {
    /// Makes a plan's actions and channels live. Says in sentences what could not be kept.
    pub fn cast(&self, plan: &Plan, clients: Vec<Arc<Client>>, lost: &mut Vec<String>) -> Flogo {
        let mut flogo = Flogo {
            clients,
            ..Flogo::default()
        };
        flogo.actions = actions(plan)
            .into_iter()
            .map(|action| Arc::new(self.action(action, plan, &flogo.clients, lost)))
            .collect();
        flogo.channels = plan
            .channels
            .iter()
            .map(|channel| {
                let taken = plan
                    .subscriptions
                    .iter()
                    .filter(|it| it.channel == channel.name);
                let handlers = taken.map(|it| Arc::new(flogo.handler(&it.handler)));
                LiveChannel::new(channel.name.clone(), channel.capacity, handlers.collect())
            })
            .collect();
        for (_, old) in self.previous.iter().flat_map(|flogo| flogo.breakers()) {
            let name = old.breaker.name();
            if !flogo.breakers().any(|(_, new)| new.breaker.name() == name) {
                lost.push(format!(
                    "breaker {name}: its service is gone, and its state with it"
                ));
            }
        }
        flogo
    }

    fn action(
        &self,
        action: &Arc<Action>,
        plan: &Plan,
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
            let does = self.service(action, service, &settings, plan, clients, lost);
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
        plan: &Plan,
        clients: &[Arc<Client>],
        lost: &mut Vec<String>,
    ) -> Does {
        match &service.activity {
            Activity::Breaker(wanted) => {
                let kept = self.previous.iter().flat_map(|flogo| flogo.breakers());
                let kept = kept
                    .map(|(_, guarded)| guarded)
                    .find(|guarded| *guarded.breaker.name() == wanted.name);
                let checked = "a plan's settings have been checked";
                let guarded = match kept {
                    Some(guarded) => {
                        if *guarded.breaker.settings() != wanted.settings {
                            let now = self.clock.exact();
                            let settings = wanted.settings.clone();
                            let done = guarded.breaker.reconfigure(settings, now).expect(checked);
                            let cleared = |fate: &WindowFate| *fate == WindowFate::Cleared;
                            if !done.state_kept || done.windows.iter().any(|(_, it)| cleared(it)) {
                                lost.push(format!("breaker {}: {done}", wanted.name));
                            }
                        }
                        guarded.clone()
                    }
                    None => Guarded {
                        breaker: Breaker::builder(wanted.name.clone(), wanted.settings.clone())
                            .listener(self.listener.clone())
                            .build()
                            .expect(checked),
                        beside: Arc::new(Beside::new(self.workers)),
                    },
                };
                Does::Breaker(BreakerService(guarded))
            }
            Activity::Rest(wanted) => {
                let client = find(clients, wanted, plan);
                let client = client.expect("every caller of the plan has a client");
                let name: Arc<str> = format!("{}/{}", action.name, service.name).into();
                let (meter, errors) = ((self.meter)(&name), (self.errors)(&name));
                let upstream = Arc::new(rest::upstream(name, wanted));
                let pools = client.pools().clone();
                let target = LiveUpstream::new(upstream, None, pools, meter, errors);
                Does::Rest(Rest::new(wanted.clone(), settings, Arc::new(target)))
            }
            Activity::RateLimiter(wanted) => {
                let limit = Limit {
                    calls: wanted.limit,
                    window: wanted.window,
                    spike_threshold: wanted.spike_threshold,
                    decay_rate: wanted.decay_rate,
                };
                let kept = self
                    .previous
                    .and_then(|flogo| flogo.limiter(action, service));
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

impl Flogo {
    /// A plan's handler with its actions.
    pub fn handler(&self, plan: &Arc<Handler>) -> LiveHandler {
        let actions = plan.choices.iter().map(|choice| {
            let action = self.action(&choice.action.name);
            action.expect("every action of the plan is live").clone()
        });
        LiveHandler {
            actions: actions.collect(),
            plan: plan.clone(),
        }
    }

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
