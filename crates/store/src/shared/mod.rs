//! Small records that many processes change together, each change in one step.
//!
//! Where an [`ObjectStore`](crate::ObjectStore) keeps what one gateway writes, shared records are what several agree
//! on. Nobody reads a record, thinks, and writes it back: a [`Change`] travels to the record and is carried out where
//! the record lives, alone and on the clock of that place. Who [subscribes](SharedRecords::subscribe) hears of changes
//! as they happen.

mod change;
#[cfg(feature = "hostile")]
mod hostile;
mod memory;
mod push;

use bytes::Bytes;

use crate::{Pending, WallTime};

pub use change::{Applied, Change, ChangeFn, Changed};
#[cfg(feature = "hostile")]
pub use hostile::HostileRecords;
pub use memory::MemoryRecords;
#[cfg(feature = "valkey")]
pub(crate) use memory::check;
pub use push::{NextPush, Push, Pushes};

/// The most bytes of a record's key.
pub const RECORD_KEY_MAX: usize = 512;

/// The most bytes of a record. A change that would write more changes nothing.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// Records under keys, changed by functions that run where the records are.
///
/// A store of them knows nothing of what the records mean. All that it promises is that the changes of one record
/// happen one after the other, each with the time of one common clock, and that whoever asked for a change learns what
/// the record was right after it.
pub trait SharedRecords: Send + Sync + 'static {
    /// Carries out a change on one record, in one step, and answers what the record is then.
    ///
    /// After an error the change may have happened, or not. A change that must not happen twice says in its arguments
    /// which one it is, and looks in the record whether it has happened.
    ///
    /// # Errors
    /// [`StoreError::InvalidKey`](crate::StoreError::InvalidKey), or the store's own trouble.
    fn apply<'a>(
        &'a self,
        key: &'a str,
        change: &'a Change,
        args: &'a [Bytes],
    ) -> Pending<'a, Applied>;

    /// What the records under these keys are, in the order of the keys, in one round trip to each place where some of
    /// them live.
    ///
    /// # Errors
    /// [`StoreError::InvalidKey`](crate::StoreError::InvalidKey), or the store's own trouble.
    fn read<'a>(&'a self, keys: &'a [&'a str]) -> Pending<'a, ReadOut>;

    /// Begins to listen. What is pushed is told by [`Pushes::next`], for the keys that it [follows](Pushes::follow).
    ///
    /// # Errors
    /// The store's own trouble.
    fn subscribe(&self) -> Pending<'_, Box<dyn Pushes>>;

    /// The time on the clock that changes are told.
    ///
    /// # Errors
    /// The store's own trouble.
    fn now(&self) -> Pending<'_, WallTime>;
}

/// Several records at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOut {
    /// The records, in the order of the keys; none where there is none, and an empty one where something lies that no
    /// change wrote. A change that comes there finds that empty one, and may write over it.
    pub records: Vec<Option<Bytes>>,
    /// When they were read, at the earliest, on the store's clock.
    pub now: WallTime,
}
