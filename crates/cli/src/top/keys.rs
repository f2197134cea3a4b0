//! The meaning of keys, in each view and each entry of the last line.

use super::app::{App, Entry, View};
use super::input::{Effect, Key};
use super::prompt::{Action, Asked, edited};

/// The number of rows or lines of a page.
const PAGE: isize = 10;

/// Takes a key.
pub fn key(app: &mut App, key: Key) -> Vec<Effect> {
    if key == Key::Interrupt {
        return vec![Effect::Quit];
    }
    // The message was there to be read; now the keys are of use again.
    app.notice = None;
    match std::mem::replace(&mut app.entry, Entry::Keys) {
        Entry::Keys => view(app, key),
        Entry::Filter { before } => {
            filter(app, before, key);
            Vec::new()
        }
        Entry::Prompt(prompt) => match prompt.key(key) {
            Asked::Open(prompt) => {
                app.entry = Entry::Prompt(prompt);
                Vec::new()
            }
            Asked::Given(order) => vec![Effect::Send(order)],
            Asked::Left => Vec::new(),
        },
    }
}

fn view(app: &mut App, key: Key) -> Vec<Effect> {
    match key {
        Key::Char('q') => return vec![Effect::Quit],
        Key::Char('o') => app.ask(Action::Open),
        Key::Char('c') => app.ask(Action::Close),
        Key::Char('r') => app.ask(Action::Release),
        Key::Char('x') => app.ask(Action::Reset),
        Key::Char(' ') => pause(app),
        key => match app.view {
            View::Table => table(app, key),
            View::Detail { scroll } => detail(app, scroll, key),
        },
    }
    Vec::new()
}

fn table(app: &mut App, key: Key) {
    match key {
        Key::Up | Key::Char('k') => app.step(-1),
        Key::Down | Key::Char('j') => app.step(1),
        Key::PageUp => app.step(-PAGE),
        Key::PageDown => app.step(PAGE),
        Key::Home | Key::Char('g') => app.step(isize::MIN),
        Key::End | Key::Char('G') => app.step(isize::MAX),
        Key::Enter if app.selected.is_some() => app.view = View::Detail { scroll: 0 },
        Key::Char('s') => app.sort = app.sort.next(),
        Key::Char('f' | '/') => {
            let before = app.filter.clone();
            app.entry = Entry::Filter { before };
        }
        Key::Escape => app.filter.clear(),
        _ => {}
    }
}

fn detail(app: &mut App, scroll: usize, key: Key) {
    let last = app.detail_text().lines().count().saturating_sub(1);
    let to = |by: isize| View::Detail {
        scroll: scroll.saturating_add_signed(by).min(last),
    };
    app.view = match key {
        Key::Up | Key::Char('k') => to(-1),
        Key::Down | Key::Char('j') => to(1),
        Key::PageUp => to(-PAGE),
        Key::PageDown => to(PAGE),
        Key::Home | Key::Char('g') => to(isize::MIN),
        Key::End | Key::Char('G') => to(isize::MAX),
        Key::Escape | Key::Enter => View::Table,
        _ => View::Detail { scroll },
    };
}

/// Stops the table, or ends the stop.
fn pause(app: &mut App) {
    app.paused = match app.paused {
        Some(_) => None,
        None => Some((app.model.clone(), app.at)),
    };
}

fn filter(app: &mut App, before: String, key: Key) {
    match key {
        Key::Enter => {}
        Key::Escape => app.filter = before,
        // The rows can be seen, so they can be walked.
        Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End => {
            table(app, key);
            app.entry = Entry::Filter { before };
        }
        key => {
            let text = edited(std::mem::take(&mut app.filter), key);
            app.choose(text);
            app.entry = Entry::Filter { before };
        }
    }
}
