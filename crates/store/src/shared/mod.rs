//! Small records that many processes change together, each change in one step.
//!
//! Where an [`ObjectStore`](crate::ObjectStore) keeps the data of one gateway, shared records coordinate several. No
//! client reads a record, computes and writes it back: a [`Change`] is sent to the record and applied where the record
//! is stored, atomically and on that place's clock. [Subscribers](SharedRecords::subscribe) receive changed records as
//! they are written.

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

/// The most bytes in a record's key.
pub const RECORD_KEY_MAX: usize = 512;

/// The most bytes in a record. A change whose result is larger leaves the record unchanged.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// Records under keys, changed by functions that run where the records are stored.
///
/// A store of records does not interpret them. It guarantees that the changes of one record happen one after the other,
/// each with the time of one common clock, and that each caller of a change receives the record as it was right after
/// it.
pub trait SharedRecords: Send + Sync + 'static {
    /// Applies a change to one record atomically, and returns the record right after it.
    ///
    /// After an error the change may have happened or not. A change that must not happen twice needs an identifier in
    /// its arguments, which it records and checks.
    ///
    /// # Errors
    /// [`StoreError::InvalidKey`](crate::StoreError::InvalidKey), or any failure of the store itself.
    fn apply<'a>(
        &'a self,
        key: &'a str,
        change: &'a Change,
        args: &'a [Bytes],
    ) -> Pending<'a, Applied>;

    /// Reads the records under these keys, in the order of the keys, with one round trip to each server that holds some
    /// of them.
    ///
    /// # Errors
    /// [`StoreError::InvalidKey`](crate::StoreError::InvalidKey), or any failure of the store itself.
    fn read<'a>(&'a self, keys: &'a [&'a str]) -> Pending<'a, ReadOut>;

    /// Opens a subscription. [`Pushes::next`] returns the pushes for the keys that it [follows](Pushes::follow).
    ///
    /// # Errors
    /// Any failure of the store itself.
    fn subscribe(&self) -> Pending<'_, Box<dyn Pushes>>;

    /// Returns the time on the clock that change functions receive.
    ///
    /// # Errors
    /// Any failure of the store itself.
    fn now(&self) -> Pending<'_, WallTime>;
}

/// Several records, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOut {
    /// The records, in the order of the keys: `None` if absent, empty if the stored bytes were not written by a change.
    /// A change finds such foreign data as an empty record, and may overwrite it.
    pub records: Vec<Option<Bytes>>,
    /// The time of the earliest read, on the store's clock.
    pub now: WallTime,
}
