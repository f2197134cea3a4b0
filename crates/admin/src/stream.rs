//! A client's socket, and the bodies on it: they record on its slot what the connection waits for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::reserve::Reserve;
use crate::slots::Activity;
use crate::socket::Connection;

/// A client's socket. On drop its descriptor goes to the reserve, if one is missing there.
#[derive(Debug)]
pub struct Stream {
    /// The socket; `None` only during the drop.
    socket: Option<Connection>,
    activity: Arc<Activity>,
    reserve: Reserve,
}

impl Stream {
    /// A socket whose waits are recorded in `activity`.
    pub fn new(socket: Connection, activity: Arc<Activity>, reserve: Reserve) -> Stream {
        Stream {
            socket: Some(socket),
            activity,
            reserve,
        }
    }

    fn socket(&mut self) -> Pin<&mut Connection> {
        Pin::new(
            self.socket
                .as_mut()
                .expect("the socket is present until the drop"),
        )
    }

    fn note_written<T>(&self, written: Poll<T>) -> Poll<T> {
        match written {
            Poll::Ready(_) => self.activity.output_taken(),
            Poll::Pending => self.activity.output_awaited(),
        }
        written
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        self.reserve.keep(|| socket.end());
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.socket().poll_read(context, buffer);
        if read.is_pending() {
            self.activity.input_awaited();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.socket().poll_write_vectored(context, slices);
        self.note_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(context)
    }
}

/// A request's body. While it is incomplete, the connection waits for its client.
#[derive(Debug)]
pub struct Incoming {
    body: hyper::body::Incoming,
    activity: Arc<Activity>,
}

impl Incoming {
    /// A body whose waits are recorded in `activity`.
    pub fn new(body: hyper::body::Incoming, activity: Arc<Activity>) -> Incoming {
        Incoming { body, activity }
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_pending() {
            self.activity.body_awaited();
        } else {
            self.activity.body_came();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that is being answered; dropped when the answer is complete, or its client is gone.
#[derive(Debug)]
pub struct Answering(Arc<Activity>);

impl Answering {
    /// A request whose head has arrived.
    pub fn begin(activity: &Arc<Activity>) -> Answering {
        activity.request_begun();
        Answering(activity.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answered();
    }
}
