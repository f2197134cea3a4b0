//! The state of an HTTP/2 connection that its streams do not see: the bytes both ways, and the error that ended it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::upstream_errors::{CertificateWish, UpstreamError};

/// The state of a connection that its requests do not see.
#[derive(Debug)]
pub struct ConnectionState {
    /// Number of reads with bytes. Written by the connection's task alone.
    reads: AtomicU64,
    /// Number of bytes written. Written by the connection's task alone.
    written: AtomicU64,
    /// The error with which the connection ended while no request waited for it.
    ended: OnceLock<UpstreamError>,
    /// Over TLS, the upstream's request for a client certificate that we do not have.
    wish: Option<Arc<CertificateWish>>,
}

impl ConnectionState {
    /// The state of a new connection; `wish`: over TLS, the upstream's request for a certificate.
    pub fn new(wish: Option<Arc<CertificateWish>>) -> Arc<ConnectionState> {
        Arc::new(ConnectionState {
            reads: AtomicU64::new(0),
            written: AtomicU64::new(0),
            ended: OnceLock::new(),
            wish,
        })
    }

    /// Notes an error that no request received.
    pub fn end(&self, error: &hyper::Error) {
        let why = UpstreamError::http2_head(error, self.is_wish_open(), false);
        self.ended.get_or_init(|| why);
    }

    /// Notes the error with which reading ended, if it is one of TLS: h2 keeps its text alone.
    pub fn end_reading(&self, error: &io::Error) {
        if let Some(why) = UpstreamError::session(error, self.is_wish_open()) {
            self.ended.get_or_init(|| why);
        }
    }

    /// The error with which the connection ended.
    pub fn ended(&self) -> Option<&UpstreamError> {
        self.ended.get()
    }

    /// Number of reads with bytes.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Number of bytes written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Notes that the upstream has answered on the connection.
    pub fn answered(&self) {
        if let Some(wish) = &self.wish {
            wish.answered();
        }
    }

    /// True if the upstream's request for a client certificate is still open.
    pub fn is_wish_open(&self) -> bool {
        self.wish.as_ref().is_some_and(|wish| wish.is_open())
    }
}

/// A connection that counts reads, so that an end before a response's head differs from one within it, and bytes
/// written, so that an end within a request differs from one behind it.
pub struct CountingStream<S> {
    stream: S,
    state: Arc<ConnectionState>,
}

impl<S> CountingStream<S> {
    pub fn new(stream: S, state: Arc<ConnectionState>) -> CountingStream<S> {
        CountingStream { stream, state }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountingStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            // One task writes, so a plain store suffices; an atomic addition would cost more.
            let reads = this.state.reads.load(Ordering::Relaxed);
            this.state.reads.store(reads + 1, Ordering::Relaxed);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountingStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(bytes)) = result {
            let written = this.state.written.load(Ordering::Relaxed);
            let written = written.wrapping_add(bytes as u64);
            this.state.written.store(written, Ordering::Relaxed);
        }
        result
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
