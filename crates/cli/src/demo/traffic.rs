//! The demo's clients: a few timed calls per second, by turns to read orders and to place one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, StatusCode};
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
    /// The method: a GET can be answered by the last good answer, a POST cannot.
    pub method: Method,
    /// The status of the answer.
    pub status: StatusCode,
    /// The time until the answer was complete.
    pub took: Duration,
    /// The gateway's reason, if it rejected the call.
    pub reason: Option<String>,
    /// The seconds to wait before a retry, if the gateway rejected the call.
    pub retry_after: Option<String>,
    /// The rung of the ladder that answered, if one did.
    pub fallback: Option<String>,
    /// The age of that answer, in seconds.
    pub age: Option<String>,
}

/// Calls the gateway five times a second, until aborted or the receiver is dropped.
pub fn begin(gateway: SocketAddr, results: mpsc::Sender<Call>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut beat = interval(Duration::from_millis(200));
        let mut connection = None;
        let mut turns = [Method::GET, Method::POST].into_iter().cycle();
        loop {
            beat.tick().await;
            let method = turns.next().unwrap_or_default();
            match call(gateway, method, &mut connection).await {
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

async fn call(
    gateway: SocketAddr,
    method: Method,
    connection: &mut Option<Connection>,
) -> Option<Call> {
    if connection.as_ref().is_none_or(SendRequest::is_closed) {
        let stream = TcpStream::connect(gateway).await.ok()?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(driver);
        *connection = Some(sender);
    }
    let sender = connection.as_mut()?;
    sender.ready().await.ok()?;
    let path = match method {
        Method::GET => "/api/orders",
        _ => "/api/orders/new",
    };
    let request = Request::builder()
        .method(method.clone())
        .uri(path)
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
    let (fallback, age) = (field("fusebox-fallback"), field("age"));
    let status = response.status();
    response.into_body().collect().await.ok()?;
    Some(Call {
        method,
        status,
        took: began.elapsed(),
        reason,
        retry_after,
        fallback,
        age,
    })
}
