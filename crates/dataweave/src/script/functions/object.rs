//! Functions of objects.

use super::{Builtin, Entry, applied, count, kept, of_object};
use crate::script::coerce::Coerced;
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    of_object("mapObject", 2, map_object).higher(),
    of_object("filterObject", 2, filter_object).higher(),
    of_object("pluck", 2, pluck).higher(),
    of_object("keysOf", 1, keys),
    of_object("namesOf", 1, names),
    of_object("valuesOf", 1, values),
    of_object("entriesOf", 1, entries_of),
];

/// The arguments of a function for an entry: value, key and index.
fn given(at: usize, (key, value): &Entry) -> Vec<Value> {
    vec![key.value(value), key.to_value(), count(at)]
}

fn map_object(run: &mut Run<'_>, entries: &[Entry], args: &[Value]) -> Coerced<Value> {
    let mut mapped = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let object = applied(run, &args[0], given(at, entry))?;
        run.spread(&object, &mut mapped)?;
    }
    run.object(mapped)
}

fn filter_object(run: &mut Run<'_>, entries: &[Entry], args: &[Value]) -> Coerced<Value> {
    let kept = kept(run, entries, &args[0], given)?;
    run.object(kept)
}

fn pluck(run: &mut Run<'_>, entries: &[Entry], args: &[Value]) -> Coerced<Value> {
    let mut plucked = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        plucked.push(applied(run, &args[0], given(at, entry))?);
    }
    run.array(plucked)
}

pub(super) fn keys(run: &mut Run<'_>, entries: &[Entry], _: &[Value]) -> Coerced<Value> {
    run.copy(entries.len())?;
    run.array(entries.iter().map(|(key, _)| key.to_value()).collect())
}

pub(super) fn names(run: &mut Run<'_>, entries: &[Entry], _: &[Value]) -> Coerced<Value> {
    run.copy(entries.len())?;
    let names = entries
        .iter()
        .map(|(key, _)| Value::String(key.name().clone()));
    run.array(names.collect())
}

pub(super) fn values(run: &mut Run<'_>, entries: &[Entry], _: &[Value]) -> Coerced<Value> {
    run.copy(entries.len())?;
    run.array(entries.iter().map(|(_, value)| value.clone()).collect())
}

pub(super) fn entries_of(run: &mut Run<'_>, entries: &[Entry], _: &[Value]) -> Coerced<Value> {
    run.step(entries.len())?;
    run.copy(entries.len())?;
    let records = entries.iter().map(|(key, value)| {
        Value::record([
            ("key", key.to_value()),
            ("value", value.clone()),
            ("attributes", Value::keyed(key.attributes().to_vec())),
        ])
    });
    run.array(records.collect())
}
