//! `mule_expr.json`: expressions of DataWeave over an event, parsed and evaluated.

use std::path::Path;

use fusebox_plan::mule::jiff::{Timestamp, tz::TimeZone};
use fusebox_plan::mule::{
    Context, Detected, EvalFault, Event, Random, ScopeFault, Script, Typed, eval_mule, read_scope,
};
use serde_json::{Value as Json, json};

use crate::Report;

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
    let expr = case["expr"].as_str().ok_or("its expr is no text")?;
    let context = match &case["context"] {
        Json::Null => json!({}),
        given => given.clone(),
    };
    let result = match case["kind"].as_str() {
        Some("set_variable") => through_variable(expr, &context),
        None | Some("log_template") => {
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
            same(&value, case)
        }
    }
}

/// The clock where a case gives none: the start of all virtual time.
const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The value that a later `vars.x` has.
fn through_variable(expr: &str, context: &Json) -> Result<String, ScopeFault> {
    let scope = read_scope(context)?;
    let zone = TimeZone::UTC;
    let random = Random::seeded(1);
    let eval = |script: &Script, event: &Event| {
        script.eval(&Context {
            event,
            properties: &scope.properties,
            flow: "",
            app: "",
            now: scope.now.as_ref().map_or(START, |now| now.timestamp()),
            zone: &zone,
            random: &random,
        })
    };
    let value = match Detected::of(expr)? {
        Detected::Expression(script) => eval(&script, &scope.event)?,
        _ => eval(&Script::parse(expr)?, &scope.event)?,
    };
    let mut event = Event::default();
    event.vars.insert("x".into(), value);
    let Typed { value, .. } = eval(
        &Script::parse("write(vars.x, 'application/json', {indent: false})")?,
        &event,
    )?;
    Ok(match value {
        fusebox_plan::mule::Value::String(text) => text.to_string(),
        other => format!("{other:?}"),
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

/// Equality of JSON, where `5` is `5.0`.
fn alike(a: &Json, b: &Json) -> bool {
    match (a, b) {
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
