//! A property that must hold whatever clients do: with an upstream that never fails of its own, no
//! sequence of client bytes and hang-ups moves a breaker.
//!
//! A thousand sequences are played; `FUSEBOX_PROVE=1` plays a hundred thousand.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::hostile::{Sequence, play, well};
use support::{Gateway, Setup, Upstream};

/// How many sequences are played together before the breakers are looked at.
const BATCH: u64 = 250;

/// How many clients there are at once.
const CLIENTS: usize = 24;

#[test]
fn no_sequence_of_client_bytes_moves_a_breaker() {
    let proves = std::env::var_os("FUSEBOX_PROVE").is_some();
    let total = if proves { 100_000 } else { 1_000 };
    let upstream = Upstream::start(well);
    let gateway = gateway(&upstream);
    let addr = gateway.addr();
    for first in (0..total).step_by(usize::try_from(BATCH).unwrap()) {
        let next = AtomicU64::new(first);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= first + BATCH {
                            return;
                        }
                        play(addr, &Sequence::of(number));
                    }
                });
            }
        });
        if let Some(moved) = moved(&gateway) {
            panic!(
                "sequences {first} to {}: {moved}\nalone: {:?}",
                first + BATCH - 1,
                culprits(&upstream, first)
            );
        }
    }
    let calls = gateway.count("orders", "success");
    assert!(calls > total / 10, "only {calls} calls came through");
}

/// A breaker that trips at the first failure.
fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    Setup::new(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {url}
    timeout: {{ request: 2s, idle: 2s }}
    breaker: {{ trip: {{ consecutive_failures: 1 }}, cooldown: 60s }}
limits: {{ head: 16KiB, request_body: 1MiB, body_rate: 1KiB/s }}
routes:
  - path: \"/{{*rest}}\"
    upstream: orders
"
    ))
    .start()
}

/// What moved, if anything did.
fn moved(gateway: &Gateway) -> Option<String> {
    let shown = gateway.breaker("orders");
    let still = shown["state"] == "closed"
        && shown["counts"]["failure"] == 0
        && shown["counts"]["rejected"] == 0
        && shown["attempts"] == 0;
    (!still).then(|| shown.to_string())
}

/// The sequences of a batch that move a breaker when they are played alone.
fn culprits(upstream: &Upstream, first: u64) -> Vec<Sequence> {
    let mut found = Vec::new();
    let mut quiet = gateway(upstream);
    for number in first..first + BATCH {
        // A client may be gone before its call is judged.
        let sequence = Sequence::of(number);
        play(quiet.addr(), &sequence);
        std::thread::sleep(Duration::from_millis(50));
        if let Some(moved) = moved(&quiet) {
            eprintln!("{moved}");
            found.push(sequence);
            quiet = gateway(upstream);
        }
        if found.len() == 3 {
            break;
        }
    }
    found
}
