//! Applications of [Mule 4](https://docs.mulesoft.com/mule-runtime/latest/).
//!
//! - [`Value`], [`Number`], [`Period`]: what expressions work on; [`Typed`]: a value with its media type
//! - [`Script`]: DataWeave, from text to value; [`Context`]: what it sees
//! - [`Detected`]: what the text of an attribute is
//! - `json`, `form`: the formats that are read and written; `body`: as the bytes of a message;
//!   `stored`: as an object store keeps them; `wanted`: as an attribute wants them
//! - `xml`, `properties`, `written`: an application's files, as written; `lower`: what is made of them
//! - [`app`]: an application as it runs; [`Circuit`]: a breaker that its flows build by hand
//! - `symbol`: values of which only some is known
//! - `convert`: an application in the native form
//! - [`eval_mule`]: an expression over a scope in JSON
//!
//! The semantics are those of [DataWeave 2](https://docs.mulesoft.com/dataweave/latest/) and of the
//! expressions of Mule 4.4.

pub mod app;
mod body;
mod circuit;
mod convert;
mod dataweave;
mod detect;
mod event;
mod form;
mod json;
mod lower;
mod media;
mod number;
mod period;
mod program;
mod properties;
mod scope;
mod show;
mod stored;
mod symbol;
mod value;
mod wanted;
mod written;
mod xml;

pub use crate::random::Random;
pub use body::Body;
pub use circuit::{Circuit, Cooldown, Count, Entry, Failure, Flaw, FlawKind, Opens, Refusal, Said};
pub(crate) use convert::convert;
pub use dataweave::{EvalFault, ParseFault, Script};
pub use detect::{Detected, Template};
pub use event::{Context, Event, Properties, Vars};
pub use jiff;
pub(crate) use lower::{Setting, lower};
pub use media::{MediaType, Typed};
pub use number::Number;
pub use period::Period;
pub use scope::{Scope, ScopeFault, eval_mule, read_scope};
pub use stored::STORED;
pub use value::{Array, Form, Function, Kind, Object, Value};
pub(crate) use written::read;
