//! Functions of arrays, and those that objects share with them.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Builtin, applied, count, entry_given, item_given, kept, misfit, of_array, plain};
use crate::script::coerce::{self, Coerced};
use crate::script::compare;
use crate::script::run::{Callee, Run};
use crate::value::number::Number;
use crate::value::{Function, Value};

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("sizeOf", 1, size_of),
    plain("isEmpty", 1, is_empty),
    of_array("flatten", 1, |run, items, _| flatten(run, items)),
    plain("zip", 2, zip),
    of_array("unzip", 1, unzip),
    of_array("max", 1, greatest),
    of_array("min", 1, least),
    of_array("sum", 1, sum),
    of_array("avg", 1, average),
    of_array("map", 2, map).higher(),
    plain("filter", 2, |run, args| match &args[0] {
        Value::String(text) => {
            let kept = characters(run, text)?;
            let kept = kept_items(run, &kept, &args[1])?;
            let texts: Vec<_> = kept.iter().map(coerce::text).collect::<Coerced<_>>()?;
            Ok(texts.concat().into())
        }
        _ => on_array(run, "filter", args, filter),
    })
    .higher(),
    plain("reduce", 2, |run, args| match &args[0] {
        Value::String(text) => {
            let characters = characters(run, text)?;
            reduce(run, &characters, &args[1..])
        }
        _ => on_array(run, "reduce", args, reduce),
    })
    .higher(),
    of_array("flatMap", 2, flat_map).higher(),
    plain("groupBy", 2, group_by).higher(),
    plain("orderBy", 2, order_by).higher(),
    plain("distinctBy", 2, distinct_by).higher(),
    of_array("maxBy", 2, greatest).higher(),
    of_array("minBy", 2, least).higher(),
    plain("some", 2, |run, args| any(run, args, "some", true)).higher(),
    plain("every", 2, |run, args| match &args[0] {
        // As the example of the documentation shows.
        Value::Array(array) if array.items().is_empty() => Ok(false.into()),
        _ => any(run, args, "every", false),
    })
    .higher(),
    of_array("sumBy", 2, sum).higher(),
    of_array("countBy", 2, count_by).higher(),
];

/// The characters of a text, as texts.
fn characters(run: &mut Run<'_>, text: &str) -> Coerced<Vec<Value>> {
    run.step(text.len())?;
    Ok(text.chars().map(|char| char.to_string().into()).collect())
}

fn kept_items(run: &mut Run<'_>, items: &[Value], test: &Value) -> Coerced<Vec<Value>> {
    kept(run, items, test, item_given)
}

/// Evaluates a function of an array; null gives null.
fn on_array(
    run: &mut Run<'_>,
    name: &str,
    args: &[Value],
    body: fn(&mut Run<'_>, &[Value], &[Value]) -> Coerced<Value>,
) -> Coerced<Value> {
    match items(name, &args[0])? {
        Some(items) => body(run, items, &args[1..]),
        None => Ok(Value::Null),
    }
}

/// The items of an array; `None` for null.
fn items<'a>(name: &str, value: &'a Value) -> Coerced<Option<&'a [Value]>> {
    match value.plain() {
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
        // Any other value is one for its text.
        other => match coerce::text(other) {
            Ok(text) => text.is_empty(),
            Err(_) => return Err(misfit("isEmpty", "an array, an object or a text", other)),
        },
    }
    .into())
}

fn flatten(run: &mut Run<'_>, items: &[Value]) -> Coerced<Value> {
    let mut flat = Vec::new();
    for item in items {
        match item.plain() {
            Value::Array(array) => {
                run.copy(array.items().len())?;
                flat.extend_from_slice(array.items());
            }
            _ => flat.push(item.clone()),
        }
    }
    run.copy(flat.len())?;
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

fn unzip(run: &mut Run<'_>, rows: &[Value], _: &[Value]) -> Coerced<Value> {
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

fn greatest(run: &mut Run<'_>, items: &[Value], by: &[Value]) -> Coerced<Value> {
    extreme(run, items, by, Ordering::Greater)
}

fn least(run: &mut Run<'_>, items: &[Value], by: &[Value]) -> Coerced<Value> {
    extreme(run, items, by, Ordering::Less)
}

/// The greatest or least item, compared directly or by the result of a function; the first of equal ones.
fn extreme(run: &mut Run<'_>, items: &[Value], by: &[Value], wanted: Ordering) -> Coerced<Value> {
    let mut best: Option<(Value, &Value)> = None;
    for item in items {
        let rank = mapped(run, item, by.first())?;
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

/// An item, or the result of a function of it.
fn mapped(run: &mut Run<'_>, item: &Value, by: Option<&Value>) -> Coerced<Value> {
    run.step(1)?;
    match by {
        Some(by) => applied(run, by, vec![item.clone()]),
        None => Ok(item.clone()),
    }
}

fn total(run: &mut Run<'_>, items: &[Value], by: Option<&Value>) -> Coerced<Number> {
    let mut sum = Number::from(0_i64);
    for item in items {
        sum = sum.add(&coerce::number(&mapped(run, item, by)?)?)?;
    }
    Ok(sum)
}

fn sum(run: &mut Run<'_>, items: &[Value], by: &[Value]) -> Coerced<Value> {
    Ok(total(run, items, by.first())?.into())
}

fn average(run: &mut Run<'_>, items: &[Value], _: &[Value]) -> Coerced<Value> {
    let average = total(run, items, None)?.divide(&Number::from(items.len()));
    let average =
        average.map_err(|_| super::EvalFault::new("`avg` expects an array that is not empty"));
    Ok(average?.into())
}

fn map(run: &mut Run<'_>, items: &[Value], args: &[Value]) -> Coerced<Value> {
    let mut mapped = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        mapped.push(applied(run, &args[0], item_given(at, item))?);
    }
    run.array(mapped)
}

fn flat_map(run: &mut Run<'_>, items: &[Value], args: &[Value]) -> Coerced<Value> {
    match map(run, items, args)? {
        Value::Array(array) => flatten(run, array.items()),
        other => Ok(other),
    }
}

fn filter(run: &mut Run<'_>, items: &[Value], args: &[Value]) -> Coerced<Value> {
    let kept = kept(run, items, &args[0], item_given)?;
    run.array(kept)
}

/// Evaluates `reduce`. The accumulator starts with its parameter's default, or else with the first item.
fn reduce(run: &mut Run<'_>, items: &[Value], args: &[Value]) -> Coerced<Value> {
    let initial = match &args[0] {
        Value::Function(Function(closure)) => match &closure.0 {
            Callee::Lambda(lambda, env) => {
                let accumulator = lambda.params.get(1);
                let default = accumulator.and_then(|param| param.default.as_ref());
                default.map(|default| run.eval(default, env)).transpose()?
            }
            Callee::Builtin(_) | Callee::Overloads(..) => None,
        },
        _ => None,
    };
    let mut items = items.iter();
    let Some(mut reduced) = initial.or_else(|| items.next().cloned()) else {
        return Ok(Value::Null);
    };
    for item in items {
        reduced = applied(run, &args[0], vec![item.clone(), reduced])?;
    }
    Ok(reduced)
}

fn group_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::Array(array) => grouped(run, array.items(), &args[1], item_given, Value::array),
        Value::Object(object) => {
            grouped(run, object.entries(), &args[1], entry_given, Value::keyed)
        }
        Value::String(text) => {
            let characters = characters(run, text)?;
            grouped(run, &characters, &args[1], item_given, |parts| {
                let texts = parts.iter().filter_map(|part| coerce::text(part).ok());
                texts.collect::<Vec<_>>().concat().into()
            })
        }
        other => Err(misfit("groupBy", "an array or an object", other)),
    }
}

/// The parts of an array or object by the result of a function, made into arrays or objects again.
fn grouped<T: Clone>(
    run: &mut Run<'_>,
    parts: &[T],
    by: &Value,
    given: fn(usize, &T) -> Vec<Value>,
    whole: fn(Vec<T>) -> Value,
) -> Coerced<Value> {
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    let mut groups: Vec<(Arc<str>, Vec<T>)> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let key = match applied(run, by, given(at, part))? {
            Value::Null => "null".into(),
            key => coerce::text(&key)?,
        };
        let place = *places.entry(key.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[place].1.push(part.clone());
    }
    let groups = groups.into_iter();
    run.object(
        groups
            .map(|(key, parts)| (key.into(), whole(parts)))
            .collect(),
    )
}

fn order_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::Array(array) => {
            let items = sorted(run, array.items(), &args[1], item_given)?;
            run.array(items)
        }
        Value::Object(object) => {
            let entries = sorted(run, object.entries(), &args[1], entry_given)?;
            run.object(entries)
        }
        other => Err(misfit("orderBy", "an array or an object", other)),
    }
}

/// Sorts by the results of a function; equal parts keep their order.
fn sorted<T: Clone>(
    run: &mut Run<'_>,
    parts: &[T],
    by: &Value,
    given: fn(usize, &T) -> Vec<Value>,
) -> Coerced<Vec<T>> {
    let mut ranked = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        ranked.push((applied(run, by, given(at, part))?, part.clone()));
    }
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
        None => Ok(ranked.into_iter().map(|(_, part)| part).collect()),
    }
}

fn distinct_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::Array(array) => {
            let items = distinct(run, array.items(), &args[1], item_given)?;
            run.array(items)
        }
        Value::Object(object) => {
            let entries = distinct(run, object.entries(), &args[1], entry_given)?;
            run.object(entries)
        }
        other => Err(misfit("distinctBy", "an array or an object", other)),
    }
}

/// The first of all parts for which a function has equal results.
fn distinct<T: Clone>(
    run: &mut Run<'_>,
    parts: &[T],
    by: &Value,
    given: fn(usize, &T) -> Vec<Value>,
) -> Coerced<Vec<T>> {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let by = applied(run, by, given(at, part))?;
        if seen.insert(run.set_key(&by)?) {
            kept.push(part.clone());
        }
    }
    Ok(kept)
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

fn count_by(run: &mut Run<'_>, items: &[Value], args: &[Value]) -> Coerced<Value> {
    let found = kept(run, items, &args[0], |_, item| vec![item.clone()])?;
    Ok(count(found.len()))
}
