//! Forms of the microgateway's first weeks: keys of a definition that have since moved into the action's settings, and
//! a pattern that needed fewer of them.

use std::sync::Arc;

use fusebox_plan::dialect::{Entry, Notes, quote};

use crate::read::located;
use crate::read::object::{Object, Text};
use crate::{Map, Value};

/// The keys of a definition in the first schema, of October 2018.
pub(crate) const KEYS: [&str; 3] = ["async", "configuration", "pattern"];

/// Warns about a key that has moved.
pub(crate) fn warn(entry: &Entry, notes: &mut Notes) {
    let key = quote(&entry.key);
    let what = format!("{key} of a definition has belonged to the action since November 2018");
    notes.warn(entry.at, what, "move it into the action's `settings`");
}

/// The parts of an older definition.
#[derive(Default)]
pub(crate) struct Older<'n> {
    /// `async`: true if the responses do not wait for the steps.
    pub asynchronous: bool,
    /// `pattern`: the built-in pattern in place of the definition's own steps.
    pub pattern: Option<Text<'n>>,
    configuration: &'n [Entry],
}

impl<'n> Older<'n> {
    /// Reads the keys that have moved.
    pub fn read(definition: Object<'n>, notes: &mut Notes) -> Older<'n> {
        let asynchronous = definition.get("async");
        let configuration = definition.object("configuration", notes);
        Older {
            asynchronous: asynchronous
                .is_some_and(|entry| located::value(&entry.value).to_bool() == Ok(true)),
            pattern: definition.word("pattern", notes),
            configuration: configuration.map_or(&[], |configuration| configuration.entries()),
        }
    }

    /// The action's `$.conf` with the configuration, over which the settings win.
    pub fn complete(&self, conf: &Value) -> Value {
        let entries = self.configuration.iter();
        let entries =
            entries.map(|entry| (entry.key.as_str().into(), located::value(&entry.value)));
        beneath(entries.collect(), conf)
    }
}

/// The settings of a pattern that is named in the older way, with those that it did not need then: it called with GET, and
/// its breaker had the defaults.
pub(crate) fn pattern_settings(conf: &Value) -> Value {
    let defaults = [
        ("method", "GET".into()),
        ("mode", "a".into()),
        ("threshold", 5_i64.into()),
        ("period", 60_i64.into()),
        ("timeout", 60_i64.into()),
    ];
    beneath(
        defaults.map(|(key, value)| (Arc::from(key), value)).into(),
        conf,
    )
}

/// An object with the members of another, which win.
fn beneath(mut object: Map, over: &Value) -> Value {
    if let Value::Object(over) = over {
        object.extend(
            over.iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    object.into()
}
