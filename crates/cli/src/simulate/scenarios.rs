//! `simulate --scenarios`: runs breaker scenarios on virtual time.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use fusebox_sim::{Case, Suite, Verdict};

use crate::args::simulate::SimulateArgs;
use crate::bounded;

/// The largest file of scenarios, in bytes.
const BYTES_MAX: u64 = 16 << 20;

/// Prints a line per scenario and a summary. The exit code is a failure if a scenario fails.
pub fn run_file(path: &Path, args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let suite = Suite::read(&read(path)?).with_context(|| path.display().to_string())?;
    let wanted = |case: &&Case| args.id.as_ref().is_none_or(|id| id == case.id());
    let cases: Vec<&Case> = suite.cases().iter().filter(wanted).collect();
    if let (Some(id), true) = (&args.id, cases.is_empty()) {
        let ids: Vec<_> = suite.cases().iter().map(Case::id).collect();
        bail!(
            "{}: unknown scenario {id}; expected one of {}",
            path.display(),
            ids.join(", ")
        );
    }
    let (text, failed) = run(&cases);
    crate::print(&text)?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the cases, and returns the report and the number of failures.
fn run(cases: &[&Case]) -> (String, usize) {
    let (mut text, mut passed, mut failed) = (String::new(), 0, 0);
    let mut skipped = Vec::new();
    for case in cases {
        let (id, kind, title) = (case.id(), case.kind().as_str(), case.title());
        match case.run() {
            Verdict::Passed => {
                passed += 1;
                text.push_str(&format!("ok   {id} {kind}: {title}\n"));
            }
            Verdict::Failed(why) => {
                failed += 1;
                text.push_str(&format!("FAIL {id} {kind}: {title}: {why}\n"));
            }
            Verdict::NotRun => {
                skipped.push(id);
                text.push_str(&format!("-    {id} {kind}: {title}\n"));
            }
        }
    }
    if !skipped.is_empty() {
        text.push_str(&format!(
            "not run, because they show what a breaker must not do: {}\n",
            skipped.join(", ")
        ));
    }
    text.push_str(&format!("{passed} passed, {failed} failed\n"));
    (text, failed)
}

fn read(path: &Path) -> anyhow::Result<String> {
    bounded::text_or_stdin(path, BYTES_MAX)
        .with_context(|| format!("cannot read {}", path.display()))
}
