//! The tables of the database, and the version of their format.

use super::fault::Stop;
use redb::{ReadableDatabase, TableDefinition, TableError};

/// The format that this version writes, and the newest that it can read.
pub(super) const FORMAT: u64 = 1;

/// The largest value, in bytes, that is stored inline; a larger one is split into chunks. Measured: written as one row,
/// a value of 1 MiB or more takes up to twice the bytes and time, because the engine rounds a page up to a power of
/// two; below 100 KiB there is no difference.
pub(super) const INLINE_BYTES_MAX: usize = 64 << 10;

/// Size of a chunk, in bytes: with the engine's overhead it just fits a page of 64 KiB.
pub(super) const CHUNK_BYTES: usize = (64 << 10) - 256;

/// `format`: the version of this schema; `last_version`: the last version assigned to an object.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Number of objects per partition, including expired ones not yet swept.
pub(super) const COUNTS: TableDefinition<'_, &str, u64> = TableDefinition::new("counts");
/// The objects' records, by partition and key.
pub(super) const OBJECTS: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("objects");
/// The ends of objects' lives: partition, wall time in milliseconds, key.
pub(super) const EXPIRY: TableDefinition<'_, (&str, u64, &str), ()> =
    TableDefinition::new("expiry");
/// The chunks of large values, by the object's version and the chunk's number.
pub(super) const CHUNKS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("chunks");

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_LAST_VERSION: &str = "last_version";

/// Creates the tables in an empty database.
pub(super) fn write(database: &redb::Database) -> Result<(), Stop> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(META_FORMAT, FORMAT)?;
        meta.insert(META_LAST_VERSION, 0)?;
        transaction.open_table(COUNTS)?;
        transaction.open_table(OBJECTS)?;
        transaction.open_table(EXPIRY)?;
        transaction.open_table(CHUNKS)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Returns the format of a database, or `None` if it is not an object store.
pub(super) fn format(database: &redb::Database) -> Result<Option<u64>, Stop> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(
            TableError::TableDoesNotExist(_)
            | TableError::TableTypeMismatch { .. }
            | TableError::TableIsMultimap(_),
        ) => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    Ok(meta.get(META_FORMAT)?.map(|row| row.value()))
}
