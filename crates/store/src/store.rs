//! The operations that every store offers.

use crate::{NewObject, Object, PartitionSettings, Put, StoreError, When};
use std::{future::Future, pin::Pin, time::Duration};

/// An answer that is on its way.
///
/// Nothing happens before the first poll. A write that was polled once may still happen after its
/// future is dropped.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store of objects under keys, in named partitions.
///
/// Each operation is atomic; nothing spans two operations except a version taken from one and
/// asked for in the next ([`When::Version`]). An operation that answers with an error has changed
/// nothing, with one exception: after [`StoreError::Io`] or [`StoreError::NotAvailable`] a write
/// may be found whole, or not at all.
///
/// All operations refuse a malformed partition or key
/// ([`StoreError::InvalidPartition`], [`StoreError::InvalidKey`]).
pub trait ObjectStore: Send + Sync + 'static {
    /// Lays down a partition's settings, for as long as this store is open. The same settings
    /// again change nothing.
    ///
    /// # Errors
    /// [`StoreError::InvalidPartition`], [`StoreError::InvalidSettings`] or
    /// [`StoreError::TtlTooLong`] if they cannot be.
    fn configure(&self, partition: &str, settings: PartitionSettings) -> Result<(), StoreError>;

    /// The object under a key, unless it is absent or expired.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what is stored cannot be read back, or the store's own trouble.
    fn get<'a>(&'a self, partition: &'a str, key: &'a str) -> Pending<'a, Option<Object>>;

    /// Stores an object, if the condition holds. The object's time to live starts now.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::TtlTooLong`], [`StoreError::Full`] if the partition
    /// holds its `max_entries` and expires on read, or the store's own trouble.
    fn put<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        object: NewObject,
        when: When,
    ) -> Pending<'a, Put>;

    /// Adds to a number kept as decimal text, and answers the sum. An absent object counts 0.
    ///
    /// With `ttl` the time to live starts anew; without, an object that is there keeps the one it
    /// has, and a new one gets its partition's. The media type stays; a new object's is
    /// `text/plain`.
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

    /// Removes an object, if the condition holds, and answers what was removed.
    /// ([`When::Absent`] never removes anything.)
    ///
    /// # Errors
    /// The store's own trouble.
    fn remove<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        when: When,
    ) -> Pending<'a, Option<Object>>;

    /// The first `limit` keys that begin with `prefix` and hold an object, sorted by their bytes.
    ///
    /// # Errors
    /// The store's own trouble.
    fn keys<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        limit: usize,
    ) -> Pending<'a, Vec<String>>;

    /// Removes all objects of a partition in one step, and answers how many there were.
    ///
    /// # Errors
    /// The store's own trouble.
    fn clear<'a>(&'a self, partition: &'a str) -> Pending<'a, u64>;

    /// Gives back the space of expired objects, at most `budget` of them, and answers how many it
    /// removed: partition by partition in the order of their names, the longest expired first.
    ///
    /// A store has no timer: its owner calls this now and then, again at once when the answer was
    /// the whole budget. Reads do not depend on it. It also evicts what is above `max_entries`
    /// (see [`PartitionSettings`](crate::PartitionSettings)), and draws in lives that became
    /// longer than `ttl_max` when the clock jumped backward.
    ///
    /// # Errors
    /// The store's own trouble.
    fn sweep<'a>(&'a self, budget: usize) -> Pending<'a, u64>;

    /// Returns when everything acknowledged before is durable.
    ///
    /// # Errors
    /// The store's own trouble.
    fn flush<'a>(&'a self) -> Pending<'a, ()>;
}
