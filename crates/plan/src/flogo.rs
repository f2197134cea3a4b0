//! Applications of [Project Flogo](https://www.flogo.io), whose microgateway they run in.
//!
//! - [`Value`], [`Fault`]: what expressions work on; `coerce`, `number`, `json`: how one kind becomes
//!   another, and text
//! - [`Names`]: what a text may name; [`Expression`]: from text to value; `functions`, by package
//! - [`Scope`]: what an expression sees; `path`: how it goes on from there
//!
//! The semantics are those of Flogo's core 1.6 and of its contributions of 2025, read from their
//! sources, [core](https://github.com/project-flogo/core) and
//! [contrib](https://github.com/project-flogo/contrib). Where those crash, this gives an error.

mod coerce;
mod expression;
mod fault;
mod functions;
mod json;
mod json_path;
mod names;
mod number;
mod path;
mod scope;
mod value;

pub use crate::random::Random;
pub use expression::{CompileError, EvalError, Expression};
pub use fault::{Fault, FaultKind};
pub use json::{JsonFault, JsonFaultKind, Numbers};
pub use names::{Functions, Names};
pub use scope::{Scope, eval_flogo, read_scope};
pub use value::{Map, Params, Value};
