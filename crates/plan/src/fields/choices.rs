//! Reads words, and the values of keys that may have several forms.

use super::{Fields, items, scalar, wrong};
use crate::diagnostic::{At, Notes, nearest, quote};
use crate::keys::Shape;
use crate::tree::{Kind, Node};

impl<'n> Fields<'n> {
    /// The index of the value among the words in the table.
    pub fn word(&self, name: &'static str, notes: &mut Notes) -> Option<At<usize>> {
        let (key, node) = self.get(name)?;
        match key.shape {
            Shape::Word(choices) => one_of(node, name, choices, false, notes),
            Shape::Either([Shape::Word(choices), ..]) => one_of(node, name, choices, true, notes),
            _ => None,
        }
    }

    /// The indices of a list of words of the table; at least one, each once.
    pub fn words(&self, name: &'static str, notes: &mut Notes) -> Option<At<Vec<usize>>> {
        let (key, node) = self.get(name)?;
        let Shape::List(Shape::Word(choices)) = key.shape else {
            return None;
        };
        let items = items(node, name, notes)?;
        if items.is_empty() {
            let mend = format!("name {}, or remove the key", alternatives(choices, false));
            notes.error(node.at, format!("`{name}` is empty"), mend);
        }
        let words = items.iter();
        let words = words.filter_map(|item| one_of(item, name, choices, false, notes));
        Some(At::new(words.map(|word| word.value).collect(), node.at))
    }

    /// True for a key that may have values of several forms.
    pub fn is_either(&self, name: &'static str) -> bool {
        let key = self.table.key(name);
        key.is_some_and(|key| matches!(key.shape, Shape::Either(_)))
    }

    /// The map in a key that may also have a simpler value; `None` for the simpler value.
    pub fn map_in(&self, name: &'static str, notes: &mut Notes) -> Option<Option<Fields<'n>>> {
        let (key, node) = self.get(name)?;
        match (&key.shape, &node.kind) {
            (Shape::Either([_, Shape::Table(table)]), Kind::Map(_)) => {
                Some(Fields::open(node, table, notes))
            }
            _ => None,
        }
    }
}

/// The index of a scalar among words; with `or_map` the message offers a map beside them.
fn one_of(
    node: &Node,
    name: &str,
    choices: &[&str],
    or_map: bool,
    notes: &mut Notes,
) -> Option<At<usize>> {
    let list = alternatives(choices, or_map);
    let scalar = scalar(node, name, &list, notes)?;
    match choices.iter().position(|word| *word == scalar.text) {
        Some(index) => Some(At::new(index, node.at)),
        None => {
            let mend = match nearest(&scalar.text, choices.iter().copied()) {
                Some(near) => format!("did you mean {}?", quote(near)),
                None => format!("write {list}"),
            };
            wrong(node, name, &list, mend, notes)
        }
    }
}

/// Joins words as `a`, `b` or `c`; with `or_map` as `a`, `b` or a map.
fn alternatives(words: &[&str], or_map: bool) -> String {
    let map = or_map.then(|| "a map".to_owned());
    let quoted = words.iter().map(|word| format!("`{word}`")).chain(map);
    let quoted: Vec<String> = quoted.collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
