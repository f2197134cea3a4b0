//! The response of a flow at the end of a path, as far as it is the same for all requests.

use std::sync::Arc;

use fusebox_dataweave::symbol::Symbol;
use fusebox_dataweave::{MediaType, Typed, Value};
use fusebox_plan::dialect::quote;
use serde_json::{Map as JsonMap, Value as Json, json};

use crate::app::{App, Compat, Flow, Given, HttpSource, Site};
use crate::circuit::{Path, Walk};

/// The words that the native form fills in, which have no other notation.
const FILLED: [&str; 3] = ["{reason}", "{retry_after}", "{breaker}"];

/// A constant response.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    Empty,
    Text {
        text: Arc<str>,
        media_type: Option<String>,
    },
    Json {
        json: Json,
        media_type: String,
    },
}

/// The makers of responses of a flow's listener.
pub(super) struct Answers<'w, 'a> {
    pub app: &'a App,
    pub walk: &'w Walk<'a>,
    pub source: &'a HttpSource,
}

/// The parts of a response, as far as they are known.
struct Parts {
    status: Option<Symbol>,
    default: u16,
    body: Symbol,
    media_type: Option<MediaType>,
    headers: Option<Symbol>,
}

impl Parts {
    fn status(&self) -> Result<u16, &'static str> {
        let Some(status) = &self.status else {
            return Ok(self.default);
        };
        let number = status.number().and_then(|it| it.to_i64());
        let status = u16::try_from(number.ok_or("its status")?).ok();
        // A value that is no final status becomes 500, as in a run.
        Ok(status.filter(|it| (200..=999).contains(it)).unwrap_or(500))
    }
}

impl<'a> Answers<'_, 'a> {
    /// The response at the end of a path; the error names the part that depends on the request.
    pub fn at(&self, path: &Path<'a>) -> Result<Answer, &'static str> {
        let parts = self.parts(path);
        let status = parts.status()?;
        let headers = match &parts.headers {
            None => Vec::new(),
            Some(headers) => fields(headers).ok_or("its header fields")?,
        };
        let body = match status {
            204 | 205 | 304 => Body::Empty,
            _ => self.body(&parts.body, parts.media_type).ok_or("its body")?,
        };
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// The statuses and fields that a flow gives to the upstream's answers.
    pub fn changes(&self, flow: &Flow, paths: &[Path<'a>], call: &Site) -> Vec<(Site, String)> {
        let name = quote(&flow.name);
        let mut lost = Vec::new();
        let response = Symbol::input("response");
        let passed = paths
            .iter()
            .filter(|it| it.payload == response && it.raised.is_none());
        for path in passed {
            let parts = self.parts(path);
            let given = path.vars.contains_key("httpStatus")
                || self.source.response.is_some() && self.app.policies.sources.is_empty();
            let own = Symbol::input("attributes").field("statusCode");
            let whats = [
                match (&parts.status, parts.status()) {
                    (None, _) | (_, Ok(200)) => None,
                    (Some(status), _) if status.bare() == own => None,
                    _ if !given => None,
                    (_, Ok(status)) => {
                        Some(format!("the status {status} with which {name} answers"))
                    }
                    (_, Err(_)) => Some(format!("the status with which {name} answers")),
                },
                parts
                    .headers
                    .map(|_| format!("the header fields with which {name} answers")),
            ];
            lost.extend(whats.into_iter().flatten().map(|what| (call.clone(), what)));
        }
        lost.dedup();
        lost
    }

    fn parts(&self, path: &Path<'a>) -> Parts {
        if !self.app.policies.sources.is_empty() {
            return parts_of_policy(path);
        }
        let intent = self.app.compat == Compat::Intent;
        let var = |name: &str| {
            let value = path.vars.get(name).filter(|_| intent);
            value.filter(|value| **value != Symbol::NULL).cloned()
        };
        let at_end = |given: &Given| self.walk.at_end(given, path);
        let raised = path.raised.as_ref();
        let described = || {
            let text = raised.map_or(Symbol::Unknown, |raised| raised.description.clone());
            (text, Some(MediaType::new("text/plain")))
        };
        let payload = || (path.payload.clone(), path.media_type.clone());
        let own = match raised {
            None => &self.source.response,
            Some(_) => &self.source.error_response,
        };
        let default = if raised.is_none() { 200 } else { 500 };
        let (status, (body, media_type), headers) = match own {
            Some(own) => {
                let body = match &own.body {
                    Some(given) => (at_end(given), media_type_of(given)),
                    None if raised.is_some() => described(),
                    None => payload(),
                };
                let status = own.status.as_ref().map(at_end);
                (status, body, own.headers.as_ref().map(at_end))
            }
            None => {
                let status = var("httpStatus");
                let number = status
                    .as_ref()
                    .map(|it| it.number().and_then(|it| it.to_i64()));
                let (status, body) = match number {
                    // An error has a status of its own from 400 on.
                    Some(Some(number)) if raised.is_some() && number < 400 => (None, described()),
                    None if raised.is_some() => (None, described()),
                    _ => (status, payload()),
                };
                (status, body, var("outboundHeaders"))
            }
        };
        Parts {
            status,
            default,
            body,
            media_type,
            headers,
        }
    }

    fn body(&self, payload: &Symbol, media_type: Option<MediaType>) -> Option<Body> {
        let java = media_type
            .as_ref()
            .is_none_or(|it| it.essence() == "application/java");
        let plain = |default: &str| match (&media_type, java) {
            (Some(declared), false) => Some(declared.as_str().to_owned()),
            _ if self.app.compat == Compat::Intent => Some(default.to_owned()),
            _ => Some("application/java".to_owned()),
        };
        let media_type_of_text = || {
            let any = media_type.as_ref().is_some_and(|it| it.essence() == "*/*");
            if any { None } else { plain("text/plain") }
        };
        Some(match payload.bare() {
            Symbol::Known(Value::Null) => Body::Empty,
            Symbol::Known(Value::String(text)) if text.is_empty() => Body::Empty,
            Symbol::Known(Value::String(text)) => Body::Text {
                text,
                media_type: media_type_of_text(),
            },
            Symbol::Known(Value::Number(number)) => Body::Text {
                text: number.to_string().into(),
                media_type: media_type_of_text(),
            },
            Symbol::Known(Value::Bool(flag)) => Body::Text {
                text: flag.to_string().into(),
                media_type: media_type_of_text(),
            },
            other => Body::Json {
                json: json_of(&other)?,
                media_type: plain("application/json")?,
            },
        })
    }
}

impl Answer {
    /// The answer as `respond:` of a rung, for some calls or for all (`None`); `None`: the native form has no such answer.
    pub fn rung(&self, on: Option<&str>) -> Option<Json> {
        let mut respond = self.entries("text")?;
        let texts = Json::Object(respond.clone()).to_string();
        if FILLED.iter().any(|word| texts.contains(word)) {
            return None;
        }
        if let Some(on) = on {
            respond.insert("on".into(), json!([on]));
        }
        Some(json!({ "respond": respond }))
    }

    /// The answer as `respond:` of a route; `None`: the native form has no such answer.
    pub fn route(&self) -> Option<JsonMap<String, Json>> {
        self.entries("body")
    }

    /// The entries of the body, with the key for a text of a media type of its own.
    fn entries(&self, text_key: &str) -> Option<JsonMap<String, Json>> {
        if !(200..=599).contains(&self.status) {
            return None;
        }
        let mut entries = JsonMap::new();
        entries.insert("status".into(), json!(self.status));
        let mut headers = JsonMap::new();
        for (name, value) in &self.headers {
            headers.insert(name.clone(), json!(value));
        }
        let mut body = None;
        match &self.body {
            Body::Empty => {}
            Body::Json { json, media_type } => {
                if media_type != "application/json" {
                    headers.entry("content-type").or_insert(json!(media_type));
                }
                body = Some(("json", json.clone()));
            }
            Body::Text { text, media_type } => {
                // A JSON text that is written the same way is easier to read as JSON.
                let is_json = media_type.as_deref() == Some("application/json");
                let json = serde_json::from_str::<Json>(text).ok().filter(|_| is_json);
                let as_written = |json: &Json| serde_json::to_string(json).ok();
                let json = json.filter(|json| as_written(json).as_deref() == Some(&**text));
                match (json, media_type) {
                    (Some(json), _) => body = Some(("json", json)),
                    (None, Some(media_type)) => {
                        headers.entry("content-type").or_insert(json!(media_type));
                        body = Some((text_key, json!(&**text)));
                    }
                    (None, None) => body = Some((text_key, json!(&**text))),
                }
            }
        }
        if !headers.is_empty() {
            entries.insert("headers".into(), Json::Object(headers));
        }
        if let Some((key, body)) = body {
            entries.insert(key.into(), body);
        }
        Some(entries)
    }

    /// The body in short, for a message.
    pub fn shown(&self) -> String {
        match &self.body {
            Body::Empty => self.status.to_string(),
            Body::Text { text, .. } => {
                format!("{} {}", self.status, quote(text))
            }
            Body::Json { json, .. } => {
                let json = json.to_string();
                format!("{} {}", self.status, quote(&json))
            }
        }
    }
}

/// The response of the outermost policy: its message.
fn parts_of_policy(path: &Path<'_>) -> Parts {
    let status = path.response_status();
    let is_response = match &status {
        Symbol::Known(Value::Null) => false,
        // The status of a request is a field of the attributes that it does not have.
        status => *status != Symbol::input("attributes").field("statusCode"),
    };
    let body = match &path.raised {
        Some(raised) if !is_response => raised.description.clone(),
        _ => path.payload.clone(),
    };
    Parts {
        status: is_response.then_some(status),
        default: if path.raised.is_none() { 200 } else { 500 },
        body,
        media_type: path.media_type.clone(),
        headers: None,
    }
}

fn media_type_of(given: &Given) -> Option<MediaType> {
    match given {
        Given::Expression(script) => script.output().cloned(),
        _ => Some(MediaType::any()),
    }
}

/// The header fields of a known object, in lower case; those of the framing are ours.
fn fields(symbol: &Symbol) -> Option<Vec<(String, String)>> {
    const FRAMING: [&str; 8] = [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let Json::Object(fields) = json_of(symbol)? else {
        return None;
    };
    let mut written = Vec::new();
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        let value = match value {
            Json::String(text) => text.trim().to_owned(),
            Json::Number(number) => number.to_string(),
            Json::Null => continue,
            _ => return None,
        };
        if FRAMING.contains(&name.as_str()) || name.starts_with("fusebox-") {
            continue;
        }
        http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        http::HeaderValue::from_str(&value).ok()?;
        written.push((name, value));
    }
    Some(written)
}

/// A value that is known completely, as JSON.
fn json_of(symbol: &Symbol) -> Option<Json> {
    match symbol {
        Symbol::Known(Value::String(text)) => Some(Json::String(text.to_string())),
        Symbol::Known(value) => {
            let typed = Typed {
                value: Value::array(vec![value.clone()]),
                media_type: MediaType::json(),
            };
            let body = typed.body(Compat::Intent).ok()?;
            let json: Json = serde_json::from_slice(&body.bytes).ok()?;
            json.get(0).cloned()
        }
        Symbol::Object { base: None, fields } => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| Some((key.to_string(), json_of(value)?)));
            Some(Json::Object(fields.collect::<Option<_>>()?))
        }
        _ => None,
    }
}
