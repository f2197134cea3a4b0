//! Conversions between JSON and the values of expressions, for `eval_native`.

use std::sync::Arc;

use serde_json::Value as Json;

use super::EvalError;
use super::eval::Scope;
use super::functions::show_span;
use super::value::{MapKey, Value};

/// A JSON object's members as variables.
pub(super) struct JsonScope<'a>(pub &'a serde_json::Map<String, Json>);

impl Scope for JsonScope<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        self.0.get(name).map(from_json)
    }

    fn member(&self, variable: &str, key: &str) -> Option<Option<Value>> {
        let map = self.0.get(variable)?.as_object()?;
        Some(map.get(key).map(from_json))
    }
}

/// Converts from JSON: a whole number becomes an `int` (a `uint` beyond its range), any other a `double`.
fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(uint)) => Value::UInt(uint),
            (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::text(text),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(from_json).collect())),
        Json::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| (MapKey::Text(key.as_str().into()), from_json(value)));
            Value::Map(Arc::new(entries.collect()))
        }
    }
}

/// Converts to JSON. Values that JSON cannot express (NaN, bytes that are not UTF-8) are errors.
pub(super) fn to_json(value: &Value) -> Result<Json, EvalError> {
    let cannot = |what: &str| {
        let what = format!("the result is {what}, which JSON cannot express");
        Err(EvalError::whole(what))
    };
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::from(*b),
        Value::Int(int) => Json::from(*int),
        Value::UInt(uint) => Json::from(*uint),
        Value::Double(double) if double.is_finite() => Json::from(*double),
        Value::Double(_) => return cannot("not a finite number"),
        Value::Text(text) => Json::from(&**text),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Json::from(text),
            Err(_) => return cannot("bytes that are not UTF-8"),
        },
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut object = serde_json::Map::new();
            for (key, value) in map.iter() {
                let key = match key {
                    MapKey::Bool(b) => b.to_string(),
                    MapKey::Int(int) => int.to_string(),
                    MapKey::UInt(uint) => uint.to_string(),
                    MapKey::Text(text) => text.to_string(),
                };
                object.insert(key, to_json(value)?);
            }
            Json::Object(object)
        }
        Value::Span(nanos) => Json::from(show_span(*nanos)),
        Value::Type(kind) => Json::from(kind.as_str()),
    })
}
