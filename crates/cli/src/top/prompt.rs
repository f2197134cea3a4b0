//! The questions before a command: reason, duration, yes or no.

use serde_json::{Value, json};

use super::input::Key;

/// The duration of a hold if the operator writes none.
pub const DURATION: &str = "10m";
/// The answer for a hold that has no end by itself.
pub const WITHOUT_END: &str = "without end";
/// The longest reason that the API takes, in characters.
const REASON_MAX: usize = 256;

/// A command to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Hold it open.
    Open,
    /// Hold it closed.
    Close,
    /// End a hold.
    Release,
    /// Close it, with all counts cleared and no hold.
    Reset,
}

impl Action {
    /// The command's word in the API.
    pub fn path(self) -> &'static str {
        match self {
            Action::Open => "open",
            Action::Close => "close",
            Action::Release => "release",
            Action::Reset => "reset",
        }
    }

    /// The command in words.
    pub fn word(self) -> &'static str {
        match self {
            Action::Open => "Hold open",
            Action::Close => "Hold closed",
            Action::Release => "Release",
            Action::Reset => "Reset",
        }
    }

    fn is_hold(self) -> bool {
        matches!(self, Action::Open | Action::Close)
    }
}

/// A command with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The kind of command.
    pub action: Action,
    /// The breaker's name.
    pub name: String,
    /// The operator's reason; empty: none.
    pub reason: String,
    /// The duration of a hold; `None`: it has none.
    pub duration: Option<String>,
}

impl Order {
    /// The body of the request.
    pub fn body(&self, by: &str) -> Value {
        let mut body = json!({ "by": by });
        if !self.reason.is_empty() {
            body["reason"] = json!(self.reason);
        }
        if let Some(duration) = &self.duration {
            body["for"] = json!(duration);
        }
        body
    }
}

/// The open question of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The reason, as far as it is written.
    Reason(String),
    /// The duration, as far as it is written; empty for [`DURATION`].
    Duration(String),
    /// Yes or no.
    Confirm,
}

/// A command that is being asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The command, with the answers so far.
    pub order: Order,
    /// The open question.
    pub step: Step,
    /// The fault of the last answer.
    pub fault: Option<String>,
    /// True for a circuit of a flow, whose entry has a lifetime of its own.
    is_flow: bool,
}

/// The outcome of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A question is open.
    Open(Prompt),
    /// The operator has said yes.
    Given(Order),
    /// The operator has left, or said no.
    Left,
}

impl Prompt {
    /// The first question of a command.
    pub fn new(action: Action, name: &str, is_flow: bool) -> Prompt {
        Prompt {
            order: Order {
                action,
                name: name.to_owned(),
                reason: String::new(),
                duration: None,
            },
            step: Step::Reason(String::new()),
            fault: None,
            is_flow,
        }
    }

    /// The state after a key.
    pub fn key(mut self, key: Key) -> Asked {
        self.fault = None;
        match (self.step.clone(), key) {
            (_, Key::Escape) => Asked::Left,
            (Step::Reason(text), Key::Enter) => self.take_reason(text.trim()),
            (Step::Duration(text), Key::Enter) => self.take_duration(text.trim()),
            (Step::Confirm, Key::Char('y' | 'Y')) => Asked::Given(self.order),
            (Step::Confirm, Key::Char(_) | Key::Enter) => Asked::Left,
            (Step::Reason(text), key) => {
                self.step = Step::Reason(edited(text, key));
                Asked::Open(self)
            }
            (Step::Duration(text), key) => {
                self.step = Step::Duration(edited(text, key));
                Asked::Open(self)
            }
            (Step::Confirm, _) => Asked::Open(self),
        }
    }

    fn take_reason(mut self, reason: &str) -> Asked {
        // A release explains itself; all else is read by those who wonder later.
        if reason.is_empty() && self.order.action != Action::Release {
            self.fault = Some("expected a reason: others will read it".into());
            return Asked::Open(self);
        }
        self.order.reason = reason.to_owned();
        self.step = if self.order.action.is_hold() && !self.is_flow {
            Step::Duration(String::new())
        } else {
            Step::Confirm
        };
        Asked::Open(self)
    }

    fn take_duration(mut self, duration: &str) -> Asked {
        self.order.duration = match duration {
            "" => Some(DURATION.to_owned()),
            WITHOUT_END => None,
            duration => match humantime::parse_duration(duration) {
                Ok(length) if !length.is_zero() => Some(duration.to_owned()),
                _ => {
                    let fault = format!("expected a duration such as 10m, or `{WITHOUT_END}`");
                    self.fault = Some(fault);
                    return Asked::Open(self);
                }
            },
        };
        self.step = Step::Confirm;
        Asked::Open(self)
    }
}

/// A line of text after a key.
pub fn edited(mut text: String, key: Key) -> String {
    match key {
        Key::Char(char) if text.chars().count() < REASON_MAX => text.push(char),
        Key::Backspace => {
            text.pop();
        }
        Key::Clear => text.clear(),
        _ => {}
    }
    text
}
