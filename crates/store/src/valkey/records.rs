//! Shared records on a Valkey or Redis server.
//!
//! A change is a script, which the server runs atomically and which also publishes the new record. Pushes arrive on a
//! connection of their own, so that a flood of them delays no change.

use super::link::{Link, Request, Script};
use super::options::ValkeyOptions;
use super::partition::{IN_TAG, SCHEMA};
use super::pushes::{Hub, ValkeyPushes, keep_subscribed};
use super::trouble::RequestError;
use crate::shared::{Applied, Change, Pushes, RECORD_BYTES_MAX, ReadOut, SharedRecords, check};
use crate::{Pending, StoreError, WallTime};
use bytes::Bytes;
use futures_util::future::try_join_all;
use percent_encoding::utf8_percent_encode;
use redis::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Records read in one script, so that the server can do other work in between.
const READ_SLICE: usize = 500;
/// The most bytes in a reply. A script that reads records stops soon after an eighth of this.
const REPLY_MAX: usize = 1 << 20;
/// The most concurrent reads.
const READS_AT_ONCE: usize = 1_000;

/// Keeps shared records on a Valkey server (7.2 or newer) or a Redis server (6.2 or newer).
///
/// Each record is one key, whose name is its hash tag; it expires on the server's clock. An operation waits for the
/// server at most [`ValkeyOptions::timeout`], or fails at once while the server is known to be unavailable.
///
/// Records are pushed by `PUBLISH`, in a cluster by `SPUBLISH` if the server has it. After a broken connection the
/// subscriptions are renewed, and a [`Push::Gap`](crate::records::Push::Gap) is delivered.
pub struct ValkeyRecords {
    link: Link,
    options: ValkeyOptions,
    names: Names,
    read: Arc<Script>,
    /// The scripts of the changes used so far, by their Lua text.
    // A std lock: held for one look-up, never across an await.
    changes: Mutex<HashMap<&'static str, Arc<Script>>>,
    /// The source of pushes, opened with the first subscription.
    push_link: OnceLock<PushLink>,
}

/// The source of pushes: a hub and the link that feeds it.
struct PushLink {
    hub: Arc<Hub>,
    _link: Link,
}

/// Builds the names of keys and of the channel under a prefix.
#[derive(Clone)]
pub(super) struct Names {
    base: String,
}

impl Names {
    fn new(prefix: &str) -> Names {
        Names {
            base: format!("{prefix}{SCHEMA}records"),
        }
    }

    /// The key of a record, which is also the name of its sharded channel.
    pub(super) fn key(&self, name: &str) -> Vec<u8> {
        let tag = utf8_percent_encode(name, IN_TAG);
        format!("{}:{{{tag}}}", self.base).into_bytes()
    }

    /// The name of the record under a key, or `None` for a foreign key.
    pub(super) fn name(&self, key: &[u8]) -> Option<String> {
        let key = std::str::from_utf8(key).ok()?;
        let tag = key.strip_prefix(&self.base)?.strip_prefix(":{")?;
        let name = percent_encoding::percent_decode_str(tag.strip_suffix('}')?);
        name.decode_utf8().ok().map(Into::into)
    }

    /// The channel on which all records are published.
    pub(super) fn channel(&self) -> Vec<u8> {
        self.base.clone().into_bytes()
    }
}

impl ValkeyRecords {
    /// Opens the records and starts to connect, without waiting for the server.
    ///
    /// # Errors
    /// [`StoreError::Io`] if a TLS file cannot be read or no thread can be started.
    pub fn open(options: ValkeyOptions) -> Result<ValkeyRecords, StoreError> {
        Ok(ValkeyRecords {
            link: Link::open(&options, None, REPLY_MAX)?,
            names: Names::new(&options.prefix),
            options,
            read: Arc::new(Script::new(include_str!("scripts/read.lua").to_owned())),
            changes: Mutex::default(),
            push_link: OnceLock::new(),
        })
    }

    /// Describes the obstacle if the server cannot be reached now.
    pub fn trouble(&self) -> Option<String> {
        self.link.trouble()
    }

    fn script(&self, change: &Change) -> Arc<Script> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let script = changes.entry(change.lua).or_insert_with(|| {
            let before = include_str!("scripts/change_before.lua");
            let after = include_str!("scripts/change_after.lua");
            Arc::new(Script::new(format!("{before}{}{after}", change.lua)))
        });
        script.clone()
    }

    /// The time as an argument of a script.
    fn time(&self) -> Vec<u8> {
        let clock = self.options.clock.as_ref();
        clock.map_or_else(Vec::new, |clock| clock.now().0.to_string().into_bytes())
    }

    async fn apply_change(
        &self,
        key: &str,
        change: &Change,
        args: &[Bytes],
    ) -> Result<Applied, StoreError> {
        check(key)?;
        let in_slot = if self.link.is_single() {
            b""
        } else {
            &b"1"[..]
        };
        let own = args.iter().map(|arg| arg.to_vec());
        let request = Request::Script {
            script: self.script(change),
            keys: vec![self.names.key(key)],
            args: [
                self.time(),
                self.names.channel(),
                in_slot.to_vec(),
                record_bytes_max(),
            ]
            .into_iter()
            .chain(own)
            .collect(),
        };
        let answer = self.link.send(request).await.and_then(read_out);
        let mut read = answer.map_err(|error| {
            error.about(|| format!("the record \"{key}\" on {}", self.link.place()))
        })?;
        Ok(Applied {
            record: read.records.pop().flatten(),
            now: read.now,
        })
    }

    async fn read_some(&self, keys: &[&str]) -> Result<ReadOut, StoreError> {
        let request = Request::Script {
            script: self.read.clone(),
            keys: keys.iter().map(|key| self.names.key(key)).collect(),
            args: vec![self.time(), record_bytes_max()],
        };
        let answer = self.link.send(request).await.and_then(read_out);
        answer.map_err(|error| {
            error.about(|| {
                let keys = keys.join("\", \"");
                format!("one of the records \"{keys}\" on {}", self.link.place())
            })
        })
    }

    /// Reads the records of one server, in as many replies as necessary.
    async fn read_slice(&self, keys: &[&str]) -> Result<ReadOut, StoreError> {
        let mut whole = self.read_some(keys).await?;
        loop {
            let rest = keys.get(whole.records.len()..).unwrap_or_default();
            if rest.is_empty() {
                whole.records.truncate(keys.len());
                return Ok(whole);
            }
            let more = self.read_some(rest).await?;
            if more.records.is_empty() {
                return Err(unexpected_reply().about(|| self.link.place().to_owned()));
            }
            whole.records.extend(more.records);
        }
    }

    async fn read_all(&self, keys: &[&str]) -> Result<ReadOut, StoreError> {
        keys.iter().try_for_each(|key| check(key))?;
        // In a cluster each record has its own slot.
        let slice = if self.link.is_single() { READ_SLICE } else { 1 };
        let mut slices = Vec::new();
        for keys in keys.chunks(slice * READS_AT_ONCE) {
            let under_way = keys.chunks(slice).map(|keys| self.read_slice(keys));
            slices.extend(try_join_all(under_way).await?);
        }
        let Some(now) = slices.iter().map(|slice| slice.now).min() else {
            let now = self.server_time().await?;
            let records = Vec::new();
            return Ok(ReadOut { records, now });
        };
        let records = slices.into_iter().flat_map(|slice| slice.records).collect();
        Ok(ReadOut { records, now })
    }

    async fn server_time(&self) -> Result<WallTime, StoreError> {
        if let Some(clock) = &self.options.clock {
            return Ok(clock.now());
        }
        let request = Request::Script {
            script: self.read.clone(),
            keys: Vec::new(),
            args: vec![self.time(), record_bytes_max()],
        };
        let answer = self.link.send(request).await.and_then(read_out);
        answer
            .map(|read| read.now)
            .map_err(|error| error.about(|| self.link.place().to_owned()))
    }

    fn subscribe_all(&self) -> Result<Box<dyn Pushes>, StoreError> {
        let hub = match self.push_link.get() {
            Some(push_link) => push_link.hub.clone(),
            None => {
                let hub = Arc::new(Hub::new(self.names.clone()));
                let link = Link::open(&self.options, Some(hub.clone()), REPLY_MAX)?;
                let single = link.is_single();
                link.spawn(|handle| keep_subscribed(hub.clone(), handle, single));
                // If another thread was faster, this one's link is dropped here.
                let push_link = PushLink { hub, _link: link };
                self.push_link.get_or_init(|| push_link).hub.clone()
            }
        };
        Ok(Box::new(ValkeyPushes::new(hub)))
    }
}

/// The most bytes in a record, as an argument of a script.
fn record_bytes_max() -> Vec<u8> {
    RECORD_BYTES_MAX.to_string().into_bytes()
}

fn unexpected_reply() -> RequestError {
    RequestError::Unavailable(
        "the server sent a reply that no script of shared records sends; check which server listens there"
            .to_owned(),
    )
}

/// Parses the reply of a script on records.
fn read_out(value: Value) -> Result<ReadOut, RequestError> {
    let Value::Array(items) = value else {
        return Err(unexpected_reply());
    };
    let mut items = items.into_iter();
    let mut text = || match items.next() {
        Some(Value::BulkString(bytes)) => String::from_utf8(bytes).ok(),
        _ => None,
    };
    match text().as_deref() {
        Some("record" | "records") => (),
        _ => return Err(unexpected_reply()),
    }
    let now = text().and_then(|text| text.parse().ok());
    let now = WallTime(now.ok_or_else(unexpected_reply)?);
    let records = items
        .map(|item| match item {
            Value::BulkString(bytes) => Ok(Some(bytes.into())),
            Value::Nil => Ok(None),
            _ => Err(unexpected_reply()),
        })
        .collect::<Result<_, _>>()?;
    Ok(ReadOut { records, now })
}

impl SharedRecords for ValkeyRecords {
    fn apply<'a>(
        &'a self,
        key: &'a str,
        change: &'a Change,
        args: &'a [Bytes],
    ) -> Pending<'a, Applied> {
        Box::pin(self.apply_change(key, change, args))
    }

    fn read<'a>(&'a self, keys: &'a [&'a str]) -> Pending<'a, ReadOut> {
        Box::pin(self.read_all(keys))
    }

    fn subscribe(&self) -> Pending<'_, Box<dyn Pushes>> {
        Box::pin(async { self.subscribe_all() })
    }

    fn now(&self) -> Pending<'_, WallTime> {
        Box::pin(self.server_time())
    }
}

impl std::fmt::Debug for ValkeyRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValkeyRecords")
            .field("place", &self.link.place())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_records_name_is_read_back_from_its_key(name in ".{1,20}") {
            let names = Names::new("x:");
            prop_assert_eq!(names.name(&names.key(&name)), Some(name));
        }

        #[test]
        fn any_key_is_read_or_refused_without_a_panic(key: Vec<u8>) {
            let _ = Names::new("").name(&key);
        }
    }
}
