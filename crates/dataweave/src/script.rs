//! DataWeave 2: what a script is, and what it gives.
//!
//! - `cursor`, `literal`, `types`, `parse`, `body`, `header`: from text to `tree`
//! - `run`: what an evaluation sees and may cost; `eval`: the tree's values
//! - `operators`, `compare`, `select`, `functions`: what they do; `coerce`: how one kind becomes another
//! - `date_format`, `number_format`: the texts of dates and numbers
//! - `output`: a value with its media type
//! - `symbolic`: what a script gives when only some of what it sees is known

use std::fmt;
use std::sync::Arc;

mod body;
pub(crate) mod coerce;
mod compare;
mod cursor;
mod date_format;
mod eval;
mod functions;
mod header;
mod literal;
mod number_format;
mod operators;
mod output;
mod parse;
mod run;
mod select;
mod symbolic;
mod tree;
mod types;

pub(crate) use run::Closure;

use crate::event::Context;
use crate::fault::{EvalFault, ParseFault};
use crate::limits::{BYTES_MAX, DEPTH_MAX, NESTING_MAX, STEPS_MAX, VALUE_DEPTH_MAX};
use crate::value::Value;
use crate::value::media::Typed;
use tree::Program;

/// A parsed script. Cloning one is cheap.
#[derive(Clone)]
pub struct Script {
    program: Arc<Program>,
    source: Arc<str>,
}

impl Script {
    /// Parses a script, `%dw 2.0 output application/json --- {a: 1}`, or an expression alone.
    ///
    /// # Errors
    /// Where it is too long or too deep, its grammar is wrong, or it calls a function or asks for a
    /// format that there is not.
    pub fn parse(text: &str) -> Result<Script, ParseFault> {
        Script::within(text, 0, text.len())
    }

    /// The same for a part of a text, whose places are those of the whole text.
    pub(crate) fn within(text: &str, start: usize, end: usize) -> Result<Script, ParseFault> {
        Ok(Script {
            program: Arc::new(parse::program(text, start, end)?),
            source: text[start..end].into(),
        })
    }

    /// Evaluates it.
    ///
    /// What it gives has the media type of its `output` directive; without one that of the parts of
    /// the event it reads, if they have one in common, else `application/java`. `payload` or `vars.x`
    /// alone is that part, unread.
    ///
    /// # Errors
    /// Where a name is unknown, an operator or function does not fit its operands, a text is not of
    /// its media type, or it costs too much.
    pub fn eval(&self, context: &Context<'_>) -> Result<Typed, EvalFault> {
        output::eval(&self.program, context)
    }

    /// The value alone, as the script makes it.
    ///
    /// # Errors
    /// As [`eval`](Script::eval).
    pub(crate) fn value(&self, context: &Context<'_>) -> Result<Value, EvalFault> {
        output::value(&self.program, context)
    }

    /// The variables that it reads by their names, as `vars.x`.
    pub fn variables(&self) -> impl Iterator<Item = &Arc<str>> {
        self.program.reads.vars.iter()
    }

    /// The text that it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.source).finish()
    }
}

/// Two scripts are equal if their texts are.
impl PartialEq for Script {
    fn eq(&self, other: &Script) -> bool {
        self.source == other.source
    }
}
