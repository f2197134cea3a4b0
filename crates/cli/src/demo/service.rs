//! The demo's order service: it answers after a delay, or closes the connection while broken.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The time of a call, so that the saving of a rejection is visible.
const WORK: Duration = Duration::from_millis(40);

/// The address at which the examples expect the service.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// A service that can be broken and repaired.
#[derive(Debug)]
pub struct Service {
    /// The address on which it listens.
    pub addr: SocketAddr,
    broken: Arc<AtomicBool>,
}

impl Service {
    /// Starts a healthy service on the address that the examples use, or on a free port if that is taken.
    pub async fn start() -> io::Result<Service> {
        let socket = super::bind(USUAL).await?;
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

    /// Makes every call fail from now on.
    pub fn break_down(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Makes every call succeed from now on.
    pub fn mend(&self) {
        self.broken.store(false, Ordering::Relaxed);
    }
}

async fn serve(stream: TcpStream, broken: Arc<AtomicBool>) {
    let answer = service_fn(move |_| {
        let broken = broken.load(Ordering::Relaxed);
        async move {
            tokio::time::sleep(WORK).await;
            if broken {
                // An error closes the connection without an answer.
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            Ok(Response::new(Full::new(Bytes::from_static(
                b"{\"orders\":[]}\n",
            ))))
        }
    });
    // A connection dropped by the gateway is expected.
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await
        .ok();
}
