//! Diagnostics about parts of a file that do not fit together.

use crate::support::check;

#[test]
fn a_file_without_listener_or_route_does_nothing() {
    check(
        r#"upstreams: { orders: { url: http://a, breaker: {} } }
routes: [{ path: /, upstream: orders }]
"#,
        r#"1:1: error: no listener is configured, so no client can connect; add `listen: 127.0.0.1:8080`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
"#,
        r#"1:1: error: no route is configured, so every request is answered 404; add `routes: [{ path: "/{*rest}", upstream: orders }]`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://a, breaker: {} } }
"#,
        r#"2:14: warning: no route leads to the upstream `orders`; add a route, or remove the upstream"#,
    );
    check(
        r#"listen: []
routes: [{ path: /, respond: {} }]
"#,
        r#"1:9: error: no listener is configured, so no client can connect; add `listen: 127.0.0.1:8080`"#,
    );
    check(
        r#"listeners: []
routes: [{ path: /, respond: {} }]
"#,
        r#"1:12: error: no listener is configured, so no client can connect; add `listen: 127.0.0.1:8080`"#,
    );
}

#[test]
fn names_are_unique() {
    check(
        r#"listeners: [{ name: a, addr: "127.0.0.1:1" }, { name: a, addr: "127.0.0.1:2" }]
routes: [{ name: x, path: /a, respond: {} }, { name: x, path: /b, respond: {} }]
"#,
        r#"1:55: error: two listeners have the name `a`; give each a name of its own
2:54: error: the route in line 2 also has the name `x`; give each a name of its own"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
listeners: [{ addr: "127.0.0.1:1" }]
routes: [{ path: /, respond: {} }]
"#,
        r#"1:9: error: both `listen` and `listeners` are given; keep one of them"#,
    );
}

#[test]
fn a_route_to_an_unknown_upstream_gets_a_suggestion() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: /a, upstream: order }
  - { path: /b, upstream: orders, listeners: [defualt] }
"#,
        r#"4:27: error: unknown upstream `order`; did you mean `orders`?
5:47: error: unknown listener `defualt`; did you mean `default`?"#,
    );
}

#[test]
fn an_upstream_without_a_route_is_a_warning() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: /a, respond: {} }
"#,
        r#"2:14: warning: no route leads to the upstream `orders`; add a route, or remove the upstream"#,
    );
}

#[test]
fn two_routes_of_one_shape_clash() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: "/a/{x}", upstream: orders }
  - { path: "/a/{y}", upstream: orders }
  - { path: "/a/{*z}", upstream: orders }
"#,
        r#"5:13: error: the path `/a/{y}` matches the same requests as `/a/{x}` in line 4; make one route of the two, give each its own `methods`, `host` or `headers`, or change one of the paths"#,
    );
}

#[test]
fn routes_share_a_path_while_no_request_belongs_to_two_of_them() {
    check(
        r#"listeners: [{ name: in, addr: 127.0.0.1:8080 }, { name: out, addr: 127.0.0.1:8081 }]
routes:
  - { path: "/a/{x}", methods: [GET], respond: {} }
  - { path: "/a/{x}", methods: [POST, PUT], respond: {} }
  - { path: "/a/{x}", methods: [PUT, DELETE], respond: {} }
  - { path: "/a/{y}", methods: [PATCH], respond: {} }
  - { name: b-in, path: /b, listeners: [in], respond: {} }
  - { name: b-out, path: /b, listeners: [out], respond: {} }
  - { name: b-all, path: /b, respond: {} }
"#,
        r#"5:13: error: the path `/a/{x}` matches the same requests as `/a/{x}` in line 4; make one route of the two, give each its own `methods`, `host` or `headers`, or change one of the paths
6:13: error: the path `/a/{y}` names its parameters differently from `/a/{x}` in line 3; use the same names in both
9:26: error: the path `/b` matches the same requests as `/b` in line 7; make one route of the two, give each its own `methods`, `host` or `headers`, or change one of the paths"#,
    );
}

#[test]
fn a_route_does_one_thing() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: /a, upstream: orders, respond: {} }
  - { path: /b }
  - { path: /c, respond: {}, rewrite: /d }
"#,
        r#"4:44: error: a route has both `upstream` and `respond`; keep one of them
5:5: error: a route has neither `upstream` nor `respond`; add `upstream: NAME` or `respond: { status: 200 }`
6:39: error: `rewrite` belongs to `upstream`, and this route answers itself; remove it"#,
    );
}

#[test]
fn a_rewrite_uses_only_parameters_of_its_path() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes:
  - { path: "/a/{id}", upstream: orders, rewrite: "/b/{ids}/{id}" }
  - { path: /c, upstream: orders, rewrite: "/{id}" }
  - { path: "/d/{*rest}", upstream: orders, rewrite: "/{rest}" }
"#,
        r#"4:55: error: the path `/a/{id}` has no parameter `ids`; did you mean `id`?
5:46: error: the path `/c` has no parameter `id`; add it to the path, or remove it here"#,
    );
}

#[test]
fn a_key_by_path_needs_the_parameter_in_every_route() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://a
    breaker: { key: '{path.tenant}', max_keys: 100 }
routes:
  - { path: '/{tenant}/orders', upstream: orders }
  - { path: /orders, upstream: orders }
"#,
        r#"5:21: warning: the path `/orders` in line 8 has no parameter `tenant`, so its calls share the key `-`; name the parameter in the path, or remove it from the key"#,
    );
}

#[test]
fn a_key_that_clients_choose_needs_a_limit() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { key: "{header.x-tenant}" }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:21: warning: clients choose this key, and only the default of 10,000 limits the number of breakers; add `max_keys: 10000`, or the number of keys that you expect"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { key: "{route}" }
routes: [{ path: /orders, upstream: orders }]
"#,
        "",
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { max_keys: 10 }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:26: warning: `max_keys` has no effect: all calls of the upstream share one breaker; remove it, or give a `key`"#,
    );
}

#[test]
fn a_trip_map_says_what_its_windows_belong_to() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failures: 20 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:34: error: `failures` has no window; add `within: 60s` or `over: 100 calls`, or use `consecutive_failures`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failures: 20, over: 10s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:44: error: `over` with a time applies to rate rules, not to `failures`; write `within: 10s`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failures: 20, over: 100 calls, within: 5s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:44: error: `failures` has two windows, `within` and `over`; keep one of them, or give each rule a map of its own"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { within: 5s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:22: error: this map has no rule, so it can never trip; add `consecutive_failures: 5`, `failures: 20` or `failure_rate: 50%`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failure_rate: 50%, within: 5s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:51: error: `within` belongs to `failures` and `consecutive_failures`, and neither is given; write `over: 5s`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { consecutive_failures: 5, over: 10s, min_calls: 5, full: true } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:55: error: `over` belongs to `failure_rate`, `slow_rate` and `failures`, and none of them uses it; write `within: 10s`
5:71: error: `min_calls` belongs to `failure_rate` and `slow_rate`, and neither is given; remove it
5:80: error: `full` belongs to `failures` over a number of calls, which is missing; remove it"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: [] }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:22: error: `trip` is empty, so the breaker can never trip; add `- consecutive_failures: 5`, or remove the key"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:22: error: this map has no rule, so it can never trip; add `consecutive_failures: 5`, `failures: 20` or `failure_rate: 50%`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failure_rate: 50%, over: 100 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:49: error: `over` must be a window with its unit, found `100`; write `100s` or `100 calls`"#,
    );
}

#[test]
fn a_rule_that_can_never_trip_is_an_error() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failure_rate: 50%, over: 10 calls, min_calls: 11 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:59: error: 11 calls can never be among the last 10; lower it, or raise the number of calls"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failures: 11, over: 10 calls } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:24: error: 11 failures can never be among the last 10 calls; lower the number of failures or raise the number of calls"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { compare: ">", trip: [{ consecutive_failures: 5 }, { failure_rate: 100% }] }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:68: error: no rate is above 100 %, so the rule could never trip; lower the rate, or compare with >="#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failures: 20000, within: 10s, full: true } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:24: error: 20000 failures within a time are more than the 10000 whose times are kept; lower it, or use failure_rate
5:54: error: a window of time is never full; remove it, or look over a number of calls"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { failure_rate: 50%, min_calls: 1 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:54: warning: with `min_calls: 1` a single failed call is a failure rate of 100%; give the number of calls on which a rate means something, such as 20"#,
    );
}

#[test]
fn a_rule_about_time_names_its_limit_and_a_limit_its_rule() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: [{ slow_rate: 80% }, { stalled: 20 }] }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:36: error: `slow_rate` has no `slower_than`; add `slower_than: 2s`
6:54: error: `stalled` has no `longer_than`; add `longer_than: 5s`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: [{ slower_than: 2s }, { longer_than: 2s, consecutive_failures: 5 }] }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:38: error: `slower_than` belongs to `slow_rate`, which is missing; add `slow_rate: 80%`, or remove it
6:59: error: `longer_than` belongs to `stalled`, which is missing; add `stalled: 20`, or remove it"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: { slow_rate: 80%, slower_than: 2s, within: 5s, full: true } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:65: error: `within` belongs to `failures` and `consecutive_failures`, and neither is given; write `over: 5s`
6:75: error: `full` belongs to `failures` over a number of calls, which is missing; remove it"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: { stalled: 20, longer_than: 2s, over: 10s, min_calls: 5 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:60: error: `over` belongs to `failure_rate`, `slow_rate` and `failures`, and none of them uses it; remove it
6:76: error: `min_calls` belongs to `failure_rate` and `slow_rate`, and neither is given; remove it"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: { failures: 20, within: 60s, slow_rate: 80%, slower_than: 2s, over: 10s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#""#,
    );
}

#[test]
fn a_call_that_ends_before_it_is_slow_enough_can_never_trip() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: { slow_rate: 80%, slower_than: 6s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:53: error: `slower_than` is 6s, and every call ends after `timeout.request`, 5s, so the rule could never trip; lower it, or raise `timeout.request`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: { stalled: 20, longer_than: 5s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:50: error: `longer_than` is 5s, and every call ends after `timeout.request`, 5s, so the rule could never trip; lower it, or raise `timeout.request`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: [{ slow_rate: 80%, slower_than: 5s }, { stalled: 20, longer_than: 4.9s }] }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#""#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { compare: ">", trip: { slow_rate: 100%, slower_than: 2s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:38: error: no rate is above 100 %, so the rule could never trip; lower the rate, or compare with >="#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: { slow_rate: 80%, slower_than: 2s, min_calls: 1 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:68: warning: with `min_calls: 1` a single slow call is a slow rate of 100%; give the number of calls on which a rate means something, such as 20"#,
    );
}

#[test]
fn an_adaptive_rule_remembers_something() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: [{ adaptive: {} }, { adaptive: { memory: 1000 }, failure_rate: 50% }] }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#""#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { trip: [{ adaptive: { memory: 0 } }, { adaptive: { memory: 1001 } }, { adaptive: 5 }, { adaptive: { size: 5 } }] }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:45: error: `memory` must be a whole number from 1 to 1000, found `0`; write a whole number from 1 to 1000
6:74: error: `memory` must be a whole number from 1 to 1000, found `1001`; write a whole number from 1 to 1000
6:96: error: expected a map, found `5`; write a map with any of memory
6:115: error: unknown key `size` in `adaptive`; expected memory"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { adaptive: { memory: 5 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:16: error: `adaptive` is a rule, and rules are in `trip`; write `trip: { adaptive: { memory: 5 } }`"#,
    );
}

#[test]
fn a_ramp_begins_below_all_calls_and_takes_its_time() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { ramp: { from: 5% } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:22: error: `ramp` needs the key `over`; add `over: 10s`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { ramp: { over: 10s, from: 100% } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:41: error: a ramp from 100 % lets every call pass at once; lower it, or remove the ramp"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { ramp: { over: 10s, from: 0%, curve: steep } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:41: error: `from` must be a ratio above 0%, found `0%`; write one such as `50%`
6:52: error: `curve` must be `linear`, found `steep`; write `linear`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { ramp: 10s }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:22: error: expected a map, found `10s`; write a map with any of over, from, curve"#,
    );
}

#[test]
fn words_of_retry_after_and_panics_are_checked() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { retry_after: honor }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:29: error: `retry_after` must be `ignore`, `honour` or `trip`, found `honor`; did you mean `honour`?"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { on_panic: failure }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:16: error: `on_panic` has no meaning here: a call of the gateway does not panic, and the gateway's own faults never count; remove the key"#,
    );
}

#[test]
fn a_retry_after_that_can_only_shorten_the_cooldown_is_a_warning() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: 30s, retry_after: honour }
  others:
    url: http://127.0.0.1:8082
    breaker: { retry_after: trip }
routes: [{ path: /orders, upstream: orders }, { path: /others, upstream: others }]
"#,
        r#"5:44: warning: an upstream's `Retry-After` counts up to the cooldown's `max`, here 30s, so it can only shorten the cooldown; give it room: `cooldown: { base: 30s, max: 5m, factor: 1, jitter: 0% }`
8:29: warning: an upstream's `Retry-After` counts up to the cooldown's `max`, here 30s, so it can only shorten the cooldown; give it room: `cooldown: { base: 30s, max: 5m, factor: 1, jitter: 0% }`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: { base: 30s, max: 5m, factor: 1, jitter: 0% }, retry_after: honour }
routes: [{ path: /orders, upstream: orders }]
"#,
        "",
    );
}

#[test]
fn a_cooldown_grows_from_its_base_to_its_max() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: { base: 10s, max: 5s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:44: error: 5s is below the base 10s; raise it to the base or above"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: { factor: 0.5 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:36: error: `factor` must be a number from 1 to 100, found `0.5`; write a number from 1 to 100"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: { base: 0s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:34: error: `base` must be a duration above zero, found `0s`; write one such as `250ms` or `5s`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { cooldown: { factor: 1, max: 60s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:36: warning: with `factor: 1` the cooldown never grows towards `max`; raise the factor, or remove `max`"#,
    );
}

#[test]
fn probes_fit_into_the_call_and_can_decide() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { half_open: { failures: 2, failure_rate: 50%, over: 4 calls } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"6:39: error: both `failures` and `failure_rate` say when to reopen; keep one of them"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    timeout: { request: 5s }
    breaker: { half_open: { probes: 3, successes: 3, failures: 2 } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#""#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: http://a, timeout: { request: 2s }, breaker: { half_open: { probe_timeout: 3s } } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:93: error: `probe_timeout` is 3s, and the call ends after `timeout.request`, 2s; lower it, or raise `timeout.request`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { half_open: { probes: unlimited } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:37: warning: with unlimited probes every waiting call reaches the upstream the moment the cooldown ends; give a number, such as `probes: 3`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { half_open: { failure_rate: 50% } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:43: error: `failure_rate` has no `over`; add `over: 10 calls`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { half_open: { failure_rate: 50%, over: 0 calls } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:54: error: `over` must be a window of 1 to 1000000 calls, found `0 calls`; write a window of 1 to 1000000 calls"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { half_open: { failure_rate: 50%, over: 10s } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:54: error: probes are counted, so `over` must be a number of calls; write `over: 10 calls`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { half_open: { over: 10 calls } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:35: error: `over` belongs to `failure_rate`, which is missing; add `failure_rate: 50%`, or use `successes`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { half_open: { successes: 2, failure_rate: 50%, over: 4 calls } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:40: error: both `successes` and `failure_rate` say when to close; keep one of them"#,
    );
}

/// Compares the diagnostics of a breaker, which stands in the fifth line from column 14 on.
#[track_caller]
fn check_breaker(breaker: &str, expected: &str) {
    let text = format!(
        "listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: {breaker}
routes: [{{ path: /orders, upstream: orders }}]
"
    );
    check(&text, expected);
}

#[test]
fn a_kept_history_is_judged_at_failures() {
    check_breaker(
        "{ history: keep, trip: [{ failure_rate: 50% }, { slow_rate: 50%, slower_than: 1s }, { failures: 3, over: 9 calls, full: true }] }",
        "5:40: warning: with `history: keep` the first success after a close can trip `failure_rate` again, on the failures that were kept; add `judge_on: failures` beside `history`, or remove `history: keep`
5:63: warning: with `history: keep` the first success after a close can trip `slow_rate` again, on the slow calls that were kept; add `judge_on: failures` beside `history`, or remove `history: keep`
5:100: warning: with `history: keep` the first success after a close can trip `failures` again, on the failures that were kept; add `judge_on: failures` beside `history`, or remove `history: keep`",
    );
    check_breaker(
        "{ history: keep, judge_on: failures, trip: { failure_rate: 50% } }",
        "",
    );
    check_breaker(
        "{ history: keep, trip: { consecutive_failures: 5, failures: 20, within: 60s } }",
        "",
    );
    check_breaker("{ trip: { failure_rate: 50% } }", "");
}

/// The breaker's own validation covers what the notation allows; each fault is reported at its setting's place.
#[test]
fn settings_that_the_breaker_refuses_are_errors_at_their_keys() {
    let faults = [
        (
            "trip: { consecutive_failures: 10001, within: 1m }",
            "trip.consecutive_failures",
        ),
        ("trip: { failures: 10001, within: 1m }", "trip.failures"),
        ("trip: { failures: 6, over: 5 calls }", "trip.failures"),
        ("trip: { failures: 5, within: 1m, full: true }", "trip.full"),
        (
            "trip: { failure_rate: 50%, over: 10 calls, min_calls: 11 }",
            "trip.min_calls",
        ),
        (
            "compare: '>', trip: { failure_rate: 100% }",
            "trip.failure_rate",
        ),
        (
            "compare: '>', trip: { slow_rate: 100%, slower_than: 1s }",
            "trip.slow_rate",
        ),
        ("cooldown: { base: 2s, max: 1s }", "cooldown.max"),
        ("ramp: { over: 1s, from: 100% }", "ramp.from"),
        (
            "compare: '>', half_open: { failure_rate: 100%, over: 2 calls }",
            "half_open.failure_rate",
        ),
        (
            "half_open: { in_a_row: true, failure_rate: 50%, over: 2 calls }",
            "half_open.in_a_row",
        ),
        (
            "half_open: { probes: 1, successes: 2, places: spent }",
            "half_open.places",
        ),
        (
            "half_open: { slow_rate: 50%, slower_than: 1s }",
            "half_open.slow_rate",
        ),
        (
            "compare: '>', half_open: { slow_rate: 100%, slower_than: 1s, failure_rate: 50%, over: 2 calls }",
            "half_open.slow_rate",
        ),
    ];
    for (breaker, setting) in faults {
        let text = format!(
            "listen: 127.0.0.1:8080\nupstreams: {{ orders: {{ url: http://a, breaker:\n  {{ {breaker} }} }} }}\nroutes: [{{ path: /orders, upstream: orders }}]\n"
        );
        let reading = crate::support::read_text(&text);
        let [diagnostic] = &reading.diagnostics[..] else {
            panic!(
                "one fault of {breaker}: {}",
                crate::support::lines(&reading)
            );
        };
        let line = text.lines().nth(diagnostic.line as usize - 1).unwrap();
        let (section, key) = setting.split_once('.').unwrap();
        let section_at = line.find(&format!("{section}: ")).unwrap();
        let at = section_at + line[section_at..].find(&format!("{key}: ")).unwrap();
        // At the key, or at its value.
        let places = [at + 1, at + key.len() + 3];
        assert!(places.contains(&(diagnostic.col as usize)), "{diagnostic}");
        assert_eq!(diagnostic.line, 3, "{diagnostic}");
    }
}

/// Compares the diagnostics of a `half_open`, which stands in the fifth line from column 27 on.
#[track_caller]
fn check_half_open(half_open: &str, expected: &str) {
    check_breaker(&format!("{{ half_open: {half_open} }}"), expected);
}

#[test]
fn a_row_of_successes_and_used_up_places_leave_room_for_a_decision() {
    check_half_open(
        "{ probes: 3, successes: 2, failures: 2, places: spent }",
        "",
    );
    check_half_open(
        "{ probes: 2, successes: 2, failures: 2, in_a_row: true }",
        "",
    );
    check_half_open(
        "{ probes: 2, successes: 2, failures: 2, places: spent }",
        "5:67: error: 2 answers may be too few for a decision, which needs up to 3; raise the number of probes to that",
    );
    check_half_open(
        "{ probes: 9, successes: 2, failures: 2, places: spent, in_a_row: true }",
        "5:67: error: a row of successes may begin anew after the places are used up; remove one of places and in_a_row",
    );
    check_half_open(
        "{ failure_rate: 50%, over: 4 calls, in_a_row: true }",
        "5:63: error: the failure rate decides, so a row of successes would never count; remove one of the two",
    );
    check_half_open(
        "{ successes: 3, in_a_row: true }",
        "5:53: warning: `in_a_row` has no effect: one answer decides before there could be a row; give more than one of `successes` and `failures` each, or remove it",
    );
}

#[test]
fn slow_probes_are_a_share_of_those_that_answer() {
    check_half_open(
        "{ failure_rate: 50%, slow_rate: 80%, slower_than: 2s, over: 4 calls }",
        "",
    );
    check_half_open(
        "{ slow_rate: 80%, slower_than: 2s }",
        "5:29: error: a share of slow probes is judged when a number of probes has answered; add failure_rate and over, which say how many",
    );
    check_half_open(
        "{ failure_rate: 50%, over: 4 calls, slow_rate: 80% }",
        "5:74: error: `slow_rate` has no `slower_than`; add `slower_than: 2s`",
    );
    check_half_open(
        "{ failure_rate: 50%, over: 4 calls, slower_than: 2s }",
        "5:76: error: `slower_than` belongs to `slow_rate`, which is missing; add `slow_rate: 80%`, or remove it",
    );
    check_half_open(
        "{ failure_rate: 50%, over: 4 calls, slow_rate: 80%, slower_than: 2s, probe_timeout: 2s }",
        "5:92: error: `slower_than` is 2s, and every probe ends after 2s, so none could be slow; lower it, or raise `probe_timeout`",
    );
}

#[test]
fn an_action_after_a_half_open_period_needs_its_timeout() {
    check_half_open("{ period_timeout: 60s, on_period_timeout: close }", "");
    check_half_open(
        "{ on_period_timeout: close }",
        "5:48: error: `on_period_timeout` belongs to `period_timeout`, which is missing; add `period_timeout: 60s`, or remove it",
    );
}

#[test]
fn a_failure_expression_is_compiled_at_load() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'status >= ' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:35: error: in the failure expression: mismatched input '<EOF>'; correct the expression; it is CEL, such as `status >= 500`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'statsu >= 500' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:26: error: in the failure expression: unknown variable `statsu`; did you mean `status`?"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'status' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:26: error: in the failure expression: expected a bool, found an int; compare it with something, as in `status >= 500`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: '"yes"' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:26: error: in the failure expression: expected a bool, found a string; compare it with something, as in `status >= 500`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'true' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:25: warning: with this failure expression every call is a failure; use `status` or `error`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'status == "500"' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:36: error: in the failure expression: an int is compared with a string; remove the quotes, or convert one side, as in `int(…)` or `string(…)`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'duration > 2' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:37: error: in the failure expression: a duration is compared with an int; write the time as `duration("2s")`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'headers["x"].mathces("y")' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:46: error: in the failure expression: unknown function `mathces`; did you mean `matches`?"#,
    );
}

#[test]
fn the_place_of_a_fault_in_an_expression_is_the_files_own() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://a
    breaker:
      failure: |
        status >= 500 ||
          errr != ""
routes: [{ path: /, upstream: orders }]
"#,
        r#"7:9: error: in the failure expression: unknown variable `errr`; did you mean `error`?"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: "error != \"\" || statsu == 1" }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:43: error: in the failure expression: unknown variable `statsu`; did you mean `status`?"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'error != ''x'' || statsu == 1' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:44: error: in the failure expression: unknown variable `statsu`; did you mean `status`?"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://a
    breaker:
      failure: status >= 500 || errr
routes: [{ path: /, upstream: orders }]
"#,
        r#"6:33: error: in the failure expression: unknown variable `errr`; did you mean `error`?"#,
    );
}

#[test]
fn an_expression_over_the_body_needs_failure_body() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'body.contains("error")' }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:25: error: the failure expression uses `body`, but `failure_body` is not set; add `failure_body: 64KiB` beside it"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure_body: 64KiB }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:30: warning: `failure_body` is set, but no expression uses `body`; remove it, or use `body` in `failure`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'body == ""', failure_body: 2MiB }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"5:53: error: `failure_body` is above 1MiB; write `64KiB`, or at most `1MiB`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { failure: 'body == ""', failure_body: 64KiB }
routes: [{ path: /orders, upstream: orders }]
"#,
        "",
    );
}

#[test]
fn two_sockets_on_one_port_clash() {
    check(
        r#"listen: [127.0.0.1:8080, 0.0.0.0:8080]
routes: [{ path: /, respond: {} }]
"#,
        r#"1:26: error: the listener `default-2` listens on 0.0.0.0:8080, and so does the listener `default`; give one of the two another port"#,
    );
    check(
        r#"listen: "[::]:9900"
admin: { addr: 127.0.0.1:9900 }
routes: [{ path: /, respond: {} }]
"#,
        r#"2:16: error: the admin API listens on 127.0.0.1:9900, and so does the listener `default`; give one of the two another port"#,
    );
    check(
        r#"listen: [127.0.0.1:0, 127.0.0.1:0, 127.0.0.1:80, 127.0.0.2:80]
routes: [{ path: /, respond: {} }]
"#,
        "",
    );
}

#[test]
fn admin_away_from_loopback_needs_a_token() {
    check(
        r#"listen: 127.0.0.1:8080
admin: { addr: 0.0.0.0:9900 }
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"2:16: error: the admin API would listen on 0.0.0.0:9900, away from loopback, without a token; add `token: "${file:/run/secrets/admin}"`, or listen on 127.0.0.1"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
admin: { addr: 0.0.0.0:9900, token: "" }
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"2:37: error: the admin token is empty or has characters that a bearer token cannot have; use visible ASCII characters, such as the output of `openssl rand -hex 32`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
admin: { addr: 0.0.0.0:9900, token: a b }
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"2:37: error: the admin token is empty or has characters that a bearer token cannot have; use visible ASCII characters, such as the output of `openssl rand -hex 32`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
admin: { addr: "[::1]:9900" }
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        "",
    );
}

#[test]
fn an_upstream_without_a_breaker_is_a_warning() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: http://a }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:3: warning: the upstream `orders` has no breaker: its failures will not be contained; add `breaker: {}` for one with all defaults, or `breaker: { mode: disabled }` if that is meant"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: http://a, breaker: { mode: disabled } }
routes: [{ path: /orders, upstream: orders }]
"#,
        "",
    );
}

#[test]
fn an_upstream_has_one_address() {
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:3: error: the upstream `orders` has no address; add `url: http://127.0.0.1:8081`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { url: http://a, endpoints: [{ url: http://b }], breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:39: error: both `url` and `endpoints` are given; keep one of them"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { endpoints: [], breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:24: error: `endpoints` is empty; add `- url: http://127.0.0.1:8081`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { endpoints: [{ url: http://b }], breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        "",
    );
    check(
        r#"listen: 127.0.0.1:8080
upstreams:
  orders: { endpoints: [{}], breaker: {} }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"3:25: error: an endpoint needs the key `url`; add `url: http://127.0.0.1:8081`"#,
    );
}

#[test]
fn a_store_in_memory_has_no_path() {
    check(
        r#"listen: 127.0.0.1:8080
store: { kind: memory, path: x }
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        r#"2:30: error: a store in memory has no path; remove it, or use `kind: embedded`"#,
    );
    check(
        r#"listen: 127.0.0.1:8080
store: {}
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
"#,
        "",
    );
}

#[test]
fn a_listener_with_a_fault_is_not_unknown_to_its_routes() {
    check(
        r#"listeners: [{ name: in, addr: "nowhere" }]
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /orders, upstream: orders, listeners: [in] }]
"#,
        r#"1:31: error: `addr` must be an address with its port, found `nowhere`; write one such as `127.0.0.1:8080`; an IPv6 address is in brackets, as `[::1]:8080`"#,
    );
}
