//! The plan: a configuration after checking, with every name resolved and every limit known.
//!
//! Nothing here can be wrong any more: a [`Plan`] exists only if `check` found no error, so the
//! gateway that carries requests along it checks nothing again.

use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_breaker::{Mode, OnOverflow, OnProbeTimeout, Settings};
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;

use crate::failure::{Call, Failure, Ignore, Ruling, judge};
use crate::program::Program;

/// Everything that a gateway does, read from one or more configuration files.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Where clients connect; empty only where time or queues alone start a Mule application's flows.
    pub listeners: Vec<Arc<Listener>>,
    /// The admin API's own address, as the file says it; `None` where the file is silent.
    pub admin: Option<Admin>,
    /// Where state is kept, as the file says it; `None` where the file is silent.
    pub store: Option<Store>,
    /// Who this process is in a fleet, as the file says it; `None` where the file is silent.
    pub fleet: Option<Fleet>,
    /// Bounds on what a client or an upstream may cost.
    pub limits: Limits,
    /// The services behind the gateway, by the order of the file; names are unique.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The breakers before the application's own requests, by the order of the file; names and targets are unique. Empty
    /// without an application.
    pub guards: Vec<Arc<Guard>>,
    /// The routes, by the order of the file; routes of one path differ in their
    /// methods or listeners.
    pub routes: Vec<Arc<Route>>,
    /// The application of another dialect that answers the routes' [`Step::App`]; `None` in the native form.
    pub app: Option<Arc<dyn Program>>,
}

impl Plan {
    /// The plan's program as its dialect's own type; `None`: it has none, or one of another dialect.
    pub fn program<T: Program>(&self) -> Option<Arc<T>> {
        let program: Arc<dyn Any + Send + Sync> = self.app.clone()?;
        program.downcast().ok()
    }
}

/// An address on which clients connect.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Unique among the listeners; `default` for the short form `listen:`.
    pub name: Arc<str>,
    /// Where it listens; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are believed; none by default.
    pub trusted_proxies: Vec<IpNet>,
    /// `paths.encoded_slash`: pass a path with `%2F` on; refused (400) by default.
    pub encoded_slash_allowed: bool,
    /// `paths.double_slash`: pass a path with `//` on; refused (400) by default.
    pub double_slash_allowed: bool,
    /// Who routes its requests, and answers where no route's own step does.
    pub manner: Manner,
    /// What it shows of itself over TLS; `None`: connections are plain.
    pub tls: Option<ListenerTls>,
}

impl Listener {
    /// Tells whether a route is served on this listener.
    pub fn serves(&self, route: &Route) -> bool {
        let listeners = route.listeners.as_ref();
        listeners.is_none_or(|names| names.contains(&self.name))
    }
}

/// Who finds the routes of a listener's requests, and says so where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Fusebox itself: the most specific path wins, whatever the method.
    Native,
    /// The plan's application, by its dialect's own rules for paths and methods.
    App,
}

/// What a listener shows of itself over TLS.
#[derive(Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// The file of the certificate chain, as the configuration names it.
    pub certificate_path: String,
    /// The file of the private key, as the configuration names it.
    pub key_path: String,
    /// The certificate chain in PEM, the own certificate first.
    pub certificates: String,
    /// The private key in PEM.
    pub key: Secret,
}

impl std::fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ListenerTls(…)")
    }
}

/// The admin API's address.
#[derive(Clone, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The bearer token it asks for; required by `check` away from loopback.
    pub token: Option<Secret>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

/// A text that no log, error or dump may show: it has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one comparison that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where objects and breaker records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In the process; gone with it.
    Memory,
    /// In a directory of this machine.
    Embedded {
        /// The data directory.
        path: PathBuf,
    },
    /// On a Valkey or Redis server that the processes of a fleet share; breaker records stay on this machine.
    Valkey(Valkey),
}

/// A store on a Valkey or Redis server (`kind: valkey`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valkey {
    /// Where the server is; it may hold a password.
    pub url: Secret,
    /// `prefix`: what all keys begin with; `None`: as the URL says, `fusebox:` where it says nothing.
    pub prefix: Option<String>,
    /// `timeout`: how long an operation may take; `None`: as the URL says, 250 ms where it says nothing.
    pub timeout: Option<Duration>,
    /// `path`: the data directory of the breaker records; `None`: the one that an embedded store would have.
    pub path: Option<PathBuf>,
}

/// Who this process is among those that share breakers (`fleet:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// `node`: its name, which no other process of the fleet has; `None`: the machine's name with a suffix that is
    /// drawn once and kept in the data directory.
    pub node: Option<String>,
}

/// Bounds, each with a default, on what one client or upstream may cost (`limits:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `connections`: open client connections per listener; over it a client gets 503. Default 10,000.
    pub connections_max: usize,
    /// `head`: bytes of a request or response head; over it 431 (a client) or 502 (an upstream). Default 64 KiB.
    pub head_bytes_max: usize,
    /// `fields`: header fields in a head; over it 431 or 502. Default 100.
    pub head_fields_max: usize,
    /// `first_byte`: from the connection to its first byte. Default 10 s.
    pub first_byte_timeout: Duration,
    /// `head_timeout`: from a request's first byte to the end of its head; over it 408. Default 10 s.
    pub head_timeout: Duration,
    /// `keep_alive`: how long an idle client connection is kept. Default 75 s.
    pub keep_alive_timeout: Duration,
    /// `body_rate`: the slowest a client may send a body, in bytes per second, measured after the
    /// first 10 s; slower is 408. Default 1 KiB/s.
    pub body_rate_min: u64,
    /// `request_body`: the largest request body; over it 413. Default: none.
    pub request_body_max: Option<u64>,
    /// `upgrade_idle`: how long an upgraded connection may be silent both ways. Default 10 min.
    pub upgrade_idle_timeout: Duration,
    /// `drain`: how long requests in flight may take to finish at the end. Default 30 s.
    pub drain_timeout: Duration,
    /// `drain_delay`: how long requests are still taken at the end, while `/readyz` says 503. Default 0.
    pub drain_delay: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 10_000,
            head_bytes_max: 64 * 1024,
            head_fields_max: 100,
            first_byte_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            body_rate_min: 1024,
            request_body_max: None,
            upgrade_idle_timeout: Duration::from_secs(600),
            drain_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
        }
    }
}

/// A service behind the gateway, with the breaker before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Unique among the upstreams; the breaker's name rests on it.
    pub name: Arc<str>,
    /// Where it is.
    pub endpoint: Endpoint,
    /// How long a call may take.
    pub timeout: Timeout,
    /// `pool.idle`: idle connections kept per worker thread. Default 64.
    pub pool_idle_max: usize,
    /// `pool.idle_timeout`: how long an idle connection is kept; below the upstream's own. Default 30 s.
    pub pool_idle_timeout: Duration,
    /// `pool.max_age`: how old a connection may become before it is not used again. Default 5 min.
    pub pool_max_age: Duration,
    /// The breaker; without a `breaker:` key its mode is `disabled`.
    pub breaker: Breaker,
}

/// A breaker before the requests that an application makes to one target (`upstreams.NAME` beside an application).
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// The upstream's key in the file: the name of its breaker, or what those of a keyed one begin with.
    pub name: Arc<str>,
    /// The full name of the application's target ([`Target`](crate::program::Target)).
    pub target: Arc<str>,
    /// Bounds on the times that the application gives its calls.
    pub timeout: TimeoutBounds,
    /// The breaker; without a `breaker:` key its mode is `disabled`.
    pub breaker: Breaker,
}

impl Guard {
    /// The target as the application has it, with this guard's breaker and within its times.
    pub fn before(&self, target: Upstream) -> Upstream {
        Upstream {
            timeout: self.timeout.within(&target.timeout),
            breaker: self.breaker.clone(),
            ..target
        }
    }
}

/// Bounds on an application's own times (`timeout:` of a guard). Default: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeoutBounds {
    /// To connect, TLS included.
    pub connect: Option<Duration>,
    /// From the request fully sent to the response's head.
    pub request: Option<Duration>,
    /// The longest gap in the response's body.
    pub idle: Option<Duration>,
}

impl TimeoutBounds {
    /// The shorter of each time and its bound.
    fn within(self, times: &Timeout) -> Timeout {
        let shorter =
            |time: Duration, bound: Option<Duration>| bound.map_or(time, |it| it.min(time));
        Timeout {
            connect: shorter(times.connect, self.connect),
            request: shorter(times.request, self.request),
            idle: shorter(times.idle, self.idle),
        }
    }
}

/// One address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is TLS (`https`).
    pub tls: bool,
    /// A host name or an IP literal, without brackets.
    pub host: String,
    /// 1..=65535; 80 or 443 where the URL names none.
    pub port: u16,
    /// What the `Host` field says: the host, with the port where it is not the scheme's own.
    pub authority: String,
    /// The URL's path without a trailing slash; prepended to every request's path. May be empty.
    pub base_path: String,
}

/// How long a call may take (`timeout:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeout {
    /// To connect, TLS included. Default 5 s.
    pub connect: Duration,
    /// From the later of "request fully sent" and "last wait for the client" to the response's head. Default 30 s.
    pub request: Duration,
    /// The longest gap in the upstream's body. Default 60 s.
    pub idle: Duration,
}

impl Default for Timeout {
    fn default() -> Timeout {
        Timeout {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

/// What the breaker before an upstream does (`breaker:`).
#[derive(Debug, Clone, PartialEq)]
pub struct Breaker {
    /// The machine's settings.
    pub settings: Settings,
    /// Which calls share a breaker (`key:`); one for the upstream by default.
    pub key: Key,
    /// `max_keys`: how many keys at most have a breaker of their own. Default 10,000.
    pub keys_max: usize,
    /// `idle_after`: a key not asked for so long gives way to a new one, though there are failures in its windows.
    /// `None`: as the registry's default has it.
    pub idle_after: Option<Duration>,
    /// `on_overflow`: how the calls of a key fare for which there is no room. Default: it shares a breaker.
    pub on_overflow: OnOverflow,
    /// Which calls count as nothing (`ignore:`); none by default. Asked before `failure`.
    pub ignore: Option<Ignore>,
    /// Which calls failed (`failure:`).
    pub failure: Failure,
    /// `failure_body`: how many bytes of the body the failure expression sees; `None`: it sees none.
    pub failure_body_max: Option<usize>,
    /// `settle`: a good body that has flowed this long is a success. Default 5 s.
    pub settle: Duration,
    /// `share`: what the processes of a fleet decide together. Default: nothing.
    pub share: Share,
}

impl Breaker {
    /// A breaker that counts nothing and refuses nothing (`mode: disabled`), before an upstream whose answers may take
    /// `request` to come.
    pub fn disabled(request: Duration) -> Breaker {
        let mut settings = Settings {
            mode: Mode::Disabled,
            ..Settings::default()
        };
        settings.half_open.probe_timeout = request;
        settings.half_open.on_probe_timeout = OnProbeTimeout::Fail;
        Breaker {
            settings,
            key: Key(vec![KeyPart::Upstream]),
            keys_max: 10_000,
            idle_after: None,
            on_overflow: OnOverflow::Share,
            ignore: None,
            failure: Failure::Default,
            failure_body_max: None,
            settle: Duration::from_secs(5),
            share: Share::None,
        }
    }

    /// How a call counts: ignored, where `ignore` matches it; else as `failure` says. Both run at most once, as
    /// [`Failure::judge`] does.
    pub fn judge(&self, call: &Call<'_>) -> Ruling {
        judge(self.ignore.as_ref(), &self.failure, call)
    }

    /// Whether an expression looks at the response's fields.
    pub fn sees_headers(&self) -> bool {
        let ignore = self.ignore.as_ref();
        self.failure.uses("headers") || ignore.is_some_and(|ignore| ignore.uses("headers"))
    }
}

/// What the processes of a fleet decide together about the breakers of one name (`share:`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Share {
    /// Each process decides alone.
    #[default]
    None,
    /// The trip of one process opens all.
    Verdict,
    /// The trips of so many processes open all; each one's own trip opens itself.
    Quorum(u32),
    /// Failures are counted over all processes; the trip of one opens all. For rules over failures in a row and over
    /// failures within a time alone.
    Counts,
}

/// A breaker's key: its parts are rendered per request and joined by `,`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub Vec<KeyPart>);

impl Key {
    /// Whether every call of the upstream shares one breaker.
    pub fn is_upstream(&self) -> bool {
        self.0 == [KeyPart::Upstream]
    }

    /// Whether a client can choose the key, so that `max_keys` matters.
    pub fn chosen_by_clients(&self) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, KeyPart::Header(_) | KeyPart::Path(_)))
    }
}

/// One part of a breaker's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// `{upstream}`: the upstream's name.
    Upstream,
    /// `{endpoint}`: the endpoint's authority.
    Endpoint,
    /// `{route}`: the route's name.
    Route,
    /// `{method}`: the request's method.
    Method,
    /// `{header.NAME}`: a request field's value; `-` where it is missing.
    Header(http::HeaderName),
    /// `{path.NAME}`: a path parameter's value; `-` where it is missing.
    Path(String),
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Share::None => f.write_str("none"),
            Share::Verdict => f.write_str("verdict"),
            Share::Quorum(quorum) => write!(f, "quorum: {quorum}"),
            Share::Counts => f.write_str("counts"),
        }
    }
}

/// What is done with the requests of one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Unique among the routes; its path where the file gives no name.
    pub name: Arc<str>,
    /// A path template: literal segments, `{name}` for one segment, `{*name}` for the rest. That of an application's
    /// listener is as its dialect has it.
    pub path: String,
    /// The methods it takes; `None`: all but CONNECT and TRACE.
    pub methods: Option<Vec<Method>>,
    /// The listeners it is served on; `None`: all.
    pub listeners: Option<Vec<Arc<str>>>,
    /// What is done, in order. The last step answers.
    pub steps: Vec<Step>,
}

/// One thing that a route does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Answers with what the file says.
    Respond(Respond),
    /// Passes the request to an upstream, past its breaker.
    Forward(Forward),
    /// Has the plan's application answer; the number says with what, and only its dialect knows how.
    App(usize),
}

/// A fixed answer (`respond:`).
#[derive(Debug, Clone, PartialEq)]
pub struct Respond {
    /// 200..=599. Default 200.
    pub status: StatusCode,
    /// The fields of the answer, `Content-Type` among them.
    pub headers: HeaderMap,
    /// The body; empty by default.
    pub body: Bytes,
}

/// A call to an upstream, streamed through.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Which upstream.
    pub upstream: Arc<Upstream>,
    /// The path that the upstream sees; `None`: the request's own.
    pub rewrite: Option<Rewrite>,
}

/// A path made of literals and of the route's path parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite(pub Vec<RewritePart>);

/// One part of a rewritten path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewritePart {
    /// Text as it stands.
    Literal(String),
    /// A path parameter, as the client wrote it (percent-encoding kept).
    Param(String),
}
