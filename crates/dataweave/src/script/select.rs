//! Selectors.
//! ([Selectors](https://docs.mulesoft.com/dataweave/latest/dataweave-selectors))

use std::sync::Arc;

use super::coerce::{self, Coerced, unfit};
use super::run::Run;
use crate::value::iso;
use crate::value::number::Number;
use crate::value::{Namespace, Object, Value};

/// The result of a selector; `None`: it selects nothing.
type Selected = Coerced<Option<Value>>;

/// The key that a selector looks for.
pub(super) struct Wanted {
    pub name: Arc<str>,
    /// The namespace that the key must have; `None`: any, or none.
    pub namespace: Option<Namespace>,
}

impl Wanted {
    /// The values of an object's keys that match, with their attributes at hand.
    fn values<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = Value> + 'a {
        let found = object.found(&self.name, self.namespace.as_ref());
        found.map(|(key, value)| key.value(value))
    }
}

/// Evaluates `.key`; `None`: there is no such key.
pub(super) fn key(run: &mut Run<'_>, value: &Value, key: &Wanted) -> Selected {
    match value.plain() {
        Value::Null => Ok(None),
        Value::Object(object) => {
            run.copy(object.entries().len())?;
            Ok(key.values(object).next())
        }
        Value::Array(array) => {
            run.step(array.items().len())?;
            let found = array.items().iter().filter_map(|item| match item.plain() {
                Value::Object(object) => key.values(object).next(),
                _ => None,
            });
            some(run, found.collect())
        }
        plain => match part(plain, &key.name) {
            Some(part) => Ok(Some(part)),
            None => {
                let name = &key.name;
                Err(unfit(format_args!("`.{name}` selects from objects"), value))
            }
        },
    }
}

/// Evaluates `.*key`; `None`: there is no such key.
pub(super) fn all(run: &mut Run<'_>, value: &Value, key: &Wanted) -> Selected {
    let found: Vec<Value> = match value.plain() {
        Value::Null => return Ok(None),
        Value::Object(object) => {
            run.copy(object.entries().len())?;
            key.values(object).collect()
        }
        Value::Array(array) => {
            run.step(array.items().len())?;
            let objects = array.items().iter().filter_map(|item| match item.plain() {
                Value::Object(object) => Some(object),
                _ => None,
            });
            objects.flat_map(|object| key.values(object)).collect()
        }
        _ => {
            let name = &key.name;
            return Err(unfit(
                format_args!("`.*{name}` selects from objects"),
                value,
            ));
        }
    };
    some(run, found)
}

/// Evaluates `.&key`: an object of the entries whose keys match; `None`: there are none.
pub(super) fn entries(run: &mut Run<'_>, value: &Value, key: &Wanted) -> Selected {
    let mut found = Vec::new();
    let mut add = |object: &Object| {
        let entries = object.found(&key.name, key.namespace.as_ref());
        found.extend(entries.cloned());
    };
    match value.plain() {
        Value::Null => return Ok(None),
        Value::Object(object) => add(object),
        Value::Array(array) => {
            for item in array.items() {
                run.step(1)?;
                if let Value::Object(object) = item.plain() {
                    add(object);
                }
            }
        }
        _ => {
            let name = &key.name;
            return Err(unfit(
                format_args!("`.&{name}` selects from objects"),
                value,
            ));
        }
    }
    match found.is_empty() {
        true => Ok(None),
        false => run.object(found).map(Some),
    }
}

/// Evaluates `.@name`: an attribute of the key that the value was selected by, or of each item of a list.
pub(super) fn attribute(run: &mut Run<'_>, value: &Value, name: &Wanted) -> Selected {
    match value {
        Value::Selected(selected) => {
            let attributes = selected.key.attributes();
            run.step(attributes.len() / 16)?;
            let mut attributes = attributes.iter();
            let found = attributes.find(|(key, _)| key.is(&name.name, name.namespace.as_ref()));
            Ok(found.map(|(_, value)| value.clone()))
        }
        Value::Array(array) => {
            let mut found = Vec::new();
            for item in array.items() {
                run.step(1)?;
                if !matches!(item, Value::Array(_)) {
                    found.extend(attribute(run, item, name)?);
                }
            }
            some(run, found)
        }
        _ => Ok(None),
    }
}

/// Evaluates `.@`: an object of the attributes of the key that the value was selected by.
pub(super) fn attributes(value: &Value) -> Option<Value> {
    match value {
        Value::Selected(selected) if !selected.key.attributes().is_empty() => {
            Some(Value::keyed(selected.key.attributes().to_vec()))
        }
        _ => None,
    }
}

/// Evaluates `.#`: the URI of the namespace of the key that the value was selected by.
pub(super) fn namespace(value: &Value) -> Option<Value> {
    match value {
        Value::Selected(selected) => {
            let namespace = selected.key.namespace()?;
            Some(Value::String(namespace.uri.clone()))
        }
        _ => None,
    }
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
        let mut child = |run: &mut Run<'_>, child: Value| {
            run.step(1)?;
            into.push(child.clone());
            walk(run, &child, into)
        };
        match value.plain() {
            Value::Array(array) => {
                let mut items = array.items().iter();
                items.try_for_each(|item| child(run, item.clone()))
            }
            Value::Object(object) => {
                let mut entries = object.entries().iter();
                entries.try_for_each(|(key, inner)| child(run, key.value(inner)))
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
pub(super) fn deep(run: &mut Run<'_>, value: &Value, key: &Wanted, every: bool) -> Selected {
    let mut found = Vec::new();
    let Some(Value::Array(inner)) = descendants(run, value)? else {
        return Ok(None);
    };
    for value in std::iter::once(value).chain(inner.items()) {
        if let Value::Object(object) = value.plain() {
            run.copy(object.entries().len())?;
            let most = if every { usize::MAX } else { 1 };
            found.extend(key.values(object).take(most));
        }
    }
    some(run, found)
}

/// Evaluates `[index]`, in which a text is a key; `None`: there is nothing at the index.
pub(super) fn index(run: &mut Run<'_>, value: &Value, index: &Value) -> Selected {
    let (value, index) = (value.plain(), index.plain());
    match index {
        Value::String(name) => {
            let wanted = Wanted {
                name: name.clone(),
                namespace: None,
            };
            return key(run, value, &wanted);
        }
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
                .map(|(key, value)| key.value(value))
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
    match value.plain() {
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
