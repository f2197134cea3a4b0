//! The rules by which a breaker trips: each at exactly its own threshold.

use std::time::{Duration, Instant};

use crate::support::{Client, Dial, Gateway, Upstream, orders};

/// A gateway with a rule, and one client that makes calls fail or succeed.
struct Bench {
    status: Dial,
    client: Client,
    gateway: Gateway,
    _upstream: Upstream,
}

impl Bench {
    fn with(trip: &str) -> Bench {
        let status = Dial::at(200);
        let upstream = Upstream::dialled(&status);
        let gateway = Gateway::run(orders(
            &upstream,
            &format!("{{ trip: {trip}, cooldown: 60s }}"),
        ));
        Bench {
            status,
            client: gateway.client(),
            gateway,
            _upstream: upstream,
        }
    }

    /// Makes a call for each letter: `F` fails, `s` succeeds. None of them is refused.
    #[track_caller]
    fn calls(&mut self, letters: &str) {
        for (at, letter) in letters.chars().enumerate() {
            let status = if letter == 'F' { 500 } else { 200 };
            self.status.set(status);
            let got = u64::from(self.client.get("/a").status);
            assert_eq!(got, status, "call {} of {letters}", at + 1);
        }
    }

    #[track_caller]
    fn is(&self, state: &str) {
        let breaker = self.gateway.breaker("orders");
        assert_eq!(breaker["state"], state, "{breaker}");
    }

    #[track_caller]
    fn tripped_by(&mut self, token: &str) {
        self.is("open");
        assert_eq!(self.gateway.breaker("orders")["reason_token"], token);
        assert_eq!(self.client.get("/a").status, 503);
    }
}

#[test]
fn failures_within_a_time_need_not_be_consecutive() {
    let mut bench = Bench::with("{ failures: 4, within: 60s }");
    bench.calls("FsFssFs");
    bench.is("closed");
    bench.calls("F");
    bench.tripped_by("failures");
}

#[test]
fn failures_of_long_ago_count_no_more() {
    let mut bench = Bench::with("{ failures: 3, within: 1s }");
    bench.calls("FF");
    let first = Instant::now();
    // Two buckets of margin beyond the window.
    std::thread::sleep(Duration::from_millis(1_300));
    assert!(first.elapsed() > Duration::from_secs(1));
    bench.calls("F");
    bench.is("closed");
}

#[test]
fn consecutive_failures_within_a_time_need_both() {
    let mut bench = Bench::with("{ consecutive_failures: 3, within: 60s }");
    bench.calls("FFsFF");
    bench.is("closed");
    bench.calls("F");
    bench.tripped_by("consecutive_failures");
    let mut bench = Bench::with("{ consecutive_failures: 3, within: 2s }");
    bench.calls("FF");
    std::thread::sleep(Duration::from_millis(2_400));
    bench.calls("F");
    bench.is("closed");
    bench.calls("FF");
    bench.tripped_by("consecutive_failures");
}

#[test]
fn a_failure_rate_over_time_needs_its_least_calls() {
    let mut bench = Bench::with("{ failure_rate: 50%, over: 60s, min_calls: 10 }");
    bench.calls("FFFFFFFFF");
    bench.is("closed");
    bench.calls("s");
    // Judged on every outcome: nine of ten have failed.
    bench.tripped_by("failure_rate");
}

#[test]
fn a_failure_rate_trips_at_its_limit_and_not_below() {
    let mut bench = Bench::with("{ failure_rate: 50%, over: 60s, min_calls: 4 }");
    bench.calls("sssFF");
    bench.is("closed");
    bench.calls("F");
    bench.tripped_by("failure_rate");
}

#[test]
fn a_failure_rate_over_calls_slides() {
    let mut bench = Bench::with("{ failure_rate: 60%, over: 5 calls }");
    bench.calls("FFss");
    bench.is("closed");
    bench.calls("s");
    bench.is("closed");
    // The window holds F s s s F, then s s s F F, then s s F F F.
    bench.calls("FF");
    bench.is("closed");
    bench.calls("F");
    bench.tripped_by("failure_rate");
}

#[test]
fn failures_over_calls_count_the_last_ones() {
    let mut bench = Bench::with("{ failures: 3, over: 6 calls }");
    bench.calls("FssssFsFs");
    bench.is("closed");
    bench.calls("F");
    bench.tripped_by("failures");
}

#[test]
fn any_rule_of_a_list_trips() {
    let trip = "[{ consecutive_failures: 5 }, { failures: 3, within: 60s }]";
    let mut bench = Bench::with(trip);
    bench.calls("FsFs");
    bench.is("closed");
    bench.calls("F");
    bench.tripped_by("failures");
    let breaker = bench.gateway.breaker("orders");
    assert_eq!(breaker["rules"].as_array().unwrap().len(), 2);
}

#[test]
fn rates_judged_on_failures_wait_for_one() {
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    let breaker = "{ trip: { failure_rate: 50%, over: 60s, min_calls: 4 }, judge_on: failures }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let mut client = gateway.client();
    for code in [500, 500, 500, 200] {
        status.set(code);
        assert_eq!(u64::from(client.get("/a").status), code);
    }
    assert_eq!(gateway.state("orders"), "closed", "a success is not judged");
    status.set(500);
    assert_eq!(client.get("/a").status, 500);
    assert_eq!(gateway.state("orders"), "open");
}
