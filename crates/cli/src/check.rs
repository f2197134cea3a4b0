//! `fusebox check`: all diagnostics of configuration files at once.

use std::process::ExitCode;

use fusebox_plan::plan::Store;

use crate::args::CheckArgs;
use crate::files::read_files;
use crate::state;

/// Prints all diagnostics; fails if one is an error.
pub fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let reading = read_files(&args.files, &args.reading)?;
    let mut text = String::new();
    for diagnostic in &reading.diagnostics {
        text.push_str(&format!("{diagnostic}\n"));
    }
    match &reading.plan {
        Some(plan) => {
            if let Some(Store::Valkey(server)) = &plan.store {
                state::server(server)?;
            }
            let count = |number: usize, noun: &str| {
                format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
            };
            let mut counts = vec![
                count(plan.listeners.len(), "listener"),
                count(plan.routes.len(), "route"),
            ];
            // An application has parts of its own, and upstreams only in a file beside it.
            let own = plan
                .app
                .as_ref()
                .map(|app| app.counts())
                .unwrap_or_default();
            counts.extend(own.iter().map(|(number, noun)| count(*number, noun)));
            let upstreams = plan.upstreams.len() + plan.guards.len();
            if upstreams > 0 || own.is_empty() {
                counts.push(count(upstreams, "upstream"));
            }
            text.push_str(&format!("ok: {}\n", counts.join(", ")));
            crate::print(&text)
        }
        None => {
            crate::print(&text)?;
            Ok(ExitCode::FAILURE)
        }
    }
}
