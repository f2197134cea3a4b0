//! The attempts of a fetch: each is the request and those that redirects lead to, up to the head of the last answer.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_call::Retry;
use fusebox_call::attempts::{Body as SentBody, End};
use fusebox_plan::CallError;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, LOCATION, RANGE,
};
use http::response::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Limited};

use super::fault::{Fault, Outcome};
use super::{Fetching, Outbound};
use crate::ground::clock::WorkerRef;
use crate::message::fields::FUSEBOX_ATTEMPT;
use crate::message::interim::Interim;
use crate::message::kept_body::Outgoing;
use crate::upstream::admission;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::call::UpstreamCall;
use crate::upstream::endpoints::LiveEndpoint;
use crate::upstream::pool::{Connection, Pool};
use crate::upstream::run_call::Attempt;
use crate::upstream::sending::{Failed, Sending, Unanswered};
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

/// The size in bytes, and the time, up to which a redirect's body is read so that its connection can be used again.
const DRAINED_BYTES: usize = 64 * 1024;
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

/// A fetch's request, as its attempts make it.
pub(super) struct Following<'a> {
    fetching: &'a Fetching<'a>,
    /// The request that is made now: redirects lead it elsewhere.
    request: &'a mut Outbound,
    retry: Option<&'a Retry>,
    /// The request as it was before redirects, for another attempt.
    first: Option<Outbound>,
    /// True once bytes of the request may have gone out.
    is_sent: bool,
    asks_gzip: bool,
}

/// An attempt without an answer.
pub(super) struct NotFetched {
    pub fault: Fault,
    /// True if nothing of the request was sent.
    is_unsent: bool,
}

impl<'a> Following<'a> {
    pub fn new(
        fetching: &'a Fetching<'a>,
        request: &'a mut Outbound,
        retry: Option<&'a Retry>,
    ) -> Following<'a> {
        Following {
            fetching,
            request,
            retry,
            first: None,
            is_sent: false,
            asks_gzip: false,
        }
    }

    /// True if the answer of the last attempt is compressed because we asked for it.
    pub fn is_compressed(&self, answer: &Parts) -> bool {
        let coding = answer.headers.get(CONTENT_ENCODING);
        let is_gzip = coding.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"gzip"));
        self.asks_gzip && is_gzip
    }

    /// Makes the request, and those that redirects lead to, up to the head of the last answer.
    async fn follow(
        &mut self,
        call: &mut UpstreamCall,
        number: u32,
    ) -> Result<(Response<AnswerBody>, Connection), Fault> {
        let Fetching {
            target,
            policy,
            worker,
        } = *self.fetching;
        let interim = Interim::new(Waker::noop().clone());
        let home = target.pool(worker.index);
        let mut left = policy.redirects.map_or(0, |redirects| redirects.most);
        let ends_at = call.whole().map(|whole| worker.clock.exact() + whole);
        loop {
            let elsewhere;
            let pool = if self.request.endpoint == *target.plan.endpoint() {
                home
            } else {
                let other = home.elsewhere(&self.request.endpoint);
                elsewhere = other.map_err(Fault::Unsendable)?;
                &elsewhere
            };
            let mut head = Some(self.head(pool, number)?);
            let mut sending = Sending {
                is_upgrade: false,
                again: None,
                upstream: target,
                pool,
                call: &mut *call,
                intake: None,
                phase: None,
                interim: &interim,
                worker,
            };
            let repeat = (policy.repeat)(&self.request.method);
            let exchanged = sending.exchange(&mut head, repeat).await;
            self.is_sent |= !matches!(exchanged, Err(Unanswered::Unconnected(_)));
            let (response, connection) = match (exchanged, call.live_breaker()) {
                (Err(Unanswered::Failed(Failed::GaveWay)), Some(live_breaker)) => {
                    let rejection = admission::come_again(worker.clock.exact());
                    return Err(self.fetching.refusal(live_breaker, rejection));
                }
                (exchanged, _) => exchanged?,
            };
            let (status, headers) = (response.status(), response.headers());
            if let Some(jar) = policy.jar {
                jar.keep(self.request.asked(worker), headers);
            }
            let next = policy
                .redirects
                .and_then(|redirects| redirects.next(self.request, status, headers));
            match next {
                None => return Ok((response, connection)),
                Some(Ok(next)) if left > 0 => {
                    left -= 1;
                    self.lead_to(next)?;
                    drain(response.into_body(), connection, worker).await;
                    if let Some(ends_at) = ends_at {
                        call.leaves(ends_at.saturating_since(worker.clock.exact()));
                    }
                }
                Some(next) => {
                    call.answered(status, headers);
                    *self.request = next.map_err(Fault::Location)?;
                    let location = headers.get(LOCATION).map(HeaderValue::as_bytes);
                    let location = String::from_utf8_lossy(location.unwrap_or_default());
                    return Err(Fault::Redirects(location.into_owned()));
                }
            }
        }
    }

    /// Takes the request that a redirect leads to, and keeps the first one for another attempt.
    fn lead_to(&mut self, next: Outbound) -> Result<(), Fault> {
        let asked = std::mem::replace(self.request, next);
        if self.retry.is_some() {
            self.first.get_or_insert(asked);
        }
        self.request.name_host()
    }

    /// The request in its written form.
    fn head(&mut self, pool: &Pool, number: u32) -> Result<Request<Outgoing>, Fault> {
        let unsendable = |error: &dyn fmt::Display| Fault::Unsendable(error.to_string());
        let Fetching {
            target,
            policy,
            worker,
        } = *self.fetching;
        let asked = &*self.request;
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
        let jar = policy.jar;
        if let Some(cookies) = jar.and_then(|jar| jar.cookies(asked.asked(worker))) {
            headers.append(COOKIE, cookies);
        }
        if number > 1 {
            headers.insert(FUSEBOX_ATTEMPT, HeaderValue::from(number));
        }
        if target.plan.pool_idle_max == 0 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.asks_gzip = policy.gzip
            && target.plan.breaker.failure_body_max.is_none()
            && !headers.contains_key(ACCEPT_ENCODING)
            && !headers.contains_key(RANGE);
        if self.asks_gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(request)
    }
}

impl Attempt for Following<'_> {
    type Failure = NotFetched;

    async fn attempt(
        &mut self,
        call: &mut UpstreamCall,
        _endpoint: &LiveEndpoint,
        number: u32,
    ) -> Result<(Response<AnswerBody>, Connection), NotFetched> {
        if let Some(first) = self.first.take() {
            *self.request = first;
        }
        self.is_sent = false;
        let followed = self.follow(call, number).await;
        followed.map_err(|fault| NotFetched {
            fault,
            is_unsent: !self.is_sent,
        })
    }

    /// The state of the body, all of which is in memory: one above `buffer` is sent once all the same, as a client's.
    fn body(&self) -> SentBody {
        let first = self.first.as_ref().unwrap_or(self.request);
        let most = self.retry.map_or(usize::MAX, |retry| retry.buffer_max);
        match &first.body {
            None => SentBody::None,
            Some(body) if self.is_sent && body.len() > most => SentBody::Lost,
            Some(_) => SentBody::Kept,
        }
    }

    fn waited(&self, _now: Timestamp) -> Duration {
        Duration::ZERO
    }

    fn broken(why: &UpstreamError) -> NotFetched {
        let fault = match why.kind {
            ErrorKind::Timeout => Fault::Timeout,
            _ => Fault::BrokenHeld(why.clone()),
        };
        NotFetched {
            fault,
            is_unsent: false,
        }
    }

    fn end(failure: &NotFetched) -> (End, Option<CallError>) {
        let error = match failure.fault.outcome() {
            Outcome::Ended(error) => error,
            Outcome::SaysNothing => None,
        };
        let end = match (&failure.fault, error) {
            (_, None) => End::OwnFault,
            (Fault::Unconnected(_), Some(_)) if failure.is_unsent => End::ConnectError,
            (_, Some(CallError::Timeout)) => End::TimedOut,
            (_, Some(_)) => End::Reset,
        };
        (end, error)
    }
}

/// Reads the body of a redirect, if it is short, so that its connection can be used again.
async fn drain(mut body: AnswerBody, connection: Connection, worker: &WorkerRef) {
    let rest = Limited::new(&mut body, DRAINED_BYTES).collect();
    if let Ok(Ok(_)) = tokio::time::timeout(DRAINED_WITHIN, rest).await {
        connection.give_back(&mut body, &worker.clock);
    }
}
