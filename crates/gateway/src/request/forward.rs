//! Carries a request past a breaker to an upstream, and the answer back; a call that is refused or fails goes to the
//! ladder.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use fusebox_breaker::{Outcome, OwnedPermit, Rejection, Timestamp};
use fusebox_call::Retry;
use fusebox_plan::plan::{FallbackOn, FieldChanges, Probe, Rewrite};
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::message::body::Body;
use crate::message::fields;
use crate::message::phase::Phase;
use crate::message::request_body::{ClientFault, Intake};
use crate::request::answer;
use crate::request::client_request::{ClientRequest, NotSent, ToUpstream, origin};
use crate::request::exchange::{Exchange, Finish, done, unread};
use crate::request::ladder::{self, Failing, Ladder};
use crate::request::outlive::Outliving;
use crate::request::response_body::ResponseBody;
use crate::request::tunnel;
use crate::upstream::admission::{self, Admission, Unadmitted};
use crate::upstream::breakers::{KeyFacts, LiveBreaker, key_text};
use crate::upstream::bulkhead::{Full, Place};
use crate::upstream::call::{Holder, UpstreamCall};
use crate::upstream::call_state::LiveBulkhead;
use crate::upstream::held_answer::{HeldAnswer, Holding};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::probe_queue::Prober;
use crate::upstream::run_call::{self, CallEnd, CallRules};
use crate::upstream::sending::{Failed, PROBE_PATIENCE};
use crate::upstream::upstream_errors::UpstreamError;

/// The most bytes of a body that are kept where only the ladder may send it again.
const KEPT_FOR_LADDER: usize = 64 * 1024;

/// A route's step that passes its requests to an upstream.
#[derive(Debug)]
pub struct Forward {
    /// The upstream, with the breaker before it.
    pub upstream: Arc<LiveUpstream>,
    /// The path that the upstream sees; `None`: the request's own.
    pub rewrite: Option<Rewrite>,
    /// The route's changes to the fields of requests to its own upstream.
    pub changes: FieldChanges,
    /// The repeats of a failed attempt; `None`: none.
    pub retry: Option<Retry>,
    /// The bound on calls in flight: the route's own, or the upstream's.
    pub bulkhead: Option<LiveBulkhead>,
    /// True if the bulkhead is the route's own.
    pub has_own_bulkhead: bool,
    /// `max_concurrency` of the route.
    pub concurrency: Option<LiveBulkhead>,
    /// The answers to a call that was refused or failed.
    pub ladder: Ladder,
}

impl Forward {
    /// True if a request goes out once, and its answer is passed on whatever it is.
    fn is_once(&self) -> bool {
        self.retry.is_none() && self.ladder.is_empty() && self.upstream.endpoints.len() == 1
    }

    /// The most bytes of a request's body that are kept; `None`: it is sent once.
    fn body_kept(&self) -> Option<usize> {
        let retry = self.retry.as_ref().map(|retry| retry.buffer_max);
        retry.or_else(|| (!self.is_once()).then_some(KEPT_FOR_LADDER))
    }
}

/// The reason why a call got no permit.
#[derive(Debug)]
pub enum Refused {
    /// Its breaker refused it.
    Breaker(LiveBreaker, Rejection),
    /// The bulkhead was full.
    Bulkhead(Full),
}

/// The upstream that a call uses, and the part of the configuration that it does so by.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// The upstream.
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
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The fields.
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

/// Passes a request to the step's upstream if the upstream's breaker admits it.
pub async fn forward(
    exchange: Exchange,
    step: &Arc<Forward>,
    request: Request<Incoming>,
    mut finish: Finish,
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
    if let Some(concurrency) = &step.concurrency {
        match concurrency.places.try_enter() {
            Some(place) => finish.place = Some(place),
            None => {
                let full = concurrency.places.reject(Full::BulkheadFull);
                let answer = answer::bulkhead_full("route", &exchange.route.name, full);
                let why = Failing::full(&exchange.route.name, full, answer);
                return refused(exchange, step, request, finish, why).await;
            }
        }
    }
    let head = HeadView {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
    };
    let used = Use {
        upstream: &step.upstream,
        retry: step.retry.as_ref(),
        bulkhead: step.bulkhead.as_ref(),
        changes: &step.changes,
    };
    let is_complete = request.body().is_end_stream();
    let prober = |live_breaker: &LiveBreaker| {
        let client = fields::client(head.headers, &origin(&exchange));
        let probes = &live_breaker.extras.probes;
        probes.prober(client, head.method, head.uri.path())
    };
    let asked = match ask(&exchange, &used, head, is_complete, prober).await {
        Ok(Some(asked)) => asked,
        // Every upstream of a route has a breaker, even if a disabled one.
        Ok(None) => return done(finish, answer::our_fault()),
        Err(why) => {
            let why = refusal(&exchange, &step.upstream, why);
            return refused(exchange, step, request, finish, why).await;
        }
    };
    let mut request = ClientRequest::new(&exchange, request);
    let call = match admit(&exchange, &step.upstream, asked, &mut request).await {
        Ok(call) => call,
        Err(Unadmitted::Client(fault)) => {
            exchange.debug("request refused", UpstreamError::client(fault).word);
            return done(finish, answer::client_failed(fault));
        }
        Err(Unadmitted::Refused((live_breaker, rejection))) => {
            let refused = Refused::Breaker(live_breaker, rejection);
            let why = refusal(&exchange, &step.upstream, refused);
            return ladder::climb(exchange, step, request, why, finish).await;
        }
    };
    if let Some(bytes_max) = step.body_kept() {
        request.keep_body(bytes_max);
    }
    if !call.is_probe() {
        return carry(exchange, step, request, call, finish).await;
    }
    // A client that leaves does not end the probe: the call continues, and is judged.
    let worker = exchange.downstream.worker.clone();
    let limit = call.timeout() + PROBE_PATIENCE;
    let step = step.clone();
    let run = async move { carry(exchange, &step, request, call, finish).await };
    Outliving::new(&worker, Box::pin(run), limit).await
}

/// Answers a request that was refused before its body was looked at.
async fn refused(
    exchange: Exchange,
    step: &Arc<Forward>,
    request: Request<Incoming>,
    finish: Finish,
    why: Failing,
) -> Response<Body> {
    if step.ladder.is_empty() {
        return unread(finish, why.answer, request).await;
    }
    let mut request = ClientRequest::new(&exchange, request);
    request.keep_body(KEPT_FOR_LADDER);
    ladder::climb(exchange, step, request, why, finish).await
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
    let mut place = None;
    if let Some(bulkhead) = used.bulkhead {
        // An open breaker refuses before anything else is touched.
        if let Err(rejection) = live_breaker.breaker.check(worker.clock.exact()) {
            if rejection.reason != fusebox_breaker::RejectReason::BreakerProbing {
                return Err(Refused::Breaker(live_breaker, rejection));
            }
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
) -> Result<UpstreamCall, Unadmitted<(LiveBreaker, Rejection)>> {
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
            tracing::debug!(
                request_id = exchange.id.to_str().unwrap_or_default(),
                route = %exchange.route.name,
                breaker = %name,
                reason = rejection.reason.as_str(),
                "call refused"
            );
            Failing::rejected(&live_breaker, &rejection, worker.clock.exact())
        }
        Refused::Bulkhead(full) => {
            exchange.debug("call refused", full.as_str());
            let name = &upstream.plan.name;
            Failing::full(name, full, answer::bulkhead_full("upstream", name, full))
        }
    }
}

/// The answer to a rejection by the breaker.
fn rejected(live_breaker: &LiveBreaker, rejection: &Rejection, now: Timestamp) -> Response<Body> {
    let name = live_breaker.breaker.name();
    answer::breaker_refused(name, rejection, now, live_breaker.fallback())
}

/// The end of a call, before its answer is passed on.
pub enum Carried {
    /// An answer; with its call while that is not judged.
    Answered(HeldAnswer, Option<UpstreamCall>),
    /// A failure that the ladder may answer, and the upstream's own answer to it if that was kept.
    Failed(Failing, Option<HeldAnswer>),
    /// A failure that is its client's or our own.
    Ended(Response<Body>),
}

/// Sends an admitted call's request; the call is judged, unless its answer is to be passed on.
pub async fn call(
    exchange: &Exchange,
    used: &Use<'_>,
    rewrite: Option<&Rewrite>,
    is_once: bool,
    fallback_on: Option<FallbackOn>,
    request: &mut ClientRequest,
    mut call: UpstreamCall,
) -> Carried {
    let method = request.head().map(|head| head.method.clone());
    let method = method.unwrap_or_default();
    let hash = used.upstream.plan.hash_key.as_ref().and_then(|key| {
        let head = request.head()?;
        let facts = KeyFacts {
            route: &exchange.route.name,
            method: &head.method,
            headers: &head.headers,
            params: &exchange.params,
        };
        let text = key_text(key, &used.upstream.plan.name, "", &facts);
        Some(fusebox_call::balance::hash_of(&text))
    });
    let rules = CallRules {
        hash,
        method: &method,
        is_upgrade: request.upgrade.is_some(),
        is_attempt: request.is_attempt,
        retry: used.retry,
        hedge: None,
        total: None,
        bulkhead: used.bulkhead,
    };
    let mut outgoing = ToUpstream {
        exchange,
        rewrite,
        changes: [used.changes, &used.upstream.plan.request],
        is_once,
        request,
    };
    let worker = &exchange.worker;
    let end = run_call::run(used.upstream, &mut call, &rules, &mut outgoing, worker).await;
    let asks = fallback_on.is_some_and(|it| it.failed);
    match end {
        CallEnd::Answered(answer) if !asks => Carried::Answered(answer, Some(call)),
        CallEnd::Answered(answer) => {
            let sees_body = used.upstream.plan.breaker.failure_body_max.is_some();
            if !sees_body && call.judged_so_far() != Outcome::Failure {
                return Carried::Answered(answer, Some(call));
            }
            match answer.hold(&mut call, worker).await {
                Holding::Broken(why) => {
                    call.note(&why);
                    let error = why.as_body_error();
                    call.end(Some(error));
                    let failed = Failed::Upstream(error);
                    let answer = answer::not_sent(&used.upstream.plan.name, failed);
                    Carried::Failed(
                        Failing::failed(&used.upstream.plan.name, failed.word(), answer),
                        None,
                    )
                }
                Holding::Whole(answer) | Holding::Long(answer)
                    if call.judged_so_far() != Outcome::Failure =>
                {
                    Carried::Answered(answer, Some(call))
                }
                Holding::Whole(answer) => {
                    call.end(None);
                    judged(used, Some(answer))
                }
                Holding::Long(_) => {
                    call.end(None);
                    judged(used, None)
                }
            }
        }
        CallEnd::Held(answer) => {
            let is_failed = call.judged_so_far() == Outcome::Failure;
            call.end_as_attempted();
            match is_failed && asks {
                true => judged(used, Some(answer)),
                false => Carried::Answered(answer, None),
            }
        }
        CallEnd::Failed(not_sent) => failed(exchange, used, call, &not_sent),
    }
}

/// An answer that was judged a failure.
fn judged(used: &Use<'_>, answer: Option<HeldAnswer>) -> Carried {
    let name = &used.upstream.plan.name;
    let status = answer.as_ref().map(|answer| answer.parts.status);
    let word = status.map_or("failed".to_owned(), |it| format!("status_{}", it.as_u16()));
    let none = answer::not_sent(name, Failed::Upstream(fusebox_plan::CallError::Reset));
    Carried::Failed(Failing::failed(name, &word, none), answer)
}

fn failed(exchange: &Exchange, used: &Use<'_>, call: UpstreamCall, not_sent: &NotSent) -> Carried {
    let failed = match (not_sent, not_sent.failed()) {
        (NotSent::Refused(refused), _) => {
            return Carried::Ended(answer::refused(refused.status, refused.why));
        }
        (_, None) => return Carried::Ended(answer::our_fault()),
        (_, Some(failed)) => failed,
    };
    let what = match failed {
        Failed::Upstream(_) | Failed::Stale | Failed::Limit => "upstream failed",
        Failed::GivenUp => "request given up",
        Failed::Client(_) | Failed::Unfinished | Failed::Ours | Failed::GaveWay => {
            "request refused"
        }
    };
    exchange.debug(what, failed.word());
    let name = &used.upstream.plan.name;
    let answer = match (failed, call.live_breaker()) {
        (Failed::GaveWay, Some(live_breaker)) => {
            let now = exchange.worker.clock.exact();
            rejected(live_breaker, &admission::come_again(now), now)
        }
        _ => answer::not_sent(name, failed),
    };
    match failed {
        Failed::Upstream(error) => {
            call.end(Some(error));
            Carried::Failed(Failing::failed(name, failed.word(), answer), None)
        }
        _ => Carried::Ended(answer),
    }
}

/// Sends an admitted call's request and passes the answer on, or answers with the reason of the failure.
async fn carry(
    exchange: Exchange,
    step: &Arc<Forward>,
    mut request: ClientRequest,
    admitted: UpstreamCall,
    finish: Finish,
) -> Response<Body> {
    let used = Use {
        upstream: &step.upstream,
        retry: step.retry.as_ref(),
        bulkhead: step.bulkhead.as_ref(),
        changes: &step.changes,
    };
    let on = (!step.ladder.is_empty()).then_some(step.upstream.plan.fallback_on);
    let carried = call(
        &exchange,
        &used,
        step.rewrite.as_ref(),
        step.is_once(),
        on,
        &mut request,
        admitted,
    )
    .await;
    match carried {
        Carried::Answered(answer, call) => pass_on(exchange, request, answer, call, finish),
        Carried::Ended(answer) => done(finish, answer),
        Carried::Failed(why, answer) => {
            let why = Failing {
                upstreams: answer.map(Box::new),
                ..why
            };
            match on {
                Some(on) if on.failed => ladder::climb(exchange, step, request, why, finish).await,
                _ => done(finish, why.answer),
            }
        }
    }
}

/// Passes an upstream's answer on to the client.
pub fn pass_on(
    exchange: Exchange,
    request: ClientRequest,
    answer: HeldAnswer,
    call: Option<UpstreamCall>,
    mut finish: Finish,
) -> Response<Body> {
    let HeldAnswer {
        mut parts,
        ahead,
        rest,
        connection,
    } = answer;
    finish.answered(parts.status);
    let intake = request.intake;
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(call), Some(connection)) = (call, connection) else {
            return answer::our_fault();
        };
        connection.become_tunnel();
        let response = Response::from_parts(parts, rest);
        return switch(exchange, response, call, request.upgrade, finish);
    }
    fields::strip_response(&mut parts.headers);
    parts.version = Version::HTTP_11;
    // The client has not been asked for its body, and never will be.
    if intake.as_deref().is_some_and(Intake::is_held) {
        let close = HeaderValue::from_static("close");
        parts.headers.insert(CONNECTION, close);
    }
    let call = call.map(|mut call| {
        let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            call.becomes_stream();
        }
        Holder::new(call)
    });
    let clock = exchange.worker.clock.clone();
    let body = ResponseBody::new(rest, call, connection, intake, clock, finish).behind(ahead);
    Response::from_parts(parts, Body::Streamed(Box::new(body)))
}

/// Joins both connections after the upstream has switched protocols, which is its success.
fn switch(
    exchange: Exchange,
    mut response: Response<Incoming>,
    mut call: UpstreamCall,
    client: Option<hyper::upgrade::OnUpgrade>,
    mut finish: Finish,
) -> Response<Body> {
    let upstream = hyper::upgrade::on(&mut response);
    let protocol = response.headers().get(UPGRADE).cloned();
    call.becomes_stream();
    let places = [call.takes_place(None), finish.place.take()];
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
    tunnel::open(exchange.downstream.clone(), client, upstream, idle, places);
    Response::from_parts(parts, Body::empty())
}
