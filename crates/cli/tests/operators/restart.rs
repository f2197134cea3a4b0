//! What a breaker remembers over a crash and a restart: `kill -9` comes without a warning.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::{
    Client, Dial, Gate, Gateway, Program, Setup, Upstream, eventually, orders, until,
};
use serde_json::{Value, json};

/// Opens at the first failure, for a minute.
const MINUTE: &str = "{ trip: { consecutive_failures: 1 }, cooldown: 60s }";

/// A gateway whose upstream answers what the dial says.
fn gateway(breaker: &str, answer: u64) -> (Gateway, Upstream, Dial) {
    let status = Dial::at(answer);
    let upstream = Upstream::dialled(&status);
    let gateway = Gateway::run(orders(&upstream, breaker));
    (gateway, upstream, status)
}

/// Waits until the store has a breaker's present state, and gives it.
#[track_caller]
fn persisted(gateway: &Gateway, name: &str) -> Value {
    until("the breaker is persisted", || {
        let breaker = gateway.breaker(name);
        (breaker["persisted"] == true).then_some(breaker)
    })
}

/// A time of the API, since the Unix epoch.
#[track_caller]
fn time(value: &Value) -> Duration {
    let text = value.as_str().expect("a time");
    let numbers: Vec<u64> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect();
    let [year, month, day, hour, minute, second, millis] = numbers[..] else {
        panic!("{text} is no time to the millisecond");
    };
    // Days since 1970-01-01 in the proleptic Gregorian calendar, a year beginning in March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second;
    Duration::from_millis(seconds * 1_000 + millis)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// That two times are the same within a second.
#[track_caller]
fn same_time(one: &Value, other: &Value) {
    let (a, b) = (time(one), time(other));
    assert!(a.abs_diff(b) <= Duration::from_secs(1), "{one} and {other}");
}

#[track_caller]
fn higher(after: &Value, before: &Value) {
    let generation = |breaker: &Value| breaker["generation"].as_u64().unwrap();
    assert!(
        generation(after) > generation(before),
        "{after} after {before}"
    );
}

#[test]
fn an_open_breaker_is_open_after_a_crash_at_any_moment_after_the_trip() {
    let (mut gateway, upstream, status) = gateway(MINUTE, 500);
    let mut lags = Vec::new();
    for round in 0..5 {
        status.set(500);
        assert_eq!(gateway.get("/a").status, 500);
        let tripped = Instant::now();
        let before = persisted(&gateway, "orders");
        gateway.kill9();
        lags.push(tripped.elapsed());
        status.set(200);
        let calls = upstream.calls();
        gateway.restart();
        let after = gateway.breaker("orders");
        assert_eq!(after["state"], "open", "round {round}");
        assert_eq!(after["attempts"], before["attempts"]);
        same_time(&after["retry_at"], &before["retry_at"]);
        higher(&after, &before);
        assert_eq!(gateway.get("/a").status, 503);
        assert_eq!(upstream.calls(), calls, "no call gets through");
        // Round after round it is a breaker that has been restarted before.
        gateway.admin_post("/api/v1/breakers/orders/reset", &json!({}));
    }
    lags.sort();
    assert!(
        lags[2] < Duration::from_millis(150),
        "trip to crash: {lags:?}"
    );
}

#[test]
fn the_cooldown_goes_on_while_the_gateway_is_away() {
    let (mut gateway, _upstream, status) =
        gateway("{ trip: { consecutive_failures: 1 }, cooldown: 3s }", 500);
    assert_eq!(gateway.get("/a").status, 500);
    let tripped = Instant::now();
    persisted(&gateway, "orders");
    gateway.kill9();
    status.set(200);
    gateway.restart();
    assert_eq!(gateway.state("orders"), "open");
    eventually("the breaker lets a probe through", || {
        gateway.get("/a").status == 200
    });
    let took = tripped.elapsed();
    // Never early by more than a clock's reading, and not later than the promise but for this test's own pace.
    assert!(took > Duration::from_millis(2_900), "{took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn attempts_are_kept_so_that_the_next_cooldown_is_longer() {
    let (mut gateway, _upstream, _status) = gateway(
        "{ trip: { consecutive_failures: 1 }, cooldown: { base: 500ms, factor: 8, max: 60s, jitter: 0% } }",
        500,
    );
    assert_eq!(gateway.get("/a").status, 500);
    eventually("a probe fails", || gateway.get("/a").status == 500);
    let before = persisted(&gateway, "orders");
    assert_eq!(before["attempts"], 2);
    gateway.kill9();
    gateway.restart();
    let after = gateway.breaker("orders");
    assert_eq!(after["attempts"], 2);
    assert_eq!(after["state"], "open");
    same_time(&after["retry_at"], &before["retry_at"]);
    eventually("another probe fails", || gateway.get("/a").status == 500);
    let third = gateway.breaker("orders");
    assert_eq!(third["attempts"], 3);
    let cooldown = time(&third["retry_at"]) - time(&third["since"]);
    assert_eq!(cooldown.as_secs(), 32, "500 ms times 8 times 8");
}

#[test]
fn half_open_comes_back_as_open_with_nothing_left_to_wait() {
    let gate = Gate::default();
    let (door, answer) = (gate.clone(), Dial::at(500));
    let status = answer.clone();
    let upstream = Upstream::start(move |call| {
        if call.seen.target == "/probe" {
            door.pass();
        }
        call.respond(u16::try_from(status.get()).unwrap(), "");
    });
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 300ms, half_open: { probes: 1, probe_timeout: 20s } }";
    let mut gateway = Gateway::run(orders(&upstream, breaker));
    assert_eq!(gateway.get("/a").status, 500);
    answer.set(200);
    // A probe that is still on its way when the gateway dies.
    let addr = gateway.addr();
    let probe = std::thread::spawn(move || {
        let mut client = Client::to(addr);
        loop {
            client.send("GET /probe HTTP/1.1\r\nHost: a\r\n\r\n");
            match client.try_response_to("GET") {
                Ok(Some(response)) if response.status == 503 => {}
                // The connection died with the gateway.
                other => return other.is_err() || other.is_ok_and(|got| got.is_none()),
            }
        }
    });
    eventually("the probe reaches the upstream", || gate.waiting() == 1);
    let before = persisted(&gateway, "orders");
    assert_eq!(before["state"], "half_open");
    gateway.kill9();
    gate.open();
    assert!(probe.join().unwrap(), "the probe has no answer");
    gateway.restart();
    let after = gateway.breaker("orders");
    assert_eq!(
        after["state"], "half_open",
        "open, its time over, reads as half-open"
    );
    assert_eq!(after["attempts"], before["attempts"]);
    higher(&after, &before);
    assert_eq!(
        after["probes"]["in_flight"].as_u64().unwrap_or(0),
        0,
        "{after}"
    );
    assert_eq!(gateway.get("/a").status, 200, "the next call is a probe");
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn a_hold_without_an_end_still_holds() {
    let (mut gateway, upstream, _) = gateway("{}", 200);
    let order = json!({ "reason": "database moves", "by": "ann" });
    gateway.admin_post("/api/v1/breakers/orders/open", &order);
    let before = persisted(&gateway, "orders");
    gateway.kill9();
    gateway.restart();
    let after = gateway.breaker("orders");
    assert_eq!(
        after["hold"],
        json!({ "kind": "open", "until": null, "reason": "database moves", "by": "ann" })
    );
    higher(&after, &before);
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(upstream.calls(), 0);
    gateway.admin_post("/api/v1/breakers/orders/release", &json!({}));
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn a_hold_with_an_end_still_holds_until_then() {
    let (mut gateway, _upstream, status) = gateway(MINUTE, 500);
    let order = json!({ "for": "10m", "reason": "sale", "by": "bea" });
    gateway.admin_post("/api/v1/breakers/orders/close", &order);
    let before = persisted(&gateway, "orders");
    gateway.kill9();
    gateway.restart();
    let after = gateway.breaker("orders");
    for part in ["kind", "reason", "by"] {
        assert_eq!(after["hold"][part], before["hold"][part]);
    }
    same_time(&after["hold"]["until"], &before["hold"]["until"]);
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").status, 500, "held closed, whatever fails");
    }
    status.set(200);
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn a_hold_that_ended_meanwhile_is_over() {
    let (mut gateway, _upstream, _) = gateway("{}", 200);
    let held = gateway.admin_post("/api/v1/breakers/orders/open", &json!({ "for": "500ms" }));
    let end = time(&held.json()["hold"]["until"]);
    persisted(&gateway, "orders");
    gateway.kill9();
    eventually("the hold's time is over", || now() > end);
    gateway.restart();
    let after = gateway.breaker("orders");
    assert_eq!(after["hold"], Value::Null);
    assert_eq!(after["state"], "half_open", "as if released");
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn an_open_breaker_beneath_a_hold_is_still_there_when_it_ends() {
    let (mut gateway, _upstream, status) = gateway(MINUTE, 500);
    assert_eq!(gateway.get("/a").status, 500);
    gateway.admin_post("/api/v1/breakers/orders/close", &json!({}));
    persisted(&gateway, "orders");
    gateway.kill9();
    gateway.restart();
    let after = gateway.breaker("orders");
    assert_eq!(
        (&after["state"], &after["hold"]["kind"]),
        (&json!("open"), &json!("closed"))
    );
    status.set(200);
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn a_reset_is_remembered_too() {
    let (mut gateway, _upstream, status) = gateway(MINUTE, 500);
    assert_eq!(gateway.get("/a").status, 500);
    persisted(&gateway, "orders");
    gateway.admin_post("/api/v1/breakers/orders/reset", &json!({}));
    let before = persisted(&gateway, "orders");
    gateway.kill9();
    gateway.restart();
    let after = gateway.breaker("orders");
    assert_eq!(after["state"], "closed");
    higher(&after, &before);
    status.set(200);
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn breakers_by_key_come_back_before_anybody_asks_for_them() {
    let breaker = "{ key: \"{header.x-tenant}\", max_keys: 100, trip: { consecutive_failures: 1 }, cooldown: 60s }";
    let (mut gateway, upstream, status) = gateway(breaker, 500);
    let call = |gateway: &Gateway, tenant: &str| {
        let lines = format!("X-Tenant: {tenant}\r\n");
        gateway.client().request("GET", "/a", &lines, "").status
    };
    assert_eq!(call(&gateway, "ann/1"), 500);
    status.set(200);
    assert_eq!(call(&gateway, "bea"), 200);
    gateway.admin_post(
        "/api/v1/breakers/orders%2Fbea/open",
        &json!({ "by": "ann" }),
    );
    let before = persisted(&gateway, "orders/ann/1");
    persisted(&gateway, "orders/bea");
    gateway.kill9();
    let calls = upstream.calls();
    gateway.restart();
    let after = gateway.breaker("orders/ann/1");
    assert_eq!(after["state"], "open");
    same_time(&after["retry_at"], &before["retry_at"]);
    higher(&after, &before);
    assert_eq!(gateway.breaker("orders/bea")["hold"]["by"], "ann");
    assert_eq!((call(&gateway, "ann/1"), call(&gateway, "bea")), (503, 503));
    assert_eq!(upstream.calls(), calls);
    assert_eq!(call(&gateway, "carl"), 200, "other keys have their own");
}

#[test]
fn an_upstream_that_left_the_file_takes_nobody_along() {
    let (mut gateway, upstream, _) = gateway(MINUTE, 500);
    assert_eq!(gateway.get("/a").status, 500);
    persisted(&gateway, "orders");
    gateway.kill9();
    gateway.rewrite(&orders(&upstream, MINUTE).replace("orders", "orders2"));
    gateway.restart();
    assert_eq!(gateway.state("orders2"), "closed");
    gateway.kill9();
    gateway.rewrite(&orders(&upstream, MINUTE));
    gateway.restart();
    assert_eq!(
        gateway.state("orders"),
        "open",
        "its record was not touched"
    );
}

#[test]
fn a_shorter_cooldown_in_the_file_shortens_what_is_left() {
    let (mut gateway, upstream, status) = gateway(MINUTE, 500);
    assert_eq!(gateway.get("/a").status, 500);
    persisted(&gateway, "orders");
    gateway.kill9();
    status.set(200);
    gateway.rewrite(&orders(&upstream, &MINUTE.replace("60s", "1s")));
    gateway.restart();
    let started = Instant::now();
    eventually("it recovers", || gateway.get("/a").status == 200);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_drain_writes_the_last_word_down() {
    let (mut gateway, _upstream, _) = gateway(MINUTE, 500);
    assert_eq!(gateway.get("/a").status, 500);
    gateway.sigterm();
    assert!(gateway.wait().success());
    gateway.restart();
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn a_store_in_memory_forgets() {
    let upstream = Upstream::dialled(&Dial::at(500));
    let mut gateway = Setup::new(orders(&upstream, MINUTE))
        .arg("--store")
        .arg("memory:")
        .start();
    assert_eq!(gateway.get("/a").status, 500);
    assert_eq!(gateway.state("orders"), "open");
    gateway.kill9();
    gateway.restart();
    assert_eq!(gateway.state("orders"), "closed");
}

/// The store's file.
fn store_file(gateway: &Gateway) -> PathBuf {
    let files: Vec<_> = gateway
        .data()
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.metadata().unwrap().len() > 1_000)
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn a_damaged_store_is_set_aside_and_the_gateway_runs() {
    let damages: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| b"this is no store".to_vec(),
        |mut bytes| {
            bytes[..512].fill(0xa5);
            bytes
        },
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |bytes| bytes.iter().map(|byte| byte ^ 0xff).collect(),
    ];
    let (mut gateway, _upstream, status) = gateway(MINUTE, 500);
    for (at, damage) in damages.into_iter().enumerate() {
        status.set(500);
        eventually("it trips", || gateway.get("/a").status == 500);
        persisted(&gateway, "orders");
        gateway.kill9();
        let file = store_file(&gateway);
        let damaged = damage(std::fs::read(&file).unwrap());
        std::fs::write(&file, &damaged).unwrap();
        gateway.restart();
        let said = gateway.log_line(|line| line["level"] == "ERROR");
        let message = said["message"].as_str().unwrap();
        assert!(message.contains("set aside"), "damage {at}: {said}");
        let kept = PathBuf::from(said["kept"].as_str().unwrap());
        let kept_bytes = kept.metadata().unwrap().len();
        assert_eq!(kept_bytes, damaged.len() as u64, "damage {at}: it is kept");
        assert!(!said["why"].as_str().unwrap().is_empty());
        status.set(200);
        assert_eq!(
            gateway.get("/a").status,
            200,
            "damage {at}: it begins closed"
        );
        persisted(&gateway, "orders");
        std::fs::remove_file(&kept).unwrap();
    }
}

#[test]
fn a_second_process_on_the_same_data_is_refused_and_told_why() {
    let (gateway, _upstream, _) = gateway("{}", 200);
    let program = Program::new().file(
        "other.yaml",
        "listen: 127.0.0.1:0\nroutes: [{ path: /, respond: {} }]\n",
    );
    let data = gateway.data().display().to_string();
    let ended = program.run(["run", "other.yaml", "--admin", "off", "--data", &data]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.stderr.lines().last().unwrap();
    assert!(said.contains(&data), "{said}");
    assert!(
        said.contains("another process") && said.contains("a data directory of its own"),
        "{said}"
    );
    assert_eq!(gateway.get("/a").status, 200, "the first one does not mind");
    // It is free as soon as the first one is gone, however it went.
    gateway.kill9();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_fusebox"))
        .args(["run", "--admin", "off", "--data", &data])
        .arg(program.dir().join("other.yaml"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut log, &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("listening"), "{line}");
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let program = Program::new()
        .file(
            "a.yaml",
            "listen: 127.0.0.1:0\nroutes: [{ path: /, respond: {} }]\n",
        )
        .file("occupied", "a file");
    let ended = program.run(["run", "a.yaml", "--admin", "off", "--data", "occupied/data"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("occupied/data"), "{}", ended.stderr);
}
