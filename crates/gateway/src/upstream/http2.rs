//! HTTP/2 connections to upstreams: one connection carries many requests, each on a stream of its own.
//!
//! hyper drives a connection in tasks of its own. What it does not tell is added here: how many streams the upstream
//! allows, how many are open, and the error of the socket beneath, which h2 keeps as a text alone.

mod head;
mod noticing;
mod state;
mod stream_body;
mod streams;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Response;
use http::uri::{Authority, Scheme};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::ground::transport::ByteStream;
use crate::message::body::BUFFER;
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

pub use head::{translated, untranslated};
pub use state::ConnectionState;
pub use stream_body::StreamBody;
pub use streams::{StreamUse, Streams};

/// The most streams of one connection at a time, however many the upstream allows.
pub const STREAMS_MAX: usize = 256;

/// The most bytes of an answer that wait for a client which does not read.
const STREAM_WINDOW: usize = 2 * BUFFER;

/// The most bytes that wait on all streams: as many as they may hold together, so that no client that does not read
/// stalls the answers to others.
const CONNECTION_WINDOW: usize = STREAMS_MAX * STREAM_WINDOW;

/// The size of a head, in heads as large as ours may be, up to which it is received and called too large; h2 does not tell
/// a larger one from a broken one.
const HEADS_RECEIVED: usize = 8;

/// The bytes that a field adds to the size of a head beyond its name and value (RFC 9113, section 6.5.2).
const FIELD_BYTES: usize = 32;

/// The time without a frame after which the upstream is asked for a sign of life, and the time that it has for it.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// The time after its last use in which a connection is closed in an orderly way.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);

/// The number of streams that we have reset of late, whose frames may still be on their way.
const RESETS_REMEMBERED: usize = 4 * STREAMS_MAX;

/// The parts of an upstream's URL that each request on a connection names, and our limits on its answers.
#[derive(Debug)]
pub struct Target {
    /// The scheme of its URL.
    pub scheme: Scheme,
    /// The authority of a request without a `Host`.
    pub authority: Authority,
    /// The most bytes of an answer's head.
    pub head_bytes_max: usize,
    /// The most fields of an answer's head.
    pub head_fields_max: usize,
}

/// The upper end of an open connection, which closes with its last stream once all clones of this are gone.
#[derive(Debug, Clone)]
pub struct Http2 {
    /// The sender of requests, one stream for each.
    pub sender: http2::SendRequest<StreamBody>,
    /// The state that its streams do not see.
    pub state: Arc<ConnectionState>,
    /// The count of its streams.
    pub streams: Arc<Streams>,
    /// Closes it after the last use.
    pub closer: Arc<Closer>,
    /// The target of its requests.
    pub target: Arc<Target>,
}

/// Spawns the tasks of a connection, and gives those that send bodies to their streams.
///
/// hyper has no means to end such a task, and it may wait for a window that the upstream never opens, long after the
/// answer and the client have gone. It polls a body once before it spawns the task that sends the rest.
#[derive(Debug, Clone)]
struct Spawner {
    streams: Arc<Streams>,
    /// The first task, which has the socket.
    socket: Arc<OnceLock<AbortHandle>>,
}

impl<F> Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let task = tokio::spawn(task).abort_handle();
        match self.socket.get() {
            Some(_) => self.streams.spawned(&task),
            None => drop(self.socket.set(task)),
        }
    }
}

/// Closes a connection some time after its last use, whatever is left to be written: the rest of a body that h2 has taken
/// may wait for a window that is never opened.
#[derive(Debug)]
pub struct Closer(AbortHandle);

impl Drop for Closer {
    fn drop(&mut self) {
        // Without a runtime the connection has ended with it.
        if let Ok(runtime) = Handle::try_current() {
            let socket = self.0.clone();
            runtime.spawn(async move {
                tokio::time::sleep(CLOSES_WITHIN).await;
                socket.abort();
            });
        }
    }
}

impl Http2 {
    /// Speaks HTTP/2 over a byte stream, and waits until the upstream has said how many streams it allows: an upstream
    /// that does not speak it fails here, before a request is sent.
    ///
    /// # Errors
    /// The reason why the connection ended.
    pub async fn over<S: ByteStream + 'static>(
        stream: S,
        state: Arc<ConnectionState>,
        target: Arc<Target>,
    ) -> Result<Http2, UpstreamError> {
        let streams = Streams::new();
        let socket = Arc::<OnceLock<AbortHandle>>::default();
        let spawner = Spawner {
            streams: streams.clone(),
            socket: socket.clone(),
        };
        let stream = noticing::NoticingStream::new(stream, state.clone(), streams.clone());
        let window = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX >> 1);
        let (sender, mut connection) = http2::Builder::new(spawner)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(window(STREAM_WINDOW))
            .initial_connection_window_size(window(CONNECTION_WINDOW))
            // None, so that the first number above it is the upstream's own.
            .initial_max_send_streams(0)
            .max_header_list_size(window(target.head_bytes_max * HEADS_RECEIVED))
            .max_send_buf_size(BUFFER)
            .max_concurrent_reset_streams(RESETS_REMEMBERED)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| UpstreamError::http2_head(&error, false, false))?;
        let (told, seen) = (state.clone(), streams.clone());
        tokio::spawn(async move {
            let driven = poll_fn(|cx| {
                seen.watch(cx);
                let driven = Pin::new(&mut connection).poll(cx);
                seen.allow(connection.current_max_send_streams());
                driven
            });
            if let Err(error) = driven.await {
                told.end(&error);
            }
            seen.end();
        });
        let closer = socket.get().cloned().map(Closer);
        if let (true, Some(closer)) = (streams.settled().await, closer) {
            return Ok(Http2 {
                closer: Arc::new(closer),
                sender,
                state,
                streams,
                target,
            });
        }
        Err(match state.ended() {
            Some(why) if why.kind == ErrorKind::Protocol => {
                UpstreamError::new(why.kind, "no HTTP/2 spoken").with(why)
            }
            Some(why) if why.kind == ErrorKind::Tls => why.clone(),
            _ => UpstreamError::new(ErrorKind::Reset, "closed before its settings"),
        })
    }

    /// True if no request can be sent any more: it has ended, or the upstream takes no new streams.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.streams.has_ended()
    }

    /// True if an answer's head is larger, or has more fields, than ours may have.
    pub fn is_over_limit<B>(&self, answer: &Response<B>) -> bool {
        let fields = answer.headers().iter();
        let sizes = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
        answer.headers().len() > self.target.head_fields_max
            || sizes.sum::<usize>() > self.target.head_bytes_max
    }
}

#[cfg(test)]
mod tests;

/// True if a body has ended without its end: the upstream reset the stream with `NO_ERROR`, which hyper takes for the end
/// of any body (RFC 9113, section 8.1, allows it after a complete answer alone).
pub fn is_cut_short(rest: &Incoming) -> bool {
    !rest.is_end_stream()
}
