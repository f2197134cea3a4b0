//! Values of a case: JSON numbers are Numbers, JSON strings are Strings.

use fusebox_mule::{Number, Value};
use serde_json::Value as Json;

/// The value that a case writes in JSON.
pub fn of_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => (*bool).into(),
        Json::Number(number) => Number::parse(&number.to_string()).map_or(Value::Null, Value::from),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::array(items.iter().map(of_json).collect()),
        Json::Object(members) => Value::object(
            (members.iter())
                .map(|(key, json)| (key.as_str().into(), of_json(json)))
                .collect(),
        ),
    }
}

/// Whether a value is what a case expects, kind and all; the order of keys does not count.
pub fn is(value: &Value, expected: &Json) -> bool {
    match (value, expected) {
        (Value::Array(array), Json::Array(items)) => {
            array.items().len() == items.len()
                && array
                    .items()
                    .iter()
                    .zip(items)
                    .all(|(value, json)| is(value, json))
        }
        (Value::Object(object), Json::Object(members)) => {
            object.entries().len() == members.len()
                && members
                    .iter()
                    .all(|(key, json)| object.get(key).is_some_and(|value| is(value, json)))
        }
        (value, json) => *value == of_json(json),
    }
}

/// Whether a value is what a case expects as JSON: texts of JSON stand for what they say, and numbers for their worth.
pub fn is_json(value: &Value, expected: &Json) -> bool {
    match (value, expected) {
        (Value::Object(object), Json::Object(members)) => {
            object.entries().len() == members.len()
                && members
                    .iter()
                    .all(|(key, json)| object.get(key).is_some_and(|value| is_json(value, json)))
        }
        (Value::String(text), json) if !json.is_string() => {
            serde_json::from_str::<Json>(text).is_ok_and(|inner| is_json(&of_json(&inner), json))
        }
        (Value::Array(array), Json::Array(items)) => {
            array.items().len() == items.len()
                && (array.items().iter().zip(items)).all(|(value, json)| is_json(value, json))
        }
        (value, json) => is(value, json) || value.shown().ok().as_deref() == json.as_str(),
    }
}

/// Checks that a case has no other members than these.
///
/// # Errors
/// The name of one that is not known.
pub fn known(case: &Json, members: &[&str]) -> Result<(), String> {
    let all = case.as_object().into_iter().flatten();
    match all
        .map(|(key, _)| key)
        .find(|key| !members.contains(&key.as_str()))
    {
        Some(key) => Err(format!("its {key} is not known")),
        None => Ok(()),
    }
}

/// Whether two texts are the same, or the same JSON.
pub fn same_text(got: &str, wanted: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Json>(text).ok();
    got == wanted || json(got).is_some_and(|got| Some(got) == json(wanted))
}
