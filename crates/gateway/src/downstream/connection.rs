//! One client's connection: its time limits, and the loop that serves its requests.
//!
//! hyper reads and writes; it has no sufficiently fine time limits. So the socket notes its state (waiting for a first
//! byte, for the rest of a head, for nothing, for the client to read), and one timer per connection reads that note
//! only when it might matter: serving a request arms no timer.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Limits;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;

use crate::downstream::refusal;
use crate::downstream::serving::Serving;
use crate::downstream::session;
use crate::downstream::socket::Socket;
use crate::ground::clock::Clock;
use crate::ground::closing::Closing;
use crate::ground::connection_slots::ConnectionSlot;
use crate::ground::listen::ListenerKey;
use crate::ground::transport::Transport;
use crate::live::shared::Shared;
use crate::message::body::BUFFER;
use crate::message::heads::BodyNote;
use crate::message::interim::Interim;
use crate::message::phase::Phase;
use crate::request::downstream::{Downstream, OpenConnection, Protocol};
use crate::request::worker::Worker;

/// Limit on the time to write an answer to a request that is refused unread.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// The time in which a new connection may still send its first byte after its listener has closed.
pub const LAST_CALL: Duration = Duration::from_millis(500);

/// The number of fields in a head that hyper has room for on its stack. A number that is named to it, even this one, has it
/// fill that room field by field for each request.
const FIELDS_UNNAMED: usize = 100;

/// The end of a connection's serving.
enum End {
    /// hyper has finished with the connection, or a tunnel has taken it over.
    Served,
    /// The connection was closed while it waited for a request, before any byte of it.
    Waiting,
    /// A limit was exceeded; `true`: the one on the rest of a head.
    TimedOut(bool),
    /// hyper could not read a request's head.
    Unread(hyper::Error),
}

/// Serves a client until it leaves, errs, idles too long or the worker drains.
pub async fn serve(
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    listener: ListenerKey,
    stream: Transport,
    peer: SocketAddr,
    slot: ConnectionSlot,
    closing: Arc<Closing>,
) {
    let clock = worker.clock().clone();
    let phase = Arc::new(Phase::new(clock.tick()));
    let stalled = Arc::new(AtomicU64::new(0));
    let limits = shared.live.load().plan.limits.clone();
    let interim = Interim::new(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
    let body_note = Arc::new(BodyNote::default());
    let peer_text = HeaderValue::try_from(peer.ip().to_canonical().to_string());
    let peer_text = peer_text.expect("an IP address is a field value");
    let Ok(local) = stream.tcp().local_addr() else {
        return;
    };
    let session = session::facts(&shared, &listener, stream.session());
    let downstream = Arc::new(Downstream {
        worker: worker.clone(),
        listener,
        peer,
        local,
        peer_text,
        phase: phase.clone(),
        scheme: stream.scheme(),
        session,
        interim: interim.clone(),
        protocol: Protocol::Http1,
        open: OpenConnection::new(worker.clone(), slot),
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
        shared,
        downstream,
        closing: closing.clone(),
        body_note,
    });
    let service = service_fn(move |mut request: Request<Incoming>| {
        let arrived = serving.arrive(&mut request);
        // In a place of its own: hyper moves the future about, and keeps its room while the connection idles. The place is
        // made first, so that the future is built in it and its nine kilobytes are not copied there.
        let place = Box::new_uninit();
        Box::into_pin(Box::write(place, serving.clone().answer(request, arrived)))
    });
    let mut builder = http1::Builder::new();
    if limits.head_fields_max != FIELDS_UNNAMED {
        builder.max_headers(limits.head_fields_max);
    }
    let mut connection = builder
        .max_header_size(limits.head_bytes_max)
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
    if phase.is_broken_off() {
        // Dropped with a reset, over TLS without its end.
        let socket = socket2::SockRef::from(stream.tcp());
        socket.set_linger(Some(Duration::ZERO)).ok();
        return;
    }
    // The client keeps its slot while we read on.
    let _downstream = parts.service;
    let answer = match end {
        End::TimedOut(false) | End::Waiting => return,
        End::Served => None,
        End::TimedOut(true) => {
            // A client that has not read its last answer gets no other one behind the rest of it; and this one gets
            // only a short time to be read.
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

/// The observers of a connection: its listener's signal, its limits, its state.
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
        S: hyper::service::HttpService<hyper::body::Incoming, ResBody = crate::message::body::Body>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let mut notified = pin!(closing.notified());
        // Registered before the flag is read, so that a signal in between is not missed.
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
            // hyper would close a connection on which nothing has come yet; but a client that has just connected may
            // have sent a request that is still on its way through this machine.
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
                // Other errors of a client's connection concern only the client.
                Poll::Ready(_) => {
                    return Poll::Ready(std::mem::replace(&mut end, End::Served));
                }
            }
            if !told && self.phase.has_left() && self.phase.is_waiting() {
                // The connection has had its answer, and nothing more comes from it.
                told = true;
                Pin::new(&mut *connection).graceful_shutdown();
                if Pin::new(&mut *connection).poll(cx).is_ready() {
                    return Poll::Ready(End::Served);
                }
            }
            if told && !self.phase.is_waiting() {
                // A request came nevertheless, and is answered.
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
                // The timer fired for an earlier wait; the next one is set for the present wait.
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

    /// The nearest time limit of the connection; `last_call` is the limit for a connection on which nothing has come
    /// yet, once the listener closes.
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
