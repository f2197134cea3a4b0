//! The entries on disk, as a request sees them: read off its worker, within a time, or not at all.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusebox_store::{ObjectStore, Pending, StoreError, When};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::upstream::last_good::entry::Entry;
use crate::upstream::last_good::index::Index;
use crate::upstream::last_good::key::{Key, Salt, Spot};
use crate::upstream::last_good::memory::Stamp;
use crate::upstream::last_good::queue::Queue;

/// The time for which a request waits for an entry from the disk.
const READ_MAX: Duration = Duration::from_millis(250);

/// The time after which a store's operation counts as failed.
const OPERATION_MAX: Duration = Duration::from_secs(5);

/// The most requests that wait for the disk.
const READERS_MAX: usize = 64;

/// The most variants of one answer that are read.
const VARIANTS_MAX: usize = 16;

/// Characters of the longest upstream's name that is a partition's as it is.
const NAME_MAX: usize = 200;

/// The disk did not answer, or not in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// The entries of one upstream on disk.
pub struct Disk {
    /// The store that holds them.
    pub store: Arc<dyn ObjectStore>,
    /// The partition of the upstream's entries.
    pub partition: String,
    /// The salt of the store.
    pub salt: Salt,
    /// The most bytes on disk; 0 keeps nothing there.
    pub bytes_max: u64,
    /// The time for which an entry is kept.
    pub age_max: Duration,
    /// The queue to the writer.
    pub queue: Queue,
    /// Number of operations of the store that failed.
    pub errors: AtomicU64,
    /// The writer's runtime, which reads for the workers; `None`: the writer does not run yet.
    runtime: watch::Sender<Option<Handle>>,
    // Never held across an await.
    index: Mutex<Index>,
    readers: AtomicUsize,
    /// True while a read is under way that took too long, so that no other request waits for the same.
    is_stuck: AtomicBool,
}

impl Disk {
    /// The disk of an upstream.
    pub fn new(
        upstream: &str,
        store: Arc<dyn ObjectStore>,
        salt: Salt,
        bytes_max: u64,
        age_max: Duration,
    ) -> Disk {
        let partition = if upstream.chars().count() <= NAME_MAX {
            format!("last_good/{upstream}")
        } else {
            let digest = salt.content([upstream.as_bytes()]);
            format!("last_good/{:032x}", u128::from_be_bytes(digest))
        };
        Disk {
            store,
            partition,
            salt,
            bytes_max,
            age_max,
            queue: Queue::default(),
            errors: AtomicU64::new(0),
            runtime: watch::Sender::new(None),
            index: Mutex::new(Index::default()),
            readers: AtomicUsize::new(0),
            is_stuck: AtomicBool::new(false),
        }
    }

    /// True if entries are kept on disk.
    pub fn is_used(&self) -> bool {
        self.bytes_max > 0 && self.salt.is_durable()
    }

    /// Lets a runtime read for the workers from now on.
    pub fn read_on(&self, runtime: Handle) {
        self.runtime.send_replace(Some(runtime));
    }

    /// The list of entries on disk.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation of the store within a time.
    ///
    /// # Errors
    /// The store's, or that it took too long.
    pub async fn within<T>(&self, operation: Pending<'_, T>) -> Result<T, StoreError> {
        let result = match tokio::time::timeout(OPERATION_MAX, operation).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::NotAvailable {
                why: format!("an operation took longer than {OPERATION_MAX:?}; look at the disk"),
            }),
        };
        if result.is_err() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// The entry at a key of the store; `None`: there is none, or it cannot be made out.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(&self, spot: Spot, stamp: Stamp) -> Result<Option<Arc<Entry>>, StoreError> {
        let text = spot.to_text();
        let object = self.within(self.store.get(&self.partition, &text)).await?;
        let entry = object.and_then(|object| Entry::from_record(&object.value, &self.salt, stamp));
        // A record under another's key is as good as damaged.
        Ok(entry.filter(|entry| entry.spot == spot).map(Arc::new))
    }

    /// Removes an entry from the store, and then from the list.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove(&self, spot: Spot) -> Result<(), StoreError> {
        let text = spot.to_text();
        let removed = self.store.remove(&self.partition, &text, When::Always);
        self.within(removed).await?;
        self.index().remove(&spot);
        Ok(())
    }

    /// The keys in the store that begin with some digits, whether listed or not.
    ///
    /// # Errors
    /// The store's.
    pub async fn spots(&self, prefix: &str, most: usize) -> Result<Vec<Spot>, StoreError> {
        let keys = self.store.keys(&self.partition, prefix, most);
        let keys = self.within(keys).await?;
        Ok(keys.iter().filter_map(|key| Spot::from_text(key)).collect())
    }

    /// True unless it is known, without a look at the disk, that it has nothing of an answer.
    pub fn may_have(&self, key: Key) -> bool {
        if !self.is_used() || self.queue.is_gone(key) {
            return false;
        }
        let index = self.index();
        !index.is_complete
            || !index.range(key.spots()).is_empty()
            || !self.queue.waiting(key).is_empty()
    }

    /// The variants of an answer on disk, or on their way there, the newest first. Those that are read get the stamp.
    ///
    /// # Errors
    /// If the disk does not answer in time.
    pub async fn recall(
        self: &Arc<Disk>,
        key: Key,
        stamp: Stamp,
    ) -> Result<Vec<Arc<Entry>>, Unreadable> {
        if !self.is_used() {
            return Ok(Vec::new());
        }
        let waiting = self.queue.waiting(key);
        if !waiting.is_empty() || self.queue.is_gone(key) {
            return Ok(waiting);
        }
        let known = {
            let index = self.index();
            index.is_complete.then(|| index.range(key.spots()))
        };
        if known.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        if self.is_stuck.load(Ordering::SeqCst) {
            return Err(Unreadable);
        }
        let Some(reader) = Reader::begin(self) else {
            return Err(Unreadable);
        };
        let reading = async {
            // At the start the writer may not run yet.
            let mut runtime = self.runtime.subscribe();
            let runtime = runtime.wait_for(Option::is_some).await.ok()?.clone()?;
            // Not on the worker's own thread: reading may wait for the disk.
            runtime
                .spawn(reader.read(key, known, stamp))
                .await
                .ok()?
                .ok()
        };
        match tokio::time::timeout(READ_MAX, reading).await {
            Ok(entries) => entries.ok_or(Unreadable),
            Err(_) => {
                // The reader that ends lets the next request try.
                if self.readers.load(Ordering::SeqCst) > 0 {
                    self.is_stuck.store(true, Ordering::SeqCst);
                }
                Err(Unreadable)
            }
        }
    }
}

/// A read for a waiting request, which ends by itself.
struct Reader(Arc<Disk>);

impl Reader {
    fn begin(disk: &Arc<Disk>) -> Option<Reader> {
        let before = disk.readers.fetch_add(1, Ordering::SeqCst);
        let reader = Reader(disk.clone());
        (before < READERS_MAX).then_some(reader)
    }

    async fn read(
        self,
        key: Key,
        known: Option<Vec<Spot>>,
        stamp: Stamp,
    ) -> Result<Vec<Arc<Entry>>, StoreError> {
        let disk = &self.0;
        let spots = match known {
            Some(spots) => spots,
            None => {
                let prefix = &key.spots().start().to_text()[..64];
                disk.spots(prefix, VARIANTS_MAX).await?
            }
        };
        let mut entries = Vec::new();
        for spot in spots.into_iter().take(VARIANTS_MAX) {
            entries.extend(disk.read(spot, stamp).await?);
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.facts.at));
        Ok(entries)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let disk = &self.0;
        disk.readers.fetch_sub(1, Ordering::SeqCst);
        disk.is_stuck.store(false, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}
