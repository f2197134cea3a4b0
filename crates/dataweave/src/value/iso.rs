//! The ISO 8601 texts of dates, times, zones and periods.

use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use crate::value::Value;
use crate::value::period::Period;

/// Reads any of these texts.
pub(crate) fn any(text: &str) -> Option<Value> {
    if let Some(period) = Period::parse(text) {
        return Some(Value::period(period));
    }
    if text.starts_with(['+', '-', 'Z']) {
        let (offset, rest) = offset(text)?;
        return rest.is_empty().then(|| Value::Zone(offset.to_time_zone()));
    }
    date_time(text)
        .map(|zoned| Value::DateTime(zoned.into()))
        .or_else(|| local_date_time(text).map(Value::LocalDateTime))
        .or_else(|| local_date(text).map(Value::Date))
        .or_else(|| whole_time(text))
}

/// Reads a moment: `2026-01-31T10:00:00Z`, `2026-01-31T10:00+01:00[Europe/Paris]`.
pub(crate) fn date_time(text: &str) -> Option<Zoned> {
    let (date, rest) = date(text)?;
    let (time, rest) = time(rest.strip_prefix(['T', 't'])?)?;
    let (offset, rest) = offset(rest)?;
    let at = offset.to_timestamp(date.to_datetime(time)).ok()?;
    let zone = match rest.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        None if rest.is_empty() => offset.to_time_zone(),
        Some(Some(name)) => zone(name)?,
        _ => return None,
    };
    Some(at.to_zoned(zone))
}

/// Reads a date and time: `2026-01-31T10:00:00`.
pub(crate) fn local_date_time(text: &str) -> Option<DateTime> {
    let (date, rest) = date(text)?;
    let (time, rest) = time(rest.strip_prefix(['T', 't'])?)?;
    rest.is_empty().then(|| date.to_datetime(time))
}

/// Reads a date: `2026-01-31`.
pub(crate) fn local_date(text: &str) -> Option<Date> {
    let (date, rest) = date(text)?;
    rest.is_empty().then_some(date)
}

/// Reads a time of day: `10:00:00`, `10:00:00.5+01:00`.
pub(crate) fn whole_time(text: &str) -> Option<Value> {
    let (time, rest) = time(text)?;
    if rest.is_empty() {
        return Some(Value::LocalTime(time));
    }
    let (offset, rest) = offset(rest)?;
    rest.is_empty().then_some(Value::Time(time, offset))
}

/// Reads a zone's name or offset: `Europe/Paris`, `UTC`, `+01:00`.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    if let Some((offset, "")) = offset(name) {
        return Some(offset.to_time_zone());
    }
    match name {
        "UTC" | "GMT" => Some(TimeZone::UTC),
        _ => TimeZone::get(name).ok(),
    }
}

pub(crate) fn digits(text: &str, count: usize) -> Option<(i16, &str)> {
    let digits = text.get(..count)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, &text[count..]))
}

fn two(text: &str) -> Option<(i8, &str)> {
    let (number, rest) = digits(text, 2)?;
    Some((i8::try_from(number).ok()?, rest))
}

fn date(text: &str) -> Option<(Date, &str)> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = two(rest.strip_prefix('-')?)?;
    let (day, rest) = two(rest.strip_prefix('-')?)?;
    Some((Date::new(year, month, day).ok()?, rest))
}

fn time(text: &str) -> Option<(Time, &str)> {
    let (hour, rest) = two(text)?;
    let (minute, mut rest) = two(rest.strip_prefix(':')?)?;
    let (mut second, mut nanos) = (0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        (second, rest) = two(after)?;
        if let Some(after) = rest.strip_prefix('.') {
            let end = after
                .find(|char: char| !char.is_ascii_digit())
                .unwrap_or(after.len());
            nanos = fraction(&after[..end])?;
            rest = &after[end..];
        }
    }
    Some((Time::new(hour, minute, second, nanos).ok()?, rest))
}

/// Reads a fraction of up to nine digits, as nanoseconds.
pub(crate) fn fraction(digits: &str) -> Option<i32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    format!("{digits:0<9}").parse().ok()
}

fn offset(text: &str) -> Option<(Offset, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((Offset::UTC, rest));
    }
    let negative = text.starts_with('-');
    let rest = text.strip_prefix(['+', '-'])?;
    let (hours, rest) = digits(rest, 2)?;
    let (minutes, mut rest) = digits(rest.strip_prefix(':')?, 2)?;
    let mut seconds = 0;
    if let Some(after) = rest.strip_prefix(':') {
        (seconds, rest) = digits(after, 2)?;
    }
    if hours > 18 || minutes > 59 || seconds > 59 {
        return None;
    }
    let total = i32::from(hours) * 3600 + i32::from(minutes) * 60 + i32::from(seconds);
    let offset = Offset::from_seconds(if negative { -total } else { total }).ok()?;
    Some((offset, rest))
}

/// The date, the time of day and the offset of a value that is a date or time, as far as it has them.
pub(crate) fn parts(value: &Value) -> Option<(Option<Date>, Option<Time>, Option<Offset>)> {
    Some(match value {
        Value::DateTime(at) => (Some(at.date()), Some(at.time()), Some(at.offset())),
        Value::LocalDateTime(at) => (Some(at.date()), Some(at.time()), None),
        Value::Date(date) => (Some(*date), None, None),
        Value::Time(time, offset) => (None, Some(*time), Some(*offset)),
        Value::LocalTime(time) => (None, Some(*time), None),
        _ => return None,
    })
}

/// The sign of an offset, with its whole hours, minutes and seconds.
pub(crate) fn split(offset: Offset) -> (char, u32, u32, u32) {
    let sign = if offset.is_negative() { '-' } else { '+' };
    let size = offset.seconds().unsigned_abs();
    (sign, size / 3600, size / 60 % 60, size % 60)
}

/// Writes an offset: `Z`, `+01:00`, `-00:00:30`.
pub(crate) fn show_offset(offset: Offset) -> String {
    match split(offset) {
        (_, 0, 0, 0) => "Z".to_owned(),
        (sign, hours, minutes, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        (sign, hours, minutes, seconds) => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// Writes a date, time, zone or period; `None` for other values.
pub(crate) fn show(value: &Value) -> Option<String> {
    Some(match value {
        Value::DateTime(zoned) => {
            format!("{}{}", zoned.datetime(), show_offset(zoned.offset()))
        }
        Value::LocalDateTime(at) => at.to_string(),
        Value::Date(date) => date.to_string(),
        Value::Time(time, offset) => format!("{time}{}", show_offset(*offset)),
        Value::LocalTime(time) => time.to_string(),
        Value::Zone(zone) => match zone.iana_name() {
            Some(name) => name.to_owned(),
            None => zone
                .to_fixed_offset()
                .map_or_else(|_| "Z".to_owned(), show_offset),
        },
        Value::Period(period) => period.to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_dates_and_back() {
        for (text, shown) in [
            ("2026-01-01T00:00:01.900Z", "2026-01-01T00:00:01.9Z"),
            ("2026-01-01T10:20+05:30", "2026-01-01T10:20:00+05:30"),
            (
                "2026-07-01T10:20:30-04:00[America/New_York]",
                "2026-07-01T10:20:30-04:00",
            ),
            ("2026-01-01T00:00:00", "2026-01-01T00:00:00"),
            ("2024-02-29", "2024-02-29"),
            ("23:59:56", "23:59:56"),
            ("23:59", "23:59:00"),
            ("10:00:00.5-03:00", "10:00:00.5-03:00"),
            ("-08:00", "-08:00"),
            ("Z", "UTC"),
            ("PT5M", "PT5M"),
        ] {
            let value = any(text).and_then(|value| show(&value));
            assert_eq!(value.as_deref(), Some(shown), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-1-1",
            "2026-02-30",
            "2026-01-01T25:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+1",
            "2026-01-01T00:00:00Z[Nowhere/None]",
            "10",
            "+1",
            "+19:00",
        ] {
            assert_eq!(any(text), None, "{text}");
        }
    }
}
