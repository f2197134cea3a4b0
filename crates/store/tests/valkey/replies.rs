//! The Valkey store's reaction to each error of a server, and to invalid replies.

use crate::common::wait;
use fusebox_store::{ObjectStore, StoreError, ValkeyOptions, ValkeyStore};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A fake server that greets like a real one, and answers scripts with configured replies.
#[derive(Clone)]
struct Fake {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The replies to the next scripts; the last one is repeated.
    answers: Vec<String>,
    connections: usize,
    scripts: Vec<String>,
}

const NOTHING_THERE: &str = "*1\r\n$4\r\nnone\r\n";

impl Fake {
    fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Fake {
            url: format!("redis://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
        };
        fake.answer(&[NOTHING_THERE]);
        let shared = fake.state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.lock().unwrap().connections += 1;
                let shared = shared.clone();
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        fake
    }

    fn answer(&self, answers: &[&str]) {
        let mut state = self.state.lock().unwrap();
        state.answers = answers
            .iter()
            .rev()
            .map(|text| (*text).to_owned())
            .collect();
        state.scripts.clear();
    }

    fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    fn scripts(&self) -> Vec<String> {
        self.state.lock().unwrap().scripts.clone()
    }
}

fn serve(stream: &TcpStream, shared: &Mutex<State>) -> Option<()> {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(words) = command(&mut reader) {
        let answer = match words[0].as_str() {
            "HELLO" => "%1\r\n$5\r\nproto\r\n:3\r\n".to_owned(),
            "PING" => "+PONG\r\n".to_owned(),
            "EVALSHA" | "EVAL" => {
                let mut state = shared.lock().unwrap();
                state.scripts.push(words[0].clone());
                if state.answers.len() > 1 {
                    state.answers.pop()?
                } else {
                    state.answers[0].clone()
                }
            }
            _ => "+OK\r\n".to_owned(),
        };
        writer.write_all(answer.as_bytes()).ok()?;
        if answer.ends_with("CUT") {
            return stream.shutdown(std::net::Shutdown::Both).ok();
        }
    }
    None
}

fn command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let count = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.trim().get(1..)?.parse::<usize>().ok()
    };
    let mut words = Vec::new();
    for _ in 0..count(reader)? {
        let mut word = vec![0; count(reader)? + 2];
        reader.read_exact(&mut word).ok()?;
        words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    Some(words)
}

fn get(store: &ValkeyStore) -> Result<bool, StoreError> {
    Ok(wait(store.get("p", "k"))?.is_some())
}

/// Repeats a check until it holds, for at most a minute.
#[allow(clippy::disallowed_methods, reason = "waits for an event with a limit")]
fn until(mut holds: impl FnMut() -> bool, what: &str) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Opens a store that is connected.
fn store(fake: &Fake) -> ValkeyStore {
    let mut options = ValkeyOptions::parse(&fake.url).unwrap();
    options.timeout = Duration::from_secs(2);
    let store = ValkeyStore::open(options).unwrap();
    until(|| get(&store).is_ok(), "connected");
    store
}

#[derive(Debug, PartialEq)]
enum Then {
    /// The same connection is kept.
    Keeps,
    /// A new connection is opened.
    Renews,
}

#[test]
fn each_error_of_a_server_has_its_reaction_and_its_name() {
    use Then::{Keeps, Renews};
    for (said, names, then) in [
        (
            "READONLY You can't write against a read only replica.",
            "replica",
            Renews,
        ),
        (
            "LOADING server is loading the dataset in memory",
            "wait",
            Keeps,
        ),
        ("MASTERDOWN Link with MASTER is down", "primary", Renews),
        ("MISCONF Errors writing to the AOF file", "disk", Keeps),
        (
            "OOM command not allowed when used memory > 'maxmemory'.",
            "maxmemory",
            Keeps,
        ),
        (
            "BUSY The server is busy running a script.",
            "SCRIPT KILL",
            Keeps,
        ),
        (
            "NOREPLICAS Not enough good replicas to write.",
            "replicas",
            Keeps,
        ),
        ("NOAUTH Authentication required.", "password", Renews),
        (
            "NOPERM this user has no permissions to run 'evalsha'",
            "access list",
            Keeps,
        ),
        ("EXECABORT Transaction discarded", "transaction", Keeps),
        ("CLUSTERDOWN Hash slot not served", "CLUSTER INFO", Keeps),
        ("MOVED 1234 127.0.0.1:7001", "redis+cluster://", Keeps),
        ("ASK 1234 127.0.0.1:7001", "redis+cluster://", Keeps),
        (
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "moving",
            Keeps,
        ),
        ("ERR unknown command 'EVALSHA'", "its log", Keeps),
        ("BRANDNEW code of a later version", "its log", Keeps),
        ("NOSCRIPT No matching script.", "script", Keeps),
    ] {
        let fake = Fake::start();
        let store = store(&fake);
        let before = fake.connections();
        fake.answer(&[&format!("-{said}\r\n")]);
        match get(&store) {
            Err(StoreError::NotAvailable { why }) => assert!(why.contains(names), "{why}"),
            other => panic!("{said}: {other:?}"),
        }
        if then == Renews {
            until(|| fake.connections() > before, said);
        }
        fake.answer(&[NOTHING_THERE]);
        until(|| get(&store).is_ok(), said);
        if then == Keeps {
            assert_eq!(fake.connections(), before, "{said}");
        }
    }
}

#[test]
fn a_foreign_type_is_damage() {
    let fake = Fake::start();
    let store = store(&fake);
    fake.answer(&["-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"]);
    assert!(matches!(get(&store), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_script_that_the_server_does_not_know_is_sent_once() {
    let fake = Fake::start();
    let store = store(&fake);
    fake.answer(&["-NOSCRIPT No matching script.\r\n", NOTHING_THERE]);
    assert!(!get(&store).unwrap());
    assert_eq!(fake.scripts(), ["EVALSHA", "EVAL"]);
    assert!(!get(&store).unwrap());
    assert_eq!(fake.scripts(), ["EVALSHA", "EVAL", "EVALSHA"]);
}

/// The peak memory of this process, in kilobytes. The kernel counts it approximately per processor, so a later value
/// may be slightly lower.
fn memory_peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

#[test]
fn a_reply_without_measure_is_refused_at_its_head_and_the_next_is_taken() {
    let endless = format!("*500000000\r\n{}", ":1\r\n".repeat(20_000));
    let deep = "*1\r\n".repeat(100_000);
    let line = "x".repeat(30 << 20);
    let bulk = format!("$500000000\r\n{}", "x".repeat(30 << 20));
    let parts = format!(
        "*3\r\n{}",
        format!("$9000000\r\n{}\r\n", "x".repeat(9_000_000)).repeat(3)
    );
    for said in [
        bulk.as_str(),
        "$9223372036854775807\r\nx",
        &endless,
        "%4611686018427387904\r\n",
        "|1000000000\r\n",
        "*1000000000\r\n*1000000000\r\n",
        &deep,
        &format!("+{line}"),
        &format!("-{line}"),
        &parts,
        "=-1\r\n",
    ] {
        let fake = Fake::start();
        let store = store(&fake);
        let (before, connections) = (memory_peak(), fake.connections());
        fake.answer(&[said]);
        match get(&store) {
            Err(StoreError::NotAvailable { why }) => assert!(!why.is_empty()),
            other => panic!("{other:?}"),
        }
        fake.answer(&[NOTHING_THERE]);
        until(|| get(&store).is_ok(), "answers again");
        assert!(fake.connections() > connections);
        let grown = memory_peak().saturating_sub(before);
        assert!(
            grown < 200 << 10,
            "{grown} kB for {:?}",
            &said[..said.len().min(30)]
        );
    }
}

#[test]
fn a_reply_is_as_long_as_the_largest_object() {
    let fake = Fake::start();
    let store = store(&fake);
    let object = |length: usize| {
        let value = "v".repeat(length);
        format!("*5\r\n$6\r\nobject\r\n${length}\r\n{value}\r\n$1\r\nt\r\n$1\r\n1\r\n$0\r\n\r\n")
    };
    fake.answer(&[&object(10 << 20)]);
    assert!(get(&store).unwrap());
    fake.answer(&[&object(13 << 20)]);
    match get(&store) {
        Err(StoreError::NotAvailable { why }) => assert!(why.contains("longer than"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_invalid_reply_is_an_error_and_the_next_reply_is_matched_correctly() {
    for said in [
        "?what\r\n",
        ":5\r\n",
        "_\r\n",
        "*2\r\n$4\r\nnone\r\nCUT",
        "*1\r\n$4\r\nwhat\r\n",
        "*1\r\n$9\r\nnoCUT",
        "CUT",
        "$99999999999999\r\nCUT",
        "*2\r\n$6\r\nobject\r\n$1\r\nv\r\n",
        "*5\r\n$6\r\nobject\r\n$1\r\nv\r\n$1\r\nt\r\n$1\r\nx\r\n$0\r\n\r\n",
    ] {
        let fake = Fake::start();
        let store = store(&fake);
        fake.answer(&[said]);
        match get(&store) {
            Err(StoreError::NotAvailable { .. } | StoreError::Damaged { .. }) => (),
            other => panic!("{said:?}: {other:?}"),
        }
        fake.answer(&[NOTHING_THERE]);
        until(|| get(&store).is_ok(), said);
    }
}
