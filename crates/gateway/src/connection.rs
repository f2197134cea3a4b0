//! One client's connection: its time limits, and the loop that serves its requests.
//!
//! hyper reads and writes; how long a client may take, it cannot tell apart well enough. So the
//! socket notes what it waits for (a first byte, the rest of a head, nothing, the client to read),
//! and one timer per connection looks at that note only when it might matter: serving a request
//! arms no timer.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Limits;
use futures_util::task::AtomicWaker;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use crate::clock::Clock;
use crate::heads::BodyNote;
use crate::interim::Interim;
use crate::listen::Place;
use crate::refusal;
use crate::serving::Serving;
use crate::shared::Seat;
use crate::socket::Socket;
use crate::transport::Transport;
use crate::worker::{Closing, Worker};

/// Limit on the time to write an answer to a request that was not taken.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// How much of a body is in memory, at most, on each side of the gateway for each request.
pub const BUFFER: usize = 128 * 1024;

/// How long a new connection may still send its first byte after its listener has closed.
pub const LAST_CALL: Duration = Duration::from_millis(500);

/// A client's connection, as its requests see it; a tunnel holds it until it ends.
#[derive(Debug)]
pub struct Client {
    /// The worker that serves it.
    pub worker: Arc<Worker>,
    /// The place of the listener that it came through.
    pub listener: Place,
    /// Who it is.
    pub peer: SocketAddr,
    /// The address that it came to.
    pub local: SocketAddr,
    /// The peer's IP address as text.
    pub peer_text: HeaderValue,
    /// What the connection waits for.
    pub phase: Arc<Phase>,
    /// `http`, or `https` where it came over TLS.
    pub scheme: &'static str,
    /// The interim answers to the request that is being served.
    pub interim: Arc<Interim>,
    /// Its place among those that the listener may have.
    _seat: Seat,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.worker.meter().connections_ended.add();
    }
}

/// What a connection waits for, and since when: one word, written by its own worker.
#[derive(Debug)]
pub struct Phase {
    word: AtomicU64,
    /// What keeps it busy: the request, and its body, which may flow on after the answer.
    users: AtomicU32,
    /// The client has closed its side while it was served: nothing more comes from it.
    left: AtomicBool,
    /// Whom that concerns: a body that waits for more, and a call that may be given up.
    body: AtomicWaker,
    caller: AtomicWaker,
}

const KIND_BITS: u32 = 2;
const FRESH: u64 = 0;
const IDLE: u64 = 1;
const HEAD: u64 = 2;
const BUSY: u64 = 3;

impl Phase {
    fn new(now: Timestamp) -> Phase {
        Phase {
            word: AtomicU64::new(word(FRESH, now)),
            users: AtomicU32::new(0),
            left: AtomicBool::new(false),
            body: AtomicWaker::new(),
            caller: AtomicWaker::new(),
        }
    }

    /// Whether the client has closed its side while it was served; wakes `cx` when it does. What it
    /// still owed will not come. Whether it still reads cannot be known: it gets its answer.
    pub fn is_left(&self, cx: &Context<'_>) -> bool {
        self.body.register(cx.waker());
        self.has_left()
    }

    /// The same for the call that is made for the client.
    pub fn is_left_by_caller(&self, cx: &Context<'_>) -> bool {
        self.caller.register(cx.waker());
        self.has_left()
    }

    /// The same without waiting for it.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// The client has closed its side, or its connection has broken.
    pub fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
        self.body.wake();
        self.caller.wake();
    }

    /// A request or its body is being served: the connection has no time limit of its own until
    /// everybody who said so has called [`Phase::idle`].
    pub fn busy(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
        self.word.store(BUSY, Ordering::Relaxed);
    }

    /// The request or its body has been served.
    pub fn idle(&self, now: Timestamp) {
        if self.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.word.store(word(IDLE, now), Ordering::Relaxed);
        }
    }

    /// Nothing has come yet.
    fn is_fresh(&self) -> bool {
        self.kind() == FRESH
    }

    /// No request is begun.
    fn is_waiting(&self) -> bool {
        matches!(self.kind(), FRESH | IDLE)
    }

    fn kind(&self) -> u64 {
        self.word.load(Ordering::Relaxed) % (1 << KIND_BITS)
    }

    /// A request or its body is being served.
    pub fn is_busy(&self) -> bool {
        self.kind() == BUSY
    }

    /// Bytes came; where none were expected a head begins.
    pub fn bytes(&self, now: Timestamp) {
        if self.is_waiting() {
            self.word.store(word(HEAD, now), Ordering::Relaxed);
        }
    }

    /// When the connection has waited too long, and whether the client deserves to hear why.
    fn deadline(&self, limits: &Limits) -> Option<(Timestamp, bool)> {
        let word = self.word.load(Ordering::Relaxed);
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

/// How a connection's serving ended.
enum End {
    /// hyper is done with it, or has passed it on to a tunnel.
    Served,
    /// It was closed while it waited for a request, of which there is nothing to be read yet.
    Waiting,
    /// It waited too long; `true`: for the rest of a head.
    TimedOut(bool),
    /// hyper could not read a request's head.
    Unread(hyper::Error),
}

/// Serves a client until it leaves, errs, idles too long or the worker drains.
pub async fn serve(
    worker: Arc<Worker>,
    listener: Place,
    stream: Transport,
    peer: SocketAddr,
    seat: Seat,
    closing: Arc<Closing>,
) {
    let clock = worker.shared.clock.clone();
    let phase = Arc::new(Phase::new(clock.tick()));
    let stalled = Arc::new(AtomicU64::new(0));
    let limits = worker.shared.live.load().plan.limits.clone();
    let interim = Interim::new(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
    let body_note = Arc::new(BodyNote::default());
    let peer_text = HeaderValue::try_from(peer.ip().to_canonical().to_string());
    let peer_text = peer_text.expect("an IP address is a field value");
    let Ok(local) = stream.tcp().local_addr() else {
        return;
    };
    let client = Arc::new(Client {
        worker: worker.clone(),
        listener,
        peer,
        local,
        peer_text,
        phase: phase.clone(),
        scheme: match &stream {
            Transport::Plain(_) => "http",
            Transport::Tls(_) => "https",
        },
        interim: interim.clone(),
        _seat: seat,
    });
    if stream.tcp().set_nodelay(true).is_err() {
        return;
    }
    let socket = Socket::new(
        stream,
        phase.clone(),
        clock.clone(),
        stalled.clone(),
        interim.clone(),
        body_note.clone(),
    );
    let serving = Arc::new(Serving {
        client,
        closing: closing.clone(),
        body_note,
    });
    let service = service_fn(move |mut request: Request<Incoming>| {
        let arrived = serving.arrive(&mut request);
        serving.clone().answer(request, arrived)
    });
    let mut connection = http1::Builder::new()
        .max_header_size(limits.head_bytes_max)
        .max_headers(limits.head_fields_max)
        .max_buf_size(limits.head_bytes_max.max(BUFFER))
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
        watch.drive(&closing, &mut connection).await
    };
    // An upgraded connection has no parts left: the tunnel has its socket.
    let Some(parts) = connection.into_parts() else {
        return;
    };
    let (mut stream, own) = parts.io.into_inner().into_parts();
    // The client keeps its seat while we read on.
    let _client = parts.service;
    let answer = match end {
        End::TimedOut(false) | End::Waiting => return,
        End::Served => None,
        End::TimedOut(true) => {
            // A client that has not read its last answer gets no other one behind what is left of
            // it; and whether it reads this one, we do not wait long for.
            if stalled.load(Ordering::Relaxed) != 0 {
                return;
            }
            let why = "the request's head did not come in time";
            Some(refusal::refuse(
                &worker,
                StatusCode::REQUEST_TIMEOUT,
                why,
                peer,
            ))
        }
        End::Unread(error) => refusal::unread(&worker, &error, &parts.read_buf, own, peer),
    };
    if let Some(answer) = answer {
        let told = stream.write_all(&answer);
        if !matches!(tokio::time::timeout(FAREWELL, told).await, Ok(Ok(()))) {
            return;
        }
    }
    worker.lingering.linger(stream, &closing).await;
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
        closing: &Closing,
        connection: &mut http1::UpgradeableConnection<TokioIo<Socket>, S>,
    ) -> End
    where
        S: hyper::service::HttpService<hyper::body::Incoming, ResBody = crate::body::Body>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let mut notified = pin!(closing.notified());
        // Registered before the flag is read: a word that comes in between is not missed.
        notified.as_mut().enable();
        let mut last_call = None;
        let mut told = false;
        let mut end = End::Served;
        let mut alarm = pin!(tokio::time::sleep(self.first_wait()));
        let mut armed = self.clock.tick() + self.first_wait();
        poll_fn(|cx| {
            if last_call.is_none() && (closing.has_begun() || notified.as_mut().poll(cx).is_ready())
            {
                last_call = Some(self.clock.tick() + LAST_CALL);
            }
            // hyper would close a connection on which nothing has come yet; but whoever has just
            // connected may have sent a request that is still on its way through this machine.
            if last_call.is_some() && !told && !self.phase.is_fresh() {
                told = true;
                if self.phase.is_waiting() {
                    end = End::Waiting;
                }
                Pin::new(&mut *connection).graceful_shutdown();
            }
            match Pin::new(&mut *connection).poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(error)) if error.is_parse() => {
                    return Poll::Ready(End::Unread(error));
                }
                // What else went wrong on a client's connection is the client's to know.
                Poll::Ready(_) => {
                    return Poll::Ready(std::mem::replace(&mut end, End::Served));
                }
            }
            if !told && self.phase.has_left() && self.phase.is_waiting() {
                // It has had its answer, and nothing more comes from it.
                told = true;
                Pin::new(&mut *connection).graceful_shutdown();
                if Pin::new(&mut *connection).poll(cx).is_ready() {
                    return Poll::Ready(End::Served);
                }
            }
            if told && !self.phase.is_waiting() {
                // A request came all the same, and is answered.
                end = End::Served;
            }
            loop {
                let Some((deadline, explain)) = self.deadline(last_call) else {
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

    /// The nearest end of the connection's patience; `last_call` is when a connection on which
    /// nothing has come yet is given up, where the listener closes.
    fn deadline(&self, last_call: Option<Timestamp>) -> Option<(Timestamp, bool)> {
        if let (true, Some(at)) = (self.phase.is_fresh(), last_call) {
            return Some((at, false));
        }
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
