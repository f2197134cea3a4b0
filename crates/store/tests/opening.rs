//! Opening a file that is damaged, in use, foreign, newer or old.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::wait;
use fusebox_store::{
    Durability, EmbeddedOptions, EmbeddedStore, NewObject, ObjectStore, OnDamage, Opened,
    StoreError, When,
};
use redb::TableDefinition;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

fn open(directory: &Path) -> Result<(EmbeddedStore, Opened), StoreError> {
    EmbeddedStore::open(directory, EmbeddedOptions::default())
}

fn put(store: &EmbeddedStore, key: &str, len: usize) {
    let object = NewObject::new(vec![b'x'; len], "text/plain");
    wait(store.put("p", key, object, When::Always)).unwrap();
}

/// Makes a directory with a store of a hundred objects, closed properly.
fn filled() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        durability: Durability::Process,
        ..EmbeddedOptions::default()
    };
    let (store, opened) = EmbeddedStore::open(directory.path(), options).unwrap();
    assert_eq!(opened, Opened::Fresh);
    for n in 0..100 {
        put(
            &store,
            &format!("k{n}"),
            if n % 10 == 0 { 70_000 } else { 100 },
        );
    }
    drop(store);
    let file = directory.path().join("objects.redb");
    (directory, file)
}

fn set_aside(damage: impl FnOnce(&mut Vec<u8>)) -> Option<String> {
    let (_directory, file) = filled();
    damaged(&std::fs::read(file).unwrap(), damage)
}

/// Damages a file, opens it as a store, and returns the reported damage.
fn damaged(whole: &[u8], damage: impl FnOnce(&mut Vec<u8>)) -> Option<String> {
    let mut bytes = whole.to_vec();
    damage(&mut bytes);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("objects.redb"), &bytes).unwrap();
    let (store, opened) = open(directory.path()).unwrap();
    match opened {
        Opened::SetAside { path, why } => {
            assert_eq!(
                std::fs::read(path).unwrap(),
                bytes,
                "the damaged file is kept as it was"
            );
            assert!(wait(store.keys("p", "", 10)).unwrap().is_empty());
            put(&store, "new", 10);
            drop(store);
            let (store, opened) = open(directory.path()).unwrap();
            assert_eq!(opened, Opened::Existing);
            assert_eq!(wait(store.keys("p", "", 10)).unwrap(), ["new"]);
            Some(why)
        }
        Opened::Existing => {
            // Only a change outside the pages in use may stay undetected.
            assert_eq!(wait(store.keys("p", "", 1_000)).unwrap().len(), 100);
            for n in 0..100 {
                let object = wait(store.get("p", &format!("k{n}"))).unwrap().unwrap();
                assert!(object.value.iter().all(|byte| *byte == b'x'));
            }
            None
        }
        Opened::Fresh => panic!("a damaged file was taken for none"),
    }
}

#[test]
fn an_empty_file_is_set_aside() {
    assert!(set_aside(Vec::clear).unwrap().contains("empty"));
}

#[test]
fn garbage_is_set_aside() {
    set_aside(|bytes| *bytes = b"not a database".repeat(1_000)).unwrap();
    set_aside(|bytes| bytes.fill(0)).unwrap();
    set_aside(|bytes| bytes[9..].fill(0xA5)).unwrap();
}

#[test]
fn a_truncated_file_is_set_aside() {
    for part in [1, 10, 30, 50, 90] {
        set_aside(|bytes| bytes.truncate(bytes.len() * part / 100)).unwrap();
    }
    set_aside(|bytes| bytes.truncate(200)).unwrap();
}

#[test]
fn a_flipped_bit_is_found_wherever_something_is_stored() {
    let count = if std::env::var_os("FUSEBOX_PROVE").is_some() {
        2_000
    } else {
        60
    };
    let (_directory, file) = filled();
    let whole = std::fs::read(file).unwrap();
    let mut found = 0;
    for n in 0..count {
        let why = damaged(&whole, |bytes| {
            // Spread over the used part of the file.
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            let at = used / count * n + n % 7;
            bytes[at] ^= 1 << (n % 8);
        });
        found += usize::from(why.is_some());
    }
    println!("{found} of {count} flipped bits were found; no other changed what is stored");
    assert!(found > count / 4, "only {found} of {count} found");
}

#[test]
fn a_damaged_file_is_left_alone_if_it_shall_be() {
    let (directory, file) = filled();
    std::fs::write(&file, b"garbage").unwrap();
    let options = EmbeddedOptions {
        on_damage: OnDamage::Refuse,
        ..EmbeddedOptions::default()
    };
    let refused = EmbeddedStore::open(directory.path(), options).err();
    match refused {
        Some(StoreError::Damaged { place, .. }) => assert_eq!(place, file.display().to_string()),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"garbage");
}

#[test]
fn a_foreign_database_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("objects.redb");
    let foreign = redb::Database::create(&file).unwrap();
    let transaction = foreign.begin_write().unwrap();
    let other: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    transaction.open_table(other).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(foreign);
    let (_, opened) = open(directory.path()).unwrap();
    assert!(matches!(opened, Opened::SetAside { .. }), "{opened:?}");
}

#[test]
fn a_creation_that_was_cut_short_leaves_nothing_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("objects.redb.new"), b"half").unwrap();
    let (_, opened) = open(directory.path()).unwrap();
    assert_eq!(opened, Opened::Fresh);
}

#[test]
fn a_second_store_on_the_same_directory_gets_an_error_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let (first, _) = open(directory.path()).unwrap();
    let refused = open(directory.path()).err();
    let Some(error @ StoreError::Locked { .. }) = refused else {
        panic!("{refused:?}")
    };
    let words = error.to_string();
    assert!(
        words.contains("objects.redb") && words.contains("another process"),
        "{words}"
    );
    put(&first, "k", 1);
    drop(first);
    let (_, opened) = open(directory.path()).unwrap();
    assert_eq!(opened, Opened::Existing);
}

#[test]
fn a_newer_format_is_refused_and_the_file_left_as_it_is() {
    let (directory, file) = filled();
    let database = redb::Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(META)
        .unwrap()
        .insert("format", 2)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let refused = open(directory.path()).err();
        match refused {
            Some(StoreError::NewerFormat {
                found: 2, known: 1, ..
            }) => {}
            other => panic!("{other:?}"),
        }
    }
    let database = redb::Database::open(&file).unwrap();
    let objects: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("objects");
    use redb::{ReadableDatabase, ReadableTableMetadata};
    let snapshot = database.begin_read().unwrap();
    assert_eq!(snapshot.open_table(objects).unwrap().len().unwrap(), 100);
}

#[test]
fn a_directory_that_cannot_be_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let refused = open(&file.join("data")).err();
    match refused {
        Some(error @ StoreError::Io { .. }) => assert!(error.to_string().contains("file/data")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn objects_versions_and_ends_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path()).unwrap();
    let ttl = std::time::Duration::from_secs(3_600);
    let object = NewObject::new("v", "a/b").living(ttl);
    wait(store.put("p", "k", object, When::Always)).unwrap();
    let before = wait(store.get("p", "k")).unwrap().unwrap();
    wait(store.put("p", "gone", NewObject::text(""), When::Always)).unwrap();
    let gone = wait(store.remove("p", "gone", When::Always))
        .unwrap()
        .unwrap();
    drop(store);

    let (store, _) = open(directory.path()).unwrap();
    assert_eq!(wait(store.get("p", "k")).unwrap().unwrap(), before);
    put(&store, "gone", 1);
    let again = wait(store.get("p", "gone")).unwrap().unwrap();
    assert!(again.version > gone.version);
}

#[test]
fn waiting_writes_are_carried_out_when_the_store_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path()).unwrap();
    let mut begun = store.put("p", "k", NewObject::text("v"), When::Always);
    let waker = std::task::Waker::noop();
    let _ = begun
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    drop(begun);
    drop(store);
    let (store, _) = open(directory.path()).unwrap();
    assert!(wait(store.get("p", "k")).unwrap().is_some());
}
