//! The selected breaker in short, below the table: explanation, last failures, and the gateway's events.

use serde_json::Value;

use super::app::App;
use super::canvas::Piece;
use super::columns::{cells, wrapped};
use super::theme::{Theme, Tone};
use super::words::{NOTHING, clock};
use crate::breakers::human::{between, took};
use crate::printable::printable;

/// The most lines of an explanation.
const EXPLAINED: usize = 2;
/// The fewest events, while there are as many.
const EVENTS_MIN: usize = 3;

/// The lines of the pane, as many as there is room for. `hidden` is the number of rows that the table has no room for.
pub fn lines(app: &App, width: usize, room: usize, hidden: usize, theme: Theme) -> Vec<Vec<Piece>> {
    let mut lines = vec![ruler(app, width, hidden, theme)];
    let breaker = &app.detail.breaker;
    lines.extend(explanation(app, width));
    let failures = breaker["last_failures"].as_array();
    let failures = failures.map_or(&[][..], Vec::as_slice);
    let fit = room.saturating_sub(lines.len() + 1 + EVENTS_MIN);
    if !failures.is_empty() && fit > 0 {
        let newest = failures.iter().take(fit);
        lines.extend(newest.map(|failed| failure(failed, &breaker["now"])));
    }
    lines.push(vec![(Tone::Strong, "Events".into())]);
    let fit = room.saturating_sub(lines.len());
    let (model, _) = app.shown();
    for news in model.events.iter().rev().take(fit) {
        let about = news.breaker.as_ref();
        let about = about.map_or_else(String::new, |name| format!("{name} "));
        lines.push(vec![
            (Tone::Faint, format!("{}  ", clock(news.at))),
            (Tone::Strong, about),
            (news.tone, news.text.clone()),
        ]);
    }
    lines.truncate(room);
    lines
}

fn ruler(app: &App, width: usize, hidden: usize, theme: Theme) -> Vec<Piece> {
    let line = if theme.unicode { "─" } else { "-" };
    let name = app.selected.as_deref().unwrap_or(NOTHING);
    let more = match hidden {
        0 => String::new(),
        hidden => format!("({hidden} more rows) "),
    };
    let name = format!(" {} ", printable(name));
    let rest = width.saturating_sub(2 + cells(&name) + cells(&more));
    vec![
        (Tone::Faint, line.repeat(2)),
        (Tone::Strong, name),
        (Tone::Faint, more),
        (Tone::Faint, line.repeat(rest)),
    ]
}

fn explanation(app: &App, width: usize) -> Vec<Vec<Piece>> {
    let (tone, text) = match (&app.detail.fault, &app.selected) {
        (Some(fault), _) => (Tone::Bad, fault.clone()),
        (None, None) => (Tone::Faint, "no breaker is selected".into()),
        (None, Some(_)) => (Tone::Plain, explained(app)),
    };
    let lines = wrapped(&printable(&text), width).into_iter();
    lines
        .take(EXPLAINED)
        .map(|line| vec![(tone, line)])
        .collect()
}

fn explained(app: &App) -> String {
    let breaker = &app.detail.breaker;
    let text = breaker["explanation"]["text"].as_str();
    let reason = breaker["reason"].as_str();
    match (text, reason, breaker) {
        (_, _, Value::Null) => "reading…".into(),
        (Some(text), ..) => text.to_owned(),
        (None, Some(reason), _) => reason.to_owned(),
        (None, None, _) => NOTHING.into(),
    }
}

fn failure(failed: &Value, now: &Value) -> Vec<Piece> {
    let text = |name: &str| failed[name].as_str();
    let ago = between(&failed["at"], now).unwrap_or_else(|| NOTHING.into());
    let status = failed["status"].as_u64().map(|status| status.to_string());
    let result = status.or_else(|| text("error").map(str::to_owned));
    let mut line = format!(
        "  {}  {}",
        result.unwrap_or_else(|| NOTHING.into()),
        took(&failed["ms"])
    );
    for more in [text("endpoint"), text("request_id")].into_iter().flatten() {
        line = format!("{line}  {more}");
    }
    vec![
        (Tone::Faint, format!("failed {:<13}", format!("{ago} ago"))),
        (Tone::Plain, line),
    ]
}
