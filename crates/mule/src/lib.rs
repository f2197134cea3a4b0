//! Reads and runs applications of [Mule 4](https://docs.mulesoft.com/mule-runtime/latest/).
//!
//! - [`Value`], [`Script`], [`Event`] and more: DataWeave, re-exported from its own crate
//! - `xml`, `properties`, `written`: the files of an application; `lower`: from the files to an [`App`](app::App)
//! - [`app`]: the resolved application; [`Circuit`]: a circuit breaker that its flows build by hand
//! - `convert`: from an application to the native form
//! - `run`, with the feature of this name: the executor
//! - [`eval_mule`]: evaluates an expression over a scope written in JSON
//!
//! The semantics are those of [DataWeave 2](https://docs.mulesoft.com/dataweave/latest/) and of the
//! expressions of Mule 4.4.

pub mod app;
mod circuit;
mod convert;
mod cron;
mod dialect;
mod lower;
mod program;
mod properties;
#[cfg(feature = "run")]
pub mod run;
mod show;
mod written;
mod xml;

pub use fusebox_dataweave::{
    Array, Body, Context, Detected, EvalFault, Event, Form, Function, Kind, MediaType, Number,
    Object, ParseFault, Period, Properties, Random, STORED, Scope, ScopeFault, Script, Template,
    Typed, Value, Vars, Waits, eval as eval_mule, jiff, read_scope, uuid,
};

pub use circuit::{
    Circuit, CircuitState, Cooldown, Count, Entry, Failure, Flaw, FlawKind, OpenWhen, Refusal,
};
pub use cron::Cron;
pub use dialect::{Dialect, convert, read};
