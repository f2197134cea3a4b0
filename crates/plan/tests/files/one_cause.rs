//! One cause, one error: a mistake that has been reported makes no others.

use crate::support::{check, check_ahead};

#[test]
fn below_a_misspelt_upstreams_no_upstream_is_unknown() {
    check(
        "listen: 127.0.0.1:8080
upstream: { orders: { url: http://a, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
",
        r#"2:1: error: unknown key `upstream` in the configuration; did you mean `upstreams`?"#,
    );
    check(
        "listen: 127.0.0.1:8080
upstreams: [{ orders: { url: http://a } }]
routes: [{ path: /orders, upstream: orders }]
",
        r#"2:12: error: `upstreams` must be a map from names, found a list; write `orders: { url: http://127.0.0.1:8081 }` below it"#,
    );
    check_ahead(
        "listen: 127.0.0.1:8080
upstreams:
routes: [{ path: /orders, upstream: orders, fallback: [{ upstream: dr }] }]
",
        r#"2:10: error: `upstreams` must be a map from names, found nothing; write `orders: { url: http://127.0.0.1:8081 }` below it"#,
    );
}

#[test]
fn below_a_misspelt_listeners_no_listener_is_unknown() {
    check(
        "listener: [{ name: public, addr: 127.0.0.1:8080 }]
routes: [{ path: /orders, listeners: [public], respond: {} }]
",
        r#"1:1: error: unknown key `listener` in the configuration; did you mean `listeners`?"#,
    );
}

#[test]
fn a_misspelt_key_is_not_missing_too() {
    check(
        "listeners: [{ adr: 127.0.0.1:8080 }]
upstreams:
  orders: { urls: http://a, braker: {} }
routes: [{ pth: /orders, upstream: orders }]
",
        r#"1:15: error: unknown key `adr` in a listener; did you mean `addr`?
3:13: error: unknown key `urls` in an upstream; did you mean `url`?
3:29: error: unknown key `braker` in an upstream; did you mean `breaker`?
4:12: error: unknown key `pth` in a route; did you mean `path`?"#,
    );
    check_ahead(
        "listen: 127.0.0.1:8080
upstreams:
  orders: { url: http://a, breaker: {}, bulkhead: { concurent: 8, queued: 2, queue_fr: 1s }, health: { pth: / } }
routes: [{ path: /orders, upstream: orders }]
",
        r#"3:53: error: unknown key `concurent` in `bulkhead`; did you mean `concurrent`?
3:78: error: unknown key `queue_fr` in `bulkhead`; did you mean `queue_for`?
3:104: error: unknown key `pth` in `health`; did you mean `path`?"#,
    );
}

#[test]
fn an_unreadable_token_is_not_missing_too() {
    check(
        "listen: 127.0.0.1:8080
admin: { addr: 0.0.0.0:9900, token: '${file:/none}' }
routes: [{ path: /, respond: {} }]
",
        r#"2:38: error: the file `/none` cannot be read: no such file; check the path and that this process may read it"#,
    );
    check(
        "listen: 127.0.0.1:8080
admin: { addr: 0.0.0.0:9900, token: '${NONE}' }
routes: [{ path: /, respond: {} }]
",
        r#"2:38: error: the variable `NONE` is not set; set it, or give it a default: `${NONE:-default}`"#,
    );
    check(
        "listen: 127.0.0.1:8080
admin: { addr: 0.0.0.0:9900, token: [] }
routes: [{ path: /, respond: {} }]
",
        r#"2:37: error: `token` must be a text, found a list; write a text, or remove the key"#,
    );
}

#[test]
fn an_unreadable_part_of_a_call_makes_no_other_error() {
    check_ahead(
        "listen: 127.0.0.1:8080
upstreams:
  orders:
    endpoints: [{ url: http://a }, { url: b }]
    breaker: { half_open: { probe: health } }
    hedge: { after: 1s }
    ejection: { max_ejected: 10% }
    health: { path: '' }
    fallback: [{ last_good: 1x }, { upstream: '${NONE}' }]
    fallback_on: [failed]
    last_good: {}
    bulkhead: { concurrent: 8, queued: 4, queue_for: 1x }
routes: [{ path: /orders, upstream: orders }]
",
        r#"4:43: error: the URL has no scheme; write it as `http://127.0.0.1:8081` or `https://orders.example/base`
8:21: error: `` is not a path; write one such as `/healthz`
9:29: error: `last_good` must be a duration, found `1x`; write one such as `250ms`, `5s` or `1m`
9:48: error: the variable `NONE` is not set; set it, or give it a default: `${NONE:-default}`
12:54: error: `queue_for` must be a duration, found `1x`; write one such as `250ms`, `5s` or `1m`"#,
    );
}
