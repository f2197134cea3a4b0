//! Keys with a meaning and without an effect yet are refused, never ignored.

mod support;

use support::{check, lines, read_text};

#[test]
fn keys_of_the_file() {
    check(
        r#"listen: 127.0.0.1:8080
on_transition: { webhook: x }
routes: [{ path: /, respond: {} }]
"#,
        r#"2:1: error: `on_transition` is not supported yet; remove the key; follow transitions in the log or the metrics for now"#,
    );
}

#[test]
fn keys_of_a_listener() {
    check(
        r#"listeners: [{ addr: "127.0.0.1:1", http2: auto }]
routes: [{ path: /, respond: {} }]
"#,
        r#"1:36: error: `http2` is not supported yet; remove the key; clients are served over HTTP/1.1 for now"#,
    );
}

#[test]
fn keys_of_a_listeners_tls() {
    let text = r#"listeners:
  - addr: 127.0.0.1:1
    tls: { cert: "${A:-}", key: "${A:-}", also: [], client_ca: ca.pem, client_auth: required, min: "1.2" }
routes: [{ path: /, respond: {} }]
"#;
    let report = lines(&read_text(text)).replace("fb.yaml:", "");
    for expected in [
        "3:43: error: `also` is not supported yet; remove the key; a listener shows one certificate for now\n",
        "3:53: error: `client_ca` is not supported yet; remove the key; clients are asked for no certificate for now\n",
        "3:72: error: `client_auth` is not supported yet; remove the key; clients are asked for no certificate for now\n",
        "3:95: error: `min` is not supported yet; remove the key; TLS 1.2 and 1.3 are spoken for now\n",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
}

#[test]
fn keys_of_an_upstream() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { endpoints: [{ url: http://a, weight: 2 }, { url: http://b }], balance: x, health: x, resolve: x, bulkhead: x, retry: x, fallback: x, breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:42: error: `weight` is not supported yet; remove the key; there is one endpoint for now
3:55: error: several endpoints are not supported yet; keep one endpoint, or name a load balancer's address
3:75: error: `balance` is not supported yet; remove the key; there is one endpoint for now
3:87: error: `health` is not supported yet; remove the key; the breaker's probes find out whether the upstream is back
3:98: error: `resolve` is not supported yet; remove the key; names are looked up at each connection
3:110: error: `bulkhead` is not supported yet; remove the key, and bound concurrency in the upstream for now
3:123: error: `retry` is not supported yet; remove the key, and let clients retry for now
3:133: error: `fallback` is not supported yet; remove the key; a refused call is answered 503 with `Retry-After`"#,
    );
}

#[test]
fn keys_of_a_breaker() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { half_open: { probe: health } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:29: error: `probe` is not supported yet; remove the key; calls of clients are the probes for now"#,
    );
}

#[test]
fn keys_of_a_route() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: /a, upstream: orders, max_concurrency: 100, fallback: x, retry: x }
"#,
        r#"4:35: error: `max_concurrency` is not supported yet; remove the key, and bound concurrency in the upstream for now
4:57: error: `fallback` is not supported yet; remove the key; a refused call is answered 503 with `Retry-After`
4:70: error: `retry` is not supported yet; remove the key, and let clients retry for now"#,
    );
}
