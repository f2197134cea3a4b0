//! The records that a fleet shares, on a Valkey or Redis server.
//!
//! A change travels as a script, and is done by the server as one step, which also tells the
//! subscribers. They are told by a connection of their own, so that a flood of news holds up no
//! change.

use super::link::{Call, Link, Script};
use super::options::ValkeyOptions;
use super::partition::{IN_TAG, SCHEMA};
use super::pushes::{Hub, ValkeyPushes, tend};
use super::trouble::Trouble;
use crate::shared::{Applied, Change, Pushes, RECORD_BYTES_MAX, ReadOut, SharedRecords, check};
use crate::{Pending, StoreError, WallTime};
use bytes::Bytes;
use futures_util::future::try_join_all;
use percent_encoding::utf8_percent_encode;
use redis::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Records read in one script, so that the server does other work in between.
const READ_SLICE: usize = 500;
/// The most bytes of a reply: one that reads records ends soon after an eighth of this.
const REPLY_MAX: usize = 1 << 20;
/// Reads on their way at once.
const READS_AT_ONCE: usize = 1_000;

/// Keeps shared records on a Valkey server (7.2 or newer) or a Redis server (6.2 or newer).
///
/// Each record is one key, whose name is its hash tag; it ends by itself, on the server's clock.
/// A call waits for the server at most [`ValkeyOptions::timeout`], and not at all while it is known
/// to be away.
///
/// News come by `PUBLISH`, in a cluster by `SPUBLISH` where the server has it. After a connection
/// broke they come again by themselves, after a [`Push::Gap`](crate::records::Push::Gap).
pub struct ValkeyRecords {
    link: Link,
    options: ValkeyOptions,
    names: Names,
    read: Arc<Script>,
    /// The scripts of the changes that were asked for, by their text.
    // A std lock: held for one look-up, never across a wait.
    changes: Mutex<HashMap<&'static str, Arc<Script>>>,
    /// Made with the first subscription.
    news: OnceLock<News>,
}

/// What brings the news: the link stays open as long as the records do.
struct News {
    hub: Arc<Hub>,
    _link: Link,
}

/// Names keys and the channel under a prefix.
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

    /// The key of a record, which is also its channel in its slot.
    pub(super) fn key(&self, name: &str) -> Vec<u8> {
        let tag = utf8_percent_encode(name, IN_TAG);
        format!("{}:{{{tag}}}", self.base).into_bytes()
    }

    /// The name of the record under a key.
    pub(super) fn name(&self, key: &[u8]) -> Option<String> {
        let key = std::str::from_utf8(key).ok()?;
        let tag = key.strip_prefix(&self.base)?.strip_prefix(":{")?;
        let name = percent_encoding::percent_decode_str(tag.strip_suffix('}')?);
        name.decode_utf8().ok().map(Into::into)
    }

    /// The channel on which all hear of all records.
    pub(super) fn channel(&self) -> Vec<u8> {
        self.base.clone().into_bytes()
    }
}

impl ValkeyRecords {
    /// Opens the records, and begins to connect. It does not wait for the server.
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
            news: OnceLock::new(),
        })
    }

    /// Why the server cannot be asked now, if it cannot.
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

    /// The time as the scripts take it.
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
        let call = Call::Script {
            script: self.script(change),
            keys: vec![self.names.key(key)],
            args: [self.time(), self.names.channel(), in_slot.to_vec(), most()]
                .into_iter()
                .chain(own)
                .collect(),
        };
        let answer = self.link.ask(call).await.and_then(read_out);
        let mut read = answer.map_err(|trouble| {
            trouble.about(|| format!("the record \"{key}\" on {}", self.link.place()))
        })?;
        Ok(Applied {
            record: read.records.pop().flatten(),
            now: read.now,
        })
    }

    async fn read_some(&self, keys: &[&str]) -> Result<ReadOut, StoreError> {
        let call = Call::Script {
            script: self.read.clone(),
            keys: keys.iter().map(|key| self.names.key(key)).collect(),
            args: vec![self.time(), most()],
        };
        let answer = self.link.ask(call).await.and_then(read_out);
        answer.map_err(|trouble| {
            trouble.about(|| {
                let keys = keys.join("\", \"");
                format!("one of the records \"{keys}\" on {}", self.link.place())
            })
        })
    }

    /// Reads records of one place, in as many answers as it takes.
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
                return Err(strange().about(|| self.link.place().to_owned()));
            }
            whole.records.extend(more.records);
        }
    }

    async fn read_all(&self, keys: &[&str]) -> Result<ReadOut, StoreError> {
        keys.iter().try_for_each(|key| check(key))?;
        // In a cluster each record lives in a slot of its own.
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
        let call = Call::Script {
            script: self.read.clone(),
            keys: Vec::new(),
            args: vec![self.time(), most()],
        };
        let answer = self.link.ask(call).await.and_then(read_out);
        answer
            .map(|read| read.now)
            .map_err(|trouble| trouble.about(|| self.link.place().to_owned()))
    }

    fn listen(&self) -> Result<Box<dyn Pushes>, StoreError> {
        let hub = match self.news.get() {
            Some(news) => news.hub.clone(),
            None => {
                let hub = Arc::new(Hub::new(self.names.clone()));
                let link = Link::open(&self.options, Some(hub.clone()), REPLY_MAX)?;
                let single = link.is_single();
                link.tend(|asker| tend(hub.clone(), asker, single));
                // Another may have been faster; then ours ends here.
                let news = News { hub, _link: link };
                self.news.get_or_init(|| news).hub.clone()
            }
        };
        Ok(Box::new(ValkeyPushes::new(hub)))
    }
}

/// The most bytes of a record, as the scripts take it.
fn most() -> Vec<u8> {
    RECORD_BYTES_MAX.to_string().into_bytes()
}

fn strange() -> Trouble {
    Trouble::Away(
        "the server answered what no script of shared records answers; see what listens there"
            .to_owned(),
    )
}

/// What the scripts of records answer.
fn read_out(value: Value) -> Result<ReadOut, Trouble> {
    let Value::Array(items) = value else {
        return Err(strange());
    };
    let mut items = items.into_iter();
    let mut text = || match items.next() {
        Some(Value::BulkString(bytes)) => String::from_utf8(bytes).ok(),
        _ => None,
    };
    match text().as_deref() {
        Some("record" | "records") => (),
        _ => return Err(strange()),
    }
    let now = text().and_then(|text| text.parse().ok());
    let now = WallTime(now.ok_or_else(strange)?);
    let records = items
        .map(|item| match item {
            Value::BulkString(bytes) => Ok(Some(bytes.into())),
            Value::Nil => Ok(None),
            _ => Err(strange()),
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
        Box::pin(async { self.listen() })
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
