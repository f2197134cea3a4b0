//! The HTTP connector: listeners and requests.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::{Given, Target};

/// Where requests come in (`http:listener-config`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name; unique.
    pub name: Arc<str>,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Before the path of each of its listeners; with a leading `/`, without a trailing one; may be empty.
    pub base_path: String,
    /// How long an idle connection is kept. Default 40 s.
    pub idle_timeout: Duration,
}

/// The listener of a flow (`http:listener`).
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSource {
    /// One of [`App::listeners`](super::App::listeners).
    pub config: Arc<ListenerConfig>,
    /// The whole path, base path included: literal segments, `{name}`, `*`. It begins with `/`.
    pub path: String,
    /// The methods it takes; `None`: all.
    pub methods: Option<Vec<Method>>,
    /// How an event becomes a response; `None`: as the dialect's default has it.
    pub response: Option<Respond>,
    /// How an error becomes one.
    pub error_response: Option<Respond>,
}

/// How a response is made (`http:response`, `http:error-response`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Respond {
    /// `statusCode`.
    pub status: Option<Given>,
    /// `reasonPhrase`.
    pub reason: Option<Given>,
    /// `http:body`.
    pub body: Option<Given>,
    /// `http:headers`.
    pub headers: Option<Given>,
}

/// Whom requests go to (`http:request-config`).
#[derive(Debug, Clone, PartialEq)]
pub struct Requester {
    /// Its name; unique.
    pub name: Arc<str>,
    /// Whether connections are TLS.
    pub tls: bool,
    /// A host name or an IP literal, without brackets.
    pub host: Arc<str>,
    /// 1..=65535.
    pub port: u16,
    /// Before the path of each request; may be empty.
    pub base_path: String,
    /// How long an exchange may take; `None`: the application's.
    pub response_timeout: Option<Duration>,
    /// Whether redirects are followed. Default true.
    pub follow_redirects: bool,
    /// Whether cookies are kept and sent again. Default true.
    pub cookies: bool,
    /// Whether requests have a body. Default `Auto`.
    pub send_body: SendBody,
    /// Fields of each request, unless it sets them itself.
    pub default_headers: Vec<(Given, Given)>,
    /// Which answers are errors; `None`: 400 and above.
    pub validator: Option<Validator>,
    /// How long connecting may take. Default 30 s.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept. Default 30 s.
    pub idle_timeout: Duration,
    /// How many connections there are at most; `None`: no bound.
    pub connections_max: Option<usize>,
    /// Whether connections are used again. Default true.
    pub persistent: bool,
}

/// Whether a request has a body (`sendBodyMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SendBody {
    /// Unless the method is GET, HEAD or OPTIONS.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A request (`http:request`).
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// One of [`App::requesters`](super::App::requesters); `None` where there is a `url`.
    pub config: Option<Arc<Requester>>,
    /// The method. Default GET.
    pub method: Given,
    /// The path below the base path.
    pub path: Given,
    /// The whole address; it stands before configuration and path.
    pub url: Option<Given>,
    /// `http:body`; `None`: the payload.
    pub body: Option<Given>,
    /// `http:headers`.
    pub headers: Option<Given>,
    /// `http:uri-params`: what stands for `{name}` in the path.
    pub uri_params: Option<Given>,
    /// `http:query-params`.
    pub query_params: Option<Given>,
    /// How long the exchange may take, in milliseconds; `None`: as the configuration has it.
    pub response_timeout: Option<Given>,
    /// Whether redirects are followed; `None`: as the configuration has it.
    pub follow_redirects: Option<bool>,
    /// Whether it has a body; `None`: as the configuration has it.
    pub send_body: Option<SendBody>,
    /// Which answers are errors; `None`: as the configuration has it.
    pub validator: Option<Validator>,
    /// Where the answer goes; `None`: into the message.
    pub target: Option<Target>,
}

/// Statuses from one to another.
pub type StatusRange = RangeInclusive<u16>;

/// Which answers are errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validator {
    /// All but these (`success-status-code-validator`).
    Success(Vec<StatusRange>),
    /// These (`failure-status-code-validator`).
    Failure(Vec<StatusRange>),
}

impl Validator {
    /// Whether an answer of this status is no error.
    pub fn accepts(&self, status: u16) -> bool {
        let within = |ranges: &[StatusRange]| ranges.iter().any(|range| range.contains(&status));
        match self {
            Validator::Success(ranges) => within(ranges),
            Validator::Failure(ranges) => !within(ranges),
        }
    }
}
