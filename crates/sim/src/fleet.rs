//! Simulates fleets: nodes that share breakers through a store, on virtual time, with injected faults.
//!
//! The nodes, the breakers and the changes of records are those of a real process; the network, the store's clock, the
//! upstreams and the callers are generated from one seed. The same seed gives the same run, to the last event. Every
//! run is checked from outside against the invariants, see [`Invariant`].
//!
//! ```
//! use fusebox_sim::Drill;
//!
//! let run = Drill::new(7, 3).run();
//! assert!(run.violation.is_none(), "{run}");
//! assert_eq!(run.hash, Drill::new(7, 3).run().hash);
//! ```

mod calls;
mod checks;
mod clock;
mod events;
mod faults;
#[cfg(test)]
mod flaws;
mod network;
mod plan;
mod process;
mod rules;
mod server;
mod tally;
mod trace;
mod violation;
mod world;

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use plan::RunPlan;
use rules::{AsWritten, Rules};
pub use violation::{Invariant, Violation};
use world::World;

/// A millisecond in nanoseconds, the unit of time in a run.
const MS: u64 = 1_000_000;

/// The default length of the time with faults.
const STORMY: Duration = Duration::from_secs(25);

/// The parameters of a simulated run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    seed: u64,
    nodes: usize,
    conditions: Conditions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conditions {
    /// Faults for this long, then none until everything must have recovered.
    Storm(Duration),
    /// No faults, healthy upstreams, and `calls` per second at each breaker of each node.
    Calm { calls: u64, span: Duration },
}

/// The result of a simulated run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The run's parameters.
    pub drill: Drill,
    /// A hash of all events in order.
    pub hash: u64,
    /// Number of events.
    pub events: u64,
    /// Number of commands sent to the store.
    pub commands: u64,
    /// Number of reads of the store.
    pub reads: u64,
    /// The longest time that a node with a working connection took to agree after a change.
    pub convergence: Duration,
    /// The first violation of an invariant, if any.
    pub violation: Option<Violation>,
    /// The last events before a violation, one per line; empty without one.
    pub trace: String,
}

impl Drill {
    /// A run with this many nodes, at least 1: 25 s with faults and the time to recover.
    pub fn new(seed: u64, nodes: usize) -> Self {
        Drill {
            seed,
            nodes: nodes.max(1),
            conditions: Conditions::Storm(STORMY),
        }
    }

    /// Sets the length of the time with faults, at least 1 s.
    pub fn storm(self, span: Duration) -> Self {
        let conditions = Conditions::Storm(span.max(Duration::from_secs(1)));
        Drill { conditions, ..self }
    }

    /// Makes it a run of this length without faults, with `calls` per second, at least 1, at each breaker of each node.
    pub fn calm(self, calls: u64, span: Duration) -> Self {
        let calls = calls.max(1);
        let conditions = Conditions::Calm { calls, span };
        Drill { conditions, ..self }
    }

    /// Simulates the run.
    pub fn run(&self) -> Run {
        self.run_by(&mut AsWritten)
    }

    fn run_by(&self, rules: &mut dyn Rules) -> Run {
        let mut rng = Rng::with_seed(self.seed);
        let plan = match self.conditions {
            Conditions::Storm(span) => RunPlan::of(self.nodes, span, &mut rng),
            Conditions::Calm { calls, span } => RunPlan::calm(self.nodes, calls, span, &mut rng),
        };
        World::new(&plan, rules, rng).run(self.clone())
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { drill, .. } = self;
        let Some(violation) = &self.violation else {
            return write!(
                f,
                "seed {}, {} nodes: all invariants held",
                drill.seed, drill.nodes
            );
        };
        let Violation {
            invariant,
            what,
            at,
        } = violation;
        writeln!(
            f,
            "seed {}, {} nodes, at {:.3} s: {what} ({invariant}). Before that:",
            drill.seed,
            drill.nodes,
            at.as_secs_f64()
        )?;
        f.write_str(&self.trace)
    }
}
