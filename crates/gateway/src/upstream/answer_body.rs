//! The body of an upstream's answer, over either version of HTTP, and the errors of both.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use crate::ground::transport::ByteStream;
use crate::upstream::http1::{self, HoldingBody};
use crate::upstream::http2;

/// An answer's body as it comes.
#[derive(Debug)]
pub enum AnswerBody {
    /// A body over HTTP/1, which has its connection until that is given back.
    Http1(HoldingBody),
    /// A body over HTTP/2.
    Http2(Incoming),
}

/// The end of a connection, or of a stream, in the midst of an exchange.
#[derive(Debug)]
pub enum WireError {
    /// The fault over HTTP/1.
    Http1(http1::Fault),
    /// The error over HTTP/2.
    Http2(hyper::Error),
}

impl WireError {
    /// True if what came could not be read, as opposed to a connection that ended.
    pub fn is_malformed(&self) -> bool {
        match self {
            WireError::Http1(fault) => {
                matches!(fault, http1::Fault::Head(_) | http1::Fault::Chunk(_))
            }
            WireError::Http2(error) => error.is_parse(),
        }
    }

    /// True if the other side reset the connection.
    pub fn is_reset(&self) -> bool {
        let io = self.source().and_then(|it| it.downcast_ref::<io::Error>());
        io.is_some_and(|it| it.kind() == io::ErrorKind::ConnectionReset)
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Http1(fault) => fault.fmt(f),
            WireError::Http2(error) => error.fmt(f),
        }
    }
}

impl Error for WireError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            WireError::Http1(fault) => fault.source(),
            WireError::Http2(error) => error.source(),
        }
    }
}

impl AnswerBody {
    /// True if a body whose frames have ended was cut before its end.
    pub fn is_cut_short(&self) -> bool {
        match self {
            // Such an end is an error there.
            AnswerBody::Http1(_) => false,
            AnswerBody::Http2(body) => http2::is_cut_short(body),
        }
    }

    /// Ends the connection of a body that is not read to its end; a stream ends with its place in the pool.
    pub fn abandon(&mut self) {
        if let AnswerBody::Http1(body) = self {
            *body = HoldingBody::Gone;
        }
    }

    /// The stream behind an answer that switched protocols, which only HTTP/1 does.
    pub fn into_stream(self) -> Option<Box<dyn ByteStream>> {
        match self {
            AnswerBody::Http1(body) => body.into_stream(),
            AnswerBody::Http2(_) => None,
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        match self.get_mut() {
            AnswerBody::Http1(body) => body.poll_frame(cx).map_err(WireError::Http1),
            AnswerBody::Http2(body) => Pin::new(body).poll_frame(cx).map_err(WireError::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Http1(body) => body.is_end_stream(),
            AnswerBody::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Http1(body) => body.size_hint(),
            AnswerBody::Http2(body) => body.size_hint(),
        }
    }
}
