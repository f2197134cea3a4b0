//! One client after the other: how many at once, and how long each may take.
//!
//! The admin API has limits of its own and no pool of the data path's: a crowd that knocks here
//! and says nothing costs the gateway a bounded number of descriptors, for a bounded time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::problem::Problem;

/// Clients at once; more wait until one has left.
const CONNECTIONS_MAX: usize = 256;
/// How long a client may be silent before its request's head has come.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long accepting pauses when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` until `stopped` is done.
pub async fn serve(
    app: Router,
    socket: TcpListener,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let app = TowerToHyperService::new(app);
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accepting = async {
        loop {
            let seat = seats.clone().acquire_owned().await;
            let seat = seat.expect("nobody closes the semaphore");
            match socket.accept().await {
                Ok((stream, peer)) => {
                    let app = app.clone();
                    tokio::spawn(async move {
                        talk(app, stream, peer).await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "the admin API could not accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stopped => {}
    }
    Ok(())
}

async fn talk(app: TowerToHyperService<Router>, stream: TcpStream, peer: SocketAddr) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = app.call(request);
        async {
            Ok::<Response, Infallible>(match timeout(REQUEST_TIMEOUT, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(never)) => match never {},
                Err(_) => Problem::too_slow().into_response(),
            })
        }
    });
    // What goes wrong on a client's connection is the client's to know.
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}
