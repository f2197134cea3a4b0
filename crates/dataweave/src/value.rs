//! The values of expressions.
//!
//! - `number`, `period`, `regex`: kinds that Rust lacks
//! - `media`: a value with its media type; `json`, `xml`, `csv`, `form`, `dw`: the formats for reading and writing
//! - `text`, `iso`: values as text, and dates by ISO 8601

use std::sync::Arc;

use bytes::Bytes;
use jiff::civil;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

pub(crate) mod csv;
pub(crate) mod dw;
pub(crate) mod form;
pub(crate) mod iso;
pub(crate) mod json;
pub(crate) mod key;
mod kind;
pub(crate) mod media;
pub(crate) mod number;
mod object;
pub(crate) mod period;
pub(crate) mod regex;
pub(crate) mod text;
pub(crate) mod xml;

use crate::script::Closure;
pub(crate) use key::{Key, Namespace, Selected};
pub use kind::Kind;
use number::Number;
pub use object::{Form, Object};
use period::Period;
use regex::Pattern;

/// A value of an expression. Clones share texts, arrays and objects.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Null, also the value of a missing key.
    #[default]
    Null,
    /// A boolean value.
    Bool(bool),
    /// A decimal number.
    Number(Number),
    /// A Unicode text.
    String(Arc<str>),
    /// Bytes without a text.
    Binary(Box<Bytes>),
    /// A moment with the time zone in which it is shown.
    DateTime(Arc<Zoned>),
    /// A date and time without a zone.
    LocalDateTime(civil::DateTime),
    /// A date without a zone.
    Date(civil::Date),
    /// A time of day with an offset from UTC.
    Time(civil::Time, Offset),
    /// A time of day without a zone.
    LocalTime(civil::Time),
    /// A time zone.
    Zone(TimeZone),
    /// A period of time.
    Period(Box<Period>),
    /// A regular expression.
    Regex(Pattern),
    /// A list of values.
    Array(Arc<Array>),
    /// Keys with values, in order; a key may occur several times.
    Object(Arc<Object>),
    /// A type, such as `String`, the result of `typeOf`.
    Type(Kind),
    /// A function. It exists within one evaluation and cannot be its result.
    Function(Function),
    /// A value with the key that it was selected by. It exists within one evaluation.
    Selected(Arc<Selected>),
}

/// The nesting of a value, bounded so that recursion over a value cannot exhaust the stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Nesting {
    /// The depth of nested arrays, objects and functions.
    pub depth: u16,
    /// True if the value contains a function.
    pub functions: bool,
    /// True if the value contains one with the key that it was selected by.
    pub selected: bool,
}

impl Nesting {
    /// The shape of a container of these values.
    pub fn over<'a>(values: impl Iterator<Item = &'a Value>) -> Nesting {
        let mut nesting = Nesting::default();
        for inner in values {
            let inner = inner.nesting();
            nesting.depth = nesting.depth.max(inner.depth);
            nesting.functions |= inner.functions;
            nesting.selected |= inner.selected;
        }
        nesting.depth = nesting.depth.saturating_add(1);
        nesting
    }
}

/// A list of values.
#[derive(Debug)]
pub struct Array {
    items: Vec<Value>,
    nesting: Nesting,
}

impl Array {
    /// The items in order.
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

/// A function of an expression.
#[derive(Debug, Clone)]
pub struct Function(pub(crate) Closure);

// A payload of 10 MB of JSON holds many values.
const _: () = assert!(size_of::<Value>() <= 24);

impl Value {
    /// Makes a binary value.
    pub fn bytes(bytes: impl Into<Bytes>) -> Value {
        Value::Binary(Box::new(bytes.into()))
    }

    /// Makes a period.
    pub(crate) fn period(period: Period) -> Value {
        Value::Period(Box::new(period))
    }

    /// Makes a text.
    pub fn text(text: impl Into<Arc<str>>) -> Value {
        Value::String(text.into())
    }

    /// Makes a list.
    pub fn array(items: Vec<Value>) -> Value {
        let nesting = Nesting::over(items.iter());
        Value::Array(Arc::new(Array { items, nesting }))
    }

    /// Makes a plain object.
    pub fn object(entries: Vec<(Arc<str>, Value)>) -> Value {
        Value::formed(entries, Form::Plain)
    }

    /// Makes a plain object with keys that may have attributes.
    pub(crate) fn keyed(entries: Vec<(Key, Value)>) -> Value {
        Value::Object(Arc::new(Object::keyed(entries, Form::Plain)))
    }

    /// The value without the key that it was selected by.
    pub(crate) fn plain(&self) -> &Value {
        match self {
            Value::Selected(selected) => selected.value.plain(),
            value => value,
        }
    }

    /// The value without the keys that it or its parts were selected by.
    pub(crate) fn unselected(&self) -> Value {
        let plain = self.plain();
        match plain {
            _ if !plain.nesting().selected => plain.clone(),
            Value::Array(array) => {
                Value::array(array.items().iter().map(Value::unselected).collect())
            }
            Value::Object(object) => {
                let entries = object.entries().iter();
                let entries = entries.map(|(key, value)| (key.clone(), value.unselected()));
                Value::Object(Arc::new(Object::keyed(entries.collect(), object.form())))
            }
            other => other.clone(),
        }
    }

    /// Makes an object of a form.
    pub fn formed(entries: Vec<(Arc<str>, Value)>, form: Form) -> Value {
        Value::Object(Arc::new(Object::new(entries, form)))
    }

    /// Makes a plain object with a few keys.
    pub fn record<const N: usize>(entries: [(&str, Value); N]) -> Value {
        let entries = entries.into_iter();
        Value::object(entries.map(|(key, value)| (key.into(), value)).collect())
    }

    /// Makes a plain object whose entries are made at the first look into it.
    pub fn deferred(make: impl Fn() -> Vec<(Arc<str>, Value)> + Send + Sync + 'static) -> Value {
        Value::Object(Arc::new(Object::deferred(make)))
    }

    /// Makes a moment, shown in UTC.
    pub fn moment(moment: Timestamp) -> Value {
        Value::DateTime(Arc::new(moment.to_zoned(TimeZone::UTC)))
    }

    /// The kind of the value.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Boolean,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Binary(_) => Kind::Binary,
            Value::DateTime(_) => Kind::DateTime,
            Value::LocalDateTime(_) => Kind::LocalDateTime,
            Value::Date(_) => Kind::Date,
            Value::Time(..) => Kind::Time,
            Value::LocalTime(_) => Kind::LocalTime,
            Value::Zone(_) => Kind::TimeZone,
            Value::Period(_) => Kind::Period,
            Value::Regex(_) => Kind::Regex,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
            Value::Type(_) => Kind::Type,
            Value::Function(_) => Kind::Function,
            Value::Selected(selected) => selected.value.kind(),
        }
    }

    /// True for null.
    pub fn is_null(&self) -> bool {
        matches!(self.plain(), Value::Null)
    }

    /// The nesting of the value.
    pub(crate) fn nesting(&self) -> Nesting {
        match self {
            Value::Array(array) => array.nesting,
            Value::Object(object) => object.nesting(),
            Value::Function(function) => function.0.nesting(),
            Value::Selected(selected) => Nesting {
                selected: true,
                ..selected.value.nesting()
            },
            _ => Nesting::default(),
        }
    }

    /// The value as Java's maps hold it: the last value of equal keys, at the position of the first.
    pub(crate) fn collapsed(&self) -> Value {
        match self.plain() {
            Value::Array(array) => {
                Value::array(array.items().iter().map(Value::collapsed).collect())
            }
            // Headers and parameters may have several values of a name; a message has two keys.
            Value::Object(object) if matches!(object.form(), Form::Plain | Form::ErrorType) => {
                let mut places = std::collections::HashMap::new();
                let mut entries: Vec<(Key, Value)> = Vec::with_capacity(object.entries().len());
                for (key, value) in object.entries() {
                    let value = value.collapsed();
                    let place = *places.entry(key.name().clone()).or_insert(entries.len());
                    match entries.get_mut(place) {
                        Some((_, earlier)) => *earlier = value,
                        None => entries.push((key.clone(), value)),
                    }
                }
                Value::Object(Arc::new(Object::keyed(entries, object.form())))
            }
            plain => plain.clone(),
        }
    }
}

/// DataWeave's `==`: equal kind and equal content; objects in order.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self.plain(), other.plain()) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Binary(a), Value::Binary(b)) => a == b,
            (Value::DateTime(a), Value::DateTime(b)) => a == b,
            (Value::LocalDateTime(a), Value::LocalDateTime(b)) => a == b,
            (Value::Date(a), Value::Date(b)) => a == b,
            (Value::Time(a, a_at), Value::Time(b, b_at)) => a == b && a_at == b_at,
            (Value::LocalTime(a), Value::LocalTime(b)) => a == b,
            (Value::Zone(a), Value::Zone(b)) => a == b,
            (Value::Period(a), Value::Period(b)) => a == b,
            (Value::Regex(a), Value::Regex(b)) => a.source() == b.source(),
            (Value::Array(a), Value::Array(b)) => a.items == b.items,
            (Value::Object(a), Value::Object(b)) => a.entries() == b.entries(),
            (Value::Type(a), Value::Type(b)) => a == b,
            _ => false,
        }
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Value {
        Value::Bool(bool)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number.into())
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Value {
        Value::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::array(items)
    }
}
