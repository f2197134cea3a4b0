//! All attackers together against one breaker: before a healthy upstream it never opens, and memory and
//! descriptors stay flat; before a dead one it opens at its threshold, and once the upstream is back an
//! honest client closes it within the cooldown and two seconds.
//!
//! A few seconds; `FUSEBOX_PROVE=1` makes it ten minutes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::hostile::{Sequence, play, well};
use support::{Client, Dial, Gateway, Setup, Upstream, eventually};

const COOLDOWN: Duration = Duration::from_secs(1);

/// What an honest client may wait for beyond the cooldown.
const SLACK: Duration = Duration::from_secs(2);

/// What keeps attacking while a siege lasts.
type Attack = fn(SocketAddr, &AtomicBool);

const ATTACKS: [Attack; 7] = [
    // Heads whose bodies never come, and bodies that stop.
    |addr, over| {
        hold(
            addr,
            over,
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        );
    },
    |addr, over| {
        hold(
            addr,
            over,
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        );
    },
    // Bodies that are offered and never sent.
    |addr, over| {
        hold(
            addr,
            over,
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        );
    },
    // Uploads that the upstream loses its patience with.
    |addr, over| {
        hold(
            addr,
            over,
            "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
        );
    },
    // Requests whose clients are gone before the answer.
    |addr, over| {
        while !over.load(Ordering::Relaxed) {
            let mut client = Client::to(addr);
            client.wire.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").ok();
            client.wire.reset();
            std::thread::sleep(Duration::from_millis(2));
        }
    },
    // Answers that are over the gateway's own limits, so that they say nothing of the upstream.
    |addr, over| {
        while !over.load(Ordering::Relaxed) {
            Client::to(addr).get("/l");
        }
    },
    // Everything else.
    |addr, over| {
        static NEXT: AtomicU64 = AtomicU64::new(1_000_000);
        while !over.load(Ordering::Relaxed) {
            play(addr, &Sequence::of(NEXT.fetch_add(1, Ordering::Relaxed)));
        }
    },
];

/// Sends a beginning and holds the connection for a while, again and again.
fn hold(addr: SocketAddr, over: &AtomicBool, beginning: &str) {
    while !over.load(Ordering::Relaxed) {
        let mut clients: Vec<_> = (0..20).map(|_| Client::to(addr)).collect();
        for client in &mut clients {
            client.wire.send(beginning).ok();
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn no_siege_opens_holds_or_blinds_a_breaker() {
    let proves = std::env::var_os("FUSEBOX_PROVE").is_some();
    let length = Duration::from_secs(if proves { 300 } else { 3 });
    let mode = Dial::at(0);
    let upstream = {
        let mode = mode.clone();
        Upstream::start(move |call| match mode.get() {
            0 => well(call),
            _ => {
                call.body();
                call.close();
            }
        })
    };
    let gateway = gateway(&upstream);
    let addr = gateway.addr();
    let flag = AtomicBool::new(false);
    let over = &flag;
    std::thread::scope(|scope| {
        let _over = Over(over);
        for attack in ATTACKS {
            for _ in 0..2 {
                scope.spawn(move || attack(addr, over));
            }
        }
        // Warm, before anything is measured.
        honest(&gateway, length / 3, 200);
        let before = used(&gateway);
        honest(&gateway, length, 200);
        let shown = gateway.breaker("orders");
        assert_eq!(shown["state"], "closed", "{shown}");
        assert_eq!(shown["counts"]["failure"], 0, "{shown}");
        assert_eq!(shown["generation"], 0, "{shown}");
        let after = used(&gateway);
        assert!(
            after.0 < before.0 + 30_000 && after.1 < before.1 + 600,
            "KiB and descriptors were {before:?} and are {after:?}"
        );

        // Dead: the threshold, and not one call sooner or later.
        mode.set(1);
        eventually("it opens", || {
            Client::to(addr).get("/a");
            gateway.state("orders") == "open"
        });
        let shown = gateway.breaker("orders");
        let reason = shown["reason"].as_str().unwrap();
        assert!(reason.starts_with("5 consecutive failures"), "{reason}");
        honest_is_refused(&gateway, length / 3);

        // Back again.
        for _ in 0..3 {
            mode.set(0);
            let back = Instant::now();
            eventually("an honest client is served", || {
                Client::to(addr).get("/a").status == 200
            });
            eventually("it is closed", || gateway.state("orders") == "closed");
            let took = back.elapsed();
            assert!(took < COOLDOWN + SLACK, "{took:?}");
            mode.set(1);
            eventually("it opens", || {
                Client::to(addr).get("/a");
                gateway.state("orders") == "open"
            });
        }
    });
}

/// Ends the attacks, also when an assertion fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    Setup::new(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {url}
    timeout: {{ request: 5s, idle: 5s }}
    breaker: {{ trip: {{ consecutive_failures: 5 }}, cooldown: {}s }}
limits: {{ body_rate: 1KiB/s, connections: 2000 }}
routes:
  - path: \"/{{*rest}}\"
    upstream: orders
",
        COOLDOWN.as_secs()
    ))
    .start()
}

/// An honest client's calls for a while, each answered as it should be.
fn honest(gateway: &Gateway, length: Duration, status: u16) {
    let start = Instant::now();
    while start.elapsed() < length {
        assert_eq!(gateway.get("/a").status, status);
        assert_eq!(gateway.client().post("/a", "body").status, status);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn honest_is_refused(gateway: &Gateway, length: Duration) {
    let start = Instant::now();
    while start.elapsed() < length {
        let status = gateway.get("/a").status;
        assert!(matches!(status, 502 | 503), "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_ne!(gateway.state("orders"), "closed");
}

/// The gateway's resident memory in KiB, and its open descriptors.
fn used(gateway: &Gateway) -> (u64, u64) {
    let pid = gateway.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.unwrap().trim().trim_end_matches(" kB");
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    (resident.parse().unwrap(), open as u64)
}
