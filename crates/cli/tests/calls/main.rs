//! Calls over real sockets: repeats, hedges, endpoints, bulkheads, the answers of a ladder, and what is counted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod call_crowd;
mod call_faults;
mod call_places;
mod call_repeats;
mod call_rows;
mod call_table;
mod calls;
mod endpoints;
mod guard_calls;
mod guards;
mod hedges;
mod last_good;
mod reuse;
