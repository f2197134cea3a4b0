//! A circuit that an application builds by hand from entries of an object store: its state, and an operator's commands.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Phase;

/// A hand-made circuit, as its entries are now.
#[derive(Debug, Clone)]
pub struct Circuit {
    /// The name `STORE/KEY`, with the key as it is.
    pub name: String,
    /// The upstreams behind the circuit.
    pub upstreams: Vec<Arc<str>>,
    /// The state in the entry.
    pub state: Phase,
    /// The place that builds it: `FILE:LINE`.
    pub at: String,
    /// The object store of the entry.
    pub store: String,
    /// The key of the entry.
    pub key: String,
    /// The field of the entry that holds the state; `None`: the whole entry is the state.
    pub field: Option<String>,
    /// True if the entry outlives the process.
    pub persisted: bool,
    /// The number of failures counted; `None` without a count.
    pub count: Option<u64>,
    /// The key of the count's entry.
    pub count_key: Option<String>,
    /// The number of failures at which the circuit opens.
    pub threshold: Option<u64>,
    /// True if it has a half-open state.
    pub half_open: bool,
    /// The time at which the entry expires, in milliseconds since the Unix epoch; the first sweep after that removes
    /// it. `None`: it does not expire, or there is none.
    pub due_at: Option<u64>,
    /// The time from which the application itself lets calls through again, in milliseconds since the Unix epoch; `None`:
    /// when the entry is gone, or unknown.
    pub retry_at: Option<u64>,
    /// The time between two sweeps of the entry's store.
    pub sweep_every: Option<Duration>,
    /// Faults in its construction.
    pub flaws: Vec<CircuitFlaw>,
}

/// A fault in the construction of a hand-made circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitFlaw {
    /// The fault's place: `FILE:LINE`.
    pub at: String,
    /// The fault in one sentence.
    pub what: String,
    /// The way to mend it.
    pub mend: String,
}

impl Circuit {
    /// The time by which an expiring entry is removed: one sweep after it expires, in milliseconds since the Unix
    /// epoch.
    pub fn gone_by(&self) -> Option<u64> {
        let sweep = self.sweep_every?.as_millis();
        let sweep = u64::try_from(sweep).unwrap_or(u64::MAX);
        Some(self.due_at?.saturating_add(sweep))
    }
}

/// An operator's command to a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Sets the entry to open.
    Open,
    /// Removes the entry.
    Close,
    /// Removes the entry and that of the count.
    Reset,
}

/// The reason why a circuit was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum CircuitFault {
    /// The store failed; a sentence.
    #[error("the object store did not answer as it should: {0}")]
    Store(String),
    /// The command does not fit this circuit; a sentence.
    #[error("{0}")]
    Conflict(String),
}
