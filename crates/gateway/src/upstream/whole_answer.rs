//! An answer's body as a whole, for programs that read it; its end judges the call.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::Sleep;

use crate::ground::clock::WorkerRef;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::call::Holder;
use crate::upstream::fetch::Fault;
use crate::upstream::upstream_errors::UpstreamError;

/// Reads a body to its end, at most `max` bytes, and reports its frames to `call`, but not those that were read `ahead`.
///
/// # Errors
/// If it breaks off, stops flowing or is larger.
pub async fn read(
    ahead: VecDeque<Frame<Bytes>>,
    body: &mut AnswerBody,
    call: &mut Holder,
    max: usize,
    worker: &WorkerRef,
) -> Result<Bytes, Fault> {
    let observed = ObservedBody {
        ahead,
        body,
        call,
        worker,
        alarm: None,
    };
    match Limited::new(observed, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLarge),
        Err(error) => Err(*error
            .downcast::<Fault>()
            .expect("a body fails with a fault")),
    }
}

/// A body that reports each frame to its call, and fails after too long a silence.
struct ObservedBody<'a> {
    /// Frames that were read, and reported, before.
    ahead: VecDeque<Frame<Bytes>>,
    body: &'a mut AnswerBody,
    call: &'a mut Holder,
    worker: &'a WorkerRef,
    /// The timer of the longest silence.
    alarm: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Body for ObservedBody<'_> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if this.body.is_end_stream() {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut *this.body).poll_frame(cx) else {
            let call = &mut this.call;
            let (wait, alarm) = this.alarm.get_or_insert_with(|| {
                let wait = call.with(|call| call.wait()).unwrap_or_default();
                (wait, Box::pin(tokio::time::sleep(wait)))
            });
            ready!(alarm.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Fault::Silent(*wait))));
        };
        this.alarm = None;
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let now = this.worker.clock.tick();
            this.call.with(|call| call.see(data, now));
        }
        if frame.is_none() && this.body.is_cut_short() {
            return Poll::Ready(Some(Err(Fault::BrokenHeld(UpstreamError::cut_short()))));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Fault::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.ahead.is_empty() {
            true => self.body.size_hint(),
            false => SizeHint::default(),
        }
    }
}
