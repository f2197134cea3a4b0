//! Files, read: their plans, and what is said of their mistakes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod call_checks;
mod calls;
mod checks;
mod course_mends;
mod expressions;
mod failure;
mod fleets;
mod guards;
mod hostile;
mod listener_tls;
mod not_yet;
mod one_cause;
mod reading;
mod sample_calls;
mod services;
mod text;
mod values;
mod written_out;
