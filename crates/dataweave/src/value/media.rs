//! Media types, and values with media types.

use std::sync::Arc;

use super::{csv, form, json, xml};
use crate::fault::EvalFault;
use crate::script::data;
use crate::value::Value;

/// A media type, `application/json; charset=UTF-8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(Arc<str>);

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
        MediaType(text.into())
    }

    /// `application/java`, the media type of values without a text.
    pub fn java() -> MediaType {
        MediaType::new("application/java")
    }

    /// `application/json`, the media type of JSON texts.
    pub fn json() -> MediaType {
        MediaType::new("application/json")
    }

    /// `*/*`, the media type of a literal text in an attribute.
    pub fn any() -> MediaType {
        MediaType::new("*/*")
    }

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type without parameters, in lower case.
    pub fn essence(&self) -> String {
        let essence = self.0.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }

    /// The charset of its texts, `UTF-8` unless a parameter names another.
    pub(crate) fn charset(&self) -> String {
        let mut parameters = self.0.split(';').skip(1);
        let charset = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim().trim_matches('"').to_owned();
            name.trim().eq_ignore_ascii_case("charset").then_some(value)
        });
        charset.unwrap_or_else(|| "UTF-8".to_owned())
    }

    pub(crate) fn format(&self) -> Format {
        match self.essence().as_str() {
            "application/json" | "text/json" => Format::Json,
            "application/x-www-form-urlencoded" => Format::Form,
            "text/plain" => Format::Text,
            "application/csv" | "text/csv" => Format::Csv,
            "application/dw" => Format::Dw,
            "application/octet-stream" => Format::Bytes,
            "application/java" => Format::Java,
            essence if essence.ends_with("+json") => Format::Json,
            essence if essence.ends_with("/xml") || essence.ends_with("+xml") => Format::Xml,
            _ => Format::Opaque,
        }
    }
}

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
