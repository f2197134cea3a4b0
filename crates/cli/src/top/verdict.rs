//! The verdict: how the breakers are, in a sentence that answers the first question of the night.

use std::time::SystemTime;

use super::model::Model;
use super::row::{Look, Row};
use super::theme::Tone;
use super::words::{left, percent, rate};

/// The verdict over a model, and its tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The tone of the worst state.
    pub tone: Tone,
    /// The verdict's sentence.
    pub text: String,
}

/// The verdict of now.
pub fn verdict(model: &Model, now: SystemTime) -> Verdict {
    let mut rows: Vec<_> = model.rows.iter().filter(|row| !row.is_endpoint()).collect();
    rows.sort_by_key(|row| (row.look().rank(), &*row.name));
    let total = if model.more > 0 {
        model.counts.breakers
    } else {
        rows.len()
    };
    let refusing = rows.iter().filter(|row| row.refuses()).count();
    let of = |look| rows.iter().filter(|row| row.look() == look).count();
    let half = of(Look::HalfOpen);
    let verb = |count| if count == 1 { "is" } else { "are" };
    let (tone, mut text) = match (total, refusing, half) {
        (0, ..) => (Tone::Plain, "No breakers yet".to_owned()),
        (_, 0, 0) if total == 1 => (Tone::Good, "The breaker is closed".into()),
        (_, 0, 0) => (Tone::Good, format!("All {total} breakers are closed")),
        (_, 0, _) => {
            let verb = verb(half);
            let text = format!("{half} of {total} breakers {verb} half-open");
            (Tone::Warning, text)
        }
        _ => {
            let verb = verb(refusing);
            let text = format!("{refusing} of {total} breakers {verb} open");
            (Tone::Bad, text)
        }
    };
    let told: Vec<_> = rows.iter().filter_map(|row| told(row, now)).collect();
    if !told.is_empty() {
        text = format!("{text}: {}", told.join(", "));
    }
    let ejected = model.rows.iter();
    let ejected = ejected.filter(|row| row.is_endpoint() && row.refuses());
    match ejected.count() {
        0 => text.push('.'),
        1 => text.push_str("; 1 endpoint is out of use."),
        many => text.push_str(&format!("; {many} endpoints are out of use.")),
    }
    if let Some(why) = &model.incomplete {
        text.push_str(&format!(" Incomplete: {why}."));
    }
    Verdict { tone, text }
}

/// A row that is not simply closed, in words.
fn told(row: &Row, now: SystemTime) -> Option<String> {
    let mut facts = Vec::new();
    if row.refuses() {
        let refused = row.rates.as_ref().map_or(0.0, |rates| rates.refused_per_s);
        if refused > 0.0 {
            facts.push(format!("refuses {} calls/s", rate(refused)));
        }
    }
    match row.look() {
        Look::Open => facts.push(match row.retry_at {
            None => "open".into(),
            Some(at) => match left(at, now) {
                Some(left) => format!("tries again in {left}"),
                None => "tries again with the next call".into(),
            },
        }),
        Look::HalfOpen => facts.push("half-open, single calls try it".into()),
        Look::HeldOpen | Look::HeldClosed => {
            let hold = row.hold.as_ref()?;
            let kind = match row.look() {
                Look::HeldOpen => "open",
                _ => "closed",
            };
            let ends = hold.until.and_then(|at| left(at, now));
            let ends = ends.map_or("until released".into(), |left| format!("for {left} more"));
            facts.push(format!(
                "held {kind} by {} {ends}: {}",
                hold.by, hold.reason
            ));
        }
        Look::Ramp => {
            let share = row.ramp.as_ref().map_or(1.0, |ramp| ramp.share);
            facts.push(format!("{} of its calls pass", percent(share)));
        }
        Look::Failing | Look::Closed | Look::Disabled => return None,
    }
    Some(format!("{} ({})", row.name, facts.join(", ")))
}
