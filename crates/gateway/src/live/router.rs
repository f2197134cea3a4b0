//! Finds the route of a path: the most specific one, by matchit's tree.

use matchit::{Match, Router as Tree};

/// The routes of one listener, by path. Routes of one path differ in their methods.
#[derive(Debug, Clone)]
pub struct Router {
    tree: Tree<Vec<usize>>,
}

impl Router {
    /// A router over path templates, each with the number that a match returns.
    ///
    /// # Errors
    /// If one template conflicts with another; the plan's check finds most of them earlier.
    pub fn new<'a>(paths: impl Iterator<Item = (&'a str, usize)>) -> Result<Router, String> {
        let mut by_path: Vec<(&str, Vec<usize>)> = Vec::new();
        for (path, route) in paths {
            match by_path.iter_mut().find(|(known, _)| *known == path) {
                Some((_, routes)) => routes.push(route),
                None => by_path.push((path, vec![route])),
            }
        }
        let mut tree = Tree::new();
        for (path, routes) in &by_path {
            tree.insert(*path, routes.clone())
                .map_err(|error| format!("route `{path}`: {error}"))?;
        }
        for (path, routes) in by_path {
            if let Some(at) = path.rfind("{*") {
                // // `/a/{*rest}` also takes `/a/` and `/a`, with an empty rest; an error means that the file has a
                // route of its own for it, which then is the more specific one.
                let under = &path[..at];
                let itself = under.trim_end_matches('/');
                if !itself.is_empty() {
                    tree.insert(itself, routes.clone()).ok();
                }
                tree.insert(under, routes).ok();
            }
        }
        Ok(Router { tree })
    }

    /// The routes of a path and the path's parameters, as the client wrote them.
    pub fn find<'p>(&self, path: &'p str) -> Option<Match<'_, 'p, &Vec<usize>>> {
        self.tree.at(path).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&'static str]) -> Router {
        Router::new(paths.iter().copied().zip(0..)).unwrap()
    }

    fn found(router: &Router, path: &str) -> Option<usize> {
        router.find(path).map(|found| found.value[0])
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
        assert_eq!(router.find("/a/1").unwrap().value, &[0, 2]);
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
        let found = router.find("/o/a%20b/c/d").unwrap();
        assert_eq!(found.params.get("id"), Some("a%20b"));
        assert_eq!(found.params.get("rest"), Some("c/d"));
        assert!(
            router
                .find("/o/x/")
                .is_none_or(|found| found.params.get("rest").is_none())
        );
    }
}
