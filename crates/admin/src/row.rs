//! A row of the dashboard: a breaker, with the facts that an operator looks for first.

use fusebox_breaker::{HoldKind, Phase, Snapshot};
use fusebox_gateway::app::Circuit;
use fusebox_gateway::{BreakerStatus, Gateway, Rates, Series, UpstreamStatus, Wall};
use serde_json::{Value, json};

use crate::view::{self, time};

/// The row of a breaker. `upstream` is the one that it stands before as a whole, if it does.
pub fn breaker(
    status: &BreakerStatus,
    series: Option<&Series>,
    upstream: Option<&UpstreamStatus>,
    wall: Wall,
) -> Value {
    let mut row = view::breaker(status, None, wall);
    let kept = [
        "name",
        "upstream",
        "kind",
        "state",
        "mode",
        "hold",
        "generation",
        "since",
        "reason",
        "retry_at",
        "ramp",
        "persisted",
        "rules",
    ];
    if let Some(row) = row.as_object_mut() {
        row.retain(|key, _| kept.contains(&key.as_str()));
    }
    row["why"] = json!(why(&status.snapshot, wall));
    let nothing = Series::default();
    let series = series.unwrap_or(&nothing);
    row["rates"] = rates(&series.rates);
    row["minute"] = json!(series.minute);
    row["endpoints"] = json!(upstream.map(|upstream| {
        let in_use = upstream.endpoints.iter();
        let in_use = in_use.filter(|it| it.ejected_until.is_none() && it.health != "unhealthy");
        json!({ "in_use": in_use.count(), "of": upstream.endpoints.len() })
    }));
    row
}

/// The row of a circuit that a flow builds by hand: nothing counts its calls.
pub fn circuit(circuit: &Circuit, gateway: &Gateway) -> Value {
    let mut row = view::circuit(circuit, gateway.clock().wall_millis());
    if let Some(row) = row.as_object_mut() {
        row.remove("retry_after");
    }
    row["generation"] = Value::Null;
    row["since"] = Value::Null;
    row["ramp"] = Value::Null;
    row["why"] = row["reason"].clone();
    row["rules"] = json!([]);
    row["rates"] = Value::Null;
    row["minute"] = Value::Null;
    row["endpoints"] = Value::Null;
    row
}

/// The JSON of rates.
pub fn rates(rates: &Rates) -> Value {
    let shown = |value: f64| (value * 1_000.0).round() / 1_000.0;
    json!({
        "calls_per_s": shown(rates.calls_per_s),
        "failed_ratio": rates.failed_ratio.map(shown),
        "refused_per_s": shown(rates.refused_per_s),
        "fallback_per_s": shown(rates.fallback_per_s),
        "p50_ms": rates.p50_ms.map(shown),
        "p95_ms": rates.p95_ms.map(shown),
        "p99_ms": rates.p99_ms.map(shown),
    })
}

/// The cause of a state that is not simply closed, in a short sentence.
fn why(snapshot: &Snapshot, wall: Wall) -> Option<String> {
    if let Some(hold) = &snapshot.hold {
        let kind = match hold.kind {
            HoldKind::Open => "open",
            HoldKind::Closed => "closed",
        };
        return Some(format!("held {kind} by {}: {}", hold.by, hold.reason));
    }
    if let Some(ramp) = &snapshot.ramp {
        let (share, ends) = ((ramp.share * 100.0).round(), time(ramp.ends, wall));
        return Some(format!("{share}% of calls pass, all of them from {ends}"));
    }
    match snapshot.phase {
        Phase::Open | Phase::HalfOpen => snapshot.reason.as_ref().map(ToString::to_string),
        Phase::Closed => None,
    }
}
