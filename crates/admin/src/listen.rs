//! Accepts the admin API's clients: how many at once, and how long each may take.
//!
//! The admin API shares no limit with the data path. A crowd that knocks here costs the gateway a bounded number of
//! descriptors and gives way to whoever has something to say ([`seats`](crate::seats)); a crowd that takes every
//! descriptor elsewhere leaves those that are kept for this ([`reserve`](crate::reserve)).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::problem::Problem;
use crate::reserve::Reserve;
use crate::seats::{Place, Seat, Seats};
use crate::stream::{Answering, Incoming, Outgoing, Stream};

/// Clients at once, where the process may have descriptors enough.
const SEATS_MAX: usize = 256;
/// The part of the process's descriptors that clients here may take: one in so many.
const DESCRIPTORS_SHARE: u64 = 8;
/// Clients at once, however few descriptors there are.
const SEATS_MIN: usize = 8;
/// How long a client may be silent before its request's head has come.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take nothing of its answer.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// How often that is looked at.
const UNREAD_LOOK: Duration = Duration::from_secs(5);
/// How long a connection that was asked to leave reads on: its request may have come already.
const LAST_LOOK: Duration = Duration::from_millis(5);
/// The largest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Connections that the system may accept before we do.
const BACKLOG: i32 = 4_096;
/// How long accepting pauses when neither the process nor the reserve has a descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves `app` until `stopped` is done.
///
/// # Errors
/// If the socket does not listen.
pub async fn serve(
    app: Router,
    socket: TcpListener,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let socket = Arc::new(socket);
    let reserve = Reserve::new(socket.clone());
    // A burst that finds no place in the queue waits for a second in the client's system.
    SockRef::from(&*socket).listen(BACKLOG)?;
    let accepting = accept(app, socket, Seats::new(seats_max()), reserve);
    tokio::select! {
        () = accepting => {}
        () = stopped => {}
    }
    Ok(())
}

fn seats_max() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current;
    let share = descriptors.map_or(SEATS_MAX, |all| {
        usize::try_from(all / DESCRIPTORS_SHARE).unwrap_or(SEATS_MAX)
    });
    share.clamp(SEATS_MIN, SEATS_MAX)
}

async fn accept(app: Router, socket: Arc<TcpListener>, seats: Seats, reserve: Reserve) {
    let app = TowerToHyperService::new(app);
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                reserve.fill();
                let place = seats.enter().await;
                let stream = Stream::new(stream, place.seat.clone(), reserve.clone());
                tokio::spawn(talk(app.clone(), stream, peer, place));
            }
            Err(error) if Reserve::is_wanted_by(&error) => {
                tracing::debug!(%error, "the admin API turns to its reserve of descriptors");
                // Taken at once, before another thread finds what is given up.
                if !reserve.give_up() {
                    seats.ask_one_to_leave();
                    sleep(ACCEPT_PAUSE).await;
                    reserve.fill();
                }
            }
            // One that left before it was accepted.
            Err(error) => {
                tracing::debug!(%error, "the admin API could not accept a connection");
            }
        }
    }
}

/// Serves one connection until it ends, or gives way to another.
async fn talk(app: TowerToHyperService<Router>, stream: Stream, peer: SocketAddr, place: Place) {
    let seat = &place.seat;
    let service = service_fn(|request| answer(&app, request, peer, seat));
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
            // What goes wrong on a client's connection is the client's to know.
            _ = &mut connection => return,
            () = seat.asked() => {
                let ended = timeout(LAST_LOOK, &mut connection).await.is_ok();
                if ended || place.leaves_at_once() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(UNREAD_LOOK) => {
                if seat.is_unread_for(UNREAD_MAX) {
                    return;
                }
            }
        }
    }
}

fn answer(
    app: &TowerToHyperService<Router>,
    request: Request<hyper::body::Incoming>,
    peer: SocketAddr,
    seat: &Arc<Seat>,
) -> impl Future<Output = Result<Response<Outgoing>, Infallible>> + use<> {
    let answering = Answering::begin(seat);
    let mut request = request.map(|body| Incoming::new(body, seat.clone()));
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = app.call(request);
    async {
        let answer = match timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(never)) => match never {},
            Err(_) => Problem::too_slow().into_response(),
        };
        Ok(answer.map(|body| Outgoing::new(body, answering)))
    }
}
