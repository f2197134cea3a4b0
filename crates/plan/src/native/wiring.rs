//! Compares routes with the names in them: upstreams, listeners, parameters; and with one another.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fusebox_call::Retry;
use http::Method;

use super::draft::{Draft, DraftPath, DraftRoute, Name};
use super::ladder::DraftLadder;
use super::ladders;
use super::retry::Bounds;
use super::shared_paths::{SharedPaths, default_name};
use crate::diagnostic::{At, Notes, Place, quote, suggest};
use crate::plan::{
    FieldChanges, Forward, Key, KeyPart, Listener, Respond, RewritePart, Route, Step, Upstream,
};

pub(super) fn routes(
    draft: &Draft,
    upstreams: &[Arc<Upstream>],
    listeners: &[At<Listener>],
    start: Place,
    notes: &mut Notes,
) -> Vec<Arc<Route>> {
    // Each upstream without a route is warned of.
    let has_a_use = draft.serves_programs() && listeners.is_empty();
    let unused = draft.routes.is_empty() && draft.upstreams.is_empty();
    if unused && !has_a_use && notes.errors() == 0 {
        notes.error(
            start,
            "no route is configured, so every request is answered 404",
            "add `routes: [{ path: \"/{*rest}\", upstream: orders }]`",
        );
    }
    let known = KnownUpstreams::of(draft, upstreams);
    let mut names: HashMap<String, Place> = HashMap::new();
    let mut shared_paths = SharedPaths::default();
    let mut routes = Vec::new();
    let mut routes_of_path: HashMap<&str, usize> = HashMap::new();
    for path in draft.routes.iter().filter_map(|it| it.path.as_ref()) {
        *routes_of_path.entry(&path.value.text).or_default() += 1;
    }
    for route in &draft.routes {
        if let Some(path) = &route.path
            && !shared_paths.admits(route, path, notes)
        {
            continue;
        }
        let by_path = |path: &At<DraftPath>| {
            let shared = routes_of_path
                .get(path.value.text.as_str())
                .is_some_and(|count| *count > 1);
            let name = |path: &str| match shared {
                true => default_name(path, route),
                false => path.to_owned(),
            };
            At::new(
                Name {
                    text: name(&path.value.text),
                    shown: name(&path.value.shown),
                },
                path.at,
            )
        };
        let name = route
            .name
            .clone()
            .or_else(|| route.path.as_ref().map(by_path));
        if let Some(name) = &name
            && let Some(place) = names.insert(name.value.text.clone(), name.at)
        {
            notes.error(
                name.at,
                format!(
                    "the route in line {} also has the name {}",
                    place.line, name.value.shown
                ),
                "give each a name of its own",
            );
        }
        if !draft.listeners_doubtful {
            check_listeners(route, draft, listeners, notes);
        }
        let step = step(route, draft, &known, notes);
        if let (Some(name), Some(path), Some(step)) = (name, &route.path, step) {
            routes.push(Arc::new(Route {
                name: name.value.text.into(),
                path: path.value.text.clone(),
                host: route.host.as_ref().map(|host| host.value.clone()),
                methods: route.methods.clone(),
                headers: route.headers.clone(),
                concurrency_max: route
                    .concurrency_max
                    .as_ref()
                    .map(|it| usize::try_from(it.value).unwrap_or(usize::MAX)),
                request: changes(&route.request),
                response: changes(&route.response),
                cors: route.cors.as_ref().map(|cors| cors.value.clone()),
                listeners: route.listeners.as_ref().map(|names| {
                    names
                        .iter()
                        .map(|name| name.value.text.as_str().into())
                        .collect()
                }),
                steps: vec![step],
            }));
        }
    }
    routes
}

/// The upstreams that routes may name.
struct KnownUpstreams<'a> {
    drafted: HashSet<&'a str>,
    /// Those without an error.
    whole: HashMap<&'a str, &'a Arc<Upstream>>,
}

impl<'a> KnownUpstreams<'a> {
    fn of(draft: &'a Draft, upstreams: &'a [Arc<Upstream>]) -> KnownUpstreams<'a> {
        let drafted = draft.upstreams.iter().map(|it| it.name.value.as_str());
        let whole = upstreams.iter().map(|it| (&*it.name, it));
        KnownUpstreams {
            drafted: drafted.collect(),
            whole: whole.collect(),
        }
    }
}

fn changes(changes: &Option<At<FieldChanges>>) -> FieldChanges {
    changes
        .as_ref()
        .map_or_else(FieldChanges::default, |it| it.value.clone())
}

fn check_listeners(
    route: &DraftRoute,
    draft: &Draft,
    listeners: &[At<Listener>],
    notes: &mut Notes,
) {
    for name in route.listeners.iter().flatten() {
        // A listener with a fault has been reported, and is not unknown.
        let mut drafted = draft.listeners.iter().flat_map(|all| &all.value);
        let is_drafted = drafted.any(|listener| {
            let own = listener.name.as_ref();
            own.is_none_or(|own| own.value.text == name.value.text)
        });
        let mut known = listeners.iter();
        if !is_drafted && !known.any(|listener| *listener.value.name == *name.value.text) {
            notes.error(
                name.at,
                format!("unknown listener {}", name.value.shown),
                suggest(
                    &name.value.text,
                    listeners.iter().map(|listener| &*listener.value.name),
                ),
            );
        }
    }
}

fn step(
    route: &DraftRoute,
    draft: &Draft,
    upstreams: &KnownUpstreams<'_>,
    notes: &mut Notes,
) -> Option<Step> {
    match (&route.upstream, &route.respond) {
        (Some(_), Some(respond)) => {
            let what = "a route has both `upstream` and `respond`";
            notes.refuse(respond.at, what, "keep one of them")
        }
        (None, None) if route.doubtful => None,
        (None, None) => notes.refuse(
            route.at,
            "a route has neither `upstream` nor `respond`",
            "add `upstream: NAME` or `respond: { status: 200 }`",
        ),
        (None, Some(respond)) => {
            if let Some(rewrite) = &route.rewrite {
                notes.error(
                    rewrite.at,
                    "`rewrite` belongs to `upstream`, and this route answers itself",
                    "remove it",
                );
            }
            const OF_UPSTREAMS: [&str; 5] = [
                "retry",
                "fallback",
                "bulkhead",
                "max_concurrency",
                "request",
            ];
            for (key, at) in &route.keys {
                if OF_UPSTREAMS.contains(key) {
                    notes.error(
                        *at,
                        format!("`{key}` belongs to `upstream`, and this route answers itself"),
                        "remove it",
                    );
                }
            }
            let respond = respond.value.as_ref()?;
            Some(Step::Respond(Respond {
                status: respond.status,
                headers: respond.headers.clone(),
                body: respond.body.clone(),
                body_shown: respond.body_shown.clone(),
            }))
        }
        (Some(upstream), None) => {
            check_rewrite(route, notes);
            let is_known = upstreams.drafted.contains(&*upstream.value.text);
            if !is_known && !draft.upstreams_doubtful {
                notes.error(
                    upstream.at,
                    format!("unknown upstream {}", upstream.value.shown),
                    suggest(
                        &upstream.value.text,
                        draft
                            .upstreams
                            .iter()
                            .map(|other| other.name.value.as_str()),
                    ),
                );
            }
            let upstream = *upstreams.whole.get(&*upstream.value.text)?;
            Some(Step::Forward(Forward {
                retry: check_retry(route, upstream, notes),
                fallback: route.fallback.as_ref().map(DraftLadder::rungs),
                bulkhead: route.bulkhead.as_ref().map(|it| it.value.clone()),
                rewrite: route
                    .rewrite
                    .as_ref()
                    .map(|rewrite| rewrite.value.rewrite.clone()),
                ..Forward::to(Arc::clone(upstream))
            }))
        }
    }
}

/// The retry of a route, compared with the times of its upstream.
fn check_retry(route: &DraftRoute, upstream: &Upstream, notes: &mut Notes) -> Option<Retry> {
    let retry = route.retry.as_ref()?;
    if let Some(at) = retry.budget_at {
        notes.error(
            at,
            "a route has no budget of its own: its retries come out of its upstream's",
            format!(
                "move it to the `retry` of the upstream {}",
                quote(&upstream.name)
            ),
        );
    }
    let bounds = Bounds {
        request: Some(upstream.timeout.request),
        total: upstream.timeout.total,
    };
    Some(retry.check(bounds, notes))
}

fn check_rewrite(route: &DraftRoute, notes: &mut Notes) {
    let (Some(rewrite), Some(path)) = (&route.rewrite, &route.path) else {
        return;
    };
    let template = &path.value.template;
    for (part, place) in rewrite.value.rewrite.0.iter().zip(&rewrite.value.places) {
        if let RewritePart::Param(name) = part
            && !template.params().any(|param| param == name)
        {
            let mend = match template.params().next() {
                None => "add it to the path, or remove it here".to_owned(),
                Some(_) => suggest(name, template.params()),
            };
            notes.error(
                *place,
                format!(
                    "the path {} has no parameter {}",
                    path.value.shown,
                    quote(name)
                ),
                mend,
            );
        }
    }
}

/// Warns about upstreams that no route reaches, and about keys that some route cannot fill.
pub(super) fn usage(draft: &Draft, notes: &mut Notes) {
    let rungs = ladders::used(draft);
    let mut by_upstream: HashMap<&str, Vec<&DraftRoute>> = HashMap::new();
    for route in &draft.routes {
        if let Some(upstream) = &route.upstream {
            let routes = by_upstream.entry(&upstream.value.text);
            routes.or_default().push(route);
        }
    }
    for upstream in &draft.upstreams {
        let name = &upstream.name;
        let routes = by_upstream.remove(&*name.value).unwrap_or_default();
        if routes.is_empty() && !rungs.contains(&*name.value) {
            notes.warn(
                name.at,
                format!("no route leads to the upstream {}", quote(&name.value)),
                "add a route, or remove the upstream",
            );
        }
        let takes_reads = |route: &&DraftRoute| {
            let methods = route.methods.as_ref();
            methods.is_none_or(|it| it.contains(&Method::GET) || it.contains(&Method::HEAD))
        };
        if let Some(hedge) = &upstream.call.hedge
            && !routes.is_empty()
            && !routes.iter().any(takes_reads)
            && !rungs.contains(&*name.value)
        {
            notes.warn(
                hedge.at,
                "`hedge` has no effect: it is for GET and HEAD, and no route takes them to this upstream",
                "remove it",
            );
        }
        let breaker = upstream.breaker.iter().flatten();
        let hash = upstream.call.balance.iter();
        let hash = hash.filter_map(|(_, key)| key.as_ref());
        for key in breaker.filter_map(|it| it.key()).chain(hash) {
            check_params(key, &routes, notes);
        }
    }
}

/// Warns about a key with parts that some route cannot fill.
fn check_params(key: &At<Key>, routes: &[&DraftRoute], notes: &mut Notes) {
    let params = key.value.0.iter().filter_map(|part| match part {
        KeyPart::Path(name) => Some(name.as_str()),
        _ => None,
    });
    let params: Vec<&str> = params.collect();
    for path in routes.iter().filter_map(|route| route.path.as_ref()) {
        let DraftPath {
            shown, template, ..
        } = &path.value;
        for name in params
            .iter()
            .filter(|name| !template.params().any(|param| param == **name))
        {
            notes.warn(
                key.at,
                format!("the path {shown} in line {} has no parameter {}, so its calls share the key `-`", path.at.line, quote(name)),
                "name the parameter in the path, or remove it from the key",
            );
        }
    }
}
