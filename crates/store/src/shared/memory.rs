//! Shared records in memory: for one process, tests and simulations. Also the reference implementation of the
//! operations.

use std::collections::{HashMap, HashSet};
use std::future::{pending, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{
    Applied, Change, Changed, NextPush, Push, Pushes, RECORD_BYTES_MAX, RECORD_KEY_MAX, ReadOut,
    SharedRecords,
};
use crate::{Clock, Pending, StoreError, WallTime};

/// The most pushes that wait for a slow subscriber; beyond it they are replaced by a gap.
const WAITING_PUSHES: usize = 1_024;

/// Shared records that live as long as this value.
///
/// ```
/// use fusebox_store::{SystemClock, records::{Change, Changed, MemoryRecords, SharedRecords}};
/// use std::{sync::Arc, time::Duration};
///
/// /// Counts its own calls.
/// const COUNT: Change = Change {
///     name: "count",
///     lua: "return tostring((tonumber(record) or 0) + 1), 60000, true",
///     rust: |record, _args, _now| {
///         let text = record.and_then(|bytes| std::str::from_utf8(bytes).ok());
///         let count = text.and_then(|text| text.parse().ok()).unwrap_or(0u64);
///         Changed::Written {
///             record: (count + 1).to_string().into(),
///             live_for: Duration::from_secs(60),
///             push: true,
///         }
///     },
/// };
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let records = MemoryRecords::new(Arc::new(SystemClock));
/// records.apply("doors", &COUNT, &[]).await?;
/// let applied = records.apply("doors", &COUNT, &[]).await?;
/// assert_eq!(applied.record.as_deref(), Some(&b"2"[..]));
/// # Ok::<(), fusebox_store::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryRecords {
    clock: Arc<dyn Clock>,
    records: Mutex<HashMap<String, Entry>>,
    pushed: broadcast::Sender<(Arc<str>, Bytes)>,
}

struct Entry {
    record: Bytes,
    expires_at: WallTime,
}

impl MemoryRecords {
    /// Makes an empty set of records on this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        MemoryRecords {
            clock,
            records: Mutex::default(),
            pushed: broadcast::Sender::new(WAITING_PUSHES),
        }
    }

    /// Removes a record without a push, as a server does that evicts it or loses it in a failover.
    pub fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Removes all records without a push, as a flushed server does.
    pub fn flush(&self) {
        self.lock().clear();
    }

    /// Overwrites a record without a push, as a failover to an older copy does.
    pub fn put_back(&self, key: &str, record: Bytes) {
        let entry = Entry {
            record,
            expires_at: WallTime(u64::MAX),
        };
        self.lock().insert(key.to_owned(), entry);
    }

    fn apply_now(&self, key: &str, change: &Change, args: &[Bytes]) -> Result<Applied, StoreError> {
        check(key)?;
        let mut records = self.lock();
        let now = self.clock.now();
        let before = live_record(&records, key, now);
        let (record, live_for, push) = match (change.rust)(before.as_deref(), args, now) {
            Changed::Written {
                record,
                live_for,
                push,
            } if record.len() <= RECORD_BYTES_MAX => (record, live_for, push),
            _ => {
                return Ok(Applied {
                    record: before,
                    now,
                });
            }
        };
        let entry = Entry {
            record: record.clone(),
            expires_at: now.after(live_for),
        };
        records.insert(key.to_owned(), entry);
        if push {
            // Under the lock, so that pushes come in the order of the changes. There may be no subscriber.
            let _ = self.pushed.send((key.into(), record.clone()));
        }
        Ok(Applied {
            record: Some(record),
            now,
        })
    }

    fn read_now(&self, keys: &[&str]) -> Result<ReadOut, StoreError> {
        keys.iter().try_for_each(|key| check(key))?;
        let records = self.lock();
        let now = self.clock.now();
        Ok(ReadOut {
            records: keys
                .iter()
                .map(|key| live_record(&records, key, now))
                .collect(),
            now,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn live_record(records: &HashMap<String, Entry>, key: &str, now: WallTime) -> Option<Bytes> {
    let entry = records.get(key).filter(|entry| now < entry.expires_at)?;
    // A server treats an overlong value as foreign data, too.
    let record = (entry.record.len() <= RECORD_BYTES_MAX).then(|| entry.record.clone());
    Some(record.unwrap_or_default())
}

/// Rejects a key that is empty or too long.
pub(crate) fn check(key: &str) -> Result<(), StoreError> {
    let why = if key.is_empty() {
        "it is empty; give it at least one character".to_owned()
    } else if key.len() > RECORD_KEY_MAX {
        format!(
            "it has {} bytes, more than the {RECORD_KEY_MAX} allowed; shorten it or hash it",
            key.len()
        )
    } else {
        return Ok(());
    };
    Err(StoreError::InvalidKey { why })
}

impl SharedRecords for MemoryRecords {
    fn apply<'a>(
        &'a self,
        key: &'a str,
        change: &'a Change,
        args: &'a [Bytes],
    ) -> Pending<'a, Applied> {
        Box::pin(async move { self.apply_now(key, change, args) })
    }

    fn read<'a>(&'a self, keys: &'a [&'a str]) -> Pending<'a, ReadOut> {
        Box::pin(async move { self.read_now(keys) })
    }

    fn subscribe(&self) -> Pending<'_, Box<dyn Pushes>> {
        let pushes = MemoryPushes {
            pushed: self.pushed.subscribe(),
            keys: HashSet::new(),
            begun: false,
        };
        Box::pin(ready(Ok(Box::new(pushes) as Box<dyn Pushes>)))
    }

    fn now(&self) -> Pending<'_, WallTime> {
        Box::pin(async move { Ok(self.clock.now()) })
    }
}

struct MemoryPushes {
    pushed: broadcast::Receiver<(Arc<str>, Bytes)>,
    keys: HashSet<String>,
    begun: bool,
}

impl Pushes for MemoryPushes {
    fn follow(&mut self, key: &str) {
        self.keys.insert(key.to_owned());
    }

    fn unfollow(&mut self, key: &str) {
        self.keys.remove(key);
    }

    fn next(&mut self) -> NextPush<'_> {
        Box::pin(async move {
            if !self.begun {
                self.begun = true;
                return Push::Gap;
            }
            loop {
                match self.pushed.recv().await {
                    Ok((key, record)) if self.keys.contains(&*key) => {
                        let key = key.as_ref().to_owned();
                        return Push::Record { key, record };
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return Push::Gap,
                    // The records were dropped, so nothing will ever come.
                    Err(RecvError::Closed) => pending().await,
                }
            }
        })
    }
}

impl std::fmt::Debug for MemoryRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryRecords")
            .field("records", &self.lock().len())
            .finish_non_exhaustive()
    }
}
