//! The invariants of every run, and the report of a violation.

use std::fmt;
use std::time::Duration;

/// A violation of an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The violated invariant.
    pub invariant: Invariant,
    /// A description of the observation.
    pub what: String,
    /// The time since the start of the run.
    pub at: Duration,
}

/// A property that holds in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// I1: no call passes, and no record closes, before the cooldown ends.
    NotBeforeTheCooldownEnds,
    /// I2: there are never more probes in flight than allowed.
    NoMoreProbesThanAllowed,
    /// I8: no request is rejected or delayed because of the store.
    NoRequestNeedsTheStore,
    /// I9: all nodes with a working connection to the store agree within a round.
    AgreedWithinARound,
    /// Failures counted over the fleet trip at the threshold, no sooner and no later.
    CountedExactly,
    /// A trip is not lost to a node that missed its message.
    NoVerdictLost,
    /// A node that was suspended does not overrule later findings of the fleet.
    NoVerdictResurrected,
    /// After all faults have ended, every breaker closes.
    NothingStuck,
    /// No node works while there is nothing to do.
    NoIdleWork,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invariant::NotBeforeTheCooldownEnds => "I1, not before the cooldown ends",
            Invariant::NoMoreProbesThanAllowed => "I2, no more probes than allowed",
            Invariant::NoRequestNeedsTheStore => "I8, no request needs the store",
            Invariant::AgreedWithinARound => "I9, agreed within a round",
            Invariant::CountedExactly => "counted exactly",
            Invariant::NoVerdictLost => "no verdict lost",
            Invariant::NoVerdictResurrected => "no verdict resurrected",
            Invariant::NothingStuck => "nothing stuck",
            Invariant::NoIdleWork => "no idle work",
        })
    }
}
