//! Liveness, readiness and metrics of the gateway.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use fusebox_gateway::{Exposition, Gateway};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use crate::problem::Problem;

/// Answers `GET /healthz`: 200 while every worker responds, 503 otherwise.
pub async fn live(State(gateway): State<Gateway>) -> Response {
    let silent = gateway.silent_workers().await;
    if silent.is_empty() {
        return "ok\n".into_response();
    }
    let text: String = silent
        .iter()
        .map(|worker| format!("worker {worker} does not answer\n"))
        .collect();
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// Answers `GET /readyz`: 200 while requests are accepted, 503 while the gateway drains.
pub async fn ready(State(gateway): State<Gateway>, RawQuery(query): RawQuery) -> Response {
    let parts = gateway.parts();
    let ready = parts.iter().all(|part| part.ready);
    let verbose = is_verbose(query.as_deref());
    let mut text = String::new();
    if verbose {
        for part in &parts {
            let mark = if part.ready { "ok" } else { "not ready" };
            text.push_str(&format!("{}: {mark}: {}\n", part.name, part.detail));
        }
    }
    text.push_str(if ready { "ready\n" } else { "not ready\n" });
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, text).into_response()
}

/// True if a query requests each part's state. That reveals addresses and the fleet's server, so it requires the token.
pub fn is_verbose(query: Option<&str>) -> bool {
    let mut parts = query.unwrap_or_default().split('&');
    parts.any(|part| part.split('=').next() == Some("verbose"))
}

/// Answers `GET /metrics`, in the format of the `Accept` field.
pub async fn metrics(State(gateway): State<Gateway>, headers: HeaderMap) -> Response {
    let open = headers.get_all(ACCEPT).iter().any(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("application/openmetrics-text"))
    });
    let form = if open {
        Exposition::OpenMetrics
    } else {
        Exposition::Prometheus
    };
    match gateway.metrics(form).await {
        Ok(text) => ([(CONTENT_TYPE, form.media_type())], text).into_response(),
        Err(_) => Problem::internal("the metrics could not be written").into_response(),
    }
}
