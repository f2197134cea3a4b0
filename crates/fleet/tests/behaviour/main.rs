//! What a fleet does, on virtual time: nodes, real breakers, and a store that can be away, slow, deaf or forgetful.
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
