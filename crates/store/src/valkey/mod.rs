//! The store on a Valkey or Redis server that several gateways share.
//!
//! Each operation is one script, which the server runs atomically. The scripts are in `scripts/`;
//! `scripts/partition.lua` describes the keys of a partition. A dedicated thread keeps the connection, so no caller's
//! runtime is needed or blocked.

mod address;
mod bounds;
mod connect;
mod dial;
mod link;
mod options;
mod partition;
mod pushes;
mod records;
mod reply;
mod trouble;

pub use options::ValkeyOptions;
pub use records::ValkeyRecords;

use crate::clock::Stopwatch;
use crate::partition::Partitions;
use crate::{
    Clock, Limits, NewObject, Object, ObjectStore, PartitionSettings, Pending, Put, StoreError,
    WallTime, When,
};
use link::{Link, Request};
use partition::{Keys, Scripts};
use reply::Reply;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use trouble::RequestError;

/// Objects removed in one script of a sweep, so that the server can do other work in between.
const SWEEP_SLICE: usize = 256;

/// Keeps objects on a Valkey server (7.2 or newer) or a Redis server (6.2 or newer).
///
/// The connection is opened and kept in the background, so a store opens even while its server is down. An operation
/// waits for the server at most [`ValkeyOptions::timeout`], or fails at once while the server is known to be
/// unavailable, with [`StoreError::NotAvailable`]. The store recovers by itself when the server is back.
///
/// All gateways with the same server, database and prefix share the objects. Versions rise across all partitions of one
/// store. They also rise with the server's clock, across all clients and over a failover or a flush that loses writes.
/// Partition settings are per client, as in every store; clients that sweep a partition at the same interval share its
/// sweep times, which the first of them sets.
///
/// Objects are as durable as the server's configuration makes them: [`flush`](ObjectStore::flush) only checks that the
/// server answers.
pub struct ValkeyStore {
    link: Link,
    scripts: Scripts,
    keys: Keys,
    limits: Limits,
    partitions: Partitions,
    time: Time,
    /// The highest version seen by this client.
    highest: AtomicU64,
    /// Partitions known to be in the server's list.
    // A std lock: held for one look-up, never across an await.
    listed: Mutex<HashSet<String>>,
}

/// The source of an operation's time.
enum Time {
    /// The server's clock. The stopwatch measures the age of settings.
    Server(Stopwatch),
    Given(Arc<dyn Clock>),
}

impl ValkeyStore {
    /// Opens the store and starts to connect, without waiting for the server.
    ///
    /// # Errors
    /// [`StoreError::Io`] if a TLS file cannot be read or no thread can be started.
    pub fn open(options: ValkeyOptions) -> Result<ValkeyStore, StoreError> {
        Ok(ValkeyStore {
            link: Link::open(&options, None, reply_max(&options.limits))?,
            scripts: Scripts::new(),
            keys: Keys::new(&options.prefix),
            limits: options.limits,
            partitions: Partitions::default(),
            time: options
                .clock
                .map_or_else(|| Time::Server(Stopwatch::start()), Time::Given),
            highest: AtomicU64::new(0),
            listed: Mutex::default(),
        })
    }

    /// Describes the obstacle if the server cannot be reached now.
    pub fn trouble(&self) -> Option<String> {
        self.link.trouble()
    }

    /// Runs a script on a partition. `own` holds the arguments specific to this script.
    async fn run(
        &self,
        script: &Arc<link::Script>,
        partition: &str,
        own: Vec<Vec<u8>>,
    ) -> Result<Reply, StoreError> {
        let rules = self.partitions.rules(partition);
        let local = self.time.local();
        let mut args = vec![
            match &self.time {
                Time::Server(_) => Vec::new(),
                Time::Given(_) => text(local.0),
            },
            rules.sweeps_every().map_or_else(Vec::new, text),
            text(i128::from(local.0) - i128::from(rules.anchor.0)),
            text(self.highest.load(Ordering::Relaxed)),
        ];
        args.extend(own);
        let request = Request::Script {
            script: script.clone(),
            keys: self.keys.of(partition),
            args,
        };
        let answer = self.link.send(request).await;
        answer
            .and_then(Reply::read)
            .map_err(|error| self.about(error, partition))
    }

    /// Runs a script that replies with an object, if there is one.
    async fn object(
        &self,
        script: &Arc<link::Script>,
        partition: &str,
        own: Vec<Vec<u8>>,
    ) -> Result<Option<Object>, StoreError> {
        match self.run(script, partition, own).await? {
            Reply::Object(object) => Ok(Some(object)),
            Reply::None => Ok(None),
            other => Err(self.about(other.unexpected(), partition)),
        }
    }

    fn about(&self, error: RequestError, partition: &str) -> StoreError {
        error.about(|| format!("partition \"{partition}\" on {}", self.link.place()))
    }

    /// Adds a partition to the server's list, from which sweeps take it, unless it is listed.
    async fn list(&self, partition: &str) -> Result<(), StoreError> {
        if self.listed().contains(partition) {
            return Ok(());
        }
        let mut command = redis::cmd("SADD");
        command.arg(self.keys.list()).arg(partition);
        let answer = self.link.send(Request::Command(command)).await;
        answer.map_err(|error| self.about(error, partition))?;
        self.listed().insert(partition.to_owned());
        Ok(())
    }

    /// Records a write's version, and lists its partition if this was the partition's first write.
    async fn wrote(&self, partition: &str, version: u64, first: bool) {
        self.highest.fetch_max(version, Ordering::Relaxed);
        if first {
            // Either the partition is new and already listed, or the server lost everything, its list included.
            self.listed().remove(partition);
            // The write has succeeded in any case; the next one lists the partition again.
            let _ = self.list(partition).await;
        }
    }

    fn listed(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the names of all partitions in the server's list.
    async fn all(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.keys.list());
        let answer = self.link.send(Request::Command(command)).await;
        answer.and_then(reply::names).map_err(|error| {
            error.about(|| format!("the list of partitions on {}", self.link.place()))
        })
    }

    /// Runs a sweep script in slices, until a slice removes fewer objects than it may or the budget is used.
    async fn removed(
        &self,
        script: &Arc<link::Script>,
        partition: &str,
        bound: Vec<u8>,
        budget: usize,
    ) -> Result<usize, StoreError> {
        let mut removed = 0;
        loop {
            let slice = (budget - removed).min(SWEEP_SLICE);
            let own = vec![bound.clone(), text(slice)];
            let took = match self.run(script, partition, own).await? {
                Reply::Removed(count) => usize::try_from(count).unwrap_or(usize::MAX),
                other => return Err(self.about(other.unexpected(), partition)),
            };
            removed += took;
            if took < slice || removed >= budget {
                return Ok(removed);
            }
        }
    }

    async fn sweep_all(&self, budget: usize) -> Result<u64, StoreError> {
        let mut removed = 0;
        // One damaged partition must not prevent the sweep of the others.
        let mut fault = None;
        let mut note = |answer: Result<usize, StoreError>, removed: &mut usize| match answer {
            Ok(count) => {
                *removed += count;
                Ok(())
            }
            Err(damaged @ StoreError::Damaged { .. }) => {
                fault.get_or_insert(damaged);
                Ok(())
            }
            Err(other) => Err(other),
        };
        let longest = text(self.limits.ttl_max.as_millis());
        for name in self.all().await? {
            let left = budget - removed;
            let answer = self.removed(&self.scripts.sweep, &name, longest.clone(), left);
            note(answer.await, &mut removed)?;
        }
        for (name, max_entries) in self.partitions.due_evictions(self.time.local()) {
            let left = budget - removed;
            let answer = self.removed(&self.scripts.evict, &name, text(max_entries), left);
            note(answer.await, &mut removed)?;
        }
        fault.map_or(Ok(removed as u64), Err)
    }
}

impl Time {
    /// A time for measuring spans on the client's side.
    fn local(&self) -> WallTime {
        match self {
            Time::Server(since_opening) => WallTime(0).after(since_opening.elapsed()),
            Time::Given(clock) => clock.now(),
        }
    }
}

/// The most bytes in a reply: an object plus its framing. Keys come in replies of a megabyte.
fn reply_max(limits: &Limits) -> usize {
    const AROUND: usize = 2 << 20;
    limits.value_bytes_max.saturating_add(AROUND)
}

/// Formats an argument of a script.
fn text(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Formats a time to live as an argument, in milliseconds, at least one.
fn life(ttl: Option<Duration>) -> Vec<u8> {
    let least = Duration::from_millis(1);
    ttl.map_or_else(Vec::new, |ttl| text(WallTime(0).after(ttl.max(least)).0))
}

fn condition(when: When) -> Vec<u8> {
    match when {
        When::Always => Vec::new(),
        When::Absent => b"absent".to_vec(),
        When::Version(version) => text(version),
    }
}

impl ObjectStore for ValkeyStore {
    fn configure(&self, partition: &str, settings: PartitionSettings) -> Result<(), StoreError> {
        let now = self.time.local();
        self.partitions
            .configure(&self.limits, partition, settings, now)
    }

    fn get<'a>(&'a self, partition: &'a str, key: &'a str) -> Pending<'a, Option<Object>> {
        Box::pin(async move {
            self.limits.check_place(partition, key)?;
            let own = vec![key.into()];
            self.object(&self.scripts.get, partition, own).await
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
            self.list(partition).await?;
            let rules = self.partitions.rules(partition);
            let own = vec![
                key.into(),
                object.value.into(),
                object.media_type.into(),
                life(object.ttl.or(rules.ttl)),
                condition(when),
                rules.refuses_above().map_or_else(Vec::new, text),
            ];
            match self.run(&self.scripts.put, partition, own).await? {
                Reply::Stored { version, first } => {
                    self.wrote(partition, version, first).await;
                    Ok(Put::Stored { version })
                }
                Reply::Refused { current } => Ok(Put::Refused { current }),
                Reply::Full => Err(full(partition, rules.refuses_above())),
                other => Err(self.about(other.unexpected(), partition)),
            }
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
            self.list(partition).await?;
            let rules = self.partitions.rules(partition);
            let own = vec![
                key.into(),
                text(by),
                life(ttl),
                life(rules.ttl),
                rules.refuses_above().map_or_else(Vec::new, text),
            ];
            match self.run(&self.scripts.increment, partition, own).await? {
                Reply::Sum {
                    sum,
                    version,
                    first,
                } => {
                    self.wrote(partition, version, first).await;
                    Ok(sum)
                }
                Reply::NotANumber => Err(StoreError::NotANumber {
                    partition: partition.to_owned(),
                    key: key.to_owned(),
                }),
                Reply::Overflow { number } => Err(StoreError::Overflow {
                    partition: partition.to_owned(),
                    key: key.to_owned(),
                    number,
                    by,
                }),
                Reply::Full => Err(full(partition, rules.refuses_above())),
                other => Err(self.about(other.unexpected(), partition)),
            }
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
            let own = vec![key.into(), condition(when)];
            self.object(&self.scripts.remove, partition, own).await
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
            // No partition holds more keys, and larger numbers would not be exact in Lua.
            let limit = limit.min(u32::MAX as usize);
            let mut all = Vec::new();
            loop {
                let after = all.last().cloned().unwrap_or_default();
                let own = vec![
                    prefix.into(),
                    text(limit - all.len()),
                    String::into_bytes(after),
                ];
                match self.run(&self.scripts.keys, partition, own).await? {
                    Reply::Keys { keys, more } => {
                        let goes_on = more && !keys.is_empty();
                        all.extend(keys);
                        if !goes_on || all.len() >= limit {
                            return Ok(all);
                        }
                    }
                    other => return Err(self.about(other.unexpected(), partition)),
                }
            }
        })
    }

    fn clear<'a>(&'a self, partition: &'a str) -> Pending<'a, u64> {
        Box::pin(async move {
            self.limits.check_partition(partition)?;
            match self.run(&self.scripts.clear, partition, Vec::new()).await? {
                Reply::Cleared(count) => Ok(count),
                other => Err(self.about(other.unexpected(), partition)),
            }
        })
    }

    fn sweep<'a>(&'a self, budget: usize) -> Pending<'a, u64> {
        Box::pin(self.sweep_all(budget))
    }

    fn flush<'a>(&'a self) -> Pending<'a, ()> {
        Box::pin(async move {
            let answer = self.link.send(Request::Command(redis::cmd("PING"))).await;
            answer
                .map(drop)
                .map_err(|error| error.about(|| self.link.place().to_owned()))
        })
    }
}

fn full(partition: &str, max_entries: Option<u64>) -> StoreError {
    StoreError::Full {
        partition: partition.to_owned(),
        max_entries: max_entries.unwrap_or_default(),
    }
}

impl std::fmt::Debug for ValkeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValkeyStore")
            .field("place", &self.link.place())
            .finish_non_exhaustive()
    }
}
