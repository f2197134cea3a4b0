//! One client's connection: its time limits, and the loop that serves its requests.
//!
//! hyper reads and writes; how long a client may take, it cannot tell apart well enough. So the
//! socket notes what it waits for (a first byte, the rest of a head, nothing, the client to read),
//! and one timer per connection looks at that note only when it might matter: serving a request
//! arms no timer.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Limits;
use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use crate::answer;
use crate::clock::Clock;
use crate::exchange;
use crate::worker::Worker;

/// How long and how much of an unwanted body is read after the last answer, so that the client
/// gets to read that answer instead of a reset (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// A client's connection, as its requests see it.
#[derive(Debug)]
pub struct Client {
    /// The worker that serves it.
    pub worker: Arc<Worker>,
    /// The listener that it came through.
    pub listener: Arc<str>,
    /// Who it is.
    pub peer: SocketAddr,
    /// The peer's IP address as text.
    pub peer_text: HeaderValue,
    /// What the connection waits for.
    pub phase: Arc<Phase>,
}

/// What a connection waits for, and since when: one word, written by its own task.
#[derive(Debug)]
pub struct Phase(AtomicU64);

const KIND_BITS: u32 = 2;
const FRESH: u64 = 0;
const IDLE: u64 = 1;
const HEAD: u64 = 2;
const BUSY: u64 = 3;

impl Phase {
    fn new(now: Timestamp) -> Phase {
        Phase(AtomicU64::new(word(FRESH, now)))
    }

    /// A request is being served: the connection has no time limit of its own.
    pub fn busy(&self) {
        self.0.store(BUSY, Ordering::Relaxed);
    }

    /// The request has been served.
    pub fn idle(&self, now: Timestamp) {
        self.0.store(word(IDLE, now), Ordering::Relaxed);
    }

    /// Bytes came; where none were expected a head begins.
    fn bytes(&self, now: Timestamp) {
        if matches!(
            self.0.load(Ordering::Relaxed) % (1 << KIND_BITS),
            FRESH | IDLE
        ) {
            self.0.store(word(HEAD, now), Ordering::Relaxed);
        }
    }

    /// When the connection has waited too long, and whether the client deserves to hear why.
    fn deadline(&self, limits: &Limits) -> Option<(Timestamp, bool)> {
        let word = self.0.load(Ordering::Relaxed);
        let since = Timestamp::from_millis(word >> KIND_BITS);
        match word % (1 << KIND_BITS) {
            FRESH => Some((since + limits.first_byte_timeout, false)),
            IDLE => Some((since + limits.keep_alive_timeout, false)),
            HEAD => Some((since + limits.head_timeout, true)),
            _ => None,
        }
    }
}

fn word(kind: u64, since: Timestamp) -> u64 {
    ((since.as_nanos() / 1_000_000) << KIND_BITS) | kind
}

/// A socket that notes what is waited for.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    phase: Arc<Phase>,
    clock: Arc<Clock>,
    /// Since when the client has not read what we write; 0: it does.
    stalled: Arc<AtomicU64>,
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        if result.is_ready() {
            this.phase.bytes(this.clock.tick());
        }
        result
    }
}

impl Socket {
    fn note<T>(&self, result: Poll<T>) -> Poll<T> {
        let since = self.stalled.load(Ordering::Relaxed);
        match (&result, since) {
            (Poll::Pending, 0) => {
                self.stalled
                    .store(self.clock.tick().as_nanos().max(1), Ordering::Relaxed);
            }
            (Poll::Ready(_), 1..) => self.stalled.store(0, Ordering::Relaxed),
            _ => {}
        }
        result
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// How a connection's serving ended.
enum End {
    /// hyper is done with it, or has passed it on to a tunnel.
    Served,
    /// It waited too long; `true`: for the rest of a head.
    TimedOut(bool),
}

/// Serves a client until it leaves, errs, idles too long or the worker drains.
pub async fn serve(worker: Arc<Worker>, listener: Arc<str>, stream: TcpStream, peer: SocketAddr) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let clock = worker.shared.clock.clone();
    let phase = Arc::new(Phase::new(clock.tick()));
    let stalled = Arc::new(AtomicU64::new(0));
    let limits = worker.shared.live.load().plan.limits.clone();
    let peer_text = HeaderValue::try_from(peer.ip().to_canonical().to_string());
    let peer_text = peer_text.expect("an IP address is a field value");
    let client = Arc::new(Client {
        worker: worker.clone(),
        listener,
        peer,
        peer_text,
        phase: phase.clone(),
    });
    let socket = Socket {
        stream,
        phase: phase.clone(),
        clock: clock.clone(),
        stalled: stalled.clone(),
    };
    let service = service_fn(move |request| {
        let answer = exchange::serve(client.clone(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = http1::Builder::new()
        .max_header_size(limits.head_bytes_max)
        .max_headers(limits.head_fields_max)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let end = {
        let watch = Watch {
            limits: &limits,
            clock: &clock,
            phase: &phase,
            stalled: &stalled,
        };
        watch.drive(&worker, &mut connection).await
    };
    // An upgraded connection has no parts left: the tunnel has its socket.
    let Some(parts) = connection.into_parts() else {
        return;
    };
    let mut stream = parts.io.into_inner().stream;
    match end {
        End::TimedOut(true) => {
            stream.write_all(&answer::head_timeout()).await.ok();
            linger(stream).await;
        }
        End::TimedOut(false) => {}
        End::Served => linger(stream).await,
    }
}

/// Closes our side and reads on for a moment, so that the last answer is not lost to a reset.
pub async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut scrap = vec![0; 16 * 1024];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut scrap).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    // Out of time or of bytes: the client has had its chance.
    tokio::time::timeout(LINGER, drain).await.ok();
}

/// What a connection is watched by.
struct Watch<'a> {
    limits: &'a Limits,
    clock: &'a Clock,
    phase: &'a Phase,
    stalled: &'a AtomicU64,
}

impl Watch<'_> {
    async fn drive<S>(
        &self,
        worker: &Worker,
        connection: &mut http1::UpgradeableConnection<TokioIo<Socket>, S>,
    ) -> End
    where
        S: hyper::service::HttpService<hyper::body::Incoming, ResBody = crate::body::Body>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let mut drain = pin!(worker.drain.notified());
        // Registered before the flag is read: a drain that begins in between is not missed.
        drain.as_mut().enable();
        let mut draining = false;
        let mut alarm = pin!(tokio::time::sleep(self.first_wait()));
        let mut armed = self.clock.tick() + self.first_wait();
        std::future::poll_fn(|cx| {
            if !draining && (worker.is_draining() || drain.as_mut().poll(cx).is_ready()) {
                draining = true;
                Pin::new(&mut *connection).graceful_shutdown();
            }
            // What went wrong on a client's connection is the client's to know.
            if Pin::new(&mut *connection).poll(cx).is_ready() {
                return Poll::Ready(End::Served);
            }
            loop {
                let Some((deadline, explain)) = self.deadline() else {
                    return Poll::Pending;
                };
                let now = self.clock.tick();
                if deadline <= now {
                    return Poll::Ready(End::TimedOut(explain));
                }
                if deadline < armed {
                    armed = deadline;
                    alarm.set(tokio::time::sleep(deadline.saturating_since(now)));
                }
                if alarm.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // It fired for a wait that is over; the next one is the present wait's.
                let wait = deadline.saturating_since(now).max(Duration::from_millis(1));
                armed = now + wait;
                alarm.set(tokio::time::sleep(wait));
            }
        })
        .await
    }

    fn first_wait(&self) -> Duration {
        self.limits.first_byte_timeout
    }

    /// The nearest end of the connection's patience.
    fn deadline(&self) -> Option<(Timestamp, bool)> {
        let stalled = match self.stalled.load(Ordering::Relaxed) {
            0 => None,
            since => Some((
                Timestamp::from_nanos(since) + self.limits.keep_alive_timeout,
                false,
            )),
        };
        match (self.phase.deadline(self.limits), stalled) {
            (Some(phase), Some(stalled)) => Some(phase.min(stalled)),
            (phase, stalled) => phase.or(stalled),
        }
    }
}
