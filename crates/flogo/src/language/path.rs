//! Paths into values: `.key`, `["key"]`, `['key']`, `[0]`, in sequence.
//!
//! A path stays a text during evaluation, since computed indices are inserted as text; error messages show its rest.

use crate::language::expression::{EvalError, fail};
use crate::language::value::{NilKind, Value, field};

/// The reading of a path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Missing values are null.
    pub skip_missing: bool,
    /// The parts of a token that is not valid have no members.
    pub proved_only: bool,
}

/// Follows `path` from `value`.
///
/// # Errors
/// Fails if the path leads nowhere; `isdefined` recognises such an error by its words.
pub(crate) fn walk(value: &Value, path: &str, manner: Manner) -> Result<Value, EvalError> {
    let mut value = value.clone();
    let mut path = path;
    while !path.is_empty() {
        let parsed = match &value {
            Value::Str(text) => Some(Value::from_whole_json(text)),
            Value::Bytes(bytes) => Some(Value::from_whole_json(&String::from_utf8_lossy(bytes))),
            _ => None,
        };
        if let Some(parsed) = parsed {
            value = parsed?;
        }
        let step = if let Some(rest) = path.strip_prefix('.') {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let after = &rest[end..];
            // A missing key at the end of the path is null.
            let may_miss = manner.skip_missing || after.is_empty();
            member(&value, &rest[..end], path, after, may_miss, manner)
        } else if let Some(rest) = path.strip_prefix("[\"").or_else(|| path.strip_prefix("['")) {
            let end = rest.find(['"', '\'']).unwrap_or(rest.len());
            let after = rest.get(end + 2..).ok_or_else(|| no_path(path))?;
            let may_miss = manner.skip_missing;
            member(&value, &rest[..end], path, after, may_miss, manner)
        } else if path.starts_with('[') {
            item(&value, path)
        } else {
            Err(no_path(path))
        };
        (value, path) = step?;
    }
    Ok(value)
}

fn no_path(path: &str) -> EvalError {
    EvalError::new(format!("unable to evaluate path: {path}"))
}

type Step<'a> = Result<(Value, &'a str), EvalError>;

/// Selects `.key` or `["key"]`; in an object that lacks the key, null if it `may_miss`.
fn member<'a>(
    value: &Value,
    key: &str,
    path: &str,
    rest: &'a str,
    may_miss: bool,
    manner: Manner,
) -> Step<'a> {
    match value {
        Value::Nil(NilKind::Unproved) if manner.proved_only && !manner.skip_missing => {
            Err(no_path(key))
        }
        Value::Nil(NilKind::Object | NilKind::Unproved) if may_miss => Ok((Value::Null, "")),
        Value::Nil(NilKind::Object | NilKind::Unproved) => {
            fail(format!("Invalid path '{path}'. path not found."))
        }
        Value::Nil(NilKind::Params) => Ok(("".into(), "")),
        Value::Object(members) => match members.get(key) {
            Some(member) => Ok((member.clone(), rest)),
            None if may_miss => Ok((Value::Null, "")),
            None => fail(format!("Invalid path '{path}'. path not found.")),
        },
        // A text ends the path, whatever the rest of the path is.
        Value::Params(texts) => {
            let text = texts.get(key).cloned().unwrap_or_default();
            Ok((Value::Str(text), ""))
        }
        Value::Null if manner.skip_missing => Ok((Value::Null, rest)),
        Value::Struct(of) => match of.field(key) {
            Some(value) => Ok((value.clone(), rest)),
            None => Err(no_path(key)),
        },
        Value::Error(fault) => match field(&fault.fields(), key) {
            Some(value) => Ok((value.clone(), rest)),
            None => Err(no_path(key)),
        },
        _ => Err(no_path(key)),
    }
}

/// Selects an item, `[0]`.
fn item<'a>(value: &Value, path: &'a str) -> Step<'a> {
    let not_an_array = || EvalError::new(format!("'{path}' not an array"));
    let items = match value {
        Value::Array(_) | Value::Null | Value::Str(_) | Value::Nil(NilKind::Array) => {
            value.to_array()
        }
        _ => return Err(not_an_array()),
    };
    let (index, rest) = path[1..].split_once(']').ok_or_else(not_an_array)?;
    let at = crate::language::number::read_int(index)
        .map_err(|_| EvalError::new(format!("Invalid array index: {index}")))?;
    match usize::try_from(at).ok().and_then(|at| items.get(at)) {
        Some(item) => Ok((item.clone(), rest)),
        None => fail(format!("Array index '{path}' out of range.")),
    }
}
