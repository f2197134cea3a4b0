//! The upstreams: their endpoints, bulkheads, retry budgets and ladders.

use axum::extract::State;
use axum::response::Json;
use fusebox_gateway::{EndpointStatus, Gateway, UpstreamStatus, Wall};
use serde_json::{Value, json};

use crate::view::{due, milliseconds};

/// Answers `GET /api/v1/upstreams`.
pub async fn list(State(gateway): State<Gateway>) -> Json<Value> {
    Json(json!({ "upstreams": all(&gateway.upstreams(), gateway.clock().wall()) }))
}

/// The JSON of all upstreams.
pub fn all(upstreams: &[UpstreamStatus], wall: Wall) -> Vec<Value> {
    upstreams.iter().map(|it| upstream(it, wall)).collect()
}

/// The JSON of an upstream. Parts that are not configured are null.
fn upstream(status: &UpstreamStatus, wall: Wall) -> Value {
    let endpoints = status.endpoints.iter();
    json!({
        "name": &*status.name,
        "endpoints": endpoints.map(|it| endpoint(it, wall)).collect::<Vec<_>>(),
        "bulkhead": status.bulkhead.map(|bulkhead| json!({
            "concurrent": bulkhead.concurrent,
            "in_flight": bulkhead.in_flight,
            "queued": bulkhead.queued,
        })),
        "retry": status.budget_ratio.map(|ratio| json!({ "budget_ratio": ratio })),
        "last_good": status.last_good.map(|last_good| json!({
            "entries": last_good.entries,
            "bytes": last_good.bytes,
        })),
        "fallback": {
            "last_good": status.fallback.last_good,
            "upstream": status.fallback.upstream,
            "respond": status.fallback.respond,
            "none": status.fallback.none,
        },
    })
}

fn endpoint(status: &EndpointStatus, wall: Wall) -> Value {
    json!({
        "name": &*status.name,
        "url": &*status.url,
        "weight": status.weight,
        "state": status.state.as_str(),
        "health": status.health,
        "would_eject": status.would_eject,
        "ejected_until": status.ejected_until.map(|at| due(at, wall)),
        "in_flight": status.in_flight,
        "ewma_ms": status.ewma.map(milliseconds),
    })
}
