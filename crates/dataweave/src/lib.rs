//! DataWeave 2: values, scripts, and partial evaluation.
//!
//! ```
//! use fusebox_dataweave::{Context, Event, MediaType, Random, Script, Typed, jiff};
//!
//! let script = Script::parse(
//!     "%dw 2.0
//!      output application/json
//!      ---
//!      { order: payload.id, total: sum(payload.items map ($.price * $.count)) }",
//! )?;
//! let payload = r#"{"id": "A-7", "items": [{"price": 1.10, "count": 3}, {"price": 4, "count": 1}]}"#;
//! let event = Event {
//!     payload: Typed {
//!         value: payload.into(),
//!         media_type: MediaType::json(),
//!     },
//!     ..Event::default()
//! };
//! let random = Random::default();
//! let context = Context::new(&event, jiff::Timestamp::UNIX_EPOCH, &random);
//!
//! let json = script.eval(&context)?.shown()?;
//! assert_eq!(json, "{\n  \"order\": \"A-7\",\n  \"total\": 7.3\n}");
//! println!("{json}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`eval()`] does that in one step, over a scope written as one JSON object.
//!
//! - [`Value`], [`Number`], [`Period`]: the values of expressions; [`Typed`]: a value with its [`MediaType`]
//! - [`Script`]: from text to value; [`Event`], [`Context`]: its input
//! - [`Detected`], [`Template`]: the text of an attribute, `#[…]`
//! - [`Typed::body`]: conversion to the body of a message; [`Typed::to_stored`]: to the bytes in a store;
//!   [`Typed::text`], [`Typed::whole`], [`Typed::truth`]: to the types of attributes
//! - [`symbol`]: partial evaluation, to analyse a script without a request
//!
//! The semantics are those of [DataWeave 2](https://docs.mulesoft.com/dataweave/latest/), as far as its documentation
//! describes them, within an event of Mule 4.4. Values are read from and written to JSON, XML, CSV, forms and DataWeave's
//! own form; there are no other formats.
//!
//! Scripts come from files, but values come from clients and upstreams: whatever their content, an evaluation ends with
//! a value or an [`EvalFault`], and its steps, nesting, texts and memory are bounded. The crate reads no clock, file or
//! network: the caller supplies the time and the random numbers.

mod attribute;
mod body;
mod detect;
mod event;
mod fault;
mod library;
mod limits;
mod random;
mod scope;
mod script;
mod stored;
mod value;

pub mod symbol;

pub use body::{Body, Compat};
pub use detect::{Detected, Template};
pub use event::{Context, Event, Properties, Vars, Waits};
pub use fault::{EvalFault, ParseFault};
pub use jiff;
pub use library::{Empty, Library};
pub use random::{Random, uuid};
pub use scope::{Scope, ScopeFault, eval, read_scope};
pub use script::Script;
pub use stored::STORED;
pub use value::key::{Key, Selected};
pub use value::media::{MediaType, Typed};
pub use value::number::Number;
pub use value::period::Period;
pub use value::regex::Pattern;
pub use value::{Array, Form, Function, Kind, Object, Value};
