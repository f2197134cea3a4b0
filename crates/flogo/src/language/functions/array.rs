//! The package `array`. Flogo's changes in place are made to a copy.

use super::{Function, Type, count, many, of};
use crate::language::expression::{Context, EvalError, fail};
use crate::language::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    of("append", &[Type::Items, Type::Items], append),
    of("contains", &[Type::Items, Type::Items], contains),
    of("count", &[Type::Items], |args, _| match &args[0] {
        Value::Null => Ok(count(0)),
        Value::Array(items) => Ok(count(items.len())),
        _ => fail("unable to count un-array object"),
    }),
    many("create", Type::Items, |args, _| {
        Ok(match args {
            [] => Value::Null,
            items => items.to_vec().into(),
        })
    }),
    of("delete", &[Type::Items, Type::Int], |args, context| {
        let (items, at) = item("delete", args)?;
        pay(items.len(), context)?;
        let mut left = items.to_vec();
        left.remove(at);
        Ok(left.into())
    }),
    of("flatten", &[Type::Array, Type::Int], flatten),
    of("get", &[Type::Items, Type::Int], |args, _| {
        let (items, at) = item("get", args)?;
        Ok(items[at].clone())
    }),
    many("merge", Type::Items, merge),
    of("reverse", &[Type::Items], |args, context| match &args[0] {
        Value::Array(items) => {
            pay(items.len(), context)?;
            Ok(items.iter().rev().cloned().collect::<Vec<_>>().into())
        }
        other => Ok(other.clone()),
    }),
    many("slice", Type::Items, slice),
    of("sum", &[Type::Items], sum),
];

/// Charges the making of an array.
fn pay(items: usize, context: &mut Context<'_>) -> Result<(), EvalError> {
    context.step(items / 16)
}

/// Appends an item, or the items of another array.
fn append(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    match (&args[0], &args[1]) {
        (items, Value::Null) => Ok(items.clone()),
        (Value::Null, item) => Ok(vec![item.clone()].into()),
        (Value::Array(items), more) => {
            let more = match more {
                Value::Array(more) => more.as_slice(),
                one => std::slice::from_ref(one),
            };
            pay(items.len() + more.len(), context)?;
            Ok([items, more].concat().into())
        }
        (other, _) => Ok(other.clone()),
    }
}

/// True if the array has the item, with the same type: 1 is not 1.0.
fn contains(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let (Value::Array(items), item) = (&args[0], &args[1]) else {
        return Ok(false.into());
    };
    pay(items.len(), context)?;
    for other in items.iter() {
        match (other, item) {
            (Value::Array(_), Value::Array(_))
            | (Value::Object(_), Value::Object(_))
            | (Value::Params(_), Value::Params(_))
            | (Value::Bytes(_), Value::Bytes(_)) => {
                let of = item.go_type();
                return fail(format!("comparing uncomparable type {of}"));
            }
            (Value::Null, _) => {}
            _ if other == item => return Ok(true.into()),
            _ => {}
        }
    }
    Ok(false.into())
}

/// The array, and the index of the requested item.
fn item<'a>(function: &str, args: &'a [Value]) -> Result<(&'a [Value], usize), EvalError> {
    let index = args[1].to_int()?;
    let items = match &args[0] {
        Value::Array(items) => items.as_slice(),
        Value::Null => {
            let what = "but array empty";
            return fail(format!("index out of bounds, index [{index}] {what}"));
        }
        _ => return fail(format!("unable to use array.{function} on un-array object")),
    };
    match usize::try_from(index) {
        Ok(at) if at < items.len() => Ok((items, at)),
        _ => {
            let what = format!("but array length [{}]", items.len());
            fail(format!("index out of bounds, index [{index}] {what}"))
        }
    }
}

/// `flatten(array, depth)`; a depth of 0 or less flattens completely.
fn flatten(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let depth = args[1].to_int()?;
    let depth = usize::try_from(depth).ok().filter(|depth| *depth > 0);
    let mut flat = Vec::new();
    flatten_into(&args[0].to_array(), depth, &mut flat, context)?;
    Ok(flat.into())
}

fn flatten_into(
    items: &[Value],
    depth: Option<usize>,
    flat: &mut Vec<Value>,
    context: &mut Context<'_>,
) -> Result<(), EvalError> {
    pay(items.len(), context)?;
    for item in items {
        match (item, depth) {
            (Value::Array(inner), None) => flatten_into(inner, None, flat, context)?,
            (Value::Array(inner), Some(depth @ 1..)) => {
                flatten_into(inner, Some(depth - 1), flat, context)?;
            }
            _ => flat.push(item.clone()),
        }
    }
    Ok(())
}

/// Concatenates arrays; arguments that are not arrays are ignored.
fn merge(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    if args.len() < 2 {
        return fail("array merge must have at least 2 array");
    }
    let arrays = args.iter().filter_map(|arg| match arg {
        Value::Array(items) => Some(items.as_slice()),
        _ => None,
    });
    let arrays: Vec<&[Value]> = arrays.collect();
    if arrays.is_empty() {
        return fail("array.merge expects arrays");
    }
    pay(arrays.iter().map(|items| items.len()).sum(), context)?;
    Ok(arrays.concat().into())
}

/// `slice(array, start)`, or `slice(array, start, end)` without the item at the end; an end of 0 is the array's.
fn slice(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    let (array, bounds) = match args {
        [Value::Null, ..] => return Ok(Value::Null),
        [array, bounds @ ..] if !bounds.is_empty() => (array, bounds),
        _ => return fail("array.slice expects an array and a start"),
    };
    let start = bounds[0]
        .to_int()
        .map_err(|_| EvalError::new("array slice second arguments must be a integer"))?;
    let Value::Array(items) = array else {
        return fail("array slice first argument must be array");
    };
    let end = bounds.get(1).map_or(Ok(0), Value::to_int);
    let end = match end {
        Ok(0) => items.len(),
        Ok(end) => usize::try_from(end).unwrap_or(usize::MAX),
        Err(_) => return fail("array slice third arguments must be a integer"),
    };
    let part = usize::try_from(start)
        .ok()
        .and_then(|start| items.get(start..end))
        .ok_or_else(|| EvalError::new("array slice end index out of bound"))?;
    pay(part.len(), context)?;
    Ok(part.to_vec().into())
}

fn sum(args: &[Value], context: &mut Context<'_>) -> Result<Value, EvalError> {
    if args[0].is_null() {
        return Ok(count(0));
    }
    let items = args[0].to_array();
    pay(items.len(), context)?;
    items
        .iter()
        .map(Value::to_float)
        .try_fold(0.0, |sum, item| Ok::<_, EvalError>(sum + item?))
        .map(Value::Float)
        .map_err(|_| EvalError::new("array element must be number for array.sum function"))
}
