//! Evaluates an expression over a scope in JSON, for the command line.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::detect::Detected;
use crate::event::{Context, Event, Properties};
use crate::fault::{EvalFault, ParseFault};
use crate::random::Random;
use crate::value::iso;
use crate::value::json::{self, Layout};
use crate::value::media::{MediaType, Typed};
use crate::value::number::Number;
use crate::value::{Form, Value};

/// The input of an evaluation, read from JSON.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The event: `payload`, `attributes`, `vars`, `error`, `correlationId`.
    pub event: Event,
    /// The properties that `p(key)` reads: `properties`.
    pub properties: Properties,
    /// The clock with the server's time zone: `now`, if given.
    pub now: Option<Zoned>,
}

/// The reason why a text has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeFault {
    /// The scope is invalid.
    #[error("{0}")]
    Scope(String),
    /// The text is not an expression.
    #[error(transparent)]
    Parse(#[from] ParseFault),
    /// The evaluation failed.
    #[error(transparent)]
    Eval(#[from] EvalFault),
}

/// Reads a scope. An object with one member expresses values that JSON lacks: `{"$headers": {…}}` an object whose names
/// match in any case, `{"$number": "1.50"}` a number by its digits, `{"$int": 3}` a whole number, `{"$params": {…}}` a
/// plain object, `{"$typed": {"value": …, "mediaType": "…"}}` a payload or variable with its media type. Without
/// `$typed` the media type is `application/java`.
///
/// # Errors
/// If the scope is not an object, has an unknown member, or has such an object with invalid content.
pub fn read_scope(scope: &serde_json::Value) -> Result<Scope, ScopeFault> {
    let members = scope
        .as_object()
        .ok_or_else(|| fault("the scope must be a JSON object"))?;
    let mut read = Scope {
        event: Event::default(),
        properties: Properties::new(),
        now: None,
    };
    for (name, json) in members {
        match name.as_str() {
            "payload" => read.event.payload = typed(json)?,
            "attributes" => read.event.attributes = value(json)?,
            "error" => read.event.error = error(json)?,
            "vars" => {
                for (name, json) in object(name, json)? {
                    read.event.vars.insert(name.as_str().into(), typed(json)?);
                }
            }
            "properties" => {
                for (key, json) in object(name, json)? {
                    let text = text(key, json)?;
                    read.properties.insert(key.as_str().into(), text);
                }
            }
            "correlationId" => read.event.correlation_id = text(name, json)?,
            "now" => {
                let text = text(name, json)?;
                let expected = "now must be a moment, 2026-01-01T00:00:00Z";
                let now = iso::date_time(&text);
                read.now = Some(now.ok_or_else(|| fault(format!("{expected}, and is {text:?}")))?);
            }
            _ => {
                return Err(fault(format!(
                    "the scope has no `{name}`: it has payload, attributes, vars, error, properties, \
                     correlationId and now"
                )));
            }
        }
    }
    Ok(read)
}

fn fault(what: impl Into<String>) -> ScopeFault {
    ScopeFault::Scope(what.into())
}

type Members = serde_json::Map<String, serde_json::Value>;

fn object<'a>(name: &str, json: &'a serde_json::Value) -> Result<&'a Members, ScopeFault> {
    json.as_object()
        .ok_or_else(|| fault(format!("{name} must be a JSON object")))
}

fn text(name: &str, json: &serde_json::Value) -> Result<Arc<str>, ScopeFault> {
    let text = json.as_str();
    text.map(Arc::from)
        .ok_or_else(|| fault(format!("{name} must be a text")))
}

/// The tag and the content of an object with one member that begins with `$`.
fn tagged(json: &serde_json::Value) -> Option<(&str, &serde_json::Value)> {
    let mut members = json.as_object()?.iter();
    match (members.next(), members.next()) {
        (Some((tag, inner)), None) if tag.starts_with('$') => Some((tag, inner)),
        _ => None,
    }
}

fn typed(json: &serde_json::Value) -> Result<Typed, ScopeFault> {
    if let Some(("$typed", inner)) = tagged(json) {
        return Ok(Typed {
            value: value(&inner["value"])?,
            media_type: MediaType::new(text("mediaType", &inner["mediaType"])?),
        });
    }
    Ok(Typed::java(value(json)?))
}

/// An error; the text of its type reads `NAMESPACE:IDENTIFIER`.
fn error(json: &serde_json::Value) -> Result<Value, ScopeFault> {
    let Value::Object(error) = value(json)? else {
        return Ok(Value::Null);
    };
    let entries = error.entries().iter().map(|(key, value)| {
        let value = match value {
            Value::Object(of) if &**key == "errorType" => {
                let of = of.entries().iter();
                let of = of.map(|(key, value)| (key.name().clone(), value.clone()));
                Value::formed(of.collect(), Form::ErrorType)
            }
            value => value.clone(),
        };
        (key.name().clone(), value)
    });
    Ok(Value::object(entries.collect()))
}

fn value(json: &serde_json::Value) -> Result<Value, ScopeFault> {
    use serde_json::Value as Json;
    if let Some((tag, inner)) = tagged(json) {
        let wrong = || fault(format!("{tag} cannot hold {inner}"));
        return match tag {
            "$headers" | "$params" => {
                let members = members(inner.as_object().ok_or_else(wrong)?)?;
                let is_headers = tag == "$headers";
                let form = if is_headers {
                    Form::Headers
                } else {
                    Form::Plain
                };
                Ok(Value::formed(members, form))
            }
            "$int" => inner.as_i64().map(Value::from).ok_or_else(wrong),
            "$number" => {
                let number = inner.as_str().and_then(Number::parse);
                number.map(Value::from).ok_or_else(wrong)
            }
            _ => Err(fault(format!("unknown tag {tag} in the scope"))),
        };
    }
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => Number::parse(&number.to_string())
            .map(Value::from)
            .ok_or_else(|| fault(format!("{number} has too many digits")))?,
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::array(items.iter().map(value).collect::<Result<_, _>>()?),
        Json::Object(object) => Value::object(members(object)?),
    })
}

fn members(object: &Members) -> Result<Vec<(Arc<str>, Value)>, ScopeFault> {
    object
        .iter()
        .map(|(name, json)| Ok((name.as_str().into(), value(json)?)))
        .collect()
}

/// Evaluates a text over a scope as [`read_scope`] reads it, and returns the value as JSON on one line. The text is an
/// expression, with `#[ ]` or without, or a template with `#[…]` in it.
///
/// If the scope has no `now`, the arguments `now` and `zone` apply.
///
/// ```
/// use fusebox_dataweave::{Random, eval, jiff};
///
/// let scope = serde_json::json!({ "vars": { "failCount": 4 } });
/// let random = Random::seeded(1);
/// let now = jiff::Timestamp::UNIX_EPOCH;
/// let value = eval("vars.failCount + 1", &scope, now, jiff::tz::TimeZone::UTC, &random);
/// assert_eq!(value.as_deref(), Ok("5"));
/// ```
///
/// # Errors
/// If the scope is invalid, the text has a syntax error, or the evaluation fails.
pub fn eval(
    text: &str,
    scope: &serde_json::Value,
    now: Timestamp,
    zone: TimeZone,
    random: &Random,
) -> Result<String, ScopeFault> {
    let scope = read_scope(scope)?;
    let (now, zone) = match &scope.now {
        Some(now) => (now.timestamp(), now.time_zone().clone()),
        None => (now, zone),
    };
    let context = Context {
        event: &scope.event,
        properties: &scope.properties,
        flow: "",
        app: "",
        now,
        zone: &zone,
        random,
        waits: None,
    };
    let value = match Detected::of(text)? {
        Detected::Expression(script) => script.eval(&context)?.value,
        Detected::Template(template) => template.eval(&context)?.into(),
        Detected::Literal(text) => Detected::expression(&text)?.eval(&context)?.value,
    };
    Ok(json::write(&value, Layout::ON_ONE_LINE)?)
}
