//! Reads `respond:`, a fixed answer of a route or a rung.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::draft::{DraftRespond, Reader};
use super::ladder::of_words;
use crate::fields::Fields;
use crate::keys;
use crate::tree::{Kind, Node, Scalar, Style};

impl Reader<'_> {
    /// A route's fixed answer, or with the table of a rung's answer that.
    pub(super) fn respond(
        &mut self,
        node: &Node,
        table: &'static keys::Table,
    ) -> Option<DraftRespond> {
        let respond = Fields::open(node, table, self.notes)?;
        let has_body = table.key("body").is_some();
        let on = match table.key("on") {
            Some(_) => respond.words("on", self.notes),
            None => None,
        };
        let status = respond.whole("status", self.notes);
        let code = status
            .as_ref()
            .map_or(200, |status| u16::try_from(status.value).unwrap_or(200));
        let mut headers = HeaderMap::new();
        for field in self.header_fields(&respond, "headers", &[]) {
            let (name, mut value) = (field.name, field.value);
            // A literal goes to every client, whatever its field is called.
            value.set_sensitive(field.scalar.is_filled());
            headers.insert(name, value);
        }
        let bodies: Vec<_> = ["text", "json", "body"]
            .into_iter()
            .filter(|key| has_body || *key != "body")
            .filter_map(|key| respond.place(key))
            .collect();
        if let [_, second, ..] = bodies[..] {
            self.notes.error(
                second,
                "an answer has one body",
                match has_body {
                    true => "keep one of `text`, `json` and `body`",
                    false => "keep one of `text` and `json`",
                },
            );
        }
        if let (Some(at), 204 | 205 | 304) = (bodies.first(), code) {
            self.notes.error(
                *at,
                format!("an answer with status {code} has no body"),
                "remove the body, or change the status",
            );
        }
        let (mut body, mut body_shown) = (Bytes::new(), None);
        let mut media = None;
        let hidden = |scalar: &Scalar| scalar.is_filled().then(|| HIDDEN.to_owned());
        if let Some(text) = respond.scalar("text", self.notes) {
            body_shown = hidden(text.value);
            body = Bytes::from(text.value.text.clone());
            media = Some("text/plain; charset=utf-8");
        }
        if let Some((_, json)) = respond.get("json") {
            let text = json_of(json, false).to_string();
            let shown = json_of(json, true).to_string();
            body_shown = (shown != text).then_some(shown);
            body = Bytes::from(text);
            media = Some("application/json");
        }
        if has_body && let Some(text) = respond.scalar("body", self.notes) {
            body_shown = hidden(text.value);
            body = Bytes::from(text.value.text.clone());
        }
        if let Some(media) = media {
            headers
                .entry(http::header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(media));
        }
        Some(DraftRespond {
            status: StatusCode::from_u16(code).unwrap_or(StatusCode::OK),
            headers,
            body,
            body_shown,
            json: respond.place("json").is_some(),
            on: on.map(|on| of_words(&on.value)),
        })
    }
}

/// A text in place of one that came from a variable or a file.
const HIDDEN: &str = "***";

/// Converts a tree to JSON; plain scalars by YAML's core schema, all others as texts. `hides` what came from variables
/// and files.
fn json_of(node: &Node, hides: bool) -> Value {
    match &node.kind {
        Kind::List(items) => items.iter().map(|item| json_of(item, hides)).collect(),
        Kind::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), json_of(&entry.value, hides)))
                .collect(),
        ),
        Kind::Scalar(scalar) if hides && scalar.is_filled() => Value::from(HIDDEN),
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
