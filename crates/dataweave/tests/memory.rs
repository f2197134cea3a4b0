//! The memory of a JSON payload as a value: a few times its text, and never above a fixed limit.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write;
use std::fs;

use fusebox_dataweave::{Typed, Value};

/// This process's memory in bytes: now, and at its highest since the last call.
fn memory() -> (usize, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        kilobytes.unwrap().parse::<usize>().unwrap() << 10
    };
    let both = (field("VmRSS:"), field("VmHWM:"));
    fs::write("/proc/self/clear_refs", "5").unwrap();
    both
}

/// Reads a payload; returns the peak memory that it took, and the error if there is one.
fn cost(text: String) -> (usize, Option<String>) {
    let payload = Typed::received(text.into(), Some("application/json"));
    memory();
    let (before, _) = memory();
    let value = payload.read();
    let (_, most) = memory();
    if let Ok(value) = &value {
        assert!(!matches!(value, Value::Null));
    }
    (
        most.saturating_sub(before),
        value.err().map(|fault| fault.to_string()),
    )
}

fn list(item: impl Fn(usize) -> String, bytes: usize) -> String {
    let mut text = "[".to_owned();
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        let comma = if number == 0 { "" } else { "," };
        write!(text, "{comma}{}", item(number)).unwrap();
    }
    text + "]"
}

#[test]
fn ten_megabytes_of_json_take_a_few_times_as_much_or_are_refused_by_name() {
    let order = |n: usize| {
        format!(
            "{{\"id\": {n}, \"customer\": \"customer-{n}\", \"total\": {}.{}, \"paid\": true, \
             \"items\": [{{\"sku\": \"sku-{n}\", \"count\": {}}}, {{\"sku\": \"other\", \"count\": 1}}]}}",
            n * 7,
            n % 97 + 1,
            n % 5
        )
    };
    let text = list(order, 10 << 20);
    let length = text.len();
    let (took, wrong) = cost(text);
    assert_eq!(wrong, None);
    assert!(took <= 7 * length, "{took} bytes for {length}");

    let text = list(|n| format!("\"{}\"", "x".repeat(n % 100)), 3 << 20);
    let length = text.len();
    let (took, wrong) = cost(text);
    assert_eq!(wrong, None);
    assert!(took <= 7 * length, "{took} bytes for {length}");

    for text in [
        list(|_| "0".to_owned(), 6 << 20),
        list(|_| "{}".to_owned(), 6 << 20),
        list(|_| "[1]".to_owned(), 6 << 20),
        list(|_| "1.123456789012345678901".to_owned(), 6 << 20),
        list(|n| format!("{{\"{n}\":\"\"}}"), 6 << 20),
    ] {
        let start = text[..9].to_owned();
        let (took, wrong) = cost(text);
        assert!(took <= 160 << 20, "{took} bytes for {start}");
        if let Some(wrong) = wrong {
            assert!(wrong.contains("needs more than 64 MiB"), "{wrong}");
            assert!(!wrong.contains("invalid JSON"), "{wrong}");
        } else {
            assert!(took <= 80 << 20, "{took} bytes for {start}");
        }
    }
    let (_, wrong) = cost("[".repeat(5 << 20));
    let wrong = wrong.unwrap();
    assert!(wrong.contains("more than 200 nested arrays"), "{wrong}");
    assert!(!wrong.contains("invalid JSON"), "{wrong}");
}
