//! `flogo_expr.json`: expressions of Flogo over scopes, compiled and evaluated.

use std::path::Path;

use fusebox_flogo::{Expression, Map, Names, Value, read_scope};
use serde_json::Value as Json;

use crate::Report;

pub fn run(file: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let suite: Json = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases = suite["cases"].as_array().ok_or("it has no cases")?;
    let mut report = Report::default();
    for case in cases {
        let id = case["id"].as_str().unwrap_or("?");
        match check(case, &suite["scopes"]) {
            Ok(()) => report.passed += 1,
            Err(why) => report.failed.push((format!("{id} {}", case["expr"]), why)),
        }
    }
    Ok(report)
}

/// Whether an object says nothing but what is known here.
fn known(value: &Json, keys: &[&str]) -> Result<(), String> {
    let object = value.as_object().ok_or("it is no object")?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(format!("nobody here reads `{key}`")),
    }
}

fn check(case: &Json, scopes: &Json) -> Result<(), String> {
    let keys = [
        "id",
        "title",
        "note",
        "expr",
        "scope",
        "expect",
        "corrected",
        "profiles",
    ];
    known(case, &keys)?;
    let text = case["expr"].as_str().ok_or("its expr is no text")?;
    let scope = match &case["scope"] {
        Json::String(name) => &scopes[name.as_str()],
        given => given,
    };
    let scope = match scope {
        Json::Null => Map::new(),
        scope => read_scope(scope).map_err(|error| error.message)?,
    };
    // Where the original crashes or errs, the case says what is right.
    let expect = match &case["corrected"] {
        Json::Null => &case["expect"],
        corrected => corrected,
    };
    let keys = [
        "value",
        "type",
        "error",
        "message_contains",
        "original_panics",
    ];
    known(expect, &keys)?;
    if !["value", "type", "error", "original_panics"]
        .iter()
        .any(|key| expect.get(*key).is_some())
    {
        return Err("nothing is expected".into());
    }
    let names = Names {
        env: std::env::vars()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        ..Names::default()
    };
    let result = Expression::compile(text, &names)
        .map_err(|error| ("compile", error.message))
        .and_then(|expression| {
            let result = expression.eval(&scope);
            result.map_err(|error| ("eval", error.message))
        });
    let stage = expect
        .get("error")
        .or_else(|| expect.get("original_panics"));
    match (result, stage) {
        (Ok(value), None) => same(&value, expect),
        (Ok(value), Some(stage)) => Err(format!("gives {value:?}, not a fault of {stage}")),
        (Err((at, message)), None) => Err(format!("fails ({at}): {message}")),
        (Err((at, message)), Some(stage)) => {
            let wanted = expect["message_contains"].as_str().unwrap_or_default();
            // A crash may be told without its stage.
            let at_stage = stage == at || *stage == true;
            if !at_stage || !message.contains(wanted) {
                return Err(format!("fails ({at}) with {message:?}"));
            }
            Ok(())
        }
    }
}

/// Whether a value is the one expected, and of its kind.
fn same(value: &Value, expect: &Json) -> Result<(), String> {
    let json = match value {
        // What JSON cannot say is said by its text.
        Value::Float(float) if !float.is_finite() => value.to_text().into(),
        _ => {
            let json = value.to_json_text().map_err(|fault| fault.message)?;
            serde_json::from_str(&json).map_err(|error| error.to_string())?
        }
    };
    let kinds: &[&str] = match value {
        Value::Params(_) => &["params", "object"],
        Value::Num(_) => &["number", "int", "float"],
        Value::Bytes(_) => &["bytes", "string"],
        value => &[value.kind()],
    };
    let kind_fits = expect["type"]
        .as_str()
        .is_none_or(|kind| kinds.contains(&kind));
    let value_fits = expect
        .get("value")
        .is_none_or(|wanted| alike(&json, wanted));
    if kind_fits && value_fits {
        Ok(())
    } else {
        Err(format!("gives {value:?}"))
    }
}

/// Equality of JSON, where `5` is `5.0`.
fn alike(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}
