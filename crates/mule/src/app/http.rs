//! The HTTP connector: listeners and requests.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use fusebox_dataweave::{MediaType, Script};
use fusebox_plan::plan::{Authorities, KeyPair, ListenerTls};
use http::{HeaderName, Method};

use super::{Given, Target};

/// The address of HTTP listeners (`http:listener-config`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The configuration's name; unique.
    pub name: Arc<str>,
    /// The address to listen on.
    pub addr: SocketAddr,
    /// The prefix of every listener's path, with a leading `/` and without a trailing one; may be empty.
    pub base_path: String,
    /// The time after which an idle connection is closed. Default 40 s.
    pub idle_timeout: Duration,
    /// The rules for the scripts of other origins; `None`: answers say nothing of them.
    pub cors: Option<Cors>,
    /// The certificate of an HTTPS listener; `None`: plain HTTP.
    pub tls: Option<ListenerTls>,
}

/// The trust of requests in a server, and their own certificate (`tls:context`).
#[derive(Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// True to verify the server's certificate; false only if the file disables it explicitly (`insecure`).
    pub verified: bool,
    /// The authorities of servers; `None`: those of the system.
    pub authorities: Option<Authorities>,
    /// Our own certificate chain and key; `None`: we show none.
    pub identity: Option<KeyPair>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls(…)")
    }
}

/// The rules of a listener for the scripts of other origins (`http:cors-interceptor`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// True if requests may carry credentials, such as cookies. Default false.
    pub credentials: bool,
    /// The origins that are let in.
    pub origins: Origins,
}

/// The origins that a listener lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every origin, with any method and header field (`http:public-resource`).
    Public,
    /// These origins (`http:origin`).
    These(Vec<Origin>),
}

/// An origin, with what its scripts may send and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The origin as clients write it: `https://example.com`; `*` for those without rules of their own.
    pub url: String,
    /// The time for which a client may keep the answer to a preflight, in seconds. Default 30.
    pub max_age: u64,
    /// The methods that its scripts may use.
    pub methods: Vec<Method>,
    /// The header fields that its scripts may send.
    pub headers: Vec<HeaderName>,
    /// The header fields that its scripts may read.
    pub exposed: Vec<HeaderName>,
}

/// The listener of a flow (`http:listener`).
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSource {
    /// One of [`App::listeners`](super::App::listeners).
    pub config: Arc<ListenerConfig>,
    /// The whole path, base path included: literal segments, `{name}`, `*`. It begins with `/`.
    pub path: String,
    /// The accepted methods; `None`: all.
    pub methods: Option<Vec<Method>>,
    /// The media type of every request's body (`outputMimeType`); `None`: what the request says.
    pub media_type: Option<MediaType>,
    /// The rules that make a response of an event; `None`: the dialect's default.
    pub response: Option<Respond>,
    /// The rules that make a response of an error; `None`: the dialect's default.
    pub error_response: Option<Respond>,
}

/// The parts of a response (`http:response`, `http:error-response`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Respond {
    /// The status code (`statusCode`).
    pub status: Option<Given>,
    /// The reason phrase (`reasonPhrase`).
    pub reason: Option<Given>,
    /// The body (`http:body`).
    pub body: Option<Given>,
    /// The header fields (`http:headers`).
    pub headers: Option<Given>,
}

/// The parts of a configuration's address that are expressions, evaluated for each request; `None`: the part is fixed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Computed {
    /// The host name or IP literal. Also set, to a literal, if only the port is an expression.
    pub host: Option<Given>,
    /// The port, from 1 to 65535.
    pub port: Option<Given>,
    /// The prefix of the path.
    pub base_path: Option<Given>,
}

impl Computed {
    /// True if requests go to a server that is known only when they are made.
    pub fn has_server(&self) -> bool {
        self.host.is_some() || self.port.is_some()
    }
}

/// A server that requests go to (`http:request-config`).
#[derive(Debug, Clone, PartialEq)]
pub struct Requester {
    /// The configuration's name; unique.
    pub name: Arc<str>,
    /// True if connections use TLS.
    pub tls: bool,
    /// The host name or IP literal, without brackets; empty: none, so that each request has a `url`.
    pub host: Arc<str>,
    /// The port, 1..=65535.
    pub port: u16,
    /// The prefix of every request's path; may be empty.
    pub base_path: String,
    /// The parts of the address that each request computes.
    pub computed: Computed,
    /// The time limit of an exchange; `None`: the application's.
    pub response_timeout: Option<Duration>,
    /// True if redirects are followed. Default true.
    pub follow_redirects: bool,
    /// True if cookies of responses are sent with later requests. Default true.
    pub cookies: bool,
    /// The rule for request bodies. Default `Auto`.
    pub send_body: SendBody,
    /// Header fields of every request that does not set them itself.
    pub default_headers: Vec<(Given, Given)>,
    /// The trust of its connections; `None`: that of the gateway.
    pub trust: Option<ClientTls>,
    /// Query parameters of every request, before its own.
    pub default_query: Vec<(Given, Given)>,
    /// True if requests have the field `X-Correlation-ID`. Default true.
    pub sends_correlation_id: bool,
    /// The user that requests are sent for; `None`: nobody's.
    pub authentication: Option<BasicAuthentication>,
    /// The statuses that are errors; `None`: 400 and above.
    pub validator: Option<Validator>,
    /// The time limit of connecting. Default 30 s.
    pub connect_timeout: Duration,
    /// The time after which an idle connection is closed. Default 30 s.
    pub idle_timeout: Duration,
    /// The limit of connections; `None`: no limit.
    pub connections_max: Option<usize>,
    /// True if connections are reused. Default true.
    pub persistent: bool,
}

/// The user and password that requests are sent with (`http:basic-authentication`).
#[derive(Clone, PartialEq)]
pub struct BasicAuthentication {
    /// The user's name.
    pub username: Given,
    /// The user's password.
    pub password: Given,
    /// True if the first request has them, false if only its repetition after a 401 has. Default true.
    pub preemptive: Given,
}

impl fmt::Debug for BasicAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BasicAuthentication(…)")
    }
}

/// The rule for request bodies (`sendBodyMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SendBody {
    /// A body unless the method is GET, HEAD or OPTIONS.
    #[default]
    Auto,
    /// Always a body.
    Always,
    /// Never a body.
    Never,
}

/// An HTTP request (`http:request`).
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// One of [`App::requesters`](super::App::requesters); `None`: the request has a `url`.
    pub config: Option<Arc<Requester>>,
    /// The request's method. Default GET.
    pub method: Given,
    /// The path below the base path.
    pub path: Given,
    /// The whole URL; it replaces the configuration's address and the path.
    pub url: Option<Given>,
    /// The body (`http:body`); `None`: the payload.
    pub body: Option<Given>,
    /// The header fields (`http:headers`).
    pub headers: Option<Given>,
    /// The values of `{name}` in the path (`http:uri-params`).
    pub uri_params: Option<Given>,
    /// The query parameters (`http:query-params`).
    pub query_params: Option<Given>,
    /// The id of the request (`correlationId`); `None`: that of the event.
    pub correlation_id: Option<Given>,
    /// The time limit of the exchange in milliseconds; `None`: the configuration's.
    pub response_timeout: Option<Given>,
    /// True if redirects are followed; `None`: the configuration's setting.
    pub follow_redirects: Option<Given>,
    /// The rule for the body; `None`: the configuration's.
    pub send_body: Option<SendBody>,
    /// The statuses that are errors; `None`: those of the configuration.
    pub validator: Option<Validator>,
    /// True if the request has the field `X-Correlation-ID`; `None`: the configuration's setting.
    pub sends_correlation_id: Option<bool>,
    /// The media type of every answer's body (`outputMimeType`); `None`: what the answer says.
    pub media_type: Option<MediaType>,
    /// The variable for the response; `None`: the response becomes the message.
    pub target: Option<Target>,
}

/// Settings of `http:load-static-resource`: the payload becomes the file that a request's path names.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticResource {
    /// The directory of the files.
    pub base: Given,
    /// The file of a directory. Default `index.html`.
    pub default_file: Given,
    /// The attributes of the request. Default those of the event.
    pub attributes: Script,
    /// The variable for the file; `None`: it becomes the payload.
    pub target: Option<Target>,
}

/// An inclusive range of statuses.
pub type StatusRange = RangeInclusive<u16>;

/// A rule that decides which statuses are errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validator {
    /// All statuses except these (`success-status-code-validator`).
    Success(Vec<StatusRange>),
    /// Only these statuses (`failure-status-code-validator`).
    Failure(Vec<StatusRange>),
}

impl Validator {
    /// True if a response with this status is not an error.
    pub fn accepts(&self, status: u16) -> bool {
        let within = |ranges: &[StatusRange]| ranges.iter().any(|range| range.contains(&status));
        match self {
            Validator::Success(ranges) => within(ranges),
            Validator::Failure(ranges) => !within(ranges),
        }
    }
}
