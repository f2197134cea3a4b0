//! Refusals: each request that the gateway or its admin API refuses is in the log at debug, with its reason, its id and,
//! where it has one, its route.

use crate::support::{Gateway, Refusing, Setup};
use serde_json::Value;

fn gateway() -> (Gateway, Refusing) {
    let refusing = Refusing::new();
    let yaml = format!(
        "listen: 127.0.0.1:0
limits: {{ request_body: 1KiB, connections: 2 }}
upstreams:
  orders: {{ url: \"{}\", breaker: {{ trip: {{ consecutive_failures: 1 }}, cooldown: 60s }} }}
routes:
  - {{ name: all, path: /orders, methods: [GET, POST], upstream: orders }}
",
        refusing.url()
    );
    let gateway = Setup::new(yaml).env("RUST_LOG", "debug").start();
    (gateway, refusing)
}

/// The line about a request's refusal.
#[track_caller]
fn refusal(gateway: &Gateway, message: &str, id: &str) -> Value {
    let line = gateway.log_line(|line| line["message"] == message && line["request_id"] == id);
    assert_eq!(line["level"], "DEBUG");
    line
}

#[test]
fn a_refused_request_is_in_the_log_at_debug_with_its_reason_and_id() {
    let (gateway, _refusing) = gateway();
    let ask = |method: &str, path: &str, id: &str, body: &str| {
        let id = format!("X-Request-Id: {id}\r\n");
        gateway.client().request(method, path, &id, body).status
    };
    let refused = "request refused";
    assert_eq!(ask("GET", "/a//b?secret", "guard", ""), 400);
    let line = refusal(&gateway, refused, "guard");
    assert_eq!(
        (&line["path"], &line["status"]),
        (&"/a//b".into(), &400.into())
    );
    assert_eq!(line["reason"], "a path has no empty segment");

    assert_eq!(ask("GET", "/nowhere", "unrouted", ""), 404);
    let line = refusal(&gateway, refused, "unrouted");
    assert_eq!(line["reason"], "no route takes this host and path");

    assert_eq!(ask("PUT", "/orders", "method", ""), 405);
    let line = refusal(&gateway, refused, "method");
    assert_eq!(line["reason"], "this path does not take this method");

    assert_eq!(ask("POST", "/orders", "large", &"x".repeat(2_000)), 413);
    let line = refusal(&gateway, refused, "large");
    assert_eq!(line["reason"], "request body over our limit");
    assert_eq!(line["route"], "all");

    assert_eq!(ask("GET", "/orders", "failed", ""), 502);
    let line = refusal(&gateway, "upstream failed", "failed");
    assert_eq!(
        (&line["reason"], &line["route"]),
        (&"connect".into(), &"all".into())
    );

    assert_eq!(ask("GET", "/orders", "open", ""), 503);
    let line = refusal(&gateway, "call refused", "open");
    assert_eq!(line["reason"], "breaker_open");
    assert_eq!(
        (&line["breaker"], &line["route"]),
        (&"orders".into(), &"all".into())
    );
}

#[test]
fn a_refused_connection_is_in_the_log_at_debug() {
    let (gateway, _refusing) = gateway();
    let mut kept: Vec<_> = (0..2).map(|_| gateway.client()).collect();
    for client in &mut kept {
        client.get("/nowhere");
    }
    assert_eq!(gateway.get("/nowhere").status, 503);
    let line = gateway.log_line(|line| line["message"] == "connection refused");
    assert_eq!(
        (&line["level"], &line["limit"]),
        (&"DEBUG".into(), &2.into())
    );
}

#[test]
fn a_refusal_of_the_admin_api_is_in_the_log_at_debug() {
    let (gateway, _refusing) = gateway();
    let mut admin = gateway.admin();
    assert_eq!(admin.get("/nowhere").status, 404);
    admin.host = "evil.example".into();
    assert_eq!(admin.get("/metrics").status, 403);
    for (path, reason) in [
        ("/nowhere", "unknown path /nowhere"),
        (
            "/metrics",
            "call the admin API by its address or as localhost, not by another name",
        ),
    ] {
        let line = gateway
            .log_line(|line| line["message"] == "admin request refused" && line["path"] == path);
        assert_eq!(
            (&line["level"], &line["reason"]),
            (&"DEBUG".into(), &reason.into())
        );
    }
}
