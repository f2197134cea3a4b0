//! Runs the conformance cases through the real code: `cargo test -p fusebox-cli --test conformance`.
//!
//! The cases are the project's `conformance/`, and those in `cases/`, which the originals have not been
//! asked about; with `FUSEBOX_CONFORMANCE=DIR` the files of the same names in DIR, those that are
//! there. Arguments name files to run; without any, all are.
#![allow(clippy::print_stdout, reason = "what it prints is its report")]

mod breaker;
mod flogo_breaker;
mod flogo_expr;
mod flogo_gateway;
mod http;
mod mule;
mod mule_expr;
mod mule_flow;
mod mule_store;
mod relay;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Every file of cases, and what runs it; `None` where nothing does yet.
const FILES: [(&str, Option<Runner>); 8] = [
    ("breaker.json", Some(breaker::run)),
    ("flogo_expr.json", Some(flogo_expr::run)),
    ("flogo_breaker.json", Some(flogo_breaker::run)),
    ("flogo_gateway.json", Some(flogo_gateway::run)),
    ("mule_expr.json", Some(mule_expr::run)),
    ("mule_store.json", Some(mule_store::run)),
    ("mule_flow.json", Some(mule_flow::run)),
    ("http.json", Some(http::run)),
];

/// Runs the cases of a file; an error is why they could not be run.
type Runner = fn(&Path) -> Result<Report, String>;

/// How the cases of a file went.
#[derive(Debug, Default)]
pub struct Report {
    /// How many went as expected.
    pub passed: usize,
    /// What did not: a case's id, and what came instead.
    pub failed: Vec<(String, String)>,
    /// What is to be said besides.
    pub notes: Vec<String>,
}

fn main() -> ExitCode {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = ["../../conformance", "tests/conformance/cases"].map(|dir| here.join(dir));
    let dirs = std::env::var_os("FUSEBOX_CONFORMANCE")
        .map_or(ours.to_vec(), |dir| vec![PathBuf::from(dir)]);
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let mut present = 0;
    let mut good = true;
    let all = dirs
        .iter()
        .flat_map(|dir| FILES.map(|(name, runner)| (dir, name, runner)));
    for (dir, name, runner) in all {
        let file = dir.join(name);
        if !file.is_file() || !(wanted.is_empty() || wanted.iter().any(|want| want == name)) {
            continue;
        }
        present += 1;
        let Some(runner) = runner else {
            println!("{name}: not supported yet");
            continue;
        };
        match runner(&file) {
            Ok(report) => good &= show(name, &report),
            Err(error) => {
                println!("{name}: could not be run: {error}");
                good = false;
            }
        }
    }
    if present == 0 {
        println!("no conformance cases in {dirs:?}");
        good = false;
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints a report; whether all went well.
fn show(name: &str, report: &Report) -> bool {
    for note in &report.notes {
        println!("{name}: {note}");
    }
    for (id, what) in &report.failed {
        println!("{name}: {id}: {what}");
    }
    println!(
        "{name}: {} passed, {} failed",
        report.passed,
        report.failed.len()
    );
    report.failed.is_empty()
}
