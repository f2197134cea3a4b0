//! The results of operators, by the kinds of their operands.
//! ([Operators](https://docs.mulesoft.com/dataweave/latest/dw-operators))

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};

use super::coerce::{self, Coerced, cannot, shown};
use super::run::Run;
use super::tree::Operator;
use super::{EvalFault, compare};
use crate::value::iso;
use crate::value::number::{Number, Operation};
use crate::value::period::Period;
use crate::value::{Kind, Value};

/// Applies a binary operator; `and` and `or` are evaluated by their caller.
pub(super) fn apply(run: &mut Run<'_>, operator: Operator, a: &Value, b: &Value) -> Coerced<Value> {
    let zone = run.context.zone;
    let (a, b) = (a.plain(), b.plain());
    match operator {
        Operator::Or | Operator::And | Operator::Equal => Ok((a == b).into()),
        Operator::Unequal => Ok((a != b).into()),
        Operator::Similar => Ok(compare::similar(a, b, zone).into()),
        Operator::Less => Ok(compare::order(a, b, zone)?.is_lt().into()),
        Operator::LessEqual => Ok(compare::order(a, b, zone)?.is_le().into()),
        Operator::Greater => Ok(compare::order(a, b, zone)?.is_gt().into()),
        Operator::GreaterEqual => Ok(compare::order(a, b, zone)?.is_ge().into()),
        Operator::Add => add(run, a, b),
        Operator::Subtract => subtract(run, a, b),
        Operator::Multiply => arithmetic(a, b, "*", Number::multiply),
        Operator::Divide => arithmetic(a, b, "/", Number::divide),
        Operator::Shift => shift(run, a, b),
        Operator::Append => append(run, "<<", a, b),
    }
}

/// The error for an operator that is not defined for two values.
fn misfit(operator: &str, a: &Value, b: &Value) -> EvalFault {
    let (a, b) = (shown(a), shown(b));
    EvalFault::new(format!("`{operator}` has no meaning between {a} and {b}"))
}

fn arithmetic(a: &Value, b: &Value, operator: &str, operation: Operation) -> Coerced<Value> {
    let both = matches!((a, b), (Value::DateTime(_), Value::DateTime(_)));
    let number = |value: &Value| {
        let number = match value {
            Value::DateTime(_) | Value::Period(_) if !both => {
                coerce::to_kind(value, Kind::Number, &TimeZone::UTC)
                    .and_then(|seconds| coerce::number(&seconds))
            }
            _ => coerce::number(value),
        };
        number.map_err(|EvalFault { description, .. }| {
            EvalFault::new(format!("`{operator}` expects numbers: {description}"))
        })
    };
    Ok(operation(&number(a)?, &number(b)?)?.into())
}

fn append(run: &mut Run<'_>, operator: &str, a: &Value, b: &Value) -> Coerced<Value> {
    let Value::Array(array) = a else {
        return Err(misfit(operator, a, b));
    };
    run.copy(array.items().len())?;
    let mut items = array.items().to_vec();
    items.push(b.clone());
    run.array(items)
}

fn add(run: &mut Run<'_>, a: &Value, b: &Value) -> Coerced<Value> {
    if let Value::Array(_) = a {
        return append(run, "+", a, b);
    }
    let (a, b) = &timed(run, a, b)?;
    match (a, b) {
        (Value::Period(one), Value::Period(other)) => match counts(a, b) {
            Some((a, b)) => Ok(a.add(&b)?.into()),
            None => one.plus(other).map(Value::period).ok_or_else(out_of_range),
        },
        (_, Value::Period(period)) => moved(a, period).unwrap_or_else(|| Err(misfit("+", a, b))),
        (Value::Period(period), _) => moved(b, period).unwrap_or_else(|| Err(misfit("+", a, b))),
        _ => arithmetic(a, b, "+", Number::add),
    }
}

fn subtract(run: &mut Run<'_>, a: &Value, b: &Value) -> Coerced<Value> {
    match (a, b) {
        (Value::Array(array), _) => {
            run.copy(array.items().len())?;
            let kept = array.items().iter().filter(|item| *item != b);
            return run.array(kept.cloned().collect());
        }
        (Value::Object(object), _) => {
            let key = coerce::text(b)?;
            run.copy(object.entries().len())?;
            let kept = object.entries().iter().filter(|(name, _)| **name != *key);
            return run.object(kept.cloned().collect());
        }
        _ => {}
    }
    let (a, b) = &timed(run, a, b)?;
    match (a, b) {
        (Value::Period(one), Value::Period(other)) => match counts(a, b) {
            Some((a, b)) => Ok(a.subtract(&b)?.into()),
            None => {
                let sum = other.negated().and_then(|other| one.plus(&other));
                sum.map(Value::period).ok_or_else(out_of_range)
            }
        },
        // The date moves back, wherever it stands.
        (at, Value::Period(period)) | (Value::Period(period), at) => {
            let back = period.negated().ok_or_else(out_of_range)?;
            moved(at, &back).unwrap_or_else(|| Err(misfit("-", a, b)))
        }
        _ => match between(a, b, run.context.zone) {
            Some(time) => Ok(Value::period(Period::of(time))),
            None => arithmetic(a, b, "-", Number::subtract),
        },
    }
}

/// The operands of `+` or `-`, with texts as dates, times or periods if the other operand is one, or if both are such
/// texts and no numbers. Beside a period a number is a moment, in seconds since 1970.
fn timed(run: &mut Run<'_>, a: &Value, b: &Value) -> Coerced<(Value, Value)> {
    let moment = |run: &Run<'_>, value| coerce::to_kind(value, Kind::DateTime, run.context.zone);
    match (a, b) {
        (Value::Number(_), Value::Period(_)) => return Ok((moment(run, a)?, b.clone())),
        (Value::Period(_), Value::Number(_)) => return Ok((a.clone(), moment(run, b)?)),
        _ => {}
    }
    let read = |run: &mut Run<'_>, value: &Value| -> Coerced<Value> {
        let Value::String(text) = value else {
            return Ok(value.clone());
        };
        run.read(text.len())?;
        let found = iso::any(text.trim()).filter(is_time);
        Ok(found.unwrap_or_else(|| value.clone()))
    };
    let is_text = |value: &Value| matches!(value, Value::String(_));
    let involved = match (is_text(a), is_text(b)) {
        (true, true) => coerce::number(a).is_err() || coerce::number(b).is_err(),
        (true, false) => is_time(b),
        (false, true) => is_time(a),
        (false, false) => false,
    };
    Ok(match involved {
        true => (read(run, a)?, read(run, b)?),
        false => (a.clone(), b.clone()),
    })
}

/// Two periods as numbers, both of seconds or both of months; `None`: they have no unit in common.
fn counts(a: &Value, b: &Value) -> Option<(Number, Number)> {
    let exact = |value: &Value| matches!(value, Value::Period(period) if period.is_exact());
    if exact(a) != exact(b) {
        return None;
    }
    let count = |value| {
        let number = coerce::to_kind(value, Kind::Number, &TimeZone::UTC).ok()?;
        coerce::number(&number).ok()
    };
    Some((count(a)?, count(b)?))
}

/// True for dates, times and periods.
fn is_time(value: &Value) -> bool {
    matches!(value, Value::Period(_)) || iso::parts(value).is_some()
}

fn out_of_range() -> EvalFault {
    EvalFault::new("the date or period is out of range")
}

/// The exact time between two dates, the second converted to the kind of the first.
fn between(a: &Value, b: &Value, zone: &TimeZone) -> Option<SignedDuration> {
    if !is_time(a) || !is_time(b) {
        return None;
    }
    let b = &coerce::to_kind(b, a.kind(), zone).ok()?;
    Some(match (a, b) {
        (Value::DateTime(a), Value::DateTime(b)) => a.duration_since(b),
        (Value::LocalDateTime(a), Value::LocalDateTime(b)) => a.duration_since(*b),
        (Value::Date(a), Value::Date(b)) => a.duration_since(*b),
        (Value::LocalTime(a), Value::LocalTime(b)) => a.duration_since(*b),
        (Value::Time(a, a_at), Value::Time(b, b_at)) => {
            let offsets = i64::from(b_at.seconds()) - i64::from(a_at.seconds());
            a.duration_since(*b) + SignedDuration::from_secs(offsets)
        }
        _ => return None,
    })
}

/// A date or time moved by a period; `None` for other values.
fn moved(value: &Value, period: &Period) -> Option<Coerced<Value>> {
    let time = period.time;
    let days = i64::from(period.days);
    let moved = || -> Option<Value> {
        let span = period.calendar()?;
        let days = jiff::Span::new().try_days(days).ok()?;
        Some(match value {
            Value::DateTime(at) => {
                let at: Zoned = at.checked_add(span).ok()?.checked_add(days).ok()?;
                Value::DateTime(at.checked_add(time).ok()?.into())
            }
            Value::LocalDateTime(at) => {
                let at: DateTime = at.checked_add(span).ok()?.checked_add(days).ok()?;
                Value::LocalDateTime(at.checked_add(time).ok()?)
            }
            Value::Date(date) => {
                let date = date.checked_add(span).ok()?.checked_add(days).ok()?;
                Value::Date(date.checked_add(time).ok()?)
            }
            Value::LocalTime(at) => Value::LocalTime(at.wrapping_add(time)),
            Value::Time(at, offset) => Value::Time(at.wrapping_add(time), *offset),
            _ => return None,
        })
    };
    let exact = period.is_exact();
    match value {
        Value::DateTime(_) | Value::LocalDateTime(_) => Some(moved().ok_or_else(out_of_range)),
        // A date has no hours, and a time has no days.
        Value::Date(_) if time.is_zero() => Some(moved().ok_or_else(out_of_range)),
        Value::LocalTime(_) | Value::Time(..) if exact => Some(moved().ok_or_else(out_of_range)),
        _ => None,
    }
}

/// Evaluates `>>`: a date in another zone, or an array with an item prepended.
fn shift(run: &mut Run<'_>, a: &Value, b: &Value) -> Coerced<Value> {
    if let Value::Array(array) = b {
        run.copy(array.items().len())?;
        let mut items = vec![a.clone()];
        items.extend_from_slice(array.items());
        return run.array(items);
    }
    let zone = match b {
        Value::Zone(zone) => zone.clone(),
        Value::String(name) => iso::zone(name.trim()).ok_or_else(|| cannot(b, Kind::TimeZone))?,
        _ => return Err(misfit(">>", a, b)),
    };
    let at = match a {
        Value::DateTime(at) => at.with_time_zone(zone),
        Value::LocalDateTime(at) => at
            .to_zoned(run.context.zone.clone())
            .map_err(|_| out_of_range())?
            .with_time_zone(zone),
        Value::String(text) => match iso::date_time(text.trim()) {
            Some(at) => at.with_time_zone(zone),
            None => return Err(cannot(a, Kind::DateTime)),
        },
        _ => return Err(misfit(">>", a, b)),
    };
    Ok(Value::DateTime(at.into()))
}

/// Evaluates `++`: joins arrays, objects, and dates with times; other values are joined as texts.
pub(super) fn concat(run: &mut Run<'_>, a: &Value, b: &Value) -> Coerced<Value> {
    let (a, b) = (a.plain(), b.plain());
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            run.copy(a.items().len() + b.items().len())?;
            run.array(a.items().iter().chain(b.items()).cloned().collect())
        }
        (Value::Object(a), Value::Object(b)) => {
            run.copy(a.entries().len() + b.entries().len())?;
            run.object(a.entries().iter().chain(b.entries()).cloned().collect())
        }
        _ => {
            if let Some(joined) = dated(a, b).or_else(|| dated(b, a)) {
                return Ok(joined);
            }
            let text = |value: &Value| match value {
                Value::Null | Value::Array(_) => Err(misfit("++", a, b)),
                _ => coerce::text(value).map_err(|_| misfit("++", a, b)),
            };
            let (a, b) = (text(a)?, text(b)?);
            run.text(a.len() + b.len())?;
            Ok(Value::String(Arc::from([&*a, &*b].concat())))
        }
    }
}

/// Joins a date with a time, or one of them with a zone.
fn dated(a: &Value, b: &Value) -> Option<Value> {
    let zoned = |at: DateTime, zone: &jiff::tz::TimeZone| {
        let zoned = at.to_zoned(zone.clone()).ok()?;
        Some(Value::DateTime(zoned.into()))
    };
    match (a, b) {
        (Value::Date(date), Value::LocalTime(time)) => {
            Some(Value::LocalDateTime(date.to_datetime(*time)))
        }
        (Value::Date(date), Value::Time(time, offset)) => {
            zoned(date.to_datetime(*time), &offset.to_time_zone())
        }
        (Value::LocalDateTime(at), Value::Zone(zone)) => zoned(*at, zone),
        (Value::Date(date), Value::Zone(zone)) => {
            zoned(date.to_datetime(jiff::civil::Time::midnight()), zone)
        }
        (Value::LocalTime(time), Value::Zone(zone)) => {
            Some(Value::Time(*time, zone.to_fixed_offset().ok()?))
        }
        _ => None,
    }
}

/// Evaluates `--`: removes the items of an array, or the pairs of an object or keys in an array.
pub(super) fn remove(run: &mut Run<'_>, a: &Value, b: &Value) -> Coerced<Value> {
    match (a.plain(), b.plain()) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Array(a), Value::Array(b)) => {
            let removed = run.set(b.items())?;
            let mut kept = Vec::new();
            for item in a.items() {
                if !removed.contains(&run.set_key(item)?) {
                    kept.push(item.clone());
                }
            }
            run.array(kept)
        }
        (Value::Object(a), Value::Object(b)) => {
            run.step(a.entries().len().saturating_mul(b.entries().len()) / 16)?;
            let kept = a
                .entries()
                .iter()
                .filter(|entry| !b.entries().contains(entry));
            run.object(kept.cloned().collect())
        }
        (Value::Object(a), Value::Array(b)) => {
            let mut keys = std::collections::HashSet::new();
            for key in b.items() {
                keys.insert(coerce::text(key)?);
            }
            run.copy(a.entries().len() + keys.len())?;
            let kept = a
                .entries()
                .iter()
                .filter(|(key, _)| !keys.contains(key.name()));
            run.object(kept.cloned().collect())
        }
        _ => Err(misfit("--", a, b)),
    }
}

/// Evaluates the negation `-a`.
pub(super) fn negate(value: &Value) -> Coerced<Value> {
    match value.plain() {
        Value::Period(period) => period.negated().map(Value::period).ok_or_else(out_of_range),
        Value::String(text) => match Period::parse(text.trim()) {
            Some(period) => period.negated().map(Value::period).ok_or_else(out_of_range),
            None => Ok(coerce::number(value)?.negated().into()),
        },
        _ => Ok(coerce::number(value)?.negated().into()),
    }
}
