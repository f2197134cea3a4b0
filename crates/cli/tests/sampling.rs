//! The cost of being looked at, and of nothing at all: CPU time of the whole process with a thousand breakers and a
//! listener of pulses, and its wakeups without requests.
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

/// The number of times that a thread of a process has slept so far.
fn sleeps(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let sleeps = threads.map(|thread| {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    });
    sleeps.sum()
}

#[test]
fn a_process_without_requests_wakes_at_most_twice_a_second() {
    const LOOKED_FOR: Duration = Duration::from_secs(5);
    const LOOKS: usize = 8;
    let upstream = Upstream::start(|call| call.respond(200, "ok"));
    let breaker = "{ key: \"{header.x-tenant}\" }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    call_all(&gateway);
    // What the calls have begun may go on for some seconds, such as an idle connection's end.
    let mut seen = Vec::new();
    let is_quiet = (0..LOOKS).any(|_| {
        let before = sleeps(gateway.pid());
        std::thread::sleep(LOOKED_FOR);
        let wakeups = sleeps(gateway.pid()) - before;
        seen.push(wakeups);
        wakeups <= 2 * LOOKED_FOR.as_secs()
    });
    println!("wakeups in {LOOKED_FOR:?} each: {seen:?}");
    assert!(is_quiet, "{seen:?}");
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
