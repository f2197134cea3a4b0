//! Conversion between values and the bodies of HTTP messages.

use std::sync::Arc;

use bytes::Bytes;

use crate::fault::EvalFault;
use crate::script::coerce;
use crate::value::Value;
use crate::value::csv;
use crate::value::form;
use crate::value::json::{self, Layout};
use crate::value::media::{Format, MediaType, Typed};
use crate::value::xml;

/// The rules by which a file is understood: Mule's, or those that its author evidently meant (`--compat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compat {
    /// The rules of Mule 4.4.
    Strict,
    /// Mule's rules, except where published flows rely on deviations. Each use is a warning.
    #[default]
    Intent,
}

/// The body of an HTTP message with its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes; empty for null and the empty text.
    pub bytes: Bytes,
    /// The `Content-Type`; `None`: the header is not sent, as for a literal text.
    pub content_type: Option<Arc<str>>,
}

impl Typed {
    /// The value as the body of a request or response.
    ///
    /// An object with a form's media type is written as a form; other arrays and objects are written in JSON. Mule
    /// would serialise the latter as Java does, with the media type `application/java`; [`Compat::Intent`] declares
    /// `application/json`, and `text/plain` for texts without a media type of their own.
    ///
    /// # Errors
    /// If the value has no text.
    pub fn body(&self, compat: Compat) -> Result<Body, EvalFault> {
        let java = self.media_type.format() == Format::Java;
        let (bytes, plain) = match &self.value {
            Value::Null => (Bytes::new(), None),
            Value::Binary(bytes) => (Bytes::clone(bytes), Some("application/octet-stream")),
            Value::Object(object) if self.media_type.format() == Format::Form => {
                (form::write(object)?.into(), Some(""))
            }
            Value::Object(_) if self.media_type.format() == Format::Xml => {
                let layout = Layout::default();
                (
                    xml::write(&self.value, layout.indent, layout.xml)?.into(),
                    Some(""),
                )
            }
            Value::Array(_) if self.media_type.format() == Format::Csv => {
                (csv::write(&self.value, csv::Style::PLAIN)?.into(), Some(""))
            }
            Value::Array(_) | Value::Object(_) => (
                json::write(&self.value, Layout::default())?.into(),
                Some("application/json"),
            ),
            scalar => {
                let text = coerce::text(scalar)?;
                (Bytes::from(text.as_bytes().to_vec()), Some("text/plain"))
            }
        };
        let content_type = match plain {
            None => None,
            Some(_) if self.media_type.is("*/*") => None,
            Some(plain) if java && compat == Compat::Intent => Some(plain.into()),
            _ => Some(self.media_type.as_str().into()),
        };
        Ok(Body {
            bytes,
            content_type,
        })
    }

    /// A received body with its `Content-Type`; without one its media type is `*/*`. A UTF-8 body becomes a text, any
    /// other stays binary.
    pub fn received(body: Bytes, media_type: Option<&str>) -> Typed {
        let media_type = media_type.map_or_else(MediaType::any, MediaType::named);
        let value = match std::str::from_utf8(&body) {
            Ok(text) if is_utf8(&media_type) => Value::text(text),
            _ => Value::bytes(body),
        };
        Typed { value, media_type }
    }
}

/// True if texts of a media type are UTF-8; a body in another charset is passed through as it is.
fn is_utf8(media_type: &MediaType) -> bool {
    let charset = media_type.charset();
    let utf8 = ["utf-8", "utf8", "us-ascii"];
    utf8.iter().any(|name| charset.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(typed: &Typed, compat: Compat) -> (String, Option<String>) {
        let body = typed.body(compat).unwrap();
        let text = String::from_utf8(body.bytes.to_vec()).unwrap();
        (text, body.content_type.map(|text| text.to_string()))
    }

    #[test]
    fn a_literal_text_has_no_content_type() {
        let literal = Typed::literal("p");
        assert_eq!(body(&literal, Compat::Intent), ("p".into(), None));
    }

    #[test]
    fn values_without_a_text_are_json_or_plain() {
        let object = Typed::java(Value::object(vec![("a".into(), 1.into())]));
        let json = (
            "{\n  \"a\": 1\n}".to_owned(),
            Some("application/json".into()),
        );
        assert_eq!(body(&object, Compat::Intent), json);
        let plain = ("7".to_owned(), Some("text/plain".to_owned()));
        assert_eq!(body(&Typed::java(7), Compat::Intent), plain);
        let strict = ("7".to_owned(), Some("application/java".to_owned()));
        assert_eq!(body(&Typed::java(7), Compat::Strict), strict);
        let null = Typed::java(Value::Null);
        assert_eq!(body(&null, Compat::Intent), (String::new(), None));
    }

    #[test]
    fn an_object_that_is_called_a_form_is_one() {
        let form = "application/x-www-form-urlencoded";
        let pair = ("a".into(), "b c".into());
        let typed = Typed {
            value: Value::object(vec![pair]),
            media_type: MediaType::new(form),
        };
        let sent = ("a=b+c".to_owned(), Some(form.to_owned()));
        assert_eq!(body(&typed, Compat::Intent), sent);
    }

    #[test]
    fn a_body_is_a_text_where_it_is_one() {
        let value = |bytes: &'static [u8], media_type| {
            Typed::received(Bytes::from_static(bytes), media_type).value
        };
        assert_eq!(value(b"x", None), "x".into());
        assert_eq!(value(b"", Some("application/json")), "".into());
        let latin = Some("text/plain; charset=ISO-8859-1");
        assert_eq!(value(b"x", latin).kind(), crate::value::Kind::Binary);
        assert_eq!(value(b"\xff", None).kind(), crate::value::Kind::Binary);
        let utf8 = Some("text/plain; Charset=\"UTF-8\"");
        assert_eq!(value("é".as_bytes(), utf8), "é".into());
    }
}
