//! Media types, and values with media types.

use std::fmt;
use std::sync::Arc;

use super::{csv, form, json, xml};
use crate::fault::EvalFault;
use crate::script::data;
use crate::value::Value;

/// A media type, `application/json; charset=UTF-8`.
#[derive(Clone)]
pub struct MediaType(Text);

/// A text that is copied without an allocation.
#[derive(Clone)]
enum Text {
    Known(&'static str),
    Other(Arc<str>),
}

/// The media types of most messages.
const KNOWN: [&str; 6] = [
    "application/json",
    "*/*",
    "application/java",
    "text/plain",
    "application/octet-stream",
    "application/xml",
];

impl PartialEq for MediaType {
    fn eq(&self, other: &MediaType) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for MediaType {}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MediaType").field(&self.as_str()).finish()
    }
}

/// The format of a media type's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON: `application/json`, `text/json`, `application/problem+json`.
    Json,
    /// XML: `application/xml`, `text/xml`, `application/soap+xml`.
    Xml,
    /// Tables: `application/csv`, `text/csv`.
    Csv,
    /// HTML forms: `application/x-www-form-urlencoded`.
    Form,
    /// Plain text: `text/plain`.
    Text,
    /// DataWeave's own form: `application/dw`.
    Dw,
    /// Bytes that are not interpreted: `application/octet-stream`.
    Bytes,
    /// Values without a text: `application/java`.
    Java,
    /// Any other format; its texts and bytes are not interpreted.
    Opaque,
}

impl MediaType {
    /// Makes a media type of its text.
    pub fn new(text: impl Into<Arc<str>>) -> MediaType {
        MediaType(Text::Other(text.into()))
    }

    /// The media type that a text names.
    pub fn named(text: &str) -> MediaType {
        let mut known = KNOWN.into_iter();
        MediaType(match known.find(|known| *known == text) {
            Some(known) => Text::Known(known),
            None => Text::Other(text.into()),
        })
    }

    /// `application/java`, the media type of values without a text.
    pub const fn java() -> MediaType {
        MediaType(Text::Known("application/java"))
    }

    /// `application/json`, the media type of JSON texts.
    pub const fn json() -> MediaType {
        MediaType(Text::Known("application/json"))
    }

    /// `*/*`, the media type of a literal text in an attribute.
    pub const fn any() -> MediaType {
        MediaType(Text::Known("*/*"))
    }

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Known(text) => text,
            Text::Other(text) => text,
        }
    }

    /// The type without parameters, in lower case.
    pub fn essence(&self) -> String {
        self.bare().to_ascii_lowercase()
    }

    /// The type without parameters, as it is written.
    fn bare(&self) -> &str {
        let text = self.as_str();
        text.find(';').map_or(text, |end| &text[..end]).trim()
    }

    /// True if that is the type without parameters, which is given in lower case.
    pub(crate) fn is(&self, essence: &str) -> bool {
        self.bare().eq_ignore_ascii_case(essence)
    }

    /// The charset of its texts, `UTF-8` unless a parameter names another.
    pub(crate) fn charset(&self) -> &str {
        let mut parameters = self.as_str().split(';').skip(1);
        let charset = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("charset").then_some(value)
        });
        charset.unwrap_or("UTF-8")
    }

    pub(crate) fn format(&self) -> Format {
        let bare = self.bare();
        // Most messages have one of these, written so.
        match bare {
            "*/*" => return Format::Opaque,
            "application/json" => return Format::Json,
            "application/java" => return Format::Java,
            _ => {}
        }
        let known = FORMATS.iter().find(|(name, _)| self.is(name));
        let ends = |end: &str| {
            let at = bare.len().checked_sub(end.len());
            let rest = at.and_then(|at| bare.as_bytes().get(at..));
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(end.as_bytes()))
        };
        match known {
            Some((_, format)) => *format,
            None if ends("+json") => Format::Json,
            None if ends("/xml") || ends("+xml") => Format::Xml,
            None => Format::Opaque,
        }
    }
}

/// The formats of media types, in lower case without parameters.
const FORMATS: [(&str, Format); 9] = [
    ("application/json", Format::Json),
    ("text/json", Format::Json),
    ("application/x-www-form-urlencoded", Format::Form),
    ("text/plain", Format::Text),
    ("application/csv", Format::Csv),
    ("text/csv", Format::Csv),
    ("application/dw", Format::Dw),
    ("application/octet-stream", Format::Bytes),
    ("application/java", Format::Java),
];

/// A value with its media type.
///
/// A text or binary value of a media type with a reader is the written form of the value: an `application/json` text
/// `{"a":1}` is an object to an expression, and the text is sent over the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    /// The value, or its written form.
    pub value: Value,
    /// The media type of the value.
    pub media_type: MediaType,
}

impl Typed {
    /// Makes a value of media type `application/java`.
    pub fn java(value: impl Into<Value>) -> Typed {
        Typed {
            value: value.into(),
            media_type: MediaType::java(),
        }
    }

    /// Makes a literal text, of media type `*/*`.
    pub fn literal(text: impl Into<Arc<str>>) -> Typed {
        Typed {
            value: Value::text(text),
            media_type: MediaType::any(),
        }
    }

    /// The value that an expression sees.
    ///
    /// # Errors
    /// If the text is not of its media type.
    pub fn read(&self) -> Result<Value, EvalFault> {
        let text = match (&self.value, self.media_type.format()) {
            (
                Value::String(text),
                Format::Json | Format::Xml | Format::Csv | Format::Form | Format::Dw,
            ) => text.clone(),
            (
                Value::Binary(bytes),
                Format::Json | Format::Xml | Format::Csv | Format::Form | Format::Dw | Format::Text,
            ) => utf8(bytes)?,
            _ => return Ok(self.value.clone()),
        };
        match self.media_type.format() {
            Format::Json => json::read(&text),
            Format::Xml => xml::read(&text, xml::NullOn::default()),
            Format::Csv => csv::read(&text, csv::Style::of_parameters(self.media_type.as_str())),
            Format::Form => Ok(form::read(&text)),
            Format::Dw => data(&text),
            _ => Ok(Value::String(text)),
        }
    }
}

/// Reads bytes as UTF-8 text.
pub(crate) fn utf8(bytes: &[u8]) -> Result<Arc<str>, EvalFault> {
    std::str::from_utf8(bytes).map(Arc::from).map_err(|error| {
        let valid = error.valid_up_to();
        EvalFault::new(format!("the bytes are not UTF-8 from byte {valid} on"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_in_any_case_and_with_parameters() {
        for (text, format) in [
            ("*/*", Format::Opaque),
            ("Application/JSON; charset=UTF-8", Format::Json),
            ("application/problem+Json", Format::Json),
            (" text/csv ;header=false", Format::Csv),
            ("image/svg+XML", Format::Xml),
            ("text/XML", Format::Xml),
            ("xml", Format::Opaque),
            ("é+json", Format::Json),
            ("application/JAVA", Format::Java),
            ("", Format::Opaque),
        ] {
            assert_eq!(MediaType::new(text).format(), format, "{text}");
            assert_eq!(MediaType::named(text).format(), format, "{text}");
        }
    }

    #[test]
    fn equal_texts_are_equal_however_they_came() {
        assert_eq!(MediaType::new("application/json"), MediaType::json());
        assert_eq!(MediaType::named("*/*"), MediaType::any());
        assert_ne!(MediaType::named("*/* "), MediaType::any());
    }
}
