//! Functions of an evaluation's context: clock, random numbers, properties, formats.

use super::{Builtin, applied, misfit, plain};
use crate::random::uuid;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::script::{EvalFault, header, output};
use crate::value::Value;
use crate::value::json::Layout;
use crate::value::media::{Format, MediaType, Typed};
use crate::value::{csv, xml};

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("now", 0, now),
    plain("uuid", 0, random_uuid),
    plain("typeOf", 1, |_, args| Ok(Value::Type(args[0].kind()))),
    plain("log", 1, log).up_to(2),
    plain("read", 1, read).up_to(3),
    plain("write", 1, write).up_to(3),
    plain("daysBetween", 2, days_between),
    plain("isLeapYear", 1, is_leap_year),
    plain("then", 2, then).higher(),
    plain("onNull", 2, on_null).higher(),
];

/// The functions of the module `Mule`; all of them are in the core as well.
pub(super) const OF_MULE: &[Builtin] = &[plain("p", 1, property)];

fn now(run: &mut Run<'_>, _: &[Value]) -> Coerced<Value> {
    let now = run.context.now.to_zoned(run.context.zone.clone());
    Ok(Value::DateTime(now.into()))
}

fn random_uuid(run: &mut Run<'_>, _: &[Value]) -> Coerced<Value> {
    let random = run.context.random;
    let bits = (u128::from(random.draw()) << 64) | u128::from(random.draw());
    Ok(uuid(bits).into())
}

/// Evaluates `log`, which only returns the value: an expression has no log of its own.
fn log(_: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    Ok(args.last().cloned().unwrap_or_default())
}

fn then(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match &args[0] {
        Value::Null => Ok(Value::Null),
        value => applied(run, &args[1], vec![value.clone()]),
    }
}

fn on_null(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    match &args[0] {
        Value::Null => applied(run, &args[1], Vec::new()),
        value => Ok(value.clone()),
    }
}

/// A property by its key; null if it is not set.
fn property(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let key = coerce::text(&args[0])?;
    let value = run.context.properties.get(&key).cloned();
    Ok(value.map(Value::String).unwrap_or_default())
}

/// The media type that an argument names, by default DataWeave's own form.
fn format(name: &str, value: Option<&Value>) -> Coerced<MediaType> {
    let Some(value) = value else {
        return Ok(MediaType::new("application/dw"));
    };
    let text = coerce::text(value)?;
    let media_type = MediaType::new(header::full(&text));
    if media_type.format() == Format::Opaque {
        return Err(misfit(name, header::FORMATS, value));
    }
    Ok(media_type)
}

fn read(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let media_type = format("read", args.get(1))?;
    let mut null_on = xml::NullOn::default();
    let mut style = csv::Style::of_parameters(media_type.as_str());
    if let Some(Value::Object(options)) = args.get(2) {
        for (name, value) in options.entries() {
            let value = coerce::text(value)?;
            match (&**name, &*value) {
                ("nullValueOn", "blank") => null_on = xml::NullOn::Blank,
                ("nullValueOn", "empty") => null_on = xml::NullOn::Empty,
                ("nullValueOn", "none") => null_on = xml::NullOn::None,
                (name, value) if style.set(name, value).is_some() => {}
                // Options that affect how the text is read, but not the value.
                ("streaming" | "indexedReader" | "optimizeFor" | "supportDtd", _) => {}
                _ => {
                    return Err(EvalFault::new(format!(
                        "the option `{name}` of `read` is not supported"
                    )));
                }
            }
        }
    }
    match (&args[0], media_type.format()) {
        (_, Format::Java) => {}
        (Value::String(text), _) => run.read(text.len().saturating_mul(16))?,
        (Value::Binary(bytes), _) => run.read(bytes.len().saturating_mul(16))?,
        (other, _) => return Err(misfit("read", "a text", other)),
    }
    if let (Value::String(text), Format::Bytes) = (&args[0], media_type.format()) {
        return Ok(Value::bytes(text.as_bytes().to_vec()));
    }
    match (&args[0], media_type.format()) {
        (Value::String(text), Format::Xml) => return xml::read(text, null_on),
        (Value::String(text), Format::Csv) => return csv::read(text, style),
        _ => {}
    }
    Typed {
        value: args[0].clone(),
        media_type,
    }
    .read()
}

fn write(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let media_type = format("write", args.get(1))?;
    let mut layout = Layout::default();
    if let Some(Value::Object(options)) = args.get(2) {
        for (name, value) in options.entries() {
            header::set(&mut layout, name, value).map_err(|mend| {
                EvalFault::new(format!(
                    "the option `{name}` of `write` cannot be that: {mend}"
                ))
            })?;
        }
    }
    let written = output::text(&args[0], &media_type, layout)?;
    if let Value::String(text) = &written {
        run.text(text.len())?;
    }
    Ok(written)
}

fn days_between(run: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    let date = |value: &Value| {
        use crate::value::Kind;
        let zone = run.context.zone;
        let value = match value {
            Value::String(_) => coerce::to_kind(value, Kind::Date, zone)
                .or_else(|_| coerce::to_kind(value, Kind::DateTime, zone))?,
            _ => value.clone(),
        };
        match coerce::to_kind(&value, Kind::Date, zone)? {
            Value::Date(date) => Ok(date),
            other => Err(misfit("daysBetween", "dates", &other)),
        }
    };
    let (from, to) = (date(&args[0])?, date(&args[1])?);
    Ok((from.duration_until(to).as_hours() / 24).into())
}

fn is_leap_year(_: &mut Run<'_>, args: &[Value]) -> Coerced<Value> {
    Ok(match &args[0] {
        Value::DateTime(at) => at.in_leap_year(),
        Value::LocalDateTime(at) => at.in_leap_year(),
        Value::Date(date) => date.in_leap_year(),
        other => return Err(misfit("isLeapYear", "a date", other)),
    }
    .into())
}
