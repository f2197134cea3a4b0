//! The laws of the record, in Rust and as the server's script has them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod commands;
mod laws;
mod script;
