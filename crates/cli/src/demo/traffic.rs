//! The demo's clients: a few timed calls per second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::interval;

/// One call, as a client sees it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The status of the answer.
    pub status: StatusCode,
    /// The time until the answer was complete.
    pub took: Duration,
    /// The gateway's reason, if it rejected the call.
    pub reason: Option<String>,
    /// The seconds to wait before a retry, if the gateway rejected the call.
    pub retry_after: Option<String>,
}

/// Calls the gateway five times a second, until aborted or the receiver is dropped.
pub fn begin(gateway: SocketAddr, results: mpsc::Sender<Call>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut beat = interval(Duration::from_millis(200));
        let mut connection = None;
        loop {
            beat.tick().await;
            match call(gateway, &mut connection).await {
                Some(call) => {
                    if results.send(call).await.is_err() {
                        return;
                    }
                }
                None => connection = None,
            }
        }
    })
}

type Connection = SendRequest<Empty<Bytes>>;

async fn call(gateway: SocketAddr, connection: &mut Option<Connection>) -> Option<Call> {
    if connection.as_ref().is_none_or(SendRequest::is_closed) {
        let stream = TcpStream::connect(gateway).await.ok()?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(driver);
        *connection = Some(sender);
    }
    let sender = connection.as_mut()?;
    sender.ready().await.ok()?;
    let request = Request::get("/api/orders")
        .header(HOST, gateway.to_string())
        .body(Empty::new())
        .ok()?;
    let began = Instant::now();
    let response = sender.send_request(request).await.ok()?;
    let field = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let (reason, retry_after) = (field("fusebox-reason"), field("retry-after"));
    let status = response.status();
    response.into_body().collect().await.ok()?;
    Some(Call {
        status,
        took: began.elapsed(),
        reason,
        retry_after,
    })
}
