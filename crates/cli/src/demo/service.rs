//! The demo's order service: well, it takes its time and answers; broken, it takes its time and hangs up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// What a call costs, so that a refusal's saving shows.
const WORK: Duration = Duration::from_millis(40);

/// Where the examples look for a service.
const USUAL: &str = "127.0.0.1:8081";

/// A service that breaks and mends when it is told to.
#[derive(Debug)]
pub struct Service {
    /// Where it is.
    pub addr: SocketAddr,
    broken: Arc<AtomicBool>,
}

impl Service {
    /// Starts it, well: where the examples look for a service, or on a free port where that one is taken.
    ///
    /// # Errors
    /// If there is no port to be had.
    pub async fn start() -> io::Result<Service> {
        let socket = match TcpListener::bind(USUAL).await {
            Ok(socket) => socket,
            Err(_) => TcpListener::bind("127.0.0.1:0").await?,
        };
        let service = Service {
            addr: socket.local_addr()?,
            broken: Arc::default(),
        };
        let broken = service.broken.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                tokio::spawn(serve(stream, broken.clone()));
            }
        });
        Ok(service)
    }

    /// From now on every call fails.
    pub fn break_down(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// From now on every call succeeds.
    pub fn mend(&self) {
        self.broken.store(false, Ordering::Relaxed);
    }
}

async fn serve(stream: TcpStream, broken: Arc<AtomicBool>) {
    let answer = service_fn(move |_| {
        let broken = broken.load(Ordering::Relaxed);
        async move {
            super::pause(WORK).await;
            if broken {
                // An error closes the connection without an answer.
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            Ok(Response::new(Full::new(Bytes::from_static(
                b"{\"orders\":[]}\n",
            ))))
        }
    });
    // A connection that the gateway drops is no news.
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await
        .ok();
}
