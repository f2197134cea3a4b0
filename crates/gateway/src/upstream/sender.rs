//! The upper end of a connection to an upstream: sends requests, and explains their failures.
//!
//! hyper gives a request's own error to the request, and a connection's to the connection's task. With TLS 1.3 the
//! reason for both may come while no request waits: so the task leaves it here.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;

use crate::message::kept_body::Outgoing;
use crate::upstream::http2::{Http2, StreamBody, StreamUse, translated, untranslated};
use crate::upstream::parting::Parting;
use crate::upstream::upstream_errors::{CertificateWish, ErrorKind, UpstreamError, is_unprocessed};

/// A connection's upper end: sends one request at a time, and explains its failure.
#[derive(Debug)]
pub struct Sender {
    way: Way,
    state: Arc<ConnectionState>,
    /// The number of reads when the last request was sent.
    reads_before: u64,
    /// The number of bytes written before the last request.
    written_before: u64,
}

/// The way that a request takes: a connection of its own for the time, or a stream of a shared one.
#[derive(Debug)]
enum Way {
    Http1(http1::SendRequest<Outgoing>, AbortHandle),
    Http2(Http2, Arc<StreamUse>),
}

/// A request that got no response's head.
#[derive(Debug)]
pub struct SendError {
    /// The error as hyper returned it.
    pub error: hyper::Error,
    /// The request, if nothing of it was sent.
    pub unsent: Option<Request<Outgoing>>,
}

/// Ends a connection that was not used to its end, whatever its task waits for: an upstream that does not read would
/// hold it for as long as it likes. Of a shared connection only the stream ends.
#[derive(Debug)]
pub struct CutOnDrop(Option<Cut>);

/// The part that is ended.
#[derive(Debug)]
enum Cut {
    Connection(AbortHandle),
    Stream(Arc<StreamUse>),
}

impl CutOnDrop {
    /// Lets the connection end by itself, or as a tunnel.
    pub fn spare(&mut self) {
        self.0 = None;
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Cut::Connection(task)) => task.abort(),
            Some(Cut::Stream(stream)) => stream.cut(),
            None => {}
        }
    }
}

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
    parting: Arc<Parting>,
}

impl ConnectionState {
    /// The state of a new connection; `wish`: over TLS, the upstream's request for a certificate.
    pub fn new(wish: Option<Arc<CertificateWish>>) -> Arc<ConnectionState> {
        Arc::new(ConnectionState {
            reads: AtomicU64::new(0),
            written: AtomicU64::new(0),
            ended: OnceLock::new(),
            wish,
            parting: Arc::default(),
        })
    }

    /// The part that the place of a call on the connection is tied to.
    pub fn parting(&self) -> &Arc<Parting> {
        &self.parting
    }

    /// Notes an error that no request received.
    pub fn end(&self, error: &hyper::Error) {
        let why = UpstreamError::head(error, self.wanted(), false);
        self.ended.get_or_init(|| why);
    }

    /// Notes the error with which reading ended, if it is one of TLS: h2 keeps its text alone.
    pub fn end_reading(&self, error: &io::Error) {
        if let Some(why) = UpstreamError::session(error, self.wanted()) {
            self.ended.get_or_init(|| why);
        }
    }

    /// The error with which the connection ended.
    pub fn ended(&self) -> Option<&UpstreamError> {
        self.ended.get()
    }

    fn wanted(&self) -> bool {
        self.wish.as_ref().is_some_and(|wish| wish.is_open())
    }
}

impl Sender {
    /// A sender over an HTTP/1 connection with that state, which `task` drives.
    pub fn new(
        inner: http1::SendRequest<Outgoing>,
        state: Arc<ConnectionState>,
        task: AbortHandle,
    ) -> Sender {
        Sender {
            way: Way::Http1(inner, task),
            state,
            reads_before: 0,
            written_before: 0,
        }
    }

    /// A sender over a new stream of an HTTP/2 connection.
    pub fn on_stream(connection: Http2) -> Sender {
        let stream = connection.streams.begin(Some(&connection.closer));
        let state = connection.state.clone();
        Sender {
            way: Way::Http2(connection, stream),
            state,
            reads_before: 0,
            written_before: 0,
        }
    }

    /// The shared connection that the stream belongs to; `None`: the connection is HTTP/1.
    pub fn http2(&self) -> Option<&Http2> {
        match &self.way {
            Way::Http1(..) => None,
            Way::Http2(connection, _) => Some(connection),
        }
    }

    /// The stream that it sends on; `None`: the connection is HTTP/1.
    pub fn stream(&self) -> Option<&Arc<StreamUse>> {
        match &self.way {
            Way::Http1(..) => None,
            Way::Http2(_, stream) => Some(stream),
        }
    }

    /// Cuts the upload on a stream if it has not ended after that time; other requests use the connection meanwhile.
    pub fn ends_upload_within(&self, rest: Duration) {
        let Some(stream) = self.stream().filter(|stream| stream.is_sending()) else {
            return;
        };
        let stream = Arc::downgrade(stream);
        tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            if let Some(stream) = stream.upgrade() {
                stream.cut();
            }
        });
    }

    /// A guard that ends the connection, or the stream, when it is dropped.
    pub fn cut_on_drop(&self) -> CutOnDrop {
        CutOnDrop(Some(match &self.way {
            Way::Http1(_, task) => Cut::Connection(task.clone()),
            Way::Http2(_, stream) => Cut::Stream(stream.clone()),
        }))
    }

    /// The part that the place of a call on the connection is tied to.
    pub fn parting(&self) -> &Arc<Parting> {
        match &self.way {
            Way::Http1(..) => self.state.parting(),
            Way::Http2(_, stream) => stream.parting(),
        }
    }

    /// True if the connection takes a request at once.
    pub fn is_ready(&self) -> bool {
        match &self.way {
            Way::Http1(inner, _) => inner.is_ready(),
            Way::Http2(connection, _) => !connection.is_closed(),
        }
    }

    /// True if the connection takes no request any more.
    pub fn is_closed(&self) -> bool {
        match &self.way {
            Way::Http1(inner, _) => inner.is_closed(),
            Way::Http2(connection, _) => connection.is_closed(),
        }
    }

    /// Waits until the connection takes a request.
    ///
    /// # Errors
    /// The error with which the connection ended.
    pub async fn ready(&mut self) -> Result<(), hyper::Error> {
        match &mut self.way {
            Way::Http1(inner, _) => inner.ready().await,
            Way::Http2(connection, _) => connection.sender.ready().await,
        }
    }

    /// The reason why a request got no response's head. With TLS 1.3 an upstream's refusal of the handshake comes as
    /// such an error (RFC 8446, section 4.4.2.4).
    pub fn why(&self, error: &hyper::Error) -> UpstreamError {
        let why = UpstreamError::head(error, self.state.wanted(), self.has_read());
        match self.state.ended.get() {
            Some(ended) if why.kind == ErrorKind::Reset => ended.clone(),
            _ => why,
        }
    }

    /// True if anything has come since the last request was handed over, for whatever request.
    pub fn has_read(&self) -> bool {
        self.state.reads.load(Ordering::Relaxed) != self.reads_before
    }

    /// True if the upstream says by its end of the stream that it has not processed the request, or if the connection
    /// ended before the stream was opened.
    pub fn is_unprocessed(&self, error: &hyper::Error) -> bool {
        self.http2().is_some() && (is_unprocessed(error) || error.is_user())
    }

    /// Sends a request, as [`http1::SendRequest::try_send_request`] does.
    pub fn try_send_request(
        &mut self,
        request: Request<Outgoing>,
    ) -> impl Future<Output = Result<Response<Incoming>, Box<SendError>>> + use<> {
        self.reads_before = self.state.reads.load(Ordering::Relaxed);
        self.written_before = self.state.written.load(Ordering::Relaxed);
        match &mut self.way {
            Way::Http1(inner, _) => {
                let sent = inner.try_send_request(request);
                Either::Left(async move {
                    sent.await.map_err(|mut failure| {
                        let unsent = failure.take_message();
                        let error = failure.into_error();
                        Box::new(SendError { error, unsent })
                    })
                })
            }
            Way::Http2(connection, stream) => {
                let request = translated(request, &connection.target);
                let stream = stream.clone();
                let request = request.map(|body| StreamBody::new(body, stream));
                let sent = connection.sender.try_send_request(request);
                Either::Right(async move {
                    sent.await.map_err(|mut failure| {
                        let unsent = failure.take_message();
                        let unsent = unsent.map(|it| untranslated(it.map(StreamBody::into_inner)));
                        let error = failure.into_error();
                        Box::new(SendError { error, unsent })
                    })
                })
            }
        }
    }

    /// True if that number of bytes has been written since the last request was handed over.
    pub fn has_written(&self, bytes: u64) -> bool {
        self.state.written.load(Ordering::Relaxed) - self.written_before >= bytes
    }

    /// Notes that the upstream has answered on the connection.
    pub fn answered(&self) {
        if let Some(wish) = &self.state.wish {
            wish.answered();
        }
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
