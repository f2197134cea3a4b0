//! A circuit that an application builds by hand from entries of an object store: what it shows, and how it is steered.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Phase;

/// A circuit as its entry says.
#[derive(Debug, Clone)]
pub struct Circuit {
    /// `STORE/KEY`, with the key as it is.
    pub name: String,
    /// The upstreams that it is before.
    pub upstreams: Vec<Arc<str>>,
    /// The state that the entry says.
    pub state: Phase,
    /// Where it is built: `FILE:LINE`.
    pub at: String,
    /// The object store of its entry.
    pub store: String,
    /// The key of its entry.
    pub key: String,
    /// The field of the entry that holds the state; `None`: the whole entry does.
    pub field: Option<String>,
    /// Whether the entry outlives the process.
    pub persisted: bool,
    /// How many failures its count says there have been.
    pub count: Option<u64>,
    /// The entry of its count.
    pub count_key: Option<String>,
    /// The number of failures at which it opens.
    pub threshold: Option<u64>,
    /// Whether it has a half-open state.
    pub half_open: bool,
    /// When the entry is due to go, in milliseconds since the Unix epoch; it goes at the first sweep after that.
    /// `None`: it does not, or there is none.
    pub due_at: Option<u64>,
    /// The time between two sweeps of the entry's store.
    pub sweep_every: Option<Duration>,
    /// What is wrong with how it is built.
    pub flaws: Vec<CircuitFlaw>,
}

/// A flaw of a circuit that is built by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitFlaw {
    /// Its place: `FILE:LINE`.
    pub at: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl Circuit {
    /// By when the entry has gone, if it is due to: one sweep after that, in milliseconds since the Unix epoch.
    pub fn gone_by(&self) -> Option<u64> {
        let sweep = self.sweep_every?.as_millis();
        let sweep = u64::try_from(sweep).unwrap_or(u64::MAX);
        Some(self.due_at?.saturating_add(sweep))
    }
}

/// What an operator does with a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Its entry says that it is open from now on.
    Open,
    /// Its entry is removed.
    Close,
    /// Its entry is removed, and that of its count.
    Reset,
}

/// Why a circuit was not read or steered.
#[derive(Debug, thiserror::Error)]
pub enum CircuitFault {
    /// The store did not do it; a sentence.
    #[error("the object store did not answer as it should: {0}")]
    Store(String),
    /// It cannot be done with a circuit such as this.
    #[error("{0}")]
    Conflict(String),
}
