//! Carries a request past a breaker to an upstream, and the answer back.

use std::sync::Arc;

use fusebox_breaker::{OwnedPermit, Rejection, Timestamp};
use fusebox_plan::plan::Rewrite;
use http::header::{CONNECTION, EXPECT, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::message::body::Body;
use crate::message::fields::{self, Origin};
use crate::message::outgoing::Outgoing;
use crate::message::request_body::{ClientFault, Intake, IntakeLimits, RequestBody};
use crate::message::validate;
use crate::request::answer;
use crate::request::exchange::{Exchange, Finish, done, unread};
use crate::request::outlive::Outliving;
use crate::request::response_body::ResponseBody;
use crate::request::target;
use crate::request::tunnel;
use crate::upstream::admission::{self, Admission, Unadmitted};
use crate::upstream::breakers::{KeyFacts, LiveBreaker};
use crate::upstream::call::{Holder, UpstreamCall};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::probe_queue::Prober;
use crate::upstream::sending::{Failed, PROBE_PATIENCE, Sending, expects_no_body};
use crate::upstream::upstream_errors::UpstreamError;

/// A route's step that passes its requests to an upstream.
#[derive(Debug)]
pub struct Forward {
    /// The upstream, with the breaker before it.
    pub upstream: Arc<LiveUpstream>,
    /// The path that the upstream sees; `None`: the request's own.
    pub rewrite: Option<Rewrite>,
}

/// Passes a request to the step's upstream if the upstream's breaker admits it.
pub async fn forward(
    exchange: Exchange,
    step: &Forward,
    mut request: Request<Incoming>,
    finish: Finish,
) -> Response<Body> {
    // A body whose declared length is over the limit is refused before a breaker or a byte of it is looked at.
    let size_max = exchange.listener.limits.request_body_max;
    if size_max.is_some_and(|max| request.body().size_hint().lower() > max) {
        exchange.debug(
            "request refused",
            UpstreamError::client(ClientFault::TooLarge).word,
        );
        return done(finish, answer::client_failed(ClientFault::TooLarge));
    }
    let live_breaker = step.upstream.breakers.select(&KeyFacts {
        route: &exchange.route.name,
        method: request.method(),
        headers: request.headers(),
        params: &exchange.params,
    });
    // Every upstream of a route has a breaker, even if a disabled one.
    let Some(live_breaker) = live_breaker else {
        return done(finish, answer::our_fault());
    };
    let worker = &exchange.worker;
    let is_complete = request.body().is_end_stream();
    let permit = match admission::ask(&live_breaker, worker, is_complete) {
        Ok(Some(Admission::Admitted(permit))) => Ok(Some(permit)),
        Ok(None) => Ok(None),
        Ok(Some(Admission::Waits(refused))) => {
            let prober = prober(&exchange, &live_breaker, &request);
            let phase = &exchange.downstream.phase;
            let turn = Box::pin(admission::turn(
                &live_breaker,
                worker,
                phase,
                prober,
                refused,
            ));
            turn.await.map(Some)
        }
        Err(rejection) => Err(rejection),
    };
    let permit = match permit {
        Ok(permit) => permit,
        Err(rejection) => {
            let refusal = refuse(&exchange, &live_breaker, &rejection);
            return unread(finish, refusal, request).await;
        }
    };
    let may_probe = permit.as_ref().is_none_or(OwnedPermit::is_probe);
    let prober = may_probe.then(|| prober(&exchange, &live_breaker, &request));
    let is_offered = !is_complete
        && request.version() == Version::HTTP_11
        && request.headers().contains_key(EXPECT);
    // An upstream may overlook a body; on a connection that may switch protocols that would be unsafe.
    let may_switch = is_complete || !expects_no_body(request.method());
    let upgrade =
        (may_switch && validate::upgrade_asked(&request)).then(|| hyper::upgrade::on(&mut request));
    let protocol = upgrade
        .is_some()
        .then(|| request.headers().get(UPGRADE).cloned())
        .flatten();
    let (parts, body) = request.into_parts();
    let (mut parts, has_length) = match outgoing_head(&exchange, step, parts, protocol) {
        Ok(head) => head,
        Err(refused) => return done(finish, answer::refused(refused.status, refused.why)),
    };
    if !is_offered {
        parts.headers.remove(EXPECT);
    }
    let (mut body, intake) = outgoing_body(&exchange, body, is_offered);
    let permit = match (permit, prober, &mut body) {
        (Some(permit), ..) => permit,
        // Only a request with a body is not admitted at once.
        (None, Some(prober), Outgoing::Client(body)) => {
            let phase = &exchange.downstream.phase;
            match admission::ask_with(&live_breaker, worker, phase, prober, body).await {
                Ok(permit) => permit,
                Err(Unadmitted::Client(fault)) => {
                    exchange.debug("request refused", UpstreamError::client(fault).word);
                    return done(finish, answer::client_failed(fault));
                }
                Err(Unadmitted::Refused(rejection)) => {
                    let mut refusal = refuse(&exchange, &live_breaker, &rejection);
                    if !body.is_end_stream() {
                        let close = HeaderValue::from_static("close");
                        refusal.headers_mut().insert(CONNECTION, close);
                    }
                    return done(finish, refusal);
                }
            }
        }
        (None, ..) => return done(finish, answer::our_fault()),
    };
    let mut call = UpstreamCall::new(permit, live_breaker, step.upstream.clone(), worker.clone());
    call.made_for(&parts.method, Some(&exchange.downstream.phase));
    if let Some(prober) = prober.filter(|_| call.is_probe()) {
        call.probes_for(prober);
    }
    let carried = AdmittedCall {
        call,
        parts,
        has_length,
        body,
        intake,
        upgrade,
        exchange,
        finish,
    };
    if !carried.call.is_probe() {
        return carry(carried).await;
    }
    // A client that leaves does not end the probe: the call continues, and is judged.
    let worker = carried.exchange.downstream.worker.clone();
    let limit = carried.call.timeout() + PROBE_PATIENCE;
    Outliving::new(&worker, Box::pin(carry(carried)), limit).await
}

/// The client and target of a request that may probe.
fn prober(exchange: &Exchange, live_breaker: &LiveBreaker, request: &Request<Incoming>) -> Prober {
    let client = fields::client(request.headers(), &origin(exchange));
    let probes = &live_breaker.extras.probes;
    probes.prober(client, request.method(), request.uri())
}

/// Counts a refusal, logs it, and makes the client's answer.
fn refuse(
    exchange: &Exchange,
    live_breaker: &LiveBreaker,
    rejection: &Rejection,
) -> Response<Body> {
    let worker = &exchange.worker;
    live_breaker.meter(worker).refuse(rejection);
    let name = live_breaker.breaker.name();
    tracing::debug!(
        request_id = exchange.id.to_str().unwrap_or_default(),
        route = %exchange.route.name,
        breaker = %name,
        reason = rejection.reason.as_str(),
        "call refused"
    );
    refused(live_breaker, rejection, worker.clock.exact())
}

/// The answer to a rejection by the breaker.
fn refused(live_breaker: &LiveBreaker, rejection: &Rejection, now: Timestamp) -> Response<Body> {
    let name = live_breaker.breaker.name();
    answer::breaker_refused(name, rejection, now, live_breaker.fallback())
}

/// An admitted call with the request and the parts of the exchange that sending needs.
struct AdmittedCall {
    call: UpstreamCall,
    parts: Parts,
    has_length: bool,
    body: Outgoing,
    intake: Option<Arc<Intake>>,
    upgrade: Option<OnUpgrade>,
    exchange: Exchange,
    finish: Finish,
}

/// Sends an admitted call's request and passes the answer on, or answers with the reason of the failure.
async fn carry(carried: AdmittedCall) -> Response<Body> {
    let AdmittedCall {
        mut call,
        parts,
        has_length,
        body,
        intake,
        upgrade,
        exchange,
        mut finish,
    } = carried;
    let upstream = call.upstream().clone();
    let sending = Sending {
        upstream: &upstream,
        pool: upstream.pool(exchange.worker.index),
        call: &mut call,
        intake: intake.as_ref(),
        phase: Some(&exchange.downstream.phase),
        interim: &exchange.downstream.interim,
        worker: &exchange.worker,
    };
    let (response, connection) = match sending.send(parts, body, has_length).await {
        Ok(sent) => sent,
        Err(failed) => {
            let what = match failed {
                Failed::Upstream(_) | Failed::Stale | Failed::Limit => "upstream failed",
                Failed::GivenUp => "request given up",
                Failed::Client(_) | Failed::Unfinished | Failed::Ours | Failed::GaveWay => {
                    "request refused"
                }
            };
            exchange.debug(what, failed.word());
            let answer = match (failed, call.live_breaker()) {
                (Failed::GaveWay, Some(live_breaker)) => {
                    let now = exchange.worker.clock.exact();
                    refused(live_breaker, &admission::come_again(now), now)
                }
                _ => answer::not_sent(&upstream.plan.name, failed),
            };
            if let Failed::Upstream(error) = failed {
                call.end(Some(error));
            }
            return done(finish, answer);
        }
    };
    finish.answered(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        connection.become_tunnel();
        return switch(exchange, response, call, upgrade, finish);
    }
    let (mut parts, body) = response.into_parts();
    fields::strip_response(&mut parts.headers);
    parts.version = Version::HTTP_11;
    // The client has not been asked for its body, and never will be.
    if intake.as_deref().is_some_and(Intake::is_held) {
        let close = HeaderValue::from_static("close");
        parts.headers.insert(CONNECTION, close);
    }
    let body = ResponseBody::new(
        body,
        Some(Holder::new(call)),
        Some(connection),
        intake,
        exchange.worker.clock.clone(),
        finish,
    );
    Response::from_parts(parts, Body::Streamed(Box::new(body)))
}

/// The head for the upstream; true if the client declared the body's length.
fn outgoing_head(
    exchange: &Exchange,
    step: &Forward,
    mut parts: Parts,
    protocol: Option<HeaderValue>,
) -> Result<(Parts, bool), validate::Refused> {
    parts.uri = target::outgoing(exchange, step, &parts)?;
    parts.version = Version::HTTP_11;
    let host = parts.headers.get(HOST).cloned();
    let headers = &mut parts.headers;
    let brought = fields::strip_request(headers);
    let downstream = &exchange.downstream;
    fields::set_forwarded(headers, brought, &origin(exchange), host.as_ref());
    headers.insert(HOST, step.upstream.host.clone());
    headers.insert(fields::X_REQUEST_ID, exchange.id.clone());
    if !fields::has_traceparent(headers) {
        headers.insert(fields::TRACEPARENT, downstream.worker.ids.traceparent());
        // The state belongs to a trace that had no valid parent (W3C Trace Context, section 3.3).
        if brought.has_tracestate() {
            headers.remove(fields::TRACESTATE);
        }
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    Ok((parts, brought.has_length()))
}

/// The facts about the client's connection that forwarded fields are made of.
fn origin(exchange: &Exchange) -> Origin<'_> {
    let downstream = &exchange.downstream;
    Origin {
        peer: downstream.peer.ip().to_canonical(),
        peer_text: &downstream.peer_text,
        trusted: exchange.listener.trusts(downstream.peer.ip()),
        scheme: downstream.scheme,
    }
}

fn outgoing_body(
    exchange: &Exchange,
    body: Incoming,
    is_offered: bool,
) -> (Outgoing, Option<Arc<Intake>>) {
    if body.is_end_stream() {
        return (Outgoing::Empty, None);
    }
    let limits = &exchange.listener.limits;
    let limits = IntakeLimits {
        rate_min: limits.body_rate_min,
        size_max: limits.request_body_max,
    };
    let phase = exchange.downstream.phase.clone();
    let clock = exchange.worker.clock.clone();
    let (body, intake) = RequestBody::new(body, is_offered, phase, clock, limits);
    (Outgoing::Client(body), Some(intake))
}

/// Joins both connections after the upstream has switched protocols, which is its success.
fn switch(
    exchange: Exchange,
    mut response: Response<Incoming>,
    call: UpstreamCall,
    client: Option<OnUpgrade>,
    finish: Finish,
) -> Response<Body> {
    let upstream = hyper::upgrade::on(&mut response);
    let protocol = response.headers().get(UPGRADE).cloned();
    call.end(None);
    drop(finish);
    let Some(client) = client else {
        return answer::our_fault();
    };
    let (mut parts, _) = response.into_parts();
    fields::strip_response(&mut parts.headers);
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(UPGRADE, protocol);
    }
    let idle = exchange.listener.limits.upgrade_idle_timeout;
    tunnel::open(exchange.downstream.clone(), client, upstream, idle);
    Response::from_parts(parts, Body::empty())
}
