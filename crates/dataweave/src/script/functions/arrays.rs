//! The module `dw::core::Arrays`: lists taken apart, searched and joined.
//! ([Arrays](https://docs.mulesoft.com/dataweave/latest/dw-arrays))

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Builtin, applied, count, entry_given, item_given, misfit, of_array, plain};
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;

/// The functions that `dw::core::Objects` has as well.
pub(super) const OF_BOTH: &[Builtin] = &[
    plain("divideBy", 2, divide_by),
    plain("takeWhile", 2, take_while).higher(),
];

pub(super) const FUNCTIONS: &[Builtin] = &[
    of_array("drop", 2, |run, items, args| {
        let from = bound(&args[0], items.len())?;
        part(run, &items[from..])
    }),
    of_array("take", 2, |run, items, args| {
        let until = bound(&args[0], items.len())?;
        part(run, &items[..until])
    }),
    of_array("slice", 3, |run, items, args| {
        let (from, until) = (bound(&args[0], items.len())?, bound(&args[1], items.len())?);
        part(run, &items[from.min(until)..until])
    }),
    of_array("dropWhile", 2, |run, items, args| {
        let at = leading(run, items, &args[0])?;
        part(run, &items[at..])
    })
    .higher(),
    of_array("firstWith", 2, |run, items, args| {
        let at = first(run, items, &args[0])?;
        Ok(at.map(|at| items[at].clone()).unwrap_or_default())
    })
    .higher(),
    of_array("indexWhere", 2, |run, items, args| {
        let at = first(run, items, &args[0])?;
        Ok(at.map_or_else(|| (-1).into(), count))
    })
    .higher(),
    of_array("partition", 2, |run, items, args| {
        let mut parts = [Vec::new(), Vec::new()];
        for (at, item) in items.iter().enumerate() {
            let holds = coerce::boolean(&applied(run, &args[0], item_given(at, item))?)?;
            parts[usize::from(!holds)].push(item.clone());
        }
        let [success, failure] = parts;
        pair(run, ["success", "failure"], &success, &failure)
    })
    .higher(),
    of_array("splitAt", 2, |run, items, args| {
        let (left, right) = items.split_at(bound(&args[0], items.len())?);
        pair(run, ["l", "r"], left, right)
    }),
    of_array("splitWhere", 2, |run, items, args| {
        let at = first(run, items, &args[0])?.unwrap_or(items.len());
        let (left, right) = items.split_at(at);
        pair(run, ["l", "r"], left, right)
    })
    .higher(),
    plain("join", 4, |run, args| join(run, args, false, false)).higher(),
    plain("leftJoin", 4, |run, args| join(run, args, true, false)).higher(),
    plain("outerJoin", 4, |run, args| join(run, args, true, true)).higher(),
];

/// An index of a list of a length; outside the list it is the nearest end.
fn bound(value: &Value, length: usize) -> Coerced<usize> {
    let at = coerce::integer(value)?.max(0);
    Ok(usize::try_from(at).unwrap_or(usize::MAX).min(length))
}

fn part(run: &mut Run<'_>, items: &[Value]) -> Coerced<Value> {
    run.copy(items.len())?;
    run.array(items.to_vec())
}

fn pair(run: &mut Run<'_>, names: [&str; 2], a: &[Value], b: &[Value]) -> Coerced<Value> {
    let (a, b) = (part(run, a)?, part(run, b)?);
    run.object(vec![(names[0].into(), a), (names[1].into(), b)])
}

/// The index of the first item that satisfies a condition.
fn first(run: &mut Run<'_>, items: &[Value], test: &Value) -> Coerced<Option<usize>> {
    for (at, item) in items.iter().enumerate() {
        if coerce::boolean(&applied(run, test, item_given(at, item))?)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The number of items before the first that does not satisfy a condition.
fn leading(run: &mut Run<'_>, items: &[Value], test: &Value) -> Coerced<usize> {
    for (at, item) in items.iter().enumerate() {
        if !coerce::boolean(&applied(run, test, vec![item.clone()])?)? {
            return Ok(at);
        }
    }
    Ok(items.len())
}

/// Evaluates `takeWhile` of a list, or of an object.
fn take_while(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::Array(array) => {
            let until = leading(run, array.items(), &args[1])?;
            part(run, &array.items()[..until])
        }
        Value::Object(object) => {
            let mut taken = Vec::new();
            for (at, entry) in object.entries().iter().enumerate() {
                if !coerce::boolean(&applied(run, &args[1], entry_given(at, entry))?)? {
                    break;
                }
                taken.push(entry.clone());
            }
            run.object(taken)
        }
        other => Err(misfit("takeWhile", "an array or an object", other)),
    }
}

/// Evaluates `divideBy`: parts of some length of a list, or of an object.
fn divide_by(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let amount = usize::try_from(coerce::integer(&args[1])?).unwrap_or(0);
    if amount == 0 {
        return Err(misfit("divideBy", "a number greater than 0", &args[1]));
    }
    match &args[0] {
        Value::Null => Ok(Value::Null),
        Value::Array(array) => {
            run.step(array.items().len())?;
            let parts = array.items().chunks(amount);
            let parts = parts.map(|items| Value::array(items.to_vec())).collect();
            run.array(parts)
        }
        Value::Object(object) => {
            run.step(object.entries().len())?;
            let parts = object.entries().chunks(amount);
            let parts = parts
                .map(|entries| Value::keyed(entries.to_vec()))
                .collect();
            run.array(parts)
        }
        other => Err(misfit("divideBy", "an array or an object", other)),
    }
}

/// Joins two lists by what functions give for their items: pairs `{l, r}`, and with `left` or `right` also the items
/// of a side that have no partner.
fn join(run: &mut Run<'_>, args: &[Value], left: bool, right: bool) -> Coerced<Value> {
    let (Value::Array(lefts), Value::Array(rights)) = (&args[0], &args[1]) else {
        let wrong = [&args[0], &args[1]]
            .into_iter()
            .find(|side| !matches!(side, Value::Array(_)));
        return Err(misfit("join", "two arrays", wrong.unwrap_or(&Value::Null)));
    };
    let mut keys = Vec::new();
    for item in lefts.items() {
        keys.push(key(run, &args[2], item)?);
    }
    let mut partners: HashMap<Arc<str>, Vec<&Value>> = HashMap::new();
    let mut right_keys = Vec::new();
    for item in rights.items() {
        let key = key(run, &args[3], item)?;
        partners.entry(key.clone()).or_default().push(item);
        right_keys.push(key);
    }
    let mut joined = Vec::new();
    for (item, key) in lefts.items().iter().zip(&keys) {
        match partners.get(key) {
            Some(partners) => {
                run.step(partners.len())?;
                for partner in partners {
                    let entries =
                        vec![("l".into(), item.clone()), ("r".into(), (*partner).clone())];
                    joined.push(run.object(entries)?);
                }
            }
            None if left => joined.push(run.object(vec![("l".into(), item.clone())])?),
            None => {}
        }
    }
    if right {
        let found: HashSet<&Arc<str>> = keys.iter().collect();
        for (item, key) in rights.items().iter().zip(&right_keys) {
            if !found.contains(key) {
                joined.push(run.object(vec![("r".into(), item.clone())])?);
            }
        }
    }
    run.array(joined)
}

fn key(run: &mut Run<'_>, by: &Value, item: &Value) -> Coerced<Arc<str>> {
    let key = applied(run, by, vec![item.clone()])?;
    match key {
        Value::Null => Ok("null".into()),
        key => coerce::text(&key),
    }
}
