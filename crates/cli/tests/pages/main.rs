//! Our pages in a real browser: the dashboard, and the page of `simulate --html`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it measured"
)]

#[path = "../support/mod.rs"]
mod support;

#[macro_use]
mod driver;

mod dashboard;
mod replay;
