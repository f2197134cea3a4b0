//! The JSON of a breaker, in the words of the configuration, metrics and library.

use std::time::{Duration, UNIX_EPOCH};

use fusebox_breaker::{
    Cause, HoldKind, Over, Phase, Rejection, Timestamp, Transition,
    machine::{Explanation, Gap, Next, RuleGap},
};
use fusebox_gateway::app::Circuit;
use fusebox_gateway::{BreakerStatus, FailedCall, RequestId, Wall};
use serde_json::{Value, json};

use crate::fleet::{self, Fleet};

/// The JSON of a breaker, with its part in a fleet.
pub fn breaker(status: &BreakerStatus, fleet: Option<&Fleet>, wall: Wall) -> Value {
    let snapshot = &status.snapshot;
    let hold = snapshot.hold.as_ref().map(|hold| {
        json!({
            "kind": match hold.kind { HoldKind::Open => "open", HoldKind::Closed => "closed" },
            "until": hold.until.map(|at| time(at, wall)),
            "reason": &*hold.reason,
            "by": &*hold.by,
        })
    });
    let rules: Vec<_> = snapshot
        .rules
        .iter()
        .map(|rule| {
            json!({
                "rule": rule.rule.as_str(),
                "observed": rule.observed,
                "threshold": rule.threshold,
                "calls": rule.calls,
                "min_calls": rule.min_calls,
                "over": rule.over.map(over),
            })
        })
        .collect();
    let probes = snapshot.probes.as_ref().map(|probes| {
        json!({
            "in_flight": probes.in_flight,
            "limit": probes.limit,
            "successes": probes.successes,
            "failures": probes.failures,
        })
    });
    let ramp = snapshot
        .ramp
        .map(|ramp| json!({ "share": ramp.share, "ends": time(ramp.ends, wall) }));
    let rejected_for = status.calls.rejected_for.iter();
    let rejected_for: serde_json::Map<_, _> = rejected_for
        .map(|(reason, count)| (reason.as_str().to_owned(), json!(count)))
        .collect();
    let left = snapshot.retry_at.map(|at| at.saturating_since(status.now));
    json!({
        "name": &*status.name,
        "upstream": &*status.upstream,
        "kind": status.kind.as_str(),
        "state": snapshot.phase.as_str(),
        "mode": snapshot.mode.as_str(),
        "hold": hold,
        "generation": snapshot.generation,
        "attempts": snapshot.attempts,
        "now": time(status.now, wall),
        "since": time(snapshot.since, wall),
        "reason": snapshot.reason.as_ref().map(ToString::to_string),
        "reason_token": snapshot.reason.as_ref().map(|reason| reason.token()),
        "retry_at": snapshot.retry_at.map(|at| due(at, wall)),
        "retry_by": snapshot.retry_by.map(|at| due(at, wall)),
        "retry_after": left.map(Rejection::whole_seconds),
        "admit_probability": snapshot.admit_probability,
        "ramp": ramp,
        "persisted": status.persisted,
        "fleet": fleet::fleet(fleet, status, wall),
        "counts": {
            "success": status.calls.success,
            "failure": status.calls.failure,
            "ignored": status.calls.ignored,
            "late": status.calls.late,
            "rejected": status.calls.rejected,
            "rejected_for": rejected_for,
            "would_reject": status.calls.would_reject,
        },
        "rules": rules,
        "probes": probes,
        "recent": snapshot.recent.iter().map(|one| transition(one, wall)).collect::<Vec<_>>(),
    })
}

/// The JSON of a circuit that a flow builds by hand. Facts that a flow does not have are null.
pub fn circuit(circuit: &Circuit, now: u64) -> Value {
    let open = circuit.state == Phase::Open;
    let retry = circuit.retry_at.or_else(|| circuit.gone_by());
    let retry = retry.filter(|_| open);
    let left = retry.map(|at| Duration::from_millis(at.saturating_sub(now)));
    let flaws: Vec<_> = circuit
        .flaws
        .iter()
        .map(|flaw| json!({ "at": flaw.at, "what": flaw.what, "mend": flaw.mend }))
        .collect();
    json!({
        "name": circuit.name,
        "kind": "flow",
        "upstream": circuit.upstreams.first().map(|name| &**name),
        "upstreams": circuit.upstreams.iter().map(|name| &**name).collect::<Vec<_>>(),
        "state": circuit.state.as_str(),
        "mode": "enforce",
        "hold": null,
        "reason": open.then(|| match circuit.threshold {
            Some(threshold) => format!("opened by the flow after {threshold} failures"),
            None => "opened by the flow".to_owned(),
        }),
        "retry_at": retry.map(millis),
        "retry_after": left.map(Rejection::whole_seconds),
        "persisted": circuit.persisted,
        "flow": {
            "at": circuit.at,
            "store": circuit.store,
            "key": circuit.key,
            "field": circuit.field,
            "due_at": circuit.due_at.map(millis),
            "gone_by": circuit.gone_by().map(millis),
            "count": circuit.count,
            "count_key": circuit.count_key,
            "threshold": circuit.threshold,
            "half_open": circuit.half_open,
            "flaws": flaws,
        },
    })
}

/// Formats milliseconds since the Unix epoch as RFC 3339 in UTC.
pub fn millis(at: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at);
    humantime::format_rfc3339_millis(at).to_string()
}

/// The JSON of an explanation: a breaker's state, with its reason and the next event, as a sentence and in parts.
pub fn explanation(explanation: &Explanation, wall: Wall) -> Value {
    let (event, at) = match explanation.next {
        Next::RuleMet => ("rule_met", None),
        Next::CooldownEnds(at) => ("cooldown_ends", Some(at)),
        Next::HoldEnds(at) => ("hold_ends", Some(at)),
        Next::Release => ("release", None),
        Next::Probe => ("probe", None),
        Next::ProbeEnds(at) => ("probe_ends", Some(at)),
        Next::RampEnds(at) => ("ramp_ends", Some(at)),
        _ => ("unknown", None),
    };
    json!({
        "text": explanation.to_string(),
        "next": { "event": event, "at": at.map(|at| due(at, wall)) },
        "rules": explanation.rules.iter().map(gap).collect::<Vec<_>>(),
    })
}

fn gap(rule: &RuleGap) -> Value {
    let (why, missing) = match rule.gap {
        Gap::BelowLimit => ("below_limit", None),
        Gap::TooFewCalls { missing } => ("too_few_calls", Some(missing)),
        Gap::AwaitsJudging => ("awaits_judging", None),
        Gap::NeverTrips => ("never_trips", None),
        Gap::NotJudged => ("not_judged", None),
        _ => ("unknown", None),
    };
    json!({ "rule": rule.rule.as_str(), "gap": why, "missing_calls": missing })
}

/// A rule's window, in the configuration's notation.
fn over(over: Over) -> String {
    match over {
        Over::Time(time) => humantime::format_duration(time).to_string(),
        Over::Calls(calls) => format!("{calls} calls"),
        // Every window that can be configured is of a kind above.
        _ => format!("{over:?}"),
    }
}

fn transition(transition: &Transition, wall: Wall) -> Value {
    json!({
        "at": time(transition.at, wall),
        "from": transition.from.as_str(),
        "to": transition.to.as_str(),
        "generation": transition.generation,
        "attempts": transition.attempts,
        "reason": transition.reason.to_string(),
        "reason_token": transition.reason.token(),
        "retry_at": transition.retry_at.map(|at| due(at, wall)),
    })
}

/// The JSON of a failure.
pub fn failed(failed: &FailedCall, wall: Wall) -> Value {
    let (status, error) = match failed.cause {
        Some(Cause::Status(status)) => (Some(status), None),
        Some(cause) => (None, Some(cause.to_string())),
        None => (None, None),
    };
    let error = failed.kind.as_deref().map(str::to_owned).or(error);
    json!({
        "at": time(failed.at, wall),
        "endpoint": failed.endpoint.as_deref(),
        "status": status,
        "error": error,
        "ms": failed.duration.map(milliseconds),
        "request_id": failed.request_id.as_ref().map(RequestId::as_str),
    })
}

/// A duration in milliseconds, to the microsecond.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

/// Formats a timestamp as RFC 3339 in UTC, to the millisecond.
pub fn time(at: Timestamp, wall: Wall) -> String {
    millis(wall.millis_at(at))
}

/// Formats the time at which a caller may return: rounded up, so that no caller comes too early.
pub fn due(at: Timestamp, wall: Wall) -> String {
    millis(wall.millis_by(at))
}

#[cfg(test)]
mod tests {
    use fusebox_breaker::{Breaker, Hold, RejectReason, Settings, machine::ForcedTrip};
    use fusebox_gateway::{BreakerKind, Calls, Clock};
    use fusebox_plan::plan::Share;

    use super::*;

    fn retry_after(of: &Breaker, now: Timestamp) -> Value {
        let status = BreakerStatus {
            name: of.name().clone(),
            upstream: "orders".into(),
            kind: BreakerKind::Upstream,
            snapshot: of.snapshot(now),
            settings: of.settings(),
            share: Share::default(),
            persisted: true,
            calls: Calls {
                success: 0,
                failure: 0,
                ignored: 0,
                late: 0,
                rejected: 0,
                rejected_for: [(RejectReason::BreakerOpen, 0); 5],
                would_reject: 0,
            },
            now,
        };
        let wall = Clock::default().wall();
        breaker(&status, None, wall)["retry_after"].clone()
    }

    #[test]
    fn waiting_for_the_shown_time_is_never_too_short() {
        let orders = Breaker::new("orders", Settings::default()).unwrap();
        let trip = ForcedTrip::new("a drill", "a test").cooldown(Duration::from_secs(10));
        orders.trip(trip, Timestamp::ZERO);
        let left = |left| {
            let end = Duration::from_secs(10);
            retry_after(
                &orders,
                Timestamp::ZERO + (end - Duration::from_micros(left)),
            )
        };
        assert_eq!(left(1_000_400), 2);
        assert_eq!(left(1_000_000), 1);
        assert_eq!(left(400), 1);
        assert_eq!(left(10_000_000), 10);
    }

    #[test]
    fn a_hold_without_an_end_shows_no_time() {
        let orders = Breaker::new("orders", Settings::default()).unwrap();
        assert_eq!(retry_after(&orders, Timestamp::ZERO), Value::Null, "closed");
        orders.hold(Hold::open("a drill", "a test"), Timestamp::ZERO);
        assert_eq!(retry_after(&orders, Timestamp::from_secs(1)), Value::Null);
    }
}
