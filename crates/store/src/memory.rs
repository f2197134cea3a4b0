//! The store in memory, which is also the reference implementation of every operation.

use crate::object::{TEXT, add_to_stored};
use crate::partition::{Partitions, Rules};
use crate::{
    Clock, Limits, NewObject, Object, ObjectStore, PartitionSettings, Pending, Put, StoreError,
    WallTime, When,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Keeps objects in memory until it is dropped. The reference implementation: every other store behaves the same.
pub struct MemoryStore {
    limits: Limits,
    clock: Arc<dyn Clock>,
    partitions: Partitions,
    // A std lock: each operation holds it for a few look-ups and never across an await.
    contents: Mutex<Contents>,
}

#[derive(Clone, Default)]
struct Contents {
    last_version: u64,
    by_partition: BTreeMap<String, Partition>,
}

#[derive(Clone, Default)]
struct Partition {
    objects: BTreeMap<String, Object>,
    ends: BTreeSet<(WallTime, String)>,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Self {
        MemoryStore {
            limits,
            clock,
            partitions: Partitions::default(),
            contents: Mutex::default(),
        }
    }

    /// Makes a store with the same limits, clock and objects but without partition settings, like a store in a file
    /// after a restart.
    #[must_use]
    pub fn reopened(&self) -> Self {
        let contents = self.contents();
        MemoryStore {
            limits: self.limits.clone(),
            clock: self.clock.clone(),
            partitions: Partitions::default(),
            contents: Mutex::new(contents.clone()),
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on<T>(&self, name: &str, operation: impl FnOnce(&mut OpenPartition<'_>) -> T) -> T {
        let now = self.clock.now();
        let rules = self.partitions.rules(name);
        let mut contents = self.contents();
        let Contents {
            last_version,
            by_partition,
        } = &mut *contents;
        let partition = by_partition.entry(name.to_owned()).or_default();
        let answer = operation(&mut OpenPartition {
            name,
            rules,
            now,
            last_version,
            partition,
        });
        if partition.objects.is_empty() {
            by_partition.remove(name);
        }
        answer
    }

    fn sweep_now(&self, budget: usize) -> u64 {
        let now = self.clock.now();
        let names: Vec<String> = self.contents().by_partition.keys().cloned().collect();
        let mut removed = 0;
        for name in names {
            let left = budget - removed;
            removed += self.on(&name, |open| {
                open.clamp_lives(now.after(self.limits.ttl_max), left);
                open.reclaim(left)
            });
        }
        for (name, max_entries) in self.partitions.due_evictions(now) {
            let left = budget - removed;
            let (evicted, done) = self.on(&name, |open| open.evict(max_entries, left));
            removed += evicted;
            if done {
                self.partitions.evicted(&name, now);
            }
        }
        removed as u64
    }
}

/// One partition, with everything that an operation on it needs.
struct OpenPartition<'a> {
    name: &'a str,
    rules: Rules,
    now: WallTime,
    last_version: &'a mut u64,
    partition: &'a mut Partition,
}

impl OpenPartition<'_> {
    fn live(&self, object: &Object) -> bool {
        object
            .expires_at
            .is_none_or(|end| end > self.rules.cutoff(self.now))
    }

    fn get(&self, key: &str) -> Option<&Object> {
        self.partition
            .objects
            .get(key)
            .filter(|object| self.live(object))
    }

    fn put(&mut self, key: &str, object: NewObject, when: When) -> Result<Put, StoreError> {
        let current = self.get(key).map(|object| object.version);
        if !when.allows(current) {
            return Ok(Put::Refused { current });
        }
        let expires_at = self.rules.expires_at(self.now, object.ttl);
        let version = self.store(key, object.value, object.media_type, expires_at)?;
        Ok(Put::Stored { version })
    }

    fn increment(&mut self, key: &str, by: i64, ttl: Option<Duration>) -> Result<i64, StoreError> {
        let current = self.get(key);
        let sum = add_to_stored(
            self.name,
            key,
            current.map(|object| object.value.as_ref()),
            by,
        )?;
        let fresh = self.rules.expires_at(self.now, ttl);
        let (media_type, expires_at) = match current {
            Some(object) => (
                object.media_type.clone(),
                if ttl.is_some() {
                    fresh
                } else {
                    object.expires_at
                },
            ),
            None => (TEXT.to_owned(), fresh),
        };
        self.store(key, sum.to_string().into(), media_type, expires_at)?;
        Ok(sum)
    }

    fn store(
        &mut self,
        key: &str,
        value: Bytes,
        media_type: String,
        expires_at: Option<WallTime>,
    ) -> Result<u64, StoreError> {
        if !self.partition.objects.contains_key(key) {
            self.make_room()?;
        }
        *self.last_version += 1;
        let version = *self.last_version;
        self.take(key);
        if let Some(end) = expires_at {
            self.partition.ends.insert((end, key.to_owned()));
        }
        let object = Object {
            value,
            media_type,
            version,
            expires_at,
        };
        self.partition.objects.insert(key.to_owned(), object);
        Ok(version)
    }

    fn make_room(&mut self) -> Result<(), StoreError> {
        let Some(max_entries) = self.rules.refuses_above() else {
            return Ok(());
        };
        while self.partition.objects.len() as u64 >= max_entries {
            if self.reclaim(1) == 0 {
                return Err(StoreError::Full {
                    partition: self.name.to_owned(),
                    max_entries,
                });
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &str) -> Option<Object> {
        let object = self.partition.objects.remove(key)?;
        if let Some(end) = object.expires_at {
            self.partition.ends.remove(&(end, key.to_owned()));
        }
        Some(object)
    }

    fn reclaim(&mut self, budget: usize) -> usize {
        let cutoff = self.rules.cutoff(self.now);
        let due: Vec<String> = self
            .partition
            .ends
            .iter()
            .take_while(|(end, _)| *end <= cutoff)
            .take(budget)
            .map(|(_, key)| key.clone())
            .collect();
        due.iter().filter(|key| self.take(key).is_some()).count()
    }

    /// Evicts the objects with the oldest writes. Returns their number, and whether none is left to evict.
    fn evict(&mut self, max_entries: u64, budget: usize) -> (usize, bool) {
        let excess = (self.partition.objects.len() as u64).saturating_sub(max_entries);
        let mut by_age: Vec<(u64, String)> = self
            .partition
            .objects
            .iter()
            .map(|(key, object)| (object.version, key.clone()))
            .collect();
        by_age.sort_unstable();
        by_age.truncate(budget.min(usize::try_from(excess).unwrap_or(usize::MAX)));
        for (_, key) in &by_age {
            self.take(key);
        }
        (by_age.len(), by_age.len() as u64 == excess)
    }

    fn clamp_lives(&mut self, latest: WallTime, budget: usize) {
        let late: Vec<(WallTime, String)> = self
            .partition
            .ends
            .iter()
            .rev()
            .take_while(|(end, _)| *end > latest)
            .take(budget)
            .cloned()
            .collect();
        for (end, key) in late {
            if let Some(object) = self.partition.objects.get_mut(&key) {
                object.expires_at = Some(latest);
                self.partition.ends.insert((latest, key.clone()));
            }
            self.partition.ends.remove(&(end, key));
        }
    }
}

impl ObjectStore for MemoryStore {
    fn configure(&self, partition: &str, settings: PartitionSettings) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.partitions
            .configure(&self.limits, partition, settings, now)
    }

    fn get<'a>(&'a self, partition: &'a str, key: &'a str) -> Pending<'a, Option<Object>> {
        Box::pin(async move {
            self.limits.check_place(partition, key)?;
            Ok(self.on(partition, |open| open.get(key).cloned()))
        })
    }

    fn put<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        object: NewObject,
        when: When,
    ) -> Pending<'a, Put> {
        Box::pin(async move {
            self.limits.check_place(partition, key)?;
            self.limits.check_object(&object)?;
            self.on(partition, |open| open.put(key, object, when))
        })
    }

    fn increment<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        by: i64,
        ttl: Option<Duration>,
    ) -> Pending<'a, i64> {
        Box::pin(async move {
            self.limits.check_place(partition, key)?;
            self.limits.check_ttl(ttl)?;
            self.on(partition, |open| open.increment(key, by, ttl))
        })
    }

    fn remove<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        when: When,
    ) -> Pending<'a, Option<Object>> {
        Box::pin(async move {
            self.limits.check_place(partition, key)?;
            Ok(self.on(partition, |open| {
                let version = open.get(key)?.version;
                when.allows(Some(version)).then(|| open.take(key)).flatten()
            }))
        })
    }

    fn keys<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        limit: usize,
    ) -> Pending<'a, Vec<String>> {
        Box::pin(async move {
            self.limits.check_partition(partition)?;
            Ok(self.on(partition, |open| {
                let from = (Bound::Included(prefix), Bound::Unbounded);
                open.partition
                    .objects
                    .range::<str, _>(from)
                    .take_while(|(key, _)| key.starts_with(prefix))
                    .filter(|(_, object)| open.live(object))
                    .map(|(key, _)| key.clone())
                    .take(limit)
                    .collect()
            }))
        })
    }

    fn clear<'a>(&'a self, partition: &'a str) -> Pending<'a, u64> {
        Box::pin(async move {
            self.limits.check_partition(partition)?;
            Ok(self.on(partition, |open| {
                let live = open
                    .partition
                    .objects
                    .values()
                    .filter(|o| open.live(o))
                    .count();
                *open.partition = Partition::default();
                live as u64
            }))
        })
    }

    fn sweep<'a>(&'a self, budget: usize) -> Pending<'a, u64> {
        Box::pin(async move { Ok(self.sweep_now(budget)) })
    }

    fn flush<'a>(&'a self) -> Pending<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expiry, ManualClock};
    use std::task::{Context, Poll, Waker};

    /// Returns the answer of a memory store, which is ready at the first poll.
    fn now<T>(mut pending: Pending<'_, T>) -> T {
        match pending
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => answer.unwrap(),
            Poll::Pending => panic!("a memory store must be ready at the first poll"),
        }
    }

    #[test]
    fn a_reopened_store_keeps_objects_and_sweeps_from_when_it_is_configured() {
        let clock = Arc::new(ManualClock::new(WallTime(0)));
        let store = MemoryStore::new(Limits::default(), clock.clone());
        let settings = PartitionSettings {
            expiry: Expiry::AtSweep {
                every: Duration::from_secs(10),
            },
            ttl: Some(Duration::from_secs(15)),
            ..PartitionSettings::default()
        };
        store.configure("p", settings.clone()).unwrap();
        now(store.put("p", "k", NewObject::text("v"), When::Always));
        clock.set(WallTime(7_000));
        let store = store.reopened();
        store.configure("p", settings).unwrap();
        clock.set(WallTime(16_999));
        assert!(now(store.get("p", "k")).is_some());
        clock.set(WallTime(17_000));
        assert!(now(store.get("p", "k")).is_none());
    }
}
