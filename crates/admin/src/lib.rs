//! The admin API of a running gateway, on an address of its own.
//!
//! All requests go through one [`Gateway`] handle: this crate sees no client's request and changes only what the handle
//! allows. The complete list of routes:
//!
//! | | |
//! |---|---|
//! | `GET /` | the dashboard, whose assets are below `/page/` |
//! | `GET /healthz` | 200 if every worker responds, otherwise 503 |
//! | `GET /readyz[?verbose]` | 200 while requests are accepted, 503 while draining |
//! | `GET /metrics` | Prometheus or OpenMetrics, by `Accept` |
//! | `GET /api/v1/breakers[?prefix=&state=&limit=&after=]` | the breakers, in pages |
//! | `GET /api/v1/breakers/{name}` | one breaker; a `/` in its name is `%2F` |
//! | `POST /api/v1/breakers/{name}/{open\|close\|reset\|release}` | an operator's command |
//! | `GET /api/v1/upstreams` | the upstreams with their endpoints, bulkheads, retry budgets and ladders |
//! | `GET /api/v1/plan` | the running plan, with defaults and without secrets |

mod access;
mod breakers;
mod clock;
mod fleet;
mod health;
mod last_good;
mod list;
mod listen;
mod page;
mod problem;
mod rendered;
mod reserve;
mod slots;
mod stream;
mod token;
mod upstreams;
mod view;

use std::io;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use fusebox_gateway::Gateway;
use fusebox_plan::plan::Secret;
use http::Method;
use tokio::net::TcpListener;

use crate::problem::Problem;

/// Serves the admin API on a bound socket until `stopped` is done.
///
/// # Errors
/// Fails if the socket cannot listen.
pub async fn serve(
    gateway: Gateway,
    token: Option<Secret>,
    socket: TcpListener,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    listen::serve(router(gateway, token), socket, stopped).await
}

/// All routes of the API, behind the access checks.
fn router(gateway: Gateway, token: Option<Secret>) -> Router {
    Router::new()
        .route("/", get(rendered::page))
        .route("/page/{*name}", get(page::asset))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/breakers", get(list::list))
        .route("/api/v1/breakers/{name}", get(breakers::show))
        .route("/api/v1/breakers/{name}/{action}", post(breakers::act))
        .route("/api/v1/last-good/purge", post(last_good::purge))
        .route("/api/v1/upstreams", get(upstreams::list))
        .route("/api/v1/plan", get(plan))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(gateway)
        .layer(axum::middleware::from_fn_with_state(
            access::Access::new(token),
            access::check,
        ))
}

async fn plan(State(gateway): State<Gateway>) -> Response {
    Json(gateway.plan().to_json()).into_response()
}

async fn not_found(uri: http::Uri) -> Problem {
    Problem::not_found(format!("unknown path {}", uri.path()))
}

async fn wrong_method(method: Method, uri: http::Uri) -> Problem {
    Problem::wrong_method(format!("{} does not support {method}", uri.path()))
}
