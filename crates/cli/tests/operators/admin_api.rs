//! The admin API: what it shows, what it does, and whom it refuses.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{
    Client, Dial, Ending, Exposition, Gateway, Program, Response, Setup, Upstream, eventually,
    orders,
};
use serde_json::{Value, json};

const TOKEN: &str = "s3cret-admin-token";

/// A gateway before an upstream that answers what the dial says.
fn gateway(breaker: &str) -> (Gateway, Upstream, Dial) {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let gateway = Gateway::run(orders(&upstream, breaker));
    (gateway, upstream, status)
}

/// Breakers by tenant, so that names have parts.
fn tenants() -> (Gateway, Upstream, Dial) {
    gateway(
        "{ key: \"{header.x-tenant}\", max_keys: 100, trip: { consecutive_failures: 1 }, cooldown: 60s }",
    )
}

#[track_caller]
fn call_as(gateway: &Gateway, tenant: &str) -> u16 {
    let lines = format!("X-Tenant: {tenant}\r\n");
    gateway.client().request("GET", "/a", &lines, "").status
}

#[track_caller]
fn names(response: &Response) -> Vec<String> {
    let body = response.json();
    let all = body["breakers"].as_array().unwrap().iter();
    all.map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

/// An error of the API: its status, its form, and a detail that says something.
#[track_caller]
fn problem(response: &Response, status: u16, detail: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(
        response.fields.get("content-type"),
        Some("application/problem+json")
    );
    let body = response.json();
    assert_eq!(body["status"], status);
    let kind = body["type"].as_str().unwrap();
    assert!(kind.starts_with("urn:fusebox:problem:"), "{kind}");
    assert!(!body["title"].as_str().unwrap().is_empty());
    let said = body["detail"].as_str().unwrap();
    assert!(said.contains(detail), "{said:?} says nothing of {detail:?}");
}

#[test]
fn a_running_gateway_is_healthy_and_ready() {
    let (gateway, ..) = gateway("{}");
    let health = gateway.admin_get("/healthz");
    assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
    let ready = gateway.admin_get("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
    let verbose = gateway.admin_get("/readyz?verbose").text();
    for part in [
        "listeners: ok: default on 127.0.0.1:",
        "store: ok",
        "plan: ok",
        "ready\n",
    ] {
        assert!(verbose.contains(part), "{part} in {verbose}");
    }
    assert_eq!(
        gateway.admin().request("HEAD", "/readyz", "", "").status,
        200
    );
}

#[test]
fn every_answer_keeps_browsers_from_misusing_it() {
    let (gateway, ..) = gateway("{}");
    for path in ["/healthz", "/metrics", "/api/v1/breakers", "/nowhere"] {
        let response = gateway.admin_get(path);
        assert_eq!(
            response.fields.get("x-content-type-options"),
            Some("nosniff")
        );
        assert_eq!(response.fields.get("cache-control"), Some("no-store"));
        assert_eq!(response.fields.get("x-frame-options"), Some("DENY"));
        let policy = response.fields.get("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!response.fields.has("access-control-allow-origin"));
    }
}

#[test]
fn metrics_count_what_has_happened_in_both_forms() {
    let (gateway, _upstream, status) =
        gateway("{ trip: { consecutive_failures: 3 }, cooldown: 60s }");
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(client.get("/a").status, 200);
    }
    status.set(500);
    for _ in 0..3 {
        assert_eq!(client.get("/a").status, 500);
    }
    for _ in 0..2 {
        assert_eq!(gateway.get("/a").status, 503);
    }
    let prometheus = gateway.admin_get("/metrics");
    let media = prometheus.fields.get("content-type").unwrap();
    assert!(media.starts_with("text/plain; version=0.0.4"), "{media}");
    let accept =
        "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3\r\n";
    let open = gateway.admin().request("GET", "/metrics", accept, "");
    let media = open.fields.get("content-type").unwrap();
    assert!(
        media.starts_with("application/openmetrics-text; version=1.0.0"),
        "{media}"
    );
    let forms = [
        Exposition::prometheus(&prometheus.text()).unwrap(),
        Exposition::open_metrics(&open.text()).unwrap(),
    ];
    for metrics in &forms {
        let breaker = |name: &str, labels: &[(&str, &str)]| {
            let mut all = vec![("breaker", "orders")];
            all.extend(labels);
            metrics.value(&format!("fusebox_breaker_{name}"), &all)
        };
        assert_eq!(breaker("state", &[("state", "open")]), Some(1.0));
        assert_eq!(breaker("state", &[("state", "closed")]), Some(0.0));
        assert_eq!(breaker("state", &[("state", "half_open")]), Some(0.0));
        assert_eq!(breaker("calls_total", &[("outcome", "success")]), Some(4.0));
        assert_eq!(breaker("calls_total", &[("outcome", "failure")]), Some(3.0));
        assert_eq!(breaker("calls_total", &[("outcome", "ignored")]), Some(0.0));
        assert_eq!(breaker("rejected_total", &[("state", "open")]), Some(2.0));
        assert_eq!(breaker("would_reject_total", &[]), Some(0.0));
        let trip = [
            ("from", "closed"),
            ("to", "open"),
            ("reason", "consecutive_failures"),
        ];
        assert_eq!(breaker("transitions_total", &trip), Some(1.0));
        let at = breaker("next_probe_timestamp_seconds", &[]).unwrap();
        assert!(at > 1_700_000_000.0, "{at}");
        let served = |status: &str| {
            let labels = [
                ("http_route", "/{*rest}"),
                ("http_request_method", "GET"),
                ("http_response_status_code", status),
            ];
            metrics.value("http_server_request_duration_seconds_count", &labels)
        };
        assert_eq!(served("200"), Some(4.0));
        assert_eq!(served("500"), Some(3.0));
        assert_eq!(served("503"), Some(2.0));
        let called = |status: &str| {
            let labels = [
                ("upstream", "orders"),
                ("http_response_status_code", status),
            ];
            metrics.value("http_client_request_duration_seconds_count", &labels)
        };
        assert_eq!((called("200"), called("500")), (Some(4.0), Some(3.0)));
        assert_eq!(metrics.value("fusebox_requests_total", &[]), Some(9.0));
        assert_eq!(metrics.value("fusebox_draining", &[]), Some(0.0));
        assert_eq!(
            metrics.value("fusebox_config_reload_total", &[("result", "success")]),
            Some(0.0)
        );
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        assert_eq!(metrics.value("fusebox_build_info", &version), Some(1.0));
    }
    let names = |metrics: &Exposition| {
        let names = metrics.samples.iter().map(|sample| sample.name.clone());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&forms[0]), names(&forms[1]));
}

#[test]
fn metrics_of_monitor_mode_say_what_would_have_been_refused() {
    let (gateway, upstream, status) =
        gateway("{ mode: monitor, trip: { consecutive_failures: 2 }, cooldown: 60s }");
    status.set(500);
    for _ in 0..5 {
        assert_eq!(gateway.get("/a").status, 500);
    }
    assert_eq!(upstream.calls(), 5);
    let metrics = Exposition::prometheus(&gateway.admin_get("/metrics").text()).unwrap();
    let labels = [("breaker", "orders")];
    assert_eq!(
        metrics.value("fusebox_breaker_would_reject_total", &labels),
        Some(3.0)
    );
    let rejected = metrics.all("fusebox_breaker_rejected_total");
    assert!(rejected.iter().all(|sample| sample.value == 0.0));
}

#[test]
fn what_a_client_puts_into_a_breakers_name_breaks_no_exposition() {
    let (gateway, _upstream, status) = tenants();
    status.set(500);
    let name = "a\"b\\c/d,e{f} \u{e9}%25";
    assert_eq!(call_as(&gateway, name), 500);
    let text = gateway.admin_get("/metrics").text();
    let metrics = Exposition::prometheus(&text).unwrap();
    // What parts keys, and what writes that differently, is written differently.
    let name = name.replace('%', "%25").replace(',', "%2C");
    let labels = [("breaker", &*format!("orders/{name}")), ("state", "open")];
    assert_eq!(
        metrics.value("fusebox_breaker_state", &labels),
        Some(1.0),
        "{text}"
    );
}

#[test]
fn breakers_can_be_listed_by_prefix_state_and_number() {
    let (gateway, _upstream, status) = tenants();
    for tenant in ["ann", "anton", "bea"] {
        assert_eq!(call_as(&gateway, tenant), 200);
    }
    status.set(500);
    assert_eq!(call_as(&gateway, "anton"), 500);
    let list = |query: &str| gateway.admin_get(&format!("/api/v1/breakers{query}"));
    assert_eq!(
        names(&list("")),
        ["orders/ann", "orders/anton", "orders/bea"]
    );
    assert_eq!(
        names(&list("?prefix=orders/an")),
        ["orders/ann", "orders/anton"]
    );
    assert_eq!(names(&list("?prefix=orders%2Fb")), ["orders/bea"]);
    assert_eq!(names(&list("?state=open")), ["orders/anton"]);
    assert_eq!(
        names(&list("?state=closed&prefix=orders/a")),
        ["orders/ann"]
    );
    assert_eq!(names(&list("?state=half_open")), Vec::<String>::new());
    let limited = list("?limit=2");
    assert_eq!(names(&limited), ["orders/ann", "orders/anton"]);
    assert_eq!(limited.json()["total"], 3);
    problem(&list("?state=ajar"), 400, "half_open");
    problem(&list("?limit=many"), 400, "");
    problem(&list("?limit=0"), 400, "1 to 1,000");
    problem(&list("?colour=red"), 400, "colour");
}

#[test]
fn a_list_is_walked_a_page_at_a_time_whatever_changes_meanwhile() {
    let (gateway, _upstream, _) = tenants();
    let all: Vec<_> = (0..9).map(|n| format!("orders/t{n}")).collect();
    for name in all.iter().rev() {
        assert_eq!(
            call_as(&gateway, name.strip_prefix("orders/").unwrap()),
            200
        );
    }
    let page = |query: &str| gateway.admin_get(&format!("/api/v1/breakers?{query}"));
    let first = page("limit=4");
    assert_eq!(names(&first), all[..4]);
    assert_eq!(first.json()["next"], "orders/t3");
    assert_eq!(first.json()["total"], 9);
    // A breaker that comes before the cursor moves nothing behind it, and the cursor needs no breaker.
    assert_eq!(call_as(&gateway, "a"), 200);
    let second = page("limit=4&after=orders/t3");
    assert_eq!(names(&second), all[4..8]);
    assert_eq!(names(&page("limit=4&after=orders%2Ft30")), all[4..8]);
    let last = page("limit=4&after=orders/t7");
    assert_eq!(names(&last), all[8..]);
    assert_eq!(
        (&last.json()["next"], &last.json()["total"]),
        (&Value::Null, &json!(10))
    );
    let exact = page("prefix=orders/t&limit=9");
    assert_eq!((names(&exact), &exact.json()["next"]), (all, &Value::Null));
    for (empty, total) in [("after=zzz", 10), ("prefix=none", 0)] {
        let page = page(empty);
        assert_eq!(
            page.json(),
            json!({ "total": total, "next": null, "incomplete": null, "breakers": [] })
        );
    }
}

#[test]
fn a_list_and_the_metrics_cost_a_page_however_many_breakers_there_are() {
    const KEYS: usize = 4_000;
    let upstream = crate::support::Refusing::new();
    let gateway = Gateway::run(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders: {{ url: {}, breaker: {{ key: \"{{header.x-tenant}}\", max_keys: {KEYS}, trip: {{ consecutive_failures: 1 }} }} }}
routes: [{{ path: /a, upstream: orders }}]
",
        upstream.url()
    ));
    let mut client = gateway.client();
    for batch in 0..KEYS / 100 {
        let request = |n| {
            let tenant = batch * 100 + n;
            format!("GET /a HTTP/1.1\r\nHost: gateway.test\r\nX-Tenant: {tenant:05}\r\n\r\n")
        };
        client.send((0..100).map(request).collect::<String>());
        for _ in 0..100 {
            assert_eq!(client.response().status, 502);
        }
    }
    let before = gateway.rss_most();
    let mut seen = 0;
    let mut after = String::new();
    loop {
        let list = gateway.admin_get(&format!("/api/v1/breakers?limit=99999&after={after}"));
        let page = names(&list);
        assert!(page.len() <= 1_000 && page.is_sorted());
        assert_eq!(list.json()["total"], KEYS);
        seen += page.len();
        match list.json()["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(seen, KEYS);
    problem(
        &gateway.admin_get("/api/v1/breakers/none"),
        404,
        "known breakers: orders/00000",
    );
    let admin = format!("http://{}", gateway.admin_addr());
    let listed = Program::new().run(["breakers", "ls", "--admin", &admin]);
    assert_eq!(listed.stdout.lines().count(), KEYS + 1, "{}", listed.stderr);
    let metrics = Exposition::prometheus(&gateway.admin_get("/metrics").text()).unwrap();
    let held = metrics.all("fusebox_breaker_held");
    assert_eq!(held.len(), 1_001, "a thousand and the rest");
    let failed = metrics.all("fusebox_breaker_calls_total");
    let failed: f64 = failed.iter().map(|sample| sample.value).sum();
    assert_eq!(failed, KEYS as f64, "no call is lost in the rest");
    let tripped = metrics.all("fusebox_breaker_transitions_total");
    assert!(tripped.len() <= 1_001, "{} series", tripped.len());
    let tripped: f64 = tripped.iter().map(|sample| sample.value).sum();
    assert_eq!(tripped, KEYS as f64, "no trip is lost in the rest");
    let grown = gateway.rss_most() - before;
    assert!(grown < 12 << 20, "{grown} bytes");
}

#[test]
fn one_breaker_is_shown_with_its_reason_rules_and_history() {
    let (gateway, _upstream, status) = gateway(
        "{ trip: [{ consecutive_failures: 2 }, { failures: 10, within: 60s }], cooldown: 60s }",
    );
    let closed = gateway.breaker("orders");
    assert_eq!(closed["state"], "closed");
    assert_eq!(closed["mode"], "enforce");
    assert_eq!(closed["hold"], Value::Null);
    assert_eq!(closed["retry_at"], Value::Null);
    assert_eq!(closed["recent"], json!([]));
    status.set(500);
    gateway.get("/a");
    gateway.get("/a");
    gateway.get("/a");
    let open = gateway.breaker("orders");
    assert_eq!(open["state"], "open");
    assert_eq!(open["upstream"], "orders");
    assert_eq!(open["reason_token"], "consecutive_failures");
    assert!(open["reason"].as_str().unwrap().contains('2'));
    assert_eq!(open["attempts"], 1);
    assert!(open["generation"].as_u64() > closed["generation"].as_u64());
    assert_eq!(open["counts"]["failure"], 2);
    assert_eq!(open["counts"]["rejected"], 1);
    let seconds = open["retry_after"].as_u64().unwrap();
    assert!((30..=60).contains(&seconds), "{seconds}");
    for time in ["since", "retry_at"] {
        let text = open[time].as_str().unwrap();
        assert!(
            text.starts_with("20") && text.ends_with('Z'),
            "{time}: {text}"
        );
    }
    let rules = open["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 2);
    assert_eq!(rules[0]["threshold"], 2.0);
    assert_eq!(rules[1]["threshold"], 10.0);
    let explanation = &open["explanation"];
    assert_eq!(explanation["next"]["event"], "cooldown_ends");
    assert_eq!(explanation["next"]["at"], open["retry_at"]);
    assert_eq!(explanation["rules"][1]["gap"], "not_judged");
    let text = explanation["text"].as_str().unwrap();
    assert!(
        text.starts_with("open for ") && text.contains("the cooldown ends in"),
        "{text}"
    );
    let explanation = &closed["explanation"];
    assert_eq!(explanation["next"]["event"], "rule_met");
    assert_eq!(explanation["rules"][0]["gap"], "below_limit");
    assert_eq!(
        (&closed["admit_probability"], &open["admit_probability"]),
        (&json!(1.0), &json!(0.0))
    );
    assert_eq!(closed["ramp"], Value::Null);
    assert_eq!(open["counts"]["rejected_for"]["breaker_open"], 1);
    let trip = &open["recent"][0];
    assert_eq!(
        (&trip["from"], &trip["to"]),
        (&json!("closed"), &json!("open"))
    );
    assert_eq!(trip["reason_token"], "consecutive_failures");
    eventually("the trip is persisted", || {
        gateway.breaker("orders")["persisted"] == true
    });
}

#[test]
fn a_breakers_name_is_percent_encoded_in_the_path() {
    let (gateway, _upstream, _) = tenants();
    assert_eq!(call_as(&gateway, "a/b c"), 200);
    let path = "/api/v1/breakers/orders%2Fa%2Fb%20c";
    assert_eq!(gateway.admin_get(path).json()["name"], "orders/a/b c");
    let held = gateway.admin_post(&format!("{path}/open"), &json!({}));
    assert_eq!(held.json()["hold"]["kind"], "open");
    assert_eq!(call_as(&gateway, "a/b c"), 503);
    assert_eq!(call_as(&gateway, "b"), 200);
    problem(
        &gateway.admin_get("/api/v1/breakers/orders/a"),
        404,
        "write a `/` in a breaker's name as %2F",
    );
    problem(&gateway.admin_get(&format!("{path}/open")), 405, "");
    problem(
        &gateway.admin_get("/api/v1/breakers/%ff"),
        400,
        "percent-encoded",
    );
    problem(
        &gateway.admin_post("/api/v1/breakers/%ff/open", &json!({})),
        400,
        "percent-encoded",
    );
}

#[test]
fn a_body_is_one_json_object_and_no_larger_than_a_command() {
    let (gateway, _upstream, _) = gateway("{}");
    let (open, purge) = ("/api/v1/breakers/orders/open", "/api/v1/last-good/purge");
    let long = format!("{{\"reason\":\"{}\"}}", "a".repeat(17_000));
    for path in [open, purge] {
        // A struct could be read from the list of its members' values.
        let list = gateway.admin_post(path, &json!([null, null, null, null]));
        problem(&list, 400, "the body is not a JSON object");
        let json = "Content-Type: application/json\r\n";
        let send = |lines, body| gateway.admin().request("POST", path, lines, body);
        problem(&send("", "{}"), 415, "send Content-Type: application/json");
        problem(&send(json, &long), 413, "at most 16384 bytes");
    }
    problem(
        &gateway.admin().request("POST", purge, "", ""),
        400,
        "upstream",
    );
}

#[test]
fn an_assets_name_that_is_not_text_is_a_problem() {
    let (gateway, _upstream, _) = gateway("{}");
    problem(&gateway.admin_get("/page/%ff"), 400, "UTF-8");
}

#[test]
fn an_operator_can_hold_a_breaker_open_and_release_it() {
    let (gateway, upstream, _) = gateway("{ cooldown: 7s }");
    let order = json!({ "reason": "database moves", "by": "ann" });
    let held = gateway.admin_post("/api/v1/breakers/orders/open", &order);
    assert_eq!(held.status, 200);
    let held = held.json();
    assert_eq!(
        held["state"], "closed",
        "the machine's own state stays beneath"
    );
    assert_eq!(
        held["hold"],
        json!({ "kind": "open", "until": null, "reason": "database moves", "by": "ann" })
    );
    let refused = gateway.get("/a");
    assert_eq!(refused.status, 503);
    let reason = refused.fields.get("fusebox-reason").unwrap();
    assert!(
        reason.starts_with("held_open; breaker=\"orders\""),
        "{reason}"
    );
    assert_eq!(refused.fields.get("retry-after"), Some("7"));
    assert_eq!(upstream.calls(), 0);
    let released = gateway.admin_post("/api/v1/breakers/orders/release", &json!({}));
    let released = released.json();
    assert_eq!(released["hold"], Value::Null);
    assert_eq!(released["state"], "half_open");
    assert!(released["generation"].as_u64() > held["generation"].as_u64());
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn an_operator_can_hold_a_breaker_closed_whatever_fails() {
    let (gateway, upstream, status) =
        gateway("{ trip: { consecutive_failures: 1 }, cooldown: 60s }");
    gateway.admin_post("/api/v1/breakers/orders/close", &json!({ "reason": "no" }));
    status.set(500);
    for _ in 0..5 {
        assert_eq!(gateway.get("/a").status, 500);
    }
    assert_eq!(upstream.calls(), 5);
    assert_eq!(gateway.breaker("orders")["hold"]["kind"], "closed");
    let released = gateway.admin_post("/api/v1/breakers/orders/release", &json!({}));
    assert_eq!(released.json()["state"], "closed");
    assert_eq!(
        gateway.get("/a").status,
        500,
        "nothing of before is counted"
    );
    assert_eq!(gateway.get("/a").status, 503);
}

#[test]
fn a_hold_for_a_time_ends_by_itself() {
    let (gateway, _upstream, _) = gateway("{}");
    let held = gateway.admin_post("/api/v1/breakers/orders/open", &json!({ "for": "700ms" }));
    let until = held.json()["hold"]["until"].as_str().unwrap().to_owned();
    assert!(until.ends_with('Z'), "{until}");
    assert_eq!(gateway.get("/a").status, 503);
    eventually("the hold is over", || gateway.get("/a").status == 200);
    assert_eq!(gateway.breaker("orders")["hold"], Value::Null);
}

#[test]
fn an_operator_can_reset_a_breaker() {
    let (gateway, _upstream, status) =
        gateway("{ trip: { consecutive_failures: 1 }, cooldown: 60s }");
    status.set(500);
    gateway.get("/a");
    let open = gateway.breaker("orders");
    assert_eq!(open["state"], "open");
    status.set(200);
    let reset = gateway
        .admin_post("/api/v1/breakers/orders/reset", &json!({}))
        .json();
    assert_eq!(reset["state"], "closed");
    assert_eq!(reset["attempts"], 0);
    assert!(reset["generation"].as_u64() > open["generation"].as_u64());
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn every_command_is_in_the_log_with_who_and_why() {
    let (gateway, ..) = gateway("{}");
    let order = json!({ "reason": "database moves", "by": "ann" });
    gateway.admin_post("/api/v1/breakers/orders/open", &order);
    let line = gateway.log_line(|line| line["message"] == "an operator's command");
    assert_eq!(line["breaker"], "orders");
    assert_eq!(line["by"], "ann");
    assert_eq!(line["reason"], "database moves");
}

#[test]
fn a_command_without_a_body_is_one_too() {
    let (gateway, ..) = gateway("{}");
    let held = gateway
        .admin()
        .request("POST", "/api/v1/breakers/orders/open", "", "");
    assert_eq!(held.json()["hold"]["by"], "admin");
}

#[test]
fn a_command_that_cannot_be_read_changes_nothing_and_says_why() {
    let (gateway, ..) = gateway("{}");
    let post = |action: &str, kind: &str, body: &str| {
        let lines = format!("Content-Type: {kind}\r\n");
        let path = format!("/api/v1/breakers/orders/{action}");
        gateway.admin().request("POST", &path, &lines, body)
    };
    let open = |body: &str| post("open", "application/json", body);
    problem(&open("{"), 400, "EOF");
    problem(&open("[]"), 400, "");
    problem(&open("\u{7f}"), 400, "");
    problem(&open(r#"{"fro":"10m"}"#), 400, "fro");
    problem(&open(r#"{"for":"10m","for":"20m"}"#), 400, "duplicate");
    for duration in ["10", "ten minutes", "-5s", "0s", "", "9999999h"] {
        let body = json!({ "for": duration }).to_string();
        problem(&open(&body), 400, "expected a duration");
    }
    problem(&open(r#"{"for":600}"#), 400, "");
    problem(
        &open(&json!({ "reason": "x".repeat(257) }).to_string()),
        400,
        "256",
    );
    problem(&open(&json!({ "by": "a\nb" }).to_string()), 400, "control");
    problem(&open(r#"{"scope":"galaxy"}"#), 400, "galaxy");
    problem(&open(r#"{"scope":"fleet"}"#), 409, "belongs to no fleet");
    problem(&open(&"[".repeat(10_000)), 400, "");
    problem(
        &open(&format!("{{\"reason\":{}", "[".repeat(10_000))),
        400,
        "",
    );
    problem(&open(&format!("\"{}\"", "x".repeat(20_000))), 413, "16384");
    problem(&post("open", "text/plain", "{}"), 415, "application/json");
    problem(
        &post("open", "application/jsonp", "{}"),
        415,
        "application/json",
    );
    problem(
        &post("release", "application/json", r#"{"for":"1m"}"#),
        400,
        "open and close",
    );
    problem(&post("explode", "application/json", "{}"), 404, "explode");
    assert_eq!(
        post("close", "Application/JSON; charset=utf-8", "{}").status,
        200
    );
    assert_eq!(gateway.breaker("orders")["hold"]["kind"], "closed");
    let commands = || {
        gateway
            .log()
            .join("\n")
            .matches("an operator's command")
            .count()
    };
    eventually("the one command is in the log", || commands() == 1);
}

#[test]
fn a_body_that_is_far_too_large_is_refused_without_being_kept() {
    let (gateway, ..) = gateway("{}");
    let before = gateway.rss();
    let body = format!("{{\"reason\":\"{}\"}}", "x".repeat(32 << 20));
    let mut socket = TcpStream::connect(gateway.admin_addr()).unwrap();
    let head = format!(
        "POST /api/v1/breakers/orders/open HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    // It may well stop reading before the end.
    socket.write_all(body.as_bytes()).ok();
    assert_eq!(gateway.breaker("orders")["hold"], Value::Null);
    assert!(gateway.rss_most() < before + (8 << 20));
}

#[test]
fn unknown_breakers_paths_and_methods_are_problems() {
    let (gateway, ..) = gateway("{}");
    problem(&gateway.admin_get("/api/v1/breakers/order"), 404, "orders");
    problem(
        &gateway.admin_post("/api/v1/breakers/order/open", &json!({})),
        404,
        "orders",
    );
    problem(&gateway.admin_get("/nowhere"), 404, "/nowhere");
    problem(&gateway.admin_get("/api/v1/breakers/"), 404, "");
    for (method, path, allow) in [
        ("POST", "/healthz", "GET"),
        ("DELETE", "/api/v1/breakers/orders", "GET"),
        ("PUT", "/api/v1/plan", "GET"),
        ("GET", "/api/v1/breakers/orders/open", "POST"),
    ] {
        let response = gateway.admin().request(method, path, "", "");
        problem(&response, 405, method);
        let allowed = response.fields.get("allow").unwrap();
        assert!(allowed.contains(allow), "{method} {path}: {allowed}");
    }
}

#[test]
fn the_plan_is_shown_with_its_defaults_and_without_its_secrets() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let yaml = format!(
        "{}admin: {{ token: {TOKEN} }}\n",
        orders(&upstream, "{ trip: { consecutive_failures: 3 } }")
    );
    let gateway = Gateway::run(yaml);
    let lines = format!("Authorization: Bearer {TOKEN}\r\n");
    let response = gateway.admin().request("GET", "/api/v1/plan", &lines, "");
    let text = response.text();
    assert!(!text.contains(TOKEN), "{text}");
    let plan = response.json();
    assert_eq!(plan["admin"]["token"], "***");
    assert_eq!(plan["upstreams"]["orders"]["url"], upstream.url());
    let breaker = &plan["upstreams"]["orders"]["breaker"];
    assert_eq!(breaker["trip"], json!([{ "consecutive_failures": 3 }]));
    assert_eq!(breaker["cooldown"], "30s");
    assert_eq!(breaker["mode"], "enforce");
    assert_eq!(breaker["half_open"]["probes"], 1);
    assert_eq!(plan["limits"]["drain"], "30s");
    assert_eq!(plan["upstreams"]["orders"]["timeout"]["request"], "30s");
    assert!(!gateway.log().join("\n").contains(TOKEN));
}

#[test]
fn a_shown_plan_is_a_configuration_again() {
    let (gateway, ..) = tenants();
    let plan = gateway.admin_get("/api/v1/plan").json();
    let again = Gateway::run(plan.to_string());
    assert_eq!(again.admin_get("/api/v1/plan").json(), plan);
}

fn with_token() -> Gateway {
    Gateway::run(format!(
        "listen: 127.0.0.1:0
admin: {{ token: {TOKEN} }}
upstreams: {{ orders: {{ url: http://127.0.0.1:1, breaker: {{}} }} }}
routes: [{{ path: /orders, upstream: orders }}]
"
    ))
}

#[test]
fn a_token_is_wanted_for_everything_but_health() {
    let gateway = with_token();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.admin_get(path).status, 200, "{path}");
    }
    for path in [
        "/readyz?verbose",
        "/readyz?a=b&verbose=1",
        "/metrics",
        "/api/v1/breakers",
        "/api/v1/breakers/orders",
        "/api/v1/plan",
        "/nowhere",
    ] {
        let response = gateway.admin_get(path);
        problem(&response, 401, "Bearer");
        assert_eq!(response.fields.get("www-authenticate"), Some("Bearer"));
    }
    problem(
        &gateway.admin_post("/api/v1/breakers/orders/open", &json!({})),
        401,
        "",
    );
    let lines = format!("Authorization: Bearer {TOKEN}\r\n");
    let breaker = gateway
        .admin()
        .request("GET", "/api/v1/breakers/orders", &lines, "");
    assert_eq!(breaker.json()["hold"], Value::Null);
    let verbose = gateway
        .admin()
        .request("GET", "/readyz?verbose", &lines, "")
        .text();
    assert!(verbose.contains("listeners: ok"), "{verbose}");
}

#[test]
fn a_wrong_token_is_refused_and_guessing_is_slowed_down() {
    let gateway = with_token();
    let ask = |field: &str| {
        let lines = format!("Authorization: {field}\r\n");
        gateway.admin().request("GET", "/metrics", &lines, "")
    };
    let right = format!("Bearer {TOKEN}");
    for wrong in [
        format!("Bearer {}", &TOKEN[1..]),
        format!("Bearer {TOKEN}x"),
        format!("Basic {TOKEN}"),
        "Bearer ".into(),
    ] {
        problem(&ask(&wrong), 401, "");
    }
    for right in [
        right.clone(),
        format!("bearer {TOKEN}"),
        format!("BEARER    {TOKEN}"),
    ] {
        assert_eq!(ask(&right).status, 200, "{right}");
    }
    // Wrong ones are told so ten times a second at most. The right one never waits for that.
    let mut guessing = gateway.admin();
    let mut guess = || guessing.request("GET", "/metrics", "Authorization: Bearer guess\r\n", "");
    let slowed = (0..60).map(|_| guess()).find(|guess| guess.status == 429);
    let slowed = slowed.expect("a guess is slowed down");
    problem(&slowed, 429, "wrong tokens");
    assert_eq!(slowed.fields.get("retry-after"), Some("1"));
    assert_eq!(ask(&right).status, 200);
    assert_eq!(gateway.admin_get("/healthz").status, 200);
}

#[test]
fn only_local_names_and_addresses_are_hosts() {
    let (gateway, ..) = gateway("{}");
    let ask = |host: &str| {
        let mut client = gateway.admin();
        client.host = host.into();
        client.get("/api/v1/breakers")
    };
    for good in ["localhost", "127.0.0.1", "[::1]:9900", "10.1.2.3:80"] {
        assert_eq!(ask(good).status, 200, "{good}");
    }
    for bad in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "evil.example:9900",
    ] {
        problem(&ask(bad), 403, "address");
    }
    let mut client = gateway.admin();
    client.send("GET /api/v1/breakers HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n");
    let response = client.response();
    assert!([400, 403].contains(&response.status), "{}", response.status);
}

#[test]
fn pages_of_other_origins_are_refused() {
    let (gateway, ..) = gateway("{}");
    let own = gateway.admin_addr();
    let ask = |origin: &str| {
        let lines = format!("Origin: {origin}\r\nContent-Type: application/json\r\n");
        gateway
            .admin()
            .request("POST", "/api/v1/breakers/orders/open", &lines, "{}")
    };
    for bad in [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "file://",
    ] {
        problem(&ask(bad), 403, "origin");
    }
    assert_eq!(gateway.breaker("orders")["hold"], Value::Null);
    assert_eq!(ask(&format!("http://{own}")).status, 200);
    // A page's preflight gets no leave either.
    let lines = "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
    let preflight = gateway
        .admin()
        .request("OPTIONS", "/api/v1/breakers/orders/open", lines, "");
    problem(&preflight, 403, "origin");
}

#[test]
fn the_data_port_serves_nothing_of_the_admin_api() {
    let gateway = Gateway::run("listen: 127.0.0.1:0\nroutes: [{ path: /ping, respond: {} }]\n");
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/breakers",
        "/api/v1/plan",
    ] {
        assert_eq!(gateway.get(path).status, 404, "{path}");
    }
}

#[test]
fn the_admin_api_serves_nothing_of_the_data_port() {
    let (gateway, upstream, _) = gateway("{}");
    assert_eq!(gateway.admin_get("/a").status, 404);
    assert_eq!(upstream.calls(), 0);
}

/// More clients than may be there at once, each of which has sent something.
fn crowd(gateway: &Gateway, sends: &str) -> Vec<Client> {
    let all = (0..300).map(|_| {
        let mut client = Client::to(gateway.admin_addr());
        // Those that came first may have been sent away by now.
        client.wire.send(sends).ok();
        client
    });
    all.collect()
}

/// How long a complete request waits for its answer.
#[track_caller]
fn waits(gateway: &Gateway) -> Duration {
    let start = Instant::now();
    assert_eq!(gateway.admin_get("/healthz").status, 200);
    start.elapsed()
}

/// Far more than a request takes on a loaded machine, and less than the shortest of our own timeouts.
const MOMENT: Duration = Duration::from_secs(4);

#[test]
fn a_crowd_that_says_half_of_something_keeps_no_complete_request_waiting() {
    let (gateway, _upstream, _) = gateway("{}");
    let post = "POST /api/v1/breakers/orders/open HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    let idle = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    for sends in ["", "GET /healthz HTTP/1.1\r\nHost: 127.0", post, idle] {
        let mut crowd = crowd(&gateway, sends);
        for _ in 0..3 {
            let waited = waits(&gateway);
            assert!(waited < MOMENT, "{waited:?} behind {sends:?}");
        }
        if sends.is_empty() {
            assert_eq!(crowd[0].ended().1, Ending::Closed, "the first goes first");
        }
    }
    assert_eq!(gateway.get("/a").status, 200, "the data path does not mind");
    assert_eq!(gateway.breaker("orders")["hold"], Value::Null);
}

#[test]
fn a_flood_that_takes_every_descriptor_leaves_some_for_the_operator() {
    let (gateway, _upstream, _) = gateway("{}");
    // The admin API has begun, and has its reserve.
    waits(&gateway);
    let pid = i32::try_from(gateway.pid())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let limit = rustix::process::Rlimit {
        current: Some(120),
        maximum: Some(120),
    };
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
    let _flood: Vec<_> = (0..200).map(|_| gateway.client()).collect();
    eventually("every descriptor is taken", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap();
        open.count() >= 120
    });
    // More at once than there are in the reserve: who is idle gives way.
    let mut held = Vec::new();
    for _ in 0..20 {
        let waited = waits(&gateway);
        assert!(waited < MOMENT, "{waited:?}");
        let mut client = gateway.admin();
        assert_eq!(client.get("/healthz").status, 200);
        held.push(client);
    }
    let order = json!({ "reason": "flood" });
    let opened = gateway.admin_post("/api/v1/breakers/orders/open", &order);
    assert_eq!(opened.json()["hold"]["kind"], "open");
}

#[test]
fn garbage_on_the_admin_port_harms_nobody() {
    let setup = Setup::new("listen: 127.0.0.1:0\nroutes: [{ path: /ping, respond: {} }]\n");
    let gateway = setup.start();
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\0\x01",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut client = gateway.admin();
        client.send(garbage);
        client.wire.finish();
        client.ended();
    }
    assert_eq!(gateway.admin_get("/healthz").status, 200);
}
