//! Which handler a request of a REST trigger belongs to, by the rules of Go's `httprouter`: a tree
//! for each method, values taken from the decoded path, a redirect where only a trailing slash or
//! the case of letters is wrong.

use std::borrow::Cow;

use http::Method;
use matchit::Router as Tree;

use super::urlencoded;

/// The handlers of one listener.
#[derive(Debug)]
pub struct RestRouter {
    /// In the order of the handlers; a listener has a handful of methods.
    methods: Vec<(Method, Trees)>,
}

/// The paths of one method.
#[derive(Debug, Default)]
struct Trees {
    exact: Tree<Leaf>,
    /// The same with the templates' letters in lower case, for redirects.
    folded: Tree<Leaf>,
}

/// Where a path leads.
#[derive(Debug, Clone)]
struct Leaf {
    route: usize,
    template: String,
    /// The name of `{*name}` at the template's end.
    rest: Option<String>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A handler takes it.
    Route {
        /// Its place in the plan.
        route: usize,
        /// The path's parameters, decoded, in the template's order.
        params: Vec<(String, String)>,
    },
    /// The same request to this path would be taken.
    Moved(String),
    /// A preflight request for a path that is known.
    Preflight,
    /// The path is known to these methods only, in the form of `Allow`.
    WrongMethod(String),
    /// Nobody knows the path.
    Nothing,
}

impl RestRouter {
    /// A router over handlers: path template, methods, and the number that a match returns.
    ///
    /// # Errors
    /// Which templates clash.
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
        Ok(RestRouter { methods })
    }

    /// Finds what becomes of a request for a path as the client wrote it.
    pub fn find(&self, method: &Method, path: &str) -> Found {
        let path = if path.contains('%') {
            // The guards have let pass only escapes that are ones.
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
        let corrected = self
            .methods
            .iter()
            .find_map(|(_, trees)| trees.corrected(path));
        corrected.map_or(Found::Nothing, Found::Moved)
    }

    fn trees(&self, method: &Method) -> Option<&Trees> {
        let found = self.methods.iter().find(|(known, _)| known == method);
        found.map(|(_, trees)| trees)
    }

    fn allowed(&self, path: &str) -> Vec<&str> {
        let knowing = self
            .methods
            .iter()
            .filter(|(_, trees)| trees.exact.at(path).is_ok());
        knowing.map(|(method, _)| method.as_str()).collect()
    }
}

impl Trees {
    fn insert(&mut self, template: &str, route: usize) -> Result<(), String> {
        let rest = template
            .rfind("{*")
            .map(|at| template[at + 2..].trim_end_matches('}').to_owned());
        let leaf = Leaf {
            route,
            template: template.to_owned(),
            rest,
        };
        let clash = |error| format!("handler `{template}`: {error}");
        self.exact
            .insert(template, leaf.clone())
            .map_err(|error| clash(error.to_string()))?;
        let folded = fold(template);
        // Two paths that differ in their letters' case alone: the first is what others are led to.
        self.folded.insert(folded.as_str(), leaf.clone()).ok();
        if let Some(at) = template.rfind("{*") {
            // The rest may be empty; a handler of its own for that path is the more specific one.
            self.exact.insert(&template[..at], leaf.clone()).ok();
            self.folded.insert(&folded[..at], leaf).ok();
        }
        Ok(())
    }

    fn route(&self, path: &str) -> Option<Found> {
        let found = self.exact.at(path).ok()?;
        let leaf = found.value;
        let mut params: Vec<(String, String)> = found
            .params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if let Some(rest) = &leaf.rest {
            // The rest is what follows its slash, and has it in front.
            match params.iter_mut().find(|(name, _)| name == rest) {
                Some((_, value)) => value.insert(0, '/'),
                None => params.push((rest.clone(), "/".into())),
            }
        }
        Some(Found::Route {
            route: leaf.route,
            params,
        })
    }

    /// The path that would have been taken, as a URL writes it: first with a slash more or less at
    /// the end, then also with other letters.
    fn corrected(&self, path: &str) -> Option<String> {
        let other = match path.strip_suffix('/') {
            Some(short) => short.to_owned(),
            None => format!("{path}/"),
        };
        let taken = |path: &&str| !path.is_empty() && self.exact.at(path).is_ok();
        if let Some(path) = [other.as_str()].iter().find(|path| taken(path)) {
            return Some(written(path));
        }
        [path, &other].iter().find_map(|path| {
            let folded = path.to_ascii_lowercase();
            let found = self.folded.at(&folded).ok()?;
            // Literal parts as the template has them, values as the client wrote them.
            Some(written(&rebuilt(&found.value.template, path)))
        })
    }
}

/// A template with its literal letters in lower case; the names of its parameters stay.
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

/// The path with the template's own text in place of what matched it by other letters.
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

/// A decoded path as a URL writes it.
fn written(path: &str) -> String {
    let segments: Vec<_> = path.split('/').map(urlencoded::segment).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(handlers: &[(&str, Method)]) -> RestRouter {
        let all: Vec<_> = handlers
            .iter()
            .enumerate()
            .map(|(at, (path, method))| (*path, [method.clone()], at))
            .collect();
        RestRouter::new(
            all.iter()
                .map(|(path, methods, at)| (*path, methods.as_slice(), *at)),
        )
        .unwrap()
    }

    fn route(at: usize, params: &[(&str, &str)]) -> Found {
        Found::Route {
            route: at,
            params: params
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn moved(path: &str) -> Found {
        Found::Moved(path.to_owned())
    }

    #[test]
    fn values_come_from_the_decoded_path() {
        let router = router(&[("/t/{id}", Method::GET)]);
        assert_eq!(
            router.find(&Method::GET, "/t/a%20b"),
            route(0, &[("id", "a b")])
        );
        assert_eq!(
            router.find(&Method::GET, "/%74/7"),
            route(0, &[("id", "7")])
        );
    }

    #[test]
    fn a_rest_has_its_slash_in_front() {
        let router = router(&[("/t/{*rest}", Method::GET)]);
        assert_eq!(
            router.find(&Method::GET, "/t/a/b"),
            route(0, &[("rest", "/a/b")])
        );
        assert_eq!(router.find(&Method::GET, "/t/"), route(0, &[("rest", "/")]));
        assert_eq!(router.find(&Method::GET, "/t"), moved("/t/"));
    }

    #[test]
    fn methods_may_name_a_segment_differently() {
        let router = router(&[("/p/{id}", Method::GET), ("/p/{name}/x", Method::POST)]);
        assert_eq!(router.find(&Method::GET, "/p/1"), route(0, &[("id", "1")]));
        assert_eq!(
            router.find(&Method::POST, "/p/1/x"),
            route(1, &[("name", "1")])
        );
    }

    #[test]
    fn a_slash_or_letters_that_are_wrong_lead_to_the_right_path() {
        let router = router(&[("/Pets/{id}", Method::GET), ("/all/", Method::GET)]);
        assert_eq!(router.find(&Method::GET, "/Pets/7/"), moved("/Pets/7"));
        assert_eq!(router.find(&Method::GET, "/all"), moved("/all/"));
        assert_eq!(
            router.find(&Method::GET, "/pETS/a%20B"),
            moved("/Pets/a%20B")
        );
        assert_eq!(router.find(&Method::GET, "/pets/7/"), moved("/Pets/7"));
        assert_eq!(router.find(&Method::GET, "/other"), Found::Nothing);
    }

    #[test]
    fn another_method_is_told_which_ones_there_are() {
        let router = router(&[("/t", Method::PUT), ("/t", Method::GET)]);
        assert_eq!(
            router.find(&Method::POST, "/t"),
            Found::WrongMethod("GET, OPTIONS, PUT".into())
        );
        assert_eq!(router.find(&Method::OPTIONS, "/t"), Found::Preflight);
        assert_eq!(router.find(&Method::OPTIONS, "/u"), Found::Nothing);
    }
}
