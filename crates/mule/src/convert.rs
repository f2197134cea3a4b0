//! Converts an application to the native form and names everything that has no native form.
//!
//! A flow that forwards a request becomes a route, the server that it calls becomes an upstream, and a circuit that it
//! builds by hand becomes the upstream's breaker. Answers to calls that were not made or failed become a ladder,
//! repeats a retry. Everything else is named with its position. As with circuits, the behaviour of a flow is derived
//! from all its paths.
//!
//! - `route`: the listener, path and methods; `call`: the request; `target`: where to, in terms of the client's path
//! - `upstream`: the server of a call, with its breaker; `repeat`: its retries
//! - `answer`, `ladder`: the answers that the flow gives itself; `kept`: entries that hold answers
//! - `secrets`: values that are not written; `gates`: the parts left out

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use fusebox_plan::Conversion;
use fusebox_plan::dialect::{Losses, Notes, base_name, quote, yaml};
use serde_json::{Value as Json, json};

use super::app::{App, Does, Flow, FlowName, HttpSource, Site, Source};
use super::circuit::{
    Act, CallPaths, Circuit, Failures, FlawKind, Outlook, Path, Walk, Walked, place, walk_all,
};
use super::xml::start_of;

mod answer;
mod call;
mod gates;
mod kept;
mod ladder;
mod repeat;
mod route;
mod secrets;
mod target;
mod upstream;

use answer::Answers;
use call::{Sent, is_second};
use gates::{Carried, Left};
use kept::{KEPT_FOR_EVER, store_name};
use ladder::{Ladder, Scene};
use repeat::{Around, Repeat};
use route::Route;
use upstream::{Course, Losses as Sited, Upstreams};

/// The comment on losses that are common to all conversions.
const EVERYWHERE: &str = "\
# In every route the client's headers, query and body go to the upstream, and the upstream's status,
# headers and body come back as they are. Unless there is a `fallback`, a refused call is answered 503 with
# `Retry-After`, one that failed 502 or 504. Redirects are passed on, cookies are not kept.
";

/// The listener of a document whose flows have none.
const NO_LISTENER: &str = "  # No flow listens; the routes to come need a listener.
  - { name: listener, addr: \"127.0.0.1:8080\" }";

/// The age of an answer in a cache without a store of its own.
const CACHED: Duration = Duration::from_secs(600);

/// The limit of processors that are examined for flows without a route; further ones of these are named alone.
const EXAMINED_MAX: usize = 1 << 20;

/// Converts an application. Returns the native form with diagnostics for each loss; `None`: nothing has a native form, or a
/// guard would be lost and that is not accepted (`lossy`).
pub(crate) fn convert(app: &App, files: &[&str], lossy: bool, mut notes: Notes) -> Conversion {
    let failures = Failures::of(app);
    let mut walk = Walk::new(app, &failures);
    let walked = walk_all(app, &mut walk);
    let mut draft = Draft::of(app, files, &walk, &walked);
    if lossy && draft.is_empty() {
        draft.stand_in();
    }
    let yaml = match draft.is_empty() {
        false => {
            draft.lose_circuits();
            Some(draft.text())
        }
        true => {
            draft.refuse(&mut notes);
            None
        }
    };
    draft.losses.report(lossy, &mut notes);
    secrets::hidden(
        app,
        Conversion {
            yaml: yaml.filter(|_| notes.errors() == 0),
            diagnostics: notes.finish(files),
        },
    )
}

/// Tries a conversion, for the remedies of circuits.
pub(crate) fn outlook(app: &App, files: &[&str]) -> Outlook {
    let failures = Failures::of(app);
    let mut walk = Walk::new(app, &failures);
    let walked = walk_all(app, &mut walk);
    let mut draft = Draft::of(app, files, &walk, &walked);
    draft.lose_circuits();
    let mut notes = Notes::default();
    draft.losses.report(false, &mut notes);
    Outlook {
        breakers: draft.circuits,
        is_lossy: notes.errors() > 0,
    }
}

struct Draft<'w, 'a> {
    app: &'a App,
    files: &'w [&'w str],
    walk: &'w Walk<'a>,
    upstreams: Upstreams,
    routes: Vec<Route>,
    losses: Losses,
    /// The flows without a route, each with the reason.
    left: Vec<(Site, String)>,
    /// The flows without a route that call nothing, each with the reason and its position.
    silent: Vec<(&'a Flow, Site, String)>,
    /// The names of the circuits that have become breakers.
    circuits: BTreeSet<String>,
    /// The number of processors that were examined for flows without a route.
    examined: usize,
}

impl<'w, 'a> Draft<'w, 'a> {
    /// Converts all flows.
    fn of(
        app: &'a App,
        files: &'w [&'w str],
        walk: &'w Walk<'a>,
        walked: &'w [Walked<'a>],
    ) -> Draft<'w, 'a> {
        let mut draft = Draft {
            app,
            files,
            walk,
            upstreams: Upstreams::default(),
            routes: Vec::new(),
            losses: Losses::default(),
            left: Vec::new(),
            silent: Vec::new(),
            circuits: BTreeSet::new(),
            examined: 0,
        };
        for (flow, paths) in walked {
            let paths = paths.as_deref();
            match &flow.source {
                Some(_) if flow.is_stopped => draft.lose_flow(flow, &flow.site, "it is stopped"),
                Some(Source::Http(source)) => draft.flow(flow, source, paths),
                Some(Source::Scheduler(_)) => {
                    draft.leave_flow(flow, paths, &flow.site, "the native form has no schedules");
                }
                Some(Source::Queue { .. }) => {
                    draft.leave_flow(flow, paths, &flow.site, "the native form has no queues");
                }
                // Such a flow does nothing; its circuits are for the flows to come.
                None if paths
                    .is_some_and(|all| all.iter().any(|it| it.called().next().is_some())) =>
                {
                    draft.leave_flow(flow, paths, &flow.site, draft.starter_of(flow));
                }
                None => {}
            }
        }
        draft
    }

    /// The reason why a flow without a source has no route.
    fn starter_of(&self, flow: &Flow) -> &'static str {
        let resources = self.app.apis.iter().flat_map(|api| &api.resources);
        let mut flows = resources.flat_map(|resource| &resource.flows);
        if flows.any(|(_, id)| self.app.flow(*id).name == flow.name) {
            return "APIkit's router starts it";
        }
        let mut is_computed = false;
        self.app.walk(&mut |processor| {
            let Does::FlowRef { flow, .. } = &processor.does else {
                return;
            };
            is_computed |= matches!(flow, FlowName::Computed(_));
        });
        match is_computed {
            true => "only a `flow-ref` whose name is computed may start it",
            false => "nothing starts it",
        }
    }

    /// True if nothing has a native form.
    fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.upstreams.is_empty()
    }

    fn lose(&mut self, at: &Site, what: impl Into<String>) {
        self.losses.lose(place(at, self.files), what);
    }

    fn lose_all(&mut self, losses: Sited) {
        for (site, what) in losses {
            self.lose(&site, what);
        }
    }

    /// Names parts that the route does not have; a guard unless another one at its position is named already.
    fn leave(&mut self, mut parts: Vec<Left>) {
        parts.sort_by(|one, other| one.site.cmp(&other.site));
        for Left {
            site,
            what,
            is_guard,
        } in parts
        {
            let at = place(&site, self.files);
            match is_guard {
                true if self.losses.has_guard(at) => {}
                true => self.losses.lose_guard(at, what),
                false => self.losses.lose(at, what),
            }
        }
    }

    /// Names the settings of a flow's source that the route does not have, each of them.
    fn leave_source(&mut self, flow: &Flow) {
        for left in gates::left_at_source(flow) {
            let at = place(&left.site, self.files);
            match left.is_guard {
                true => self.losses.lose_guard(at, left.what),
                false => self.losses.lose(at, left.what),
            }
        }
    }

    /// Names a flow without a route, for a reason that is found at a position.
    fn lose_flow(&mut self, flow: &Flow, at: &Site, why: impl std::fmt::Display) {
        let what = format!("the flow {}: {why}", quote(&flow.name));
        self.left.push((at.clone(), what));
    }

    /// Names a flow without a route, for a reason that is found at a position, and writes the upstreams of its calls.
    fn leave_flow(
        &mut self,
        flow: &'a Flow,
        paths: Option<&'w [Path<'a>]>,
        at: &Site,
        why: impl std::fmt::Display,
    ) {
        self.lose_flow(flow, at, &why);
        let mut named = None;
        let mut losses = Vec::new();
        let calls = match self.examined < EXAMINED_MAX {
            true => gates::calls(self.app, flow, &mut self.examined),
            false => Vec::new(),
        };
        for call in &calls {
            let Ok(base) = target::base_of(call) else {
                continue;
            };
            let circuit = circuit_of(self.app, call.site);
            let course = Course {
                circuit,
                limit: flow.max_concurrency,
                ..Course::default()
            };
            let name = self
                .upstreams
                .of(self.app, call, &base, &course, &mut losses);
            named.get_or_insert(name);
            self.circuits.extend(circuit.map(|it| it.name.to_string()));
        }
        self.lose_all(losses);
        if !calls.is_empty() {
            self.leave_guards(flow, paths);
        }
        if named.is_none() && matches!(flow.source, Some(Source::Http(_))) {
            self.silent.push((flow, at.clone(), why.to_string()));
        }
        if let (Some(name), Some(Source::Http(source))) = (named, &flow.source) {
            let mut route = Route::left(flow, source, format!("{why} {}", self::at(at)));
            route.entries.insert("upstream".into(), json!(name));
            self.routes.push(route);
        }
    }

    /// Names the guards of a flow whose route is a comment.
    fn leave_guards(&mut self, flow: &'a Flow, paths: Option<&'w [Path<'a>]>) {
        let mut parts = gates::left(self.walk, flow, &Carried::default());
        parts.extend(gates::left_at_source(flow));
        let answers = match &flow.source {
            Some(Source::Http(source)) => Some(self.answers(source)),
            _ => None,
        };
        // A schedule's run is nobody's request.
        let is_asked = !matches!(flow.source, Some(Source::Scheduler(_)));
        if let Some(paths) = paths.filter(|_| is_asked) {
            let calls: BTreeSet<usize> = paths.iter().flat_map(Path::called).collect();
            let refused: Vec<&Path<'a>> = calls
                .iter()
                .filter(|call| circuit_of(self.app, self.walk.calls[**call].site).is_some())
                .flat_map(|call| {
                    CallPaths {
                        walk: self.walk,
                        paths,
                        call: *call,
                    }
                    .refused_paths()
                })
                .collect();
            if !calls.is_empty() {
                parts.extend(gates::gates(flow, answers.as_ref(), paths, &refused));
            }
        }
        parts.retain(|part| part.is_guard);
        self.leave(parts);
    }

    /// Names the flows without a route, and the circuits that have become no breaker.
    fn lose_circuits(&mut self) {
        for (site, what) in std::mem::take(&mut self.left) {
            self.lose(&site, what);
        }
        for circuit in &self.app.circuits {
            if !self.circuits.contains(&*circuit.name) {
                let what = format!("the circuit {}", quote(&circuit.name));
                let at = place(&circuit.site, self.files);
                self.losses.lose_guard(at, what);
            }
        }
    }

    /// Gives each flow that answers requests, and of which nothing can be said, a route that answers 501.
    fn stand_in(&mut self) {
        for (flow, at, why) in std::mem::take(&mut self.silent) {
            let Some(Source::Http(source)) = &flow.source else {
                continue;
            };
            let Ok(mut route) = Route::of(flow, source, None) else {
                continue;
            };
            let at = self::at(&at);
            route.comments = vec![format!("not carried: {why}; here it answers 501 {at}")];
            let respond = json!({ "status": 501 });
            route.entries.insert("respond".into(), respond);
            self.routes.push(route);
        }
    }

    /// Says why nothing has a native form.
    fn refuse(&self, notes: &mut Notes) {
        const MEND: &str = "keep running it as it is";
        for (site, what) in &self.left {
            let what = format!("nothing to write for {what}");
            let answers = self.silent.iter().any(|(_, at, _)| at == site);
            let mend = match answers {
                true => format!("{MEND}; `--lossy` writes a route that answers 501"),
                false => MEND.to_owned(),
            };
            notes.error(place(site, self.files), what, mend);
        }
        if self.left.is_empty() {
            let what = "nothing in this application has a native form: no flow listens for HTTP";
            let flow = self.app.flows.first();
            let at = flow.map_or(start_of(0), |flow| place(&flow.site, self.files));
            notes.error(at, what, MEND);
        }
    }

    fn answers(&self, source: &'a HttpSource) -> Answers<'w, 'a> {
        Answers {
            app: self.app,
            walk: self.walk,
            source,
        }
    }

    fn flow(&mut self, flow: &'a Flow, source: &'a HttpSource, paths: Option<&'w [Path<'a>]>) {
        let Some(paths) = paths else {
            self.leave_flow(flow, None, &flow.site, "it has too many branches");
            return;
        };
        let calls: BTreeSet<usize> = paths.iter().flat_map(Path::called).collect();
        match calls.into_iter().collect::<Vec<_>>()[..] {
            [] => self.respond(flow, source, paths),
            [call] => self.forward(flow, source, paths, (call, None)),
            [one, other] if is_second(paths, one, other) => {
                self.forward(flow, source, paths, (one, Some(other)));
            }
            [other, one] if is_second(paths, one, other) => {
                self.forward(flow, source, paths, (one, Some(other)));
            }
            _ => {
                let why = "it makes several calls, and a native route makes one";
                self.leave_flow(flow, Some(paths), &flow.site, why);
            }
        }
    }

    /// Converts a flow with a constant response.
    fn respond(&mut self, flow: &'a Flow, source: &'a HttpSource, paths: &'w [Path<'a>]) {
        let answers = self.answers(source);
        let mut all = paths.iter().map(|path| answers.at(path));
        let first = all.next().and_then(Result::ok);
        let Some(answer) = first.filter(|first| all.all(|it| it.as_ref() == Ok(first))) else {
            self.leave_flow(
                flow,
                Some(paths),
                &flow.site,
                "its response depends on the request",
            );
            return;
        };
        let Some(entries) = answer.route() else {
            self.leave_flow(
                flow,
                Some(paths),
                &flow.site,
                format!("the status {}", answer.status),
            );
            return;
        };
        match Route::of(flow, source, None) {
            Ok(mut route) => {
                let respond = Json::Object(entries);
                route.entries.insert("respond".into(), respond);
                self.routes.push(route);
            }
            Err(why) => return self.leave_flow(flow, Some(paths), &flow.site, why),
        }
        if let Some(max) = flow.max_concurrency {
            let name = quote(&flow.name);
            let what = format!("the limit of {name} to {max} concurrent requests");
            self.lose(&flow.site, what);
        }
        self.leave_source(flow);
        self.leave(gates::left(self.walk, flow, &Carried::default()));
    }

    /// Converts a flow that makes a call and returns its response; `second` is made after a failure of it.
    fn forward(
        &mut self,
        flow: &'a Flow,
        source: &'a HttpSource,
        paths: &'w [Path<'a>],
        (call, second): (usize, Option<usize>),
    ) {
        let (app, walk) = (self.app, self.walk);
        let site = walk.calls[call].site;
        let sent = match Sent::of(walk, paths, call) {
            Ok(sent) => sent,
            Err(why) => return self.leave_flow(flow, Some(paths), site, why),
        };
        let beside = second.map(|second| Sent::of(walk, paths, second)?.base_beside(&sent));
        let circuit = circuit_of(app, site);
        let mut route = match Route::of(flow, source, Some(sent.request)) {
            Err(why) => Err((flow.site.clone(), why)),
            Ok(_) if !call::passes_on(paths) => Err((
                site.clone(),
                "its response is not that of the call".to_owned(),
            )),
            Ok(route) if !route.has_parts_of(&sent.target.path) => {
                Err((site.clone(), "a part of its path is computed".to_owned()))
            }
            Ok(_) if let Some(Err(why)) = &beside => Err((site.clone(), why.clone())),
            Ok(route) => Ok(route),
        };
        if let (Err((at, why)), None) = (&route, circuit) {
            return self.leave_flow(flow, Some(paths), at, why);
        }
        let mut losses = Vec::new();
        let mut carried = Carried::default();
        let mut course = Course {
            circuit,
            is_idempotent: sent.is_idempotent(),
            ..Course::default()
        };
        if let Some(circuit) = circuit {
            carried
                .stores
                .insert(store_name(circuit.state.store.as_deref()));
            self.circuits.insert(circuit.name.to_string());
        }
        let methods = route.as_ref().map_or(Some(Vec::new()), Route::methods);
        let mut cached = None;
        for scope in repeat::around(app, flow, site) {
            match scope {
                Around::Retry(at, scope) if course.repeat.is_none() => {
                    match Repeat::of(walk, (at, scope), paths, call, methods.as_deref()) {
                        Ok(repeat) => course.repeat = Some(repeat),
                        Err(why) => losses.push((at.clone(), format!("the retries: {why}"))),
                    }
                    carried.scopes.push(at);
                }
                Around::Retry(..) => {}
                Around::Cache(cache) => {
                    let ttl = cache.store.as_ref().map_or(Some(CACHED), |store| store.ttl);
                    cached = Some(ttl.unwrap_or(KEPT_FOR_EVER));
                }
            }
        }
        let refused = match circuit {
            Some(_) => CallPaths { walk, paths, call }.refused_paths(),
            None => Vec::new(),
        };
        let acts = refused.iter().flat_map(|path| &path.acts);
        carried.refusals.extend(acts.filter_map(|act| match act {
            Act::Raised { site } => Some(*site),
            _ => None,
        }));
        if let Ok(route) = &mut route {
            let second = second.zip(beside).map(|(second, base)| {
                let site = walk.calls[second].site;
                let course = Course {
                    circuit: circuit_of(app, site),
                    ..Course::default()
                };
                self.circuits
                    .extend(course.circuit.map(|it| it.name.to_string()));
                let called = &walk.calls[second];
                let base = base.unwrap_or_default();
                (
                    second,
                    self.upstreams.of(app, called, &base, &course, &mut losses),
                )
            });
            let config = walk.calls[call].request.config.as_ref();
            let has_own = config.is_some_and(|config| config.connections_max.is_some());
            let is_limited = route.limit(flow, has_own);
            let scene = Scene {
                answers: self.answers(source),
                paths,
                refused: refused.clone(),
                circuit,
                call,
                second,
                keeps: methods
                    .as_ref()
                    .is_none_or(|it| it.iter().any(|it| it == "GET")),
                cached,
                is_limited,
            };
            let Ladder {
                rungs,
                failures,
                stores,
                key,
                comments,
                losses: lost,
            } = scene.ladder();
            (course.failures, course.key) = (failures, key);
            carried.stores.extend(stores);
            route.rungs = rungs;
            route.comments.extend(comments);
            losses.extend(lost);
            let replaces_message = circuit.is_some_and(|circuit| {
                let mut flaws = circuit.flaws.iter();
                flaws.any(|flaw| flaw.kind == FlawKind::MessageLost)
            });
            losses.extend(sent.added(flow, site, replaces_message));
            losses.extend(scene.answers.changes(flow, paths, site));
            self.leave(gates::gates(flow, Some(&scene.answers), paths, &refused));
            self.leave_source(flow);
            self.leave(gates::left(walk, flow, &carried));
        }
        let called = &walk.calls[call];
        if route.is_err() {
            course.limit = flow.max_concurrency;
        }
        let name = self
            .upstreams
            .of(app, called, &sent.target.base, &course, &mut losses);
        self.lose_all(losses);
        let mut route = route.unwrap_or_else(|(at, why)| {
            self.lose_flow(flow, &at, &why);
            self.leave_guards(flow, Some(paths));
            Route::left(flow, source, format!("{why} {}", self::at(&at)))
        });
        route.entries.insert("upstream".into(), json!(name));
        let from = route.entries["path"].as_str().unwrap_or_default();
        if sent.target.path != from && !sent.target.is_same {
            route
                .entries
                .insert("rewrite".into(), json!(sent.target.path));
        }
        self.routes.push(route);
    }

    fn text(&self) -> String {
        let names: Vec<&str> = self.files.iter().map(|name| base_name(name)).collect();
        let mut out = format!("# Converted from {}.\n{EVERYWHERE}", names.join(", "));
        out.push_str(&self.losses.comment(self.files));
        out.push_str("version: 1\nlisteners:\n");
        let used = self.routes.iter();
        let used: BTreeSet<&str> = used
            .filter_map(|route| route.entries["listeners"][0].as_str())
            .collect();
        if self.app.listeners.is_empty() {
            let _ = writeln!(out, "{NO_LISTENER}");
        }
        for listener in &self.app.listeners {
            if used.is_empty() || used.contains(&*listener.name) {
                let mut shown =
                    json!({ "name": &*listener.name, "addr": listener.addr.to_string() });
                if let Some(tls) = &listener.tls {
                    shown["tls"] = gates::native_tls(tls);
                }
                let _ = writeln!(out, "  - {}", yaml::inline(&shown));
            }
        }
        self.upstreams.write(&mut out);
        let is_open = |route: &Route| route.left.is_none();
        match self.routes.iter().any(is_open) {
            true => out.push_str("routes:\n"),
            false => out.push_str("routes: []\n"),
        }
        self.routes.iter().for_each(|route| route.write(&mut out));
        out
    }
}

/// The circuit before a call.
fn circuit_of<'a>(app: &'a App, call: &Site) -> Option<&'a Circuit> {
    let mut circuits = app.circuits.iter();
    circuits.find(|circuit| circuit.calls.contains(call))
}

/// A position for the end of a comment: `(FILE:LINE)`.
fn at(site: &Site) -> String {
    format!("({}:{})", base_name(&site.file), site.line)
}

/// A text on one line, for a comment.
fn plain(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
