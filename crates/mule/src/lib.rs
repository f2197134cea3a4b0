//! Applications of [Mule 4](https://docs.mulesoft.com/mule-runtime/latest/).
//!
//! - [`Value`], [`Script`], [`Event`] and their like: DataWeave, which has a crate of its own
//! - `xml`, `properties`, `written`: an application's files, as written; `lower`: what is made of them
//! - [`app`]: an application as it runs; [`Circuit`]: a breaker that its flows build by hand
//! - `convert`: an application in the native form
//! - [`eval_mule`]: an expression over a scope in JSON
//!
//! The semantics are those of [DataWeave 2](https://docs.mulesoft.com/dataweave/latest/) and of the
//! expressions of Mule 4.4.

pub mod app;
mod circuit;
mod convert;
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
    Typed, Value, Vars, eval as eval_mule, jiff, read_scope,
};

pub use circuit::{Circuit, Cooldown, Count, Entry, Failure, Flaw, FlawKind, Opens, Refusal, Said};
pub use dialect::{Dialect, convert, read};
