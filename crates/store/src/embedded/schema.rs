//! The tables of the database, and the version of their format.

use super::fault::Stop;
use redb::{ReadableDatabase, TableDefinition, TableError};

/// The format this version writes, and the newest it can read.
pub(super) const FORMAT: u64 = 1;

/// A value above this many bytes is kept in chunks. Measured: a value of 1 MiB or more written
/// whole takes up to twice the bytes and time, because the engine rounds a page up to a power of
/// two; below 100 KiB there is no difference.
pub(super) const INLINE_BYTES_MAX: usize = 64 << 10;

/// The bytes of a chunk: with the engine's overhead it fills a page of 64 KiB and no more.
pub(super) const CHUNK_BYTES: usize = (64 << 10) - 256;

/// `format`: the version of this schema; `last_version`: the last version given to an object.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// How many objects each partition holds, expired ones that were not swept yet included.
pub(super) const COUNTS: TableDefinition<'_, &str, u64> = TableDefinition::new("counts");
/// The objects' records, by partition and key.
pub(super) const OBJECTS: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("objects");
/// The ends of lives: partition, wall time in milliseconds, key.
pub(super) const EXPIRY: TableDefinition<'_, (&str, u64, &str), ()> =
    TableDefinition::new("expiry");
/// The pieces of large values, by the object's version and the piece's number.
pub(super) const CHUNKS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("chunks");

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_LAST_VERSION: &str = "last_version";

/// Writes the tables of an empty database.
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

/// The version of the format that a database has, if it is one of ours.
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
