//! The differences between two plans, by name, as a reload logs them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use fusebox_plan::Program;
use fusebox_plan::plan::{Plan, Route, Step};

/// The most names of one kind that are listed; the rest is a number.
const NAMES_SHOWN: usize = 10;

/// The differences between two plans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Listeners, by name.
    pub listeners: Names,
    /// Upstreams with their breakers, also those before an application's requests.
    pub upstreams: Names,
    /// Breakers without an upstream, by name.
    pub breakers: Names,
    /// Routes. A route of which only the upstream changed is not among them.
    pub routes: Names,
    /// The other keys of the file whose value changed, such as `limits`.
    pub settings: Vec<&'static str>,
}

/// The names of one kind that were added, changed or removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Names that only the new plan has.
    pub added: Vec<Arc<str>>,
    /// Names in both plans, with different values.
    pub changed: Vec<Arc<str>>,
    /// Names that only the old plan has.
    pub removed: Vec<Arc<str>>,
}

impl Changes {
    /// The differences between an old plan and a new one.
    pub fn between(old: &Plan, new: &Plan) -> Changes {
        let settings = [
            ("limits", old.limits != new.limits),
            ("access_log", old.access_log != new.access_log),
            ("store", old.store != new.store),
            ("fleet", old.fleet != new.fleet),
            ("admin", old.admin != new.admin),
        ];
        let settings = settings.into_iter().filter(|(_, changed)| *changed);
        let mut settings: Vec<_> = settings.map(|(name, _)| name).collect();
        let before = old.app.as_deref();
        match (before, &new.app) {
            (_, Some(app)) => settings.extend(app.changed_parts(before)),
            (Some(_), None) => settings.push("application"),
            (None, None) => {}
        }
        Changes {
            listeners: Names::between(&old.listeners, &new.listeners, |it| &it.name, PartialEq::eq),
            upstreams: Names::between(&old.upstreams, &new.upstreams, |it| &it.name, PartialEq::eq)
                .and(Names::between(
                    &old.guards,
                    &new.guards,
                    |it| &it.name,
                    PartialEq::eq,
                )),
            breakers: Names::between(&old.breakers, &new.breakers, |it| &it.name, PartialEq::eq),
            routes: Names::between(
                &old.routes,
                &new.routes,
                |it| &it.name,
                |old_route, new_route| {
                    same_route(
                        (old_route, old.app.as_deref()),
                        (new_route, new.app.as_deref()),
                    )
                },
            ),
            settings,
        }
    }

    /// All names, each once: of listeners, upstreams and routes, and of other keys of the file.
    pub fn names(&self) -> Vec<String> {
        let named = [
            &self.upstreams,
            &self.breakers,
            &self.routes,
            &self.listeners,
        ];
        let named = named
            .into_iter()
            .flat_map(|it| it.added.iter().chain(&it.changed).chain(&it.removed));
        let settings = self.settings.iter().map(|name| (*name).to_owned());
        let mut seen = HashSet::new();
        let all = named.map(|name| name.to_string()).chain(settings);
        all.filter(|name| seen.insert(name.clone())).collect()
    }

    /// True if the plans are equal.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// A route, with the application of its plan.
type RouteInPlan<'a> = (&'a Route, Option<&'a dyn Program>);

fn same_route((old, old_app): RouteInPlan<'_>, (new, new_app): RouteInPlan<'_>) -> bool {
    let same_step = |(old, new): (&Step, &Step)| match (old, new) {
        (Step::Forward(old), Step::Forward(new)) => {
            old.upstream.name == new.upstream.name && old.rewrite == new.rewrite
        }
        (Step::App(old), Step::App(new)) => match (old_app, new_app) {
            (Some(old_app), Some(new_app)) => old_app.same_step(*old, new_app, *new),
            _ => false,
        },
        (old, new) => old == new,
    };
    old.path == new.path
        && old.methods == new.methods
        && old.listeners == new.listeners
        && old.steps.len() == new.steps.len()
        && old.steps.iter().zip(&new.steps).all(same_step)
}

impl Names {
    /// These and others of the same kind.
    fn and(mut self, others: Names) -> Names {
        self.added.extend(others.added);
        self.changed.extend(others.changed);
        self.removed.extend(others.removed);
        self
    }

    fn between<T>(
        old: &[Arc<T>],
        new: &[Arc<T>],
        name: impl Fn(&T) -> &Arc<str>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Names {
        let by_name = |all: &[Arc<T>]| -> HashMap<Arc<str>, Arc<T>> {
            let named = all.iter().map(|one| (name(one).clone(), one.clone()));
            named.collect()
        };
        let (was, is) = (by_name(old), by_name(new));
        let mut names = Names::default();
        for one in new {
            match was.get(name(one)) {
                None => names.added.push(name(one).clone()),
                Some(before) if !same(before, one) => names.changed.push(name(one).clone()),
                Some(_) => {}
            }
        }
        let gone = old.iter().map(|one| name(one));
        let gone = gone.filter(|name| !is.contains_key(*name));
        names.removed = gone.cloned().collect();
        names
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (kind, names) in [
            ("listeners", &self.listeners),
            ("upstreams", &self.upstreams),
            ("breakers", &self.breakers),
            ("routes", &self.routes),
        ] {
            let whats = [
                ("added", &names.added),
                ("changed", &names.changed),
                ("removed", &names.removed),
            ];
            for (what, names) in whats.iter().filter(|(_, names)| !names.is_empty()) {
                let count = names.len();
                let shown: Vec<&str> = names.iter().take(NAMES_SHOWN).map(|it| &**it).collect();
                let more = match count.checked_sub(NAMES_SHOWN) {
                    None | Some(0) => String::new(),
                    Some(more) => format!(" and {more} more"),
                };
                parts.push(format!(
                    "{kind} {what} ({count}): {}{more}",
                    shown.join(", ")
                ));
            }
        }
        if !self.settings.is_empty() {
            parts.push(format!("settings changed: {}", self.settings.join(", ")));
        }
        if parts.is_empty() {
            return f.write_str("nothing");
        }
        f.write_str(&parts.join("; "))
    }
}

/// The result of a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The differences between the plans, by name.
    pub changes: Changes,
    /// State that could not be kept, in sentences; empty if nothing was lost.
    pub lost: Vec<String>,
    /// Breakers whose sharing changed, in sentences.
    pub shared: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<Arc<str>> {
        (0..count).map(|at| format!("n{at}").into()).collect()
    }

    #[test]
    fn names_are_said_by_what_happened_to_them_and_only_so_many() {
        let changes = Changes {
            upstreams: Names {
                added: names(12),
                changed: names(1),
                removed: Vec::new(),
            },
            settings: vec!["limits", "store"],
            ..Changes::default()
        };
        assert_eq!(
            changes.to_string(),
            "upstreams added (12): n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more; \
             upstreams changed (1): n0; settings changed: limits, store"
        );
        assert_eq!(Changes::default().to_string(), "nothing");
    }

    #[test]
    fn what_came_changed_and_went_is_told_apart() {
        let one = |name: &str, value: u8| Arc::new((Arc::<str>::from(name), value));
        let old = [one("a", 1), one("b", 1), one("c", 1)];
        let new = [one("b", 2), one("c", 1), one("d", 1)];
        let names = Names::between(&old, &new, |one| &one.0, |a, b| a == b);
        assert_eq!(names.added, [Arc::<str>::from("d")]);
        assert_eq!(names.changed, [Arc::<str>::from("b")]);
        assert_eq!(names.removed, [Arc::<str>::from("a")]);
    }
}
