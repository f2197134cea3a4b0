//! Diagnostics about single values.

use crate::support::check;

#[test]
fn a_duration_needs_a_unit_and_a_length() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: 30 }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:26: error: `cooldown` must be a duration with its unit, found `30`; write `30s` or `30ms`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: 0s }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:26: error: `cooldown` must be a duration above zero, found `0s`; write one such as `250ms` or `5s`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: -1s }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:26: error: `cooldown` must be a duration, found `-1s`; write one such as `250ms`, `5s` or `1m`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: http://a, timeout: { connect: 5 s, request: soon, idle: 0.5m }, breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:62: error: `request` must be a duration, found `soon`; write one such as `250ms`, `5s` or `1m`"#,
    );
}

#[test]
fn a_size_and_a_rate_need_their_units() {
    check(
        r#"listen: 127.0.0.1:8080
limits: { head: 64, request_body: 10MB, body_rate: 1KiB }
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"2:17: error: `head` must be a size with its unit, found `64`; write `64B` or `64KiB`
2:52: error: `body_rate` must be a rate, found `1KiB`; write one such as `1KiB/s`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
limits: { head: 1B, connections: 0, fields: "100" }
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"2:17: error: `head` must be from 256B to 16MiB; write `64KiB`
2:34: error: `connections` must be a whole number from 1 to 10000000, found `0`; write a whole number from 1 to 10000000
2:45: error: `fields` must be a whole number from 1 to 10000, found the text `100`; remove the quotes: write 100"#,
    );
}

#[test]
fn a_ratio_is_a_percentage_up_to_100() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failure_rate: 101% } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:38: error: `failure_rate` must be a ratio of at most 100%, found `101%`; write one such as `50%`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failure_rate: 0.5 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:38: error: `failure_rate` must be a ratio in percent, found `0.5`; write `50%`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failure_rate: 0% } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:38: error: `failure_rate` must be a ratio above 0%, found `0%`; write one such as `50%`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: { base: 1s, jitter: 120% } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:46: error: `jitter` must be a ratio of at most 100%, found `120%`; write one such as `50%`"#,
    );
}

#[test]
fn a_whole_number_says_its_range() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { consecutive_failures: 0 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:46: error: `consecutive_failures` must be a whole number of at least 1, found `0`; write a whole number of at least 1"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { consecutive_failures: "5" } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:46: error: `consecutive_failures` must be a whole number of at least 1, found the text `5`; remove the quotes: write 5"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { consecutive_failures: 2.5 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:46: error: `consecutive_failures` must be a whole number of at least 1, found `2.5`; write a whole number of at least 1"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { half_open: { probes: 0, successes: none } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:37: error: `probes` must be a whole number of at least 1 or `unlimited`, found `0`; write a whole number of at least 1 or `unlimited`
5:51: error: `successes` must be a whole number of at least 1, found `none`; write a whole number of at least 1"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
version: 2
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"2:10: error: `version` must be `1`, found `2`; write `1`"#,
    );
}

#[test]
fn a_word_is_one_of_those_known() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { mode: enforced, judge_on: calls, compare: "=>", window: slide, history: forget }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:22: error: `mode` must be `enforce`, `monitor` or `disabled`, found `enforced`; did you mean `enforce`?
5:42: error: `judge_on` must be `outcomes` or `failures`, found `calls`; write `outcomes` or `failures`
5:58: error: `compare` must be `>=` or `>`, found `=>`; did you mean `>=`?
5:72: error: `window` must be `sliding` or `tumbling`, found `slide`; write `sliding` or `tumbling`
5:88: error: `history` must be `clear` or `keep`, found `forget`; write `clear` or `keep`"#,
    );
}

#[test]
fn an_address_needs_a_port_and_says_how_to_write_it() {
    check(
        r#"listen: 8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"1:9: error: `listen` must be an address with its port, found `8080`; write `127.0.0.1:8080` for this machine alone, `0.0.0.0:8080` for everyone"#,
    );
    check(
        r#"listen: localhost:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"1:9: error: `listen` must be an address with its port, found `localhost:8080`; write `127.0.0.1:8080`"#,
    );
    check(
        r#"listen: ":8080"
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"1:9: error: `listen` must be an address with its port, found `:8080`; write `0.0.0.0:8080`"#,
    );
    check(
        r#"listen: [127.0.0.1, "::1:80"]
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"1:10: error: `listen` must be an address with its port, found `127.0.0.1`; add a port: `127.0.0.1:8080`
1:21: error: `listen` must be an address with its port, found `::1:80`; write one such as `127.0.0.1:8080`; an IPv6 address is in brackets, as `[::1]:8080`"#,
    );
    check(
        r#"listeners: [{ addr: example.com:80 }]
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"1:21: error: `addr` must be an address with its port, found `example.com:80`; write one such as `127.0.0.1:8080`; an IPv6 address is in brackets, as `[::1]:8080`"#,
    );
}

#[test]
fn a_url_is_a_base_address() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: 127.0.0.1:8081, breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:18: error: the URL has no scheme; write it as `http://127.0.0.1:8081` or `https://orders.example/base`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: "ftp://a", breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:18: error: the scheme `ftp` is not supported; use `http` or `https`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: "http://user:secret@a", breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:18: error: the URL has a user or password; remove everything up to `@`; credentials in a URL end up in logs"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: "http://a/?x=1", breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:18: error: the URL has a query; remove `?` and what follows it; a request's own query is passed on"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: "http://a/#x", breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:18: error: the URL has a fragment; remove `#` and what follows it"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: "http://a:99999", breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:18: error: the port is not a number from 1 to 65535; write it as `http://127.0.0.1:8081` or `https://orders.example/base`"#,
    );
}

#[test]
fn a_network_has_no_bits_beyond_its_prefix() {
    check(
        r#"listeners: [{ addr: "127.0.0.1:80", trusted_proxies: [10.1.2.3/8, 10.0.0.1, "fd00::/8", nonsense] }]
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"1:55: error: `10.1.2.3/8` has bits set beyond its prefix; write `10.0.0.0/8`, or `10.1.2.3` for the one address
1:89: error: `trusted_proxies` must be a network or an address, found `nonsense`; write one such as `10.0.0.0/8` or `10.0.0.1`"#,
    );
    check(
        r#"listeners: [{ addr: "127.0.0.1:80", trusted_proxies: [0.0.0.0/0] }]
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"1:55: warning: every peer is trusted, so every client can forge its address; name the networks of your own proxies"#,
    );
}

#[test]
fn a_method_is_in_capitals_and_never_connect_or_trace() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: /a, methods: [get, CONNECT, trace, GET, GET, "G T"], upstream: orders }
  - { path: /b, methods: [], upstream: orders }
"#,
        r#"4:27: error: the method `get` is not in capitals, and methods are compared letter by letter; write `GET`
4:32: error: the method `CONNECT` is never forwarded; remove it
4:41: error: the method `trace` is never forwarded; remove it
4:53: error: the method `GET` is listed twice; remove one of them
4:58: error: `G T` is not a method; write one such as `GET` or `POST`
5:26: error: a route without methods matches no request; name the methods, as in `[GET, POST]`, or remove the key to take all"#,
    );
}

#[test]
fn a_path_goes_wrong_at_its_character() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: orders, upstream: orders }
  - { path: "/a/{*rest}/b", upstream: orders }
  - { path: "/a/{id", upstream: orders }
  - { path: '/a?b', upstream: orders }
  - { path: /a/../b, upstream: orders }
  - { path: /a/%2x, upstream: orders }
  - { path: "/a-{id}", upstream: orders }
  - { upstream: orders }
"#,
        r#"4:13: error: a path must start with `/`; write `/orders`
5:17: error: `{*rest}` must be the last segment; end the path with it, or use `{rest}` for one segment
6:17: error: a parameter must be a whole segment between slashes; write it alone, as in `/orders/{id}`
7:16: error: a path cannot have a query (`?`); remove the query; it is passed on as the client sent it
8:16: error: `.` and `..` may not be segments of a path; write the path without them
9:16: error: `%` is not followed by two hexadecimal digits; write `%25` for a percent sign
10:17: error: a parameter must be a whole segment between slashes; write it alone, as in `/orders/{id}`
11:5: error: a route needs the key `path`; add `path: /orders`"#,
    );
}

#[test]
fn a_fixed_answer_keeps_to_http() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: /a, respond: { status: 199 } }
  - { path: /b, respond: { status: 600 } }
  - { path: /c, respond: { status: 204, text: x } }
  - { path: /d, respond: { text: x, json: {} } }
  - { path: /e, respond: { headers: { "a b": x, Transfer-Encoding: chunked, x-a: "a\nb", X-B: 1, x-b: 2 } } }
  - { path: /f, upstream: orders }
"#,
        r#"4:36: error: `status` must be a whole number from 200 to 599, found `199`; write a whole number from 200 to 599
5:36: error: `status` must be a whole number from 200 to 599, found `600`; write a whole number from 200 to 599
6:41: error: an answer with status 204 has no body; remove the body, or change the status
7:37: error: an answer has one body; keep one of `text`, `json` and `body`
8:39: error: `a b` is not a field's name; use letters, digits and `-`
8:49: error: the field `transfer-encoding` belongs to the connection, and the gateway sets it; remove it
8:82: error: the value of `x-a` has characters that a field's value cannot have; use visible ASCII characters and spaces, on one line
8:98: error: the field `x-b` is given twice; remove one of the two"#,
    );
}

#[test]
fn a_key_template_is_made_of_known_parts() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { key: "{tenant}", max_keys: 5 }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:21: error: unknown key part `{tenant}`; expected one of upstream, endpoint, route, method, header.NAME, path.NAME"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { key: "upstream" }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:21: error: a key is made of parts in braces, found `upstream`; write parts such as `{route}` or `{header.x-tenant}`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { key: "{upstream}:{route}:{header.X-Tenant}", max_keys: 100 }
routes: [{ path: /orders, upstream: orders }]
"#,
        "",
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { key: "{headers.x}" }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:21: error: unknown key part `{headers.x}`; expected one of upstream, endpoint, route, method, header.NAME, path.NAME"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { key: "{route},{route}" }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:21: error: the part {route} appears twice; keep one of the two"#,
    );
}
