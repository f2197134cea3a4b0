//! The behaviour of a fleet on virtual time: nodes, real breakers, and a store with outages, delays and losses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

mod alone;
mod clocks;
mod counts;
mod leading;
mod losses;
mod nemesis;
mod operators;
mod poison;
mod reading;
mod sharing;
