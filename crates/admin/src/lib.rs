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
//! | `GET /api/v1/state` | one snapshot of all that a dashboard shows, with the event to continue from |
//! | `GET /api/v1/events[?last_event_id=&type=&breaker=&pulse=1s]` | events as they happen, as server-sent events |
//! | `POST /api/v1/reload` | reads the configuration again |
//! | `POST /api/v1/last-good/purge` | removes last good answers |
//! | `GET /api/v1/plan` | the running plan, with defaults and without secrets |

mod access;
mod body;
mod breakers;
mod clock;
pub mod config;
mod event_view;
mod events;
mod fleet;
mod frame;
mod health;
mod hub;
mod last_good;
mod list;
mod listen;
mod page;
mod problem;
mod problem_kind;
mod rendered;
mod reserve;
mod row;
mod slots;
mod state;
mod stream;
mod token;
mod upstreams;
mod view;
mod wishes;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use fusebox_gateway::Gateway;
use fusebox_plan::plan::Secret;
use http::Method;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::hub::Hub;
use crate::problem::Problem;

/// The options of the admin API.
#[derive(Clone)]
pub struct Options {
    /// The token that requests must carry; `None`: everybody may do everything.
    pub token: Option<Secret>,
    /// The token that may only read, beside `token`.
    pub read_token: Option<Secret>,
    /// The configuration behind the gateway.
    pub config: Arc<dyn Config>,
}

/// The state of all routes.
#[derive(Clone)]
struct Admin {
    gateway: Gateway,
    config: Arc<dyn Config>,
    hub: Hub,
}

impl FromRef<Admin> for Gateway {
    fn from_ref(admin: &Admin) -> Gateway {
        admin.gateway.clone()
    }
}

impl FromRef<Admin> for Arc<dyn Config> {
    fn from_ref(admin: &Admin) -> Arc<dyn Config> {
        admin.config.clone()
    }
}

impl FromRef<Admin> for Hub {
    fn from_ref(admin: &Admin) -> Hub {
        admin.hub.clone()
    }
}

/// Serves the admin API on a bound socket until `stopped` is done.
///
/// # Errors
/// Fails if the socket cannot listen.
pub async fn serve(
    gateway: Gateway,
    options: Options,
    socket: TcpListener,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    // Some connections are for those who ask once.
    let hub = Hub::new(gateway.clone(), listen::connections_max() / 2);
    let router = router(gateway, &options, hub.clone());
    let serving = async {
        hub.run().await;
        std::future::pending().await
    };
    tokio::select! {
        served = listen::serve(router, socket, stopped) => served,
        never = serving => never,
    }
}

/// All routes of the API, behind the access checks.
fn router(gateway: Gateway, options: &Options, hub: Hub) -> Router {
    let access = access::Access::new(options.token.as_ref(), options.read_token.as_ref());
    Router::new()
        .route("/", get(rendered::page))
        .route("/page/{*name}", get(page::asset))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/state", get(state::show))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/reload", post(config::reload))
        .route("/api/v1/breakers", get(list::list))
        .route("/api/v1/breakers/{name}", get(breakers::show))
        .route("/api/v1/breakers/{name}/open", post(breakers::open))
        .route("/api/v1/breakers/{name}/close", post(breakers::close))
        .route("/api/v1/breakers/{name}/reset", post(breakers::reset))
        .route("/api/v1/breakers/{name}/release", post(breakers::release))
        .route("/api/v1/last-good/purge", post(last_good::purge))
        .route("/api/v1/upstreams", get(upstreams::list))
        .route("/api/v1/plan", get(plan))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Admin {
            gateway,
            config: options.config.clone(),
            hub,
        })
        .layer(axum::middleware::from_fn_with_state(access, access::check))
}

async fn plan(State(gateway): State<Gateway>) -> Response {
    Json(gateway.plan().to_json()).into_response()
}

async fn not_found(method: Method, uri: http::Uri) -> Problem {
    let command = uri.path().strip_prefix("/api/v1/breakers/");
    if let Some((_, word)) = command.and_then(|it| it.split_once('/'))
        && !word.is_empty()
    {
        return Problem::not_found(if method == Method::POST && !word.contains('/') {
            format!("unknown command `{word}`; expected open, close, reset or release")
        } else {
            "unknown path; write a `/` in a breaker's name as %2F".to_owned()
        });
    }
    Problem::not_found(format!("unknown path {}", uri.path()))
}

async fn wrong_method(method: Method, uri: http::Uri) -> Problem {
    Problem::wrong_method(format!("{} does not support {method}", uri.path()))
}
