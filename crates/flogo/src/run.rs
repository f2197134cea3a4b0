//! Runs Flogo's handlers on the gateway.
//!
//! A request through a REST trigger's listener finds its handler in `router`; `trigger` converts it to the handler's
//! input, and `reply` converts the results to a response. `handler` chooses an action, and `steps` runs it in a
//! `scope`. The services are in `breaker`, `rest`, `limiter`, `quota`, `graphql`, `script`, `jwt`, `channels` and `action`.
//! `build` builds a running application, which `app` adapts to the host.

mod action;
mod app;
mod breaker;
mod build;
mod canonical;
mod channels;
mod content;
mod cookie;
mod flows;
#[cfg(feature = "graphql")]
mod graphql;
mod handler;
mod jwt;
mod limiter;
mod quota;
mod reply;
mod rest;
mod router;
mod scope;
#[cfg(feature = "script")]
mod script;
mod steps;
mod trigger;

pub use app::Apps;
