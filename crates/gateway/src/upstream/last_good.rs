//! The last good answers of an upstream: kept while it answers, served in its place when it does not.
//!
//! A request is looked at once, before its call ([`LastGood::admits`]). An answer is looked at once, at its head
//! ([`LastGood::observe`]); where it may be kept, its body is taken up as it passes ([`Recorder`]). A call that was
//! refused or failed asks for the last good answer ([`LastGood::serve`]). Nothing is ever served while the upstream
//! answers, so this is no cache.
//!
//! # Kept answers
//! Whole GET answers of eight statuses that a shared cache may store (RFC 9111, section 3) and that the breaker did not
//! judge a failure. [`rules`] has the words that forbid it. An answer that may not be kept, or that is too long, removes
//! the earlier ones of its request; a success of POST, PUT, PATCH or DELETE removes all of its URI. A 304 to a client's
//! own revalidation renews the entry of which it speaks ([`freshening`]).
//!
//! # Credentials
//! A request with `Authorization` or `Cookie` is neither kept nor served, unless the settings' `key` names the field.
//! Then the entry is private to the field's value, of which a salted digest is stored.
//!
//! # Where it is kept
//! In [`memory`], bounded by bytes, and on [`disk`], bounded by bytes. A [`writer`] beside the data path carries
//! entries to the disk from a bounded [`queue`]. After a restart they are read back.
//!
//! # Purging
//! [`LastGood::purge`] removes entries from memory and from the disk before it returns. An answer whose request began
//! before a removal is not kept.

mod control;
mod disk;
mod entry;
mod freshening;
mod index;
pub mod key;
mod memory;
mod queue;
mod recorder;
mod rules;
mod serving;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fusebox_plan::plan::LastGood as Settings;
use fusebox_store::{ObjectStore, StoreError};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, RANGE, VIA};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;

use crate::message::field_kinds::FieldKinds;
use crate::message::fields;
use crate::upstream::last_good::disk::Disk;
use crate::upstream::last_good::entry::{Entry, Facts};
use crate::upstream::last_good::key::{Digest, Key, Private, Salt, Scope, Spot};
use crate::upstream::last_good::memory::{Memory, Stamp};
use crate::upstream::last_good::queue::Order;
use crate::upstream::last_good::recorder::Kept;
use crate::upstream::last_good::rules::Unstorable;

pub use crate::upstream::last_good::recorder::Recorder;
#[cfg(test)]
pub use crate::upstream::last_good::serving::Served;
pub use crate::upstream::last_good::serving::{Skipped, Wish};
pub use crate::upstream::last_good::writer::Writer;

/// The time for which a purge waits for the disk.
const PURGE_MAX: Duration = Duration::from_secs(30);

/// The last good answers of one upstream.
#[derive(Debug)]
pub struct LastGood {
    settings: Settings,
    name: String,
    age_max: Duration,
    memory: Arc<Memory>,
    disk: Arc<Disk>,
}

/// A request, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// The path and query as the upstream sees them.
    pub target: &'a PathAndQuery,
    /// The `Host` as the upstream sees it, where that is the client's (`host: preserve`); else `None`.
    pub host: Option<&'a HeaderValue>,
    /// The client's own fields, before any are set.
    pub headers: &'a HeaderMap,
    /// True if the request has a body, on which its answer may depend.
    pub has_body: bool,
    /// The scope of the fields that the route sets.
    pub scope: Scope,
}

/// The use that a request may make of last good answers, decided before its call.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// A GET or HEAD that may be kept and served.
    Read(Reading),
    /// A request that changes its URI, whose success removes all entries of it: the digest of the URI.
    Write(Digest),
    /// A request that neither keeps nor is served.
    Off(Skipped),
}

/// A request that may be served.
#[derive(Debug, Clone)]
pub struct Reading {
    key: Key,
    target: PathAndQuery,
    is_head: bool,
    is_private: bool,
    stamp: Stamp,
}

/// The breaker's judgement of an answer at its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The answer is a failure.
    Failed,
    /// The answer is not a failure, whatever its body is.
    Fine,
    /// The body decides. The recorder is finished for a good one, and dropped for a failure.
    Later,
}

/// Numbers about an upstream's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Number of entries in memory.
    pub memory_entries: u64,
    /// Bytes of the entries in memory.
    pub memory_bytes: u64,
    /// Number of entries on disk.
    pub disk_entries: u64,
    /// Bytes of the entries on disk.
    pub disk_bytes: u64,
    /// Number of answers that were not written because the queue was full.
    pub dropped: u64,
    /// Number of operations of the store that failed.
    pub errors: u64,
}

impl Counts {
    /// Number of entries, wherever they are: nearly all that are in memory are on disk too.
    pub fn entries(&self) -> u64 {
        self.memory_entries.max(self.disk_entries)
    }

    /// Bytes of all entries, counted as [`Counts::entries`] are.
    pub fn bytes(&self) -> u64 {
        self.memory_bytes.max(self.disk_bytes)
    }
}

impl LastGood {
    /// The last good answers of an upstream, and their writer, which is to run beside the data path. `age_max` is the
    /// longest age limit of the rungs that use them.
    pub fn new(
        upstream: &str,
        settings: Settings,
        age_max: Duration,
        store: Arc<dyn ObjectStore>,
        salt: Salt,
    ) -> (Arc<LastGood>, Writer) {
        let memory = Arc::new(Memory::new(settings.memory_max, settings.body_max));
        let disk = Arc::new(Disk::new(upstream, store, salt, settings.disk_max, age_max));
        let writer = Writer::new(disk.clone(), memory.clone());
        let last_good = Arc::new(LastGood {
            settings,
            name: upstream.to_owned(),
            age_max,
            memory,
            disk,
        });
        (last_good, writer)
    }

    /// The settings of the upstream's last good answers.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The name that it was made with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The longest age limit of the rungs.
    pub fn age_max(&self) -> Duration {
        self.age_max
    }

    /// Decides which use a request may make of last good answers. A request that may make none costs nothing later.
    pub fn admits(&self, asked: &Asked<'_>) -> Lookup {
        let Asked {
            target,
            host,
            headers,
            ..
        } = *asked;
        let salt = &self.disk.salt;
        let is_head = match *asked.method {
            Method::GET => false,
            Method::HEAD => true,
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
                return Lookup::Write(salt.key(target, host, None).uri);
            }
            _ => return Lookup::Off(Skipped::Method),
        };
        if headers.contains_key(RANGE) {
            return Lookup::Off(Skipped::Range);
        }
        if asked.has_body {
            return Lookup::Off(Skipped::Body);
        }
        let fields = &self.settings.key[..];
        let is_foreign = |name| headers.contains_key(name) && !fields.contains(name);
        if is_foreign(&AUTHORIZATION) || is_foreign(&COOKIE) {
            return Lookup::Off(Skipped::Credential);
        }
        let is_private = fields.iter().any(|name| headers.contains_key(name));
        let scope = asked.scope;
        let private = (is_private || scope != Scope::default()).then_some(Private {
            scope,
            fields,
            headers,
        });
        Lookup::Read(Reading {
            key: salt.key(target, host, private),
            target: target.clone(),
            is_head,
            is_private,
            stamp: self.memory.stamp(),
        })
    }

    /// Looks at an answer's head. `headers` are the upstream's, `sent` the request's as the upstream got them, `now` is
    /// in milliseconds since the Unix epoch.
    ///
    /// `None`: the answer's body does not matter.
    pub fn observe(
        self: &Arc<LastGood>,
        lookup: &Lookup,
        status: StatusCode,
        headers: &HeaderMap,
        sent: &HeaderMap,
        judged: Judged,
        now: u64,
    ) -> Option<Recorder> {
        let reading = match lookup {
            Lookup::Off(_) => return None,
            Lookup::Write(uri) => {
                // A success in the sense of RFC 9111, section 4.4. A body that fails it later changes nothing: the
                // request may have been carried out.
                if judged != Judged::Failed && (status.is_success() || status.is_redirection()) {
                    self.void(*uri);
                }
                return None;
            }
            Lookup::Read(reading) => reading,
        };
        // An inner gateway's own answer is not the upstream's.
        let is_inner = headers.contains_key("fusebox-fallback");
        if status == StatusCode::NOT_MODIFIED && judged != Judged::Failed && !is_inner {
            self.freshen(reading, headers, sent, now);
            return None;
        }
        if judged == Judged::Failed || !rules::is_kept(status) || is_inner {
            return None;
        }
        match self.examined(reading, status, headers, sent, now) {
            // The one before is no longer the last good one, once this one has come whole.
            Ok(Some(_)) if self.is_too_long(headers) => {
                Some(Recorder::forget(self.clone(), reading.key))
            }
            Ok(kept) => kept.map(|kept| Recorder::keep(self.clone(), kept)),
            Err(why) => {
                tracing::debug!(
                    path = reading.target.path(),
                    why = why.word(),
                    "answer not kept as the last good one"
                );
                if judged == Judged::Later {
                    return Some(Recorder::forget(self.clone(), reading.key));
                }
                self.forget(reading.key);
                None
            }
        }
    }

    /// The answer's head as it is kept; `None`: it neither is kept nor forbids to be.
    fn examined(
        &self,
        reading: &Reading,
        status: StatusCode,
        headers: &HeaderMap,
        sent: &HeaderMap,
        now: u64,
    ) -> Result<Option<Kept>, Unstorable> {
        let obey = self.settings.obey;
        let rules = rules::examine(status, headers, reading.is_private, obey, now)?;
        let vary = rules::vary(headers)?;
        if reading.is_head || rules::forbids_store(sent) {
            return Ok(None);
        }
        let spot = Spot {
            key: reading.key,
            variant: self.disk.salt.variant(&vary, sent),
        };
        let age = u32::try_from(rules::age(headers).as_secs()).unwrap_or(u32::MAX);
        let facts = Facts {
            status,
            at: now,
            age,
            rules,
        };
        Ok(Some(Kept {
            spot,
            facts,
            path: reading.target.path().into(),
            vary,
            head: packed(headers),
            stamp: reading.stamp,
            parts: Vec::new(),
            len: 0,
        }))
    }

    fn is_too_long(&self, headers: &HeaderMap) -> bool {
        let len = headers
            .get(CONTENT_LENGTH)
            .and_then(|len| len.to_str().ok());
        let len = len.and_then(|len| len.parse::<u64>().ok());
        len.is_some_and(|len| len > self.settings.body_max as u64)
    }

    /// Removes all entries, or those of a path as the upstream sees it: with all its queries, for all credentials, in
    /// all variants. They are gone from the disk when this returns, and a write queued earlier does not bring them back.
    /// Returns the number of entries removed from the disk, or from memory where there were more.
    ///
    /// # Errors
    /// If the disk cannot be written; then memory is empty of them, and the disk may not be.
    pub async fn purge(&self, path: Option<&str>) -> Result<u64, StoreError> {
        let (before, _) = self.memory.counts();
        let (done, purged) = oneshot::channel();
        let order = Order::Purge {
            path: path.map(Into::into),
            done,
        };
        let is_purged = |entry: &Entry| path.is_none_or(|path| path == &*entry.path);
        self.disk.queue.begin_purge();
        self.memory
            .purge(is_purged, || self.disk.queue.order(order));
        let (after, _) = self.memory.counts();
        let removed = before.saturating_sub(after);
        match tokio::time::timeout(PURGE_MAX, purged).await {
            Ok(Ok(result)) => result.map(|on_disk| on_disk.max(removed)),
            Ok(Err(_)) | Err(_) => Err(StoreError::NotAvailable {
                why: "the writer of the last good answers does not answer; look at the disk"
                    .to_owned(),
            }),
        }
    }

    /// Returns once everything kept or removed so far is on disk, or has failed to get there once.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.disk.queue.order(Order::Flush(done));
        // A writer that has ended writes nothing more.
        let _ = flushed.await;
    }

    /// Numbers about the entries, for a view. All in memory are looked through.
    pub fn counts(&self) -> Counts {
        let (memory_entries, memory_bytes) = self.memory.counts();
        let index = self.disk.index();
        Counts {
            memory_entries,
            memory_bytes,
            disk_entries: index.len() as u64,
            disk_bytes: index.bytes(),
            dropped: self.disk.queue.dropped(),
            errors: self.disk.errors.load(Ordering::Relaxed),
        }
    }

    fn keep(&self, entry: Arc<Entry>) {
        self.memory.put(&entry, || {
            if self.disk.is_used() {
                self.disk.queue.put(entry.clone());
            }
        });
    }

    fn forget(&self, key: Key) {
        self.memory.forget(key, || {
            if self.disk.is_used() {
                self.disk.queue.remove(key);
            }
        });
    }

    fn void(&self, uri: Digest) {
        let mut has_room = true;
        self.memory
            .void(uri, |number| has_room = self.disk.queue.void(uri, number));
        if !has_room {
            self.memory.purge(|_| true, || ());
        }
    }
}

/// The fields of an answer as a client gets them, packed.
fn packed(headers: &HeaderMap) -> Vec<u8> {
    // Without a list in `Connection` the fields to leave out are known by their names, so nothing is copied first.
    match fields::is_plain_connection(headers) {
        true => entry::pack(headers.iter().chain([(&VIA, &fields::our_via())])),
        false => entry::pack(passed_on(headers).iter()),
    }
}

/// The fields of an answer as a client gets them.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    let found = FieldKinds::of_answer(&headers);
    fields::strip_response(&mut headers, found);
    headers
}

impl Drop for LastGood {
    /// Lets the writer end once it has written all.
    fn drop(&mut self) {
        self.disk.queue.close();
    }
}
