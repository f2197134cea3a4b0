//! The JSON of a shared breaker: this node's view of it, and the fleet's record.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use fusebox_gateway::fleet::{FleetCount, FleetView, Record, State};
use fusebox_gateway::{BreakerStatus, FleetShown, Wall};
use fusebox_plan::plan::Share;
use serde_json::{Value, json};

use crate::view;

/// This gateway's part in its fleet, with its shared breakers by name.
pub struct Fleet {
    node: String,
    store: &'static str,
    same_name: usize,
    breakers: HashMap<String, FleetView>,
}

impl Fleet {
    /// Indexes the gateway's fleet status by breaker.
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

/// The `fleet` member of a breaker: `null` without a fleet, or if the breaker is not shared.
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

/// The JSON of a record. Its times are the server's.
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

/// Formats a time on the server's clock, in milliseconds since the Unix epoch, as RFC 3339 in UTC.
pub fn time(millis: u64) -> Option<String> {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    // A record may hold any number; a time beyond the year 9999 has no form.
    let shown = at.filter(|_| millis < 253_402_300_800_000);
    shown.map(|at| humantime::format_rfc3339_millis(at).to_string())
}
