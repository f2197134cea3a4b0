//! The resolved application: every reference is looked up, every expression is parsed.
//!
//! - [`App`], [`Flow`], [`Source`]: the application, its flows, and their triggers
//! - [`Chain`], [`Processor`], [`Does`]: the steps of a flow, in order
//! - [`Handlers`], [`Handler`]: error handlers; [`ErrorType`], [`ErrorMatch`]: their types and patterns
//! - [`Given`]: the value of an attribute or of an element's text
//! - `http`, `objects`: configurations and operations of the two connectors
//! - `walk`: visitors of all processors and expressions

mod apikit;
mod error_type;
mod given;
mod http;
mod objects;
mod policy;
mod schedule;
mod scope;
mod validation;
mod walk;

use std::sync::Arc;
use std::time::Duration;

pub use fusebox_dataweave::Compat;
use fusebox_dataweave::{MediaType, Properties, Script};

pub use apikit::{Api, Resource};
pub use error_type::{ErrorMatch, ErrorType};
pub use given::Given;
pub use http::{
    BasicAuthentication, ClientTls, Computed, Cors, HttpSource, ListenerConfig, Origin, Origins,
    Request, Requester, Respond, SendBody, StaticResource, StatusRange, Validator,
};
pub use objects::{ObjectCall, ObjectOperation, StoreDeclaration, is_same_store};
pub use policy::{MessageKind, Policies, Policy, PolicyStep};
pub use schedule::{Schedule, When};
pub use scope::{
    Async, Cache, CacheKey, Choice, Consume, Foreach, Gather, Idempotent, Invalidate, LogLevel,
    Logger, ParallelForeach, Publish, QueueWait, RaiseError, ScatterGather, SetVariable, Sleep,
    Transform, Try, UntilSuccessful,
};
pub use validation::{Network, Validation, ValidationRule, Validations};

use super::circuit::Circuit;

/// An application, read from one file or from several.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// The application's name, `app.name`: that of its project's folder, or else the first file's without extension.
    pub name: Arc<str>,
    /// The rules by which expressions and components are understood.
    pub compat: Compat,
    /// The properties that `p('key')` and `${key}` read.
    pub properties: Properties,
    /// The object stores: those declared, and those that [`Compat::Intent`] adds. The default store always
    /// exists and is not listed. Names are unique.
    pub stores: Vec<Arc<StoreDeclaration>>,
    /// The addresses on which HTTP listeners accept connections. Names are unique.
    pub listeners: Vec<Arc<ListenerConfig>>,
    /// The servers that HTTP requests go to. Names are unique.
    pub requesters: Vec<Arc<Requester>>,
    /// The APIs that APIkit routes the requests of. Names are unique.
    pub apis: Vec<Arc<Api>>,
    /// The queues between flows. Names are unique.
    pub queues: Vec<Queue>,
    /// Flows and sub-flows, in the order of the files. Names are unique.
    pub flows: Vec<Arc<Flow>>,
    /// The handlers of flows that have none of their own (`defaultErrorHandler-ref`).
    pub default_handlers: Option<Arc<Handlers>>,
    /// The time limit of an HTTP exchange that sets no other (`defaultResponseTimeout`). Default 10 s.
    pub response_timeout: Duration,
    /// The policies around its flows and requests.
    pub policies: Policies,
    /// The circuit breakers that the flows build by hand.
    pub circuits: Vec<Circuit>,
}

impl App {
    /// Returns a flow by its id.
    pub fn flow(&self, id: FlowId) -> &Arc<Flow> {
        &self.flows[id.0]
    }

    /// Finds a flow or sub-flow by its name.
    pub fn find(&self, name: &str) -> Option<FlowId> {
        let at = self.flows.iter().position(|flow| &*flow.name == name)?;
        Some(FlowId(at))
    }
}

/// The identity of a flow: its index in [`App::flows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub usize);

/// A flow or a sub-flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The flow's name; unique.
    pub name: Arc<str>,
    /// The position of its element.
    pub site: Site,
    /// True for a `sub-flow`. A sub-flow has neither source nor handlers; its errors go to the handlers of the
    /// caller.
    pub is_sub: bool,
    /// True if the flow does not run (`initialState="stopped"`): its source starts nothing, and a call of it is an
    /// error.
    pub is_stopped: bool,
    /// The trigger; `None`: the flow runs only when a `flow-ref` calls it.
    pub source: Option<Source>,
    /// The steps of the flow.
    pub chain: Chain,
    /// The error handlers; `None`: those of the application.
    pub handlers: Option<Arc<Handlers>>,
    /// The limit of concurrent events; an HTTP request above it gets 503. `None`: no limit.
    pub max_concurrency: Option<usize>,
    /// The limit of failures of one message of its source; `None`: no limit.
    pub redelivery: Option<Redelivery>,
}

/// The limit of failures of one message (`redelivery-policy`): a message that has failed more often does not reach the
/// flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Redelivery {
    /// The number of further deliveries after the first. Default 5.
    pub max: usize,
    /// The message's id; `None`: a digest of its payload.
    pub id: Option<Script>,
    /// The store of the failures. Default one of its own in memory, which keeps them for 5 minutes.
    pub store: Arc<StoreDeclaration>,
}

/// The trigger of a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// An HTTP request.
    Http(Box<HttpSource>),
    /// A timer of the flow.
    Scheduler(Schedule),
    /// A message in a queue.
    Queue {
        /// The name of one of the application's queues.
        queue: Arc<str>,
        /// The limit of messages in work at the same time. Default 4.
        consumers: usize,
        /// The reply to a `vm:publish-consume` (`vm:response`); `None`: the payload.
        response: Option<Given>,
    },
}

/// A queue of messages between flows (`vm:queue`). A message is a payload with its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The queue's name; unique.
    pub name: Arc<str>,
    /// True if messages survive a restart (`queueType="PERSISTENT"`).
    pub persistent: bool,
    /// The limit of waiting messages (`maxOutstandingMessages`); `None`: no limit.
    pub max: Option<usize>,
}

/// The position of an element, for logs and reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The file's name as the user wrote it.
    pub file: Arc<str>,
    /// The line number, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub col: u32,
}

/// A sequence of processors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chain(pub Vec<Processor>);

/// One step of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    /// The position of its element.
    pub site: Site,
    /// The kind of step, with its settings.
    pub does: Does,
    /// The new types of its errors (`error-mapping`); the first mapping that matches applies.
    pub mappings: Vec<ErrorMapping>,
}

/// A mapping of an operation's errors to another type.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorMapping {
    /// The pattern of the original error.
    pub source: ErrorMatch,
    /// The new type; description and message stay the same.
    pub target: ErrorType,
}

/// The kind of a processor, with its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Does {
    /// The `flow-ref` processor.
    FlowRef {
        /// The flow to call.
        flow: FlowName,
        /// The variable for the result; the message stays as it is then. `None`: the result replaces the event.
        target: Option<Target>,
    },
    /// The `apikit:router` processor: runs the flow that is named for the request. One of [`App::apis`].
    Route(Arc<Api>),
    /// The `set-variable` processor.
    SetVariable(SetVariable),
    /// The `remove-variable` processor, with the variable's name.
    RemoveVariable(Given),
    /// The `set-payload` processor.
    SetPayload {
        /// The new payload.
        value: Given,
        /// The media type to declare; `None`: that of the value.
        media_type: Option<MediaType>,
    },
    /// The `ee:transform` processor.
    Transform(Transform),
    /// The `logger` processor.
    Logger(Logger),
    /// The `choice` router.
    Choice(Choice),
    /// The `try` scope.
    Try(Try),
    /// The `raise-error` processor.
    RaiseError(RaiseError),
    /// The `until-successful` scope.
    UntilSuccessful(UntilSuccessful),
    /// The `foreach` scope.
    Foreach(Foreach),
    /// The `parallel-foreach` scope.
    ParallelForeach(ParallelForeach),
    /// The `scatter-gather` router.
    ScatterGather(ScatterGather),
    /// The `async` scope.
    Async(Async),
    /// The `first-successful` router, with at least one route.
    FirstSuccessful(Vec<Chain>),
    /// The `round-robin` router, with at least one route. The engine counts its turns by the position of the element.
    RoundRobin(Vec<Chain>),
    /// The `http:request` operation.
    Request(Box<Request>),
    /// The `http:load-static-resource` operation.
    StaticResource(StaticResource),
    /// An operation of the Object Store connector (`os:*`).
    Object(Box<ObjectCall>),
    /// The `ee:cache` scope.
    Cache(Cache),
    /// The `ee:invalidate-cache` and `ee:invalidate-key` operations.
    Invalidate(Invalidate),
    /// The `idempotent-message-validator` processor.
    Idempotent(Idempotent),
    /// The `vm:publish` operation.
    Publish(Publish),
    /// The `vm:publish-consume` operation: publishes and waits for the reply.
    PublishConsume {
        /// The message, and the queue that it goes to.
        publish: Publish,
        /// The variable for the reply; `None`: it becomes the message.
        target: Option<Target>,
    },
    /// The `vm:consume` operation: takes a message.
    Consume(Consume),
    /// An operation of the validation module (`validation:*`).
    Validation(Validation),
    /// The `validation:all` and `validation:any` scopes.
    Validations(Validations),
    /// A step of a policy (`http-policy:execute-next`, `http-transform:*`).
    Policy(Box<PolicyStep>),
    /// The `scripting:execute` operation, of which only scripts that sleep are supported.
    Sleep(Sleep),
}

/// The target of a `flow-ref`.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowName {
    /// A flow of the application.
    Known(FlowId),
    /// The flow whose name an expression computes.
    Computed(Given),
    /// No flow: the name is not defined, and the user has allowed that (`--bind NAME=none`). The call does nothing.
    Nothing,
}

/// A variable that receives a result while the message stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The variable's name.
    pub variable: Arc<str>,
    /// The expression over the result (`targetValue`); `None`: the result's payload.
    pub value: Option<Script>,
}

/// Error handlers: the first that accepts an error runs, and no other.
///
/// If no handler accepts the error, it propagates to the next scope.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Handlers(pub Vec<Handler>);

/// An error handler.
#[derive(Debug, Clone, PartialEq)]
pub struct Handler {
    /// The position of its element.
    pub site: Site,
    /// True if the error ends here (`on-error-continue`), false if it is raised again after the handler
    /// (`on-error-propagate`).
    pub continues: bool,
    /// The accepted types; empty: all but critical errors.
    pub types: Vec<ErrorMatch>,
    /// An additional condition (`when`).
    pub when: Option<Script>,
    /// True if the error is logged before the handler runs (`logException`). Default true.
    pub logs: bool,
    /// The steps of the handler.
    pub chain: Chain,
}
