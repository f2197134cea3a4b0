//! Sends a call's request, on an idle connection if there is one, and waits for the answer's head:
//! how long that took, and whose fault it is when there is none.
//!
//! Whoever owed the next byte is at fault. While the client has not sent all of its body, the end of
//! the connection says nothing of the upstream: it may have lost its patience with the client, as it
//! should. The end of an idle connection as a request goes out says nothing either (docs/gateway.md,
//! "Whose fault it is").

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fusebox_breaker::{RejectReason, Timestamp};
use fusebox_plan::CallError;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::ground::clock::Clock;
use crate::ground::clock::Desk;
use crate::message::guard;
use crate::message::interim::Interim;
use crate::message::outgoing::Outgoing;
use crate::message::phase::Phase;
use crate::message::request_body::{ClientFault, Intake};
use crate::upstream::breakers::Beside;
use crate::upstream::call::{Call, FLOWN};
use crate::upstream::connect::{NoConnection, Unconnected};
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::{Connection, Pool, is_idempotent};
use crate::upstream::probe_line::Asker;
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

/// The machine's own deadline of a probe lies this much behind ours: it is the net, not the judge.
const PROBE_GRACE: Duration = Duration::from_millis(250);

/// How often a probe looks whether its place is wanted.
const PLACE_LOOK: Duration = Duration::from_millis(100);

/// How much longer than its upstream a probe's client may keep it waiting in all.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The upstream's fault.
    Upstream(CallError),
    /// The client's fault.
    Client(ClientFault),
    /// The upstream ended the connection before the client had sent all of its body.
    Unfinished,
    /// The upstream had closed an idle connection as the request went out, and the request may have
    /// been executed.
    Stale,
    /// The answer's head is over our own limits.
    Limit,
    /// Ours: there was nothing left to connect with.
    Ours,
    /// A probe has given its place to somebody who is more likely to learn something.
    GaveWay,
    /// The client gave the call up after a time for which the upstream may be blamed.
    GivenUp,
}

impl Failed {
    /// The word for it in the log and in what the client gets.
    pub fn word(self) -> &'static str {
        match self {
            Failed::Upstream(error) => error.as_str(),
            Failed::Client(_) | Failed::Unfinished | Failed::GivenUp => ErrorKind::Client.as_str(),
            Failed::Stale => ErrorKind::Reset.as_str(),
            Failed::Limit => ErrorKind::Limit.as_str(),
            Failed::Ours => "connections_full",
            Failed::GaveWay => RejectReason::BreakerProbing.as_str(),
        }
    }
}

impl From<Unconnected> for Failed {
    fn from(unconnected: Unconnected) -> Failed {
        match unconnected {
            Unconnected::Upstream(error) => Failed::Upstream(error),
            Unconnected::Exhausted => Failed::Ours,
        }
    }
}

/// A request about to be sent.
pub struct Sending<'a> {
    /// Where to.
    pub upstream: &'a Arc<LiveUpstream>,
    /// The call that it is.
    pub call: &'a mut Call,
    /// What is known of its body on its way, where it has one.
    pub intake: Option<&'a Arc<Intake>>,
    /// What the client's connection waits for.
    pub phase: &'a Phase,
    /// Where interim answers go.
    pub interim: &'a Arc<Interim>,
    /// The clock and the worker.
    pub desk: &'a Desk,
}

impl Sending<'_> {
    /// Sends the request. An idle connection that the upstream had closed already says nothing about
    /// the upstream: the request goes out once more on a new one, if none of it was sent or if sending
    /// it twice does no harm (RFC 9110, section 9.2.2).
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(
        mut self,
        mut parts: Parts,
        body: Outgoing,
        has_length: bool,
    ) -> Result<(Response<Incoming>, Connection), Failed> {
        let empty = matches!(body, Outgoing::Empty);
        let is_careful = !empty && expects_no_body(&parts.method);
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
        if is_careful {
            // An upstream that overlooks such a body would read it as the next request (RFC 9110,
            // section 9.3.1): there is none on this connection.
            parts
                .headers
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let repeatable = empty && is_idempotent(&parts.method);
        let pool = self.upstream.pool(self.desk.worker);
        let mut request = Request::from_parts(parts, body);
        if let Some(mut connection) = pool.reuse(self.desk.clock.tick(), repeatable) {
            let again = repeatable.then(|| head_of(&request));
            match self.attempt(&mut connection, request).await {
                Ok(response) => return Ok(used(response, connection, is_careful)),
                Err(Attempt::NotSent(unsent, _)) => request = *unsent,
                Err(Attempt::Cut(why)) => {
                    request = again.ok_or_else(|| {
                        self.call.note(&why);
                        Failed::Stale
                    })?;
                }
                Err(Attempt::Failed(failed)) => return Err(failed),
            }
        }
        let mut connection = self.connect(pool).await?;
        match self.attempt(&mut connection, request).await {
            Ok(response) => Ok(used(response, connection, is_careful)),
            Err(Attempt::Failed(failed)) => Err(failed),
            Err(Attempt::NotSent(_, why) | Attempt::Cut(why)) => Err(self.failed(&why)),
        }
    }

    /// The upstream failed: that is counted and said.
    fn failed(&mut self, why: &UpstreamError) -> Failed {
        self.call.note(why);
        Failed::Upstream(why.kind.as_call_error())
    }

    /// There is no connection, by the upstream's fault or for want of something of our own.
    fn unconnected(&mut self, failed: &NoConnection) -> Failed {
        self.call.note(&failed.cause);
        Failed::from(failed.why)
    }

    /// The client is at fault: that is counted and said.
    fn client_failed(&mut self, fault: ClientFault) -> Failed {
        self.call.note(&UpstreamError::client(fault));
        Failed::Client(fault)
    }

    /// A new connection. A probe's time covers connecting too: no probe outlives its place (I2). But no call stalls
    /// while it connects: that has a timeout of its own, and ends in an outcome.
    async fn connect(&mut self, pool: &Arc<Pool>) -> Result<Connection, Failed> {
        self.call.waits_since(Timestamp::MAX);
        if !self.call.is_probe() {
            let connected = pool.open().await;
            return connected.map_err(|failed| self.unconnected(&failed));
        }
        let timeout = self.call.timeout();
        let now = self.desk.clock.exact();
        self.call.extend(now, timeout + PROBE_GRACE);
        let limit = tokio::time::timeout(timeout, pool.open());
        match limit.await {
            Ok(connected) => connected.map_err(|failed| self.unconnected(&failed)),
            Err(_) => {
                let why = UpstreamError::new(ErrorKind::Connect, "connect timed out");
                Err(self.failed(&why.with("within a probe's time")))
            }
        }
    }

    /// One try on one connection, within the call's time.
    async fn attempt(
        &mut self,
        connection: &mut Connection,
        mut request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, Attempt> {
        let interim = self.interim;
        interim.watch(&mut request, self.intake);
        let clock = &self.desk.clock;
        let asked = request.headers().get(UPGRADE).cloned();
        let is_careful = self.intake.is_some() && expects_no_body(request.method());
        let timeout = self.call.timeout();
        let sent_at = clock.exact();
        self.call.extend(sent_at, timeout + PROBE_GRACE);
        self.call.waits_since(sent_at);
        let mut response = pin!(connection.sender.try_send_request(request));
        let mut alarm = pin!(tokio::time::sleep(timeout));
        let has_body = self.intake.is_some();
        let mut look = pin!(after(self.call.next_look(sent_at, has_body)));
        let intake = self.intake;
        let mut given_up = pin!(given_up(
            self.call.abandoned_after(),
            self.phase,
            self.desk,
            || has_it_since(intake, sent_at),
        ));
        let mut place_wanted = pin!(place_wanted(
            self.call.beside_probe(),
            intake,
            clock,
            sent_at
        ));
        let result = loop {
            let is_look = tokio::select! {
                biased;
                () = interim.too_many() => {
                    let why = UpstreamError::too_many_interim();
                    return Err(Attempt::Failed(self.failed(&why)));
                }
                result = &mut response => break result,
                () = &mut alarm => false,
                () = &mut look => true,
                by = &mut place_wanted => {
                    return Err(Attempt::Failed(match by {
                        WantedBy::Complete => self.client_failed(ClientFault::TooSlow),
                        WantedBy::Better => Failed::GaveWay,
                    }));
                }
                () = &mut given_up => return Err(Attempt::Failed(Failed::GivenUp)),
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
                    let failed = self.client_failed(ClientFault::TooSlow);
                    return Err(Attempt::Failed(failed));
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
                    return Err(Attempt::Failed(self.failed(&UpstreamError::no_head())));
                }
            }
        };
        let now = clock.exact();
        // An answer that comes while the client is still sending took no time at all.
        let base = self.upstream_has_it_since(sent_at).unwrap_or(now);
        let duration = now.saturating_since(base);
        self.call.lasted(duration);
        match result {
            Ok(response) if !guard::response_is_sound(&response) => Err(Attempt::Failed(
                self.failed(&UpstreamError::ambiguous_head()),
            )),
            Ok(response) if !guard::switches_as_asked(&response, asked.as_ref()) => {
                Err(Attempt::Failed(self.failed(&UpstreamError::wrong_switch())))
            }
            Ok(response) => {
                connection.sender.answered();
                self.call.answered(response.status(), response.headers());
                self.upstream
                    .observe(self.desk.worker, response.status(), duration);
                Ok(response)
            }
            Err(mut failure) => {
                if let Some(fault) = self.intake.and_then(|intake| intake.fault()) {
                    return Err(Attempt::Failed(self.client_failed(fault)));
                }
                let why = connection.sender.why(failure.error());
                if let Some(unsent) = failure.take_message() {
                    return Err(Attempt::NotSent(Box::new(unsent), why));
                }
                Err(self.judge(why, is_careful))
            }
        }
    }

    fn judge(&mut self, why: UpstreamError, is_careful: bool) -> Attempt {
        let now = self.desk.clock.tick();
        let owed = self
            .intake
            .is_some_and(|intake| intake.is_owed() || intake.was_late(now));
        match why.kind {
            ErrorKind::Reset if is_careful => {
                self.call.note(&UpstreamError::overlooked());
                Attempt::Failed(Failed::Unfinished)
            }
            ErrorKind::Reset if owed => {
                self.call.note(&UpstreamError::unfinished());
                Attempt::Failed(Failed::Unfinished)
            }
            // An old connection's end says nothing, a new one's all that there is to say.
            ErrorKind::Reset | ErrorKind::Tls => Attempt::Cut(why),
            ErrorKind::Limit => {
                self.call.note(&why);
                Attempt::Failed(Failed::Limit)
            }
            _ => Attempt::Failed(self.failed(&why)),
        }
    }

    /// How long we have waited for the client in all.
    fn client_took(&self, now: Timestamp) -> Duration {
        self.intake
            .map_or(Duration::ZERO, |intake| intake.waited(now))
    }

    /// Since when the upstream has had everything that it waits for; `None`: the client keeps it waiting.
    fn upstream_has_it_since(&self, sent_at: Timestamp) -> Option<Timestamp> {
        has_it_since(self.intake, sent_at)
    }
}

fn has_it_since(intake: Option<&Arc<Intake>>, sent_at: Timestamp) -> Option<Timestamp> {
    match intake {
        None => Some(sent_at),
        Some(intake) => intake.handed_over().map(|at| at.max(sent_at)),
    }
}

/// Who wants the place of a probe that must give it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WantedBy {
    /// A complete request, while the probe waits for its client.
    Complete,
    /// Somebody who has not provoked an answer that says nothing, as the probe's asker has.
    Better,
}

/// Ends when a probe must give up its place. A long body may probe, but not keep complete requests from it by
/// stopping; whoever provoked an answer that says nothing may probe again, but not keep others from it for long.
async fn place_wanted(
    beside: Option<(Arc<Beside>, Option<Asker>)>,
    intake: Option<&Arc<Intake>>,
    clock: &Clock,
    since: Timestamp,
) -> WantedBy {
    let Some((beside, asker)) = beside else {
        return std::future::pending().await;
    };
    let place = &beside.place;
    loop {
        tokio::time::sleep(PLACE_LOOK).await;
        let waits = intake.is_some_and(|intake| intake.handed_over().is_none());
        if waits && place.wanted_at().is_some_and(|at| at > since) {
            return WantedBy::Complete;
        }
        let now = clock.tick();
        if now >= since + FLOWN && asker.is_some_and(|asker| place.has_better(asker, now)) {
            return WantedBy::Better;
        }
    }
}

/// Ends when the client closes its side after the upstream has kept the call waiting for `limit`, where
/// such calls are failures. A client that does so may still read, but after so long it has most
/// likely gone. One that closes earlier is served to the end.
async fn given_up(
    limit: Option<Duration>,
    phase: &Phase,
    desk: &Desk,
    since: impl Fn() -> Option<Timestamp>,
) {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    std::future::poll_fn(|cx| match phase.is_left_by_caller(cx) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
    let now = desk.clock.exact();
    if since().is_none_or(|since| now.saturating_since(since) < limit) {
        std::future::pending().await
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
    /// Nothing of the request was written, and why.
    NotSent(Box<Request<Outgoing>>, UpstreamError),
    /// The connection ended before any of the response came; how.
    Cut(UpstreamError),
    /// It failed for good.
    Failed(Failed),
}

fn used(
    response: Response<Incoming>,
    mut connection: Connection,
    is_last: bool,
) -> (Response<Incoming>, Connection) {
    connection.hear(response.headers());
    if is_last {
        connection.make_last();
    }
    (response, connection)
}

/// Methods whose body has no meaning (RFC 9110, section 9.3), so that some upstreams overlook it.
pub fn expects_no_body(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
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
