//! Makes a plan's Mule application live, keeping what an earlier plan has that still fits: connections
//! and cookies, messages in queues, what is at work in flows.

use std::sync::Arc;

use fusebox_plan::mule::Random;
use fusebox_plan::mule::app::{App, FlowId};
use fusebox_plan::mule::jiff::{Timestamp, tz::TimeZone};
use fusebox_plan::plan::Limits;
use fusebox_store::{Limits as StoreLimits, MemoryStore, ObjectStore, SystemClock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::Clients;
use super::engine::Engine;
use super::queues::Queues;
use super::stores::Stores;
use crate::ground::meter::RequestMeters;
use crate::ground::stores::StoreHandle;
use crate::upstream::trust::Trust;
use crate::upstream::upstream_errors::UpstreamErrors;

/// An application as it runs in a gateway.
#[derive(Debug)]
pub struct LiveApp {
    /// Runs its flows.
    pub engine: Arc<Engine>,
    /// Sends their requests.
    pub clients: Clients,
    /// Carries what they leave for one another.
    pub queues: Queues,
    /// The server's time zone.
    pub zone: TimeZone,
    /// Where random numbers come from.
    pub random: Random,
    gates: Vec<Arc<Gate>>,
}

/// How many events a flow works on, and may at most.
#[derive(Debug)]
pub struct Gate {
    flow: Arc<str>,
    max: Option<usize>,
    /// `None`: as many as come.
    places: Option<Arc<Semaphore>>,
    /// The one run that a schedule may have.
    turn: Arc<Semaphore>,
}

/// An event's place in a flow, until it is dropped.
#[derive(Debug)]
pub struct Place(#[allow(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

/// Where the gateway keeps entries: those of persistent stores with everything else that it keeps, the
/// others in memory.
#[derive(Debug, Clone)]
pub struct Shelves {
    /// Outlives the process.
    pub durable: StoreHandle,
    /// Is gone with it.
    pub volatile: StoreHandle,
}

impl Shelves {
    /// The gateway's store of objects, and one in memory beside it.
    pub fn new(durable: Arc<dyn ObjectStore>) -> Shelves {
        let volatile = MemoryStore::new(StoreLimits::default(), Arc::new(SystemClock));
        Shelves {
            durable: StoreHandle(durable),
            volatile: StoreHandle(Arc::new(volatile)),
        }
    }
}

/// What is needed to make an application live.
pub struct AppCaster<'a> {
    /// How many workers there are.
    pub workers: usize,
    /// What time it is.
    pub now: Timestamp,
    /// Bounds on what an upstream may cost.
    pub limits: &'a Limits,
    /// What `https` upstreams are checked against.
    pub trust: &'a Trust,
    /// Where entries are kept.
    pub shelves: &'a Shelves,
    /// What each worker counts of a configuration's requests.
    pub meter: &'a dyn Fn(&Arc<str>) -> RequestMeters,
    /// The errors of a configuration's requests.
    pub errors: &'a dyn Fn(&Arc<str>) -> Arc<UpstreamErrors>,
    /// What ran before.
    pub previous: Option<&'a LiveApp>,
}

impl AppCaster<'_> {
    /// Makes an application live. Its stores' sweeps are counted from now, or go on as they were. Says
    /// in sentences what could not be kept.
    ///
    /// # Errors
    /// What it asks for that cannot be had.
    pub fn cast(self, app: &Arc<App>, lost: &mut Vec<String>) -> Result<LiveApp, String> {
        let previous = self.previous;
        let clients = Clients::new(
            app,
            self.limits,
            self.workers,
            self.trust,
            |name| ((self.meter)(name), (self.errors)(name)),
            previous.map(|previous| &previous.clients),
        )?;
        let (durable, volatile) = (&self.shelves.durable, &self.shelves.volatile);
        let before = previous.map(|previous| previous.engine.stores());
        let (durable_store, volatile_store) = (durable.0.clone(), volatile.0.clone());
        let stores = Stores::open(app, durable_store, volatile_store, self.now, before);
        let stores = stores.map_err(|error| error.to_string())?;
        let queues = previous.map(|previous| &previous.queues);
        let gates = app.flows.iter().map(|flow| {
            let max = flow.max_concurrency;
            let kept = previous.and_then(|previous| previous.gate_of(&flow.name));
            let kept = kept.filter(|gate| gate.max == max).cloned();
            kept.unwrap_or_else(|| Arc::new(Gate::new(flow.name.clone(), max)))
        });
        Ok(LiveApp {
            gates: gates.collect(),
            queues: Queues::new(app, durable, queues, lost),
            engine: Engine::new(app.clone(), stores),
            clients,
            zone: TimeZone::system(),
            random: Random::default(),
        })
    }
}

impl LiveApp {
    /// What a flow works on.
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
        }
    }

    /// A place for an event; `None`: the flow has as many as it takes.
    pub fn enter(&self) -> Option<Place> {
        match &self.places {
            None => Some(Place(None)),
            Some(places) => {
                let place = places.clone().try_acquire_owned().ok()?;
                Some(Place(Some(place)))
            }
        }
    }

    /// The turn of a schedule; `None`: the run before has not ended.
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
