//! Functions of objects.

use std::sync::Arc;

use super::{Builtin, applied, count, higher, misfit, plain};
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    higher("mapObject", map_object),
    higher("filterObject", filter_object),
    higher("pluck", pluck),
    plain("keysOf", 1, 1, keys),
    plain("namesOf", 1, 1, keys),
    plain("valuesOf", 1, 1, values),
    plain("entriesOf", 1, 1, entries_of),
];

/// Keys with their values, in order.
type Entries = [(Arc<str>, Value)];

/// The entries of an object; `None` for null.
fn entries<'a>(name: &str, value: &'a Value) -> Coerced<Option<&'a Entries>> {
    match value {
        Value::Null => Ok(None),
        Value::Object(object) => Ok(Some(object.entries())),
        _ => Err(misfit(name, "an object", value)),
    }
}

/// The arguments of a function for an entry: value, key and index.
fn given(at: usize, (key, value): &(Arc<str>, Value)) -> Vec<Value> {
    vec![value.clone(), Value::String(key.clone()), count(at)]
}

fn map_object(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(entries) = entries("mapObject", &args[0])? else {
        return Ok(Value::Null);
    };
    let mut mapped = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let object = applied(run, &args[1], given(at, entry))?;
        run.spread(&object, &mut mapped)?;
    }
    run.object(mapped)
}

fn filter_object(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(entries) = entries("filterObject", &args[0])? else {
        return Ok(Value::Null);
    };
    let mut kept = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if coerce::boolean(&applied(run, &args[1], given(at, entry))?)? {
            kept.push(entry.clone());
        }
    }
    run.object(kept)
}

fn pluck(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(entries) = entries("pluck", &args[0])? else {
        return Ok(Value::Null);
    };
    let mut plucked = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        plucked.push(applied(run, &args[1], given(at, entry))?);
    }
    run.array(plucked)
}

fn listed(
    run: &mut Run<'_>,
    name: &str,
    value: &Value,
    part: impl Fn(&(Arc<str>, Value)) -> Value,
) -> Coerced<Value> {
    let Some(entries) = entries(name, value)? else {
        return Ok(Value::Null);
    };
    run.copy(entries.len())?;
    run.array(entries.iter().map(part).collect())
}

fn keys(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    listed(run, "keysOf", &args[0], |(key, _)| {
        Value::String(key.clone())
    })
}

fn values(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    listed(run, "valuesOf", &args[0], |(_, value)| value.clone())
}

fn entries_of(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    run.step(entries("entriesOf", &args[0])?.map_or(0, <[_]>::len))?;
    listed(run, "entriesOf", &args[0], |(key, value)| {
        Value::record([
            ("key", Value::String(key.clone())),
            ("value", value.clone()),
            // Attributes exist in XML only.
            ("attributes", Value::object(Vec::new())),
        ])
    })
}
