//! The body of a request to an upstream: none, bytes of our own, or the client's, kept or not.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::message::body::BodyError;
use crate::message::kept_body::KeptReader;
use crate::message::marks;
use crate::message::request_body::RequestBody;

/// The body behind a request's head.
#[derive(Debug)]
pub enum Outgoing {
    /// No body at all.
    Empty,
    /// Bytes of our own; taken when they are sent.
    Fixed(Option<Bytes>),
    /// The client's body, as it comes.
    Client(RequestBody),
    /// The client's body, kept while it is sent.
    Kept(KeptReader),
}

impl Outgoing {
    /// True if the body can be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        match self {
            Outgoing::Kept(reader) => reader.kept().is_whole(),
            Outgoing::Empty | Outgoing::Fixed(_) | Outgoing::Client(_) => true,
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Outgoing::Empty => Poll::Ready(None),
            Outgoing::Fixed(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Outgoing::Client(body) => Pin::new(body).poll_frame(cx).map_ok(marks::carried),
            Outgoing::Kept(body) => Pin::new(body).poll_frame(cx).map_ok(marks::carried),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::Empty => true,
            Outgoing::Fixed(bytes) => bytes.is_none(),
            Outgoing::Client(body) => body.is_end_stream(),
            Outgoing::Kept(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Empty => SizeHint::with_exact(0),
            Outgoing::Fixed(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Outgoing::Client(body) => body.size_hint(),
            Outgoing::Kept(body) => body.size_hint(),
        }
    }
}
