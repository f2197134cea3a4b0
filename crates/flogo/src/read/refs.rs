//! References to contributions: `github.com/…/activity/rest`, `#rest`, and the imports that they refer to.
//!
//! The same activity is published under several paths (the original's, its forks', older ones), so a path is identified
//! by its tail: its last segment, and an earlier segment that names its kind. A slash at the end says nothing.

use std::collections::HashMap;

use fusebox_plan::dialect::{Node, Notes, Place, quote};

use crate::read::object::text;

/// The kind of a contribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ContributionKind {
    Trigger,
    Activity,
    Function,
    Action,
    Other,
}

impl ContributionKind {
    fn word(self) -> &'static str {
        match self {
            ContributionKind::Trigger => "trigger",
            ContributionKind::Activity => "activity",
            ContributionKind::Function => "function",
            ContributionKind::Action => "action",
            ContributionKind::Other => "other",
        }
    }
}

/// The last segment of the microgateway's path; a fork's repository may have its own name before it, as in
/// `aiflow-microgateway`.
pub(crate) const MICROGATEWAY: &str = "microgateway";

/// The kind and the last segment of a path. That of the microgateway is always [`MICROGATEWAY`].
pub(crate) fn tail(path: &str) -> (ContributionKind, &str) {
    let path = path.trim_end_matches('/');
    let (before, last) = path.rsplit_once('/').unwrap_or(("", path));
    if last == MICROGATEWAY {
        return (ContributionKind::Action, MICROGATEWAY);
    }
    if last == "flow" && (before.ends_with("/project-flogo") || before.ends_with("/action")) {
        return (ContributionKind::Action, last);
    }
    let sort = before.rsplit('/').find_map(|segment| match segment {
        "trigger" => Some(ContributionKind::Trigger),
        "activity" => Some(ContributionKind::Activity),
        "function" => Some(ContributionKind::Function),
        _ => None,
    });
    let fork = last.strip_suffix("-microgateway");
    match sort {
        Some(sort) => (sort, last),
        None if fork.is_some_and(|name| !name.is_empty()) => {
            (ContributionKind::Action, MICROGATEWAY)
        }
        None => (ContributionKind::Other, last),
    }
}

/// An import of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub alias: String,
    pub path: String,
    /// True if the file specifies the alias explicitly.
    pub renamed: bool,
}

/// All imports of an application.
#[derive(Debug, Clone, Default)]
pub(crate) struct Imports {
    pub list: Vec<Import>,
    /// The index and the line of each import, by alias and kind.
    by_alias: HashMap<(String, ContributionKind), (usize, u32)>,
}

impl Imports {
    /// Reads a list of `path` and `alias path`, each with an optional `@version` and `:subpath`.
    pub fn read(items: &[Node], notes: &mut Notes) -> Imports {
        let mut imports = Imports::default();
        for item in items {
            let Some(text) = text(item) else {
                let what = format!("an import must be a text, found {}", item.describe());
                notes.error(item.at, what, "write the path of a package in quotes");
                continue;
            };
            match parse(text.get()) {
                Some(import) => imports.add(import, item.at, notes),
                None => notes.error(
                    item.at,
                    format!("invalid import {}", text.shown()),
                    "write `PATH`, `ALIAS PATH` or `ALIAS PATH@VERSION:SUBPATH`",
                ),
            }
        }
        imports
    }

    fn add(&mut self, import: Import, at: Place, notes: &mut Notes) {
        let sort = tail(&import.path).0;
        let key = (import.alias.clone(), sort);
        match self.by_alias.get(&key) {
            None => {
                self.by_alias.insert(key, (self.list.len(), at.line));
                self.list.push(import);
            }
            // A repeated import changes nothing.
            Some((other, _)) if self.list[*other].path == import.path => {}
            Some((_, line)) => {
                let (alias, sort) = (&import.alias, sort.word());
                let what = format!("alias '{alias}' for {sort} already registered (line {line})");
                let mend = "give one of the two an alias of its own: `ALIAS PATH`";
                notes.error(at, what, mend);
            }
        }
    }

    /// The path of a reference: the reference itself, or the import of its `#alias`.
    ///
    /// # Errors
    /// The message for an alias that is not imported.
    pub fn resolve<'a>(
        &'a self,
        reference: &'a str,
        sort: ContributionKind,
    ) -> Result<&'a str, String> {
        let reference = reference.trim_end_matches('/');
        let Some(alias) = reference.strip_prefix('#') else {
            return Ok(reference);
        };
        self.by_alias
            .get(&(alias.to_owned(), sort))
            .map(|(import, _)| self.list[*import].path.as_str())
            .ok_or_else(|| format!("{} '{reference}' not imported", sort.word()))
    }
}

/// The mend for an alias that is not imported.
pub(crate) fn import_mend(reference: &str, sort: ContributionKind) -> String {
    let name = reference.trim_start_matches('#');
    let example = match sort {
        ContributionKind::Trigger => format!("github.com/project-flogo/contrib/trigger/{name}"),
        ContributionKind::Action => format!("github.com/project-flogo/{name}"),
        ContributionKind::Activity | ContributionKind::Function | ContributionKind::Other => {
            format!("github.com/project-flogo/contrib/activity/{name}")
        }
    };
    format!(
        "add its package to `imports`, or write the path instead of {}, as in {}",
        quote(reference),
        quote(&example)
    )
}

fn parse(text: &str) -> Option<Import> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (alias, rest) = match words[..] {
        [rest] => (None, rest),
        [alias, rest] => (Some(alias), rest),
        _ => return None,
    };
    let (module, subpath) = match rest.split_once('@') {
        Some((module, version)) => (module, version.split_once(':').map(|(_, path)| path)),
        None => match rest.split_once(':') {
            Some((module, path)) => (module, Some(path)),
            None => (rest, None),
        },
    };
    let mut path = module.trim_end_matches('/').to_owned();
    if let Some(subpath) = subpath {
        path = format!("{path}/{}", subpath.trim_matches('/'));
    }
    let last = path.rsplit('/').next().filter(|last| !last.is_empty())?;
    Some(Import {
        alias: alias.unwrap_or(last).to_owned(),
        renamed: alias.is_some_and(|alias| alias != last),
        path,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn a_path_is_known_by_its_tail() {
        use ContributionKind::{Action, Activity, Other, Trigger};
        for (path, known) in [
            (
                "project-flogo/microgateway/activity/circuitbreaker",
                (Activity, "circuitbreaker"),
            ),
            (
                "r2d2-ai/aiflow/microgateway/activity/circuitbreaker",
                (Activity, "circuitbreaker"),
            ),
            (
                "r2d2-ai/aiflow/action/microgateway/activity/rest",
                (Activity, "rest"),
            ),
            ("r2d2-ai/aiflow/activity/net/rest", (Activity, "rest")),
            ("project-flogo/contrib/trigger/rest", (Trigger, "rest")),
            (
                "r2d2-ai/aiflow/action/microgateway",
                (Action, "microgateway"),
            ),
            ("r2d2-ai/aiflow-microgateway", (Action, "microgateway")),
            ("x/y", (Other, "y")),
        ] {
            for slashes in ["", "/", "//"] {
                let path = format!("github.com/{path}{slashes}");
                assert_eq!(tail(&path), known, "{path}");
            }
        }
    }

    #[test]
    fn a_path_that_merely_looks_like_the_microgateways_is_another() {
        for path in [
            "x/-microgateway",
            "x/aiflowmicrogateway",
            "x/aiflow_microgateway",
            "x/microgateway-aiflow",
            "x/aiflow-microgateways",
            "x/microgateway/flow",
            "x/activity/my-microgateway",
        ] {
            assert_ne!(tail(path).0, ContributionKind::Action, "{path}");
        }
    }

    #[test]
    fn an_import_may_have_alias_version_and_subpath() {
        let import = parse("str github.com/a/b@v1.2.3:/function/string").unwrap();
        assert_eq!(import.alias, "str");
        assert_eq!(import.path, "github.com/a/b/function/string");
        assert!(import.renamed);
        let import = parse("github.com/a/activity/rest@v0.1.0").unwrap();
        assert_eq!(
            (import.alias.as_str(), import.path.as_str()),
            ("rest", "github.com/a/activity/rest")
        );
        assert!(parse("a b c").is_none() && parse("").is_none());
    }
}
