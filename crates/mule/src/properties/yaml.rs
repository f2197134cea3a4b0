//! Property files in YAML: nested keys are joined with dots, and every value is a text.

use std::sync::Arc;

use fusebox_plan::dialect::{Kind, Node, Notes, parse_tree, quote};

use super::Entry;

/// Reads a file; `None`: it is not valid YAML, which is reported.
pub(super) fn read(text: &str, file: usize, notes: &mut Notes) -> Option<Vec<(Arc<str>, Entry)>> {
    let says_nothing = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let mut entries = Vec::new();
    if text.lines().all(says_nothing) {
        return Some(entries);
    }
    let root = parse_tree(text, file, notes)?;
    if !matches!(root.kind, Kind::Map(_)) {
        let what = format!("a property file must be a map: found {}", root.describe());
        notes.error(root.at, what, "write `key: value`");
        return None;
    }
    flatten(&root, "", &mut entries, notes);
    Some(entries)
}

fn flatten(node: &Node, key: &str, entries: &mut Vec<(Arc<str>, Entry)>, notes: &mut Notes) {
    let value = match &node.kind {
        Kind::Map(children) => {
            for child in children {
                let key = match key {
                    "" => child.key.clone(),
                    _ => format!("{key}.{}", child.key),
                };
                flatten(&child.value, &key, entries, notes);
            }
            return;
        }
        // A key without a value waits for one, as by `--set`; where it is used without, it is missing.
        Kind::Scalar(scalar) if scalar.is_null() => return,
        Kind::Scalar(scalar) => Some(scalar.text.clone()),
        // As in Mule, a list of texts is a single text with commas.
        Kind::List(items) => items
            .iter()
            .map(|item| match &item.kind {
                Kind::Scalar(scalar) if !scalar.is_null() => Some(scalar.text.as_str()),
                _ => None,
            })
            .collect::<Option<Vec<&str>>>()
            .map(|texts| texts.join(",")),
    };
    let Some(value) = value else {
        let found = node.describe();
        let what = format!("the property {} must be a text: found {found}", quote(key));
        notes.error(node.at, what, "write a text, `\"\"` for an empty one");
        return;
    };
    entries.push((key.into(), Entry::at(value, node.at)));
}
