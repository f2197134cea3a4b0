//! The checked model of a Flogo handler: its actions, with their services, steps and responses.
//!
//! A trigger's handler is a route of the plan whose step is [`Step::App`](fusebox_plan::plan::Step::App). The types
//! below hold the complete dialect, with every expression compiled, every service resolved and every setting known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Settings;
use fusebox_plan::plan::Endpoint;

use crate::Expression;
use crate::Value;

mod graph;

pub use graph::{Attribute, Flow, Link, LinkKind, Task};

/// The handling of one kind of request, or of the messages of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Handler {
    /// The handler's name in logs and metrics: the trigger's id, the method and the path, or the channel.
    pub name: Arc<str>,
    /// The actions, never empty. They are tried in order, and the first whose condition holds is run.
    pub choices: Vec<Choice>,
}

/// An action of a handler, with its condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// `if`: the condition, over the trigger's output; `None` always holds.
    pub when: Option<Expression>,
    /// The action. Handlers that name the same shared action share one instance.
    pub action: Arc<Action>,
    /// `input`: the mapping that replaces the payload; `None`: the payload is the trigger's output.
    pub input: Option<Mapping>,
    /// `output`: the mapping of the action's `code` and `data` to the reply; `None`: they are the reply.
    pub output: Option<Mapping>,
}

/// An instance of the microgateway or of a flow, with the state of its services.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The action's name, unique in the plan, and the same over a reload as long as the file has the same resources:
    /// the resource's name, with `#2` and so on for further instances.
    pub name: Arc<str>,
    /// The name of the resource, which other instances have too.
    pub resource: Arc<str>,
    /// The raw settings, including `uri` and `async`: `$.conf`.
    pub conf: Value,
    /// The environment at the time of reading: `$.env`.
    pub env: Value,
    /// `async`: true if the responses do not wait for the steps.
    pub asynchronous: bool,
    /// The services, in the order of the definition.
    pub services: Vec<Service>,
    /// The flow that runs instead of steps and responses; the service of each task has the task's index.
    pub flow: Option<Flow>,
    /// The steps, never empty but for a flow.
    pub steps: Vec<FlowStep>,
    /// The responses; the first whose condition holds is the answer.
    pub responses: Vec<FlowResponse>,
}

/// An activity with a name and settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The service's name in the scope, unique in the action.
    pub name: Arc<str>,
    /// The evaluated settings, an object: the initial inputs of each step.
    pub settings: Value,
    /// The activity with its checked settings.
    pub activity: Activity,
}

/// The activity of a service.
#[derive(Debug, Clone, PartialEq)]
pub enum Activity {
    /// `activity/circuitbreaker`, see [`BreakerActivity`].
    Breaker(BreakerActivity),
    /// `activity/rest`, see [`RestActivity`].
    Rest(Box<RestActivity>),
    /// `activity/ratelimiter`, see [`RateLimiterActivity`].
    RateLimiter(RateLimiterActivity),
    /// `activity/graphql` in mode b, see [`QuotaActivity`].
    Quota(QuotaActivity),
    /// `activity/graphql` in mode a, see [`GraphQlActivity`].
    GraphQl(GraphQlActivity),
    /// `activity/jsexec`: the text of a script in JavaScript, with the input `parameters`.
    Script(Arc<str>),
    /// `activity/wsproxy` and `activity/grpc`, see [`PassActivity`]: a route of the plan, which no step runs.
    Pass(PassActivity),
    /// `activity/jwt`, which has only inputs and no settings.
    Jwt,
    /// `activity/log`, with the inputs `message` and `addDetails`.
    Log,
    /// `activity/counter`, see [`CounterActivity`].
    Counter(CounterActivity),
    /// `activity/channel`, with the inputs `channel` and `data`.
    Channel,
    /// `activity/actreturn`: ends the steps with the mapped values as the action's results.
    Return(Mapping),
    /// `activity/noop`, of flows alone: does nothing.
    Nothing,
    /// `activity/actreply`: adds the mapped values to the scope and continues with the next step.
    Reply(Mapping),
}

/// A breaker of the `breaker` crate, operated by explicit checks and reports.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerActivity {
    /// The breaker's name: the action's name, `/`, the service's name.
    pub name: Arc<str>,
    /// The settings of the machine for mode a, b, c or d.
    pub settings: Settings,
}

/// A call to another HTTP service.
#[derive(Debug, Clone, PartialEq)]
pub struct RestActivity {
    /// The method: GET, POST, PUT, PATCH or DELETE.
    pub method: http::Method,
    /// The URI as written, with its `/:name` parameters, for error messages.
    pub uri: String,
    /// The URI's scheme and authority; `base_path` is empty.
    pub endpoint: Endpoint,
    /// The rest of the URI after the authority, up to a `#`: literal text and path parameters.
    pub target: Vec<TargetPart>,
    /// `proxy`: the HTTP proxy of the request.
    pub proxy: Option<Endpoint>,
    /// `timeout`: the longest wait for the response's head after the request is sent; `None`: unlimited.
    pub timeout: Option<Duration>,
    /// The verification of an `https` endpoint.
    pub tls: RestTls,
}

impl RestActivity {
    /// True if the URI's path has parameters; one without a name counts.
    pub fn asks_for_params(&self) -> bool {
        let mut is_query = false;
        self.target.iter().any(|part| match part {
            TargetPart::Param(_) => true,
            TargetPart::Literal(text) => {
                let path = if is_query {
                    ""
                } else {
                    text.split('?').next().unwrap_or("")
                };
                is_query |= path.len() < text.len();
                path.contains("/:")
            }
        })
    }
}

/// A part of a URI after its authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPart {
    /// A literal text, escaped as in a URL.
    Literal(String),
    /// The name of a path parameter; its value is percent-encoded when it is inserted.
    Param(String),
}

/// The verification of a TLS server, and our own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestTls {
    /// True to verify the server's certificate; false only if the file disables it explicitly.
    pub verified: bool,
    /// `useSystemCert`: true to trust the system's authorities. Default true.
    pub system_roots: bool,
    /// Further authorities, in PEM.
    pub authorities: Option<String>,
    /// Our own certificate chain and key, in PEM.
    pub identity: Option<Identity>,
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate chain, the own certificate first.
    pub certificates: String,
    /// The private key.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// A limit on the calls of each token in a fixed window that begins with the token's first call.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimiterActivity {
    /// Calls in a window, at least 1.
    pub limit: u64,
    /// The length of the window: a second, a minute or an hour.
    pub window: Duration,
    /// `spikeThreshold`: the ratio of the present rate to the usual one above which calls are refused; `None`: off.
    pub spike_threshold: Option<f64>,
    /// `decayRate`: the weight of the present rate in the usual one. Default 0.01.
    pub decay_rate: f64,
}

/// A limit on the time that the calls of each token take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaActivity {
    /// The most milliseconds in a token's bucket, which begins full; at least 1.
    pub most: u64,
    /// The milliseconds that are added in each step.
    pub fill: u64,
    /// The time between two steps, at least a millisecond.
    pub every: Duration,
}

/// A check of GraphQL requests against schemas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphQlActivity {
    /// The text of each schema that a step names, by its name (`schemaFile`), or the error that kept it from being read.
    pub schemas: BTreeMap<Arc<str>, Result<Arc<str>, String>>,
}

/// A service that requests or connections are passed on to as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct PassActivity {
    /// The requests that it takes.
    pub kind: PassKind,
    /// The scheme and the authority of `uri`, or of `hosturl`.
    pub endpoint: Endpoint,
    /// The path of `uri`; `None`: the client's own.
    pub target: Option<String>,
    /// `maxconnections`: the most connections at once, at least 1, by default 5; `None`: unlimited.
    pub connections_max: Option<usize>,
}

/// The requests that are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassKind {
    /// Upgraded connections, as of websockets.
    Socket,
    /// Calls of gRPC.
    Grpc,
}

/// An operation on a process-wide counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterActivity {
    /// `counterName`: the counter's name; services with the same name share it.
    pub counter: Arc<str>,
    /// `op`: the operation of this service.
    pub operation: CounterOperation,
}

/// The operation on a counter (`op`). Each returns the counter's new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterOperation {
    /// Reads the counter; the default.
    Get,
    /// Adds one to the counter.
    Increment,
    /// Sets the counter to zero.
    Reset,
}

/// One step of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowStep {
    /// `if`: the condition of the step; `None` always holds.
    pub when: Option<Expression>,
    /// The service, by its index in [`Action::services`].
    pub service: usize,
    /// `input`: the assignments, in the order of evaluation: sorted by name.
    pub input: Vec<Assignment>,
    /// `halt`: the condition that ends the steps; with one, an activity's error alone does not.
    pub halt: Option<Halt>,
}

/// The condition on which the steps end.
#[derive(Debug, Clone, PartialEq)]
pub struct Halt {
    /// The condition's text, for the message.
    pub text: Arc<str>,
    /// The compiled condition.
    pub condition: Expression,
}

/// A value and its destination: `a.b` sets `b` in the object `a`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The parts of the name, never empty.
    pub path: Vec<Arc<str>>,
    /// The assigned value.
    pub value: Given,
}

/// A value in the file: a literal or an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A literal value.
    Literal(Value),
    /// A text that begins with `=`, compiled.
    Expression(Expression),
}

/// One response of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowResponse {
    /// `if`: the condition of the response; `None` always holds.
    pub when: Option<Expression>,
    /// `output.code`: the status; `None`: 200.
    pub code: Option<Given>,
    /// `output.data`: the body; `None` without an `output`.
    pub data: Option<Data>,
}

/// The data of a response.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// A single value.
    One(Given),
    /// An object, entry by entry, sorted by name.
    Object(Vec<Assignment>),
}

/// A handler's `input` or `output`: an object of expressions, entry by entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping(pub Vec<(Arc<str>, MapNode)>);

/// A value of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub enum MapNode {
    /// A single value.
    Given(Given),
    /// An object with mapped values.
    Object(Vec<(Arc<str>, MapNode)>),
    /// A list with mapped items.
    Array(Vec<MapNode>),
    /// `@foreach(source, name, filter)`: a list made from another, item by item; `$loop` is the item.
    ForEach(Box<ForEach>),
    /// `@conditional`: the first branch whose condition holds, `@otherwise` at the end; without one, null.
    Branches(Vec<(Option<Expression>, MapNode)>),
}

/// A list made from another one.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// The source list.
    pub source: Expression,
    /// The name by which inner loops refer to this item; `None`: only as `$loop`.
    pub name: Option<Arc<str>>,
    /// The condition of the items to include; `None`: all.
    pub filter: Option<Expression>,
    /// `=`: the initial value of a new item; `None`: an empty object.
    pub base: Option<Base>,
    /// The fields to set in the new item, which must then be an object; empty: the item keeps its initial value.
    /// Without either there are no items.
    pub fields: Vec<(Arc<str>, MapNode)>,
}

/// The initial value of an item in the new list.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// The item of the source list (`$loop`).
    Item,
    /// A value computed from the item.
    Given(Given),
}
