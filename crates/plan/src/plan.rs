//! The plan: a checked configuration, with every name resolved and every limit known.
//!
//! A [`Plan`] exists only if `check` found no error, so the gateway that runs it checks nothing again.

mod fallback;
mod field_changes;
mod route;
mod tls;
mod upstream;

use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Mode, OnOverflow, OnProbeTimeout, Settings};
use fusebox_call::{Budget, Bulkhead, GrpcCodes, Retry};
use ipnet::IpNet;

use crate::access_log::AccessLog;
use crate::failure::{Call, Failure, Ignore, Ruling, judge};
use crate::program::Program;

pub use fallback::{Facts, FallbackOn, LastGood, Rung, RungAnswer, Words};
pub use field_changes::FieldChanges;
pub use route::{Cors, Forward, HostPattern, Origins, Respond, Rewrite, RewritePart, Route, Step};
pub use tls::{Authorities, ClientAuth, KeyPair, ListenerTls, PemSource, TlsVersion, UpstreamTls};
pub use upstream::{
    Endpoint, Health, HttpVersion, Location, Timeout, Upstream, UpstreamHost, WeightedEndpoint,
};

/// The complete behaviour of a gateway, read from one or more configuration files.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The addresses on which clients connect; empty only if a Mule application's flows are all started by schedulers
    /// or queues.
    pub listeners: Vec<Arc<Listener>>,
    /// The admin API's own address; `None` if the file has no section.
    pub admin: Option<Admin>,
    /// The store of state; `None` if the file has no section.
    pub store: Option<Store>,
    /// This process's identity in a fleet; `None` if the file has no section.
    pub fleet: Option<Fleet>,
    /// The access log; `None` writes no line.
    pub access_log: Option<AccessLog>,
    /// Limits on the cost of a client or an upstream.
    pub limits: Limits,
    /// The services behind the gateway, in the order of the file; names are unique.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The breakers before the application's own requests, by the order of the file; names and targets are unique. Empty
    /// without an application.
    pub guards: Vec<Arc<Guard>>,
    /// The breakers without an upstream, in the order of the file; their names differ from the upstreams'.
    pub breakers: Vec<Arc<ServiceBreaker>>,
    /// The routes, by the order of the file; routes of one path differ in their
    /// methods or listeners.
    pub routes: Vec<Arc<Route>>,
    /// The application of another dialect that runs the routes' [`Step::App`]; `None` for the native form.
    pub app: Option<Arc<dyn Program>>,
}

impl Plan {
    /// The plan's program as its dialect's own type; `None` without a program, or with another dialect's.
    pub fn program<T: Program>(&self) -> Option<Arc<T>> {
        let program: Arc<dyn Any + Send + Sync> = self.app.clone()?;
        program.downcast().ok()
    }
}

/// An address on which clients connect.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// The listener's name, unique among the listeners; `default` for the short form `listen:`.
    pub name: Arc<str>,
    /// The address and port to bind; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are believed; empty by default.
    pub trusted_proxies: Vec<IpNet>,
    /// `paths.encoded_slash`: true to forward paths with `%2F`; by default they are refused (400).
    pub encoded_slash_allowed: bool,
    /// `paths.double_slash`: true to forward paths with `//`; by default they are refused (400).
    pub double_slash_allowed: bool,
    /// The rules that route its requests, and that answer a request without a route.
    pub manner: Manner,
    /// The TLS of its connections; `None`: they are plain.
    pub tls: Option<ListenerTls>,
    /// `http2`: the use of HTTP/2; `None`: [`Http2::Auto`] with `tls`, [`Http2::Off`] without.
    pub http2: Option<Http2>,
}

impl Listener {
    /// True if a route is served on this listener.
    pub fn serves(&self, route: &Route) -> bool {
        let listeners = route.listeners.as_ref();
        listeners.is_none_or(|names| names.contains(&self.name))
    }

    /// The use of HTTP/2, chosen or by default.
    pub fn http2(&self) -> Http2 {
        let default = match self.tls {
            Some(_) => Http2::Auto,
            None => Http2::Off,
        };
        self.http2.unwrap_or(default)
    }
}

/// The use of HTTP/2 towards a listener's clients (`http2:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2 {
    /// `auto`: where a client chooses it in the TLS handshake (ALPN).
    Auto,
    /// `cleartext`: where a client begins a plain connection with it (prior knowledge).
    Cleartext,
    /// `off`: clients are served over HTTP/1.1 alone.
    Off,
}

impl Http2 {
    /// All values in the order of the key's words.
    pub const ALL: [Http2; 3] = [Http2::Auto, Http2::Cleartext, Http2::Off];

    /// The word of the native form.
    pub fn as_str(self) -> &'static str {
        match self {
            Http2::Auto => "auto",
            Http2::Cleartext => "cleartext",
            Http2::Off => "off",
        }
    }
}

/// The rules by which a listener's requests find their route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Fusebox's own: the most specific path wins, whatever the method.
    Native,
    /// The application's: its dialect's rules for paths and methods.
    App,
}

/// The admin API's address and token.
#[derive(Clone, PartialEq)]
pub struct Admin {
    /// The address and port to bind.
    pub addr: SocketAddr,
    /// The bearer token that requests must carry; required away from loopback.
    pub token: Option<Secret>,
    /// A bearer token that may only read; there is one only beside `token`.
    pub read_token: Option<Secret>,
    /// The token that may ask breakers and report to them (`/api/v1/calls`), and nothing else; `None`: there is none.
    pub service_token: Option<Secret>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

/// A text that no log, error or dump may show: it implements no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret text itself, for the one use that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The place of objects and breaker records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In the process's memory; lost when it ends.
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
    /// The server's URL, which may contain a password.
    pub url: Secret,
    /// `prefix`: the beginning of all keys; `None`: the URL's, or `fusebox:` if the URL has none.
    pub prefix: Option<String>,
    /// `timeout`: the longest duration of an operation; `None`: the URL's, or 250 ms if the URL has none.
    pub timeout: Option<Duration>,
    /// `path`: the data directory of the breaker records; `None`: an embedded store's default.
    pub path: Option<PathBuf>,
}

/// The identity of this process among those that share breakers (`fleet:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// `node`: the process's name, unique in the fleet; `None`: the machine's name with a random suffix, which is drawn
    /// once and stored in the data directory.
    pub node: Option<String>,
}

/// Limits, each with a default, on the cost of one client or upstream (`limits:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `connections`: open client connections per listener; above it a client gets 503. Default 10,000.
    pub connections_max: usize,
    /// `head`: bytes of a request or response head; above it 431 (a client) or 502 (an upstream). Default 64 KiB.
    pub head_bytes_max: usize,
    /// `fields`: header fields in a head; above it 431 or 502. Default 100.
    pub head_fields_max: usize,
    /// `first_byte`: the time from the connection to its first byte. Default 10 s.
    pub first_byte_timeout: Duration,
    /// `head_timeout`: the time from a request's first byte to the end of its head; after it 408. Default 10 s.
    pub head_timeout: Duration,
    /// `keep_alive`: the time after which an idle client connection is closed. Default 75 s.
    pub keep_alive_timeout: Duration,
    /// `body_rate`: the slowest rate at which a client may send a body, in bytes per second, measured after the first
    /// 10 s; a slower client gets 408. Default 1 KiB/s.
    pub body_rate_min: u64,
    /// `request_body`: the largest request body, in bytes; above it 413. Default: unlimited.
    pub request_body_max: Option<u64>,
    /// `streams`: requests at once on one HTTP/2 connection; those above it are refused. Default 100.
    pub streams_max: u32,
    /// `stream_stall`: the time for which an HTTP/2 client may read nothing of an answer that waits for it; after it the
    /// stream is reset. Default 30 s.
    pub stream_stall_timeout: Duration,
    /// `stream_resets`: streams that an HTTP/2 client may reset before they have begun; above it the connection ends.
    /// Default 50.
    pub stream_resets_max: usize,
    /// `stream_errors`: streams of one HTTP/2 connection that are reset for a client's faults; above it the connection
    /// ends. Default 1,000.
    pub stream_errors_max: usize,
    /// `control_frames`: HTTP/2 frames per second that carry no request and no data, measured over 10 s; above it the
    /// connection ends. Default 1,000.
    pub control_frames_rate: u32,
    /// `upgrade_idle`: the time after which an upgraded connection without traffic is closed. Default 10 min.
    pub upgrade_idle_timeout: Duration,
    /// `drain`: the time for requests in flight to finish at shutdown. Default 30 s.
    pub drain_timeout: Duration,
    /// `drain_delay`: the time at shutdown in which requests are still accepted, while `/readyz` answers 503. Default
    /// 0.
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
            streams_max: 100,
            stream_stall_timeout: Duration::from_secs(30),
            stream_resets_max: 100,
            stream_errors_max: 1000,
            control_frames_rate: 1000,
            upgrade_idle_timeout: Duration::from_secs(600),
            drain_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
        }
    }
}

/// A breaker before the requests that an application makes to one target (`upstreams.NAME` beside an application).
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// The upstream's key in the file: the name of its breaker, or what those of a keyed one begin with.
    pub name: Arc<str>,
    /// The full names of the application's targets ([`Target`](crate::Target)), one at least: all that are the same
    /// service at the same address.
    pub targets: Vec<Arc<str>>,
    /// Bounds on the times that the application gives its calls.
    pub timeout: TimeoutBounds,
    /// `retry`: the repeats of a failed attempt; `None`: the application's own alone.
    pub retry: Option<Retry>,
    /// `retry.budget`: the retries that are afforded.
    pub budget: Budget,
    /// `bulkhead`: the bound on calls in flight; `None`: no bound.
    pub bulkhead: Option<Bulkhead>,
    /// The breaker; without a `breaker:` key its mode is `disabled`.
    pub breaker: Breaker,
}

impl Guard {
    /// The target as the application has it, with all that this guard puts before it and within its times.
    pub fn before(&self, target: Upstream) -> Upstream {
        Upstream {
            timeout: self.timeout.within(&target.timeout),
            retry: self.retry.clone(),
            budget: self.budget,
            bulkhead: self.bulkhead.clone(),
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
    /// From the first attempt to the final answer's head.
    pub total: Option<Duration>,
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
            total: self.total.into_iter().chain(times.total).min(),
            idle: shorter(times.idle, self.idle),
        }
    }
}

/// A breaker without an upstream, for programs that ask and report over the admin API (`breakers.NAME`).
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceBreaker {
    /// The breaker's name.
    pub name: Arc<str>,
    /// The breaker; its key is the default one, and reports say what failed.
    pub breaker: Breaker,
}

/// The breaker before an upstream (`breaker:`).
#[derive(Debug, Clone, PartialEq)]
pub struct Breaker {
    /// The settings of the breaker's state machine.
    pub settings: Settings,
    /// The template that assigns calls to breakers (`key:`); by default one breaker for the upstream.
    pub key: Key,
    /// `max_keys`: the most keys with a breaker of their own. Default 10,000.
    pub keys_max: usize,
    /// `idle_after`: the time without calls after which a key may be evicted for a new one, even with failures in its
    /// windows. `None`: the registry's default.
    pub idle_after: Option<Duration>,
    /// `on_overflow`: the handling of calls whose key finds no room. Default: they share a breaker.
    pub on_overflow: OnOverflow,
    /// The rule for ignored calls (`ignore:`), evaluated before `failure`; by default none is ignored.
    pub ignore: Option<Ignore>,
    /// The rule for failed calls (`failure:`).
    pub failure: Failure,
    /// The statuses of gRPC that fail where `failure` is not set: `grpc.failure` of the upstream.
    pub grpc_failure: GrpcCodes,
    /// `failure_body`: the most bytes of the body that the failure expression sees; `None`: no body.
    pub failure_body_max: Option<usize>,
    /// `settle`: the time after which a good body that still flows counts as a success. Default 5 s.
    pub settle: Duration,
    /// `share`: the sharing of decisions over a fleet. Default: none.
    pub share: Share,
    /// `half_open.probe`: the calls that find out whether the upstream is back. Default: requests.
    pub probe: Probe,
}

/// The calls that probe while a breaker is half-open (`half_open.probe:`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Probe {
    /// `request`: requests of clients.
    #[default]
    Request,
    /// `health`: health checks; no request is let through until the breaker is closed.
    Health,
}

impl Breaker {
    /// A breaker that counts nothing and refuses nothing (`mode: disabled`). `request` is the upstream's
    /// `timeout.request`.
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
            grpc_failure: GrpcCodes::FAILURES,
            failure_body_max: None,
            settle: Duration::from_secs(5),
            share: Share::None,
            probe: Probe::Request,
        }
    }

    /// Decides the outcome of a call: ignored if `ignore` matches it, otherwise by `failure`. Each expression is
    /// evaluated at most once, as in [`Failure::judge`].
    pub fn judge(&self, call: &Call<'_>) -> Ruling {
        judge(self.ignore.as_ref(), &self.failure, self.grpc_failure, call)
    }

    /// True if an expression uses the response's fields.
    pub fn sees_headers(&self) -> bool {
        let ignore = self.ignore.as_ref();
        self.failure.uses("headers") || ignore.is_some_and(|ignore| ignore.uses("headers"))
    }
}

/// The sharing of decisions about the breakers of one name over a fleet (`share:`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Share {
    /// Every process decides alone.
    #[default]
    None,
    /// A trip of one process opens all.
    Verdict,
    /// Trips of this many processes open all; a process's own trip opens its own breaker at once.
    Quorum(u32),
    /// Failures are counted over all processes, and a trip of one opens all. Only for rules over consecutive failures
    /// and over failures within a time.
    Counts,
}

/// A breaker's key: its parts are rendered for each request and joined by `,`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub Vec<KeyPart>);

impl Key {
    /// True if all calls of the upstream share one breaker.
    pub fn is_upstream(&self) -> bool {
        self.0 == [KeyPart::Upstream]
    }

    /// True if a client can choose the key, so that `max_keys` matters.
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
    /// `{header.NAME}`: a request field's value; `-` if it is missing.
    Header(http::HeaderName),
    /// `{path.NAME}`: a path parameter's value; `-` if it is missing.
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
