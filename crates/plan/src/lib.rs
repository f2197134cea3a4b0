//! Turns configuration files into one checked [`Plan`], or into all their [`Diagnostic`]s at once.
//!
//! In reading order: [`read`] takes the [`Source`]s and a [`Loader`]; each text becomes a small tree
//! that knows its lines; `${…}` is filled in; the native form's reader turns trees into a draft, part
//! by part, and `check` compares the parts and makes the plan.
//!
//! - `tree`, `interpolate`: the text, its lines, its variables
//! - `keys`, `fields`, `words`, `path`, `url`: what a key may hold, in one table, and how it is read
//! - `native`: draft and check; `listener_tls`: a listener's certificate and key
//! - [`flogo`]: values and expressions of Project Flogo's applications
//! - [`mule`]: Mule's applications; their expressions are the crate `fusebox-dataweave`'s
//! - `yaml`: writes the native form, for applications that move to it
//! - [`plan`]: the result; [`failure`] and `expression`: which calls failed
//! - [`schema()`], [`Plan::to_json`]: the form, and a plan, for others to read
//!
//! This crate reads no file, no environment and no clock: what it needs of them comes through the
//! [`Loader`].

mod diagnostic;
pub mod dialect;
mod expression;
mod fields;
mod interpolate;
// One key a line, so that the table reads as a table.
#[rustfmt::skip]
mod keys;
mod listener_tls;
mod native;
mod path;
mod program;
mod read;
mod schema;
mod show;
mod tree;
mod url;
mod words;
pub mod yaml;

pub mod failure;
pub mod plan;

pub use diagnostic::{Diagnostic, Severity};
pub use dialect::Conversion;
pub use expression::{EvalError, Expression, eval_native};
pub use failure::{Call, CallError, Failure, Ignore, Ruling, Verdict};
pub use interpolate::{Loader, PairFault};
pub use path::normal as normal_path;
pub use plan::Plan;
pub use program::{Program, Target};
pub use read::{Reading, Source, convert, read, read_as};
pub use schema::schema;
pub use words::read_duration;
