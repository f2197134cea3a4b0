//! One upstream, many breakers: by what the request says of itself, and never too many.

use crate::support::{Client, Gateway, Response, Upstream, eventually};

/// An upstream that fails what comes from `bad`, and a gateway with a key before it.
fn keyed(key: &str, more: &str, routes: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start(|call| {
        let bad = call.seen.fields.get("x-bad").is_some();
        call.respond(if bad { 500 } else { 200 }, "");
    });
    let yaml = format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    url: {}
    breaker: {{ key: \"{key}\", trip: {{ consecutive_failures: 1 }}, cooldown: 60s{more} }}
routes:
{routes}",
        upstream.url()
    );
    (Gateway::run(yaml), upstream)
}

const ANY: &str = "  - { path: \"/{*rest}\", upstream: orders }\n";

#[track_caller]
fn call(gateway: &Gateway, method: &str, path: &str, lines: &str) -> Response {
    gateway.client().request(method, path, lines, "")
}

#[test]
fn a_tenant_that_fails_harms_no_other() {
    let (gateway, upstream) = keyed("{header.x-tenant}", ", max_keys: 100", ANY);
    assert_eq!(
        call(&gateway, "GET", "/a", "X-Tenant: acme\r\nX-Bad: 1\r\n").status,
        500
    );
    let refusal = call(&gateway, "GET", "/a", "X-Tenant: acme\r\n");
    assert_eq!(refusal.status, 503);
    assert_eq!(
        refusal.fields.get("fusebox-reason"),
        Some(r#"breaker_open; breaker="orders/acme"; state=open"#)
    );
    assert_eq!(refusal.json()["breaker"], "orders/acme");
    assert_eq!(
        call(&gateway, "GET", "/a", "X-Tenant: zeta\r\n").status,
        200
    );
    assert_eq!(call(&gateway, "GET", "/a", "").status, 200);
    assert_eq!(gateway.state("orders/acme"), "open");
    assert_eq!(gateway.state("orders/zeta"), "closed");
    assert_eq!(gateway.state("orders/-"), "closed", "who names no tenant");
    assert_eq!(upstream.calls(), 3);
    let list = gateway.admin_get("/api/v1/breakers?prefix=orders/").json();
    assert_eq!(list["total"], 3);
    let open = gateway.admin_get("/api/v1/breakers?state=open").json();
    assert_eq!(open["breakers"][0]["name"], "orders/acme");
}

#[test]
fn a_key_of_several_parts_is_joined() {
    let routes = "  - { name: one, path: \"/one/{id}\", upstream: orders }
  - { name: two, path: \"/two/{id}\", upstream: orders }
";
    let (gateway, _upstream) = keyed("{route},{method},{path.id}", ", max_keys: 100", routes);
    assert_eq!(call(&gateway, "GET", "/one/7", "X-Bad: 1\r\n").status, 500);
    assert_eq!(call(&gateway, "GET", "/one/7", "").status, 503);
    for (method, path) in [("GET", "/one/8"), ("POST", "/one/7"), ("GET", "/two/7")] {
        assert_eq!(
            call(&gateway, method, path, "").status,
            200,
            "{method} {path}"
        );
    }
    for name in [
        "orders/one,GET,7",
        "orders/one,GET,8",
        "orders/one,POST,7",
        "orders/two,GET,7",
    ] {
        let wanted = if name == "orders/one,GET,7" {
            "open"
        } else {
            "closed"
        };
        assert_eq!(gateway.state(name), wanted, "{name}");
    }
}

#[test]
fn a_long_key_is_hashed_and_a_strange_one_cannot_break_the_reason() {
    let (gateway, _upstream) = keyed("{header.x-tenant}", ", max_keys: 100", ANY);
    let long = "x".repeat(500);
    assert_eq!(
        call(
            &gateway,
            "GET",
            "/a",
            &format!("X-Tenant: {long}\r\nX-Bad: 1\r\n")
        )
        .status,
        500
    );
    let refusal = call(&gateway, "GET", "/a", &format!("X-Tenant: {long}\r\n"));
    assert_eq!(refusal.status, 503);
    let name = refusal.json()["breaker"].as_str().unwrap().to_owned();
    assert!(
        name.starts_with("orders/") && name.len() == "orders/".len() + 64,
        "{name}"
    );
    assert_eq!(gateway.state(&name), "open");
    let strange = "a\"; state=closed; x=\"";
    assert_eq!(
        call(
            &gateway,
            "GET",
            "/a",
            &format!("X-Tenant: {strange}\r\nX-Bad: 1\r\n")
        )
        .status,
        500
    );
    let refusal = call(&gateway, "GET", "/a", &format!("X-Tenant: {strange}\r\n"));
    assert_eq!(
        refusal.fields.get("fusebox-reason"),
        Some(r#"breaker_open; breaker="orders/a\"; state=closed; x=\""; state=open"#)
    );
}

#[test]
fn keys_past_their_limit_share_some_dozens_of_breakers() {
    let (gateway, _upstream) = keyed("{header.x-tenant}", ", max_keys: 3", ANY);
    // Three tenants that are open are never forgotten for others.
    for tenant in ["a", "b", "c"] {
        let lines = format!("X-Tenant: {tenant}\r\nX-Bad: 1\r\n");
        assert_eq!(call(&gateway, "GET", "/x", &lines).status, 500);
    }
    let tenant = |number: usize| format!("X-Tenant: new-{number}\r\n");
    for number in 0..50 {
        assert_eq!(call(&gateway, "GET", "/x", &tenant(number)).status, 200);
    }
    for tenant in ["a", "b", "c"] {
        assert_eq!(gateway.state(&format!("orders/{tenant}")), "open");
    }
    let bad = format!("{}X-Bad: 1\r\n", tenant(50));
    assert_eq!(call(&gateway, "GET", "/x", &bad).status, 500);
    let refusal = call(&gateway, "GET", "/x", &tenant(50));
    let name = refusal.json()["breaker"].as_str().unwrap().to_owned();
    let number = name.strip_prefix("orders/*").expect("a shared one");
    assert!(number.parse::<u8>().unwrap() < 64, "{name}");
    assert_eq!(gateway.state(&name), "open");
    // Of the other tenants only those that share it are refused.
    let refused =
        (51..151).filter(|number| call(&gateway, "GET", "/x", &tenant(*number)).status == 503);
    assert!(refused.count() < 20);
    for (series, value) in [
        ("fusebox_breaker_keys{upstream=\"orders\"}", 3.0),
        (
            "fusebox_breaker_overflow_calls_total{upstream=\"orders\",action=\"shared\"}",
            152.0,
        ),
        (
            "fusebox_breaker_keys_evicted_total{upstream=\"orders\",reason=\"closed\"}",
            0.0,
        ),
    ] {
        assert_eq!(gateway.metric(series), Some(value), "{series}");
    }
}

#[test]
fn keys_that_differ_in_a_byte_are_different_keys() {
    let (gateway, _upstream) = keyed("{header.x-tenant},{header.x-user}", ", max_keys: 100", ANY);
    let ask = |lines: &[u8]| {
        let mut client = gateway.client();
        let head = [b"GET /a HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n"].concat();
        client.send(&head);
        client.response().status
    };
    let trips: [(&[u8], &[u8], &str); 4] = [
        (
            b"X-Tenant: M\xfc\r\n",
            b"X-Tenant: M\xf6\r\n",
            "orders/M%FC,-",
        ),
        (b"X-Tenant: -\r\n", b"", "orders/%2D,-"),
        (
            b"X-Tenant: a\r\nX-User: b,c\r\n",
            b"X-Tenant: a,b\r\nX-User: c\r\n",
            "orders/a,b%2Cc",
        ),
        (b"X-Tenant: *7\r\n", b"X-Tenant: %2A7\r\n", "orders/%2A7,-"),
    ];
    for (tripped, other, name) in trips {
        assert_eq!(ask(&[tripped, b"X-Bad: 1\r\n"].concat()), 500);
        assert_eq!(ask(tripped), 503, "{name}");
        assert_eq!(ask(other), 200, "{name}");
        assert_eq!(gateway.state(name), "open");
    }
}

#[test]
fn a_flood_of_keys_grows_neither_list_nor_memory() {
    let (gateway, _upstream) = keyed("{header.x-tenant}", ", max_keys: 50", ANY);
    let mut client = gateway.client();
    let ask = |client: &mut Client, number: usize| {
        let lines = format!("X-Tenant: tenant-{number}\r\n");
        assert_eq!(client.request("GET", "/x", &lines, "").status, 200);
    };
    (0..500).for_each(|number| ask(&mut client, number));
    let before = gateway.rss();
    (500..3_000).for_each(|number| ask(&mut client, number));
    let grown = gateway.rss().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes for 2,500 keys");
    let total = gateway.admin_get("/api/v1/breakers?limit=1").json()["total"]
        .as_u64()
        .unwrap();
    assert!(total <= 51, "{total} breakers");
    eventually("it still answers", || gateway.get("/x").status == 200);
}
