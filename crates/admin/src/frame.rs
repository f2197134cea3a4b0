//! The frames of the event stream, in the form of server-sent events.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use fusebox_gateway::{BreakerPulse, Event, Gateway};
use serde_json::{Map, Value, json};

use crate::event_view::{self, head};
use crate::row;
use crate::view::time;
use crate::wishes::Wishes;

/// A comment, which says that the stream lives.
pub const ALIVE: Bytes = Bytes::from_static(b": alive\n\n");

/// The frame of an event.
pub fn event(gateway: &Gateway, node: &str, event: &Event) -> Bytes {
    let id = event_view::id(gateway.events(), event.number);
    let shown = event_view::event(event, node, gateway.clock().wall());
    frame(Some(&id), event_view::kind(&event.news), &shown)
}

/// The frame of a gap: events are lost, and the stream goes on after the one of number `last`. The number of lost ones is
/// null if it is not known.
pub fn gap(gateway: &Gateway, node: &str, missed: Option<u64>, last: u64) -> Bytes {
    let id = event_view::id(gateway.events(), last);
    let mut shown = head("gap", &now(gateway), node);
    shown.insert("missed".to_owned(), json!(missed));
    frame(Some(&id), "gap", &Value::Object(shown))
}

/// The frame of the rates.
pub fn pulse(gateway: &Gateway, node: &str, pulses: &[BreakerPulse]) -> Bytes {
    let mut shown = head("pulse", &now(gateway), node);
    let breakers: Map<_, _> = pulses
        .iter()
        .map(|pulse| {
            let numbers = json!({ "rates": row::rates(&pulse.rates), "second": pulse.second });
            (pulse.name.to_string(), numbers)
        })
        .collect();
    shown.insert("breakers".to_owned(), Value::Object(breakers));
    frame(None, "pulse", &Value::Object(shown))
}

/// The first bytes of a stream that continues after an event, with the number of the last event in them.
pub fn beginning(
    gateway: &Gateway,
    node: &Arc<str>,
    last_id: Option<&str>,
    wishes: &Wishes,
) -> (Bytes, u64) {
    let events = gateway.events();
    let mut bytes = b": fusebox\n\n".to_vec();
    let newest = events.latest(0).0;
    let Some(last_id) = last_id else {
        return (bytes.into(), newest);
    };
    let known = number(last_id, events.boot()).filter(|number| *number <= newest);
    let rest = events.after(known.unwrap_or_default());
    let mut last = known.unwrap_or_default() + rest.missed;
    match known {
        Some(_) if rest.missed == 0 => {}
        Some(_) => bytes.extend(gap(gateway, node, Some(rest.missed), last)),
        // Nobody knows what another start of the process has said since.
        None => {
            bytes.extend(gap(gateway, node, None, last));
            let id = event_view::id(events, last);
            let shown = Value::Object(head("reset", &now(gateway), node));
            bytes.extend(frame(Some(&id), "reset", &shown));
        }
    }
    for one in &rest.events {
        last = one.number;
        if wishes.include(one) {
            bytes.extend(event(gateway, node, one));
        }
    }
    (bytes.into(), last)
}

/// The number in an identifier of this start of the process; `None`: it is of another one, or none at all.
fn number(id: &str, boot: &str) -> Option<u64> {
    let (of, number) = id.rsplit_once('-')?;
    if of == boot {
        number.parse().ok()
    } else {
        None
    }
}

fn now(gateway: &Gateway) -> String {
    time(gateway.clock().exact(), gateway.clock().wall())
}

fn frame(id: Option<&str>, kind: &str, data: &Value) -> Bytes {
    let mut text = String::new();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    write!(text, "{id}event: {kind}\ndata: {data}\n\n").expect("a String takes any text");
    text.into()
}
