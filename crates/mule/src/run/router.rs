//! Finds the flow of a request by Mule's rules for HTTP listeners.
//!
//! A path has literal segments, `{name}` for one segment, and `*` for one segment in the middle or for all
//! remaining segments at the end. In each segment a literal is tried before `{name}`, and `{name}` before `*`; a
//! trailing slash in a request's path is ignored. Of several listeners with the same path, the first one that accepts
//! the method answers.
//!
//! Source: [the HTTP listener](https://docs.mulesoft.com/http-connector/latest/http-listener-ref).

use std::borrow::Cow;
use std::collections::HashMap;

use http::Method;
use percent_encoding::percent_decode_str;

/// The flows of one listener's configuration, by path.
#[derive(Debug, Clone, Default)]
pub struct FlowRouter {
    root: Node,
}

/// A node in the tree of paths.
#[derive(Debug, Clone, Default)]
struct Node {
    literal: HashMap<String, Node>,
    /// The branch of `{name}`; each flow has its own name for it.
    named: Option<Box<Node>>,
    /// The branch of `*` in the middle of a path.
    any: Option<Box<Node>>,
    /// The flows whose path ends here.
    ends: Vec<End>,
    /// The flows whose path continues here with a final `*`.
    rests: Vec<End>,
}

/// The end of a flow's path.
#[derive(Debug, Clone)]
struct End {
    /// The accepted methods; `None`: all.
    methods: Option<Vec<Method>>,
    route: usize,
    /// The names in its path, in order.
    names: Vec<String>,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteMatch {
    /// A flow, by the index of its route.
    Flow {
        /// The index of the route.
        route: usize,
        /// The names in the path, in order, with their decoded values.
        params: Vec<(String, String)>,
    },
    /// The path has flows, but only for these methods.
    WrongMethod(Vec<Method>),
    /// No flow has the path.
    Nothing,
}

impl FlowRouter {
    /// Makes a router of paths, each with its accepted methods (`None`: all) and the index of its route.
    ///
    /// # Errors
    /// Names an invalid path; a checked plan has no such path.
    pub fn new<'a>(
        paths: impl Iterator<Item = (&'a str, Option<&'a [Method]>, usize)>,
    ) -> Result<FlowRouter, String> {
        let mut router = FlowRouter::default();
        for (path, methods, route) in paths {
            let mut names = Vec::new();
            let mut node = &mut router.root;
            let mut segments = segments(path).peekable();
            let mut rest = false;
            while let Some(segment) = segments.next() {
                let name = segment
                    .strip_prefix('{')
                    .and_then(|inner| inner.strip_suffix('}'));
                node = match (segment, name) {
                    ("*", _) if segments.peek().is_none() => {
                        rest = true;
                        break;
                    }
                    ("*", _) => node.any.get_or_insert_default(),
                    (_, Some(name)) => {
                        names.push(name.to_owned());
                        node.named.get_or_insert_default()
                    }
                    (segment, None) if segment.contains(['*', '{', '}']) => {
                        return Err(format!(
                            "path `{path}`: `*` and `{{name}}` stand for whole segments, not `{segment}`"
                        ));
                    }
                    (segment, None) => node.literal.entry(decoded(segment).into()).or_default(),
                };
            }
            let ends = match rest {
                true => &mut node.rests,
                false => &mut node.ends,
            };
            ends.push(End {
                methods: methods.map(<[Method]>::to_vec),
                route,
                names,
            });
        }
        Ok(router)
    }

    /// Finds the flow of a request's path, which is as the client wrote it.
    pub fn find(&self, method: &Method, path: &str) -> RouteMatch {
        let segments: Vec<Cow<'_, str>> = segments(path).map(decoded).collect();
        let mut search = Search {
            method,
            values: Vec::new(),
            takes: Vec::new(),
            known: false,
        };
        match search.at(&self.root, &segments) {
            Some(end) => {
                let names = end.names.iter().cloned();
                RouteMatch::Flow {
                    route: end.route,
                    params: names.zip(search.values).collect(),
                }
            }
            None if search.known => RouteMatch::WrongMethod(search.takes),
            None => RouteMatch::Nothing,
        }
    }
}

/// A search through the tree. Every node is visited at most once.
struct Search<'a> {
    method: &'a Method,
    /// The values of `{name}` on the way.
    values: Vec<String>,
    /// The methods of flows that have the path.
    takes: Vec<Method>,
    known: bool,
}

impl Search<'_> {
    fn at<'n>(&mut self, node: &'n Node, segments: &[Cow<'_, str>]) -> Option<&'n End> {
        let Some((segment, after)) = segments.split_first() else {
            return self.among(&node.ends).or_else(|| self.among(&node.rests));
        };
        if let Some(next) = node.literal.get(&**segment)
            && let Some(end) = self.at(next, after)
        {
            return Some(end);
        }
        if let Some(next) = &node.named {
            self.values.push(segment.clone().into_owned());
            let end = self.at(next, after);
            if end.is_some() {
                return end;
            }
            self.values.pop();
        }
        if let Some(next) = &node.any
            && let Some(end) = self.at(next, after)
        {
            return Some(end);
        }
        self.among(&node.rests)
    }

    fn among<'n>(&mut self, ends: &'n [End]) -> Option<&'n End> {
        for end in ends {
            self.known = true;
            match &end.methods {
                Some(methods) if !methods.contains(self.method) => {
                    let new = methods.iter().filter(|it| !self.takes.contains(it));
                    let new: Vec<_> = new.cloned().collect();
                    self.takes.extend(new);
                }
                _ => return Some(end),
            }
        }
        None
    }
}

/// The segments of a path, without the slashes around it.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let nothing = path.is_empty();
    path.split('/').skip(usize::from(nothing))
}

fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(paths: &[(&str, &[Method])]) -> FlowRouter {
        let paths = paths.iter().enumerate().map(|(at, (path, methods))| {
            let methods = (!methods.is_empty()).then_some(*methods);
            (*path, methods, at)
        });
        FlowRouter::new(paths).unwrap()
    }

    fn any(paths: &[&str]) -> FlowRouter {
        let paths: Vec<(&str, &[Method])> = paths.iter().map(|path| (*path, &[][..])).collect();
        router(&paths)
    }

    fn found(router: &FlowRouter, path: &str) -> Option<usize> {
        match router.find(&Method::GET, path) {
            RouteMatch::Flow { route, .. } => Some(route),
            _ => None,
        }
    }

    #[test]
    fn a_literal_is_tried_before_a_name_and_that_before_a_star() {
        let router = any(&["/*", "/a/*/c", "/a/{x}", "/a/b", "/a/{x}/{y}"]);
        for (path, route) in [
            ("/", 0),
            ("/z", 0),
            ("/a", 0),
            ("/a/b", 3),
            ("/a/z", 2),
            ("/a/b/c", 4),
            ("/a/b/d", 4),
            ("/a/b/c/d", 0),
        ] {
            assert_eq!(found(&router, path), Some(route), "{path}");
        }
        let router = any(&["/a/*/c", "/a/*"]);
        assert_eq!(found(&router, "/a/b/c"), Some(0));
        assert_eq!(found(&router, "/a/b/d"), Some(1));
        assert_eq!(found(&router, "/b"), None);
    }

    #[test]
    fn a_slash_at_the_end_means_nothing() {
        let router = any(&["/a/b", "/"]);
        assert_eq!(found(&router, "/a/b/"), Some(0));
        assert_eq!(found(&router, "/"), Some(1));
        let router = any(&["/a/*", "/b/"]);
        assert_eq!(found(&router, "/a"), Some(0));
        assert_eq!(found(&router, "/a/"), Some(0));
        assert_eq!(found(&router, "/b"), Some(1));
        assert_eq!(found(&router, "/"), None);
    }

    #[test]
    fn names_stand_for_decoded_segments() {
        let router = any(&["/{x}/y/{z}", "/{other}/n"]);
        let params = |path: &str| match router.find(&Method::GET, path) {
            RouteMatch::Flow { params, .. } => params,
            other => panic!("{other:?}"),
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let decoded = [pair("x", "a b"), pair("z", "1+é")];
        assert_eq!(params("/a%20b/y/1+%C3%A9"), decoded);
        assert_eq!(params("/a/n"), [pair("other", "a")]);
    }

    #[test]
    fn a_less_literal_path_takes_the_methods_that_the_other_does_not() {
        let router = router(&[
            ("/a/b", &[Method::POST]),
            ("/a/{x}", &[Method::GET]),
            ("/c", &[Method::PUT]),
            ("/c", &[Method::DELETE]),
        ]);
        assert_eq!(found(&router, "/a/b"), Some(1));
        let wrong = RouteMatch::WrongMethod(vec![Method::PUT, Method::DELETE]);
        assert_eq!(router.find(&Method::GET, "/c"), wrong);
        assert_eq!(router.find(&Method::GET, "/d"), RouteMatch::Nothing);
    }

    #[test]
    fn a_star_glued_to_text_is_no_path() {
        assert!(FlowRouter::new([("/a*", None, 0)].into_iter()).is_err());
    }

    #[test]
    fn a_long_path_is_searched_in_no_time() {
        let router = any(&["/*/*/*/*/*/*/*/*/x", "/{a}/{b}/{c}/{d}/{e}/{f}/y"]);
        let path = "/a".repeat(5000);
        assert_eq!(found(&router, &path), None);
    }
}
