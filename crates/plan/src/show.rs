//! The plan in the native form, with all defaults written out and without secrets.

use fusebox_breaker::{
    CloseRule, Cooldown, HalfOpen, OnAbandoned, OnOverflow, OnProbeTimeout, Over, Probes, Ramp,
    Ratio, RetryAfter, Rule, Settings,
    settings::{Compare, History, JudgeOn, OnPeriodTimeout, Places, SlowProbes, WindowKind},
};
use serde_json::{Map, Value, json};

mod call;

use call::{show_bulkhead, show_changes, show_cors, show_ladder, show_retry};

use crate::access_log::{AccessLog, When};
use crate::failure::Ignore;
use crate::native::show_key;
use crate::plan::{
    Admin, Breaker, Fleet, Forward, Guard, Http2, HttpVersion, KeyPair, Limits, Listener,
    ListenerTls, Plan, Probe, Respond, Rewrite, RewritePart, Route, ServiceBreaker, Share, Step,
    Store, TlsVersion, Upstream, UpstreamTls, Valkey,
};
use crate::program::Program;
use crate::words::{show_duration, show_over, show_rate, show_share, show_size};

impl Plan {
    /// The effective plan in the native form: every default written out, durations and sizes in their notation, secrets
    /// as `***`. Read again, it gives the same plan, except for secrets. Features that only other forms have are shown
    /// in brief.
    pub fn to_json(&self) -> Value {
        let mut plan = json!({
            "version": 1,
            "listeners": self.listeners.iter().map(|listener| show_listener(listener)).collect::<Vec<_>>(),
            "limits": show_limits(&self.limits),
            "upstreams": self
                .upstreams
                .iter()
                .map(|upstream| (upstream.name.to_string(), show_upstream(upstream)))
                .chain(self.guards.iter().map(|guard| (guard.name.to_string(), show_guard(guard))))
                .collect::<Map<_, _>>(),
            "routes": self.routes.iter().map(|route| show_route(route, self.app.as_deref())).collect::<Vec<_>>(),
        });
        if !self.breakers.is_empty() {
            let breakers = self.breakers.iter();
            plan["breakers"] = breakers
                .map(|it| (it.name.to_string(), show_service(it)))
                .collect::<Map<_, _>>()
                .into();
        }
        put(&mut plan, "admin", self.admin.as_ref().map(show_admin));
        put(&mut plan, "store", self.store.as_ref().map(show_store));
        if let Some(Fleet { node }) = &self.fleet {
            plan["fleet"] = json!({});
            put(&mut plan["fleet"], "node", node.as_deref());
        }
        put(
            &mut plan,
            "access_log",
            self.access_log.as_ref().map(show_access_log),
        );
        for (key, value) in self.app.iter().flat_map(|app| app.show()) {
            plan[key] = value;
        }
        keep_as_text(&mut plan);
        plan
    }
}

/// Escapes every `${`, since a plan's texts have been interpolated already.
fn keep_as_text(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(keep_as_text),
        Value::Object(entries) => entries.values_mut().for_each(keep_as_text),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Adds an optional value to an object.
pub fn put(shown: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        shown[key] = value.into();
    }
}

fn show_listener(listener: &Listener) -> Value {
    let word = |allowed| if allowed { "allow" } else { "refuse" };
    let mut shown = json!({
        "name": &*listener.name,
        "addr": listener.addr.to_string(),
        "trusted_proxies": listener.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "paths": {
            "encoded_slash": word(listener.encoded_slash_allowed),
            "double_slash": word(listener.double_slash_allowed),
        },
    });
    if let Some(tls) = &listener.tls {
        shown["tls"] = show_listener_tls(tls);
        shown["tls"]["min"] = json!(tls.min.as_str());
    }
    put(&mut shown, "http2", listener.http2.map(Http2::as_str));
    shown
}

/// A listener's TLS with the paths of its files, without their contents, and without defaults.
pub fn show_listener_tls(tls: &ListenerTls) -> Value {
    let mut shown = show_pair(&tls.pair);
    if !tls.also.is_empty() {
        shown["also"] = tls.also.iter().map(show_pair).collect();
    }
    if let Some(clients) = &tls.clients {
        shown["client_ca"] = json!(clients.authorities.file.named);
        shown["client_auth"] = match clients.is_required {
            true => json!("required"),
            false => json!("optional"),
        };
    }
    if tls.min != TlsVersion::default() {
        shown["min"] = json!(tls.min.as_str());
    }
    shown
}

fn show_pair(pair: &KeyPair) -> Value {
    json!({ "cert": pair.certificate_file.named, "key": pair.key_file.named })
}

fn show_upstream_tls(tls: &UpstreamTls) -> Value {
    let mut shown = tls.identity.as_ref().map_or_else(|| json!({}), show_pair);
    let ca = tls.authorities.as_ref().map(|it| it.file.named.as_str());
    put(&mut shown, "ca", ca);
    put(&mut shown, "name", tls.name.as_deref());
    shown
}

fn show_admin(admin: &Admin) -> Value {
    let mut shown = json!({ "addr": admin.addr.to_string() });
    put(&mut shown, "token", admin.token.as_ref().map(|_| "***"));
    let read_token = admin.read_token.as_ref().map(|_| "***");
    put(&mut shown, "read_token", read_token);
    let service_token = admin.service_token.as_ref().map(|_| "***");
    put(&mut shown, "service_token", service_token);
    shown
}

fn show_store(store: &Store) -> Value {
    match store {
        Store::Memory => json!({ "kind": "memory" }),
        Store::Embedded { path } => json!({ "kind": "embedded", "path": path.to_string_lossy() }),
        Store::Valkey(server) => show_server(server),
    }
}

/// Shows a server without its URL, any part of which may contain a password.
fn show_server(server: &Valkey) -> Value {
    let mut shown = json!({ "kind": "valkey", "url": "redis://***" });
    put(&mut shown, "prefix", server.prefix.as_deref());
    put(&mut shown, "timeout", server.timeout.map(show_duration));
    let path = server.path.as_ref().map(|path| path.to_string_lossy());
    put(&mut shown, "path", path);
    shown
}

fn show_access_log(log: &AccessLog) -> Value {
    let mut shown = json!({
        "to": log.to.to_string(),
        "query": log.query,
        "headers": log.headers.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
    });
    put(&mut shown, "when", log.when.as_ref().map(When::source));
    put(&mut shown, "sample", log.sample.map(show_share));
    shown
}

fn show_limits(limits: &Limits) -> Value {
    let mut shown = json!({
        "connections": limits.connections_max,
        "head": show_size(limits.head_bytes_max as u64),
        "fields": limits.head_fields_max,
        "first_byte": show_duration(limits.first_byte_timeout),
        "head_timeout": show_duration(limits.head_timeout),
        "keep_alive": show_duration(limits.keep_alive_timeout),
        "body_rate": show_rate(limits.body_rate_min),
        "streams": limits.streams_max,
        "stream_stall": show_duration(limits.stream_stall_timeout),
        "stream_resets": limits.stream_resets_max,
        "stream_errors": limits.stream_errors_max,
        "control_frames": limits.control_frames_rate,
        "upgrade_idle": show_duration(limits.upgrade_idle_timeout),
        "drain": show_duration(limits.drain_timeout),
        "drain_delay": show_duration(limits.drain_delay),
    });
    let request_body = limits.request_body_max.map(show_size);
    put(&mut shown, "request_body", request_body);
    shown
}

fn show_upstream(upstream: &Upstream) -> Value {
    let timeout = &upstream.timeout;
    let mut shown = json!({
        "timeout": {
            "connect": show_duration(timeout.connect),
            "request": show_duration(timeout.request),
            "idle": show_duration(timeout.idle),
        },
        "pool": {
            "idle": upstream.pool_idle_max,
            "idle_timeout": show_duration(upstream.pool_idle_timeout),
            "max_age": show_duration(upstream.pool_max_age),
        },
        "breaker": show_breaker(&upstream.breaker),
    });
    put(
        &mut shown,
        "tls",
        upstream.tls.as_ref().map(show_upstream_tls),
    );
    if upstream.http != HttpVersion::default() {
        shown["http"] = match upstream.http {
            HttpVersion::One => json!(1),
            HttpVersion::Two => json!(2),
            HttpVersion::Auto => json!("auto"),
        };
    }
    if let Some(total) = timeout.total {
        shown["timeout"]["total"] = json!(show_duration(total));
    }
    call::show_course(upstream, &mut shown);
    shown
}

fn show_guard(guard: &Guard) -> Value {
    let bounds = [
        ("connect", guard.timeout.connect),
        ("request", guard.timeout.request),
        ("total", guard.timeout.total),
        ("idle", guard.timeout.idle),
    ];
    let bounds = bounds.into_iter().filter_map(|(key, bound)| {
        let bound = show_duration(bound?);
        Some((key.to_owned(), json!(bound)))
    });
    let mut shown = json!({
        "applies_to": guard.targets.first().map(|it| &**it),
        "timeout": bounds.collect::<Map<_, _>>(),
        "breaker": show_breaker(&guard.breaker),
    });
    if let Some(retry) = &guard.retry {
        shown["retry"] = show_retry(retry, Some(guard.budget));
    }
    if let Some(bulkhead) = &guard.bulkhead {
        shown["bulkhead"] = show_bulkhead(bulkhead);
    }
    shown
}

fn show_breaker(breaker: &Breaker) -> Value {
    let mut shown = show_settings(&breaker.settings);
    shown["key"] = json!(show_key(&breaker.key));
    shown["failure"] = json!(breaker.failure.source());
    if breaker.probe == Probe::Health {
        shown["half_open"]["probe"] = json!("health");
    }
    shown["settle"] = json!(show_duration(breaker.settle));
    shown["share"] = match breaker.share {
        Share::None => json!("none"),
        Share::Verdict => json!("verdict"),
        Share::Quorum(quorum) => json!({ "quorum": quorum }),
        Share::Counts => json!("counts"),
    };
    // A single key needs no bound, and `check` would warn about one.
    if !breaker.key.is_upstream() {
        shown["max_keys"] = json!(breaker.keys_max);
        shown["on_overflow"] = match breaker.on_overflow {
            OnOverflow::Share => json!("share"),
            OnOverflow::Pass => json!("pass"),
        };
        let idle_after = breaker.idle_after.map(show_duration);
        put(&mut shown, "idle_after", idle_after);
    }
    let ignore = breaker.ignore.as_ref().map(Ignore::source);
    put(&mut shown, "ignore", ignore);
    let failure_body = breaker
        .failure_body_max
        .map(|bytes| show_size(bytes as u64));
    put(&mut shown, "failure_body", failure_body);
    shown
}

/// A breaker without an upstream, without the settings that have no meaning there.
fn show_service(service: &ServiceBreaker) -> Value {
    let mut shown = show_breaker(&service.breaker);
    if let Some(settings) = shown.as_object_mut() {
        for foreign in ["key", "failure", "settle"] {
            settings.remove(foreign);
        }
    }
    shown
}

/// The machine's settings, in the form of a `breaker:` section.
pub fn show_settings(settings: &Settings) -> Value {
    let mut shown = json!({
        "mode": settings.mode.as_str(),
        "trip": settings.trip.iter().map(show_rule).collect::<Vec<_>>(),
        "judge_on": match settings.judge_on {
            JudgeOn::EveryOutcome => "outcomes",
            JudgeOn::Failures => "failures",
        },
        "compare": show_compare(settings.compare),
        "slow_compare": show_compare(settings.slow_compare),
        "window": match settings.window {
            WindowKind::Sliding => "sliding",
            WindowKind::Tumbling => "tumbling",
        },
        "history": match settings.history {
            History::Clear => "clear",
            History::Keep => "keep",
        },
        "cooldown": show_cooldown(&settings.cooldown),
        "retry_after": match settings.retry_after {
            RetryAfter::Ignore => "ignore",
            RetryAfter::Honour => "honour",
            RetryAfter::Trip => "trip",
        },
        "half_open": show_half_open(&settings.half_open),
    });
    if let OnAbandoned::FailureAfter(after) = settings.on_abandoned {
        shown["abandoned"] = show_duration(after).into();
    }
    put(&mut shown, "ramp", settings.ramp.as_ref().map(show_ramp));
    shown
}

fn show_compare(compare: Compare) -> &'static str {
    match compare {
        Compare::AtLeast => ">=",
        Compare::Above => ">",
    }
}

fn show_ramp(ramp: &Ramp) -> Value {
    json!({
        "over": show_duration(ramp.over),
        "from": show_ratio(ramp.from),
        "curve": "linear",
    })
}

fn show_rule(rule: &Rule) -> Value {
    match *rule {
        Rule::ConsecutiveFailures { threshold, within } => {
            let mut shown = json!({ "consecutive_failures": threshold });
            put(&mut shown, "within", within.map(show_duration));
            shown
        }
        Rule::Failures {
            threshold,
            over: Over::Time(within),
            ..
        } => {
            json!({ "failures": threshold, "within": show_duration(within) })
        }
        Rule::Failures {
            threshold,
            over,
            full,
        } => {
            json!({ "failures": threshold, "over": show_over(over), "full": full })
        }
        Rule::FailureRate {
            rate,
            over,
            min_calls,
        } => {
            json!({ "failure_rate": show_ratio(rate), "over": show_over(over), "min_calls": min_calls })
        }
        Rule::SlowRate {
            rate,
            slower_than,
            over,
            min_calls,
        } => {
            json!({ "slow_rate": show_ratio(rate), "slower_than": show_duration(slower_than), "over": show_over(over), "min_calls": min_calls })
        }
        Rule::Stalled { calls, longer_than } => {
            json!({ "stalled": calls, "longer_than": show_duration(longer_than) })
        }
        Rule::Adaptive { memory } => json!({ "adaptive": { "memory": memory } }),
        // Every rule that can be written is of a kind above.
        _ => json!(format!("{rule:?}")),
    }
}

fn show_ratio(ratio: Ratio) -> String {
    show_share(ratio.as_f64())
}

fn show_cooldown(cooldown: &Cooldown) -> Value {
    if *cooldown == Cooldown::fixed(cooldown.base) {
        return json!(show_duration(cooldown.base));
    }
    json!({
        "base": show_duration(cooldown.base),
        "factor": cooldown.factor,
        "max": show_duration(cooldown.max),
        "jitter": show_share(cooldown.jitter),
    })
}

fn show_half_open(half_open: &HalfOpen) -> Value {
    let mut shown = json!({
        "probes": match half_open.probes {
            Probes::Limited(probes) => json!(probes),
            Probes::Unlimited => json!("unlimited"),
        },
        "probe_timeout": show_duration(half_open.probe_timeout),
        "on_probe_timeout": match half_open.on_probe_timeout {
            OnProbeTimeout::Replace => "replace",
            OnProbeTimeout::Fail => "fail",
        },
        "places": match half_open.places {
            Places::Freed => "freed",
            Places::Spent => "spent",
        },
    });
    if let Some(timeout) = half_open.period_timeout {
        shown["period_timeout"] = json!(show_duration(timeout));
        shown["on_period_timeout"] = json!(match half_open.on_period_timeout {
            OnPeriodTimeout::Open => "open",
            OnPeriodTimeout::Close => "close",
        });
    }
    if let Some(SlowProbes { rate, slower_than }) = half_open.slow {
        shown["slow_rate"] = json!(show_ratio(rate));
        shown["slower_than"] = json!(show_duration(slower_than));
    }
    match half_open.close {
        CloseRule::Successes(successes) => {
            shown["successes"] = json!(successes);
            shown["failures"] = json!(half_open.failures);
            shown["in_a_row"] = json!(half_open.in_a_row);
        }
        CloseRule::FailureRate { rate, over } => {
            shown["failure_rate"] = json!(show_ratio(rate));
            shown["over"] = json!(show_over(Over::Calls(over)));
        }
    }
    shown
}

fn show_route(route: &Route, app: Option<&dyn Program>) -> Value {
    let mut shown = json!({ "name": &*route.name, "path": route.path });
    if let Some(host) = &route.host {
        shown["host"] = json!(host.to_string());
    }
    if let Some(methods) = &route.methods {
        shown["methods"] = show_methods(methods);
    }
    if !route.headers.is_empty() {
        shown["headers"] =
            call::show_fields(route.headers.iter().map(|(name, value)| (name, value)));
    }
    if let Some(requests) = route.concurrency_max {
        shown["max_concurrency"] = json!(requests);
    }
    for (key, changes) in [("request", &route.request), ("response", &route.response)] {
        if !changes.is_empty() {
            shown[key] = show_changes(changes);
        }
    }
    if let Some(cors) = &route.cors {
        shown["cors"] = show_cors(cors);
    }
    if let Some(listeners) = &route.listeners {
        shown["listeners"] = listeners.iter().map(|name| json!(&**name)).collect();
    }
    for step in &route.steps {
        match step {
            Step::Respond(respond) => shown["respond"] = show_respond(respond),
            Step::App(step) => {
                let app = app.expect("a step of an application is in a plan that has one");
                for (key, value) in app.show_step(*step) {
                    shown[key] = value;
                }
            }
            Step::Forward(Forward {
                upstream,
                rewrite,
                retry,
                fallback,
                bulkhead,
            }) => {
                if let Some(retry) = retry {
                    shown["retry"] = show_retry(retry, None);
                }
                if let Some(ladder) = fallback {
                    shown["fallback"] = show_ladder(ladder);
                }
                if let Some(bulkhead) = bulkhead {
                    shown["bulkhead"] = show_bulkhead(bulkhead);
                }
                shown["upstream"] = json!(&*upstream.name);
                put(&mut shown, "rewrite", rewrite.as_ref().map(show_rewrite));
            }
        }
    }
    shown
}

fn show_methods(methods: &[http::Method]) -> Value {
    methods
        .iter()
        .map(|method| json!(method.as_str()))
        .collect()
}

fn show_rewrite(Rewrite(parts): &Rewrite) -> String {
    parts.iter().fold(String::new(), |text, part| match part {
        RewritePart::Literal(literal) => text + literal,
        RewritePart::Param(name) => text + "{" + name + "}",
    })
}

fn show_respond(respond: &Respond) -> Value {
    let mut shown = json!({
        "status": respond.status.as_u16(),
        "headers": call::show_fields(&respond.headers),
    });
    if !respond.body.is_empty() {
        shown["body"] = match &respond.body_shown {
            Some(shown) => json!(shown),
            None => json!(String::from_utf8_lossy(&respond.body)),
        };
    }
    shown
}
