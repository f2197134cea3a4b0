//! Bodies of messages: what a value is sent as, and what a body that came is to a flow.

use std::sync::Arc;

use bytes::Bytes;

use super::app::Compat;
use super::dataweave::{EvalFault, coerce};
use super::form;
use super::json::{self, Layout};
use super::media::{Format, MediaType, Typed};
use super::value::{Object, Value};

/// A value as a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What `Content-Type` says; `None`: nothing is known of it, and there is none.
    pub media_type: Option<MediaType>,
    /// The body; empty for null.
    pub body: Bytes,
}

impl Typed {
    /// What the value is sent as, by a listener as well as by a request.
    ///
    /// A text and bytes go as they stand. What has no text of its own is written in its media type;
    /// where that is `application/java`, which no client reads, objects and arrays go as JSON and the
    /// rest as text. In [`Compat::Strict`] a text of `application/java` keeps that name, as in Mule.
    ///
    /// # Errors
    /// Where the value cannot be written in its media type.
    pub fn sent(&self, compat: Compat) -> Result<Sent, EvalFault> {
        let named = |name: &MediaType| (name.as_str() != "*/*").then(|| name.clone());
        let format = self.media_type.format();
        let java = format == Format::Java;
        let plain = || Some(MediaType::new("text/plain"));
        let (media_type, body) = match &self.value {
            Value::Null => (None, Bytes::new()),
            Value::String(text) => {
                let media_type = match compat {
                    Compat::Intent if java => plain(),
                    _ => named(&self.media_type),
                };
                (media_type, Bytes::copy_from_slice(text.as_bytes()))
            }
            Value::Binary(bytes) if java => {
                let media_type = MediaType::new("application/octet-stream");
                (Some(media_type), bytes.clone())
            }
            Value::Binary(bytes) => (named(&self.media_type), bytes.clone()),
            Value::Object(object) if format == Format::Form => {
                (named(&self.media_type), pairs(object)?.into())
            }
            Value::Array(_) | Value::Object(_) => {
                let unnamed = java || self.media_type.as_str() == "*/*";
                let media_type = if unnamed {
                    Some(MediaType::json())
                } else {
                    named(&self.media_type)
                };
                (
                    media_type,
                    json::write(&self.value, Layout::default())?.into(),
                )
            }
            value => {
                let text = coerce::text(value)?;
                let media_type = if java {
                    plain()
                } else {
                    named(&self.media_type)
                };
                (media_type, Bytes::copy_from_slice(text.as_bytes()))
            }
        };
        Ok(Sent { media_type, body })
    }

    /// A body that came, under the `Content-Type` that it came with; without one nothing is known of
    /// it (`*/*`). A body that is UTF-8 is a text, and any other stays bytes.
    pub fn received(body: Bytes, media_type: Option<&str>) -> Typed {
        let media_type = media_type.map_or_else(MediaType::any, MediaType::new);
        let value = match std::str::from_utf8(&body) {
            Ok(text) if is_utf8(&media_type) => Value::text(text),
            _ => Value::Binary(body),
        };
        Typed { value, media_type }
    }
}

fn pairs(object: &Object) -> Result<String, EvalFault> {
    let mut pairs: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    for (key, value) in object.entries() {
        pairs.push((key.clone(), coerce::text(value)?));
    }
    Ok(form::write(&pairs))
}

/// Whether a media type's texts are UTF-8: one that names another charset goes on as it came.
fn is_utf8(media_type: &MediaType) -> bool {
    let mut parameters = media_type.as_str().split(';').skip(1);
    let charset = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"').to_ascii_lowercase();
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    });
    charset.is_none_or(|charset| matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: Value, media_type: &str, compat: Compat) -> (Option<String>, String) {
        let media_type = MediaType::new(media_type);
        let sent = Typed { value, media_type }.sent(compat).unwrap();
        let media_type = sent.media_type.map(|it| it.as_str().to_owned());
        (media_type, String::from_utf8(sent.body.into()).unwrap())
    }

    fn intent(value: Value, media_type: &str) -> (Option<String>, String) {
        sent(value, media_type, Compat::Intent)
    }

    fn typed(media_type: &str, body: &str) -> (Option<String>, String) {
        (Some(media_type.to_owned()), body.to_owned())
    }

    #[test]
    fn a_text_goes_as_it_stands_and_only_under_a_name_that_says_something() {
        let json = r#"{"a":1}"#;
        assert_eq!(
            intent(json.into(), "application/json"),
            typed("application/json", json)
        );
        assert_eq!(intent("x".into(), "*/*"), (None, "x".to_owned()));
        assert_eq!(
            intent(Value::Null, "application/json"),
            (None, String::new())
        );
    }

    #[test]
    fn a_value_of_java_goes_as_json_or_as_text() {
        let java = "application/java";
        let object = Value::object(vec![("a".into(), 1.into())]);
        let shown = "{\n  \"a\": 1\n}";
        assert_eq!(
            intent(object.clone(), java),
            typed("application/json", shown)
        );
        assert_eq!(intent("x".into(), java), typed("text/plain", "x"));
        assert_eq!(intent(7.into(), java), typed("text/plain", "7"));
        assert_eq!(sent("x".into(), java, Compat::Strict), typed(java, "x"));
        let form = "application/x-www-form-urlencoded";
        assert_eq!(intent(object.clone(), form), typed(form, "a=1"));
        assert_eq!(intent(object, "text/plain"), typed("text/plain", shown));
    }

    #[test]
    fn a_body_is_a_text_where_it_is_one() {
        let value = |bytes: &'static [u8], media_type| {
            Typed::received(Bytes::from_static(bytes), media_type).value
        };
        assert_eq!(value(b"x", None), "x".into());
        assert_eq!(value(b"", Some("application/json")), "".into());
        let latin = Some("text/plain; charset=ISO-8859-1");
        assert_eq!(value(b"x", latin).kind(), super::super::Kind::Binary);
        assert_eq!(value(b"\xff", None).kind(), super::super::Kind::Binary);
        let utf8 = Some("text/plain; Charset=\"UTF-8\"");
        assert_eq!(value("é".as_bytes(), utf8), "é".into());
    }
}
