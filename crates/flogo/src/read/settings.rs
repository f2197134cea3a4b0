//! Settings of triggers, handlers and services: evaluated, then read by key and type.
//!
//! The messages begin with the words of Flogo's own check, which scripts may search for.

use fusebox_plan::dialect::{Entry, Notes, Place, quote};

use crate::EvalError;
use crate::Map;
use crate::Value;
use crate::read::reader::expression_of;

/// Evaluated settings, with their places in the file.
#[derive(Debug)]
pub(crate) struct Settings<'n> {
    /// The place at which missing settings are reported.
    pub at: Place,
    pub values: Map,
    pub entries: &'n [Entry],
}

impl Settings<'_> {
    /// The place of a setting, or of all settings if it is absent.
    pub fn place(&self, key: &str) -> Place {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map_or(self.at, |entry| entry.value.at)
    }

    /// The value of a setting, including null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The value of a setting that is not null.
    fn given(&self, key: &str) -> Option<&Value> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// A required text; reports a missing or empty one.
    pub fn required(&self, key: &str, notes: &mut Notes) -> Option<String> {
        match self.get(key) {
            None => {
                let mend = format!("add `\"{key}\"` to the settings");
                notes.refuse(self.at, format!("field '{key}' is required"), mend)
            }
            Some(value) => {
                let text = Some(value.to_text()).filter(|text| !text.is_empty());
                self.valid(key, text, "give it a value", notes)
            }
        }
    }

    /// One of some words, in any letter case. An absent setting gives `default`, and is an error without a default.
    pub fn word(
        &self,
        key: &str,
        words: &[&'static str],
        default: Option<&'static str>,
        notes: &mut Notes,
    ) -> Option<&'static str> {
        if let (None, Some(default)) = (self.get(key), default) {
            return Some(default);
        }
        let mend = format!("use one of {}", words.join(", "));
        let Some(value) = self.get(key) else {
            return notes.refuse(self.at, format!("field '{key}' is required"), mend);
        };
        let text = value.to_text();
        let found = words.iter().find(|word| word.eq_ignore_ascii_case(&text));
        self.valid(key, found.copied(), &mend, notes)
    }

    /// A text; null and empty texts count as absent.
    pub fn text(&self, key: &str) -> Option<String> {
        let text = self.given(key)?.to_text();
        (!text.is_empty()).then_some(text)
    }

    /// A whole number; fractions are truncated, and numbers may be written as texts.
    pub fn whole(&self, key: &str, notes: &mut Notes) -> Option<i64> {
        self.coerced(
            key,
            self.given(key)?.to_int(),
            "write a whole number",
            notes,
        )
    }

    pub fn real(&self, key: &str, notes: &mut Notes) -> Option<f64> {
        let number = self.given(key)?.to_float();
        let number = self.coerced(key, number, "write a number", notes)?;
        let finite = Some(number).filter(|number| number.is_finite());
        self.valid(key, finite, "write a number", notes)
    }

    pub fn flag(&self, key: &str, notes: &mut Notes) -> Option<bool> {
        self.coerced(
            key,
            self.given(key)?.to_bool(),
            "write true or false",
            notes,
        )
    }

    /// The value that was read; reports an invalid one.
    fn valid<T>(&self, key: &str, read: Option<T>, mend: &str, notes: &mut Notes) -> Option<T> {
        if read.is_none() {
            self.not_valid(key, mend, notes);
        }
        read
    }

    /// The value that was coerced; reports a failure, with its reason.
    fn coerced<T>(
        &self,
        key: &str,
        coerced: Result<T, EvalError>,
        mend: &str,
        notes: &mut Notes,
    ) -> Option<T> {
        coerced
            .map_err(|error| self.not_valid_since(key, Some(&error.message), mend, notes))
            .ok()
    }

    /// Reports an invalid value of a setting.
    pub fn not_valid(&self, key: &str, mend: &str, notes: &mut Notes) {
        self.not_valid_since(key, None, mend, notes);
    }

    fn not_valid_since(&self, key: &str, why: Option<&str>, mend: &str, notes: &mut Notes) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let shown = match self.get(key) {
            _ if entry.is_some_and(is_secret) => "***".to_owned(),
            None | Some(Value::Null) => "<nil>".to_owned(),
            Some(value) => quote(&value.to_text()).trim_matches('`').to_owned(),
        };
        let mut what = format!("value '{shown}' is not valid for '{key}'");
        if let Some((text, _)) = entry.and_then(|entry| expression_of(&entry.value)) {
            what = format!("{what}, which is {}", text.shown());
        }
        // The reason shows the value, which may be a secret.
        if let (Some(why), false) = (why, entry.is_some_and(is_secret)) {
            what = format!("{what}: {why}");
        }
        notes.error(self.place(key), what, mend);
    }
}

fn is_secret(entry: &Entry) -> bool {
    matches!(&entry.value.kind, fusebox_plan::dialect::Kind::Scalar(scalar) if scalar.written.is_some())
}
