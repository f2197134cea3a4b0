//! Replays breaker scenarios and access logs on virtual time, with the same state machine that runs in a gateway.
//!
//! A scenario is a library-neutral configuration and a timeline: permits, outcomes and steps of the clock, with the
//! expected state after each. It runs twice, against the pure machine and against the shared breaker; both must meet
//! the expectations and behave identically. The `_schema` of `conformance/breaker.json` describes the format.
//!
//! ```
//! use fusebox_sim::{Suite, Verdict};
//!
//! let suite = Suite::read(
//!     r#"{ "scenarios": [{
//!         "id": "one", "kind": "conformance", "title": "two failures in a row trip",
//!         "config": {
//!             "trip": { "policy": "consecutive", "threshold": 2 },
//!             "cooldown": { "kind": "fixed", "ms": 1000 },
//!             "half_open": { "max_calls": 1, "decide": "first_probe" }
//!         },
//!         "steps": [
//!             { "op": "call", "outcome": "failure", "expect": "permit", "times": 2, "state": "open" },
//!             { "op": "advance", "ms": 1000, "state": "half_open" }
//!         ]
//!     }] }"#,
//! )?;
//! assert_eq!(suite.cases()[0].run(), Verdict::Passed);
//! # Ok::<(), fusebox_sim::ReadError>(())
//! ```
//!
//! # Contents
//! - [`Suite`]: a file of cases; [`Case`]: one of them; [`Verdict`]: the result of a case
//! - `scenario`: the file format, as parsed
//! - `mapping`: from a neutral configuration to breaker settings
//! - `subject`: the two implementations of a breaker that a scenario runs against
//! - `replay`: runs the timeline
//! - [`trace`]: reads access logs of several forms; [`rerun`]: runs their calls through a breaker
//! - [`sweep`]: tries values of settings on a log and ranks them; [`assume`]: a test of settings without a log
//! - `Drill`: a simulated fleet of processes that share breakers, with the feature `fleet`; `Run`: its result

#[cfg(feature = "fleet")]
mod fleet;

pub mod assume;
mod mapping;
mod replay;
pub mod rerun;
mod scenario;
mod subject;
mod suite;
pub mod sweep;
pub mod trace;
mod words;

#[cfg(feature = "fleet")]
pub use fleet::{Drill, Invariant, Run, Violation};
pub use scenario::Kind;
pub use suite::{Case, ReadError, Suite, Verdict};
pub use words::{show_duration, show_share};

/// The README's example of the repository. Tested here, because a package cannot include files outside it.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
