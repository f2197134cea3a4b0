//! Where a test of the checks may break the protocol: between nodes, breakers and store.

use fusebox_fleet::protocol::{Command, Order, Rewritten, change};

/// How the protocol is carried out. As it stands, everything is done as the fleet's crate says.
pub(super) trait Rules {
    /// What a command makes of a record.
    fn change(
        &mut self,
        record: Option<&[u8]>,
        command: &Command,
        poison: Option<&[u8]>,
        time: u64,
    ) -> Option<Rewritten> {
        change(record, &command.write(), poison, time)
    }

    /// What a breaker is told when its node says this; nothing where it is told nothing.
    fn order(&mut self, order: Order) -> Option<Order> {
        Some(order)
    }

    /// Whether requests are refused while the store does not answer.
    fn needs_store(&self) -> bool {
        false
    }
}

/// The protocol as it is written.
pub(super) struct AsWritten;

impl Rules for AsWritten {}
