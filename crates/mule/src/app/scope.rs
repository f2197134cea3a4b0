//! The settings of processors: scopes, routers, and operations with several attributes.

use std::sync::Arc;
use std::time::Duration;

use fusebox_dataweave::{MediaType, Script};

use super::{Chain, ErrorType, Given, Handlers, StoreDeclaration, Target};

/// Settings of `set-variable`.
#[derive(Debug, Clone, PartialEq)]
pub struct SetVariable {
    /// The variable's name.
    pub name: Given,
    /// The new value.
    pub value: Given,
    /// The media type to declare; `None`: that of the value.
    pub media_type: Option<MediaType>,
}

/// Settings of `ee:transform`. All parts are evaluated on the incoming event, then applied together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transform {
    /// The new payload; `None`: unchanged.
    pub payload: Option<Script>,
    /// The new attributes; `None`: unchanged.
    pub attributes: Option<Script>,
    /// Variables to set, each with the expression of its value.
    pub variables: Vec<(Given, Script)>,
}

/// Settings of `logger`.
#[derive(Debug, Clone, PartialEq)]
pub struct Logger {
    /// The message to log; `None`: the whole Mule message.
    pub message: Option<Given>,
    /// The level of the line. Default `Info`.
    pub level: LogLevel,
    /// The category of the line; `None`: the logger's default.
    pub category: Option<Arc<str>>,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the levels' names say them")]
pub enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

/// Settings of `choice`.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Conditions with their routes; the first route whose condition is true runs.
    pub whens: Vec<(Script, Chain)>,
    /// The route if no condition is true; `None`: the event passes unchanged.
    pub otherwise: Option<Chain>,
}

/// Settings of `try`.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// The guarded steps.
    pub chain: Chain,
    /// The handlers of their errors.
    pub handlers: Option<Arc<Handlers>>,
}

/// Settings of `raise-error`.
#[derive(Debug, Clone, PartialEq)]
pub struct RaiseError {
    /// The error's type.
    pub kind: ErrorType,
    /// The error's description. Default "An error occurred."
    pub description: Option<Given>,
}

/// Settings of `until-successful`.
#[derive(Debug, Clone, PartialEq)]
pub struct UntilSuccessful {
    /// The number of retries after the first attempt. Default 5.
    pub retries: Given,
    /// The pause between the end of one attempt and the next, in milliseconds. Default 60,000.
    pub between: Given,
    /// The steps to repeat.
    pub chain: Chain,
}

/// Settings of `foreach`.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreach {
    /// The collection; `None`: the payload.
    pub collection: Option<Script>,
    /// The variable that counts iterations, from 1. Default `counter`.
    pub counter: Arc<str>,
    /// The variable with the message from before the loop. Default `rootMessage`.
    pub root: Arc<str>,
    /// The number of items per iteration. Default 1: the item itself; above 1, an array of items.
    pub batch: Given,
    /// The steps of an iteration.
    pub chain: Chain,
}

/// Settings of `parallel-foreach`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParallelForeach {
    /// The collection; `None`: the payload.
    pub collection: Option<Script>,
    /// The steps of an iteration.
    pub chain: Chain,
    /// The rules for the iterations.
    pub gather: Gather,
}

/// Settings of `scatter-gather`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterGather {
    /// The routes; at least two.
    pub routes: Vec<Chain>,
    /// The rules for the routes.
    pub gather: Gather,
}

/// The rules for concurrent parts, iterations or routes, and for their results.
#[derive(Debug, Clone, PartialEq)]
pub struct Gather {
    /// The limit of concurrent parts; `None`: no limit.
    pub max_concurrency: Option<usize>,
    /// The time limit of a part; `None`: no limit.
    pub timeout: Option<Duration>,
    /// The variable for the results; `None`: the results become the message.
    pub target: Option<Target>,
}

/// Settings of `async`.
#[derive(Debug, Clone, PartialEq)]
pub struct Async {
    /// The steps that run beside the flow.
    pub chain: Chain,
    /// The limit of concurrent events; `None`: no limit.
    pub max_concurrency: Option<usize>,
}

/// Settings of `ee:cache`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// The entry's key; `None`: a digest of the payload.
    pub key: Option<Given>,
    /// The store of the entries; `None`: a private store in memory.
    pub store: Option<Arc<StoreDeclaration>>,
    /// The steps whose result is cached.
    pub chain: Chain,
}

/// Settings of `ee:invalidate-cache` and `ee:invalidate-key`.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalidate {
    /// The store of the cache.
    pub store: Arc<StoreDeclaration>,
    /// The entry to remove; `None`: all.
    pub entry: Option<CacheKey>,
}

/// The key of an entry of a cache.
#[derive(Debug, Clone, PartialEq)]
pub enum CacheKey {
    /// A digest of the payload.
    Payload,
    /// The result of an expression.
    Computed(Given),
}

/// Settings of `idempotent-message-validator`: lets the first message of an id pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Idempotent {
    /// The message's id. Default its correlation id.
    pub id: Script,
    /// The value to store under the id. Default its correlation id.
    pub value: Script,
    /// The store of the ids. Default one of its own in memory, which keeps an id for 5 minutes.
    pub store: Arc<StoreDeclaration>,
}

/// Settings of `vm:publish`.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The name of one of the application's queues.
    pub queue: Arc<str>,
    /// The content of the message; `None`: the payload.
    pub content: Option<Given>,
    /// The time limit for room in the queue, and for a reply. Default 5 s.
    pub wait: QueueWait,
}

/// Settings of `vm:consume`.
#[derive(Debug, Clone, PartialEq)]
pub struct Consume {
    /// The name of one of the application's queues.
    pub queue: Arc<str>,
    /// The time limit for a message. Default 5 s.
    pub wait: QueueWait,
    /// The variable for the message; `None`: it becomes the flow's message.
    pub target: Option<Target>,
}

/// A time limit of an operation on a queue, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueWait {
    /// The limit; zero does not wait.
    pub limit: Duration,
    /// The limit in the unit of the file, for messages: `5 SECONDS`.
    pub shown: Arc<str>,
}

/// A sleep written as a script. Payload and attributes are null after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sleep {
    /// A constant: `Thread.sleep(n)`.
    Fixed(Duration),
    /// A variable: `Thread.sleep(vars.x.toLong())`, `Thread.sleep((vars.x as Long) * n)`.
    Variable {
        /// The variable's name.
        name: Arc<str>,
        /// The number of milliseconds in one unit of the variable.
        times: u64,
    },
}
