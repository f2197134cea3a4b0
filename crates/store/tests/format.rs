//! Compatibility: files written by earlier versions are read correctly.
//!
//! `fixtures/v1.redb` was written by the first version of the format with [`write_v1`]. A new format adds a fixture and
//! keeps this one.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{START, wait};
use fusebox_store::{
    EmbeddedOptions, EmbeddedStore, ManualClock, NewObject, ObjectStore, Opened, Put, When,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.redb")
}

fn open(directory: &Path) -> (EmbeddedStore, Opened) {
    let options = EmbeddedOptions {
        clock: Arc::new(ManualClock::new(START)),
        ..EmbeddedOptions::default()
    };
    EmbeddedStore::open(directory, options).unwrap()
}

fn large() -> Vec<u8> {
    (0..100_000u32).map(|n| (n / 1_000) as u8).collect()
}

fn write_v1(store: &EmbeddedStore) {
    let put = |partition: &str, key: &str, object: NewObject| {
        wait(store.put(partition, key, object, When::Always)).unwrap();
    };
    put("flows", "plain", NewObject::text("a value"));
    put(
        "flows",
        "typed",
        NewObject::new(vec![0, 1, 255], "application/octet-stream"),
    );
    put(
        "flows",
        "mortal",
        NewObject::text("x").living(Duration::from_secs(60)),
    );
    put("flows", "large", NewObject::new(large(), "image/png"));
    put("breakers", "ä key", NewObject::new("", ""));
    put("breakers", "removed", NewObject::text("gone"));
    wait(store.remove("breakers", "removed", When::Always)).unwrap();
    wait(store.increment("breakers", "count", 42, None)).unwrap();
}

/// Writes the fixture, with `FUSEBOX_WRITE_FIXTURE=1`: once per format and never again.
#[test]
fn the_fixture_is_written_when_it_is_asked_for() {
    if std::env::var_os("FUSEBOX_WRITE_FIXTURE").is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    write_v1(&store);
    drop(store);
    let file = directory.path().join("objects.redb");
    redb::Database::open(&file).unwrap().compact().unwrap();
    assert!(
        !fixture().exists(),
        "there is a fixture; old formats stay as they are"
    );
    std::fs::copy(file, fixture()).unwrap();
}

#[test]
fn a_file_of_format_1_reads_as_it_was_written_and_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(fixture(), directory.path().join("objects.redb")).unwrap();
    let (store, opened) = open(directory.path());
    assert_eq!(opened, Opened::Existing);
    let get = |partition: &str, key: &str| wait(store.get(partition, key)).unwrap().unwrap();

    let plain = get("flows", "plain");
    assert_eq!((plain.value.as_ref(), plain.version), (&b"a value"[..], 1));
    assert_eq!(
        (plain.media_type.as_str(), plain.expires_at),
        ("text/plain", None)
    );
    let typed = get("flows", "typed");
    assert_eq!(typed.value.as_ref(), [0, 1, 255]);
    assert_eq!(typed.media_type, "application/octet-stream");
    let end = START.after(Duration::from_secs(60));
    assert_eq!(get("flows", "mortal").expires_at, Some(end));
    assert!(get("flows", "large").value == large());
    assert_eq!(get("breakers", "ä key").media_type, "");
    assert_eq!(get("breakers", "count").value, "42");
    let keys = |partition: &str| wait(store.keys(partition, "", 100)).unwrap();
    assert_eq!(keys("flows"), ["large", "mortal", "plain", "typed"]);
    assert_eq!(keys("breakers"), ["count", "ä key"]);

    let again = wait(store.put("flows", "new", NewObject::text(""), When::Always)).unwrap();
    assert_eq!(again, Put::Stored { version: 8 });
    assert_eq!(wait(store.clear("flows")).unwrap(), 5);
}
