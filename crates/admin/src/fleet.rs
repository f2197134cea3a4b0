//! How a shared breaker is shown as JSON: this node's view, and the record that is the fleet's truth.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use fusebox_gateway::fleet::{FleetCount, FleetView, Record, State};
use fusebox_gateway::{BreakerStatus, FleetShown, Wall};
use fusebox_plan::plan::Share;
use serde_json::{Value, json};

use crate::view;

/// This gateway in its fleet, its breakers by name.
pub struct Fleet {
    node: String,
    store: &'static str,
    same_name: usize,
    breakers: HashMap<String, FleetView>,
}

impl Fleet {
    /// What the gateway shows.
    pub fn of(shown: FleetShown) -> Fleet {
        let views = shown.breakers.into_iter();
        Fleet {
            node: shown.node.to_string(),
            store: shown.status.health.as_str(),
            same_name: shown.status.same_name,
            breakers: views.map(|view| (view.name.to_string(), view)).collect(),
        }
    }
}

/// The `fleet` of a breaker: `null` where it is not shared, or there is no fleet.
pub fn fleet(fleet: Option<&Fleet>, breaker: &BreakerStatus, wall: Wall) -> Value {
    let (Some(fleet), true) = (fleet, breaker.share != Share::None) else {
        return Value::Null;
    };
    let view = fleet.breakers.get(&*breaker.name);
    let until = view.and_then(|view| view.may_probe_until);
    json!({
        "share": breaker.share.to_string(),
        "node": fleet.node,
        "store": fleet.store,
        "others_of_this_name": fleet.same_name,
        "alone": view.is_none_or(|view| view.alone),
        "may_probe_until": until.map(|at| view::time(at, wall)),
        "record": view.and_then(|view| Some(record(view.record.as_ref()?, &view.counted))),
    })
}

/// The record. Its times are the server's.
fn record(record: &Record, counted: &[FleetCount]) -> Value {
    let votes = record.votes.iter();
    let counts = counted.iter();
    let lease = record.lease.as_ref();
    let hold = record.hold.as_ref().map(|hold| {
        json!({
            "kind": if hold.open { "open" } else { "closed" },
            "until": hold.until.map(time),
            "reason": hold.why,
            "by": hold.by,
        })
    });
    json!({
        "epoch": record.version.epoch,
        "term": record.version.term,
        "since": time(record.version.since),
        "written": time(record.at),
        "state": match record.state {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
        },
        "until": (record.state == State::Open).then(|| time(record.until)),
        "attempts": record.attempts,
        "by": record.by,
        "why": record.why,
        "votes": votes.map(|(node, until)| json!({ "node": node, "until": time(*until) })).collect::<Vec<_>>(),
        "counts": counts.map(|count| json!({ "observed": count.observed, "threshold": count.threshold })).collect::<Vec<_>>(),
        "lease": lease.map(|lease| json!({ "node": lease.node, "until": time(lease.ends) })),
        "hold": hold,
    })
}

/// A moment on the server's clock, in milliseconds since the Unix epoch, as RFC 3339 in UTC.
fn time(millis: u64) -> Option<String> {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    // A record may hold anything; a time that nobody can write is none.
    let shown = at.filter(|_| millis < 253_402_300_800_000);
    shown.map(|at| humantime::format_rfc3339_millis(at).to_string())
}
