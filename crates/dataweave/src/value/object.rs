//! Objects, and the meanings that they may have.

use std::sync::Arc;

use super::media::Typed;
use super::{Key, Namespace, Nesting, Value};

/// Keys with their values, in order.
#[derive(Debug)]
pub struct Object {
    entries: Vec<(Key, Value)>,
    form: Form,
    nesting: Nesting,
    /// The payload of a message as received, with its media type.
    unread: Option<Box<Typed>>,
}

/// The meaning of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An ordinary object.
    Plain,
    /// The headers of a message; names match in any case and may occur several times.
    Headers,
    /// The parameters of a query; names may occur several times.
    Parameters,
    /// The type of an error, whose text is `NAMESPACE:IDENTIFIER`.
    ErrorType,
    /// A message with `payload` and `attributes`, such as the result of a route. Its written form is that of its
    /// payload.
    Message,
}

impl Object {
    /// Makes an object of a form.
    pub fn new(entries: Vec<(Arc<str>, Value)>, form: Form) -> Object {
        let entries = entries.into_iter();
        Object::keyed(
            entries.map(|(key, value)| (key.into(), value)).collect(),
            form,
        )
    }

    /// Makes an object of a form, with keys that may have attributes.
    pub(crate) fn keyed(entries: Vec<(Key, Value)>, form: Form) -> Object {
        let nesting = Nesting::over(entries.iter().map(|(_, value)| value));
        Object {
            entries,
            form,
            nesting,
            unread: None,
        }
    }

    /// Makes a message. Expressions look into the payload, but one that selects the payload alone gets it unread; a
    /// payload that cannot be read stays a text.
    pub fn message(payload: Typed, attributes: Value) -> Object {
        let read = payload.read().unwrap_or_else(|_| payload.value.clone());
        let entries = vec![("payload".into(), read), ("attributes".into(), attributes)];
        Object {
            unread: Some(Box::new(payload)),
            ..Object::new(entries, Form::Message)
        }
    }

    /// The payload of a message as received.
    pub(crate) fn unread(&self) -> Option<&Typed> {
        self.unread.as_deref()
    }

    /// The keys with their values, in order.
    pub fn entries(&self) -> &[(Key, Value)] {
        &self.entries
    }

    /// The names of the keys with their values, in order.
    pub fn named(&self) -> Vec<(Arc<str>, Value)> {
        let entries = self.entries.iter().cloned();
        entries.map(|(key, value)| (key.into(), value)).collect()
    }

    /// The nesting of the values.
    pub(crate) fn nesting(&self) -> Nesting {
        self.nesting
    }

    /// The meaning of the object.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The value of the first key that matches.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut entries = self.entries.iter();
        let found = entries.find(|(name, _)| self.matches(name, key));
        found.map(|(_, value)| value)
    }

    fn matches(&self, name: &str, key: &str) -> bool {
        match self.form {
            Form::Headers => name.eq_ignore_ascii_case(key),
            Form::Plain | Form::Parameters | Form::ErrorType | Form::Message => name == key,
        }
    }

    /// The entries of all keys that match, in a namespace if one is asked for.
    pub(crate) fn found<'a>(
        &'a self,
        key: &'a str,
        namespace: Option<&'a Namespace>,
    ) -> impl Iterator<Item = &'a (Key, Value)> {
        self.entries
            .iter()
            .filter(move |(name, _)| match namespace {
                Some(_) => name.is(key, namespace),
                None => self.matches(name, key),
            })
    }

    /// The values of all keys that match.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Value> {
        let entries = self.entries.iter();
        let found = entries.filter(move |(name, _)| self.matches(name, key));
        found.map(|(_, value)| value)
    }

    /// The payload, if the object is a message.
    pub(crate) fn message_payload(&self) -> Option<&Value> {
        match self.form {
            Form::Message => self.get("payload"),
            _ => None,
        }
    }

    /// The text of an error type, if the object is one.
    pub(crate) fn error_type(&self) -> Option<String> {
        match (self.form, self.get("namespace"), self.get("identifier")) {
            (Form::ErrorType, Some(Value::String(namespace)), Some(Value::String(identifier))) => {
                Some(format!("{namespace}:{identifier}"))
            }
            _ => None,
        }
    }
}
