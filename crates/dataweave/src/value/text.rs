//! Values as text, and values in error messages.

use std::sync::Arc;

use super::{Kind, Value, iso, media};
use crate::fault::EvalFault;
use crate::limits::TEXT_MAX;

/// The number of characters of a value that an error message shows.
const SHOWN_MAX: usize = 100;

pub(crate) type Coerced<T> = Result<T, EvalFault>;

/// The value as a text: numbers without trailing zeros, dates by ISO 8601.
pub(crate) fn text(value: &Value) -> Coerced<Arc<str>> {
    let value = value.plain();
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Bool(bool) => if *bool { "true" } else { "false" }.into(),
        Value::Number(number) => number.to_string().into(),
        Value::Binary(bytes) => media::utf8(bytes)?,
        Value::Regex(pattern) => pattern.source().into(),
        Value::Type(kind) => kind.name().into(),
        Value::Object(object) => match (object.error_type(), object.message_payload()) {
            (Some(name), _) => name.into(),
            (None, Some(payload)) => text(payload)?,
            (None, None) => return Err(cannot(value, Kind::String)),
        },
        _ => match iso::show(value) {
            Some(text) => text.into(),
            None => return Err(cannot(value, Kind::String)),
        },
    })
}

/// Checks the length of a text, in bytes, against the limit.
pub(crate) fn check_text(bytes: usize) -> Coerced<()> {
    if bytes > TEXT_MAX {
        let what = format!("the expression makes a text of more than {TEXT_MAX} bytes");
        return Err(EvalFault::new(what));
    }
    Ok(())
}

/// The error for a value that cannot be converted to a kind.
pub(crate) fn cannot(value: &Value, kind: Kind) -> EvalFault {
    EvalFault::new(format!("{} cannot become {kind}", shown(value)))
}

/// The error for a value of a wrong kind: `what` was expected.
pub(crate) fn unfit(what: impl std::fmt::Display, value: &Value) -> EvalFault {
    EvalFault::new(format!("{what}, found {}", shown(value)))
}

/// A value as error messages show it: `String ("abc")`.
pub(crate) fn shown(value: &Value) -> String {
    let value = value.plain();
    let text = match value {
        Value::Array(array) => return format!("Array of {}", array.items().len()),
        Value::Object(object) => {
            let keys = object.entries().iter().take(5).map(|(key, _)| &**key);
            format!("{{{}}}", keys.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => {
            let start: String = text.chars().take(SHOWN_MAX + 1).collect();
            format!("{start:?}")
        }
        Value::Null => return "Null".to_owned(),
        Value::Function(_) => return "a Function".to_owned(),
        _ => match text(value) {
            Ok(text) => text.to_string(),
            Err(_) => return value.kind().to_string(),
        },
    };
    let text = match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    format!("{} ({text})", value.kind())
}
