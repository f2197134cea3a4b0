//! One snapshot of all that the dashboard shows, with the event to continue from.
//!
//! The number of the last event is read before anything else. So what an event up to it says is in the rows, and a
//! stream that continues after it loses nothing and repeats nothing.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Json;
use fusebox_breaker::Phase;
use fusebox_gateway::{BreakerKind, Gateway, Overview, Ranking, UpstreamStatus};
use serde_json::{Value, json};

use crate::config::Config;
use crate::hub::Hub;
use crate::token::Grant;
use crate::view::{millis, time};
use crate::{event_view, fleet, row, upstreams};

/// The most rows.
const ROWS_MAX: usize = 1_000;
/// The most events.
const EVENTS_SHOWN: usize = 200;
/// Number of rows to write before other tasks of the thread get their turn.
const AT_ONCE: usize = 64;

/// Answers `GET /api/v1/state`.
pub async fn show(
    State(gateway): State<Gateway>,
    State(config): State<Arc<dyn Config>>,
    State(hub): State<Hub>,
    Extension(grant): Extension<Grant>,
) -> Json<Value> {
    let (last, events) = gateway.events().latest(EVENTS_SHOWN);
    let overview = gateway.overview().await;
    let wall = gateway.clock().wall();
    let events: Vec<_> = events
        .iter()
        .map(|event| {
            let mut shown = event_view::event(event, &overview.node, wall);
            shown["id"] = json!(event_view::id(gateway.events(), event.number));
            shown
        })
        .collect();
    let ranking = gateway.ranking(ROWS_MAX).await;
    // An unreachable store hides its circuits and no breakers: the state matters most at such a time.
    let (circuits, incomplete) = match gateway.circuits().await {
        Ok(circuits) => (circuits, None),
        Err(error) => (Vec::new(), Some(format!("circuits of flows: {error}"))),
    };
    let mut counts = ranking.counts;
    circuits.iter().for_each(|it| counts.count(it.state));
    let upstreams = gateway.upstreams();
    let mut rows = breakers(&gateway, &ranking, &upstreams).await;
    let (open, rest): (Vec<_>, Vec<_>) = circuits.iter().partition(|it| it.state != Phase::Closed);
    rows.splice(0..0, open.into_iter().map(|it| row::circuit(it, &gateway)));
    rows.extend(rest.into_iter().map(|it| row::circuit(it, &gateway)));
    let more = ranking.more + rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    Json(json!({
        "event_id": event_view::id(gateway.events(), last),
        "now": time(gateway.clock().exact(), wall),
        "gateway": about(&gateway, &overview, &*config, grant),
        "counts": {
            "breakers": counts.breakers,
            "open": counts.open,
            "half_open": counts.half_open,
            "closed": counts.closed,
            "held": counts.held,
            "ramp": counts.ramp,
            "disabled": counts.disabled,
        },
        "breakers": rows,
        "more": more,
        "incomplete": incomplete,
        "watchers": hub.listeners(),
        "upstreams": upstreams::all(&upstreams, wall),
        "events": events,
    }))
}

async fn breakers(
    gateway: &Gateway,
    ranking: &Ranking,
    upstreams: &[UpstreamStatus],
) -> Vec<Value> {
    let upstreams: HashMap<_, _> = upstreams.iter().map(|it| (&*it.name, it)).collect();
    let wall = gateway.clock().wall();
    let mut rows = Vec::new();
    for chunk in ranking.breakers.chunks(AT_ONCE) {
        for listed in chunk {
            let status = gateway.read(listed);
            let series = gateway.series(listed);
            let whole = status.kind == BreakerKind::Upstream;
            let upstream = upstreams.get(&*status.upstream).filter(|_| whole);
            rows.push(row::breaker(
                &status,
                series.as_ref(),
                upstream.copied(),
                wall,
            ));
        }
        tokio::task::yield_now().await;
    }
    rows
}

fn about(gateway: &Gateway, overview: &Overview, config: &dyn Config, grant: Grant) -> Value {
    let loaded = config.loaded();
    let kind = config.store_kind();
    let wall = gateway.clock().wall();
    let state = match (kind, overview.store_away) {
        ("memory", _) => "none",
        (_, true) => "away",
        (_, false) => "reachable",
    };
    let fleet = overview.fleet.as_ref().map(|fleet| {
        let nodes = fleet.nodes.iter().map(|(name, seen_at)| {
            let own = **name == *overview.node;
            json!({ "name": name, "self": own, "seen_at": seen_at.and_then(fleet::time) })
        });
        json!({ "nodes": nodes.collect::<Vec<_>>(), "expected": fleet.expected })
    });
    json!({
        "node": &*overview.node,
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": time(overview.started_at, wall),
        "config": {
            "file": loaded.file,
            "hash": loaded.hash,
            "loaded_at": millis(overview.loaded_at),
        },
        "draining": overview.draining,
        "read_only": grant == Grant::Read,
        "store": { "state": state, "kind": kind },
        "fleet": fleet,
    })
}
