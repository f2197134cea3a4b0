//! The body of an answer while the access log is on: counts its bytes, and ends the note of its exchange.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use crate::ground::access_log::Note;
use crate::ground::access_log::note::Flag;
use crate::ground::access_log::slot::NoteSlot;
use crate::message::body::{Body, BodyError, Streaming};
use crate::message::grpc;

/// An answer whose body ends the note of its exchange; the same answer while the log is off.
#[inline]
pub fn watched(slot: &NoteSlot, response: Response<Body>) -> Response<Body> {
    match slot.take() {
        Some(note) => noted(note, response),
        None => response,
    }
}

#[cold]
fn noted(note: Arc<Note>, response: Response<Body>) -> Response<Body> {
    note.answered(response.status());
    note.hear_grpc(grpc::status(response.headers()));
    let has_none = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let is_sent = !has_none && !note.is_head();
    response.map(|body| {
        let body: Box<dyn Streaming> = Box::new(NotedBody {
            is_over: !is_sent || body.is_end_stream(),
            body,
            note,
        });
        Body::Streamed(body)
    })
}

/// A body with the note of its exchange.
#[derive(Debug)]
struct NotedBody {
    /// Dropped before the note, so that its call is judged first.
    body: Body,
    note: Arc<Note>,
    /// True once nothing more of it is to be sent.
    is_over: bool,
}

impl Streaming for NotedBody {}

impl Drop for NotedBody {
    fn drop(&mut self) {
        if !self.is_over && !self.body.is_end_stream() {
            self.note.flag(Flag::ClientLeft);
        }
        self.note.ended();
    }
}

impl http_body::Body for NotedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(this.body.poll_inner(cx));
        match &frame {
            None => this.is_over = true,
            Some(Err(error)) => {
                this.is_over = true;
                match error {
                    BodyError::Upstream | BodyError::Idle => this.note.flag(Flag::Cut),
                    BodyError::Client => this.note.flag(Flag::ClientLeft),
                }
            }
            Some(Ok(frame)) => {
                this.note.went(frame.data_ref().map_or(0, Bytes::len));
                this.note
                    .hear_grpc(frame.trailers_ref().and_then(grpc::status));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
