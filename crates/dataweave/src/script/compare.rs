//! Comparison of values.

use std::cmp::Ordering;

use jiff::tz::TimeZone;

use super::EvalFault;
use super::coerce::{self, Coerced, shown};
use crate::value::{Key, Kind, Value};

/// The order of two values of one kind; `None`: the kind has no order.
fn order_alike(a: &Value, b: &Value) -> Option<Ordering> {
    match (a.plain(), b.plain()) {
        (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
        // Java's order of texts, by UTF-16 units.
        (Value::String(a), Value::String(b)) => Some(a.encode_utf16().cmp(b.encode_utf16())),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::DateTime(a), Value::DateTime(b)) => Some(a.cmp(b)),
        (Value::LocalDateTime(a), Value::LocalDateTime(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::LocalTime(a), Value::LocalTime(b)) => Some(a.cmp(b)),
        (Value::Time(a, a_at), Value::Time(b, b_at)) => {
            let utc = |time: &jiff::civil::Time, offset: &jiff::tz::Offset| {
                let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60;
                let seconds = seconds + i64::from(time.second()) - i64::from(offset.seconds());
                (seconds, time.subsec_nanosecond())
            };
            Some(utc(a, a_at).cmp(&utc(b, b_at)))
        }
        (Value::Period(a), Value::Period(b)) if a.is_exact() && b.is_exact() => {
            Some(a.time.cmp(&b.time))
        }
        _ => None,
    }
}

/// The order of two values, the right one converted to the kind of the left one.
///
/// # Errors
/// If one of them is null, the conversion fails, or the kind has no order.
pub(super) fn order(a: &Value, b: &Value, zone: &TimeZone) -> Coerced<Ordering> {
    let fault = || EvalFault::new(format!("{} and {} have no order", shown(a), shown(b)));
    if a.is_null() || b.is_null() {
        return Err(fault());
    }
    let right = coerce::to_kind(b, a.kind(), zone)?;
    order_alike(a, &right).ok_or_else(fault)
}

/// The order of two values of one kind, for sorting; null comes first.
///
/// # Errors
/// If their kinds differ, or have no order.
pub(super) fn rank(a: &Value, b: &Value) -> Coerced<Ordering> {
    match (a.plain(), b.plain()) {
        (Value::Null, _) | (_, Value::Null) => Ok(b.is_null().cmp(&a.is_null())),
        _ => order_alike(a, b)
            .ok_or_else(|| EvalFault::new(format!("{} and {} have no order", shown(a), shown(b)))),
    }
}

/// DataWeave's `~=`: equal, or equal after conversion of one value to the other's kind.
pub(super) fn similar(a: &Value, b: &Value, zone: &TimeZone) -> bool {
    match (a.plain(), b.plain()) {
        (Value::Null, _) | (_, Value::Null) => a.is_null() && b.is_null(),
        (Value::Array(a), Value::Array(b)) => {
            let (a, b) = (a.items(), b.items());
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| similar(a, b, zone))
        }
        (Value::Object(a), Value::Object(b)) => {
            let (a, b) = (a.entries(), b.entries());
            let same = |((a_key, a), (b_key, b)): (&(Key, Value), &(Key, Value))| {
                a_key == b_key && similar(a, b, zone)
            };
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        _ if a.kind() == b.kind() => a == b,
        _ => {
            let becomes = |value: &Value, kind: Kind, other: &Value| {
                coerce::to_kind(value, kind, zone).is_ok_and(|value| value == *other)
            };
            becomes(b, a.kind(), a) || becomes(a, b.kind(), b)
        }
    }
}
