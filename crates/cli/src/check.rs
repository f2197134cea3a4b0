//! `fusebox check`: all diagnostics of configuration files at once, and a summary.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use fusebox_plan::plan::Store;
use fusebox_plan::{Plan, Reading, Schedule};
use serde_json::{Value, json};

use crate::args::CheckArgs;
use crate::files::read_files;
use crate::state;

/// Prints all diagnostics; fails if one is an error.
pub fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let reading = read_files(&args.files, &args.reading)?;
    if let Some(Store::Valkey(server)) = reading.plan.as_ref().and_then(|it| it.store.as_ref()) {
        state::server(server)?;
    }
    let printed = crate::print(&match args.json {
        true => format!("{:#}\n", as_json(&reading)),
        false => as_text(&reading),
    })?;
    Ok(match &reading.plan {
        Some(_) => printed,
        None => ExitCode::FAILURE,
    })
}

fn as_text(reading: &Reading) -> String {
    let mut text = String::new();
    for diagnostic in &reading.diagnostics {
        text.push_str(&format!("{diagnostic}\n"));
    }
    for Schedule { name, next } in schedules(reading) {
        let next = next.map_or("never".to_owned(), |next| format!("next at {next}"));
        writeln!(text, "schedule {name}: {next}").expect("a String takes any text");
    }
    if !reading.runs.is_empty() {
        writeln!(text, "runs: {}", listed(&reading.runs)).expect("a String takes any text");
        if !reading.blocks.is_empty() {
            writeln!(text, "blocks: {}", listed(&reading.blocks)).expect("a String takes any text");
        }
    }
    if let Some(plan) = &reading.plan {
        let count = |number: usize, noun: &str| {
            format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
        };
        let mut counts = vec![
            count(plan.listeners.len(), "listener"),
            count(plan.routes.len(), "route"),
        ];
        // An application has parts of its own, and upstreams only in a file beside it.
        let app = plan.app.as_ref();
        let own = app.map(|app| app.counts()).unwrap_or_default();
        counts.extend(own.iter().map(|(number, noun)| count(*number, noun)));
        if upstreams(plan) > 0 || own.is_empty() {
            counts.push(count(upstreams(plan), "upstream"));
        }
        if !plan.breakers.is_empty() {
            counts.push(count(plan.breakers.len(), "breaker"));
        }
        text.push_str(&format!("ok: {}\n", counts.join(", ")));
    }
    text
}

fn as_json(reading: &Reading) -> Value {
    let diagnostics: Vec<Value> = reading
        .diagnostics
        .iter()
        .map(|it| {
            json!({
                "file": it.file,
                "line": it.line,
                "column": it.col,
                "severity": it.severity.to_string(),
                "what": it.what,
                "mend": it.mend,
                "about": it.about,
            })
        })
        .collect();
    let counted = |list: &[(String, usize)]| -> Vec<Value> {
        let one = |(construct, count): &(String, usize)| json!({ "construct": construct, "count": count });
        list.iter().map(one).collect()
    };
    let schedules: Vec<Value> = schedules(reading)
        .into_iter()
        .map(|Schedule { name, next }| json!({ "name": &*name, "next": next }))
        .collect();
    let mut shown = json!({
        "ok": reading.plan.is_some(),
        "diagnostics": diagnostics,
        "schedules": schedules,
        "runs": counted(&reading.runs),
        "blocks": counted(&reading.blocks),
    });
    if let Some(plan) = &reading.plan {
        shown["listeners"] = json!(plan.listeners.len());
        shown["routes"] = json!(plan.routes.len());
        shown["upstreams"] = json!(upstreams(plan));
        shown["breakers"] = json!(plan.breakers.len());
    }
    shown
}

fn upstreams(plan: &Plan) -> usize {
    plan.upstreams.len() + plan.guards.len()
}

/// The schedules of an application, with the next run of each if it is started now.
fn schedules(reading: &Reading) -> Vec<Schedule> {
    let program = reading.plan.as_ref().and_then(|plan| plan.app.as_ref());
    program.map_or_else(Vec::new, |it| it.schedules(SystemTime::now()))
}

/// Counts as a text: `set-payload 3, http:request 1`.
fn listed(counts: &[(String, usize)]) -> String {
    let counts = counts.iter();
    let counts: Vec<String> = counts
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    counts.join(", ")
}
