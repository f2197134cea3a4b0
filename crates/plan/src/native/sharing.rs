//! Routes that share a path: allowed while no request belongs to two of them.

use std::collections::HashMap;

use http::Method;

use super::draft::{DraftPath, DraftRoute};
use crate::diagnostic::{At, Notes, Place};

/// The routes seen so far, by the shape of their path.
#[derive(Default)]
pub(super) struct Sharing<'a> {
    by_shape: HashMap<String, Vec<Sharer<'a>>>,
}

struct Sharer<'a> {
    route: &'a DraftRoute,
    shown: &'a str,
    params: Vec<&'a str>,
    place: Place,
}

impl<'a> Sharing<'a> {
    /// Whether a route may stand beside those seen before; notes why not.
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
            if other.takes_what(route) {
                notes.error(
                    path.at,
                    format!("the path {shown} matches what {} in line {line} matches", other.shown),
                    "make one route of the two, give each its own `methods`, or change one of the paths",
                );
                return false;
            }
            if other.params != params {
                notes.error(
                    path.at,
                    format!(
                        "the path {shown} names its parameters otherwise than {} in line {line}",
                        other.shown
                    ),
                    "use the same names in both",
                );
                return false;
            }
        }
        others.push(Sharer {
            route,
            shown,
            params,
            place: path.at,
        });
        true
    }
}

impl Sharer<'_> {
    /// Whether some request could belong to both routes.
    fn takes_what(&self, other: &DraftRoute) -> bool {
        let names = |route: &DraftRoute| -> Option<Vec<String>> {
            let names = route.listeners.as_ref()?;
            Some(names.iter().map(|name| name.value.text.clone()).collect())
        };
        meet(&self.route.methods, &other.methods) && meet(&names(self.route), &names(other))
    }
}

/// Whether two lists have something in common, where none means everything.
fn meet<T: PartialEq>(one: &Option<Vec<T>>, other: &Option<Vec<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().any(|item| other.contains(item)),
        _ => true,
    }
}

/// The name of a route that has none of its own: its path, with its methods before it where
/// another route has the path too.
pub(super) fn default_name(path: &str, methods: Option<&[Method]>, shared: bool) -> String {
    match methods {
        Some(methods) if shared => {
            let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
            format!("{} {path}", methods.join(","))
        }
        _ => path.to_owned(),
    }
}
