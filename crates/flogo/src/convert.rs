//! Converts an application to a native configuration, and lists the parts that have no native form.
//!
//! A breaker around a call becomes an upstream with its breaker, a handler becomes a route. Everything else in the
//! application is reported, with its line.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use fusebox_plan::Diagnostic;
use fusebox_plan::dialect::{
    Notes, PathFault, Place, Template, put, quote, read_rewrite, show_duration, show_listener_tls,
    show_settings, yaml,
};
use fusebox_plan::plan::Listener;
use serde_json::{Value as Json, json};

use crate::Value;
use crate::flow::{Action, Data, FlowResponse, Given, TargetPart};
use crate::read::actions::{ActionPlaces, BuiltAction};
use crate::read::app::Application;
use crate::read::triggers::RouteDraft;

mod recipe;

use recipe::{Outcome, Recipe, answer};

const START: Place = Place::start(0);

/// The differences of every conversion.
const EVERYWHERE: &str = "\
# In every route the client's headers, query and body go to the upstream, and the upstream's status,
# headers and body come back as they are; a refused call is answered 503 with `Retry-After`, one that
# failed 502 or 504. Replies have no `Access-Control-Allow-Origin: *`, a preflight request is answered 405,
# and a path that differs in its last slash or in case is not redirected to.
";

/// Converts an application. The text is `None` if nothing has a native form.
pub(crate) fn convert(app: &Application, mut notes: Notes) -> (Option<String>, Vec<Diagnostic>) {
    let names: Vec<&str> = app.files.iter().map(String::as_str).collect();
    let mut draft = Draft::default();
    for route in &app.triggers.routes {
        draft.route(route);
    }
    for (place, subscription) in app.triggers.subscriptions_by_place() {
        let channel = quote(&subscription.channel);
        let what = format!("the handling of messages of channel {channel}");
        draft.report_lost(place, what);
    }
    for listener in &app.plan.listeners {
        draft.tls(listener);
    }
    let text = if draft.routes.is_empty() {
        let what =
            "no part of this application has a native form: no handler makes exactly one call";
        notes.refuse(START, what, "keep running it as it is")
    } else {
        Some(draft.text(app, &names))
    };
    notes.append(draft.lost);
    (text, notes.finish(&names))
}

/// The beginning of each warning about a lost part.
const NOT_CARRIED: &str = "not carried: ";

#[derive(Default)]
struct Draft {
    upstreams: Vec<(String, Json)>,
    /// The upstream of an action's service.
    known: HashMap<(Arc<str>, Arc<str>), String>,
    routes: Vec<Json>,
    /// The parameter names of each shape of path.
    names: HashMap<String, Vec<String>>,
    lost: Notes,
}

impl Draft {
    fn report_lost(&mut self, at: Place, what: impl Into<String>) {
        let what = format!("{NOT_CARRIED}{}", what.into());
        self.lost.warn(at, what, "port this by hand or drop it");
    }

    /// Reports the TLS files that the native form would look for in another directory.
    fn tls(&mut self, listener: &Listener) {
        let Some(tls) = &listener.tls else { return };
        for path in [&tls.certificate_path, &tls.key_path] {
            if !Path::new(path).is_absolute() {
                let (path, name) = (quote(path), quote(&listener.name));
                let what = format!(
                    "the directory of {path} (trigger {name}): the program's there, the configuration file's here"
                );
                self.report_lost(START, what);
            }
        }
    }

    fn route(&mut self, route: &RouteDraft) {
        let choices = route.handler.choices.iter().zip(&route.choices);
        let mut taken = None;
        for (choice, places) in choices {
            if choice.when.is_some() {
                let (name, action) = (quote(&route.handler.name), quote(&choice.action.name));
                let what =
                    format!("{name} runs {action} on a condition, which native routes do not have");
                self.report_lost(places.at, what);
                continue;
            }
            if choice.input.is_some() {
                self.report_lost(places.at, "the handler's `input`");
            }
            if choice.output.is_some() {
                self.report_lost(places.at, "the handler's `output`");
            }
            taken = Some(&places.built);
            break;
        }
        if let Some(built) = taken {
            self.action(route, built);
        }
    }

    fn action(&mut self, route: &RouteDraft, built: &BuiltAction) {
        let BuiltAction { action, places } = built;
        let recipe = Recipe::of(action);
        let name = quote(&route.handler.name);
        for (step, what) in &recipe.left {
            self.report_lost(places.steps[*step], what.clone());
        }
        let Some(call) = &recipe.call else {
            let what = format!("the route {name}: its action does not make exactly one call");
            self.report_lost(route.at, what);
            return;
        };
        let at = places.services[call.service];
        if call.rest.method != route.method {
            let called = format!("it calls with {}", call.rest.method);
            let what = format!(
                "the route {name}: {called}, but a native route forwards the client's method"
            );
            self.report_lost(at, what);
            return;
        }
        let Some((path, renamed)) = self.path(route) else {
            return;
        };
        let target = match target(call, action, route, &renamed) {
            Ok(target) => target,
            Err(what) => {
                self.report_lost(at, format!("the route {name}: {what}"));
                return;
            }
        };
        let upstream = self.upstream(action, &recipe, at);
        let mut entries = json!({
            "name": format!("{} {}", route.method, route.written),
            "path": path,
            "methods": [route.method.as_str()],
            "listeners": [&*route.trigger],
            "upstream": upstream,
        });
        let rewrite = Some(target.path).filter(|rewritten| *rewritten != path);
        put(&mut entries, "rewrite", rewrite);
        if let Some(query) = target.query {
            self.report_lost(at, format!("the query {} of the uri", quote(&query)));
        }
        self.routes.push(entries);
        self.responses(action, places, &recipe);
    }

    /// The route's native path, and the native names of its parameters.
    fn path(&mut self, route: &RouteDraft) -> Option<(String, Vec<(String, String)>)> {
        let mut renamed: Vec<(String, String)> = Vec::new();
        let template = route.path.renamed(|name| {
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
                let path = quote(&route.written);
                self.report_lost(route.at, format!("the path {path}: {what}"));
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
        Some((route.path.renamed(next), renamed))
    }

    fn upstream(&mut self, action: &Action, recipe: &Recipe<'_>, at: Place) -> String {
        let call = recipe.call.as_ref().expect("a recipe with a call");
        let service = &action.services[call.service];
        let key = (action.name.clone(), service.name.clone());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        // The breaker keeps its name, so that dashboards find it again.
        let base = match recipe.breaker {
            Some(breaker) => breaker.name.to_string(),
            None => format!("{}/{}", action.name, service.name),
        };
        let mut name = base.clone();
        let mut number = 1;
        while self.upstreams.iter().any(|(taken, _)| *taken == name) {
            number += 1;
            name = format!("{base}-{number}");
        }
        let (rest, shown) = (call.rest, quote(&service.name));
        let mut entries = json!({ "url": rest.endpoint.url() });
        match rest.timeout {
            Some(timeout) => entries["timeout"] = json!({ "request": show_duration(timeout) }),
            None => {
                let what = format!("{shown} waits for its answer without a limit; here 30 s");
                self.report_lost(at, what);
            }
        }
        if rest.proxy.is_some() {
            self.report_lost(at, format!("the proxy of {shown}"));
        }
        if !rest.tls.verified || rest.tls.identity.is_some() || rest.tls.authorities.is_some() {
            let mends = "the certificate is verified by the system's authorities";
            self.report_lost(at, format!("the TLS settings of {shown}: {mends}"));
        }
        for (input, what) in [
            ("headers", "the headers that it sets itself"),
            ("content", "the content that it sets itself"),
        ] {
            if own_input(action, call, input) {
                self.report_lost(at, format!("{what} ({shown})"));
            }
        }
        entries["breaker"] = self.breaker(recipe, at);
        self.upstreams.push((name.clone(), entries));
        self.known.insert(key, name.clone());
        name
    }

    fn breaker(&mut self, recipe: &Recipe<'_>, at: Place) -> Json {
        let disabled = json!({ "mode": "disabled" });
        let Some(breaker) = recipe.breaker else {
            return disabled;
        };
        let settings = show_settings(&breaker.settings);
        if settings["mode"] == "disabled" {
            let name = quote(&breaker.name);
            self.report_lost(at, format!("the breaker {name} never rejects"));
            return disabled;
        }
        let trip = &settings["trip"][0];
        // Every answer is a success, whatever its status.
        let mut shown = json!({ "trip": trip, "failure": "error != \"\"" });
        if trip.get("adaptive").is_none() {
            shown["history"] = settings["history"].clone();
            shown["cooldown"] = settings["cooldown"].clone();
            shown["half_open"] = json!({ "probes": "unlimited", "successes": 1 });
        }
        shown
    }

    fn responses(&mut self, action: &Action, places: &ActionPlaces, recipe: &Recipe<'_>) {
        if action.asynchronous {
            let name = quote(&action.name);
            let at = places.steps.first().copied().unwrap_or_default();
            self.report_lost(
                at,
                format!("{name} is asynchronous: its answer does not wait"),
            );
        }
        let breaker = recipe.breaker;
        let refused = breaker.and_then(|_| answer(action, recipe, Outcome::Refused));
        let failed = answer(action, recipe, Outcome::Failed);
        for (index, response) in action.responses.iter().enumerate() {
            let what = if Some(index) == refused {
                "the answer of an open breaker"
            } else if Some(index) == failed {
                "the answer to a call that failed"
            } else if passes_through(response, action, recipe) {
                continue;
            } else {
                "an answer made by the gateway"
            };
            let code = match &response.code {
                Some(Given::Literal(value)) => value.to_text(),
                Some(Given::Expression(expression)) => format!("={}", expression.source()),
                None => "200".to_owned(),
            };
            self.report_lost(places.responses[index], format!("{what} (code {code})"));
        }
    }

    fn text(&self, app: &Application, files: &[&str]) -> String {
        let mut out = format!(
            "# Converted from {}.\n{EVERYWHERE}",
            files.first().copied().unwrap_or_default()
        );
        let lost = self.lost.clone().finish(files);
        if !lost.is_empty() {
            out.push_str("#\n# Not carried:\n");
            for one in &lost {
                let what = one.what.strip_prefix(NOT_CARRIED).unwrap_or(&one.what);
                let _ = writeln!(out, "# - {}:{}: {what}", one.file, one.line);
            }
        }
        out.push_str("version: 1\nlisteners:\n");
        for listener in &app.plan.listeners {
            let mut shown = json!({ "name": &*listener.name, "addr": listener.addr.to_string() });
            put(
                &mut shown,
                "tls",
                listener.tls.as_ref().map(show_listener_tls),
            );
            let _ = writeln!(out, "  - {}", yaml::inline(&shown));
        }
        out.push_str("upstreams:\n");
        for (name, entries) in &self.upstreams {
            let _ = writeln!(out, "  {}:", yaml::key(name));
            if let Some(entries) = entries.as_object() {
                yaml::entries(&mut out, 4, entries);
            }
        }
        out.push_str("routes:\n");
        for route in &self.routes {
            let mut entries = String::new();
            if let Some(route) = route.as_object() {
                yaml::entries(&mut entries, 4, route);
            }
            out.push_str(&entries.replacen("    ", "  - ", 1));
        }
        out
    }
}

/// True if the call sets this part of the request itself, instead of forwarding the client's.
fn own_input(action: &Action, call: &recipe::Call<'_>, input: &str) -> bool {
    let client = format!("$.payload.{input}");
    let mapped = call.step.input.iter().any(|assignment| {
        *assignment.path[0] == *input
            && !matches!(&assignment.value, Given::Expression(expression) if expression.source() == client)
    });
    mapped || has_setting(action, call, input)
}

fn has_setting(action: &Action, call: &recipe::Call<'_>, key: &str) -> bool {
    let settings = &action.services[call.service].settings;
    matches!(settings, Value::Object(settings) if settings.contains_key(key))
}

/// True if a response forwards the upstream's answer.
fn passes_through(response: &FlowResponse, action: &Action, recipe: &Recipe<'_>) -> bool {
    let Some(call) = &recipe.call else {
        return false;
    };
    let outputs = format!("$.{}.outputs", action.services[call.service].name);
    let is = |given: Option<&Given>, name: &str| match given {
        Some(Given::Expression(expression)) => expression.source() == format!("{outputs}.{name}"),
        _ => false,
    };
    let data = matches!(&response.data, Some(Data::One(given)) if is(Some(given), "data"));
    data && is(response.code.as_ref(), "status")
}

struct Target {
    path: String,
    query: Option<String>,
}

/// The path that the upstream receives, with the route's parameters.
fn target(
    call: &recipe::Call<'_>,
    action: &Action,
    route: &RouteDraft,
    renamed: &[(String, String)],
) -> Result<Target, String> {
    let mut text = String::new();
    for part in &call.rest.target {
        match part {
            TargetPart::Literal(literal) => text.push_str(literal),
            TargetPart::Param(name) => {
                let source = source_of(name, call.step);
                let plain = source.as_ref().and_then(|source| {
                    let found = renamed.iter().find(|(known, _)| known == source);
                    found.filter(|_| !route.path.is_rest(source))
                });
                let Some((_, plain)) = plain else {
                    let where_to = "is not a single segment of the client's path";
                    return Err(format!("its parameter {} {where_to}", quote(name)));
                };
                text = format!("{text}{{{plain}}}");
            }
        }
    }
    if has_setting(action, call, "pathParams") && text.contains('{') {
        return Err("its settings give path parameters of their own".to_owned());
    }
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (text, None),
    };
    match read_rewrite(&path) {
        Ok(_) => Ok(Target { path, query }),
        Err(fault) => Err(fault.what),
    }
}

/// The parameter of the client's path whose value fills a parameter of the call.
fn source_of(name: &str, step: &crate::flow::FlowStep) -> Option<String> {
    step.input.iter().rev().find_map(|assignment| {
        let Given::Expression(expression) = &assignment.value else {
            return None;
        };
        let path: Vec<&str> = assignment.path.iter().map(|part| &**part).collect();
        match path[..] {
            ["pathParams"] if expression.source() == "$.payload.pathParams" => {
                Some(name.to_owned())
            }
            ["pathParams", to] if to == name => expression
                .source()
                .strip_prefix("$.payload.pathParams.")
                .filter(|from| !from.contains(['.', '[']))
                .map(str::to_owned),
            _ => None,
        }
    })
}
