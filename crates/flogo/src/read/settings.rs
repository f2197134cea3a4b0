//! Settings of triggers, handlers and services: evaluated, then read as each key asks for it.
//!
//! The messages begin with the words of Flogo's own check, which scripts may look for.

use fusebox_plan::dialect::{Entry, Notes, Place, quote};

use crate::Map;
use crate::Value;
use crate::read::reader::expression_of;

/// Evaluated settings, and where the file gives them.
#[derive(Debug)]
pub(crate) struct Settings<'n> {
    /// Where they are missing.
    pub at: Place,
    pub values: Map,
    pub entries: &'n [Entry],
}

impl Settings<'_> {
    /// Where a setting stands, or all of them where it does not.
    pub fn place(&self, key: &str) -> Place {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map_or(self.at, |entry| entry.value.at)
    }

    /// A setting that is there; null is.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A setting that says something.
    fn given(&self, key: &str) -> Option<&Value> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// A text that must be there.
    pub fn required(&self, key: &str, notes: &mut Notes) -> Option<String> {
        match self.get(key) {
            None => {
                notes.error(
                    self.at,
                    format!("field '{key}' is required"),
                    format!("add `\"{key}\"` to the settings"),
                );
                None
            }
            Some(value) if value.is_null() || value.to_text().is_empty() => {
                self.not_valid(key, "give it a value", notes);
                None
            }
            Some(value) => Some(value.to_text()),
        }
    }

    /// One of some words, in any letter case; `default` where the setting is absent, and required
    /// where there is no default.
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
            notes.error(self.at, format!("field '{key}' is required"), mend);
            return None;
        };
        let text = value.to_text();
        let found = words.iter().find(|word| word.eq_ignore_ascii_case(&text));
        if found.is_none() {
            self.not_valid(key, &mend, notes);
        }
        found.copied()
    }

    /// A text; absent, null and empty are the same.
    pub fn text(&self, key: &str) -> Option<String> {
        let text = self.given(key)?.to_text();
        (!text.is_empty()).then_some(text)
    }

    /// A whole number; fractions are cut off, numbers may be written as texts.
    pub fn whole(&self, key: &str, notes: &mut Notes) -> Option<i64> {
        let value = self.given(key)?;
        let number = value.to_int();
        if number.is_err() {
            self.not_valid(key, "write a whole number", notes);
        }
        number.ok()
    }

    pub fn real(&self, key: &str, notes: &mut Notes) -> Option<f64> {
        let value = self.given(key)?;
        let number = value.to_float().ok().filter(|number| number.is_finite());
        if number.is_none() {
            self.not_valid(key, "write a number", notes);
        }
        number
    }

    pub fn flag(&self, key: &str, notes: &mut Notes) -> Option<bool> {
        let value = self.given(key)?;
        let flag = value.to_bool();
        if flag.is_err() {
            self.not_valid(key, "write true or false", notes);
        }
        flag.ok()
    }

    /// Says that a setting's value is of no use.
    pub fn not_valid(&self, key: &str, mend: &str, notes: &mut Notes) {
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
        notes.error(self.place(key), what, mend);
    }
}

fn is_secret(entry: &Entry) -> bool {
    matches!(&entry.value.kind, fusebox_plan::dialect::Kind::Scalar(scalar) if scalar.written.is_some())
}
