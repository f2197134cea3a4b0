//! An upstream's body on its way down: judges its call, and gives the connection back.
//!
//! The body is passed on frame by frame, at the client's pace. Only the time in which we wait for the upstream counts
//! as the upstream's, and only a cut that comes while we read.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fusebox_breaker::Timestamp;
use fusebox_plan::CallError;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;

use crate::ground::clock::Clock;
use crate::message::body::BodyError;
use crate::message::body::Streaming;
use crate::message::grpc;
use crate::message::offer::Offer;
use crate::message::request_body::{ClientFault, Intake};
use crate::request::exchange::Finish;
use crate::upstream::answer_body::{AnswerBody, WireError};
use crate::upstream::call::Holder;
use crate::upstream::last_good::Recorder;
use crate::upstream::pool::Connection;
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

/// A client that takes the next frame later than this holds the body back.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Holding back longer than this is a pause: the client may be the cause of anything that the upstream did meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// A pause is over once the upstream has kept us waiting for this long: by then the bytes that it had sent into the
/// pause, and the end if it ended there, have arrived.
const QUIET: Duration = Duration::from_secs(1);

/// An upstream's body, passed on to a client.
#[derive(Debug)]
pub struct ResponseBody {
    /// The body; `None` once a probe's body flows on without its client.
    flow: Option<Flow>,
    /// Counts the request when the body ends, in whatever way.
    finish: Finish,
}

/// The body itself, which a probe may have to read to its end without its client.
#[derive(Debug)]
struct Flow {
    /// The recording of the answer as the last good one.
    recorder: Option<Box<Recorder>>,
    /// Frames that were read before the body was passed on, and that the call has seen.
    ahead: VecDeque<Frame<Bytes>>,
    inner: AnswerBody,
    call: Option<Holder>,
    connection: Option<Connection>,
    /// The state of the request's body, which may still be on its way up.
    intake: Option<Arc<Intake>>,
    clock: Arc<Clock>,
    alarm: Option<Alarm>,
    /// The time at which the last frame was passed on, while the next one has not been asked for.
    passed_at: Option<Timestamp>,
    /// The time for which the client has held the body back since the upstream last kept us waiting.
    held: Duration,
    /// True once the body has ended with trailers of our own.
    is_over: bool,
    /// The error with which the body ends once the frames before it have gone out.
    cut: Option<BodyError>,
    /// Wakes at the deadline of a gRPC call; `None`: it has none, or it has passed.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Wakes when the upstream may have been silent for too long.
#[derive(Debug)]
struct Alarm {
    since: Timestamp,
    timeout: Duration,
    is_probe: bool,
    sleep: Pin<Box<Sleep>>,
}

impl ResponseBody {
    /// Wraps an upstream's body; a body that has already ended judges its call at once.
    pub fn new(
        inner: AnswerBody,
        call: Option<Holder>,
        connection: Option<Connection>,
        intake: Option<Arc<Intake>>,
        clock: Arc<Clock>,
        finish: Finish,
    ) -> ResponseBody {
        let mut flow = Flow {
            recorder: None,
            ahead: VecDeque::new(),
            inner,
            call,
            connection,
            intake,
            clock,
            alarm: None,
            passed_at: None,
            held: Duration::ZERO,
            is_over: false,
            cut: None,
            deadline: None,
        };
        if flow.inner.is_end_stream() {
            flow.end(None);
        }
        ResponseBody {
            flow: Some(flow),
            finish,
        }
    }

    /// Records the answer as the upstream's last good one, once it is whole.
    pub fn recorded(mut self, recorder: Option<Recorder>) -> ResponseBody {
        if let (Some(flow), Some(recorder)) = (&mut self.flow, recorder) {
            flow.recorder = Some(Box::new(recorder));
            flow.record_end();
        }
        self
    }

    /// Ends the body with the trailers of a gRPC call that was not over within that time.
    pub fn within(mut self, left: Option<Duration>) -> ResponseBody {
        if let (Some(flow), Some(left)) = (&mut self.flow, left)
            && !flow.inner.is_end_stream()
        {
            flow.deadline = Some(Box::pin(tokio::time::sleep(left)));
        }
        self
    }

    /// Puts frames that were read before in front of the body; the call has seen them.
    pub fn behind(mut self, frames: VecDeque<Frame<Bytes>>) -> ResponseBody {
        if let Some(flow) = &mut self.flow {
            flow.ahead = frames;
        }
        self
    }
}

impl Streaming for ResponseBody {}

impl Drop for ResponseBody {
    /// The client has left, or has all. A probe does not end with its client: its body is read on until the call is
    /// judged.
    fn drop(&mut self) {
        let is_open = self.flow.as_mut().is_some_and(Flow::is_unjudged_probe);
        // Without a runtime the worker itself has ended, and nothing can continue.
        if let (true, Ok(runtime)) = (is_open, tokio::runtime::Handle::try_current())
            && let Some(mut flow) = self.flow.take()
        {
            let token = self.finish.task_token();
            runtime.spawn(async move {
                while flow.is_unjudged_probe()
                    && let Some(Ok(_)) = std::future::poll_fn(|cx| flow.poll_frame(cx)).await
                {
                }
                drop(token);
            });
        }
    }
}

impl Flow {
    fn is_unjudged_probe(&mut self) -> bool {
        let probes = self
            .call
            .as_mut()
            .and_then(|call| call.with(|call| call.is_probe() && !call.is_judged()));
        probes.unwrap_or(false)
    }

    /// Ends the recording if all of the body has passed.
    fn record_end(&mut self) {
        if self.ahead.is_empty()
            && self.inner.is_end_stream()
            && let Some(recorder) = self.recorder.take()
        {
            recorder.finish();
        }
    }

    fn record(&mut self, frame: &Frame<Bytes>) {
        if let (Some(recorder), Some(data)) = (&mut self.recorder, frame.data_ref()) {
            recorder.push(data);
        }
    }

    fn end(&mut self, error: Option<CallError>) {
        if let Some(call) = self.call.take() {
            call.end(error);
        }
        // The answer came without the body that was offered, so the request is never complete.
        let offer = self.intake.as_deref().and_then(Intake::offer);
        let was_held = offer.is_some_and(Offer::is_open);
        if let Some(offer) = offer {
            offer.decline();
        }
        if let Some(connection) = self.connection.take() {
            match error.is_none() && !was_held {
                true => connection.give_back(&mut self.inner, &self.clock),
                false => self.inner.abandon(),
            }
        }
    }

    /// Notes a request for the next frame, and the time since the last one.
    fn asked(&mut self) {
        let Some(passed_at) = self.passed_at.take() else {
            return;
        };
        let gap = self.clock.tick().saturating_since(passed_at);
        if gap >= PAUSE_MIN {
            self.held += gap;
        }
    }

    /// Ends the wait for the upstream, if there was one.
    fn end_wait(&mut self) {
        if let Some(alarm) = self.alarm.take()
            && self.clock.tick().saturating_since(alarm.since) >= QUIET
        {
            self.held = Duration::ZERO;
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let alarm = match &mut self.alarm {
            Some(alarm) => alarm,
            None => {
                let call = self.call.as_mut();
                let waits = call.and_then(|call| call.with(|call| (call.wait(), call.is_probe())));
                // A call that has ended waits for nothing any more.
                let (timeout, is_probe) = waits.unwrap_or((Duration::MAX, false));
                self.alarm.insert(Alarm {
                    since: self.clock.exact(),
                    timeout,
                    is_probe,
                    sleep: Box::pin(tokio::time::sleep(timeout)),
                })
            }
        };
        let (timeout, is_probe) = (alarm.timeout, alarm.is_probe);
        while alarm.sleep.as_mut().poll(cx).is_ready() {
            let now = self.clock.exact();
            // An upstream that waits for the rest of an upload is not silent itself. But a probe waits for its client
            // no longer than for its upstream.
            let intake = self.intake.as_deref();
            let since = match intake.map(Intake::handed_over) {
                None => alarm.since,
                Some(Some(at)) => at.max(alarm.since),
                Some(None) if is_probe => {
                    let why = UpstreamError::client(ClientFault::TooSlow);
                    return Poll::Ready(Some(Err(self.let_go(&why))));
                }
                Some(None) => now,
            };
            if now >= since + timeout {
                self.note(&UpstreamError::silent_body());
                self.end(Some(CallError::Timeout));
                return Poll::Ready(Some(Err(BodyError::Idle)));
            }
            let rest = (since + timeout).saturating_since(now);
            alarm.sleep = Box::pin(tokio::time::sleep(rest));
        }
        Poll::Pending
    }

    /// Drops the call unjudged, with its connection, since the client was at fault.
    fn let_go(&mut self, why: &UpstreamError) -> BodyError {
        self.note(why);
        self.call = None;
        self.connection = None;
        self.inner.abandon();
        BodyError::Client
    }

    /// The client's share in a broken body: it broke its own upload, or kept us waiting to send or to read. `None`: it
    /// had none.
    fn clients_part(&self, error: &WireError) -> Option<UpstreamError> {
        let intake = self.intake.as_deref();
        if let Some(fault) = intake.and_then(Intake::fault) {
            return Some(UpstreamError::client(fault));
        }
        let now = self.clock.tick();
        if intake.is_some_and(|intake| intake.is_owed() || intake.was_late(now)) {
            return Some(UpstreamError::unfinished());
        }
        // An upstream that overlooks a body where none belongs ends the connection over it.
        if self.connection.as_ref().is_some_and(Connection::is_last) {
            return Some(UpstreamError::overlooked());
        }
        (self.held >= PAUSE && !error.is_malformed()).then(UpstreamError::unread)
    }

    /// Ends the body with an error, at the next look: the head and the frames before it may still lie in a buffer, and an error
    /// would throw them away.
    fn cut(
        &mut self,
        cx: &mut Context<'_>,
        error: BodyError,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.cut = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends the call after a broken body: as the client's fault, or as the upstream's.
    fn broken(&mut self, error: &WireError) -> BodyError {
        if let Some(why) = self.clients_part(error) {
            return self.let_go(&why);
        }
        let why = UpstreamError::body(error);
        if why.kind == ErrorKind::Limit {
            return self.let_go(&why);
        }
        self.blamed(&why)
    }

    /// Ends the call as the upstream's failure.
    fn blamed(&mut self, why: &UpstreamError) -> BodyError {
        self.note(why);
        self.end(Some(why.as_body_error()));
        BodyError::Upstream
    }

    /// Counts and logs the reason of the call's failure, unless the call has ended.
    fn note(&mut self, why: &UpstreamError) {
        if let Some(call) = &mut self.call {
            call.with(|call| call.note(why));
        }
    }

    /// True once the time of a gRPC call's client is over: the call has ended, and its trailers are ours.
    fn is_too_late(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.deadline.as_mut();
        if !deadline.is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return false;
        }
        self.deadline = None;
        self.is_over = true;
        self.note(&UpstreamError::no_trailers());
        self.end(Some(CallError::Timeout));
        true
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.ahead.pop_front() {
            self.record(&frame);
            self.record_end();
            return Poll::Ready(Some(Ok(crate::message::fields::strip_frame(frame))));
        }
        if let Some(error) = self.cut.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        self.asked();
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending if self.is_too_late(cx) => {
                return Poll::Ready(Some(Ok(Frame::trailers(grpc::too_late()))));
            }
            Poll::Pending => return self.wait(cx),
            Poll::Ready(frame) => frame,
        };
        self.end_wait();
        match frame {
            None if self.connection.is_some() && self.inner.is_cut_short() => {
                let error = self.blamed(&UpstreamError::cut_short());
                self.cut(cx, error)
            }
            None => {
                self.end(None);
                if let Some(recorder) = self.recorder.take() {
                    recorder.finish();
                }
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                let error = self.broken(&error);
                self.cut(cx, error)
            }
            Some(Ok(frame)) => {
                let now = self.clock.tick();
                self.passed_at = Some(now);
                if let (Some(call), Some(data)) = (&mut self.call, frame.data_ref()) {
                    call.with(|call| call.see(data, now));
                }
                if let (Some(call), Some(trailers)) = (&mut self.call, frame.trailers_ref()) {
                    call.with(|call| call.see_trailers(trailers));
                }
                // Judged before the client has the last byte: its next request must meet the breaker in the state after
                // this call. After a trailer section no more frames are asked for.
                self.record(&frame);
                if frame.is_trailers() || self.inner.is_end_stream() {
                    self.end(None);
                    if let Some(recorder) = self.recorder.take() {
                        recorder.finish();
                    }
                }
                Poll::Ready(Some(Ok(crate::message::fields::strip_frame(frame))))
            }
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().flow {
            Some(flow) => flow.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.flow.as_ref().is_none_or(|flow| {
            flow.is_over
                || flow.cut.is_none() && flow.ahead.is_empty() && flow.inner.is_end_stream()
        })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.flow {
            Some(flow) => match flow.inner.size_hint().exact() {
                Some(rest) if !flow.ahead.is_empty() => {
                    let ahead = flow.ahead.iter().filter_map(Frame::data_ref);
                    SizeHint::with_exact(rest + ahead.map(|it| it.len() as u64).sum::<u64>())
                }
                _ => flow.inner.size_hint(),
            },
            None => SizeHint::with_exact(0),
        }
    }
}
