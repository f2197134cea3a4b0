//! The state of the program, and its transitions: pure functions of a state, a time and an input.
//!
//! [`update`] is the only way to change an [`App`]. It reads no clock and no socket: what has to be done outside is
//! returned as [`Effect`]s, and their results come back as inputs.

use std::time::Duration;

use serde_json::Value;

use super::input::{Effect, Input};
use super::keys;
use super::model::{Model, Snapshot};
use super::prompt::{Action, Order, Prompt};
use super::row::{Row, Sort};
use super::theme::Tone;
use crate::breakers::{line, show};

/// The time after which the selected breaker is read again.
const DETAIL_EVERY: Duration = Duration::from_secs(2);
/// The time after which everything is read again, for facts that no event announces.
const STATE_EVERY: Duration = Duration::from_secs(15);
/// The time between two readings of everything, however many events there are.
const STATE_APART: Duration = Duration::from_millis(500);
/// The time for which a notice is shown.
const NOTICE_FOR: Duration = Duration::from_secs(12);

/// The connection to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The stream of events is being opened for the first time.
    Joining,
    /// Events come as they happen.
    Live,
    /// The stream was lost.
    Lost {
        /// The reason in words.
        why: String,
        /// The time of the loss.
        since: Duration,
        /// The time of the next try.
        again: Duration,
    },
}

/// The view that has the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The table, and the selected breaker in short below it.
    Table,
    /// The selected breaker in full.
    Detail {
        /// The number of lines that are scrolled away.
        scroll: usize,
    },
}

/// The last line: keys, or a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The keys and their meanings.
    Keys,
    /// The filter is being written; leaving it restores the one before.
    Filter {
        /// The filter before.
        before: String,
    },
    /// A command is being asked for.
    Prompt(Prompt),
}

/// A short message about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The tone in which it is shown.
    pub tone: Tone,
    /// The message in words.
    pub text: String,
    until: Duration,
}

/// The selected breaker in full, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detail {
    /// The answer of the API; null before the first.
    pub breaker: Value,
    /// The reason why the last reading failed.
    pub fault: Option<String>,
    /// The time of the last reading; `None`: it must be read now.
    read_at: Option<Duration>,
}

/// The state of the program.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// The gateway as it is known.
    pub model: Model,
    /// The table that stands still, while it does, with the time of its pause.
    pub paused: Option<(Model, Duration)>,
    /// The connection to it.
    pub link: Link,
    /// The view on screen.
    pub view: View,
    /// The last line.
    pub entry: Entry,
    /// The part of a name or a state that rows must have.
    pub filter: String,
    /// The order of the rows.
    pub sort: Sort,
    /// The selected breaker's name; `None`: there is no row.
    pub selected: Option<String>,
    /// The selected breaker in full.
    pub detail: Detail,
    /// A message about a command.
    pub notice: Option<Notice>,
    /// The program's time, since its start.
    pub at: Duration,
    /// The place of the selected row, for when that row is gone.
    place: usize,
    reading: Reading,
}

/// The requests that are on their way: at most one of each kind.
#[derive(Debug, Clone, Default, PartialEq)]
struct Reading {
    state: bool,
    breaker: bool,
    /// True if everything must be read again.
    state_is_old: bool,
    state_at: Duration,
}

impl App {
    /// The state after the first snapshot.
    pub fn new(snapshot: Snapshot) -> App {
        let mut app = App {
            model: Model::new(snapshot, Duration::ZERO),
            paused: None,
            link: Link::Joining,
            view: View::Table,
            entry: Entry::Keys,
            filter: String::new(),
            sort: Sort::default(),
            selected: None,
            detail: Detail::default(),
            notice: None,
            at: Duration::ZERO,
            place: 0,
            reading: Reading::default(),
        };
        app.keep_selection();
        app
    }

    /// The model that is shown, and the program's time for it.
    pub fn shown(&self) -> (&Model, Duration) {
        match &self.paused {
            Some((model, at)) => (model, *at),
            None => (&self.model, self.at),
        }
    }

    /// The rows that are shown, in order.
    pub fn rows(&self) -> Vec<&Row> {
        let (model, _) = self.shown();
        let wanted = self.filter.to_lowercase();
        let rows = model.rows.iter();
        let mut rows: Vec<_> = rows.filter(|row| is_wanted(row, &wanted)).collect();
        rows.sort_by(|one, other| self.sort.compare(one, other));
        rows
    }

    /// The selected row.
    pub fn selected_row(&self) -> Option<&Row> {
        self.shown().0.row(self.selected.as_deref()?)
    }

    /// The text of the selected breaker in full.
    pub fn detail_text(&self) -> String {
        if let Some(fault) = &self.detail.fault {
            return fault.clone();
        }
        match self.detail.breaker {
            Value::Null => "reading…".into(),
            ref breaker => show(breaker),
        }
    }

    /// Shows the rows with another text in them; a selection that is not among them goes to the first.
    pub fn choose(&mut self, filter: String) {
        self.filter = filter;
        self.place = 0;
    }

    /// Selects the row `by` rows below the selected one.
    pub fn step(&mut self, by: isize) {
        let names: Vec<_> = self.rows().iter().map(|row| row.name.clone()).collect();
        let at = names
            .iter()
            .position(|name| self.selected.as_ref() == Some(name));
        let at = at.unwrap_or(self.place).saturating_add_signed(by);
        self.place = at.min(names.len().saturating_sub(1));
        self.select(names.get(self.place).cloned());
    }

    /// Keeps the selected row, or takes the one in its place.
    pub fn keep_selection(&mut self) {
        self.step(0);
    }

    fn select(&mut self, name: Option<String>) {
        if self.selected != name {
            self.selected = name;
            self.detail = Detail::default();
        }
    }

    /// Begins to ask for a command to the selected breaker.
    pub fn ask(&mut self, action: Action) {
        let Some(row) = self.selected_row() else {
            return;
        };
        if self.model.gateway.read_only {
            return self.tell(Tone::Warning, "this token may only read".into());
        }
        let row = self.model.row(&row.name).unwrap_or(row);
        if action == Action::Release && row.hold.is_none() && !row.is_flow() {
            let text = format!("{} is not held", row.name);
            return self.tell(Tone::Warning, text);
        }
        self.entry = Entry::Prompt(Prompt::new(action, &row.name, row.is_flow()));
    }

    /// Shows a message for a while.
    pub fn tell(&mut self, tone: Tone, text: String) {
        let until = self.at + NOTICE_FOR;
        self.notice = Some(Notice { tone, text, until });
    }

    fn is_old(&mut self) {
        self.reading.state_is_old = true;
        self.detail.read_at = None;
    }

    /// The requests that are due and not on their way.
    fn due(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let reading = &mut self.reading;
        let age = self.at.saturating_sub(reading.state_at);
        // Without a connection, the loss says enough; joining again reads everything.
        let is_lost = matches!(self.link, Link::Lost { .. });
        let is_due = reading.state_is_old && age >= STATE_APART || age >= STATE_EVERY;
        if is_due && !reading.state && !is_lost {
            reading.state = true;
            reading.state_is_old = false;
            reading.state_at = self.at;
            effects.push(Effect::ReadState);
        }
        let age = self.detail.read_at.map(|at| self.at.saturating_sub(at));
        let is_due = age.is_none_or(|age| age >= DETAIL_EVERY);
        if let (Some(name), true, false, false) = (&self.selected, is_due, reading.breaker, is_lost)
        {
            reading.breaker = true;
            self.detail.read_at = Some(self.at);
            effects.push(Effect::ReadBreaker(name.clone()));
        }
        effects
    }
}

fn is_wanted(row: &Row, wanted: &str) -> bool {
    wanted.is_empty()
        || row.name.to_lowercase().contains(wanted)
        || super::words::look_word(row).contains(wanted)
}

/// Takes an input at a time of the program, and returns what must be done.
pub fn update(app: &mut App, at: Duration, input: Input) -> Vec<Effect> {
    app.at = app.at.max(at);
    let mut effects = Vec::new();
    match input {
        Input::Key(key) => effects = keys::key(app, key),
        Input::Tick | Input::Resized => {}
        Input::State(Ok(snapshot)) => {
            app.reading.state = false;
            app.model.renew(*snapshot, app.at);
        }
        // The loss of the stream says so in words, too; the next reading comes by itself.
        Input::State(Err(_)) => app.reading.state = false,
        Input::Breaker(name, answer) => {
            app.reading.breaker = false;
            if app.selected.as_ref() == Some(&name) {
                match answer {
                    Ok(breaker) => (app.detail.breaker, app.detail.fault) = (breaker, None),
                    Err(fault) => app.detail.fault = Some(fault),
                }
            }
        }
        Input::Done(order, answer) => {
            app.is_old();
            match answer {
                Ok(breaker) => app.tell(Tone::Good, line(&breaker).trim_end().to_owned()),
                Err(fault) => {
                    let Order { action, name, .. } = order;
                    let text = format!("{} of {name} failed: {fault}", action.word());
                    app.tell(Tone::Bad, text);
                }
            }
        }
        Input::Joined => {
            // Until the first joining, the first snapshot is new.
            if matches!(app.link, Link::Lost { .. }) {
                app.is_old();
            }
            app.link = Link::Live;
        }
        Input::Lost(why, after) => {
            let since = match app.link {
                Link::Lost { since, .. } => since,
                Link::Joining | Link::Live => app.at,
            };
            let again = app.at + after;
            app.link = Link::Lost { why, since, again };
        }
        Input::Event(event) if event["type"] == "pulse" => app.model.pulse(&event),
        Input::Event(event) => {
            if app.model.event(&event) {
                app.is_old();
            }
        }
    }
    if app.model.has_due(app.at) {
        app.is_old();
    }
    if app.notice.as_ref().is_some_and(|it| it.until <= app.at) {
        app.notice = None;
    }
    app.keep_selection();
    if !effects.contains(&Effect::Quit) {
        effects.extend(app.due());
    }
    effects
}
