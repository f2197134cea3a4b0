//! The modules `dw::core::Dates` and `dw::core::Periods`.
//! ([Dates](https://docs.mulesoft.com/dataweave/latest/dw-dates), [Periods](https://docs.mulesoft.com/dataweave/latest/dw-periods))

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

use super::{Builtin, misfit, of_object, plain};
use crate::script::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::number::Number;
use crate::value::period::Period;
use crate::value::{Key, Kind, Value};

pub(super) const DATES: &[Builtin] = &[
    plain("today", 0, |run, _| day(run, 0)),
    plain("tomorrow", 0, |run, _| day(run, 1)),
    plain("yesterday", 0, |run, _| day(run, -1)),
    plain("atBeginningOfHour", 1, |run, args| {
        at_beginning(run, &args[0], |at| Some(at.date().at(at.hour(), 0, 0, 0)))
    }),
    plain("atBeginningOfDay", 1, |run, args| {
        at_beginning(run, &args[0], |at| Some(midnight(at.date())))
    }),
    plain("atBeginningOfWeek", 1, |run, args| {
        at_beginning(run, &args[0], |at| {
            let days = i64::from(at.date().weekday().to_sunday_zero_offset());
            let back = jiff::Span::new().try_days(days).ok()?;
            Some(midnight(at.date().checked_sub(back).ok()?))
        })
    }),
    plain("atBeginningOfMonth", 1, |run, args| {
        at_beginning(run, &args[0], |at| {
            Some(midnight(at.date().first_of_month()))
        })
    }),
    plain("atBeginningOfYear", 1, |run, args| {
        at_beginning(run, &args[0], |at| {
            Some(midnight(at.date().first_of_year()))
        })
    }),
];

pub(super) const PERIODS: &[Builtin] = &[
    plain("years", 1, |_, args| dated(&[("years", &args[0])])),
    plain("months", 1, |_, args| dated(&[("months", &args[0])])),
    plain("days", 1, |_, args| {
        match coerce::number(&args[0])?.is_integer() {
            true => dated(&[("days", &args[0])]),
            false => timed(&[("days", &args[0])]),
        }
    }),
    plain("hours", 1, |_, args| timed(&[("hours", &args[0])])),
    plain("minutes", 1, |_, args| timed(&[("minutes", &args[0])])),
    plain("seconds", 1, |_, args| timed(&[("seconds", &args[0])])),
    of_object("duration", 1, |_, entries, _| timed(&named(entries))),
    of_object("period", 1, |_, entries, _| dated(&named(entries))),
    plain("between", 2, between),
];

fn named(entries: &[(Key, Value)]) -> Vec<(&str, &Value)> {
    let entries = entries.iter();
    entries.map(|(key, value)| (&**key, value)).collect()
}

fn out_of_range() -> EvalFault {
    EvalFault::new("the date or period is out of range")
}

fn day(run: &mut Run<'_>, days: i64) -> Coerced<Value> {
    let today = run.context.now.to_zoned(run.context.zone.clone()).date();
    let span = jiff::Span::new().try_days(days);
    let date = span.and_then(|span| today.checked_add(span));
    date.map(Value::Date).map_err(|_| out_of_range())
}

fn midnight(date: Date) -> DateTime {
    date.to_datetime(Time::midnight())
}

/// The beginning of the part of time that a date or time is in.
fn at_beginning(
    run: &mut Run<'_>,
    value: &Value,
    begin: fn(DateTime) -> Option<DateTime>,
) -> Coerced<Value> {
    let zone = run.context.zone;
    let value = match value {
        Value::String(_) => &coerce::to_kind(value, Kind::DateTime, zone)
            .or_else(|_| coerce::to_kind(value, Kind::LocalDateTime, zone))
            .or_else(|_| coerce::to_kind(value, Kind::Date, zone))?,
        value => value,
    };
    let begin = |at: DateTime| begin(at).ok_or_else(out_of_range);
    Ok(match value {
        Value::DateTime(at) => {
            let zoned = begin(at.datetime())?.to_zoned(at.time_zone().clone());
            Value::DateTime(zoned.map_err(|_| out_of_range())?.into())
        }
        Value::LocalDateTime(at) => Value::LocalDateTime(begin(*at)?),
        Value::Date(date) => Value::Date(begin(midnight(*date))?.date()),
        Value::LocalTime(time) => {
            Value::LocalTime(begin(Date::constant(1970, 1, 1).to_datetime(*time))?.time())
        }
        Value::Time(time, offset) => {
            let at = begin(Date::constant(1970, 1, 1).to_datetime(*time))?;
            Value::Time(at.time(), *offset)
        }
        other => return Err(misfit("atBeginningOfDay", "a date or time", other)),
    })
}

/// A period of years, months and days.
fn dated(parts: &[(&str, &Value)]) -> Coerced<Value> {
    let mut period = Period::default();
    for (name, value) in parts {
        let count = coerce::integer(value)?;
        let count = i32::try_from(count).map_err(|_| out_of_range())?;
        match *name {
            "years" => period.years = count,
            "months" => period.months = count,
            "days" => period.days = count,
            _ => return Err(unknown(name, "years, months or days")),
        }
    }
    Ok(Value::period(period))
}

/// A period of an exact time.
fn timed(parts: &[(&str, &Value)]) -> Coerced<Value> {
    let mut nanos = Number::from(0_i64);
    for (name, value) in parts {
        let seconds: i64 = match *name {
            "days" => 86_400,
            "hours" => 3600,
            "minutes" => 60,
            "seconds" => 1,
            _ => return Err(unknown(name, "days, hours, minutes or seconds")),
        };
        let unit = Number::from(seconds * 1_000_000_000);
        nanos = nanos.add(&coerce::number(value)?.multiply(&unit)?)?;
    }
    let nanos = nanos.truncated().ok_or_else(out_of_range)?;
    let seconds = i64::try_from(nanos / 1_000_000_000).map_err(|_| out_of_range())?;
    let rest = i32::try_from(nanos % 1_000_000_000).map_err(|_| out_of_range())?;
    Ok(Value::period(Period::of(SignedDuration::new(
        seconds, rest,
    ))))
}

fn unknown(name: &str, expected: &str) -> EvalFault {
    EvalFault::new(format!(
        "unknown part {name:?} of a period; expected {expected}"
    ))
}

/// Evaluates `between`: the years, months and days from the second date to the first.
fn between(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let zone = run.context.zone;
    let date = |value: &Value| match coerce::to_kind(value, Kind::Date, zone)? {
        Value::Date(date) => Ok(date),
        other => Err(misfit("between", "two dates", &other)),
    };
    let (end, start) = (date(&args[0])?, date(&args[1])?);
    // As Java counts: whole months from the start, and then days.
    let months = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month());
    let mut total = months(end) - months(start);
    let mut days = i32::from(end.day()) - i32::from(start.day());
    if total > 0 && days < 0 {
        total -= 1;
        let span = jiff::Span::new().try_months(total);
        let month = span.and_then(|span| start.checked_add(span));
        let month = month.map_err(|_| out_of_range())?;
        days = (end - month).get_days();
    } else if total < 0 && days > 0 {
        total += 1;
        days -= i32::from(end.days_in_month());
    }
    Ok(Value::period(Period {
        years: total / 12,
        months: total % 12,
        days,
        ..Period::default()
    }))
}
