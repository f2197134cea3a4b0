//! The store in a file: acknowledged writes survive the end of the process and a loss of power.
//!
//! One thread writes and commits waiting writes in batches. Reads use snapshots of the last commit on the caller's own
//! thread, and never wait for a commit. Nor does a write that only prolongs an object's life: the next commit takes it
//! along.

mod access;
mod database;
mod disk;
mod fault;
mod file;
mod record;
mod refreshes;
mod rows;
mod schema;
mod tables;
mod writer;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod refreshing;
#[cfg(test)]
mod simulated;

use crate::partition::Partitions;
use crate::{
    Clock, Limits, NewObject, Object, ObjectStore, PartitionSettings, Pending, Put, StoreError,
    SystemClock, When,
};
use access::Access;
use database::Opening;
use fault::Stop;
use refreshes::{Attempt, Refreshes, Touches};
use rows::Scope;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use writer::Queue;

/// Objects removed in one transaction of a sweep, so that other writes can be served in between.
const SWEEP_SLICE: usize = 256;

/// Keeps objects in a file, `objects.redb`, in a data directory.
///
/// Dropping the store carries out the waiting writes and closes the file.
pub struct EmbeddedStore {
    // Before the lock: the writer ends and the database closes while the directory is still locked.
    queue: Queue,
    inner: Arc<Inner>,
    _lock: Option<file::DirectoryLock>,
}

struct Inner {
    limits: Limits,
    clock: Arc<dyn Clock>,
    partitions: Partitions,
    access: Arc<Access>,
    refreshes: Arc<Refreshes>,
}

/// Options for opening an [`EmbeddedStore`].
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// The size limits. Default: [`Limits::default`].
    pub limits: Limits,
    /// The events that an acknowledged write survives. Default: [`Durability::Immediate`].
    pub durability: Durability,
    /// The treatment of a damaged file. Default: [`OnDamage::SetAside`].
    pub on_damage: OnDamage,
    /// Check every page when the file is opened, which reads the whole file. Default: true. If false, a file that was
    /// closed properly is trusted, and a flipped bit is found when its page is read, or never.
    pub verify: bool,
    /// Size of the page cache, in bytes. Default 64 MiB.
    pub cache_bytes: usize,
    /// Pause between attempts to write after a fault; meanwhile writes are rejected. Default 1 s. Each attempt may
    /// recover the whole file.
    pub retry_after: Duration,
    /// The source of wall time. Default: [`SystemClock`].
    pub clock: Arc<dyn Clock>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        EmbeddedOptions {
            limits: Limits::default(),
            durability: Durability::Immediate,
            on_damage: OnDamage::SetAside,
            verify: true,
            cache_bytes: 64 << 20,
            retry_after: Duration::from_secs(1),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The events that an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of the process, however abrupt, and a loss of power: each commit is synced.
    #[default]
    Immediate,
    /// The end of the process, however abrupt. A loss of power may lose the last seconds or damage the file, since only
    /// [`flush`](ObjectStore::flush) and closing sync it.
    Process,
}

/// The treatment of a file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// Rename the file for inspection, and start with an empty one.
    #[default]
    SetAside,
    /// Keep the file and fail to open ([`StoreError::Damaged`]).
    Refuse,
}

/// The state of the file when the store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// There was no file; an empty one was created.
    Fresh,
    /// There was a file, which holds every acknowledged write.
    Existing,
    /// There was an unreadable file, which was renamed and replaced by an empty one.
    SetAside {
        /// The new path of the unreadable file.
        path: PathBuf,
        /// The damage found in it.
        why: String,
    },
}

impl EmbeddedStore {
    /// Opens the store in a directory, creating the directory if necessary.
    ///
    /// After a crash the file is recovered to its last complete commit.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another store has the file open, [`StoreError::NewerFormat`] if a newer version wrote
    /// it, [`StoreError::Damaged`] if it is damaged and [`OnDamage::Refuse`] is set, [`StoreError::Io`] if the
    /// directory or the file cannot be used.
    pub fn open(
        directory: &Path,
        options: EmbeddedOptions,
    ) -> Result<(EmbeddedStore, Opened), StoreError> {
        let opening = options.opening();
        let now = options.clock.now();
        let (file, lock, database, opened) =
            file::open(directory, opening, options.on_damage, now)?;
        let access = Access::new(Box::new(file), opening, database);
        let store = EmbeddedStore::start(access, options, Some(lock))?;
        Ok((store, opened))
    }

    fn start(
        access: Access,
        options: EmbeddedOptions,
        lock: Option<file::DirectoryLock>,
    ) -> Result<EmbeddedStore, StoreError> {
        let access = Arc::new(access);
        let last_version = access.read(rows::last_version).0?;
        let refreshes = Arc::new(Refreshes::new(last_version));
        let queue = Queue::start(
            access.clone(),
            refreshes.clone(),
            options.clock.clone(),
            &options.limits,
            options.retry_after,
        )?;
        let inner = Arc::new(Inner {
            limits: options.limits,
            clock: options.clock,
            partitions: Partitions::default(),
            access,
            refreshes,
        });
        Ok(EmbeddedStore {
            queue,
            inner,
            _lock: lock,
        })
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, Stop>,
    ) -> Result<T, StoreError> {
        let (answer, found_broken) = self.inner.access.read(work);
        if found_broken {
            // Wakes the writer, which recovers the database. A writer with a full queue is awake already.
            let _ = self.queue.submit(0, Touches::Nothing, |_| Ok(()));
        }
        answer
    }

    /// Carries a write out without the writer if it is a refresh, or if its condition does not hold.
    fn refresh(&self, partition: &str, key: &str, object: &NewObject, when: When) -> Option<Put> {
        let refreshes = &self.inner.refreshes;
        let scope = self.inner.scope(partition);
        let attempt = match refreshes.attempt(scope, key, object, when) {
            Attempt::Unknown(batches) => {
                // A fault is for the writer to find again, and to explain.
                let found = self.read(|snapshot| rows::same(snapshot, scope, key, object));
                let found = found.ok()??;
                refreshes.attempt_on(found, batches, (scope, key), object, when)
            }
            attempt => attempt,
        };
        let Attempt::Done { put, tell } = attempt else {
            return None;
        };
        if tell {
            self.queue.tell();
        }
        Some(put)
    }

    /// True if a sweep has nothing to do, as far as the last commit shows: a writer that sleeps is not woken for that.
    fn is_swept(&self) -> Result<bool, StoreError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let latest = now.after(inner.limits.ttl_max);
        let evictions = inner.partitions.due_evictions(now);
        self.read(|snapshot| {
            let counts = rows::counts(snapshot)?;
            for (name, _) in &counts {
                if rows::has_due(snapshot, inner.scope_at(name, now), latest)? {
                    return Ok(false);
                }
            }
            let is_over = |(name, most): &(String, u64)| {
                counts.iter().any(|(it, count)| it == name && count > most)
            };
            if evictions.iter().any(is_over) {
                return Ok(false);
            }
            for (name, _) in &evictions {
                inner.partitions.evicted(name, now);
            }
            Ok(true)
        })
    }

    /// Runs one slice of a sweep and returns the number of objects removed.
    async fn sweep_slice(&self, budget: usize) -> Result<u64, StoreError> {
        let inner = self.inner.clone();
        let work = move |tables: &mut tables::Tables<'_>| {
            let now = inner.clock.now();
            let mut removed = 0;
            for name in tables.partitions()? {
                let left = budget - removed;
                tables.clamp_lives(
                    inner.scope_at(&name, now),
                    now.after(inner.limits.ttl_max),
                    left,
                )?;
                removed += tables.reclaim(inner.scope_at(&name, now), left)?;
            }
            let mut done = Vec::new();
            for (name, max_entries) in inner.partitions.due_evictions(now) {
                let left = budget - removed;
                let (evicted, finished) =
                    tables.evict(inner.scope_at(&name, now), max_entries, left)?;
                removed += evicted;
                if finished {
                    done.push(name);
                }
            }
            Ok((removed as u64, done, now))
        };
        let (removed, done, now) = self.queue.write(0, Touches::All, work).await?;
        // Recorded after the commit: a commit that failed evicted nothing.
        for name in done {
            self.inner.partitions.evicted(&name, now);
        }
        Ok(removed)
    }
}

impl EmbeddedOptions {
    fn opening(&self) -> Opening {
        Opening {
            cache_bytes: self.cache_bytes,
            verify: self.verify,
            sync: self.durability == Durability::Immediate,
        }
    }
}

impl Inner {
    fn scope<'a>(&self, partition: &'a str) -> Scope<'a> {
        self.scope_at(partition, self.clock.now())
    }

    fn scope_at<'a>(&self, partition: &'a str, now: crate::WallTime) -> Scope<'a> {
        Scope {
            partition,
            rules: self.partitions.rules(partition),
            now,
        }
    }
}

impl ObjectStore for EmbeddedStore {
    fn configure(&self, partition: &str, settings: PartitionSettings) -> Result<(), StoreError> {
        let Inner {
            limits,
            clock,
            partitions,
            ..
        } = &*self.inner;
        partitions.configure(limits, partition, settings, clock.now())
    }

    fn get<'a>(&'a self, partition: &'a str, key: &'a str) -> Pending<'a, Option<Object>> {
        Box::pin(async move {
            self.inner.limits.check_place(partition, key)?;
            let scope = self.inner.scope(partition);
            if let Some(object) = self.inner.refreshes.find(partition, key) {
                return Ok(scope.live(object.expires_at).then_some(object));
            }
            self.read(|snapshot| rows::get(snapshot, scope, key))
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
            self.inner.limits.check_place(partition, key)?;
            self.inner.limits.check_object(&object)?;
            if let Some(put) = self.refresh(partition, key, &object, when) {
                return Ok(put);
            }
            let bytes = object.value.len();
            let touches = Touches::Key(partition.to_owned(), key.to_owned());
            let (inner, partition, key) = self.inner.owned(partition, key);
            let work = move |tables: &mut tables::Tables<'_>| {
                tables.put(inner.scope(&partition), &key, &object, when)
            };
            self.queue.write(bytes, touches, work).await
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
            self.inner.limits.check_place(partition, key)?;
            self.inner.limits.check_ttl(ttl)?;
            let touches = Touches::Key(partition.to_owned(), key.to_owned());
            let (inner, partition, key) = self.inner.owned(partition, key);
            let work = move |tables: &mut tables::Tables<'_>| {
                tables.increment(inner.scope(&partition), &key, by, ttl)
            };
            self.queue.write(0, touches, work).await
        })
    }

    fn remove<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        when: When,
    ) -> Pending<'a, Option<Object>> {
        Box::pin(async move {
            self.inner.limits.check_place(partition, key)?;
            let touches = Touches::Key(partition.to_owned(), key.to_owned());
            let (inner, partition, key) = self.inner.owned(partition, key);
            let work = move |tables: &mut tables::Tables<'_>| {
                tables.remove(inner.scope(&partition), &key, when)
            };
            self.queue.write(0, touches, work).await
        })
    }

    fn keys<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        limit: usize,
    ) -> Pending<'a, Vec<String>> {
        Box::pin(async move {
            self.inner.limits.check_partition(partition)?;
            let scope = self.inner.scope(partition);
            let ends = self.inner.refreshes.ends(partition);
            self.read(|snapshot| rows::keys(snapshot, scope, &ends, prefix, limit))
        })
    }

    fn clear<'a>(&'a self, partition: &'a str) -> Pending<'a, u64> {
        Box::pin(async move {
            self.inner.limits.check_partition(partition)?;
            let (inner, partition, _) = self.inner.owned(partition, "");
            let work = move |tables: &mut tables::Tables<'_>| tables.clear(inner.scope(&partition));
            self.queue.write(0, Touches::All, work).await
        })
    }

    fn sweep<'a>(&'a self, budget: usize) -> Pending<'a, u64> {
        Box::pin(async move {
            if self.is_swept()? {
                return Ok(0);
            }
            let mut removed = 0;
            loop {
                let slice = (budget - removed).min(SWEEP_SLICE);
                let count = self.sweep_slice(slice).await? as usize;
                removed += count;
                if count < slice || removed == budget {
                    return Ok(removed as u64);
                }
            }
        })
    }

    fn flush<'a>(&'a self) -> Pending<'a, ()> {
        Box::pin(self.queue.write(0, Touches::All, |tables| {
            tables.want_sync();
            Ok(())
        }))
    }
}

impl Inner {
    fn owned(self: &Arc<Self>, partition: &str, key: &str) -> (Arc<Self>, String, String) {
        (self.clone(), partition.to_owned(), key.to_owned())
    }
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore")
            .field("place", &self.inner.access.place())
            .finish_non_exhaustive()
    }
}
