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
//! | `GET /api/v1/calls/{name}/check[?deny=403]` | whether a call would pass, for proxies that ask for each request |
//! | `POST /api/v1/calls/{name}/{check\|report\|counter\|reset}` | a breaker as a service, for programs |
//! | `GET /api/v1/upstreams` | the upstreams with their endpoints, bulkheads, retry budgets and ladders |
//! | `GET /api/v1/state` | one snapshot of all that a dashboard shows, with the event to continue from |
//! | `GET /api/v1/events[?last_event_id=&type=&breaker=&pulse=1s]` | events as they happen, as server-sent events |
//! | `GET /openapi.json` | the OpenAPI description of all of this |
//! | `POST /api/v1/reload` | reads the configuration again |
//! | `POST /api/v1/last-good/purge` | removes last good answers |
//! | `GET /api/v1/plan` | the running plan, with defaults and without secrets |

mod access;
mod body;
mod breakers;
mod calls;
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
mod openapi;
mod page;
mod problem;
mod problem_kind;
mod rendered;
mod reserve;
mod routes;
mod row;
mod slots;
mod socket;
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
use fusebox_gateway::Gateway;
use fusebox_plan::plan::Secret;
use http::Method;

use crate::config::Config;
use crate::hub::Hub;
use crate::problem::Problem;
use crate::routes::Routes;

pub use crate::socket::{Socket, UnixSocket};

/// The options of the admin API.
#[derive(Clone)]
pub struct Options {
    /// The token that requests must carry; `None`: everybody may do everything.
    pub token: Option<Secret>,
    /// The token that may only read, beside `token`.
    pub read_token: Option<Secret>,
    /// The token that may only ask breakers and report to them, beside `token`.
    pub service_token: Option<Secret>,
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

/// Serves the admin API on bound sockets until `stopped` is done.
///
/// # Errors
/// Fails if a socket cannot listen.
pub async fn serve(
    gateway: Gateway,
    options: Options,
    sockets: Vec<Socket>,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    // Some connections are for those who ask once.
    let hub = Hub::new(gateway.clone(), listen::connections_max() / 2);
    let router = router(gateway, &options, hub.clone());
    let telling = tokio::spawn(hub.clone().run());
    let served = listen::serve(router, sockets, stopped).await;
    // A stream that breaks off would look like a fault to its reader.
    hub.farewell().await;
    telling.abort();
    served
}

/// The OpenAPI description of the API, which `GET /openapi.json` answers.
pub fn openapi() -> serde_json::Value {
    openapi::document()
}

/// All routes. Each is in the description, too.
fn routes() -> Routes<Admin> {
    Routes::new()
        .get("/", rendered::page)
        .get("/page/{*name}", page::asset)
        .get("/healthz", health::live)
        .get("/readyz", health::ready)
        .get("/metrics", health::metrics)
        .get("/openapi.json", openapi::show)
        .get("/api/v1/state", state::show)
        .get("/api/v1/events", events::stream)
        .post("/api/v1/reload", config::reload)
        .get("/api/v1/breakers", list::list)
        .get("/api/v1/breakers/{name}", breakers::show)
        .post("/api/v1/breakers/{name}/open", breakers::open)
        .post("/api/v1/breakers/{name}/close", breakers::close)
        .post("/api/v1/breakers/{name}/reset", breakers::reset)
        .post("/api/v1/breakers/{name}/release", breakers::release)
        .get("/api/v1/calls/{name}/check", calls::look)
        .post("/api/v1/calls/{name}/check", calls::check)
        .others("/api/v1/calls/{name}/check", calls::look_by_another_method)
        .post("/api/v1/calls/{name}/report", calls::report)
        .post("/api/v1/calls/{name}/counter", calls::counter)
        .post("/api/v1/calls/{name}/reset", calls::reset)
        .post("/api/v1/last-good/purge", last_good::purge)
        .get("/api/v1/upstreams", upstreams::list)
        .get("/api/v1/plan", plan)
}

/// The API: its routes, behind the access checks.
fn router(gateway: Gateway, options: &Options, hub: Hub) -> Router {
    let access = access::Access::new(
        options.token.as_ref(),
        options.read_token.as_ref(),
        options.service_token.as_ref(),
    );
    routes()
        .router
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
    let asked = uri.path().strip_prefix("/api/v1/calls/");
    if let Some((_, word)) = asked.and_then(|it| it.split_once('/')) {
        return Problem::not_found(match word.contains('/') {
            true => "unknown path; write a `/` in a breaker's name as %2F".to_owned(),
            false => format!("unknown word `{word}`; expected check, report, counter or reset"),
        });
    }
    Problem::not_found(format!("unknown path {}", uri.path()))
}

async fn wrong_method(method: Method, uri: http::Uri) -> Problem {
    Problem::wrong_method(format!("{} does not support {method}", uri.path()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_no_other() {
        let known: BTreeSet<_> = routes()
            .known
            .iter()
            .map(|(method, path)| format!("{method} {}", path.replace("{*", "{")))
            .collect();
        let document = openapi();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let missing: Vec<_> = known.difference(&described).collect();
        let gone: Vec<_> = described.difference(&known).collect();
        assert!(
            missing.is_empty(),
            "describe them in openapi/paths.rs: {missing:?}"
        );
        assert!(gone.is_empty(), "the router does not know them: {gone:?}");
    }
}
