//! The attempts of a call, from outside: behaviours, and laws that hold for any course.
#![allow(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod hedge;
mod kit;
mod laws;
mod repeats;
mod results;
