//! DataWeave 2: what a script is, and what it gives.
//!
//! - `cursor`, `literal`, `types`, `parse`, `body`, `header`: from text to `tree`
//! - `run`: what an evaluation sees and may cost; `eval`: the tree's values
//! - `operators`, `compare`, `select`, `functions`: what they do; `coerce`: how one kind becomes another
//! - `iso`, `date_format`, `number_format`, `regex`: the texts of dates, numbers and expressions
//! - `output`: a value with its media type
//! - `symbolic`: what a script gives when only some of what it sees is known
//!
//! The semantics are those of [DataWeave 2](https://docs.mulesoft.com/dataweave/latest/), as far as
//! its documentation tells them.
//!
//! Scripts come from configuration, but values from clients and upstreams, so what an evaluation may
//! cost is bounded: [`STEPS_MAX`], [`NESTING_MAX`], [`VALUE_DEPTH_MAX`], [`TEXT_MAX`].

use std::fmt;
use std::sync::Arc;

mod body;
pub(super) mod coerce;
mod compare;
mod cursor;
mod date_format;
mod eval;
mod functions;
mod header;
pub(super) mod iso;
mod literal;
mod number_format;
mod operators;
mod output;
mod parse;
mod regex;
mod run;
mod select;
mod symbolic;
mod tree;
mod types;

pub(crate) use regex::Pattern;
pub(crate) use run::Closure;
pub(crate) use symbolic::View;

use super::event::Context;
use super::media::Typed;
use tree::Program;

/// Bytes in a script.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// Parentheses, arguments, branches and the like inside one another in a script.
pub(crate) const DEPTH_MAX: usize = 64;
/// Parts inside one another while a script runs, through all the functions it calls.
pub(crate) const NESTING_MAX: u16 = 400;
/// Steps of one evaluation; a step is one part evaluated, 16 values copied, or 1 KiB of text read or
/// made.
pub(crate) const STEPS_MAX: u32 = 1 << 20;
/// Bytes in a text that an expression makes.
pub(crate) const TEXT_MAX: usize = 16 << 20;
/// About how much memory the value of one JSON text takes, in bytes; most take 3 to 8 times their text.
pub(crate) const VALUE_MEMORY_MAX: usize = 64 << 20;
/// Arrays and objects inside one another in a value.
pub(crate) const VALUE_DEPTH_MAX: u16 = 200;

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {mend}")]
pub struct ParseFault {
    /// What is wrong.
    pub message: String,
    /// The line in the text, from 1.
    pub line: usize,
    /// The column in the line, in characters, from 1.
    pub col: usize,
    /// How to mend it.
    pub mend: String,
}

/// Why a script has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {description}")]
pub struct EvalFault {
    /// The type of Mule's error: `MULE:EXPRESSION`.
    pub kind: &'static str,
    /// What went wrong.
    pub description: String,
}

impl EvalFault {
    pub(crate) fn new(description: impl Into<String>) -> EvalFault {
        EvalFault {
            kind: "MULE:EXPRESSION",
            description: description.into(),
        }
    }
}

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
    pub(crate) fn value(&self, context: &Context<'_>) -> Result<super::value::Value, EvalFault> {
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
