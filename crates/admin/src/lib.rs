//! Shows and steers a running gateway, on an address of its own.
//!
//! Everything goes through one [`Gateway`] handle: this crate sees no request and changes nothing
//! that the handle does not offer. The routes, which are all there is:
//!
//! | | |
//! |---|---|
//! | `GET /healthz` | every worker runs; 503 where one does not |
//! | `GET /readyz[?verbose]` | it takes requests; 503 while it drains |
//! | `GET /metrics` | Prometheus or OpenMetrics, by `Accept` |
//! | `GET /api/v1/breakers[?prefix=&state=&limit=&after=]` | the breakers, a page at a time |
//! | `GET /api/v1/breakers/{name}` | one breaker; a `/` in its name is `%2F` |
//! | `POST /api/v1/breakers/{name}/{open\|close\|reset\|release}` | an operator's word |
//! | `GET /api/v1/plan` | the plan as it runs, defaults filled in, secrets hidden |

mod breakers;
mod clock;
mod door;
mod fleet;
mod health;
mod list;
mod listen;
mod problem;
mod reserve;
mod seats;
mod stream;
mod token;
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
/// If the socket fails.
pub async fn serve(
    gateway: Gateway,
    token: Option<Secret>,
    socket: TcpListener,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    listen::serve(router(gateway, token), socket, stopped).await
}

/// The whole API, behind its door.
fn router(gateway: Gateway, token: Option<Secret>) -> Router {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/breakers", get(list::list))
        .route("/api/v1/breakers/{name}", get(breakers::show))
        .route("/api/v1/breakers/{name}/{action}", post(breakers::act))
        .route("/api/v1/plan", get(plan))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(gateway)
        .layer(axum::middleware::from_fn_with_state(
            door::Door::new(token),
            door::guard,
        ))
}

async fn plan(State(gateway): State<Gateway>) -> Response {
    Json(gateway.plan().to_json()).into_response()
}

async fn not_found(uri: http::Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: http::Uri) -> Problem {
    Problem::wrong_method(format!("{} does not take {method}", uri.path()))
}
