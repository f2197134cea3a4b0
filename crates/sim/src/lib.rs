//! Replays breaker scenarios on virtual time, against the same machine that decides in a gateway.
//!
//! A scenario is a neutral configuration and a timeline: permits, outcomes and steps of the clock, with the state that
//! is expected after each. It is run twice, against the pure machine and against the shared breaker; both must do what
//! is expected, and both the same. The form of a file of scenarios is told by the `_schema` of
//! `conformance/breaker.json`.
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
//! - [`Suite`]: a file of cases; [`Case`]: one of them; [`Verdict`]: how it went
//! - `scenario`: the form, as read
//! - `mapping`: the neutral configuration in our settings
//! - `subject`: the two forms of a breaker that a scenario can be run against
//! - `replay`: the timeline
//! - `Drill`: a fleet of processes that share breakers, with the feature `fleet`; `Run`: how it went

#[cfg(feature = "fleet")]
mod fleet;

mod mapping;
mod replay;
mod scenario;
mod subject;
mod suite;

#[cfg(feature = "fleet")]
pub use fleet::{Drill, Invariant, Run, Violation};
pub use scenario::Kind;
pub use suite::{Case, ReadError, Suite, Verdict};

/// The example of the repository's own page. Here, because a package cannot hold what lies outside it.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
