//! The write operations, applied to the tables inside a transaction that a batch shares.

use super::fault::Stop;
use super::record::{Content, Record};
use super::refreshes::{Refresh, Refreshes};
use super::rows::{ChunkRow, ObjectRow, Scope, chunk_count};
use super::schema::{
    CHUNK_BYTES, CHUNKS, COUNTS, EXPIRY, INLINE_BYTES_MAX, META, META_LAST_VERSION, OBJECTS,
};
use crate::object::{TEXT, add_to_stored};
use crate::{NewObject, Object, Put, StoreError, WallTime, When};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::BTreeMap;
use std::time::Duration;

/// The open tables of one write transaction.
pub(super) struct Tables<'t> {
    meta: Table<'t, &'static str, u64>,
    counts: Table<'t, &'static str, u64>,
    objects: Table<'t, ObjectRow, &'static [u8]>,
    expiry: Table<'t, (&'static str, u64, &'static str), ()>,
    chunks: Table<'t, ChunkRow, &'static [u8]>,
    versions: &'t Refreshes,
    /// Counts that were read or changed, written once at the end of the batch.
    counted: BTreeMap<String, u64>,
    changed: bool,
    wants_sync: bool,
}

impl<'t> Tables<'t> {
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        versions: &'t Refreshes,
    ) -> Result<Self, Stop> {
        Ok(Tables {
            meta: transaction.open_table(META)?,
            counts: transaction.open_table(COUNTS)?,
            objects: transaction.open_table(OBJECTS)?,
            expiry: transaction.open_table(EXPIRY)?,
            chunks: transaction.open_table(CHUNKS)?,
            versions,
            counted: BTreeMap::new(),
            changed: false,
            wants_sync: false,
        })
    }

    /// Writes the batch's counts and last version. Returns that version if anything changed.
    pub(super) fn finish(mut self) -> Result<Option<u64>, Stop> {
        let last_version = self.versions.mark();
        if self.changed {
            self.meta.insert(META_LAST_VERSION, last_version)?;
            for (partition, count) in &self.counted {
                if *count == 0 {
                    self.counts.remove(partition.as_str())?;
                } else {
                    self.counts.insert(partition.as_str(), count)?;
                }
            }
        }
        Ok(self.changed.then_some(last_version))
    }

    /// Writes the last version alone.
    pub(super) fn note_last_version(&mut self, version: u64) -> Result<(), Stop> {
        self.meta.insert(META_LAST_VERSION, version)?;
        Ok(())
    }

    /// Gives an object the version and the end of a refresh, unless it has a later version already.
    pub(super) fn refresh(&mut self, refresh: &Refresh) -> Result<(), Stop> {
        let Refresh {
            partition,
            key,
            version,
            expires_at,
        } = refresh;
        let place = (partition.as_str(), key.as_str());
        let Some(bytes) = self.objects.get(place)?.map(|row| row.value().to_vec()) else {
            return Ok(());
        };
        let Ok(mut record) = Record::decode(&bytes) else {
            return Ok(());
        };
        if record.version >= *version {
            return Ok(());
        }
        self.changed = true;
        if record.expires_at != *expires_at {
            if let Some(end) = record.expires_at {
                self.expiry.remove((place.0, end.0, place.1))?;
            }
            if let Some(end) = expires_at {
                self.expiry.insert((place.0, end.0, place.1), ())?;
            }
        }
        (record.version, record.expires_at) = (*version, *expires_at);
        self.objects.insert(place, record.encode().as_slice())?;
        Ok(())
    }

    /// Requests a sync after the commit, whatever the durability.
    pub(super) fn want_sync(&mut self) {
        self.wants_sync = true;
    }

    pub(super) fn wants_sync(&self) -> bool {
        self.wants_sync
    }

    pub(super) fn put(
        &mut self,
        scope: Scope<'_>,
        key: &str,
        object: &NewObject,
        when: When,
    ) -> Result<Put, Stop> {
        let current = self.live_version(scope, key)?;
        if !when.allows(current) {
            return Ok(Put::Refused { current });
        }
        let expires_at = scope.rules.expires_at(scope.now, object.ttl);
        let version = self.store(scope, key, &object.value, &object.media_type, expires_at)?;
        Ok(Put::Stored { version })
    }

    pub(super) fn increment(
        &mut self,
        scope: Scope<'_>,
        key: &str,
        by: i64,
        ttl: Option<Duration>,
    ) -> Result<i64, Stop> {
        let current = self.live_object(scope, key)?;
        let value = current.as_ref().map(|object| object.value.as_ref());
        let sum = add_to_stored(scope.partition, key, value, by)?;
        let fresh = scope.rules.expires_at(scope.now, ttl);
        let (media_type, expires_at) = match current {
            Some(object) if ttl.is_none() => (object.media_type, object.expires_at),
            Some(object) => (object.media_type, fresh),
            None => (TEXT.to_owned(), fresh),
        };
        let text = sum.to_string();
        self.store(scope, key, text.as_bytes(), &media_type, expires_at)?;
        Ok(sum)
    }

    pub(super) fn remove(
        &mut self,
        scope: Scope<'_>,
        key: &str,
        when: When,
    ) -> Result<Option<Object>, Stop> {
        let Some(version) = self.live_version(scope, key)? else {
            return Ok(None);
        };
        if !when.allows(Some(version)) {
            return Ok(None);
        }
        let object = self.live_object(scope, key)?;
        self.take(scope, key)?;
        Ok(object)
    }

    /// Removes everything in a partition, readable or not, and returns the number of live objects.
    pub(super) fn clear(&mut self, scope: Scope<'_>) -> Result<u64, Stop> {
        let end = successor(scope.partition);
        let mut live = 0;
        let mut in_chunks = Vec::new();
        for row in self
            .objects
            .range((scope.partition, "")..(end.as_str(), ""))?
        {
            let (_, bytes) = row?;
            self.changed = true;
            let Ok(record) = Record::decode(bytes.value()) else {
                continue;
            };
            live += u64::from(scope.live(record.expires_at));
            if let Content::Chunked { len } = record.content {
                in_chunks.push((record.version, chunk_count(len)));
            }
        }
        self.objects
            .retain_in((scope.partition, "")..(end.as_str(), ""), |_, _| false)?;
        self.expiry
            .retain_in((scope.partition, 0, "")..(end.as_str(), 0, ""), |_, ()| {
                false
            })?;
        for (version, count) in in_chunks {
            self.remove_chunks(version, count)?;
        }
        self.counted.insert(scope.partition.to_owned(), 0);
        Ok(live)
    }

    /// The partitions that hold at least one object.
    pub(super) fn partitions(&self) -> Result<Vec<String>, Stop> {
        let mut names: BTreeMap<String, u64> = self.counted.clone();
        for row in self.counts.iter()? {
            let (name, count) = row?;
            names
                .entry(name.value().to_owned())
                .or_insert_with(|| count.value());
        }
        Ok(names
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, _)| name)
            .collect())
    }

    /// Removes the expired objects of a partition, the earliest expired first, at most `budget`.
    pub(super) fn reclaim(&mut self, scope: Scope<'_>, budget: usize) -> Result<usize, Stop> {
        let cutoff = scope.rules.cutoff(scope.now);
        let mut due = Vec::new();
        let from = (scope.partition, 0, "")..;
        for row in self.expiry.range(from)?.take(budget) {
            let (at, _) = row?;
            let (partition, end, key) = at.value();
            if partition != scope.partition || end > cutoff.0 {
                break;
            }
            due.push((end, key.to_owned()));
        }
        self.changed |= !due.is_empty();
        for (end, key) in &due {
            self.take(scope, key)?;
            // Usually removed with the object; a damaged record hides the end of its life.
            self.expiry.remove((scope.partition, *end, key.as_str()))?;
        }
        Ok(due.len())
    }

    /// Evicts the objects with the oldest writes, at most `budget`, until `max_entries` are left. Returns their number,
    /// and whether none is left to evict.
    pub(super) fn evict(
        &mut self,
        scope: Scope<'_>,
        max_entries: u64,
        budget: usize,
    ) -> Result<(usize, bool), Stop> {
        let excess = self.count(scope.partition)?.saturating_sub(max_entries);
        if excess == 0 {
            return Ok((0, true));
        }
        let end = successor(scope.partition);
        let mut by_age = Vec::new();
        for row in self
            .objects
            .range((scope.partition, "")..(end.as_str(), ""))?
        {
            let (at, bytes) = row?;
            let key = at.value().1;
            let version = scope.decode(key, bytes.value()).map_or(0, |r| r.version);
            by_age.push((version, key.to_owned()));
        }
        by_age.sort_unstable();
        by_age.truncate(budget.min(usize::try_from(excess).unwrap_or(usize::MAX)));
        for (_, key) in &by_age {
            self.take(scope, key)?;
        }
        Ok((by_age.len(), by_age.len() as u64 == excess))
    }

    /// Shortens lives that end after `latest` to end at `latest`, at most `budget` of them.
    pub(super) fn clamp_lives(
        &mut self,
        scope: Scope<'_>,
        latest: WallTime,
        budget: usize,
    ) -> Result<(), Stop> {
        let Some(beyond) = latest.0.checked_add(1) else {
            return Ok(());
        };
        let end = successor(scope.partition);
        let range = (scope.partition, beyond, "")..(end.as_str(), 0, "");
        let mut late = Vec::new();
        for row in self.expiry.range(range)?.rev().take(budget) {
            let (at, _) = row?;
            let (_, end, key) = at.value();
            late.push((end, key.to_owned()));
        }
        for (end, key) in late {
            self.changed = true;
            self.expiry.remove((scope.partition, end, key.as_str()))?;
            let Some(bytes) = self
                .objects
                .get((scope.partition, key.as_str()))?
                .map(|row| row.value().to_vec())
            else {
                continue;
            };
            let Ok(mut record) = Record::decode(&bytes) else {
                continue;
            };
            record.expires_at = Some(latest);
            let redone = record.encode();
            self.objects
                .insert((scope.partition, key.as_str()), redone.as_slice())?;
            self.expiry
                .insert((scope.partition, latest.0, key.as_str()), ())?;
        }
        Ok(())
    }

    fn live_version(&self, scope: Scope<'_>, key: &str) -> Result<Option<u64>, Stop> {
        let Some(row) = self.objects.get((scope.partition, key))? else {
            return Ok(None);
        };
        let record = scope.decode(key, row.value())?;
        Ok(scope.live(record.expires_at).then_some(record.version))
    }

    fn live_object(&self, scope: Scope<'_>, key: &str) -> Result<Option<Object>, Stop> {
        let Some(row) = self.objects.get((scope.partition, key))? else {
            return Ok(None);
        };
        let record = scope.decode(key, row.value())?;
        if !scope.live(record.expires_at) {
            return Ok(None);
        }
        scope.object(key, &record, &self.chunks).map(Some)
    }

    fn store(
        &mut self,
        scope: Scope<'_>,
        key: &str,
        value: &[u8],
        media_type: &str,
        expires_at: Option<WallTime>,
    ) -> Result<u64, Stop> {
        if !self.take(scope, key)? {
            self.make_room(scope)?;
        }
        let version = self.versions.issue();
        let content = if value.len() > INLINE_BYTES_MAX {
            for (number, chunk) in (0u32..).zip(value.chunks(CHUNK_BYTES)) {
                self.chunks.insert((version, number), chunk)?;
            }
            Content::Chunked {
                len: value.len() as u64,
            }
        } else {
            Content::Inline(value)
        };
        let record = Record {
            version,
            expires_at,
            media_type,
            content,
        };
        self.changed = true;
        self.objects
            .insert((scope.partition, key), record.encode().as_slice())?;
        if let Some(end) = expires_at {
            self.expiry.insert((scope.partition, end.0, key), ())?;
        }
        let count = self.count(scope.partition)?;
        self.counted.insert(scope.partition.to_owned(), count + 1);
        Ok(version)
    }

    fn make_room(&mut self, scope: Scope<'_>) -> Result<(), Stop> {
        let Some(max_entries) = scope.rules.refuses_above() else {
            return Ok(());
        };
        while self.count(scope.partition)? >= max_entries {
            if self.reclaim(scope, 1)? == 0 {
                return Err(StoreError::Full {
                    partition: scope.partition.to_owned(),
                    max_entries,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Removes an object, live or not, with its expiry entry and chunks. Returns false if there was none.
    fn take(&mut self, scope: Scope<'_>, key: &str) -> Result<bool, Stop> {
        let Some(bytes) = self
            .objects
            .remove((scope.partition, key))?
            .map(|row| row.value().to_vec())
        else {
            return Ok(false);
        };
        self.changed = true;
        // The expiry and the chunks of a damaged record are unknown; removing the row repairs the key.
        if let Ok(record) = Record::decode(&bytes) {
            if let Some(end) = record.expires_at {
                self.expiry.remove((scope.partition, end.0, key))?;
            }
            if let Content::Chunked { len } = record.content {
                self.remove_chunks(record.version, chunk_count(len))?;
            }
        }
        let count = self.count(scope.partition)?;
        self.counted
            .insert(scope.partition.to_owned(), count.saturating_sub(1));
        Ok(true)
    }

    fn remove_chunks(&mut self, version: u64, count: u32) -> Result<(), Stop> {
        for number in 0..count {
            // A damaged record may claim any length; the first gap ends it.
            if self.chunks.remove((version, number))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn count(&mut self, partition: &str) -> Result<u64, Stop> {
        if let Some(count) = self.counted.get(partition) {
            return Ok(*count);
        }
        let count = self.counts.get(partition)?.map_or(0, |row| row.value());
        self.counted.insert(partition.to_owned(), count);
        Ok(count)
    }
}

/// The first string that sorts after every key of exactly this partition.
fn successor(name: &str) -> String {
    format!("{name}\0")
}
