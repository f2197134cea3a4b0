//! The screen of a state: the verdict, the table, the selected breaker, and the last line.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Position;

use super::app::{App, Entry, Link, View};
use super::canvas::{Canvas, Piece};
use super::columns::{Column, cells, fitted, fitting, wrapped};
use super::pane;
use super::prompt::{Action, DURATION, Prompt, Step, WITHOUT_END};
use super::theme::{Theme, Tone, tone};
use super::verdict::verdict;
use super::words::{ago, foretold, left};
use crate::printable::printable;

/// The lines of a screen below which the selected breaker is not shown.
const TALL: usize = 14;
/// The least lines for the selected breaker.
const PANE_MIN: usize = 10;

/// Draws a state, and returns the position of the cursor if there is one.
pub fn draw(app: &App, buffer: &mut Buffer, theme: Theme) -> Option<Position> {
    let mut canvas = Canvas::new(buffer, theme);
    let bottom = bottom(app, canvas.width());
    let height = canvas.height().saturating_sub(bottom.lines.len());
    let top = head(app, &mut canvas, height);
    match app.view {
        View::Table => table(app, &mut canvas, top, height),
        View::Detail { scroll } => detail(app, &mut canvas, top, height, scroll),
    }
    for (at, line) in bottom.lines.iter().enumerate() {
        canvas.line(height + at, line);
    }
    let (x, line) = bottom.cursor?;
    canvas.position(x, height + line)
}

/// Draws the verdict and the state of the gateway, and returns the next line.
fn head(app: &App, canvas: &mut Canvas<'_>, height: usize) -> usize {
    let (model, at) = app.shown();
    let verdict = verdict(model, model.now(at));
    let most = if height >= TALL { 2 } else { 1 };
    let mut lines = wrapped(&printable(&verdict.text), canvas.width());
    if lines.len() > most {
        // The last line is cut off where the screen ends, with a mark.
        let rest = lines.split_off(most - 1).join(" ");
        lines.push(rest);
    }
    for (at, line) in lines.iter().enumerate() {
        canvas.text(at, verdict.tone, line);
    }
    let next = lines.len();
    let line = match &app.link {
        Link::Lost { why, since, again } => {
            let passed = |from: std::time::Duration| app.at.saturating_sub(from).as_secs();
            let next = match again.saturating_sub(app.at).as_secs() {
                0 => "trying again".to_owned(),
                seconds => format!("next try in {seconds} s"),
            };
            let lost = format!("CONNECTION LOST {} s ago, {next}: {why}", passed(*since));
            vec![(Tone::Bad, lost)]
        }
        Link::Joining | Link::Live => facts(app),
    };
    canvas.line(next, &line);
    next + 1
}

fn facts(app: &App) -> Vec<Piece> {
    let (model, at) = app.shown();
    let gateway = &model.gateway;
    let mut words = vec![gateway.node.clone()];
    if !gateway.version.is_empty() {
        words.push(format!("fusebox {}", gateway.version));
    }
    if let Some(start) = gateway.started_at {
        words.push(format!("up {}", ago(start, model.now(at))));
    }
    if let Some(fleet) = &gateway.fleet {
        let expected = fleet.expected.map(|expected| format!(" of {expected}"));
        let expected = expected.unwrap_or_default();
        words.push(format!("fleet {}{expected}", fleet.nodes.len()));
    }
    if gateway.read_only {
        words.push("read only".into());
    }
    words.push(format!("by {}", app.sort.word()));
    if !app.filter.is_empty() {
        words.push(format!("filter `{}`", app.filter));
    }
    let mut line = Vec::new();
    if app.paused.is_some() {
        line.push((Tone::Strong, "PAUSED  ".into()));
    }
    if gateway.draining {
        line.push((Tone::Warning, "DRAINING  ".into()));
    }
    if gateway.store.state == "away" {
        line.push((Tone::Bad, "STORE AWAY  ".into()));
    }
    line.push((Tone::Faint, words.join("  ")));
    if app.link == Link::Joining {
        line.push((Tone::Warning, "  joining".into()));
    }
    line
}

/// Draws the table, and the selected breaker below it where there is room.
fn table(app: &App, canvas: &mut Canvas<'_>, top: usize, height: usize) {
    let (model, at) = app.shown();
    let now = model.now(at);
    let rows = app.rows();
    let name = rows.iter().map(|row| cells(&printable(&row.name)));
    let columns = fitting(canvas.width(), name.max().unwrap_or_default());
    let theme = canvas.theme;
    let cell = |(column, width): &(Column, usize), text: &str| {
        let gap = if *column == Column::State { "" } else { "  " };
        gap.to_owned() + &fitted(text, *width, column.is_number(), theme)
    };
    let head: String = columns.iter().map(|it| cell(it, it.0.head())).collect();
    canvas.text(top, Tone::Strong, head.trim_end());
    let room = height.saturating_sub(top + 1);
    let pane = if height >= TALL { PANE_MIN } else { 0 };
    let shown = rows.len().max(1).min(room.saturating_sub(pane));
    let selected = rows
        .iter()
        .position(|row| app.selected.as_ref() == Some(&row.name));
    let first = selected.unwrap_or_default().saturating_sub(shown / 2);
    let first = first.min(rows.len().saturating_sub(shown));
    for (line, row) in rows.iter().enumerate().skip(first).take(shown) {
        let y = top + 1 + line - first;
        let pieces = columns.iter().map(|it| {
            let tone = match it.0 {
                Column::State => tone(row),
                Column::Name => Tone::Strong,
                _ => Tone::Plain,
            };
            (tone, cell(it, &it.0.text(row, now, theme)))
        });
        let pieces: Vec<_> = pieces.collect();
        canvas.line(y, &pieces);
        if selected == Some(line) {
            canvas.select(y);
        }
    }
    if rows.is_empty() {
        let none = match app.filter.as_str() {
            "" => "no breakers".to_owned(),
            filter => format!("no breaker has `{filter}` in its name or state"),
        };
        canvas.text(top + 1, Tone::Faint, &none);
    }
    let from = top + 1 + shown;
    let hidden = rows.len() - shown.min(rows.len()) + model.more;
    let lines = pane::lines(
        app,
        canvas.width(),
        height.saturating_sub(from),
        hidden,
        theme,
    );
    for (at, line) in lines.iter().enumerate() {
        canvas.line(from + at, line);
    }
}

/// Draws the selected breaker in full.
fn detail(app: &App, canvas: &mut Canvas<'_>, top: usize, height: usize, scroll: usize) {
    let text = app.detail_text();
    let width = canvas.width();
    // Long values continue below, indented like them.
    let lines = text.lines().enumerate().flat_map(|(at, line)| {
        let tone = if at == 0 { Tone::Strong } else { Tone::Plain };
        let parts = if cells(line) > width {
            let indent = line.len() - line.trim_start().len();
            let indent = " ".repeat(indent.max(15).min(width / 2));
            let whole = wrapped(line, width.saturating_sub(indent.len()).max(1));
            let first = format!("  {}", whole[0]);
            let rest = whole.into_iter().skip(1);
            let rest = rest.map(|part| format!("{indent}{part}"));
            std::iter::once(first).chain(rest).collect()
        } else {
            vec![line.to_owned()]
        };
        parts.into_iter().map(move |part| (tone, part))
    });
    let room = height.saturating_sub(top);
    for (at, (tone, line)) in lines.skip(scroll).take(room).enumerate() {
        canvas.text(top + at, tone, &line);
    }
}

/// The last lines of the screen.
struct Bottom {
    lines: Vec<Vec<Piece>>,
    /// The cursor's cell and line.
    cursor: Option<(usize, usize)>,
}

fn bottom(app: &App, width: usize) -> Bottom {
    match &app.entry {
        Entry::Prompt(prompt) => question(app, prompt, width),
        Entry::Filter { .. } => {
            let asked = format!("Filter by name or state: {}", app.filter);
            Bottom {
                cursor: Some((cells(&asked), 0)),
                lines: vec![vec![(Tone::Strong, asked)]],
            }
        }
        Entry::Keys => {
            let lines = match &app.notice {
                Some(notice) => wrapped(&printable(&notice.text), width)
                    .into_iter()
                    .take(3)
                    .map(|line| vec![(notice.tone, line)])
                    .collect(),
                None => vec![keys(app, width)],
            };
            Bottom {
                lines,
                cursor: None,
            }
        }
    }
}

/// The keys that mean something now. Where they need more than the width, those go first that are tried anyway.
fn keys(app: &App, width: usize) -> Vec<Piece> {
    let steering = [
        ("o", "open"),
        ("c", "close"),
        ("r", "release"),
        ("x", "reset"),
    ];
    let steering = steering
        .into_iter()
        .filter(|_| !app.model.gateway.read_only);
    let mut keys = match app.view {
        View::Table => vec![("Enter", "detail")],
        View::Detail { .. } => vec![("Esc", "back"), ("jk", "scroll")],
    };
    keys.extend(steering);
    if app.view == View::Table {
        keys.extend([
            ("f", "filter"),
            ("s", "sort"),
            ("space", "pause"),
            ("jk", "move"),
        ]);
    }
    let quit = ("q", "quit");
    let cells = |(key, word): &(&str, &str)| key.len() + word.len() + 3;
    let taken = |keys: &[_]| keys.iter().chain([&quit]).map(cells).sum::<usize>() - 2;
    while taken(&keys) > width && keys.pop().is_some() {}
    keys.push(quit);
    let pieces = keys.into_iter().flat_map(|(key, word)| {
        let word = format!(" {word}  ");
        [(Tone::Strong, key.to_owned()), (Tone::Faint, word)]
    });
    let mut pieces: Vec<_> = pieces.collect();
    if let Some((_, word)) = pieces.last_mut() {
        word.truncate(word.trim_end().len());
    }
    pieces
}

/// The question of a prompt, below what the command will do.
fn question(app: &App, prompt: &Prompt, width: usize) -> Bottom {
    let order = &prompt.order;
    let mut lines = Vec::new();
    let mut head = format!("{}: {}", order.action.word(), order.name);
    if let (Some(row), Step::Confirm) = (app.model.row(&order.name), &prompt.step) {
        head = format!("{head}: {}", foretold(order, row));
        if let Some(until) = row.hold.as_ref().and_then(|hold| hold.until)
            && let Some(left) = left(until, app.model.now(app.at))
        {
            head = format!("{head} The hold of now would end in {left}.");
        }
    }
    let head = wrapped(&printable(&head), width);
    lines.extend(
        head.into_iter()
            .take(3)
            .map(|line| vec![(Tone::Held, line)]),
    );
    if let Some(fault) = &prompt.fault {
        lines.push(vec![(Tone::Bad, fault.clone())]);
    }
    let optional = match order.action {
        Action::Release => " (may be empty)",
        _ => "",
    };
    let asked = match &prompt.step {
        Step::Reason(text) => format!("Reason{optional}: {text}"),
        Step::Duration(text) => format!("For how long [{DURATION}; or `{WITHOUT_END}`]: {text}"),
        Step::Confirm => "Do it? y/N ".to_owned(),
    };
    // A long answer is being written at its end.
    let asked = tail(&printable(&asked), width.saturating_sub(1));
    let cursor = Some((cells(&asked), lines.len()));
    lines.push(vec![(Tone::Strong, asked)]);
    Bottom { lines, cursor }
}

/// The end of a text, as much of it as fits.
fn tail(text: &str, width: usize) -> String {
    let mut rest = text;
    while cells(rest) > width {
        let mut chars = rest.chars();
        chars.next();
        rest = chars.as_str();
    }
    rest.to_owned()
}
