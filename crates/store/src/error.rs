//! What can go wrong in a store, and how to mend it.

use std::{io, sync::Arc, time::Duration};

/// Why a store did not do what it was asked, one variant per cause.
///
/// It can be cloned because one failed commit is the answer to every write that was in it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot answer now.
    #[error("the object store is not available: {why}")]
    NotAvailable {
        /// What stands in the way, and what to do.
        why: String,
    },
    /// The address of a server is not one.
    #[error("the store's address is not valid: {why}")]
    InvalidAddress {
        /// What is wrong with it, and what to write instead.
        why: String,
    },
    /// Too many writes wait for the disk.
    #[error(
        "the object store is busy: {writes} writes of {bytes} bytes wait for the disk; \
         write less often, use a faster disk, or raise waiting_writes_max and waiting_bytes_max"
    )]
    Busy {
        /// How many writes wait.
        writes: usize,
        /// How many bytes they hold.
        bytes: usize,
    },
    /// The key is not one.
    #[error("the key is not valid: {why}")]
    InvalidKey {
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The partition's name is not one.
    #[error("the partition's name is not valid: {why}")]
    InvalidPartition {
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A partition's settings contradict themselves or the limits.
    #[error("the settings of partition \"{partition}\" are not valid: {why}")]
    InvalidSettings {
        /// The partition.
        partition: String,
        /// What is wrong, and what to write instead.
        why: String,
    },
    /// A part of the object is larger than the limit.
    #[error(
        "the {what} has {size} bytes, and {limit} are the most allowed; \
         store less, or raise the limit"
    )]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// The most bytes allowed.
        limit: usize,
        /// The bytes it has.
        size: usize,
    },
    /// The time to live is longer than the limit.
    #[error(
        "a time to live of {asked:?} is longer than the {limit:?} allowed; \
         ask for less, store without one, or raise ttl_max"
    )]
    TtlTooLong {
        /// The longest allowed.
        limit: Duration,
        /// What was asked for.
        asked: Duration,
    },
    /// An increment met a value that is not a decimal number of 64 bits.
    #[error(
        "the value of \"{key}\" in partition \"{partition}\" is not a whole decimal number, \
         so nothing can be added to it; remove it or put a number there first"
    )]
    NotANumber {
        /// The partition.
        partition: String,
        /// The key.
        key: String,
    },
    /// An increment would leave the range of 64 bits.
    #[error(
        "\"{key}\" in partition \"{partition}\" holds {number}, and adding {by} would leave the \
         range of a 64-bit number; put a smaller number there first"
    )]
    Overflow {
        /// The partition.
        partition: String,
        /// The key.
        key: String,
        /// The number that is there.
        number: i64,
        /// What was to be added.
        by: i64,
    },
    /// The partition holds as many objects as it may.
    #[error(
        "partition \"{partition}\" holds {max_entries} objects, and that is all it may; \
         remove some, give them a time to live, or raise max_entries"
    )]
    Full {
        /// The partition.
        partition: String,
        /// The most objects allowed.
        max_entries: u64,
    },
    /// Something stored cannot be read back.
    #[error(
        "{place} is damaged: {why}; restore it from a copy, or move it away and start empty \
         (and check the disk)"
    )]
    Damaged {
        /// The file, or the partition and key.
        place: String,
        /// What was found.
        why: String,
    },
    /// Another process, or another store in this one, has the file open.
    #[error(
        "{place} is open elsewhere, most likely in another process with the same data directory; \
         stop that one, or give this one a data directory of its own"
    )]
    Locked {
        /// The file.
        place: String,
    },
    /// The file was written by a newer version.
    #[error(
        "{place} has format {found}, and this version knows formats up to {known}; \
         run the version that wrote it, or use another data directory (the file was left as it is)"
    )]
    NewerFormat {
        /// The file.
        place: String,
        /// The format that was found.
        found: u64,
        /// The newest format known.
        known: u64,
    },
    /// The store takes no writes any more.
    #[error(
        "{place} takes no more writes, because {why}; what was acknowledged before can still be \
         read; check the disk and the kernel's log, then start again"
    )]
    ReadOnly {
        /// The file.
        place: String,
        /// What happened.
        why: String,
    },
    /// The disk, or the way to it, failed.
    #[error("{doing} {place} failed: {source}; {}", mend(.source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or directory.
        place: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

#[cfg(any(feature = "embedded", feature = "valkey"))]
impl StoreError {
    pub(crate) fn io(doing: &'static str, place: impl ToString, source: io::Error) -> Self {
        StoreError::Io {
            doing,
            place: place.to_string(),
            source: Arc::new(source),
        }
    }
}

fn mend(error: &io::Error) -> &'static str {
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
