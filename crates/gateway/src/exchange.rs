//! The life of a request: guards, route, steps, answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::answer;
use crate::body::Body;
use crate::clock::Desk;
use crate::connection::Client;
use crate::fields;
use crate::flogo::{self, Found};
use crate::forward;
use crate::guard;
use crate::live::{Finds, Live, LiveListener, LiveRoute, LiveStep};
use crate::mule;
use crate::target;
use crate::worker::Stay;

/// How much of a body that nobody wants is read, and for how long, before an answer that goes out
/// without it.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_WAIT: Duration = Duration::from_millis(20);

/// One request on its way, with what every step may need.
#[derive(Debug)]
pub struct Exchange {
    /// The client's connection.
    pub client: Arc<Client>,
    /// The clock and the worker.
    pub desk: Desk,
    /// The plan as it was when the request came; a reload does not change it under the request.
    pub live: Arc<Live>,
    /// The route that takes the request.
    pub route: Arc<LiveRoute>,
    /// The route's path parameters, as the client wrote them; those of a Flogo handler or a Mule flow decoded.
    pub params: Params,
    /// The request's id, carried or made.
    pub id: HeaderValue,
}

impl Exchange {
    /// Says at debug what became of the request and why, with its id and route.
    pub fn debug(&self, what: &str, reason: &str) {
        let request_id = self.id.to_str().unwrap_or_default();
        tracing::debug!(request_id, route = %self.route.plan.name, reason, "{what}");
    }
}

/// Counts a request when it is done with, however it ends.
#[derive(Debug)]
pub struct Finish {
    client: Arc<Client>,
    desk: Desk,
    started: Timestamp,
    method: Method,
    route: Option<Arc<LiveRoute>>,
    status: StatusCode,
}

impl Finish {
    /// Begins a request: the connection is busy until this is dropped.
    pub fn begin(client: &Arc<Client>, method: &Method) -> Finish {
        let desk = client.worker.desk();
        client.worker.meter().requests.add();
        client.phase.busy();
        let started = desk.clock.exact();
        // A client that leaves before there is an answer is counted under 499, as nginx does.
        let status = StatusCode::from_u16(499).expect("499 is within 100..=999");
        Finish {
            client: client.clone(),
            desk,
            started,
            method: method.clone(),
            route: None,
            status,
        }
    }

    /// Keeps the worker from ending while something of the request goes on without its client.
    pub fn stay(&self) -> Stay {
        self.client.worker.stay()
    }

    /// The answer's status is known.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        let now = self.desk.clock.exact();
        self.client.phase.idle(now);
        self.client.worker.meter().requests_ended.add();
        if let Some(route) = &self.route {
            let duration = now.saturating_since(self.started);
            route
                .meter
                .of(self.desk.worker)
                .observe(&self.method, self.status, duration);
        }
    }
}

/// Serves one request of a client's connection.
pub async fn serve(
    client: Arc<Client>,
    request: Request<Incoming>,
    finish: Finish,
) -> Response<Body> {
    let desk = finish.desk.clone();
    let id =
        fields::request_id(request.headers()).unwrap_or_else(|| client.worker.ids.request_id());
    let mut response = take(client, desk, request, id.clone(), finish).await;
    response.headers_mut().insert(fields::X_REQUEST_ID, id);
    response
}

async fn take(
    client: Arc<Client>,
    desk: Desk,
    mut request: Request<Incoming>,
    id: HeaderValue,
    mut finish: Finish,
) -> Response<Body> {
    let live = client.worker.shared.plan_for(&client.listener);
    let Some(listener) = live.listener(&client.listener) else {
        // The listener is gone for a while; its last connections have been told to go.
        let (status, why) = (StatusCode::SERVICE_UNAVAILABLE, "this listener is closing");
        say_refused(&id, &request, status, why);
        return done(finish, answer::refused(status, why));
    };
    // Flogo's router and Mule's read a path in their own ways.
    let native = matches!(listener.finds, Finds::Native(_));
    let read = target::normalise(&mut request, native)
        .and_then(|()| guard::inspect(&request, listener.rules));
    if let Err(refused) = read {
        client.worker.meter().requests_refused.add();
        say_refused(&id, &request, refused.status, refused.why);
        return done(finish, answer::refused(refused.status, refused.why));
    }
    if request.uri().path() == "*" {
        return unread(finish, answer::options(), request).await;
    }
    let (route, params) = match find(&live, listener, &request) {
        Ok(found) => found,
        Err(answer) => {
            client.worker.meter().requests_unrouted.add();
            say_unrouted(&id, &request, answer.status());
            return unread(finish, *answer, request).await;
        }
    };
    let route = live.routes[route].clone();
    finish.route = Some(route.clone());
    let exchange = Exchange {
        client,
        desk,
        live: live.clone(),
        route,
        params,
        id,
    };
    run(exchange, request, finish).await
}

/// Says at debug why a request was refused before it had a route. Its query may hold secrets, so it is left out.
fn say_refused(id: &HeaderValue, request: &Request<Incoming>, status: StatusCode, reason: &str) {
    let request_id = id.to_str().unwrap_or_default();
    let (method, path) = (request.method(), request.uri().path());
    let status = status.as_u16();
    tracing::debug!(request_id, %method, path, status, reason, "request refused");
}

/// The same for one that no route takes; preflights and redirections are no refusals.
fn say_unrouted(id: &HeaderValue, request: &Request<Incoming>, status: StatusCode) {
    let reason = match status {
        StatusCode::NOT_FOUND => "no route has this path",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take this method",
        status if status.is_client_error() => "no route takes this request",
        _ => return,
    };
    say_refused(id, request, status, reason);
}

/// Path parameters by name; empty where no step of the route reads them.
type Params = Vec<(String, String)>;

/// The route that takes a request, by its place in the plan, and the path's parameters; or the
/// answer where none does.
fn find(
    live: &Live,
    listener: &LiveListener,
    request: &Request<Incoming>,
) -> Result<(usize, Params), Box<Response<Body>>> {
    let (method, path) = (request.method(), request.uri().path());
    let router = match &listener.finds {
        Finds::Native(router) => router,
        Finds::Flows(router) => {
            return Err(Box::new(match router.find(method, path) {
                mule::Found::Flow { route, params } => return Ok((route, params)),
                mule::Found::WrongMethod(takes) => mule::wrong_method(path, &takes),
                mule::Found::Nothing => mule::no_listener(path),
            }));
        }
        Finds::Rest(router) => {
            return Err(Box::new(match router.find(method, path) {
                Found::Route { route, params } => return Ok((route, params)),
                Found::Moved(path) => flogo::moved(method, &path, request.uri().query()),
                Found::Preflight => match listener.cors() {
                    Some(cors) => flogo::preflight(request.headers(), cors),
                    None => answer::options(),
                },
                Found::WrongMethod(allow) => flogo::wrong_method(&allow),
                Found::Nothing => flogo::no_handler(),
            }));
        }
    };
    let found = router
        .find(path)
        .ok_or_else(|| Box::new(answer::no_route()))?;
    let names = |route: &&usize| live.routes[**route].names(method);
    let takes = |route: &&usize| live.routes[**route].takes(method);
    let routes = found.value.iter();
    let Some(route) = routes
        .clone()
        .find(names)
        .or_else(|| routes.clone().find(takes))
    else {
        let allow = live.allow(found.value);
        return Err(Box::new(answer::wrong_method(&allow)));
    };
    if !live.routes[*route].reads_params {
        return Ok((*route, Vec::new()));
    }
    let params = found.params.iter();
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok((*route, params.collect()))
}

/// The route's steps in order; the first that answers ends them.
async fn run(exchange: Exchange, request: Request<Incoming>, finish: Finish) -> Response<Body> {
    let route = exchange.route.clone();
    match route.steps.first() {
        Some(LiveStep::Respond(respond)) => unread(finish, answer::fixed(respond), request).await,
        Some(LiveStep::Forward(step)) => forward::forward(exchange, step, request, finish).await,
        Some(LiveStep::Run(handler)) => {
            flogo::serve(exchange, handler.clone(), request, finish).await
        }
        Some(LiveStep::Flow(flow)) => mule::serve(exchange, *flow, request, finish).await,
        None => done(finish, answer::our_fault()),
    }
}

/// An answer to a request whose body nobody has read. What of it is already there is read, so that
/// the connection can go on; else the client is told that it ends here (RFC 9112, section 9.6).
pub async fn unread(
    finish: Finish,
    mut response: Response<Body>,
    request: Request<Incoming>,
) -> Response<Body> {
    // Reading would ask a client for the body that it offers.
    let offered = request.headers().contains_key(EXPECT);
    let mut body = request.into_body();
    if !body.is_end_stream() && (offered || !is_drained(&mut body).await) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    done(finish, response)
}

/// Reads a body to its end if that is near.
async fn is_drained(body: &mut Incoming) -> bool {
    let drain = async {
        let mut left = DRAIN_BYTES;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let size = frame.data_ref().map_or(0, |data| data.len());
            let Some(rest) = left.checked_sub(size) else {
                return false;
            };
            left = rest;
        }
        true
    };
    tokio::time::timeout(DRAIN_WAIT, drain)
        .await
        .unwrap_or(false)
}

/// An answer that is complete as it stands.
pub fn done(mut finish: Finish, response: Response<Body>) -> Response<Body> {
    finish.answered(response.status());
    response
}

/// Makes ids: unique within the process, and not guessable from one another's digits.
#[derive(Debug)]
pub struct Ids {
    state: AtomicU64,
    process: u64,
}

impl Ids {
    /// A source of ids; different seeds give different ids.
    pub fn new(seed: u64) -> Ids {
        Ids {
            state: AtomicU64::new(seed),
            process: mix(seed ^ 0x9e37_79b9_7f4a_7c15),
        }
    }

    /// SplitMix64 (Steele, Lea, Flood, 2014): one add and a few multiplications, no lock.
    fn next(&self) -> u64 {
        mix(self
            .state
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed))
    }

    /// A new request id: 32 hex digits.
    pub fn request_id(&self) -> HeaderValue {
        let mut text = [0; 32];
        hex(self.process, &mut text[..16]);
        hex(self.next(), &mut text[16..]);
        HeaderValue::from_bytes(&text).expect("hex digits are a field value")
    }

    /// A new `traceparent` (W3C Trace Context), not sampled, since we record no span for it.
    pub fn traceparent(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(self.process | 1, &mut text[3..19]);
        hex(self.next(), &mut text[19..35]);
        hex(self.next() | 1, &mut text[36..52]);
        HeaderValue::from_bytes(&text).expect("hex digits and dashes are a field value")
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn hex(number: u64, text: &mut [u8]) {
    for (at, digit) in text.iter_mut().rev().enumerate() {
        let nibble = (number >> (4 * at)) & 0xf;
        *digit = b"0123456789abcdef"[nibble as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_traceparents_are_ones() {
        let ids = Ids::new(7);
        let (first, second) = (ids.request_id(), ids.request_id());
        assert_ne!(first, second);
        assert_eq!(first.len(), 32);
        let mut headers = http::HeaderMap::new();
        headers.insert(fields::TRACEPARENT, ids.traceparent());
        assert!(fields::has_traceparent(&headers));
    }
}
