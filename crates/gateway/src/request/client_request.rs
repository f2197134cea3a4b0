//! A client's request on its way out: its head for each endpoint, and its body, kept if it may have to go again.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_call::attempts::{Body as SentBody, End};
use fusebox_plan::CallError;
use fusebox_plan::plan::{FieldChanges, Rewrite, UpstreamHost};
use http::header::{CONNECTION, EXPECT, HOST, TE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::message::field_kinds::FieldKinds;
use crate::message::fields::{self, FUSEBOX_ATTEMPT, Origin};
use crate::message::grpc;
use crate::message::interim::Interim;
use crate::message::kept_body::{ClientBytes, KeptBody, Outgoing};
use crate::message::request_body::{ClientFault, Intake, IntakeLimits, RequestBody};
use crate::message::validate;
use crate::request::downstream::Protocol;
use crate::request::exchange::Exchange;
use crate::request::forward::Forward;
use crate::request::target;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::call::UpstreamCall;
use crate::upstream::connect::Unconnected;
use crate::upstream::endpoints::LiveEndpoint;
use crate::upstream::last_good::key::Scope;
use crate::upstream::last_good::{Asked, Lookup};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::Connection;
use crate::upstream::run_call::{Attempt, Beside};
use crate::upstream::sending::{Failed, Sending, Unanswered, expects_no_body};
use crate::upstream::upstream_errors::{UpstreamError, is_stream_reset};

/// The most fields that are added to a request on its way out.
const FIELDS_ADDED: usize = 8;

/// A client's request, without the fields of its connection.
pub struct ClientRequest {
    /// The head as it came, with the fields for upstreams; taken by a request that is sent once.
    parts: Option<Parts>,
    has_length: bool,
    body: ClientBody,
    /// The progress of its body; `None`: it is complete, or there is none.
    pub intake: Option<Arc<Intake>>,
    /// The client's side of a switch of protocols, if it asks for one.
    pub upgrade: Option<OnUpgrade>,
    /// The address of the client.
    pub client: IpAddr,
    /// True if a believed proxy repeats the request by itself.
    pub is_attempt: bool,
    /// The use that it may make of last good answers; `None`: none, or it has not been asked for.
    lookup: Option<Lookup>,
}

enum ClientBody {
    Empty,
    /// A body that is sent once; `None`: it has been.
    Once(Option<Box<RequestBody>>),
    Kept(KeptBody),
}

/// The facts about the client's connection that forwarded fields are made of.
pub fn origin(exchange: &Exchange) -> Origin<'_> {
    let downstream = &exchange.downstream;
    downstream.origin(exchange.listener.trusts(downstream.peer.ip()))
}

impl ClientRequest {
    /// Takes a request from its client.
    pub fn new(exchange: &Exchange, mut request: Request<Incoming>) -> ClientRequest {
        let is_complete = request.body().is_end_stream();
        let found = exchange.found;
        let is_offered =
            !is_complete && request.version() == Version::HTTP_11 && found.has(FieldKinds::EXPECT);
        // An upstream may overlook a body; on a connection that may switch protocols that would be unsafe.
        let may_switch = is_complete || !expects_no_body(request.method());
        let is_upgrade =
            may_switch && found.has(FieldKinds::UPGRADE) && validate::upgrade_asked(&request);
        let upgrade = is_upgrade.then(|| hyper::upgrade::on(&mut request));
        let protocol = upgrade.is_some().then(|| request.headers().get(UPGRADE));
        let protocol = protocol.flatten().cloned();
        let (mut parts, body) = request.into_parts();
        let origin = origin(exchange);
        let client = fields::client(&parts.headers, &origin);
        let is_attempt = origin.trusted && parts.headers.contains_key(FUSEBOX_ATTEMPT);
        parts.version = Version::HTTP_11;
        let host = parts.headers.get(HOST).cloned();
        let headers = &mut parts.headers;
        fields::strip_request(headers, found);
        let downstream = &exchange.downstream;
        headers.reserve(FIELDS_ADDED);
        fields::set_forwarded(headers, found, &origin, host.as_ref());
        headers.insert(fields::X_REQUEST_ID, exchange.id.clone());
        if exchange.grpc.is_some() {
            // It is for a connection, and ours carries trailers: a server of gRPC fails a call without it.
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if !(found.has(FieldKinds::TRACEPARENT) && fields::has_traceparent(headers)) {
            headers.insert(fields::TRACEPARENT, downstream.worker.ids.traceparent());
            // The state belongs to a trace that had no valid parent (W3C Trace Context, section 3.3).
            if found.has(FieldKinds::TRACESTATE) {
                headers.remove(fields::TRACESTATE);
            }
        }
        if let Some(protocol) = protocol {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol);
        }
        if !is_offered && found.has(FieldKinds::EXPECT) {
            headers.remove(EXPECT);
        }
        let (body, intake) = outgoing_body(exchange, body, is_offered);
        ClientRequest {
            parts: Some(parts),
            has_length: found.has(FieldKinds::CONTENT_LENGTH),
            body,
            intake,
            upgrade,
            client,
            is_attempt,
            lookup: None,
        }
    }

    /// Takes the request out of a place that lives on; what stays has neither head nor body.
    pub fn take(&mut self) -> ClientRequest {
        let rest = ClientRequest {
            parts: None,
            body: ClientBody::Empty,
            intake: None,
            upgrade: None,
            lookup: None,
            ..*self
        };
        std::mem::replace(self, rest)
    }

    /// The use that the request may make of the last good answers of a step's upstream, decided once; `None`: none.
    pub fn lookup(&mut self, exchange: &Exchange, step: &Forward) -> Option<Lookup> {
        if self.lookup.is_none() {
            let rewrite = step.rewrite.as_ref();
            let scope = match step.changes.subject.is_empty() {
                true => step.scope,
                false => step.scope.of_client(exchange.downstream.client_subject()),
            };
            self.lookup = self.lookup_at(exchange, &step.upstream, rewrite, scope);
        }
        self.lookup.clone()
    }

    /// The use that it may make of the last good answers of an upstream; `None`: none.
    pub fn lookup_at(
        &self,
        exchange: &Exchange,
        upstream: &LiveUpstream,
        rewrite: Option<&Rewrite>,
        scope: Scope,
    ) -> Option<Lookup> {
        let (last_good, parts) = (upstream.calls.last_good.as_ref()?, self.parts.as_ref()?);
        let endpoint = &upstream.endpoint().plan;
        let target = target::outgoing(exchange, endpoint, rewrite, parts).ok()?;
        let scope = match upstream.plan.request.subject.is_empty() {
            true => scope,
            false => scope.of_client(exchange.downstream.client_subject()),
        };
        Some(last_good.admits(&Asked {
            method: &parts.method,
            target: target.path_and_query()?,
            // The upstream sees it as `X-Forwarded-Host`, and may answer each host otherwise.
            host: parts.headers.get(HOST),
            headers: &parts.headers,
            has_body: !matches!(self.body, ClientBody::Empty),
            scope,
        }))
    }

    /// The fields as an upstream gets them; a copy where changes are made to them.
    pub fn sent_headers(
        &self,
        changes: [&FieldChanges; 2],
        subject: Option<&HeaderValue>,
    ) -> Cow<'_, HeaderMap> {
        let Some(parts) = &self.parts else {
            return Cow::default();
        };
        let mut headers = Cow::Borrowed(&parts.headers);
        for changes in changes.iter().filter(|changes| !changes.is_empty()) {
            changes.apply(headers.to_mut(), subject);
        }
        headers
    }

    /// The head; `None` once it has been sent for the only time.
    pub fn head(&self) -> Option<&Parts> {
        self.parts.as_ref()
    }

    /// The body before any of it has been sent; `None`: it is complete, or there is none.
    pub fn body_mut(&mut self) -> Option<&mut RequestBody> {
        match &mut self.body {
            ClientBody::Once(body) => body.as_deref_mut(),
            ClientBody::Empty | ClientBody::Kept(_) => None,
        }
    }

    /// Keeps up to that many bytes of the body while it is sent.
    pub fn keep_body(&mut self, bytes_max: usize) {
        if let ClientBody::Once(body) = &mut self.body
            && let Some(body) = body.take()
        {
            self.body = ClientBody::Kept(KeptBody::new(*body, bytes_max));
        }
    }

    /// Reads all of a kept body; true if it can be sent whole from its beginning.
    ///
    /// # Errors
    /// The client's fault.
    pub async fn complete(&mut self) -> Result<bool, ClientFault> {
        let ClientBody::Kept(kept) = &self.body else {
            return Ok(matches!(self.body, ClientBody::Empty));
        };
        let fault = || self.intake.as_deref().and_then(Intake::fault);
        match kept.read_all().await {
            Ok(is_whole) => Ok(is_whole),
            Err(_) => Err(fault().unwrap_or(ClientFault::Malformed)),
        }
    }

    /// The state of the body for another attempt.
    pub fn sent_body(&self) -> SentBody {
        match &self.body {
            ClientBody::Empty => SentBody::None,
            ClientBody::Once(None) => SentBody::Lost,
            ClientBody::Once(Some(_)) => SentBody::Kept,
            ClientBody::Kept(kept) if kept.is_whole() => SentBody::Kept,
            ClientBody::Kept(_) => SentBody::Lost,
        }
    }

    /// The body for an attempt that may have another one beside it; `None`: it is sent once.
    fn body_beside(&self) -> Option<Outgoing> {
        match &self.body {
            ClientBody::Empty => Some(Outgoing::empty()),
            ClientBody::Once(_) => None,
            ClientBody::Kept(kept) => Some(Outgoing::Streamed(ClientBytes::Kept(kept.reader()))),
        }
    }

    fn next_body(&mut self) -> Outgoing {
        match &mut self.body {
            ClientBody::Empty => Outgoing::empty(),
            ClientBody::Once(body) => {
                let body = body.take().map(ClientBytes::Once);
                body.map_or_else(Outgoing::empty, Outgoing::Streamed)
            }
            ClientBody::Kept(kept) => Outgoing::Streamed(ClientBytes::Kept(kept.reader())),
        }
    }
}

fn outgoing_body(
    exchange: &Exchange,
    body: Incoming,
    is_offered: bool,
) -> (ClientBody, Option<Arc<Intake>>) {
    if body.is_end_stream() {
        return (ClientBody::Empty, None);
    }
    let limits = &exchange.listener.limits;
    let limits = IntakeLimits {
        rate_min: limits.body_rate_min,
        // A stream of messages pauses as it likes, as a tunnel does.
        pause_max: exchange.grpc.map(|_| limits.upgrade_idle_timeout),
        size_max: limits.request_body_max,
        over_http2: exchange.downstream.protocol == Protocol::Http2,
    };
    let phase = exchange.downstream.phase.clone();
    let clock = exchange.worker.clock.clone();
    let (body, intake) = RequestBody::new(body, is_offered, phase, clock, limits);
    (ClientBody::Once(Some(Box::new(body))), Some(intake))
}

/// A client's request to one upstream.
pub struct ToUpstream<'a> {
    /// The request's head and body.
    pub request: &'a mut ClientRequest,
    /// The exchange that it belongs to.
    pub exchange: &'a Exchange,
    /// The path that the upstream sees; `None`: the request's own.
    pub rewrite: Option<&'a Rewrite>,
    /// The `Host` that the upstream gets.
    pub host: &'a UpstreamHost,
    /// The changes to its fields, in this order.
    pub changes: [&'a FieldChanges; 2],
    /// True if the request goes out once and nothing follows.
    pub is_once: bool,
    /// The deadline for `grpc-timeout` in the request; `None`: the field stays away.
    pub deadline: Option<Timestamp>,
}

/// Reason why a client's request has no answer.
#[derive(Debug)]
pub enum NotSent {
    /// A target that cannot be passed on.
    Refused(validate::Refused),
    /// A request without an answer, sent or without a connection.
    Unanswered(Unanswered),
}

impl NotSent {
    /// The same failure as routes report it; `None`: the target was refused.
    pub fn failed(&self) -> Option<Failed> {
        match self {
            NotSent::Refused(_) => None,
            NotSent::Unanswered(why) => Some(why.failed()),
        }
    }
}

impl ToUpstream<'_> {
    /// The head for an endpoint.
    fn head_for(
        &mut self,
        endpoint: &LiveEndpoint,
        number: u32,
    ) -> Result<Parts, validate::Refused> {
        let head = &mut self.request.parts;
        let parts = if self.is_once {
            head.take()
        } else {
            head.clone()
        };
        let mut parts = parts.expect("a request that is sent once is sent once");
        self.address(&mut parts, endpoint, number)?;
        Ok(parts)
    }

    /// The request for an endpoint once more; `None`: its body is not kept.
    fn anew(&self, endpoint: &LiveEndpoint, number: u32) -> Option<Request<Outgoing>> {
        let mut parts = self.request.parts.clone()?;
        self.address(&mut parts, endpoint, number).ok()?;
        Some(Request::from_parts(parts, self.request.body_beside()?))
    }

    /// Makes a head that of an attempt at an endpoint.
    #[inline]
    fn address(
        &self,
        parts: &mut Parts,
        endpoint: &LiveEndpoint,
        number: u32,
    ) -> Result<(), validate::Refused> {
        let target = target::outgoing(self.exchange, &endpoint.plan, self.rewrite, parts)?;
        let asked = std::mem::replace(&mut parts.uri, target);
        let headers = &mut parts.headers;
        match self.host {
            UpstreamHost::Own => {
                headers.insert(HOST, endpoint.host.clone());
            }
            UpstreamHost::Named(name) => {
                headers.insert(HOST, name.clone());
            }
            UpstreamHost::Preserved => target::preserve_host(headers, &asked, &endpoint.host),
        }
        for changes in self.changes {
            if !changes.is_empty() {
                changes.apply(headers, self.exchange.downstream.client_subject());
            }
        }
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_since(self.exchange.worker.clock.exact());
            headers.insert(grpc::TIMEOUT, grpc::write_timeout(left));
        }
        if number > 1 {
            headers.insert(FUSEBOX_ATTEMPT, HeaderValue::from(number));
        }
        Ok(())
    }
}

impl ToUpstream<'_> {
    /// The reason why an attempt has no answer. A server of gRPC resets the streams of all other requests, which any
    /// client may send: such a reset says nothing about it.
    fn unanswered(&self, upstream: &LiveUpstream, why: Unanswered) -> NotSent {
        let is_foreign = self.exchange.grpc.is_none() && upstream.is_grpc();
        NotSent::Unanswered(match why {
            Unanswered::Cut(cut) if is_foreign && is_stream_reset(&cut.error) => {
                Unanswered::Failed(Failed::NotGrpc)
            }
            why => why,
        })
    }
}

impl Attempt for ToUpstream<'_> {
    type Failure = NotSent;

    async fn attempt(
        &mut self,
        call: &mut UpstreamCall,
        endpoint: &LiveEndpoint,
        number: u32,
    ) -> Result<(Response<AnswerBody>, Connection), NotSent> {
        let exchange = self.exchange;
        let pool = endpoint.pool(exchange.worker.index);
        if self.request.upgrade.is_some() && pool.is_http2_alone() {
            return Err(NotSent::Refused(validate::NO_SWITCH));
        }
        let parts = self.head_for(endpoint, number).map_err(NotSent::Refused)?;
        let request = Request::from_parts(parts, self.request.next_body());
        let upstream = call.upstream().clone();
        let again = || self.anew(endpoint, number);
        let sending = Sending {
            again: (!self.is_once).then_some(&again),
            upstream: &upstream,
            pool,
            call,
            intake: self.request.intake.as_ref(),
            phase: Some(&exchange.downstream.phase),
            is_upgrade: self.request.upgrade.is_some(),
            interim: &exchange.downstream.interim,
            worker: &exchange.worker,
        };
        let sent = sending.send(request, self.request.has_length).await;
        sent.map_err(|why| self.unanswered(&upstream, why))
    }

    fn beside<'s>(
        &'s self,
        call: &'s mut UpstreamCall,
        endpoint: &'s LiveEndpoint,
        number: u32,
        is_hedge: bool,
    ) -> Option<Beside<'s, NotSent>> {
        let mut parts = self.request.parts.clone()?;
        let body = self.request.body_beside()?;
        Some(Box::pin(async move {
            let addressed = self.address(&mut parts, endpoint, number);
            addressed.map_err(NotSent::Refused)?;
            let exchange = self.exchange;
            let upstream = call.upstream().clone();
            // The client gets the interim answers of one attempt.
            let unseen = is_hedge.then(|| Interim::new(Waker::noop().clone()));
            let sending = Sending {
                upstream: &upstream,
                pool: endpoint.pool(exchange.worker.index),
                call,
                intake: self.request.intake.as_ref(),
                phase: Some(&exchange.downstream.phase),
                is_upgrade: false,
                again: None,
                interim: unseen.as_ref().unwrap_or(&exchange.downstream.interim),
                worker: &exchange.worker,
            };
            let request = Request::from_parts(parts, body);
            let sent = sending.send(request, self.request.has_length).await;
            sent.map_err(|why| self.unanswered(&upstream, why))
        }))
    }

    fn is_read(&self) -> bool {
        let intake = self.request.intake.as_deref();
        intake.is_none_or(|intake| !intake.is_owed())
    }

    fn body(&self) -> SentBody {
        self.request.sent_body()
    }

    fn waited(&self, now: Timestamp) -> Duration {
        let intake = self.request.intake.as_deref();
        intake.map_or(Duration::ZERO, |intake| intake.waited(now))
    }

    fn broken(why: &UpstreamError) -> NotSent {
        let failed = Failed::Upstream(why.as_body_error());
        NotSent::Unanswered(Unanswered::Failed(failed))
    }

    fn end(failure: &NotSent) -> (End, Option<CallError>) {
        match failure {
            NotSent::Refused(_) => (End::ClientFault, None),
            NotSent::Unanswered(why) => end_of(why),
        }
    }
}

/// The end of an attempt without an answer.
pub fn end_of(why: &Unanswered) -> (End, Option<CallError>) {
    match why {
        Unanswered::Unconnected(failed) => match failed.why {
            Unconnected::Upstream(error) => (End::ConnectError, Some(error)),
            Unconnected::Exhausted => (End::OwnFault, None),
        },
        Unanswered::Cut(cut) if cut.is_stale || cut.is_unfinished => (End::OwnFault, None),
        Unanswered::Cut(cut) => (End::Reset, Some(cut.why.kind.as_call_error())),
        Unanswered::Failed(failed) => match failed {
            Failed::Upstream(CallError::Timeout) => (End::TimedOut, Some(CallError::Timeout)),
            Failed::Upstream(error) => (End::Reset, Some(*error)),
            Failed::Client(_)
            | Failed::Unfinished
            | Failed::NotGrpc
            | Failed::GivenUp
            | Failed::GaveWay => (End::ClientFault, None),
            Failed::Stale | Failed::Limit | Failed::Ours => (End::OwnFault, None),
        },
    }
}
