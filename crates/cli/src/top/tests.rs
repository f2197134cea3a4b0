//! A gateway's answers for the tests of the transitions and of the screen.

mod screen;
mod transitions;

use std::time::Duration;

use serde_json::{Value, json};

use super::app::{App, update};
use super::input::{Effect, Input, Key};
use super::model::Snapshot;
use super::theme::Theme;

/// The theme of a terminal that can do everything.
const FULL: Theme = Theme {
    colours: true,
    unicode: true,
};

fn rates(calls: f64, failed: Option<f64>, refused: f64, p99: Option<f64>) -> Value {
    json!({
        "calls_per_s": calls, "failed_ratio": failed, "refused_per_s": refused, "fallback_per_s": 0.0,
        "p50_ms": p99.map(|it| it / 4.0), "p95_ms": p99.map(|it| it / 2.0), "p99_ms": p99,
    })
}

fn row(name: &str, state: &str, more: Value) -> Value {
    let mut row = json!({
        "name": name, "upstream": name, "kind": "upstream", "state": state, "mode": "enforce", "hold": null,
        "generation": 3, "since": "2026-11-30T02:59:40.000Z", "reason": null, "retry_at": null, "ramp": null,
        "persisted": true, "why": null, "rules": [], "rates": rates(2.0, Some(0.0), 0.0, Some(40.0)),
        "minute": vec![[2, 0, 0]; 60], "endpoints": null,
    });
    let more = more.as_object().cloned().unwrap_or_default();
    row.as_object_mut().unwrap().extend(more);
    row
}

/// A gateway at three in the morning.
fn state() -> Value {
    json!({
        "event_id": "b-2", "now": "2026-11-30T03:00:00.000Z",
        "gateway": {
            "node": "gw-1", "version": "0.1.0", "started_at": "2026-11-30T00:00:00.000Z", "draining": false,
            "read_only": false, "store": { "state": "reachable", "kind": "embedded" },
            "fleet": { "nodes": [{ "name": "gw-1" }, { "name": "gw-2" }], "expected": 3 },
        },
        "counts": { "breakers": 5 },
        "breakers": [
            row("orders", "open", json!({
                "retry_at": "2026-11-30T03:00:12.000Z", "why": "5 consecutive failures",
                "rates": rates(0.0, None, 118.0, None),
            })),
            row("mail", "half_open", json!({ "why": "the cooldown ended" })),
            row("pay", "closed", json!({ "hold": {
                "kind": "open", "by": "anna", "reason": "moving", "until": "2026-11-30T03:08:00.000Z",
            } })),
            row("stock", "closed", json!({
                "rules": [{ "rule": "consecutive_failures", "observed": 2.0, "threshold": 5.0 }],
                "endpoints": { "in_use": 3, "of": 4 },
            })),
            row("users", "closed", json!({})),
        ],
        "events": [
            {
                "id": "b-1", "type": "reload", "at": "2026-11-30T02:59:00.000Z", "result": "ok",
                "changed": ["orders"],
            },
            {
                "id": "b-2", "type": "transition", "at": "2026-11-30T02:59:40.000Z", "breaker": "orders",
                "from": "closed", "to": "open", "reason": "5 consecutive failures",
            },
        ],
    })
}

fn snapshot(state: &Value) -> Snapshot {
    serde_json::from_value(state.clone()).unwrap()
}

/// The answer about `orders` alone.
fn breaker() -> Value {
    json!({
        "name": "orders", "state": "open", "hold": null, "generation": 3, "now": "2026-11-30T03:00:00.000Z",
        "since": "2026-11-30T02:59:40.000Z", "reason": "5 consecutive failures",
        "explanation": { "text": "Open since 02:59:40 after 5 consecutive failures; tries again in 12s." },
        "last_failures": [
            {
                "at": "2026-11-30T02:59:40.000Z", "endpoint": "http://10.0.0.7:80", "status": 503, "ms": 41.2,
                "request_id": "req-9",
            },
            { "at": "2026-11-30T02:59:39.000Z", "endpoint": null, "status": null, "error": "timeout", "ms": 2000.0 },
        ],
    })
}

/// The program before any input.
fn app() -> App {
    App::new(snapshot(&state()))
}

/// Takes inputs at times that do not move.
fn take(app: &mut App, inputs: impl IntoIterator<Item = Input>) -> Vec<Effect> {
    let at = app.at;
    inputs
        .into_iter()
        .flat_map(|input| update(app, at, input))
        .collect()
}

fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let keys = keys.chars().map(|char| match char {
        '\n' => Key::Enter,
        '\u{1b}' => Key::Escape,
        '\u{8}' => Key::Backspace,
        char => Key::Char(char),
    });
    take(app, keys.map(Input::Key))
}

fn later(app: &mut App, by: Duration) -> Vec<Effect> {
    let at = app.at + by;
    update(app, at, Input::Tick)
}
