//! An upstream's body on its way down: where its call is judged, and its connection given back.
//!
//! The body is passed on frame by frame; how fast, the client decides. Only the time in which we
//! wait for the upstream counts as the upstream's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fusebox_breaker::Timestamp;
use fusebox_plan::CallError;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::body::BodyError;
use crate::call::Holder;
use crate::clock::Clock;
use crate::exchange::Finish;
use crate::pool::Connection;
use crate::request_body::{ClientFault, Intake};
use crate::upstream_errors::UpstreamError;

/// An upstream's body, passed on to a client.
#[derive(Debug)]
pub struct ResponseBody {
    inner: Incoming,
    call: Option<Holder>,
    connection: Option<Connection>,
    /// What is known of the request's body, which may still be on its way up.
    intake: Option<Arc<Intake>>,
    clock: Arc<Clock>,
    alarm: Option<Alarm>,
    /// Counts the request when the body is done with, however it ends.
    _finish: Finish,
}

/// Rings when the upstream may have been silent for too long.
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
        inner: Incoming,
        call: Holder,
        connection: Connection,
        intake: Option<Arc<Intake>>,
        clock: Arc<Clock>,
        finish: Finish,
    ) -> ResponseBody {
        let mut body = ResponseBody {
            inner,
            call: Some(call),
            connection: Some(connection),
            intake,
            clock,
            alarm: None,
            _finish: finish,
        };
        if body.inner.is_end_stream() {
            body.end(None);
        }
        body
    }

    fn end(&mut self, error: Option<CallError>) {
        if let Some(call) = self.call.take() {
            call.end(error);
        }
        if let Some(connection) = self.connection.take()
            && error.is_none()
        {
            connection.give_back(self.clock.tick());
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
            // An upstream that waits for the rest of an upload is not the one that is silent. But a
            // probe waits for its client no longer than for its upstream.
            let intake = self.intake.as_deref();
            let since = match intake.map(Intake::handed_over) {
                None => alarm.since,
                Some(Some(at)) => at.max(alarm.since),
                Some(None) if is_probe => return Poll::Ready(Some(Err(self.let_go()))),
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

    /// Gives the call up unjudged, and the connection with it: it was the client's fault.
    fn let_go(&mut self) -> BodyError {
        let fault = self.intake.as_ref().and_then(|intake| intake.fault());
        self.note(&UpstreamError::client(
            fault.unwrap_or(ClientFault::TooSlow),
        ));
        self.call = None;
        self.connection = None;
        BodyError::Client
    }

    /// The body broke. If the client broke its own upload, that took the connection down.
    fn broken(&mut self, error: &hyper::Error) -> BodyError {
        if self
            .intake
            .as_ref()
            .is_some_and(|intake| intake.fault().is_some())
        {
            return self.let_go();
        }
        let why = UpstreamError::body(error);
        self.note(&why);
        self.end(Some(why.as_body_error()));
        BodyError::Upstream
    }

    /// Counts and says why the call failed, unless it has ended.
    fn note(&mut self, why: &UpstreamError) {
        if let Some(call) = &mut self.call {
            call.with(|call| call.note(why));
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
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => return this.wait(cx),
            Poll::Ready(frame) => frame,
        };
        this.alarm = None;
        match frame {
            None => {
                this.end(None);
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(this.broken(&error)))),
            Some(Ok(frame)) => {
                let now = this.clock.tick();
                if let (Some(call), Some(data)) = (&mut this.call, frame.data_ref()) {
                    call.with(|call| call.see(data, now));
                }
                // Judged before the client has the last byte: its next request must meet the
                // breaker that this one left behind.
                if this.inner.is_end_stream() {
                    this.end(None);
                }
                Poll::Ready(Some(Ok(crate::fields::strip_frame(frame))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
