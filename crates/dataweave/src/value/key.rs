//! The keys of objects: names, which in XML have namespaces and attributes.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::Value;

/// A key of an object. It reads as its name.
#[derive(Debug, Clone)]
pub struct Key {
    name: Arc<str>,
    mark: Option<Arc<Mark>>,
}

/// The namespace and the attributes of a key.
#[derive(Debug, Default)]
struct Mark {
    namespace: Option<Namespace>,
    attributes: Vec<(Key, Value)>,
}

/// A namespace of XML.
#[derive(Debug, Clone)]
pub(crate) struct Namespace {
    /// The prefix that the script or the document gives it; empty for the default namespace.
    pub prefix: Arc<str>,
    pub uri: Arc<str>,
}

impl Key {
    /// Makes a key of a name with its namespace and attributes.
    pub(crate) fn marked(
        name: Arc<str>,
        namespace: Option<Namespace>,
        attributes: Vec<(Key, Value)>,
    ) -> Key {
        let is_plain = namespace.is_none() && attributes.is_empty();
        let mark = Mark {
            namespace,
            attributes,
        };
        Key {
            name,
            mark: (!is_plain).then(|| Arc::new(mark)),
        }
    }

    /// The name without its namespace.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// True if the key has a namespace or attributes.
    pub(crate) fn is_marked(&self) -> bool {
        self.mark.is_some()
    }

    pub(crate) fn namespace(&self) -> Option<&Namespace> {
        self.mark.as_ref()?.namespace.as_ref()
    }

    pub(crate) fn attributes(&self) -> &[(Key, Value)] {
        self.mark.as_ref().map_or(&[], |mark| &mark.attributes)
    }

    /// True if the key has a name, and the namespace if one is asked for.
    pub(crate) fn is(&self, name: &str, namespace: Option<&Namespace>) -> bool {
        *self.name == *name
            && namespace.is_none_or(|wanted| {
                self.namespace()
                    .is_some_and(|found| found.uri == wanted.uri)
            })
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

/// Keys are equal if their names and namespaces are.
impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        let uri = |key: &Key| key.namespace().map(|namespace| namespace.uri.clone());
        self.name == other.name
            && (self.mark.is_none() && other.mark.is_none() || uri(self) == uri(other))
    }
}

impl From<Arc<str>> for Key {
    fn from(name: Arc<str>) -> Key {
        Key { name, mark: None }
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Key {
        Key::from(Arc::from(name))
    }
}

impl From<String> for Key {
    fn from(name: String) -> Key {
        Key::from(Arc::from(name))
    }
}

impl From<Key> for Arc<str> {
    fn from(key: Key) -> Arc<str> {
        key.name
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A value with the key that it was selected by, a key as a value, or a text to write as a CDATA section. It exists
/// within one evaluation, and is otherwise the value.
#[derive(Debug)]
pub struct Selected {
    pub(crate) key: Key,
    pub(crate) value: Value,
    pub(crate) role: Role,
}

/// The relation of a value to the key that it is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The value was selected by the key.
    Value,
    /// The value is the key itself.
    Key,
    /// The value is a text to write as a CDATA section; the key is empty.
    CData,
}

impl Value {
    /// A text to write as a CDATA section.
    pub(crate) fn cdata(text: Arc<str>) -> Value {
        Value::Selected(Arc::new(Selected {
            key: "".into(),
            value: Value::String(text),
            role: Role::CData,
        }))
    }

    /// True for a text to write as a CDATA section.
    pub(crate) fn is_cdata(&self) -> bool {
        matches!(self, Value::Selected(selected) if selected.role == Role::CData)
    }

    /// The key, if the value is one with a namespace or attributes.
    pub(crate) fn as_key(&self) -> Option<&Key> {
        match self {
            Value::Selected(selected) if selected.role == Role::Key => Some(&selected.key),
            _ => None,
        }
    }
}

impl Key {
    /// The key as a value: a text.
    pub(crate) fn to_value(&self) -> Value {
        let value = Value::String(self.name.clone());
        match self.is_marked() {
            true => Value::Selected(Arc::new(Selected {
                key: self.clone(),
                value,
                role: Role::Key,
            })),
            false => value,
        }
    }

    /// The value of the key's entry, with the key's attributes at hand.
    pub(crate) fn value(&self, value: &Value) -> Value {
        match self.is_marked() {
            true => Value::Selected(Arc::new(Selected {
                key: self.clone(),
                value: value.plain().clone(),
                role: Role::Value,
            })),
            false => value.clone(),
        }
    }
}
