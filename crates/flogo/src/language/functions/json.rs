//! The package `json`: members, paths and forms of JSON values.

use super::{Function, Type, count, of, text};
use crate::language::expression::{Context, EvalError, fail};
use crate::language::json::Numbers;
use crate::language::json_path::JsonPath;
use crate::language::value::{Map, Value};

pub(crate) const FUNCTIONS: &[Function] = &[
    of("path", &[Type::Text, Type::Any], |args, context| {
        look_up(&in_scope(text(&args[0])), &args[1], context)
    }),
    of("exists", &[Type::Any, Type::Text], exists),
    of("get", &[Type::Object, Type::Text], get),
    of("set", &[Type::Object, Type::Text, Type::Any], set),
    of("length", &[Type::Any], |args, _| match &args[0] {
        Value::Array(items) => Ok(count(items.len())),
        value => Ok(count(value.to_object()?.len())),
    }),
    of("objKeys", &[Type::Object], |args, _| {
        let members = args[0].to_object()?;
        let names = members.keys().cloned().map(Value::Str);
        Ok(names.collect::<Vec<_>>().into())
    }),
    of("objValues", &[Type::Object], |args, _| {
        let members = args[0].to_object()?;
        Ok(members.values().cloned().collect::<Vec<_>>().into())
    }),
    of("numbersToString", &[Type::Any], numbers_to_text),
];

fn look_up(path: &str, value: &Value, context: &mut Context<'_>) -> Result<Value, EvalError> {
    context.read_text(path.len())?;
    JsonPath::read(path)?.look_up(value, context)
}

/// Replaces `$loop.` at the beginning of a path, as in a loop's mapping.
fn in_scope(path: &str) -> String {
    if path.trim().starts_with("$loop.") {
        path.replace("$loop", "$")
    } else {
        path.to_owned()
    }
}

/// True if a path leads to a value; `$.` before it may be omitted.
fn exists(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let mut path = in_scope(text(&args[1]));
    if !path.starts_with("$.") {
        path.insert_str(0, "$.");
    }
    Ok(look_up(&path, &args[0], context).is_ok().into())
}

fn get(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let name = text(&args[1]);
    args[0]
        .to_object()?
        .get(name)
        .cloned()
        .ok_or_else(|| EvalError::new(format!("Unable to get value for key [{name}]")))
}

/// Copies the object with a member added or replaced.
fn set(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let mut members: Map = (*args[0].to_object()?).clone();
    context.step(members.len())?;
    members.insert(text(&args[1]).into(), args[2].clone());
    Ok(members.into())
}

/// Converts all numbers of an array or object to texts, at any depth.
fn numbers_to_text(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    if !matches!(&args[0], Value::Array(_) | Value::Object(_)) {
        let of = args[0].go_type();
        return fail(format!("Unsupported json object type [{of}]"));
    }
    let json = args[0].to_json_text()?;
    context.make_text(json.len())?;
    let value = Value::from_json_text(&json, Numbers::Text)?;
    Ok(texts_for_numbers(value))
}

fn texts_for_numbers(value: Value) -> Value {
    match value {
        Value::Num(text) => Value::Str(text),
        Value::Array(items) => {
            let items = items.iter().cloned().map(texts_for_numbers);
            items.collect::<Vec<_>>().into()
        }
        Value::Object(members) => {
            let members = members.iter();
            let members =
                members.map(|(name, member)| (name.clone(), texts_for_numbers(member.clone())));
            members.collect::<Map>().into()
        }
        other => other,
    }
}
