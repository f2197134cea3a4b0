//! `mule_flow.json`: Mule applications on virtual time, between requests and upstreams that behave as
//! the case says. Each case runs once for each profile that it names.

use std::path::Path;
use std::sync::Arc;

use fusebox_mule::app::Compat;
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use crate::Report;
use crate::mule::app::{Kept, Reply, Running, read};
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
    // Cases of our own are about the same recipes.
    let here = file.parent().unwrap_or(Path::new(".")).join("recipes");
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/recipes");
    let recipes = if here.is_dir() { here } else { project };
    let mut report = Report::default();
    for case in cases {
        let id = case["id"].as_str().unwrap_or("?");
        let all = [Json::from("strict"), Json::from("intent")];
        let profiles = case["profiles"].as_array().map_or(&all[..], Vec::as_slice);
        let mut wrong = Vec::new();
        for profile in profiles {
            let profile = profile.as_str().unwrap_or_default();
            if let Err(why) = check(case, profile, &recipes) {
                wrong.push(format!("{profile}: {why}"));
            }
        }
        match wrong.is_empty() {
            true => report.passed += 1,
            false => report.failed.push((id.to_owned(), wrong.join(" | "))),
        }
    }
    Ok(report)
}

fn check(case: &Json, profile: &str, recipes: &Path) -> Result<(), String> {
    let compat = match profile {
        "strict" => Compat::Strict,
        "intent" => Compat::Intent,
        other => return Err(format!("the profile {other} is not known")),
    };
    value::known(
        case,
        &[
            "id",
            "title",
            "note",
            "simulated",
            "recipe",
            "xml",
            "bindings",
            "properties",
            "profiles",
            "load",
            "steps",
            "zone",
            "timezone",
            "timeZone",
            "tz",
            "expect_calls",
            "expect_log_contains",
            "expect_upstream_bodies",
        ],
    )?;
    let files = files(case, recipes)?;
    let app = match (read(&files, case, compat), wanted(&case["load"], profile)) {
        (Ok(app), Json::Null) => app,
        (Ok(_), wanted) => return Err(format!("it loads, and should not: {wanted}")),
        (Err(why), Json::String(part)) if why.contains(part.as_str()) => return Ok(()),
        (Err(why), _) => return Err(why),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(play(case, profile, app))
}

/// The texts of a case's files: its recipe, and what it writes out.
fn files(case: &Json, recipes: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for recipe in texts(&case["recipe"])? {
        let file = recipes.join(format!("{recipe}.xml"));
        let text = std::fs::read_to_string(&file);
        files.push(text.map_err(|error| format!("{}: {error}", file.display()))?);
    }
    files.extend(texts(&case["xml"])?.into_iter().map(str::to_owned));
    match files.is_empty() {
        true => Err("it has neither a recipe nor xml".to_owned()),
        false => Ok(files),
    }
}

/// A text, a list of them, or none.
fn texts(json: &Json) -> Result<Vec<&str>, String> {
    match json {
        Json::Null => Ok(Vec::new()),
        Json::String(text) => Ok(vec![text]),
        Json::Array(items) => Ok(items
            .iter()
            .map(texts)
            .collect::<Result<Vec<_>, _>>()?
            .concat()),
        other => Err(format!("{other} is no text")),
    }
}

/// What is expected in a profile.
fn wanted<'a>(expected: &'a Json, profile: &str) -> &'a Json {
    match expected.get(profile) {
        Some(of) => of,
        None => expected,
    }
}

async fn play(case: &Json, profile: &str, app: Arc<fusebox_mule::app::App>) -> Result<(), String> {
    let world = Arc::new(CaseWorld::new(case)?);
    let mut kept = Kept::new(&world);
    let mut running = Arc::new(Running::start(app.clone(), &world, &kept)?);
    let mut requests: Vec<Asked> = Vec::new();
    let steps = case["steps"].as_array().ok_or("it has no steps")?;
    let mut now_ms = None;
    for step in steps {
        let at_ms = match &step["at_ms"] {
            // Right after the step before, and after all that it began.
            Json::Null => {
                for asked in &mut requests {
                    asked.end().await?;
                }
                world.settle().await;
                world.now_ms()
            }
            at_ms => {
                let at_ms = at_ms.as_u64().ok_or("a step's at_ms is no whole number")?;
                // Requests of one moment run beside one another; whatever else is done comes after them.
                if now_ms != Some(at_ms) || step.get("request").is_none() {
                    world.wait_until(at_ms).await;
                }
                at_ms
            }
        };
        now_ms = Some(at_ms);
        for (key, of) in step.as_object().into_iter().flatten() {
            match key.as_str() {
                "request" => {
                    let (running, request) = (running.clone(), of.clone());
                    let task = tokio::spawn(async move { running.request(&request).await });
                    requests.push(Asked {
                        at_ms,
                        expected: wanted(&step["expect"], profile).clone(),
                        task: Some(task),
                        reply: None,
                    });
                }
                "store" | "store_json" => {
                    // The request of the same step comes first.
                    world.settle().await;
                    let is = match key.as_str() {
                        "store" => value::is,
                        _ => value::is_json,
                    };
                    let of = wanted(of, profile);
                    for (name, entries) in of.as_object().into_iter().flatten() {
                        let found = holds(&running, name, entries, &world, is).await;
                        found.map_err(|why| format!("at {at_ms} ms: {why}"))?;
                    }
                }
                "restart" if of == &Json::Bool(true) => {
                    drop(running);
                    kept = kept.restarted();
                    running = Arc::new(Running::start(app.clone(), &world, &kept)?);
                }
                "at_ms" | "expect" | "note" => {}
                other => return Err(format!("a step's {other} is not known")),
            }
        }
    }
    for mut asked in requests {
        asked.end().await?;
        let Asked {
            at_ms,
            expected,
            reply,
            ..
        } = asked;
        let reply = reply.ok_or("a request has no end")?;
        answers(&reply, &expected).map_err(|why| format!("request at {at_ms} ms: {why}"))?;
    }
    world.settle().await;
    called(wanted(&case["expect_calls"], profile), &world)?;
    sent(wanted(&case["expect_upstream_bodies"], profile), &world)?;
    for line in case["expect_log_contains"].as_array().into_iter().flatten() {
        let (level, part) = (line[0].as_str(), line[1].as_str());
        let (level, part) = (level.unwrap_or_default(), part.unwrap_or_default());
        if !world.has_logged(level, part) {
            let logged = world.logged();
            return Err(format!(
                "no {level} line with {part:?} is in the log: {logged}"
            ));
        }
    }
    Ok(())
}

/// A request of a case, under way or answered.
struct Asked {
    at_ms: u64,
    expected: Json,
    task: Option<JoinHandle<Result<Reply, String>>>,
    reply: Option<Reply>,
}

impl Asked {
    /// Waits for its answer.
    async fn end(&mut self) -> Result<(), String> {
        if let Some(task) = self.task.take() {
            self.reply = Some(task.await.map_err(|error| error.to_string())??);
        }
        Ok(())
    }
}

/// Whether a store holds these entries and no others, as `is` compares them.
async fn holds(
    running: &Running,
    name: &str,
    entries: &Json,
    world: &CaseWorld,
    is: fn(&fusebox_mule::Value, &Json) -> bool,
) -> Result<(), String> {
    let engine = &running.engine;
    let declared = engine
        .app()
        .stores
        .iter()
        .find(|store| &*store.name == name);
    let partition = match (declared, name) {
        (None, "default" | "") => engine.stores().partition(None),
        (None, _) => return Err(format!("there is no store {name}")),
        (Some(declaration), _) => engine.stores().partition(Some(declaration)),
    };
    use fusebox_mule::run::World as _;
    let found = partition.entries(world.now()).await;
    let found = found.map_err(|error| error.to_string())?;
    let mut members = Vec::new();
    for (key, typed) in found {
        let value = typed.read().map_err(|error| error.to_string())?;
        members.push((key.into(), value));
    }
    let found = fusebox_mule::Value::object(members);
    match is(&found, entries) {
        true => Ok(()),
        false => Err(format!("store {name} holds {found:?}, not {entries}")),
    }
}

fn answers(reply: &Reply, expected: &Json) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what} is not {expected} in {reply:?}"));
    for (key, wanted) in expected.as_object().into_iter().flatten() {
        match (key.as_str(), wanted) {
            ("status", Json::Number(status)) => {
                if status.as_u64() != Some(reply.status.into()) {
                    return wrong("the status");
                }
            }
            ("body", Json::Null) => {
                if !reply.body.is_empty() {
                    return wrong("the body");
                }
            }
            ("body", Json::String(body)) => {
                if !value::same_text(&reply.body, body) {
                    return wrong("the body");
                }
            }
            ("body_contains", Json::String(_) | Json::Array(_)) => {
                if !texts(wanted)?.iter().all(|part| reply.body.contains(part)) {
                    return wrong("the body");
                }
            }
            ("body" | "json", json) => {
                if serde_json::from_str::<Json>(&reply.body).ok().as_ref() != Some(json) {
                    return wrong("the body");
                }
            }
            ("mime", Json::Null) => {
                if reply.mime.is_some() {
                    return wrong("the media type");
                }
            }
            ("mime", Json::String(mime)) => {
                let essence = |text: &str| text.split(';').next().map(|it| it.trim().to_owned());
                let got = reply.mime.as_deref();
                if got != Some(mime) && got.map(essence) != Some(essence(mime)) {
                    return wrong("the media type");
                }
            }
            ("headers", Json::Object(headers)) => {
                for (name, value) in headers {
                    let got = reply.headers.get(name).and_then(|it| it.to_str().ok());
                    if got != value.as_str() {
                        return wrong(name);
                    }
                }
            }
            ("at_ms", Json::Number(at)) => {
                if at.as_u64() != Some(reply.at_ms) {
                    return wrong("the time");
                }
            }
            (other, _) => return Err(format!("an expected {other} is not known")),
        }
    }
    Ok(())
}

/// Whether upstreams were called so often, at these times, or in this order.
fn called(expected: &Json, world: &CaseWorld) -> Result<(), String> {
    let seen = world.seen();
    let wrong = || Err(format!("the calls were {seen:?}, not {expected}"));
    let Some(items) = expected.as_array() else {
        return match expected.as_u64() {
            Some(count) if count != seen.len() as u64 => wrong(),
            _ => Ok(()),
        };
    };
    let same = items.len() == seen.len()
        && items.iter().zip(&seen).all(|(item, call)| match item {
            Json::Number(at) => at.as_u64() == Some(call.at_ms),
            Json::Array(pair) => {
                let path = call.target.split('?').next().unwrap_or_default();
                let of = pair.get(1).and_then(Json::as_str);
                let config = pair.first().and_then(Json::as_str);
                config == Some(&call.config)
                    && (of == Some(&call.target) || of == Some(path))
                    && pair
                        .get(2)
                        .is_none_or(|body| body.as_str() == Some(&call.body))
            }
            _ => false,
        });
    if same { Ok(()) } else { wrong() }
}

/// Whether upstreams were sent these bodies, in this order; with a list for each configuration, each of them.
fn sent(expected: &Json, world: &CaseWorld) -> Result<(), String> {
    let seen = world.seen();
    let same = |wanted: &Json, of: Option<&str>| {
        let calls = seen
            .iter()
            .filter(|call| of.is_none_or(|of| of == call.config));
        let bodies: Vec<&str> = calls.map(|call| call.body.as_str()).collect();
        let wanted = wanted.as_array().map_or(&[][..], Vec::as_slice);
        let alike = |(wanted, got): (&Json, &&str)| match wanted {
            Json::Null => got.is_empty(),
            Json::String(text) => value::same_text(got, text),
            json => serde_json::from_str::<Json>(got).ok().as_ref() == Some(json),
        };
        wanted.len() == bodies.len() && wanted.iter().zip(&bodies).all(alike)
    };
    let good = match expected {
        Json::Null => true,
        Json::Array(_) => same(expected, None),
        Json::Object(configs) => configs
            .iter()
            .all(|(name, wanted)| same(wanted, Some(name))),
        other => return Err(format!("the bodies {other} are no list")),
    };
    match good {
        true => Ok(()),
        false => Err(format!(
            "the calls were {seen:?}, with bodies other than {expected}"
        )),
    }
}
