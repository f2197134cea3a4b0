//! `fusebox simulate`: replays logs against the breakers of a configuration, tries thresholds, and tests a
//! configuration by assumed phases.
//!
//! `subjects` are the breakers of the plan; `collect` reads a log into the calls of each, by `routes` and `judge`;
//! `result` holds what the replay found; `text`, `json` and `page` show it.

mod assume;
mod collect;
mod json;
mod judge;
mod page;
mod plot;
mod result;
mod routes;
mod scenarios;
mod subjects;
mod text;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use fusebox_plan::Plan;
use fusebox_sim::sweep::{COMBINATIONS_MAX, Sweep};

use crate::args::simulate::SimulateArgs;
use crate::files;

use collect::Collected;
use result::{Replayed, Swept};
use subjects::Subject;

/// Runs what the arguments ask for. The exit code is a failure if an assertion or a scenario fails.
pub fn simulate(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.scenarios {
        return scenarios::run_file(path, args);
    }
    let reading = files::read_files(&args.config, &args.reading)?;
    let Some(plan) = reading.plan else {
        for diagnostic in &reading.diagnostics {
            eprintln!("{diagnostic}");
        }
        bail!("{} is not valid", files::names(&args.config));
    };
    let subjects = subjects::of(&plan);
    let chosen = chosen(args, &subjects)?;
    match &args.assume {
        Some(phases) => assume::run(args, phases, &subjects, chosen),
        None => replay(args, &plan, &subjects, chosen),
    }
}

/// The breaker that `--breaker` names, by its number; `None`: all.
fn chosen(args: &SimulateArgs, subjects: &[Subject]) -> anyhow::Result<Option<usize>> {
    let file = || files::names(&args.config);
    if subjects.is_empty() {
        bail!(
            "{} has no breaker to simulate; add `breaker: {{}}` to an upstream",
            file()
        );
    }
    let Some(name) = &args.breaker else {
        return Ok(None);
    };
    let family = |subject: &Subject| {
        let key = name.strip_prefix(&*subject.name);
        key.is_some_and(|key| key.is_empty() || key.starts_with('/'))
    };
    match subjects.iter().position(family) {
        Some(number) => Ok(Some(number)),
        None => {
            let names: Vec<_> = subjects.iter().map(|it| &*it.name).collect();
            bail!(
                "{} has no breaker `{name}`; expected one of {}",
                file(),
                names.join(", ")
            )
        }
    }
}

fn replay(
    args: &SimulateArgs,
    plan: &Plan,
    subjects: &[Subject],
    chosen: Option<usize>,
) -> anyhow::Result<ExitCode> {
    let mut collected = Collected::read(args, plan, subjects, chosen)?;
    if let Some(name) = &args.breaker {
        collected.keep(name, subjects)?;
    }
    let replayed = Replayed::run(&collected, subjects, args)?;
    let swept = match args.sweep.is_empty() {
        true => None,
        false => Some(sweep(args, subjects, &collected)?),
    };
    let notes = result::notes(args, subjects, &collected, &replayed);
    let swept = swept.as_ref();
    if let Some(path) = &args.html {
        let page = page::page(args, subjects, &collected, &replayed, swept, &notes);
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        // The notes are for people.
        notes.iter().for_each(|note| eprintln!("note: {note}"));
        return crate::print(&format!("{:#}\n", json::of(&replayed, swept)));
    }
    crate::print(&text::of(&replayed, swept, &notes))
}

fn sweep(
    args: &SimulateArgs,
    subjects: &[Subject],
    collected: &Collected,
) -> anyhow::Result<Swept> {
    let mut called: Vec<usize> = collected.breakers.iter().map(|it| it.subject).collect();
    called.dedup();
    let subject = match called[..] {
        [one] => &subjects[one],
        _ => {
            let names: Vec<_> = called.iter().map(|it| &*subjects[*it].name).collect();
            bail!(
                "the log has calls of {} upstreams, and a sweep is about one; add --breaker with one of {}",
                names.len(),
                names.join(", ")
            )
        }
    };
    let sweep = Sweep {
        axes: args.sweep.clone(),
        good_call: args.cost,
    };
    let combinations = sweep.combinations();
    if combinations > COMBINATIONS_MAX {
        bail!(
            "the sweep has {combinations} combinations, more than {COMBINATIONS_MAX}; give fewer values or larger steps"
        );
    }
    let mut seen = Vec::new();
    for axis in &args.sweep {
        if seen.contains(&axis.setting) {
            bail!(
                "`{name}` is swept twice; give all its values at once, as in {name}=3,5..10",
                name = axis.setting.as_str()
            );
        }
        seen.push(axis.setting);
    }
    let calls: Vec<_> = collected
        .breakers
        .iter()
        .map(|it| (&it.calls[..], collected.extent(args.seed, &it.name)))
        .collect();
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let ranked = sweep.run(&subject.settings, &calls, threads);
    Ok(Swept {
        breaker: subject.name.clone(),
        names: args
            .sweep
            .iter()
            .map(|axis| axis.setting.as_str())
            .collect(),
        ranked: ranked.map_err(|why| anyhow::anyhow!("cannot sweep {}: {why}", subject.name))?,
        cost: args.cost,
    })
}
