//! Tests of writes that only prolong an object's life: seen at once, on disk soon, in order with all others.

use super::refreshes::GAIN_MAX;
use super::simulated::{
    Dice, Disk, DiskCall, DiskChange, Failure, assert_tables_agree, open, wait,
};
use super::{EmbeddedOptions, EmbeddedStore};
use crate::clock::Stopwatch;
use crate::{Clock, ManualClock, NewObject, Object, ObjectStore, Put, StoreError, WallTime, When};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const START: u64 = 1_000_000;
const LIFE: Duration = Duration::from_secs(60);

/// The longest that a test waits for what happens within milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    disk: Disk,
    options: EmbeddedOptions,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(WallTime(START)));
        let options = EmbeddedOptions {
            clock: clock.clone(),
            ..EmbeddedOptions::default()
        };
        Bench {
            disk: Disk::formatted(&options),
            options,
            clock,
        }
    }

    fn open(&self) -> EmbeddedStore {
        open(&self.disk, &self.options).unwrap()
    }

    /// A store in which the next write of the same value is a refresh: the first ones were not.
    fn open_refreshing(&self) -> EmbeddedStore {
        let store = self.open();
        for _ in 0..2 {
            put(&store, "k", "v").unwrap();
        }
        store
    }

    /// Opens what the disk has at this moment, as after a kill.
    fn open_as_killed(&self) -> EmbeddedStore {
        open(&Disk::holding(self.disk.bytes()), &self.options).unwrap()
    }

    fn syncs(&self) -> usize {
        let is_sync = |change: &&DiskChange| matches!(change, DiskChange::Sync);
        self.disk.log().iter().filter(is_sync).count()
    }

    fn end(&self) -> Option<WallTime> {
        Some(self.clock.now().after(LIFE))
    }

    fn step(&self) {
        self.clock.advance(Duration::from_millis(10));
    }
}

fn put(store: &EmbeddedStore, key: &str, value: &str) -> Result<u64, StoreError> {
    let object = NewObject::text(value).living(LIFE);
    match wait(store.put("p", key, object, When::Always))? {
        Put::Stored { version } => Ok(version),
        Put::Refused { .. } => panic!("a write without a condition was refused"),
    }
}

fn get(store: &EmbeddedStore, key: &str) -> Object {
    wait(store.get("p", key)).unwrap().unwrap()
}

#[test]
fn a_write_of_the_same_value_is_seen_at_once_and_has_no_commit_of_its_own() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    let (before, watch) = (bench.syncs(), Stopwatch::start());
    let mut last = get(&store, "k").version;
    for turn in 0..1_000 {
        if turn % 20 == 0 {
            bench.clock.advance(Duration::from_millis(1));
        }
        let version = put(&store, "k", "v").unwrap();
        assert!(version > last);
        last = version;
        let seen = get(&store, "k");
        assert_eq!((seen.version, seen.expires_at), (version, bench.end()));
    }
    // A commit has up to three syncs; the refreshes of 50 ms share one.
    let commits = 2 + watch.elapsed().as_millis() as usize / 50;
    let syncs = bench.syncs() - before;
    assert!(syncs <= 3 * commits, "{syncs} syncs for 1,000 refreshes");
}

#[test]
fn whatever_changes_more_than_the_end_is_on_disk_when_it_is_acknowledged() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    let other_value = NewObject::text("w").living(LIFE);
    let other_type = NewObject::new("w", "a/b").living(LIFE);
    let shorter = NewObject::new("w", "a/b").living(LIFE / 2);
    let endless = NewObject::new("w", "a/b");
    for object in [other_value, other_type, shorter.clone(), endless, shorter] {
        bench.step();
        let put = store.put("p", "k", object.clone(), When::Always);
        wait(put).unwrap();
        let end = object.ttl.map(|ttl| bench.clock.now().after(ttl));
        let found = get(&bench.open_as_killed(), "k");
        assert_eq!(
            (&found.value, &found.media_type),
            (&object.value, &object.media_type)
        );
        assert_eq!(found.expires_at, end);
    }
}

#[test]
fn refreshes_reach_the_disk_by_themselves_and_a_closed_store_has_them_all() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    bench.step();
    put(&store, "k", "v").unwrap();
    let watch = Stopwatch::start();
    while get(&bench.open_as_killed(), "k").expires_at != bench.end() {
        assert!(watch.elapsed() < PATIENCE, "the refresh is not on disk");
        std::thread::yield_now();
    }
    bench.step();
    let version = put(&store, "k", "v").unwrap();
    drop(store);
    let store = bench.open();
    let found = get(&store, "k");
    assert_eq!((found.version, found.expires_at), (version, bench.end()));
    assert_eq!(put(&store, "other", "v").unwrap(), version + 1);
    assert_tables_agree(&store);
}

#[test]
fn a_flush_leaves_no_refresh_behind() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    for _ in 0..20 {
        bench.step();
        put(&store, "k", "v").unwrap();
        wait(store.flush()).unwrap();
        assert_eq!(get(&bench.open_as_killed(), "k").expires_at, bench.end());
    }
}

#[test]
fn a_kill_loses_a_refresh_alone_and_no_version_is_issued_twice() {
    let bench = Bench::new();
    let mut store = bench.open_refreshing();
    for _ in 0..20 {
        let old = bench.end();
        bench.step();
        put(&store, "k", "v").unwrap();
        let version = put(&store, "k", "v").unwrap();
        let after = bench.open_as_killed();
        let found = get(&after, "k");
        assert_eq!(found.value, "v");
        assert!(found.expires_at == old || found.expires_at == bench.end());
        assert!(put(&after, "other", "v").unwrap() > version);
        wait(store.flush()).unwrap();
        store = bench.open_refreshing_again(store);
    }
}

impl Bench {
    fn open_refreshing_again(&self, store: EmbeddedStore) -> EmbeddedStore {
        drop(store);
        self.open_refreshing()
    }
}

#[test]
fn a_kill_takes_at_most_100_ms_of_a_life_however_rarely_it_is_prolonged() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    let dice = &mut Dice(7);
    let mut early = 0;
    for _ in 0..400 {
        let step = match dice.below(3) {
            0 => dice.below(10),
            1 => 90 + dice.below(20),
            _ => dice.below(30_000),
        };
        bench.clock.advance(Duration::from_millis(step));
        put(&store, "k", "v").unwrap();
        let killed = get(&bench.open_as_killed(), "k");
        let (kept, end) = (killed.expires_at.unwrap(), bench.end().unwrap());
        assert_eq!(killed.value, "v");
        assert!(kept.after(GAIN_MAX) >= end, "{} of {}", kept.0, end.0);
        early += u32::from(kept < end);
    }
    assert!(early > 10, "only {early} writes were acknowledged early");
}

#[test]
fn a_life_with_a_longer_time_to_live_is_on_disk_when_it_is_acknowledged() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    for ttl in [Some(LIFE * 2), None, Some(LIFE), None] {
        let object = NewObject {
            ttl,
            ..NewObject::text("v")
        };
        wait(store.put("p", "k", object, When::Always)).unwrap();
        let end = ttl.map(|ttl| bench.clock.now().after(ttl));
        assert_eq!(get(&bench.open_as_killed(), "k").expires_at, end);
    }
}

#[test]
fn a_large_value_is_not_kept_in_memory_for_its_refreshes() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    let large = "v".repeat(5_000);
    for _ in 0..3 {
        bench.clock.advance(Duration::from_millis(1));
        put(&store, "large", &large).unwrap();
        let killed = get(&bench.open_as_killed(), "large");
        assert_eq!(killed.expires_at, bench.end());
    }
}

#[test]
fn conditions_and_every_other_operation_see_a_refresh() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    let put_if = |when| {
        let object = NewObject::text("v").living(LIFE);
        wait(store.put("p", "k", object, when)).unwrap()
    };
    let old = get(&store, "k").version;
    bench.step();
    let version = put(&store, "k", "v").unwrap();
    let current = Some(version);
    assert_eq!(put_if(When::Version(old)), Put::Refused { current });
    assert_eq!(put_if(When::Absent), Put::Refused { current });
    let again = put_if(When::Version(version));
    assert!(matches!(again, Put::Stored { .. }), "{again:?}");

    // The end on disk is over, unless the writer was quick; that of the refresh is not.
    wait(store.flush()).unwrap();
    put(&store, "k", "v").unwrap();
    bench.clock.advance(GAIN_MAX / 2);
    let version = put(&store, "k", "v").unwrap() - 1;
    bench.clock.advance(LIFE - GAIN_MAX / 4);
    assert_eq!(wait(store.keys("p", "", 10)).unwrap(), ["k"]);
    assert_eq!(wait(store.sweep(10)).unwrap(), 0);
    assert_eq!(get(&store, "k").version, version + 1);
    let put = store.put("p", "k", NewObject::text("w"), When::Version(version + 1));
    assert!(matches!(wait(put).unwrap(), Put::Stored { .. }));

    for number in ["7", "7"] {
        put_number(&store, number);
    }
    bench.step();
    put_number(&store, "7");
    assert_eq!(wait(store.increment("p", "n", 1, None)).unwrap(), 8);
    assert_eq!(
        get(&store, "n").expires_at,
        bench.end(),
        "an increment keeps the end"
    );
    put_number(&store, "8");
    let version = get(&store, "n").version;
    let removed = wait(store.remove("p", "n", When::Version(version))).unwrap();
    assert_eq!(removed.unwrap().expires_at, bench.end());
    assert!(wait(store.get("p", "n")).unwrap().is_none());

    put_number(&store, "7");
    put_number(&store, "7");
    assert_eq!(wait(store.clear("p")).unwrap(), 2);
    assert!(wait(store.get("p", "n")).unwrap().is_none());
    assert!(wait(store.keys("p", "", 10)).unwrap().is_empty());
    assert_tables_agree(&store);
}

fn put_number(store: &EmbeddedStore, number: &str) {
    put(store, "n", number).unwrap();
}

#[test]
fn while_the_disk_fails_each_write_fails_and_the_refreshes_wait_for_it() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    bench.step();
    put(&store, "k", "v").unwrap();
    bench.disk.fail(Failure {
        calls: vec![DiskCall::Write, DiskCall::SetLen],
        after: 0,
        times: u64::MAX,
        kind: ErrorKind::StorageFull,
    });
    // The writer may have been quicker than the fault: then the next refreshes meet it.
    let watch = Stopwatch::start();
    let mut last = get(&store, "k");
    while put(&store, "k", "v").is_ok() {
        last = get(&store, "k");
        bench.step();
        assert!(watch.elapsed() < PATIENCE, "no write fails");
        std::thread::yield_now();
    }
    assert_eq!(get(&store, "k"), last, "what was acknowledged is read");
    bench.disk.heal();
    bench.clock.advance(bench.options.retry_after);
    put(&store, "other", "v").unwrap();
    wait(store.flush()).unwrap();
    let found = get(&bench.open_as_killed(), "k");
    assert_eq!(
        (found.version, found.expires_at),
        (last.version, last.expires_at)
    );
}

#[test]
fn a_store_that_is_closed_right_after_a_fault_writes_its_refreshes_nevertheless() {
    let bench = Bench::new();
    let store = bench.open_refreshing();
    bench.step();
    let version = put(&store, "k", "v").unwrap();
    bench.disk.fail(Failure {
        calls: vec![DiskCall::Write, DiskCall::SetLen],
        after: 0,
        times: u64::MAX,
        kind: ErrorKind::StorageFull,
    });
    // It fails, and writes pause from now on.
    assert!(put(&store, "other", "v").is_err());
    bench.disk.heal();
    drop(store);
    let found = get(&bench.open(), "k");
    assert_eq!((found.version, found.expires_at), (version, bench.end()));
}

#[test]
fn after_a_failed_write_the_store_reads_what_the_disk_has() {
    let mut hit = 0;
    for after in 0..40 {
        let bench = Bench::new();
        let store = bench.open_refreshing();
        bench.step();
        let refreshed = put(&store, "k", "v").unwrap();
        bench.disk.fail(Failure {
            calls: vec![DiskCall::Write, DiskCall::SetLen],
            after,
            times: u64::MAX,
            kind: ErrorKind::StorageFull,
        });
        let answer = put(&store, "k", "w");
        hit += bench.disk.heal().min(1);
        let seen = get(&store, "k");
        match answer {
            Ok(version) => assert_eq!((seen.value, seen.version), ("w".into(), version)),
            // Not acknowledged: there in full or not at all, and then the refresh is not lost.
            Err(_) if seen.value == "v" => assert_eq!(seen.version, refreshed),
            Err(_) => assert_eq!(seen.value, "w"),
        }
        let seen = get(&store, "k");
        bench.clock.advance(bench.options.retry_after);
        wait(store.flush()).unwrap();
        drop(store);
        assert_eq!(get(&bench.open(), "k"), seen, "after {after} calls");
    }
    assert!(hit > 5, "only {hit} calls were there to fail");
}

#[test]
fn no_thread_reads_a_version_before_one_that_was_acknowledged() {
    let bench = Bench::new();
    let store = &bench.open_refreshing();
    let acknowledged = &AtomicU64::new(get(store, "k").version);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let clock = &bench.clock;
            scope.spawn(move || {
                for turn in 0..400 {
                    clock.advance(Duration::from_millis(1));
                    let before = acknowledged.load(Ordering::SeqCst);
                    if turn % 40 == thread * 10 {
                        let value = if turn % 80 < 40 { "w" } else { "v" };
                        acknowledged.fetch_max(put(store, "k", value).unwrap(), Ordering::SeqCst);
                        continue;
                    }
                    let object = get(store, "k");
                    assert!(
                        object.version >= before,
                        "{} after {before}",
                        object.version
                    );
                    let again = NewObject::new(object.value, object.media_type).living(LIFE);
                    let when = When::Version(object.version);
                    if let Put::Stored { version } = wait(store.put("p", "k", again, when)).unwrap()
                    {
                        assert!(version > before);
                        acknowledged.fetch_max(version, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_tables_agree(store);
}
