//! A request's body on its stream: its trailers go out as they are, and it ends when its stream is cut.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::StreamUse;
use crate::message::body::{Body, BodyError};
use crate::message::kept_body::Outgoing;

/// A request's body, which keeps its stream in use until it is dropped.
#[derive(Debug)]
pub struct StreamBody {
    /// The body; `None` once it was taken out.
    inner: Option<Outgoing>,
    stream: Arc<StreamUse>,
    has_begun: bool,
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if self.has_begun {
            self.stream.ends_body();
        }
    }
}

impl StreamBody {
    /// A body for a stream.
    pub fn new(inner: Outgoing, stream: Arc<StreamUse>) -> StreamBody {
        StreamBody {
            inner: Some(inner),
            stream,
            has_begun: false,
        }
    }

    /// The body, for another connection.
    pub fn into_inner(mut self) -> Outgoing {
        self.inner.take().unwrap_or_else(Outgoing::empty)
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    /// The error names the code of the reset that the upstream gets: a client that breaks its upload is no error of ours.
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        if !this.has_begun {
            this.has_begun = true;
            this.stream.begins_body();
        }
        if this.stream.is_cut() {
            return Poll::Ready(Some(Err(h2::Reason::CANCEL.into())));
        }
        match &mut this.inner {
            None => Poll::Ready(None),
            Some(Body::Fixed(bytes)) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            // Not as the body of any other message, whose trailers are marked for HTTP/1.
            Some(Body::Streamed(body)) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|_: BodyError| h2::Reason::CANCEL.into()),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
