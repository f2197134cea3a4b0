//! Key templates: the parts of a call that form the key of its breaker.

use std::fmt;
use std::str::FromStr;

use crate::key_text::write_part;

/// A text with names in braces, which a call fills in: `{service},{tenant}`.
///
/// A name that the call has no value for, or an empty one, is `-`. Values that differ give keys that differ, as those of
/// [`KeyParts`](crate::registry::KeyParts) do: what begins a text between two names is written as `%2C` in a value, and so on;
/// only two names side by side, with no text between them, run into one another. What clients write may be long and endless in
/// number: a [`Registry`](crate::Registry) bounds how many keys there are; bound their length where you look values up.
///
/// ```
/// use fusebox_breaker::{KeyTemplate, Registry, Settings, Timestamp};
///
/// let key: KeyTemplate = "{service},{tenant}".parse()?;
/// let registry = Registry::new("orders", Settings::default()).expect("sound settings");
/// let rendered = key.render(|name| match name {
///     "service" => Some("billing"),
///     _ => None,
/// });
/// assert_eq!(rendered, "billing,-");
/// let breaker = registry.get_or_create(&rendered, Timestamp::ZERO);
/// assert_eq!(&**breaker.name(), "orders/billing,-");
/// # Ok::<(), fusebox_breaker::KeyTemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Name(String),
}

/// The reason why a text is not a key template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTemplateError {
    /// A `{` at this byte has no `}`.
    Unclosed(usize),
    /// A `}` at this byte has no `{`.
    Unopened(usize),
    /// The braces at this byte hold no name.
    Nameless(usize),
}

impl fmt::Display for KeyTemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyTemplateError::Unclosed(at) => {
                write!(f, "the `{{` at byte {at} is never closed; add a `}}`")
            }
            KeyTemplateError::Unopened(at) => {
                write!(f, "the `}}` at byte {at} closes nothing; remove it")
            }
            KeyTemplateError::Nameless(at) => {
                write!(f, "the braces at byte {at} hold no name; write `{{name}}`")
            }
        }
    }
}

impl std::error::Error for KeyTemplateError {}

impl KeyTemplate {
    /// The names in the template, in their order, each as often as it stands there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The key of a call; `value` gives the value of each name.
    ///
    /// A value never makes it begin with a `*`, as the keys of shared breakers do.
    pub fn render<'a>(&self, mut value: impl FnMut(&str) -> Option<&'a str>) -> String {
        // A value without the first character of the separator cannot reach over it.
        let inner = self.parts.len().saturating_sub(1);
        let between = self.parts.get(1..inner).unwrap_or_default();
        let separates = |character| {
            let mut parts = between.iter();
            parts.any(|part| matches!(part, Part::Text(text) if text.starts_with(character)))
        };
        let mut key = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Name(name) => write_part(&mut key, value(name).map(str::as_bytes), separates),
            }
        }
        key
    }
}

impl FromStr for KeyTemplate {
    type Err = KeyTemplateError;

    fn from_str(text: &str) -> Result<Self, KeyTemplateError> {
        let mut parts = Vec::new();
        let mut from = 0;
        while let Some(found) = text[from..].find(['{', '}']) {
            let at = from + found;
            if text[at..].starts_with('}') {
                return Err(KeyTemplateError::Unopened(at));
            }
            if at > from {
                parts.push(Part::Text(text[from..at].to_owned()));
            }
            let length = text[at + 1..].find(['{', '}']);
            let end = at + 1 + length.ok_or(KeyTemplateError::Unclosed(at))?;
            let name = text[at + 1..end].trim();
            if text[end..].starts_with('{') {
                return Err(KeyTemplateError::Unclosed(at));
            }
            if name.is_empty() {
                return Err(KeyTemplateError::Nameless(at));
            }
            parts.push(Part::Name(name.to_owned()));
            from = end + 1;
        }
        if from < text.len() {
            parts.push(Part::Text(text[from..].to_owned()));
        }
        Ok(KeyTemplate { parts })
    }
}
