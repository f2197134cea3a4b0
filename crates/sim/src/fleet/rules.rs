//! Hooks with which a test of the checks can break the protocol.

use fusebox_fleet::protocol::{Command, Order, Rewritten, change};

/// The rules of the protocol. The default methods follow the fleet crate.
pub(super) trait Rules {
    /// Applies a command to a record.
    fn change(
        &mut self,
        record: Option<&[u8]>,
        command: &Command,
        poison: Option<&[u8]>,
        time: u64,
    ) -> Option<Rewritten> {
        change(record, &command.write(), poison, time)
    }

    /// Filters an order from a node to its breaker; `None` drops it.
    fn order(&mut self, order: Order) -> Option<Order> {
        Some(order)
    }

    /// True if requests are rejected while the store does not answer.
    fn needs_store(&self) -> bool {
        false
    }
}

/// The unmodified protocol.
pub(super) struct AsWritten;

impl Rules for AsWritten {}
