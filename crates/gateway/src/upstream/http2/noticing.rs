//! The byte stream below an HTTP/2 connection: notes what h2 does not pass on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Streams;
use super::state::{ConnectionState, CountingStream};

/// A byte stream that counts, notes a TLS error, and reports reads until the upstream has sent its settings.
pub struct NoticingStream<S> {
    stream: CountingStream<S>,
    state: Arc<ConnectionState>,
    streams: Arc<Streams>,
}

impl<S> NoticingStream<S> {
    /// Wraps a byte stream.
    pub fn new(stream: S, state: Arc<ConnectionState>, streams: Arc<Streams>) -> NoticingStream<S> {
        NoticingStream {
            stream: CountingStream::new(stream, state.clone()),
            state,
            streams,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NoticingStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        match &result {
            Poll::Ready(Ok(())) => this.streams.read(),
            Poll::Ready(Err(error)) => this.state.end_reading(error),
            Poll::Pending => {}
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for NoticingStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
