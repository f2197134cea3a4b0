//! The native form: tree → draft (as written) → check → plan.

mod access_log;
mod draft;
mod listeners;
mod store;
mod tls;
mod upstream_host;
mod upstreams;

mod bulkhead;
mod ejection;
mod endpoints;
mod grpc;
mod header_fields;
mod ladder;
mod retry;
mod unsupported;

mod breaker;
mod cooldown;
mod half_open;
mod names;
mod ramp;
mod sample_calls;
mod services;
mod share;
mod trip;
mod validate;

mod hosts;
mod respond;
mod routes;

mod check;
mod course;
mod guards;
mod ladders;
mod shared_paths;
mod wiring;

pub(crate) use check::check;
pub(crate) use draft::Draft;
pub(crate) use guards::put_before;
pub(crate) use names::show_key;
pub(crate) use unsupported::strip;
