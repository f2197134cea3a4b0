//! An application as it runs: every name found, every expression parsed.
//!
//! - [`App`], [`Flow`], [`Source`]: what there is, and what starts it
//! - [`Chain`], [`Processor`], [`Does`]: what a flow does, in order
//! - [`Handlers`], [`Handler`]: what becomes of errors; [`ErrorType`], [`ErrorMatch`]: their types
//! - [`Given`]: what an attribute or an element's text gives
//! - `http`, `objects`: the configurations and operations of the two connectors
//! - `walk`: ways through all of it

mod error_type;
mod given;
mod http;
mod objects;
mod scope;
mod walk;

use std::sync::Arc;
use std::time::Duration;

pub use fusebox_dataweave::Compat;
use fusebox_dataweave::{MediaType, Properties, Script};

pub use error_type::{ErrorMatch, ErrorType};
pub use given::Given;
pub use http::{
    HttpSource, ListenerConfig, Request, Requester, Respond, SendBody, StatusRange, Validator,
};
pub use objects::{ObjectCall, ObjectOperation, StoreDeclaration};
pub use scope::{
    Async, Cache, Choice, FirstSuccessful, Foreach, LogLevel, Logger, ParallelForeach, Publish,
    RaiseError, ScatterGather, SetVariable, Sleep, Transform, Try, UntilSuccessful, Validation,
    ValidationRule,
};

use super::circuit::Circuit;

/// An application, of one file or of several.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// Its name, `app.name`: the first file's, without its ending.
    pub name: Arc<str>,
    /// How it is understood.
    pub compat: Compat,
    /// What `p('key')` reads.
    pub properties: Properties,
    /// Its object stores, those declared and those that [`Compat::Intent`] supplies; the
    /// application's default one, which always exists, is not among them. Names are unique.
    pub stores: Vec<Arc<StoreDeclaration>>,
    /// Where its HTTP listeners listen. Names are unique.
    pub listeners: Vec<Arc<ListenerConfig>>,
    /// Whom its HTTP requests go to. Names are unique.
    pub requesters: Vec<Arc<Requester>>,
    /// Its queues. Names are unique.
    pub queues: Vec<Queue>,
    /// Its flows and sub-flows, by the order of the files. Names are unique.
    pub flows: Vec<Arc<Flow>>,
    /// What flows without a handler of their own do with errors (`defaultErrorHandler-ref`).
    pub default_handlers: Option<Arc<Handlers>>,
    /// How long a request may take that nothing else says (`defaultResponseTimeout`). Default 10 s.
    pub response_timeout: Duration,
    /// The breakers that its flows build by hand.
    pub circuits: Vec<Circuit>,
}

impl App {
    /// The flow of an id.
    pub fn flow(&self, id: FlowId) -> &Arc<Flow> {
        &self.flows[id.0]
    }

    /// The flow or sub-flow of a name.
    pub fn find(&self, name: &str) -> Option<FlowId> {
        let at = self.flows.iter().position(|flow| &*flow.name == name)?;
        Some(FlowId(at))
    }
}

/// Which flow: its place in [`App::flows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub usize);

/// A flow or a sub-flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Its name; unique.
    pub name: Arc<str>,
    /// Where it stands.
    pub site: Site,
    /// Whether it is a `sub-flow`: it then has neither source nor handlers, and errors go straight to
    /// the handlers of whoever refers to it.
    pub is_sub: bool,
    /// What starts it; `None`: only a `flow-ref` does.
    pub source: Option<Source>,
    /// What it does.
    pub chain: Chain,
    /// What it does with errors.
    pub handlers: Option<Arc<Handlers>>,
    /// How many events it takes at once; an HTTP request above it is answered 503. `None`: no bound.
    pub max_concurrency: Option<usize>,
}

/// What starts a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A request.
    Http(Box<HttpSource>),
    /// Time. The first run is after `delay`, the next `every` after that; runs do not overlap.
    Scheduler {
        /// From one start to the next.
        every: Duration,
        /// From the application's start to the first run.
        delay: Duration,
    },
    /// A message in a queue.
    Queue {
        /// One of the application's queues.
        queue: Arc<str>,
        /// How many messages are worked on at once. Default 4.
        consumers: usize,
    },
}

/// A queue of messages between flows (`vm:queue`). It carries payloads with their media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name; unique.
    pub name: Arc<str>,
    /// Whether its messages outlive a restart (`queueType="PERSISTENT"`).
    pub persistent: bool,
    /// How many messages wait in it at most (`maxOutstandingMessages`); `None`: no bound.
    pub max: Option<usize>,
}

/// Where something stands, for logs and reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub col: u32,
}

/// Processors, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chain(pub Vec<Processor>);

/// One thing that is done with an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    /// Where it stands.
    pub site: Site,
    /// What it does.
    pub does: Does,
    /// What its errors are called instead (`error-mapping`); the first that matches holds.
    pub mappings: Vec<ErrorMapping>,
}

/// Another name for an operation's error.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorMapping {
    /// The errors it is for.
    pub source: ErrorMatch,
    /// What they become; description and message stay.
    pub target: ErrorType,
}

/// What a processor does.
#[derive(Debug, Clone, PartialEq)]
pub enum Does {
    /// `flow-ref`.
    FlowRef {
        /// Which flow.
        flow: FlowName,
        /// Where its result goes; the event is untouched then.
        target: Option<Target>,
    },
    /// `set-variable`.
    SetVariable(SetVariable),
    /// `remove-variable`: its name.
    RemoveVariable(Given),
    /// `set-payload`.
    SetPayload {
        /// The new payload.
        value: Given,
        /// What it is called, whatever it is; `None`: what the value brings.
        media_type: Option<MediaType>,
    },
    /// `ee:transform`.
    Transform(Transform),
    /// `logger`.
    Logger(Logger),
    /// `choice`.
    Choice(Choice),
    /// `try`.
    Try(Try),
    /// `raise-error`.
    RaiseError(RaiseError),
    /// `until-successful`.
    UntilSuccessful(UntilSuccessful),
    /// `foreach`.
    Foreach(Foreach),
    /// `parallel-foreach`.
    ParallelForeach(ParallelForeach),
    /// `scatter-gather`.
    ScatterGather(ScatterGather),
    /// `async`.
    Async(Async),
    /// `first-successful`.
    FirstSuccessful(FirstSuccessful),
    /// `round-robin`: its routes, and which counter tells whose turn it is.
    RoundRobin(FirstSuccessful),
    /// `http:request`.
    Request(Box<Request>),
    /// `os:*`.
    Object(Box<ObjectCall>),
    /// `ee:cache`.
    Cache(Cache),
    /// `vm:publish`.
    Publish(Publish),
    /// `validation:*`.
    Validation(Validation),
    /// `scripting:execute`, of which only sleeps are known.
    Sleep(Sleep),
}

/// Which flow a `flow-ref` means.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowName {
    /// This one.
    Known(FlowId),
    /// That whose name an expression gives.
    Computed(Given),
    /// None: it is not in the file, and whoever runs it has allowed that (`--bind NAME=none`). It does nothing.
    Nothing,
}

/// A variable that takes a result, so that the message stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name.
    pub variable: Arc<str>,
    /// What of the result it takes, evaluated on the result itself (`targetValue`); `None`: the payload.
    pub value: Option<Script>,
}

/// What becomes of errors: the first handler that accepts one runs, and at most one.
///
/// Where none accepts, the error goes on to the next scope.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Handlers(pub Vec<Handler>);

/// What is done with some errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Handler {
    /// Where it stands.
    pub site: Site,
    /// Whether the error is over with it (`on-error-continue`), or raised again after it
    /// (`on-error-propagate`).
    pub continues: bool,
    /// The types it accepts; empty: all but critical ones.
    pub types: Vec<ErrorMatch>,
    /// What must hold besides.
    pub when: Option<Script>,
    /// Whether the error is logged before it runs (`logException`). Default true.
    pub logs: bool,
    /// What it does.
    pub chain: Chain,
}
