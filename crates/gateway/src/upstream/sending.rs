//! Sends a call's request, on an idle connection if there is one, and waits for the answer's head: measures the time,
//! and decides the party at fault if there is none.
//!
//! The party that owed the next byte is at fault. While the client has not sent all of its body, the end of the
//! connection says nothing about the upstream: it may have lost its patience with the client, as it should. The end of
//! an idle connection as a request goes out says nothing either (docs/gateway.md, "Whose fault it is").

mod no_answer;

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;

pub use no_answer::{Cut, Failed, Unanswered};

use crate::ground::clock::Clock;
use crate::ground::clock::WorkerRef;
use crate::message::interim::Interim;
use crate::message::kept_body::{ClientBytes, Outgoing};
use crate::message::offer::Offer;
use crate::message::phase::Phase;
use crate::message::request_body::{ClientFault, Intake};
use crate::message::validate;
use crate::upstream::breakers::BreakerExtras;
use crate::upstream::call::{FLOWN, UpstreamCall};
use crate::upstream::connect::NoConnection;
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::pool::{Connection, Pool, is_idempotent};
use crate::upstream::probe_queue::Prober;
use crate::upstream::sender::SendError;
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

/// The machine's own deadline of a probe lies this much behind ours: it is a fallback, not the rule.
const PROBE_GRACE: Duration = Duration::from_millis(250);

/// The most shared connections on which a request may find no stream in the end.
const UNSENT_MAX: u32 = 3;

/// Time between two checks whether a probe's place is wanted.
const PLACE_LOOK: Duration = Duration::from_millis(100);

/// The time that a probe's client may take in all beyond its upstream's limit.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// The rules for repeating a request whose connection ended before a byte of its answer came. A request of which
/// nothing was written on an idle connection is sent again in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// True if it may go out on a connection that was idle for longer than a moment.
    pub on_any_idle: bool,
    /// The most repeats of a request that may have been executed; a body that comes from a client is repeated only if all
    /// that was sent of it is kept.
    pub times: u32,
    /// True if it is repeated even after a new connection, whose end says something about the upstream.
    pub from_new: bool,
}

/// Makes a request anew that is kept; `None`: not all of it is.
pub type Again<'a> = &'a (dyn Fn() -> Option<Request<Outgoing>> + Sync);

/// A request about to be sent.
pub struct Sending<'a> {
    /// The upstream of the call.
    pub upstream: &'a Arc<LiveUpstream>,
    /// The connections to use: the upstream's own, or those to a redirect's target.
    pub pool: &'a Arc<Pool>,
    /// The call that the request belongs to.
    pub call: &'a mut UpstreamCall,
    /// The progress of its body; `None`: it is complete, or there is none.
    pub intake: Option<&'a Arc<Intake>>,
    /// The state of the client's connection; `None`: the call has no client that could give it up.
    pub phase: Option<&'a Phase>,
    /// True if the client asks for another protocol.
    pub is_upgrade: bool,
    /// Makes the request anew where it is kept, so that it need not be copied before it goes out.
    pub again: Option<Again<'a>>,
    /// The receiver of interim answers.
    pub interim: &'a Arc<Interim>,
    /// The worker and the clock.
    pub worker: &'a WorkerRef,
}

impl Sending<'_> {
    /// Sends the request. An idle connection that the upstream had closed already says nothing about the upstream: the
    /// request goes out once more on a new one, if none of it was sent or if sending it twice does no harm (RFC 9110,
    /// section 9.2.2). The call does not see the head yet.
    ///
    /// # Errors
    /// The reason why there is no answer.
    pub async fn send(
        mut self,
        mut request: Request<Outgoing>,
        has_length: bool,
    ) -> Result<(Response<Incoming>, Connection), Unanswered> {
        let empty = matches!(request.body(), Outgoing::Fixed(None));
        let is_careful = frame(&mut request, has_length);
        let kept = self.again.take();
        let again = || {
            let mut request = kept?()?;
            frame(&mut request, has_length);
            Some(request)
        };
        self.again = kept.is_some().then_some(&again);
        let is_idempotent = is_idempotent(request.method());
        let is_kept = matches!(request.body(), Outgoing::Streamed(ClientBytes::Kept(_)));
        let repeatable = empty || is_kept;
        let repeat = Repeat {
            // A body that is kept may turn out to be too long.
            on_any_idle: empty && is_idempotent,
            times: u32::from(repeatable && is_idempotent),
            from_new: false,
        };
        let (response, mut connection) = self.exchange(&mut Some(request), repeat).await?;
        // A stream ends a body that an upstream overlooks.
        if is_careful && !connection.is_shared() {
            connection.make_last();
        }
        Ok((response, connection))
    }

    /// Sends a request whose framing is in its head and waits for the head of its answer; the request is taken as it is
    /// sent. The call does not see the head yet: more requests may follow within it. Errors are counted and logged.
    ///
    /// # Errors
    /// The reason why there is no answer.
    pub async fn exchange(
        &mut self,
        request: &mut Option<Request<Outgoing>>,
        repeat: Repeat,
    ) -> Result<(Response<Incoming>, Connection), Unanswered> {
        let now = self.worker.clock.tick();
        let mut idle = self.pool.reuse(now, repeat.on_any_idle, self.is_upgrade);
        let mut left = repeat.times;
        let mut unsent_left = UNSENT_MAX;
        let mut was_unprocessed = false;
        // Repeats share the time of their call.
        let mut time = self.call.timeout();
        loop {
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => {
                    let opened = self.connect().await.map_err(Unanswered::Unconnected)?;
                    // Connecting took some of it, if the attempt is bounded as a whole.
                    time = time.min(self.call.timeout());
                    opened
                }
            };
            let reused = connection.was_idle();
            self.call.goes_over(&connection);
            // A probe is one attempt, except for repeats that cost nothing.
            let from_new = repeat.from_new && !self.call.is_probe();
            let may_repeat = left > 0 && (reused || from_new);
            let (copy, body_bytes) = match request.as_ref() {
                Some(request) => {
                    let may_go_again = may_repeat || (connection.is_shared() && !was_unprocessed);
                    let is_copied = may_go_again && self.again.is_none();
                    let copy = is_copied.then(|| copy_of(request)).flatten();
                    (copy, request.body().size_fixed())
                }
                None => (None, 0),
            };
            let is_free = reused && may_repeat;
            let attempt = self.attempt(&mut connection, request, &mut time, is_free);
            let (why, error) = match attempt.await {
                Ok(response) => {
                    return Ok((response, connection));
                }
                Err(Attempt::NotSent(..)) if reused && !connection.is_shared() => continue,
                // A shared connection may take no new stream by the time that this one's turn comes.
                Err(Attempt::NotSent(..)) if connection.is_shared() && unsent_left > 0 => {
                    unsent_left -= 1;
                    continue;
                }
                Err(Attempt::Unprocessed(why, error)) => {
                    let again = match self.again {
                        Some(again) if !was_unprocessed => again(),
                        _ => copy,
                    };
                    let again = again.filter(|it| it.body().is_whole());
                    if let Some(again) = again.filter(|_| !was_unprocessed) {
                        was_unprocessed = true;
                        *request = Some(again);
                        continue;
                    }
                    self.call.note(&why);
                    return Err(Unanswered::Cut(Cut {
                        why,
                        error,
                        // An upstream that takes no request, not even again, has failed.
                        is_stale: !was_unprocessed,
                        is_unfinished: false,
                    }));
                }
                Err(Attempt::NotSent(why, error) | Attempt::Cut(why, error)) => (why, error),
                Err(Attempt::Failed(failed)) => return Err(Unanswered::Failed(failed)),
            };
            let reused = connection.may_be_stale();
            let again = match self.again {
                Some(again) if may_repeat && (reused || from_new) => again(),
                Some(_) => None,
                None => copy.filter(|_| may_repeat && (reused || from_new)),
            };
            let Some(again) = again.filter(|it| it.body().is_whole()) else {
                self.call.note(&why);
                let is_stale = reused;
                let is_unfinished = body_bytes > 0 && !connection.sender.has_written(body_bytes);
                return Err(Unanswered::Cut(Cut {
                    why,
                    error,
                    is_stale,
                    is_unfinished,
                }));
            };
            *request = Some(again);
            left -= 1;
        }
    }

    /// Counts and logs a failure of the upstream.
    fn failed(&mut self, why: &UpstreamError) -> Failed {
        self.call.note(why);
        Failed::Upstream(why.kind.as_call_error())
    }

    /// Counts and logs a fault of the client.
    fn client_failed(&mut self, fault: ClientFault) -> Failed {
        self.call.note(&UpstreamError::client(fault));
        Failed::Client(fault)
    }

    /// Opens a new connection. A probe's time covers connecting too: no probe outlives its place (I2). But no call
    /// stalls while it connects: that has a timeout of its own, and ends in an outcome.
    async fn connect(&mut self) -> Result<Connection, NoConnection> {
        self.call.waits_since(Timestamp::MAX);
        let bound = self.call.connect_timeout();
        // Exactly: what it took is taken from the time of a gRPC call, which must not end before its client's deadline.
        let began = self.worker.clock.exact();
        let connected = if self.call.is_probe() {
            let timeout = self.call.timeout();
            let now = self.worker.clock.exact();
            self.call.extend(now, timeout + PROBE_GRACE);
            let limit = tokio::time::timeout(timeout, self.pool.open(bound, self.is_upgrade));
            limit.await.unwrap_or_else(|_| {
                let why = UpstreamError::new(ErrorKind::Connect, "connect timed out");
                Err(NoConnection::too_slow(why.with("within a probe's time")))
            })
        } else {
            self.pool.open(bound, self.is_upgrade).await
        };
        let took = self.worker.clock.exact().saturating_since(began);
        self.call.connected(took);
        connected.inspect_err(|failed| self.call.note(&failed.cause))
    }

    /// One try on one connection, within the `time` that the call has left; less is left afterwards. The request is taken,
    /// and put back if nothing of it was sent. `is_free`: the connection was idle, and the request may go again if it ends.
    async fn attempt(
        &mut self,
        connection: &mut Connection,
        place: &mut Option<Request<Outgoing>>,
        time: &mut Duration,
        is_free: bool,
    ) -> Result<Response<Incoming>, Attempt> {
        let Some(request) = place else {
            return Err(Attempt::Failed(Failed::Ours));
        };
        let interim = self.interim;
        interim.watch(request, self.intake);
        if let (true, Some(intake)) = (connection.is_shared(), self.intake) {
            // hyper does not tell of a 100 on a stream, so we ask for the body ourselves.
            intake.offer().map(Offer::take);
        }
        let clock = &self.worker.clock;
        let asked = self.is_upgrade.then(|| request.headers().get(UPGRADE));
        let asked = asked.flatten().cloned();
        let is_careful =
            self.intake.is_some() && expects_no_body(request.method()) && !connection.is_shared();
        let timeout = *time;
        let sent_at = clock.exact();
        self.call.extend(sent_at, timeout + PROBE_GRACE);
        self.call.waits_since(sent_at);
        let Some(request) = place.take() else {
            return Err(Attempt::Failed(Failed::Ours));
        };
        let mut response = pin!(connection.sender.try_send_request(request));
        let mut alarm = pin!(tokio::time::sleep(timeout));
        let has_body = self.intake.is_some();
        let mut look = pin!(after(self.call.next_look(sent_at, has_body)));
        let intake = self.intake;
        let mut given_up = pin!(given_up(
            self.call.abandoned_after(),
            self.phase,
            self.worker,
            || has_it_since(intake, sent_at),
        ));
        let mut place_wanted = pin!(place_wanted(
            self.call.extras_of_probe(),
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
                        ClaimedBy::Complete => self.client_failed(ClientFault::TooSlow),
                        ClaimedBy::Better => Failed::GaveWay,
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
                // A probe keeps its place while its client sends, for no more calls than places may be in flight (I2);
                // but a client must not keep a breaker from closing for ever.
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
        *time = timeout.saturating_sub(duration);
        match result {
            Ok(response) if connection.is_over_limit(&response) => {
                self.call.note(&UpstreamError::head_over_limit());
                Err(Attempt::Failed(Failed::Limit))
            }
            Ok(response)
                if !validate::response_is_sound(&response, connection.hear(response.headers())) =>
            {
                Err(Attempt::Failed(
                    self.failed(&UpstreamError::ambiguous_head()),
                ))
            }
            Ok(response) if !validate::switches_as_asked(&response, asked.as_ref()) => {
                Err(Attempt::Failed(self.failed(&UpstreamError::wrong_switch())))
            }
            Ok(response) => {
                connection.sender.answered();
                self.upstream
                    .observe(self.worker.index, response.status(), duration);
                self.call.observe(duration);
                Ok(response)
            }
            Err(failure) => {
                if let Some(fault) = self.intake.and_then(|intake| intake.fault()) {
                    return Err(Attempt::Failed(self.client_failed(fault)));
                }
                let SendError { error, unsent } = *failure;
                let why = connection.sender.why(&error);
                match unsent {
                    Some(unsent) => {
                        *place = Some(unsent);
                        Err(Attempt::NotSent(why, error))
                    }
                    None if connection.sender.is_unprocessed(&error) => {
                        Err(Attempt::Unprocessed(why, error))
                    }
                    None => Err(self.judge(why, error, is_careful, is_free)),
                }
            }
        }
    }

    fn judge(
        &mut self,
        why: UpstreamError,
        error: hyper::Error,
        is_careful: bool,
        is_free: bool,
    ) -> Attempt {
        let now = self.worker.clock.tick();
        let owed = self
            .intake
            .is_some_and(|intake| intake.is_owed() || intake.was_late(now));
        match why.kind {
            ErrorKind::Reset if is_free => Attempt::Cut(why, error),
            ErrorKind::Reset if is_careful => {
                self.call.note(&UpstreamError::overlooked());
                Attempt::Failed(Failed::Unfinished)
            }
            ErrorKind::Reset if owed => {
                self.call.note(&UpstreamError::unfinished());
                Attempt::Failed(Failed::Unfinished)
            }
            // The end of an old connection says nothing; that of a new one is the whole error.
            ErrorKind::Reset | ErrorKind::Tls => Attempt::Cut(why, error),
            ErrorKind::Limit => {
                self.call.note(&why);
                Attempt::Failed(Failed::Limit)
            }
            _ => Attempt::Failed(self.failed(&why)),
        }
    }

    /// The total time for which we have waited for the client.
    fn client_took(&self, now: Timestamp) -> Duration {
        self.intake
            .map_or(Duration::ZERO, |intake| intake.waited(now))
    }

    /// The time since which the upstream has had everything that it waits for; `None`: the client keeps it waiting.
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

/// The request that claims the place of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClaimedBy {
    /// A complete request, while the probe waits for its client.
    Complete,
    /// A request whose prober is not marked, while the probe's prober is.
    Better,
}

/// Resolves when a probe must give up its place. A long body may probe, but must not keep complete requests waiting by
/// stopping; a marked prober may probe again, but must not keep others waiting for long.
async fn place_wanted(
    extras: Option<(Arc<BreakerExtras>, Option<Prober>)>,
    intake: Option<&Arc<Intake>>,
    clock: &Clock,
    since: Timestamp,
) -> ClaimedBy {
    let Some((extras, prober)) = extras else {
        return std::future::pending().await;
    };
    let probes = &extras.probes;
    loop {
        tokio::time::sleep(PLACE_LOOK).await;
        let waits = intake.is_some_and(|intake| intake.handed_over().is_none());
        if waits && probes.wanted_at().is_some_and(|at| at > since) {
            return ClaimedBy::Complete;
        }
        let now = clock.tick();
        if now >= since + FLOWN && prober.is_some_and(|prober| probes.has_better(prober, now)) {
            return ClaimedBy::Better;
        }
    }
}

/// Resolves when the client closes its side after the upstream has kept the call waiting for `limit`, if such calls are
/// failures. A client that does so may still read, but after that time it has most likely gone. A client that closes
/// earlier is served to the end.
async fn given_up(
    limit: Option<Duration>,
    phase: Option<&Phase>,
    worker: &WorkerRef,
    since: impl Fn() -> Option<Timestamp>,
) {
    let (Some(limit), Some(phase)) = (limit, phase) else {
        return std::future::pending().await;
    };
    std::future::poll_fn(|cx| match phase.is_left_by_caller(cx) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
    let now = worker.clock.exact();
    if since().is_none_or(|since| now.saturating_since(since) < limit) {
        std::future::pending().await
    }
}

/// Waits for that time; `None`: for ever.
async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Reason why one attempt on one connection gave no response.
enum Attempt {
    /// Nothing of the request was written; the error.
    NotSent(UpstreamError, hyper::Error),
    /// The upstream has not processed the request, of which some was sent, and says so; the error.
    Unprocessed(UpstreamError, hyper::Error),
    /// The connection ended before any of the response came; the error.
    Cut(UpstreamError, hyper::Error),
    /// A failure that no other attempt could avoid.
    Failed(Failed),
}

/// Methods whose body has no meaning (RFC 9110, section 9.3), so that some upstreams overlook it.
pub fn expects_no_body(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
    )
}

/// Writes how a request's body is framed into its head; true if its connection is to carry no other request.
fn frame(request: &mut Request<Outgoing>, has_length: bool) -> bool {
    let empty = matches!(request.body(), Outgoing::Fixed(None));
    let is_careful = !empty && expects_no_body(request.method());
    let has_size = request.body().size_hint().exact().is_some();
    let headers = request.headers_mut();
    if empty && has_length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    } else if !has_size {
        // Stated explicitly, since hyper assumes that a GET has no body.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if is_careful {
        // An upstream that overlooks such a body would read it as the next request (RFC 9110, section 9.3.1), so this
        // connection carries none.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    is_careful
}

/// A copy of the request; `None`: its body is a client's, which comes once.
fn copy_of(request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
    let mut again = Request::new(request.body().again()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    again.headers_mut().clone_from(request.headers());
    Some(again)
}
