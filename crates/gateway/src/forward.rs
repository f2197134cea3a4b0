//! Carries a request past a breaker to an upstream, and the answer back.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{OwnedPermit, Rejection, Timestamp};
use fusebox_plan::CallError;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::answer;
use crate::body::Body;
use crate::breakers::{Guarded, KeyFacts};
use crate::call::{Call, Holder};
use crate::clock::Clock;
use crate::connect::Unconnected;
use crate::exchange::{Exchange, Finish, done, unread};
use crate::fields::{self, Origin};
use crate::guard;
use crate::live::{LiveForward, LiveUpstream};
use crate::outgoing::Outgoing;
use crate::pool::{Connection, Pool};
use crate::request_body::{ClientFault, Intake, IntakeLimits, RequestBody};
use crate::response_body::ResponseBody;
use crate::target;
use crate::tunnel;

/// The machine's own deadline of a probe lies this much behind ours: it is the net, not the judge.
const PROBE_GRACE: Duration = Duration::from_millis(250);

/// How much longer than its upstream a probe's client may keep it waiting in all.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// What became of a request that was sent, or could not be.
enum Failed {
    /// The upstream's fault.
    Upstream(CallError),
    /// The client's fault.
    Client(ClientFault),
    /// Ours: there was nothing left to connect with.
    Ours,
}

impl From<Unconnected> for Failed {
    fn from(unconnected: Unconnected) -> Failed {
        match unconnected {
            Unconnected::Upstream(error) => Failed::Upstream(error),
            Unconnected::Exhausted => Failed::Ours,
        }
    }
}

/// Passes a request to the step's upstream if its breaker lets it.
pub async fn forward(
    exchange: Exchange,
    step: &LiveForward,
    mut request: Request<Incoming>,
    mut finish: Finish,
) -> Response<Body> {
    // What is too large by its own account is refused before a breaker is asked or a byte read.
    let size_max = exchange.live.plan.limits.request_body_max;
    if size_max.is_some_and(|max| request.body().size_hint().lower() > max) {
        return done(finish, answer::client_failed(ClientFault::TooLarge));
    }
    let upstream = &step.upstream;
    let guarded = upstream.guards.select(&KeyFacts {
        route: &exchange.route.plan.name,
        method: request.method(),
        headers: request.headers(),
        params: &exchange.params,
    });
    let desk = &exchange.desk;
    let permit = match admit(&guarded, &desk.clock) {
        Ok(permit) => permit,
        Err(rejection) => {
            guarded.meter(desk).refuse(&rejection);
            tracing::debug!(
                breaker = %guarded.breaker.name(),
                reason = rejection.reason.as_str(),
                "call refused"
            );
            let seconds = guarded.fallback_seconds();
            let name = guarded.breaker.name();
            let now = desk.clock.exact();
            let refusal = answer::breaker_refused(name, &rejection, now, seconds);
            return unread(finish, refusal, request).await;
        }
    };
    if permit.would_reject().is_some() {
        guarded.meter(desk).would_reject.add();
    }
    let mut call = Call::new(permit, guarded, upstream.clone(), desk.clone());

    let upgrade = guard::upgrade_asked(&request).then(|| hyper::upgrade::on(&mut request));
    let protocol = upgrade
        .is_some()
        .then(|| request.headers().get(UPGRADE).cloned())
        .flatten();
    let (parts, body) = request.into_parts();
    let (parts, has_length) = match outgoing_head(&exchange, step, parts, protocol) {
        Ok(head) => head,
        Err(refused) => return done(finish, answer::refused(refused.status, refused.why)),
    };
    let (body, intake) = outgoing_body(&exchange, body);
    let sending = Sending {
        upstream,
        call: &mut call,
        intake: intake.as_deref(),
        exchange: &exchange,
    };
    let sent = sending.send(parts, body, has_length).await;
    let (response, connection) = match sent {
        Ok(sent) => sent,
        Err(Failed::Client(fault)) => return done(finish, answer::client_failed(fault)),
        Err(Failed::Ours) => return done(finish, answer::exhausted()),
        Err(Failed::Upstream(error)) => {
            call.end(Some(error));
            return done(finish, answer::upstream_failed(&upstream.plan.name, error));
        }
    };
    finish.answered(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(exchange, response, call, upgrade, finish);
    }
    let (mut parts, body) = response.into_parts();
    fields::strip_response(&mut parts.headers);
    parts.version = Version::HTTP_11;
    let body = ResponseBody::new(
        body,
        Holder::new(call),
        connection,
        intake,
        exchange.desk.clock.clone(),
        finish,
    );
    Response::from_parts(parts, Body::Streamed(Box::new(body)))
}

/// Asks the breaker by the tick, which costs nothing. The tick lags a little, so a refusal whose
/// time is over is asked for again by the clock: who comes back when it was told to is let in.
fn admit(guarded: &Guarded, clock: &Clock) -> Result<OwnedPermit, Rejection> {
    let breaker = &guarded.breaker;
    breaker.admit_owned(clock.tick()).or_else(|rejection| {
        let now = clock.exact();
        match rejection.retry_at {
            Some(at) if at <= now => breaker.admit_owned(now),
            _ => Err(rejection),
        }
    })
}

/// The head that the upstream sees, and whether the client said the body's length.
fn outgoing_head(
    exchange: &Exchange,
    step: &LiveForward,
    mut parts: Parts,
    protocol: Option<HeaderValue>,
) -> Result<(Parts, bool), guard::Refused> {
    parts.uri = target::outgoing(exchange, step, &parts)?;
    parts.version = Version::HTTP_11;
    let host = parts.headers.get(HOST).cloned();
    let has_length = parts.headers.contains_key(CONTENT_LENGTH);
    let headers = &mut parts.headers;
    fields::strip_request(headers);
    headers.remove(CONTENT_LENGTH);
    headers.remove(EXPECT);
    let client = &exchange.client;
    let origin = Origin {
        peer: client.peer.ip().to_canonical(),
        peer_text: &client.peer_text,
        trusted: exchange
            .live
            .listener(&client.listener)
            .is_some_and(|listener| listener.trusts(client.peer.ip())),
        scheme: client.scheme,
    };
    fields::set_forwarded(headers, &origin, host.as_ref());
    headers.insert(HOST, step.upstream.host.clone());
    headers.insert(fields::X_REQUEST_ID, exchange.id.clone());
    if !fields::has_traceparent(headers) {
        headers.insert(fields::TRACEPARENT, client.worker.ids.traceparent());
        // It speaks of the trace that was not one (W3C Trace Context, section 3.3).
        headers.remove(fields::TRACESTATE);
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    Ok((parts, has_length))
}

fn outgoing_body(exchange: &Exchange, body: Incoming) -> (Outgoing, Option<Arc<Intake>>) {
    if body.is_end_stream() {
        return (Outgoing::Empty, None);
    }
    let limits = &exchange.live.plan.limits;
    let limits = IntakeLimits {
        rate_min: limits.body_rate_min,
        size_max: limits.request_body_max,
    };
    let phase = exchange.client.phase.clone();
    let (body, intake) = RequestBody::new(body, phase, exchange.desk.clock.clone(), limits);
    (Outgoing::Client(body), Some(intake))
}

/// A request about to be sent.
struct Sending<'a> {
    upstream: &'a Arc<LiveUpstream>,
    call: &'a mut Call,
    intake: Option<&'a Intake>,
    exchange: &'a Exchange,
}

impl Sending<'_> {
    /// Sends the request, on an idle connection if there is one. An idle connection that the
    /// upstream had closed already says nothing about the upstream: the request goes out once more
    /// on a new one, if none of it was sent or if sending it twice does no harm (RFC 9110, 9.2.2).
    async fn send(
        mut self,
        mut parts: Parts,
        body: Outgoing,
        has_length: bool,
    ) -> Result<(Response<Incoming>, Connection), Failed> {
        let empty = matches!(body, Outgoing::Empty);
        if empty && has_length {
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        } else if body.size_hint().exact().is_none() {
            // Said outright, since hyper takes a GET for one without a body.
            parts
                .headers
                .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let pool = self.upstream.pool(self.exchange.desk.worker);
        let mut request = Request::from_parts(parts, body);
        if let Some(mut connection) = pool.reuse(self.exchange.desk.clock.tick()) {
            let again = (empty && is_idempotent(request.method())).then(|| head_of(&request));
            match self.attempt(&mut connection, request).await {
                Ok(response) => return Ok((response, connection)),
                Err(Attempt::NotSent(unsent)) => request = *unsent,
                Err(Attempt::Cut) if again.is_some() => {
                    request = again.expect("just seen");
                }
                Err(Attempt::Cut) => return Err(Failed::Upstream(CallError::Reset)),
                Err(Attempt::Failed(failed)) => return Err(failed),
            }
        }
        let mut connection = self.connect(pool).await?;
        match self.attempt(&mut connection, request).await {
            Ok(response) => Ok((response, connection)),
            Err(Attempt::Failed(failed)) => Err(failed),
            Err(Attempt::NotSent(_) | Attempt::Cut) => Err(Failed::Upstream(CallError::Reset)),
        }
    }

    /// A new connection. A probe's time covers connecting too: no probe outlives its place (I2). But no call stalls
    /// while it connects: that has a timeout of its own, and ends in an outcome.
    async fn connect(&mut self, pool: &Arc<Pool>) -> Result<Connection, Failed> {
        self.call.waits_since(Timestamp::MAX);
        if !self.call.is_probe() {
            return pool.connect().await.map_err(Failed::from);
        }
        let timeout = self.call.timeout();
        let now = self.exchange.desk.clock.exact();
        self.call.extend(now, timeout + PROBE_GRACE);
        let limit = tokio::time::timeout(timeout, pool.connect());
        match limit.await {
            Ok(connected) => connected.map_err(Failed::from),
            Err(_) => Err(Failed::Upstream(CallError::Connect)),
        }
    }

    /// One try on one connection, within the call's time.
    async fn attempt(
        &mut self,
        connection: &mut Connection,
        mut request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, Attempt> {
        let interim = &self.exchange.client.interim;
        interim.watch(&mut request);
        let clock = &self.exchange.desk.clock;
        let asked = request.headers().get(UPGRADE).cloned();
        let timeout = self.call.timeout();
        let sent_at = clock.exact();
        self.call.extend(sent_at, timeout + PROBE_GRACE);
        self.call.waits_since(sent_at);
        let mut response = pin!(connection.sender.try_send_request(request));
        let mut alarm = pin!(tokio::time::sleep(timeout));
        let has_body = self.intake.is_some();
        let mut look = pin!(after(self.call.next_look(sent_at, has_body)));
        let result = loop {
            let is_look = tokio::select! {
                biased;
                () = interim.too_many() => {
                    return Err(Attempt::Failed(Failed::Upstream(CallError::Protocol)));
                }
                result = &mut response => break result,
                () = &mut alarm => false,
                () = &mut look => true,
            };
            let now = clock.exact();
            if is_look {
                let since = self.upstream_has_it_since(sent_at);
                self.call.waits_since(since.unwrap_or(Timestamp::MAX));
                self.call.look(now);
                look.set(after(self.call.next_look(now, has_body)));
                continue;
            }
            match self.upstream_has_it_since(sent_at) {
                // A probe keeps its place while its client sends, for no more calls than places may
                // be in flight (I2); but a client must not keep a breaker from closing for ever.
                _ if self.call.is_probe() && self.client_took(now) > timeout + PROBE_PATIENCE => {
                    return Err(Attempt::Failed(Failed::Client(ClientFault::TooSlow)));
                }
                None => {
                    self.call.extend(now, timeout + PROBE_GRACE);
                    alarm.set(tokio::time::sleep(timeout));
                }
                Some(base) if now < base + timeout => {
                    self.call.extend(base, timeout + PROBE_GRACE);
                    alarm.set(tokio::time::sleep((base + timeout).saturating_since(now)));
                }
                Some(base) => {
                    self.call.lasted(now.saturating_since(base));
                    return Err(Attempt::Failed(Failed::Upstream(CallError::Timeout)));
                }
            }
        };
        let now = clock.exact();
        // An answer that comes while the client is still sending took no time at all.
        let base = self.upstream_has_it_since(sent_at).unwrap_or(now);
        let duration = now.saturating_since(base);
        self.call.lasted(duration);
        match result {
            Ok(response) if !guard::response_is_sound(&response) => {
                Err(Attempt::Failed(Failed::Upstream(CallError::Protocol)))
            }
            Ok(response) if !guard::switches_as_asked(&response, asked.as_ref()) => {
                Err(Attempt::Failed(Failed::Upstream(CallError::Protocol)))
            }
            Ok(response) => {
                self.call.answered(response.status(), response.headers());
                self.upstream
                    .observe(self.exchange.desk.worker, response.status(), duration);
                Ok(response)
            }
            Err(mut failure) => {
                if let Some(fault) = self.intake.and_then(Intake::fault) {
                    return Err(Attempt::Failed(Failed::Client(fault)));
                }
                if let Some(unsent) = failure.take_message() {
                    return Err(Attempt::NotSent(Box::new(unsent)));
                }
                Err(judge(failure.error()))
            }
        }
    }

    /// How long we have waited for the client in all.
    fn client_took(&self, now: Timestamp) -> Duration {
        self.intake
            .map_or(Duration::ZERO, |intake| intake.waited(now))
    }

    /// Since when the upstream has had everything that it waits for; `None`: the client keeps it waiting.
    fn upstream_has_it_since(&self, sent_at: Timestamp) -> Option<Timestamp> {
        match self.intake {
            None => Some(sent_at),
            Some(intake) => intake.handed_over().map(|at| at.max(sent_at)),
        }
    }
}

/// Waits that long; for ever, where there is nothing to wait for.
async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Why one try on one connection gave no response.
enum Attempt {
    /// Nothing of the request was written.
    NotSent(Box<Request<Outgoing>>),
    /// The connection ended before any of the response came.
    Cut,
    /// It failed for good.
    Failed(Failed),
}

fn judge(error: &hyper::Error) -> Attempt {
    if error.is_parse() {
        Attempt::Failed(Failed::Upstream(CallError::Protocol))
    } else {
        Attempt::Cut
    }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    )
}

/// The same request once more, for one without a body.
fn head_of(request: &Request<Outgoing>) -> Request<Outgoing> {
    let mut again = Request::new(Outgoing::Empty);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    again.headers_mut().clone_from(request.headers());
    again
}

/// The upstream switches protocols: that is its success; from here on bytes are passed both ways.
fn switch(
    exchange: Exchange,
    mut response: Response<Incoming>,
    call: Call,
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
    let idle = exchange.live.plan.limits.upgrade_idle_timeout;
    tunnel::open(exchange.client.clone(), client, upstream, idle);
    Response::from_parts(parts, Body::empty())
}
