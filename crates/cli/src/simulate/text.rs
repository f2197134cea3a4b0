//! A replay as plain text, for a terminal.

use std::fmt::Write as _;

use fusebox_breaker::Phase;
use fusebox_sim::rerun::Report;
use fusebox_sim::show_share;

use crate::printable::printable;
use crate::simulate::result::{OfBreaker, Replayed, Swept, count, time};

/// The most breakers that are shown in full, and the most trips of each.
const BREAKERS: usize = 20;
const TRIPS: usize = 20;

/// The most rows of a sweep.
const ROWS: usize = 30;

/// The whole report.
pub fn of(replayed: &Replayed, swept: Option<&Swept>, notes: &[String]) -> String {
    let mut text = String::new();
    let mut breakers: Vec<&OfBreaker> = replayed.breakers.iter().collect();
    if breakers.len() > BREAKERS {
        // Those that did something first.
        breakers.sort_by_key(|it| std::cmp::Reverse((it.report.trips.len(), it.report.refused)));
    }
    for it in breakers.iter().take(BREAKERS) {
        breaker(&mut text, &printable(&it.name), &it.report);
    }
    if let Some(rest) = breakers.get(BREAKERS..).filter(|rest| !rest.is_empty()) {
        let trips: usize = rest.iter().map(|it| it.report.trips.len()).sum();
        let refused: u64 = rest.iter().map(|it| it.report.refused).sum();
        let calls: u64 = rest.iter().map(|it| it.report.total()).sum();
        put(
            &mut text,
            format_args!(
                "{} more breakers: {} calls, {trips} trips, {} refused; --json lists them all\n",
                rest.len(),
                count(calls),
                count(refused)
            ),
        );
    }
    if let Some(swept) = swept {
        sweep(&mut text, swept);
    }
    for note in notes {
        put(&mut text, format_args!("note: {note}\n"));
    }
    text
}

/// The report of one breaker.
pub fn breaker(text: &mut String, name: &str, report: &Report) {
    put(text, format_args!("{name}: {}\n", summary(report)));
    if report.refused > 0 {
        put(text, format_args!("  refused    {}\n", refused(report)));
    }
    put(
        text,
        format_args!(
            "  admitted   {} calls, {} failed{}\n",
            count(report.calls),
            count(report.failed),
            match report.admitted_unknown {
                0 => String::new(),
                unknown => format!(", {} without an outcome in the log", count(unknown)),
            }
        ),
    );
    if let Some(times) = times(report) {
        put(text, format_args!("  times      {times}\n"));
    }
    for judged in judging(report) {
        put(text, format_args!("  data       {judged}\n"));
    }
    for trip in report.trips.iter().take(TRIPS) {
        put(
            text,
            format_args!(
                "  +{:<10} {} -> open for {}: {}\n",
                time(trip.at),
                trip.from,
                time(trip.until.saturating_sub(trip.at)),
                trip.reason
            ),
        );
    }
    if report.trips.len() > TRIPS {
        put(
            text,
            format_args!("  … and {} more trips\n", report.trips.len() - TRIPS),
        );
    }
    text.push('\n');
}

/// The trips and refusals of a breaker in a sentence.
pub fn summary(report: &Report) -> String {
    let first = report
        .trips
        .iter()
        .filter(|trip| trip.from == Phase::Closed)
        .count();
    let again = report.trips.len() - first;
    let trips = match (first, again) {
        (0, 0) => "never tripped".to_owned(),
        (1, 0) => "1 trip".to_owned(),
        (first, 0) => format!("{first} trips"),
        (first, again) => format!(
            "{} trips, {again} of them reopenings after a failed probe",
            first + again
        ),
    };
    format!(
        "{trips}; {} of {} calls refused ({})",
        count(report.refused),
        count(report.total()),
        show_share(report.refused as f64 / report.total().max(1) as f64)
    )
}

/// The outcomes in the log of the refused calls.
pub fn refused(report: &Report) -> String {
    let unknown = report.refused - report.refused_failed - report.refused_good;
    format!(
        "{} had failed anyway, {} would have succeeded, {} unknown",
        count(report.refused_failed),
        count(report.refused_good),
        count(unknown)
    )
}

/// The times to detect and to recover, where there are any.
pub fn times(report: &Report) -> Option<String> {
    let of = |times: &[u64], mean: Option<u64>| {
        let (longest, mean) = (times.iter().max()?, mean?);
        Some(match times.len() {
            1 => time(mean),
            many => format!(
                "{} on average over {many}, {} at most",
                time(mean),
                time(*longest)
            ),
        })
    };
    let detect = of(&report.detected, report.detect())?;
    let recover = of(&report.recovered, report.recover());
    Some(match recover {
        Some(recover) => format!("detected after {detect}; recovered after {recover}"),
        None => format!("detected after {detect}; the log ends before it recovered"),
    })
}

/// Sentences on rules that had too few calls to judge.
pub fn judging(report: &Report) -> Vec<String> {
    let share = |part: u64| show_share(part as f64 / report.judged_of.max(1) as f64);
    let mut lines = Vec::new();
    for judging in report.judging.iter().filter(|it| it.too_few > 0) {
        lines.push(format!(
            "{} had fewer than its min_calls of {} at {} of the outcomes",
            judging.rule,
            judging.min_calls,
            share(judging.too_few)
        ));
    }
    if report.unjudged > 0 {
        lines.push(format!(
            "at {} outcomes ({}) no rule had enough calls to judge",
            count(report.unjudged),
            share(report.unjudged)
        ));
    }
    lines
}

fn sweep(text: &mut String, swept: &Swept) {
    let ranked = &swept.ranked;
    put(
        text,
        format_args!(
            "sweep of {}: cost = failed calls let through + {} x good calls refused\n",
            swept.breaker, swept.cost
        ),
    );
    let wide = ranked
        .tried
        .iter()
        .map(|it| swept.named(&it.values).chars().count())
        .max();
    let wide = wide.unwrap_or(0).max("today's settings".len());
    put(
        text,
        format_args!(
            "  {:>4}  {:<wide$}  {:>12} {:>7} {:>12} {:>14} {:>16}\n",
            "rank", "value", "cost", "trips", "let through", "refused good", "refused failed"
        ),
    );
    let mut row = |rank: &str, name: &str, it: &fusebox_sim::sweep::Tried| {
        put(
            text,
            format_args!(
                "{} {:>4}  {:<wide$}  {:>12} {:>7} {:>12} {:>14} {:>16}\n",
                if it.on_front { '*' } else { ' ' },
                rank,
                name,
                it.cost,
                it.trips,
                count(it.failed),
                count(it.refused_good),
                count(it.refused_failed)
            ),
        );
    };
    for (at, it) in ranked.tried.iter().enumerate().take(ROWS) {
        row(&(at + 1).to_string(), &swept.named(&it.values), it);
    }
    row("", "today's settings", &ranked.today);
    if ranked.tried.len() > ROWS {
        put(
            text,
            format_args!(
                "  … and {} more; --json lists them all\n",
                ranked.tried.len() - ROWS
            ),
        );
    }
    text.push_str(
        "  * no other value lets fewer failures through without refusing more good calls\n",
    );
    if ranked.invalid > 0 {
        put(
            text,
            format_args!(
                "  {} combinations are invalid settings, and were left out\n",
                ranked.invalid
            ),
        );
    }
    put(text, format_args!("{}\n", swept.verdict()));
    if let Some(best) = ranked.best().filter(|_| ranked.improves()) {
        put(text, format_args!("in the breaker of {}:\n", swept.breaker));
        for line in best.line.lines() {
            put(text, format_args!("    {line}\n"));
        }
    }
    text.push('\n');
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes any text");
}
