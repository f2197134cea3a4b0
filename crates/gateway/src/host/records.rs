//! Breaker records: written after each change, and read at the start.
//!
//! A transition marks its breaker as changed and returns; a task beside the data path writes the record of every
//! changed breaker at once, and again until the store has taken it. So a request never waits for the store, and a
//! breaker that changes faster than the store writes is written in its latest state (docs/machine.md, "Over a
//! restart").

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fusebox_breaker::{Breaker, Timestamp};
use fusebox_store::{ObjectStore, Pending, StoreError, When};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ground::clock::Clock;
use crate::host::record::Record;
use crate::live::live_plan::Live;
use crate::upstream::events::{Events, News};
use crate::upstream::live_upstream::LiveUpstream;

/// The store's partition of the records.
pub const PARTITION: &str = "breakers";

/// The time between two renewals of all records, so that those of living breakers last.
pub const RENEWED_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The most breakers whose written generations are remembered. Beyond it they are forgotten, and a breaker counts as
/// not persisted until it is written again.
const REMEMBERED_MAX: usize = 100_000;

/// The time after which a write counts as failed.
const WRITE_MAX: Duration = Duration::from_secs(5);

/// The time between a failed write and the next try.
const RETRY: Duration = Duration::from_millis(250);

/// The most records that are read at the start; further breakers begin closed.
const READ_MAX: usize = 1_000_000;

/// The breakers that must be written, each with the number of its last mark.
#[derive(Debug, Default)]
struct Marks {
    breakers: HashMap<Arc<str>, (Breaker, u64)>,
    count: u64,
    /// Breakers that were removed, whose records go with them.
    gone: Vec<Arc<str>>,
}

/// The breakers whose record differs from the store's.
#[derive(Debug, Default)]
pub struct Changed {
    marks: Mutex<Marks>,
    /// The generation of each breaker in the store.
    persisted: Mutex<HashMap<Arc<str>, u64>>,
    /// Breakers whose record shows them in their ramp, with the time at which that ends if nothing fails.
    ramps: Mutex<HashMap<Arc<str>, (Breaker, Timestamp)>>,
    /// The URL of each upstream.
    homes: Mutex<HashMap<Arc<str>, String>>,
    wake: Notify,
    written: AtomicU64,
    errors: AtomicU64,
    /// True while the store takes no records.
    away: AtomicBool,
}

impl Changed {
    /// Notes that a breaker has changed; its latest state is what will be written.
    pub fn mark(&self, breaker: &Breaker) {
        let mut marks = self.marks.lock();
        marks.count += 1;
        let mark = (breaker.clone(), marks.count);
        marks.breakers.insert(breaker.name().clone(), mark);
        drop(marks);
        self.wake.notify_one();
    }

    /// Marks a breaker that has a record in the store to be written again, so that the record lasts.
    pub fn renew(&self, breaker: &Breaker) {
        let persisted = self.persisted.lock();
        let known = persisted.contains_key(breaker.name());
        drop(persisted);
        if known {
            self.mark(breaker);
        }
    }

    /// Notes that a breaker was removed.
    pub fn forget(&self, name: &Arc<str>) {
        let mut marks = self.marks.lock();
        marks.breakers.remove(name);
        marks.gone.push(name.clone());
        drop(marks);
        self.ramps.lock().remove(name);
        self.wake.notify_one();
    }

    /// Notes where a plan's upstreams are, which their breakers' records say from now on.
    pub fn set_homes(&self, live: &Live) {
        let home = |upstream: &Arc<LiveUpstream>| {
            let name = upstream.breakers.name()?.clone();
            Some((name, upstream.plan.endpoint().url()))
        };
        *self.homes.lock() = live.guarded.iter().filter_map(home).collect();
    }

    /// The URL of the upstream of a breaker's name, which may have a key behind a slash, and slashes of its own.
    fn home(&self, name: &str) -> Option<String> {
        let homes = self.homes.lock();
        let mut upstreams = name.match_indices('/').map(|(at, _)| &name[..at]);
        let home = homes.get(name);
        home.or_else(|| upstreams.find_map(|it| homes.get(it)))
            .cloned()
    }

    /// True if the store has a breaker's present generation.
    pub fn is_persisted(&self, name: &str, generation: u64) -> bool {
        let persisted = self.persisted.lock();
        persisted.get(name).is_some_and(|have| *have == generation)
    }

    /// Number of records written so far, and of writes that failed.
    pub fn counts(&self) -> (u64, u64) {
        (
            self.written.load(Ordering::Relaxed),
            self.errors.load(Ordering::Relaxed),
        )
    }

    /// True while the store takes no records.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// True if every change is written.
    pub fn is_clean(&self) -> bool {
        self.marks.lock().breakers.is_empty()
    }

    /// The end of the next ramp of which the store has a record.
    fn next_ramp_end(&self) -> Option<Timestamp> {
        self.ramps.lock().values().map(|(_, ends)| *ends).min()
    }

    /// Marks the breakers whose ramp has ended: the end of a ramp is not a transition, so there is no event.
    fn mark_ended_ramps(&self, now: Timestamp) {
        let ended: Vec<_> = self
            .ramps
            .lock()
            .values()
            .filter(|(_, ends)| *ends <= now)
            .map(|(breaker, _)| breaker.clone())
            .collect();
        for breaker in ended {
            self.mark(&breaker);
        }
    }

    /// Notes that the store has a generation, unless the breaker was marked again meanwhile.
    fn settle(&self, breaker: &Breaker, mark: u64, written: &Written) {
        self.written.fetch_add(1, Ordering::Relaxed);
        match written.ramp_ends {
            Some(ends) => {
                let ramp = (breaker.clone(), ends);
                self.ramps.lock().insert(breaker.name().clone(), ramp);
            }
            None => {
                self.ramps.lock().remove(breaker.name());
            }
        }
        let mut persisted = self.persisted.lock();
        if persisted.len() >= REMEMBERED_MAX {
            persisted.clear();
        }
        persisted.insert(breaker.name().clone(), written.generation);
        let mut marks = self.marks.lock();
        if marks
            .breakers
            .get(breaker.name())
            .is_some_and(|(_, last)| *last == mark)
        {
            marks.breakers.remove(breaker.name());
        }
    }
}

/// The facts written about a breaker.
#[derive(Debug, Clone, Copy)]
struct Written {
    generation: u64,
    /// The end of its ramp, if it was in one and nothing fails.
    ramp_ends: Option<Timestamp>,
}

/// Writes changed breakers for as long as the gateway lives.
pub async fn keep(
    changed: Arc<Changed>,
    store: Arc<dyn ObjectStore>,
    clock: Arc<Clock>,
    events: Arc<Events>,
) {
    let found = |reachable: bool| {
        if changed.away.swap(!reachable, Ordering::Relaxed) == reachable {
            events.publish(clock.exact(), News::Store { reachable });
        }
    };
    loop {
        let ramp = async {
            match changed.next_ramp_end() {
                Some(ends) => tokio::time::sleep(ends.saturating_since(clock.exact())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed.wake.notified() => {}
            // Writing begins with the ramps that have ended.
            () = ramp => {}
        }
        while let Err(error) = write_all(&changed, &store, &clock).await {
            tracing::warn!(%error, "breaker records are not persisted yet; trying again");
            found(false);
            tokio::time::sleep(RETRY).await;
        }
        found(true);
    }
}

/// Writes every marked breaker; those that the store refuses stay marked.
///
/// # Errors
/// The store's last error.
pub async fn write_all(
    changed: &Changed,
    store: &Arc<dyn ObjectStore>,
    clock: &Clock,
) -> Result<(), StoreError> {
    changed.mark_ended_ramps(clock.exact());
    let gone = std::mem::take(&mut changed.marks.lock().gone);
    for name in gone {
        if let Err(error) = within(store.remove(PARTITION, &name, When::Always)).await {
            changed.marks.lock().gone.push(name);
            return Err(error);
        }
    }
    let batch: Vec<_> = changed.marks.lock().breakers.values().cloned().collect();
    let writes = batch.iter().map(|(breaker, _)| async {
        let now = clock.exact();
        let (saved, ramp) = (breaker.saved(now), breaker.snapshot(now).ramp);
        let record = Record::of(&saved, ramp.is_some(), clock.wall_millis());
        let object = record
            .at(changed.home(breaker.name()).as_deref())
            .to_object();
        let result = within(store.put(PARTITION, breaker.name(), object, When::Always)).await;
        let written = Written {
            generation: saved.generation,
            ramp_ends: ramp.map(|ramp| ramp.ends),
        };
        (result, written)
    });
    // All at once, so that the store can commit them together.
    let results = futures_util::future::join_all(writes).await;
    let mut refused = None;
    for ((breaker, mark), (result, written)) in batch.iter().zip(results) {
        match result {
            Ok(_) => changed.settle(breaker, *mark, &written),
            Err(error) => {
                changed.errors.fetch_add(1, Ordering::Relaxed);
                refused = Some(error);
            }
        }
    }
    refused.map_or(Ok(()), Err)
}

/// Bounds the time of a store operation.
async fn within<T>(operation: Pending<'_, T>) -> Result<T, StoreError> {
    match tokio::time::timeout(WRITE_MAX, operation).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::NotAvailable {
            why: format!("a write took longer than {WRITE_MAX:?}; look at the disk"),
        }),
    }
}

/// Restores every breaker of a plan to the state that an earlier process left in the store. A record that cannot be
/// read is logged by name and leaves its breaker closed. One that was written when the upstream was at another URL is
/// removed.
///
/// # Errors
/// If the store cannot be read.
pub async fn restore(
    live: &Live,
    store: &Arc<dyn ObjectStore>,
    clock: &Clock,
) -> Result<usize, StoreError> {
    let mut restored = 0;
    for upstream in &live.guarded {
        let (name, url) = (upstream.breakers.name(), upstream.plan.endpoint().url());
        let Some(name) = name else { continue };
        let mut moved = 0;
        for key in store.keys(PARTITION, name, READ_MAX).await? {
            // A key of another upstream, whose name merely has this one's as its prefix.
            if !upstream.breakers.names(&key) {
                continue;
            }
            let Some(record) = read(&key, store).await? else {
                continue;
            };
            if record.url.as_ref().is_some_and(|was| *was != url) {
                moved += 1;
                if let Err(error) = within(store.remove(PARTITION, &key, When::Always)).await {
                    tracing::warn!(breaker = %key, %error, "an old record cannot be removed");
                }
            } else if let Some(breaker) = upstream.breakers.recall(&key, clock.exact()) {
                restored += 1;
                take_up(&breaker, &record, clock);
            }
        }
        if moved > 0 {
            tracing::warn!(
                upstream = %name,
                records = moved,
                "breakers of {name}: the upstream's url changed since the last run, so they begin anew"
            );
        }
    }
    for (_, live_breaker) in live.own_breakers() {
        if recall(&live_breaker.breaker, store, clock).await? {
            restored += 1;
        }
    }
    live.settle_endpoints(clock.exact());
    Ok(restored)
}

/// Restores one breaker to the state that an earlier process left in the store, and says whether there was one.
///
/// # Errors
/// If the store cannot be read.
pub async fn recall(
    breaker: &Breaker,
    store: &Arc<dyn ObjectStore>,
    clock: &Clock,
) -> Result<bool, StoreError> {
    let record = read(breaker.name(), store).await?;
    if let Some(record) = &record {
        take_up(breaker, record, clock);
    }
    Ok(record.is_some())
}

/// The record of a breaker; `None`: it has none that can be read.
async fn read(name: &str, store: &Arc<dyn ObjectStore>) -> Result<Option<Record>, StoreError> {
    let Some(object) = store.get(PARTITION, name).await? else {
        return Ok(None);
    };
    match Record::from_bytes(&object.value) {
        Ok(record) => Ok(Some(record)),
        Err(error) => {
            tracing::error!(breaker = %name, %error, "a breaker's record cannot be read; it begins closed");
            Ok(None)
        }
    }
}

fn take_up(breaker: &Breaker, record: &Record, clock: &Clock) {
    let now = clock.exact();
    breaker.restore(&record.saved(clock.wall_millis()), now);
    if record.ramp {
        breaker.begin_ramp(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusebox_breaker::{Ramp, Settings};
    use fusebox_store::{Fault, HostileStore, Limits, MemoryStore, SystemClock};

    async fn read(store: &Arc<dyn ObjectStore>) -> Record {
        let object = store.get(PARTITION, "orders").await.unwrap().unwrap();
        Record::from_bytes(&object.value).unwrap()
    }

    #[tokio::test]
    async fn the_end_of_a_ramp_is_written_down_though_nothing_else_happens() {
        let settings = Settings {
            ramp: Some(Ramp::linear(Duration::from_millis(500))),
            ..Settings::default()
        };
        let breaker = Breaker::new("orders", settings).unwrap();
        let clock = Arc::new(Clock::default());
        let store: Arc<dyn ObjectStore> =
            Arc::new(MemoryStore::new(Limits::default(), Arc::new(SystemClock)));
        let changed = Arc::new(Changed::default());
        breaker.begin_ramp(clock.exact());
        changed.mark(&breaker);
        write_all(&changed, &store, &clock).await.unwrap();
        assert!(read(&store).await.ramp);
        let keeper = tokio::spawn(keep(changed, store.clone(), clock, Arc::default()));
        while read(&store).await.ramp {
            tokio::task::yield_now().await;
        }
        keeper.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_goes_away_and_comes_back_is_an_event_each() {
        let memory = MemoryStore::new(Limits::default(), Arc::new(SystemClock));
        let hostile = Arc::new(HostileStore::new(memory));
        hostile.plan([Fault::Fail, Fault::Fail]);
        let (changed, events) = (Arc::new(Changed::default()), Arc::new(Events::default()));
        let clock = Arc::new(Clock::default());
        let store: Arc<dyn ObjectStore> = hostile.clone();
        changed.mark(&Breaker::new("orders", Settings::default()).unwrap());
        let keeper = tokio::spawn(keep(changed.clone(), store, clock, events.clone()));
        let mut last = events.watch();
        last.wait_for(|last| *last == 2).await.unwrap();
        keeper.abort();
        assert!(!changed.is_away());
        let told = events.after(0).events;
        let told: Vec<_> = told.iter().map(|it| it.news.clone()).collect();
        let store = |reachable| News::Store { reachable };
        assert_eq!(told, [store(false), store(true)], "however often it failed");
    }
}
