//! Diagnostics about the keys of a call, and of routing, that do not fit together.

use crate::support::check_ahead;

/// Checks a file whose upstream `orders` has these keys in line 5, from column 5, after two endpoints.
#[track_caller]
fn orders(keys: &str, expected: &str) {
    let before = "  orders: { endpoints: [{ url: http://a }, { url: http://b }], breaker: {}, ";
    upstream(before, keys, expected);
}

/// The same with one endpoint.
#[track_caller]
fn single(keys: &str, expected: &str) {
    upstream("  orders: { url: http://a, breaker: {}, ", keys, expected);
}

#[track_caller]
fn upstream(before: &str, keys: &str, expected: &str) {
    let text = format!(
        "listen: 127.0.0.1:8080
upstreams:
  dr: {{ url: http://dr, breaker: {{}} }}
{before}
    {keys} }}
routes: [{{ path: /orders, upstream: orders }}, {{ path: /dr, upstream: dr }}]
"
    );
    check_ahead(&text, expected);
}

/// Checks a file whose first route, in line 5, has these keys.
#[track_caller]
fn route(keys: &str, expected: &str) {
    let text = format!(
        "listen: 127.0.0.1:8080
upstreams: {{ orders: {{ url: http://a, breaker: {{}} }} }}
routes:
  - {{ path: /other, upstream: orders }}
  - {{ {keys} }}
"
    );
    check_ahead(&text, expected);
}

#[test]
fn endpoints_are_each_given_once() {
    upstream(
        "  orders: { breaker: {},",
        "endpoints: [{ url: http://a }, { url: http://A:80/, weight: 0 }, { weight: 2 }]",
        r#"5:43: error: the endpoint `http://a` is given twice; remove one of the two; `weight` gives the other more calls
5:65: error: `weight` must be a whole number from 1 to 1000, found `0`; write a whole number from 1 to 1000
5:70: error: an endpoint needs the key `url`; add `url: http://127.0.0.1:8081`"#,
    );
}

#[test]
fn a_balancer_needs_a_text_that_tells_requests_apart() {
    orders(
        "balance: x",
        r#"5:14: error: `balance` must be `round_robin`, `least_request`, `p2c_ewma` or a map, found `x`; write `round_robin`, `least_request`, `p2c_ewma` or a map"#,
    );
    orders(
        "balance: { hash: '{endpoint}' }",
        r#"5:22: error: this text chooses the endpoint, so `{upstream}` and `{endpoint}` say nothing in it; write parts such as `{header.x-tenant}`"#,
    );
    orders(
        "balance: { hash: '{path.id}' }",
        r#"5:22: warning: the path `/orders` in line 6 has no parameter `id`, so its calls share the key `-`; name the parameter in the path, or remove it from the key"#,
    );
}

#[test]
fn an_ejection_that_ejects_nothing_is_a_warning() {
    orders(
        "ejection: { max_ejected: 40% }",
        r#"5:30: warning: of 2 endpoints `max_ejected` allows none to be ejected, so none ever is; raise it, or write `ejection: off` if that is meant"#,
    );
    orders(
        "ejection: { min_healthy: 2 }",
        r#"5:30: warning: `min_healthy` keeps all 2 endpoints in use, so none is ever ejected; lower it, or write `ejection: off` if that is meant"#,
    );
    single(
        "ejection: { consecutive_failures: 3 }",
        r#"5:15: warning: `ejection` has no effect: the only endpoint is never ejected; add `endpoints`, or remove it; the breaker stands before the upstream as a whole"#,
    );
}

#[test]
fn an_ejection_has_rules_that_can_trip() {
    orders(
        "ejection: on",
        r#"5:15: error: `ejection` must be `off` or a map, found `on`; write `off` or a map"#,
    );
    orders(
        "ejection: { adaptive: {}, cooldown: 5s }",
        r#"5:17: error: `adaptive` never trips, so it could eject no endpoint; use a rule that trips, such as `consecutive_failures: 5`
5:31: error: unknown key `cooldown` in `ejection`; expected one of consecutive_failures, failures, failure_rate, within, over, min_calls, full, slow_rate, slower_than, stalled, longer_than, adaptive, for, max_ejected, min_healthy, ramp"#,
    );
    orders(
        "ejection: { failures: 3 }",
        r#"5:27: error: `failures` has no window; add `within: 60s` or `over: 100 calls`, or use `consecutive_failures`"#,
    );
    orders(
        "ejection: { over: 10s }",
        r#"5:15: error: this map has no rule, so it can never trip; add `consecutive_failures: 5`, `failures: 20` or `failure_rate: 50%`"#,
    );
    orders(
        "ejection: { for: { base: 1m, max: 10s }, ramp: { over: 1s, from: 100% } }",
        r#"5:39: error: 10s is below the base 60s; raise it to the base or above
5:70: error: a ramp from 100 % lets every call pass at once; lower it, or remove the ramp"#,
    );
    orders(
        "ejection: { slow_rate: 50%, slower_than: 1m }",
        r#"5:46: error: `slower_than` is 1m, and every call ends after `timeout.request`, 30s, so the rule could never trip; lower it, or raise `timeout.request`"#,
    );
}

#[test]
fn an_endpoint_has_one_breaker_of_its_own() {
    upstream(
        "  orders: { endpoints: [{ url: http://a }, { url: http://b }], breaker: { key: '{endpoint}' },",
        "timeout: { connect: 1s }",
        r#"4:80: warning: with `ejection` each endpoint has a breaker of its own already, and `{endpoint}` in the key makes a second one; remove `{endpoint}` from the key, or write `ejection: off`"#,
    );
}

#[test]
fn a_health_check_has_a_path_and_an_expectation() {
    single(
        "health: {}",
        r#"5:13: error: `health` needs the key `path`; add `path: /healthz`, or `grpc: true` for a server that has the health service of gRPC"#,
    );
    single(
        "health: { path: healthz, expect: 'status', rise: 0 }",
        r#"5:21: error: `healthz` is not a path; write one such as `/healthz`
5:39: error: in the expect expression: expected a bool, found an int; compare it with something, as in `status >= 500`
5:54: error: `rise` must be a whole number of at least 1, found `0`; write a whole number of at least 1"#,
    );
    single(
        "health: { path: /, expect: 'error == \"\"' }",
        r#"5:33: error: in the expect expression: unknown variable `error`; expected one of status, headers, duration"#,
    );
}

#[test]
fn health_checks_can_probe_only_where_there_are_some() {
    upstream(
        "  orders: { url: http://a, breaker: { half_open: { probe: health } },",
        "timeout: {}",
        r#"4:59: error: `probe: health` waits for health checks, and this upstream has none; add `health: { path: /healthz }` to the upstream, or write `probe: request`"#,
    );
}

#[test]
fn a_queue_has_a_longest_wait() {
    single(
        "bulkhead: { concurrent: 8, queued: 4 }",
        r#"5:40: error: `queued` has no `queue_for`, so a call would wait for a place without end; add `queue_for: 200ms`"#,
    );
    single(
        "bulkhead: { concurrent: 8, queue_for: 1s }",
        r#"5:43: error: `queue_for` belongs to `queued`, and no call is queued; add `queued: 64`, or remove it"#,
    );
    single(
        "bulkhead: { queued: 0 }",
        r#"5:15: error: `bulkhead` needs the key `concurrent`; add `concurrent: 256`"#,
    );
    single(
        "bulkhead: { concurrent: { adaptive: { min: 9, max: 8 } } }",
        r#"5:56: error: `min` is 9, above `max`, 8; lower `min`, or raise `max`"#,
    );
    single(
        "bulkhead: { concurrent: 0 }",
        r#"5:29: error: `concurrent` must be a whole number from 1 to 1000000, found `0`; write a whole number from 1 to 1000000"#,
    );
    single(
        "bulkhead: { concurrent: {} }",
        r#"5:29: error: `concurrent` needs the key `adaptive`; add `adaptive: { min: 8, max: 1000 }`"#,
    );
}

#[test]
fn a_retry_names_ends_and_methods() {
    single(
        "retry: { on: [], methods: [] }",
        r#"5:18: error: `on` is empty, so nothing is repeated; name ends such as `connect_error` or `"503"`, or remove the key
5:31: error: without methods only what was not sent is repeated; name the methods, as in `[GET, PUT]`, or write `on: [connect_error]`"#,
    );
    single(
        "retry: { on: [conect_error, '200', x], methods: [get, GET, GET] }",
        r#"5:19: error: `on` must be `connect_error`, `reset`, `timeout`, a status from 400 to 599, or one of gRPC such as `UNAVAILABLE`, found `conect_error`; did you mean `connect_error`?
5:33: error: `on` must be `connect_error`, `reset`, `timeout`, a status from 400 to 599, or one of gRPC such as `UNAVAILABLE`, found `200`; name ends such as `connect_error` or `"503"`
5:40: error: `on` must be `connect_error`, `reset`, `timeout`, a status from 400 to 599, or one of gRPC such as `UNAVAILABLE`, found `x`; name ends such as `connect_error` or `"503"`
5:54: error: the method `get` is not in capitals, and methods are compared letter by letter; write `GET`
5:64: error: the method `GET` is listed twice; remove one of them"#,
    );
    single(
        "retry: { attempts: 11, backoff: { base: 2s }, buffer: 17MiB, budget: 0% }",
        r#"5:24: error: `attempts` must be a whole number from 1 to 10, found `11`; write a whole number from 1 to 10
5:45: error: `base` is 2s, above `max`, 1s; lower `base`, or raise `max`
5:59: error: `buffer` is above 16MiB, and each request in flight may take as much memory; write `64KiB`, or at most `16MiB`
5:74: error: `budget` must be a ratio above 0%, found `0%`; write one such as `50%`"#,
    );
    single(
        "retry: { budget: { ratio: 20%, max: 3 } }",
        r#"5:36: error: unknown key `max` in `budget`; expected one of ratio, min"#,
    );
}

#[test]
fn each_try_ends_before_the_call() {
    single(
        "timeout: { total: 2s }, retry: { per_try: 2s }",
        r#"5:47: error: `per_try` is 2s, and the whole call ends after `timeout.total`, 2s, so a try that takes so long is the last; lower it, or raise `timeout.total`"#,
    );
    single(
        "retry: { per_try: 30s }",
        r#"5:23: error: `per_try` is 30s, and the whole call ends after `timeout.request`, 30s, so a try that takes so long is the last; lower it, or raise `timeout.total`"#,
    );
    single("timeout: { total: 40s }, retry: { per_try: 35s }", "");
}

#[test]
fn a_timeout_that_ends_the_call_is_not_repeated() {
    single(
        "retry: { on: [timeout] }",
        r#"5:19: warning: `timeout` has no effect: without `per_try` an attempt that times out has used up the whole call's time; add `per_try: 1s`, or a `timeout.total` above `timeout.request`"#,
    );
    single("timeout: { total: 1m }, retry: { on: [timeout] }", "");
}

#[test]
fn a_hedge_needs_time_another_endpoint_and_reads() {
    single(
        "hedge: { after: 1s }",
        r#"5:21: warning: `hedge` has no effect: it goes to another endpoint, and there is one; add `endpoints`, or remove it"#,
    );
    orders(
        "hedge: { after: 5s }, timeout: { request: 5s }",
        r#"5:21: error: `after` is 5s, and an attempt ends after `timeout.request`, 5s, so no hedge could begin; lower it, or raise `timeout.request`"#,
    );
    orders(
        "hedge: { after: 2s }, retry: { per_try: 1s }",
        r#"5:21: warning: `hedge` has no effect beside the upstream's `retry`: `after` is 2s, and `per_try` ends an attempt after 1s; lower `after`, or raise `per_try`"#,
    );
    orders(
        "hedge: { after: 2s }, retry: { attempts: 1, budget: 10% }",
        r#"5:21: warning: `hedge` has no effect beside the upstream's `retry`: a hedge is a second attempt, and `attempts` is 1; write `attempts: 2`, or remove one of them"#,
    );
    orders(
        "hedge: {}",
        r#"5:12: error: `hedge` needs the key `after`; add `after: 200ms`"#,
    );
    check_ahead(
        "listen: 127.0.0.1:8080
upstreams: { orders: { endpoints: [{ url: http://a }, { url: http://b }], breaker: {}, hedge: { after: 1s } } }
routes: [{ path: /orders, methods: [POST], upstream: orders }]
",
        r#"2:104: warning: `hedge` has no effect: it is for GET and HEAD, and no route takes them to this upstream; remove it"#,
    );
}

#[test]
fn a_rung_has_one_key() {
    single(
        "fallback: [{}, { last_good: 1h, upstream: dr }, { upstrem: dr }, { respond: { body: x } }]",
        r#"5:16: error: this rung is empty; write one of `last_good: 1h`, `upstream: NAME` and `respond: { status: 503 }`
5:37: error: a rung has one key; make each key a rung of its own, in the order in which they are tried
5:55: error: unknown key `upstrem` in a rung; did you mean `upstream`?
5:83: error: unknown key `body` in `respond`; expected one of status, headers, text, json, on"#,
    );
    single(
        "fallback: last_good",
        r#"5:15: error: expected a list, found `last_good`; write `fallback: […]`, or one `- …` a line"#,
    );
    single(
        "fallback: [{ respond: { text: a, json: b } }, { last_good: 1h }]",
        r#"5:38: error: an answer has one body; keep one of `text` and `json`
5:51: error: this rung is never reached: the `respond` in line 5 before it always answers; put `respond` last, or remove the rungs after it"#,
    );
}

#[test]
fn a_rung_that_no_call_reaches_is_told_with_the_answers_before_it() {
    single(
        "fallback: [{ respond: { on: [refused] } }, { respond: { on: [refused], status: 500 } }]",
        r#"5:48: error: this rung is never reached: the `respond` in line 5 before it answers its calls; put `respond` last, or remove the rungs after it"#,
    );
    single(
        "fallback: [{ respond: { on: [refused] } },\n      { respond: { on: [failed] } },\n      { last_good: 1h }]",
        r#"7:7: error: this rung is never reached: the `respond`s in lines 5 and 6 before it answer every call; put `respond` last, or remove the rungs after it"#,
    );
    single(
        "fallback: [{ respond: { on: [] } }, { respond: { on: [refuse] } }]",
        r#"5:33: error: `on` is empty; name `refused` or `failed`, or remove the key
5:59: error: `on` must be `refused` or `failed`, found `refuse`; did you mean `refused`?"#,
    );
    single(
        "fallback: [{ respond: { on: [failed] } }, { last_good: 1h }]",
        "",
    );
}

#[test]
fn a_rung_leads_to_another_upstream() {
    single(
        "fallback: [{ upstream: orders }, { upstream: ds }]",
        r#"5:28: error: `orders` would fall back to itself; name another upstream, or remove the rung
5:50: error: unknown upstream `ds`; did you mean `dr`?"#,
    );
    route(
        "path: /a, upstream: orders, fallback: [{ upstream: orders }, { upstream: x }]",
        r#"5:58: error: `orders` would fall back to itself; name another upstream, or remove the rung
5:80: error: unknown upstream `x`; remove it"#,
    );
}

#[test]
fn upstreams_do_not_fall_back_in_a_circle() {
    check_ahead(
        "listen: 127.0.0.1:8080
upstreams:
  a: { url: http://a, breaker: {}, fallback: [{ upstream: b }] }
  b: { url: http://b, breaker: {}, fallback: [{ upstream: c }, { upstream: d }] }
  c: { url: http://c, breaker: {}, fallback: [{ upstream: a }] }
  d: { url: http://d, breaker: {}, fallback: [{ last_good: 1m }] }
routes: [{ path: /a, upstream: a }]
",
        r#"5:59: error: these upstreams fall back in a circle: `a` -> `b` -> `c` -> `a`; remove one of the rungs"#,
    );
}

#[test]
fn long_chains_of_upstreams_are_followed_to_their_end() {
    let names = 0..2_000;
    let upstreams: String = names
        .map(|it| {
            let next = (it + 1) % 2_000;
            format!(
                "  a{it}: {{ url: http://a, breaker: {{}}, fallback: [{{ upstream: a{next} }}] }}\n"
            )
        })
        .collect();
    check_ahead(
        &format!(
            "listen: 127.0.0.1:8080
upstreams:
{upstreams}routes: [{{ path: /a, upstream: a0 }}]
"
        ),
        "2002:63: error: these upstreams fall back in a circle: `a0` -> `a1` -> `a2` -> `a3` -> `a4` -> … -> `a0`; remove one of the rungs",
    );
}

#[test]
fn a_rung_is_a_use_of_an_upstream() {
    check_ahead(
        "listen: 127.0.0.1:8080
upstreams:
  a: { url: http://a, breaker: {}, fallback: [{ upstream: b }] }
  b: { url: http://b, breaker: {} }
  c: { url: http://c, breaker: {} }
  d: { url: http://d, breaker: {} }
routes: [{ path: /a, upstream: a, fallback: [{ upstream: c }] }]
",
        r#"6:3: warning: no route leads to the upstream `d`; add a route, or remove the upstream"#,
    );
}

#[test]
fn what_belongs_to_a_ladder_needs_one() {
    single(
        "fallback_on: [failed], last_good: { memory: 1MiB }",
        r#"5:18: error: `fallback_on` belongs to `fallback`, which is missing; add `fallback: [{ last_good: 1h }]`, or remove it
5:39: error: `last_good` says how answers are kept, and no rung of `fallback` serves them; add `fallback: [{ last_good: 1h }]`, or remove it"#,
    );
    single(
        "fallback: [{ respond: {} }], fallback_on: [], last_good: {}",
        r#"5:47: error: `fallback_on` is empty; name `refused` or `failed`, or remove the key
5:62: error: `last_good` says how answers are kept, and no rung of `fallback` serves them; add `fallback: [{ last_good: 1h }]`, or remove it"#,
    );
    check_ahead(
        "listen: 127.0.0.1:8080
upstreams: { orders: { url: http://a, breaker: {}, fallback_on: [failed], last_good: { memory: 2MiB } } }
routes: [{ path: /orders, upstream: orders, fallback: [{ last_good: 1h }] }]
",
        "",
    );
}

#[test]
fn kept_answers_fit_and_are_kept_by_fields() {
    single(
        "fallback: [{ last_good: 1h }], last_good: { max_body: 1GiB, key: [authorization, header.a, header.A, path.x] }",
        r#"5:59: error: `max_body` is 1GiB, and `memory` holds 64MiB in all; lower `max_body`, or raise `memory`
5:71: error: `key` must be a list of a request's fields, found `authorization`; write `header.authorization`
5:96: error: the field `a` is listed twice; remove one of them
5:106: error: `key` must be a list of a request's fields, found `path.x`; write fields such as `header.authorization`"#,
    );
    single(
        "fallback: [{ last_good: 1h }], last_good: { obey: false }",
        r#"5:49: warning: with `obey: false` answers are served stale although their upstream forbids it (`must-revalidate`, `no-cache` and the like); remove it, unless the upstream's answers are known to be harmless when they are old"#,
    );
}

#[test]
fn changes_of_fields_leave_framing_alone() {
    single(
        "request: { set: { content-length: 1, host: a, 'x y': a, x-a: \"a\\tb\\n\" }, remove: [Connection, x-b, X-B] }",
        r#"5:23: error: the field `content-length` belongs to the connection, and the gateway sets it; remove it
5:42: error: the field `host` says which service is meant, and the gateway sets it; remove it
5:51: error: `x y` is not a field's name; use letters, digits and `-`
5:87: error: the field `connection` belongs to the connection, and the gateway sets it; remove it
5:104: error: the field `x-b` is listed twice; remove one of them"#,
    );
    single(
        "request: { set: { x-a: 1 }, remove: [x-a], add: {} }",
        r#"5:33: error: the field `x-a` is both set and removed; keep it in `set`, which takes the place of all fields of its name
5:48: error: unknown key `add` in changes of fields; expected one of set, remove"#,
    );
    single(
        "request: { set: [x-a] }",
        r#"5:21: error: `set` must be a map from names to texts, found a list; write `set: { cache-control: no-store }`"#,
    );
}

#[test]
fn a_route_that_answers_itself_calls_nobody() {
    route(
        "path: /a, respond: {}, retry: {}, fallback: [], bulkhead: { concurrent: 1 }, max_concurrency: 1, request: {}, response: {}",
        r#"5:30: error: `retry` belongs to `upstream`, and this route answers itself; remove it
5:41: error: `fallback` belongs to `upstream`, and this route answers itself; remove it
5:55: error: `bulkhead` belongs to `upstream`, and this route answers itself; remove it
5:84: error: `max_concurrency` belongs to `upstream`, and this route answers itself; remove it
5:104: error: `request` belongs to `upstream`, and this route answers itself; remove it"#,
    );
}

#[test]
fn a_route_has_no_budget_of_its_own() {
    route(
        "path: /a, upstream: orders, retry: { budget: 20%, per_try: 1m }",
        r#"5:44: error: a route has no budget of its own: its retries come out of its upstream's; move it to the `retry` of the upstream `orders`
5:66: error: `per_try` is 1m, and the whole call ends after `timeout.request`, 30s, so a try that takes so long is the last; lower it, or raise `timeout.total`"#,
    );
}

#[test]
fn a_host_is_a_name_without_its_port() {
    route(
        "path: /a, upstream: orders, host: 'a.example:8080'",
        r#"5:41: error: a host is compared without its port; write `a.example`"#,
    );
    route(
        "path: /a, upstream: orders, host: 'https://a.example/x'",
        r#"5:41: error: `https://a.example/x` is a URL, and a host is compared by its name alone; write `a.example`"#,
    );
    route(
        "path: /a, upstream: orders, host: 'a.*'",
        r#"5:41: error: `a.*` is not a host: `*` stands for the first labels alone; write one such as `*.example.com`, or remove the key to take all hosts"#,
    );
    route(
        "path: /a, upstream: orders, host: 'a.example/x'",
        r#"5:41: error: `a.example/x` is not a host's name; write the name alone, and the path in `path`"#,
    );
    route(
        "path: /a, upstream: orders, host: '*.a_b..c'",
        r#"5:41: error: `a_b..c` is not a host's name or address; use letters, digits, `-`, `_` and dots; write other letters in their `xn--` form"#,
    );
    route(
        "path: /a, upstream: orders, headers: { host: a }",
        r#"5:46: error: the field `host` has a key of its own; write `host: api.example.com` beside `path`"#,
    );
}

#[test]
fn an_origin_is_a_scheme_a_host_and_a_port() {
    route(
        "path: /a, upstream: orders, cors: {}",
        r#"5:41: error: `cors` needs the key `origins`; add `origins: ["https://app.example.com"]`"#,
    );
    route(
        "path: /a, upstream: orders, cors: { origins: [] }",
        r#"5:52: error: `origins` is empty, so no script may read an answer; name origins such as `https://app.example.com`, or remove `cors`"#,
    );
    route(
        "path: /a, upstream: orders, cors: { origins: ['https://a.example/', a.example, '*'], methods: [] }",
        r#"5:53: error: `https://a.example/` is more than an origin, which is scheme, host and port; write `https://a.example`
5:75: error: the URL has no scheme; write an origin such as `https://app.example.com`
5:86: error: `*` lets every origin in, beside those that are named; keep `*` alone, or remove it
5:101: error: without methods no preflight is granted; name the methods, as in `[GET, POST]`, or remove the key to take the route's"#,
    );
    route(
        "path: /a, upstream: orders, cors: { origins: ['*'], credentials: true }",
        r#"5:72: error: with `origins: ["*"]` every site could act in the name of a user: browsers refuse it; name the origins, as in `["https://app.example.com"]`, or remove `credentials`"#,
    );
    route(
        "path: /a, upstream: orders, cors: { origins: ['https://a.example'], headers: ['*'], credentials: true }",
        "5:75: error: with `credentials` browsers take `*` for a field of that name; name the fields, as in `[content-type]`, or remove `credentials`",
    );
}

#[test]
fn paths_of_other_products_are_told_in_our_form() {
    for (path, offset, found, mend) in [
        ("/api/*", 5, "*", "write `/api/{*rest}`"),
        ("/v1/**", 4, "**", "write `/v1/{*rest}`"),
        ("/v3/:id", 4, ":id", "write `/v3/{id}`"),
        ("/*", 1, "*", "write `/{*rest}`"),
        ("/a/:id/b/*path", 3, ":id", "write `/a/{id}/b/{*path}`"),
        ("/a/*/b", 3, "*", "write `/a/{part2}/b`"),
        (
            "/a/**/b",
            3,
            "**",
            "write `{name}` for one whole segment, or `{*rest}` at the end for all that follow",
        ),
        (
            "/a/x*",
            3,
            "x*",
            "write `{name}` for one whole segment, or `{*rest}` at the end for all that follow",
        ),
    ] {
        let col = 14 + offset;
        route(
            &format!("path: '{path}', upstream: orders"),
            &format!("5:{col}: error: `{found}` would match only itself; {mend}"),
        );
    }
    route("path: '/v1/items:batch', upstream: orders", "");
}

#[test]
fn statuses_of_grpc_are_numbers_or_names() {
    single(
        "grpc: { failure: [17, UNAVAILIBLE, 0, x, 14, unknown] }",
        r#"5:23: error: `failure` must be a gRPC status from 1 to 16, or its name such as `UNAVAILABLE`, found `17`; the statuses are numbered from 0, OK, to 16, UNAUTHENTICATED
5:27: error: `failure` must be a gRPC status from 1 to 16, or its name such as `UNAVAILABLE`, found `UNAVAILIBLE`; did you mean `UNAVAILABLE`?
5:40: error: `failure` has the gRPC status 0, OK, which every good call has; remove it, or write an expression in `breaker.failure`
5:43: error: `failure` must be a gRPC status from 1 to 16, or its name such as `UNAVAILABLE`, found `x`; the statuses are numbered from 0, OK, to 16, UNAUTHENTICATED"#,
    );
    single(
        "retry: { on: [grpc:14, 'grpc:99', unavailible, UNAVAILABLE] }",
        r#"5:28: error: `on` must be `connect_error`, `reset`, `timeout`, a status from 400 to 599, or one of gRPC such as `UNAVAILABLE`, found `grpc:99`; the statuses are numbered from 0, OK, to 16, UNAUTHENTICATED
5:39: error: `on` must be `connect_error`, `reset`, `timeout`, a status from 400 to 599, or one of gRPC such as `UNAVAILABLE`, found `unavailible`; did you mean `UNAVAILABLE`?"#,
    );
    single(
        "health: { service: orders }",
        r#"5:13: error: `health` needs the key `path`; add `path: /healthz`, or `grpc: true` for a server that has the health service of gRPC
5:24: error: `service` is for the health service of gRPC, which is not asked; add `grpc: true`, or remove it"#,
    );
    single(
        "health: { grpc: true, path: /healthz }",
        r#"5:27: error: `path` says nothing beside `grpc`: the health service of gRPC says by itself how it is; keep one of the two"#,
    );
}
