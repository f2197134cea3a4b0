//! Routes with the same path: allowed while no request matches two of them.

use std::collections::HashMap;

use http::Method;

use super::draft::{DraftPath, DraftRoute};
use crate::diagnostic::{At, Notes, Place};

/// The routes checked so far, by the shape of their path.
#[derive(Default)]
pub(super) struct SharedPaths<'a> {
    by_shape: HashMap<String, Vec<EarlierRoute<'a>>>,
}

struct EarlierRoute<'a> {
    route: &'a DraftRoute,
    shown: &'a str,
    params: Vec<&'a str>,
    place: Place,
}

impl<'a> SharedPaths<'a> {
    /// True if no earlier route conflicts with this one; reports the conflict otherwise.
    pub fn admits(
        &mut self,
        route: &'a DraftRoute,
        path: &'a At<DraftPath>,
        notes: &mut Notes,
    ) -> bool {
        let DraftPath {
            shown, template, ..
        } = &path.value;
        let params: Vec<&str> = template.params().collect();
        let others = self.by_shape.entry(template.shape()).or_default();
        for other in others.iter() {
            let line = other.place.line;
            if other.overlaps(route) {
                notes.error(
                    path.at,
                    format!("the path {shown} matches the same requests as {} in line {line}", other.shown),
                    "make one route of the two, give each its own `methods`, `host` or `headers`, or change one of the paths",
                );
                return false;
            }
            if other.params != params && other.has_host_of(route) {
                notes.error(
                    path.at,
                    format!(
                        "the path {shown} names its parameters differently from {} in line {line}",
                        other.shown
                    ),
                    "use the same names in both",
                );
                return false;
            }
        }
        others.push(EarlierRoute {
            route,
            shown,
            params,
            place: path.at,
        });
        true
    }
}

impl EarlierRoute<'_> {
    /// True if some request could match both routes.
    fn overlaps(&self, other: &DraftRoute) -> bool {
        let names = |route: &DraftRoute| -> Option<Vec<String>> {
            let names = route.listeners.as_ref()?;
            Some(names.iter().map(|name| name.value.text.clone()).collect())
        };
        // The more specific host, and then the route with more fields, is asked first.
        meet(&self.route.methods, &other.methods)
            && meet(&names(self.route), &names(other))
            && self.has_host_of(other)
            && self.route.headers.len() == other.headers.len()
            && self
                .route
                .headers
                .iter()
                .all(|it| other.headers.contains(it))
    }

    fn has_host_of(&self, other: &DraftRoute) -> bool {
        let host = |route: &DraftRoute| route.host.as_ref().map(|host| host.value.clone());
        host(self.route) == host(other)
    }
}

/// True if two lists have a common item; `None` is the list of everything.
fn meet<T: PartialEq>(one: &Option<Vec<T>>, other: &Option<Vec<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().any(|item| other.contains(item)),
        _ => true,
    }
}

/// The default name of a route that has its path with others: the path, with the methods, the host and the fields that
/// tell them apart.
pub(super) fn default_name(path: &str, route: &DraftRoute) -> String {
    let mut name = String::new();
    if let Some(methods) = &route.methods {
        let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
        name = methods.join(",") + " ";
    }
    if let Some(host) = &route.host {
        name.push_str(&host.value.to_string());
    }
    name.push_str(path);
    for (field, value) in &route.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        name.push_str(&format!(" {field}: {value}"));
    }
    name
}
