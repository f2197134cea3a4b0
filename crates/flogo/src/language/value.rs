//! The values of expressions: Go's dynamic types, as far as definitions produce them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::language::fault::Fault;

/// An object's members, by name.
pub type Map = BTreeMap<Arc<str>, Value>;

/// A map of texts, Go's `map[string]string`: path parameters, queries, headers, the environment.
///
/// In a path a missing name gives the empty text, unlike in an object.
pub type Params = BTreeMap<Arc<str>, Arc<str>>;

/// A value of an expression. A clone copies no text, array or object.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    /// Null: JSON's null, an absent member, or `nil`.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number, Go's `int`: literals, an answer's status, lengths. Arithmetic wraps.
    Int(i64),
    /// Go's `int64`, the result of whole arithmetic with a number text and of `coerce.toInt64`. It behaves like an
    /// [`Int`](Value::Int), except that Flogo does not accept it as an answer's code.
    Long(i64),
    /// A floating-point number, which every JSON number becomes in definitions and requests.
    Float(f64),
    /// A number's text as an upstream wrote it: Go's `json.Number`.
    Num(Arc<str>),
    /// A text in UTF-8.
    Str(Arc<str>),
    /// Bytes, written as base64 in JSON.
    Bytes(Bytes),
    /// A list of values.
    Array(Arc<Vec<Value>>),
    /// An object with named members.
    Object(Arc<Map>),
    /// A map of named texts.
    Params(Arc<Params>),
    /// A Go struct, whose fields keep their order.
    Struct(Arc<Struct>),
    /// The failure of a service.
    Error(Arc<Fault>),
    /// A map or slice of Go that is nil: null in JSON, but no null to `==` and to an answer's data.
    Nil(NilKind),
}

/// The fields of a Go struct, in the order of its declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    /// The name of the Go type, such as `jwt.ParsedToken`.
    pub go_type: &'static str,
    /// The fields, by their names in JSON.
    pub fields: Vec<(&'static str, Value)>,
}

impl Struct {
    /// The field of a name, whose first letter may be of either case.
    pub fn field(&self, name: &str) -> Option<&Value> {
        field(&self.fields, name)
    }
}

/// The field of a name, whose first letter may be of either case.
pub(crate) fn field<'f>(fields: &'f [(&'static str, Value)], name: &str) -> Option<&'f Value> {
    let (name, rest) = name.split_at_checked(1)?;
    let is_it = |(field, _): &&(&'static str, Value)| {
        let (first, other) = field.split_at(1);
        first.eq_ignore_ascii_case(name) && other == rest
    };
    fields.iter().find(is_it).map(|(_, value)| value)
}

/// The type of a nil.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NilKind {
    /// A map of values.
    Object,
    /// The claims or the header of a token that is not valid. In a step's expressions it has no members, so that a step
    /// that reads an unproved identity ends; elsewhere it is an object without members.
    Unproved,
    /// A list of values.
    Array,
    /// A map of texts.
    Params,
    /// A list of bytes.
    Bytes,
}

impl Value {
    /// Converts a JSON value as Flogo reads a definition: every number is a float.
    pub fn from_json(value: &serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match value {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            // Every number has a float without arbitrary precision, a feature that is off here.
            Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::from(text.as_str()),
            Json::Array(items) => {
                Value::from(items.iter().map(Value::from_json).collect::<Vec<_>>())
            }
            Json::Object(members) => Value::from(
                members
                    .iter()
                    .map(|(name, member)| (Arc::from(name.as_str()), Value::from_json(member)))
                    .collect::<Map>(),
            ),
        }
    }

    /// The kind of the value, in the words of Flogo's data types.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Long(_) => "int",
            Value::Float(_) => "float",
            Value::Num(_) => "number",
            Value::Str(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Params(_) => "params",
            Value::Error(_) => "error",
            Value::Struct(_) => "object",
            Value::Nil(NilKind::Object | NilKind::Unproved) => "object",
            Value::Nil(NilKind::Array) => "array",
            Value::Nil(NilKind::Params) => "params",
            Value::Nil(NilKind::Bytes) => "bytes",
        }
    }

    /// The name of the value's Go type, as in Flogo's messages and `error.type`.
    pub fn go_type(&self) -> &'static str {
        match self {
            Value::Null => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Long(_) => "int64",
            Value::Float(_) => "float64",
            Value::Num(_) => "json.Number",
            Value::Str(_) => "string",
            Value::Bytes(_) | Value::Nil(NilKind::Bytes) => "[]uint8",
            Value::Array(_) | Value::Nil(NilKind::Array) => "[]interface {}",
            Value::Object(_) | Value::Nil(NilKind::Object | NilKind::Unproved) => {
                "map[string]interface {}"
            }
            Value::Params(_) | Value::Nil(NilKind::Params) => "map[string]string",
            Value::Struct(of) => of.go_type,
            Value::Error(fault) => fault.kind.go_type(),
        }
    }

    /// True if the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Value {
        Value::Bool(bool)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Value {
        Value::Int(int)
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Value {
        Value::Float(float)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Str(text.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Value {
        Value::Str(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::Array(Arc::new(items))
    }
}

impl From<Map> for Value {
    fn from(members: Map) -> Value {
        Value::Object(Arc::new(members))
    }
}

impl From<Params> for Value {
    fn from(texts: Params) -> Value {
        Value::Params(Arc::new(texts))
    }
}

impl From<Struct> for Value {
    fn from(of: Struct) -> Value {
        Value::Struct(Arc::new(of))
    }
}

impl From<Fault> for Value {
    fn from(fault: Fault) -> Value {
        Value::Error(Arc::new(fault))
    }
}
