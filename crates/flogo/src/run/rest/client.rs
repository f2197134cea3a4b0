//! One request to another service, on the worker's pooled connections.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_gateway::parts::{
    Connection, Connector, Desk, ErrorKind, Keeping, NoConnection, Outgoing, Pool, Unconnected,
    UpstreamError, UpstreamErrors, guard, is_idempotent,
};
use fusebox_plan::CallError;
use fusebox_plan::plan::{Endpoint, Limits};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tokio_rustls::rustls::ClientConfig;

use super::answer::{Answer, Body};
use crate::{RestActivity, RestTls};

/// How long connecting may take, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Idle connections kept per worker, and for how long.
const KEEPING: Keeping = Keeping {
    idle_max: 512,
    idle_timeout: Duration::from_secs(30),
    max_age: Duration::from_secs(300),
};

/// Sends requests to one endpoint, for all services that reach it in the same way.
#[derive(Debug)]
pub struct Client {
    home: Endpoint,
    proxy: Option<Endpoint>,
    trust: RestTls,
    limits: Limits,
    tls: TlsSource,
    pools: Arc<[Arc<Pool>]>,
}

/// Where the TLS configuration comes from: redirects may need one where the service itself does not.
#[derive(Clone)]
pub struct TlsSource(pub Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>);

impl std::fmt::Debug for TlsSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsSource")
    }
}

/// What is asked of another service.
#[derive(Debug, Clone)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// Whom.
    pub endpoint: Endpoint,
    /// Path and query.
    pub target: String,
    /// The fields, without those that belong to the connection.
    pub headers: HeaderMap,
    /// The body; `None`: there is none, which is not the same as an empty one.
    pub body: Option<Bytes>,
}

impl Question {
    /// The URL that is asked for.
    pub fn url(&self) -> String {
        let scheme = if self.endpoint.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.endpoint.authority, self.target)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The network's or the other side's fault; the cause in Go's words.
    Network(String),
    /// Ours: there was nothing left to connect with.
    Ours,
}

impl Client {
    /// A client for a service and others like it. Connections are made when they are needed.
    ///
    /// # Errors
    /// If a host is no name that a certificate could bear.
    pub fn new(
        plan: &RestActivity,
        limits: &Limits,
        tls: TlsSource,
        workers: usize,
    ) -> Result<Client, String> {
        let mut client = Client {
            home: plan.endpoint.clone(),
            proxy: plan.proxy.clone(),
            trust: plan.tls.clone(),
            limits: limits.clone(),
            tls,
            pools: Arc::new([]),
        };
        let connector = client.connector(&client.home)?;
        let pool = || Pool::new(connector.clone(), KEEPING);
        client.pools = (0..workers.max(1)).map(|_| pool()).collect();
        Ok(client)
    }

    /// Whether a service can use it.
    pub fn serves(&self, plan: &RestActivity, limits: &Limits) -> bool {
        self.home == plan.endpoint
            && self.proxy == plan.proxy
            && self.trust == plan.tls
            && self.limits == *limits
    }

    /// The URL of its endpoint.
    pub fn url(&self) -> String {
        self.home.url()
    }

    /// The idle connections of all workers.
    pub fn idle_connections(&self) -> usize {
        self.pools.iter().map(|pool| pool.idle_count()).sum()
    }

    fn connector(&self, endpoint: &Endpoint) -> Result<Connector, String> {
        let connector = Connector::new(endpoint, CONNECT_MAX, &self.limits, || (self.tls.0)())?;
        match &self.proxy {
            Some(proxy) => connector.through(proxy, || (self.tls.0)()),
            None => Ok(connector),
        }
    }

    /// A worker's connections.
    pub fn pool(&self, worker: usize) -> &Arc<Pool> {
        &self.pools[worker % self.pools.len()]
    }

    /// Sends a request and waits for the head of its answer, at most `timeout`. Why there is none is told to `errors`.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask(
        &self,
        question: &Question,
        timeout: Option<Duration>,
        desk: &Desk,
        errors: &UpstreamErrors,
    ) -> Result<Answer, NoAnswer> {
        let mut request = self.request(question)?;
        let compressed = wants_compression(&mut request);
        let home = self.home == question.endpoint;
        let pool = if home {
            self.pool(desk.worker).clone()
        } else {
            // Led elsewhere: a connection of its own, which nobody else will want.
            let connector = self
                .connector(&question.endpoint)
                .map_err(NoAnswer::Network)?;
            Pool::new(connector, KEEPING.of_none())
        };
        let sent = self.send(&pool, request, timeout, desk).await;
        let sent = sent.map_err(|failed| failed.told(errors, desk));
        let (response, connection) = sent?;
        if !guard::response_is_sound(&response) {
            errors.note(&UpstreamError::ambiguous_head(), desk.clock.exact());
            return Err(malformed());
        }
        let (mut parts, inner) = response.into_parts();
        let gzip = compressed
            && parts
                .headers
                .get(CONTENT_ENCODING)
                .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"));
        if gzip {
            parts.headers.remove(CONTENT_ENCODING);
            parts.headers.remove(CONTENT_LENGTH);
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: Body::new(inner, connection, gzip),
        })
    }

    fn request(&self, question: &Question) -> Result<Request<Outgoing>, NoAnswer> {
        // A proxy is asked for the whole URL, but within a tunnel nobody knows of it.
        let absolute = self.proxy.is_some() && !question.endpoint.tls;
        let target = if absolute {
            question.url()
        } else {
            question.target.clone()
        };
        let body = match &question.body {
            Some(bytes) => Outgoing::Fixed((!bytes.is_empty()).then(|| bytes.clone())),
            None => Outgoing::Empty,
        };
        let request = Request::builder()
            .method(question.method.clone())
            .uri(target)
            .body(body);
        let mut request = request.map_err(|error| NoAnswer::Network(error.to_string()))?;
        let headers = request.headers_mut();
        headers.clone_from(&question.headers);
        let host = HeaderValue::from_str(&question.endpoint.authority);
        headers.insert(HOST, host.expect("a checked authority is a field value"));
        if let Some(body) = &question.body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        Ok(request)
    }

    /// Sends the request, on an idle connection if there is one. One that the other side had closed
    /// already says nothing: the request goes out once more on a new connection if none of it was
    /// sent, or if it is a GET, whose repetition does no harm.
    async fn send(
        &self,
        pool: &Arc<Pool>,
        mut request: Request<Outgoing>,
        timeout: Option<Duration>,
        desk: &Desk,
    ) -> Result<(Response<Incoming>, Connection), Unanswered> {
        if let Some(mut connection) = pool.reuse(desk.clock.tick(), is_idempotent(request.method()))
        {
            let again = (*request.method() == Method::GET).then(|| {
                let mut again = Request::new(Outgoing::Empty);
                *again.uri_mut() = request.uri().clone();
                again.headers_mut().clone_from(request.headers());
                again
            });
            match attempt(&mut connection, request, timeout).await {
                Ok(response) => return Ok((response, connection)),
                Err(Attempt::NotSent(unsent, _)) => request = *unsent,
                Err(Attempt::Cut(cut)) => request = again.ok_or(cut)?,
                Err(Attempt::Failed(failed)) => return Err(failed),
            }
        }
        let connected = pool.open().await;
        let mut connection = connected.map_err(|failed| Unanswered {
            answer: unconnected(&failed, &self.home),
            why: failed.cause,
        })?;
        match attempt(&mut connection, request, timeout).await {
            Ok(response) => Ok((response, connection)),
            Err(Attempt::NotSent(_, why)) => Err(Unanswered {
                answer: NoAnswer::Network("EOF".into()),
                why,
            }),
            Err(Attempt::Cut(failed) | Attempt::Failed(failed)) => Err(failed),
        }
    }
}

async fn attempt(
    connection: &mut Connection,
    request: Request<Outgoing>,
    timeout: Option<Duration>,
) -> Result<Response<Incoming>, Attempt> {
    let response = connection.sender.try_send_request(request);
    let result = match timeout {
        None => response.await,
        Some(timeout) => match tokio::time::timeout(timeout, pin!(response)).await {
            Ok(result) => result,
            Err(_) => {
                let cause = "net/http: timeout awaiting response headers";
                return Err(Attempt::Failed(Unanswered {
                    answer: NoAnswer::Network(cause.into()),
                    why: UpstreamError::no_head(),
                }));
            }
        },
    };
    let sender = &connection.sender;
    if result.is_ok() {
        sender.answered();
    }
    result.map_err(|mut failure| {
        let why = sender.why(failure.error());
        if let Some(unsent) = failure.take_message() {
            return Attempt::NotSent(Box::new(unsent), why);
        }
        let error = failure.error();
        if error.is_parse() {
            let answer = malformed();
            return Attempt::Failed(Unanswered { answer, why });
        }
        let answer = NoAnswer::Network(match why.kind {
            ErrorKind::Tls => format!("remote error: tls: {}", why.word),
            _ => cut(error),
        });
        Attempt::Cut(Unanswered { answer, why })
    })
}

/// Why there is no answer, in Go's words and by kind.
struct Unanswered {
    answer: NoAnswer,
    why: UpstreamError,
}

impl Unanswered {
    fn told(self, errors: &UpstreamErrors, desk: &Desk) -> NoAnswer {
        errors.note(&self.why, desk.clock.exact());
        self.answer
    }
}

/// Why one try on one connection gave no answer.
enum Attempt {
    /// Nothing of the request was written, and why.
    NotSent(Box<Request<Outgoing>>, UpstreamError),
    /// The connection ended before any of the answer came; how.
    Cut(Unanswered),
    /// It failed for good.
    Failed(Unanswered),
}

/// Asks for compression where the caller leaves it to us, so that undoing it is ours too.
fn wants_compression(request: &mut Request<Outgoing>) -> bool {
    let headers = request.headers_mut();
    if headers.contains_key(ACCEPT_ENCODING) || headers.contains_key(RANGE) {
        return false;
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    true
}

fn malformed() -> NoAnswer {
    NoAnswer::Network(
        "net/http: HTTP/1.x transport connection broken: malformed HTTP response".into(),
    )
}

fn cut(error: &hyper::Error) -> String {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            format!("read: {}", words(error))
        }
        _ => "EOF".into(),
    }
}

/// Why there is no connection, in Go's words.
fn unconnected(failed: &NoConnection, endpoint: &Endpoint) -> NoAnswer {
    let host = match failed.address {
        Some(address) => address.to_string(),
        None => format!("{}:{}", endpoint.host, endpoint.port),
    };
    let error = &failed.error;
    NoAnswer::Network(match failed.why {
        Unconnected::Exhausted => return NoAnswer::Ours,
        Unconnected::Upstream(CallError::Tls) => format!("tls: {}", words(error)),
        _ if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() => {
            format!("dial tcp {host}: i/o timeout")
        }
        _ if failed.address.is_none() => {
            format!("dial tcp: lookup {}: no such host", endpoint.host)
        }
        _ if error.raw_os_error().is_some() => {
            format!("dial tcp {host}: connect: {}", words(error))
        }
        _ => format!("dial tcp {host}: {}", words(error)),
    })
}

/// A system's message without its number, begun in lower case.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text.to_owned(),
    }
}
