//! The bounded queue to the writer: entries to be written, removals and purges, the latest for each key.
//!
//! An entry that is replaced while it waits is written once. A full queue drops entries, and counts them. It never
//! drops a removal: where too many wait, all that is on disk goes instead.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusebox_store::StoreError;
use tokio::sync::{Notify, oneshot};

use crate::upstream::last_good::entry::Entry;
use crate::upstream::last_good::key::{Digest, Key, Spot};
use crate::upstream::last_good::memory::Stamp;

/// The most entries and bytes that wait to be written. A single entry is taken whatever its size.
const PUTS_MAX: usize = 1_024;
const BYTES_MAX: u64 = 16 << 20;

/// The most removals that wait.
const REMOVALS_MAX: usize = 16_384;

/// The most entries of one batch.
const BATCH_MAX: usize = 64;

/// A request to the writer whose end is waited for.
#[derive(Debug)]
pub enum Order {
    /// Everything that was queued before is written.
    Flush(oneshot::Sender<()>),
    /// All entries on disk go, or those of a path.
    Purge {
        /// The path as the upstream sees it; `None`: all paths.
        path: Option<Box<str>>,
        /// The number of entries removed.
        done: oneshot::Sender<Result<u64, StoreError>>,
    },
}

impl Order {
    /// True if the order is to purge an entry.
    fn purges(&self, entry: &Entry) -> bool {
        match self {
            Order::Flush(_) => false,
            Order::Purge { path, .. } => path.as_ref().is_none_or(|path| *path == entry.path),
        }
    }
}

/// The work of one turn of the writer, in this order.
#[derive(Debug, Default)]
pub struct Batch {
    /// True if all that is on disk goes, for too many removals waited.
    pub clear: bool,
    /// URIs whose entries go, each with the number of its removal.
    pub voids: HashMap<Digest, Stamp>,
    /// Requests whose entries go, in all variants.
    pub removals: HashSet<Key>,
    /// Entries to be written.
    pub puts: Vec<Arc<Entry>>,
    /// Requests to the writer itself.
    pub orders: VecDeque<Order>,
}

#[derive(Debug, Default)]
struct State {
    next: Batch,
    puts: HashMap<Spot, Arc<Entry>>,
    bytes: u64,
    /// Removals that the writer has taken and not ended yet.
    removing: HashSet<Key>,
    voiding: HashMap<Digest, Stamp>,
    clearing: bool,
}

/// The queue of one upstream.
#[derive(Debug, Default)]
pub struct Queue {
    // Never held across an await, and never while another lock is taken.
    state: Mutex<State>,
    /// Number of removals that wait or are under way; while there are none a reader needs no lock.
    gone: AtomicUsize,
    /// Number of purges that are not done yet.
    purging: AtomicUsize,
    dropped: AtomicU64,
    is_closed: AtomicBool,
    /// Wakes the writer.
    pub work: Notify,
    /// Wakes a writer that rests.
    pub urgent: Notify,
}

impl Queue {
    /// Queues an entry to be written, in place of an older one at its key.
    pub fn put(&self, entry: Arc<Entry>) {
        let mut state = self.state();
        let (spot, weight) = (entry.spot, entry.weight());
        let replaced = state.puts.get(&spot).map_or(0, |old| old.weight());
        let bytes = state.bytes - replaced + weight;
        let is_full = bytes > BYTES_MAX || state.puts.len() >= PUTS_MAX;
        if is_full && replaced == 0 && !state.puts.is_empty() {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.bytes = bytes;
        state.puts.insert(spot, entry);
        drop(state);
        self.work.notify_one();
    }

    /// Queues an entry again whose writing failed, unless a newer one or a removal came meanwhile.
    pub fn put_back(&self, entry: Arc<Entry>) {
        let state = self.state();
        let Spot { key, .. } = entry.spot;
        let is_gone = state.next.clear
            || state.next.removals.contains(&key)
            || state.next.voids.contains_key(&key.uri)
            || state.next.orders.iter().any(|order| order.purges(&entry));
        let is_newer = state.puts.contains_key(&entry.spot);
        drop(state);
        if !is_gone && !is_newer {
            self.put(entry);
        }
    }

    /// Queues the removal of a request's entries; those that wait to be written are dropped.
    pub fn remove(&self, key: Key) {
        let mut state = self.state();
        state.drop_puts(|entry| entry.spot.key == key);
        if state.next.removals.len() < REMOVALS_MAX {
            state.next.removals.insert(key);
        } else {
            state.next.clear = true;
        }
        self.note(state);
    }

    /// Queues the removal of all entries of a URI; those that wait to be written are dropped. False: too many wait, so
    /// all that is on disk goes, and the caller must empty the memory.
    #[must_use]
    pub fn void(&self, uri: Digest, number: Stamp) -> bool {
        let mut state = self.state();
        state.drop_puts(|entry| entry.spot.key.uri == uri);
        let has_room = state.next.voids.len() < REMOVALS_MAX;
        if has_room {
            state.next.voids.insert(uri, number);
        } else {
            state.next.clear = true;
        }
        self.note(state);
        has_room
    }

    /// Queues an order. Entries that a purge names and that wait to be written are dropped.
    pub fn order(&self, order: Order) {
        let mut state = self.state();
        state.drop_puts(|entry| order.purges(entry));
        state.next.orders.push_back(order);
        self.note(state);
        self.urgent.notify_one();
    }

    /// The next work, or none. [`Queue::settle`] must follow it.
    pub fn take(&self) -> Option<Batch> {
        let mut state = self.state();
        let batch = &state.next;
        let is_idle = batch.removals.is_empty() && batch.voids.is_empty() && !batch.clear;
        if is_idle && batch.orders.is_empty() && state.puts.is_empty() {
            return None;
        }
        let mut batch = std::mem::take(&mut state.next);
        state.removing.clone_from(&batch.removals);
        state.voiding.clone_from(&batch.voids);
        state.clearing = batch.clear;
        // An order waits for all entries before it.
        let most = if batch.orders.is_empty() {
            BATCH_MAX
        } else {
            usize::MAX
        };
        let spots: Vec<Spot> = state.puts.keys().take(most).copied().collect();
        for spot in spots {
            if let Some(entry) = state.puts.remove(&spot) {
                state.bytes -= entry.weight();
                batch.puts.push(entry);
            }
        }
        Some(batch)
    }

    /// Ends the work taken; removals that failed are queued again.
    pub fn settle(&self, failed: Batch) {
        let mut state = self.state();
        state.removing.clear();
        state.voiding.clear();
        state.clearing = false;
        state.next.clear |= failed.clear;
        state.next.removals.extend(failed.removals);
        for (uri, number) in failed.voids {
            let waiting = state.next.voids.entry(uri).or_insert(number);
            *waiting = number.max(*waiting);
        }
        self.gone.store(state.gone(), Ordering::SeqCst);
    }

    /// The entries of a request that wait to be written.
    pub fn waiting(&self, key: Key) -> Vec<Arc<Entry>> {
        let state = self.state();
        let puts = state.puts.values();
        puts.filter(|entry| entry.spot.key == key)
            .cloned()
            .collect()
    }

    /// True if a request's entries are to be removed, whatever the disk still holds.
    pub fn is_gone(&self, key: Key) -> bool {
        if self.is_purging() {
            return true;
        }
        if self.gone.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let state = self.state();
        state.next.clear
            || state.clearing
            || [&state.next.removals, &state.removing]
                .iter()
                .any(|keys| keys.contains(&key))
            || [&state.next.voids, &state.voiding]
                .iter()
                .any(|uris| uris.contains_key(&key.uri))
    }

    /// The number of a URI's removal that is not done yet. Entries with an earlier stamp are gone, wherever they are.
    pub fn voided(&self, uri: Digest) -> Stamp {
        if self.gone.load(Ordering::SeqCst) == 0 {
            return Stamp::default();
        }
        let state = self.state();
        let numbers = [&state.next.voids, &state.voiding].map(|voids| voids.get(&uri).copied());
        numbers.into_iter().flatten().max().unwrap_or_default()
    }

    /// Notes that a purge is about to be ordered. Until [`Queue::end_purge`] nothing is to be taken from the disk.
    pub fn begin_purge(&self) {
        self.purging.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that a purge is done, or has failed.
    pub fn end_purge(&self) {
        self.purging.fetch_sub(1, Ordering::SeqCst);
    }

    /// True while the disk may hold entries that are being purged.
    pub fn is_purging(&self) -> bool {
        self.purging.load(Ordering::SeqCst) > 0
    }

    /// Number of entries that were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Lets the writer end once it has done all that is queued.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.work.notify_one();
        self.urgent.notify_one();
    }

    /// True once the queue was closed.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn note(&self, state: MutexGuard<'_, State>) {
        self.gone.store(state.gone(), Ordering::SeqCst);
        drop(state);
        self.work.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn gone(&self) -> usize {
        let Batch {
            removals,
            voids,
            clear,
            ..
        } = &self.next;
        let waiting = removals.len() + voids.len() + usize::from(*clear);
        waiting + self.removing.len() + self.voiding.len() + usize::from(self.clearing)
    }

    fn drop_puts(&mut self, is_dropped: impl Fn(&Entry) -> bool) {
        let bytes = &mut self.bytes;
        self.puts.retain(|_, entry| {
            let goes = is_dropped(entry);
            if goes {
                *bytes -= entry.weight();
            }
            !goes
        });
    }
}
