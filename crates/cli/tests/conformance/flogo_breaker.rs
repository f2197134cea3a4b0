//! `flogo_breaker.json`: timelines of the circuit breaker activity, through the reader of
//! applications and the breaker that it asks for, on virtual time.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusebox_breaker::{Breaker, Outcome, Settings, Timestamp, machine::Chance};
use fusebox_flogo::{Activity, Dialect};
use fusebox_plan::plan::Step;
use fusebox_plan::{Loader, Severity, Source, read_as};
use serde_json::{Value, json};

use crate::Report;

pub fn run(file: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let suite: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases = suite["cases"].as_array().ok_or("there are no cases")?;
    let mut report = Report::default();
    for case in cases {
        let id = format!("{} {}", text_of(&case["id"]), text_of(&case["title"]));
        match run_case(case) {
            Ok(()) => report.passed += 1,
            Err(why) => report.failed.push((id, why)),
        }
    }
    Ok(report)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Where the original is plainly wrong, a case says in `corrected` what is right instead: that the
/// settings are refused, or that they mean others, whose timeline then is the same.
fn run_case(case: &Value) -> Result<(), String> {
    let keys = [
        "id",
        "title",
        "note",
        "mode",
        "settings",
        "timeline",
        "corrected",
        "expect_original_panics",
        "expect_init_error_contains",
    ];
    known(case, &keys)?;
    let settings = settings(&case["settings"]);
    if !case["expect_init_error_contains"].is_null() && case["corrected"].is_null() {
        return refused(&settings, &case["expect_init_error_contains"]);
    }
    if case["expect_original_panics"] == true && settings.is_err() {
        return Ok(());
    }
    let Some(corrected) = case["corrected"].as_str() else {
        if !case["corrected"].is_null() {
            return Err("what is corrected is no text".into());
        }
        return play(&settings?, &case["timeline"], true).map(|_| ());
    };
    if corrected.starts_with("start-up error") {
        return match settings {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("the settings are taken; {corrected}")),
        };
    }
    let meant = settings_as_meant(&case["settings"])?;
    let found = play(&settings?, &case["timeline"], false)?;
    let wanted = play(&meant, &case["timeline"], false)?;
    if found == wanted {
        Ok(())
    } else {
        Err(format!("answers {found:?}, not {wanted:?}; {corrected}"))
    }
}

/// Checks that the application does not start, and says so with a text.
fn refused(settings: &Result<Settings, String>, wanted: &Value) -> Result<(), String> {
    let wanted = wanted
        .as_str()
        .ok_or("what the start must say is no text")?;
    match settings {
        Err(told) if told.contains(wanted) => Ok(()),
        Err(told) => Err(format!("{wanted:?} is not in {told:?}")),
        Ok(_) => Err(format!(
            "the settings are taken; the start must say {wanted:?}"
        )),
    }
}

/// Whether an object says nothing but what is known here.
fn known(value: &Value, keys: &[&str]) -> Result<(), String> {
    let object = value.as_object().ok_or("it is no object")?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(format!("nobody here reads `{key}`")),
    }
}

/// The settings with what is null left out and the mode in its own letter case.
fn settings_as_meant(written: &Value) -> Result<Settings, String> {
    let mut meant = serde_json::Map::new();
    for (key, value) in written.as_object().ok_or("the settings are no object")? {
        match value {
            Value::Null => {}
            Value::String(mode) if key == "mode" => {
                meant.insert(key.clone(), json!(mode.to_lowercase()));
            }
            value => {
                meant.insert(key.clone(), value.clone());
            }
        }
    }
    settings(&Value::Object(meant))
}

/// The breaker's settings that an application with these settings of the activity comes to.
fn settings(written: &Value) -> Result<Settings, String> {
    let service = json!({
        "name": "CircuitBreaker",
        "ref": "github.com/project-flogo/microgateway/activity/circuitbreaker",
        "settings": written,
    });
    let action = json!({
        "ref": "github.com/project-flogo/microgateway",
        "settings": { "uri": "microgateway:G" },
    });
    let app = json!({
        "name": "T",
        "type": "flogo:app",
        "version": "1.0.0",
        "triggers": [{
            "id": "rest",
            "ref": "github.com/project-flogo/contrib/trigger/rest",
            "settings": { "port": 1 },
            "handlers": [{ "settings": { "method": "GET", "path": "/t" }, "action": action }],
        }],
        "resources": [{
            "id": "microgateway:G",
            "data": { "name": "G", "steps": [{ "service": "CircuitBreaker" }], "services": [service] },
        }],
    });
    let text = app.to_string();
    let source = Source {
        name: "app.json",
        text: text.as_bytes(),
    };
    let reading = read_as(&[&Dialect], &[source], &Nothing);
    let Some(plan) = reading.plan else {
        let errors = reading
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(ToString::to_string);
        return Err(errors.collect::<Vec<_>>().join(" | "));
    };
    let app = plan
        .program::<fusebox_flogo::App>()
        .ok_or("no application")?;
    match &plan.routes[0].steps[..] {
        [Step::App(step)] => match &app.handlers[*step].choices[0].action.services[0].activity {
            Activity::Breaker(breaker) => Ok(breaker.settings.clone()),
            other => Err(format!("not a breaker: {other:?}")),
        },
        steps => Err(format!("not a handler: {steps:?}")),
    }
}

/// What `tripped` is at each step.
fn play(settings: &Settings, timeline: &Value, compare: bool) -> Result<Vec<bool>, String> {
    let drawn = Arc::new(Drawn::default());
    let breaker = Breaker::builder("G/CircuitBreaker", settings.clone())
        .chance(drawn.clone())
        .build()
        .map_err(|errors| format!("{errors:?}"))?;
    let mut now = Timestamp::from_millis(3_600_000);
    let mut answers = Vec::new();
    for (index, step) in timeline
        .as_array()
        .ok_or("the timeline is no list")?
        .iter()
        .enumerate()
    {
        let keys = [
            "advance_ms",
            "op",
            "draw",
            "expect_tripped",
            "expect_p1000",
            "expect_original_panics",
        ];
        known(step, &keys)?;
        now = now + Duration::from_millis(step["advance_ms"].as_u64().unwrap_or(0));
        if let Some(draw) = step["draw"].as_f64() {
            drawn.set(draw);
        }
        if let Some(expected) = step["expect_p1000"].as_i64() {
            let refuses = 1.0 - breaker.snapshot(now).admit_probability;
            let found = (refuses * 1000.0).round() as i64;
            // -1 stands for "not a number", and then the call passes.
            if compare && found != expected.max(0) {
                return Err(format!(
                    "step {index}: refuses {found} of 1000, not {expected}"
                ));
            }
        }
        let tripped = match text_of(&step["op"]) {
            "counter" => {
                breaker.report(Outcome::Failure, now);
                false
            }
            "reset" => {
                breaker.report(Outcome::Success, now);
                false
            }
            _ => breaker.check(now).is_err(),
        };
        if compare && step["expect_original_panics"] == true {
            return Err(format!("step {index}: the settings should be refused"));
        }
        let expected = step["expect_tripped"].as_bool().unwrap_or(false);
        if compare && tripped != expected {
            return Err(format!("step {index}: tripped is {tripped}"));
        }
        answers.push(tripped);
    }
    Ok(answers)
}

/// The number that is drawn until another is set.
#[derive(Default)]
struct Drawn(Mutex<f64>);

impl Drawn {
    fn set(&self, number: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = number;
    }
}

impl Chance for Drawn {
    fn draw(&self) -> f64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A machine without environment and files.
struct Nothing;

impl Loader for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> io::Result<String> {
        Err(io::Error::new(io::ErrorKind::NotFound, path))
    }
}
