//! The entries in memory, weighed by their bytes; the least used give way.
//!
//! Changes of one URI are made one after another, so that an answer that was begun before a removal cannot come back
//! after it: each removal has a number, and an answer brings the number that was current when its request began.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::upstream::last_good::entry::Entry;
use crate::upstream::last_good::key::{Digest, Key, Spot};

/// The most variants of one answer that are kept in memory.
const VARIANTS_MAX: usize = 8;

/// Bytes counted for the variants of one request beside the entries.
const OVERHEAD: u64 = 128;

/// The bytes of an average entry, by which the cache plans its tables.
const ENTRY_BYTES: u64 = 4_096;

/// The most parts of the cache that are locked on their own.
const SHARDS_MAX: u64 = 16;

/// Numbers of removals, shared by the URIs of a slot: an answer that is not kept for another URI's sake comes again.
const SLOTS: usize = 16_384;

/// Locks for changes, shared by the URIs of a stripe.
const STRIPES: usize = 32;

/// The variants of an answer, the newest first. Empty: neither memory nor disk holds one.
#[derive(Debug, Default)]
pub struct Family {
    /// The entries, each of another variant.
    pub variants: Vec<Arc<Entry>>,
    /// The number of the last removal of the answer.
    removed: AtomicU64,
}

/// The number of the last removal at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp(u64);

/// The entries of one upstream in memory.
pub struct Memory {
    cache: Cache<Key, Arc<Family>, Bytes>,
    removals: AtomicU64,
    slots: Box<[AtomicU64]>,
    purged: AtomicU64,
    stripes: Box<[Mutex<()>]>,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Arc<Family>> for Bytes {
    fn weight(&self, _: &Key, family: &Arc<Family>) -> u64 {
        let entries = family.variants.iter().map(|entry| entry.weight());
        OVERHEAD + entries.sum::<u64>()
    }
}

impl Memory {
    /// An empty memory of a capacity in bytes. An entry larger than its share is not kept.
    pub fn new(capacity: u64, max_body: usize) -> Memory {
        // A shard must hold a few of the longest bodies.
        let longest = (max_body as u64).saturating_mul(4).max(ENTRY_BYTES);
        let shards = (capacity / longest).clamp(1, SHARDS_MAX);
        let items = (capacity / ENTRY_BYTES).clamp(16, 1 << 20);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(items).unwrap_or(16))
            .weight_capacity(capacity)
            .build();
        let hasher = DefaultHashBuilder::default();
        let cache = match options {
            Ok(options) => Cache::with_options(options, Bytes, hasher, DefaultLifecycle::default()),
            // Both numbers that it asks for are set.
            Err(_) => Cache::with_weighter(16, capacity, Bytes),
        };
        Memory {
            cache,
            removals: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            purged: AtomicU64::new(0),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// The number of the last removal.
    pub fn stamp(&self) -> Stamp {
        Stamp(self.removals.load(Ordering::SeqCst))
    }

    /// True if nothing of a URI was removed since the stamp was made.
    pub fn is_current(&self, uri: Digest, stamp: Stamp) -> bool {
        let removed = self.slot(uri).load(Ordering::SeqCst);
        stamp.0 >= removed.max(self.purged.load(Ordering::SeqCst))
    }

    /// The known variants of an answer that were not removed meanwhile.
    fn current(&self, key: &Key) -> Vec<Arc<Entry>> {
        let family = self.cache.peek(key).unwrap_or_default();
        let is_current = |entry: &&Arc<Entry>| self.is_current(key.uri, entry.stamp);
        family.variants.iter().filter(is_current).cloned().collect()
    }

    /// The entry of a spot, unless it was removed meanwhile.
    pub fn newest(&self, spot: &Spot) -> Option<Arc<Entry>> {
        let family = self.cache.get(&spot.key)?;
        let removed = Stamp(family.removed.load(Ordering::SeqCst));
        let entry = family.variants.first().filter(|it| it.spot == *spot)?;
        let is_current = entry.stamp >= removed && self.is_current(spot.key.uri, entry.stamp);
        is_current.then(|| entry.clone())
    }

    fn insert(&self, key: Key, variants: Vec<Arc<Entry>>, removed: u64) {
        let removed = AtomicU64::new(removed);
        self.cache
            .insert(key, Arc::new(Family { variants, removed }));
    }

    /// The variants of an answer; `None`: memory has none, but the disk may.
    pub fn get(&self, key: &Key) -> Option<Arc<Family>> {
        self.cache.get(key)
    }

    /// Keeps an entry unless something of its URI was removed since its stamp, or a newer one is there. `then` runs if
    /// it is kept, before the next change of the URI.
    pub fn put(&self, entry: &Arc<Entry>, then: impl FnOnce()) {
        let Spot { key, .. } = entry.spot;
        let _turn = self.turn(key.uri);
        let known = self.cache.peek(&key);
        let removed = known.map_or(0, |known| known.removed.load(Ordering::SeqCst));
        if !self.is_current(key.uri, entry.stamp) || entry.stamp.0 < removed {
            return;
        }
        let variants = self.current(&key);
        let others = variants.iter();
        let same = |other: &Arc<Entry>| other.spot == entry.spot;
        if others
            .clone()
            .any(|other| same(other) && other.facts.at > entry.facts.at)
        {
            return;
        }
        let others = others.filter(|other| !same(other)).take(VARIANTS_MAX - 1);
        let variants = std::iter::once(entry).chain(others).cloned().collect();
        self.insert(key, variants, removed);
        then();
    }

    /// Takes up an entry from the disk, unless memory knows better.
    pub fn warm(&self, entry: &Arc<Entry>) {
        let Spot { key, .. } = entry.spot;
        let _turn = self.turn(key.uri);
        if !self.is_current(key.uri, entry.stamp) {
            return;
        }
        let known = self.cache.peek(&key);
        // An empty family says that the disk has nothing more either.
        if known
            .as_ref()
            .is_some_and(|known| known.variants.is_empty())
        {
            return;
        }
        let mut variants = self.current(&key);
        let is_known = variants.iter().any(|other| other.spot == entry.spot);
        if !is_known && variants.len() < VARIANTS_MAX {
            variants.push(entry.clone());
            variants.sort_by_key(|entry| std::cmp::Reverse(entry.facts.at));
            let removed = known.map_or(0, |known| known.removed.load(Ordering::SeqCst));
            self.insert(key, variants, removed);
        }
    }

    /// Removes an answer with all its variants. `then` runs unless it was known to be gone, before the next change of
    /// the URI.
    pub fn forget(&self, key: Key, then: impl FnOnce()) {
        let _turn = self.turn(key.uri);
        match self
            .cache
            .peek(&key)
            .filter(|known| known.variants.is_empty())
        {
            // A URI whose answers are never kept leaves the others of its slot alone.
            Some(known) => known.removed.store(self.next_removal(), Ordering::SeqCst),
            None => {
                let number = self.remove_before(self.slot(key.uri));
                self.insert(key, Vec::new(), number);
                then();
            }
        }
    }

    /// Notes that all answers of a URI are to be removed, for all credentials. `then` runs before the next change of the
    /// URI with the number of the removal: all entries with an earlier stamp go, and it has to see to that.
    pub fn void(&self, uri: Digest, then: impl FnOnce(Stamp)) {
        let _turn = self.turn(uri);
        let number = self.remove_before(self.slot(uri));
        then(Stamp(number));
    }

    /// Removes all answers that a test names. No answer whose request began before comes back.
    pub fn purge(&self, is_purged: impl Fn(&Entry) -> bool, then: impl FnOnce()) {
        self.remove_before(&self.purged);
        // Changes that looked at the number before are made once their stripe is free.
        for stripe in &self.stripes {
            drop(stripe.lock().unwrap_or_else(PoisonError::into_inner));
        }
        self.cache
            .retain(|_, family| !family.variants.iter().any(|entry| is_purged(entry)));
        then();
    }

    /// Removes the answers of some URIs that have an earlier stamp than their removal. All are looked through.
    pub fn drop_before(&self, removals: &HashMap<Digest, Stamp>) {
        self.cache.retain(|key, family| {
            let removal = removals.get(&key.uri);
            let is_gone = |entry: &Arc<Entry>| removal.is_some_and(|it| entry.stamp < *it);
            !family.variants.iter().any(is_gone)
        });
    }

    /// Number of entries, and their bytes. All are looked through.
    pub fn counts(&self) -> (u64, u64) {
        let families = self.cache.iter();
        let of_one = families.map(|(_, family)| {
            let weights = family.variants.iter().map(|entry| entry.weight());
            (family.variants.len() as u64, weights.sum::<u64>())
        });
        of_one.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Number of requests whose answers are known.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// True if there is room for more without anything giving way.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.cache.weight() + bytes + OVERHEAD < self.cache.capacity() / 10 * 9
    }

    fn slot(&self, uri: Digest) -> &AtomicU64 {
        &self.slots[index(uri, SLOTS)]
    }

    fn turn(&self, uri: Digest) -> MutexGuard<'_, ()> {
        let stripe = &self.stripes[index(uri, STRIPES)];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the next removal its number.
    fn remove_before(&self, slot: &AtomicU64) -> u64 {
        let number = self.next_removal();
        slot.fetch_max(number, Ordering::SeqCst);
        number
    }

    fn next_removal(&self) -> u64 {
        self.removals.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("len", &self.cache.len())
            .finish_non_exhaustive()
    }
}

fn index(uri: Digest, len: usize) -> usize {
    usize::from(u16::from_le_bytes([uri[0], uri[1]])) % len
}
