//! Asks for a route's call: first for a place in the bulkhead, then for the breaker's permit; and refuses it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use fusebox_breaker::{OwnedPermit, RejectReason, Rejection, Timestamp};
use fusebox_call::Retry;
use fusebox_plan::plan::{FieldChanges, Probe};
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Response, Uri};

use crate::ground::access_log::note::Decision;
use crate::message::body::Body;
use crate::message::phase::Phase;
use crate::message::request_body::ClientFault;
use crate::request::answer;
use crate::request::client_request::ClientRequest;
use crate::request::exchange::Exchange;
use crate::request::ladder::Failing;
use crate::upstream::admission::{self, Admission, Unadmitted};
use crate::upstream::breakers::{KeyFacts, LiveBreaker};
use crate::upstream::bulkhead::{Full, Place};
use crate::upstream::call::UpstreamCall;
use crate::upstream::call_state::LiveBulkhead;
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::probe_queue::Prober;

/// The reason why a call got no permit.
#[derive(Debug)]
pub enum Refused {
    /// A refusal by its breaker.
    Breaker(LiveBreaker, Rejection),
    /// The bulkhead was full.
    Bulkhead(Full),
}

/// The upstream that a call uses, and the part of the configuration that it does so by.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// The upstream with its breakers and endpoints.
    pub upstream: &'a Arc<LiveUpstream>,
    /// The repeats of a failed attempt.
    pub retry: Option<&'a Retry>,
    /// The bound on calls in flight.
    pub bulkhead: Option<&'a LiveBulkhead>,
    /// The route's changes to the request's fields.
    pub changes: &'a FieldChanges,
}

/// The head of a request, as breakers and their turns to probe see it.
#[derive(Debug, Clone, Copy)]
pub struct HeadView<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's target.
    pub uri: &'a Uri,
    /// The request's fields.
    pub headers: &'a HeaderMap,
}

/// The first part of an admission, before the request's body is looked at.
pub struct Asked {
    live_breaker: LiveBreaker,
    place: Option<Place>,
    /// `None`: the body has to be read first.
    permit: Option<OwnedPermit>,
    prober: Option<Prober>,
}

/// Asks for a place in the bulkhead and for the breaker's permit; `None`: the upstream has no breaker.
///
/// # Errors
/// The reason of the refusal.
pub async fn ask(
    exchange: &Exchange,
    used: &Use<'_>,
    head: HeadView<'_>,
    is_complete: bool,
    prober: impl Fn(&LiveBreaker) -> Prober,
) -> Result<Option<Asked>, Refused> {
    let live_breaker = used.upstream.breakers.select(&KeyFacts {
        route: &exchange.route.name,
        method: head.method,
        headers: head.headers,
        params: &exchange.params,
    });
    let Some(live_breaker) = live_breaker else {
        return Ok(None);
    };
    let (worker, phase) = (&exchange.worker, &exchange.downstream.phase);
    if let Some(several) = &used.upstream.several
        && let Some(held) = several.rejection(&live_breaker.breaker, worker.clock.exact())
    {
        return Err(Refused::Breaker(live_breaker, held));
    }
    let mut place = None;
    if let Some(bulkhead) = used.bulkhead {
        // An open breaker refuses before anything else is touched.
        if let Err(rejection) = live_breaker.breaker.check(worker.clock.exact())
            && rejection.reason != RejectReason::BreakerProbing
        {
            return Err(Refused::Breaker(live_breaker, rejection));
        }
        let entered = match bulkhead.places.try_enter() {
            Some(place) => Ok(place),
            None => Box::pin(bulkhead.places.enter(bulkhead.bounds, left(phase))).await,
        };
        place = Some(entered.map_err(Refused::Bulkhead)?);
    }
    if used.upstream.plan.breaker.probe == Probe::Health
        && live_breaker.breaker.may_probe(worker.clock.tick())
    {
        // The health checks probe; no client does.
        let now = worker.clock.exact();
        let rejection = live_breaker.breaker.check(now).err();
        let interval = used.upstream.plan.health.as_ref().map(|it| it.interval);
        let again = || admission::probing_until(now + interval.unwrap_or_default());
        return Err(Refused::Breaker(
            live_breaker,
            rejection.unwrap_or_else(again),
        ));
    }
    let permit = match admission::ask(&live_breaker, worker, is_complete) {
        Ok(Some(Admission::Admitted(permit))) => Ok(Some(permit)),
        Ok(None) => Ok(None),
        Ok(Some(Admission::Waits(refused))) => {
            let prober = prober(&live_breaker);
            let turn = admission::turn(&live_breaker, worker, Some(phase), prober, refused);
            Box::pin(turn).await.map(Some)
        }
        Err(rejection) => Err(rejection),
    };
    match permit {
        Ok(permit) => {
            let may_probe = permit.as_ref().is_none_or(OwnedPermit::is_probe);
            let prober = may_probe.then(|| prober(&live_breaker));
            Ok(Some(Asked {
                live_breaker,
                place,
                permit,
                prober,
            }))
        }
        Err(rejection) => Err(Refused::Breaker(live_breaker, rejection)),
    }
}

/// Resolves when a client has closed its connection.
async fn left(phase: &Phase) {
    poll_fn(|cx| match phase.is_left_by_caller(cx) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Begins the call, once the request's body has been read if it has to be.
///
/// # Errors
/// The breaker's rejection, or the client's fault.
pub async fn admit(
    exchange: &Exchange,
    upstream: &Arc<LiveUpstream>,
    asked: Asked,
    request: &mut ClientRequest,
) -> Result<Box<UpstreamCall>, Unadmitted<(LiveBreaker, Rejection)>> {
    let Asked {
        live_breaker,
        place,
        permit,
        prober,
    } = asked;
    let worker = &exchange.worker;
    let phase = &exchange.downstream.phase;
    let permit = match (permit, prober, request.body_mut()) {
        (Some(permit), ..) => permit,
        // Only a request with a body is not admitted at once.
        (None, Some(prober), Some(body)) => {
            match admission::ask_with(&live_breaker, worker, phase, prober, body).await {
                Ok(permit) => permit,
                Err(Unadmitted::Client(fault)) => return Err(Unadmitted::Client(fault)),
                Err(Unadmitted::Refused(rejection)) => {
                    return Err(Unadmitted::Refused((live_breaker, rejection)));
                }
            }
        }
        (None, ..) => return Err(Unadmitted::Client(ClientFault::Malformed)),
    };
    let mut call = UpstreamCall::new(permit, live_breaker, upstream.clone(), worker.clone());
    call.takes_place(place);
    let method = request.head().map_or(&Method::GET, |head| &head.method);
    call.made_for(method, Some(phase));
    call.asked_by(&exchange.id, exchange.downstream.client_subject());
    if let Some(grpc) = exchange.grpc {
        call.speaks_grpc(grpc);
    }
    if let Some(prober) = prober.filter(|_| call.is_probe()) {
        call.probes_for(prober);
    }
    Ok(call)
}

/// Counts a refusal, logs it, and makes the client's answer.
pub fn refusal(exchange: &Exchange, upstream: &LiveUpstream, why: Refused) -> Failing {
    let worker = &exchange.worker;
    match why {
        Refused::Breaker(live_breaker, rejection) => {
            live_breaker.meter(worker).refuse(&rejection);
            let name = live_breaker.breaker.name();
            exchange.downstream.phase.noted.with(|note| {
                note.decision(|| live_breaker.refusal(&upstream.plan.name, &rejection, worker));
                note.fixed_reason(rejection.reason.as_str());
            });
            tracing::debug!(
                request_id = exchange.id.to_str().unwrap_or_default(),
                route = %exchange.route.name,
                breaker = %name,
                reason = rejection.reason.as_str(),
                "call refused"
            );
            let now = worker.clock.exact();
            let mut why = Failing::rejected(&live_breaker, &rejection, now);
            if exchange.grpc.is_some() && why.retry_after.is_none() {
                // A hold without an end has no time to come back, and a gRPC client would take any for one.
                why.answer.headers_mut().remove(RETRY_AFTER);
            }
            why
        }
        Refused::Bulkhead(full) => {
            let name = &upstream.plan.name;
            exchange.downstream.phase.noted.with(|note| {
                let upstream = name.clone();
                note.decision(|| Decision {
                    upstream,
                    breaker: None,
                });
            });
            exchange.debug("call refused", full.as_str());
            Failing::full(name, full, answer::bulkhead_full("upstream", name, full))
        }
    }
}

/// The answer to a rejection by the breaker.
pub fn rejected(
    live_breaker: &LiveBreaker,
    rejection: &Rejection,
    now: Timestamp,
) -> Response<Body> {
    let name = live_breaker.breaker.name();
    answer::breaker_refused(name, rejection, now, live_breaker.fallback())
}
