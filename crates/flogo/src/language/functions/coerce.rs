//! The package `coerce`: conversions between types.

use super::{Function, Type, of, text};
use crate::language::expression::{Context, EvalError, fail};
use crate::language::value::{NilKind, Value};

const fn to(name: &'static str, run: super::Run) -> Function {
    of(name, &[Type::Any], run)
}

pub(crate) const FUNCTIONS: &[Function] = &[
    to("toString", |args, _| Type::Text.coerce(&args[0])),
    to("toInt", |args, _| Type::Int.coerce(&args[0])),
    to("toInt32", |args, _| int32(&args[0])),
    to("toInt64", |args, _| args[0].to_long().map(Value::Long)),
    to("toFloat32", |args, _| float32(&args[0])),
    to("toFloat64", |args, _| Type::Float.coerce(&args[0])),
    to("toBool", |args, _| Type::Bool.coerce(&args[0])),
    to("toBytes", |args, _| Type::Bytes.coerce(&args[0])),
    to("toParams", |args, _| Type::Params.coerce(&args[0])),
    to("toObject", |args, _| Type::Object.coerce(&args[0])),
    to("toArray", |args, _| match &args[0] {
        Value::Null => Ok(Value::Nil(NilKind::Array)),
        value @ Value::Nil(NilKind::Array) => Ok(value.clone()),
        value => Ok(Value::Array(value.to_array())),
    }),
    of("toType", &[Type::Any, Type::Text], to_type),
];

/// Converts to the type of that name, in any case.
fn to_type(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    to_named(&args[0], text(&args[1]))
}

/// Converts a value to the type of that name, in any case.
pub(crate) fn to_named(value: &Value, name: &str) -> Result<Value, EvalError> {
    match name.to_ascii_lowercase().as_str() {
        "any" => Ok(value.clone()),
        "string" => Type::Text.coerce(value),
        "int" | "integer" => Type::Int.coerce(value),
        "int32" => int32(value),
        "int64" | "long" => value.to_long().map(Value::Long),
        "float32" | "float" => float32(value),
        "float64" | "double" => Type::Float.coerce(value),
        "bool" | "boolean" => Type::Bool.coerce(value),
        "object" => Type::Object.coerce(value),
        "bytes" => Type::Bytes.coerce(value),
        "params" => Type::Params.coerce(value),
        "array" => Type::Array.coerce(value),
        _ => fail(format!("unknown type: {name}")),
    }
}

/// Converts to the lower 32 bits of the whole number.
fn int32(value: &Value) -> Result<Value, EvalError> {
    Ok(Value::Int(i64::from(value.to_int()? as i32)))
}

/// Converts to the nearest number of 32 bits.
fn float32(value: &Value) -> Result<Value, EvalError> {
    let float = value.to_float()?;
    let nearest = float as f32;
    if let (Value::Str(text), true) = (value, nearest.is_infinite() && float.is_finite()) {
        let what = "value out of range";
        return fail(format!("strconv.ParseFloat: parsing {text:?}: {what}"));
    }
    Ok(Value::Float(f64::from(nearest)))
}
