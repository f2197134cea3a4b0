//! Turns configuration files into one checked [`Plan`], or into all their [`Diagnostic`]s at once.
//!
//! In reading order: [`read`] takes the [`Source`]s and a [`Loader`]; each text becomes a small tree whose nodes carry
//! their lines; `${…}` is replaced; the native form's reader turns the trees into a draft, section by section, and
//! `check` compares the sections and makes the plan.
//!
//! - `tree`, `interpolate`: the text, its lines, its variables
//! - `keys`, `fields`, `words`, `path`, `url`: the table of all keys, and readers for their values
//! - `native`: draft and check; `tls`: certificates and keys
//! - [`dialect`]: the port for the readers of other forms, which are crates of their own
//! - [`yaml`]: writes the native form, for applications that move to it
//! - [`plan`]: the result; [`failure`] and `expression`: the calls that count as failures; [`access_log`]: the requests
//!   that are logged
//! - [`schema()`], [`Plan::to_json`]: the form, and a plan, for other programs
//!
//! This crate reads no file, no environment and no clock: the [`Loader`] provides files and variables.

pub mod access_log;
mod diagnostic;
pub mod dialect;
mod expression;
mod fields;
mod interpolate;
// One key a line, so that the table reads as a table.
#[rustfmt::skip]
mod keys;
mod native;
mod path;
mod program;
mod read;
mod schema;
mod show;
mod tls;
mod tree;
mod url;
mod words;
pub mod yaml;

pub mod failure;
pub mod plan;

pub use diagnostic::{Diagnostic, Severity};
pub use dialect::Conversion;
pub use expression::{EvalError, Expression, eval_native};
pub use failure::{Call, CallError, Failure, Ignore, Report, Ruling};
pub use interpolate::{CertificateFacts, Loader, PairFault};
pub use path::normal as normal_path;
pub use plan::Plan;
pub use program::{Program, Schedule, Target};
pub use read::{Reading, Source, convert, read, read_ahead, read_as};
pub use schema::schema;
pub use words::read_duration;

/// The mend of an unknown word: the candidate that is nearest, or all of them.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    diagnostic::suggest(word, candidates)
}
