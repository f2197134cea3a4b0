//! A JSON object, read by Go's rules: keys in any letter case, null as absent, unknown keys ignored.

use fusebox_plan::dialect::{Entry, Kind, Node, Notes, Place, Scalar, Style, nearest, quote};

/// An object of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'n> {
    pub at: Place,
    entries: &'n [Entry],
}

/// A text of the file, with its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'n> {
    pub at: Place,
    pub scalar: &'n Scalar,
}

impl<'n> Text<'n> {
    pub fn get(self) -> &'n str {
        &self.scalar.text
    }

    /// The text for a message, without any secret.
    pub fn shown(self) -> String {
        self.scalar.shown()
    }
}

impl<'n> Object<'n> {
    /// Opens an object. Null counts as absent; reports any other kind.
    pub fn open(node: &'n Node, what: &str, notes: &mut Notes) -> Option<Object<'n>> {
        match &node.kind {
            Kind::Map(entries) => Some(Object {
                at: node.at,
                entries,
            }),
            _ if is_null(node) => None,
            _ => mismatch(node, what, "an object", notes),
        }
    }

    /// The object that a node is; `None` for any other kind.
    pub fn of(node: &'n Node) -> Option<Object<'n>> {
        match &node.kind {
            Kind::Map(entries) => Some(Object {
                at: node.at,
                entries,
            }),
            _ => None,
        }
    }

    /// Opens each object of a list; null items are left out.
    pub fn each(items: &'n [Node], what: &str, notes: &mut Notes) -> Vec<Object<'n>> {
        let objects = items.iter();
        objects
            .filter_map(|item| Object::open(item, what, notes))
            .collect()
    }

    /// The entry of a key, unless its value is null. Go ignores the case of the keys of its own structures.
    pub fn get(&self, key: &str) -> Option<&'n Entry> {
        self.entry(key).filter(|entry| !is_null(&entry.value))
    }

    /// The place of a key, or of the object where it is absent.
    pub fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.at, |entry| entry.at)
    }

    /// The entry of a key, even with null.
    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        let mut entries = self.entries.iter();
        let folded = |entry: &&Entry| entry.key.eq_ignore_ascii_case(key);
        let exact = entries.clone().find(|entry| entry.key == key);
        exact.or_else(|| entries.find(folded))
    }

    pub fn entries(&self) -> &'n [Entry] {
        self.entries
    }

    /// A text, possibly empty.
    pub fn text(&self, key: &str, notes: &mut Notes) -> Option<Text<'n>> {
        let entry = self.get(key)?;
        text(&entry.value)
            .or_else(|| mismatch(&entry.value, &quote(key), "a text in quotes", notes))
    }

    /// A text that is not empty.
    pub fn word(&self, key: &str, notes: &mut Notes) -> Option<Text<'n>> {
        self.text(key, notes).filter(|text| !text.get().is_empty())
    }

    /// A text that is not empty; reports a missing one.
    pub fn needed(&self, key: &str, what: &str, mend: &str, notes: &mut Notes) -> Option<Text<'n>> {
        let word = self.word(key, notes);
        word.or_else(|| notes.refuse(self.at, what, mend))
    }

    /// The items of a list; empty without one.
    pub fn list(&self, key: &str, notes: &mut Notes) -> &'n [Node] {
        let Some(entry) = self.get(key) else {
            return &[];
        };
        match &entry.value.kind {
            Kind::List(items) => items,
            _ => mismatch(&entry.value, &quote(key), "a list", notes).unwrap_or_default(),
        }
    }

    pub fn object(&self, key: &str, notes: &mut Notes) -> Option<Object<'n>> {
        Object::open(&self.get(key)?.value, &quote(key), notes)
    }

    /// Warns about keys without a meaning that resemble a known one.
    pub fn warn_of_typos(&self, known: &[&str], notes: &mut Notes) {
        for entry in self.entries {
            if known.iter().any(|key| key.eq_ignore_ascii_case(&entry.key)) {
                continue;
            }
            if let Some(near) = nearest(&entry.key, known.iter().copied()) {
                notes.warn(
                    entry.at,
                    format!("unknown key {}, which is ignored", quote(&entry.key)),
                    format!("did you mean {}?", quote(near)),
                );
            }
        }
    }
}

pub(crate) fn text(node: &Node) -> Option<Text<'_>> {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.style == Style::DoubleQuoted => Some(Text {
            at: node.at,
            scalar,
        }),
        _ => None,
    }
}

pub(crate) fn is_null(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar.is_null())
}

fn mismatch<T>(node: &Node, what: &str, expected: &str, notes: &mut Notes) -> Option<T> {
    let what = format!("{what} must be {expected}, found {}", node.describe());
    notes.refuse(node.at, what, format!("write {expected}"))
}
