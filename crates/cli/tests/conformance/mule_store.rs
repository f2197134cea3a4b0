//! `mule_store.json`: timelines of Object Store operations. Each runs as an application of one flow for
//! each operation, on virtual time.

use std::path::Path;
use std::sync::Arc;

use fusebox_mule::app::{App, Compat};
use fusebox_mule::run::World;
use fusebox_mule::{Event, MediaType, Typed};
use serde_json::Value as Json;

use crate::Report;
use crate::mule::app::{Kept, Running, read};
use crate::mule::value;
use crate::mule::world::CaseWorld;

/// Runs the cases.
///
/// # Errors
/// If they cannot be read.
pub fn run(file: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let suite: Json = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases = suite["cases"].as_array().ok_or("it has no cases")?;
    let mut report = Report::default();
    for case in cases {
        let id = case["id"].as_str().unwrap_or("?").to_owned();
        match check(case) {
            Ok(()) => report.passed += 1,
            Err(why) => report.failed.push((id, why)),
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
            "profile",
            "store",
            "steps",
            "simulated",
        ],
    )?;
    let app = read(&[xml(case)?], case, Compat::Strict)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(play(case, app))
}

/// The operations, and what of their parameters is a variable.
const OPERATIONS: [(&str, &str, &str); 8] = [
    (
        "store",
        r##"key="#[vars.key]" failIfPresent="#[vars.failIfPresent]" failOnNullValue="#[vars.failOnNullValue]""##,
        "<os:value>#[vars.value]</os:value>",
    ),
    ("retrieve", r##"key="#[vars.key]""##, ""),
    (
        "retrieve-or",
        r##"key="#[vars.key]""##,
        "<os:default-value>#[vars.default]</os:default-value>",
    ),
    ("contains", r##"key="#[vars.key]""##, ""),
    ("remove", r##"key="#[vars.key]""##, ""),
    ("clear", "", ""),
    ("retrieve-all-keys", "", ""),
    ("retrieve-all", "", ""),
];

fn xml(case: &Json) -> Result<String, String> {
    let mut text = String::new();
    let mut store = String::new();
    if let Some(attributes) = case["store"].as_object() {
        text += "<os:object-store";
        for (name, value) in attributes {
            let value = value.as_str().map_or(value.to_string(), str::to_owned);
            text += &format!(" {name}=\"{value}\"");
        }
        text += "/>";
        let name = attributes.get("name").and_then(Json::as_str);
        store = format!(" objectStore=\"{}\"", name.ok_or("its store has no name")?);
    }
    for (name, attributes, children) in OPERATIONS {
        let element = name.trim_end_matches("-or");
        text += &format!(
            "<flow name=\"{name}\"><os:{element} {attributes}{store}>{children}</os:{element}></flow>"
        );
    }
    // An application that nothing starts would not load.
    text += "<flow name=\"f\"><http:listener config-ref=\"L\" path=\"/\"/><logger/></flow>";
    Ok(text)
}

async fn play(case: &Json, app: Arc<App>) -> Result<(), String> {
    let world = Arc::new(CaseWorld::new(&Json::Null)?);
    let mut kept = Kept::new(&world);
    let mut running = Some(Running::start(app.clone(), &world, &kept)?);
    for step in case["steps"].as_array().ok_or("it has no steps")? {
        let at_ms = match &step["at_ms"] {
            // Right after the step before.
            Json::Null => world.now_ms(),
            at_ms => at_ms.as_u64().ok_or("a step's at_ms is no whole number")?,
        };
        world.wait_until(at_ms).await;
        match (step["op"].as_str(), &running) {
            (Some("stop"), _) => {
                running = None;
                kept = kept.restarted();
            }
            (Some("start"), _) => running = Some(Running::start(app.clone(), &world, &kept)?),
            (Some("restart"), _) => {
                drop(running.take());
                kept = kept.restarted();
                running = Some(Running::start(app.clone(), &world, &kept)?);
            }
            (Some(op), Some(running)) => {
                let done = operate(op, step, running, &world).await;
                done.map_err(|why| format!("{op} at {at_ms} ms: {why}"))?;
            }
            _ => return Err("a step has no op, or no application to do it".to_owned()),
        }
    }
    Ok(())
}

async fn operate(
    op: &str,
    step: &Json,
    running: &Running,
    world: &Arc<CaseWorld>,
) -> Result<(), String> {
    let known = [
        "at_ms",
        "op",
        "key",
        "value",
        "default",
        "failIfPresent",
        "failOnNullValue",
        "error",
        "expect",
        "expectSet",
        "mime",
        "expectMime",
        "note",
    ];
    value::known(step, &known)?;
    let op = match step.get("default") {
        Some(_) => format!("{op}-or"),
        None => op.to_owned(),
    };
    let mut event = Event::default();
    let mut set = |name: &str, of: Json| {
        let mut value = Typed::java(value::of_json(&of));
        // Of the parameters only the value to store has a media type of its own.
        if let (Some(mime), "value" | "default") = (step["mime"].as_str(), name) {
            value.media_type = MediaType::new(mime);
        }
        event.vars.insert(name.into(), value);
    };
    for name in ["key", "value", "default"] {
        set(name, step[name].clone());
    }
    for (name, usual) in [("failIfPresent", false), ("failOnNullValue", true)] {
        set(name, step.get(name).cloned().unwrap_or(usual.into()));
    }
    let id = running.engine.app().find(&op).ok_or("it is no operation")?;
    let world: Arc<dyn World> = world.clone();
    let ended = running.engine.run(&world, id, event).await;
    let result = match (ended, step["error"].as_str()) {
        (Err(failure), Some(wanted)) if failure.error.kind.to_string() == wanted => return Ok(()),
        (Err(failure), _) => {
            let error = &failure.error;
            return Err(format!("{}: {}", error.kind, error.description));
        }
        (Ok(_), Some(_)) => return Err("it does not fail".to_owned()),
        (Ok(event), None) => {
            let mime = event.payload.media_type.as_str();
            match step.get("expectMime") {
                Some(Json::String(wanted)) if !same_mime(mime, wanted) => {
                    return Err(format!("its media type is {mime}"));
                }
                Some(Json::String(_)) | None => {}
                Some(other) => return Err(format!("the media type {other} is no text")),
            }
            event.payload.read().map_err(|fault| fault.to_string())?
        }
    };
    let good = match (step.get("expect"), step.get("expectSet")) {
        (Some(expected), _) => value::is(&result, expected),
        (None, Some(expected)) => {
            let fusebox_mule::Value::Array(array) = &result else {
                return Err(format!("gives {result:?}"));
            };
            let expected = expected.as_array().map_or(&[][..], Vec::as_slice);
            array.items().len() == expected.len()
                && expected
                    .iter()
                    .all(|item| array.items().iter().any(|value| value::is(value, item)))
        }
        (None, None) => true,
    };
    if good {
        Ok(())
    } else {
        Err(format!("gives {result:?}"))
    }
}

/// Whether a media type is the one that a case names; parameters count if it names some.
fn same_mime(got: &str, wanted: &str) -> bool {
    let plain = |text: &str| text.replace(' ', "").to_ascii_lowercase();
    let (got, wanted) = (plain(got), plain(wanted));
    got == wanted || (!wanted.contains(';') && got.split(';').next() == Some(&*wanted))
}
