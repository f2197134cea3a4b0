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

mod actions;
mod activities;
mod app;
mod breaker;
mod coerce;
mod convert;
mod cors;
mod expression;
mod fault;
mod flow;
mod functions;
mod handler_path;
mod json;
mod json_path;
mod library;
mod located;
mod lowering;
mod mapping;
mod names;
mod number;
mod object;
mod path;
mod patterns;
mod program;
mod properties;
mod reader;
mod refs;
mod rest;
mod schema;
mod scope;
mod secret;
mod settings;
mod show;
mod triggers;
mod value;

pub use crate::random::Random;
pub use expression::{CompileError, EvalError, Expression};
pub use fault::{Fault, FaultKind};
pub use flow::{
    Action, Activity, Assignment, Base, BreakerActivity, Choice, CounterActivity, CounterOperation,
    Data, FlowResponse, FlowStep, ForEach, Given, Halt, Handler, Identity, MapNode, Mapping,
    RateLimiterActivity, RestActivity, RestTls, Service, TargetPart,
};
pub use json::{JsonFault, JsonFaultKind, Numbers};
pub use mapping::{assign, assign_all};
pub use names::{Functions, Names};
pub use program::{App, Channel, Cors, Subscription};
pub use scope::{Scope, eval_flogo, read_scope};
pub use value::{Map, Params, Value};

pub(crate) use app::{Application, is_application, read};
pub(crate) use convert::convert;
pub(crate) use located::{NotJson, parse};
