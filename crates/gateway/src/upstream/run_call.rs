//! Runs one call: its attempts, one after the other, up to the head of its answer (docs/calls.md).
//!
//! `fusebox-call` decides whether an attempt follows another; here it is sent, timed and judged. The call's outcome is
//! left to the caller, since the answer's body belongs to it.

mod hedge;

use std::pin::Pin;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_call::attempts::{
    Answer, Attempts, Body as SentBody, Call as Facts, End, Moment, Next, Repeats, Resume,
    RetryResult,
};
use fusebox_call::endpoints::{Ask, Chosen, Tried};
use fusebox_call::{Hedge, Retry};
use fusebox_plan::CallError;
use http::{Method, Response};

use crate::ground::clock::WorkerRef;
use crate::message::fields::FUSEBOX_REASON;
use crate::message::grpc::Pushback;
use crate::message::retry_after;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::call::{AttemptLimits, UpstreamCall};
use crate::upstream::call_state::LiveBulkhead;
use crate::upstream::endpoints::{EndpointAttempt, LiveEndpoint};
use crate::upstream::held_answer::{HeldAnswer, Holding};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::{Connection, is_idempotent};
use crate::upstream::upstream_errors::UpstreamError;

/// The facts of a call's request, and the settings for its repeats.
#[derive(Debug, Clone, Copy)]
pub struct CallRules<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// True if the client asks for another protocol.
    pub is_upgrade: bool,
    /// True if a believed proxy repeats the request by itself.
    pub is_attempt: bool,
    /// The repeats; `None`: none.
    pub retry: Option<&'a Retry>,
    /// One more attempt for a request that waits; `None`: none.
    pub hedge: Option<Hedge>,
    /// The hash of the text by which an endpoint is chosen; `None`: none.
    pub hash: Option<u64>,
    /// The client's own bound on the time for all attempts, within `timeout.total`; `None`: none.
    pub total: Option<Duration>,
    /// The same as an end at which an attempt is cut; `None`: none.
    pub deadline: Option<Timestamp>,
    /// The bulkhead that the call's place belongs to.
    pub bulkhead: Option<&'a LiveBulkhead>,
}

/// One request that may be sent several times.
pub trait Attempt {
    /// The reason why an attempt has no answer.
    type Failure;

    /// Sends the request to an endpoint and waits for the head of the answer; `number` counts from 1.
    fn attempt(
        &mut self,
        call: &mut UpstreamCall,
        endpoint: &LiveEndpoint,
        number: u32,
    ) -> impl Future<Output = Result<(Response<AnswerBody>, Connection), Self::Failure>> + Send;

    /// Sends the request as [`Attempt::attempt`] does, but so that two attempts may be on their way; `is_hedge`: this is
    /// the later one. `None`: it cannot be sent so, and is not hedged.
    fn beside<'s>(
        &'s self,
        _call: &'s mut UpstreamCall,
        _endpoint: &'s LiveEndpoint,
        _number: u32,
        _is_hedge: bool,
    ) -> Option<Beside<'s, Self::Failure>> {
        None
    }

    /// True once all of the request's body has come from its client.
    fn is_read(&self) -> bool {
        false
    }

    /// The state of the request's body.
    fn body(&self) -> SentBody;

    /// The time for which we have waited for the client so far.
    fn waited(&self, now: Timestamp) -> Duration;

    /// The failure of an answer whose body broke off before any of it was passed on.
    fn broken(why: &UpstreamError) -> Self::Failure;

    /// The failure as attempts know it, and its name if it is the upstream's.
    fn end(failure: &Self::Failure) -> (End, Option<CallError>);
}

/// An attempt that may have another one beside it.
pub type Beside<'s, F> =
    Pin<Box<dyn Future<Output = Result<(Response<AnswerBody>, Connection), F>> + Send + 's>>;

/// The end of a call's attempts.
#[derive(Debug)]
pub enum CallEnd<F> {
    /// The head of the answer; the call is to be judged at the end of its body.
    Answered(HeldAnswer),
    /// An answer that was read whole; the call has the outcome already ([`UpstreamCall::end_as_attempted`]).
    Held(HeldAnswer),
    /// The lack of an answer.
    Failed(F),
}

/// Makes the attempts of a call, on the endpoints that are chosen for them.
pub async fn run<A: Attempt>(
    upstream: &LiveUpstream,
    call: &mut UpstreamCall,
    rules: &CallRules<'_>,
    request: &mut A,
    worker: &WorkerRef,
) -> CallEnd<A::Failure> {
    let timeout = &upstream.plan.timeout;
    let repeats = (rules.retry.is_some() || rules.hedge.is_some()).then(|| Repeats {
        retry: rules.retry,
        hedge: rules.hedge,
        budget: &upstream.calls.budget,
    });
    let is_bound = rules.total.is_some() || rules.deadline.is_some() || timeout.total.is_some();
    if repeats.is_none() && !is_bound {
        return once(upstream, call, rules, request, worker).await;
    }
    let began = worker.clock.exact();
    let left = rules.deadline.map(|at| at.saturating_since(began));
    let own = rules.total.into_iter().chain(left).min();
    let facts = Facts {
        method: rules.method,
        is_upgrade: rules.is_upgrade,
        is_attempt: rules.is_attempt,
        is_probe: call.is_probe(),
        request_timeout: timeout.request,
        total: own.map_or(timeout.of_call(), |own| own.min(timeout.of_call())),
        repeats,
    };
    let running = Running {
        upstream,
        rules,
        worker,
        began,
        waited_before: request.waited(began),
        attempts: Attempts::begin(&facts, began),
        facts,
        is_counted: false,
    };
    // Boxed, so that a call without repeats is no larger for it.
    Box::pin(running.run(call, request)).await
}

/// Makes the one attempt of a call without repeats, within the upstream's own times.
async fn once<A: Attempt>(
    upstream: &LiveUpstream,
    call: &mut UpstreamCall,
    rules: &CallRules<'_>,
    request: &mut A,
    worker: &WorkerRef,
) -> CallEnd<A::Failure> {
    let attempt = choose(upstream, call, rules, request, &Tried::NONE, worker);
    let endpoint = attempt.as_ref().map(|it| it.endpoint().clone());
    let endpoint = endpoint.as_ref().unwrap_or(upstream.endpoint());
    if attempt.is_some() {
        call.attempts(attempt, None);
    }
    match request.attempt(call, endpoint, 1).await {
        Ok((response, connection)) => {
            call.answered(response.status(), response.headers());
            CallEnd::Answered(HeldAnswer::new(response, connection))
        }
        Err(failure) => {
            if let Some(several) = &upstream.several
                && matches!(A::end(&failure), (End::ConnectError, _))
            {
                several.want_lookup();
            }
            CallEnd::Failed(failure)
        }
    }
}

/// The endpoint of the next attempt; `None`: the only one, of a call whose attempts are not counted.
fn choose<A: Attempt>(
    upstream: &LiveUpstream,
    call: &UpstreamCall,
    rules: &CallRules<'_>,
    request: &A,
    tried: &Tried,
    worker: &WorkerRef,
) -> Option<EndpointAttempt> {
    let Some(several) = &upstream.several else {
        let only = || EndpointAttempt::at_only(upstream.endpoint().clone());
        return upstream.repeats().then(only);
    };
    let may_repeat = match rules.retry {
        Some(retry) => retry.methods.contains(rules.method),
        None => is_idempotent(rules.method),
    };
    Some(several.choose(&Ask {
        now: worker.clock.exact(),
        replayable: may_repeat && !rules.is_upgrade && request.body() != SentBody::Lost,
        hash: rules.hash,
        tried,
        upstream_probe: call.probe_generation(),
    }))
}

/// A call whose attempts are on their way.
struct Running<'a> {
    upstream: &'a LiveUpstream,
    rules: &'a CallRules<'a>,
    worker: &'a WorkerRef,
    facts: Facts<'a>,
    attempts: Attempts,
    began: Timestamp,
    /// The time for which we had waited for the client before.
    waited_before: Duration,
    /// True once the call's result is counted.
    is_counted: bool,
}

impl Running<'_> {
    async fn run<A: Attempt>(
        mut self,
        call: &mut UpstreamCall,
        request: &mut A,
    ) -> CallEnd<A::Failure> {
        let mut tried = Tried::NONE;
        loop {
            let (upstream, rules, worker) = (self.upstream, self.rules, self.worker);
            let attempt = choose(upstream, call, rules, request, &tried, worker);
            let chosen = attempt.as_ref().and_then(EndpointAttempt::chosen);
            let is_endpoint_probe = chosen.is_some_and(Chosen::is_probe);
            if let Some(chosen) = chosen {
                tried.add(chosen);
            }
            let endpoint = attempt.as_ref().map(|it| it.endpoint().clone());
            let endpoint = endpoint.as_ref().unwrap_or(self.upstream.endpoint());
            call.attempts(attempt, self.limits(request));
            let mut won = None;
            let sent = match self.hedge_after(is_endpoint_probe) {
                None => {
                    let number = self.attempts.number();
                    request.attempt(call, endpoint, number).await
                }
                Some(after) => {
                    let pair = hedge::send(&mut self, call, endpoint, &mut tried, request, after);
                    let hedged = Box::pin(pair).await;
                    won = hedged.won;
                    hedged.sent
                }
            };
            let (end, error) = match &sent {
                Ok((response, _)) => (End::Answered(self.answer(call, response)), None),
                Err(failure) => A::end(failure),
            };
            if let (End::ConnectError, Some(several)) = (&end, &self.upstream.several) {
                several.want_lookup();
            }
            let moment = Moment {
                is_endpoint_probe,
                ..self.moment(call, request)
            };
            let next = match won {
                Some(result) => Next::Return(result),
                None => self.attempts.ended(&self.facts, &end, &moment),
            };
            let pause = match next {
                Next::Return(result) => {
                    call.note_retry(result);
                    self.count(result);
                    return match sent {
                        Ok((response, connection)) => {
                            call.land();
                            CallEnd::Answered(HeldAnswer::new(response, connection))
                        }
                        Err(failure) => CallEnd::Failed(failure),
                    };
                }
                Next::RepeatFree | Next::Wait => continue,
                Next::RetryAfter(pause) => pause,
            };
            let last = match sent {
                Ok((response, connection)) => {
                    let answer = HeldAnswer::new(response, connection);
                    let used = self.used(request, self.worker.clock.exact());
                    let within = self.facts.total.saturating_sub(used.saturating_add(pause));
                    match answer.hold(within, call, self.worker).await {
                        Holding::Whole(answer) => Ok(answer),
                        Holding::Long(answer) => {
                            let result = self.attempts.answer_too_long();
                            return self.passes(call, answer, result);
                        }
                        Holding::Late(answer) => {
                            let result = self.attempts.answer_too_late();
                            return self.passes(call, answer, result);
                        }
                        Holding::Broken(why) => {
                            call.note(&why);
                            Err((A::broken(&why), Some(why.as_body_error())))
                        }
                    }
                }
                Err(failure) => Err((failure, error)),
            };
            call.attempt_ended(last.as_ref().err().and_then(|(_, error)| *error));
            if let Resume::Return(result) = self.pause(call, request, pause).await {
                call.note_retry(result);
                self.count(result);
                call.land();
                return match last {
                    Ok(answer) => CallEnd::Held(answer),
                    Err((failure, _)) => CallEnd::Failed(failure),
                };
            }
        }
    }

    /// The limits of the next attempt; `None`: the upstream's own, as for a call without repeats.
    fn limits<A: Attempt>(&self, request: &A) -> Option<AttemptLimits> {
        let timeout = &self.upstream.plan.timeout;
        let is_bound = timeout.total.is_some() || self.rules.deadline.is_some();
        if self.facts.repeats.is_none() && !is_bound {
            return None;
        }
        let used = self.used(request, self.worker.clock.exact());
        let left = self.facts.total.saturating_sub(used);
        let per_try = self.rules.retry.and_then(|retry| retry.per_try);
        Some(AttemptLimits {
            request: timeout.request,
            whole: per_try.map_or(left, |it| it.min(left)),
        })
    }

    /// The time of `timeout.total` that is used.
    fn used<A: Attempt>(&self, request: &A, now: Timestamp) -> Duration {
        let waited = request.waited(now).saturating_sub(self.waited_before);
        now.saturating_since(self.began).saturating_sub(waited)
    }

    fn answer(&self, call: &mut UpstreamCall, response: &Response<AnswerBody>) -> Answer {
        let headers = response.headers();
        call.note_head(response.status(), headers);
        Answer {
            status: response.status(),
            judged: call.judged_so_far(),
            retry_after: match call.pushback() {
                Some(Pushback::After(after)) => Some(after),
                _ => retry_after::read(headers, self.worker.clock.wall_millis()),
            },
            grpc_status: call.grpc_status(),
            is_final: call.pushback() == Some(Pushback::Never),
            is_from_fusebox: headers.contains_key(FUSEBOX_REASON),
            is_long: HeldAnswer::is_known_long(self.rules.method, headers),
        }
    }

    fn moment<A: Attempt>(&self, call: &UpstreamCall, request: &A) -> Moment {
        let now = self.worker.clock.exact();
        Moment {
            now,
            used: self.used(request, now),
            is_closed: call.is_closed(now),
            body: request.body(),
            is_endpoint_probe: false,
            draw: fastrand::f64(),
        }
    }

    /// Waits before the next attempt, without a place in the bulkhead.
    async fn pause<A: Attempt>(
        &mut self,
        call: &mut UpstreamCall,
        request: &A,
        pause: Duration,
    ) -> Resume {
        let had_place = call.takes_place(None).is_some();
        tokio::time::sleep(pause).await;
        if had_place {
            let place = self.rules.bulkhead.and_then(|it| it.places.try_enter());
            call.takes_place(place);
        }
        let now = self.worker.clock.exact();
        let used = self.used(request, now);
        let has_place = !had_place || call.has_place();
        let is_closed = call.is_closed(now);
        (self.attempts).after_backoff(&self.facts, used, is_closed, has_place)
    }

    /// Ends the call with an answer that is not kept.
    fn passes<F>(
        &mut self,
        call: &mut UpstreamCall,
        answer: HeldAnswer,
        result: RetryResult,
    ) -> CallEnd<F> {
        self.count(Some(result));
        call.land();
        CallEnd::Answered(answer)
    }

    fn count(&mut self, result: Option<RetryResult>) {
        self.is_counted = true;
        if let Some(result) = result {
            self.upstream.calls.counts.count_retry(result);
        }
    }
}

impl Drop for Running<'_> {
    /// The client has left, so that the call's future was dropped.
    fn drop(&mut self) {
        if !self.is_counted {
            let result = self.attempts.client_left();
            self.count(result);
        }
    }
}
