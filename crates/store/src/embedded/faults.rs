//! Tests that fail the disk at every possible call and check the store's answers.

use super::schema::INLINE_BYTES_MAX;
use super::simulated::{Disk, DiskCall, Failure, assert_tables_agree, contents, open, wait};
use super::{EmbeddedOptions, EmbeddedStore};
use crate::{ManualClock, NewObject, ObjectStore, Put, StoreError, WallTime, When};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

const ENOSPC: ErrorKind = ErrorKind::StorageFull;
const EIO: ErrorKind = ErrorKind::Other;
const FOR_EVER: u64 = u64::MAX;

struct Bench {
    disk: Disk,
    options: EmbeddedOptions,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(WallTime(1_000_000)));
        let options = EmbeddedOptions {
            clock: clock.clone(),
            // Small, so that reads reach the disk.
            cache_bytes: 0,
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

    fn pause(&self) {
        self.clock.advance(self.options.retry_after);
    }

    fn fail(&self, calls: &[DiskCall], after: u64, times: u64, kind: ErrorKind) {
        self.disk.fail(Failure {
            calls: calls.to_vec(),
            after,
            times,
            kind,
        });
    }
}

fn fill(store: &EmbeddedStore) {
    for n in 0..30 {
        put(store, &format!("k{n}"), 400).unwrap();
    }
    put(store, "large", INLINE_BYTES_MAX * 2).unwrap();
}

fn put(store: &EmbeddedStore, key: &str, len: usize) -> Result<Put, StoreError> {
    let object = NewObject::new(vec![7; len], "a/b");
    wait(store.put("p", key, object, When::Always))
}

#[test]
fn a_full_disk_fails_the_write_keeps_the_reads_and_is_over_when_there_is_space() {
    let mut hit = 0;
    for after in 0..40 {
        let bench = Bench::new();
        let store = bench.open();
        fill(&store);
        let before = wait(contents(&store, &["p"]));

        bench.fail(
            &[DiskCall::Write, DiskCall::SetLen],
            after,
            FOR_EVER,
            ENOSPC,
        );
        let answer = put(&store, "new", 300_000);
        if bench.disk.heal() == 0 {
            answer.unwrap();
            continue;
        }
        hit += 1;
        bench.fail(&[DiskCall::Write, DiskCall::SetLen], 0, FOR_EVER, ENOSPC);
        assert!(matches!(answer, Err(StoreError::Io { .. })), "{answer:?}");
        let mut during = wait(contents(&store, &["p"]));
        // Not acknowledged, so the object may be there in full or not at all.
        during.remove(&("p".to_owned(), "new".to_owned()));
        assert_eq!(during, before, "after {after} calls");
        assert!(put(&store, "again", 10).is_err());
        bench.pause();
        assert!(put(&store, "again", 10).is_err());

        bench.disk.heal();
        bench.pause();
        put(&store, "again", 10).unwrap();
        assert_tables_agree(&store);
        let after = wait(contents(&store, &["p"]));
        assert!(
            before
                .iter()
                .all(|(key, object)| after.get(key) == Some(object))
        );
    }
    assert!(hit > 10, "only {hit} calls were there to fail");
}

#[test]
fn a_failed_sync_is_never_acknowledged_and_ends_the_writing_but_not_the_reading() {
    for after in 0..2 {
        let bench = Bench::new();
        let store = bench.open();
        fill(&store);
        let before = wait(contents(&store, &["p"]));

        bench.fail(&[DiskCall::Sync], after, 1, EIO);
        let answers = [put(&store, "new", 10), put(&store, "newer", 10)];
        assert_eq!(bench.disk.heal(), 1);
        assert!(answers.iter().any(|answer| answer.is_err()), "{answers:?}");

        for _ in 0..3 {
            bench.pause();
            let answer = put(&store, "later", 10);
            assert!(
                matches!(answer, Err(StoreError::ReadOnly { .. })),
                "{answer:?}"
            );
        }
        let during = wait(contents(&store, &["p"]));
        assert!(
            before
                .iter()
                .all(|(key, object)| during.get(key) == Some(object))
        );
    }
}

#[test]
fn a_failed_read_is_reported_and_the_next_one_works() {
    let mut hit = 0;
    for after in 0..12 {
        let bench = Bench::new();
        let store = bench.open();
        fill(&store);
        bench.fail(&[DiskCall::Read], after, 1, EIO);
        let answers: Vec<_> = (0..6)
            .map(|n| wait(store.get("p", &format!("k{n}"))))
            .collect();
        if bench.disk.heal() == 0 {
            continue;
        }
        hit += 1;
        assert!(answers.iter().any(Result::is_err));
        // A failed read wakes the writer, which recovers the database; a write waits for that.
        let _ = put(&store, "nudge", 1);
        assert!(wait(store.get("p", "large")).unwrap().is_some());
        bench.pause();
        put(&store, "later", 10).unwrap();
        assert_eq!(wait(store.keys("p", "k", 100)).unwrap().len(), 30);
    }
    assert!(hit > 3, "only {hit} calls were there to fail");
}

#[test]
fn a_disk_that_is_gone_is_an_error_and_not_a_hang_and_when_it_is_back_all_goes_on() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store);
    bench.fail(
        &[
            DiskCall::Read,
            DiskCall::Write,
            DiskCall::SetLen,
            DiskCall::Sync,
        ],
        0,
        FOR_EVER,
        EIO,
    );
    assert!(put(&store, "new", 10).is_err());
    assert!(wait(store.get("p", "k1")).is_err());
    bench.pause();
    assert!(put(&store, "new", 10).is_err());
    bench.disk.heal();
    bench.pause();
    // Writes continue only if no sync was among the failed calls.
    match put(&store, "new", 10) {
        Ok(_) => {}
        Err(StoreError::ReadOnly { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_rest_after_a_fault_does_not_outlast_a_clock_that_jumps_backward() {
    let bench = Bench::new();
    let store = bench.open();
    bench.fail(&[DiskCall::Write], 0, 1, ENOSPC);
    assert!(put(&store, "k", 10).is_err());
    bench.clock.set(WallTime(0));
    put(&store, "k", 10).unwrap();
}

#[test]
fn a_failed_commit_fails_every_write_in_it_and_leaves_none_in_part() {
    let bench = Bench::new();
    let store = bench.open();
    bench.fail(&[DiskCall::Write], 0, FOR_EVER, ENOSPC);
    let writes = (0..5)
        .map(|_| store.increment("p", "n", 1, Some(Duration::from_secs(60))))
        .collect();
    let answers = wait(super::simulated::together(writes));
    assert!(answers.iter().all(Result::is_err));
    bench.disk.heal();
    bench.pause();
    let sum = wait(store.increment("p", "n", 1, None)).unwrap();
    // The failed commits may have happened; writes rejected during the pause have not.
    assert!((1..=6).contains(&sum));
    assert_tables_agree(&store);
}
