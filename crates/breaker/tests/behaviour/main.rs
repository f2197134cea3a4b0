//! The behaviours of a breaker, one test each: the event table of `docs/machine.md`, then laws, threads and hostility.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails its test by panicking"
)]

mod kit;

mod abandoned;
mod adaptive;
mod causes;
mod clock_reads;
mod clocks;
mod closed;
mod explained;
mod forced;
mod half_open;
mod holds;
mod keys;
mod led;
mod modes;
mod open;
mod panics;
mod presets;
mod ramp;
mod reload;
mod reports;
mod restart;
mod retry_after;
mod returning;
mod rules;
mod slow;
mod stalled;

mod adversary;
mod crowd;
mod defects;
mod forms;
mod listener;
mod marathon;
mod model;
mod ops;
mod ready;
mod refusals;
mod registry;
mod same_as_machine;
mod threads;
mod ways_in;

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod stack;
