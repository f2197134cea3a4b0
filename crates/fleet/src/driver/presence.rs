//! Whether another process goes by this node's name: each notes in a record of that name that it lives.
//!
//! Votes, batches and leases are told apart by name, so two processes of one name count as one node. A process that was
//! restarted is no other one: the one before it notes nothing any more once this one has begun.

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

/// How often a process notes that it lives.
const EVERY: Duration = Duration::from_secs(5);

/// Who has noted nothing for so long has gone, in milliseconds.
const GONE: u64 = 3 * 5_000;

/// How long a note is kept, in milliseconds, and how many.
const LIVES: u64 = 60_000;
const MOST: usize = 16;

/// The longest name of a process.
const PROCESS_MAX: usize = 64;

/// The change that notes it; the argument is the process.
pub(super) const BEAT: Change = Change {
    name: "presence",
    lua: include_str!("../presence.lua"),
    rust: |record, args, now| {
        let process = args
            .first()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Changed::Written {
            record: beat(record, process.unwrap_or_default(), now.0).into(),
            live_for: Duration::from_millis(LIVES),
            push: false,
        }
    },
};

#[derive(Serialize, Deserialize)]
struct Notes {
    v: u32,
    /// When each process last noted that it lives, on the server's clock.
    beats: BTreeMap<String, u64>,
}

fn read(record: &[u8]) -> BTreeMap<String, u64> {
    let notes: Option<Notes> = serde_json::from_slice(record).ok();
    let notes = notes.filter(|notes| notes.v == 1);
    notes.map(|notes| notes.beats).unwrap_or_default()
}

fn beat(record: Option<&[u8]>, process: String, now: u64) -> Vec<u8> {
    let old = record.map(read).unwrap_or_default().into_iter();
    let lives = |(name, at): &(String, u64)| {
        name.len() <= PROCESS_MAX && *at <= now && now - at < LIVES && *name != process
    };
    let mut beats: BTreeMap<_, _> = old.filter(lives).take(MOST).collect();
    beats.insert(process, now);
    serde_json::to_vec(&Notes { v: 1, beats }).unwrap_or_default()
}

type Noting = std::pin::Pin<Box<dyn Future<Output = Option<Applied>> + Send>>;

/// Notes that this process lives, and sees who else does.
pub(super) struct Presence {
    records: Arc<dyn SharedRecords>,
    key: String,
    process: String,
    within: Duration,
    next: Instant,
    noting: Option<Noting>,
    /// When this process first noted that it lives, on the server's clock.
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
            // No breaker's record: those begin with the prefix.
            key: format!("node:{prefix}{node}"),
            process: process.chars().take(PROCESS_MAX / 4).collect(),
            within,
            next: Instant::now(),
            noting: None,
            first: None,
        }
    }

    /// How many other processes of this name have lived since this one began, and do so still: told after each note.
    /// Dropping the future loses nothing.
    pub async fn others(&mut self) -> usize {
        loop {
            let applied = match &mut self.noting {
                Some(noting) => noting.await,
                None => {
                    sleep_until(self.next).await;
                    let (records, key) = (self.records.clone(), self.key.clone());
                    let (args, within) = ([Bytes::from(self.process.clone())], self.within);
                    self.noting = Some(Box::pin(async move {
                        let noted: Pending<'_, Applied> = records.apply(&key, &BEAT, &args);
                        let noted: Result<Result<_, StoreError>, _> = timeout(within, noted).await;
                        noted.ok()?.ok()
                    }));
                    continue;
                }
            };
            self.noting = None;
            self.next = Instant::now() + EVERY;
            if let Some(Applied { record, now }) = applied {
                return self.count(record.as_deref().unwrap_or_default(), now);
            }
        }
    }

    fn count(&mut self, record: &[u8], WallTime(now): WallTime) -> usize {
        // A server's clock that was set back begins anew.
        let first = self.first.filter(|first| *first <= now).unwrap_or(now);
        self.first = Some(first);
        let beats = read(record);
        let others = beats.iter().filter(|(process, at)| {
            **process != self.process && **at > first && now.saturating_sub(**at) < GONE
        });
        others.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_that_are_old_to_come_or_odd_are_forgotten() {
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
