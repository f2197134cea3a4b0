//! The operations that every store offers.

use crate::{NewObject, Object, PartitionSettings, Put, StoreError, When};
use std::{future::Future, pin::Pin, time::Duration};

/// The future that every operation returns.
///
/// Nothing happens before the first poll. A write whose future was polled once may still happen after the future is
/// dropped.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store of objects under keys, in named partitions.
///
/// Each operation is atomic. No transaction spans two operations; [`When::Version`] makes a write conditional on a
/// version read earlier. An operation that returns an error has changed nothing, with one exception: after
/// [`StoreError::Io`] or [`StoreError::NotAvailable`] a write may have happened in full or not at all.
///
/// All operations reject a malformed partition name or key ([`StoreError::InvalidPartition`],
/// [`StoreError::InvalidKey`]).
pub trait ObjectStore: Send + Sync + 'static {
    /// Sets a partition's settings for as long as this store is open. Setting the same settings again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::InvalidPartition`], [`StoreError::InvalidSettings`] or [`StoreError::TtlTooLong`] if the name or
    /// the settings are invalid.
    fn configure(&self, partition: &str, settings: PartitionSettings) -> Result<(), StoreError>;

    /// Returns the object under a key, or `None` if the key is absent or its object has expired.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the stored object cannot be read back, or any failure of the store itself.
    fn get<'a>(&'a self, partition: &'a str, key: &'a str) -> Pending<'a, Option<Object>>;

    /// Stores an object if the condition holds. The object's time to live starts now.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::TtlTooLong`], [`StoreError::Full`] if the partition holds its
    /// `max_entries` and expires on read, or any failure of the store itself.
    fn put<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        object: NewObject,
        when: When,
    ) -> Pending<'a, Put>;

    /// Adds to a number stored as decimal text, and returns the sum. An absent object counts as 0.
    ///
    /// With `ttl` the time to live starts anew; without, an existing object keeps its own and a new object gets its
    /// partition's. An existing object keeps its media type; a new object gets `text/plain`.
    ///
    /// # Errors
    /// [`StoreError::NotANumber`] if the value is not a decimal number of 64 bits,
    /// [`StoreError::Overflow`] if the sum would not be one, and the errors of
    /// [`put`](ObjectStore::put).
    fn increment<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        by: i64,
        ttl: Option<Duration>,
    ) -> Pending<'a, i64>;

    /// Removes an object if the condition holds, and returns the removed object. With [`When::Absent`] nothing is ever
    /// removed.
    ///
    /// # Errors
    /// Any failure of the store itself.
    fn remove<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        when: When,
    ) -> Pending<'a, Option<Object>>;

    /// Returns the first `limit` keys that begin with `prefix` and hold a live object, sorted by their bytes.
    ///
    /// # Errors
    /// Any failure of the store itself.
    fn keys<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        limit: usize,
    ) -> Pending<'a, Vec<String>>;

    /// Removes all objects of a partition in one step, and returns the number of live objects removed.
    ///
    /// # Errors
    /// Any failure of the store itself.
    fn clear<'a>(&'a self, partition: &'a str) -> Pending<'a, u64>;

    /// Frees the space of expired objects, at most `budget` of them, and returns the number removed. Partitions are
    /// swept in the order of their names, and within each the object that expired first goes first.
    ///
    /// A store has no timer: its owner calls this method periodically, and again at once if the whole budget was used.
    /// Reads never return an expired object, swept or not. A sweep also evicts objects above `max_entries` (see
    /// [`PartitionSettings`](crate::PartitionSettings)), and shortens times to live that became longer than `ttl_max`
    /// because the clock jumped backward.
    ///
    /// # Errors
    /// Any failure of the store itself.
    fn sweep<'a>(&'a self, budget: usize) -> Pending<'a, u64>;

    /// Returns once every write acknowledged before the call is durable.
    ///
    /// # Errors
    /// Any failure of the store itself.
    fn flush<'a>(&'a self) -> Pending<'a, ()>;
}
