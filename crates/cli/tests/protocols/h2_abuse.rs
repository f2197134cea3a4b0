//! Hostile HTTP/2: every attack is harmless or cut, costs bounded memory, and moves no breaker.

use std::process::Stdio;

use serde_json::Value;

use crate::h2_server::{said, script, serve, yaml};
use crate::support::hostile::well;
use crate::support::{Gateway, Upstream, eventually};

/// ENHANCE_YOUR_CALM and PROTOCOL_ERROR.
const CODES: [u64; 2] = [0xb, 1];

/// The most memory in bytes that an attack may cost.
const GROWTH: u64 = 24 << 20;

struct Ground {
    upstream: Upstream,
    gateway: Gateway,
}

impl Ground {
    fn new() -> Ground {
        let upstream = Upstream::start(serve);
        let gateway = Gateway::run(yaml(&upstream.url(), "{}"));
        // Warm, so that an attack's own cost shows.
        assert_eq!(gateway.get("/warm").status, 200);
        Ground { upstream, gateway }
    }

    /// Attacks, and checks all that holds for every attack.
    #[track_caller]
    fn attack(&self, name: &str) -> Value {
        let before = self.gateway.rss();
        let port = self.gateway.addr().port().to_string();
        let seen = said(
            script("h2_abuse.py")
                .args([&port, name])
                .stdin(Stdio::null()),
        );
        eventually("nothing is in flight any more", || {
            self.upstream.in_flight() == 0
        });
        let grown = self.gateway.rss_most().saturating_sub(before);
        assert!(grown < GROWTH, "{name}: {grown} bytes more");
        let (_, failure, _) = self.gateway.outcomes("orders");
        assert_eq!(
            (failure, &*self.gateway.state("orders")),
            (0, "closed"),
            "{name}"
        );
        assert_eq!(self.gateway.get("/after").status, 200, "{name}");
        seen
    }

    /// Attacks, and checks that the connection ended with GOAWAY.
    #[track_caller]
    fn cut(&self, name: &str) -> Value {
        let seen = self.attack(name);
        assert_eq!(seen["cut"], true, "{name}: {seen}");
        eventually("the end is counted", || {
            self.gateway.metric("fusebox_connections_cut_total") >= Some(1.0)
        });
        // A client that still writes into a closed connection may lose the frame that says why.
        let code = seen["goaway"].as_u64();
        assert!(
            code.is_none_or(|code| CODES.contains(&code)),
            "{name}: {seen}"
        );
        seen
    }
}

#[test]
fn rapid_resets_are_cut_before_their_requests_begin() {
    let ground = Ground::new();
    let calls = ground.upstream.calls();
    ground.cut("rapid_reset");
    let caused = ground.upstream.calls() - calls;
    assert!(caused <= 101, "{caused} requests at the upstream");
}

#[test]
fn requests_that_are_reset_one_by_one_are_ignored() {
    let ground = Ground::new();
    ground.attack("paced_reset");
    assert!(ground.upstream.in_flight_most() <= 101);
}

#[test]
fn streams_that_we_must_reset_are_bounded() {
    let ground = Ground::new();
    let calls = ground.upstream.calls();
    ground.cut("made_you_reset");
    let caused = ground.upstream.calls() - calls;
    assert!(caused <= 101, "{caused} requests at the upstream");
}

#[test]
fn heads_without_an_end_and_heads_that_swell_are_cut() {
    let ground = Ground::new();
    for name in ["continuation", "empty_continuation", "hpack_bomb"] {
        ground.cut(name);
    }
    // Those around the attacks, and perhaps the one that brings the bomb.
    assert!(ground.upstream.calls() <= 5);
}

#[test]
fn floods_of_control_frames_are_cut() {
    let ground = Ground::new();
    for name in [
        "empty_data",
        "settings",
        "ping",
        "priority",
        "window_update",
    ] {
        ground.cut(name);
    }
}

#[test]
fn streams_over_the_limit_are_refused() {
    let ground = Ground::new();
    let seen = ground.cut("streams");
    assert!(seen["refused"].as_u64().unwrap() >= 900, "{seen}");
    assert!(ground.upstream.in_flight_most() <= 101);
}

/// The cases of RFC 9113 by section, and what a downgrade to HTTP/1 could smuggle.
#[test]
fn what_is_malformed_reaches_no_upstream() {
    let ground = Ground::new();
    let port = ground.gateway.addr().port().to_string();
    let seen = said(script("h2_cases.py").arg(&port));
    assert_eq!(seen["wrong"], serde_json::json!([]));
    assert!(seen["cases"].as_u64().unwrap() > 90);
    let refused = ground.upstream.seen();
    let refused: Vec<_> = refused
        .iter()
        .filter(|it| it.target.contains("refused"))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    let (_, failure, _) = ground.gateway.outcomes("orders");
    assert_eq!((failure, &*ground.gateway.state("orders")), (0, "closed"));
}

/// A thousand random clients, of whom `FUSEBOX_PROVE=1` makes fifty thousand.
#[test]
fn no_sequence_of_frames_moves_a_breaker() {
    let proves = std::env::var_os("FUSEBOX_PROVE").is_some();
    let total = if proves { 50_000 } else { 1_000 };
    let upstream = Upstream::start(well);
    let limits = "{ head: 16KiB, request_body: 1MiB, stream_stall: 300ms }";
    let yaml = yaml(&upstream.url(), limits);
    let times = "breaker: { trip";
    let gateway = Gateway::run(yaml.replace(
        times,
        &format!("timeout: {{ request: 2s, idle: 2s }}, {times}"),
    ));
    let port = gateway.addr().port().to_string();
    for first in (0..total).step_by(500) {
        let first = first.to_string();
        said(script("h2_fuzz.py").args([&port, &first, "500"]));
        let shown = gateway.breaker("orders");
        let (failure, rejected) = (&shown["counts"]["failure"], &shown["counts"]["rejected"]);
        assert_eq!(
            (failure, rejected),
            (&0.into(), &0.into()),
            "from {first} on: {shown}"
        );
    }
    let success = gateway.count("orders", "success");
    assert!(success > total / 20, "only {success} calls came through");
    assert_eq!(gateway.get("/a").status, 200);
}
