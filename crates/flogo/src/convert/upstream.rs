//! The upstream of an action's calls, with its breaker; several calls of one path are its endpoints.

use std::fmt::Write as _;

use fusebox_plan::dialect::{Losses, Place, put, quote, show_duration, show_settings, yaml};
use serde_json::{Value as Json, json};

use super::Draft;
use super::recipe::{Call, Recipe, Spread};
use super::target::{Target, own_input};
use crate::read::actions::BuiltAction;

/// The number of repeats a second that there are without any calls.
const REPEATS_MIN: u64 = 100;
/// The pause before the next call, which the steps do not have.
const PAUSE: &str = "1ms";
/// The methods that a native retry repeats unasked.
const REPEATED: [&str; 5] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

/// An upstream of the native form.
pub(super) struct Upstream {
    pub name: String,
    pub comments: Vec<String>,
    pub entries: Json,
}

impl Upstream {
    pub fn write(&self, out: &mut String) {
        for comment in &self.comments {
            let _ = writeln!(out, "  # {comment}");
        }
        let _ = writeln!(out, "  {}:", yaml::key(&self.name));
        if let Some(entries) = self.entries.as_object() {
            yaml::entries(out, 4, entries);
        }
    }
}

/// An upstream with the rungs that lead to others.
pub(super) struct Made {
    pub upstream: String,
    pub rungs: Vec<Json>,
}

impl Draft {
    /// The upstream of an action's calls; the error says why they have none.
    pub(super) fn upstream(
        &mut self,
        built: &BuiltAction,
        recipe: &Recipe<'_>,
        targets: &[Target],
    ) -> Result<Made, String> {
        let (first, target) = match (&recipe.calls[..], targets) {
            ([first, ..], [target, ..]) => (first, target),
            _ => return Err("its action does not make exactly one call".to_owned()),
        };
        let are_alike = recipe.calls.iter().zip(targets).all(|(call, of)| {
            of.path == target.path && of.query == target.query && is_alike(call, first)
        });
        let one = std::slice::from_ref(first);
        let (calls, others) = match (&recipe.spread, are_alike) {
            (_, true) => (&recipe.calls[..], &[][..]),
            (Spread::OnFailure(statuses), false) if statuses.is_empty() => {
                (one, &recipe.calls[1..])
            }
            _ => return Err("its calls differ in more than the server".to_owned()),
        };
        let mut rungs = Vec::new();
        for (call, of) in others.iter().zip(&targets[1..]) {
            let base = of.path.strip_suffix(target.path.as_str());
            let base = base.filter(|base| !base.contains('{') && of.query == target.query);
            let base = base.ok_or("its calls have different paths")?;
            let url = format!("{}{base}", call.rest.endpoint.url());
            let name = self.add(built, std::slice::from_ref(call), &[url], None);
            rungs.push(json!({ "upstream": name }));
        }
        let urls: Vec<String> = calls.iter().map(|call| call.rest.endpoint.url()).collect();
        let upstream = self.add(built, calls, &urls, Some(recipe));
        Ok(Made { upstream, rungs })
    }

    /// Adds the upstream of calls, unless it is there; with the recipe also their breaker and repeats.
    fn add(
        &mut self,
        built: &BuiltAction,
        calls: &[Call<'_>],
        urls: &[String],
        recipe: Option<&Recipe<'_>>,
    ) -> String {
        let BuiltAction { action, places, .. } = built;
        let first = &calls[0];
        let service = &action.services[first.service];
        let key = (action.name.clone(), service.name.clone());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        // The breaker keeps its name, so that dashboards find it again.
        let base = match recipe.and_then(|recipe| recipe.breaker) {
            Some(breaker) => breaker.name.to_string(),
            None => format!("{}/{}", action.name, service.name),
        };
        let mut name = base.clone();
        let mut number = 1;
        while self.upstreams.iter().any(|taken| taken.name == name) {
            number += 1;
            name = format!("{base}-{number}");
        }
        let mut comments = Vec::new();
        let spread = recipe.map_or(&Spread::One, |recipe| &recipe.spread);
        let mut entries = endpoints(urls, spread);
        if let Some(timeout) = first.rest.timeout {
            entries["timeout"] = json!({ "request": show_duration(timeout) });
        }
        for call in calls {
            self.losses_of(built, call, &mut comments);
        }
        if let Some(recipe) = recipe {
            let at = places.services[first.service];
            entries["breaker"] = breaker(recipe, at, &mut comments, &mut self.losses);
            if recipe.kept_back_moves_breaker() {
                comments.push("mends: a request that the condition keeps back asks the breaker, and reports a success to it; here it does not reach it".to_owned());
            }
            if let Spread::OnFailure(statuses) = &recipe.spread
                && calls.len() > 1
            {
                repeat(calls, statuses, &mut entries);
                let names: Vec<String> = calls
                    .iter()
                    .map(|call| quote(&action.services[call.service].name))
                    .collect();
                comments.push(format!(
                    "differs: the steps ask each of {} where the ones before it failed; here they are asked in turn, and another one where one failed",
                    names.join(", ")
                ));
            }
            if urls.len() > 1 && entries.get("endpoints").is_some() {
                comments.push(
                    "mends: an endpoint that fails five times in a row gets no calls for a while"
                        .to_owned(),
                );
            }
        }
        if recipe.is_none() {
            // The steps have no breaker before it.
            entries["breaker"] = json!({ "mode": "disabled" });
        }
        self.known.insert(key, name.clone());
        self.upstreams.push(Upstream {
            name: name.clone(),
            comments,
            entries,
        });
        name
    }

    /// Names what a call has that the upstream has not.
    fn losses_of(&mut self, built: &BuiltAction, call: &Call<'_>, comments: &mut Vec<String>) {
        let BuiltAction { action, places, .. } = built;
        let at = places.services[call.service];
        let shown = quote(&action.services[call.service].name);
        let rest = call.rest;
        if rest.timeout.is_none() {
            comments.push(format!(
                "mends: {shown} waits for its answer without a limit, so an upstream that hangs never fails; here 30 s (line {})",
                at.line
            ));
        }
        if rest.proxy.is_some() {
            self.losses.lose(at, format!("the proxy of {shown}"));
        }
        if !rest.tls.verified || rest.tls.identity.is_some() || rest.tls.authorities.is_some() {
            let mends = "the certificate is verified by the system's authorities";
            self.losses
                .lose(at, format!("the TLS settings of {shown}: {mends}"));
        }
        for (input, what) in [
            ("headers", "the headers that it sets itself"),
            ("content", "the content that it sets itself"),
        ] {
            if own_input(action, call, input) {
                self.losses.lose(at, format!("{what} ({shown})"));
            }
        }
    }
}

/// True if two calls differ in nothing but their server.
fn is_alike(one: &Call<'_>, other: &Call<'_>) -> bool {
    one.rest.timeout == other.rest.timeout
        && one.rest.proxy == other.rest.proxy
        && one.rest.tls == other.rest.tls
        && one.step.input == other.step.input
}

/// The address, or the addresses with their shares of the calls.
fn endpoints(urls: &[String], spread: &Spread) -> Json {
    let mut distinct: Vec<(&String, i64)> = Vec::new();
    for (at, url) in urls.iter().enumerate() {
        let share = match spread {
            Spread::InTurn(shares) => shares.get(at).copied().unwrap_or(1),
            Spread::One | Spread::OnFailure(_) => 1,
        };
        match distinct.iter_mut().find(|(known, _)| *known == url) {
            Some((_, known)) if matches!(spread, Spread::InTurn(_)) => *known += share,
            Some(_) => {}
            None => distinct.push((url, share)),
        }
    }
    match distinct[..] {
        [(url, _)] => json!({ "url": url }),
        _ => {
            let endpoint = |(url, share): &(&String, i64)| {
                let mut shown = json!({ "url": url });
                put(
                    &mut shown,
                    "weight",
                    Some(*share).filter(|share| *share > 1),
                );
                shown
            };
            json!({ "endpoints": distinct.iter().map(endpoint).collect::<Vec<_>>() })
        }
    }
}

/// Adds a retry that asks the next endpoint where the steps make the next call.
fn repeat(calls: &[Call<'_>], statuses: &[u16], entries: &mut Json) {
    let first = calls[0].rest;
    let mut on = vec![json!("connect_error"), json!("reset")];
    if let Some(timeout) = first.timeout {
        on.push(json!("timeout"));
        let attempts = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let total = timeout.saturating_mul(attempts) + std::time::Duration::from_secs(1);
        entries["timeout"]["total"] = json!(show_duration(total));
    }
    on.extend(statuses.iter().map(|status| json!(status.to_string())));
    let mut retry = json!({
        "attempts": calls.len(),
        "on": on,
        "backoff": { "base": PAUSE, "max": PAUSE, "jitter": "none" },
        "budget": { "ratio": "100%", "min": REPEATS_MIN },
    });
    if !REPEATED.contains(&first.method.as_str()) {
        retry["methods"] = json!([first.method.as_str()]);
    }
    entries["retry"] = retry;
}

fn breaker(
    recipe: &Recipe<'_>,
    at: Place,
    comments: &mut Vec<String>,
    losses: &mut Losses,
) -> Json {
    let failure = failure(&recipe.statuses);
    // A ladder is for calls that failed as the steps see it.
    let disabled = json!({ "mode": "disabled", "failure": failure });
    let Some(breaker) = recipe.breaker else {
        return disabled;
    };
    let settings = show_settings(&breaker.settings);
    if settings["mode"] == "disabled" {
        let name = quote(&breaker.name);
        losses.lose(at, format!("the breaker {name} never rejects"));
        return disabled;
    }
    let trip = &settings["trip"][0];
    // An answer is a success, whatever its status, unless the steps report it.
    let mut shown = json!({ "trip": trip, "failure": failure });
    if trip.get("adaptive").is_none() {
        shown["history"] = settings["history"].clone();
        shown["cooldown"] = settings["cooldown"].clone();
        shown["half_open"] = json!({ "probes": 1, "successes": 1 });
        // There any answer ends a row, so that one client's wrong addresses could keep the breaker closed.
        let is_row = trip["consecutive_failures"]
            .as_u64()
            .is_some_and(|calls| calls > 1);
        if is_row && !recipe.statuses.contains(&404) {
            shown["ignore"] = json!("status == 404");
            comments.push("mends: an answer 404 ends a row of failures, so one client can keep the breaker closed; here it changes nothing".to_owned());
        }
        comments.push("mends: after its timeout every call reaches the backend at once, until one is reported; here one call probes".to_owned());
    }
    shown
}

/// The native expression for calls that are reported as failures.
fn failure(statuses: &[u16]) -> String {
    let has = |of: &[u16]| of.iter().all(|status| statuses.contains(status));
    let mut terms = Vec::new();
    let mut rest: Vec<u16> = statuses.to_vec();
    if has(&[500, 502, 503, 504]) && has(&[400, 401, 403, 404, 408, 409, 429]) {
        terms.push("status >= 400".to_owned());
        rest.clear();
    } else if has(&[500, 502, 503, 504]) {
        terms.push("status >= 500".to_owned());
        rest.retain(|status| *status < 500);
    }
    rest.sort_unstable();
    terms.extend(rest.iter().map(|status| format!("status == {status}")));
    terms.push("error != \"\"".to_owned());
    terms.join(" || ")
}
