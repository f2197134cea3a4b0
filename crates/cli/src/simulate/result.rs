//! The results of a replay: a report for each breaker, a sweep, and notes on what the log could not tell.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use fusebox_plan::plan::KeyPart;
use fusebox_sim::rerun::{Extent, Report, rerun};
use fusebox_sim::show_duration;
use fusebox_sim::sweep::Ranked;
use fusebox_sim::trace::Format;

use crate::args::simulate::SimulateArgs;
use crate::printable::printable;
use crate::simulate::collect::Collected;
use crate::simulate::judge::sources;
use crate::simulate::subjects::Subject;

/// The buckets of a timeline.
const BUCKETS: usize = 240;

/// The most breakers that have a timeline of their own.
pub const TIMELINES: usize = 20;

/// The report of one breaker.
pub struct OfBreaker {
    pub name: String,
    pub report: Report,
}

/// The reports of all breakers, in order of their names.
pub struct Replayed {
    pub breakers: Vec<OfBreaker>,
}

/// The ranked values of a sweep.
pub struct Swept {
    /// The name of the upstream.
    pub breaker: Arc<str>,
    /// The swept settings.
    pub names: Vec<&'static str>,
    pub ranked: Ranked,
    /// The cost of a refused good call.
    pub cost: f64,
}

impl Replayed {
    /// Runs the calls of each breaker.
    ///
    /// # Errors
    /// Settings that the breaker refuses, which the check of a file finds before.
    pub fn run(
        collected: &Collected,
        subjects: &[Subject],
        args: &SimulateArgs,
    ) -> anyhow::Result<Replayed> {
        let (mut breakers, mut drawn) = (Vec::new(), 0);
        for recorded in &collected.breakers {
            let subject = &subjects[recorded.subject];
            let extent = Extent {
                timeline: Some((collected.span(), BUCKETS)),
                ..collected.extent(args.seed, &recorded.name)
            };
            let report = rerun(&subject.settings, &recorded.calls, extent);
            let report = report.map_err(|errors| anyhow!("{}: {errors}", subject.name))?;
            drawn += 1;
            breakers.push(OfBreaker {
                name: recorded.name.clone(),
                report,
            });
            // Timelines are large, and a log may have many keys.
            if drawn > 10 * TIMELINES {
                drawn = keep_timelines(&mut breakers);
            }
        }
        keep_timelines(&mut breakers);
        Ok(Replayed { breakers })
    }
}

/// Keeps the timelines of the breakers with the most trips; returns their number.
fn keep_timelines(breakers: &mut [OfBreaker]) -> usize {
    let mut drawn: Vec<_> = breakers
        .iter_mut()
        .filter(|it| it.report.timeline.is_some())
        .collect();
    drawn.sort_by_key(|it| std::cmp::Reverse((it.report.trips.len(), it.report.total())));
    for it in drawn.iter_mut().skip(TIMELINES) {
        it.report.timeline = None;
    }
    drawn.len().min(TIMELINES)
}

impl Swept {
    /// The name and value of a result as texts.
    pub fn named(&self, values: &[fusebox_sim::sweep::Value]) -> String {
        let pairs = self.names.iter().zip(values);
        let texts: Vec<_> = pairs
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        texts.join(", ")
    }

    /// The verdict on the best values, in a sentence.
    pub fn verdict(&self) -> String {
        let today = &self.ranked.today;
        match self.ranked.best() {
            None => "no combination of these values is valid".to_owned(),
            Some(best) if self.ranked.improves() => format!(
                "the best costs {} where today's settings cost {}",
                best.cost, today.cost
            ),
            Some(best) => format!(
                "warning: the best is not better than today's settings: it costs {}, and they cost {}; keep them",
                best.cost, today.cost
            ),
        }
    }
}

/// Sentences on the lines that were left out, and on what no log can tell.
pub fn notes(
    args: &SimulateArgs,
    subjects: &[Subject],
    collected: &Collected,
    replayed: &Replayed,
) -> Vec<String> {
    let mut notes = Vec::new();
    if collected.unreadable > 0 {
        let mut note = format!(
            "{} of {} lines cannot be read:",
            collected.unreadable, collected.lines
        );
        for (at, (file, line, why)) in collected.named.iter().enumerate() {
            let sign = if at == 0 { "" } else { ";" };
            write!(note, "{sign} {}:{line}: {why}", printable(file)).ok();
        }
        if collected.unreadable > collected.named.len() as u64 {
            note.push_str("; …");
        }
        notes.push(note);
    }
    if collected.local > 0 {
        notes.push(format!(
            "{} lines were answered without asking an upstream, and are left out",
            collected.local
        ));
    }
    if collected.unrouted > 0 {
        notes.push(format!(
            "{} lines take no route to an upstream, and are left out",
            collected.unrouted
        ));
    }
    if !collected.foreign.is_empty() {
        let lines: u64 = collected.foreign.values().sum();
        let names: Vec<_> = collected
            .foreign
            .keys()
            .take(5)
            .map(|name| printable(name))
            .collect();
        let more = if collected.foreign.len() > 5 {
            ", …"
        } else {
            ""
        };
        notes.push(format!(
            "{lines} lines are about upstreams without a breaker here, and are left out: {}{more}",
            names.join(", ")
        ));
    }
    if collected.untimed > 0 {
        notes.push(format!(
            "{} calls have no duration in the log: each ends as it starts, and rules for slow calls do not see it",
            collected.untimed
        ));
    }
    let far: u64 = replayed.breakers.iter().map(|it| it.report.far).sum();
    if far > 0 {
        notes.push(format!(
            "warning: {far} starts and ends lie more than a year after the one before, and changed nothing; look for lines \
             with a wrong time"
        ));
    }
    if collected.judge_errors > 0 {
        notes.push(format!(
            "`failure` or `ignore` could not be evaluated for {} calls; the default decided them",
            collected.judge_errors
        ));
    }
    if collected.formats.contains(&Format::Nginx) && !args.at_end {
        notes.push(
            "nginx writes the time at which a request ended; with --at-end the start is that less the duration"
                .to_owned(),
        );
    }
    let mut of_subject = collected
        .breakers
        .iter()
        .map(|it| it.subject)
        .collect::<Vec<_>>();
    of_subject.dedup();
    for subject in of_subject.into_iter().map(|it| &subjects[it]) {
        notes.extend(subject.limits());
        notes.extend(unknown_words(subject, &collected.formats));
        let keys = collected
            .breakers
            .iter()
            .filter(|it| subjects[it.subject].name == subject.name);
        let keys = keys.count();
        if keys > subject.breaker.keys_max {
            notes.push(format!(
                "{}: the log has {keys} keys, more than `max_keys: {}`; here each has its own breaker, and live some would \
                 share one",
                subject.name, subject.breaker.keys_max
            ));
        }
    }
    if replayed.breakers.iter().any(|it| it.report.refused > 0) {
        notes.push(
            "an open breaker takes load off its upstream, and its clients may repeat or give up; the log shows neither, and \
             no queue is modelled"
                .to_owned(),
        );
    }
    notes
}

/// The variables of a breaker's expressions, and the parts of its key, that a log does not have.
fn unknown_words(subject: &Subject, formats: &[Format]) -> Vec<String> {
    let sources = sources(&subject.breaker);
    let is_ours = |format: &Format| *format == Format::Fusebox;
    let of_errors = |format: &Format| matches!(format, Format::Fusebox | Format::Envoy);
    let knows_errors = formats
        .iter()
        .all(|it| of_errors(it) || matches!(it, Format::Csv | Format::Ndjson));
    let mut words = vec!["headers", "body"];
    if !formats.iter().all(is_ours) {
        words.push("client_subject");
    }
    if !knows_errors {
        words.extend(["error", "connect_error", "timeout", "truncated"]);
    }
    let uses = |word: &&str| {
        let is_word = |source: &&str| {
            let mut parts = source.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
            parts.any(|part| part == *word)
        };
        sources.iter().any(is_word)
    };
    let used: Vec<_> = words.into_iter().filter(|word| uses(word)).collect();
    let mut notes = Vec::new();
    if !used.is_empty() {
        notes.push(format!(
            "{}: its expressions use {}, which the log does not have: they are empty here",
            subject.name,
            used.join(", ")
        ));
    }
    let by_header = |part: &KeyPart| matches!(part, KeyPart::Header(_));
    if subject.breaker.key.0.iter().any(by_header) {
        notes.push(format!(
            "{}: a field of its key that a line does not have is `-`; log it with `access_log.headers`, or map it with \
             --map header.NAME=.NAME",
            subject.name
        ));
    }
    notes
}

/// Nanoseconds as a text with at most four digits.
pub fn time(nanos: u64) -> String {
    let step = match nanos {
        0..10_000 => 1,
        10_000..10_000_000 => 1_000,
        10_000_000..10_000_000_000 => 1_000_000,
        10_000_000_000..600_000_000_000 => 100_000_000,
        _ => 1_000_000_000,
    };
    let seconds = nanos as f64 / 1e9;
    match nanos {
        0..1_000_000_000 => show_duration(Duration::from_nanos(nanos / step * step)),
        1_000_000_000..120_000_000_000 => {
            let text = format!("{seconds:.3}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            format!("{text}s")
        }
        120_000_000_000..7_200_000_000_000 => format!(
            "{}m {:02}s",
            nanos / 60_000_000_000,
            nanos / 1_000_000_000 % 60
        ),
        _ => format!(
            "{}h {:02}m",
            nanos / 3_600_000_000_000,
            nanos / 60_000_000_000 % 60
        ),
    }
}

/// A number with spaces between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
