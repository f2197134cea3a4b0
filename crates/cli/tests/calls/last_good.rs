//! The last good answer: kept while the upstream answers, served when it does not, also after a kill (docs/calls.md).
use crate::support::{Call, Dial, Gateway, Upstream, eventually};

const BREAKER: &str = "{ trip: { consecutive_failures: 2 }, cooldown: 60s }";

fn file(upstream: &Upstream, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {}
    breaker: {BREAKER}
    fallback: [{{ last_good: 1h }}]
    {more}
routes:
  - {{ path: \"/{{*rest}}\", upstream: orders }}
",
        upstream.url()
    )
}

/// An upstream that answers with those fields, and with its target as the body, while the dial shows 200.
fn upstream(dial: &Dial, lines: &'static str) -> Upstream {
    let dial = dial.clone();
    Upstream::start(move |call: &mut Call| {
        let status = u16::try_from(dial.get()).expect("a status");
        let who = call.seen.fields.get("authorization").unwrap_or("nobody");
        let body = format!("{} for {who}", call.seen.target);
        call.respond_with(status, lines, &body);
    })
}

fn trip(gateway: &Gateway, status: &Dial) {
    status.set(500);
    for _ in 0..2 {
        gateway.client().request("POST", "/trip", "", "x");
    }
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn an_open_breaker_serves_the_last_good_answer_marked_as_such() {
    let status = Dial::at(200);
    let upstream = upstream(&status, "Cache-Control: max-age=0\r\nETag: \"1\"\r\n");
    let gateway = Gateway::run(file(&upstream, ""));
    let fresh = gateway.get("/a?x=1");
    assert_eq!(fresh.text(), "/a?x=1 for nobody");
    assert_eq!(fresh.fields.get("fusebox-fallback"), None);
    trip(&gateway, &status);
    let calls = upstream.calls();
    let stale = gateway.get("/a?x=1");
    assert_eq!(
        (stale.status, stale.text().as_str()),
        (200, "/a?x=1 for nobody")
    );
    assert_eq!(stale.fields.get("fusebox-fallback"), Some("last_good"));
    assert!(stale.fields.has("age"));
    let cache = stale
        .fields
        .get("cache-status")
        .unwrap_or_default()
        .to_owned();
    assert!(cache.starts_with("fusebox; hit; fwd=stale"), "{cache}");
    assert!(
        stale
            .fields
            .get("fusebox-reason")
            .unwrap_or_default()
            .starts_with("breaker_open")
    );
    let lines = "If-None-Match: \"1\"\r\n";
    assert_eq!(
        gateway.client().request("GET", "/a?x=1", lines, "").status,
        304
    );
    let other = gateway.get("/a?x=2");
    assert_eq!(other.status, 503, "another query is another answer");
    assert_eq!(upstream.calls(), calls, "nothing reaches the upstream");
    let served = "fusebox_fallback_total{upstream=\"orders\",rung=\"last_good\",result=\"served\"}";
    assert_eq!(gateway.metric(served), Some(2.0));
}

#[test]
fn a_failed_call_is_a_failure_though_a_rung_answers() {
    let status = Dial::at(200);
    let upstream = upstream(&status, "");
    let gateway = Gateway::run(file(&upstream, ""));
    gateway.get("/a");
    status.set(500);
    for _ in 0..3 {
        let response = gateway.get("/a");
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "/a for nobody")
        );
    }
    assert_eq!(gateway.outcomes("orders"), (1, 2, 0));
    assert_eq!(gateway.state("orders"), "open");
}

#[test]
fn a_credential_never_gets_the_answer_to_another() {
    let status = Dial::at(200);
    let upstream = upstream(&status, "Cache-Control: private, max-age=60\r\n");
    let keyed = "last_good: { key: [header.authorization] }";
    let gateway = Gateway::run(file(&upstream, keyed));
    let get = |who: &str| {
        let lines = format!("Authorization: {who}\r\n");
        gateway.client().request("GET", "/a", &lines, "")
    };
    assert_eq!(get("one").text(), "/a for one");
    trip(&gateway, &status);
    assert_eq!(get("one").text(), "/a for one");
    assert_eq!(get("two").status, 503);
    assert_eq!(gateway.get("/a").status, 503);
}

#[test]
fn what_may_not_be_stored_is_not_served() {
    for lines in [
        "Cache-Control: no-store\r\n",
        "Set-Cookie: a=b\r\n",
        "Vary: *\r\n",
        "Cache-Control: private\r\n",
        "Cache-Control: max-age=0, must-revalidate\r\n",
    ] {
        let status = Dial::at(200);
        let upstream = upstream(&status, lines);
        let gateway = Gateway::run(file(&upstream, ""));
        assert_eq!(gateway.get("/a").status, 200);
        trip(&gateway, &status);
        assert_eq!(gateway.get("/a").status, 503, "{lines}");
    }
}

#[test]
fn the_last_good_answer_is_there_after_a_kill_and_a_purge_stays_one() {
    let status = Dial::at(200);
    let upstream = upstream(&status, "");
    let mut gateway = Gateway::run(file(&upstream, ""));
    gateway.get("/a");
    gateway.get("/b");
    // Answers are written beside the path of requests; the second purge begins once those before the first are written.
    for _ in 0..2 {
        let nothing = serde_json::json!({ "upstream": "orders", "path": "/none" });
        assert_eq!(
            gateway
                .admin_post("/api/v1/last-good/purge", &nothing)
                .status,
            200
        );
    }
    trip(&gateway, &status);
    eventually("the breaker's state is written", || {
        gateway.breaker("orders")["persisted"] == true
    });
    gateway.kill9();
    gateway.restart();
    assert_eq!(gateway.get("/a").text(), "/a for nobody");
    let purge = serde_json::json!({ "upstream": "orders", "path": "/a" });
    let response = gateway.admin_post("/api/v1/last-good/purge", &purge);
    assert_eq!(
        (response.status, response.json()["removed"].as_u64()),
        (200, Some(1))
    );
    assert_eq!(gateway.get("/a").status, 503);
    gateway.kill9();
    gateway.restart();
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(gateway.get("/b").text(), "/b for nobody");
    let unknown = serde_json::json!({ "upstream": "nobody" });
    assert_eq!(
        gateway
            .admin_post("/api/v1/last-good/purge", &unknown)
            .status,
        404
    );
}

#[test]
fn a_host_never_gets_the_answer_to_another_and_a_write_by_any_route_removes_it() {
    let status = Dial::at(200);
    let upstream = upstream(&status, "Connection: x-hop\r\nX-Hop: internal\r\n");
    let file = file(&upstream, "").replace(
        "routes:\n",
        "routes:\n  - { path: \"/plain/{*rest}\", upstream: orders, rewrite: \"/{rest}\", fallback: [{ respond: { status: 297 } }] }\n",
    );
    let gateway = Gateway::run(file);
    let get = |host: &str, path: &str| {
        let mut client = gateway.client();
        client.host = host.to_owned();
        client.get(path)
    };
    assert_eq!(get("a.example", "/a").status, 200);
    assert_eq!(get("a.example", "/b").status, 200);
    let mut client = gateway.client();
    client.host = "a.example".to_owned();
    assert_eq!(client.request("DELETE", "/plain/b", "", "").status, 200);
    trip(&gateway, &status);
    let kept = get("a.example", "/a");
    assert_eq!(kept.fields.get("fusebox-fallback"), Some("last_good"));
    assert_eq!(kept.fields.get("x-hop"), None, "a field of the connection");
    assert_eq!(get("b.example", "/a").status, 503);
    assert_eq!(get("a.example", "/b").status, 503, "deleted");
}

#[test]
fn a_clients_own_revalidation_renews_the_kept_answer() {
    let status = Dial::at(200);
    let upstream = Upstream::start({
        let status = status.clone();
        move |call: &mut Call| match (status.get(), call.seen.fields.has("if-none-match")) {
            (200, true) => call.respond_with(304, "ETag: \"1\"\r\nX-Version: new\r\n", ""),
            (200, false) => call.respond_with(200, "ETag: \"1\"\r\nX-Version: old\r\n", "kept"),
            _ => call.respond(500, "down"),
        }
    });
    let gateway = Gateway::run(file(&upstream, ""));
    assert_eq!(gateway.get("/a").text(), "kept");
    let lines = "If-None-Match: \"1\"\r\n";
    let unmodified = gateway.client().request("GET", "/a", lines, "");
    assert_eq!(unmodified.status, 304);
    trip(&gateway, &status);
    let served = gateway.get("/a");
    assert_eq!((served.status, served.text().as_str()), (200, "kept"));
    assert_eq!(served.fields.get("x-version"), Some("new"));
}
