//! One exchange: a request with the data that every step may need, and its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Limits;
use futures_util::FutureExt as _;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use ipnet::IpNet;

use crate::ground::access_log::Note;
use crate::ground::clock::WorkerRef;
use crate::ground::meter::RequestMeters;
use crate::message::body::{BUFFER, Body};
use crate::message::field_kinds::FieldKinds;
use crate::message::grpc::GrpcRequest;
use crate::message::validate::PathRules;
use crate::request::downstream::{Downstream, Protocol};
use crate::request::worker::TaskToken;
use crate::upstream::bulkhead::Place;

/// The size in bytes, and the time, up to which an unwanted body is read before an answer goes out without it.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_WAIT: Duration = Duration::from_millis(20);

/// The time for which the rest of an unwanted body is read in a stream of HTTP/2 behind its answer.
const DISCARD_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct ListenerRules {
    pub name: Arc<str>,
    /// Bounds on what a client may cost.
    pub limits: Arc<Limits>,
    pub paths: PathRules,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl ListenerRules {
    /// True if a peer's `X-Forwarded-*` fields are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

/// The facts of a route that its requests need.
#[derive(Debug)]
pub struct RouteFacts {
    pub name: Arc<str>,
    /// Counts of its requests, by worker.
    pub meter: RequestMeters,
}

/// A request on its way, with the data that every step may need.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The client's connection.
    pub downstream: Arc<Downstream>,
    /// The clock and the worker.
    pub worker: WorkerRef,
    /// The rules of the listener that the request came through, as they were then: a reload does not change them under
    /// the request.
    pub listener: Arc<ListenerRules>,
    /// The route that takes the request.
    pub route: Arc<RouteFacts>,
    /// The kinds of fields that the request came with.
    pub found: FieldKinds,
    /// The route's path parameters, as the client wrote them; those of a Flogo handler or a Mule flow decoded.
    pub params: Params,
    /// The request's id, carried or made.
    pub id: HeaderValue,
    /// The gRPC side of the request; `None`: it is not gRPC.
    pub grpc: Option<GrpcRequest>,
}

impl Exchange {
    /// Logs the request's result and the reason at debug level, with its id and route. The reason is noted for the
    /// access log, too.
    pub fn debug(&self, what: &str, reason: &str) {
        let request_id = self.id.to_str().unwrap_or_default();
        tracing::debug!(request_id, route = %self.route.name, reason, "{what}");
        self.downstream.phase.noted.with(|note| note.reason(reason));
    }
}

/// Counts a request when it ends, in whatever way.
#[derive(Debug)]
pub struct Finish {
    downstream: Arc<Downstream>,
    /// The clock and the worker.
    pub worker: WorkerRef,
    started: Timestamp,
    method: Method,
    /// The route of the request; `None` until it is found.
    pub route: Option<Arc<RouteFacts>>,
    /// The request's place among those that its route bounds.
    pub place: Option<Place>,
    /// The answer's status; `None` while there is none.
    status: Option<StatusCode>,
}

impl Finish {
    /// Begins a request: the connection is busy until this value is dropped.
    pub fn begin(downstream: &Arc<Downstream>, request: &Request<Incoming>) -> Finish {
        let worker = downstream.worker.to_ref();
        downstream.worker.meter().requests.add();
        downstream.phase.busy();
        let started = worker.clock.exact();
        if let Some(log) = downstream.worker.access_log.running() {
            let (index, peer) = (worker.index, downstream.peer.ip());
            let note = Note::begin(log, index, peer, request, started);
            if let Some(subject) = downstream.client_subject() {
                note.client_subject(subject);
            }
            downstream.phase.noted.put(note);
        }
        Finish {
            downstream: downstream.clone(),
            worker,
            started,
            method: request.method().clone(),
            route: None,
            place: None,
            status: None,
        }
    }

    /// Keeps the worker from ending while a part of the request continues without its client.
    pub fn task_token(&self) -> TaskToken {
        self.downstream.worker.task_token()
    }

    /// Notes the route that takes the request.
    pub fn takes(&mut self, route: &Arc<RouteFacts>) {
        self.downstream
            .phase
            .noted
            .with(|note| note.route(&route.name));
        self.route = Some(route.clone());
    }

    /// Notes the answer's status.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        let now = self.worker.clock.exact();
        self.downstream.phase.idle(now);
        self.downstream.worker.meter().requests_ended.add();
        if self.status.is_none() {
            // Its line is written once no call of it is left.
            if let Some(note) = self.downstream.phase.noted.take() {
                note.ended();
            }
        }
        if let Some(route) = &self.route {
            let duration = now.saturating_since(self.started);
            // A client that leaves before the answer is counted under 499, as nginx does.
            let left = || StatusCode::from_u16(499).expect("499 is within 100..=999");
            let status = self.status.unwrap_or_else(left);
            route
                .meter
                .of(self.worker.index)
                .observe(&self.method, status, duration);
        }
    }
}

/// Path parameters by name; empty if no step of the route reads them.
pub type Params = Vec<(String, String)>;

/// Prepares an answer to a request whose body is unread. Bytes that have arrived are read, so that the connection can
/// continue; otherwise the answer announces the end of the connection (RFC 9112, section 9.6).
pub async fn unread(
    finish: Finish,
    mut response: Response<Body>,
    request: Request<Incoming>,
) -> Response<Body> {
    // Reading would ask the client for a body that it only offers.
    let offered = request.headers().contains_key(EXPECT);
    let mut body = request.into_body();
    if finish.downstream.protocol == Protocol::Http2 {
        // The stream is reset some time after the answer (RFC 9113, section 8.1), unless all of the body has come; the
        // connection stays open.
        if drained(&mut body, &finish).now_or_never() == Some(true) {
            finish.downstream.phase.owes_body(false);
        } else if is_upload_awaited(response.status(), body.size_hint().exact()) {
            tokio::spawn(discard(body));
        }
        return done(finish, response);
    }
    if !body.is_end_stream() && (offered || !is_drained(&mut body, &finish).await) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    done(finish, response)
}

/// True if the rest of an upload over HTTP/2 is awaited for a while behind its answer, with `length` bytes as far as they
/// are known: a client stops sending at an error, and soon ends a short body. The reset of a long one without an error comes
/// at once, since its client has no reason to stop.
pub fn is_upload_awaited(status: StatusCode, length: Option<u64>) -> bool {
    !status.is_success() || length.is_some_and(|length| length <= BUFFER as u64)
}

/// Reads on for a while, as a connection of HTTP/1 lingers, so that the client need not be reset.
async fn discard(mut body: Incoming) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    tokio::time::timeout(DISCARD_WAIT, rest).await.ok();
}

/// Reads a body to its end if the end is near; returns true if it was reached.
async fn is_drained(body: &mut Incoming, finish: &Finish) -> bool {
    let drain = tokio::time::timeout(DRAIN_WAIT, drained(body, finish));
    drain.await.unwrap_or(false)
}

/// The same without a limit on the time.
async fn drained(body: &mut Incoming, finish: &Finish) -> bool {
    let mut left = DRAIN_BYTES;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let size = frame.data_ref().map_or(0, |data| data.len());
        finish.downstream.phase.noted.with(|note| note.came(size));
        let Some(rest) = left.checked_sub(size) else {
            return false;
        };
        left = rest;
    }
    true
}

/// Finishes a request whose answer is complete.
pub fn done(mut finish: Finish, response: Response<Body>) -> Response<Body> {
    finish.answered(response.status());
    response
}
