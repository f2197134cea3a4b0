//! Shared records on a server behave like those in memory, and recover from the server's faults.

use crate::common::{START, patient};
use bytes::Bytes;
use fusebox_store::testing::{Proxy, Server};
use fusebox_store::{
    Clock, ManualClock, StoreError, ValkeyOptions, WallTime,
    records::{Change, Changed, MemoryRecords, Push, Pushes, SharedRecords, ValkeyRecords},
};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// Adds its first argument to a decimal number that lives for two seconds. 0 leaves the number unchanged; a negative
/// argument is not pushed.
const ADD: Change = Change {
    name: "add",
    lua: "local by = tonumber(args[1])
          if by == 0 then return end
          local number = string.match(record or '', '^-?%d+$') or 0
          return string.format('%d', number + by), 2000, by > 0",
    rust: |record, args, _now| {
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<i64>().ok();
        let by = number(&args[0]).unwrap();
        if by == 0 {
            return Changed::Kept;
        }
        Changed::Written {
            record: (record.and_then(number).unwrap_or(0) + by)
                .to_string()
                .into(),
            live_for: Duration::from_secs(2),
            push: by > 0,
        }
    },
};

/// Stores its first argument with the time, for as many milliseconds as the second argument.
const KEEP: Change = Change {
    name: "keep",
    lua: "return args[1] .. string.format('@%.0f', now), tonumber(args[2]), true",
    rust: |_record, args, now| Changed::Written {
        record: [&args[0][..], format!("@{}", now.0).as_bytes()]
            .concat()
            .into(),
        live_for: Duration::from_millis(std::str::from_utf8(&args[1]).unwrap().parse().unwrap()),
        push: true,
    },
};

fn on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let limit = Duration::from_secs(60);
    runtime.unwrap().block_on(async {
        let done = tokio::time::timeout(limit, work).await;
        done.expect("nothing here takes a minute")
    })
}

fn open(server: &Server) -> ValkeyRecords {
    ValkeyRecords::open(patient(&server.url())).unwrap()
}

async fn add(
    records: &impl SharedRecords,
    key: &str,
    by: i64,
) -> Result<Option<Bytes>, StoreError> {
    let args = [Bytes::from(by.to_string())];
    Ok(records.apply(key, &ADD, &args).await?.record)
}

/// Repeats a change until it succeeds.
async fn comes_back(records: &ValkeyRecords, key: &str) -> Bytes {
    loop {
        if let Ok(record) = add(records, key, 1).await {
            return record.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn heard(key: &str, record: &'static str) -> Push {
    Push::Record {
        key: key.to_owned(),
        record: record.into(),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(usize, i64),
    Keep(usize, Vec<u8>, u64),
    Clock(i64),
    Read(Vec<usize>),
}

/// Keys that could confuse the names on the server.
const KEYS: [&str; 4] = ["a", "{a}", "a:%7D é", "route GET /orders"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..KEYS.len(), -2i64..4).prop_map(|(key, by)| Step::Add(key, by)),
        3 => (0..KEYS.len(), any::<Vec<u8>>(), 0u64..3_000)
            .prop_map(|(key, bytes, life)| Step::Keep(key, bytes, life)),
        3 => (-500i64..2_500).prop_map(Step::Clock),
        2 => prop::collection::vec(0..KEYS.len(), 0..6).prop_map(Step::Read),
    ]
}

async fn run(records: &impl SharedRecords, step: &Step) -> String {
    match step {
        Step::Add(key, by) => {
            let args = [Bytes::from(by.to_string())];
            format!("{:?}", records.apply(KEYS[*key], &ADD, &args).await)
        }
        Step::Keep(key, bytes, life) => {
            let args = [bytes.clone().into(), Bytes::from(life.to_string())];
            format!("{:?}", records.apply(KEYS[*key], &KEEP, &args).await)
        }
        Step::Read(keys) => {
            let keys: Vec<_> = keys.iter().map(|key| KEYS[*key]).collect();
            format!("{:?}", records.read(&keys).await)
        }
        Step::Clock(_) => format!("{:?}", records.now().await),
    }
}

async fn following(records: &impl SharedRecords) -> Box<dyn Pushes> {
    let mut pushes = records.subscribe().await.unwrap();
    for key in KEYS {
        pushes.follow(key);
    }
    assert_eq!(pushes.next().await, Push::Gap);
    pushes
}

async fn compare(server: &Server, steps: &[Step]) -> Result<(), TestCaseError> {
    let clock = Arc::new(ManualClock::new(START));
    let memory = MemoryRecords::new(clock.clone());
    let mut options = patient(&server.url());
    options.clock = Some(clock.clone());
    let valkey = ValkeyRecords::open(options).unwrap();
    let (mut ours, mut theirs) = (following(&memory).await, following(&valkey).await);
    for step in steps {
        if let Step::Clock(by) = step {
            clock.set(WallTime(clock.now().0.saturating_add_signed(*by)));
        }
        prop_assert_eq!(
            run(&memory, step).await,
            run(&valkey, step).await,
            "{:?}",
            step
        );
    }
    // The last push of each subscriber is the same, so all earlier ones are compared as well.
    for records in [&memory as &dyn SharedRecords, &valkey] {
        let args = [Bytes::from("end"), Bytes::from("1")];
        records.apply("a", &KEEP, &args).await.unwrap();
    }
    loop {
        let (one, other) = (ours.next().await, theirs.next().await);
        prop_assert_eq!(&one, &other);
        if matches!(one, Push::Record { record, .. } if record.starts_with(b"end@")) {
            return Ok(());
        }
    }
}

#[test]
fn records_on_a_server_behave_like_records_in_memory() {
    let server = Server::start();
    let config = ProptestConfig {
        cases: if std::env::var_os("FUSEBOX_PROVE").is_some() {
            2_000
        } else {
            32
        },
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| {
        server.ask("FLUSHALL");
        on(compare(&server, &steps))?;
    });
}

#[test]
fn a_record_ends_by_itself_on_the_servers_clock() {
    let server = Server::start();
    on(async {
        let records = open(&server);
        let args = [Bytes::from("x"), Bytes::from("60000")];
        let applied = records.apply("a", &KEEP, &args).await.unwrap();
        let left: u64 = server.ask("PTTL fusebox:v1:records:{a}").parse().unwrap();
        assert!((1..=60_000).contains(&left), "{left}");
        assert!(records.now().await.unwrap() >= applied.now);
        let args = [Bytes::from("x"), Bytes::from("1")];
        records.apply("a", &KEEP, &args).await.unwrap();
        server.wait_until("EXISTS fusebox:v1:records:{a}", &["0"]);
    });
}

#[test]
fn many_records_are_read_in_their_order() {
    let server = Server::start();
    on(async {
        let records = open(&server);
        for n in [0, 499, 500, 1_100] {
            add(&records, &format!("k{n}"), n + 1).await.unwrap();
        }
        let keys: Vec<_> = (0..1_200).map(|n| format!("k{n}")).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let read = records.read(&keys).await.unwrap();
        assert_eq!(read.records.len(), keys.len());
        let found: Vec<_> = read.records.iter().flatten().collect();
        assert_eq!(found, ["1", "500", "501", "1101"]);
        assert_eq!(read.records[500].as_ref().unwrap(), "501");
    });
}

#[test]
fn a_subscriber_gets_a_gap_and_new_pushes_after_its_server_was_killed() {
    let mut server = Server::start();
    on(async {
        let records = open(&server);
        let mut pushes = records.subscribe().await.unwrap();
        pushes.follow("a");
        assert_eq!(pushes.next().await, Push::Gap);
        add(&records, "a", 1).await.unwrap();
        assert_eq!(pushes.next().await, heard("a", "1"));
        server.kill();
        server.restart();
        comes_back(&records, "b").await;
        assert_eq!(pushes.next().await, Push::Gap);
        add(&records, "a", 5).await.unwrap();
        assert_eq!(pushes.next().await, heard("a", "5"));
    });
}

#[test]
fn a_subscription_may_begin_while_the_server_is_down() {
    let mut server = Server::start();
    server.kill();
    on(async {
        let records = open(&server);
        let mut pushes = records.subscribe().await.unwrap();
        pushes.follow("a");
        server.restart();
        assert_eq!(pushes.next().await, Push::Gap);
        comes_back(&records, "a").await;
        assert_eq!(pushes.next().await, heard("a", "1"));
        // A second subscriber gets a gap at once, and then only the keys that it follows.
        let mut second = records.subscribe().await.unwrap();
        second.follow("b");
        assert_eq!(second.next().await, Push::Gap);
        add(&records, "a", 1).await.unwrap();
        add(&records, "b", 7).await.unwrap();
        assert_eq!(second.next().await, heard("b", "7"));
        assert_eq!(pushes.next().await, heard("a", "2"));
    });
}

#[test]
fn pushes_that_were_cut_off_silently_become_a_gap() {
    let server = Server::start();
    let way = Proxy::to(server.port());
    on(async {
        let near = open(&server);
        let mut options = patient(&way.url());
        // An attempt that is swallowed, too, must be given up soon.
        options.connect_timeout = Duration::from_millis(500);
        let far = ValkeyRecords::open(options).unwrap();
        let mut pushes = far.subscribe().await.unwrap();
        pushes.follow("a");
        assert_eq!(pushes.next().await, Push::Gap);
        way.swallow(true);
        add(&near, "a", 1).await.unwrap();
        while far.trouble().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        way.swallow(false);
        // Remains of the old connection, if any arrive, do no harm.
        while pushes.next().await != Push::Gap {}
        comes_back(&near, "a").await;
        assert!(matches!(pushes.next().await, Push::Record { .. }));
    });
}

#[test]
fn a_subscriber_that_is_too_slow_gets_a_gap() {
    let server = Server::start();
    on(async {
        let records = open(&server);
        let mut pushes = records.subscribe().await.unwrap();
        pushes.follow("a");
        assert_eq!(pushes.next().await, Push::Gap);
        for _ in 0..2_000 {
            add(&records, "a", 1).await.unwrap();
        }
        while pushes.next().await != Push::Gap {}
    });
}

#[test]
fn a_frozen_server_fails_a_change_in_time() {
    let server = Server::start();
    let mut options = ValkeyOptions::parse(&server.url()).unwrap();
    options.timeout = Duration::from_millis(300);
    let records = ValkeyRecords::open(options).unwrap();
    on(async {
        comes_back(&records, "a").await;
        server.pause();
        let frozen = add(&records, "a", 1).await;
        assert!(matches!(frozen, Err(StoreError::NotAvailable { .. })));
        server.resume();
        comes_back(&records, "a").await;
    });
}

#[test]
fn foreign_data_under_a_record_is_an_empty_record_that_a_change_overwrites() {
    let server = Server::start();
    on(async {
        let records = open(&server);
        add(&records, "a", 1).await.unwrap();
        server.ask("SCRIPT FLUSH");
        assert_eq!(add(&records, "a", 1).await.unwrap().unwrap(), "2");
        add(&records, "b", 7).await.unwrap();
        for foreign in [
            "SET fusebox:v1:records:{a} foreign",
            "SET fusebox:v1:records:{a} 12",
            "LPUSH fusebox:v1:records:{a} x",
            "HSET fusebox:v1:records:{a} x 1",
            "XADD fusebox:v1:records:{a} * x 1",
            "SETBIT fusebox:v1:records:{a} 100000000 1",
        ] {
            server.ask("DEL fusebox:v1:records:{a}");
            server.ask(foreign);
            // A foreign record must not hide the others.
            let read = records.read(&["a", "b", "c"]).await.unwrap();
            let found = [Some(Bytes::new()), Some("7".into()), None];
            assert_eq!(read.records, found, "{foreign}");
            assert_eq!(add(&records, "a", 0).await.unwrap().unwrap(), "");
            assert_eq!(add(&records, "a", 1).await.unwrap().unwrap(), "1");
            assert_eq!(
                records.read(&["a"]).await.unwrap().records[0].as_deref(),
                Some(&b"1"[..])
            );
        }
    });
}

#[test]
fn many_long_records_are_read_in_several_answers() {
    let server = Server::start();
    on(async {
        let records = open(&server);
        let keys: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
        for (number, key) in keys.iter().enumerate() {
            let text = Bytes::from("x".repeat(1_000 * (number % 20) * 10));
            let args = [text, Bytes::from("60000")];
            records.apply(key, &KEEP, &args).await.unwrap();
        }
        let asked: Vec<&str> = keys.iter().map(String::as_str).chain(["none"]).collect();
        let read = records.read(&asked).await.unwrap();
        assert_eq!(read.records.len(), 41);
        for (number, record) in read.records.iter().take(40).enumerate() {
            let length = record
                .as_ref()
                .unwrap()
                .iter()
                .filter(|byte| **byte == b'x')
                .count();
            assert_eq!(length, 10_000 * (number % 20));
        }
        assert_eq!(read.records[40], None);
        let args = [Bytes::from("x".repeat(300_000)), Bytes::from("60000")];
        let kept = records.apply("k0", &KEEP, &args).await.unwrap();
        assert_eq!(kept.record, read.records[0], "too long to be written");
    });
}

#[test]
fn a_change_that_fails_on_the_server_is_an_error_and_changes_nothing() {
    const WRONG: Change = Change {
        name: "wrong",
        lua: "return nothing.at.all",
        rust: |_, _, _| Changed::Kept,
    };
    let server = Server::start();
    on(async {
        let records = open(&server);
        add(&records, "a", 1).await.unwrap();
        let error = records.apply("a", &WRONG, &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::NotAvailable { .. }), "{error}");
        assert_eq!(add(&records, "a", 0).await.unwrap().unwrap(), "1");
    });
}

#[test]
fn a_key_that_is_none_is_refused() {
    let server = Server::start();
    on(async {
        let records = open(&server);
        for key in [String::new(), "x".repeat(513)] {
            let applied = add(&records, &key, 1).await;
            assert!(matches!(applied, Err(StoreError::InvalidKey { .. })));
            let read = records.read(&[&key]).await;
            assert!(matches!(read, Err(StoreError::InvalidKey { .. })));
        }
    });
}
