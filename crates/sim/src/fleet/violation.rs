//! What must hold in every run, by name, and what is said where it did not.

use std::fmt;
use std::time::Duration;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the invariant.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
    /// When, since the start of the run.
    pub at: Duration,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// I1: no call passes, and no record closes, before the cooldown ends.
    NotBeforeTheCooldownEnds,
    /// I2: never more probes in flight than allowed.
    NoMoreProbesThanAllowed,
    /// I8: no request is refused or waits because of the store.
    NoRequestNeedsTheStore,
    /// I9: all nodes that reach the store agree within a round.
    AgreedWithinARound,
    /// Failures that are counted together trip at the threshold, no sooner and no later.
    CountedExactly,
    /// A trip is not lost to a node that missed it.
    NoVerdictLost,
    /// A node that slept overrules nothing that was found out since.
    NoVerdictResurrected,
    /// Once all is well, everything closes.
    NothingStuck,
    /// No node works when there is nothing to do.
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
