//! Kills a writing process repeatedly, and checks that its acknowledged writes survive.
#![cfg(all(feature = "embedded", feature = "hostile", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and print what it counted"
)]

mod common;

use common::wait;
use fusebox_store::{
    Durability, EmbeddedOptions, EmbeddedStore, NewObject, ObjectStore, Opened, Put, When,
};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const CHILD: &str = "FUSEBOX_STORE_KILL_CHILD";
const UNSYNCED: &str = "FUSEBOX_STORE_KILL_UNSYNCED";
const REFRESHING: &str = "FUSEBOX_STORE_KILL_REFRESHING";
const KEYS: u64 = 50;
const LIFE: Duration = Duration::from_secs(3600);

/// The child process: counts up from the store's last number, one key at a time, and prints each number once it is
/// acknowledged. The child is this test binary, selected by an environment variable.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD) else {
        return;
    };
    let store = open(Path::new(&directory));
    let mut said = std::io::stdout();
    for number in last(&store) + 1.. {
        wait(write(&store, number));
        writeln!(said, "acknowledged {number}").unwrap();
        said.flush().unwrap();
    }
}

async fn write(store: &EmbeddedStore, number: u64) {
    // Mostly small; some span several chunks, so that some kills fall into a long commit.
    let size = if number.is_multiple_of(7) {
        150_000
    } else {
        300
    };
    let mut value = number.to_string().into_bytes();
    value.resize(size, b' ');
    let key = format!("k{}", number % KEYS);
    let object = NewObject::new(value, "text/plain");
    store.put("p", &key, object, When::Always).await.unwrap();
    store.increment("p", "sum", 1, None).await.unwrap();
}

fn open(directory: &Path) -> EmbeddedStore {
    let mut options = EmbeddedOptions::default();
    if std::env::var_os(UNSYNCED).is_some() {
        options.durability = Durability::Process;
    }
    let (store, opened) = EmbeddedStore::open(directory, options).unwrap();
    assert!(
        matches!(opened, Opened::Fresh | Opened::Existing),
        "{opened:?}"
    );
    store
}

/// Reads the number under each key, and checks that every value is complete.
fn numbers(store: &EmbeddedStore) -> Vec<u64> {
    let keys = wait(store.keys("p", "k", usize::MAX)).unwrap();
    let number = |key: &String| {
        let object = wait(store.get("p", key)).unwrap().unwrap();
        let text = std::str::from_utf8(&object.value).unwrap().trim_end();
        let number = text.parse::<u64>().unwrap();
        let size = if number.is_multiple_of(7) {
            150_000
        } else {
            300
        };
        assert_eq!(object.value.len(), size);
        assert_eq!(*key, format!("k{}", number % KEYS));
        number
    };
    keys.iter().map(number).collect()
}

fn last(store: &EmbeddedStore) -> u64 {
    numbers(store).into_iter().max().unwrap_or(0)
}

/// The child process of refreshes: prolongs an object's life again and again, and prints the version and the end of each
/// acknowledged write.
#[test]
fn child_that_refreshes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(REFRESHING) else {
        return;
    };
    let store = open(Path::new(&directory));
    let mut said = std::io::stdout();
    loop {
        let object = NewObject::text("CLOSED").living(LIFE);
        let put = wait(store.put("p", "k", object, When::Always)).unwrap();
        let Put::Stored { version } = put else {
            panic!("a write without a condition was refused");
        };
        let end = wait(store.get("p", "k")).unwrap().unwrap().expires_at;
        writeln!(said, "acknowledged {version} {}", end.unwrap().0).unwrap();
        said.flush().unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What `kill -9` may take from a write that only prolongs a life: the last 100 ms, however slow the machine is.
#[test]
fn a_killed_process_loses_of_an_objects_life_what_it_gained_in_the_last_100_ms() {
    let kills = if proving() { 300 } else { 15 };
    let directory = tempfile::tempdir().unwrap();
    let mut lost = Vec::new();
    let mut highest = 0;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_that_refreshes_until_it_is_killed",
                "--nocapture",
            ])
            .env(REFRESHING, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut last, mut count) = (0, 0);
        for line in lines.map_while(Result::ok) {
            // A line that the kill cut short is none.
            let mut words = line
                .split_whitespace()
                .skip_while(|it| *it != "acknowledged");
            let numbers = (words.nth(1), words.next().filter(|end| end.len() == 13));
            let (Some(version), Some(end)) = numbers else {
                continue;
            };
            highest = highest.max(version.parse::<u64>().unwrap());
            last = last.max(end.parse::<u64>().unwrap());
            count += 1;
            if count == 20 + (kill * 37) % 150 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = open(directory.path());
        let found = wait(store.get("p", "k")).unwrap().unwrap();
        assert_eq!(found.value, "CLOSED");
        lost.push(last.saturating_sub(found.expires_at.unwrap().0));
        let Put::Stored { version } =
            wait(store.put("p", "other", NewObject::text("v"), When::Always)).unwrap()
        else {
            panic!("a write without a condition was refused");
        };
        assert!(
            version > highest,
            "version {version} was issued before {highest}"
        );
        highest = version;
    }
    lost.sort_unstable();
    let (median, most) = (lost[lost.len() / 2], lost[lost.len() - 1]);
    assert!(most <= 100, "{most} ms of a life are lost");
    println!("{kills} kills, of a life lost: {median} ms at the median, {most} ms at most");
}

/// Starts the child, kills it after some acknowledgements, and returns the last acknowledged number.
fn run_and_kill(directory: &Path, after: u64, durability: Durability) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if durability == Durability::Process {
        command.env(UNSYNCED, "1");
    }
    let mut child = command
        .args([
            "--exact",
            "child_that_writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut heard, mut count) = (0, 0);
    if after == 0 {
        child.kill().unwrap();
    }
    for line in lines.map_while(Result::ok) {
        let Some(number) = line.split("acknowledged ").nth(1) else {
            continue;
        };
        // The kill may cut the last line short, which then shows a smaller number; that is safe.
        heard = heard.max(number.parse().unwrap_or(0));
        count += 1;
        if count == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    heard
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    kill_again_and_again(if proving() { 1_000 } else { 30 }, Durability::Immediate);
}

#[test]
fn a_killed_process_loses_nothing_without_syncs_either() {
    kill_again_and_again(if proving() { 200 } else { 10 }, Durability::Process);
}

fn proving() -> bool {
    std::env::var_os("FUSEBOX_PROVE").is_some()
}

fn kill_again_and_again(kills: u64, durability: Durability) {
    let directory = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut writes) = (0, 0);
    for kill in 0..kills {
        // 0 kills the child during its start or recovery.
        let heard = run_and_kill(directory.path(), (kill * 7) % 23, durability);
        writes += heard.saturating_sub(acknowledged);
        acknowledged = acknowledged.max(heard);
        let store = open(directory.path());
        let found = last(&store);
        assert!(
            found >= acknowledged && found <= acknowledged + 1,
            "kill {kill}: {acknowledged} was acknowledged, {found} was found"
        );
        let all = numbers(&store);
        let first = found.saturating_sub(KEYS - 1).max(1);
        assert_eq!(all.len() as u64, found.min(KEYS));
        assert!(all.iter().all(|number| (first..=found).contains(number)));
        // The sum is written after its put, so it may lack the last number of each run, but no other.
        let sum = wait(store.increment("p", "sum", 0, None)).unwrap() as u64;
        assert!(
            sum <= found && sum + kill + 1 >= found,
            "sum {sum} of {found}"
        );
        acknowledged = found;
    }
    println!("{durability:?}: {kills} kills, {writes} numbers acknowledged before them, 0 lost");
}
