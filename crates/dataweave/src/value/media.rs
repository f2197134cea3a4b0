//! Values with their media types.

use std::sync::Arc;

use super::{form, json};
use crate::fault::EvalFault;
use crate::value::Value;

/// A media type, `application/json; charset=UTF-8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(Arc<str>);

/// How a media type's texts are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON: `application/json`, `text/json`, `application/problem+json`.
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `text/plain`
    Text,
    /// `application/java`: values as they are, with no text.
    Java,
    /// Anything else: a text or bytes that nobody looks into.
    Opaque,
}

impl MediaType {
    /// The media type of that text.
    pub fn new(text: impl Into<Arc<str>>) -> MediaType {
        MediaType(text.into())
    }

    /// `application/java`: that of a value without a text.
    pub fn java() -> MediaType {
        MediaType::new("application/java")
    }

    /// `application/json`
    pub fn json() -> MediaType {
        MediaType::new("application/json")
    }

    /// `*/*`: that of a literal text in an attribute.
    pub fn any() -> MediaType {
        MediaType::new("*/*")
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its parameters, in lower case.
    pub fn essence(&self) -> String {
        let essence = self.0.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    }

    pub(crate) fn format(&self) -> Format {
        match self.essence().as_str() {
            "application/json" | "text/json" => Format::Json,
            "application/x-www-form-urlencoded" => Format::Form,
            "text/plain" => Format::Text,
            "application/java" => Format::Java,
            essence if essence.ends_with("+json") => Format::Json,
            _ => Format::Opaque,
        }
    }
}

/// A value and its media type.
///
/// A text or bytes of a media type that has a reader are the value's text, not the value: a
/// `application/json` string `{"a":1}` is an object to an expression, and what goes over the wire is
/// the string.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    /// The value, or its text.
    pub value: Value,
    /// What it is.
    pub media_type: MediaType,
}

impl Typed {
    /// A value as it is, `application/java`.
    pub fn java(value: impl Into<Value>) -> Typed {
        Typed {
            value: value.into(),
            media_type: MediaType::java(),
        }
    }

    /// A literal text, `*/*`.
    pub fn literal(text: impl Into<Arc<str>>) -> Typed {
        Typed {
            value: Value::text(text),
            media_type: MediaType::any(),
        }
    }

    /// The value that an expression sees.
    ///
    /// # Errors
    /// Where the text is not of its media type.
    pub fn read(&self) -> Result<Value, EvalFault> {
        let text = match (&self.value, self.media_type.format()) {
            (Value::String(text), Format::Json | Format::Form) => text.clone(),
            (Value::Binary(bytes), Format::Json | Format::Form | Format::Text) => utf8(bytes)?,
            _ => return Ok(self.value.clone()),
        };
        match self.media_type.format() {
            Format::Json => json::read(&text),
            Format::Form => Ok(form::read(&text)),
            _ => Ok(Value::String(text)),
        }
    }
}

/// Bytes as text.
pub(crate) fn utf8(bytes: &[u8]) -> Result<Arc<str>, EvalFault> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(EvalFault::new(format!(
            "the bytes are no UTF-8 from byte {} on",
            error.valid_up_to()
        ))),
    }
}
