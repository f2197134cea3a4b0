//! Converts an application to a native configuration, and lists the parts that have no native form.
//!
//! A breaker around a call becomes an upstream with its breaker, a handler becomes a route, answers that are the same for
//! all requests become rungs. Everything else in the application is reported, with its line.
//!
//! - `gate`: a condition that a native route asks for itself
//! - `recipe`: the calls of an action that are one, and their breaker; `rehearsal`: the steps, run without a request
//! - `upstream`: the service of a call; `target`: the path of a call; `answers`: what an action answers itself

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use fusebox_plan::Diagnostic;
use fusebox_plan::dialect::{
    Losses, Notes, PathFault, Place, Template, base_name, put, quote, show_listener_tls, yaml,
};
use fusebox_plan::plan::{Http2, HttpVersion, Listener};
use serde_json::{Value as Json, json};

use crate::read::actions::BuiltAction;
use crate::read::app::Application;
use crate::read::handler_path::HandlerPath;
use crate::read::passing::PassRoute;
use crate::read::triggers::RouteDraft;

mod answers;
mod gate;
mod recipe;
mod rehearsal;
mod target;
mod upstream;

use gate::{Gated, header_gate};
use recipe::Recipe;
use target::target;

const START: Place = Place::start(0);

/// The differences of every conversion.
const EVERYWHERE: &str = "\
# In every route the client's headers, query and body go to the upstream, and the upstream's status,
# headers and body come back as they are; unless there is a `fallback`, a refused call is answered 503 with
# `Retry-After`, one that failed 502 or 504. Replies have no `Access-Control-Allow-Origin: *`, a preflight request
# is answered 405, and a path that differs in its last slash or in case is not redirected to.
";

/// Converts an application. The text is `None` if nothing has a native form, or if a guard would be lost and that is not
/// accepted (`lossy`).
pub(crate) fn convert(
    app: &Application,
    lossy: bool,
    mut notes: Notes,
) -> (Option<String>, Vec<Diagnostic>) {
    let names: Vec<&str> = app.files.iter().map(String::as_str).collect();
    let mut draft = Draft::default();
    for route in &app.triggers.routes {
        draft.route(route);
    }
    for route in &app.triggers.passed {
        draft.passed(route);
    }
    for (place, subscription) in app.triggers.subscriptions_by_place() {
        let channel = quote(&subscription.channel);
        let what = format!("the handling of messages of channel {channel}");
        draft.report_lost(place, what);
    }
    for listener in &app.plan.listeners {
        draft.tls(listener);
    }
    if draft.routes.is_empty() && lossy {
        draft.stubs(app);
    }
    let text = if draft.routes.is_empty() {
        let what =
            "no part of this application has a native form: no handler makes exactly one call";
        let mend = "keep running it as it is; `--lossy` writes routes that answer 501";
        notes.refuse(START, what, mend)
    } else {
        Some(draft.text(app, &names))
    };
    draft.losses.report(lossy, &mut notes);
    (text.filter(|_| notes.errors() == 0), notes.finish(&names))
}

#[derive(Default)]
struct Draft {
    upstreams: Vec<upstream::Upstream>,
    /// The upstream of an action's service.
    known: HashMap<(Arc<str>, Arc<str>), String>,
    routes: Vec<Route>,
    /// The parameter names of each shape of path.
    names: HashMap<String, Vec<String>>,
    losses: Losses,
}

struct Route {
    entries: Json,
    /// The rungs of its ladder.
    rungs: Vec<Json>,
}

/// True for a route of this name that asks for fields.
fn is_gate_of(route: &Route, base: &str) -> bool {
    let name = route.entries["name"].as_str().unwrap_or_default();
    route.entries.get("headers").is_some() && name.starts_with(base)
}

impl Draft {
    fn report_lost(&mut self, at: Place, what: impl Into<String>) {
        self.losses.lose(at, what);
    }

    /// Adds a route that answers 501 for each handler, as a start for the author of the file.
    fn stubs(&mut self, app: &Application) {
        for route in &app.triggers.routes {
            if let Some((path, _)) = self.path(route) {
                let message = json!({ "message": "not carried over yet" });
                self.answer(route, &path, &[], json!({ "status": 501, "json": message }));
            }
        }
    }

    /// Reports the TLS files that the native form would look for in another directory.
    fn tls(&mut self, listener: &Listener) {
        let Some(tls) = &listener.tls else { return };
        for path in [&tls.pair.certificate_file.named, &tls.pair.key_file.named] {
            if !Path::new(path).is_absolute() {
                let (path, name) = (quote(path), quote(&listener.name));
                let what = format!(
                    "the directory of {path} (trigger {name}): the program's there, the configuration file's here"
                );
                self.report_lost(START, what);
            }
        }
    }

    /// Adds a route that passes requests on.
    fn passed(&mut self, route: &PassRoute) {
        let upstream = &route.upstream;
        let name = upstream.name.to_string();
        if self.upstreams.iter().all(|known| known.name != name) {
            let mut entries = json!({ "url": upstream.endpoint().url() });
            let mut comments = Vec::new();
            if let Some(most) = route.pass.connections_max {
                entries["bulkhead"] = json!({ "concurrent": most, "streams": 1 });
                comments.push(
                    "differs: the connection after one more than `maxconnections` is refused, before its upgrade"
                        .to_owned(),
                );
            }
            if upstream.http == HttpVersion::Two {
                entries["http"] = json!(upstream.http.as_str());
            }
            entries["breaker"] = json!({ "mode": "disabled" });
            self.upstreams.push(upstream::Upstream {
                name: name.clone(),
                comments,
                entries,
            });
        }
        let Some((path, _)) = self.native_path(&route.path, &route.written, route.at) else {
            return;
        };
        let mut entries = json!({
            "name": &*route.plan_route().name,
            "path": path,
            "methods": [route.method.as_str()],
            "listeners": [&*route.trigger],
            "upstream": name,
        });
        put(&mut entries, "rewrite", route.pass.target.clone());
        self.routes.push(Route {
            entries,
            rungs: Vec::new(),
        });
    }

    fn route(&mut self, route: &RouteDraft) {
        if let (Some(document), Some((path, _))) = (&route.document, self.path(route)) {
            let answer = json!({ "status": 200, "json": document });
            self.answer(route, &path, &[], answer);
            return;
        }
        let choices = route.handler.choices.iter().zip(&route.choices);
        let mut taken = None;
        let mut gated: Vec<Gated<'_>> = Vec::new();
        let mut conditional = Vec::new();
        for (choice, places) in choices {
            let gate = choice
                .when
                .as_ref()
                .map(|when| header_gate(when, &["headers"]));
            // Of native routes those with more fields are asked first, else the first of the file.
            let gate = gate.map(|gate| {
                gate.filter(|gate| gated.iter().all(|before| before.gate.len() >= gate.len()))
            });
            let Some(gate) = gate.unwrap_or_else(|| Some(Vec::new())) else {
                let (name, action) = (quote(&route.handler.name), quote(&choice.action.name));
                let what =
                    format!("{name} runs {action} on a condition, which native routes do not have");
                conditional.push((places, what));
                continue;
            };
            if choice.input.is_some() {
                self.report_lost(places.at, "the handler's `input`");
            }
            if choice.output.is_some() {
                self.report_lost(places.at, "the handler's `output`");
            }
            let found = Gated {
                built: &places.built,
                is_own: choice.input.is_none(),
                gate,
            };
            if choice.when.is_none() {
                taken = Some(found);
                break;
            }
            gated.push(found);
        }
        // The only action on a condition is called by everyone here; without a call nothing is open.
        let only = match &conditional[..] {
            [(places, _)] if taken.is_none() => Some(Gated {
                built: &places.built,
                is_own: false,
                gate: Vec::new(),
            }),
            _ => None,
        };
        let is_open = taken.is_some() || only.is_some();
        for (places, what) in &conditional {
            match is_open {
                true => self.losses.lose_guard(places.at, what),
                false => self.losses.lose(places.at, what),
            }
        }
        let before = self.routes.len();
        for one in &gated {
            self.action(route, one);
        }
        let is_written = self.routes.len() > before;
        match taken.or(only) {
            Some(one) => self.action(route, &one),
            // Without a condition that holds nothing runs, and the answer is empty.
            None if is_written => {
                if let Some((path, _)) = self.path(route) {
                    let answer = json!({ "status": 200, "text": "" });
                    self.answer(route, &path, &[], answer);
                }
            }
            None => {}
        }
    }

    /// Adds a route with an answer of the gateway's own.
    fn answer(&mut self, route: &RouteDraft, path: &str, gate: &[(String, String)], answer: Json) {
        let mut entries = self.entries(route, path, gate, "without them");
        entries["respond"] = answer;
        self.routes.push(Route {
            entries,
            rungs: Vec::new(),
        });
    }

    /// The keys of a route for requests with these fields.
    fn entries(
        &self,
        route: &RouteDraft,
        path: &str,
        gate: &[(String, String)],
        other: &str,
    ) -> Json {
        let base = format!("{} {}", route.method, route.written);
        let fields: Vec<&str> = gate.iter().map(|(name, _)| name.as_str()).collect();
        let mut name = match fields.is_empty() {
            true => base.clone(),
            false => format!("{base} with {}", fields.join(", ")),
        };
        let is_taken = |name: &str| {
            let mut routes = self.routes.iter();
            routes.any(|it| {
                it.entries["name"] == *name && it.entries["listeners"][0] == *route.trigger
            })
        };
        if fields.is_empty() && self.routes.iter().any(|it| is_gate_of(it, &base)) {
            name = format!("{base} {other}");
        }
        let first = name.clone();
        let mut number = 1;
        while is_taken(&name) {
            number += 1;
            name = format!("{first} ({number})");
        }
        let mut entries = json!({
            "name": name,
            "path": path,
            "methods": [route.method.as_str()],
            "listeners": [&*route.trigger],
        });
        if !gate.is_empty() {
            let fields = gate
                .iter()
                .cloned()
                .map(|(name, value)| (name, value.into()));
            entries["headers"] = Json::Object(fields.collect());
        }
        entries
    }

    fn action(&mut self, route: &RouteDraft, one: &Gated<'_>) {
        let BuiltAction { action, places, .. } = one.built;
        let mut recipe = Recipe::of(action, one.is_own);
        let mut gate = one.gate.clone();
        gate.extend(recipe.gate.iter().cloned());
        let name = quote(&route.handler.name);
        if action.flow.is_some() {
            self.report_lost(
                route.at,
                format!("the route {name}: a flow has no native form"),
            );
            return;
        }
        if (1..gate.len()).any(|at| gate[..at].iter().any(|(known, _)| *known == gate[at].0)) {
            recipe.forget_gate();
            gate.clone_from(&one.gate);
        }
        for left in &recipe.left {
            let at = places.steps[left.step];
            match left.is_guard {
                true => self.losses.lose_guard(at, &left.what),
                false => self.losses.lose(at, &left.what),
            }
        }
        let Some(call) = recipe.calls.first() else {
            let what = format!("the route {name}: its action does not make exactly one call");
            self.report_lost(route.at, what);
            return;
        };
        let at = places.services[call.service];
        if let Some(other) = recipe
            .calls
            .iter()
            .find(|it| it.rest.method != route.method)
        {
            let called = format!("it calls with {}", other.rest.method);
            let what = format!(
                "the route {name}: {called}, but a native route forwards the client's method"
            );
            self.report_lost(at, what);
            return;
        }
        let Some((path, renamed)) = self.path(route) else {
            return;
        };
        let targets = recipe.calls.iter();
        let targets = targets.map(|call| target(call, action, route, &renamed));
        let targets = match targets.collect::<Result<Vec<_>, _>>() {
            Ok(targets) => targets,
            Err(what) => {
                self.report_lost(at, format!("the route {name}: {what}"));
                return;
            }
        };
        let made = match self.upstream(one.built, &recipe, &targets) {
            Ok(made) => made,
            Err(what) => {
                self.report_lost(at, format!("the route {name}: {what}"));
                return;
            }
        };
        let mut entries = self.entries(route, &path, &gate, "without them");
        entries["upstream"] = json!(made.upstream);
        let [target, ..] = &targets[..] else { return };
        let rewrite = Some(&target.path).filter(|rewritten| **rewritten != path);
        put(&mut entries, "rewrite", rewrite.cloned());
        if let Some(query) = &target.query {
            self.report_lost(at, format!("the query {} of the uri", quote(query)));
        }
        let mut rungs = made.rungs;
        rungs.extend(answers::rungs(&recipe, places, &mut self.losses));
        self.routes.push(Route { entries, rungs });
        if let Some((_, answer)) = answers::kept_back(&recipe) {
            self.answer(route, &path, &one.gate, answer);
        }
    }

    /// The route's native path, and the native names of its parameters.
    fn path(&mut self, route: &RouteDraft) -> Option<(String, Vec<(String, String)>)> {
        self.native_path(&route.path, &route.written, route.at)
    }

    fn native_path(
        &mut self,
        path: &HandlerPath,
        written: &str,
        at: Place,
    ) -> Option<(String, Vec<(String, String)>)> {
        let mut renamed: Vec<(String, String)> = Vec::new();
        let template = path.renamed(|name| {
            let mut plain = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            if plain.starts_with(|c: char| c.is_ascii_digit()) {
                plain.insert(0, '_');
            }
            while renamed.iter().any(|(_, taken)| *taken == plain) {
                plain.push('_');
            }
            renamed.push((name.to_owned(), plain.clone()));
            plain
        });
        let read = match Template::read(&template) {
            Ok(read) => read,
            Err(PathFault { what, .. }) => {
                let path = quote(written);
                self.report_lost(at, format!("the path {path}: {what}"));
                return None;
            }
        };
        // Routes with the same shape have the same parameter names.
        let first = self
            .names
            .entry(read.shape())
            .or_insert_with(|| renamed.iter().map(|(_, plain)| plain.clone()).collect());
        for ((_, plain), name) in renamed.iter_mut().zip(first) {
            plain.clone_from(name);
        }
        let mut plain = renamed.iter().map(|(_, plain)| plain.clone());
        let next = |_: &str| plain.next().expect("a name for each parameter");
        Some((path.renamed(next), renamed))
    }

    fn text(&self, app: &Application, files: &[&str]) -> String {
        let mut out = format!(
            "# Converted from {}.\n{EVERYWHERE}",
            base_name(files.first().copied().unwrap_or_default())
        );
        out.push_str(&self.losses.comment(files));
        out.push_str("version: 1\nlisteners:\n");
        for listener in &app.plan.listeners {
            let mut shown = json!({ "name": &*listener.name, "addr": listener.addr.to_string() });
            put(
                &mut shown,
                "tls",
                listener.tls.as_ref().map(show_listener_tls),
            );
            put(&mut shown, "http2", listener.http2.map(Http2::as_str));
            let _ = writeln!(out, "  - {}", yaml::inline(&shown));
        }
        if !self.upstreams.is_empty() {
            out.push_str("upstreams:\n");
        }
        for upstream in &self.upstreams {
            upstream.write(&mut out);
        }
        out.push_str("routes:\n");
        for route in &self.routes {
            let mut entries = String::new();
            if let Some(route) = route.entries.as_object() {
                yaml::entries(&mut entries, 4, route);
            }
            out.push_str(&entries.replacen("    ", "  - ", 1));
            if !route.rungs.is_empty() {
                out.push_str("    fallback:\n");
                for rung in &route.rungs {
                    let _ = writeln!(out, "      - {}", yaml::inline(rung));
                }
            }
        }
        out
    }
}
