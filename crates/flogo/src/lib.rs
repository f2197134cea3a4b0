//! Applications of [Project Flogo](https://www.flogo.io), in its microgateway dialect.
//!
//! - [`Value`], [`Fault`]: the values of expressions; `coerce`, `number`, `json`: conversions between kinds, and to
//!   text
//! - [`Names`]: the names that a text may use; [`Expression`]: compiled texts; `functions`, by package
//! - [`Scope`]: the variables of an expression; `path`: access to their members
//! - `located`, `object`, `schema`: an application's text, and the shapes of its parts; `app`, `triggers`, `actions`,
//!   `library`, `activities`: their meanings
//! - `convert`: an application in the native form
//! - [`Handler`], [`Action`] and their parts: an application, checked and ready to run; `mapping`: the evaluation of
//!   inputs and data
//!
//! The semantics are those of Flogo's core 1.6 and of its contributions of 2025, read from their sources,
//! [core](https://github.com/project-flogo/core) and [contrib](https://github.com/project-flogo/contrib). Inputs on
//! which those crash give an error here.

mod convert;
mod dialect;
mod flow;
#[cfg(feature = "graphql")]
#[cfg_attr(
    not(feature = "run"),
    allow(dead_code, reason = "only runs judge requests")
)]
mod graphql;
mod language;
mod mapping;
mod program;
mod read;
#[cfg(feature = "run")]
mod run;
#[cfg(feature = "script")]
#[cfg_attr(
    not(feature = "run"),
    allow(dead_code, reason = "reading only compiles scripts")
)]
mod script;
mod show;

pub use dialect::Dialect;
pub use flow::{
    Action, Activity, Assignment, Attribute, Base, BreakerActivity, Choice, CounterActivity,
    CounterOperation, Data, Flow, FlowResponse, FlowStep, ForEach, Given, GraphQlActivity, Halt,
    Handler, Identity, Link, LinkKind, MapNode, Mapping, PassActivity, PassKind, QuotaActivity,
    RateLimiterActivity, RestActivity, RestTls, Service, TargetPart, Task,
};
pub use language::expression::{CompileError, EvalError, Expression};
pub use language::fault::{Fault, FaultKind};
pub use language::json::{JsonFault, JsonFaultKind, Numbers};
pub use language::names::{Functions, Names};
pub use language::random::Random;
pub use language::scope::{Scope, eval_flogo, read_scope};
pub use language::value::{Map, NilKind, Params, Struct, Value};
pub use mapping::{assign, assign_all};
pub use program::{App, Channel, Cors, Subscription};
#[cfg(feature = "run")]
pub use run::Apps;
