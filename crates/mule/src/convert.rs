//! Converts an application to the native form and lists everything that has no native form.
//!
//! A flow that forwards a request becomes a route, the server that it calls becomes an upstream, and a circuit that it
//! builds by hand becomes the upstream's breaker. Everything else is listed with its position. As with circuits, the
//! behaviour of a flow is derived from all its paths.
//!
//! - `target`: the path of a call, in terms of the client's path
//! - `upstream`: the server of a call, with its breaker

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::Symbol;
use fusebox_plan::Conversion;
use fusebox_plan::dialect::{Notes, quote, yaml};
use serde_json::{Map as JsonMap, Value as Json, json};

use super::app::{App, Does, Flow, Processor, Site, Source, is_same_store};
use super::circuit::{Act, Circuit, Failures, Outcome, Path, SentRequest, Walk, place};
use super::xml::start_of;

mod target;
mod upstream;

use upstream::Upstreams;

/// The comment on losses that are common to all conversions.
const EVERYWHERE: &str = "\
# In every route the client's headers, query and body go to the upstream, and the upstream's status,
# headers and body come back as they are. A refused call is answered 503 with `Retry-After`, one that
# failed 502 or 504. Redirects are passed on, cookies are not kept.
";

/// The prefix of a loss's description.
const NOT_CARRIED: &str = "not carried: ";

/// Converts an application. Returns the native form with diagnostics for each loss; `None`: no flow has a native form.
pub(crate) fn convert(app: &App, files: &[&str], mut notes: Notes) -> Conversion {
    let failures = Failures::of(app);
    let mut draft = Draft {
        app,
        files,
        walk: Walk::new(app, &failures),
        upstreams: Upstreams::default(),
        routes: Vec::new(),
        lost: Notes::default(),
    };
    for flow in &app.flows {
        match &flow.source {
            Some(Source::Http(_)) => draft.flow(flow),
            Some(Source::Scheduler { .. }) => {
                draft.lose_flow(flow, &flow.site, "the native form has no schedules");
            }
            Some(Source::Queue { .. }) => {
                draft.lose_flow(flow, &flow.site, "the native form has no queues");
            }
            None => {}
        }
    }
    let yaml = if draft.routes.is_empty() {
        let what = "nothing in this application has a native form: no flow forwards a request or responds with a constant";
        notes.error(start_of(0), what, "keep running it as it is");
        None
    } else {
        Some(draft.text())
    };
    notes.append(draft.lost);
    Conversion {
        yaml,
        diagnostics: notes.finish(files),
    }
}

struct Draft<'a> {
    app: &'a App,
    files: &'a [&'a str],
    walk: Walk<'a>,
    upstreams: Upstreams,
    routes: Vec<JsonMap<String, Json>>,
    lost: Notes,
}

impl<'a> Draft<'a> {
    fn lose(&mut self, at: &Site, what: impl Into<String>) {
        let what = format!("{NOT_CARRIED}{}", what.into());
        let at = place(at, self.files);
        self.lost.warn(at, what, "port this by hand or drop it");
    }

    /// Lists a flow, for a reason that is found at a position.
    fn lose_flow(&mut self, flow: &Flow, at: &Site, why: impl std::fmt::Display) {
        self.lose(at, format!("the flow {}: {why}", quote(&flow.name)));
    }

    fn flow(&mut self, flow: &'a Flow) {
        let Some(paths) = self.walk.through(flow) else {
            self.lose_flow(flow, &flow.site, "it has too many branches");
            return;
        };
        let calls: BTreeSet<usize> = paths.iter().flat_map(Path::called).collect();
        if let Some(max) = flow.max_concurrency {
            let name = quote(&flow.name);
            let what = format!("the limit of {name} to {max} concurrent requests");
            self.lose(&flow.site, what);
        }
        match calls.into_iter().collect::<Vec<_>>()[..] {
            [] => self.respond(flow, &paths),
            [call] => self.forward(flow, &paths, call),
            _ => {
                let why = "it makes several calls, and a native route makes one";
                self.lose_flow(flow, &flow.site, why);
            }
        }
    }

    /// Converts a flow with a constant response.
    fn respond(&mut self, flow: &'a Flow, paths: &[Path<'a>]) {
        let Some(answer) = paths.first().map(|path| self.answer(flow, path)) else {
            return;
        };
        let same = paths.iter().all(|path| self.answer(flow, path) == answer);
        let (
            true,
            Answer {
                status: Some(status),
                body: Some(body),
                raised: None,
                media_type,
            },
        ) = (same, answer)
        else {
            self.lose_flow(flow, &flow.site, "its response depends on the request");
            return;
        };
        if !(200..=599).contains(&status) {
            self.lose_flow(flow, &flow.site, format!("the status {status}"));
            return;
        }
        let mut entries = JsonMap::new();
        entries.insert("status".into(), json!(status));
        if let Some(media_type) = media_type {
            entries.insert("headers".into(), json!({ "content-type": media_type }));
        }
        entries.insert("body".into(), json!(&*body));
        let Some(mut route) = self.route(flow, None) else {
            return;
        };
        route.insert("respond".into(), Json::Object(entries));
        self.routes.push(route);
        self.lose_the_rest(flow, None);
    }

    /// Converts a flow that makes a call and returns its response.
    fn forward(&mut self, flow: &'a Flow, paths: &[Path<'a>], call: usize) {
        let name = quote(&flow.name);
        let called = self.walk.calls[call].clone();
        let mut sent: Option<&SentRequest> = None;
        for path in paths {
            for act in &path.acts {
                let Act::Called {
                    call: at,
                    sent: this,
                    ..
                } = act
                else {
                    continue;
                };
                if *at == call && sent.is_none_or(|sent| sent == &**this) {
                    sent = Some(this);
                } else {
                    self.lose_flow(flow, called.site, "its call depends on the request");
                    return;
                }
            }
        }
        let Some(sent) = sent else { return };
        let good = paths.iter();
        let mut good = good.filter(|path| ended(path, call) == Some(Outcome::Good));
        let passes =
            |path: &Path<'_>| path.payload == Symbol::input("response") && path.raised.is_none();
        if !good.all(passes) {
            self.lose_flow(flow, called.site, "its response is not that of the call");
            return;
        }
        let Some(Value::String(method)) = sent.method.known() else {
            self.lose_flow(flow, called.site, "its method is computed");
            return;
        };
        let method = method.to_ascii_uppercase();
        let Some(mut route) = self.route(flow, Some(&method)) else {
            return;
        };
        let target = match target::of(&called, sent) {
            Ok(target) => target,
            Err(why) => {
                self.lose_flow(flow, called.site, why);
                return;
            }
        };
        let mut circuits = self.app.circuits.iter();
        let circuit = circuits.find(|circuit| circuit.calls.contains(called.site));
        let mut losses = Vec::new();
        let upstream = self
            .upstreams
            .of(self.app, &called, &target.base, circuit, &mut losses);
        route.insert("upstream".into(), json!(upstream));
        let from = route["path"].as_str().unwrap_or_default().to_owned();
        if target.path != from {
            route.insert("rewrite".into(), json!(target.path));
        }
        self.routes.push(route);
        for (site, what) in losses {
            self.lose(&site, what);
        }
        let no_client_query =
            |query: &Symbol| *query != Symbol::input("attributes").field("queryParams");
        if sent.query.as_ref().is_some_and(no_client_query) {
            self.lose(called.site, format!("the query that {name} adds"));
        }
        if let Some(query) = &target.query {
            self.lose(called.site, format!("the query {} of {name}", quote(query)));
        }
        if sent.headers.is_some() {
            self.lose(called.site, format!("the headers that {name} adds"));
        }
        let of_client = |body: &Symbol| {
            *body == Symbol::input("payload") || matches!(body, Symbol::Entry(_) | Symbol::If(..))
        };
        if sent.body.as_ref().is_some_and(|body| !of_client(body)) {
            self.lose(called.site, format!("the body that {name} makes"));
        }
        self.lose_answers(flow, paths, call, circuit);
        self.lose_the_rest(flow, circuit);
    }

    /// The listener, path and methods of a flow's route; `None`: they have no native form.
    fn route(&mut self, flow: &'a Flow, method: Option<&str>) -> Option<JsonMap<String, Json>> {
        let Some(Source::Http(source)) = &flow.source else {
            return None;
        };
        let name = quote(&flow.name);
        let path = match target::listener_path(&source.path) {
            Ok(path) => path,
            Err(why) => {
                self.lose_flow(flow, &flow.site, why);
                return None;
            }
        };
        let taken = source.methods.as_ref();
        let taken: Option<Vec<&str>> =
            taken.map(|methods| methods.iter().map(http::Method::as_str).collect());
        let mut only = |method, how| {
            let what = format!("{name} {how}: here only {method} is accepted");
            self.lose(&flow.site, what);
        };
        let methods = match (method, taken) {
            (None, taken) => taken,
            (Some(method), None) => {
                only(
                    method,
                    format!("accepts all methods and calls with {method}"),
                );
                Some(vec![method])
            }
            (Some(method), Some(taken)) if taken.contains(&method) => {
                if taken.len() > 1 {
                    only(
                        method,
                        format!("calls with {method} whatever the client's method"),
                    );
                }
                Some(vec![method])
            }
            (Some(method), Some(_)) => {
                let why = format!(
                    "it calls with {method}, which its listener does not allow; a native route keeps the client's method"
                );
                self.lose_flow(flow, &flow.site, why);
                return None;
            }
        };
        let mut entries = JsonMap::new();
        entries.insert("name".into(), json!(&*flow.name));
        entries.insert("path".into(), json!(path));
        if let Some(methods) = methods {
            entries.insert("methods".into(), json!(methods));
        }
        entries.insert("listeners".into(), json!([&*source.config.name]));
        Some(entries)
    }

    /// Lists the responses that the flow makes itself.
    fn lose_answers(
        &mut self,
        flow: &'a Flow,
        paths: &[Path<'a>],
        call: usize,
        circuit: Option<&Circuit>,
    ) {
        if let Some(circuit) = circuit {
            let refusal = &circuit.refusal;
            let what = match (refusal.status, &refusal.error) {
                (Some(status), _) => {
                    let body = shown_body(refusal.body.as_deref());
                    Some(format!("the answer of an open circuit, {status}{body}"))
                }
                (None, Some(error)) => Some(format!("the error {error} of an open circuit")),
                (None, None) => None,
            };
            if let Some(what) = what {
                let what = format!("{what}: here it is 503 with `Retry-After`");
                self.lose(&circuit.site, what);
            }
        }
        let mut reported = BTreeSet::new();
        for path in paths {
            let Some(outcome) = ended(path, call) else {
                continue;
            };
            let after = path.acts.iter().skip_while(
                |act| !matches!(act, Act::Called { call: called, .. } if *called == call),
            );
            let handled = after.into_iter().find_map(|act| match act {
                Act::Handled { site } => Some(*site),
                _ => None,
            });
            let answer = self.answer(flow, path);
            let says = answer.status.filter(|status| *status != 200);
            let what = match (outcome, says, handled) {
                (Outcome::Good, Some(status), _) => {
                    let name = quote(&flow.name);
                    format!("the status {status} with which {name} answers")
                }
                (Outcome::Good, None, _) | (_, _, None) => continue,
                (_, status, Some(_)) => {
                    let status = status.map_or(String::new(), |status| format!(", {status}"));
                    let body = shown_body(answer.body.as_deref());
                    format!(
                        "the answer to a call that failed{status}{body}: here it is 502 or 504, or what the upstream answered"
                    )
                }
            };
            let site = handled.unwrap_or(self.walk.calls[call].site);
            if reported.insert((site.clone(), what.clone())) {
                self.lose(site, what);
            }
        }
    }

    /// The response of a flow at the end of a path.
    fn answer(&self, flow: &Flow, path: &Path<'_>) -> Answer {
        let own = match &flow.source {
            Some(Source::Http(source)) => source.response.as_ref(),
            _ => None,
        };
        let usual = || Symbol::Known(200.into());
        let status = match own.and_then(|own| own.status.as_ref()) {
            Some(given) => given.literal().map(|text| Symbol::text(text.clone())),
            None => Some(path.vars.get("httpStatus").cloned().unwrap_or_else(usual)),
        };
        let status = status.and_then(|status| status.number()?.to_i64());
        let body = match own.and_then(|own| own.body.as_ref()) {
            Some(given) => given.literal().cloned(),
            None => match path.payload.known() {
                Some(Value::String(text)) => Some(text.clone()),
                _ => None,
            },
        };
        let media_type = path.media_type.as_ref();
        Answer {
            status: status.and_then(|status| u16::try_from(status).ok()),
            body,
            media_type: media_type.map(|media_type| media_type.as_str().to_owned()),
            raised: path.raised.as_ref().map(|raised| raised.kind.to_string()),
        }
    }

    /// Lists the other processors of a flow that have no native form.
    fn lose_the_rest(&mut self, flow: &'a Flow, circuit: Option<&Circuit>) {
        let mut seen = BTreeSet::new();
        let mut next = vec![flow];
        let mut found: Vec<(Site, &'static str)> = Vec::new();
        let app = self.app;
        let mut handlers: Vec<_> = app.default_handlers.iter().map(|all| &**all).collect();
        if flow.handlers.is_some() {
            handlers.clear();
        }
        while let Some(flow) = next.pop() {
            let mut inner = Vec::new();
            let mut look = |processor: &'a Processor| {
                if let Some(id) = processor.does.flow()
                    && seen.insert(id)
                {
                    inner.push(&**app.flow(id));
                }
                if let Some(what) = left_out(&processor.does, circuit) {
                    found.push((processor.site.clone(), what));
                }
            };
            flow.walk(&mut look);
            handlers.drain(..).for_each(|all| all.walk(&mut look));
            next.extend(inner);
        }
        found.sort();
        found.dedup();
        for (site, what) in found {
            self.lose(&site, what);
        }
    }

    fn text(&self) -> String {
        let mut out = format!("# Converted from {}.\n{EVERYWHERE}", self.files.join(", "));
        let lost = self.lost.clone().finish(self.files);
        if !lost.is_empty() {
            out.push_str("#\n# Not carried:\n");
            for one in &lost {
                let what = one.what.strip_prefix(NOT_CARRIED).unwrap_or(&one.what);
                let _ = writeln!(out, "# - {}:{}: {}", one.file, one.line, plain(what));
            }
        }
        out.push_str("version: 1\nlisteners:\n");
        let used = self.routes.iter();
        let used: BTreeSet<&str> = used
            .filter_map(|route| route["listeners"][0].as_str())
            .collect();
        for listener in &self.app.listeners {
            if used.contains(&*listener.name) {
                let shown = json!({ "name": &*listener.name, "addr": listener.addr.to_string() });
                let _ = writeln!(out, "  - {}", yaml::inline(&shown));
            }
        }
        self.upstreams.write(&mut out);
        out.push_str("routes:\n");
        for route in &self.routes {
            let mut entries = String::new();
            yaml::entries(&mut entries, 4, route);
            out.push_str(&entries.replacen("    ", "  - ", 1));
        }
        out
    }
}

/// The response of a flow, as far as it is constant.
#[derive(Debug, PartialEq)]
struct Answer {
    status: Option<u16>,
    body: Option<Arc<str>>,
    media_type: Option<String>,
    raised: Option<String>,
}

/// A text on one line, for a comment.
fn plain(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn shown_body(body: Option<&str>) -> String {
    body.map_or(String::new(), |body| format!(" {}", quote(body)))
}

/// The outcome of a call on a path.
fn ended(path: &Path<'_>, of: usize) -> Option<Outcome> {
    path.acts.iter().find_map(|act| match act {
        Act::Called { call, outcome, .. } if *call == of => Some(*outcome),
        _ => None,
    })
}

/// A description of a processor that has no native form, unless it belongs to the circuit.
fn left_out(does: &Does, circuit: Option<&Circuit>) -> Option<&'static str> {
    Some(match does {
        Does::Logger(_) => "the log line: the gateway logs and counts by itself",
        Does::UntilSuccessful(_) => "the retries: the native form has none yet",
        Does::Object(call)
            if circuit.is_some_and(|it| is_same_store(&it.state.store, &call.store)) =>
        {
            return None;
        }
        Does::Object(_) => "the data in an object store",
        Does::Async(_) => "the steps beside the flow",
        Does::Publish(_) => "the message to a queue",
        Does::Cache(_) => "the cache",
        Does::Sleep(_) => "the sleep",
        Does::Validation(_) => "the check of the request",
        Does::Foreach(_) | Does::ParallelForeach(_) => "the loop",
        Does::ScatterGather(_) | Does::FirstSuccessful(_) | Does::RoundRobin(_) => "the routes",
        Does::FlowRef { .. }
        | Does::SetVariable(_)
        | Does::RemoveVariable(_)
        | Does::SetPayload { .. }
        | Does::Transform(_)
        | Does::Choice(_)
        | Does::Try(_)
        | Does::RaiseError(_)
        | Does::Request(_) => return None,
    })
}
