//! One exchange: a request with what every step may need, and its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Limits;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use ipnet::IpNet;

use crate::ground::clock::WorkerRef;
use crate::ground::meter::RequestMeters;
use crate::message::body::Body;
use crate::message::validate::PathRules;
use crate::request::downstream::Downstream;
use crate::request::worker::TaskToken;

/// How much of a body that nobody wants is read, and for how long, before an answer that goes out
/// without it.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_WAIT: Duration = Duration::from_millis(20);

/// The rules of a listener for its requests.
#[derive(Debug)]
pub struct ListenerRules {
    /// The listener's name.
    pub name: Arc<str>,
    /// Bounds on what a client may cost.
    pub limits: Arc<Limits>,
    /// What a path may have.
    pub paths: PathRules,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl ListenerRules {
    /// Whether a peer may speak of others in `X-Forwarded-*`.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

/// The facts of a route that its requests need.
#[derive(Debug)]
pub struct RouteFacts {
    /// The route's name.
    pub name: Arc<str>,
    /// What each worker counts of its requests.
    pub meter: RequestMeters,
}

/// One request on its way, with what every step may need.
#[derive(Debug)]
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
    /// The route's path parameters, as the client wrote them; those of a Flogo handler or a Mule flow decoded.
    pub params: Params,
    /// The request's id, carried or made.
    pub id: HeaderValue,
}

impl Exchange {
    /// Says at debug what became of the request and why, with its id and route.
    pub fn debug(&self, what: &str, reason: &str) {
        let request_id = self.id.to_str().unwrap_or_default();
        tracing::debug!(request_id, route = %self.route.name, reason, "{what}");
    }
}

/// Counts a request when it is done with, however it ends.
#[derive(Debug)]
pub struct Finish {
    downstream: Arc<Downstream>,
    /// The clock and the worker.
    pub worker: WorkerRef,
    started: Timestamp,
    method: Method,
    /// The route that took it; `None` until there is one.
    pub route: Option<Arc<RouteFacts>>,
    status: StatusCode,
}

impl Finish {
    /// Begins a request: the connection is busy until this is dropped.
    pub fn begin(downstream: &Arc<Downstream>, method: &Method) -> Finish {
        let worker = downstream.worker.to_ref();
        downstream.worker.meter().requests.add();
        downstream.phase.busy();
        let started = worker.clock.exact();
        // A client that leaves before there is an answer is counted under 499, as nginx does.
        let status = StatusCode::from_u16(499).expect("499 is within 100..=999");
        Finish {
            downstream: downstream.clone(),
            worker,
            started,
            method: method.clone(),
            route: None,
            status,
        }
    }

    /// Keeps the worker from ending while something of the request goes on without its client.
    pub fn task_token(&self) -> TaskToken {
        self.downstream.worker.task_token()
    }

    /// The answer's status is known.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = status;
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        let now = self.worker.clock.exact();
        self.downstream.phase.idle(now);
        self.downstream.worker.meter().requests_ended.add();
        if let Some(route) = &self.route {
            let duration = now.saturating_since(self.started);
            route
                .meter
                .of(self.worker.index)
                .observe(&self.method, self.status, duration);
        }
    }
}

/// Path parameters by name; empty where no step of the route reads them.
pub type Params = Vec<(String, String)>;

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
