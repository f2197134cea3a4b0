//! Object stores: one partition for each, with Mule's expiry.
//!
//! An entry lives until the first sweep after its time to live; sweeps are counted from the application's start. The
//! store computes that expiry from the clock. Entries above `maxEntries` need a call, so a sweep that is due runs
//! before the next operation.
//! ([Object Store connector](https://docs.mulesoft.com/object-store-connector/latest/))

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fusebox_store::{
    Expiry, NewObject, ObjectStore, PartitionSettings, Pending, Put, StoreError, When,
};
use tokio::sync::Mutex;

use crate::app::{App, StoreDeclaration};
use crate::jiff::Timestamp;
use crate::{EvalFault, MediaType, STORED, Typed, Value};

/// The time limit of an operation.
const WAIT: Duration = Duration::from_secs(10);

/// The number of entries that one call of a sweep removes.
const SWEEP_BUDGET: usize = 1024;

/// The partition of the application's default store, and the prefix of the other partitions.
const PARTITION: &str = "os";

/// The partition of caches without a store.
const CACHE: &str = "cache";

/// The bounds of this partition, which protect the memory: entries in total, and time to live.
const CACHE_ENTRIES_MAX: u64 = 4096;
const CACHE_TTL: Duration = Duration::from_secs(600);

/// The object stores of an application.
pub struct Stores {
    durable: Arc<dyn ObjectStore>,
    volatile: Arc<dyn ObjectStore>,
    /// The partitions of the declared stores, by the stores' names.
    partitions: HashMap<Arc<str>, Arc<str>>,
    sweeps: HashMap<Arc<str>, Arc<Sweeps>>,
}

/// The sweeps of a store that has `maxEntries`.
#[derive(Debug)]
struct Sweeps {
    settings: PartitionSettings,
    start: i64,
    every: i64,
    /// The time of the last completed sweep. A tokio lock, since other operations wait while a sweep runs.
    last: Mutex<Option<i64>>,
}

impl Sweeps {
    /// The time of the latest due sweep at `now`, both in milliseconds since the Unix epoch.
    fn at(&self, now: i64) -> i64 {
        let since = now.saturating_sub(self.start);
        self.start + since.div_euclid(self.every) * self.every
    }
}

/// The reason why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// The key is invalid for the store.
    #[error("{0}")]
    Key(String),
    /// The value cannot be stored.
    #[error(transparent)]
    Value(#[from] EvalFault),
    /// The store failed.
    #[error("{0}")]
    NotAvailable(String),
}

impl From<StoreError> for EntryFault {
    fn from(error: StoreError) -> EntryFault {
        match error {
            StoreError::InvalidKey { .. } => EntryFault::Key(error.to_string()),
            // The description may reach a client, which must not see addresses and paths.
            StoreError::NotAvailable { .. } | StoreError::Io { .. } => {
                tracing::debug!(%error, "an object store's operation");
                EntryFault::NotAvailable("the object store is not available".to_owned())
            }
            _ => EntryFault::NotAvailable(error.to_string()),
        }
    }
}

impl Stores {
    /// Opens the stores of an application. Stores that are unchanged since `previous` continue its sweeps. `durable`
    /// holds the stores that are `persistent`, `volatile` the others.
    ///
    /// A time to live above the store's limit is reduced to the limit, with a warning, as Object Store v2 reduces it to
    /// 30 days.
    ///
    /// # Errors
    /// If a store's name is not a valid partition name.
    pub fn open(
        app: &App,
        durable: Arc<dyn ObjectStore>,
        volatile: Arc<dyn ObjectStore>,
        now: Timestamp,
        previous: Option<&Stores>,
    ) -> Result<Stores, StoreError> {
        let mut stores = Stores {
            durable,
            volatile,
            partitions: HashMap::new(),
            sweeps: HashMap::new(),
        };
        let cache = PartitionSettings {
            expiry: Expiry::AtSweep {
                every: Duration::from_secs(1),
            },
            ttl: Some(CACHE_TTL),
            max_entries: Some(CACHE_ENTRIES_MAX),
        };
        stores.volatile.configure(CACHE, cache)?;
        for declaration in &app.stores {
            let mut settings = settings(declaration);
            let partition: Arc<str> = partition_name(Some(declaration)).into();
            let named = (declaration.name.clone(), partition.clone());
            stores.partitions.extend([named]);
            let store = stores.backend(Some(declaration));
            match store.configure(&partition, settings.clone()) {
                Err(StoreError::TtlTooLong { limit, asked }) => {
                    tracing::warn!(
                        store = %declaration.name,
                        "the entryTtl of {asked:?} in {}:{} is longer than this store keeps anything; \
                         entries live {limit:?}",
                        declaration.site.file,
                        declaration.site.line,
                    );
                    settings.ttl = Some(limit);
                    store.configure(&partition, settings.clone())?;
                }
                configured => configured?,
            }
            let (Expiry::AtSweep { every }, Some(_)) = (&settings.expiry, settings.max_entries)
            else {
                continue;
            };
            let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
            let known = previous.and_then(|stores| stores.sweeps.get(&declaration.name));
            let known = known.filter(|known| known.settings == settings);
            let sweeps = known.cloned().unwrap_or_else(|| {
                Arc::new(Sweeps {
                    settings,
                    start: now.as_millisecond(),
                    every,
                    last: Mutex::default(),
                })
            });
            stores.sweeps.insert(declaration.name.clone(), sweeps);
        }
        Ok(stores)
    }

    /// A handle of a store, or of the application's default store.
    pub fn partition(&self, declaration: Option<&StoreDeclaration>) -> Partition<'_> {
        let sweeps = declaration.and_then(|it| self.sweeps.get(&it.name));
        let known = declaration.and_then(|it| self.partitions.get(&it.name));
        let name = known.cloned();
        Partition {
            store: self.backend(declaration),
            name: name.unwrap_or_else(|| partition_name(declaration).into()),
            sweeps: sweeps.map(AsRef::as_ref),
        }
    }

    /// The entries of the `ee:cache` scopes without a store.
    pub fn cache(&self) -> Partition<'_> {
        Partition {
            store: &self.volatile,
            name: CACHE.into(),
            sweeps: None,
        }
    }

    /// The backend of a store: durable or volatile.
    pub fn backend(&self, declaration: Option<&StoreDeclaration>) -> &Arc<dyn ObjectStore> {
        match declaration {
            Some(declaration) if !declaration.persistent => &self.volatile,
            _ => &self.durable,
        }
    }
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}

/// The partition of a store, or of the application's default store.
pub fn partition_name(declaration: Option<&StoreDeclaration>) -> String {
    match declaration {
        Some(declaration) => format!("{PARTITION}/{}", declaration.name),
        None => PARTITION.to_owned(),
    }
}

/// The settings of a store's partition. A store without sweeps never expires an entry.
fn settings(declaration: &StoreDeclaration) -> PartitionSettings {
    let Some(every) = declaration.sweep_every else {
        return PartitionSettings::default();
    };
    PartitionSettings {
        expiry: Expiry::AtSweep {
            every: every.max(Duration::from_millis(1)),
        },
        ttl: declaration.ttl,
        max_entries: declaration.entries_max,
    }
}

/// A handle of one object store.
#[derive(Clone)]
pub struct Partition<'a> {
    store: &'a Arc<dyn ObjectStore>,
    name: Arc<str>,
    sweeps: Option<&'a Sweeps>,
}

impl Partition<'_> {
    /// The value of a key.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get(&self, key: &str, now: Timestamp) -> Result<Option<Typed>, EntryFault> {
        let found = self.get_with_expiry(key, now).await?;
        Ok(found.map(|(value, _)| value))
    }

    /// The value of a key with its expiry, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get_with_expiry(
        &self,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<(Typed, Option<u64>)>, EntryFault> {
        self.sweep(now).await?;
        let Some(object) = in_time(self.store.get(&self.name, key)).await? else {
            return Ok(None);
        };
        let due_at = object.expires_at.map(|at| at.0);
        // An object that another program has put there.
        if object.media_type != STORED {
            let typed = Typed {
                value: Value::bytes(object.value),
                media_type: MediaType::new(object.media_type),
            };
            return Ok(Some((typed, due_at)));
        }
        let typed = Typed::from_stored(&object.value).map_err(|fault: EvalFault| {
            let what = format!("the entry '{key}' is damaged: {}", fault.description);
            EntryFault::NotAvailable(what)
        })?;
        Ok(Some((typed, due_at)))
    }

    /// Stores a value; with `only_absent`, only if the key has none. Returns true if the value was stored.
    ///
    /// # Errors
    /// If the key or the value is invalid, or if the store fails.
    pub async fn put(
        &self,
        key: &str,
        value: &Typed,
        only_absent: bool,
        now: Timestamp,
    ) -> Result<bool, EntryFault> {
        self.sweep(now).await?;
        let object = NewObject::new(value.to_stored()?, STORED);
        let when = match only_absent {
            true => When::Absent,
            false => When::Always,
        };
        let put = in_time(self.store.put(&self.name, key, object, when)).await?;
        Ok(matches!(put, Put::Stored { .. }))
    }

    /// Removes an entry. Returns true if there was one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove(&self, key: &str, now: Timestamp) -> Result<bool, EntryFault> {
        self.sweep(now).await?;
        let removed = in_time(self.store.remove(&self.name, key, When::Always)).await?;
        Ok(removed.is_some())
    }

    /// Removes all entries.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn clear(&self, now: Timestamp) -> Result<(), EntryFault> {
        self.sweep(now).await?;
        in_time(self.store.clear(&self.name)).await?;
        Ok(())
    }

    /// All keys in ascending order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn keys(&self, now: Timestamp) -> Result<Vec<String>, EntryFault> {
        self.sweep(now).await?;
        in_time(self.store.keys(&self.name, "", usize::MAX)).await
    }

    /// All entries in ascending order of their keys.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn entries(&self, now: Timestamp) -> Result<Vec<(String, Typed)>, EntryFault> {
        let mut entries = Vec::new();
        for key in self.keys(now).await? {
            if let Some(value) = self.get(&key, now).await? {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    /// Runs a sweep if one is due.
    async fn sweep(&self, now: Timestamp) -> Result<(), EntryFault> {
        let Some(sweeps) = self.sweeps else {
            return Ok(());
        };
        let due = Some(sweeps.at(now.as_millisecond()));
        let mut last = sweeps.last.lock().await;
        if *last == due {
            return Ok(());
        }
        while in_time(self.store.sweep(SWEEP_BUDGET)).await? == SWEEP_BUDGET as u64 {}
        *last = due;
        Ok(())
    }
}

/// Waits for the store, up to the time limit.
async fn in_time<T>(mut pending: Pending<'_, T>) -> Result<T, EntryFault> {
    // Most answers are there at once, and need no timer.
    let first = poll_fn(|cx| Poll::Ready(pending.as_mut().poll(cx))).await;
    if let Poll::Ready(answer) = first {
        return Ok(answer?);
    }
    match tokio::time::timeout(WAIT, pending).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(EntryFault::NotAvailable(format!(
            "the store has not answered for {} s; check its disk or the connection to it",
            WAIT.as_secs()
        ))),
    }
}
