//! A value as the bytes of an HTTP message.

use std::sync::Arc;

use bytes::Bytes;

use super::app::Compat;
use super::dataweave::{EvalFault, coerce};
use super::json::{self, Layout};
use super::media::{Format, Typed};
use super::value::Value;

/// The bytes of an HTTP message, and what they are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes; none for null and the empty text.
    pub bytes: Bytes,
    /// The `Content-Type`; `None`: none is sent, as for a literal text.
    pub content_type: Option<Arc<str>>,
}

impl Typed {
    /// The value as the body of a request or response.
    ///
    /// Arrays and objects that have no text are written in JSON. Mule would serialise them as Java
    /// does and call all that `application/java`; [`Compat::Intent`] calls it `application/json`, and
    /// texts without a media type of their own `text/plain`.
    ///
    /// # Errors
    /// Where it has no text.
    pub fn body(&self, compat: Compat) -> Result<Body, EvalFault> {
        let java = self.media_type.format() == Format::Java;
        let (bytes, plain) = match &self.value {
            Value::Null => (Bytes::new(), None),
            Value::Binary(bytes) => (bytes.clone(), Some("application/octet-stream")),
            Value::Array(_) | Value::Object(_) => (
                json::write(&self.value, Layout::default())?.into(),
                Some("application/json"),
            ),
            scalar => {
                let text = coerce::text(scalar)?;
                (Bytes::from(text.as_bytes().to_vec()), Some("text/plain"))
            }
        };
        let content_type = match (plain, self.media_type.essence().as_str()) {
            (None, _) | (_, "*/*") => None,
            (Some(plain), _) if java && compat == Compat::Intent => Some(plain.into()),
            _ => Some(self.media_type.as_str().into()),
        };
        Ok(Body {
            bytes,
            content_type,
        })
    }
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
        assert_eq!(
            body(&Typed::literal("p"), Compat::Intent),
            ("p".into(), None)
        );
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
        assert_eq!(
            body(&Typed::java(Value::Null), Compat::Intent),
            (String::new(), None)
        );
    }
}
