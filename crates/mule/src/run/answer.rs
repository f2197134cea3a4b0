//! The result of `http:request`: a message for an accepted response, otherwise an error.
//! ([HTTP connector](https://docs.mulesoft.com/http-connector/latest/http-documentation))

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};

use super::error::{Fault, Message, MuleError};
use super::outside::{Answer, SendFault};
use crate::app::ErrorType;
use crate::{Form, MediaType, Typed, Value};

/// The text of a header field: UTF-8, or Latin-1 if the bytes are not valid UTF-8.
pub(super) fn field_text(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect(),
    }
}

/// Header fields as an expression sees them: names in any case, each with all its values.
pub fn headers_value(headers: &HeaderMap) -> Value {
    let entries = headers.iter().map(|(name, value)| {
        let text: Arc<str> = field_text(value).into();
        (name.as_str().into(), Value::String(text))
    });
    Value::formed(entries.collect(), Form::Headers)
}

/// The message of a response. `media_type` is the one that the request sets for every answer.
pub(super) fn message(answer: Answer, media_type: Option<&MediaType>) -> Message {
    let media_type = match media_type {
        Some(given) => Some(given.as_str().into()),
        None => answer.headers.get(CONTENT_TYPE).map(field_text),
    };
    let unknown = (!answer.body.is_empty()).then_some("application/octet-stream");
    let payload = Typed::received(answer.body, media_type.as_deref().or(unknown));
    let (status, reason, headers) = (answer.status, answer.reason, answer.headers);
    // Most flows never look at them.
    let attributes = Value::deferred(move || {
        vec![
            ("statusCode".into(), i64::from(status).into()),
            ("reasonPhrase".into(), reason.as_str().into()),
            ("headers".into(), headers_value(&headers)),
        ]
    });
    Message {
        payload,
        attributes,
    }
}

/// True if a response asks for a user and password, as it does without saying how, too.
pub(super) fn asks_for_user(answer: &Answer) -> bool {
    let mut ways = answer.headers.get_all(WWW_AUTHENTICATE).iter().peekable();
    let is_basic = |way: &HeaderValue| field_text(way).to_ascii_lowercase().contains("basic");
    answer.status == 401 && (ways.peek().is_none() || ways.any(is_basic))
}

/// The error of a request without a response.
pub(super) fn unanswered(resource: &str, fault: &SendFault) -> Fault {
    let kind = match fault {
        SendFault::Connectivity(_) => "HTTP:CONNECTIVITY",
        SendFault::Timeout => "HTTP:TIMEOUT",
        SendFault::Parsing(_) => "HTTP:PARSING",
    };
    MuleError::new(kind, format!("{resource}: {fault}.")).into()
}

/// The error of a response whose status is an error. `sent` is the request's media type.
pub(super) fn rejected(resource: &str, status: u16, sent: &str, message: Message) -> MuleError {
    let kind = ErrorType::of_status(status).unwrap_or_else(|| ErrorType::new("MULE", "UNKNOWN"));
    let words = kind.identifier.to_ascii_lowercase().replace('_', " ");
    let description = match status {
        _ if kind.is_unknown() => format!("{resource} with status code {status}."),
        415 => format!("{resource}: media type {sent} not supported (415)."),
        _ => format!("{resource}: {words} ({status})."),
    };
    let mut error = MuleError::of(kind, description);
    error.message = Some(message);
    error
}
