//! An event of the gateway, as a line for people.

use std::time::SystemTime;

use serde_json::Value;

use super::model::event_time;
use super::theme::Tone;
use super::words::{clock, state_word};

/// An event as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// The event's identifier; gaps have one, too.
    pub id: Option<String>,
    /// The time of the event.
    pub at: SystemTime,
    /// The breaker that it is about.
    pub breaker: Option<String>,
    /// The tone in which it is shown.
    pub tone: Tone,
    /// The event in words.
    pub text: String,
}

impl News {
    /// The line of an event.
    pub fn read(event: &Value) -> News {
        let (tone, text) = told(event);
        let owned = |name: &str| event[name].as_str().map(str::to_owned);
        News {
            id: owned("id"),
            at: event_time(&event["at"]).unwrap_or(SystemTime::UNIX_EPOCH),
            breaker: owned("breaker"),
            tone,
            text,
        }
    }
}

fn told(event: &Value) -> (Tone, String) {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    match text("type") {
        "transition" => {
            let tone = match text("to") {
                "open" => Tone::Bad,
                "half_open" => Tone::Warning,
                _ => Tone::Good,
            };
            let to = state_word(text("to"));
            let reason = event["reason"].as_str();
            let reason = reason.map_or_else(
                || format!("was {}", state_word(text("from"))),
                str::to_owned,
            );
            (tone, format!("{to}: {reason}"))
        }
        "hold" => {
            let by = event["by"].as_str().unwrap_or("an operator");
            let Some(kind) = event["hold"].as_str() else {
                return (Tone::Held, format!("released by {by}"));
            };
            let until = event_time(&event["until"]);
            let until = until.map_or("without end".into(), |at| format!("until {}", clock(at)));
            let reason = text("reason");
            (Tone::Held, format!("held {kind} {until} by {by}: {reason}"))
        }
        "reset" if event["breaker"].is_string() => (Tone::Good, "reset".into()),
        "reset" => (Tone::Warning, "the gateway has started anew".into()),
        "reload" => match text("result") {
            "ok" => (
                Tone::Good,
                format!("configuration reloaded{}", changed(event)),
            ),
            result => (
                Tone::Bad,
                format!("reload {result}: the old configuration stays"),
            ),
        },
        "store" => match text("state") {
            "reachable" => (Tone::Good, "store reachable".into()),
            state => (Tone::Bad, format!("store {state}")),
        },
        "ejection" => {
            let place = format!("{} of {}", text("endpoint"), text("upstream"));
            match (event["ejected"].as_bool(), event_time(&event["until"])) {
                (Some(true), Some(at)) => (
                    Tone::Bad,
                    format!("endpoint {place} ejected until {}", clock(at)),
                ),
                (Some(true), None) => (Tone::Bad, format!("endpoint {place} ejected")),
                _ => (Tone::Good, format!("endpoint {place} is back")),
            }
        }
        "health" => {
            let tone = match text("health") {
                "healthy" => Tone::Good,
                _ => Tone::Warning,
            };
            let place = format!("{} of {}", text("endpoint"), text("upstream"));
            (tone, format!("endpoint {place} is {}", text("health")))
        }
        "webhook" => (Tone::Plain, format!("webhook {}", text("result"))),
        "gap" => match event["missed"].as_u64() {
            Some(missed) => (Tone::Warning, format!("{missed} events are missing here")),
            None => (Tone::Warning, "events are missing here".into()),
        },
        other => (Tone::Plain, other.to_owned()),
    }
}

/// The names that a reload changed, the first few of them.
fn changed(event: &Value) -> String {
    let names = event["changed"].as_array().map_or(&[][..], Vec::as_slice);
    let shown: Vec<_> = names.iter().filter_map(Value::as_str).take(3).collect();
    match (shown.len(), names.len()) {
        (0, _) => String::new(),
        (few, all) if few < all => format!(": {} and {} more", shown.join(", "), all - few),
        _ => format!(": {}", shown.join(", ")),
    }
}
