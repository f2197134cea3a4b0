//! Detection of other processes with the same node name: each process records a heartbeat under that name.
//!
//! Votes, batches and leases are attributed by name, so two processes with one name count as one node. A process before
//! a restart is not another one, since it sends no heartbeat after this one has begun.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_store::{
    Pending, StoreError, WallTime,
    records::{Applied, Change, Changed, SharedRecords},
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until, timeout};

use crate::node::clip_name;

/// The interval between heartbeats.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// The age of a heartbeat, in milliseconds, after which its process counts as gone.
const GONE_AFTER: u64 = 3 * 5_000;

/// The lifetime of a heartbeat, in milliseconds, and the most heartbeats in a record.
const BEAT_LIFETIME: u64 = 60_000;
const BEATS_MAX: usize = 16;

/// The most bytes in the identifier of a process.
const PROCESS_MAX: usize = 64;

/// The change that records a heartbeat; its argument is the process's identifier.
pub(super) const BEAT: Change = Change {
    name: "presence",
    lua: include_str!("../presence.lua"),
    rust: |record, args, now| {
        let process = args
            .first()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Changed::Written {
            record: beat(record, process.unwrap_or_default(), now.0).into(),
            live_for: Duration::from_millis(BEAT_LIFETIME),
            push: false,
        }
    },
};

#[derive(Serialize, Deserialize)]
struct Beats {
    v: u32,
    /// The time of each process's last heartbeat, on the server's clock.
    beats: BTreeMap<String, u64>,
}

fn read(record: &[u8]) -> BTreeMap<String, u64> {
    let beats: Option<Beats> = serde_json::from_slice(record).ok();
    let beats = beats.filter(|beats| beats.v == 1);
    beats.map(|beats| beats.beats).unwrap_or_default()
}

fn beat(record: Option<&[u8]>, process: String, now: u64) -> Vec<u8> {
    let old = record.map(read).unwrap_or_default().into_iter();
    let is_alive = |(name, at): &(String, u64)| {
        name.len() <= PROCESS_MAX && *at <= now && now - at < BEAT_LIFETIME && *name != process
    };
    let mut beats: BTreeMap<_, _> = old.filter(is_alive).take(BEATS_MAX).collect();
    beats.insert(process, now);
    serde_json::to_vec(&Beats { v: 1, beats }).unwrap_or_default()
}

type PendingBeat = std::pin::Pin<Box<dyn Future<Output = Option<Applied>> + Send>>;

/// Sends heartbeats and counts those of other processes.
pub(super) struct Presence {
    records: Arc<dyn SharedRecords>,
    key: String,
    process: String,
    within: Duration,
    next: Instant,
    pending: Option<PendingBeat>,
    /// The time of this process's first heartbeat, on the server's clock.
    first: Option<u64>,
}

impl Presence {
    pub fn new(
        records: Arc<dyn SharedRecords>,
        prefix: &str,
        node: &str,
        process: &str,
        within: Duration,
    ) -> Self {
        let mut node = node.to_owned();
        clip_name(&mut node);
        Presence {
            records,
            // Distinct from breakers' records, which begin with the prefix.
            key: format!("node:{prefix}{node}"),
            process: process.chars().take(PROCESS_MAX / 4).collect(),
            within,
            next: Instant::now(),
            pending: None,
            first: None,
        }
    }

    /// Waits for the next heartbeat, and returns the number of other live processes with this name. A process counts if
    /// it was alive after this one began. Dropping the future loses nothing.
    pub async fn others(&mut self) -> usize {
        loop {
            let applied = match &mut self.pending {
                Some(pending) => pending.await,
                None => {
                    sleep_until(self.next).await;
                    let (records, key) = (self.records.clone(), self.key.clone());
                    let (args, within) = ([Bytes::from(self.process.clone())], self.within);
                    self.pending = Some(Box::pin(async move {
                        let noted: Pending<'_, Applied> = records.apply(&key, &BEAT, &args);
                        let noted: Result<Result<_, StoreError>, _> = timeout(within, noted).await;
                        noted.ok()?.ok()
                    }));
                    continue;
                }
            };
            self.pending = None;
            self.next = Instant::now() + BEAT_EVERY;
            if let Some(Applied { record, now }) = applied {
                return self.count(record.as_deref().unwrap_or_default(), now);
            }
        }
    }

    fn count(&mut self, record: &[u8], WallTime(now): WallTime) -> usize {
        // If the server's clock was set back, start counting again.
        let first = self.first.filter(|first| *first <= now).unwrap_or(now);
        self.first = Some(first);
        let beats = read(record);
        let others = beats.iter().filter(|(process, at)| {
            **process != self.process && **at > first && now.saturating_sub(**at) < GONE_AFTER
        });
        others.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_that_are_old_in_the_future_or_malformed_are_dropped() {
        let now = 1_000_000;
        let kept = |record: &str| read(&beat(Some(record.as_bytes()), "me".into(), now));
        let me = BTreeMap::from([("me".to_owned(), now)]);
        for odd in [
            "",
            "[]",
            "poison",
            r#"{"v":2,"beats":{"a":999999}}"#,
            r#"{"v":1,"beats":{"a":-1}}"#,
            r#"{"v":1,"beats":{"a":900000}}"#,
            r#"{"v":1,"beats":{"a":1000001,"me":3}}"#,
        ] {
            assert_eq!(kept(odd), me, "{odd}");
        }
        assert_eq!(kept(r#"{"v":1,"beats":{"a":999999}}"#).len(), 2);
    }
}
