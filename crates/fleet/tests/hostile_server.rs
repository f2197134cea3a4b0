//! A server with arbitrary answers: breakers still trip, cool down and close by themselves, and no call waits for the
//! server.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fusebox_breaker::{Breaker, Clock, Cooldown, MonotonicClock, Outcome, Phase, Rule, Settings};
use fusebox_fleet::{
    FleetOptions, Share, fleet,
    protocol::{Record, State, Version},
};
use fusebox_store::{
    ValkeyOptions,
    records::{SharedRecords, ValkeyRecords},
};
use tokio::time::{sleep, timeout};

/// The constant time of the server's clock.
const NOW: u64 = 1_700_000_000_000;

/// A server that greets like a real one, and answers every script with these bytes. If they end in `CUT`, it then
/// closes the connection.
fn server(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || serve(&stream, &answer));
        }
    });
    port
}

fn serve(stream: &TcpStream, answer: &[u8]) -> Option<()> {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let command = command(&mut reader)?;
        let bytes = match command.as_str() {
            "HELLO" => &b"%1\r\n$5\r\nproto\r\n:3\r\n"[..],
            "PING" => b"+PONG\r\n",
            "EVALSHA" | "EVAL" => answer,
            "SUBSCRIBE" => b">3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
            _ => b"+OK\r\n",
        };
        let said = bytes.strip_suffix(b"CUT");
        writer.write_all(said.unwrap_or(bytes)).ok()?;
        if said.is_some() {
            return stream.shutdown(std::net::Shutdown::Both).ok();
        }
    }
}

/// Reads the first word of the next command.
fn command(reader: &mut impl BufRead) -> Option<String> {
    let count = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.trim().get(1..)?.parse::<usize>().ok()
    };
    let mut first = None;
    for _ in 0..count(reader)? {
        let mut word = vec![0; count(reader)? + 2];
        reader.read_exact(&mut word).ok()?;
        first.get_or_insert_with(|| String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    first
}

/// The reply of a script on records, with this time and these records.
fn reply(now: &str, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n$6\r\nrecord\r\n", records.len() + 2).into_bytes();
    for part in [now.as_bytes()].iter().chain(records) {
        bytes.extend(format!("${}\r\n", part.len()).bytes());
        bytes.extend(*part);
        bytes.extend(b"\r\n");
    }
    bytes
}

fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let now = NOW.to_string();
    let record = |state, term, until| Record {
        version: Version {
            epoch: 1,
            term,
            since: NOW,
        },
        state,
        until,
        at: NOW,
        revision: 3,
        by: "somebody".into(),
        ..Record::fresh()
    };
    let sound = |record: Record| reply(&now, &[&record.write()]);
    let bytes = |text: &str| text.as_bytes().to_vec();
    vec![
        ("nothing at all", Vec::new()),
        ("a cut", bytes("CUT")),
        ("half a reply, then silence", bytes("*3\r\n$6\r\nrec")),
        ("half a reply, then a cut", bytes("*3\r\n$6\r\nrecCUT")),
        ("no reply", bytes("what?\r\n")),
        ("a status", bytes("+OK\r\n")),
        ("an error", bytes("-ERR no\r\n")),
        ("another type", bytes("-WRONGTYPE no\r\n")),
        ("too little memory", bytes("-OOM no\r\n")),
        ("a bulk without measure", bytes("$500000000\r\nxxxx")),
        ("a list without measure", bytes("*1000000000\r\n:1\r\n")),
        ("a map without measure", bytes("%4611686018427387904\r\n")),
        ("a deep list", "*1\r\n".repeat(100_000).into_bytes()),
        ("an endless line", vec![b'+'; 2 << 20]),
        ("no records", reply(&now, &[])),
        ("too many records", reply(&now, &[b"a", b"b", b"c"])),
        ("no time", reply("soon", &[b""])),
        ("a time without end", reply("18446744073709551615", &[b""])),
        ("a negative time", reply("-1", &[b""])),
        ("no time at all", reply("0", &[b""])),
        ("what is no record", reply(&now, &[b"poison"])),
        ("a record of a later version", reply(&now, &[b"{\"v\":2}"])),
        ("a long record", reply(&now, &[&vec![b'x'; 400_000]])),
        (
            "a record too long for any reply",
            reply(&now, &[&vec![b'x'; 3 << 20]]),
        ),
        (
            "a term of 2^53",
            sound(record(State::Open, 1 << 53, NOW + 100)),
        ),
        ("open for ever", sound(record(State::Open, 7, u64::MAX))),
        (
            "open for a year",
            sound(record(State::Open, 7, NOW + 31_536_000_000)),
        ),
        (
            "open and never to be led",
            sound(record(State::Open, 7, NOW + 100)),
        ),
        ("open until long ago", sound(record(State::Open, 7, 1))),
        (
            "closed whatever happens",
            sound(record(State::Closed, 7, 1)),
        ),
    ]
}

/// Checks a breaker with a server that sends this reply: it trips, admits a probe after a while, and closes.
async fn goes_on(what: &'static str, answer: Vec<u8>) {
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock);
    let url = format!("redis://127.0.0.1:{}?timeout=200ms", server(answer));
    let records = ValkeyRecords::open(ValkeyOptions::parse(&url).unwrap()).unwrap();
    let options = FleetOptions {
        clock: clock.clone(),
        ..FleetOptions::new("node-1")
    };
    let records: Arc<dyn SharedRecords> = Arc::new(records);
    let (fleet, driver) = fleet(options, records);
    let task = tokio::spawn(driver.run());
    let mut settings = Settings {
        trip: vec![Rule::ConsecutiveFailures {
            threshold: 3,
            within: None,
        }],
        cooldown: Cooldown::fixed(Duration::from_millis(300)),
        ..Settings::default()
    };
    settings.half_open.probe_timeout = Duration::from_secs(1);
    let listener = fleet.listener(Share::Verdict, None);
    let breaker = Breaker::builder("orders", settings)
        .listener(listener)
        .build()
        .unwrap();
    fleet.join(&breaker, Share::Verdict).unwrap();
    let call = |outcome| {
        let admitted = breaker.admit(clock.now());
        admitted
            .map(|permit| permit.record(outcome, clock.now()))
            .is_ok()
    };
    let closes = async |why: &str| {
        let closed = async {
            while breaker.snapshot(clock.now()).phase != Phase::Closed {
                call(Outcome::Success);
                sleep(Duration::from_millis(20)).await;
            }
        };
        let closed = timeout(Duration::from_secs(20), closed).await;
        assert!(
            closed.is_ok(),
            "{what}: {why}, it stays shut: {:?}",
            fleet.status()
        );
    };
    sleep(Duration::from_millis(300)).await;
    for _ in 0..2 {
        closes("before it trips").await;
        (0..3).for_each(|_| _ = call(Outcome::Failure));
        sleep(Duration::from_millis(50)).await;
        closes("after it tripped").await;
    }
    fleet.stop();
    timeout(Duration::from_secs(20), task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn whatever_a_server_answers_breakers_open_and_close() {
    let all = answers().into_iter();
    let all: Vec<_> = all
        .map(|(what, answer)| tokio::spawn(goes_on(what, answer)))
        .collect();
    for one in all {
        one.await.unwrap();
    }
}
