//! Sends the requests of flows, on connections of the worker that runs them.
//!
//! The exchange as a whole has one limit of time. A connection that the other side closes before it
//! has answered is nothing a flow hears of, as long as the request may be repeated.

mod jar;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fusebox_gateway::parts::{
    Connection, Connector, Desk, ErrorKind, Keeping, NoConnection, Outgoing, Pool, RequestMeters,
    Unconnected, UpstreamError, UpstreamErrors, guard, location,
};
use fusebox_plan::CallError;
use fusebox_plan::plan::{Endpoint, Limits};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::ClientConfig;

use self::jar::{Asked, Jar};
use super::outside::{Answer, Call, SendFault};
use crate::app::{App, Requester};

/// How long connecting may take where no configuration says it.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Idle connections kept per worker.
const IDLE_MAX: usize = 512;

/// How old a connection may become.
const MAX_AGE: Duration = Duration::from_secs(300);

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 5;

/// How often a request is repeated whose connection was closed before there was an answer.
const REPEATS_MAX: usize = 3;

/// The largest body of an answer.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// What belongs to the connection, and is ours to say.
const OURS: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    TRAILER,
    UPGRADE,
    TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Where the TLS configuration comes from, which is made when it is first needed.
#[derive(Clone)]
pub struct TlsSource(Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>);

impl TlsSource {
    /// A source that calls `make`.
    pub fn new(make: impl Fn() -> Arc<ClientConfig> + Send + Sync + 'static) -> TlsSource {
        TlsSource(Arc::new(make))
    }
}

impl std::fmt::Debug for TlsSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsSource")
    }
}

/// What an application's requests are sent with.
#[derive(Debug)]
pub struct Clients {
    by_name: HashMap<Arc<str>, Arc<Client>>,
    limits: Limits,
    tls: TlsSource,
}

/// What the requests of one configuration are sent with.
#[derive(Debug)]
pub struct Client {
    plan: Arc<Requester>,
    home: Endpoint,
    pools: Box<[Arc<Pool>]>,
    /// `None`: as many connections as are wanted.
    seats: Option<Semaphore>,
    jar: Option<Jar>,
    meter: RequestMeters,
    errors: Arc<UpstreamErrors>,
}

/// One request of an exchange, which redirects may make longer.
#[derive(Debug, Clone)]
struct Question {
    endpoint: Endpoint,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Clients {
    /// What an application needs; of an earlier one's what still fits, with its connections and
    /// cookies. There is a pool for each of `workers`, and one more for what no worker runs.
    ///
    /// # Errors
    /// Which configuration wants what cannot be had.
    pub fn new(
        app: &App,
        limits: &Limits,
        workers: usize,
        tls: TlsSource,
        count: impl Fn(&Arc<str>) -> (RequestMeters, Arc<UpstreamErrors>),
        previous: Option<&Clients>,
    ) -> Result<Clients, String> {
        let mut by_name = HashMap::new();
        for requester in &app.requesters {
            let kept = previous.filter(|previous| previous.limits == *limits);
            let kept = kept.and_then(|previous| previous.by_name.get(&requester.name));
            let client = match kept.filter(|client| client.plan == *requester) {
                Some(kept) => kept.clone(),
                None => {
                    let client = Client::new(requester, limits, workers, &tls, &count);
                    let client = client.map_err(|error| {
                        format!("http:request-config `{}`: {error}", requester.name)
                    })?;
                    Arc::new(client)
                }
            };
            by_name.insert(requester.name.clone(), client);
        }
        Ok(Clients {
            by_name,
            limits: limits.clone(),
            tls,
        })
    }

    /// Those of configurations.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.by_name.values()
    }

    /// Sends a call and takes in the whole answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn send(&self, call: Call, desk: &Desk) -> Result<Answer, SendFault> {
        let timeout = call.timeout;
        let requester = call.requester.as_ref();
        let client = requester.and_then(|requester| self.by_name.get(&requester.name));
        let told = Told {
            errors: client.map(|client| &*client.errors),
            desk,
        };
        let exchange = tokio::time::timeout(timeout, self.exchange(call, desk, told));
        exchange.await.unwrap_or_else(|_| {
            told.note(&UpstreamError::no_head());
            Err(SendFault::Timeout)
        })
    }

    async fn exchange(&self, call: Call, desk: &Desk, told: Told<'_>) -> Result<Answer, SendFault> {
        let requester = call.requester.as_ref();
        let client = requester.and_then(|requester| self.by_name.get(&requester.name));
        let mut question = Question {
            endpoint: endpoint(call.tls, &call.host, call.port),
            method: call.method,
            target: call.target,
            headers: call.headers,
            body: call.body,
        };
        for ours in &OURS {
            question.headers.remove(ours);
        }
        let _seat = match client.and_then(|client| client.seats.as_ref()) {
            // Never closed, so there is one in the end, or the time is over.
            Some(seats) => seats.acquire().await.ok(),
            None => None,
        };
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.ask(client, &question, desk, told).await?;
            let next = call.follow_redirects.then(|| question.redirected(&answer));
            match next.flatten() {
                None => return Ok(answer),
                Some(next) => question = next?,
            }
        }
        Err(SendFault::Connectivity(format!(
            "Maximum redirect reached: {REDIRECTS_MAX}"
        )))
    }

    async fn ask(
        &self,
        client: Option<&Arc<Client>>,
        question: &Question,
        desk: &Desk,
        told: Told<'_>,
    ) -> Result<Answer, SendFault> {
        let pool = match client {
            Some(client) if client.home == question.endpoint => client.pool(desk.worker).clone(),
            // A connection of its own, which nobody else will want.
            _ => self.elsewhere(client, &question.endpoint)?,
        };
        let jar = client.and_then(|client| client.jar.as_ref());
        let asked = question.asked(desk);
        let cookies = jar.and_then(|jar| jar.cookies(asked));
        let lasting = client.is_none_or(|client| client.plan.persistent);
        let began = desk.clock.exact();
        let (response, connection) =
            exchange(&pool, told, || question.request(cookies.as_ref(), lasting)).await?;
        if let Some(client) = client {
            let took = desk.clock.exact().saturating_since(began);
            let meter = client.meter.of(desk.worker);
            meter.observe(&question.method, response.status(), took);
        }
        if !guard::response_is_sound(&response) {
            told.note(&UpstreamError::ambiguous_head());
            return Err(SendFault::Parsing("the answer is no HTTP response".into()));
        }
        if let Some(jar) = jar {
            jar.keep(asked, response.headers());
        }
        answer(response, connection, told).await
    }

    fn elsewhere(
        &self,
        client: Option<&Arc<Client>>,
        endpoint: &Endpoint,
    ) -> Result<Arc<Pool>, SendFault> {
        let timeout = client.map_or(CONNECT_MAX, |client| client.plan.connect_timeout);
        let connector = Connector::new(endpoint, timeout, &self.limits, || (self.tls.0)());
        let connector = connector.map_err(SendFault::Connectivity)?;
        Ok(Pool::new(
            connector,
            Keeping {
                idle_max: 0,
                idle_timeout: Duration::ZERO,
                max_age: MAX_AGE,
            },
        ))
    }
}

impl Client {
    fn new(
        plan: &Arc<Requester>,
        limits: &Limits,
        workers: usize,
        tls: &TlsSource,
        count: impl Fn(&Arc<str>) -> (RequestMeters, Arc<UpstreamErrors>),
    ) -> Result<Client, String> {
        let home = endpoint(plan.tls, &plan.host, plan.port);
        let connector = Connector::new(&home, plan.connect_timeout, limits, || (tls.0)())?;
        let idle_max = if plan.persistent { IDLE_MAX } else { 0 };
        let keeping = Keeping {
            idle_max,
            idle_timeout: plan.idle_timeout,
            max_age: MAX_AGE,
        };
        let pool = || Pool::new(connector.clone(), keeping);
        let seats = plan.connections_max;
        let (meter, errors) = count(&plan.name);
        Ok(Client {
            plan: plan.clone(),
            home,
            pools: (0..=workers.max(1)).map(|_| pool()).collect(),
            seats: seats.map(|max| Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS))),
            jar: plan.cookies.then(Jar::default),
            meter,
            errors,
        })
    }

    /// The configuration's name.
    pub fn name(&self) -> &Arc<str> {
        &self.plan.name
    }

    /// The URL of its server.
    pub fn url(&self) -> String {
        self.home.url()
    }

    /// A worker's connections; those of the one after the last are for what no worker runs.
    pub fn pool(&self, worker: usize) -> &Arc<Pool> {
        &self.pools[worker % self.pools.len()]
    }

    /// The idle connections of all workers.
    pub fn idle_connections(&self) -> usize {
        self.pools.iter().map(|pool| pool.idle_count()).sum()
    }

    /// The errors of its calls by kind.
    pub fn errors(&self) -> &Arc<UpstreamErrors> {
        &self.errors
    }

    /// What each worker counts of its calls.
    pub fn meter(&self) -> &RequestMeters {
        &self.meter
    }
}

fn endpoint(tls: bool, host: &str, port: u16) -> Endpoint {
    let shown = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let own = if tls { 443 } else { 80 };
    Endpoint {
        tls,
        host: host.to_owned(),
        port,
        authority: if port == own {
            shown
        } else {
            format!("{shown}:{port}")
        },
        base_path: String::new(),
    }
}

impl Question {
    /// What of it cookies are chosen by.
    fn asked(&self, desk: &Desk) -> Asked<'_> {
        Asked {
            tls: self.endpoint.tls,
            host: &self.endpoint.host,
            target: &self.target,
            now: desk.clock.wall_millis(),
        }
    }

    fn request(
        &self,
        cookies: Option<&HeaderValue>,
        lasting: bool,
    ) -> Result<Request<Outgoing>, SendFault> {
        let body = match &self.body {
            body if body.is_empty() => Outgoing::Empty,
            body => Outgoing::Fixed(Some(body.clone())),
        };
        let request = Request::builder()
            .method(self.method.clone())
            .uri(self.target.as_str())
            .body(body);
        let mut request = request.map_err(|error| SendFault::Connectivity(error.to_string()))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        if !headers.contains_key(HOST) {
            let host = HeaderValue::from_str(&self.endpoint.authority);
            let host = host.map_err(|error| SendFault::Connectivity(error.to_string()))?;
            headers.insert(HOST, host);
        }
        // Servers wait for the length of what these methods send, also where it is nothing.
        let sends = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        if sends || !self.body.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        if let Some(cookies) = cookies {
            headers.append(COOKIE, cookies.clone());
        }
        if !lasting {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(request)
    }

    /// Whether the request may be made twice (RFC 9110, section 9.2.2).
    fn is_idempotent(method: &Method) -> bool {
        matches!(
            *method,
            Method::GET
                | Method::PUT
                | Method::DELETE
                | Method::HEAD
                | Method::OPTIONS
                | Method::TRACE
        )
    }

    /// What an answer leads to, if it leads anywhere (RFC 9110, section 15.4).
    fn redirected(&self, answer: &Answer) -> Option<Result<Question, SendFault>> {
        let status = StatusCode::from_u16(answer.status).ok()?;
        let becomes_get = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return None,
        };
        let location = answer.headers.get(LOCATION)?;
        let shown = String::from_utf8_lossy(location.as_bytes()).into_owned();
        let next = location::resolve(&self.endpoint, &self.target, &shown);
        let next = next.map_err(|why| {
            SendFault::Parsing(format!("the redirect to {shown:?} leads nowhere: {why}"))
        });
        Some(next.map(|(endpoint, target)| {
            let mut next = self.clone();
            next.headers.remove(HOST);
            if endpoint != self.endpoint {
                next.headers.remove(AUTHORIZATION);
                next.headers.remove(COOKIE);
            }
            if becomes_get {
                next.method = Method::GET;
                next.headers.remove(CONTENT_TYPE);
                next.body = Bytes::new();
            }
            (next.endpoint, next.target) = (endpoint, target);
            next
        }))
    }
}

/// Where errors are told: those of a configuration have a name to be counted under.
#[derive(Clone, Copy)]
struct Told<'a> {
    errors: Option<&'a UpstreamErrors>,
    desk: &'a Desk,
}

impl Told<'_> {
    fn note(self, error: &UpstreamError) {
        if let Some(errors) = self.errors {
            errors.note(error, self.desk.clock.exact());
        }
    }
}

/// Sends a request, on an idle connection if there is one, and waits for the head of its answer.
async fn exchange(
    pool: &Arc<Pool>,
    told: Told<'_>,
    request: impl Fn() -> Result<Request<Outgoing>, SendFault>,
) -> Result<(Response<Incoming>, Connection), SendFault> {
    // Mule's client repeats what was not sent, whatever the method, and uses any idle connection.
    let mut idle = pool.reuse(told.desk.clock.tick(), true);
    let mut repeats = 0;
    loop {
        let reused = idle.is_some();
        let mut connection = match idle.take() {
            Some(connection) => connection,
            None => pool.open().await.map_err(|failed| {
                told.note(&failed.cause);
                unconnected(&failed)
            })?,
        };
        let request = request()?;
        let idempotent = Question::is_idempotent(request.method());
        let mut failure = match connection.sender.try_send_request(request).await {
            Ok(response) => {
                connection.sender.answered();
                return Ok((response, connection));
            }
            Err(failure) => failure,
        };
        let why = connection.sender.why(failure.error());
        let unsent = failure.take_message().is_some();
        let error = failure.into_error();
        if error.is_parse() {
            told.note(&why);
            return Err(SendFault::Parsing("the answer is no HTTP response".into()));
        }
        if unsent && reused {
            continue;
        }
        if !idempotent || repeats == REPEATS_MAX {
            told.note(&why);
            return Err(SendFault::Connectivity(closed(&error)));
        }
        repeats += 1;
    }
}

async fn answer(
    response: Response<Incoming>,
    connection: Connection,
    told: Told<'_>,
) -> Result<Answer, SendFault> {
    let (parts, mut body) = response.into_parts();
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame.map_err(|error| {
            told.note(&UpstreamError::body(&error));
            SendFault::Connectivity(closed(&error))
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        // Most bodies are one frame, which is then the body without a copy.
        match first.take() {
            None if more.is_empty() => first = Some(data),
            None => more.extend_from_slice(&data),
            Some(head) => {
                more.extend_from_slice(&head);
                more.extend_from_slice(&data);
            }
        }
        if more.len() > ANSWER_MAX {
            told.note(&UpstreamError::new(ErrorKind::Limit, "body over our limit"));
            return Err(SendFault::Connectivity(format!(
                "the answer is larger than {ANSWER_MAX} bytes"
            )));
        }
    }
    connection.give_back(told.desk.clock.tick());
    let phrase = parts.extensions.get::<ReasonPhrase>();
    let reason = match phrase {
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
        None => parts
            .status
            .canonical_reason()
            .unwrap_or_default()
            .to_owned(),
    };
    Ok(Answer {
        status: parts.status.as_u16(),
        reason,
        headers: parts.headers,
        body: first.unwrap_or_else(|| more.freeze()),
    })
}

/// How a connection ended, in the words of Mule's client.
fn closed(error: &hyper::Error) -> String {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            "Connection reset by peer".into()
        }
        _ => "Remotely closed".into(),
    }
}

/// Why there is no connection, in the words of Mule's client.
fn unconnected(failed: &NoConnection) -> SendFault {
    let error = &failed.error;
    SendFault::Connectivity(match (failed.why, error.kind()) {
        (Unconnected::Exhausted, _) => "the gateway has no connection to spare".into(),
        (_, io::ErrorKind::ConnectionRefused) => "Connection refused".into(),
        (_, io::ErrorKind::ConnectionReset) => "Connection reset by peer".into(),
        (_, io::ErrorKind::TimedOut) => "Connection timed out".into(),
        (Unconnected::Upstream(CallError::Tls), _) => format!("the TLS handshake failed: {error}"),
        _ if failed.address.is_none() => "Name or service not known".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error ").next().unwrap_or(&text).to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(method: Method) -> Question {
        let mut headers = HeaderMap::new();
        for (name, value) in [(AUTHORIZATION, "x"), (CONTENT_TYPE, "a/b"), (COOKIE, "c=1")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Question {
            endpoint: endpoint(false, "a", 8081),
            method,
            target: "/b/c?d".into(),
            headers,
            body: Bytes::from_static(b"body"),
        }
    }

    fn led(method: Method, status: u16, location: &str) -> Option<Question> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        let answer = Answer {
            status,
            reason: String::new(),
            headers,
            body: Bytes::new(),
        };
        question(method).redirected(&answer).map(Result::unwrap)
    }

    #[test]
    fn a_redirect_keeps_the_method_but_where_it_must_become_get() {
        for (method, status, next) in [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::PUT, 302, Method::PUT),
            (Method::PUT, 303, Method::GET),
            (Method::HEAD, 303, Method::HEAD),
            (Method::POST, 307, Method::POST),
            (Method::POST, 308, Method::POST),
        ] {
            let led = led(method.clone(), status, "/x").unwrap();
            assert_eq!(led.method, next, "{method} {status}");
            let kept = led.method == method;
            assert_eq!(led.body.is_empty(), !kept);
            assert_eq!(led.headers.contains_key(CONTENT_TYPE), kept);
            assert!(led.headers.contains_key(AUTHORIZATION));
        }
        assert!(led(Method::GET, 304, "/x").is_none());
    }

    #[test]
    fn a_redirect_elsewhere_takes_no_secret_along() {
        let there = led(Method::GET, 302, "http://b/x").unwrap();
        assert_eq!((&*there.endpoint.authority, &*there.target), ("b", "/x"));
        assert!(!there.headers.contains_key(AUTHORIZATION));
        assert!(!there.headers.contains_key(COOKIE));
        let answer = Answer {
            status: 302,
            reason: String::new(),
            headers: [(LOCATION, HeaderValue::from_static("ftp://b/"))]
                .into_iter()
                .collect(),
            body: Bytes::new(),
        };
        let fault = question(Method::GET).redirected(&answer).unwrap();
        assert!(matches!(fault, Err(SendFault::Parsing(_))));
    }

    #[test]
    fn a_request_says_its_length_where_servers_wait_for_it() {
        let length = |method, body: &'static str| {
            let mut question = question(method);
            question.body = Bytes::from_static(body.as_bytes());
            let request = question.request(None, true).unwrap();
            let length = request.headers().get(CONTENT_LENGTH);
            length.map(|it| it.to_str().unwrap().to_owned())
        };
        assert_eq!(length(Method::POST, ""), Some("0".into()));
        assert_eq!(length(Method::GET, ""), None);
        assert_eq!(length(Method::DELETE, "x"), Some("1".into()));
    }
}
