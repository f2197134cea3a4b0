//! A request of an application to another service: sent whole, answered whole.
//!
//! It takes the same way as a route's request, with the same pool, connections, breaker and counters. The differences
//! between clients of other languages are in a [`Policy`]; each dialect words a [`Fault`] itself.
//!
//! ## Order
//! The breaker is checked before anything is touched, then the call waits for a place if they are limited, in the
//! upstream's bulkhead and then among its client's own, then it gets its one permit, and its time begins. Its attempts
//! follow one another as those of a route's request do; redirects and free repeats happen within one attempt.
//!
//! ## Outcome
//! The call has one outcome for the upstream's breaker, by its `failure` and `ignore` as for any call: that of the last
//! request of its last attempt. A body that breaks off or stops is a failure; an answer over our own limits, and an idle connection that
//! had been closed, say nothing. A fetch that is dropped gives its permit back.

mod attempts;
mod fault;

use std::future::{Future, pending};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fusebox_breaker::Rejection;
use fusebox_plan::CallError;
use fusebox_plan::plan::Endpoint;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Frame;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use attempts::Following;
use fault::Outcome;
pub use fault::{Fault, Refusal};

use crate::ground::access_log::scope;
use crate::ground::clock::WorkerRef;
use crate::upstream::admission::{self, Admission};
use crate::upstream::breakers::{KeyFacts, LiveBreaker};
use crate::upstream::bulkhead::Place;
use crate::upstream::call::{Holder, UpstreamCall};
use crate::upstream::call_state::LiveBulkhead;
use crate::upstream::gzip;
use crate::upstream::held_answer::HeldAnswer;
use crate::upstream::jar::{self, Jar};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::redirect::Redirects;
use crate::upstream::run_call::{self, CallEnd, CallRules};
use crate::upstream::sending::Repeat;
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};
use crate::upstream::whole_answer;

/// A time limit longer than any wait, for upstreams whose clients set none.
pub const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The client of all calls of an application: the clients that it serves with them are not known here.
const NO_CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

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
    /// The longest total time of a call with all its attempts, and before it the longest wait for a place; `None`: only
    /// the upstream's own times count.
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
        let bulkhead = self.target.calls.bulkhead.as_ref();
        if (bulkhead.is_some() || self.policy.places.is_some())
            && let Some(live_breaker) = &live_breaker
        {
            let checked = admission::check(live_breaker, self.worker);
            checked.map_err(|rejection| self.refused(live_breaker, rejection))?;
        }
        let place = match bulkhead {
            Some(bulkhead) => Some(self.enter(bulkhead).await?),
            None => None,
        };
        let _own_place = match self.policy.places {
            Some(places) => self.place(places, deadline()).await?,
            None => None,
        };
        let mut call = self.admitted(live_breaker, request).await?;
        call.made_for(&request.method, None);
        call.takes_place(place);
        // The upstream is answerable for the time that it has, not for the wait before.
        let (began, deadline) = (self.worker.clock.exact(), deadline());
        let (method, retry) = (request.method.clone(), self.target.plan.retry.as_ref());
        let rules = CallRules {
            method: &method,
            is_upgrade: false,
            is_attempt: false,
            retry,
            // An application's upstream has one address.
            hedge: None,
            hash: None,
            total: self.policy.total,
            deadline: None,
            bulkhead,
        };
        let mut following = Following::new(self, request, retry);
        // A call that may be repeated keeps its time itself, so that a failed answer goes out at the end of it.
        let cut_at = deadline.filter(|_| retry.is_none());
        let end = {
            // Pinned where it is built: a future that is passed on is copied whole.
            let run = run_call::run(self.target, &mut call, &rules, &mut following, self.worker);
            within(cut_at, pin!(run)).await
        };
        let Some(end) = end else {
            let now = self.worker.clock.exact();
            call.lasted(now.saturating_since(began));
            call.note(&UpstreamError::no_head());
            call.end(Some(CallError::Timeout));
            return Err(Fault::Timeout);
        };
        match end {
            CallEnd::Answered(answer) => {
                let is_compressed = following.is_compressed(&answer.parts);
                self.take_in(call, answer, is_compressed, deadline).await
            }
            CallEnd::Held(answer) => {
                call.end_as_attempted();
                let is_compressed = following.is_compressed(&answer.parts);
                let bytes = self.held(&answer)?;
                self.taken_in(answer.parts, bytes, is_compressed)
            }
            CallEnd::Failed(failure) => {
                match failure.fault.outcome() {
                    Outcome::Ended(error) => call.end(error),
                    Outcome::SaysNothing => call.ignore(),
                }
                Err(failure.fault)
            }
        }
    }

    /// Takes a place in the upstream's bulkhead, or waits for one.
    async fn enter(&self, bulkhead: &LiveBulkhead) -> Result<Place, Fault> {
        let entered = match bulkhead.places.try_enter() {
            Some(place) => Ok(place),
            // A call that its application gives up is dropped, and so leaves the queue.
            None => Box::pin(bulkhead.places.enter(bulkhead.bounds, pending())).await,
        };
        entered.map_err(|full| {
            let upstream = self.target.breakers.name();
            let upstream = upstream.unwrap_or(&self.target.plan.name).clone();
            tracing::debug!(%upstream, reason = full.as_str(), "call refused");
            Fault::Full(upstream, full)
        })
    }

    /// Waits for one of the client's own places.
    async fn place<'p>(
        &self,
        places: &'p Semaphore,
        deadline: Option<Instant>,
    ) -> Result<Option<tokio::sync::SemaphorePermit<'p>>, Fault> {
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
    ) -> Result<Box<UpstreamCall>, Fault> {
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
        if let Some(note) = scope::present() {
            let upstream = &self.target.plan.name;
            note.decision(|| live_breaker.refusal(upstream, &rejection, self.worker));
            note.fixed_reason(rejection.reason.as_str());
        }
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

    /// Reads the rest of an answer's body to its end, and judges the call.
    async fn take_in(
        &self,
        call: Box<UpstreamCall>,
        answer: HeldAnswer,
        is_compressed: bool,
        deadline: Option<Instant>,
    ) -> Result<Response<Bytes>, Fault> {
        let worker = self.worker;
        let mut call = Holder::new(call);
        let max = self.policy.body_max;
        let (ahead, mut rest) = (answer.ahead, answer.rest);
        let read = {
            let read = whole_answer::read(ahead, &mut rest, &mut call, max, worker);
            within(deadline, pin!(read)).await
        };
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
        if let Some(connection) = answer.connection {
            connection.give_back(&mut rest, &worker.clock);
        }
        self.taken_in(answer.parts, bytes, is_compressed)
    }

    /// The body of an answer that was read whole while it was held.
    fn held(&self, answer: &HeldAnswer) -> Result<Bytes, Fault> {
        let mut bytes = BytesMut::new();
        for data in answer.ahead.iter().filter_map(Frame::data_ref) {
            bytes.extend_from_slice(data);
        }
        match bytes.len() > self.policy.body_max {
            true => Err(Fault::TooLarge),
            false => Ok(bytes.freeze()),
        }
    }

    /// An answer as its application reads it: decompressed.
    fn taken_in(
        &self,
        mut parts: Parts,
        bytes: Bytes,
        is_compressed: bool,
    ) -> Result<Response<Bytes>, Fault> {
        if !is_compressed {
            return Ok(Response::from_parts(parts, bytes));
        }
        parts.headers.remove(CONTENT_ENCODING);
        parts.headers.remove(CONTENT_LENGTH);
        let bytes = match bytes.is_empty() {
            true => bytes,
            false => gzip::decompressed(&bytes, self.policy.body_max)?,
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

#[cfg(test)]
mod tests;
