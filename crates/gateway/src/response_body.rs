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
use fusebox_plan::CallError;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::body::BodyError;
use crate::call::Holder;
use crate::clock::Clock;
use crate::exchange::Finish;
use crate::pool::Connection;

/// An upstream's body, passed on to a client.
#[derive(Debug)]
pub struct ResponseBody {
    inner: Incoming,
    call: Option<Holder>,
    connection: Option<Connection>,
    clock: Arc<Clock>,
    idle_timeout: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Counts the request when the body is done with, however it ends.
    _finish: Finish,
}

impl ResponseBody {
    /// Wraps an upstream's body; a body that has already ended judges its call at once.
    pub fn new(
        inner: Incoming,
        call: Holder,
        connection: Connection,
        clock: Arc<Clock>,
        idle_timeout: Duration,
        finish: Finish,
    ) -> ResponseBody {
        let mut body = ResponseBody {
            inner,
            call: Some(call),
            connection: Some(connection),
            clock,
            idle_timeout,
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
        let timeout = self.idle_timeout;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if alarm.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.end(Some(CallError::Timeout));
        Poll::Ready(Some(Err(BodyError::Idle)))
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
            Some(Err(error)) => {
                let error = if error.is_parse() {
                    CallError::Protocol
                } else {
                    CallError::Truncated
                };
                this.end(Some(error));
                Poll::Ready(Some(Err(BodyError::Upstream)))
            }
            Some(Ok(frame)) => {
                let now = this.clock.tick();
                if let Some(call) = &mut this.call {
                    call.with(|call| {
                        if let Some(data) = frame.data_ref() {
                            call.see(data);
                        }
                        call.settle(now);
                    });
                }
                // Judged before the client has the last byte: its next request must meet the
                // breaker that this one left behind.
                if this.inner.is_end_stream() {
                    this.end(None);
                }
                let frame = match frame.into_trailers() {
                    Ok(mut trailers) => {
                        crate::fields::strip_trailers(&mut trailers);
                        Frame::trailers(trailers)
                    }
                    Err(frame) => frame,
                };
                Poll::Ready(Some(Ok(frame)))
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
