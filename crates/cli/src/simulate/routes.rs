//! The route that a request of a log takes, by its host, path and method.
//!
//! As in the gateway the most specific host comes first, then the most specific path: literal segments before parameters,
//! the rest last. A log without hosts takes routes for all hosts first, then those for some.

use std::cmp::Reverse;

use fusebox_plan::normal_path;
use fusebox_plan::plan::{HostPattern, Plan, Route, Step};
use fusebox_sim::trace::Line;

/// The routes of a plan in the order in which they are asked.
pub struct Routes<'p>(Vec<Entry<'p>>);

struct Entry<'p> {
    route: &'p Route,
    segments: Vec<Segment<'p>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'p> {
    Literal(&'p str),
    Param(&'p str),
    Rest(&'p str),
}

/// A route, and the values of its path's parameters.
pub struct Taken<'p, 'l> {
    pub route: &'p Route,
    pub params: Vec<(&'p str, &'l str)>,
}

impl<'p> Taken<'p, '_> {
    /// The name of the upstream that the route forwards to.
    pub fn upstream(&self) -> Option<&'p str> {
        self.route.steps.iter().find_map(|step| match step {
            Step::Forward(forward) => Some(&*forward.upstream.name),
            Step::Respond(_) | Step::App(_) => None,
        })
    }
}

impl<'p> Routes<'p> {
    pub fn of(plan: &'p Plan) -> Routes<'p> {
        let entry = |route: &'p std::sync::Arc<Route>| Entry {
            segments: route.path[1.min(route.path.len())..]
                .split('/')
                .map(segment)
                .collect(),
            route,
        };
        let is_native = |route: &&std::sync::Arc<Route>| {
            !route.steps.iter().any(|step| matches!(step, Step::App(_)))
        };
        let mut entries: Vec<_> = plan.routes.iter().filter(is_native).map(entry).collect();
        entries.sort_by(|one, other| {
            let key = |entry: &Entry<'p>| {
                let host = match &entry.route.host {
                    Some(HostPattern::Exact(_)) => (0, Reverse(0)),
                    Some(HostPattern::Below(suffix)) => (1, Reverse(suffix.len())),
                    None => (2, Reverse(0)),
                };
                (
                    host,
                    entry.segments.clone(),
                    Reverse(entry.route.headers.len()),
                )
            };
            key(one).cmp(&key(other))
        });
        Routes(entries)
    }

    /// True if a route forwards to an upstream.
    pub fn forward(&self) -> bool {
        let forwards = |step: &Step| matches!(step, Step::Forward(_));
        self.0
            .iter()
            .any(|entry| entry.route.steps.iter().any(forwards))
    }

    /// The route of a name, with the parameters that a path gives it.
    pub fn named<'l>(&self, name: &str, path: &'l str) -> Option<Taken<'p, 'l>> {
        let entry = self.0.iter().find(|entry| &*entry.route.name == name)?;
        Some(Taken {
            route: entry.route,
            params: entry.params(path).unwrap_or_default(),
        })
    }

    /// The route that a request takes; `None` if none takes it.
    pub fn find<'l>(&self, line: &Line<'_>, path: &'l str) -> Option<Taken<'p, 'l>> {
        let host = line.host.as_deref().map(name_of);
        let fits = |entry: &&Entry<'p>| match (&entry.route.host, &host) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(pattern), Some(host)) => is_host(pattern, host),
        };
        let of_any = self.among(self.0.iter().filter(fits), line, path);
        match host {
            None => of_any.or_else(|| self.among(self.0.iter(), line, path)),
            Some(_) => of_any,
        }
    }

    fn among<'r, 'l>(
        &'r self,
        entries: impl Iterator<Item = &'r Entry<'p>>,
        line: &Line<'_>,
        path: &'l str,
    ) -> Option<Taken<'p, 'l>> {
        let has = |(name, value): &(http::HeaderName, http::HeaderValue)| {
            let same = |(known, found): &(_, std::borrow::Cow<'_, str>)| {
                *known == name.as_str() && found.as_bytes() == value.as_bytes()
            };
            line.headers.iter().any(same)
        };
        let method = line.method.as_deref();
        let mut path_of_first: Option<&Route> = None;
        for entry in entries {
            let route = entry.route;
            // The most specific path decides, whatever the method.
            if path_of_first.is_some_and(|it| it.path != route.path || it.host != route.host) {
                break;
            }
            if !route.headers.iter().all(has) {
                continue;
            }
            let Some(params) = entry.params(path) else {
                continue;
            };
            path_of_first = Some(route);
            let takes = |methods: &Vec<http::Method>| {
                let is = |name: &str| methods.iter().any(|it| it.as_str() == name);
                method.is_none_or(|method| is(method) || (method == "HEAD" && is("GET")))
            };
            if route.methods.as_ref().is_none_or(takes) {
                return Some(Taken { route, params });
            }
        }
        None
    }
}

impl<'p> Entry<'p> {
    /// The parameters of a path; `None` if it does not match.
    fn params<'l>(&self, path: &'l str) -> Option<Vec<(&'p str, &'l str)>> {
        let mut params = Vec::new();
        let mut rest = Some(path.strip_prefix('/')?);
        for segment in &self.segments {
            if let Segment::Rest(name) = segment {
                params.push((*name, rest.unwrap_or_default()));
                return Some(params);
            }
            let whole = rest?;
            let part = match whole.split_once('/') {
                Some((part, after)) => {
                    rest = Some(after);
                    part
                }
                None => {
                    rest = None;
                    whole
                }
            };
            match segment {
                Segment::Literal(text) if *text == part => {}
                Segment::Param(name) if !part.is_empty() => params.push((*name, part)),
                _ => return None,
            }
        }
        rest.is_none().then_some(params)
    }
}

fn segment(text: &str) -> Segment<'_> {
    let inner = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
    match inner.map(|inner| (inner, inner.strip_prefix('*'))) {
        Some((_, Some(name))) => Segment::Rest(name),
        Some((name, None)) => Segment::Param(name),
        None => Segment::Literal(text),
    }
}

/// A host in lower case without its port.
fn name_of(host: &str) -> String {
    let port = host
        .rfind(':')
        .filter(|at| host[at + 1..].bytes().all(|byte| byte.is_ascii_digit()));
    host[..port.unwrap_or(host.len())].to_ascii_lowercase()
}

fn is_host(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => name == host,
        HostPattern::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
    }
}

/// A line's path as routes see it.
pub fn path_of<'l>(line: &'l Line<'_>) -> Option<std::borrow::Cow<'l, str>> {
    line.path.as_deref().map(normal_path)
}
