//! Routes the requests of a REST trigger by the rules of Go's `httprouter`: a tree for each method, values from the
//! decoded path, and a redirect if only a trailing slash or the case of letters is wrong. A fixed path may stand beside a
//! parameter, which `httprouter` refuses: the fixed one comes first, and where it leads nowhere the parameter.

use std::borrow::Cow;

use http::Method;
use matchit::Router as Tree;

use crate::language::urlencoded;

/// The handlers of a listener, by method and path.
#[derive(Debug)]
pub struct RestRouter {
    /// The methods, in the order of the handlers; a listener has only a few.
    methods: Vec<(Method, Trees)>,
}

/// The paths of a method, as trees.
#[derive(Debug, Default)]
struct Trees {
    exact: Tree<Leaf>,
    /// The same paths with lower-case templates, for redirects.
    folded: Tree<Leaf>,
    /// The handlers of rests, until the paths of empty ones are added.
    rests: Vec<Leaf>,
}

/// The handler at a path.
#[derive(Debug, Clone)]
struct Leaf {
    route: usize,
    template: String,
    /// The name of `{*name}` at the end of the template.
    rest: Option<String>,
}

/// The result of routing a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A handler answers the request.
    Route {
        /// The index of the route in the plan.
        route: usize,
        /// The path's parameters, decoded, in the order of the template.
        params: Vec<(String, String)>,
    },
    /// Only this other path has a handler.
    Moved(String),
    /// A preflight request for a known path.
    Preflight,
    /// The path has handlers only for these methods, in the form of `Allow`.
    WrongMethod(String),
    /// The path is unknown.
    Nothing,
}

impl RestRouter {
    /// A router for handlers, each with its path template, its methods, and the number that a match returns.
    ///
    /// # Errors
    /// The templates that conflict.
    pub fn new<'a>(
        handlers: impl Iterator<Item = (&'a str, &'a [Method], usize)>,
    ) -> Result<RestRouter, String> {
        let mut methods: Vec<(Method, Trees)> = Vec::new();
        for (template, taken, route) in handlers {
            for method in taken {
                let at = match methods.iter().position(|(known, _)| known == method) {
                    Some(at) => at,
                    None => {
                        methods.push((method.clone(), Trees::default()));
                        methods.len() - 1
                    }
                };
                methods[at].1.insert(template, route)?;
            }
        }
        for (_, trees) in &mut methods {
            trees.insert_empty_rests();
        }
        Ok(RestRouter { methods })
    }

    /// Routes a request by its method and its path as the client wrote it.
    pub fn find(&self, method: &Method, path: &str) -> Found {
        let path = if path.contains('%') {
            // The gateway's guards admit only valid escapes.
            Cow::Owned(urlencoded::unescape(path, false).unwrap_or_else(|_| path.to_owned()))
        } else {
            Cow::Borrowed(path)
        };
        if *method == Method::OPTIONS {
            return self.preflight(&path);
        }
        if let Some(trees) = self.trees(method) {
            if let Some(found) = trees.route(&path) {
                return found;
            }
            if path != "/"
                && let Some(corrected) = trees.corrected(&path)
            {
                return Found::Moved(corrected);
            }
        }
        let mut allowed = self.allowed(&path);
        if allowed.is_empty() {
            return Found::Nothing;
        }
        allowed.push("OPTIONS");
        allowed.sort_unstable();
        Found::WrongMethod(allowed.join(", "))
    }

    fn preflight(&self, path: &str) -> Found {
        if !self.allowed(path).is_empty() {
            return Found::Preflight;
        }
        let mut trees = self.methods.iter().map(|(_, trees)| trees);
        let corrected = trees.find_map(|trees| trees.corrected(path));
        corrected.map_or(Found::Nothing, Found::Moved)
    }

    fn trees(&self, method: &Method) -> Option<&Trees> {
        let found = self.methods.iter().find(|(known, _)| known == method);
        found.map(|(_, trees)| trees)
    }

    fn allowed(&self, path: &str) -> Vec<&str> {
        let methods = self.methods.iter();
        let knowing = methods.filter(|(_, trees)| trees.exact.at(path).is_ok());
        knowing.map(|(method, _)| method.as_str()).collect()
    }
}

impl Trees {
    fn insert(&mut self, template: &str, route: usize) -> Result<(), String> {
        let template = &decoded(template);
        let rest = template.rfind("{*");
        let name = rest.map(|at| template[at + 2..].trim_end_matches('}').to_owned());
        let leaf = Leaf {
            route,
            template: template.to_owned(),
            rest: name,
        };
        let added = self.exact.insert(template.as_str(), leaf.clone());
        added.map_err(|error| format!("handler `{template}`: {error}"))?;
        let folded = fold(template);
        // Of two paths that differ only in case, redirects lead to the first.
        self.folded.insert(folded.as_str(), leaf.clone()).ok();
        if rest.is_some() {
            self.rests.push(leaf);
        }
        Ok(())
    }

    /// Adds the paths of empty rests, once all paths are there: a separate handler for such a path is more specific.
    fn insert_empty_rests(&mut self) {
        for leaf in std::mem::take(&mut self.rests) {
            let Some(at) = leaf.template.rfind("{*") else {
                continue;
            };
            let empty = &leaf.template[..at];
            self.folded.insert(fold(empty), leaf.clone()).ok();
            self.exact.insert(empty.to_owned(), leaf.clone()).ok();
        }
    }

    fn route(&self, path: &str) -> Option<Found> {
        let found = self.exact.at(path).ok()?;
        let leaf = found.value;
        let params = found.params.iter();
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut params: Vec<_> = params.collect();
        if let Some(rest) = &leaf.rest {
            // The value of a rest includes the slash before it.
            match params.iter_mut().find(|(name, _)| name == rest) {
                Some((_, value)) => value.insert(0, '/'),
                None => params.push((rest.clone(), "/".into())),
            }
        }
        let route = leaf.route;
        Some(Found::Route { route, params })
    }

    /// The path with a handler that resembles this one, escaped: first with a slash added or removed at the end, then
    /// also ignoring case.
    fn corrected(&self, path: &str) -> Option<String> {
        let other = match path.strip_suffix('/') {
            Some(short) => short.to_owned(),
            None => format!("{path}/"),
        };
        if !other.is_empty() && self.exact.at(&other).is_ok() {
            return Some(written(&other));
        }
        [path, &other].iter().find_map(|path| {
            let folded = path.to_ascii_lowercase();
            let found = self.folded.at(&folded).ok()?;
            // Literal parts as in the template, values as the client wrote them.
            Some(written(&rebuilt(&found.value.template, path)))
        })
    }
}

/// A template with its literals decoded, as the paths of requests are.
fn decoded(template: &str) -> String {
    let segments = template
        .split('/')
        .map(|segment| match segment.starts_with('{') {
            true => segment.to_owned(),
            false => urlencoded::unescape(segment, false).unwrap_or_else(|_| segment.to_owned()),
        });
    segments.collect::<Vec<_>>().join("/")
}

/// Converts a template's literals to lower case; the names of its parameters stay.
fn fold(template: &str) -> String {
    let mut depth = 0;
    template
        .chars()
        .map(|char| {
            match char {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth > 0 {
                char
            } else {
                char.to_ascii_lowercase()
            }
        })
        .collect()
}

/// The path with the template's own spelling of its literals.
fn rebuilt(template: &str, path: &str) -> String {
    let mut segments = path.split('/');
    let mut corrected = Vec::new();
    for part in template.split('/') {
        if part.contains("{*") {
            corrected.extend(segments.by_ref());
            break;
        }
        let segment = segments.next().unwrap_or_default();
        corrected.push(if part.contains('{') { segment } else { part });
    }
    corrected.join("/")
}

/// Escapes a decoded path for a URL.
fn written(path: &str) -> String {
    let segments: Vec<_> = path.split('/').map(urlencoded::segment).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(handlers: &[(&str, Method)]) -> RestRouter {
        let handlers = handlers.iter().enumerate();
        let handlers =
            handlers.map(|(at, (path, method))| (*path, std::slice::from_ref(method), at));
        RestRouter::new(handlers).unwrap()
    }

    fn route(route: usize, name: &str, value: &str) -> Found {
        let params = vec![(name.to_owned(), value.to_owned())];
        Found::Route { route, params }
    }

    fn moved(path: &str) -> Found {
        Found::Moved(path.to_owned())
    }

    #[test]
    fn values_come_from_the_decoded_path() {
        let router = router(&[("/t/{id}", Method::GET)]);
        for (path, value) in [("/t/a%20b", "a b"), ("/%74/7", "7")] {
            assert_eq!(router.find(&Method::GET, path), route(0, "id", value));
        }
    }

    #[test]
    fn a_rest_has_its_slash_in_front() {
        let router = router(&[("/t/{*rest}", Method::GET)]);
        for (path, value) in [("/t/a/b", "/a/b"), ("/t/", "/")] {
            assert_eq!(router.find(&Method::GET, path), route(0, "rest", value));
        }
        assert_eq!(router.find(&Method::GET, "/t"), moved("/t/"));
    }

    #[test]
    fn a_fixed_path_comes_before_a_parameter_and_leads_back_to_it() {
        let router = router(&[
            ("/cups/{id}", Method::GET),
            ("/cups/all", Method::GET),
            ("/cups/{id}/size", Method::GET),
            ("/cups/all/of/{kind}", Method::GET),
            ("/cups/all", Method::POST),
            ("/cups/{id}", Method::PUT),
            ("/t/{*rest}", Method::GET),
            ("/t/", Method::GET),
            ("/t/a/{b}/c", Method::GET),
        ]);
        let fixed = |route| Found::Route {
            route,
            params: Vec::new(),
        };
        for (method, path, expected) in [
            (Method::GET, "/cups/all", fixed(1)),
            (Method::GET, "/cups/allium", route(0, "id", "allium")),
            (Method::GET, "/cups/al", route(0, "id", "al")),
            (Method::GET, "/cups/all/size", route(2, "id", "all")),
            (Method::GET, "/cups/all/of/tin", route(3, "kind", "tin")),
            (Method::POST, "/cups/all", fixed(4)),
            (Method::PUT, "/cups/all", route(5, "id", "all")),
            (
                Method::POST,
                "/cups/7",
                Found::WrongMethod("GET, OPTIONS, PUT".into()),
            ),
            (Method::GET, "/cups/all/", moved("/cups/all")),
            (Method::GET, "/t/", fixed(7)),
            (Method::GET, "/t/a/1/c", route(8, "b", "1")),
            (Method::GET, "/t/a/1/d", route(6, "rest", "/a/1/d")),
            (Method::GET, "/t/a", route(6, "rest", "/a")),
        ] {
            assert_eq!(router.find(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_literal_is_compared_with_the_decoded_path() {
        let router = router(&[("/a%20b/%C3%A9%25", Method::GET)]);
        let found = Found::Route {
            route: 0,
            params: Vec::new(),
        };
        assert_eq!(router.find(&Method::GET, "/a%20b/%C3%A9%25"), found);
    }

    #[test]
    fn methods_may_name_a_segment_differently() {
        let router = router(&[("/p/{id}", Method::GET), ("/p/{name}/x", Method::POST)]);
        assert_eq!(router.find(&Method::GET, "/p/1"), route(0, "id", "1"));
        assert_eq!(router.find(&Method::POST, "/p/1/x"), route(1, "name", "1"));
    }

    #[test]
    fn a_slash_or_letters_that_are_wrong_lead_to_the_right_path() {
        let router = router(&[("/Pets/{id}", Method::GET), ("/all/", Method::GET)]);
        for (path, right) in [
            ("/Pets/7/", "/Pets/7"),
            ("/all", "/all/"),
            ("/pETS/a%20B", "/Pets/a%20B"),
            ("/pets/7/", "/Pets/7"),
        ] {
            assert_eq!(router.find(&Method::GET, path), moved(right));
        }
        assert_eq!(router.find(&Method::GET, "/other"), Found::Nothing);
    }

    #[test]
    fn another_method_gets_the_list_of_methods() {
        let router = router(&[("/t", Method::PUT), ("/t", Method::GET)]);
        assert_eq!(
            router.find(&Method::POST, "/t"),
            Found::WrongMethod("GET, OPTIONS, PUT".into())
        );
        assert_eq!(router.find(&Method::OPTIONS, "/t"), Found::Preflight);
        assert_eq!(router.find(&Method::OPTIONS, "/u"), Found::Nothing);
    }
}
