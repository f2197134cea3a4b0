//! The cost of being looked at: CPU time of the whole process with a thousand breakers and a listener of pulses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, Instant};

use support::{Gateway, Stream, Upstream, orders};

/// The breakers, all with calls.
const BREAKERS: usize = 1_000;

/// The CPU time of a process so far.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|it| it.parse::<u64>().unwrap())
        .sum();
    // 100 ticks a second on every Linux.
    Duration::from_millis(ticks * 10)
}

/// A call of each tenant, so that each breaker's rates are not zero for 10 s.
fn call_all(gateway: &Gateway) {
    let mut client = gateway.client();
    for tenant in 0..BREAKERS {
        let lines = format!("X-Tenant: {tenant}\r\n");
        assert_eq!(client.request("GET", "/a", &lines, "").status, 200);
    }
}

#[test]
fn a_thousand_breakers_and_a_dashboard_take_little_of_a_core() {
    let upstream = Upstream::start(|call| call.respond(200, "ok"));
    let breaker = "{ key: \"{header.x-tenant}\" }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    call_all(&gateway);
    let mut stream = Stream::open(&gateway, "?pulse=1s", "");
    let mut pulse = || {
        let pulse = stream.next_of("pulse");
        pulse.data["breakers"].as_object().unwrap().len()
    };
    // The last calls are in the next sample; a breaker that was seen first in the middle of its call has no rate yet.
    while pulse() < BREAKERS {
        call_all(&gateway);
    }
    let (before, begun) = (cpu(gateway.pid()), Instant::now());
    for _ in 0..5 {
        assert_eq!(pulse(), BREAKERS);
    }
    let share = (cpu(gateway.pid()) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!(
        "{BREAKERS} breakers, a listener of pulses: {:.2}% of a core",
        share * 100.0
    );
    let most = if cfg!(debug_assertions) { 0.2 } else { 0.02 };
    assert!(share <= most, "{share}");
}
