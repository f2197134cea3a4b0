//! The ladder: the answers to a call that was refused or failed, tried in order (docs/calls.md).
//!
//! The breaker has got the outcome before. A rung's upstream is used as a route uses it, with its own breaker, but
//! without its own ladder. After the last rung the first answer goes out: the upstream's failed one where it was kept,
//! else our own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_breaker::{Rejection, Timestamp};
use fusebox_plan::plan::{Facts, FallbackOn, FieldChanges, RungAnswer};
use http::{HeaderValue, Response};

use crate::ground::access_log::note::Fallback;
use crate::message::body::Body;
use crate::message::fields::{FUSEBOX_FALLBACK, FUSEBOX_REASON};
use crate::message::grpc;
use crate::request::admitting::{self, HeadView, Use};
use crate::request::answer;
use crate::request::client_request::ClientRequest;
use crate::request::exchange::{Exchange, Finish, done};
use crate::request::forward::{self, Carried, Forward};
use crate::request::outlive::Outliving;
use crate::request::passing;
use crate::upstream::admission::Unadmitted;
use crate::upstream::breakers::{KeyFacts, LiveBreaker, UpstreamBreakers};
use crate::upstream::bulkhead::Full;
use crate::upstream::call::UpstreamCall;
use crate::upstream::call_state::{RungKind, RungResult};
use crate::upstream::held_answer::HeldAnswer;
use crate::upstream::last_good::key::Scope;
use crate::upstream::last_good::{Recorder, Wish};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::is_idempotent;
use crate::upstream::sending::PROBE_PATIENCE;

/// The rungs of a route, in order.
#[derive(Debug, Default)]
pub struct Ladder {
    /// The rungs in the order of the file.
    pub rungs: Vec<LiveRung>,
}

/// One rung of a ladder.
#[derive(Debug)]
pub enum LiveRung {
    /// The last good answer of the route's upstream, if it is at most this old.
    LastGood(Duration),
    /// Another upstream for the request.
    Upstream(Arc<LiveUpstream>),
    /// A fixed answer.
    Respond(RungAnswer),
}

impl LiveRung {
    /// The kind under which it is counted.
    pub fn kind(&self) -> RungKind {
        match self {
            LiveRung::LastGood(_) => RungKind::LastGood,
            LiveRung::Upstream(_) => RungKind::Upstream,
            LiveRung::Respond(_) => RungKind::Respond,
        }
    }
}

impl Ladder {
    /// True without any rung.
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    /// The calls that it answers, of those that it is asked for.
    pub fn answers(&self, asked: FallbackOn) -> FallbackOn {
        let takes = |is_refused| {
            let mut rungs = self.rungs.iter();
            asked.takes(is_refused) && rungs.any(|rung| rung.takes(is_refused))
        };
        FallbackOn {
            refused: takes(true),
            failed: takes(false),
        }
    }

    /// The longest time that a call of a rung's upstream may take.
    fn longest_call(&self) -> Duration {
        let calls = self.rungs.iter().map(|rung| match rung {
            LiveRung::Upstream(upstream) => upstream.plan.timeout.of_call(),
            LiveRung::LastGood(_) | LiveRung::Respond(_) => Duration::ZERO,
        });
        calls.max().unwrap_or_default()
    }
}

impl LiveRung {
    /// True if it may answer a call that was refused, or one that failed (`is_refused` is false).
    fn takes(&self, is_refused: bool) -> bool {
        match self {
            LiveRung::Respond(respond) => respond.on.takes(is_refused),
            LiveRung::LastGood(_) | LiveRung::Upstream(_) => true,
        }
    }
}

/// A call that was refused or failed, with the answer to it if no rung has a better one.
#[derive(Debug)]
pub struct Failing {
    /// True if the call was refused, so that the upstream has seen nothing of it.
    pub is_refused: bool,
    /// The reason in a word.
    pub reason: String,
    /// The whole seconds until the next try; `None` if that is not known.
    pub retry_after: Option<u64>,
    /// The breaker's name; the upstream's or the route's where no breaker refused.
    pub breaker: Arc<str>,
    /// Our own answer.
    pub answer: Response<Body>,
    /// The upstream's failed answer, if it was kept.
    pub upstreams: Option<Box<HeldAnswer>>,
}

impl Failing {
    /// A call that its breaker rejected.
    pub fn rejected(live: &LiveBreaker, rejection: &Rejection, now: Timestamp) -> Failing {
        let name = live.breaker.name();
        let wait = rejection.wait(now);
        Failing {
            is_refused: true,
            reason: rejection.reason.as_str().to_owned(),
            retry_after: wait.map(Rejection::whole_seconds),
            breaker: name.clone(),
            answer: answer::breaker_refused(name, rejection, now, live.fallback()),
            upstreams: None,
        }
    }

    /// A call that got no place in a bulkhead.
    pub fn full(name: &Arc<str>, full: Full, answer: Response<Body>) -> Failing {
        Failing {
            is_refused: true,
            reason: full.as_str().to_owned(),
            retry_after: Some(1),
            breaker: name.clone(),
            answer,
            upstreams: None,
        }
    }

    /// A call that failed.
    pub fn failed(upstream: &Arc<str>, reason: &str, answer: Response<Body>) -> Failing {
        Failing {
            is_refused: false,
            reason: reason.to_owned(),
            retry_after: None,
            breaker: upstream.clone(),
            answer,
            upstreams: None,
        }
    }
}

/// Answers a call that was refused or failed by the first rung that can.
pub async fn climb(
    exchange: &Exchange,
    step: &Arc<Forward>,
    mut request: ClientRequest,
    why: Failing,
    finish: Finish,
) -> Response<Body> {
    let on = step.ladder.answers(step.upstream.plan.fallback_on);
    if !on.takes(why.is_refused) {
        return first_answer(exchange, &mut request, why, finish);
    }
    let worker = exchange.downstream.worker.clone();
    let is_probing = Arc::new(AtomicBool::new(false));
    let climbing = Climbing {
        exchange: exchange.clone(),
        step: step.clone(),
        request,
        why,
        is_probing: is_probing.clone(),
    };
    // A client that leaves does not end a rung's probe either.
    let limit = step.ladder.longest_call() + PROBE_PATIENCE;
    let run = Box::pin(climbing.climb(finish));
    let run = Outliving::new(&worker, run, limit).only_if(is_probing);
    run.await
}

/// The answer where no rung has one.
fn first_answer(
    exchange: &Exchange,
    request: &mut ClientRequest,
    why: Failing,
    finish: Finish,
) -> Response<Body> {
    match why.upstreams {
        Some(answer) => passing::pass_on(exchange, request, *answer, None, None, finish),
        None => done(finish, why.answer),
    }
}

struct Climbing {
    exchange: Exchange,
    step: Arc<Forward>,
    request: ClientRequest,
    why: Failing,
    /// True while the call of a rung's upstream is a probe.
    is_probing: Arc<AtomicBool>,
}

impl Climbing {
    async fn climb(mut self, finish: Finish) -> Response<Body> {
        let step = self.step.clone();
        let counts = step.upstream.calls.counts.clone();
        for rung in &step.ladder.rungs {
            match rung {
                LiveRung::LastGood(age_max) => match self.last_good(*age_max).await {
                    Ok(mut answer) => {
                        counts.count_rung(RungKind::LastGood, RungResult::Served);
                        let (status, headers) = (answer.status(), answer.headers_mut());
                        step.lead_back(&self.exchange, &step.upstream, status, headers);
                        self.noted(Fallback::LastGood);
                        return done(finish, answer);
                    }
                    Err(why) => counts.count_rung(RungKind::LastGood, why),
                },
                LiveRung::Respond(respond)
                    if !respond.on.takes(self.why.is_refused) || !self.understands(respond) =>
                {
                    counts.count_rung(RungKind::Respond, RungResult::Skipped);
                }
                LiveRung::Respond(respond) => {
                    counts.count_rung(RungKind::Respond, RungResult::Served);
                    self.noted(Fallback::Respond);
                    return done(finish, self.respond(respond));
                }
                LiveRung::Upstream(upstream) => match self.ask(upstream).await {
                    Rung::Skipped(result) => counts.count_rung(RungKind::Upstream, result),
                    Rung::Ended(answer) => return done(finish, answer),
                    Rung::Answered(mut answer, call, recorder) => {
                        let (status, headers) = (answer.parts.status, &mut answer.parts.headers);
                        step.lead_back(&self.exchange, upstream, status, headers);
                        counts.count_rung(RungKind::Upstream, RungResult::Served);
                        self.noted(Fallback::Upstream(upstream.plan.name.clone()));
                        let (exchange, request) = (&self.exchange, &mut self.request);
                        let reason = self.why.answer.headers_mut().remove(FUSEBOX_REASON);
                        let mut answer =
                            passing::pass_on(exchange, request, *answer, call, recorder, finish);
                        let name = format!("upstream={}", upstream.plan.name);
                        mark(&mut answer, &name, reason);
                        return answer;
                    }
                },
            }
        }
        counts.count_unanswered();
        first_answer(&self.exchange, &mut self.request, self.why, finish)
    }

    /// Counts the answer with the breaker of the request's key, and notes the rung for the access log.
    fn noted(&self, rung: Fallback) {
        if let (UpstreamBreakers::Keyed(_), Some(head)) =
            (&*self.step.upstream.breakers, self.request.head())
        {
            let live_breaker = self.step.upstream.breakers.select(&KeyFacts {
                route: &self.exchange.route.name,
                method: &head.method,
                headers: &head.headers,
                params: &self.exchange.params,
            });
            let worker = &self.exchange.worker;
            if let Some(live_breaker) = live_breaker {
                live_breaker.meter(worker).fallbacks.add();
            }
        }
        let noted = &self.exchange.downstream.phase.noted;
        noted.with(|note| note.fallback(rung));
    }

    /// True if the client understands a fixed answer: one of gRPC has a `grpc-status`.
    fn understands(&self, respond: &RungAnswer) -> bool {
        self.exchange.grpc.is_none()
            || respond
                .headers
                .iter()
                .any(|(name, _)| *name == grpc::STATUS)
    }

    async fn last_good(&mut self, age_max: Duration) -> Result<Response<Body>, RungResult> {
        let last_good = self.step.upstream.calls.last_good.as_ref();
        let last_good = last_good.ok_or(RungResult::None)?;
        let lookup = self.request.lookup(&self.exchange, &self.step);
        let lookup = lookup.ok_or(RungResult::Skipped)?;
        let changes = [&self.step.changes, &self.step.upstream.plan.request];
        let subject = self.exchange.downstream.client_subject();
        let headers = self.request.sent_headers(changes, subject);
        let wish = Wish {
            headers: &headers,
            age_max,
            now: self.exchange.worker.clock.wall_millis(),
            reason: &self.why.reason,
        };
        let served = last_good.serve(&lookup, &wish).await.map_err(|why| {
            self.exchange.debug("no last good answer", why.word());
            why.result()
        })?;
        let mut answer = Response::new(Body::fixed(served.body));
        *answer.status_mut() = served.status;
        *answer.headers_mut() = served.headers;
        let reason = self.why.answer.headers_mut().remove(FUSEBOX_REASON);
        mark(&mut answer, "last_good", reason);
        Ok(answer)
    }

    fn respond(&mut self, respond: &RungAnswer) -> Response<Body> {
        let (headers, body) = respond.fill(&Facts {
            reason: &self.why.reason,
            retry_after: self.why.retry_after,
            breaker: &self.why.breaker,
        });
        let mut answer = Response::new(Body::fixed(body));
        *answer.status_mut() = respond.status;
        *answer.headers_mut() = headers;
        let reason = self.why.answer.headers_mut().remove(FUSEBOX_REASON);
        mark(&mut answer, "respond", reason);
        answer
    }

    /// Uses another upstream for the request.
    async fn ask(&mut self, upstream: &Arc<LiveUpstream>) -> Rung {
        let Some(head) = self.request.head() else {
            return Rung::Skipped(RungResult::Skipped);
        };
        // A request that failed may have been executed.
        if !self.why.is_refused && !is_idempotent(&head.method) || self.request.upgrade.is_some() {
            return Rung::Skipped(RungResult::Skipped);
        }
        match self.request.complete().await {
            Ok(true) => {}
            Ok(false) => return Rung::Skipped(RungResult::Skipped),
            Err(fault) => return Rung::Ended(answer::client_failed(fault)),
        }
        let used = Use {
            upstream,
            retry: upstream.plan.retry.as_ref(),
            bulkhead: upstream.calls.bulkhead.as_ref(),
            changes: &FieldChanges::default(),
        };
        let exchange = &self.exchange;
        let Some(head) = self.request.head() else {
            return Rung::Skipped(RungResult::Skipped);
        };
        let view = HeadView {
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
        };
        let client = self.request.client;
        let prober = |live_breaker: &LiveBreaker| {
            let probes = &live_breaker.extras.probes;
            probes.prober(client, view.method, view.uri.path())
        };
        let asked = match admitting::ask(exchange, &used, view, true, prober).await {
            Ok(Some(asked)) => asked,
            Ok(None) => return Rung::Skipped(RungResult::Skipped),
            Err(refused) => {
                admitting::refusal(exchange, upstream, refused);
                return Rung::Skipped(RungResult::Failed);
            }
        };
        let call = match admitting::admit(exchange, upstream, asked, &mut self.request).await {
            Ok(call) => call,
            Err(Unadmitted::Client(fault)) => return Rung::Ended(answer::client_failed(fault)),
            Err(Unadmitted::Refused(_)) => return Rung::Skipped(RungResult::Failed),
        };
        let rewrite = self.step.rewrite.as_ref();
        let on = Some(FallbackOn::default());
        let lookup = self
            .request
            .lookup_at(exchange, upstream, rewrite, Scope::default());
        let request = &mut self.request;
        self.is_probing.store(call.is_probe(), Ordering::Release);
        let carried = forward::call(exchange, &used, rewrite, false, on, request, call).await;
        if !matches!(carried, Carried::Answered(..)) {
            self.is_probing.store(false, Ordering::Release);
        }
        match carried {
            Carried::Answered(answer, call) => {
                let recorder = lookup.and_then(|lookup| {
                    let changes = [&FieldChanges::default(), &upstream.plan.request];
                    let subject = self.exchange.downstream.client_subject();
                    let sent = || self.request.sent_headers(changes, subject);
                    let call = call.as_deref();
                    forward::observed(&self.exchange, upstream, &lookup, &answer, call, sent)
                });
                Rung::Answered(Box::new(answer), call, recorder)
            }
            Carried::Failed(..) => Rung::Skipped(RungResult::Failed),
            Carried::Ended(answer) => Rung::Ended(answer),
        }
    }
}

/// The result of a rung that is another upstream.
enum Rung {
    Answered(Box<HeldAnswer>, Option<Box<UpstreamCall>>, Option<Recorder>),
    Skipped(RungResult),
    Ended(Response<Body>),
}

/// Marks an answer as a rung's, with the reason of the refusal that it stands for.
fn mark(answer: &mut Response<Body>, rung: &str, reason: Option<HeaderValue>) {
    let headers = answer.headers_mut();
    if let Ok(rung) = HeaderValue::from_str(rung) {
        headers.insert(FUSEBOX_FALLBACK, rung);
    }
    if let Some(reason) = reason {
        headers.insert(FUSEBOX_REASON, reason);
    }
}
