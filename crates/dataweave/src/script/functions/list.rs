//! Functions of arrays, and those that objects share with them.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Builtin, applied, count, higher, misfit, plain};
use crate::script::coerce::{self, Coerced};
use crate::script::compare;
use crate::script::run::{Callee, Run};
use crate::value::number::Number;
use crate::value::{Function, Value};

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("sizeOf", 1, 1, size_of),
    plain("isEmpty", 1, 1, is_empty),
    plain("flatten", 1, 1, flatten),
    plain("zip", 2, 2, zip),
    plain("unzip", 1, 1, unzip),
    plain("max", 1, 1, |run, args| {
        extreme(run, args, "max", None, Ordering::Greater)
    }),
    plain("min", 1, 1, |run, args| {
        extreme(run, args, "min", None, Ordering::Less)
    }),
    plain("sum", 1, 1, sum),
    plain("avg", 1, 1, average),
    higher("map", map),
    higher("filter", filter),
    higher("reduce", reduce),
    higher("flatMap", flat_map),
    higher("groupBy", group_by),
    higher("orderBy", order_by),
    higher("distinctBy", distinct_by),
    higher("maxBy", |run, args| {
        extreme(run, args, "maxBy", args.get(1), Ordering::Greater)
    }),
    higher("minBy", |run, args| {
        extreme(run, args, "minBy", args.get(1), Ordering::Less)
    }),
    higher("some", |run, args| any(run, args, "some", true)),
    higher("every", |run, args| any(run, args, "every", false)),
    higher("sumBy", sum_by),
    higher("countBy", count_by),
];

/// Values with names, in order.
type Named<T> = Vec<(Arc<str>, T)>;

/// The items of an array; `None` for null.
fn items<'a>(name: &str, value: &'a Value) -> Coerced<Option<&'a [Value]>> {
    match value {
        Value::Null => Ok(None),
        Value::Array(array) => Ok(Some(array.items())),
        _ => Err(misfit(name, "an array", value)),
    }
}

fn size_of(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    Ok(match &args[0] {
        Value::Null => Value::Null,
        Value::Array(array) => count(array.items().len()),
        Value::Object(object) => count(object.entries().len()),
        Value::String(text) => {
            run.read(text.len())?;
            count(text.chars().count())
        }
        Value::Binary(bytes) => count(bytes.len()),
        Value::Number(number) => count(number.digits()),
        other => return Err(misfit("sizeOf", "an array, an object or a text", other)),
    })
}

fn is_empty(_: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    Ok(match &args[0] {
        Value::Null => true,
        Value::Array(array) => array.items().is_empty(),
        Value::Object(object) => object.entries().is_empty(),
        Value::String(text) => text.is_empty(),
        other => return Err(misfit("isEmpty", "an array, an object or a text", other)),
    }
    .into())
}

fn flattened(run: &mut Run<'_>, items: &[Value]) -> Coerced<Vec<Value>> {
    let mut flat = Vec::new();
    for item in items {
        match item {
            Value::Array(array) => {
                run.copy(array.items().len())?;
                flat.extend_from_slice(array.items());
            }
            other => flat.push(other.clone()),
        }
    }
    run.copy(flat.len())?;
    Ok(flat)
}

fn flatten(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(items) = items("flatten", &args[0])? else {
        return Ok(Value::Null);
    };
    let flat = flattened(run, items)?;
    run.array(flat)
}

fn zip(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let (Some(left), Some(right)) = (items("zip", &args[0])?, items("zip", &args[1])?) else {
        return Ok(Value::Null);
    };
    let mut pairs = Vec::new();
    for (left, right) in left.iter().zip(right) {
        run.step(1)?;
        pairs.push(run.array(vec![left.clone(), right.clone()])?);
    }
    run.array(pairs)
}

fn unzip(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(rows) = items("unzip", &args[0])? else {
        return Ok(Value::Null);
    };
    let mut cells = Vec::new();
    for row in rows {
        cells.push(items("unzip", row)?.unwrap_or_default());
    }
    let width = cells.iter().map(|row| row.len()).min().unwrap_or(0);
    run.step(width.saturating_mul(cells.len()))?;
    let mut columns = Vec::new();
    for at in 0..width {
        columns.push(run.array(cells.iter().map(|row| row[at].clone()).collect())?);
    }
    run.array(columns)
}

/// The greatest or least item, compared directly or by the result of a function; the first of equal ones.
fn extreme(
    run: &mut Run<'_>,
    args: &[Value],
    name: &str,
    by: Option<&Value>,
    wanted: Ordering,
) -> Coerced<Value> {
    let Some(items) = items(name, &args[0])? else {
        return Ok(Value::Null);
    };
    let mut best: Option<(Value, &Value)> = None;
    for item in items {
        run.step(1)?;
        let rank = match by {
            Some(by) => applied(run, by, vec![item.clone()])?,
            None => item.clone(),
        };
        let better = match &best {
            None => true,
            Some((best, _)) => compare::rank(&rank, best)? == wanted,
        };
        if better {
            best = Some((rank, item));
        }
    }
    Ok(best.map(|(_, item)| item.clone()).unwrap_or_default())
}

fn total(run: &mut Run<'_>, items: &[Value], by: Option<&Value>) -> Coerced<Number> {
    let mut sum = Number::from(0_i64);
    for item in items {
        run.step(1)?;
        let item = match by {
            Some(by) => applied(run, by, vec![item.clone()])?,
            None => item.clone(),
        };
        let next = sum.add(&coerce::number(&item)?);
        sum = next.map_err(|fault| super::EvalFault::new(fault.to_string()))?;
    }
    Ok(sum)
}

fn sum(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match items("sum", &args[0])? {
        Some(items) => Ok(total(run, items, None)?.into()),
        None => Ok(Value::Null),
    }
}

fn sum_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match items("sumBy", &args[0])? {
        Some(items) => Ok(total(run, items, Some(&args[1]))?.into()),
        None => Ok(Value::Null),
    }
}

fn average(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(items) = items("avg", &args[0])? else {
        return Ok(Value::Null);
    };
    let average = total(run, items, None)?.divide(&Number::from(items.len()));
    let average =
        average.map_err(|_| super::EvalFault::new("`avg` expects an array that is not empty"));
    Ok(average?.into())
}

fn map(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(items) = items("map", &args[0])? else {
        return Ok(Value::Null);
    };
    let mut mapped = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        mapped.push(applied(run, &args[1], vec![item.clone(), count(at)])?);
    }
    run.array(mapped)
}

fn flat_map(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match map(run, args)? {
        Value::Array(array) => {
            let flat = flattened(run, array.items())?;
            run.array(flat)
        }
        other => Ok(other),
    }
}

fn filter(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(items) = items("filter", &args[0])? else {
        return Ok(Value::Null);
    };
    let mut kept = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if coerce::boolean(&applied(run, &args[1], vec![item.clone(), count(at)])?)? {
            kept.push(item.clone());
        }
    }
    run.array(kept)
}

/// Evaluates `reduce`. The accumulator starts with its parameter's default, or else with the first item.
fn reduce(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(items) = items("reduce", &args[0])? else {
        return Ok(Value::Null);
    };
    let initial = match &args[1] {
        Value::Function(Function(closure)) => match &closure.0 {
            Callee::Lambda(lambda, env) => {
                let accumulator = lambda.params.get(1);
                let default = accumulator.and_then(|param| param.default.as_ref());
                default.map(|default| run.eval(default, env)).transpose()?
            }
            Callee::Builtin(_) => None,
        },
        _ => None,
    };
    let mut items = items.iter();
    let first = match initial {
        Some(initial) => Some(initial),
        None => items.next().cloned(),
    };
    let Some(mut reduced) = first else {
        return Ok(Value::Null);
    };
    for item in items {
        reduced = applied(run, &args[1], vec![item.clone(), reduced])?;
    }
    Ok(reduced)
}

/// The name of a group.
fn group(value: &Value) -> Coerced<Arc<str>> {
    match value {
        Value::Null => Ok("null".into()),
        value => coerce::text(value),
    }
}

fn group_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    let place = |places: &mut HashMap<Arc<str>, usize>, key: &Arc<str>| {
        let next = places.len();
        *places.entry(key.clone()).or_insert(next)
    };
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::Array(array) => {
            let mut groups: Named<Vec<Value>> = Vec::new();
            for (at, item) in array.items().iter().enumerate() {
                let key = group(&applied(run, &args[1], vec![item.clone(), count(at)])?)?;
                let place = place(&mut places, &key);
                if place == groups.len() {
                    groups.push((key, Vec::new()));
                }
                groups[place].1.push(item.clone());
            }
            let groups = groups
                .into_iter()
                .map(|(key, items)| (key, Value::array(items)));
            run.object(groups.collect())
        }
        Value::Object(object) => {
            let mut groups: Named<Named<Value>> = Vec::new();
            for (name, value) in object.entries() {
                let given = vec![value.clone(), Value::String(name.clone())];
                let key = group(&applied(run, &args[1], given)?)?;
                let place = place(&mut places, &key);
                if place == groups.len() {
                    groups.push((key, Vec::new()));
                }
                groups[place].1.push((name.clone(), value.clone()));
            }
            let groups = groups
                .into_iter()
                .map(|(key, entries)| (key, Value::object(entries)));
            run.object(groups.collect())
        }
        other => Err(misfit("groupBy", "an array or an object", other)),
    }
}

/// Sorts by ranks; equal items keep their order.
fn sorted<T>(run: &mut Run<'_>, mut ranked: Vec<(Value, T)>) -> Coerced<Vec<T>> {
    let length = ranked.len();
    run.step(length.saturating_mul(length.checked_ilog2().unwrap_or(0) as usize))?;
    let mut fault = None;
    ranked.sort_by(|(a, _), (b, _)| {
        compare::rank(a, b).unwrap_or_else(|why| {
            fault.get_or_insert(why);
            Ordering::Equal
        })
    });
    match fault {
        Some(fault) => Err(fault),
        None => Ok(ranked.into_iter().map(|(_, item)| item).collect()),
    }
}

fn order_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::Array(array) => {
            let mut ranked = Vec::new();
            for (at, item) in array.items().iter().enumerate() {
                let rank = applied(run, &args[1], vec![item.clone(), count(at)])?;
                ranked.push((rank, item.clone()));
            }
            let items = sorted(run, ranked)?;
            run.array(items)
        }
        Value::Object(object) => {
            let mut ranked = Vec::new();
            for entry in object.entries() {
                let given = vec![entry.1.clone(), Value::String(entry.0.clone())];
                ranked.push((applied(run, &args[1], given)?, entry.clone()));
            }
            let entries = sorted(run, ranked)?;
            run.object(entries)
        }
        other => Err(misfit("orderBy", "an array or an object", other)),
    }
}

fn distinct_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let mut seen = HashSet::new();
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::Array(array) => {
            let mut kept = Vec::new();
            for (at, item) in array.items().iter().enumerate() {
                let by = applied(run, &args[1], vec![item.clone(), count(at)])?;
                if seen.insert(run.set_key(&by)?) {
                    kept.push(item.clone());
                }
            }
            run.array(kept)
        }
        Value::Object(object) => {
            let mut kept = Vec::new();
            for entry in object.entries() {
                let given = vec![entry.1.clone(), Value::String(entry.0.clone())];
                let by = applied(run, &args[1], given)?;
                if seen.insert(run.set_key(&by)?) {
                    kept.push(entry.clone());
                }
            }
            run.object(kept)
        }
        other => Err(misfit("distinctBy", "an array or an object", other)),
    }
}

/// Evaluates `some` (`wanted` is true) or `every` (false): gives `wanted` if the condition does so for an item. Null
/// has no items.
fn any(run: &mut Run<'_>, args: &[Value], name: &str, wanted: bool) -> Coerced<Value> {
    for item in items(name, &args[0])?.unwrap_or_default() {
        if coerce::boolean(&applied(run, &args[1], vec![item.clone()])?)? == wanted {
            return Ok(wanted.into());
        }
    }
    Ok((!wanted).into())
}

fn count_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let Some(items) = items("countBy", &args[0])? else {
        return Ok(Value::Null);
    };
    let mut found = 0;
    for item in items {
        found += usize::from(coerce::boolean(&applied(
            run,
            &args[1],
            vec![item.clone()],
        )?)?);
    }
    Ok(count(found))
}
