//! A JSON object read by Go's rules: keys in any letter case, null as absent, strangers ignored.

use fusebox_plan::dialect::{Entry, Kind, Node, Notes, Place, Scalar, Style, nearest, quote};

/// An object, and what it is called in messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'n> {
    pub at: Place,
    entries: &'n [Entry],
}

/// A text, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'n> {
    pub at: Place,
    pub scalar: &'n Scalar,
}

impl<'n> Text<'n> {
    pub fn get(self) -> &'n str {
        &self.scalar.text
    }

    /// What a message may show of it.
    pub fn shown(self) -> String {
        self.scalar.shown()
    }
}

impl<'n> Object<'n> {
    /// Opens what should be an object; null is an absent one.
    pub fn open(node: &'n Node, what: &str, notes: &mut Notes) -> Option<Object<'n>> {
        match &node.kind {
            Kind::Map(entries) => Some(Object {
                at: node.at,
                entries,
            }),
            _ if is_null(node) => None,
            _ => {
                mismatch(node, what, "an object", notes);
                None
            }
        }
    }

    /// The entry of a key, unless its value is null. Go compares the keys of its own structures
    /// without regard to case.
    pub fn get(&self, key: &str) -> Option<&'n Entry> {
        let exact = self.entries.iter().find(|entry| entry.key == key);
        let folded = || {
            self.entries
                .iter()
                .find(|entry| entry.key.eq_ignore_ascii_case(key))
        };
        exact.or_else(folded).filter(|entry| !is_null(&entry.value))
    }

    pub fn entries(&self) -> &'n [Entry] {
        self.entries
    }

    /// A text; one that is empty is there, too.
    pub fn text(&self, key: &str, notes: &mut Notes) -> Option<Text<'n>> {
        let entry = self.get(key)?;
        let text = text(&entry.value);
        if text.is_none() {
            mismatch(&entry.value, &quote(key), "a text in quotes", notes);
        }
        text
    }

    /// A text that says something.
    pub fn word(&self, key: &str, notes: &mut Notes) -> Option<Text<'n>> {
        self.text(key, notes).filter(|text| !text.get().is_empty())
    }

    /// The items of a list; none where there is no list.
    pub fn list(&self, key: &str, notes: &mut Notes) -> &'n [Node] {
        let Some(entry) = self.get(key) else {
            return &[];
        };
        match &entry.value.kind {
            Kind::List(items) => items,
            _ => {
                mismatch(&entry.value, &quote(key), "a list", notes);
                &[]
            }
        }
    }

    pub fn object(&self, key: &str, notes: &mut Notes) -> Option<Object<'n>> {
        Object::open(&self.get(key)?.value, &quote(key), notes)
    }

    /// Warns of keys that have no meaning and are nearly one that has.
    pub fn warn_of_slips(&self, known: &[&str], notes: &mut Notes) {
        for entry in self.entries {
            if known.iter().any(|key| key.eq_ignore_ascii_case(&entry.key)) {
                continue;
            }
            if let Some(near) = nearest(&entry.key, known.iter().copied()) {
                notes.warn(
                    entry.at,
                    format!(
                        "the key {} means nothing here and is ignored",
                        quote(&entry.key)
                    ),
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

fn mismatch(node: &Node, what: &str, expected: &str, notes: &mut Notes) {
    notes.error(
        node.at,
        format!("{what} is not {expected}: found {}", node.describe()),
        format!("write {expected}"),
    );
}
