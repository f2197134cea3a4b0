//! The upstream of a call, with the breaker that replaces its circuit.

use std::fmt::Write as _;
use std::time::Duration;

use fusebox_plan::dialect::{base_name, quote, show_duration, yaml};
use serde_json::{Map as JsonMap, Value as Json, json};

use super::at;
use super::gates::{native_upstream_tls, upstream_tls_losses};
use super::repeat::Repeat;
use crate::app::{App, ErrorType, Given, Site};
use crate::circuit::{Call, Circuit, Cooldown, Failure, Flaw, FlawKind, range};

/// The failures of an upstream that says nothing of them.
const BY_DEFAULT: &str = "status >= 500 || error != \"\"";
/// The comment on an upstream whose calls have no circuit in the flow.
const NO_CIRCUIT: &str = "The flow has no circuit here; `breaker: {}` gives one.";
/// The most calls that wait for a place.
const QUEUED: u64 = 1000;
/// The period in which failures count if the flow never forgets them.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Descriptions of losses, each with its position.
pub(super) type Losses = Vec<(Site, String)>;

/// The parts of an upstream beside its address and its times.
#[derive(Default)]
pub(super) struct Course<'c> {
    /// The circuit that its breaker replaces.
    pub circuit: Option<&'c Circuit>,
    /// The failures that a ladder answers where there is no circuit.
    pub failures: Option<Vec<Failure>>,
    pub repeat: Option<Repeat>,
    /// True if Mule's client repeats the call's request by itself: its method is idempotent.
    pub is_idempotent: bool,
    /// The limit of calls at the same time, of a flow whose route is a comment.
    pub limit: Option<usize>,
    /// The fields of a request by which answers are kept, as `header.NAME`.
    pub key: Vec<String>,
}

/// The upstreams of a conversion.
#[derive(Default)]
pub(super) struct Upstreams(Vec<Upstream>);

struct Upstream {
    name: String,
    comments: Vec<String>,
    entries: JsonMap<String, Json>,
}

impl Upstreams {
    /// Adds the upstream of a call, unless it is there already, and returns its name. Adds losses to `losses`.
    pub fn of(
        &mut self,
        app: &App,
        call: &Call<'_>,
        base: &str,
        course: &Course<'_>,
        losses: &mut Losses,
    ) -> String {
        let circuit = course.circuit;
        let request = call.request;
        let config = request.config.as_ref();
        let mut entries = JsonMap::new();
        entries.insert("url".into(), json!(base));
        let tls = config.and_then(|config| config.trust.as_ref());
        if let Some(tls) = tls.filter(|_| base.starts_with("https:")) {
            entries.extend(native_upstream_tls(tls).map(|shown| ("tls".to_owned(), shown)));
            let lost = upstream_tls_losses(tls).into_iter();
            losses.extend(lost.map(|what| (call.site.clone(), what)));
        }
        let own = request.response_timeout.as_ref().map(Given::literal);
        let own = own.map(|text| text.and_then(|text| text.trim().parse().ok()));
        let timeout = match own {
            Some(Some(millis)) => Duration::from_millis(millis),
            Some(None) => {
                let what = "the time limit of the call, which is computed".to_owned();
                losses.push((call.site.clone(), what));
                app.response_timeout
            }
            None => config
                .and_then(|config| config.response_timeout)
                .unwrap_or(app.response_timeout),
        };
        let connect = config.map_or(Duration::from_secs(30), |config| config.connect_timeout);
        let mut times = json!({
            "connect": show_duration(connect.min(timeout)),
            "request": show_duration(timeout),
        });
        let mut comments = Vec::new();
        let retry = course.repeat.as_ref().and_then(Repeat::shown);
        if let (Some(repeat), Some(_)) = (&course.repeat, &retry) {
            times["total"] = json!(show_duration(repeat.total(timeout)));
        }
        entries.insert("timeout".into(), times);
        let judged = course.failures.as_deref().map(failure);
        match (circuit, judged) {
            (Some(circuit), _) => {
                entries.insert("breaker".into(), breaker(circuit, &mut comments, losses));
            }
            (None, judged) => {
                let mut breaker = json!({ "mode": "disabled" });
                if let Some(judged) = judged.filter(|judged| judged != BY_DEFAULT) {
                    breaker["failure"] = json!(judged);
                }
                entries.insert("breaker".into(), breaker);
                comments.push(NO_CIRCUIT.to_owned());
            }
        }
        if let Some(retry) = retry {
            entries.insert("retry".into(), retry);
        }
        comments.extend(course.repeat.iter().flat_map(|it| it.comments.clone()));
        if course.repeat.is_none() && course.is_idempotent {
            comments.push(format!(
                "differs: the flow's client repeats a request up to 3 times whose connection is cut before its answer; here only `retry` does {}",
                at(call.site)
            ));
        }
        if !course.key.is_empty() {
            entries.insert("last_good".into(), json!({ "key": course.key }));
        }
        if let Some(most) = config.and_then(|config| config.connections_max) {
            let wait = show_duration(timeout);
            let places = json!({ "concurrent": most, "queued": QUEUED, "queue_for": wait });
            entries.insert("bulkhead".into(), places);
        } else if let Some(most) = course.limit {
            entries.insert("bulkhead".into(), json!({ "concurrent": most }));
        }
        let named = match (circuit, config) {
            // The circuit's own name, so that dashboards continue to find it.
            (Some(circuit), _) => circuit.name.to_string(),
            (None, Some(config)) => config.name.to_string(),
            (None, None) => base.to_owned(),
        };
        let is_same = |it: &&Upstream| it.entries == entries && it.name.starts_with(&named);
        if let Some(same) = self.0.iter().find(is_same) {
            return same.name.clone();
        }
        let mut name = named.clone();
        let mut number = 1;
        while self.0.iter().any(|upstream| upstream.name == name) {
            number += 1;
            name = format!("{named}-{number}");
        }
        if number > 1
            && let Some(circuit) = circuit
        {
            let what = format!(
                "{} is one circuit for several calls: here each upstream has its own",
                quote(&circuit.name)
            );
            losses.push((call.site.clone(), what));
        }
        self.0.push(Upstream {
            name: name.clone(),
            comments,
            entries,
        });
        name
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn write(&self, out: &mut String) {
        if self.0.is_empty() {
            return;
        }
        out.push_str("upstreams:\n");
        for upstream in &self.0 {
            for comment in &upstream.comments {
                let _ = writeln!(out, "  # {}", super::plain(comment));
            }
            let _ = writeln!(out, "  {}:", yaml::key(&upstream.name));
            yaml::entries(out, 4, &upstream.entries);
        }
    }
}

/// The native breaker for a circuit.
fn breaker(circuit: &Circuit, comments: &mut Vec<String>, losses: &mut Losses) -> Json {
    let name = quote(&circuit.name);
    let count = circuit.count.as_ref();
    let threshold = match count.map(|count| count.threshold) {
        None => 1,
        Some(Some(threshold)) => threshold.clamp(1, u64::from(u32::MAX)),
        Some(None) => {
            let site = count.map_or(&circuit.site, |count| &count.site);
            let what = format!("the threshold of {name}, which is computed: here 5");
            losses.push((site.clone(), what));
            5
        }
    };
    let forgets = count.and_then(|count| count.entry.store.as_ref()?.expiry());
    let trip = if circuit.success_resets {
        json!({ "consecutive_failures": threshold })
    } else {
        let within = forgets.map_or(LONG, |(ttl, _)| ttl);
        json!({ "failures": threshold, "within": show_duration(within) })
    };
    comments.push(format!(
        "The circuit that {} builds in {}.",
        base_name(&circuit.site.file),
        circuit.state
    ));
    let mut shown = JsonMap::new();
    shown.insert("trip".into(), trip);
    shown.insert("failure".into(), json!(failure(&circuit.failures)));
    if circuit.success_resets && threshold > 1 {
        let ignored = ignored(circuit, comments);
        if !ignored.is_empty() {
            shown.insert("ignore".into(), json!(ignored));
        }
    }
    let cooldown = match circuit.cooldown {
        Cooldown::Expiry { ttl, .. } => ttl,
        Cooldown::Timeout(Some(after)) if !after.is_zero() => after,
        Cooldown::Timeout(_) => {
            let what = format!("the cooldown of {name}, which is computed: here 30 s");
            losses.push((circuit.site.clone(), what));
            Duration::from_secs(30)
        }
        Cooldown::Never => {
            let what = format!("{name} stays open until an operator closes it: here for 30 s");
            losses.push((circuit.trip_site.clone(), what));
            Duration::from_secs(30)
        }
    };
    shown.insert("cooldown".into(), json!(show_duration(cooldown)));
    shown.insert("half_open".into(), json!({ "probes": 1, "successes": 1 }));
    if circuit.state.key.literal().is_none() {
        let what =
            format!("the changing part of the key of {name}: here one breaker for all requests");
        losses.push((circuit.site.clone(), what));
    }
    for flaw in circuit.flaws.iter().filter(|flaw| flaw.is_mended()) {
        comments.push(format!("mends: {}", described(flaw, circuit)));
    }
    match (circuit.success_resets, forgets) {
        (true, Some((ttl, sweep))) => comments.push(format!(
            "differs: the flow forgets failures {} after the last one; here only a success resets the count",
            range(ttl, sweep)
        )),
        (false, Some((ttl, sweep))) => comments.push(format!(
            "differs: in the flow each failure within {} of the one before adds up; here those within {}",
            range(ttl, sweep),
            show_duration(ttl)
        )),
        (false, None) => comments.push(format!(
            "differs: the flow never forgets a failure; here after {}",
            show_duration(LONG)
        )),
        (true, None) => {}
    }
    // How failures are forgotten differs from the flow, as the comments above say.
    let remaining = |flaw: &&Flaw| !flaw.is_mended() && flaw.kind != FlawKind::CountRenewed;
    for flaw in circuit.flaws.iter().filter(remaining) {
        comments.push(format!("kept: {}", described(flaw, circuit)));
    }
    Json::Object(shown)
}

/// The native expression for the calls that neither count as failures nor end a row of them.
fn ignored(circuit: &Circuit, comments: &mut Vec<String>) -> String {
    let without = circuit.ignored.iter().filter(|it| it.status.is_some());
    let mut ignored: Vec<Failure> = without.cloned().collect();
    let is_missing = |it: &Failure| it.status == Some(404);
    if !ignored.iter().any(is_missing) && !circuit.failures.iter().any(is_missing) {
        comments.push(format!(
            "mends: in the flow a 404 to any client ends a row of failures; here it is ignored {}",
            at(&circuit.site)
        ));
        ignored.push(Failure {
            kind: ErrorType::new("HTTP", "NOT_FOUND"),
            status: Some(404),
        });
    }
    failure(&ignored)
}

/// A flaw with its position, without the circuit's name in front.
fn described(flaw: &Flaw, circuit: &Circuit) -> String {
    let before = format!("the circuit {} ", circuit.name);
    let what = flaw.what.strip_prefix(&before).unwrap_or(&flaw.what);
    format!("{what} {}", at(&flaw.site))
}

/// The native expression for the calls that count as failures.
fn failure(failures: &[Failure]) -> String {
    let has = |name: &str| {
        failures
            .iter()
            .any(|failure| failure.kind.to_string() == name)
    };
    let mut terms = Vec::new();
    match (has("HTTP:CONNECTIVITY"), has("HTTP:TIMEOUT")) {
        (true, true) => terms.push("error != \"\"".to_owned()),
        (true, false) => terms.push("(error != \"\" && !timeout)".to_owned()),
        (false, true) => terms.push("timeout".to_owned()),
        (false, false) => {}
    }
    let statuses = failures.iter().filter_map(|failure| failure.status);
    let mut statuses: Vec<u16> = statuses.collect();
    statuses.sort_unstable();
    let all = |of: &[u16]| of.iter().all(|status| statuses.contains(status));
    let server = all(&[500, 502, 503, 504]);
    // Statuses without an error type of their own count if all others do.
    if server && all(&[400, 401, 403, 404, 409, 429]) {
        terms.insert(0, "status >= 400".to_owned());
        statuses.clear();
    } else if server {
        terms.insert(0, "status >= 500".to_owned());
        statuses.retain(|status| *status < 500);
    }
    terms.extend(statuses.iter().map(|status| format!("status == {status}")));
    terms.join(" || ")
}
