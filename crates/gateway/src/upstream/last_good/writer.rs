//! The writer: carries the queue to the disk, lists what an earlier process left there, and purges.
//!
//! One task beside the data path. Writes go together, so that the store commits them together; an unchanged entry is
//! written again only once its time on disk has run for a while. A failing store costs the data path nothing.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fusebox_store::{NewObject, StoreError, When};
use futures_util::future::{join, join_all};
use tokio::runtime::Handle;

use crate::upstream::last_good::disk::Disk;
use crate::upstream::last_good::entry::Entry;
use crate::upstream::last_good::index::Place;
use crate::upstream::last_good::key::{Key, Salt, Spot};
use crate::upstream::last_good::memory::Memory;
use crate::upstream::last_good::queue::{Batch, Order};

/// The rest between two turns, so that changing answers take little of a processor.
const REST: Duration = Duration::from_millis(25);

/// The rest after a turn in which the store failed.
const RETRY: Duration = Duration::from_millis(250);

/// The rest for each answer in memory after all of them were looked through.
const REST_PER_ANSWER: Duration = Duration::from_micros(2);

/// The most entries on disk.
const ENTRIES_MAX: usize = 65_536;

/// Bytes counted for an entry on disk beside its record.
const OVERHEAD: u64 = 256;

/// The most entries and bytes that are read in one turn of the start.
const READ_MAX: usize = 64;
const READ_BYTES_MAX: usize = 4 << 20;

/// The most keys that are listed at the start.
const KEYS_MAX: usize = 1_000_000;

/// The longest life of an object with one; older answers live until they give way.
const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The part of its time after which an unchanged entry is written again, and its bounds.
const RENEWED_PART: u32 = 16;
const RENEWED_MIN: Duration = Duration::from_secs(1);
const RENEWED_MAX: Duration = Duration::from_secs(300);

/// The writer of one upstream's entries.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<Disk>,
    memory: Arc<Memory>,
    /// The entries of an earlier process that are not listed yet; `None`: not even their keys are known.
    unread: Option<VecDeque<Spot>>,
    /// True while the store fails, so that it is logged once.
    is_failing: bool,
}

impl Writer {
    /// The writer of a disk.
    pub fn new(disk: Arc<Disk>, memory: Arc<Memory>) -> Writer {
        Writer {
            disk,
            memory,
            unread: None,
            is_failing: false,
        }
    }

    /// Works until the queue is closed and done.
    pub async fn run(mut self) {
        let disk = self.disk.clone();
        disk.read_on(Handle::current());
        loop {
            if let Some(batch) = disk.queue.take() {
                let rest = self.work(batch).await;
                if disk.queue.is_closed() {
                    // What fails now is lost with the process.
                    if rest == RETRY {
                        return;
                    }
                    continue;
                }
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = disk.queue.urgent.notified() => {}
                }
            } else if disk.queue.is_closed() {
                return;
            } else if self.is_listed() {
                disk.queue.work.notified().await;
            } else if let Err(error) = self.list_some().await {
                self.failed(&error);
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = disk.queue.work.notified() => {}
                }
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does a batch, and returns the time to rest after it.
    async fn work(&mut self, batch: Batch) -> Duration {
        let mut failed = Batch::default();
        let mut rest = REST;
        let (purges, flushes): (Vec<_>, Vec<_>) = batch
            .orders
            .into_iter()
            .partition(|order| matches!(order, Order::Purge { .. }));
        // Purges come first: an entry that waits beside one is of an answer that came after it.
        for order in purges {
            if let Order::Purge { path, done } = order {
                let result = self.purge(path.as_deref()).await;
                self.disk.queue.end_purge();
                // An admin request that has ended needs no answer.
                let _ = done.send(result);
            }
        }
        if batch.clear
            && let Err(error) = self.clear().await
        {
            self.failed(&error);
            failed.clear = true;
        }
        if !batch.voids.is_empty() {
            self.memory.drop_before(&batch.voids);
            let answers = u32::try_from(self.memory.len()).unwrap_or(u32::MAX);
            rest += REST_PER_ANSWER * answers;
        }
        let this = &*self;
        let voids = batch.voids.into_iter().map(|(uri, number)| async move {
            (this.remove(Key::spots_of(uri), 32).await, (uri, number))
        });
        let removals = batch
            .removals
            .into_iter()
            .map(|key| async move { (this.remove(key.spots(), 64).await, key) });
        let (voids, removals) = join(join_all(voids), join_all(removals)).await;
        for (result, (uri, number)) in voids {
            if let Err(error) = result {
                self.failed(&error);
                failed.voids.insert(uri, number);
            }
        }
        for (result, key) in removals {
            if let Err(error) = result {
                self.failed(&error);
                failed.removals.insert(key);
            }
        }
        // An entry beside a removal that failed would go with it at the next try.
        let must_wait = |entry: &Arc<Entry>| {
            let key = entry.spot.key;
            failed.clear || failed.removals.contains(&key) || failed.voids.contains_key(&key.uri)
        };
        let (wait, puts): (Vec<_>, Vec<_>) = batch.puts.into_iter().partition(must_wait);
        for entry in wait {
            self.disk.queue.put_back(entry);
        }
        let has_failed = self.put_all(puts).await;
        if has_failed || failed.clear || !failed.voids.is_empty() || !failed.removals.is_empty() {
            rest = RETRY;
        } else {
            self.is_failing = false;
        }
        self.disk.queue.settle(failed);
        for order in flushes {
            if let Order::Flush(done) = order {
                // As above.
                let _ = done.send(());
            }
        }
        rest
    }

    /// Writes entries, and returns true if the store failed.
    async fn put_all(&mut self, mut entries: Vec<Arc<Entry>>) -> bool {
        if !self.disk.is_used() {
            return false;
        }
        // The newest first: they stay where the disk's share is smaller than the batch.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.facts.at));
        let newest = entries.first().map_or(0, |entry| entry.facts.at);
        let mut ready = Vec::new();
        let mut has_failed = false;
        let mut room = self.disk.bytes_max;
        for entry in entries {
            if let Some((object, place)) = self.prepare(&entry, room) {
                room -= place.bytes;
                ready.push((entry, object, place));
            }
        }
        let written: HashSet<Spot> = ready.iter().map(|(entry, ..)| entry.spot).collect();
        let age_max = u64::try_from(self.disk.age_max.as_millis()).unwrap_or(u64::MAX);
        let excess = self.disk.index().excess(
            self.disk.bytes_max,
            ENTRIES_MAX,
            newest.saturating_sub(age_max),
            |spot| written.contains(spot),
        );
        if let Err(error) = self.remove_all(excess).await {
            self.failed(&error);
            for (entry, ..) in ready {
                self.disk.queue.put_back(entry);
            }
            return true;
        }
        let disk = self.disk.clone();
        let disk = &disk;
        let writes = ready.into_iter().map(|(entry, object, place)| async move {
            let key = entry.spot.to_text();
            let put = disk.store.put(&disk.partition, &key, object, When::Always);
            (entry, place, disk.within(put).await)
        });
        // All at once, so that the store can commit them together.
        for (entry, place, result) in join_all(writes).await {
            match result {
                Ok(_) => self.disk.index().insert(entry.spot, place),
                // A bound of the store, which it keeps at the next try too.
                Err(StoreError::TooLarge { .. }) => {}
                Err(error) => {
                    self.failed(&error);
                    self.disk.queue.put_back(entry);
                    has_failed = true;
                }
            }
        }
        has_failed
    }

    /// The object of an entry, which is listed as unknown until it is written; `None`: it need not be written, or has
    /// more bytes than `room`.
    fn prepare(&self, entry: &Entry, room: u64) -> Option<(NewObject, Place)> {
        let disk = &self.disk;
        let place = place(entry, &disk.salt);
        let mut index = disk.index();
        let part = (disk.age_max / RENEWED_PART).clamp(RENEWED_MIN, RENEWED_MAX);
        let renewed = u64::try_from(part.as_millis()).unwrap_or(u64::MAX);
        if let Some(known) = index.get(&entry.spot)
            && known.content == place.content
            && entry.facts.at < known.at.saturating_add(renewed)
        {
            index.touch(&entry.spot, entry.facts.at);
            return None;
        }
        if place.bytes > room {
            return None;
        }
        let unknown = Place {
            content: None,
            ..place
        };
        index.insert(entry.spot, unknown);
        drop(index);
        let record = entry.to_record(&disk.salt);
        let mut object = NewObject::new(record, "application/octet-stream");
        object.ttl = Some(disk.age_max).filter(|age| *age <= TTL_MAX);
        Some((object, place))
    }

    /// Removes the entries of a range of keys, which share this number of digits.
    async fn remove(
        &self,
        spots: std::ops::RangeInclusive<Spot>,
        digits: usize,
    ) -> Result<(), StoreError> {
        let disk = &self.disk;
        if !disk.is_used() {
            return Ok(());
        }
        let mut found = disk.index().range(spots.clone());
        if !disk.index().is_complete {
            let prefix = &spots.start().to_text()[..digits];
            found.extend(disk.spots(prefix, KEYS_MAX).await?);
        }
        self.remove_all(found).await
    }

    async fn remove_all(&self, spots: Vec<Spot>) -> Result<(), StoreError> {
        let disk = &self.disk;
        let removals = spots.into_iter().map(|spot| disk.remove(spot));
        let results = join_all(removals).await;
        results.into_iter().collect()
    }

    /// Removes all entries, or those of a path, and returns their number.
    async fn purge(&mut self, path: Option<&str>) -> Result<u64, StoreError> {
        let disk = self.disk.clone();
        // Without the store's own salt the entries of a path look like all others.
        let Some(path) = path.filter(|_| disk.salt.is_durable()) else {
            return self.clear().await;
        };
        while !self.is_listed() {
            self.list_some().await?;
        }
        let spots = disk.index().of_path(disk.salt.path(path));
        let removed = spots.len() as u64;
        self.remove_all(spots).await?;
        Ok(removed)
    }

    /// Removes all entries, and returns their number.
    async fn clear(&mut self) -> Result<u64, StoreError> {
        let disk = &self.disk;
        let removed = disk.within(disk.store.clear(&disk.partition)).await?;
        let mut index = disk.index();
        index.clear();
        index.is_complete = true;
        self.unread = Some(VecDeque::new());
        Ok(removed)
    }

    fn is_listed(&self) -> bool {
        self.disk.index().is_complete
    }

    /// Lists some entries that an earlier process left, and takes them into memory while it has room.
    async fn list_some(&mut self) -> Result<(), StoreError> {
        let disk = self.disk.clone();
        if !disk.is_used() {
            if disk.salt.is_durable() {
                // Nothing is to be on disk any more.
                self.clear().await?;
            }
            disk.index().is_complete = true;
            return Ok(());
        }
        let unread = match &mut self.unread {
            Some(unread) => unread,
            None => self.unread.insert(disk.spots("", KEYS_MAX).await?.into()),
        };
        let mut bytes = 0;
        for _ in 0..READ_MAX {
            let Some(spot) = unread.front().copied() else {
                disk.index().is_complete = true;
                return Ok(());
            };
            // One that was written by now is listed already.
            if disk.index().get(&spot).is_none() {
                let stamp = self.memory.stamp();
                match disk.read(spot, stamp).await? {
                    Some(entry) => {
                        bytes += entry.body_len();
                        disk.index().insert(spot, place(&entry, &disk.salt));
                        if !disk.queue.is_gone(spot.key) && self.memory.has_room(entry.weight()) {
                            self.memory.warm(&entry);
                        }
                    }
                    // Expired, or damaged, or of another version of the program.
                    None => disk.remove(spot).await?,
                }
            }
            unread.pop_front();
            if bytes > READ_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let partition = &self.disk.partition;
            tracing::warn!(%error, partition, "last good answers are not persisted yet; trying again");
        }
    }
}

fn place(entry: &Entry, salt: &Salt) -> Place {
    Place {
        bytes: entry.record_len() as u64 + OVERHEAD,
        at: entry.facts.at,
        path: Some(salt.path(&entry.path)),
        content: Some(entry.content(salt)),
    }
}
