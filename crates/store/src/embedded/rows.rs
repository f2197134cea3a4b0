//! Reads objects' rows, in a snapshot or inside a write transaction.

use super::fault::Stop;
use super::record::{Content, Record};
use super::schema::{CHUNK_BYTES, CHUNKS, COUNTS, EXPIRY, META, META_LAST_VERSION, OBJECTS};
use crate::partition::Rules;
use crate::{NewObject, Object, StoreError, WallTime};
use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};
use std::collections::HashMap;

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

/// Returns the live object under a key if it has the value and media type of a new one.
pub(super) fn same(
    snapshot: &ReadTransaction,
    scope: Scope<'_>,
    key: &str,
    object: &NewObject,
) -> Result<Option<Object>, Stop> {
    let objects = snapshot.open_table(OBJECTS)?;
    let Some(row) = objects.get((scope.partition, key))? else {
        return Ok(None);
    };
    let record = scope.decode(key, row.value())?;
    let is_same = record.content == Content::Inline(&object.value)
        && record.media_type == object.media_type
        && scope.live(record.expires_at);
    // A copy: the caller's bytes may be a small part of a large buffer, which would be kept with them.
    Ok(is_same.then(|| Object {
        value: Bytes::copy_from_slice(&object.value),
        media_type: object.media_type.clone(),
        version: record.version,
        expires_at: record.expires_at,
    }))
}

/// Returns the version of the object under a key, live or not.
pub(super) fn version(
    snapshot: &ReadTransaction,
    partition: &str,
    key: &str,
) -> Result<Option<u64>, Stop> {
    let objects = snapshot.open_table(OBJECTS)?;
    let row = objects.get((partition, key))?;
    let record = row
        .as_ref()
        .and_then(|row| Record::decode(row.value()).ok());
    Ok(record.map(|record| record.version))
}

/// Returns the last version that the file knows.
pub(super) fn last_version(snapshot: &ReadTransaction) -> Result<u64, Stop> {
    let meta = snapshot.open_table(META)?;
    let row = meta.get(META_LAST_VERSION)?;
    Ok(row.map_or(0, |row| row.value()))
}

/// Returns the partitions that hold at least one object, with the number of them.
pub(super) fn counts(snapshot: &ReadTransaction) -> Result<Vec<(String, u64)>, Stop> {
    let mut counts = Vec::new();
    for row in snapshot.open_table(COUNTS)?.iter()? {
        let (name, count) = row?;
        counts.push((name.value().to_owned(), count.value()));
    }
    Ok(counts)
}

/// True if a partition has an object whose life is over, or ends after `latest`.
pub(super) fn has_due(
    snapshot: &ReadTransaction,
    scope: Scope<'_>,
    latest: WallTime,
) -> Result<bool, Stop> {
    let expiry = snapshot.open_table(EXPIRY)?;
    let end = format!("{}\0", scope.partition);
    let mut ends = expiry.range((scope.partition, 0, "")..(end.as_str(), 0, ""))?;
    let Some(first) = ends.next().transpose()? else {
        return Ok(false);
    };
    let first = WallTime(first.0.value().1);
    let last = ends.next_back().transpose()?;
    let last = last.map_or(first, |row| WallTime(row.0.value().1));
    Ok(first <= scope.rules.cutoff(scope.now) || last > latest)
}

/// Returns the first `limit` keys of live objects that begin with a prefix. `ends` has the ends, and the versions, of
/// objects that have been refreshed.
pub(super) fn keys(
    snapshot: &ReadTransaction,
    scope: Scope<'_>,
    ends: &HashMap<String, (u64, Option<WallTime>)>,
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
        let record = scope.decode(key, bytes.value())?;
        let refreshed = ends
            .get(key)
            .filter(|(version, _)| *version > record.version);
        if scope.live(refreshed.map_or(record.expires_at, |(_, end)| *end)) {
            found.push(key.to_owned());
            if found.len() == limit {
                break;
            }
        }
    }
    Ok(found)
}
