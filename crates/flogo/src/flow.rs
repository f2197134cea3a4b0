//! What a Flogo handler does, checked: its actions, their services, steps and responses.
//!
//! A trigger's handler is a route of the plan whose step is [`Step::Run`](fusebox_plan::plan::Step::Run);
//! everything that the dialect can say is in the types below, with every expression compiled, every
//! service found and every setting known.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Settings;
use fusebox_plan::plan::Endpoint;

use crate::Expression;
use crate::Value;

/// What is done with one kind of request, or with the messages of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Handler {
    /// Its name in logs and metrics: the trigger's id, the method and the path, or the channel.
    pub name: Arc<str>,
    /// Tried in order; the first whose condition holds is run. Never empty.
    pub choices: Vec<Choice>,
}

/// One of a handler's actions, and when it is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// `if`, over the trigger's output; an action without one is always taken.
    pub when: Option<Expression>,
    /// The action. Handlers that name the same shared action hold the same one.
    pub action: Arc<Action>,
    /// `input`: what replaces the payload; `None`: the payload is the trigger's output.
    pub input: Option<Mapping>,
    /// `output`: what is made of the action's `code` and `data`; `None`: they are the reply.
    pub output: Option<Mapping>,
}

/// One instance of the microgateway: its services live as long as it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Unique within the plan, and the same over a reload as long as the file names the same things:
    /// the resource's name, with `#2` and so on behind that of a second instance.
    pub name: Arc<str>,
    /// The raw settings, `uri` and `async` among them: `$.conf`.
    pub conf: Value,
    /// The environment as it was when the plan was made: `$.env`.
    pub env: Value,
    /// `async`: the responses do not wait for the steps.
    pub asynchronous: bool,
    /// The services, in the order of the definition.
    pub services: Vec<Service>,
    /// The steps; never empty.
    pub steps: Vec<FlowStep>,
    /// The responses; the first that matches is the answer.
    pub responses: Vec<FlowResponse>,
}

/// A named use of an activity.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name in the scope; unique within the action.
    pub name: Arc<str>,
    /// The evaluated settings, an object: what its inputs begin with at each step.
    pub settings: Value,
    /// What it does.
    pub activity: Activity,
}

/// What a service does.
#[derive(Debug, Clone, PartialEq)]
pub enum Activity {
    /// `activity/circuitbreaker`.
    Breaker(BreakerActivity),
    /// `activity/rest`.
    Rest(Box<RestActivity>),
    /// `activity/ratelimiter`.
    RateLimiter(RateLimiterActivity),
    /// `activity/jwt`; everything it needs comes in its inputs.
    Jwt,
    /// `activity/log`: inputs `message`, `addDetails`.
    Log,
    /// `activity/counter`.
    Counter(CounterActivity),
    /// `activity/channel`: inputs `channel`, `data`.
    Channel,
    /// `activity/actreturn`: ends the steps; its mapped values are the action's results.
    Return(Mapping),
    /// `activity/actreply`: its mapped values become names of the scope, and the steps go on.
    Reply(Mapping),
}

/// A breaker of the `breaker` crate, driven by check and report.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerActivity {
    /// The breaker's name: the action's name, `/`, the service's name.
    pub name: Arc<str>,
    /// Modes a, b, c and d as settings of the machine.
    pub settings: Settings,
}

/// A call to another service.
#[derive(Debug, Clone, PartialEq)]
pub struct RestActivity {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: http::Method,
    /// The URI as written, with its `/:name` parts: what error messages show.
    pub uri: String,
    /// Where it is: the URI's scheme and authority; `base_path` is empty.
    pub endpoint: Endpoint,
    /// What follows the authority, up to a `#`: literal text and path parameters.
    pub target: Vec<TargetPart>,
    /// `proxy`: an HTTP proxy that the request goes through.
    pub proxy: Option<Endpoint>,
    /// `timeout`: how long to wait for the head once the request is written; `None`: for ever.
    pub timeout: Option<Duration>,
    /// How an `https` endpoint is verified.
    pub tls: RestTls,
}

/// One part of what follows a URI's authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPart {
    /// Text as it stands, escaped as a URL wants it.
    Literal(String),
    /// A path parameter by its name; its value is percent-encoded when it is filled in.
    Param(String),
}

/// How the other side of a TLS connection is verified, and what we show of ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestTls {
    /// Whether its certificate is verified. True unless the file says otherwise in so many words.
    pub verified: bool,
    /// `useSystemCert`: trust the system's authorities. Default true.
    pub system_roots: bool,
    /// Further authorities, in PEM.
    pub authorities: Option<String>,
    /// Our own certificate chain and key, in PEM.
    pub identity: Option<Identity>,
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain, the own certificate first.
    pub certificates: String,
    /// The key.
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
    /// A second, a minute or an hour.
    pub window: Duration,
    /// `spikeThreshold`: the ratio of the present rate to the usual one past which calls are refused; `None`: off.
    pub spike_threshold: Option<f64>,
    /// `decayRate`. Default 0.01.
    pub decay_rate: f64,
}

/// What is done with a process-wide counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterActivity {
    /// `counterName`: services that name the same counter share it.
    pub counter: Arc<str>,
    /// `op`.
    pub operation: CounterOperation,
}

/// `op` of a counter. Each gives the value after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterOperation {
    /// Leaves it as it is; the default.
    Get,
    /// Adds one.
    Increment,
    /// Sets it to zero.
    Reset,
}

/// One step of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowStep {
    /// `if`; a step without one is always taken.
    pub when: Option<Expression>,
    /// Which service, by its place in [`Action::services`].
    pub service: usize,
    /// `input`, in the order in which it is evaluated: sorted by name.
    pub input: Vec<Assignment>,
    /// `halt`; with one, an error of the activity does not end the steps by itself.
    pub halt: Option<Halt>,
}

/// The condition on which the steps end.
#[derive(Debug, Clone, PartialEq)]
pub struct Halt {
    /// Its text, for the message.
    pub text: Arc<str>,
    /// What it says.
    pub condition: Expression,
}

/// A value and the place that takes it: `a.b` sets `b` in the object `a`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The name's parts; never empty.
    pub path: Vec<Arc<str>>,
    /// The value.
    pub value: Given,
}

/// A value as the file gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// As it stands.
    Literal(Value),
    /// A text that began with `=`.
    Expression(Expression),
}

/// One response of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowResponse {
    /// `if`; a response without one matches.
    pub when: Option<Expression>,
    /// `output.code`; without one the code is 200.
    pub code: Option<Given>,
    /// `output.data`; without an `output` there is none.
    pub data: Option<Data>,
}

/// What a response answers with.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// One value.
    One(Given),
    /// An object, entry by entry, sorted by name.
    Object(Vec<Assignment>),
}

/// A handler's `input` or `output`: an object made of expressions, entry by entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping(pub Vec<(Arc<str>, MapNode)>);

/// One value of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub enum MapNode {
    /// One value.
    Given(Given),
    /// An object whose values are mapped.
    Object(Vec<(Arc<str>, MapNode)>),
    /// A list whose items are mapped.
    Array(Vec<MapNode>),
    /// `@foreach(source, name, filter)`: a list made of another, item by item; `$loop` is the item.
    ForEach(Box<ForEach>),
    /// `@if`, `@elseif`, `@else`: the first branch whose condition holds; none gives nothing.
    Branches(Vec<(Option<Expression>, MapNode)>),
}

/// A list made of another one.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// The list.
    pub source: Expression,
    /// By which name inner loops reach its item; `None`: by `$loop` alone.
    pub name: Option<Arc<str>>,
    /// Which items are taken; all without one.
    pub filter: Option<Expression>,
    /// What a new item begins as (`=`); `None`: an empty object.
    pub base: Option<Base>,
    /// What is put into the new item, which is an object then; empty: it stays as it began.
    pub fields: Vec<(Arc<str>, MapNode)>,
}

/// What an item of a new list begins as.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// The item of the old list (`$loop`).
    Item,
    /// A value made of it.
    Given(Given),
}
