//! Finds the routes of a host and a path: those of the most specific host, then the most specific path, by matchit's tree.

use std::borrow::Cow;
use std::collections::HashMap;

use fusebox_plan::plan::{HostPattern, Route};
use matchit::{Match, Params, Router as Tree};

/// The routes of one listener, by host and path. Routes of one host and path differ in their methods and fields.
#[derive(Debug, Clone, Default)]
pub struct Router {
    /// The routes for all hosts.
    any: Paths,
    /// The routes for some, by the host's name or, beginning with a dot, by the suffix of the names below it.
    hosts: HashMap<String, Paths>,
}

/// The routes of one host.
#[derive(Debug, Clone, Default)]
struct Paths {
    /// One tree, and one more for templates that a tree cannot hold beside others, as `/a/{*rest}` beside `/a/{id}`.
    trees: Vec<Tree<Routes>>,
    /// Each path in a tree of its own, the most specific one first; empty where no route asks for fields.
    each: Vec<Tree<Routes>>,
}

/// The routes of one path.
#[derive(Debug, Clone)]
struct Routes {
    /// The path's place in the order in which paths are asked.
    rank: usize,
    numbers: Vec<usize>,
}

/// The routes of a path, and the path's parameters as the client wrote them.
pub type Found<'r, 'p> = (&'r [usize], Params<'r, 'p>);

/// The routes of each path of a host while a [`Router`] is built, in the order of the plan.
#[derive(Default)]
struct ByPath<'a> {
    paths: Vec<(&'a str, Vec<usize>)>,
    /// The place of each path among them.
    places: HashMap<&'a str, usize>,
    /// True if a route asks for fields.
    by_fields: bool,
}

impl<'a> ByPath<'a> {
    fn add(&mut self, route: &'a Route, number: usize) {
        self.by_fields |= !route.headers.is_empty();
        let next = self.paths.len();
        let place = *self.places.entry(&route.path).or_insert(next);
        match self.paths.get_mut(place) {
            Some((_, routes)) => routes.push(number),
            None => self.paths.push((&route.path, vec![number])),
        }
    }
}

impl Router {
    /// A router over routes, each with the number that a match returns.
    ///
    /// # Errors
    /// If one template conflicts with another; the plan's check finds most of them earlier.
    pub fn new<'a>(routes: impl Iterator<Item = (&'a Route, usize)>) -> Result<Router, String> {
        let mut by_host: HashMap<Option<&HostPattern>, ByPath<'a>> = HashMap::new();
        for (route, number) in routes {
            let by_path = by_host.entry(route.host.as_ref()).or_default();
            by_path.add(route, number);
        }
        let mut router = Router::default();
        for (host, by_path) in by_host {
            let paths = Paths::new(by_path.paths, by_path.by_fields)?;
            match host {
                None => router.any = paths,
                Some(HostPattern::Exact(key) | HostPattern::Below(key)) => {
                    router.hosts.insert(key.clone(), paths);
                }
            }
        }
        Ok(router)
    }

    /// The routes of the most specific host and path with a route that `fits`. The host comes without a port.
    pub fn find<'h, 'p>(
        &self,
        host: impl FnOnce() -> Option<&'h str>,
        path: &'p str,
        fits: impl Fn(&usize) -> bool,
    ) -> Option<Found<'_, 'p>> {
        let host = if self.hosts.is_empty() { None } else { host() };
        let Some(host) = host else {
            return self.any.find(path, &fits);
        };
        let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        let whole = Some(0).filter(|_| !host.starts_with('.'));
        let below = host.match_indices('.').map(|(at, _)| at);
        let names = whole.into_iter().chain(below.filter(|at| *at > 0));
        let mut hosts = names.filter_map(|at| self.hosts.get(&host[at..]));
        let found = hosts.find_map(|paths| paths.find(path, &fits));
        found.or_else(|| self.any.find(path, &fits))
    }
}

impl Paths {
    fn new(mut by_path: Vec<(&str, Vec<usize>)>, by_fields: bool) -> Result<Paths, String> {
        by_path.sort_by_cached_key(|(path, _)| specificity(path));
        let mut each = Vec::new();
        if by_fields {
            for one in &by_path {
                each.extend(trees(std::slice::from_ref(one))?);
            }
        }
        let trees = trees(&by_path)?;
        Ok(Paths { trees, each })
    }

    fn find<'p>(&self, path: &'p str, fits: impl Fn(&usize) -> bool) -> Option<Found<'_, 'p>> {
        let at = |tree| Tree::at(tree, path).ok();
        let fit = |found: &Match<'_, '_, &Routes>| found.value.numbers.iter().any(&fits);
        let found = self.trees.iter().filter_map(at);
        let mut found = found.min_by_key(|found| found.value.rank)?;
        if !self.each.is_empty() && !fit(&found) {
            found = self.each.iter().filter_map(at).find(fit)?;
        }
        Some((&found.value.numbers, found.params))
    }
}

/// The order in which paths are asked: of each segment the literal first, the rest last.
fn specificity(path: &str) -> Vec<(u8, &str)> {
    let rank = |segment: &str| match segment {
        _ if segment.starts_with("{*") => 2,
        _ if segment.starts_with('{') => 1,
        _ => 0,
    };
    let segments = path.split('/');
    segments.map(|segment| (rank(segment), segment)).collect()
}

fn trees(by_path: &[(&str, Vec<usize>)]) -> Result<Vec<Tree<Routes>>, String> {
    let mut trees: Vec<Tree<Routes>> = Vec::new();
    let mut rests = Vec::new();
    for (rank, (path, numbers)) in by_path.iter().enumerate() {
        let numbers = numbers.clone();
        let routes = Routes { rank, numbers };
        let mut holding = trees.iter_mut();
        let held = holding.position(|tree| tree.insert(*path, routes.clone()).is_ok());
        let at = match held {
            Some(at) => at,
            None => {
                let mut tree = Tree::new();
                tree.insert(*path, routes.clone())
                    .map_err(|error| format!("route `{path}`: {error}"))?;
                trees.push(tree);
                trees.len() - 1
            }
        };
        if let Some(end) = path.rfind("{*") {
            rests.push((at, &path[..end], routes));
        }
    }
    for (at, under, routes) in rests {
        // // `/a/{*rest}` also takes `/a/` and `/a`, with an empty rest; an error means that the file has a route of its
        // own for it, which then is the more specific one.
        let itself = under.trim_end_matches('/');
        if !itself.is_empty() {
            trees[at].insert(itself, routes.clone()).ok();
        }
        trees[at].insert(under, routes).ok();
    }
    Ok(trees)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&'static str]) -> Router {
        of(paths.iter().map(|path| ("", *path, 0)))
    }

    /// A router over routes with a host, a path and a number of fields.
    fn of<'a>(routes: impl Iterator<Item = (&'a str, &'a str, usize)>) -> Router {
        let field = (http::header::ACCEPT, http::HeaderValue::from_static("a"));
        let routes = routes.map(|(host, path, fields)| Route {
            host: (!host.is_empty()).then(|| match host.strip_prefix('*') {
                Some(suffix) => HostPattern::Below(suffix.to_owned()),
                None => HostPattern::Exact(host.to_owned()),
            }),
            path: path.to_owned(),
            headers: vec![field.clone(); fields],
            ..Route::default()
        });
        let routes: Vec<_> = routes.collect();
        Router::new(routes.iter().zip(0..)).unwrap()
    }

    fn found(router: &Router, path: &str) -> Option<usize> {
        find(router, path).map(|found| found.0[0])
    }

    fn find<'r, 'p>(router: &'r Router, path: &'p str) -> Option<Found<'r, 'p>> {
        router.find(|| None, path, |_| true)
    }

    #[test]
    fn the_most_specific_host_comes_first_and_then_the_path() {
        let router = of([
            ("", "/{*rest}", 0),
            ("*.b.test", "/{*rest}", 0),
            ("*.a.b.test", "/a", 0),
            ("x.a.b.test", "/b", 1),
            ("[::1]", "/b", 0),
        ]
        .into_iter());
        for (host, path, route) in [
            ("x.a.b.test", "/b", 3),
            ("X.A.b.test", "/a", 2),
            ("x.a.b.test", "/c", 1),
            ("y.x.a.b.test", "/a", 2),
            ("y.x.a.b.test", "/b", 1),
            ("a.b.test", "/a", 1),
            ("b.test", "/a", 0),
            (".b.test", "/a", 0),
            ("ab.test", "/a", 0),
            ("[::1]", "/b", 4),
            ("", "/b", 0),
        ] {
            let found = router.find(|| Some(host), path, |_| true);
            assert_eq!(found.unwrap().0, &[route], "{host}{path}");
        }
        let other = |host| router.find(|| Some(host), "/b", |route| *route != 3);
        assert_eq!(other("x.a.b.test").unwrap().0, &[1]);
    }

    #[test]
    fn where_no_route_of_a_path_fits_the_next_less_specific_path_is_asked() {
        let router = of([
            ("", "/{*rest}", 0),
            ("", "/a/{x}", 1),
            ("", "/a/{x}/{*rest}", 0),
            ("", "/a/b", 1),
        ]
        .into_iter());
        let found = |path: &'static str, not: &[usize]| {
            let found = router.find(|| None, path, |route| !not.contains(route));
            found.map(|found| found.0[0])
        };
        assert_eq!(found("/a/b", &[]), Some(3));
        assert_eq!(found("/a/b", &[3]), Some(1));
        assert_eq!(found("/a/b", &[3, 1]), Some(2), "with an empty rest");
        assert_eq!(found("/a/b", &[3, 1, 2]), Some(0));
        assert_eq!(found("/a/c/d", &[2]), Some(0));
        assert_eq!(found("/a/b", &[0, 1, 2, 3]), None);
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let router = routes(&["/{*rest}", "/orders/{id}", "/orders/new"]);
        assert_eq!(found(&router, "/orders/new"), Some(2));
        assert_eq!(found(&router, "/orders/7"), Some(1));
        assert_eq!(found(&router, "/orders/7/lines"), Some(0));
        assert_eq!(found(&router, "/"), Some(0));
    }

    #[test]
    fn a_parameter_and_a_rest_may_begin_at_one_place() {
        let router = routes(&[
            "/{*rest}",
            "/a/{*rest}",
            "/a/{id}",
            "/a/{id}/{*rest}",
            "/a/{id}/b",
            "/{x}",
        ]);
        for (path, route) in [
            ("/a/1", 2),
            ("/a/1/", 3),
            ("/a/1/c", 3),
            ("/a/1/b", 4),
            ("/a/", 1),
            ("/a", 1),
            ("/b", 5),
            ("/b/c", 0),
        ] {
            assert_eq!(found(&router, path), Some(route), "{path}");
        }
    }

    #[test]
    fn an_empty_rest_belongs_to_the_nearest_wildcard() {
        let router = routes(&[
            "/{*rest}",
            "/a/{*rest}",
            "/b/{*rest}",
            "/b/",
            "/c/{x}/{*rest}",
            "/c/{y}",
        ]);
        assert_eq!(found(&router, "/a/"), Some(1));
        assert_eq!(found(&router, "/a"), Some(1));
        assert_eq!(found(&router, "/ab"), Some(0));
        assert_eq!(found(&router, "/b/"), Some(3));
        assert_eq!(found(&router, "/b"), Some(2));
        assert_eq!(found(&router, "/c/1"), Some(5), "a route of its own");
        assert_eq!(found(&router, "/c/1/"), Some(4));
        assert_eq!(found(&router, "/"), Some(0));
    }

    #[test]
    fn routes_of_one_path_are_found_together() {
        let router = routes(&["/a/{x}", "/b", "/a/{x}"]);
        assert_eq!(find(&router, "/a/1").unwrap().0, &[0, 2]);
    }

    #[test]
    fn a_path_without_a_wildcard_is_exact() {
        let router = routes(&["/api/orders"]);
        assert_eq!(found(&router, "/api/orders"), Some(0));
        assert_eq!(found(&router, "/api/orders/"), None);
        assert_eq!(found(&router, "/api"), None);
    }

    #[test]
    fn parameters_are_what_the_client_wrote() {
        let router = routes(&["/o/{id}/{*rest}"]);
        let (_, params) = find(&router, "/o/a%20b/c/d").unwrap();
        assert_eq!(params.get("id"), Some("a%20b"));
        assert_eq!(params.get("rest"), Some("c/d"));
        assert!(find(&router, "/o/x/").is_none_or(|(_, params)| params.get("rest").is_none()));
    }
}
