//! Selectors.
//! ([Selectors](https://docs.mulesoft.com/dataweave/latest/dataweave-selectors))

use super::coerce::{self, Coerced, unfit};
use super::run::Run;
use crate::value::Value;
use crate::value::iso;
use crate::value::number::Number;

/// The result of a selector; `None`: it selects nothing.
type Selected = Coerced<Option<Value>>;

/// Evaluates `.key`; `None`: there is no such key.
pub(super) fn key(run: &mut Run<'_>, value: &Value, key: &str) -> Selected {
    match value {
        Value::Null => Ok(None),
        Value::Object(object) => {
            run.copy(object.entries().len())?;
            Ok(object.get(key).cloned())
        }
        Value::Array(array) => {
            run.step(array.items().len())?;
            let found = array.items().iter().filter_map(|item| match item {
                Value::Object(object) => object.get(key).cloned(),
                _ => None,
            });
            some(run, found.collect())
        }
        _ => match part(value, key) {
            Some(part) => Ok(Some(part)),
            None => Err(unfit(format_args!("`.{key}` selects from objects"), value)),
        },
    }
}

/// Evaluates `.*key`; `None`: there is no such key.
pub(super) fn all(run: &mut Run<'_>, value: &Value, key: &str) -> Selected {
    let found: Vec<Value> = match value {
        Value::Null => return Ok(None),
        Value::Object(object) => {
            run.copy(object.entries().len())?;
            object.all(key).cloned().collect()
        }
        Value::Array(array) => {
            run.step(array.items().len())?;
            let objects = array.items().iter().filter_map(|item| match item {
                Value::Object(object) => Some(object),
                _ => None,
            });
            objects
                .flat_map(|object| object.all(key).cloned())
                .collect()
        }
        _ => {
            return Err(unfit(format_args!("`.*{key}` selects from objects"), value));
        }
    };
    some(run, found)
}

fn some(run: &mut Run<'_>, found: Vec<Value>) -> Selected {
    if found.is_empty() {
        return Ok(None);
    }
    run.array(found).map(Some)
}

/// Evaluates `..`: all descendants, each before its own descendants.
pub(super) fn descendants(run: &mut Run<'_>, value: &Value) -> Selected {
    fn walk(run: &mut Run<'_>, value: &Value, into: &mut Vec<Value>) -> Coerced<()> {
        let mut child = |run: &mut Run<'_>, child: &Value| {
            run.step(1)?;
            into.push(child.clone());
            walk(run, child, into)
        };
        match value {
            Value::Array(array) => array.items().iter().try_for_each(|item| child(run, item)),
            Value::Object(object) => {
                let mut entries = object.entries().iter();
                entries.try_for_each(|(_, inner)| child(run, inner))
            }
            _ => Ok(()),
        }
    }
    if value.is_null() {
        return Ok(None);
    }
    let mut found = Vec::new();
    walk(run, value, &mut found)?;
    run.array(found).map(Some)
}

/// Evaluates `..key` or `..*key`: the key's values in all objects, outermost first; `None`: there are none.
pub(super) fn deep(run: &mut Run<'_>, value: &Value, key: &str, every: bool) -> Selected {
    let mut found = Vec::new();
    let Some(Value::Array(inner)) = descendants(run, value)? else {
        return Ok(None);
    };
    for value in std::iter::once(value).chain(inner.items()) {
        if let Value::Object(object) = value {
            run.copy(object.entries().len())?;
            let most = if every { usize::MAX } else { 1 };
            found.extend(object.all(key).take(most).cloned());
        }
    }
    some(run, found)
}

/// Evaluates `[index]`, in which a text is a key; `None`: there is nothing at the index.
pub(super) fn index(run: &mut Run<'_>, value: &Value, index: &Value) -> Selected {
    match index {
        Value::String(name) => return key(run, value, name),
        Value::Null if value.is_null() => return Ok(None),
        Value::Array(range) => {
            let ends = (range.items().first(), range.items().last());
            return match ends {
                (Some(from), Some(to)) => slice(run, value, from, to),
                _ => Ok(None),
            };
        }
        Value::Number(_) => {}
        _ => {
            return Err(unfit("expected a number or key as index", index));
        }
    }
    let at = coerce::integer(index)?;
    Ok(match value {
        Value::Null => None,
        Value::Array(array) => {
            let at = place(at, array.items().len());
            at.and_then(|at| array.items().get(at)).cloned()
        }
        Value::Object(object) => {
            let at = place(at, object.entries().len());
            at.and_then(|at| object.entries().get(at))
                .map(|(_, value)| value.clone())
        }
        Value::String(text) => {
            run.read(text.len())?;
            let at = place(at, text.chars().count());
            at.and_then(|at| text.chars().nth(at))
                .map(|char| Value::from(char.to_string()))
        }
        _ => {
            return Err(unfit(
                "an index selects from arrays, objects and texts",
                value,
            ));
        }
    })
}

/// An index counted from the start; a negative one counts from the end.
fn place(at: i64, length: usize) -> Option<usize> {
    let from = if at < 0 {
        i64::try_from(length).ok()?
    } else {
        0
    };
    let at = at.checked_add(from)?;
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// Evaluates `[a to b]`, both ends included; a falling range reverses the order.
pub(super) fn slice(run: &mut Run<'_>, value: &Value, from: &Value, to: &Value) -> Selected {
    let (from, to) = (coerce::integer(from)?, coerce::integer(to)?);
    let places = |length: usize| Some((place(from, length)?, place(to, length)?));
    match value {
        Value::Null => Ok(None),
        Value::Array(array) => {
            let Some((from, to)) = places(array.items().len()) else {
                return Ok(None);
            };
            run.copy(from.abs_diff(to))?;
            let mut items = array.items()[from.min(to)..=from.max(to)].to_vec();
            if from > to {
                items.reverse();
            }
            run.array(items).map(Some)
        }
        Value::String(text) => {
            run.read(text.len())?;
            let Some((from, to)) = places(text.chars().count()) else {
                return Ok(None);
            };
            let part = text.chars().skip(from.min(to)).take(from.abs_diff(to) + 1);
            let part: String = if from > to {
                part.collect::<Vec<_>>().into_iter().rev().collect()
            } else {
                part.collect()
            };
            Ok(Some(part.into()))
        }
        _ => Err(unfit("a range selects from arrays and texts", value)),
    }
}

/// A part of a date, time or period: `.year`, `.hour`.
fn part(value: &Value, name: &str) -> Option<Value> {
    if let Value::Period(period) = value {
        let seconds = period.time.as_secs();
        let part = match name {
            "years" => period.years.into(),
            "months" => period.months.into(),
            "days" if period.is_exact() => seconds / 86_400,
            "days" => period.days.into(),
            "hours" => seconds / 3600 % 24,
            "minutes" => seconds / 60 % 60,
            "seconds" | "secs" => seconds % 60,
            _ => return None,
        };
        return Some(part.into());
    }
    let (date, time, offset) = iso::parts(value)?;
    let number: i64 = match name {
        "year" => date?.year().into(),
        "month" => date?.month().into(),
        "day" => date?.day().into(),
        "dayOfWeek" => date?.weekday().to_monday_one_offset().into(),
        "dayOfYear" => date?.day_of_year().into(),
        "quarter" => (i64::from(date?.month()) + 2) / 3,
        "hour" => time?.hour().into(),
        "minutes" => time?.minute().into(),
        "seconds" => time?.second().into(),
        "milliseconds" => i64::from(time?.subsec_nanosecond()) / 1_000_000,
        "nanoseconds" => time?.subsec_nanosecond().into(),
        "offsetSeconds" => offset?.seconds().into(),
        "timezone" => {
            return Some(match value {
                Value::DateTime(at) => Value::Zone(at.time_zone().clone()),
                _ => Value::from(iso::show_offset(offset?)),
            });
        }
        _ => return None,
    };
    Some(Number::from(number).into())
}
