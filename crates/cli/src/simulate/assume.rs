//! `simulate --assume`: runs assumed phases through each breaker, and checks the assertions.

use std::process::ExitCode;

use anyhow::anyhow;
use fusebox_sim::assume::Phases;
use fusebox_sim::rerun::{Extent, rerun};
use serde_json::{Value as Json, json};

use crate::args::simulate::SimulateArgs;
use crate::simulate::subjects::Subject;
use crate::simulate::{json, text};

/// Runs the phases; the exit code is a failure if an assertion fails for a breaker.
pub fn run(
    args: &SimulateArgs,
    phases: &Phases,
    subjects: &[Subject],
    chosen: Option<usize>,
) -> anyhow::Result<ExitCode> {
    let mut out = String::new();
    let (mut breakers, mut assertions) = (Vec::new(), Vec::new());
    let mut failed = 0;
    for (number, subject) in subjects.iter().enumerate() {
        if chosen.is_some_and(|chosen| chosen != number) {
            continue;
        }
        let calls = phases.calls(subject.limit, args.seed);
        let extent = Extent {
            origin: 0,
            seed: args.seed,
            timeline: Some((1, 1)),
        };
        let report = rerun(&subject.settings, &calls, extent);
        let report = report.map_err(|errors| anyhow!("{}: {errors}", subject.name))?;
        text::breaker(&mut out, &subject.name, &report);
        breakers.push(json::breaker(&subject.name, &report));
        for assertion in &args.assertions {
            let found = assertion.check(phases, &report);
            failed += usize::from(!found.holds);
            let (word, found_text) = (if found.holds { "ok  " } else { "FAIL" }, &found.found);
            out.push_str(&format!(
                "{word} {}: {assertion}; found {found_text}\n",
                subject.name
            ));
            assertions.push(json!({
                "breaker": &*subject.name,
                "assert": assertion.to_string(),
                "holds": found.holds,
                "found": found.found,
            }));
        }
    }
    if !args.assertions.is_empty() {
        let all = assertions.len();
        out.push_str(&format!("{} held, {failed} failed\n", all - failed));
    }
    match args.json {
        true => {
            let whole: Json = json!({ "breakers": breakers, "assertions": assertions });
            crate::print(&format!("{whole:#}\n"))?;
        }
        false => {
            crate::print(&out)?;
        }
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
