//! The body of an answer to a client: fixed bytes of our own, or an upstream's, streamed.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::message::marks;

/// The most bytes of a body in memory, on each side of the gateway for each request.
pub const BUFFER: usize = 128 * 1024;

/// The reason why a body ended early. The text never reaches a client, since its connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The upstream's body was cut or was not what its framing said.
    #[error("the upstream's body was cut short")]
    Upstream,
    /// The upstream's body stopped flowing.
    #[error("the upstream's body stopped flowing")]
    Idle,
    /// The client's body was at fault; the request's [`crate::message::request_body::Intake`] has the details.
    #[error("the client's body was at fault")]
    Client,
}

/// The body of a message: of an answer, or by another `S` of a request to an upstream.
#[derive(Debug)]
pub enum Body<S = Box<dyn Streaming>> {
    /// Bytes of our own; taken when they are sent.
    Fixed(Option<Bytes>),
    /// The other side's body on its way through.
    Streamed(S),
}

/// A body that is produced while it is sent.
pub trait Streaming:
    http_body::Body<Data = Bytes, Error = BodyError> + Send + Unpin + fmt::Debug
{
}

impl<S> Body<S> {
    /// A body without bytes.
    pub fn empty() -> Self {
        Body::Fixed(None)
    }

    /// The number of its bytes if they are fixed, else 0.
    pub fn size_fixed(&self) -> u64 {
        match self {
            Body::Fixed(Some(bytes)) => bytes.len() as u64,
            Body::Fixed(None) | Body::Streamed(_) => 0,
        }
    }

    /// A body of fixed bytes.
    pub fn fixed(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Body::Fixed((!bytes.is_empty()).then_some(bytes))
    }
}

impl<S> Body<S>
where
    S: http_body::Body<Data = Bytes, Error = BodyError> + Unpin,
{
    /// The next frame as it is, for a body around this one, which marks its trailers itself.
    pub fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Body::Fixed(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }
}

impl<S> http_body::Body for Body<S>
where
    S: http_body::Body<Data = Bytes, Error = BodyError> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut().poll_inner(cx).map_ok(marks::carried)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Fixed(bytes) => bytes.is_none(),
            Body::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Fixed(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Body::Streamed(body) => body.size_hint(),
        }
    }
}
