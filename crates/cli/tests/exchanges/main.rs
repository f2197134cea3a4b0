//! Exchanges of clients, the gateway and its upstreams: what passes, what is refused, what a breaker learns of it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod adaptive;
mod attribution;
mod connections;
mod cors;
mod draining;
mod early;
mod failure;
mod fields;
mod host;
mod keys;
mod limits;
mod listener_tls;
mod log;
mod modes;
mod options;
mod probing;
mod ramp;
mod refusals;
mod retry_after;
mod routing;
mod rules;
mod slow;
mod tls_upstream;
mod tripping;
mod upgrade;
mod upstream_errors;
mod upstream_host;
