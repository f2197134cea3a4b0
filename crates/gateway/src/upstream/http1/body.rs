//! An answer's body, which holds its connection until it has ended.
//!
//! Its reader reads the socket itself. Only where the answer has come before the request was complete does a task drive both:
//! the upload continues at its own pace, whether the answer is read or not.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Http1;
use super::driver::Driven;
use super::fault::Fault;
use crate::ground::transport::ByteStream;
use crate::upstream::parting::Parting;

/// The body of an answer, and its connection.
#[derive(Debug)]
pub enum HoldingBody {
    /// A body that is read from the connection.
    Direct(Box<Http1>),
    /// A body that a task reads, which sends the rest of the request.
    Driven(Box<Driven>),
    /// A body whose connection was given back: it has ended.
    Gone,
}

/// A connection that an answer's body has left.
#[derive(Debug)]
pub enum Left {
    /// A connection that may carry another request.
    Ready(Box<Http1>),
    /// A connection that still carries the rest of the request.
    Uploading(Box<Driven>),
    /// A connection that carries no other request.
    Over(Option<Box<Http1>>),
}

impl HoldingBody {
    /// The body of an answer whose head has come over the connection.
    pub fn over(connection: Box<Http1>) -> HoldingBody {
        match connection.is_uploading() {
            false => HoldingBody::Direct(connection),
            true => HoldingBody::Driven(Box::new(Driven::begin(connection))),
        }
    }

    /// Takes the connection from a body that has ended.
    pub fn leave(&mut self) -> Left {
        match std::mem::replace(self, HoldingBody::Gone) {
            HoldingBody::Direct(mut connection) => match connection.rest() {
                true => Left::Ready(connection),
                false => Left::Over(Some(connection)),
            },
            HoldingBody::Driven(driven) => Left::Uploading(driven),
            HoldingBody::Gone => Left::Over(None),
        }
    }

    /// The part that the place of a call on the connection is tied to; `None`: the connection is gone.
    pub fn parting(&self) -> Option<&Arc<Parting>> {
        match self {
            HoldingBody::Direct(connection) => Some(connection.parting()),
            HoldingBody::Driven(driven) => Some(driven.parting()),
            HoldingBody::Gone => None,
        }
    }

    /// The stream behind an answer that switched protocols; `None`: it did not.
    pub fn into_stream(self) -> Option<Box<dyn ByteStream>> {
        let HoldingBody::Direct(connection) = self else {
            return None;
        };
        let (stream, ahead) = connection.into_switched()?;
        Some(match ahead.is_empty() {
            true => stream,
            false => Box::new(Rewound { ahead, stream }),
        })
    }

    /// The next frame; `None`: the body has ended.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self {
            HoldingBody::Direct(connection) => connection.poll_frame(cx),
            HoldingBody::Driven(driven) => driven.poll_frame(cx),
            HoldingBody::Gone => Poll::Ready(None),
        }
    }

    /// True if no frame is to come.
    pub fn is_end_stream(&self) -> bool {
        match self {
            HoldingBody::Direct(connection) => connection.has_ended(),
            HoldingBody::Driven(driven) => driven.has_ended(),
            HoldingBody::Gone => true,
        }
    }

    /// The number of bytes still to come, where it is known.
    pub fn size_hint(&self) -> SizeHint {
        let left = match self {
            HoldingBody::Direct(connection) => connection.left(),
            HoldingBody::Driven(driven) => driven.left(),
            HoldingBody::Gone => Some(0),
        };
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A byte stream of which some bytes were read already.
struct Rewound {
    ahead: Bytes,
    stream: Box<dyn ByteStream>,
}

impl fmt::Debug for Rewound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewound").finish_non_exhaustive()
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let here = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead.split_to(here));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
