//! Simulates fleets: nodes that share breakers over a store, on virtual time, with everything that can go wrong.
//!
//! The nodes, the breakers and the changes of the records are those of a running process; the network, the store's
//! clock, the upstreams and the callers are drawn from one seed. The same seed gives the same run, to the last event.
//! What must hold is judged from outside, in every run: see [`Invariant`].
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
mod plot;
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

use plot::Plot;
use rules::{AsWritten, Rules};
pub use violation::{Invariant, Violation};
use world::World;

/// A millisecond in nanoseconds, in which the time of a run is told.
const MS: u64 = 1_000_000;

/// How long things go wrong, unless another time is asked for.
const STORMY: Duration = Duration::from_secs(25);

/// A run to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    seed: u64,
    nodes: usize,
    weather: Weather,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    /// Faults for so long, then none until all must be well.
    Storm(Duration),
    /// No faults, healthy upstreams, and so many calls in a second at each breaker of each node.
    Calm { calls: u64, span: Duration },
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The drill.
    pub drill: Drill,
    /// The hash of all that happened, in its order.
    pub hash: u64,
    /// How much happened.
    pub events: u64,
    /// The commands sent to the store.
    pub commands: u64,
    /// The reads of the store.
    pub reads: u64,
    /// The longest that a node that reached the store took to agree after a change.
    pub convergence: Duration,
    /// What must not be, where something was.
    pub violation: Option<Violation>,
    /// The last of what happened before that, a line each.
    pub told: String,
}

impl Drill {
    /// So many nodes, 1 or more, in 25 s of storm and the calm after it.
    pub fn new(seed: u64, nodes: usize) -> Self {
        Drill {
            seed,
            nodes: nodes.max(1),
            weather: Weather::Storm(STORMY),
        }
    }

    /// Things go wrong for so long instead, 1 s or more.
    pub fn storm(self, span: Duration) -> Self {
        let weather = Weather::Storm(span.max(Duration::from_secs(1)));
        Drill { weather, ..self }
    }

    /// Nothing goes wrong for so long, while so many calls in a second, 1 or more, come to each breaker of each node.
    pub fn calm(self, calls: u64, span: Duration) -> Self {
        let calls = calls.max(1);
        let weather = Weather::Calm { calls, span };
        Drill { weather, ..self }
    }

    /// Makes the run.
    pub fn run(&self) -> Run {
        self.run_by(&mut AsWritten)
    }

    fn run_by(&self, rules: &mut dyn Rules) -> Run {
        let mut rng = Rng::with_seed(self.seed);
        let plot = match self.weather {
            Weather::Storm(span) => Plot::of(self.nodes, span, &mut rng),
            Weather::Calm { calls, span } => Plot::calm(self.nodes, calls, span, &mut rng),
        };
        World::new(&plot, rules, rng).run(self.clone())
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { drill, .. } = self;
        let Some(violation) = &self.violation else {
            return write!(f, "seed {}, {} nodes: all held", drill.seed, drill.nodes);
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
        f.write_str(&self.told)
    }
}
