//! The server's script and the Rust version, side by side on a real server.
//!
//! Needs `redis-server` or `valkey-server`; without one, the test prints that and proves nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command as Process, Stdio};

use crate::commands::{Server, sent};
use fusebox_fleet::protocol::{LUA, Lease, Record, State, change};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// A server on a free port, which ends with this value.
struct Running(Child, BufReader<TcpStream>);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start() -> Option<Running> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let start = |program| {
            let options = [
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ];
            let mut process = Process::new(program);
            process
                .args(options)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok()
        };
        let mut child = start("valkey-server").or_else(|| start("redis-server"))?;
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_nodelay(true).unwrap();
                return Some(Running(child, BufReader::new(stream)));
            }
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::yield_now();
        }
    }

    /// The script's answer: the new record, its time to live and whether it is pushed.
    fn eval(
        &mut self,
        record: Option<&[u8]>,
        command: &[u8],
        poison: Option<&[u8]>,
        now: u64,
    ) -> Option<(Value, u64, bool)> {
        let script = format!(
            "local f = function(record, args, now) {LUA}\nend
             local record, live, push = f(ARGV[2] == '1' and ARGV[3] or nil, {{ARGV[1], ARGV[5]}}, tonumber(ARGV[4]))
             if not record then return {{}} end
             return {{record, string.format('%d', live), tostring(push)}}"
        );
        let has = if record.is_some() { "1" } else { "0" };
        let now = now.to_string();
        let mut parts: Vec<&[u8]> = vec![
            b"EVAL",
            script.as_bytes(),
            b"0",
            command,
            has.as_bytes(),
            record.unwrap_or(b""),
            now.as_bytes(),
        ];
        parts.extend(poison);
        let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            bytes.extend(format!("${}\r\n", part.len()).bytes());
            bytes.extend(part);
            bytes.extend(b"\r\n");
        }
        self.1.get_mut().write_all(&bytes).unwrap();
        let count = self.line();
        assert!(
            count.starts_with('*'),
            "{count}\nto {}",
            String::from_utf8_lossy(command)
        );
        if count == "*0" {
            return None;
        }
        let record = serde_json::from_str(&self.bulk()).unwrap();
        let (live, push) = (self.bulk(), self.bulk());
        Some((record, live.parse().unwrap(), push.parse().unwrap()))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn bulk(&mut self) -> String {
        let length: usize = self.line()[1..].parse().unwrap();
        let mut bytes = vec![0; length + 2];
        self.1.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        // A mutilated record need not be UTF-8.
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[test]
fn the_script_behaves_like_the_rust_version() {
    let Some(mut running) = Running::start() else {
        eprintln!("skipped: install valkey-server or redis-server to run this test");
        return;
    };
    let mut runner = TestRunner::default();
    let runs = prop::collection::vec(sent(), 1..60);
    for _ in 0..200 {
        let mut server = Server::new();
        for sent in runs.new_tree(&mut runner).unwrap().current() {
            let command = server.command(&sent);
            let (bytes, now) = (command.write(), server.now);
            let here = change(server.record.as_deref(), &bytes, None, now);
            let here = here.map(|here| (here.record, here.live_for, here.push));
            let there = running.eval(server.record.as_deref(), &bytes, None, now);
            let read = here.as_ref().map(|(record, live, push)| {
                (serde_json::from_slice(record).unwrap(), *live, *push)
            });
            assert_eq!(read, there, "{command:?}\non {:?}", server.read());
            // The next command finds the record exactly as the script wrote it.
            if let Some((record, ..)) = there {
                server.record = Some(record.to_string().into_bytes());
            }
        }
    }
}

#[test]
fn a_record_is_half_open_exactly_while_it_has_a_lease_for_both_versions() {
    let Some(mut running) = Running::start() else {
        eprintln!("skipped: install valkey-server or redis-server to run this test");
        return;
    };
    let mut runner = TestRunner::default();
    let runs = prop::collection::vec(sent(), 60);
    let lease = Lease {
        node: "a".to_owned(),
        incarnation: "0".to_owned(),
        ends: Server::new().now + 1_000,
        since: 0,
    };
    for state in [State::Closed, State::Open, State::HalfOpen] {
        for lease in [None, Some(lease.clone())] {
            let sound = lease.is_some() == (state == State::HalfOpen);
            let record = Record {
                state,
                lease,
                ..Record::fresh()
            };
            let bytes = record.write();
            assert_eq!(Record::read(&bytes).is_some(), sound, "{record:?}");
            for sent in runs.new_tree(&mut runner).unwrap().current() {
                let mut server = Server::new();
                let (command, now) = (server.command(&sent).write(), server.now);
                let here = change(Some(&bytes), &command, None, now);
                if !sound {
                    let of_none = change(None, &command, None, now);
                    let asserts = sent.act.name() == "assert";
                    assert!(here == of_none || asserts, "{sent:?} on {record:?}");
                }
                let here = here.map(|here| (here.record, here.live_for, here.push));
                let there = running.eval(Some(&bytes), &command, None, now);
                let read = here.map(|(record, live, push)| {
                    (serde_json::from_slice(&record).unwrap(), live, push)
                });
                assert_eq!(read, there, "{sent:?} on {record:?}");
            }
        }
    }
}

/// Mutilates the text of a record: replaces a value, a key or some bytes.
fn mutilated(record: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    const ODD: [&str; 27] = [
        "null",
        "true",
        "-1",
        "0.5",
        "1e400",
        "-1e400",
        "9007199254740992",
        "99999999999999",
        "100000000000000",
        "18446744073709551615",
        "1e3",
        "nan",
        "0x10",
        "[]",
        "{}",
        "[1,2]",
        "[\"a\"]",
        "{\"a\":null}",
        "{\"a\":{\"i\":1,\"q\":\"x\",\"at\":-1}}",
        "\"\"",
        "\"open\"",
        "\"half_open\"",
        "\"ajar\"",
        "{\"n\":\"a\",\"i\":\"0\",\"ends\":1e15,\"since\":0}",
        "{\"1\":[1,2,3]}",
        "{\"open\":1}",
        "\"\\ud800\"",
    ];
    let mut value: Value = serde_json::from_slice(record).unwrap();
    let names = [
        "v", "e", "t", "since", "r", "at", "s", "u", "a", "why", "by", "ops", "votes", "last",
        "counts", "lease", "want", "hold", "word", "anew", "other",
    ];
    let fields = value.as_object_mut().unwrap();
    let mut text = None;
    for _ in 0..rng.usize(1..4) {
        let name = names[rng.usize(..names.len())];
        if rng.u8(..4) == 0 {
            fields.remove(name);
        } else {
            let odd = ODD[rng.usize(..ODD.len())];
            match serde_json::from_str(odd) {
                Ok(odd) => drop(fields.insert(name.to_owned(), odd)),
                // Text that one parser accepts and the other does not.
                Err(_) => {
                    fields.insert(name.to_owned(), "ODD".into());
                    text = Some(odd);
                }
            }
        }
    }
    let mut bytes = value
        .to_string()
        .replace("\"ODD\"", text.unwrap_or("0"))
        .into_bytes();
    match rng.u8(..8) {
        0 => bytes.truncate(rng.usize(..bytes.len())),
        1 => {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(b' '..=b'~');
        }
        _ => {}
    }
    bytes
}

#[test]
fn the_script_stumbles_over_nothing_that_lies_in_a_records_place() {
    let Some(mut running) = Running::start() else {
        eprintln!("skipped: install valkey-server or redis-server to run this test");
        return;
    };
    let mut rng = fastrand::Rng::with_seed(11);
    let mut runner = TestRunner::default();
    let runs = prop::collection::vec(sent(), 1..12);
    let (mut alike, mut different) = (0, 0);
    for _ in 0..150 {
        let mut server = Server::new();
        for sent in runs.new_tree(&mut runner).unwrap().current() {
            let command = server.command(&sent);
            server.obey(&command);
            let Some(record) = &server.record else {
                continue;
            };
            let (bytes, now) = (mutilated(record, &mut rng), server.now);
            let known = server.command(&sent).write();
            // Whatever the result, there is no error, and the written record can be read.
            let there = running.eval(Some(&bytes), &known, None, now);
            if let Some((written, ..)) = &there {
                let written = written.to_string();
                let sound = fusebox_fleet::protocol::Record::read(written.as_bytes()).is_some();
                assert!(sound, "{written}\nof {}", String::from_utf8_lossy(&bytes));
            }
            let here = change(Some(&bytes), &known, None, now);
            let here = here.map(|here| serde_json::from_slice::<Value>(&here.record).unwrap());
            match here == there.map(|there| there.0) {
                true => alike += 1,
                false => different += 1,
            }
            // A record that a node rejects counts as absent, for both versions.
            let here = change(Some(&bytes), &known, Some(&bytes), now);
            let here = here.map(|here| serde_json::from_slice::<Value>(&here.record).unwrap());
            let there = running.eval(Some(&bytes), &known, Some(&bytes), now);
            assert_eq!(here, there.map(|there| there.0));
        }
    }
    // The versions differ only where two parsers of JSON do.
    assert!(different * 10 < alike, "{different} of {alike}");
}
