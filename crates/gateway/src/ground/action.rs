//! An operator's command to a breaker.

use std::time::Duration;

use fusebox_breaker::HoldKind;

/// A command of an operator to one breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Holds the breaker open or closed, for a time or until it is released.
    Hold {
        /// The direction: open or closed.
        kind: HoldKind,
        /// The length of the hold; `None`: no end.
        duration: Option<Duration>,
        /// The operator's reason.
        reason: String,
        /// The operator's name.
        by: String,
    },
    /// Ends a hold.
    Release {
        /// The operator's name.
        by: String,
    },
    /// Starts the breaker again: closed, with an empty window and no hold.
    Reset {
        /// The operator's name.
        by: String,
    },
}
