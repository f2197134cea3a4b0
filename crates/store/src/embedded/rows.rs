//! Reads objects' rows, in a snapshot or inside a write transaction.

use super::fault::Stop;
use super::record::{Content, Record};
use super::schema::{CHUNK_BYTES, CHUNKS, OBJECTS};
use crate::partition::Rules;
use crate::{Object, StoreError, WallTime};
use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

pub(super) type ObjectRow = (&'static str, &'static str);
pub(super) type ChunkRow = (u64, u32);

/// A partition at a moment, with the rules that decide which objects are live.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) partition: &'a str,
    pub(super) rules: Rules,
    pub(super) now: WallTime,
}

impl Scope<'_> {
    pub(super) fn live(&self, expires_at: Option<WallTime>) -> bool {
        expires_at.is_none_or(|end| end > self.rules.cutoff(self.now))
    }

    pub(super) fn damaged(&self, key: &str, why: &str) -> Stop {
        let place = format!("the object \"{key}\" in partition \"{}\"", self.partition);
        StoreError::damaged(place, why).into()
    }

    pub(super) fn decode<'b>(&self, key: &str, bytes: &'b [u8]) -> Result<Record<'b>, Stop> {
        Record::decode(bytes).map_err(|why| self.damaged(key, why))
    }

    /// Builds the object of a record, fetching its value from the chunks if necessary.
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
                        .ok_or_else(|| self.damaged(key, "a chunk of its value is missing"))?;
                    value.extend_from_slice(chunk.value());
                }
                if value.len() as u64 != len {
                    return Err(self.damaged(key, "the chunks of its value have the wrong length"));
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

/// Number of chunks for a value of `len` bytes.
pub(super) fn chunk_count(len: u64) -> u32 {
    u32::try_from(len.div_ceil(CHUNK_BYTES as u64)).unwrap_or(u32::MAX)
}

/// Returns the live object under a key.
pub(super) fn get(
    snapshot: &ReadTransaction,
    scope: Scope<'_>,
    key: &str,
) -> Result<Option<Object>, Stop> {
    let objects = snapshot.open_table(OBJECTS)?;
    let Some(row) = objects.get((scope.partition, key))? else {
        return Ok(None);
    };
    let record = scope.decode(key, row.value())?;
    if !scope.live(record.expires_at) {
        return Ok(None);
    }
    let chunks = snapshot.open_table(CHUNKS)?;
    scope.object(key, &record, &chunks).map(Some)
}

/// Returns the first `limit` keys of live objects that begin with a prefix.
pub(super) fn keys(
    snapshot: &ReadTransaction,
    scope: Scope<'_>,
    prefix: &str,
    limit: usize,
) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    let objects = snapshot.open_table(OBJECTS)?;
    for row in objects.range((scope.partition, prefix)..)? {
        let (at, bytes) = row?;
        let (partition, key) = at.value();
        if partition != scope.partition || !key.starts_with(prefix) {
            break;
        }
        if scope.live(scope.decode(key, bytes.value())?.expires_at) {
            found.push(key.to_owned());
            if found.len() == limit {
                break;
            }
        }
    }
    Ok(found)
}
