//! Reads `respond:`, a fixed answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::draft::Reader;
use crate::diagnostic::{quote, value_of};
use crate::fields::{self, Fields};
use crate::keys;
use crate::plan::Respond;
use crate::tree::{Kind, Node, Style};

impl Reader<'_> {
    pub(super) fn respond(&mut self, node: &Node) -> Option<Respond> {
        let respond = Fields::open(node, &keys::RESPOND, self.notes)?;
        let code = value_of(&respond.whole("status", self.notes));
        let code = u16::try_from(code.unwrap_or(200)).unwrap_or(200);
        let mut headers = self.headers(&respond);
        let bodies: Vec<_> = ["text", "json", "body"]
            .into_iter()
            .filter_map(|key| respond.place(key))
            .collect();
        if let [_, second, ..] = bodies[..] {
            self.notes.error(
                second,
                "an answer has one body",
                "keep one of `text`, `json` and `body`",
            );
        }
        if let (Some(at), 204 | 205 | 304) = (bodies.first(), code) {
            self.notes.error(
                *at,
                format!("an answer with status {code} has no body"),
                "remove the body, or change the status",
            );
        }
        let mut body = Bytes::new();
        let mut media = None;
        if let Some(text) = respond.text("text", self.notes) {
            body = Bytes::from(text.value);
            media = Some("text/plain; charset=utf-8");
        }
        if let Some((_, json)) = respond.get("json") {
            body = Bytes::from(json_of(json).to_string());
            media = Some("application/json");
        }
        if let Some(text) = respond.text("body", self.notes) {
            body = Bytes::from(text.value);
        }
        if let Some(media) = media {
            headers
                .entry(http::header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(media));
        }
        Some(Respond {
            status: StatusCode::from_u16(code).unwrap_or(StatusCode::OK),
            headers,
            body,
        })
    }

    fn headers(&mut self, respond: &Fields<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some((_, node)) = respond.get("headers") else {
            return headers;
        };
        let Kind::Map(entries) = &node.kind else {
            self.notes.error(
                node.at,
                format!(
                    "`headers` must be a map from names to texts, found {}",
                    node.describe()
                ),
                "write `headers: { cache-control: no-store }`",
            );
            return headers;
        };
        for entry in entries {
            let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
                self.notes.error(
                    entry.at,
                    format!("{} is not a field's name", quote(&entry.key)),
                    "use letters, digits and `-`",
                );
                continue;
            };
            if is_framing(&name) {
                self.notes.error(
                    entry.at,
                    format!(
                        "the field `{name}` belongs to the connection, and the gateway sets it"
                    ),
                    "remove it",
                );
                continue;
            }
            let expected = "a text";
            let Some(scalar) = fields::scalar(&entry.value, name.as_str(), expected, self.notes)
            else {
                continue;
            };
            match HeaderValue::from_str(scalar.text.trim()) {
                Ok(_) if headers.contains_key(&name) => {
                    self.notes.error(
                        entry.at,
                        format!("the field `{name}` is given twice"),
                        "remove one of the two",
                    );
                }
                Ok(value) => {
                    headers.insert(name, value);
                }
                Err(_) => self.notes.error(
                    entry.value.at,
                    format!(
                        "the value of `{name}` has characters that a field's value cannot have"
                    ),
                    "use visible ASCII characters and spaces, on one line",
                ),
            }
        }
        headers
    }
}

/// True for fields that frame a message or apply to the next hop alone (RFC 9110, section 7.6.1).
fn is_framing(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Converts a tree to JSON; plain scalars by YAML's core schema, all others as texts.
fn json_of(node: &Node) -> Value {
    match &node.kind {
        Kind::List(items) => Value::Array(items.iter().map(json_of).collect()),
        Kind::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), json_of(&entry.value)))
                .collect(),
        ),
        Kind::Scalar(scalar) if scalar.is_null() => Value::Null,
        Kind::Scalar(scalar) if scalar.style == Style::Plain && scalar.written.is_none() => {
            plain_json(&scalar.text)
        }
        Kind::Scalar(scalar) => Value::String(scalar.text.clone()),
    }
}

fn plain_json(text: &str) -> Value {
    match text {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::from(number);
    }
    if let Ok(number) = text.parse::<u64>() {
        return Value::from(number);
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => Value::from(number),
        _ => Value::String(text.to_owned()),
    }
}
