//! Objects, and the meanings that they may have.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::media::Typed;
use super::{Key, Namespace, Nesting, Value};

/// Keys with their values, in order.
#[derive(Debug)]
pub struct Object {
    /// Set at once, or at the first look into a deferred object.
    content: OnceLock<Content>,
    form: Form,
    origin: Option<Box<Origin>>,
}

#[derive(Debug)]
struct Content {
    entries: Vec<(Key, Value)>,
    nesting: Nesting,
}

impl Content {
    fn of(entries: Vec<(Key, Value)>) -> Content {
        let nesting = Nesting::over(entries.iter().map(|(_, value)| value));
        Content { entries, nesting }
    }
}

/// The source of an object that was not made of entries at once.
enum Origin {
    /// The payload of a message as received, with its media type.
    Message(Typed),
    /// Makes the entries of a deferred object.
    Deferred(Box<Make>),
}

type Make = dyn Fn() -> Vec<(Arc<str>, Value)> + Send + Sync;

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Message(payload) => payload.fmt(f),
            Origin::Deferred(_) => f.write_str("deferred"),
        }
    }
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
        Object {
            content: Content::of(entries).into(),
            form,
            origin: None,
        }
    }

    /// Makes a plain object whose entries `make` makes at the first look into it. All clones of a value share them.
    pub fn deferred(make: impl Fn() -> Vec<(Arc<str>, Value)> + Send + Sync + 'static) -> Object {
        Object {
            content: OnceLock::new(),
            form: Form::Plain,
            origin: Some(Box::new(Origin::Deferred(Box::new(make)))),
        }
    }

    fn content(&self) -> &Content {
        self.content.get_or_init(|| {
            let made = match self.origin.as_deref() {
                Some(Origin::Deferred(make)) => make(),
                _ => Vec::new(),
            };
            let made = made.into_iter();
            Content::of(made.map(|(key, value)| (key.into(), value)).collect())
        })
    }

    /// Makes a message. Expressions look into the payload, but one that selects the payload alone gets it unread; a
    /// payload that cannot be read stays a text.
    pub fn message(payload: Typed, attributes: Value) -> Object {
        let read = payload.read().unwrap_or_else(|_| payload.value.clone());
        let entries = vec![("payload".into(), read), ("attributes".into(), attributes)];
        Object {
            origin: Some(Box::new(Origin::Message(payload))),
            ..Object::new(entries, Form::Message)
        }
    }

    /// The payload of a message as received.
    pub(crate) fn unread(&self) -> Option<&Typed> {
        match self.origin.as_deref() {
            Some(Origin::Message(payload)) => Some(payload),
            _ => None,
        }
    }

    /// The keys with their values, in order.
    pub fn entries(&self) -> &[(Key, Value)] {
        &self.content().entries
    }

    /// The names of the keys with their values, in order.
    pub fn named(&self) -> Vec<(Arc<str>, Value)> {
        let entries = self.entries().iter().cloned();
        entries.map(|(key, value)| (key.into(), value)).collect()
    }

    /// The nesting of the values.
    pub(crate) fn nesting(&self) -> Nesting {
        self.content().nesting
    }

    /// The meaning of the object.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The value of the first key that matches.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut entries = self.entries().iter();
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
        self.entries()
            .iter()
            .filter(move |(name, _)| match namespace {
                Some(_) => name.is(key, namespace),
                None => self.matches(name, key),
            })
    }

    /// The values of all keys that match.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Value> {
        let entries = self.entries().iter();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_deferred_object_is_made_once_when_somebody_looks() {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let inner = Value::array(vec![Value::array(Vec::new())]);
        let value = Value::Object(Arc::new(Object::deferred(move || {
            MADE.fetch_add(1, Ordering::Relaxed);
            vec![("a".into(), inner.clone())]
        })));
        let clone = value.clone();
        assert_eq!(value.kind().name(), "Object");
        assert!(!value.is_null());
        assert_eq!(MADE.load(Ordering::Relaxed), 0);
        assert_eq!(value.nesting().depth, 3);
        assert_eq!(value, clone);
        let Value::Object(object) = clone else {
            panic!("{clone:?}");
        };
        assert!(object.get("a").is_some() && object.get("b").is_none());
        assert_eq!(object.form(), Form::Plain);
        assert_eq!(MADE.load(Ordering::Relaxed), 1);
    }
}
