//! The values of expressions, with CEL's equality and order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value of an expression. A clone copies no text, list or map.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Arc<Vec<Value>>),
    Map(Arc<Map>),
    /// A duration, in nanoseconds.
    Span(i64),
    Type(Kind),
}

pub(crate) type Map = BTreeMap<MapKey, Value>;

/// A map's key. An unsigned number within the signed range is stored as a signed one: CEL finds `{1: x}` by `1u` too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MapKey {
    Bool(bool),
    Int(i64),
    UInt(u64),
    Text(Arc<str>),
}

/// The type of a value, in CEL's type system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Int,
    UInt,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Span,
    Type,
}

impl Kind {
    /// Each type with CEL's name, and with that name in a message.
    const NAMES: [(Kind, &str, &str); 11] = [
        (Kind::Null, "null_type", "null"),
        (Kind::Bool, "bool", "a bool"),
        (Kind::Int, "int", "an int"),
        (Kind::UInt, "uint", "a uint"),
        (Kind::Double, "double", "a double"),
        (Kind::Text, "string", "a string"),
        (Kind::Bytes, "bytes", "bytes"),
        (Kind::List, "list", "a list"),
        (Kind::Map, "map", "a map"),
        (Kind::Span, "duration", "a duration"),
        (Kind::Type, "type", "a type"),
    ];

    /// CEL's name of the type, such as `null_type`.
    pub fn as_str(self) -> &'static str {
        self.names().1
    }

    /// CEL's name with its article, for messages.
    pub fn article(self) -> &'static str {
        self.names().2
    }

    fn names(self) -> (Kind, &'static str, &'static str) {
        let names = Kind::NAMES[self as usize];
        debug_assert_eq!(names.0, self, "the types are in the order of the enum");
        names
    }

    pub fn named(name: &str) -> Option<Kind> {
        let mut kinds = Kind::NAMES.into_iter();
        kinds.find_map(|(kind, known, _)| (known == name).then_some(kind))
    }

    pub fn is_number(self) -> bool {
        matches!(self, Kind::Int | Kind::UInt | Kind::Double)
    }
}

impl Value {
    pub fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    pub fn kind(&self) -> Kind {
        match self {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::UInt(_) => Kind::UInt,
            Value::Double(_) => Kind::Double,
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::List(_) => Kind::List,
            Value::Map(_) => Kind::Map,
            Value::Span(_) => Kind::Span,
            Value::Type(_) => Kind::Type,
        }
    }

    /// The value as a map's key; `None` unless it is a boolean, a whole number or a text.
    pub fn key(&self) -> Option<MapKey> {
        match self {
            Value::Bool(b) => Some(MapKey::Bool(*b)),
            Value::Int(i) => Some(MapKey::Int(*i)),
            Value::UInt(u) => Some(i64::try_from(*u).map_or(MapKey::UInt(*u), MapKey::Int)),
            Value::Double(d) if d.fract() == 0.0 && d.abs() < 9.0e15 => {
                Some(MapKey::Int(*d as i64))
            }
            Value::Text(text) => Some(MapKey::Text(Arc::clone(text))),
            _ => None,
        }
    }

    /// CEL's `==`: numbers compare by value whatever their type, other types never equal one another. `pay` is called
    /// with the steps of each comparison, and may end it.
    pub fn equals<E>(
        &self,
        other: &Value,
        pay: &mut impl FnMut(usize) -> Result<(), E>,
    ) -> Result<bool, E> {
        Ok(match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                pay(a.len().min(b.len()) / 1024)?;
                a == b
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                pay(a.len().min(b.len()) / 1024)?;
                a == b
            }
            (Value::Span(a), Value::Span(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    pay(1)?;
                    if !a.equals(b, pay)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(a), Value::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, a) in a.iter() {
                    pay(1)?;
                    match b.get(key) {
                        Some(b) if a.equals(b, pay)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => self.number_order(other) == Some(Ordering::Equal),
        })
    }

    /// CEL's order; `None` for values without an order.
    pub fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Value::Span(a), Value::Span(b)) => Some(a.cmp(b)),
            _ => self.number_order(other),
        }
    }

    fn number_order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Double(a), b) => Some(whole_order(b.whole()?, *a)?.reverse()),
            (a, Value::Double(b)) => whole_order(a.whole()?, *b),
            (a, b) => Some(a.whole()?.cmp(&b.whole()?)),
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Value::Int(i) => Some(i128::from(*i)),
            Value::UInt(u) => Some(i128::from(*u)),
            _ => None,
        }
    }
}

/// Compares a whole number with a floating one, without losing digits of the first.
fn whole_order(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Beyond 2^65 every double is further out than any 64-bit number.
    if double.abs() > 3.7e19 {
        return Some(if double > 0.0 {
            Ordering::Less
        } else {
            Ordering::Greater
        });
    }
    let floor = double.floor();
    Some(whole.cmp(&(floor as i128)).then(if double > floor {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}

impl MapKey {
    pub fn value(&self) -> Value {
        match self {
            MapKey::Bool(b) => Value::Bool(*b),
            MapKey::Int(i) => Value::Int(*i),
            MapKey::UInt(u) => Value::UInt(*u),
            MapKey::Text(text) => Value::Text(Arc::clone(text)),
        }
    }
}
