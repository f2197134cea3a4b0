//! Writes that move nothing but the end of an object's life: acknowledged at once, and on disk soon after.
//!
//! Such a write, a refresh, stores the value that is there already, to live at least as long as before, and at most
//! [`GAIN_MAX`] longer than the disk says: what a kill may take from a life is bounded by that, however slow the disk is,
//! and however long ago the last write was. The object with its new version and end is kept in memory, where every
//! operation finds it, and the writer puts all that it finds there to disk in one commit, [`WRITTEN_AFTER`] the first of
//! them or with the store's end. A process that is killed in between loses the refresh alone.
//!
//! A write that waits for its commit makes its key busy. A refresh of a busy key waits in the same queue, so the two
//! have an order; and what the writer finds here for a key stays as it is until the commit that takes it along is over.
//!
//! A version that was issued for a lost refresh must not be issued again. So the file's last version is ahead of those
//! issued, by [`AHEAD`], once there are refreshes; a store that is closed writes the exact one.

use super::rows::Scope;
use crate::{NewObject, Object, Put, WallTime, When};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most by which an acknowledged end may be later than the one on disk.
pub(super) const GAIN_MAX: Duration = Duration::from_millis(100);

/// The time after which refreshes are written: half of [`GAIN_MAX`], so that writes can be refreshes while the commit
/// takes the other half.
pub(super) const WRITTEN_AFTER: Duration = Duration::from_millis(50);

/// The most objects kept in memory, and the most bytes of one's value; refreshes of others are ordinary writes.
const KEPT_MAX: usize = 4096;
const KEPT_BYTES_MAX: usize = 4096;

/// The most refreshes that one commit takes along.
const TAKEN_MAX: usize = 1000;

/// The number of versions that the file's last version is ahead of those issued.
const AHEAD: u64 = 1 << 20;

/// The objects that an operation of the writer's may change.
#[derive(Debug)]
pub(super) enum Touches {
    /// No object at all.
    Nothing,
    /// The one under a key: its partition and key.
    Key(String, String),
    /// Any object of any partition.
    All,
}

/// A refresh that is not on disk yet.
#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) partition: String,
    pub(super) key: String,
    pub(super) version: u64,
    pub(super) expires_at: Option<WallTime>,
}

/// The answer to a write that may be a refresh.
#[derive(Debug)]
pub(super) enum Attempt {
    /// Carried out as a refresh, or refused since its condition does not hold.
    Done {
        put: Put,
        /// True if the writer does not know yet that there are refreshes to write.
        tell: bool,
    },
    /// Left to the writer, as an ordinary write.
    Ordinary,
    /// The object must be looked up in the file; the number stands for the commits before.
    Unknown(u64),
}

/// By partition and key.
type Keys<T> = HashMap<String, HashMap<String, T>>;

/// The refreshes of a store, and the versions that it issues.
#[derive(Debug)]
pub(super) struct Refreshes {
    issued: AtomicU64,
    // A std lock: held for a few look-ups, never across an await, a read of the file or a commit.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Keys<Kept>,
    kept_count: usize,
    /// The number of waiting writes for each busy key.
    busy: Keys<u32>,
    /// The number of waiting operations that may change any object.
    all_busy: u32,
    /// The number of batches that were carried out.
    batches: u64,
    /// The last version of the file: a refresh may have none above it.
    reserved: u64,
    wants_ahead: bool,
    /// True since a commit failed: until one succeeds, each write must fail.
    is_suspended: bool,
    /// True if the writer knows of refreshes to write.
    is_told: bool,
}

#[derive(Debug)]
struct Kept {
    object: Object,
    /// The end of its life on disk.
    end_on_disk: Option<WallTime>,
    /// True if the file has an earlier version of it.
    is_ahead: bool,
    /// True if it was refreshed since the last look for refreshes to write.
    is_recent: bool,
}

impl Refreshes {
    /// Starts with the last version of a file.
    pub(super) fn new(last_version: u64) -> Self {
        Refreshes {
            issued: AtomicU64::new(last_version),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Issues the version of an ordinary write.
    pub(super) fn issue(&self) -> u64 {
        self.issued.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The object under a key if it is kept here, live or not. The file is not to be asked then.
    pub(super) fn find(&self, partition: &str, key: &str) -> Option<Object> {
        let state = self.state();
        let kept = state.kept.get(partition)?.get(key)?;
        Some(kept.object.clone())
    }

    /// The versions and ends of a partition's kept objects, by key. To be asked before the file is.
    pub(super) fn ends(&self, partition: &str) -> HashMap<String, (u64, Option<WallTime>)> {
        let state = self.state();
        let kept = state.kept.get(partition).into_iter().flatten();
        kept.map(|(key, kept)| (key.clone(), (kept.object.version, kept.object.expires_at)))
            .collect()
    }

    /// Carries a write out if it is a refresh.
    pub(super) fn attempt(
        &self,
        scope: Scope<'_>,
        key: &str,
        object: &NewObject,
        when: When,
    ) -> Attempt {
        let mut state = self.state();
        if state.is_busy(scope.partition, key) {
            return Attempt::Ordinary;
        }
        if state.find_mut(scope.partition, key).is_some() {
            return self.refresh(&mut state, scope, key, object, when);
        }
        match state.kept_count < KEPT_MAX && object.value.len() <= KEPT_BYTES_MAX {
            true => Attempt::Unknown(state.batches),
            false => Attempt::Ordinary,
        }
    }

    /// The same for an object that was found in the file after the commits that [`Attempt::Unknown`] counted.
    pub(super) fn attempt_on(
        &self,
        found: Object,
        batches: u64,
        (scope, key): (Scope<'_>, &str),
        object: &NewObject,
        when: When,
    ) -> Attempt {
        let mut state = self.state();
        // A commit since may have changed it.
        if state.batches != batches || state.is_busy(scope.partition, key) {
            return Attempt::Ordinary;
        }
        if state.find_mut(scope.partition, key).is_none() {
            state.keep(scope.partition, key, found);
        }
        self.refresh(&mut state, scope, key, object, when)
    }

    fn refresh(
        &self,
        state: &mut State,
        scope: Scope<'_>,
        key: &str,
        object: &NewObject,
        when: When,
    ) -> Attempt {
        let State {
            kept,
            reserved,
            wants_ahead,
            is_told,
            ..
        } = state;
        let Some(kept) = kept
            .get_mut(scope.partition)
            .and_then(|keys| keys.get_mut(key))
        else {
            return Attempt::Ordinary;
        };
        let old = &mut kept.object;
        if !scope.live(old.expires_at) {
            return Attempt::Ordinary;
        }
        if !when.allows(Some(old.version)) {
            let current = Some(old.version);
            let put = Put::Refused { current };
            return Attempt::Done { put, tell: false };
        }
        let end = scope.rules.expires_at(scope.now, object.ttl);
        let is_same = old.value == object.value && old.media_type == object.media_type;
        if !is_same || is_earlier(end, old.expires_at) || !is_small(kept.end_on_disk, end) {
            return Attempt::Ordinary;
        }
        let next = |last: u64| (last < *reserved).then(|| last + 1);
        let (order, none) = (Ordering::SeqCst, Ordering::SeqCst);
        let Ok(before) = self.issued.fetch_update(order, none, next) else {
            *wants_ahead = true;
            return Attempt::Ordinary;
        };
        let version = before + 1;
        (old.version, old.expires_at) = (version, end);
        (kept.is_ahead, kept.is_recent) = (true, true);
        let put = Put::Stored { version };
        let tell = !std::mem::replace(is_told, true);
        Attempt::Done { put, tell }
    }

    /// Makes busy what an operation may change, before it is queued.
    pub(super) fn begin(&self, touches: &Touches) {
        let mut state = self.state();
        match touches {
            Touches::Nothing => {}
            Touches::Key(partition, key) => {
                let busy = state.busy.entry(partition.clone()).or_default();
                *busy.entry(key.clone()).or_default() += 1;
            }
            Touches::All => state.all_busy += 1,
        }
    }

    /// Undoes [`begin`](Refreshes::begin) for an operation that was not queued.
    pub(super) fn cancel(&self, touches: &Touches) {
        self.state().end(touches);
    }

    /// The refreshes that an operation must find in the file.
    pub(super) fn before(&self, touches: &Touches) -> Vec<Refresh> {
        let state = self.state();
        match touches {
            Touches::Nothing => Vec::new(),
            Touches::Key(partition, key) => {
                let kept = state.kept.get(partition).and_then(|keys| keys.get(key));
                let ahead = kept.filter(|kept| kept.is_ahead);
                let ahead = ahead.map(|kept| Refresh::of(partition, key, kept));
                ahead.into_iter().collect()
            }
            Touches::All => state.ahead(usize::MAX),
        }
    }

    /// The refreshes to be written now. Objects that were not refreshed for some time are kept no longer.
    pub(super) fn due(&self) -> Due {
        let mut state = self.state();
        for keys in state.kept.values_mut() {
            keys.retain(|_, kept| kept.is_ahead || kept.is_recent);
            keys.values_mut().for_each(|kept| kept.is_recent = false);
        }
        state.kept.retain(|_, keys| !keys.is_empty());
        state.kept_count = state.kept.values().map(HashMap::len).sum();
        let refreshes = state.ahead(TAKEN_MAX);
        state.is_told = refreshes.len() == TAKEN_MAX;
        Due {
            more: state.is_told,
            refreshes,
        }
    }

    /// The last version that the next commit writes.
    pub(super) fn mark(&self) -> u64 {
        let state = self.state();
        let issued = self.issued.load(Ordering::SeqCst);
        match state.wants_ahead {
            true => state.reserved.max(issued + AHEAD),
            false => issued,
        }
    }

    /// The last version that a store which is closed writes, if the file has another one.
    pub(super) fn last_mark(&self) -> Option<u64> {
        let issued = self.issued.load(Ordering::SeqCst);
        (self.state().reserved > issued).then_some(issued)
    }

    /// Notes a commit that succeeded, with the refreshes that it took along, and what its operations may have changed.
    pub(super) fn committed<'t>(
        &self,
        taken: &[Refresh],
        mark: Option<u64>,
        touched: impl Iterator<Item = &'t Touches>,
    ) {
        let mut state = self.state();
        if let (Some(mark), true) = (mark, state.wants_ahead) {
            state.reserved = mark;
        }
        // A batch that wrote nothing does not prove the disk.
        state.is_suspended &= mark.is_none();
        state.batches += 1;
        for taken in taken {
            if let Some(kept) = state.find_mut(&taken.partition, &taken.key) {
                kept.is_ahead &= kept.object.version > taken.version;
                kept.end_on_disk = taken.expires_at;
            }
        }
        for touches in touched {
            match touches {
                Touches::Nothing => {}
                Touches::Key(partition, key) => state.forget(partition, key),
                Touches::All => {
                    state.kept.clear();
                    state.kept_count = 0;
                }
            }
            state.end(touches);
        }
    }

    /// Notes a commit that failed, which the file may have in full or not at all: `in_file` returns the version of
    /// an object there.
    pub(super) fn failed<'t>(
        &self,
        touched: impl Iterator<Item = &'t Touches>,
        in_file: impl Fn(&str, &str) -> Option<u64>,
    ) {
        let mut suspects = Vec::new();
        {
            let mut state = self.state();
            state.is_suspended = true;
            state.batches += 1;
            let touched: Vec<_> = touched.collect();
            for (partition, keys) in &state.kept {
                for (key, kept) in keys {
                    let is_touched = touched.iter().any(|it| match it {
                        Touches::Nothing => false,
                        Touches::Key(touched, its) => (touched, its) == (partition, key),
                        Touches::All => true,
                    });
                    if is_touched {
                        suspects.push((partition.clone(), key.clone(), kept.object.version));
                    }
                }
            }
            for touches in touched {
                state.end(touches);
            }
        }
        // No write gets past the suspension, so they are as they were.
        for (partition, key, version) in suspects {
            let found = in_file(&partition, &key);
            if found.is_none_or(|found| found > version) {
                self.state().forget(&partition, &key);
            }
        }
    }
}

/// The refreshes to be written, and whether there are more.
pub(super) struct Due {
    pub(super) refreshes: Vec<Refresh>,
    pub(super) more: bool,
}

impl Refresh {
    fn of(partition: &str, key: &str, kept: &Kept) -> Refresh {
        Refresh {
            partition: partition.to_owned(),
            key: key.to_owned(),
            version: kept.object.version,
            expires_at: kept.object.expires_at,
        }
    }
}

impl State {
    fn is_busy(&self, partition: &str, key: &str) -> bool {
        let keys = self.busy.get(partition);
        self.is_suspended || self.all_busy > 0 || keys.is_some_and(|keys| keys.contains_key(key))
    }

    fn find_mut(&mut self, partition: &str, key: &str) -> Option<&mut Kept> {
        self.kept.get_mut(partition)?.get_mut(key)
    }

    fn keep(&mut self, partition: &str, key: &str, object: Object) {
        let kept = Kept {
            end_on_disk: object.expires_at,
            object,
            is_ahead: false,
            is_recent: true,
        };
        let keys = self.kept.entry(partition.to_owned()).or_default();
        keys.insert(key.to_owned(), kept);
        self.kept_count += 1;
    }

    fn forget(&mut self, partition: &str, key: &str) {
        let keys = self.kept.get_mut(partition);
        if keys.and_then(|keys| keys.remove(key)).is_some() {
            self.kept_count -= 1;
        }
    }

    /// Up to `limit` refreshes that are not on disk.
    fn ahead(&self, limit: usize) -> Vec<Refresh> {
        let all = self.kept.iter().flat_map(|(partition, keys)| {
            let ahead = keys.iter().filter(|(_, kept)| kept.is_ahead);
            ahead.map(move |(key, kept)| Refresh::of(partition, key, kept))
        });
        all.take(limit).collect()
    }

    fn end(&mut self, touches: &Touches) {
        match touches {
            Touches::Nothing => {}
            Touches::Key(partition, key) => {
                let Some(keys) = self.busy.get_mut(partition) else {
                    return;
                };
                if let Some(count) = keys.get_mut(key) {
                    *count -= 1;
                    if *count == 0 {
                        keys.remove(key);
                    }
                }
                if keys.is_empty() {
                    self.busy.remove(partition);
                }
            }
            Touches::All => self.all_busy -= 1,
        }
    }
}

/// True if a life that ends at `end` is longer than that on disk by no more than a kill may take.
fn is_small(on_disk: Option<WallTime>, end: Option<WallTime>) -> bool {
    !is_earlier(on_disk.map(|on_disk| on_disk.after(GAIN_MAX)), end)
}

/// True if a life ends before another; `None` never ends.
fn is_earlier(end: Option<WallTime>, other: Option<WallTime>) -> bool {
    match (end, other) {
        (_, None) => end.is_some(),
        (None, Some(_)) => false,
        (Some(end), Some(other)) => end < other,
    }
}
