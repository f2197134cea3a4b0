//! The JSON of events, with the fields that they have by their type.

use fusebox_breaker::HoldKind;
use fusebox_gateway::{Event, Events, News, Wall};
use serde_json::{Map, Value, json};

use crate::config::diagnostic;
use crate::view::{due, time};

/// The type of an event: the `event` field of the stream, and the member `type`.
pub fn kind(news: &News) -> &'static str {
    match news {
        News::Transition { .. } => "transition",
        News::Hold { .. } => "hold",
        News::Reload { .. } => "reload",
        News::Store { .. } => "store",
        News::Ejection { .. } => "ejection",
        News::Health { .. } => "health",
    }
}

/// The breaker that an event is about; `None`: it is about no single one.
pub fn breaker(news: &News) -> Option<&str> {
    match news {
        News::Transition { breaker, .. } | News::Hold { breaker, .. } => Some(breaker),
        _ => None,
    }
}

/// The identifier of an event's number, from which a stream continues: `BOOT-SEQ`.
pub fn id(events: &Events, number: u64) -> String {
    format!("{}-{number}", events.boot())
}

/// The members that every event has.
pub fn head(kind: &str, at: &str, node: &str) -> Map<String, Value> {
    let members = [("type", kind), ("at", at), ("node", node)];
    let members = members.map(|(name, value)| (name.to_owned(), value.into()));
    members.into_iter().collect()
}

/// The JSON of an event.
pub fn event(event: &Event, node: &str, wall: Wall) -> Value {
    let mut shown = head(kind(&event.news), &time(event.at, wall), node);
    let members = match &event.news {
        News::Transition {
            breaker,
            upstream,
            kind,
            from,
            to,
            reason,
            generation,
            retry_at,
        } => json!({
            "breaker": &**breaker,
            "upstream": &**upstream,
            "kind": kind.as_str(),
            "from": from.as_str(),
            "to": to.as_str(),
            "reason": reason,
            "generation": generation,
            "retry_at": retry_at.map(|at| due(at, wall)),
        }),
        News::Hold {
            breaker,
            hold,
            until,
            reason,
            by,
        } => json!({
            "breaker": &**breaker,
            "hold": hold.map(|hold| match hold {
                HoldKind::Open => "open",
                HoldKind::Closed => "closed",
            }),
            "until": until.map(|at| time(at, wall)),
            "reason": &**reason,
            "by": &**by,
        }),
        News::Reload {
            result,
            changed,
            diagnostics,
        } => json!({
            "result": result.as_str(),
            "changed": changed,
            "diagnostics": diagnostics.iter().map(diagnostic).collect::<Vec<_>>(),
        }),
        News::Store { reachable } => json!({
            "state": if *reachable { "reachable" } else { "away" },
        }),
        News::Ejection {
            upstream,
            endpoint,
            ejected,
            until,
        } => json!({
            "upstream": &**upstream,
            "endpoint": &**endpoint,
            "ejected": ejected,
            "until": until.map(|at| due(at, wall)),
        }),
        News::Health {
            upstream,
            endpoint,
            health,
        } => json!({
            "upstream": &**upstream,
            "endpoint": &**endpoint,
            "health": health,
        }),
    };
    if let Value::Object(members) = members {
        shown.extend(members);
    }
    Value::Object(shown)
}
