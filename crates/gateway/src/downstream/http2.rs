//! One client's HTTP/2 connection: its time limits, and the streams that it serves.
//!
//! hyper and the h2 crate read and write frames, and bound what a client makes them keep. Each stream is served as a
//! connection of HTTP/1 is, with a [`Downstream`] of its own, so that everything behind knows one kind of client. The
//! limits on time and on control frames are ours: see [`socket`] and [`streams`].

mod answer;
mod control;
mod frames;
mod request;
mod socket;
mod streams;

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::Limits;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;

use crate::downstream::connection::{FAREWELL, LAST_CALL};
use crate::downstream::dispatch;
use crate::downstream::http2::answer::StreamBody;
pub use crate::downstream::http2::frames::PREFACE;
use crate::downstream::http2::request::Facts;
use crate::downstream::http2::socket::{FrameSocket, Wire};
use crate::downstream::http2::streams::{StreamExecutor, StreamNote, Streams};
use crate::downstream::session;
use crate::ground::clock::Clock;
use crate::ground::closing::Closing;
use crate::ground::connection_slots::ConnectionSlot;
use crate::ground::listen::ListenerKey;
use crate::ground::transport::Transport;
use crate::live::shared::Shared;
use crate::message::body::BUFFER;
use crate::message::field_kinds::FieldKinds;
use crate::message::interim::Interim;
use crate::message::phase::Phase;
use crate::request::downstream::{Downstream, OpenConnection, Protocol, SessionFacts};
use crate::request::exchange::{Finish, is_upload_awaited};
use crate::request::linger;
use crate::request::noted_body;
use crate::request::worker::Worker;

/// Bytes of request bodies that a client may send ahead on one connection, over all its streams.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Bytes of one answer that h2 keeps for a client that does not take them.
const SEND_BUFFER: usize = 64 * 1024;

/// Time between two pings on a silent connection, and the limit on the answer to one.
const PING: Duration = Duration::from_secs(20);

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
    let limits = shared.live.load().plan.limits.clone();
    let peer_text = HeaderValue::try_from(peer.ip().to_canonical().to_string());
    let Ok(local) = stream.tcp().local_addr() else {
        return;
    };
    if stream.tcp().set_nodelay(true).is_err() {
        return;
    }
    let clock = worker.clock().clone();
    let wire = Arc::new(Wire::default());
    let streams = Streams::new(worker.clone(), limits.stream_stall_timeout);
    let session = session::facts(&shared, &listener, stream.session());
    let client = Arc::new(Http2Client {
        shared,
        listener,
        peer,
        local,
        peer_text: peer_text.expect("an IP address is a field value"),
        scheme: stream.scheme(),
        session,
        fields_max: limits.head_fields_max,
        open: OpenConnection::new(worker.clone(), slot),
        worker: worker.clone(),
    });
    let rate = limits.control_frames_rate;
    let mut socket = FrameSocket::new(stream, worker.clone(), wire.clone(), rate);
    let service = {
        let client = client.clone();
        service_fn(move |request| client.begin(request))
    };
    let ended = {
        let executor = StreamExecutor(streams.clone());
        let connection = builder(executor, &limits);
        let mut connection = pin!(connection.serve_connection(TokioIo::new(&mut socket), service));
        let watch = Watch {
            limits: &limits,
            clock: &clock,
            wire: &wire,
            streams: &streams,
            began: clock.tick(),
        };
        watch.drive(&closing, connection.as_mut()).await
    };
    if wire.is_flooded() || ended.as_ref().is_err_and(is_clients) {
        worker.meter().connections_cut.add();
    }
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an HTTP/2 connection ended");
    }
    let (mut stream, is_between) = socket.into_parts();
    if wire.is_flooded() {
        tracing::debug!(%peer, reason = "control_frames", "a client with too many control frames is cut off");
        if !is_between || wire.stalled_since().is_some() {
            return;
        }
        let told = stream
            .write_all(&frames::calm_down(wire.last_stream()))
            .await;
        if told.is_err() {
            return;
        }
    }
    // The last frame is not lost to a reset.
    linger::drain(stream, linger::BRIEF).await;
}

/// True for an error of a client's frames, as opposed to one of its connection.
fn is_clients(error: &hyper::Error) -> bool {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| error.is_go_away() && error.is_library())
}

fn builder(executor: StreamExecutor, limits: &Limits) -> http2::Builder<StreamExecutor> {
    let window = u32::try_from(BUFFER).unwrap_or(u32::MAX);
    let head = u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .initial_stream_window_size(window)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(head)
        .max_concurrent_streams(limits.streams_max)
        .max_pending_accept_reset_streams(limits.stream_resets_max)
        .max_local_error_reset_streams(limits.stream_errors_max)
        .enable_connect_protocol();
    builder
}

/// The client of one connection, as its streams share it.
#[derive(Debug)]
struct Http2Client {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    listener: ListenerKey,
    peer: SocketAddr,
    local: SocketAddr,
    peer_text: HeaderValue,
    scheme: &'static str,
    session: Option<Arc<SessionFacts>>,
    fields_max: usize,
    open: Arc<OpenConnection>,
}

impl Http2Client {
    /// Begins a stream's request, which hyper has just read.
    fn begin(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<StreamBody>, Infallible>> + Send + use<> {
        let client = self.clone();
        let downstream = self.downstream();
        downstream.phase.owes_body(!request.body().is_end_stream());
        let note = StreamNote::announce(&downstream);
        let facts = Facts {
            scheme: self.scheme,
            fields_max: self.fields_max,
            is_trusted: || self.is_trusted(),
        };
        let read = request::to_http1(&mut request, facts);
        downstream.interim.begin(false);
        let finish = Finish::begin(&downstream, &request);
        *request.version_mut() = Version::HTTP_11;
        let found = FieldKinds::of_request(request.headers());
        let is_head = request.method() == Method::HEAD;
        let length = request.body().size_hint().exact();
        // In a place of its own: hyper and the runtime move the future several times before they poll it.
        let place = Box::new_uninit();
        let answering = async move {
            let (shared, stream) = (&client.shared, downstream.clone());
            let response = dispatch::serve(shared, stream, request, found, read, finish).await;
            for _ in 0..downstream.interim.dropped() {
                client.worker.meter().interim_dropped.add();
            }
            let mut response = noted_body::watched(&downstream.phase.noted, response);
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                request::opened(&mut response);
            }
            if is_upload_awaited(response.status(), length) {
                note.lingers();
            }
            Ok(answer::prepare(response, note, is_head))
        };
        // The place is made first, so that the future is built in it and not copied there.
        Box::into_pin(Box::write(place, answering))
    }

    /// The client as one stream's request sees it.
    fn downstream(&self) -> Arc<Downstream> {
        Arc::new(Downstream {
            worker: self.worker.clone(),
            listener: self.listener.clone(),
            peer: self.peer,
            local: self.local,
            peer_text: self.peer_text.clone(),
            phase: Arc::new(Phase::new(self.worker.clock().tick())),
            scheme: self.scheme,
            session: self.session.clone(),
            // hyper's HTTP/2 cannot send any.
            interim: Interim::new(Waker::noop().clone()),
            protocol: Protocol::Http2,
            open: self.open.clone(),
        })
    }

    fn is_trusted(&self) -> bool {
        let live = self.shared.plan_for(&self.listener);
        let listener = live.listener(&self.listener);
        listener.is_some_and(|it| it.rules.trusts(self.peer.ip()))
    }
}

/// The observers of a connection: its listener's signal, its limits, its state.
struct Watch<'a> {
    limits: &'a Limits,
    clock: &'a Clock,
    wire: &'a Wire,
    streams: &'a Streams,
    /// The time at which the connection began.
    began: Timestamp,
}

/// The time limit of a connection's present state.
enum Limit {
    /// After it the connection ends.
    End(Timestamp),
    /// After it the client gets GOAWAY, and the connection ends with its last stream.
    Tell(Timestamp),
}

impl Watch<'_> {
    /// Serves the connection until hyper has finished with it, or a limit on time is exceeded.
    async fn drive<I, S>(
        &self,
        closing: &Closing,
        mut connection: Pin<&mut http2::Connection<I, S, StreamExecutor>>,
    ) -> hyper::Result<()>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin,
        S: HttpService<Incoming, ResBody = StreamBody>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let mut notified = pin!(closing.notified());
        // Registered before the flag is read, so that a signal in between is not missed.
        notified.as_mut().enable();
        let mut closed_at = None;
        let mut told_at = None;
        let mut armed = self.clock.tick() + self.limits.first_byte_timeout;
        let mut alarm = pin!(tokio::time::sleep(self.limits.first_byte_timeout));
        poll_fn(|cx| {
            if closed_at.is_none() && (closing.has_begun() || notified.as_mut().poll(cx).is_ready())
            {
                closed_at = Some(self.clock.tick());
            }
            // A client that has just connected may have sent a request that is still on its way.
            if closed_at.is_some() && told_at.is_none() && self.wire.is_greeted() {
                told_at = Some(self.clock.tick());
                connection.as_mut().graceful_shutdown();
            }
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(ended);
                }
                let limit = self.limit(closed_at, told_at, cx);
                let (Limit::End(deadline) | Limit::Tell(deadline)) = match &limit {
                    Some(limit) => limit,
                    None => return Poll::Pending,
                };
                let now = self.clock.tick();
                if *deadline <= now {
                    if matches!(limit, Some(Limit::End(_))) {
                        return Poll::Ready(Ok(()));
                    }
                    told_at = Some(now);
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                if *deadline < armed {
                    armed = *deadline;
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

    /// The nearest time limit; `closed_at` is the time at which the listener closed, `told_at` that of the first
    /// GOAWAY.
    fn limit(
        &self,
        closed_at: Option<Timestamp>,
        told_at: Option<Timestamp>,
        cx: &Context<'_>,
    ) -> Option<Limit> {
        let (limits, wire) = (self.limits, self.wire);
        if !wire.is_greeted() {
            let last_call = closed_at.map(|at| at + LAST_CALL);
            let greeting = match wire.first_at() {
                None => self.began + limits.first_byte_timeout,
                Some(at) => at + limits.head_timeout,
            };
            return Some(Limit::End(last_call.unwrap_or(greeting).min(greeting)));
        }
        let heading = wire.heading_since().map(|at| at + limits.head_timeout);
        let stalled = wire.stalled_since();
        let stalled = stalled.map(|at| at + limits.stream_stall_timeout);
        // The end of an answer may still be on its way to a slow client when its stream is done here.
        let idle = self.streams.idle_since(cx);
        let idle = idle.map(|at| at.max(wire.data_at().unwrap_or(at)));
        let gone = told_at.and_then(|told| Some(idle?.max(told) + FAREWELL));
        let end = [heading, stalled, gone].into_iter().flatten().min();
        let tell = idle.filter(|_| told_at.is_none());
        let tell = tell.map(|at| at + limits.keep_alive_timeout);
        match (end, tell) {
            (Some(end), Some(tell)) if tell < end => Some(Limit::Tell(tell)),
            (Some(end), _) => Some(Limit::End(end)),
            (None, tell) => tell.map(Limit::Tell),
        }
    }
}
