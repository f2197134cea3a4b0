//! Routes: the requests that each takes, and its way with them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_call::{Bulkhead, Retry};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{FieldChanges, Rung, Upstream};

/// The handling of requests with one path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Route {
    /// The route's name, unique among the routes; by default its path.
    pub name: Arc<str>,
    /// `host`: the hosts that it matches; `None`: all. The most specific host is asked first.
    pub host: Option<HostPattern>,
    /// A path template: literal segments, `{name}` for one segment, `{*name}` for the rest. On an application's
    /// listener the template follows its dialect.
    pub path: String,
    /// The methods that it matches; `None`: all but CONNECT and TRACE.
    pub methods: Option<Vec<Method>>,
    /// `headers`: the fields that a request must have, all of them with exactly these values. Empty by default. Of two
    /// routes of one host and path, that with more of them is asked first.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The listeners that serve it; `None`: all.
    pub listeners: Option<Vec<Arc<str>>>,
    /// `max_concurrency`: the most requests in flight; one more is refused, and goes to the ladder. `None`: no bound.
    pub concurrency_max: Option<usize>,
    /// `request`: the changes to the fields of requests to the route's own upstream. By default none.
    pub request: FieldChanges,
    /// `response`: the changes to the fields of every answer of the route. By default none.
    pub response: FieldChanges,
    /// `cors`: the scripts of other origins that may read the answers; `None`: the upstream alone says.
    pub cors: Option<Cors>,
    /// The steps, in order. The last step answers.
    pub steps: Vec<Step>,
}

/// An action of a route.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Answers with a fixed response.
    Respond(Respond),
    /// Forwards the request to an upstream, through its breaker.
    Forward(Forward),
    /// Runs the plan's application, which answers; the number has a meaning to its dialect alone.
    App(usize),
}

/// A fixed answer (`respond:`).
#[derive(Debug, Clone, PartialEq)]
pub struct Respond {
    /// The status, 200..=599. Default 200.
    pub status: StatusCode,
    /// The fields of the answer, including `Content-Type`.
    pub headers: HeaderMap,
    /// The body; empty by default.
    pub body: Bytes,
    /// The body as the plan's JSON shows it, without what came from variables and files; `None`: as it is.
    pub body_shown: Option<String>,
}

/// A call to an upstream, streamed in both directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// The upstream that is called.
    pub upstream: Arc<Upstream>,
    /// The path that the upstream receives; `None`: the request's own.
    pub rewrite: Option<Rewrite>,
    /// `retry`: takes the place of the upstream's; `None`: the upstream's. The budget is always the upstream's.
    pub retry: Option<Retry>,
    /// `fallback`: takes the place of the upstream's ladder; `None`: the upstream's.
    pub fallback: Option<Vec<Rung>>,
    /// `bulkhead`: takes the place of the upstream's, with places of its own; `None`: the upstream's.
    pub bulkhead: Option<Bulkhead>,
}

impl Forward {
    /// A forward to an upstream, with all that it says and the request's own path.
    pub fn to(upstream: Arc<Upstream>) -> Forward {
        Forward {
            upstream,
            rewrite: None,
            retry: None,
            fallback: None,
            bulkhead: None,
        }
    }

    /// The repeats of a failed attempt: the route's, else the upstream's.
    pub fn retry(&self) -> Option<&Retry> {
        self.retry.as_ref().or(self.upstream.retry.as_ref())
    }

    /// The ladder: the route's, else the upstream's.
    pub fn fallback(&self) -> &[Rung] {
        self.fallback.as_ref().unwrap_or(&self.upstream.fallback)
    }

    /// The bound on calls in flight: the route's, else the upstream's.
    pub fn bulkhead(&self) -> Option<&Bulkhead> {
        self.bulkhead.as_ref().or(self.upstream.bulkhead.as_ref())
    }
}

/// A path made of literals and of the route's path parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite(pub Vec<RewritePart>);

/// One part of a rewritten path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewritePart {
    /// A literal text, not changed.
    Literal(String),
    /// A path parameter's value as the client wrote it, with its percent-encoding.
    Param(String),
}

/// The hosts that a route matches (`host:`), compared in lower case without the port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name or address, in lower case; an IPv6 address is in brackets.
    Exact(String),
    /// `*.SUFFIX`: every name below the suffix, at any depth, and not the suffix itself. Here it begins with the dot.
    Below(String),
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// The scripts of other origins that may read a route's answers (`cors:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// `origins`: the origins that are let in.
    pub origins: Origins,
    /// `methods`: the methods that a preflight allows; `None`: those of the route.
    pub methods: Option<Vec<Method>>,
    /// `headers`: the request's fields that a preflight allows. Empty by default.
    pub headers: Vec<HeaderName>,
    /// `credentials`: true to allow cookies and other credentials. Default: false.
    pub credentials: bool,
    /// `max_age`: the time for which a browser may keep a preflight's answer; `None`: the browser's own.
    pub max_age: Option<Duration>,
}

/// The origins that `cors:` lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// `*`: every origin, without credentials.
    All,
    /// These, in lower case, such as `https://app.example.com`.
    These(Vec<String>),
}
