//! The errors of a store, each with its remedy.

use std::{io, sync::Arc, time::Duration};

/// The error of a store operation: one variant per cause.
///
/// Cloneable, because one failed commit is reported to every write in its batch.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot answer now.
    #[error("the object store is not available: {why}")]
    NotAvailable {
        /// The obstacle, and how to remove it.
        why: String,
    },
    /// The address of a server is invalid.
    #[error("the store's address is not valid: {why}")]
    InvalidAddress {
        /// The fault in the address, and the correct form.
        why: String,
    },
    /// Too many writes wait for the disk.
    #[error(
        "the object store is busy: {writes} writes of {bytes} bytes wait for the disk; \
         write less often, use a faster disk, or raise waiting_writes_max and waiting_bytes_max"
    )]
    Busy {
        /// Number of waiting writes.
        writes: usize,
        /// Total size of the waiting writes, in bytes.
        bytes: usize,
    },
    /// The key is invalid.
    #[error("the key is not valid: {why}")]
    InvalidKey {
        /// The fault in the key, and its remedy.
        why: String,
    },
    /// The partition's name is invalid.
    #[error("the partition's name is not valid: {why}")]
    InvalidPartition {
        /// The fault in the name, and its remedy.
        why: String,
    },
    /// A partition's settings contradict each other or the limits.
    #[error("the settings of partition \"{partition}\" are not valid: {why}")]
    InvalidSettings {
        /// The partition's name.
        partition: String,
        /// The fault in the settings, and its remedy.
        why: String,
    },
    /// The value or the media type is larger than its limit.
    #[error(
        "the {what} has {size} bytes, more than the {limit} allowed; \
         store less, or raise the limit"
    )]
    TooLarge {
        /// The oversized part: `value` or `media type`.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
        /// The size of the part, in bytes.
        size: usize,
    },
    /// The time to live is longer than the limit.
    #[error(
        "a time to live of {asked:?} is longer than the {limit:?} allowed; \
         use a shorter one, store without one, or raise ttl_max"
    )]
    TtlTooLong {
        /// The longest time to live allowed.
        limit: Duration,
        /// The time to live that was requested.
        asked: Duration,
    },
    /// The value to be incremented is not a decimal number of 64 bits.
    #[error(
        "the value of \"{key}\" in partition \"{partition}\" is not a whole decimal number, \
         so it cannot be incremented; remove it or store a number first"
    )]
    NotANumber {
        /// The partition's name.
        partition: String,
        /// The object's key.
        key: String,
    },
    /// An increment would leave the range of 64 bits.
    #[error(
        "\"{key}\" in partition \"{partition}\" holds {number}, and adding {by} would leave the \
         range of a 64-bit number; store a smaller number first"
    )]
    Overflow {
        /// The partition's name.
        partition: String,
        /// The object's key.
        key: String,
        /// The stored number.
        number: i64,
        /// The requested increment.
        by: i64,
    },
    /// The partition holds `max_entries` objects.
    #[error(
        "partition \"{partition}\" holds {max_entries} objects, the most allowed; \
         remove some, give them a time to live, or raise max_entries"
    )]
    Full {
        /// The partition's name.
        partition: String,
        /// The most objects the partition may hold.
        max_entries: u64,
    },
    /// Stored data cannot be read back.
    #[error(
        "{place} is damaged: {why}; restore it from a copy, or move it away and start empty \
         (and check the disk)"
    )]
    Damaged {
        /// The damaged file, or the partition and key.
        place: String,
        /// The damage found.
        why: String,
    },
    /// Another process, or another store in this process, has the file open.
    #[error(
        "{place} is open elsewhere, most likely in another process with the same data directory; \
         stop that one, or give this one a data directory of its own"
    )]
    Locked {
        /// The path of the file.
        place: String,
    },
    /// The file was written by a newer version.
    #[error(
        "{place} has format {found}, but this version reads formats up to {known}; \
         run the version that wrote it, or use another data directory (the file was left as it is)"
    )]
    NewerFormat {
        /// The path of the file.
        place: String,
        /// The format of the file.
        found: u64,
        /// The newest format that this version reads.
        known: u64,
    },
    /// The store no longer accepts writes; reads still work.
    #[error(
        "{place} accepts no more writes, because {why}; acknowledged writes can still be \
         read; check the disk and the kernel's log, then start again"
    )]
    ReadOnly {
        /// The path of the file.
        place: String,
        /// The cause of the failure.
        why: String,
    },
    /// The operating system failed an operation: on a file, a directory or a thread.
    #[error("{doing} {place} failed: {source}; {}", remedy(.source))]
    Io {
        /// The operation, as a participle: `writing`, `opening`.
        doing: &'static str,
        /// The path or name of the object of the operation.
        place: String,
        /// The error from the operating system.
        source: Arc<io::Error>,
    },
}

impl StoreError {
    #[cfg(any(feature = "embedded", feature = "hostile"))]
    pub(crate) fn not_available(why: impl Into<String>) -> Self {
        StoreError::NotAvailable { why: why.into() }
    }

    #[cfg(feature = "embedded")]
    pub(crate) fn damaged(place: impl Into<String>, why: impl Into<String>) -> Self {
        StoreError::Damaged {
            place: place.into(),
            why: why.into(),
        }
    }

    #[cfg(any(feature = "embedded", feature = "valkey"))]
    pub(crate) fn io(doing: &'static str, place: impl ToString, source: io::Error) -> Self {
        StoreError::Io {
            doing,
            place: place.to_string(),
            source: Arc::new(source),
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::*;
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            "free some space; writing goes on by itself afterwards"
        }
        PermissionDenied => "give the user of this process the right to read and write there",
        ReadOnlyFilesystem => "mount the file system for writing, or use another data directory",
        NotFound | NotADirectory => "check the path of the data directory",
        _ => "check the disk and the kernel's log",
    }
}
