//! Runs an application's flows.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::apikit::{self, ApiRouters};
use super::error::Ended;
use super::operation::Operation;
use super::outside::{Line, Pending, World};
use super::policy::Next;
use super::secrets;
use super::stores::Stores;
use crate::app::{App, Compat, Flow, FlowId, Handlers, LogLevel, Site};
use crate::{Context, Event, Waits};

/// A running application. Besides its stores it holds the turns of each `round-robin` and the permits of each
/// `async`, shared by all workers of the process.
#[derive(Debug)]
pub struct Engine {
    pub(super) app: Arc<App>,
    pub(super) stores: Stores,
    pub(super) apis: ApiRouters,
    // Std locks, each held for one look-up.
    turns: Mutex<HashMap<Site, usize>>,
    gates: Mutex<HashMap<Site, Arc<Semaphore>>>,
    /// Held while one failure of a message is counted.
    pub(super) redeliveries: tokio::sync::Mutex<()>,
}

impl Engine {
    /// Makes an engine of an application and its stores.
    pub fn new(app: Arc<App>, stores: Stores) -> Arc<Engine> {
        Arc::new(Engine {
            apis: apikit::routers(&app),
            app,
            stores,
            turns: Mutex::default(),
            gates: Mutex::default(),
            redeliveries: tokio::sync::Mutex::default(),
        })
    }

    /// The engine's application.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The application's stores.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Runs a flow with its handlers on an event. An error that no handler accepts is logged.
    ///
    /// The run may be dropped at any await point: earlier writes stay, and nothing remains locked.
    pub fn run(
        self: &Arc<Self>,
        world: &Arc<dyn World>,
        flow: FlowId,
        event: Event,
    ) -> Pending<'static, Ended> {
        let run = Run::new(self, world);
        Box::pin(async move {
            let of = run.engine.app.flow(flow);
            let ended = match &of.redelivery {
                Some(policy) => Box::pin(run.redelivered(of, policy, event)).await,
                None => run.enter(flow, event).await,
            };
            let start = run.start(of);
            if let Err(failure) = &ended
                && !failure.logged
            {
                run.log_error(start, failure);
            }
            ended
        })
    }

    /// Takes the next turn of the router at a position, as an index below `of`.
    pub(super) fn turn(&self, site: &Site, of: usize) -> usize {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let next = turns.entry(site.clone()).or_default();
        let turn = *next % of.max(1);
        *next = turn + 1;
        turn
    }

    /// The semaphore of the scope at a position, with `width` permits.
    pub(super) fn gate(&self, site: &Site, width: usize) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let width = width.clamp(1, Semaphore::MAX_PERMITS);
        let gate = gates.entry(site.clone());
        gate.or_insert_with(|| Arc::new(Semaphore::new(width)))
            .clone()
    }
}

/// One run, or a part of one that continues on its own.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub engine: Arc<Engine>,
    pub world: Arc<dyn World>,
    /// The policies around the flow that are left; `None`: this is not a policy's run.
    pub next: Option<Arc<Next>>,
    /// The policies around the request that are left; `None`: this is not the run of such a policy.
    pub operation: Option<Arc<Operation>>,
    /// The time that expressions asked to wait, due after the processor that they belong to.
    pub waits: Waits,
    /// The number of calls of flows from deep within others, for the event and everything that runs beside it.
    pub deep_calls: Arc<AtomicUsize>,
}

/// The position of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    /// The flow's name.
    pub flow: &'a Arc<str>,
    /// The position of the processor, or else of the flow.
    pub site: &'a Site,
    /// The nesting of chains, from 0.
    pub depth: u16,
    /// The number of flows within one another by references, this one included.
    pub flows: u16,
}

impl Run {
    pub fn new(engine: &Arc<Engine>, world: &Arc<dyn World>) -> Run {
        Run {
            engine: engine.clone(),
            world: world.clone(),
            waits: Waits::default(),
            next: None,
            operation: None,
            deep_calls: Arc::default(),
        }
    }

    /// The handlers of a flow, or else those of the application.
    pub fn handlers_of<'a>(&'a self, flow: &'a Flow) -> Option<&'a Handlers> {
        let handlers = flow.handlers.as_ref();
        let handlers = handlers.or(self.engine.app.default_handlers.as_ref());
        handlers.map(AsRef::as_ref)
    }

    /// The position of a flow that an event enters.
    pub fn start<'a>(&self, flow: &'a Flow) -> At<'a> {
        At {
            flow: &flow.name,
            site: &flow.site,
            depth: 0,
            flows: 0,
        }
    }

    /// Runs a flow with its handlers, or else with the application's; a sub-flow without handlers. `from` is the
    /// position of the reference.
    pub fn flow<'a>(&'a self, from: At<'_>, flow: &'a Flow, event: Event) -> Pending<'a, Ended> {
        let at = At {
            depth: from.depth,
            flows: from.flows + 1,
            ..self.start(flow)
        };
        if flow.is_sub {
            return self.chain(at, &flow.chain, event);
        }
        Box::pin(self.with_handlers(at, &flow.chain, self.handlers_of(flow), event))
    }

    pub fn is_intent(&self) -> bool {
        self.engine.app.compat == Compat::Intent
    }

    /// The context of an expression at a position.
    pub fn context<'a>(&'a self, at: At<'a>, event: &'a Event) -> Context<'a> {
        Context {
            event,
            properties: &self.engine.app.properties,
            flow: at.flow,
            app: &self.engine.app.name,
            now: self.world.now(),
            zone: self.world.zone(),
            random: self.world.random(),
            waits: Some(&self.waits),
        }
    }

    pub fn log(&self, at: At<'_>, level: LogLevel, event: &Event, message: &str) {
        self.world.log(&Line {
            level,
            message: &secrets::hidden(&self.engine.app, message),
            site: at.site,
            flow: at.flow,
            category: None,
            correlation_id: &event.correlation_id,
        });
    }
}
