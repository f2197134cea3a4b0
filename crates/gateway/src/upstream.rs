//! The way out: breakers, permits, pools, connections, and the party at fault when a call fails.

pub mod admission;
pub mod breakers;
pub mod bulkhead;
pub mod call;
pub mod call_state;
pub mod connect;
pub mod endpoints;
pub mod event_switch;
pub mod fetch;
mod gzip;
pub mod health_checks;
pub mod held_answer;
pub mod jar;
#[allow(
    dead_code,
    unused_imports,
    reason = "the ladder of fallbacks is to use it"
)]
pub mod last_good;
pub mod live_upstream;
pub mod pool;
pub mod probe_queue;
pub mod probe_turns;
pub mod redirect;
pub mod resolving;
pub mod run_call;
pub mod sender;
pub mod sending;
pub mod stall_watch;
pub mod trust;
pub mod upstream_errors;
pub mod upstream_socket;
mod whole_answer;
