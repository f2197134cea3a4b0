//! An axum service that calls another one by reqwest, with a breaker and a fallback.
//!
//! `GET /orders` answers what the order service says; while that is ill, the last good answer, marked as stale; and where
//! there is none, 503 with `Retry-After`. The order service is played here, too, and so are the clients.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fusebox_breaker::{Breaker, CallError, Cooldown, Guard, Settings, TracingListener};
use tokio::net::TcpListener;

/// What every request of the service shares.
struct Shop {
    client: reqwest::Client,
    orders: Guard,
    url: String,
    last_good: Mutex<Option<String>>,
}

impl Shop {
    /// One call, whole: an answer of 5xx, a timeout and a body that breaks off are errors, hence failures.
    async fn ask(&self) -> Result<String, reqwest::Error> {
        let answer = self.client.get(&self.url).send().await?;
        answer.error_for_status()?.text().await
    }
}

async fn orders(State(shop): State<Arc<Shop>>) -> Response {
    let error = match shop.orders.call_async(|| shop.ask()).await {
        Ok(body) => {
            *shop.last_good.lock().unwrap() = Some(body.clone());
            return body.into_response();
        }
        Err(error) => error,
    };
    if let Some(stale) = shop.last_good.lock().unwrap().clone() {
        return ([("x-stale", "true")], stale).into_response();
    }
    match error {
        CallError::Rejected(rejection) => {
            let seconds = rejection.retry_after(shop.orders.now()).unwrap_or(60);
            let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response()
        }
        CallError::Failed(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    let broken = Arc::new(AtomicBool::new(true));
    let url = serve(order_service(broken.clone())).await?;
    let settings = Settings {
        cooldown: Cooldown::fixed(Duration::from_millis(300)),
        ..Settings::default()
    };
    // The log tells every transition.
    let breaker = Breaker::builder("orders", settings)
        .listener(Arc::new(TracingListener))
        .build()?;
    let shop = Arc::new(Shop {
        client: reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .build()?,
        orders: Guard::of(breaker),
        url,
        last_good: Mutex::new(None),
    });
    let shop_url = serve(Router::new().route("/", get(orders)).with_state(shop)).await?;

    let client = reqwest::Client::new();
    for (phase, is_broken) in [
        ("broken from the start", true),
        ("mended", false),
        ("broken again", true),
    ] {
        broken.store(is_broken, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(350)).await;
        for _ in 0..7 {
            let answer = client.get(&shop_url).send().await?;
            let retry_after = answer.headers().get(header::RETRY_AFTER).cloned();
            let stale = answer.headers().get("x-stale").map_or("", |_| "stale");
            let status = answer.status();
            println!(
                "{phase}: {status} {:?} {retry_after:?} {stale}",
                answer.text().await?
            );
        }
    }
    Ok(())
}

/// The service that is called.
fn order_service(broken: Arc<AtomicBool>) -> Router {
    let answer = async move || match broken.load(Ordering::Relaxed) {
        true => Err(StatusCode::INTERNAL_SERVER_ERROR),
        false => Ok(r#"{"orders":[]}"#),
    };
    Router::new().route("/", get(answer))
}

/// Serves on a port of its own and returns the URL.
async fn serve(router: Router) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}
