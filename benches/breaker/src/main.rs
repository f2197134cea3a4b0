//! `list`: the cases. `count CASE N`: N operations of one, for a counter of instructions. `time`: all of them, timed in
//! turns, as a table; with `--allocations FILE` and `--instructions FILE` of lines `CASE<tab>NUMBER`, with those columns;
//! with `--only TEXT`, the cases whose name has that text.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

mod beside;

use beside::Cores;
use fusebox_bench_breaker::{Case, Operation, ROUND, Rule, Run, Tick, cases};

/// How long a block of operations is to take: long beside reading the clock, short beside being interrupted.
const BLOCK: Duration = Duration::from_micros(50);

/// How often each case has its turn, how often it may try, and how long a turn lasts: short, so that on a busy machine
/// some pass without an interruption.
const TURNS: usize = 50;
const TRIES: usize = 6 * TURNS;
const TURN: Duration = Duration::from_millis(4);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["list"] => list(),
        ["count", case, times] => count(case, times),
        ["time", files @ ..] => time(files),
        _ => Err(
            "usage: list | count CASE N | time [--only TEXT] [--allocations FILE] [--instructions FILE]"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn list() -> Done {
    let mut out = std::io::stdout();
    for case in cases(&Tick::new()) {
        writeln!(out, "{}", case.id)?;
    }
    Ok(())
}

fn count(wanted: &str, times: &str) -> Done {
    let times: u64 = times.parse()?;
    let cases = cases(&Tick::new());
    let case = cases.iter().find(|case| case.id.to_string() == wanted);
    let run = (case.ok_or("there is no such case; `list` tells them")?.make)();
    // What happens once, for the first calls, happens in every count.
    run(10 * ROUND);
    run(times / ROUND * ROUND);
    Ok(())
}

fn time(files: &[&str]) -> Done {
    let mut columns: Vec<(&str, HashMap<String, String>)> = Vec::new();
    let mut only = "";
    for pair in files.chunks(2) {
        match pair {
            ["--only", text] => only = text,
            ["--allocations", file] => columns.push(("allocations", numbers(file)?)),
            ["--instructions", file] => columns.push(("instructions", numbers(file)?)),
            _ => return Err(format!("what is {pair:?}?").into()),
        }
    }
    let tick = Tick::new();
    tick.run();
    let mut cases = cases(&tick);
    cases.retain(|case| case.id.to_string().contains(only));
    let cores = Cores::new()?;
    let threads: Vec<usize> = [1, 2, 4]
        .into_iter()
        .filter(|many| *many <= cores.count())
        .collect();
    let times = threads.iter();
    let times: Vec<Vec<Option<f64>>> = times.map(|many| in_turns(&cores, &cases, *many)).collect();

    let mut out = std::io::stdout();
    let floor = floor(&cores, &tick);
    writeln!(
        out,
        "Floor, ns: one relaxed load {:.1}, a load and a compare-and-swap {:.1}, `Instant::now` {:.1}.\n",
        floor.load, floor.swap, floor.clock
    )?;
    for operation in Operation::ALL {
        write!(out, "| {} | who |", operation.as_str())?;
        for many in &threads {
            write!(
                out,
                " ns, {many} thread{} |",
                if *many == 1 { "" } else { "s" }
            )?;
        }
        for (name, _) in &columns {
            write!(out, " {name} |")?;
        }
        writeln!(
            out,
            "\n|---|---|{}",
            "--:|".repeat(threads.len() + columns.len())
        )?;
        for rule in Rule::ALL {
            for (number, case) in cases.iter().enumerate() {
                if case.id.rule != rule || case.id.operation != operation {
                    continue;
                }
                write!(out, "| {} | {} |", rule.as_str(), case.id.who)?;
                for times in &times {
                    match times[number] {
                        Some(time) => write!(out, " {time:.1} |")?,
                        None => write!(out, " – |")?,
                    }
                }
                for (_, numbers) in &columns {
                    let number = numbers.get(&case.id.to_string());
                    write!(out, " {} |", number.map_or("–", String::as_str))?;
                }
                writeln!(out)?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn numbers(file: &str) -> Result<HashMap<String, String>, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(file)?;
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(lines
        .map(|(case, number)| (case.to_owned(), number.to_owned()))
        .collect())
}

/// The median nanoseconds of an operation for each case, all cases having their turns one after the other again and
/// again, so that a disturbance of the machine hits them alike. None where too few turns had all threads at work at once.
fn in_turns(cores: &Cores, cases: &[Case], threads: usize) -> Vec<Option<f64>> {
    let runs: Vec<Run> = cases.iter().map(|case| (case.make)()).collect();
    let mut turns = vec![Vec::new(); cases.len()];
    for _ in 0..TRIES {
        for (run, turns) in runs.iter().zip(&mut turns) {
            if turns.len() < TURNS {
                turns.extend(turn(cores, run, threads));
            }
        }
    }
    let medians = turns.into_iter().map(|turns| {
        let enough = turns.len() == TURNS;
        enough.then(|| median(turns.concat()))
    });
    medians.collect()
}

/// Nanoseconds per operation of many blocks, with all threads at the same breaker; none where they were not at once.
fn turn(cores: &Cores, run: &Run, threads: usize) -> Option<Vec<f64>> {
    let times = operations_in(run, BLOCK);
    cores.beside(threads, TURN, || {
        let begin = Instant::now();
        run(times);
        begin.elapsed().as_nanos() as f64 / times as f64
    })
}

/// How many operations take about so long.
fn operations_in(run: &Run, time: Duration) -> u64 {
    let mut times = ROUND;
    loop {
        let begin = Instant::now();
        run(times);
        if begin.elapsed() >= time || times >= 1_000_000 {
            return times;
        }
        times *= 2;
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What cannot be had for less here, in nanoseconds.
struct Floor {
    load: f64,
    swap: f64,
    clock: f64,
}

/// `swap` is what it costs to remember anything at all: a word that nobody else wants, read and changed as one.
fn floor(cores: &Cores, tick: &Tick) -> Floor {
    let tick = tick.clone();
    let load: Run = Box::new(move |times| {
        for _ in 0..times {
            std::hint::black_box(tick.read());
        }
    });
    let word = AtomicU64::new(0);
    let swap: Run = Box::new(move |times| {
        for _ in 0..times {
            let old = word.load(Ordering::Acquire);
            let swapped = word.compare_exchange(
                std::hint::black_box(old),
                old.wrapping_add(1),
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            assert!(swapped.is_ok(), "nobody else is there");
        }
    });
    let clock: Run = Box::new(|times| {
        for _ in 0..times {
            std::hint::black_box(Instant::now());
        }
    });
    let [load, swap, clock] = [load, swap, clock].map(|run| {
        let turns = (0..TRIES).find_map(|_| turn(cores, &run, 1));
        turns.map_or(f64::NAN, median)
    });
    Floor { load, swap, clock }
}
