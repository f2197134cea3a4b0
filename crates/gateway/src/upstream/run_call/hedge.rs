//! Hedges: one more attempt, at another endpoint, beside one that keeps us waiting (docs/calls.md).
//!
//! The first answer that is not to be retried wins. The other attempt is cut and counts nowhere; an attempt that ends
//! without such an answer is recorded by its endpoint, and the call waits for the other one. Both are in one box, so
//! that a call without a hedge has no part of it.
//!
//! An endpoint's own probe is not hedged: cut off each time, it would never find out whether the endpoint is well.

use std::time::Duration;

use fusebox_call::attempts::{End, Next, RetryResult};
use fusebox_call::endpoints::Tried;
use fusebox_plan::CallError;
use http::Response;

use super::{Attempt, Beside, Running, choose};
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::bulkhead::Place;
use crate::upstream::call::UpstreamCall;
use crate::upstream::endpoints::{EndpointAttempt, LiveEndpoint};
use crate::upstream::pool::Connection;

/// An attempt's end: the head of an answer, or the reason why there is none.
type Sent<F> = Result<(Response<AnswerBody>, Connection), F>;

/// The end of an attempt that may have had another one beside it.
pub(super) struct Hedged<F> {
    pub sent: Sent<F>,
    /// The result of a call whose answer has won against the other attempt; `None`: what follows is still to be decided.
    pub won: Option<Option<RetryResult>>,
}

/// A hedge that is paid for.
struct Paid {
    attempt: EndpointAttempt,
    place: Option<Place>,
}

/// Makes an attempt, and one more beside it once `after` has passed without a head. The call has the attempt, the place
/// and the answer of the one whose end is returned.
pub(super) async fn send<A: Attempt>(
    running: &mut Running<'_>,
    call: &mut UpstreamCall,
    endpoint: &LiveEndpoint,
    tried: &mut Tried,
    request: &mut A,
    after: Duration,
) -> Hedged<A::Failure> {
    let has_place = call.has_place();
    let mut beside = call.beside();
    let number = running.attempts.number();
    let Some(mut first) = request.beside(call, endpoint, number, false) else {
        return alone(request.attempt(call, endpoint, number).await);
    };
    let request = &*request;
    loop {
        tokio::select! {
            biased;
            sent = &mut first => return alone(sent),
            () = tokio::time::sleep(after) => {}
        }
        // Until all of the body is here, its client keeps us waiting as well.
        if request.is_read() {
            break;
        }
    }
    let Some(paid) = running.pay(&beside, request, tried, has_place) else {
        return alone(first.await);
    };
    let endpoint = paid.attempt.endpoint().clone();
    beside.takes_place(paid.place);
    beside.attempts(Some(paid.attempt), running.limits(request));
    let number = running.attempts.number();
    let Some(mut second) = request.beside(&mut beside, &endpoint, number, true) else {
        return alone(first.await);
    };
    tokio::select! {
        biased;
        sent = &mut first => {
            drop(first);
            match running.ended_first(call, request, &sent) {
                Ok(result) => {
                    drop(second);
                    beside.loses();
                    won(sent, result)
                }
                Err(error) => {
                    drop(sent);
                    call.leaves_it_to_other(error);
                    let sent = running.watched(call, second).await;
                    call.takes_over(beside);
                    alone(sent)
                }
            }
        }
        sent = &mut second => {
            drop(second);
            match running.ended_first(&mut beside, request, &sent) {
                Ok(result) => {
                    drop(first);
                    call.takes_over(beside);
                    won(sent, result)
                }
                Err(error) => {
                    drop(sent);
                    beside.leaves_it_to_other(error);
                    alone(first.await)
                }
            }
        }
    }
}

fn alone<F>(sent: Sent<F>) -> Hedged<F> {
    Hedged { sent, won: None }
}

fn won<F>(sent: Sent<F>, result: Option<RetryResult>) -> Hedged<F> {
    let won = Some(result);
    Hedged { sent, won }
}

impl Running<'_> {
    /// The time after which the next attempt is hedged; `None`: it is not.
    pub(super) fn hedge_after(&self, is_endpoint_probe: bool) -> Option<Duration> {
        self.rules.hedge?;
        let has_others = self.upstream.several.is_some() && !is_endpoint_probe;
        has_others.then(|| self.attempts.hedge_after(&self.facts))?
    }

    /// Pays for a hedge, with a token and under a bulkhead with a place; `None`: there is none.
    fn pay<A: Attempt>(
        &mut self,
        beside: &UpstreamCall,
        request: &A,
        tried: &mut Tried,
        has_place: bool,
    ) -> Option<Paid> {
        let (upstream, rules, worker) = (self.upstream, self.rules, self.worker);
        let attempt = choose(upstream, beside, rules, request, tried, worker)?;
        let chosen = attempt.chosen()?;
        if tried.has(chosen.id()) || chosen.is_probe() {
            return None;
        }
        let place = match has_place {
            true => Some(rules.bulkhead?.places.try_enter()?),
            false => None,
        };
        let moment = self.moment(beside, request);
        if !self.attempts.hedge(&self.facts, &moment, true) {
            return None;
        }
        tried.add(chosen);
        Some(Paid { attempt, place })
    }

    /// Decides on the end of the attempt that ended first.
    ///
    /// # Errors
    /// The failure's name, if the other attempt decides.
    fn ended_first<A: Attempt>(
        &mut self,
        call: &mut UpstreamCall,
        request: &A,
        sent: &Sent<A::Failure>,
    ) -> Result<Option<RetryResult>, Option<CallError>> {
        let (end, error) = match sent {
            Ok((response, _)) => (End::Answered(self.answer(call, response)), None),
            Err(failure) => A::end(failure),
        };
        if let (End::ConnectError, Some(several)) = (&end, &self.upstream.several) {
            several.want_lookup();
        }
        let moment = self.moment(call, request);
        match self.attempts.ended(&self.facts, &end, &moment) {
            Next::Return(result) => Ok(result),
            Next::Wait | Next::RepeatFree | Next::RetryAfter(_) => Err(error),
        }
    }

    /// Waits for the attempt beside a call's own, which has ended, and lets the breaker judge the call if it stalls.
    async fn watched<F>(&self, call: &UpstreamCall, mut attempt: Beside<'_, F>) -> Sent<F> {
        loop {
            let now = self.worker.clock.exact();
            let Some(wait) = call.next_look(now, false) else {
                return attempt.await;
            };
            tokio::select! {
                biased;
                sent = &mut attempt => return sent,
                () = tokio::time::sleep(wait) => call.look(self.worker.clock.exact()),
            }
        }
    }
}
