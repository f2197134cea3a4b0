//! The JSON Schema (2020-12) of the native form, made from the table of keys.

use serde_json::{Map, Value, json};

use crate::keys::{FILE, Key, Shape, Table};

/// The schema's name, which changes only with the `version` that a file names.
const ID: &str = "urn:fusebox:schema:configuration:1";

/// The schema of the native form: all keys, and their values as far as a schema can describe them; `read` checks more.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = table(&FILE, &mut definitions);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["$id"] = json!(ID);
    schema["title"] = json!("Fusebox configuration");
    schema["$defs"] = Value::Object(definitions);
    schema
}

fn table(table: &'static Table, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for key in table.supported() {
        properties.insert(key.name.to_owned(), property(key, definitions));
    }
    let required: Vec<&str> = table.required.iter().map(|(name, _)| *name).collect();
    let mut schema = json!({
        "description": table.about,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn property(key: &'static Key, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = shape(&key.shape, definitions);
    schema["description"] = json!(key.about);
    if !key.default.is_empty() {
        schema["default"] = match &key.shape {
            Shape::Whole { .. }
            | Shape::Real { .. }
            | Shape::Flag
            | Shape::Either([Shape::Whole { .. }, ..]) => {
                serde_json::from_str(key.default).unwrap_or_else(|_| json!(key.default))
            }
            _ => json!(key.default),
        };
    }
    schema
}

fn shape(shape_of: &'static Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape_of {
        Shape::Text => json!({ "type": "string" }),
        Shape::Json => json!({}),
        Shape::Flag => or_variable(json!({ "type": "boolean" })),
        Shape::Duration => pattern(r"[0-9]+(\.[0-9]+)? *(ns|us|ms|s|m|h)"),
        Shape::Size => pattern(r"[0-9]+(\.[0-9]+)? *(B|KiB|MiB|GiB|KB|MB|GB)"),
        Shape::Rate => pattern(r"[0-9]+(\.[0-9]+)? *(B|KiB|MiB|GiB|KB|MB|GB) */s"),
        Shape::Share => pattern(r"[0-9]+(\.[0-9]+)? *%"),
        Shape::Over => pattern(r"[0-9]+ *calls?|[0-9]+(\.[0-9]+)? *(ns|us|ms|s|m|h)"),
        Shape::Calls => pattern(r"[0-9]+ *calls?"),
        Shape::Whole { min, max } => {
            or_variable(json!({ "type": "integer", "minimum": min, "maximum": max }))
        }
        Shape::Real { min, max } => {
            or_variable(json!({ "type": "number", "minimum": min, "maximum": max }))
        }
        Shape::Word(words) => or_variable(json!({ "enum": words })),
        Shape::Texts => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Shape::List(of) => json!({ "type": "array", "items": shape(of, definitions) }),
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes.iter().map(|of| shape(of, definitions)).collect();
            json!({ "anyOf": any })
        }
        Shape::Named(of) => {
            json!({ "type": "object", "additionalProperties": reference(of, definitions) })
        }
        Shape::Table(of) => reference(of, definitions),
        // Unreachable: `Table::supported` excludes or resolves these keys.
        Shape::Later(_) | Shape::Foreign { .. } | Shape::Also(_) => json!(false),
    }
}

fn reference(of: &'static Table, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(of.name) {
        definitions.insert(of.name.to_owned(), Value::Null);
        let schema = table(of, definitions);
        definitions.insert(of.name.to_owned(), schema);
    }
    json!({ "$ref": format!("#/$defs/{}", of.name) })
}

/// The schema of a text of that form, or of one with a variable.
fn pattern(form: &str) -> Value {
    json!({ "type": "string", "pattern": format!(r"^ *({form}) *$|\$\{{") })
}

/// Extends a schema by texts with a variable.
fn or_variable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": r"\$\{" }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn the_schema_refers_only_to_its_own_definitions() {
        let schema = schema();
        let text = schema.to_string();
        for (at, _) in text.match_indices("#/$defs/") {
            let name = text[at + 8..].split('"').next().unwrap_or_default();
            assert!(schema["$defs"][name].is_object(), "{name}");
        }
        assert!(!text.contains("null"));
        assert_eq!(
            schema["$defs"]["breaker"]["additionalProperties"],
            json!(false)
        );
    }

    #[test]
    fn every_table_of_a_call_has_a_schema() {
        let tables = [
            &keys::HASH,
            &keys::EJECTION,
            &keys::HEALTH,
            &keys::BULKHEAD,
            &keys::RETRY,
            &keys::HEDGE,
            &keys::RUNG,
            &keys::LAST_GOOD,
            &keys::FIELDS,
            &keys::CORS,
        ];
        let mut definitions = Map::new();
        for table in tables {
            reference(table, &mut definitions);
        }
        let ejection = &definitions["ejection"]["properties"];
        assert!(ejection["consecutive_failures"].is_object() && ejection["for"].is_object());
        let text = Value::Object(definitions).to_string();
        assert!(!text.contains("null") && !text.contains(":false,\"description"));
    }

    #[test]
    fn keys_that_are_not_supported_yet_are_not_in_the_schema() {
        let schema = schema();
        assert!(schema["properties"]["on_transition"].is_null());
        for key in ["retry", "hedge"] {
            assert!(schema["$defs"]["upstream"]["properties"][key].is_object());
        }
    }
}
