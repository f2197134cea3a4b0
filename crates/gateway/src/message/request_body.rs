//! A client's body on its way up: the party that keeps the other waiting, and the party at fault when it breaks.
//!
//! Two distinctions matter: a slow upstream from a client that is slow to send, and an upstream that broke the
//! connection from a client that sent a malformed body. hyper reports both kinds through the same future, so this body
//! notes the client's part in an [`Intake`], which the call reads before it judges.

use std::collections::VecDeque;
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fusebox_breaker::Timestamp;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::ground::access_log::note::Flag;
use crate::ground::clock::Clock;
use crate::message::body::BodyError;
use crate::message::fields::has_padded_value;
use crate::message::offer::Offer;
use crate::message::phase::Phase;

/// The time for which an upstream may leave it open whether it wants an offered body, before it gets it.
const OFFER_WAIT: Duration = Duration::from_secs(1);

/// A wait for a client that is long enough to cost it an upstream's patience.
const LONG_WAIT: Duration = Duration::from_millis(100);

/// The longest time that the end of a connection may take to reach us.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// The time after which the next message of a stream is not waited for before it is sent.
const STREAM_WAIT: Duration = Duration::from_millis(100);

/// The time for which a body may be slower than the least rate before it counts.
const RATE_GRACE: Duration = Duration::from_secs(10);

/// A client's fault with its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFault {
    /// The framing was wrong, or the client closed its side within the body: 400.
    Malformed = 1,
    /// The body came more slowly than `limits.body_rate`: 408.
    TooSlow,
    /// The body was larger than `limits.request_body`: 413.
    TooLarge,
    /// The client reset its stream, or its connection broke, within the body: 499 in the log.
    Left,
}

impl ClientFault {
    /// The fault in an error of a body.
    fn of(error: &hyper::Error) -> ClientFault {
        let mut next = error.source();
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<h2::Error>() {
                return match error.is_io() || (error.is_reset() && error.is_remote()) {
                    true => ClientFault::Left,
                    false => ClientFault::Malformed,
                };
            }
            if let Some(error) = error.downcast_ref::<io::Error>()
                && is_broken(error)
            {
                return ClientFault::Left;
            }
            next = error.source();
        }
        ClientFault::Malformed
    }
}

/// True for the error of a connection, as opposed to that of the bytes on it. A TLS session that ends without its end is
/// one: a client that has closed its side alone says so.
fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    let kind = error.kind();
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof
    )
}

/// The progress of a request body on its way; shared by the body and the call.
#[derive(Debug)]
pub struct Intake {
    /// Nanoseconds of the last progress; the top bit says that we wait for the client now.
    progress: AtomicU64,
    /// Nanoseconds that we have waited for the client, the present wait not included.
    waited: AtomicU64,
    /// Nanoseconds of the last wait that has ended.
    last_wait: AtomicU64,
    fault: AtomicU8,
    /// True once all of the body has come.
    complete: AtomicBool,
    /// The client's offer, if it waits until its body is asked for.
    offer: Option<Offer>,
}

const WAITING: u64 = 1 << 63;

impl Intake {
    fn new(now: Timestamp, is_offered: bool) -> Arc<Intake> {
        Arc::new(Intake {
            progress: AtomicU64::new(now.as_nanos()),
            waited: AtomicU64::new(0),
            last_wait: AtomicU64::new(0),
            fault: AtomicU8::new(0),
            complete: AtomicBool::new(false),
            offer: is_offered.then(Offer::default),
        })
    }

    /// The client's offer, if it waits until its body is asked for.
    pub fn offer(&self) -> Option<&Offer> {
        self.offer.as_ref()
    }

    /// True while the client owes bytes of its body. An offered one is owed too: an upstream that does not know the
    /// expectation waits for it.
    pub fn is_owed(&self) -> bool {
        !self.complete.load(Ordering::Acquire)
    }

    /// True while the body is held back, since the upstream has not asked for it.
    pub fn is_held(&self) -> bool {
        self.offer.as_ref().is_some_and(Offer::is_open)
    }

    /// True if the last bytes came after a long wait and a moment ago: an upstream that ends the connection now may
    /// have lost its patience before it could see them.
    pub fn was_late(&self, now: Timestamp) -> bool {
        let last_wait = Duration::from_nanos(self.last_wait.load(Ordering::Acquire));
        let handed_over = self.handed_over();
        last_wait >= LONG_WAIT && handed_over.is_some_and(|at| now < at + ON_ITS_WAY)
    }

    /// The time since which the upstream has had all bytes that the client sent; `None` while we wait for the client,
    /// also for one whose body has not been asked for.
    pub fn handed_over(&self) -> Option<Timestamp> {
        if self.is_held() {
            return None;
        }
        let word = self.progress.load(Ordering::Acquire);
        (word & WAITING == 0).then(|| Timestamp::from_nanos(word))
    }

    /// The total time for which we have waited for the client.
    pub fn waited(&self, now: Timestamp) -> Duration {
        let waited = Duration::from_nanos(self.waited.load(Ordering::Acquire));
        let word = self.progress.load(Ordering::Acquire);
        if word & WAITING == 0 {
            return waited;
        }
        waited + now.saturating_since(Timestamp::from_nanos(word & !WAITING))
    }

    /// The client's fault, if any.
    pub fn fault(&self) -> Option<ClientFault> {
        let faults = [
            ClientFault::Malformed,
            ClientFault::TooSlow,
            ClientFault::TooLarge,
            ClientFault::Left,
        ];
        let number = self.fault.load(Ordering::Acquire);
        faults.into_iter().find(|fault| *fault as u8 == number)
    }

    fn blame(&self, fault: ClientFault) {
        self.fault.store(fault as u8, Ordering::Release);
    }

    fn wait_for_client(&self, now: Timestamp) {
        self.progress
            .store(now.as_nanos() | WAITING, Ordering::Release);
    }

    fn hand_over(&self, now: Timestamp) {
        self.progress.store(now.as_nanos(), Ordering::Release);
    }
}

/// Bounds on a request body.
#[derive(Debug, Clone, Copy)]
pub struct IntakeLimits {
    /// The least rate, in bytes per second.
    pub rate_min: u64,
    /// The longest pause of a stream of messages, whose rate has no bound; `None`: the body is none.
    pub pause_max: Option<Duration>,
    /// The largest body, in bytes; `None`: no limit.
    pub size_max: Option<u64>,
    /// True for a body in a stream of HTTP/2, which ends by a flag alone.
    pub over_http2: bool,
}

/// The part of a body that was read before it was sent.
#[derive(Debug, Default)]
struct Ahead {
    frames: VecDeque<Frame<Bytes>>,
    bytes: u64,
    /// True if there is nothing behind these frames.
    is_all: bool,
}

/// A client's body, passed on to an upstream.
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    ahead: Option<Box<Ahead>>,
    /// The connection's state, kept busy until the body ends.
    phase: Arc<Phase>,
    intake: Arc<Intake>,
    clock: Arc<Clock>,
    limits: IntakeLimits,
    received: u64,
    /// The total time of waiting for the client; the next field is the beginning of the present wait.
    waited: Duration,
    waiting_since: Option<Timestamp>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// True once the body is known to be wanted.
    is_asked_for: bool,
}

impl RequestBody {
    /// Wraps a client's body; the intake is the call's view of it. An offered body is held back until [`Intake::offer`]
    /// is taken, or for a moment.
    pub fn new(
        inner: Incoming,
        is_offered: bool,
        phase: Arc<Phase>,
        clock: Arc<Clock>,
        limits: IntakeLimits,
    ) -> (RequestBody, Arc<Intake>) {
        let intake = Intake::new(clock.tick(), is_offered);
        phase.busy();
        let body = RequestBody {
            inner,
            ahead: None,
            phase,
            intake: intake.clone(),
            clock,
            limits,
            received: 0,
            waited: Duration::ZERO,
            waiting_since: None,
            alarm: None,
            is_asked_for: !is_offered,
        };
        (body, intake)
    }

    /// Reads the body before it is sent, until its end or beyond `limit` bytes; returns true if it has ended. Asks the
    /// client for a body that it offers.
    ///
    /// # Errors
    /// The client's fault.
    pub async fn read_ahead(&mut self, limit: u64) -> Result<bool, ClientFault> {
        if let Some(offer) = self.intake.offer() {
            offer.take();
        }
        let mut ahead = self.ahead.take().unwrap_or_default();
        while !ahead.is_all && ahead.bytes <= limit {
            let is_stream = self.limits.pause_max.is_some();
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx));
            let frame = match is_stream && ahead.bytes > 0 {
                false => frame.await,
                // A client that waits for an answer to its first messages sends no more before it.
                true => match tokio::time::timeout(STREAM_WAIT, frame).await {
                    Ok(frame) => frame,
                    Err(_) => break,
                },
            };
            match frame {
                None => ahead.is_all = true,
                Some(Err(_)) => {
                    return Err(self.intake.fault().unwrap_or(ClientFault::Malformed));
                }
                Some(Ok(frame)) => {
                    ahead.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    ahead.is_all = frame.is_trailers() || self.inner.is_end_stream();
                    ahead.frames.push_back(frame);
                }
            }
        }
        let is_all = ahead.is_all;
        self.ahead = Some(ahead);
        Ok(is_all)
    }

    /// True if the body may be read from its client; pending while that is undecided.
    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.is_asked_for {
            return Poll::Ready(true);
        }
        let intake = self.intake.clone();
        let wanted = intake.offer().map_or(Poll::Ready(true), |it| it.poll(cx));
        if let Poll::Ready(wanted) = wanted {
            self.be_asked_for(wanted);
            return Poll::Ready(wanted);
        }
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(OFFER_WAIT)));
        if alarm.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some(offer) = intake.offer() {
            offer.take();
        }
        self.be_asked_for(true);
        Poll::Ready(true)
    }

    /// Ends the wait for the decision whether the body is wanted.
    fn be_asked_for(&mut self, wanted: bool) {
        self.is_asked_for = wanted;
        self.alarm = None;
        self.intake.hand_over(self.clock.exact());
    }

    fn note_end(&self) {
        self.intake.complete.store(true, Ordering::Release);
        self.phase.owes_body(false);
    }

    fn fail(&self, fault: ClientFault) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.intake.blame(fault);
        if fault == ClientFault::Left {
            self.phase.noted.with(|note| note.flag(Flag::ClientLeft));
        }
        Poll::Ready(Some(Err(BodyError::Client)))
    }

    /// The time for which the client may still keep us waiting, by the least rate.
    fn patience(&self) -> Duration {
        let earned =
            Duration::from_secs_f64(self.received as f64 / self.limits.rate_min.max(1) as f64);
        (RATE_GRACE + earned).saturating_sub(self.waited)
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.waiting_since.is_none() {
            let now = self.clock.exact();
            self.waiting_since = Some(now);
            self.intake.wait_for_client(now);
            if let Some(pause_max) = self.limits.pause_max {
                self.alarm = Some(Box::pin(tokio::time::sleep(pause_max)));
            } else if self.limits.rate_min > 0 {
                self.alarm = Some(Box::pin(tokio::time::sleep(self.patience())));
            }
        }
        if self.phase.is_left(cx) {
            return self.fail(ClientFault::Malformed);
        }
        let late = self
            .alarm
            .as_mut()
            .is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready());
        if late {
            self.fail(ClientFault::TooSlow)
        } else {
            Poll::Pending
        }
    }

    fn end_wait(&mut self) {
        let now = match self.waiting_since.take() {
            Some(since) => {
                let now = self.clock.exact();
                let wait = now.saturating_since(since);
                self.waited += wait;
                let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                self.intake.last_wait.store(wait, Ordering::Release);
                let nanos = u64::try_from(self.waited.as_nanos()).unwrap_or(u64::MAX);
                self.intake.waited.store(nanos, Ordering::Release);
                now
            }
            // The coarse clock lags, and the upstream would be charged with the difference.
            None => self.clock.exact(),
        };
        self.alarm = None;
        self.intake.hand_over(now);
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.phase.idle(self.clock.tick());
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(ahead) = &mut this.ahead {
            match ahead.frames.pop_front() {
                Some(frame) => {
                    ahead.bytes -= frame.data_ref().map_or(0, |data| data.len() as u64);
                    return Poll::Ready(Some(Ok(frame)));
                }
                None if ahead.is_all => return Poll::Ready(None),
                None => this.ahead = None,
            }
        }
        if !std::task::ready!(this.poll_wanted(cx)) {
            return Poll::Ready(Some(Err(BodyError::Client)));
        }
        let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => return this.wait(cx),
            Poll::Ready(frame) => frame,
        };
        this.end_wait();
        match frame {
            // hyper takes a reset with NO_ERROR for the end of any body: an upload that breaks off must not arrive as a
            // whole one.
            None if this.limits.over_http2 && !this.inner.is_end_stream() => {
                this.fail(ClientFault::Left)
            }
            None => {
                this.note_end();
                Poll::Ready(None)
            }
            Some(Err(error)) => this.fail(ClientFault::of(&error)),
            Some(Ok(frame))
                if this.limits.over_http2 && frame.trailers_ref().is_some_and(has_padded_value) =>
            {
                this.fail(ClientFault::Malformed)
            }
            Some(Ok(frame)) => {
                if frame.is_trailers() || this.inner.is_end_stream() {
                    this.note_end();
                }
                if let Some(data) = frame.data_ref() {
                    this.received = this.received.saturating_add(data.len() as u64);
                    this.phase.noted.with(|note| note.came(data.len()));
                }
                if this.limits.size_max.is_some_and(|max| this.received > max) {
                    return this.fail(ClientFault::TooLarge);
                }
                Poll::Ready(Some(Ok(crate::message::fields::strip_frame(frame))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.ahead {
            Some(ahead) if !ahead.frames.is_empty() => false,
            Some(ahead) if ahead.is_all => true,
            _ => self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.inner.size_hint();
        match (&self.ahead, rest.exact()) {
            (Some(ahead), Some(exact)) => SizeHint::with_exact(exact + ahead.bytes),
            _ => rest,
        }
    }
}
