//! The inputs of the program, and its acts.

use std::time::Duration;

use serde_json::Value;

use super::model::Snapshot;
use super::prompt::Order;

/// A key, as far as it means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character of text.
    Char(char),
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// The first row.
    Home,
    /// The last row.
    End,
    /// The answer to a question is complete; in the table: the detail.
    Enter,
    /// Leave the detail, the filter or the question.
    Escape,
    /// Remove the last character.
    Backspace,
    /// Remove all characters: control and U.
    Clear,
    /// End the program: control and C.
    Interrupt,
}

/// An input of the program.
#[derive(Debug)]
pub enum Input {
    /// A pressed key.
    Key(Key),
    /// A moment has passed.
    Tick,
    /// The terminal has another size.
    Resized,
    /// Everything as it is, or the reason why it cannot be read.
    State(Result<Box<Snapshot>, String>),
    /// A breaker in full, by its name.
    Breaker(String, Result<Value, String>),
    /// The answer to a command.
    Done(Order, Result<Value, String>),
    /// The stream of events has begun.
    Joined,
    /// The stream has ended, for a reason; the next try comes after a time.
    Lost(String, Duration),
    /// An event of the stream.
    Event(Value),
}

/// An act outside of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Read the whole state.
    ReadState,
    /// Read a breaker in full.
    ReadBreaker(String),
    /// Send a command.
    Send(Order),
    /// End the program.
    Quit,
}
