//! Scripts of DataWeave 2: parsing and evaluation.
//!
//! - `cursor`, `literal`, `types`, `parse`, `path`, `lambda`, `body`, `cases`, `header`, `modules`: from text to `tree`;
//!   `unknown`: names that mean nothing
//! - `run`: the state and the budget of an evaluation; `eval`, `follow`: from tree to value
//! - `operators`, `compare`, `select`, `update`, `functions`: the operations; `coerce`: conversion between kinds
//! - `date_format`, `number_format`: dates and numbers in patterns
//! - `output`: from value to text, with its media type
//! - `symbolic`: partial evaluation

use std::fmt;
use std::sync::Arc;

mod body;
mod cases;
pub(crate) mod coerce;
mod compare;
mod cursor;
mod date_format;
mod eval;
mod follow;
mod functions;
mod header;
mod lambda;
mod literal;
mod modules;
mod number_format;
mod operators;
mod output;
mod own;
mod parse;
mod path;
mod run;
mod select;
mod symbolic;
mod tree;
mod types;
mod unknown;
mod update;

pub(crate) use output::data;
pub(crate) use run::Closure;

use crate::event::Context;
use crate::fault::{EvalFault, ParseFault};
use crate::library::{Empty, Library};
use crate::limits::{BYTES_MAX, DEPTH_MAX, NESTING_MAX, STEPS_MAX, VALUE_DEPTH_MAX};
use crate::value::Value;
use crate::value::media::{MediaType, Typed};
use tree::Program;

/// A parsed script. Clones share the tree.
#[derive(Clone)]
pub struct Script {
    program: Arc<Program>,
    source: Arc<str>,
}

impl Script {
    /// Parses a script, `%dw 2.0 output application/json --- {a: 1}`, or an expression alone.
    ///
    /// # Errors
    /// If the text is too long or nested too deep, has a syntax error, or names an unknown function or format.
    pub fn parse(text: &str) -> Result<Script, ParseFault> {
        Script::within(text, 0, text.len(), &Empty)
    }

    /// Parses a part of a text; positions in errors are those of the whole text.
    pub(crate) fn within(
        text: &str,
        start: usize,
        end: usize,
        library: &dyn Library,
    ) -> Result<Script, ParseFault> {
        Ok(Script {
            program: Arc::new(parse::program(text, start, end, library)?),
            source: text[start..end].into(),
        })
    }

    /// Evaluates the script.
    ///
    /// The result has the media type of the `output` directive. Without one, it has the media type of the parts of the
    /// event that the script reads, if they have one in common, otherwise `application/java`. A script that is only
    /// `payload` or `vars.x` returns that part unread.
    ///
    /// # Errors
    /// If a name is unknown, an operator or function does not fit its operands, a text is not of its media type, or the
    /// evaluation exceeds a limit.
    pub fn eval(&self, context: &Context<'_>) -> Result<Typed, EvalFault> {
        output::eval(&self.program, context)
    }

    /// Evaluates the script to a value alone, before any output is written.
    ///
    /// # Errors
    /// The errors of [`eval`](Script::eval).
    pub(crate) fn value(&self, context: &Context<'_>) -> Result<Value, EvalFault> {
        output::value(&self.program, context)
    }

    /// The variables that the script reads by name, as `vars.x`.
    pub fn variables(&self) -> impl Iterator<Item = &Arc<str>> {
        self.program.reads.vars.iter()
    }

    /// True if the script names a function that fails as it says, `fail` or `failIf` of `dw::Runtime`.
    pub fn fails(&self) -> bool {
        self.program.fails
    }

    /// The names that mean nothing, each where it first is; an evaluation that comes to one fails.
    pub fn unknown(&self) -> &[ParseFault] {
        &self.program.unknown
    }

    /// The media type of its `output` directive; `None`: it has none.
    pub fn output(&self) -> Option<&MediaType> {
        Some(&self.program.output.as_ref()?.media_type)
    }

    /// The source text of the script.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.source).finish()
    }
}

/// Scripts are equal if their source texts are.
impl PartialEq for Script {
    fn eq(&self, other: &Script) -> bool {
        self.source == other.source
    }
}
