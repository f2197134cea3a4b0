//! The building blocks of schemas, in JSON Schema 2020-12.

use serde_json::{Map, Value, json};

/// A schema by its name.
pub type Named = (&'static str, Value);

/// Text of any length.
pub fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

/// One of some words.
pub fn words(words: &[&str], about: &str) -> Value {
    json!({ "type": "string", "enum": words, "description": about })
}

/// A time as RFC 3339 in UTC.
pub fn time(about: &str) -> Value {
    json!({ "type": "string", "format": "date-time", "description": about })
}

/// A whole number from 0.
pub fn whole(about: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": about })
}

/// A number from 0.
pub fn number(about: &str) -> Value {
    json!({ "type": "number", "minimum": 0, "description": about })
}

/// A share from 0 to 1.
pub fn share(about: &str) -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 1, "description": about })
}

/// True or false.
pub fn flag(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

/// A list of any length.
pub fn list(items: Value, about: &str) -> Value {
    json!({ "type": "array", "items": items, "description": about })
}

/// An object with members of any name.
pub fn map(values: Value, about: &str) -> Value {
    json!({ "type": "object", "additionalProperties": values, "description": about })
}

/// An object with all of these members. In the body of a command they are all that may stand there.
pub fn object(about: &str, members: Vec<Named>) -> Value {
    let required: Vec<_> = members.iter().map(|(name, _)| *name).collect();
    let members: Map<_, _> = members
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({ "type": "object", "description": about, "properties": members, "required": required })
}

/// The same object, in which some members may be absent.
pub fn without(mut object: Value, absent: &[&str]) -> Value {
    if let Some(required) = object["required"].as_array_mut() {
        required.retain(|name| !absent.iter().any(|it| name == it));
    }
    object
}

/// The same schema, or null.
pub fn or_null(mut schema: Value) -> Value {
    let Some(kind) = schema["type"].as_str().map(str::to_owned) else {
        return json!({ "anyOf": [schema, { "type": "null" }] });
    };
    schema["type"] = json!([kind, "null"]);
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    schema
}

/// A reference to a schema.
pub fn of(name: &str) -> Value {
    json!({ "$ref": place(name) })
}

/// The place of a schema in the document.
pub fn place(name: &str) -> String {
    format!("#/components/schemas/{name}")
}
