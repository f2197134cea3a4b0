//! Conversion of values between kinds.
//! ([Type coercion](https://docs.mulesoft.com/dataweave/latest/dataweave-types-coercion))

use base64::Engine as _;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::types::{Setting, Type};
use super::{EvalFault, date_format, number_format};
use crate::value::iso;
use crate::value::number::Number;
use crate::value::period::Period;
use crate::value::regex::Pattern;
pub(crate) use crate::value::text::{Coerced, cannot, check_text, shown, text, unfit};
use crate::value::{Kind, Value};

/// The value as a number, also from a decimal text.
pub(super) fn number(value: &Value) -> Coerced<Number> {
    match value.plain() {
        Value::Number(number) => Ok(number.clone()),
        Value::String(text) => {
            Number::parse(text.trim()).ok_or_else(|| cannot(value, Kind::Number))
        }
        _ => Err(cannot(value, Kind::Number)),
    }
}

/// The value as a whole number.
pub(crate) fn integer(value: &Value) -> Coerced<i64> {
    let number = number(value)?;
    number
        .to_i64()
        .ok_or_else(|| EvalFault::new(format!("expected a whole number, found {number}")))
}

/// The value as a boolean, also from `"true"` and `"false"`.
pub(crate) fn boolean(value: &Value) -> Coerced<bool> {
    match value.plain() {
        Value::Bool(bool) => Ok(*bool),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(cannot(value, Kind::Boolean)),
    }
}

/// The value as a regular expression, also from a text.
pub(crate) fn pattern(value: &Value) -> Coerced<Pattern> {
    match value.plain() {
        Value::Regex(pattern) => Ok(pattern.clone()),
        Value::String(text) => Pattern::new(text).map_err(|what| {
            let shown = shown(value);
            EvalFault::new(format!("{shown} is not a regular expression: {what}"))
        }),
        _ => Err(cannot(value, Kind::Regex)),
    }
}

/// The value converted to a kind without a format.
pub(super) fn to_kind(value: &Value, kind: Kind, zone: &TimeZone) -> Coerced<Value> {
    let value = value.plain();
    if value.kind() == kind {
        return Ok(value.clone());
    }
    let fail = || cannot(value, kind);
    Ok(match (kind, value) {
        (_, Value::Null) => return Err(fail()),
        (Kind::String, _) => Value::String(text(value)?),
        (Kind::Number, Value::DateTime(zoned)) => seconds(zoned.timestamp()),
        (Kind::Number, Value::LocalDateTime(at)) => {
            let at = at.to_zoned(TimeZone::UTC).map_err(|_| fail())?;
            seconds(at.timestamp())
        }
        (Kind::Number, Value::Period(period)) => period_count(period).ok_or_else(fail)?,
        (Kind::Number, _) => number(value)?.into(),
        (Kind::Boolean, _) => boolean(value)?.into(),
        (Kind::Regex, _) => Value::Regex(pattern(value)?),
        (Kind::Binary, Value::String(text)) => {
            Value::bytes(bytes::Bytes::copy_from_slice(text.as_bytes()))
        }
        (Kind::DateTime, Value::Number(number)) => {
            moment(number, Unit::SECONDS).ok_or_else(fail)?
        }
        (Kind::DateTime, Value::LocalDateTime(at)) => {
            Value::DateTime(at.to_zoned(zone.clone()).map_err(|_| fail())?.into())
        }
        (Kind::LocalDateTime, Value::DateTime(zoned)) => Value::LocalDateTime(zoned.datetime()),
        (Kind::Date, Value::DateTime(zoned)) => Value::Date(zoned.date()),
        (Kind::Date, Value::LocalDateTime(at)) => Value::Date(at.date()),
        (Kind::Time, Value::DateTime(zoned)) => Value::Time(zoned.time(), zoned.offset()),
        (Kind::Time, Value::LocalDateTime(at)) => {
            let zoned = at.to_zoned(zone.clone()).map_err(|_| fail())?;
            Value::Time(at.time(), zoned.offset())
        }
        // Summer time has no meaning without a date, so the offset is that of the start of 1970.
        (Kind::Time, Value::LocalTime(at)) => {
            Value::Time(*at, zone.to_offset(Timestamp::UNIX_EPOCH))
        }
        (Kind::Binary, Value::Number(number)) => {
            let byte = number.to_i64().and_then(|number| u8::try_from(number).ok());
            Value::bytes(vec![byte.ok_or_else(fail)?])
        }
        (Kind::LocalTime, Value::DateTime(zoned)) => Value::LocalTime(zoned.time()),
        (Kind::LocalTime, Value::LocalDateTime(at)) => Value::LocalTime(at.time()),
        (Kind::LocalTime, Value::Time(time, _)) => Value::LocalTime(*time),
        (Kind::TimeZone, Value::DateTime(zoned)) => Value::Zone(zoned.time_zone().clone()),
        (Kind::TimeZone, Value::Time(_, offset)) => Value::Zone(offset.to_time_zone()),
        (_, Value::String(text)) => parsed(text.trim(), kind).ok_or_else(fail)?,
        _ => return Err(fail()),
    })
}

/// A period as a number: an exact time in seconds, and years and months in months; `None` for days.
fn period_count(period: &Period) -> Option<Value> {
    if period.is_exact() {
        return Some(period.time.as_secs().into());
    }
    let is_dated = period.time.is_zero() && period.days == 0;
    is_dated.then(|| (i64::from(period.years) * 12 + i64::from(period.months)).into())
}

/// Reads a text as a date, time, zone or period.
fn parsed(text: &str, kind: Kind) -> Option<Value> {
    match kind {
        Kind::DateTime => iso::date_time(text).map(|zoned| Value::DateTime(zoned.into())),
        Kind::LocalDateTime => iso::local_date_time(text).map(Value::LocalDateTime),
        // A date may be a part of the text.
        Kind::Date => iso::local_date(text)
            .or_else(|| iso::date_time(text).map(|at| at.date()))
            .or_else(|| iso::local_date_time(text).map(|at| at.date()))
            .map(Value::Date),
        Kind::Time | Kind::LocalTime => iso::whole_time(text).filter(|time| time.kind() == kind),
        Kind::TimeZone => iso::zone(text).map(Value::Zone),
        Kind::Period => iso::any(text).filter(|value| value.kind() == kind),
        _ => None,
    }
}

/// The value converted to a type.
pub(super) fn to_type(value: &Value, of: &Type, zone: &TimeZone) -> Coerced<Value> {
    if let Type::CData = of {
        return Ok(Value::cdata(text(value)?));
    }
    if of.holds(value) {
        return Ok(value.clone());
    }
    let fault = |what: String| EvalFault::new(format!("{} {what}", shown(value)));
    match of {
        Type::Kind(kind) => to_kind(value, *kind, zone),
        Type::Union(types) => {
            let fitting = types.iter().find_map(|of| to_type(value, of, zone).ok());
            fitting.ok_or_else(|| fault("cannot become one of these types".to_owned()))
        }
        Type::Literal(literal) => Err(fault(format!("is not {}", shown(literal)))),
        Type::Any | Type::CData => Ok(value.clone()),
    }
}

/// Evaluates `value as of {options}`.
pub(super) fn cast(
    value: &Value,
    of: &Type,
    options: &[(Setting, Value)],
    zone: &TimeZone,
) -> Coerced<Value> {
    let value = value.plain();
    let option = |wanted: Setting| {
        let found = options.iter().rev().find(|(option, _)| *option == wanted);
        found.map(|(_, value)| value)
    };
    if let Some(locale) = option(Setting::Locale) {
        let locale = text(locale)?;
        if !locale.to_ascii_lowercase().starts_with("en") {
            let what = format!("the locale {locale:?} is not supported: use \"en\"");
            return Err(EvalFault::new(what));
        }
    }
    let Type::Kind(kind) = of else {
        return to_type(value, of, zone);
    };
    if let (Kind::Number, Value::Period(period), Some(unit)) = (kind, value, option(Setting::Unit))
        && let unit = text(unit)?
        && matches!(&*unit, "years" | "months")
    {
        let months = i64::from(period.years) * 12 + i64::from(period.months);
        return Ok(if &*unit == "years" {
            months / 12
        } else {
            months
        }
        .into());
    }
    if let Some(unit) = option(Setting::Unit) {
        let unit = Unit::of(&text(unit)?)?;
        match (kind, value) {
            (Kind::Number, Value::DateTime(zoned)) => {
                return Ok(unit.count(zoned.timestamp().as_duration()));
            }
            (Kind::Number, Value::Period(period)) if period.is_exact() => {
                return Ok(unit.count(period.time));
            }
            (Kind::DateTime, Value::Number(_) | Value::String(_)) => {
                if let Ok(number) = number(value) {
                    return moment(&number, unit).ok_or_else(|| cannot(value, *kind));
                }
            }
            _ => {}
        }
    }
    if let Some(base) = option(Setting::Base) {
        match (kind, value) {
            (Kind::Binary, Value::String(text)) => return of_digits(text, base),
            (Kind::String, Value::Binary(bytes)) => return Ok(in_digits(bytes, base)?.into()),
            _ => {}
        }
    }
    match option(Setting::Format) {
        None | Some(Value::Null) => to_kind(value, *kind, zone),
        Some(format) => {
            let format = text(format)?;
            if let (Kind::String, Value::Number(number)) = (kind, value) {
                let name = option(Setting::Rounding).map(text).transpose()?;
                let written = number_format::rounding(name.as_deref())
                    .and_then(|rounding| number_format::format(number, &format, rounding));
                return match written {
                    Ok(text) => Ok(text.into()),
                    Err(what) => Err(EvalFault::new(format!(
                        "{} cannot become {kind}: {what}",
                        shown(value)
                    ))),
                };
            }
            by_format(value, *kind, &format, zone)
        }
    }
}

/// The bytes that a text has in digits of base 16 or 64.
pub(super) fn of_digits(text: &str, base: &Value) -> Coerced<Value> {
    let shown = || shown(&Value::from(text));
    let compact: String = text.split_whitespace().collect();
    let bytes = match integer(base)? {
        64 => BASE64_LENIENT.decode(compact.as_bytes()).ok(),
        16 => of_hex(&compact),
        _ => return Err(EvalFault::new("the base of binary digits is 16 or 64")),
    };
    let bytes = bytes.ok_or_else(|| {
        EvalFault::new(format!(
            "{} has no digits of base {}",
            shown(),
            self::shown(base)
        ))
    })?;
    Ok(Value::bytes(bytes))
}

/// Reads Base64 with or without padding.
const BASE64_LENIENT: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes of hexadecimal digits; an odd count begins with half a byte.
pub(super) fn of_hex(text: &str) -> Option<Vec<u8>> {
    let mut nibbles = Vec::with_capacity(text.len() + 1);
    if text.len() % 2 == 1 {
        nibbles.push(0);
    }
    for char in text.chars() {
        nibbles.push(u8::try_from(char.to_digit(16)?).ok()?);
    }
    Some(
        nibbles
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// Bytes in digits of base 16, in capitals, or 64.
pub(super) fn in_digits(bytes: &[u8], base: &Value) -> Coerced<String> {
    match integer(base)? {
        64 => Ok(BASE64_LENIENT.encode(bytes)),
        16 => Ok(bytes.iter().map(|byte| format!("{byte:02X}")).collect()),
        _ => Err(EvalFault::new("the base of binary digits is 16 or 64")),
    }
}

fn by_format(value: &Value, kind: Kind, format: &str, zone: &TimeZone) -> Coerced<Value> {
    let fault =
        |what: String| EvalFault::new(format!("{} cannot become {kind}: {what}", shown(value)));
    let unfit = || fault(format!("it is not of the format `{format}`"));
    match (kind, value) {
        (Kind::String, _) => match date_format::format(value, format).map_err(fault)? {
            Some(text) => Ok(text.into()),
            None => to_kind(value, kind, zone),
        },
        (Kind::Number, Value::String(text)) => {
            let number = number_format::parse(text, format).map_err(fault)?;
            number.map(Value::from).ok_or_else(unfit)
        }
        (
            Kind::DateTime | Kind::LocalDateTime | Kind::Date | Kind::Time | Kind::LocalTime,
            Value::String(_) | Value::Number(_),
        ) => {
            let text = text(value)?;
            let found = date_format::parse(text.trim(), format).map_err(fault)?;
            found
                .and_then(|found| dated(&found, kind))
                .ok_or_else(unfit)
        }
        _ => to_kind(value, kind, zone),
    }
}

/// Makes a date or time of a kind from the fields of a text.
fn dated(found: &date_format::ParsedDate, kind: Kind) -> Option<Value> {
    let zone = || found.zone.clone();
    Some(match kind {
        Kind::DateTime => {
            let at = found.date()?.to_datetime(found.time()?);
            Value::DateTime(at.to_zoned(zone()?).ok()?.into())
        }
        Kind::LocalDateTime => Value::LocalDateTime(found.date()?.to_datetime(found.time()?)),
        Kind::Date => Value::Date(found.date()?),
        Kind::Time => Value::Time(found.time()?, zone()?.to_fixed_offset().ok()?),
        _ => Value::LocalTime(found.time()?),
    })
}

/// The unit of a number that stands for a time.
#[derive(Clone, Copy)]
struct Unit {
    nanos: i128,
}

impl Unit {
    const SECONDS: Unit = Unit {
        nanos: 1_000_000_000,
    };

    fn of(name: &str) -> Coerced<Unit> {
        let nanos = match name {
            "nanos" | "nanoseconds" => 1,
            "milliseconds" | "millis" => 1_000_000,
            "seconds" => 1_000_000_000,
            "minutes" => 60_000_000_000,
            "hours" => 3_600_000_000_000,
            "days" => 86_400_000_000_000,
            _ => {
                let what = format!("unknown unit {name:?}; use milliseconds or seconds");
                return Err(EvalFault::new(what));
            }
        };
        Ok(Unit { nanos })
    }

    /// The number of whole units in a duration, rounded down.
    fn count(self, duration: SignedDuration) -> Value {
        Number::from(duration.as_nanos().div_euclid(self.nanos)).into()
    }
}

fn seconds(at: Timestamp) -> Value {
    Unit::SECONDS.count(at.as_duration())
}

/// The moment `number` units after the start of 1970, in UTC.
fn moment(number: &Number, unit: Unit) -> Option<Value> {
    let nanos = number.multiply(&Number::from(unit.nanos)).ok()?;
    let at = Timestamp::from_nanosecond(nanos.truncated()?).ok()?;
    Some(Value::moment(at))
}
