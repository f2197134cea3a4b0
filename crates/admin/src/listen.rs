//! Accepts the admin API's connections, with limits on their number and their times.
//!
//! The admin API shares no limit with the data path. A crowd of connections here costs the gateway a bounded number of
//! descriptors, and idle connections give way to active ones ([`slots`](crate::slots)). A crowd that takes all
//! descriptors elsewhere leaves those that are reserved for the admin API ([`reserve`](crate::reserve)).

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use socket2::SockRef;
use tokio::time::{sleep, timeout};

use crate::problem::Problem;
use crate::reserve::Reserve;
use crate::slots::{Activity, Slot, Slots};
use crate::socket::{Peer, Socket};
use crate::stream::{Answering, Incoming, Stream};

/// The most connections at once, if the process has enough descriptors.
const CONNECTIONS_MAX: usize = 256;
/// The divisor of the process's descriptors that gives the number of connections here.
const DESCRIPTORS_SHARE: u64 = 8;
/// The least number of slots, however few descriptors there are.
const CONNECTIONS_MIN: usize = 8;
/// The longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest duration of a request, including its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time in which a client may read nothing of its answer.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// The interval between checks of unread answers.
const UNREAD_CHECK_EVERY: Duration = Duration::from_secs(5);
/// The time for which an evicted connection still reads: its request may have arrived already.
const LAST_READ: Duration = Duration::from_millis(5);
/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most connections in the system's queue, before they are accepted.
const BACKLOG: i32 = 4_096;
/// The most bytes of an answer that the system keeps for a client that does not read. Without it, a listener of
/// events could fall megabytes behind before it is noticed.
const SEND_BUFFER: usize = 128 * 1024;
/// The pause in accepting when neither the process nor the reserve has a descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves `app` on all sockets, which share one limit, until `stopped` is done.
///
/// # Errors
/// Fails if a socket does not listen.
pub async fn serve(
    app: Router,
    sockets: Vec<Socket>,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let sockets: Vec<Arc<Socket>> = sockets.into_iter().map(Arc::new).collect();
    let Some(first) = sockets.first() else {
        return Ok(());
    };
    let reserve = Reserve::new(first.clone());
    let slots = Slots::new(connections_max());
    let mut accepting = Vec::new();
    for socket in sockets {
        // A burst that finds the queue full is delayed by a second in the client's system.
        SockRef::from(&*socket).listen(BACKLOG)?;
        accepting.push(accept(app.clone(), socket, slots.clone(), reserve.clone()));
    }
    tokio::select! {
        _ = join_all(accepting) => {}
        () = stopped => {}
    }
    Ok(())
}

/// The most connections at once.
pub fn connections_max() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current;
    let share = descriptors.map_or(CONNECTIONS_MAX, |all| {
        usize::try_from(all / DESCRIPTORS_SHARE).unwrap_or(CONNECTIONS_MAX)
    });
    share.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}

async fn accept(app: Router, socket: Arc<Socket>, slots: Slots, reserve: Reserve) {
    let app = TowerToHyperService::new(app);
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                reserve.fill();
                SockRef::from(&stream)
                    .set_send_buffer_size(SEND_BUFFER)
                    .ok();
                let slot = slots.acquire().await;
                let stream = Stream::new(stream, slot.activity.clone(), reserve.clone());
                tokio::spawn(serve_connection(app.clone(), stream, peer, slot));
            }
            Err(error) if Reserve::is_exhausted(&error) => {
                tracing::debug!(%error, "the admin API is out of descriptors, using its reserve");
                // Accepts at once, before another thread takes the released descriptor.
                if !reserve.release() {
                    slots.evict_one();
                    sleep(ACCEPT_PAUSE).await;
                    reserve.fill();
                }
            }
            // A connection that was closed before it was accepted.
            Err(error) => {
                tracing::debug!(%error, "the admin API could not accept a connection");
            }
        }
    }
}

/// Serves one connection until it ends or is evicted.
async fn serve_connection(
    app: TowerToHyperService<Router>,
    stream: Stream,
    peer: Peer,
    slot: Slot,
) {
    let activity = &slot.activity;
    let service = service_fn(|request| answer(&app, request, peer, activity));
    let connection = http1::Builder::new()
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            biased;
            // A fault on a client's connection matters only to the client.
            _ = &mut connection => return,
            () = activity.is_cut_off() => return,
            () = activity.evicted() => {
                let ended = timeout(LAST_READ, &mut connection).await.is_ok();
                if ended || slot.closes_at_once() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(UNREAD_CHECK_EVERY) => {
                if activity.is_unread_for(UNREAD_MAX) {
                    return;
                }
            }
        }
    }
}

fn answer(
    app: &TowerToHyperService<Router>,
    request: Request<hyper::body::Incoming>,
    peer: Peer,
    activity: &Arc<Activity>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    let answering = Answering::begin(activity);
    let mut request = request.map(|body| Incoming::new(body, activity.clone()));
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(activity.clone());
    let answer = app.call(request);
    async {
        let answer = match timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(never)) => match never {},
            Err(_) => Problem::too_slow().into_response(),
        };
        // The answer is complete when its body, which holds `answering`, is dropped.
        Ok(answer.map(|body| {
            Body::new(body.map_err(move |error| {
                let _held = &answering;
                error
            }))
        }))
    }
}
