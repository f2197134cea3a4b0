//! Applications of [Project Flogo](https://www.flogo.io), whose microgateway they run in.
//!
//! - [`Value`], [`Fault`]: what expressions work on; `coerce`, `number`, `json`: how one kind becomes
//!   another, and text
//! - [`Names`]: what a text may name; [`Expression`]: from text to value; `functions`, by package
//! - [`Scope`]: what an expression sees; `path`: how it goes on from there
//! - `located`, `object`, `schema`: an application's text, and what its parts may be; `app`, `triggers`,
//!   `actions`, `library`, `activities`: what they mean
//! - `convert`: an application in the native form
//! - [`Handler`], [`Action`] and what they hold: an application as it is run; `mapping`: how its inputs
//!   and data become values
//!
//! The semantics are those of Flogo's core 1.6 and of its contributions of 2025, read from their
//! sources, [core](https://github.com/project-flogo/core) and
//! [contrib](https://github.com/project-flogo/contrib). Where those crash, this gives an error.

mod convert;
mod dialect;
mod flow;
mod language;
mod mapping;
mod program;
mod read;
#[cfg(feature = "run")]
mod run;
mod show;

pub use dialect::{Dialect, convert, read};
pub use flow::{
    Action, Activity, Assignment, Base, BreakerActivity, Choice, CounterActivity, CounterOperation,
    Data, FlowResponse, FlowStep, ForEach, Given, Halt, Handler, Identity, MapNode, Mapping,
    RateLimiterActivity, RestActivity, RestTls, Service, TargetPart,
};
pub use language::expression::{CompileError, EvalError, Expression};
pub use language::fault::{Fault, FaultKind};
pub use language::json::{JsonFault, JsonFaultKind, Numbers};
pub use language::names::{Functions, Names};
pub use language::random::Random;
pub use language::scope::{Scope, eval_flogo, read_scope};
pub use language::value::{Map, Params, Value};
pub use mapping::{assign, assign_all};
pub use program::{App, Channel, Cors, Subscription};
#[cfg(feature = "run")]
pub use run::Apps;
