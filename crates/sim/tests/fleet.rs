//! Fleets of all sizes hold the invariants, whatever the faults.
//!
//! `make test` runs a hundredth; with `FUSEBOX_PROVE` set, 10,000 fleets of 3 to 7 nodes, 100 of 100 and 5 of 1,000.
//! `FUSEBOX_SEED` and `FUSEBOX_NODES` run a single fleet, to investigate a failure.
#![cfg(feature = "fleet")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::print_stdout,
    reason = "the summary of many runs is for the person who runs them"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fusebox_sim::{Drill, Run};

/// The summary of many runs.
#[derive(Default)]
struct Sum {
    runs: u64,
    events: u64,
    commands: u64,
    convergence: Duration,
    violated: Vec<Run>,
}

impl Sum {
    fn add(mut self, run: Run) -> Sum {
        self.runs += 1;
        self.events += run.events;
        self.commands += run.commands;
        self.convergence = self.convergence.max(run.convergence);
        if run.violation.is_some() {
            self.violated.push(run);
        }
        self
    }

    fn join(mut self, other: Sum) -> Sum {
        self.runs += other.runs;
        self.events += other.events;
        self.commands += other.commands;
        self.convergence = self.convergence.max(other.convergence);
        self.violated.extend(other.violated);
        self
    }
}

/// Runs a drill per seed on all processors, prints the summary, and fails if any run violated an invariant.
fn hold(title: &str, seeds: u64, drill: impl Fn(u64) -> Drill + Sync) {
    let next = AtomicU64::new(0);
    let work = || {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return sum;
            }
            sum = sum.add(drill(seed).run());
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut sum = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let sums = threads.into_iter().map(|thread| thread.join().unwrap());
        sums.fold(Sum::default(), Sum::join)
    });
    println!(
        "fleets of {title}: {} seeds, {} events, {} commands, worst convergence {} ms, {} violations",
        sum.runs,
        sum.events,
        sum.commands,
        sum.convergence.as_millis(),
        sum.violated.len()
    );
    sum.violated.sort_by_key(|run| run.events);
    if let Some(run) = sum.violated.first() {
        let heads = sum.violated.iter().map(|run| {
            let told = run.to_string();
            told.lines().next().unwrap().to_owned()
        });
        let heads: Vec<String> = heads.collect();
        panic!("{}\n\n{run}", heads.join("\n"));
    }
}

fn proves() -> bool {
    std::env::var_os("FUSEBOX_PROVE").is_some()
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

#[test]
fn fleets_of_3_to_7_nodes_hold() {
    if let (Some(seed), Some(nodes)) = (number("FUSEBOX_SEED"), number("FUSEBOX_NODES")) {
        let run = Drill::new(seed, nodes as usize).run();
        assert!(run.violation.is_none(), "{run}");
        return;
    }
    let seeds = number("FUSEBOX_SEEDS").unwrap_or(if proves() { 10_000 } else { 100 });
    hold("3 to 7 nodes", seeds, |seed| {
        Drill::new(seed, 3 + seed as usize % 5)
    });
}

#[test]
fn fleets_of_100_nodes_hold() {
    let seeds = if proves() { 100 } else { 1 };
    hold("100 nodes", seeds, |seed| Drill::new(seed, 100));
}

#[test]
fn fleets_of_1000_nodes_hold() {
    if proves() {
        return hold("1,000 nodes", 5, |seed| Drill::new(seed, 1_000));
    }
    let storm = Duration::from_secs(3);
    hold("1,000 nodes", 1, |seed| {
        Drill::new(seed, 1_000).storm(storm)
    });
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let run = |seed| Drill::new(seed, 5).run();
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed));
    }
    let hashes: BTreeSet<u64> = (0..10).map(|seed| run(seed).hash).collect();
    assert_eq!(hashes.len(), 10);
}

#[test]
fn a_healthy_upstream_costs_no_command_however_many_calls_there_are() {
    let span = Duration::from_secs(10);
    let run = |calls| Drill::new(3, 5).calm(calls, span).run();
    let (few, many) = (run(5), run(50));
    assert!(many.events > 5 * few.events);
    assert_eq!((few.commands, many.commands), (0, 0));
    assert!(few.reads.abs_diff(many.reads) <= 5, "{few:?} {many:?}");
    // Each node reads once in each of ten rounds, which are slightly shorter than a second, and at the start.
    assert!(many.reads <= 5 * (10 * 10 / 9 + 3), "{}", many.reads);
}
