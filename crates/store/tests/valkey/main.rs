//! The stores on a Valkey server: addresses, faults, records, replies.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod faults;
mod records;
mod replies;
