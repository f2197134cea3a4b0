//! Finds the routes of a host and a path: those of the most specific host, then the most specific path, by matchit's tree.

use std::borrow::Cow;
use std::collections::HashMap;

use fusebox_plan::plan::{HostPattern, Route};
use matchit::{Match, Router as Tree};

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
    tree: Tree<Vec<usize>>,
    /// Each path in a tree of its own, the most specific one first; empty where no route asks for fields.
    each: Vec<Tree<Vec<usize>>>,
}

/// The routes of one path while a [`Router`] is built.
type ByPath<'a> = Vec<(&'a str, Vec<usize>)>;

impl Router {
    /// A router over routes, each with the number that a match returns.
    ///
    /// # Errors
    /// If one template conflicts with another; the plan's check finds most of them earlier.
    pub fn new<'a>(routes: impl Iterator<Item = (&'a Route, usize)>) -> Result<Router, String> {
        let mut by_host: HashMap<Option<&HostPattern>, (ByPath<'a>, bool)> = HashMap::new();
        for (route, number) in routes {
            let (by_path, by_fields) = by_host.entry(route.host.as_ref()).or_default();
            *by_fields |= !route.headers.is_empty();
            match by_path.iter_mut().find(|(path, _)| *path == route.path) {
                Some((_, routes)) => routes.push(number),
                None => by_path.push((&route.path, vec![number])),
            }
        }
        let mut router = Router::default();
        for (host, (by_path, by_fields)) in by_host {
            let paths = Paths::new(by_path, by_fields)?;
            match host {
                None => router.any = paths,
                Some(HostPattern::Exact(key) | HostPattern::Below(key)) => {
                    router.hosts.insert(key.clone(), paths);
                }
            }
        }
        Ok(router)
    }

    /// The routes of the most specific host and path with a route that `fits`, and the path's parameters, as the client
    /// wrote them. The host comes without a port.
    pub fn find<'h, 'p>(
        &self,
        host: impl FnOnce() -> Option<&'h str>,
        path: &'p str,
        fits: impl Fn(&usize) -> bool,
    ) -> Option<Match<'_, 'p, &Vec<usize>>> {
        let host = if self.hosts.is_empty() { None } else { host() };
        let Some(host) = host else {
            return self.any.find(path, &fits);
        };
        let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        let below = host.match_indices('.').map(|(at, _)| at);
        let names = std::iter::once(0).chain(below.skip_while(|at| *at == 0));
        let mut hosts = names.filter_map(|at| self.hosts.get(&host[at..]));
        let found = hosts.find_map(|paths| paths.find(path, &fits));
        found.or_else(|| self.any.find(path, &fits))
    }
}

impl Paths {
    fn new(mut by_path: ByPath<'_>, by_fields: bool) -> Result<Paths, String> {
        let mut each = Vec::new();
        if by_fields {
            by_path.sort_by_cached_key(|(path, _)| specificity(path));
            let alone = by_path.iter().map(|one| tree(std::slice::from_ref(one)));
            each = alone.collect::<Result<_, _>>()?;
        }
        let tree = tree(&by_path)?;
        Ok(Paths { tree, each })
    }

    fn find<'p>(
        &self,
        path: &'p str,
        fits: impl Fn(&usize) -> bool,
    ) -> Option<Match<'_, 'p, &Vec<usize>>> {
        let found = self.tree.at(path).ok()?;
        if self.each.is_empty() || found.value.iter().any(&fits) {
            return Some(found);
        }
        let mut others = self.each.iter().filter_map(|tree| tree.at(path).ok());
        others.find(|found| found.value.iter().any(&fits))
    }
}

/// The order in which a tree tries templates: of each segment the literal first, the rest last.
fn specificity(path: &str) -> Vec<(u8, &str)> {
    let rank =
        |segment: &str| u8::from(segment.starts_with('{')) + u8::from(segment.starts_with("{*"));
    path.split('/')
        .map(|segment| (rank(segment), segment))
        .collect()
}

fn tree(by_path: &[(&str, Vec<usize>)]) -> Result<Tree<Vec<usize>>, String> {
    let mut tree = Tree::new();
    for (path, routes) in by_path {
        tree.insert(*path, routes.clone())
            .map_err(|error| format!("route `{path}`: {error}"))?;
    }
    for (path, routes) in by_path {
        if let Some(at) = path.rfind("{*") {
            // // `/a/{*rest}` also takes `/a/` and `/a`, with an empty rest; an error means that the file has a route
            // of its own for it, which then is the more specific one.
            let under = &path[..at];
            let itself = under.trim_end_matches('/');
            if !itself.is_empty() {
                tree.insert(itself, routes.clone()).ok();
            }
            tree.insert(under, routes.clone()).ok();
        }
    }
    Ok(tree)
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
        find(router, path).map(|found| found.value[0])
    }

    fn find<'r, 'p>(router: &'r Router, path: &'p str) -> Option<Match<'r, 'p, &'r Vec<usize>>> {
        router.find(|| None, path, |_| true)
    }

    #[test]
    fn the_most_specific_host_comes_first_and_then_the_path() {
        let router = of([
            ("", "/{*rest}", 0),
            ("*.b.test", "/{*rest}", 0),
            ("*.a.b.test", "/a", 0),
            ("x.a.b.test", "/b", 0),
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
            assert_eq!(found.unwrap().value, &[route], "{host}{path}");
        }
        let other = |host| router.find(|| Some(host), "/b", |route| *route != 3);
        assert_eq!(other("x.a.b.test").unwrap().value, &[1]);
    }

    #[test]
    fn where_no_route_of_a_path_fits_the_next_less_specific_path_is_asked() {
        let router = of([
            ("", "/{*rest}", 0),
            ("", "/a/{x}", 1),
            ("", "/a/{*rest}", 0),
            ("", "/a/b", 1),
        ]
        .into_iter());
        let found = |path: &'static str, not: &[usize]| {
            let found = router.find(|| None, path, |route| !not.contains(route));
            found.map(|found| found.value[0])
        };
        assert_eq!(found("/a/b", &[]), Some(3));
        assert_eq!(found("/a/b", &[3]), Some(1));
        assert_eq!(found("/a/b", &[3, 1]), Some(2));
        assert_eq!(found("/a/b", &[3, 1, 2]), Some(0));
        assert_eq!(found("/a", &[2]), Some(0));
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
        assert_eq!(find(&router, "/a/1").unwrap().value, &[0, 2]);
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
        let found = find(&router, "/o/a%20b/c/d").unwrap();
        assert_eq!(found.params.get("id"), Some("a%20b"));
        assert_eq!(found.params.get("rest"), Some("c/d"));
        assert!(find(&router, "/o/x/").is_none_or(|found| found.params.get("rest").is_none()));
    }
}
