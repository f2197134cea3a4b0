//! A hyper client behind a tower stack: the breaker outside of the timeout, so that what hangs counts as a failure, and a
//! buffer outside of both, which boxes the errors; a refusal is found in them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fusebox_breaker::{BreakerHttpLayer, Cooldown, Guard, Refused, Settings};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tower::timeout::TimeoutLayer;
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let uri = serve().await?;
    let settings = Settings {
        cooldown: Cooldown::fixed(Duration::from_millis(200)),
        ..Settings::default()
    };
    // A call lasts until its response's body has ended, so bodies are read, those of errors too. A status of 5xx, an error
    // and a body that is cut are failures.
    let guard = Guard::new("orders", settings)?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let orders = ServiceBuilder::new()
        .buffer(16)
        .layer(BreakerHttpLayer::new(guard.clone()))
        .layer(TimeoutLayer::new(Duration::from_millis(100)))
        .service(client);

    for call in 1..=14 {
        let request = Request::get(&uri).body(Full::default())?;
        let error = match orders.clone().oneshot(request).await {
            Ok(answer) => {
                let status = answer.status();
                let body = answer.into_body().collect().await?.to_bytes();
                println!("call {call}: {status}, {} bytes", body.len());
                continue;
            }
            Err(error) => error,
        };
        match Refused::find_in(&*error) {
            Some(refused) => {
                println!("call {call}: {refused}");
                tokio::time::sleep(refused.retry_in().unwrap_or_default()).await;
            }
            None => println!("call {call}: {error:?}"),
        }
    }
    println!("{}", guard.breaker().explain(guard.now()));
    Ok(())
}

/// A service that answers 500 to its calls number 3 to 5, and to 6 to 8 nothing at all.
async fn serve() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}/", listener.local_addr()?);
    let calls = Arc::new(AtomicU32::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let calls = calls.clone();
            let answer = service_fn(move |_: Request<Incoming>| {
                let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
                async move {
                    let mut answer = Response::new(Full::<Bytes>::from("{}"));
                    match call {
                        3..=5 => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
                        6..=8 => std::future::pending().await,
                        _ => {}
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
        }
    });
    Ok(uri)
}
