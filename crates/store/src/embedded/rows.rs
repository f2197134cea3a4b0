//! Reads objects' rows, in a snapshot or inside a write.

use super::fault::Stop;
use super::record::{Content, Record};
use super::schema::{CHUNK_BYTES, CHUNKS, OBJECTS};
use crate::partition::Rules;
use crate::{Object, StoreError, WallTime};
use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

pub(super) type ObjectRow = (&'static str, &'static str);
pub(super) type ChunkRow = (u64, u32);

/// Where an object is looked for, and what counts as live there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) partition: &'a str,
    pub(super) rules: Rules,
    pub(super) now: WallTime,
}

impl Place<'_> {
    pub(super) fn live(&self, expires_at: Option<WallTime>) -> bool {
        expires_at.is_none_or(|end| end > self.rules.cutoff(self.now))
    }

    pub(super) fn damaged(&self, key: &str, why: &str) -> Stop {
        StoreError::Damaged {
            place: format!("the object \"{key}\" in partition \"{}\"", self.partition),
            why: why.to_owned(),
        }
        .into()
    }

    pub(super) fn decode<'b>(&self, key: &str, bytes: &'b [u8]) -> Result<Record<'b>, Stop> {
        Record::decode(bytes).map_err(|why| self.damaged(key, why))
    }

    /// The object that a record stands for, with its value fetched from wherever it lies.
    pub(super) fn object(
        &self,
        key: &str,
        record: &Record<'_>,
        chunks: &impl ReadableTable<ChunkRow, &'static [u8]>,
    ) -> Result<Object, Stop> {
        let value = match record.content {
            Content::Inline(value) => Bytes::copy_from_slice(value),
            Content::Chunked { len } => {
                let mut value = Vec::new();
                for number in 0..chunk_count(len) {
                    let chunk = chunks
                        .get((record.version, number))?
                        .ok_or_else(|| self.damaged(key, "a piece of its value is missing"))?;
                    value.extend_from_slice(chunk.value());
                }
                if value.len() as u64 != len {
                    return Err(self.damaged(key, "the pieces of its value do not fit together"));
                }
                value.into()
            }
        };
        Ok(Object {
            value,
            media_type: record.media_type.to_owned(),
            version: record.version,
            expires_at: record.expires_at,
        })
    }
}

/// How many chunks a value of `len` bytes has.
pub(super) fn chunk_count(len: u64) -> u32 {
    u32::try_from(len.div_ceil(CHUNK_BYTES as u64)).unwrap_or(u32::MAX)
}

/// The live object under a key.
pub(super) fn get(
    snapshot: &ReadTransaction,
    place: Place<'_>,
    key: &str,
) -> Result<Option<Object>, Stop> {
    let objects = snapshot.open_table(OBJECTS)?;
    let Some(row) = objects.get((place.partition, key))? else {
        return Ok(None);
    };
    let record = place.decode(key, row.value())?;
    if !place.live(record.expires_at) {
        return Ok(None);
    }
    let chunks = snapshot.open_table(CHUNKS)?;
    place.object(key, &record, &chunks).map(Some)
}

/// The keys of live objects that begin with a prefix.
pub(super) fn keys(
    snapshot: &ReadTransaction,
    place: Place<'_>,
    prefix: &str,
    limit: usize,
) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let objects = snapshot.open_table(OBJECTS)?;
    for row in objects.range((place.partition, prefix)..)? {
        let (at, bytes) = row?;
        let (partition, key) = at.value();
        if partition != place.partition || !key.starts_with(prefix) {
            break;
        }
        if place.live(place.decode(key, bytes.value())?.expires_at) {
            found.push(key.to_owned());
            if found.len() == limit {
                break;
            }
        }
    }
    Ok(found)
}
