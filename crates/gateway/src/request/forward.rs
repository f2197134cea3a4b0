//! Carries a request past a breaker to an upstream, and the answer back; a call that is refused or fails goes to the
//! ladder.

use std::borrow::Cow;
use std::sync::Arc;

use fusebox_breaker::{Outcome, Timestamp};
use fusebox_call::Retry;
use fusebox_plan::plan::{FallbackOn, FieldChanges, Location, Rewrite, Timeout};
use http::response::Parts as AnswerHead;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::message::body::Body;
use crate::message::fields;
use crate::message::grpc::GrpcRequest;
use crate::message::request_body::ClientFault;
use crate::request::admitting::{HeadView, Refused, Use, admit, ask, refusal, rejected};
use crate::request::answer;
use crate::request::client_request::{ClientRequest, NotSent, ToUpstream, origin};
use crate::request::downstream::Protocol;
use crate::request::exchange::{Exchange, Finish, done, unread};
use crate::request::ladder::{self, Failing, Ladder};
use crate::request::outlive::Outliving;
use crate::request::passing::pass_on;
use crate::request::way_back::{self, WayBack};
use crate::upstream::admission::{self, Unadmitted};
use crate::upstream::breakers::{KeyFacts, LiveBreaker, key_text};
use crate::upstream::bulkhead::Full;
use crate::upstream::call::UpstreamCall;
use crate::upstream::call_state::LiveBulkhead;
use crate::upstream::held_answer::{HeldAnswer, Holding};
use crate::upstream::last_good::key::Scope;
use crate::upstream::last_good::{Judged, Lookup, Recorder};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::run_call::{self, CallEnd, CallRules};
use crate::upstream::sending::{Failed, PROBE_PATIENCE};
use crate::upstream::upstream_errors::UpstreamError;

/// The most bytes of a body that are kept where only the ladder, or a free repeat, may send it again.
const KEPT_FOR_AGAIN: usize = 64 * 1024;

/// A route's step that passes its requests to an upstream.
#[derive(Debug)]
pub struct Forward {
    /// The upstream, with the breaker before it.
    pub upstream: Arc<LiveUpstream>,
    /// The route's path template.
    pub path: Arc<str>,
    /// The path that the upstream sees; `None`: the request's own.
    pub rewrite: Option<Rewrite>,
    /// The route's changes to the fields of requests to its own upstream.
    pub changes: FieldChanges,
    /// The scope of the last good answers to the route's requests.
    pub scope: Scope,
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
        self.retry.is_none()
            && self.ladder.is_empty()
            && self.upstream.endpoints.len() == 1
            && self.upstream.calls.last_good.is_none()
    }

    /// Points a redirect of `upstream` to itself at the gateway, unless it says `location: keep`.
    #[inline]
    pub fn lead_back(
        &self,
        exchange: &Exchange,
        upstream: &LiveUpstream,
        status: StatusCode,
        headers: &mut HeaderMap,
    ) {
        if way_back::may_lead(status) && upstream.plan.location == Location::Rewrite {
            let way = WayBack {
                upstream: &upstream.plan,
                path: &self.path,
                rewrite: self.rewrite.as_ref(),
                params: &exchange.params,
            };
            way.lead(headers);
        }
    }

    /// The most bytes of a request's body that are kept; `None`: it is sent once. An upstream of HTTP/2 may say of any
    /// request that it has not processed it, as nginx does of those that meet its `keepalive_requests`.
    fn body_kept(&self, worker: usize) -> Option<usize> {
        let retry = self.retry.as_ref().map(|retry| retry.buffer_max);
        retry.or_else(|| {
            let may_go_again = !self.is_once() || self.upstream.may_refuse_streams(worker);
            may_go_again.then_some(KEPT_FOR_AGAIN)
        })
    }
}

/// Passes a request to the step's upstream if the upstream's breaker admits it.
pub async fn forward(
    exchange: &Exchange,
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
        let answer = answer::client_failed(ClientFault::TooLarge);
        return match exchange.downstream.protocol {
            Protocol::Http1 => done(finish, answer),
            Protocol::Http2 => unread(finish, answer, request).await,
        };
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
        let client = fields::client(head.headers, &origin(exchange));
        let probes = &live_breaker.extras.probes;
        probes.prober(client, head.method, head.uri.path())
    };
    let asked = match ask(exchange, &used, head, is_complete, prober).await {
        Ok(Some(asked)) => asked,
        // Every upstream of a route has a breaker, even if a disabled one.
        Ok(None) => return done(finish, answer::our_fault()),
        Err(why) => {
            let why = refusal(exchange, &step.upstream, why);
            return refused(exchange, step, request, finish, why).await;
        }
    };
    let mut request = ClientRequest::new(exchange, request);
    let call = match admit(exchange, &step.upstream, asked, &mut request).await {
        Ok(call) => call,
        Err(Unadmitted::Client(fault)) => {
            exchange.debug("request refused", UpstreamError::client(fault).word);
            return done(finish, answer::client_failed(fault));
        }
        Err(Unadmitted::Refused((live_breaker, rejection))) => {
            let refused = Refused::Breaker(live_breaker, rejection);
            let why = refusal(exchange, &step.upstream, refused);
            if let Some(bytes_max) = step.body_kept(exchange.worker.index) {
                request.keep_body(bytes_max);
            }
            return ladder::climb(exchange, step, request, why, finish).await;
        }
    };
    if let Some(bytes_max) = step.body_kept(exchange.worker.index) {
        request.keep_body(bytes_max);
    }
    if !call.is_probe() {
        return carry(exchange, step, &mut request, call, finish).await;
    }
    // A client that leaves does not end the probe: the call continues, and is judged.
    let worker = exchange.downstream.worker.clone();
    let limit = call.timeout() + PROBE_PATIENCE;
    let (exchange, step) = (exchange.clone(), step.clone());
    let run = async move { carry(&exchange, &step, &mut request, call, finish).await };
    Outliving::new(&worker, Box::pin(run), limit).await
}

/// Answers a request that was refused before its body was looked at.
async fn refused(
    exchange: &Exchange,
    step: &Arc<Forward>,
    request: Request<Incoming>,
    finish: Finish,
    why: Failing,
) -> Response<Body> {
    if step.ladder.is_empty() {
        return unread(finish, why.answer, request).await;
    }
    let mut request = ClientRequest::new(exchange, request);
    if let Some(bytes_max) = step.body_kept(exchange.worker.index) {
        request.keep_body(bytes_max);
    }
    ladder::climb(exchange, step, request, why, finish).await
}

/// The end of a call, before its answer is passed on.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for a moment on the way of an answer"
)]
pub enum Carried {
    /// An answer; with its call while that is not judged.
    Answered(HeldAnswer, Option<Box<UpstreamCall>>),
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
    mut call: Box<UpstreamCall>,
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
        hedge: used.upstream.plan.hedge,
        total: None,
        deadline: exchange
            .grpc
            .filter(|grpc| grpc.timeout.is_some())
            .map(|grpc| grpc.deadline),
        bulkhead: used.bulkhead,
    };
    let now = || exchange.worker.clock.exact();
    if exchange.grpc.is_some_and(|grpc| grpc.is_over(now())) {
        call.ignore();
        return Carried::Ended(too_late(used));
    }
    let mut outgoing = ToUpstream {
        deadline: exchange
            .grpc
            .and_then(|grpc| passed_deadline(used, grpc, now())),
        exchange,
        rewrite,
        host: &used.upstream.plan.host,
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
            let within = used.upstream.plan.timeout.of_call();
            match answer.hold(within, &mut call, worker).await {
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
                Holding::Whole(answer) | Holding::Long(answer) | Holding::Late(answer)
                    if call.judged_so_far() != Outcome::Failure =>
                {
                    Carried::Answered(answer, Some(call))
                }
                Holding::Whole(answer) => {
                    let grpc = call.grpc_status();
                    call.end(None);
                    judged(used, answer.parts.status, grpc, Some(answer))
                }
                Holding::Long(answer) | Holding::Late(answer) => {
                    let grpc = call.grpc_status();
                    call.end(None);
                    judged(used, answer.parts.status, grpc, None)
                }
            }
        }
        CallEnd::Held(answer) => {
            let is_failed = call.judged_so_far() == Outcome::Failure;
            let grpc = call.grpc_status();
            call.end_as_attempted();
            match is_failed && asks {
                true => judged(used, answer.parts.status, grpc, Some(answer)),
                false => Carried::Answered(answer, None),
            }
        }
        CallEnd::Failed(not_sent) => failed(exchange, used, call, &not_sent),
    }
}

/// The answer to a gRPC call whose client has no more time.
fn too_late(used: &Use<'_>) -> Response<Body> {
    let late = Failed::Upstream(fusebox_plan::CallError::Timeout);
    answer::not_sent(&used.upstream.plan.name, late)
}

/// The deadline in a gRPC request to the upstream: the client's, or the end of the upstream's own `timeout` if that is set
/// and comes before. `None` without a deadline of the client's: its stream may flow for as long as it likes.
fn passed_deadline(used: &Use<'_>, grpc: GrpcRequest, now: Timestamp) -> Option<Timestamp> {
    grpc.timeout?;
    let timeout = &used.upstream.plan.timeout;
    let by_default = Timeout::default().request;
    let request = (timeout.request != by_default).then_some(timeout.request);
    let own = timeout.total.or(request).map(|own| now + own);
    Some(own.map_or(grpc.deadline, |own| own.min(grpc.deadline)))
}

/// An answer of that status that was judged a failure; `None`: it is too long or too slow to be kept.
fn judged(
    used: &Use<'_>,
    status: StatusCode,
    grpc: Option<u8>,
    answer: Option<HeldAnswer>,
) -> Carried {
    let name = &used.upstream.plan.name;
    let word = match grpc.filter(|code| *code > 0) {
        Some(code) => format!("grpc_{code}"),
        None => format!("status_{}", status.as_u16()),
    };
    let none = answer::not_sent(name, Failed::Upstream(fusebox_plan::CallError::Reset));
    Carried::Failed(Failing::failed(name, &word, none), answer)
}

fn failed(
    exchange: &Exchange,
    used: &Use<'_>,
    call: Box<UpstreamCall>,
    not_sent: &NotSent,
) -> Carried {
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
        Failed::Client(_)
        | Failed::Unfinished
        | Failed::NotGrpc
        | Failed::Ours
        | Failed::GaveWay => "request refused",
    };
    exchange.debug(what, failed.word());
    let name = &used.upstream.plan.name;
    let answer = match (failed, call.live_breaker()) {
        (Failed::GaveWay, Some(live_breaker)) => {
            let now = exchange.worker.clock.exact();
            rejected(live_breaker, &admission::come_again(now), now)
        }
        _ if exchange
            .grpc
            .is_some_and(|it| it.is_over(exchange.worker.clock.exact())) =>
        {
            too_late(used)
        }
        _ => answer::not_sent(name, failed),
    };
    match failed {
        Failed::Upstream(error) => {
            call.end(Some(error));
            Carried::Failed(Failing::failed(name, failed.word(), answer), None)
        }
        // It says nothing about the upstream, but a rung without an upstream may answer.
        Failed::Stale => Carried::Failed(Failing::failed(name, failed.word(), answer), None),
        _ => Carried::Ended(answer),
    }
}

/// Looks at an answer as the upstream's last good one. `Some`: it is to be recorded as it passes.
pub fn observed<'a>(
    exchange: &Exchange,
    upstream: &LiveUpstream,
    lookup: &Lookup,
    answer: &HeldAnswer,
    call: Option<&UpstreamCall>,
    sent: impl FnOnce() -> Cow<'a, HeaderMap>,
) -> Option<Recorder> {
    let last_good = upstream.calls.last_good.as_ref()?;
    let judged = match call.map(UpstreamCall::judged_so_far) {
        Some(Outcome::Failure) => Judged::Failed,
        Some(_) => Judged::Fine,
        // Held for a repeat that did not come.
        None => Judged::Failed,
    };
    let (status, headers) = (answer.parts.status, &answer.parts.headers);
    let now = exchange.worker.clock.wall_millis();
    last_good.observe(lookup, status, headers, &sent(), judged, now)
}

/// Sends an admitted call's request and passes the answer on, or answers with the reason of the failure.
async fn carry(
    exchange: &Exchange,
    step: &Arc<Forward>,
    request: &mut ClientRequest,
    admitted: Box<UpstreamCall>,
    finish: Finish,
) -> Response<Body> {
    let used = Use {
        upstream: &step.upstream,
        retry: step.retry.as_ref(),
        bulkhead: step.bulkhead.as_ref(),
        changes: &step.changes,
    };
    let on = (!step.ladder.is_empty()).then(|| step.ladder.answers(step.upstream.plan.fallback_on));
    // A route without such a rung may remove entries too.
    let lookup = request.lookup(exchange, step);
    let carried = call(
        exchange,
        &used,
        step.rewrite.as_ref(),
        step.is_once(),
        on,
        request,
        admitted,
    )
    .await;
    match carried {
        Carried::Answered(mut answer, call) => {
            let recorder = lookup.and_then(|lookup| {
                let changes = [&step.changes, &step.upstream.plan.request];
                let subject = exchange.downstream.client_subject();
                let sent = || request.sent_headers(changes, subject);
                observed(
                    exchange,
                    &step.upstream,
                    &lookup,
                    &answer,
                    call.as_deref(),
                    sent,
                )
            });
            let AnswerHead {
                status, headers, ..
            } = &mut answer.parts;
            step.lead_back(exchange, &step.upstream, *status, headers);
            pass_on(exchange, request, answer, call, recorder, finish)
        }
        Carried::Ended(answer) => done(finish, answer),
        Carried::Failed(why, answer) => {
            let answer = answer.map(|mut answer| {
                let AnswerHead {
                    status, headers, ..
                } = &mut answer.parts;
                step.lead_back(exchange, &step.upstream, *status, headers);
                Box::new(answer)
            });
            let why = Failing {
                upstreams: answer,
                ..why
            };
            match on {
                Some(on) if on.failed => {
                    ladder::climb(exchange, step, request.take(), why, finish).await
                }
                _ => done(finish, why.answer),
            }
        }
    }
}
