//! The Valkey store with a server that is unavailable, slow, full, foreign or replaced.

use crate::common::{patient, wait};
use fusebox_store::testing::{Proxy, Server};
use fusebox_store::{NewObject, ObjectStore, Put, StoreError, ValkeyOptions, ValkeyStore, When};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// The time limit of an operation: long enough for a busy machine, short enough for a test that waits for it.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The delay beyond the timeout, on a busy machine, after which a call counts as hung.
const SLACK: Duration = Duration::from_secs(5);

fn store(url: &str) -> ValkeyStore {
    let mut options = ValkeyOptions::parse(url).unwrap();
    options.timeout = TIMEOUT;
    ValkeyStore::open(options).unwrap()
}

fn put(store: &ValkeyStore, key: &str) -> Result<Put, StoreError> {
    wait(store.put("p", key, NewObject::text("v"), When::Always))
}

fn version(put: Put) -> u64 {
    match put {
        Put::Stored { version } => version,
        refused => panic!("{refused:?}"),
    }
}

fn has(store: &ValkeyStore, key: &str) -> Result<bool, StoreError> {
    Ok(wait(store.get("p", key))?.is_some())
}

/// Runs a call that must fail in time, and returns its error.
#[allow(
    clippy::disallowed_methods,
    reason = "measures that a call does not hang"
)]
fn fails<T: std::fmt::Debug>(call: impl FnOnce() -> Result<T, StoreError>) -> String {
    let start = Instant::now();
    let error = call().unwrap_err();
    assert!(start.elapsed() < TIMEOUT + SLACK, "{:?}", start.elapsed());
    assert!(matches!(error, StoreError::NotAvailable { .. }), "{error}");
    error.to_string()
}

/// Repeats a call until it succeeds, as the owner of a store would, without reopening the store.
#[allow(clippy::disallowed_methods, reason = "waits for an event with a limit")]
fn comes_back<T>(mut call: impl FnMut() -> Result<T, StoreError>) -> T {
    let start = Instant::now();
    loop {
        match call() {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_store_opens_while_its_server_is_down_and_works_once_it_is_up() {
    let mut server = Server::start();
    server.kill();
    let store = store(&server.url());
    let said = fails(|| put(&store, "k"));
    assert!(
        said.contains(&server.url()) && said.contains("start it"),
        "{said}"
    );
    assert!(store.trouble().is_some());
    server.restart();
    comes_back(|| put(&store, "k"));
    assert!(has(&store, "k").unwrap());
    assert_eq!(store.trouble(), None);
}

#[test]
fn a_killed_server_fails_calls_and_a_new_one_takes_them_again() {
    let mut server = Server::start();
    let store = store(&server.url());
    comes_back(|| put(&store, "k"));
    server.kill();
    fails(|| put(&store, "k"));
    server.restart();
    assert!(!comes_back(|| has(&store, "k")));
    comes_back(|| put(&store, "k"));
}

#[test]
fn a_frozen_server_costs_a_call_its_timeout_and_later_ones_nothing() {
    let server = Server::start();
    let store = store(&server.url());
    comes_back(|| put(&store, "k"));
    server.pause();
    fails(|| put(&store, "k"));
    // The next call may wait for the first attempt at a new connection, which fails as well.
    fails(|| put(&store, "k"));
    server.resume();
    assert!(comes_back(|| has(&store, "k")));
}

#[test]
fn a_slow_network_fails_calls_in_time_and_a_late_answer_is_not_taken_for_another() {
    let server = Server::start();
    let way = Proxy::to(server.port());
    let store = store(&way.url());
    comes_back(|| put(&store, "there"));
    way.delay(TIMEOUT * 2);
    fails(|| has(&store, "there"));
    way.delay(Duration::ZERO);
    // The late answer "there is one" must not be taken for the answer to this request.
    assert!(!comes_back(|| has(&store, "not there")));
}

#[test]
fn a_line_cut_without_a_word_is_found_without_a_call() {
    let server = Server::start();
    let way = Proxy::to(server.port());
    let store = store(&way.url());
    comes_back(|| put(&store, "k"));
    way.swallow(true);
    comes_back(|| {
        store.trouble().map(drop).ok_or(StoreError::NotAvailable {
            why: "no trouble".into(),
        })
    });
    fails(|| put(&store, "k"));
    way.swallow(false);
    comes_back(|| put(&store, "k"));
}

#[test]
fn connections_that_are_ended_at_once_are_made_again() {
    let server = Server::start();
    let way = Proxy::to(server.port());
    let store = store(&way.url());
    comes_back(|| put(&store, "k"));
    way.refuse(true);
    fails(|| put(&store, "k"));
    way.refuse(false);
    assert!(comes_back(|| has(&store, "k")));
}

#[test]
fn a_replica_is_read_from_and_named_when_it_refuses_a_write() {
    let (primary, replica) = (Server::start(), Server::start());
    let store = store(&replica.url());
    comes_back(|| put(&store, "k"));
    replica.ask(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    let said = comes_back(|| match put(&store, "k") {
        Err(StoreError::NotAvailable { why }) if why.contains("replica") => Ok(why),
        other => Err(StoreError::NotAvailable {
            why: format!("{other:?}"),
        }),
    });
    assert!(said.contains("primary"), "{said}");
    replica.ask("REPLICAOF NO ONE");
    comes_back(|| put(&store, "k"));
    assert!(has(&store, "k").unwrap());
}

#[test]
fn a_failover_that_lost_a_write_gives_no_version_twice() {
    let (mut primary, replica) = (Server::start(), Server::start());
    let before = store(&primary.url());
    comes_back(|| put(&before, "k"));
    replica.ask(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    let after = store(&replica.url());
    assert!(comes_back(|| match has(&after, "k") {
        Ok(false) => Err(StoreError::NotAvailable {
            why: "not replicated".into()
        }),
        other => other,
    }));
    // The replica receives nothing from here on, so this write will be lost.
    replica.ask("REPLICAOF NO ONE");
    let lost = version(put(&before, "k").unwrap());
    primary.kill();
    let object = NewObject::text("over the lost one");
    let over = wait(after.put("p", "k", object, When::Version(lost))).unwrap();
    assert!(
        matches!(over, Put::Refused { current: Some(_) }),
        "{over:?}"
    );
    assert!(version(put(&after, "k").unwrap()) > lost);
}

#[test]
fn forgotten_scripts_are_sent_again() {
    let server = Server::start();
    let store = ValkeyStore::open(patient(&server.url())).unwrap();
    put(&store, "k").unwrap();
    server.ask("SCRIPT FLUSH");
    put(&store, "k").unwrap();
    assert!(has(&store, "k").unwrap());
}

#[test]
fn after_a_flush_everything_is_gone_and_versions_still_rise() {
    let server = Server::start();
    let store = ValkeyStore::open(patient(&server.url())).unwrap();
    let before = version(put(&store, "k").unwrap());
    server.ask("FLUSHALL");
    assert!(!has(&store, "k").unwrap());
    assert!(version(put(&store, "k").unwrap()) > before);
    // The list of partitions is restored, too, so a sweep finds the expired object.
    let short = NewObject::text("v").living(Duration::from_millis(1));
    wait(store.put("p", "short", short, When::Always)).unwrap();
    let swept = comes_back(|| match wait(store.sweep(10))? {
        0 => Err(StoreError::NotAvailable {
            why: "nothing swept".into(),
        }),
        swept => Ok(swept),
    });
    assert_eq!(swept, 1);
}

#[test]
fn a_full_server_refuses_puts_whole_and_goes_on_reading_and_removing() {
    let server = Server::start();
    let store = ValkeyStore::open(patient(&server.url())).unwrap();
    put(&store, "k").unwrap();
    wait(store.increment("p", "n", 7, None)).unwrap();
    server.ask("CONFIG SET maxmemory-policy noeviction");
    server.ask("CONFIG SET maxmemory 1");
    for error in [
        put(&store, "new").unwrap_err(),
        wait(store.increment("p", "n", 1, None)).unwrap_err(),
    ] {
        assert!(error.to_string().contains("maxmemory"), "{error}");
    }
    assert_eq!(wait(store.keys("p", "", 9)).unwrap(), ["k", "n"]);
    assert_eq!(wait(store.get("p", "n")).unwrap().unwrap().value, "7");
    assert!(
        wait(store.remove("p", "k", When::Always))
            .unwrap()
            .is_some()
    );
    server.ask("CONFIG SET maxmemory 0");
    put(&store, "new").unwrap();
    assert_eq!(wait(store.keys("p", "", 9)).unwrap(), ["n", "new"]);
}

const PARTS: [&str; 6] = ["values", "types", "written", "ends", "names", "state"];

#[test]
fn foreign_data_under_the_keys_is_reported_and_clear_repairs_it() {
    let server = Server::start();
    let store = ValkeyStore::open(patient(&server.url())).unwrap();
    for part in PARTS {
        put(&store, "k").unwrap();
        let key = format!("fusebox:v1:objects:{{p}}:{part}");
        server.ask(&format!("DEL {key}"));
        server.ask(&format!("SET {key} foreign"));
        for error in [
            has(&store, "k").err(),
            put(&store, "k").err(),
            wait(store.increment("p", "k", 1, None)).err(),
            wait(store.remove("p", "k", When::Always)).err(),
            wait(store.keys("p", "", 1)).err(),
            wait(store.sweep(1)).err(),
        ] {
            match error {
                Some(StoreError::Damaged { place, .. }) => assert!(place.contains("\"p\"")),
                other => panic!("{part}: {other:?}"),
            }
        }
        assert_eq!(server.ask(&format!("GET {key}")), "foreign");
        wait(store.clear("p")).unwrap();
    }
    put(&store, "k").unwrap();
}

#[test]
fn a_partition_of_which_a_part_was_evicted_is_named_and_the_others_are_swept() {
    let server = Server::start();
    let store = ValkeyStore::open(patient(&server.url())).unwrap();
    put(&store, "k").unwrap();
    let short = NewObject::text("v").living(Duration::from_millis(1));
    wait(store.put("q", "short", short, When::Always)).unwrap();
    server.ask("DEL fusebox:v1:objects:{p}:ends");
    assert!(matches!(has(&store, "k"), Err(StoreError::Damaged { .. })));
    comes_back(|| match wait(store.get("q", "short"))? {
        Some(_) => Err(StoreError::NotAvailable {
            why: "still there".into(),
        }),
        None => Ok(()),
    });
    assert!(matches!(
        wait(store.sweep(9)),
        Err(StoreError::Damaged { .. })
    ));
    assert_eq!(server.ask("EXISTS fusebox:v1:objects:{q}:values"), "0");
}

#[test]
fn a_wrong_password_is_named_not_shown_and_mended_at_the_server() {
    let server = Server::with(&["--requirepass", "right-one"]);
    let url = server.url().replace("redis://", "redis://:wrong-one@");
    let store = store(&url);
    let said = fails(|| put(&store, "k"));
    assert!(
        said.contains("password") && !said.contains("wrong-one"),
        "{said}"
    );
    server.ask("CONFIG SET requirepass wrong-one");
    comes_back(|| put(&store, "k"));
}

#[test]
fn a_user_without_rights_gets_an_error_that_names_them() {
    let server = Server::start();
    server.ask("ACL SETUSER ann on >secret ~other:* +@all");
    let url = server.url().replace("redis://", "redis://ann:secret@");
    let store = ValkeyStore::open(patient(&url)).unwrap();
    let said = put(&store, "k").unwrap_err().to_string();
    assert!(said.contains("access list"), "{said}");
    server.ask("ACL SETUSER ann ~fusebox:*");
    put(&store, "k").unwrap();
}

#[test]
fn more_calls_than_may_wait_are_refused_at_once() {
    let server = Server::start();
    let mut options = patient(&server.url());
    options.limits.waiting_writes_max = 1;
    let store = ValkeyStore::open(options).unwrap();
    put(&store, "k").unwrap();
    server.pause();
    let mut first = store.get("p", "k");
    let waker = Waker::noop();
    assert!(
        first
            .as_mut()
            .poll(&mut Context::from_waker(waker))
            .is_pending()
    );
    let said = fails(|| has(&store, "k"));
    assert!(said.contains("waiting_writes_max"), "{said}");
    server.resume();
    assert!(wait(first).unwrap().is_some());
}

#[test]
fn dropping_a_store_ends_its_thread_while_its_server_is_frozen() {
    let server = Server::start();
    let store = store(&server.url());
    comes_back(|| put(&store, "k"));
    server.pause();
    drop(store);
}

#[test]
fn more_keys_than_one_answer_holds_are_listed_all_the_same() {
    let server = Server::start();
    let store = ValkeyStore::open(patient(&server.url())).unwrap();
    let name = |number: usize| format!("{number:04}{}", "\u{1d11e}".repeat(240));
    for number in 0..1_200 {
        put(&store, &name(number)).unwrap();
    }
    let all: Vec<String> = (0..1_200).map(name).collect();
    assert_eq!(wait(store.keys("p", "", usize::MAX)).unwrap(), all);
    assert_eq!(wait(store.keys("p", "", 1_150)).unwrap(), all[..1_150]);
    assert_eq!(
        wait(store.keys("p", "1", usize::MAX)).unwrap(),
        all[1_000..]
    );
}
