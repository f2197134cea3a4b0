//! Runs Flogo's handlers.
//!
//! A request that comes through a REST trigger's listener finds its handler in `router`; `trigger`
//! turns it into the handler's input, and `reply` the results into a response. `handler` chooses an
//! action, `steps` runs it over a `scope`. What services do is in `breaker`, `rest`, `limiter`,
//! `jwt`, `channels` and `action`. `build` makes an application live, `app` shows it to the host.

mod action;
mod app;
mod breaker;
mod build;
mod canonical;
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

pub use app::Apps;
