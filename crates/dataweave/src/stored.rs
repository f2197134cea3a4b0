//! The stored form of a value with its media type.
//!
//! The form is a JSON text, `{"mediaType":"*/*","value":"OPEN"}`, so that a person can read a store. Null, booleans,
//! numbers, texts, arrays and objects stand for themselves; any other kind is an object with one member,
//! `{"$DateTime":"…"}`, and so is an object whose first key begins with `$`.

use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use crate::fault::EvalFault;
use crate::limits::VALUE_DEPTH_MAX;
use crate::value::iso;
use crate::value::json::{self, Layout};
use crate::value::media::{MediaType, Typed};
use crate::value::period::Period;
use crate::value::regex::Pattern;
use crate::value::{Form, Kind, Object, Value};

/// The media type of stored values.
pub const STORED: &str = "application/vnd.fusebox.mule+json";

impl Typed {
    /// The value in its stored form.
    ///
    /// # Errors
    /// If the value is nested too deep, or if its text is too long.
    pub fn to_stored(&self) -> Result<Vec<u8>, EvalFault> {
        if let Some(stored) = self.plain_stored() {
            return Ok(stored);
        }
        let envelope = Value::record([
            ("mediaType", self.media_type.as_str().into()),
            ("value", tagged(&self.value)),
        ]);
        if envelope.nesting().depth > VALUE_DEPTH_MAX {
            return Err(EvalFault::new(format!(
                "the value cannot be stored: it has more than {VALUE_DEPTH_MAX} \
                 nested arrays and objects"
            )));
        }
        json::write(&envelope, Layout::ON_ONE_LINE).map(String::into_bytes)
    }

    /// Reads a value from its stored form.
    ///
    /// # Errors
    /// If the bytes are not a stored value.
    pub fn from_stored(bytes: &[u8]) -> Result<Typed, EvalFault> {
        let fault = || EvalFault::new("the bytes are not a stored value");
        let text = std::str::from_utf8(bytes).map_err(|_| fault())?;
        if let Some(typed) = plain_text(text) {
            return Ok(typed);
        }
        let Value::Object(envelope) = json::read(text)? else {
            return Err(fault());
        };
        let (Some(Value::String(media_type)), Some(value)) =
            (envelope.get("mediaType"), envelope.get("value"))
        else {
            return Err(fault());
        };
        Ok(Typed {
            value: untagged(value).ok_or_else(fault)?,
            media_type: MediaType::named(media_type),
        })
    }

    /// The stored form of a text that JSON writes as it is; `None` for any other value.
    fn plain_stored(&self) -> Option<Vec<u8>> {
        let Value::String(text) = &self.value else {
            return None;
        };
        let media_type = self.media_type.as_str();
        if !is_plain(text) || !is_plain(media_type) {
            return None;
        }
        let parts = [BEGIN, media_type, MIDDLE, text, END];
        Some(parts.concat().into_bytes())
    }
}

/// The parts of the stored form of a text, around its media type and the text.
const BEGIN: &str = r#"{"mediaType":""#;
const MIDDLE: &str = r#"","value":""#;
const END: &str = r#""}"#;

/// The longest text that is stored and read without the general way, which knows the limits.
const PLAIN_MAX: usize = 4096;

/// True if JSON writes a text unchanged. A text with characters that are escaped or beyond ASCII takes the general way.
fn is_plain(text: &str) -> bool {
    let is_itself = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    text.len() <= PLAIN_MAX && text.bytes().all(is_itself)
}

/// The value of the stored form of such a text.
fn plain_text(stored: &str) -> Option<Typed> {
    let rest = stored.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let (media_type, text) = rest.split_once(MIDDLE)?;
    (is_plain(media_type) && is_plain(text)).then(|| Typed {
        value: Value::text(text),
        media_type: MediaType::named(media_type),
    })
}

/// The tags of objects by their form.
const FORMS: [(Form, &str); 5] = [
    (Form::Headers, "Headers"),
    (Form::Parameters, "Parameters"),
    (Form::ErrorType, "ErrorType"),
    (Form::Message, "Message"),
    (Form::Plain, "Object"),
];

fn tag(name: &str, value: Value) -> Value {
    Value::object(vec![(format!("${name}").into(), value)])
}

/// The value with other kinds as tagged objects.
fn tagged(value: &Value) -> Value {
    let text = |text: String| tag(value.kind().name(), text.into());
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        Value::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(utf8) => tag("Utf8", utf8.into()),
            Err(_) => text(BASE64_STANDARD.encode(&**bytes)),
        },
        Value::DateTime(zoned) => text(zoned.to_string()),
        Value::LocalDateTime(at) => text(at.to_string()),
        Value::Date(date) => text(date.to_string()),
        Value::LocalTime(time) => text(time.to_string()),
        Value::Time(..) | Value::Zone(_) => text(iso::show(value).unwrap_or_default()),
        Value::Period(period) => text(period.to_string()),
        Value::Regex(pattern) => text(pattern.source().to_owned()),
        Value::Type(kind) => text(kind.name().to_owned()),
        Value::Array(array) => Value::array(array.items().iter().map(tagged).collect()),
        Value::Object(object) => {
            let entries = object.entries().iter();
            let entries = entries.map(|(key, value)| (key.name().clone(), tagged(value)));
            let entries = Value::object(entries.collect());
            let first = object.entries().first();
            let is_plain = object.form() == Form::Plain;
            if is_plain && !first.is_some_and(|(key, _)| key.starts_with('$')) {
                return entries;
            }
            let form = FORMS.iter().find(|(form, _)| *form == object.form());
            tag(form.map_or("", |(_, name)| name), entries)
        }
        Value::Selected(selected) => tagged(&selected.value),
        // Functions live within one evaluation and are never stored.
        Value::Function(_) => Value::Null,
    }
}

/// The value of a form made by [`tagged`].
fn untagged(value: &Value) -> Option<Value> {
    let object = match value {
        Value::Array(array) => {
            let items = array.items().iter().map(untagged);
            return items.collect::<Option<_>>().map(Value::array);
        }
        Value::Object(object) => object,
        plain => return Some(plain.clone()),
    };
    let first = object.entries().first();
    let Some(name) = first.and_then(|(key, _)| key.strip_prefix('$')) else {
        return entries(object, Form::Plain);
    };
    let inner = match &object.entries()[0].1 {
        Value::Object(object) => {
            let form = FORMS.iter().find(|(_, known)| *known == name);
            return entries(object, form?.0);
        }
        Value::String(text) => text,
        _ => return None,
    };
    if name == "Utf8" {
        return Some(Value::bytes(Bytes::copy_from_slice(inner.as_bytes())));
    }
    let kind = Kind::named(name)?;
    of_text(kind, inner)
}

fn entries(object: &Object, form: Form) -> Option<Value> {
    let entries = object.entries().iter();
    let entries = entries.map(|(key, value)| Some((key.name().clone(), untagged(value)?)));
    let entries = entries.collect::<Option<_>>()?;
    Some(Value::formed(entries, form))
}

fn of_text(kind: Kind, text: &str) -> Option<Value> {
    fn parse<T: FromStr>(text: &str) -> Option<T> {
        text.parse().ok()
    }
    Some(match kind {
        Kind::Binary => Value::bytes(BASE64_STANDARD.decode(text).ok()?),
        Kind::DateTime => Value::DateTime(Arc::new(parse(text)?)),
        Kind::LocalDateTime => Value::LocalDateTime(parse(text)?),
        Kind::Date => Value::Date(parse(text)?),
        Kind::LocalTime => Value::LocalTime(parse(text)?),
        Kind::Time => iso::whole_time(text).filter(|time| time.kind() == kind)?,
        Kind::TimeZone => Value::Zone(iso::zone(text)?),
        Kind::Period => Value::period(Period::parse(text)?),
        Kind::Regex => Value::Regex(Pattern::new(text).ok()?),
        Kind::Type => Value::Type(Kind::named(text)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::number::Number;
    use proptest::prelude::*;

    fn again(value: Value) -> Value {
        let typed = Typed::java(value);
        let stored = typed.to_stored().unwrap();
        Typed::from_stored(&stored).unwrap().value
    }

    #[test]
    fn a_person_can_read_it() {
        let stored = Typed::literal("OPEN").to_stored().unwrap();
        assert_eq!(stored, br#"{"mediaType":"*/*","value":"OPEN"}"#);
    }

    #[test]
    fn a_text_is_stored_the_same_by_the_short_way_and_by_the_general_one() {
        let texts = [
            "",
            "OPEN",
            "a\"b",
            "a\\b",
            "\u{7f}",
            "\n",
            "é",
            "</script>",
            "\",\"value\":\"",
        ];
        for media_type in ["*/*", "a/b; c=\"d\""] {
            for text in texts {
                let typed = Typed {
                    value: text.into(),
                    media_type: MediaType::new(media_type),
                };
                let stored = typed.to_stored().unwrap();
                let parts = [("mediaType", media_type.into()), ("value", text.into())];
                let general = json::write(&Value::record(parts), Layout::ON_ONE_LINE).unwrap();
                assert_eq!(std::str::from_utf8(&stored).unwrap(), general);
                assert_eq!(Typed::from_stored(&stored).unwrap(), typed);
            }
        }
        let spaced = br#"{"mediaType": "*/*", "value":"OPEN"}"#;
        assert_eq!(Typed::from_stored(spaced).unwrap(), Typed::literal("OPEN"));
    }

    #[test]
    fn a_number_and_its_text_stay_apart() {
        assert_eq!(again(1.into()), Value::from(1));
        assert_eq!(again("1".into()), Value::from("1"));
    }

    #[test]
    fn every_kind_comes_back() {
        let zoned: jiff::Zoned = "2026-01-02T03:04:05.000000006+01:00[Europe/Paris]"
            .parse()
            .unwrap();
        let all = [
            Value::Null,
            true.into(),
            Number::parse("12345678901234567890.125").unwrap().into(),
            Value::bytes(Bytes::from_static(b"\xff\x00")),
            Value::bytes(Bytes::from_static(b"{\"a\":1}")),
            Value::Zone(zoned.time_zone().clone()),
            Value::Date(zoned.date()),
            Value::LocalTime(zoned.time()),
            Value::Time(zoned.time(), zoned.offset()),
            Value::LocalDateTime(zoned.datetime()),
            Value::DateTime(zoned.into()),
            Value::period(Period::parse("P1Y2M3DT4H5M6.5S").unwrap()),
            Value::Regex(Pattern::new("a+").unwrap()),
            Value::Type(Kind::DateTime),
        ];
        for value in all {
            assert_eq!(again(value.clone()), value, "{value:?}");
        }
    }

    #[test]
    fn headers_still_match_in_any_case() {
        let headers = Object::new(vec![("content-type".into(), "a".into())], Form::Headers);
        let Value::Object(back) = again(Value::Object(Arc::new(headers))) else {
            panic!("no object came back");
        };
        assert_eq!(back.get("Content-Type"), Some(&"a".into()));
    }

    #[test]
    fn a_message_is_written_as_its_payload_and_comes_back_whole() {
        let entries = vec![
            ("payload".into(), 1.into()),
            ("attributes".into(), Value::Null),
        ];
        let message = Value::Object(Arc::new(Object::new(entries, Form::Message)));
        assert_eq!(message.shown().as_deref(), Ok("1"));
        assert_eq!(again(message.clone()), message);
    }

    #[test]
    fn what_nests_too_deep_is_refused_and_not_lost() {
        let deep = (0..250).fold(Value::Null, |inner, _| Value::array(vec![inner]));
        assert!(Typed::java(deep).to_stored().is_err());
    }

    #[test]
    fn bytes_of_another_make_are_refused() {
        for bytes in [&b"OPEN"[..], b"{}", b"{\"mediaType\":\"*/*\"}", b"\xff"] {
            assert!(Typed::from_stored(bytes).is_err());
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..8).prop_map(Value::bytes),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let entries = prop::collection::vec(("[$a-c]{0,2}", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::array),
                entries.prop_map(|entries| {
                    let entries = entries.into_iter();
                    Value::object(entries.map(|(key, value)| (key.into(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(value in any_value()) {
            prop_assert_eq!(again(value.clone()), value);
        }
    }
}
