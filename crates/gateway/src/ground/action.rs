//! An operator's word about a breaker.

use std::time::Duration;

use fusebox_breaker::HoldKind;

/// What an operator does to a breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Holds it open or closed, for a time or until it is released.
    Hold {
        /// Which way.
        kind: HoldKind,
        /// How long; `None`: without end.
        duration: Option<Duration>,
        /// Why.
        reason: String,
        /// Who.
        by: String,
    },
    /// Ends a hold.
    Release {
        /// Who.
        by: String,
    },
    /// Begins anew: closed, nothing counted, no hold.
    Reset {
        /// Who.
        by: String,
    },
}
