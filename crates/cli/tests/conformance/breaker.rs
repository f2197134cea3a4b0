//! `breaker.json`: scenarios on virtual time, against the pure machine and the shared breaker.

use std::path::Path;

use fusebox_sim::{Suite, Verdict};

use crate::Report;

pub fn run(file: &Path) -> Result<Report, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let suite = Suite::read(&text).map_err(|error| error.to_string())?;
    let mut report = Report::default();
    let mut skipped = Vec::new();
    for case in suite.cases() {
        match case.run() {
            Verdict::Passed => report.passed += 1,
            Verdict::Failed(why) => {
                report
                    .failed
                    .push((format!("{} {}", case.id(), case.title()), why));
            }
            Verdict::NotRun => skipped.push(case.id()),
        }
    }
    if !skipped.is_empty() {
        report.notes.push(format!(
            "not run, because they show what a breaker must not do: {}",
            skipped.join(", ")
        ));
    }
    Ok(report)
}
