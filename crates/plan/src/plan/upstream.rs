//! Upstreams: the services behind the gateway, with all that stands between a route and one attempt.

use std::sync::Arc;
use std::time::Duration;

use fusebox_call::{Balance, Budget, Bulkhead, Ejection, Hedge, Retry};
use http::HeaderValue;

use super::{Breaker, FallbackOn, FieldChanges, Key, LastGood, Rung, UpstreamTls};
use crate::failure::Expect;

/// A service behind the gateway, with the breaker before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// The upstream's name, unique among the upstreams; the breaker's name begins with it.
    pub name: Arc<str>,
    /// The addresses of the service; at least one, each once.
    pub endpoints: Vec<WeightedEndpoint>,
    /// `balance`: the choice among the endpoints. Default: round robin.
    pub balance: Balance,
    /// `balance.hash`: the template of the text that [`Balance::Hash`] chooses by; `Some` exactly for that balancer.
    pub hash_key: Option<Key>,
    /// `ejection`: the rule by which an endpoint that fails gets no calls for a while; `None`: off. On by default
    /// exactly if there may be several endpoints ([`has_several`](Upstream::has_several)).
    pub ejection: Option<Ejection>,
    /// `health`: the active checks of each endpoint; `None`: no checks.
    pub health: Option<Health>,
    /// `resolve`: the time after which a looked-up name is looked up again, with each of its addresses an endpoint;
    /// `None`: names are looked up at each connection, and each is one endpoint.
    pub resolve: Option<Duration>,
    /// `tls`: the TLS of `https` endpoints; `None`: the system's authorities, and no certificate of ours.
    pub tls: Option<UpstreamTls>,
    /// `http`: the version of HTTP that is spoken to the endpoints. Default: by ALPN.
    pub http: HttpVersion,
    /// `host`: the `Host` of requests to it. Default: the address's own.
    pub host: UpstreamHost,
    /// `location`: the treatment of its redirects to itself. Default: they point to the gateway.
    pub location: Location,
    /// The limits on a call's duration.
    pub timeout: Timeout,
    /// `pool.idle`: idle connections kept per worker thread. Default 64.
    pub pool_idle_max: usize,
    /// `pool.idle_timeout`: the time after which an idle connection is closed; choose less than the upstream's own.
    /// Default 30 s.
    pub pool_idle_timeout: Duration,
    /// `pool.max_age`: the age after which a connection is not used again. Default 5 min.
    pub pool_max_age: Duration,
    /// `bulkhead`: the bound on calls in flight; `None`: no bound.
    pub bulkhead: Option<Bulkhead>,
    /// `request`: the changes to the fields of every request to this upstream, as a rung too, after the route's.
    pub request: FieldChanges,
    /// The breaker; without a `breaker:` key its mode is `disabled`.
    pub breaker: Breaker,
    /// `retry`: the repeats of a failed attempt; `None`: no repeats. A route's own takes its place.
    pub retry: Option<Retry>,
    /// `retry.budget`: the retries and hedges that are afforded, those of all routes together.
    pub budget: Budget,
    /// `hedge`: one more attempt for a GET or HEAD that waits; `None`: no such attempt.
    pub hedge: Option<Hedge>,
    /// `fallback`: the ladder of answers to a call that was refused or failed. Empty by default. A route's own takes its
    /// place.
    pub fallback: Vec<Rung>,
    /// `fallback_on`: the calls that the ladder answers, by a route's ladder too.
    pub fallback_on: FallbackOn,
    /// `last_good`: the store of the rungs `last_good` for this upstream, whether they are its own or a route's.
    pub last_good: LastGood,
}

impl Upstream {
    /// An upstream at one address, with all defaults and without a breaker.
    pub fn new(name: Arc<str>, endpoint: Endpoint) -> Upstream {
        let timeout = Timeout::default();
        Upstream {
            name,
            endpoints: vec![WeightedEndpoint::from(endpoint)],
            balance: Balance::default(),
            hash_key: None,
            ejection: None,
            health: None,
            resolve: None,
            tls: None,
            http: HttpVersion::default(),
            host: UpstreamHost::default(),
            location: Location::default(),
            breaker: Breaker::disabled(timeout.request),
            timeout,
            pool_idle_max: 64,
            pool_idle_timeout: Duration::from_secs(30),
            pool_max_age: Duration::from_secs(300),
            bulkhead: None,
            request: FieldChanges::default(),
            retry: None,
            budget: Budget::default(),
            hedge: None,
            fallback: Vec::new(),
            fallback_on: FallbackOn::default(),
            last_good: LastGood::default(),
        }
    }

    /// The same upstream with at most `most` calls at once, each until its tunnel ends; none waits.
    #[must_use]
    pub fn at_most(self, most: usize) -> Upstream {
        let bulkhead = Bulkhead {
            streams_max: 0,
            ..Bulkhead::of_route(most)
        };
        Upstream {
            bulkhead: Some(bulkhead),
            ..self
        }
    }

    /// The first of the endpoints, which is the only one of most upstreams.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoints[0].endpoint
    }

    /// True if calls may have a choice: several addresses in the file, or a name whose addresses are looked up.
    pub fn has_several(&self) -> bool {
        let is_name = |it: &WeightedEndpoint| it.endpoint.host.parse::<std::net::IpAddr>().is_err();
        self.endpoints.len() > 1 || (self.resolve.is_some() && self.endpoints.iter().any(is_name))
    }
}

/// An endpoint and its share of the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedEndpoint {
    /// The address of this endpoint.
    pub endpoint: Endpoint,
    /// `weight`: its share of the calls, in relation to the weights of the others; 1..=1000. Default 1.
    pub weight: u32,
}

impl From<Endpoint> for WeightedEndpoint {
    fn from(endpoint: Endpoint) -> WeightedEndpoint {
        WeightedEndpoint {
            endpoint,
            weight: 1,
        }
    }
}

/// The version of HTTP that is spoken to an upstream (`http:`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// `1`: HTTP/1.1 alone.
    One,
    /// `2`: HTTP/2; in cleartext with prior knowledge, and over TLS nothing else is accepted.
    Two,
    /// `auto`, the default: over TLS what ALPN chooses, in cleartext HTTP/1.1.
    #[default]
    Auto,
}

impl HttpVersion {
    /// The value in a file.
    pub const fn as_str(self) -> &'static str {
        match self {
            HttpVersion::One => "1",
            HttpVersion::Two => "2",
            HttpVersion::Auto => "auto",
        }
    }

    /// The version that a file's value names; `None`: it names none.
    pub fn named(text: &str) -> Option<HttpVersion> {
        let all = [HttpVersion::One, HttpVersion::Two, HttpVersion::Auto];
        all.into_iter().find(|version| version.as_str() == text)
    }
}

/// The `Host` of requests to an upstream, and their `:authority` in HTTP/2 (`host:`). The TLS of the connection asks for
/// the name of its URL, or of `tls.name`, whatever this is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UpstreamHost {
    /// `upstream`, the default: the host of the endpoint's URL, with its port unless that is the scheme's own.
    #[default]
    Own,
    /// `preserve`: the client's, as it came; the endpoint's own where a request has none.
    Preserved,
    /// This name or address, in lower case, with the port that the file has; an IPv6 address is in brackets.
    Named(HeaderValue),
}

/// The treatment of an upstream's redirects to itself (`location:`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Location {
    /// `rewrite`, the default: they point to the gateway.
    #[default]
    Rewrite,
    /// `keep`: they are passed on as they are.
    Keep,
}

/// The active checks of an upstream's endpoints (`health:`).
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// `path`: the path that a GET asks for, with its query, below the endpoint's own path.
    pub path: String,
    /// True if a variable or a file gave a part of the path, so that the plan's JSON does not show it.
    pub is_path_hidden: bool,
    /// `grpc`: asks by the health service of gRPC for this `service`, and not for the path; empty: for the server as a
    /// whole. `None`: asks for the path.
    pub grpc: Option<Arc<str>>,
    /// `interval`: the time from one check of an endpoint to the next, at most one in flight. Default 5 s.
    pub interval: Duration,
    /// `timeout`: the time after which a check without an answer has failed. Default 1 s.
    pub timeout: Duration,
    /// `rise`: the good checks in a row after which an unhealthy endpoint is healthy. Default 2.
    pub rise: u32,
    /// `fall`: the failed checks in a row after which an endpoint is unhealthy. Default 3.
    pub fall: u32,
    /// `expect`: the rule for a good answer. Default: status 200.
    pub expect: Expect,
    /// `jitter`: the largest part of `interval` by which a check comes earlier or later, 0 to 1. Default 0.2.
    pub jitter: f64,
}

impl Health {
    /// Checks that ask for a path, with all defaults.
    pub fn at(path: String) -> Health {
        Health {
            path,
            is_path_hidden: false,
            grpc: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            expect: Expect::default(),
            jitter: 0.2,
        }
    }
}

/// One address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// True for a TLS connection (`https`).
    pub tls: bool,
    /// A host name or an IP literal, without brackets.
    pub host: String,
    /// The port, 1..=65535; by default 80 or 443.
    pub port: u16,
    /// The value of the `Host` field: the host, with the port unless it is the scheme's own.
    pub authority: String,
    /// The URL's path without a trailing slash, prepended to every request's path. May be empty.
    pub base_path: String,
}

/// The limits on a call's duration (`timeout:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeout {
    /// The time to connect, TLS included. Default 5 s.
    pub connect: Duration,
    /// The time from the later of "request fully sent" and "last wait for the client" to the response's head. Default
    /// 30 s.
    pub request: Duration,
    /// The time from the first attempt to the head of the final answer, less the time spent waiting for the client;
    /// `None`: `request`.
    pub total: Option<Duration>,
    /// The longest gap in the upstream's body. Default 60 s.
    pub idle: Duration,
}

impl Default for Timeout {
    fn default() -> Timeout {
        Timeout {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
            total: None,
            idle: Duration::from_secs(60),
        }
    }
}

impl Timeout {
    /// The time that a call has for all its attempts: `total`, by default `request`.
    pub fn of_call(&self) -> Duration {
        self.total.unwrap_or(self.request)
    }
}
