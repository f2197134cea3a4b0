//! The schema of a microgateway definition: the original's JSON Schema, with its messages.

use std::collections::HashMap;

use fusebox_plan::dialect::{Kind, Node, Notes, Place};

use crate::read::object::{is_null, text};
use crate::read::older;

/// The path of the definition itself, in JSON Schema's words.
const ROOT: &str = "(root)";

const PREFIX: &str = "error validating schema: The JSON is not valid. See errors: ";

/// The shape of a part of a definition.
enum Shape {
    Text,
    Flag,
    /// An object with keys of the author's choosing.
    Free,
    Any,
    Object(&'static [Key]),
    List {
        of: &'static Shape,
        least: usize,
        unique: bool,
    },
}

struct Key {
    name: &'static str,
    required: bool,
    shape: Shape,
}

const fn needed(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        required: true,
        shape,
    }
}

const fn optional(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        required: false,
        shape,
    }
}

const fn list(of: &'static Shape, least: usize, unique: bool) -> Shape {
    Shape::List { of, least, unique }
}

static DEFINITION: Shape = Shape::Object(&[
    needed("name", Shape::Text),
    needed("steps", list(&STEP, 1, false)),
    optional("responses", list(&RESPONSE, 0, false)),
    optional("services", list(&SERVICE, 0, true)),
]);

static STEP: Shape = Shape::Object(&[
    needed("service", Shape::Text),
    optional("if", Shape::Text),
    optional("input", Shape::Free),
    optional("halt", Shape::Text),
]);

static RESPONSE: Shape = Shape::Object(&[
    needed("error", Shape::Flag),
    optional("if", Shape::Text),
    optional("output", OUTPUT),
]);

const OUTPUT: Shape = Shape::Object(&[needed("data", Shape::Any), optional("code", Shape::Any)]);

static SERVICE: Shape = Shape::Object(&[
    needed("name", Shape::Text),
    needed("ref", Shape::Text),
    optional("description", Shape::Text),
    optional("settings", Shape::Free),
]);

/// The part of the schema that is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// The whole schema, for definitions in the application or in a file.
    Full,
    /// Only the kinds of values, for definitions fetched over HTTP.
    Kinds,
}

/// Checks a definition against the schema. True if it conforms.
pub(crate) fn check(node: &Node, strictness: Strictness, notes: &mut Notes) -> bool {
    let before = notes.errors();
    let mut check = Check { strictness, notes };
    check.node(node, &DEFINITION, ROOT);
    before == check.notes.errors()
}

struct Check<'a> {
    strictness: Strictness,
    notes: &'a mut Notes,
}

impl Check<'_> {
    fn node(&mut self, node: &Node, shape: &Shape, path: &str) {
        match (shape, &node.kind) {
            (Shape::Any, _) | (Shape::Free, Kind::Map(_)) => {}
            (Shape::Text, _) if text(node).is_some() => {}
            (Shape::Flag, _) if matches!(kind(node), "boolean") => {}
            (Shape::Object(keys), Kind::Map(_)) => self.object(node, keys, path),
            (Shape::List { of, least, unique }, Kind::List(items)) => {
                if items.len() < *least && self.strictness == Strictness::Full {
                    let what = format!("Array must have at least {least} items");
                    self.say(node.at, path, &what, "add one");
                }
                for (index, item) in items.iter().enumerate() {
                    self.node(item, of, &below(path, &index.to_string()));
                }
                if *unique && self.strictness == Strictness::Full {
                    self.unique(items, path);
                }
            }
            // Go reads null as an absent value.
            _ if is_null(node) && self.strictness == Strictness::Kinds => {}
            _ => {
                let expected = match shape {
                    Shape::Text => "string",
                    Shape::Flag => "boolean",
                    Shape::List { .. } => "array",
                    Shape::Free | Shape::Object(_) | Shape::Any => "object",
                };
                let what = format!("Invalid type. Expected: {expected}, given: {}", kind(node));
                let mend = match expected {
                    "string" => "write a text in quotes".to_owned(),
                    "boolean" => "write true or false".to_owned(),
                    _ => format!("write an {expected}"),
                };
                self.say(node.at, path, &what, &mend);
            }
        }
    }

    fn object(&mut self, node: &Node, keys: &[Key], path: &str) {
        let Kind::Map(entries) = &node.kind else {
            return;
        };
        for key in keys.iter().filter(|key| key.required) {
            if node.entry(key.name).is_none() && self.strictness == Strictness::Full {
                let what = format!("{} is required", key.name);
                self.say(node.at, path, &what, &format!("add `\"{}\"`", key.name));
            }
        }
        for entry in entries {
            let found = keys.iter().find(|key| match self.strictness {
                Strictness::Full => key.name == entry.key,
                Strictness::Kinds => key.name.eq_ignore_ascii_case(&entry.key),
            });
            match found {
                Some(key) => self.node(&entry.value, &key.shape, &below(path, key.name)),
                None if self.strictness == Strictness::Kinds => {}
                None if path == ROOT && older::KEYS.contains(&entry.key.as_str()) => {
                    let shape = match entry.key.as_str() {
                        "async" => Shape::Flag,
                        "pattern" => Shape::Text,
                        _ => Shape::Free,
                    };
                    self.node(&entry.value, &shape, &entry.key);
                    older::warn(entry, self.notes);
                }
                None => {
                    let what = format!("Additional property {} is not allowed", entry.key);
                    let mend =
                        fusebox_plan::dialect::suggest(&entry.key, keys.iter().map(|key| key.name));
                    self.say(entry.at, path, &what, &mend);
                }
            }
        }
    }

    fn unique(&mut self, items: &[Node], path: &str) {
        let mut seen = HashMap::new();
        for (later, item) in items.iter().enumerate() {
            // Sorted keys give each value a single text.
            let Ok(text) = crate::read::located::value(item).to_json_text() else {
                continue;
            };
            let earlier = *seen.entry(text).or_insert(later);
            if earlier != later {
                let what = format!("array items[{earlier},{later}] must be unique");
                self.say(item.at, path, &what, "remove one of the two");
            }
        }
    }

    fn say(&mut self, at: Place, path: &str, what: &str, mend: &str) {
        self.notes
            .error(at, format!("{PREFIX}- {path}: {what}"), mend);
    }
}

fn below(path: &str, name: &str) -> String {
    match path {
        ROOT => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// The kind of a value, in JSON Schema's words.
fn kind(node: &Node) -> &'static str {
    match &node.kind {
        Kind::Map(_) => "object",
        Kind::List(_) => "array",
        Kind::Scalar(_) if text(node).is_some() => "string",
        Kind::Scalar(scalar) => match scalar.text.as_str() {
            "null" => "null",
            "true" | "false" => "boolean",
            number => match number.parse::<f64>() {
                Ok(number) if number.fract() == 0.0 => "integer",
                _ => "number",
            },
        },
    }
}
