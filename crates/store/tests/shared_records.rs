//! The guarantees of every store of shared records.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_store::{
    Fault, ManualClock, StoreError, WallTime,
    records::{Change, Changed, HostileRecords, MemoryRecords, Push, SharedRecords},
};

/// Adds its first argument to a decimal number that lives for a minute. 0 leaves the number unchanged; a negative argument
/// is not pushed.
const ADD: Change = Change {
    name: "add",
    lua: "local by = tonumber(args[1])
          if by == 0 then return end
          return string.format('%d', (tonumber(record) or 0) + by), 60000, by > 0",
    rust: |record, args, _now| {
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<i64>().unwrap();
        let by = number(&args[0]);
        if by == 0 {
            return Changed::Kept;
        }
        Changed::Written {
            record: (record.map_or(0, number) + by).to_string().into(),
            live_for: Duration::from_secs(60),
            push: by > 0,
        }
    },
};

fn on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

fn records() -> (Arc<ManualClock>, MemoryRecords) {
    let clock = Arc::new(ManualClock::new(WallTime(1_000)));
    (clock.clone(), MemoryRecords::new(clock))
}

async fn add(records: &impl SharedRecords, key: &str, by: i64) -> Option<Bytes> {
    let args = [Bytes::from(by.to_string())];
    records.apply(key, &ADD, &args).await.unwrap().record
}

#[test]
fn a_change_returns_the_record_right_after_it_and_the_time_it_received() {
    on(async {
        let (clock, records) = records();
        assert_eq!(add(&records, "a", 0).await, None);
        assert_eq!(add(&records, "a", 2).await.unwrap(), "2");
        clock.advance(Duration::from_secs(1));
        let applied = records.apply("a", &ADD, &["3".into()]).await.unwrap();
        assert_eq!(applied.record.unwrap(), "5");
        assert_eq!(applied.now, WallTime(2_000));
        assert_eq!(add(&records, "a", 0).await.unwrap(), "5");
    });
}

#[test]
fn a_record_ends_with_its_life_and_a_change_that_keeps_it_does_not_lengthen_it() {
    on(async {
        let (clock, records) = records();
        add(&records, "a", 1).await;
        clock.advance(Duration::from_millis(59_999));
        assert_eq!(add(&records, "a", 0).await.unwrap(), "1");
        clock.advance(Duration::from_millis(1));
        assert_eq!(add(&records, "a", 0).await, None);
        assert_eq!(add(&records, "a", 1).await.unwrap(), "1");
    });
}

#[test]
fn records_are_read_in_the_order_of_their_keys() {
    on(async {
        let (_, records) = records();
        add(&records, "a", 1).await;
        add(&records, "b", 2).await;
        let read = records.read(&["b", "none", "a"]).await.unwrap();
        let texts: Vec<_> = read.records.iter().map(Option::as_deref).collect();
        assert_eq!(texts, [Some(&b"2"[..]), None, Some(&b"1"[..])]);
        assert_eq!(read.now, WallTime(1_000));
    });
}

#[test]
fn a_subscriber_gets_a_gap_first_and_then_the_records_it_follows() {
    on(async {
        let (_, records) = records();
        let mut pushes = records.subscribe().await.unwrap();
        pushes.follow("a");
        assert_eq!(pushes.next().await, Push::Gap);
        add(&records, "other", 1).await;
        add(&records, "a", 5).await;
        add(&records, "a", -1).await;
        add(&records, "a", 3).await;
        let heard = |record: &'static str| Push::Record {
            key: "a".to_owned(),
            record: record.into(),
        };
        assert_eq!(pushes.next().await, heard("5"));
        assert_eq!(pushes.next().await, heard("7"));
        pushes.unfollow("a");
        pushes.follow("b");
        add(&records, "a", 1).await;
        add(&records, "b", 1).await;
        assert!(matches!(pushes.next().await, Push::Record { key, .. } if key == "b"));
    });
}

#[test]
fn a_subscriber_that_is_too_slow_gets_a_gap() {
    on(async {
        let (_, records) = records();
        let mut pushes = records.subscribe().await.unwrap();
        pushes.follow("a");
        assert_eq!(pushes.next().await, Push::Gap);
        for _ in 0..2_000 {
            add(&records, "a", 1).await;
        }
        assert_eq!(pushes.next().await, Push::Gap);
    });
}

#[test]
fn a_key_that_is_none_is_refused() {
    on(async {
        let (_, records) = records();
        for key in [String::new(), "x".repeat(513)] {
            let applied = records.apply(&key, &ADD, &["1".into()]).await;
            assert!(matches!(applied, Err(StoreError::InvalidKey { .. })));
            let read = records.read(&[&key]).await;
            assert!(matches!(read, Err(StoreError::InvalidKey { .. })));
        }
    });
}

#[test]
fn hostile_records_harm_as_planned() {
    on(async {
        let (_, records) = records();
        let records = HostileRecords::new(records);
        records.plan([Fault::Fail, Fault::LoseAnswer, Fault::Lie, Fault::Tear]);
        let args = [Bytes::from("10")];
        assert!(records.apply("a", &ADD, &args).await.is_err());
        assert!(records.apply("a", &ADD, &args).await.is_err());
        assert_eq!(records.apply("a", &ADD, &args).await.unwrap().record, None);
        assert_eq!(add(&records, "a", 10).await.unwrap(), "2");
        assert_eq!(add(&records, "a", 0).await.unwrap(), "20");
        assert_eq!(records.calls(), 5);

        let mut pushes = records.subscribe().await.unwrap();
        pushes.follow("a");
        assert_eq!(pushes.next().await, Push::Gap);
        records.lose_pushes(true);
        add(&records, "a", 1).await;
        tokio::select! {
            biased;
            push = pushes.next() => panic!("{push:?} was to be lost"),
            () = std::future::ready(()) => {}
        }
        records.lose_pushes(false);
        add(&records, "a", 1).await;
        assert!(matches!(pushes.next().await, Push::Record { record, .. } if record == "22"));
    });
}
