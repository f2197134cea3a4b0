//! `mule_expr.json`: expressions of DataWeave over an event, parsed and evaluated.

use std::path::Path;

use fusebox_mule::app::Given;
use fusebox_mule::jiff::{Timestamp, tz::TimeZone};
use fusebox_mule::{
    Context, Detected, EvalFault, Event, Random, Scope, ScopeFault, Script, Typed, Value,
    eval_mule, read_scope,
};
use serde_json::{Value as Json, json};

use crate::Report;
use crate::mule::value::{self, same_text};

pub fn run(file: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let suite: Json = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases = suite["cases"].as_array().ok_or("it has no cases")?;
    let mut report = Report::default();
    for case in cases {
        let id = case["id"].as_str().unwrap_or("?");
        match check(case) {
            Ok(()) => report.passed += 1,
            Err(why) => report.failed.push((format!("{id} {}", case["expr"]), why)),
        }
    }
    Ok(report)
}

fn check(case: &Json) -> Result<(), String> {
    value::known(
        case,
        &[
            "id",
            "title",
            "note",
            "simulated",
            "expr",
            "kind",
            "context",
            "payloadMime",
            "expected",
            "expectedError",
            "expectedPattern",
            "expectedRange",
        ],
    )?;
    let expr = case["expr"].as_str().ok_or("its expr is no text")?;
    let mut context = match &case["context"] {
        Json::Null => json!({}),
        given => given.clone(),
    };
    let typed = match &case["payloadMime"] {
        Json::Null => false,
        Json::String(mime) => {
            let value = match &context["payload"] {
                Json::String(text) => Json::from(text.as_str()),
                // Values of this type have no text.
                json if mime.starts_with("application/java") => json.clone(),
                json => Json::from(json.to_string()),
            };
            context["payload"] = json!({ "$typed": { "value": value, "mediaType": mime } });
            true
        }
        other => return Err(format!("its payloadMime {other} is no text")),
    };
    let result = match case["kind"].as_str() {
        Some("set_variable") => through_variable(expr, &context),
        Some("log_template") => logged(expr, &context),
        None => {
            let random = Random::seeded(1);
            eval_mule(expr, &context, START, TimeZone::UTC, &random)
        }
        Some(other) => return Err(format!("its kind {other} is not known")),
    };
    match (result, case["expectedError"].as_str()) {
        (Ok(value), Some(_)) => Err(format!("gives {value}")),
        (Err(fault), Some(wanted)) => match fault {
            // What a file's loading already refuses is that error in Mule.
            ScopeFault::Parse(_) if wanted == "MULE:EXPRESSION" => Ok(()),
            ScopeFault::Eval(EvalFault { kind, .. }) if kind == wanted => Ok(()),
            fault => Err(format!("fails: {fault}")),
        },
        (Err(fault), None) => Err(format!("fails: {fault}")),
        (Ok(text), None) => {
            let value: Json = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let good = same(&value, case);
            // A result in the payload's media type is a text, and stands for what it says.
            match (&good, typed) {
                (Err(_), true) => same(&said(expr, &context)?, case).or(good),
                _ => good,
            }
        }
    }
}

/// The clock where a case gives none: the start of all virtual time.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The value that a later `vars.x` has.
fn through_variable(expr: &str, context: &Json) -> Result<String, ScopeFault> {
    let scope = read_scope(context)?;
    let value = match Detected::of(expr)? {
        Detected::Expression(script) => Given::Expression(script),
        _ => Given::Expression(Script::parse(expr)?),
    };
    let mut later = scope.clone();
    later.event = Event::default();
    later.event.vars.insert("x".into(), given(&value, &scope)?);
    let written = Script::parse("write(vars.x, 'application/json', {indent: false})")?;
    let Typed { value, .. } = given(&Given::Expression(written), &later)?;
    Ok(match value {
        Value::String(text) => text.to_string(),
        other => format!("{other:?}"),
    })
}

/// The value that an expression's result stands for, whatever its media type.
fn said(expr: &str, context: &Json) -> Result<Json, String> {
    let read = || -> Result<String, ScopeFault> {
        let scope = read_scope(context)?;
        let value = given(&Given::Expression(Detected::expression(expr)?), &scope)?;
        let mut later = scope.clone();
        later.event = Event::default();
        later
            .event
            .vars
            .insert("x".into(), Typed::java(value.read()?));
        let written = Script::parse("write(vars.x, 'application/json', {indent: false})")?;
        let written = given(&Given::Expression(written), &later)?;
        Ok(written.value.shown()?)
    };
    let text = read().map_err(|fault| fault.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// What a logger says whose message is `text`.
fn logged(text: &str, context: &Json) -> Result<String, ScopeFault> {
    let message = match Detected::of(text)? {
        Detected::Expression(script) => Given::Expression(script),
        Detected::Template(template) => Given::Template(template),
        Detected::Literal(text) => Given::Literal(text.into()),
    };
    let shown = given(&message, &read_scope(context)?)?.shown()?;
    Ok(Json::from(shown).to_string())
}

fn given(given: &Given, scope: &Scope) -> Result<Typed, EvalFault> {
    let now = scope.now.as_ref();
    given.eval(&Context {
        event: &scope.event,
        properties: &scope.properties,
        flow: "",
        app: "",
        now: now.map_or(START, |now| now.timestamp()),
        zone: now.map_or(&TimeZone::UTC, |now| now.time_zone()),
        random: &Random::seeded(1),
        waits: None,
    })
}

fn same(value: &Json, case: &Json) -> Result<(), String> {
    let wrong = || Err(format!("gives {value}"));
    if let Some([from, to]) = case["expectedRange"].as_array().map(Vec::as_slice) {
        return match (value.as_i64(), from.as_i64(), to.as_i64()) {
            (Some(value), Some(from), Some(to)) if (from..=to).contains(&value) => Ok(()),
            _ => wrong(),
        };
    }
    if let Some(pattern) = case["expectedPattern"].as_str() {
        let pattern = pattern.replace('/', "\\/");
        let scope = json!({ "payload": value });
        let random = Random::seeded(1);
        let expr = format!("payload matches /{pattern}/");
        let matches = eval_mule(&expr, &scope, START, TimeZone::UTC, &random);
        return match matches.as_deref() {
            Ok("true") => Ok(()),
            _ => wrong(),
        };
    }
    match case.get("expected") {
        Some(expected) if alike(value, expected) => Ok(()),
        Some(_) => wrong(),
        None => Err("it expects nothing that is known".to_owned()),
    }
}

/// Equality of JSON, where `5` is `5.0`, and in texts of JSON white space does not count.
fn alike(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::String(a), Json::String(b)) => same_text(a, b),
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}
