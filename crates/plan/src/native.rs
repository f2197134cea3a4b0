//! The native form: tree → draft (as written) → check → plan.

mod draft;
mod listeners;
mod store;
mod upstreams;

mod breaker;
mod cooldown;
mod half_open;
mod names;
mod ramp;
mod share;
mod sight;
mod trip;

mod respond;
mod routes;

mod check;
mod guards;
mod sharing;
mod wiring;

pub(crate) use check::check;
pub(crate) use draft::Draft;
pub(crate) use guards::put_before;
pub(crate) use names::show_key;
