//! A request of an application to another service: sent whole, answered whole.
//!
//! It takes the same way as a route's request, with the same pool, connections, breaker and counters. The differences
//! between clients of other languages are in a [`Policy`]; each dialect words a [`Fault`] itself.
//!
//! ## Order
//! The breaker is checked before anything is touched, then the call waits for a place if they are limited, then it gets
//! its one permit, and its time begins. Redirects and free repeats happen within the call.
//!
//! ## Outcome
//! The call has one outcome for the upstream's breaker, by its `failure` and `ignore` as for any call: that of the last
//! request. A body that breaks off or stops is a failure; an answer over our own limits, and an idle connection that
//! had been closed, say nothing. A fetch that is dropped gives its permit back.

mod fault;

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use fusebox_breaker::Rejection;
use fusebox_plan::CallError;
use fusebox_plan::plan::Endpoint;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, HOST, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use fault::Outcome;
pub use fault::{Fault, Refusal};

use crate::ground::clock::WorkerRef;
use crate::message::interim::Interim;
use crate::message::kept_body::Outgoing;
use crate::upstream::admission::{self, Admission};
use crate::upstream::breakers::{KeyFacts, LiveBreaker};
use crate::upstream::call::{Holder, UpstreamCall};
use crate::upstream::gzip;
use crate::upstream::jar::{self, Jar};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::{Connection, Pool};
use crate::upstream::redirect::Redirects;
use crate::upstream::sending::{Failed, Repeat, Sending, Unanswered};
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};
use crate::upstream::whole_answer;

/// A time limit longer than any wait, for upstreams whose clients set none.
pub const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The client of all calls of an application: the clients that it serves with them are not known here.
const NO_CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The size in bytes, and the time, up to which a redirect's body is read so that its connection can be used again.
const DRAINED_BYTES: usize = 64 * 1024;
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

/// A request with its whole body.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The request's method.
    pub method: Method,
    /// The endpoint that it goes to: the target's own or another one, which gets a connection of its own.
    pub endpoint: Endpoint,
    /// The encoded path and query, beginning with `/`.
    pub target: String,
    /// The fields, without those of the connection and the body's length; `Host` is the endpoint's unless it is here.
    pub headers: HeaderMap,
    /// The body; `None`: no body, which differs from an empty one.
    pub body: Option<Bytes>,
}

/// The rules of a client.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The repeats allowed for a method when the connection ended before the answer.
    pub repeat: fn(&Method) -> Repeat,
    /// The rules for redirects; `None`: a redirect is an answer like any other.
    pub redirects: Option<&'a Redirects>,
    /// The jar of cookies to send and to store; `None`: no cookies.
    pub jar: Option<&'a Jar>,
    /// The places for calls that run at the same time; `None`: no limit.
    pub places: Option<&'a Semaphore>,
    /// The longest total time of a call, and before it the longest wait for a place; `None`: only the upstream's own
    /// times count.
    pub total: Option<Duration>,
    /// True if compression is asked for and undone, unless the request asks for a coding or a part, or the breaker
    /// examines the body.
    pub gzip: bool,
    /// The largest body of an answer in bytes, also once it is decompressed.
    pub body_max: usize,
}

/// A request without an answer.
#[derive(Debug)]
pub struct NoAnswer {
    /// The last request made: redirects may have led it elsewhere.
    pub request: Outbound,
    /// The reason for the missing answer.
    pub fault: Fault,
}

/// Makes a request to a target and reads the whole answer, whatever its status.
///
/// # Errors
/// The reason why there is no answer. A breaker's rejection is one.
pub async fn fetch(
    target: &Arc<LiveUpstream>,
    request: Outbound,
    policy: &Policy<'_>,
    worker: &WorkerRef,
) -> Result<Response<Bytes>, Box<NoAnswer>> {
    let mut request = request;
    let answer = Fetching {
        target,
        policy,
        worker,
    }
    .run(&mut request)
    .await;
    answer.map_err(|fault| Box::new(NoAnswer { request, fault }))
}

struct Fetching<'a> {
    target: &'a Arc<LiveUpstream>,
    policy: &'a Policy<'a>,
    worker: &'a WorkerRef,
}

/// An answer whose body has not been read.
struct Answered {
    response: Response<Incoming>,
    connection: Connection,
    is_compressed: bool,
}

impl Fetching<'_> {
    async fn run(&self, request: &mut Outbound) -> Result<Response<Bytes>, Fault> {
        request.name_host()?;
        let live_breaker = self.target.breakers.select(&KeyFacts {
            route: &self.target.plan.name,
            method: &request.method,
            headers: &request.headers,
            params: &[],
        });
        let deadline = || self.policy.total.map(|total| Instant::now() + total);
        let _place = match self.policy.places {
            Some(places) => {
                let place = self.place(places, live_breaker.as_ref(), deadline());
                place.await?
            }
            None => None,
        };
        let mut call = self.admitted(live_breaker, request).await?;
        call.made_for(&request.method, None);
        // The upstream is answerable for the time that it has, not for the wait before.
        let (began, deadline) = (self.worker.clock.exact(), deadline());
        let Some(answered) = within(deadline, self.follow(&mut call, request)).await else {
            let now = self.worker.clock.exact();
            call.lasted(now.saturating_since(began));
            call.note(&UpstreamError::no_head());
            call.end(Some(CallError::Timeout));
            return Err(Fault::Timeout);
        };
        match answered {
            Ok(answered) => self.take_in(call, answered, deadline).await,
            Err(fault) => {
                match fault.outcome() {
                    Outcome::Ended(error) => call.end(error),
                    Outcome::SaysNothing => call.ignore(),
                }
                Err(fault)
            }
        }
    }

    /// Waits for a place, unless the breaker rejects the call anyway.
    async fn place<'p>(
        &self,
        places: &'p Semaphore,
        live_breaker: Option<&LiveBreaker>,
        deadline: Option<Instant>,
    ) -> Result<Option<tokio::sync::SemaphorePermit<'p>>, Fault> {
        if let Some(live_breaker) = live_breaker {
            let checked = admission::check(live_breaker, self.worker);
            checked.map_err(|rejection| self.refused(live_breaker, rejection))?;
        }
        // The semaphore is never closed, so there is a place in the end, or the time is over.
        match within(deadline, places.acquire()).await {
            Some(place) => Ok(place.ok()),
            None => {
                let now = self.worker.clock.exact();
                let why = UpstreamError::new(ErrorKind::Limit, "no connection free in time");
                self.target.errors.note(&why, now);
                Err(Fault::Timeout)
            }
        }
    }

    /// Asks the breaker for the call's permit, and waits for its turn to probe as a route's request does.
    async fn admitted(
        &self,
        live_breaker: Option<LiveBreaker>,
        request: &Outbound,
    ) -> Result<UpstreamCall, Fault> {
        let (target, worker) = (self.target.clone(), self.worker.clone());
        let Some(live_breaker) = live_breaker else {
            return Ok(UpstreamCall::unguarded(target, worker));
        };
        let prober = || {
            let path = request.target.split('?').next().unwrap_or_default();
            let probes = &live_breaker.extras.probes;
            probes.prober(NO_CLIENT, &request.method, path)
        };
        let permit = match admission::ask_complete(&live_breaker, &worker) {
            Ok(Admission::Admitted(permit)) => Ok(permit),
            Ok(Admission::Waits(refused)) => {
                let turn = admission::turn(&live_breaker, &worker, None, prober(), refused);
                Box::pin(turn).await
            }
            Err(rejection) => Err(rejection),
        };
        let permit = permit.map_err(|rejection| self.refused(&live_breaker, rejection))?;
        let prober = permit.is_probe().then(prober);
        let mut call = UpstreamCall::new(permit, live_breaker, target, worker);
        if let Some(prober) = prober {
            call.probes_for(prober);
        }
        Ok(call)
    }

    /// Counts a refusal, and writes it to the log.
    fn refused(&self, live_breaker: &LiveBreaker, rejection: Rejection) -> Fault {
        live_breaker.meter(self.worker).refuse(&rejection);
        self.refusal(live_breaker, rejection)
    }

    /// Writes a refusal to the log.
    fn refusal(&self, live_breaker: &LiveBreaker, rejection: Rejection) -> Fault {
        let breaker = live_breaker.breaker.name().clone();
        tracing::debug!(
            upstream = %self.target.plan.name,
            breaker = %breaker,
            reason = rejection.reason.as_str(),
            "call refused"
        );
        Fault::Refused(Refusal {
            breaker,
            rejection,
            retry_after: rejection.retry_after(self.worker.clock.exact()),
        })
    }

    /// Makes the request, and those that redirects lead to, up to the head of the last answer.
    async fn follow(
        &self,
        call: &mut UpstreamCall,
        request: &mut Outbound,
    ) -> Result<Answered, Fault> {
        let (target, worker, policy) = (self.target, self.worker, self.policy);
        let interim = Interim::new(Waker::noop().clone());
        let home = target.pool(worker.index);
        let mut left = policy.redirects.map_or(0, |redirects| redirects.most);
        loop {
            let elsewhere;
            let pool = if request.endpoint == *target.plan.endpoint() {
                home
            } else {
                let other = home.elsewhere(&request.endpoint);
                elsewhere = other.map_err(Fault::Unsendable)?;
                &elsewhere
            };
            let (head, asks_gzip) = self.head(request, pool)?;
            let mut sending = Sending {
                upstream: target,
                pool,
                call: &mut *call,
                intake: None,
                phase: None,
                interim: &interim,
                worker,
            };
            let repeat = (policy.repeat)(&request.method);
            let exchanged = sending.exchange(head, repeat).await;
            let (response, connection) = match (exchanged, call.live_breaker()) {
                (Err(Unanswered::Failed(Failed::GaveWay)), Some(live_breaker)) => {
                    let rejection = admission::come_again(worker.clock.exact());
                    return Err(self.refusal(live_breaker, rejection));
                }
                (exchanged, _) => exchanged?,
            };
            let (status, headers) = (response.status(), response.headers());
            if let Some(jar) = policy.jar {
                jar.keep(request.asked(worker), headers);
            }
            let next = policy
                .redirects
                .and_then(|redirects| redirects.next(request, status, headers));
            if left > 0
                && let Some(Ok(next)) = next
            {
                left -= 1;
                *request = next;
                request.name_host()?;
                drain(response.into_body(), connection, worker).await;
                continue;
            }
            call.answered(status, headers);
            match next {
                None => {}
                Some(Ok(next)) => {
                    *request = next;
                    return Err(Fault::Redirects);
                }
                Some(Err(bad)) => return Err(Fault::Location(bad)),
            }
            let coding = headers.get(CONTENT_ENCODING);
            let coding = coding.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"gzip"));
            return Ok(Answered {
                response,
                connection,
                is_compressed: asks_gzip && coding,
            });
        }
    }

    /// The request in its written form, and true if it asks for compression.
    fn head(&self, asked: &Outbound, pool: &Pool) -> Result<(Request<Outgoing>, bool), Fault> {
        let unsendable = |error: &dyn fmt::Display| Fault::Unsendable(error.to_string());
        let uri = match pool.asks_for_urls() {
            true => asked.url(),
            false => asked.target.clone(),
        };
        let request = Request::builder().method(asked.method.clone()).uri(uri);
        let body = asked
            .body
            .clone()
            .map_or_else(Outgoing::empty, Outgoing::fixed);
        let request = request.body(body);
        let mut request = request.map_err(|error| unsendable(&error))?;
        let headers = request.headers_mut();
        headers.clone_from(&asked.headers);
        if let Some(body) = &asked.body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let jar = self.policy.jar;
        if let Some(cookies) = jar.and_then(|jar| jar.cookies(asked.asked(self.worker))) {
            headers.append(COOKIE, cookies);
        }
        if self.target.plan.pool_idle_max == 0 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let asks_gzip = self.policy.gzip
            && self.target.plan.breaker.failure_body_max.is_none()
            && !headers.contains_key(ACCEPT_ENCODING)
            && !headers.contains_key(RANGE);
        if asks_gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok((request, asks_gzip))
    }

    /// Reads an answer's body to its end, and judges the call.
    async fn take_in(
        &self,
        call: UpstreamCall,
        answered: Answered,
        deadline: Option<Instant>,
    ) -> Result<Response<Bytes>, Fault> {
        let worker = self.worker;
        let (mut parts, body) = answered.response.into_parts();
        let mut call = Holder::new(call);
        let max = self.policy.body_max;
        let read = within(deadline, whole_answer::read(body, &mut call, max, worker)).await;
        let bytes = match read.unwrap_or(Err(Fault::Timeout)) {
            Ok(bytes) => bytes,
            Err(fault) => {
                let why = fault.of_body();
                call.with(|call| call.note(&why));
                match why.kind {
                    ErrorKind::Limit => drop(call),
                    _ => call.end(Some(why.as_body_error())),
                }
                return Err(fault);
            }
        };
        call.end(None);
        answered.connection.give_back(worker.clock.tick());
        let bytes = if answered.is_compressed {
            parts.headers.remove(CONTENT_ENCODING);
            parts.headers.remove(CONTENT_LENGTH);
            match bytes.is_empty() {
                true => bytes,
                false => gzip::decompressed(&bytes, max)?,
            }
        } else {
            bytes
        };
        Ok(Response::from_parts(parts, bytes))
    }
}

impl Outbound {
    /// The request's URL.
    pub fn url(&self) -> String {
        let scheme = if self.endpoint.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.endpoint.authority, self.target)
    }

    /// Adds `Host`, unless it is there.
    fn name_host(&mut self) -> Result<(), Fault> {
        if !self.headers.contains_key(HOST) {
            let host = HeaderValue::from_str(&self.endpoint.authority);
            let host = host.map_err(|error| Fault::Unsendable(error.to_string()))?;
            self.headers.insert(HOST, host);
        }
        Ok(())
    }

    /// The facts by which cookies are chosen.
    fn asked(&self, worker: &WorkerRef) -> jar::CookieRequest<'_> {
        jar::CookieRequest {
            tls: self.endpoint.tls,
            host: &self.endpoint.host,
            target: &self.target,
            now: worker.clock.wall_millis(),
        }
    }
}

/// The result of a future that must end by a deadline; `None`: the time is over.
async fn within<T>(deadline: Option<Instant>, rest: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, rest).await.ok(),
        None => Some(rest.await),
    }
}

/// Reads the body of a redirect, if it is short, so that its connection can be used again.
async fn drain(body: Incoming, connection: Connection, worker: &WorkerRef) {
    let rest = Limited::new(body, DRAINED_BYTES).collect();
    if let Ok(Ok(_)) = tokio::time::timeout(DRAINED_WITHIN, rest).await {
        connection.give_back(worker.clock.tick());
    }
}

#[cfg(test)]
mod tests;
