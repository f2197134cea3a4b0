//! The package `builtin`, with `len` alone.

use super::{Function, Type, of};
use crate::language::expression::{Context, EvalError, fail};
use crate::language::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[of("len", &[Type::Any], len)];

/// Counts the bytes of a text, or the entries of an array or object; null has length 0.
fn len(args: &[Value], _: &mut Context<'_>) -> Result<Value, EvalError> {
    let len = match &args[0] {
        Value::Null | Value::Nil(_) => 0,
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Params(texts) => texts.len(),
        other => {
            let of = other.go_type();
            return fail(format!("a value of type {of} has no length"));
        }
    };
    Ok(super::count(len))
}
