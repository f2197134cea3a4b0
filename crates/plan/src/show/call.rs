//! What stands between a route and an attempt, in the native form.

use fusebox_call::grpc::NAMES;
use fusebox_call::{
    Adaptive, Backoff, Balance, Budget, Bulkhead, Concurrent, Ejection, GrpcCodes, Jitter, Retry,
};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::{show_cooldown, show_methods, show_ramp, show_rule};
use crate::native::show_key;
use crate::plan::{
    Cors, FallbackOn, FieldChanges, Health, LastGood, Location, Origins, Rung, RungAnswer,
    Upstream, UpstreamHost,
};
use crate::words::{show_duration, show_share, show_size};

/// Adds the course of an upstream's calls to its JSON: what the file has, with all defaults.
pub(super) fn show_course(upstream: &Upstream, shown: &mut Value) {
    let (key, value) = show_endpoints(upstream);
    shown[key] = value;
    match &upstream.balance {
        Balance::RoundRobin => {}
        Balance::LeastRequest => shown["balance"] = json!("least_request"),
        Balance::P2cEwma => shown["balance"] = json!("p2c_ewma"),
        Balance::Hash => {
            let key = upstream.hash_key.as_ref().map(show_key);
            shown["balance"] = json!({ "hash": key });
        }
    }
    match &upstream.ejection {
        Some(ejection) => shown["ejection"] = show_ejection(ejection),
        None if upstream.has_several() => shown["ejection"] = json!("off"),
        None => {}
    }
    let grpc = upstream.breaker.grpc_failure;
    if grpc != GrpcCodes::FAILURES {
        let codes: Vec<String> = grpc.iter().map(show_grpc).collect();
        shown["grpc"] = json!({ "failure": codes });
    }
    if let Some(health) = &upstream.health {
        shown["health"] = show_health(health);
    }
    if let Some(resolve) = upstream.resolve {
        shown["resolve"] = json!(show_duration(resolve));
    }
    match &upstream.host {
        UpstreamHost::Own => {}
        UpstreamHost::Preserved => shown["host"] = json!("preserve"),
        UpstreamHost::Named(name) => {
            shown["host"] = json!(String::from_utf8_lossy(name.as_bytes()));
        }
    }
    if upstream.location == Location::Keep {
        shown["location"] = json!("keep");
    }
    if let Some(bulkhead) = &upstream.bulkhead {
        shown["bulkhead"] = show_bulkhead(bulkhead);
    }
    if !upstream.request.is_empty() {
        shown["request"] = show_changes(&upstream.request);
    }
    if let Some(retry) = &upstream.retry {
        shown["retry"] = show_retry(retry, Some(upstream.budget));
    }
    if let Some(hedge) = &upstream.hedge {
        shown["hedge"] = json!({ "after": show_duration(hedge.after) });
    }
    if !upstream.fallback.is_empty() {
        shown["fallback"] = show_ladder(&upstream.fallback);
    }
    if upstream.fallback_on != FallbackOn::default() || !upstream.fallback.is_empty() {
        shown["fallback_on"] = show_on(upstream.fallback_on);
    }
    let serves = |rung: &Rung| matches!(rung, Rung::LastGood(_));
    if upstream.last_good != LastGood::default() || upstream.fallback.iter().any(serves) {
        shown["last_good"] = show_last_good(&upstream.last_good);
    }
}

/// The addresses: `url` for one, `endpoints` for several.
fn show_endpoints(upstream: &Upstream) -> (&'static str, Value) {
    match &upstream.endpoints[..] {
        [only] if only.weight == 1 => ("url", json!(only.endpoint.url())),
        several => {
            let endpoint = several.iter();
            let endpoint =
                endpoint.map(|it| json!({ "url": it.endpoint.url(), "weight": it.weight }));
            ("endpoints", endpoint.collect())
        }
    }
}

fn show_ejection(ejection: &Ejection) -> Value {
    let mut shown = Map::new();
    for rule in &ejection.breaker.trip {
        // The rules of one map have its windows in common.
        if let Value::Object(rule) = show_rule(rule) {
            shown.extend(rule);
        }
    }
    shown.insert("for".into(), show_cooldown(&ejection.breaker.cooldown));
    shown.insert(
        "max_ejected".into(),
        json!(show_share(ejection.ejected_max)),
    );
    shown.insert("min_healthy".into(), json!(ejection.healthy_min));
    if let Some(ramp) = &ejection.breaker.ramp {
        shown.insert("ramp".into(), show_ramp(ramp));
    }
    Value::Object(shown)
}

fn show_health(health: &Health) -> Value {
    let mut shown = json!({
        "interval": show_duration(health.interval),
        "timeout": show_duration(health.timeout),
        "rise": health.rise,
        "fall": health.fall,
        "jitter": show_share(health.jitter),
    });
    match &health.grpc {
        Some(service) => {
            shown["grpc"] = json!(true);
            if !service.is_empty() {
                shown["service"] = json!(&**service);
            }
        }
        None => {
            shown["path"] = json!(if health.is_path_hidden {
                "/***"
            } else {
                &health.path
            });
            shown["expect"] = json!(health.expect.source());
        }
    }
    shown
}

pub(super) fn show_bulkhead(bulkhead: &Bulkhead) -> Value {
    let mut shown = json!({
        "concurrent": match bulkhead.concurrent {
            Concurrent::Fixed(calls) => json!(calls),
            Concurrent::Adaptive(Adaptive { min, max }) => {
                json!({ "adaptive": { "min": min, "max": max } })
            }
        },
        "queued": bulkhead.queued_max,
        "streams": bulkhead.streams_max,
    });
    if bulkhead.queued_max > 0 {
        shown["queue_for"] = json!(show_duration(bulkhead.queue_for));
    }
    shown
}

/// A status of gRPC by its name.
fn show_grpc(code: u8) -> String {
    NAMES[usize::from(code)].to_owned()
}

/// Shows a retry; `budget` is the upstream's, and not shown with a route's.
pub(super) fn show_retry(retry: &Retry, budget: Option<Budget>) -> Value {
    let Backoff { base, max, jitter } = retry.backoff;
    let words = [
        (retry.on.connect_error, "connect_error"),
        (retry.on.reset, "reset"),
        (retry.on.timeout, "timeout"),
    ];
    let words = words.into_iter().filter(|(on, _)| *on);
    let words = words.map(|(_, word)| word.to_owned());
    let grpc = retry.on.grpc.iter().map(show_grpc);
    let statuses = retry.on.statuses.iter();
    let statuses = statuses.map(|status| status.as_str().to_owned());
    let mut shown = json!({
        "attempts": retry.attempts,
        "on": words.chain(statuses).chain(grpc).collect::<Vec<_>>(),
        "methods": show_methods(&retry.methods),
        "backoff": {
            "base": show_duration(base),
            "max": show_duration(max),
            "jitter": match jitter {
                Jitter::Full => "full",
                Jitter::None => "none",
            },
        },
        "buffer": show_size(retry.buffer_max as u64),
    });
    if let Some(per_try) = retry.per_try {
        shown["per_try"] = json!(show_duration(per_try));
    }
    if let Some(Budget { ratio, min }) = budget {
        shown["budget"] = json!({ "ratio": show_share(ratio), "min": min });
    }
    shown
}

pub(super) fn show_ladder(ladder: &[Rung]) -> Value {
    let rung = |rung: &Rung| match rung {
        Rung::LastGood(age) => json!({ "last_good": show_duration(*age) }),
        Rung::Upstream(name) => json!({ "upstream": &**name }),
        Rung::Respond(answer) => json!({ "respond": show_rung_answer(answer) }),
    };
    ladder.iter().map(rung).collect()
}

fn show_on(on: FallbackOn) -> Value {
    let words = [(on.refused, "refused"), (on.failed, "failed")].into_iter();
    let words = words.filter_map(|(on, word)| on.then_some(word));
    words.collect::<Vec<_>>().into()
}

fn show_rung_answer(answer: &RungAnswer) -> Value {
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, words)| (name.to_string(), json!(words.to_string())));
    let headers: Map<String, Value> = headers.collect();
    let mut shown = json!({ "status": answer.status.as_u16(), "headers": headers });
    let body = answer.body.to_string();
    match serde_json::from_str::<Value>(&body) {
        Ok(json) if answer.json => shown["json"] = json,
        _ if !answer.body.is_empty() => shown["text"] = json!(body),
        _ => {}
    }
    if answer.on != FallbackOn::default() {
        shown["on"] = show_on(answer.on);
    }
    shown
}

fn show_last_good(kept: &LastGood) -> Value {
    let key = kept.key.iter().map(|name| format!("header.{name}"));
    json!({
        "max_body": show_size(kept.body_max as u64),
        "memory": show_size(kept.memory_max),
        "disk": show_size(kept.disk_max),
        "key": key.collect::<Vec<_>>(),
        "obey": kept.obey,
    })
}

pub(super) fn show_changes(changes: &FieldChanges) -> Value {
    let mut shown = json!({});
    if !changes.set.is_empty() || !changes.subject.is_empty() {
        let subject = HeaderValue::from_static("{client_subject}");
        let subjects = changes.subject.iter().map(|name| (name, &subject));
        let set = changes.set.iter().map(|(name, value)| (name, value));
        shown["set"] = show_fields(set.chain(subjects));
    }
    if !changes.remove.is_empty() {
        shown["remove"] = changes
            .remove
            .iter()
            .map(|name| json!(name.as_str()))
            .collect();
    }
    shown
}

/// Fields by name; a sensitive value is hidden.
pub(super) fn show_fields<'a>(
    fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> Value {
    let value = |value: &HeaderValue| match value.is_sensitive() {
        true => "***".to_owned(),
        false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    };
    let fields = fields.into_iter();
    let fields = fields.map(|(name, it)| (name.to_string(), json!(value(it))));
    Value::Object(fields.collect())
}

pub(super) fn show_cors(cors: &Cors) -> Value {
    let mut shown = json!({
        "origins": match &cors.origins {
            Origins::All => json!(["*"]),
            Origins::These(origins) => json!(origins),
        },
        "headers": cors.headers.iter().map(HeaderName::as_str).collect::<Vec<_>>(),
        "credentials": cors.credentials,
    });
    if let Some(methods) = &cors.methods {
        shown["methods"] = show_methods(methods);
    }
    if let Some(max_age) = cors.max_age {
        shown["max_age"] = json!(show_duration(max_age));
    }
    shown
}
