//! Runs Flogo's handlers.
//!
//! A request that comes through a REST trigger's listener finds its handler in `router`; `trigger`
//! turns it into the handler's input, and `reply` the results into a response. `handler` chooses an
//! action, `steps` runs it over a `scope`. What services do is in `breaker`, `rest`, `limiter`,
//! `jwt`, `channels` and `action`. `cast` makes a plan live.

mod action;
mod breaker;
mod canonical;
mod cast;
mod channels;
mod content;
mod cookie;
mod handler;
mod jwt;
mod limiter;
mod reply;
mod rest;
mod router;
mod scope;
mod steps;
mod trigger;
mod urlencoded;

pub use cast::{Caster, Counters, Flogo, clients};
pub use handler::LiveHandler;
pub use reply::{moved, no_handler, preflight, wrong_method};
pub use router::{Found, RestRouter};
pub use trigger::serve;
