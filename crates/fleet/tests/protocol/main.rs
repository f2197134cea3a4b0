//! The laws of the record, for the Rust version and the server's script.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod commands;
mod laws;
mod script;
