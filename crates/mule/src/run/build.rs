//! Makes a Mule application live and takes over what still fits of the previous one: connections and cookies,
//! messages in queues, events in work.

use std::collections::HashMap;
use std::sync::Arc;

use fusebox_gateway::app::Host;
use fusebox_gateway::parts::Clock;
use fusebox_plan::plan::Plan;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::Clients;
use super::engine::Engine;
use super::gateway_world::wall_time;
use super::queues::Queues;
use super::router::FlowRouter;
use super::stores::Stores;
use crate::Random;
use crate::app::{App, Cors, FlowId};
use crate::jiff::tz::TimeZone;

/// An application that runs in a gateway.
#[derive(Debug)]
pub struct LiveApp {
    /// The engine of its flows.
    pub engine: Arc<Engine>,
    /// The HTTP clients of its requests.
    pub clients: Clients,
    /// The queues between its flows.
    pub queues: Queues,
    /// The server's time zone.
    pub zone: TimeZone,
    /// The source of random numbers.
    pub random: Random,
    /// The gateway's clock.
    pub clock: Arc<Clock>,
    routers: HashMap<Arc<str>, FlowRouter>,
    gates: Vec<Arc<Gate>>,
}

/// The limit of concurrent events of a flow, and of concurrent runs of its schedule.
#[derive(Debug)]
pub struct Gate {
    flow: Arc<str>,
    max: Option<usize>,
    /// One permit for each event; `None`: no limit.
    places: Option<Arc<Semaphore>>,
    /// One permit, for the single run that a schedule may have.
    turn: Arc<Semaphore>,
    /// The permits of a schedule whose runs may overlap.
    runs: Arc<Semaphore>,
}

/// The limit of runs of a schedule at the same time, where they may overlap and the flow has no limit.
const RUNS_MAX: usize = 256;

/// An event's place in a flow; dropping it frees the place.
#[derive(Debug)]
pub struct Place(#[allow(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

/// Makes an application live. The sweeps of its stores start now, or continue if the store is unchanged. Adds a
/// sentence to `lost` for everything of the previous application that could not be taken over.
///
/// # Errors
/// Names a resource that is not available.
pub fn build(
    app: &Arc<App>,
    host: &Host<'_>,
    previous: Option<&LiveApp>,
    lost: &mut Vec<String>,
) -> Result<LiveApp, String> {
    let routers = routers(host.plan)?;
    let (durable, volatile) = (host.durable.0.clone(), host.volatile.0.clone());
    let before = previous.map(|previous| previous.engine.stores());
    let stores = Stores::open(app, durable, volatile, wall_time(host.clock), before);
    let stores = stores.map_err(|error| error.to_string())?;
    let clients = Clients::new(app, host, previous.map(|previous| &previous.clients))?;
    let queues = previous.map(|previous| &previous.queues);
    let gates = app.flows.iter().map(|flow| {
        let max = flow.max_concurrency;
        let reused = previous.and_then(|previous| previous.gate_of(&flow.name));
        let reused = reused.filter(|gate| gate.max == max).cloned();
        reused.unwrap_or_else(|| Arc::new(Gate::new(flow.name.clone(), max)))
    });
    Ok(LiveApp {
        gates: gates.collect(),
        queues: Queues::new(app, host.durable, queues, lost),
        engine: Engine::new(app.clone(), stores),
        clock: host.clock.clone(),
        routers,
        clients,
        zone: TimeZone::system(),
        random: Random::default(),
    })
}

/// The routers of an application's listeners, by listener name.
fn routers(plan: &Plan) -> Result<HashMap<Arc<str>, FlowRouter>, String> {
    let mut routers = HashMap::new();
    for listener in &plan.listeners {
        let served = plan.routes.iter().enumerate();
        let served = served.filter(|(_, route)| listener.serves(route));
        let flows = served.map(|(at, route)| {
            let methods = route.methods.as_deref();
            (route.path.as_str(), methods, at)
        });
        routers.insert(listener.name.clone(), FlowRouter::new(flows)?);
    }
    Ok(routers)
}

impl LiveApp {
    /// The router of a listener, by the listener's name.
    pub fn router(&self, listener: &str) -> Option<&FlowRouter> {
        self.routers.get(listener)
    }

    /// The rules of a listener for other origins, by the listener's name.
    pub fn cors(&self, listener: &str) -> Option<&Cors> {
        let mut listeners = self.engine.app().listeners.iter();
        listeners.find(|it| &*it.name == listener)?.cors.as_ref()
    }

    /// The gate of a flow.
    pub fn gate(&self, flow: FlowId) -> &Arc<Gate> {
        &self.gates[flow.0]
    }

    fn gate_of(&self, flow: &str) -> Option<&Arc<Gate>> {
        self.gates.iter().find(|gate| &*gate.flow == flow)
    }
}

impl Gate {
    fn new(flow: Arc<str>, max: Option<usize>) -> Gate {
        let places = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Gate {
            flow,
            max,
            places: max.map(places),
            turn: places(1),
            runs: places(max.unwrap_or(RUNS_MAX)),
        }
    }

    /// Takes a place for an event; `None`: the flow is full.
    pub fn enter(&self) -> Option<Place> {
        match &self.places {
            None => Some(Place(None)),
            Some(places) => {
                let place = places.clone().try_acquire_owned().ok()?;
                Some(Place(Some(place)))
            }
        }
    }

    /// Takes a place for one of a schedule's runs that may overlap; `None`: there are too many.
    pub fn overlapping(&self) -> Option<Place> {
        let run = self.runs.clone().try_acquire_owned().ok()?;
        Some(Place(Some(run)))
    }

    /// Takes the turn of a schedule; `None`: the previous run has not ended.
    pub fn turn(&self) -> Option<Place> {
        let turn = self.turn.clone().try_acquire_owned().ok()?;
        Some(Place(Some(turn)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_so_many_in_and_more_when_they_have_left() {
        let gate = Gate::new("f".into(), Some(2));
        let first = gate.enter();
        let second = gate.enter();
        assert!(first.is_some() && second.is_some() && gate.enter().is_none());
        drop(first);
        assert!(gate.enter().is_some());
        assert!(Gate::new("g".into(), None).enter().is_some());
        let turn = gate.turn();
        assert!(turn.is_some() && gate.turn().is_none());
    }
}
