//! The keys of a call, as they are read: values, defaults, and what is shown of them.

use std::time::Duration;

use crate::support::{ahead, lines, plan_ahead};
use fusebox_breaker::{Cooldown, Ramp, Rule};
use fusebox_call::{
    Adaptive, Backoff, Balance, Budget, Bulkhead, Concurrent, GrpcCodes, Hedge, Jitter, Retry,
    RetryOn,
};
use fusebox_plan::Plan;
use fusebox_plan::plan::{
    Cors, Facts, FallbackOn, Forward, HostPattern, HttpVersion, LastGood, Location, Origins, Probe,
    Route, Rung, Step, Upstream, UpstreamHost,
};
use http::header::{AUTHORIZATION, COOKIE, SERVER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;

/// A file whose upstream `orders` has these further keys, beside the upstreams `dr` and `far`.
fn file(orders: &str) -> String {
    format!(
        "listen: 127.0.0.1:8080
upstreams:
  dr: {{ url: http://dr, breaker: {{}} }}
  orders: {{ endpoints: [{{ url: http://a }}, {{ url: http://b, weight: 3 }}], breaker: {{}}, {orders} }}
routes: [{{ path: /orders, upstream: orders }}, {{ path: /dr, upstream: dr }}]
"
    )
}

/// The upstream `orders` of such a file; what is shown of its plan is read as the same plan.
#[track_caller]
fn orders(keys: &str) -> Upstream {
    let plan = plan_ahead(&file(keys));
    assert_written_out(&plan);
    plan.upstreams[1].as_ref().clone()
}

#[track_caller]
fn assert_written_out(plan: &Plan) {
    let again = ahead(&plan.to_json().to_string());
    assert_eq!(
        again.plan.as_ref(),
        Some(plan),
        "{}\n{:#}",
        lines(&again),
        plan.to_json()
    );
}

/// The first route of a plan whose routes have an upstream.
#[track_caller]
fn route(keys: &str) -> (Route, Forward) {
    let plan = plan_ahead(&format!(
        "listen: 127.0.0.1:8080
upstreams:
  orders: {{ url: http://a, breaker: {{}}, retry: {{}}, fallback: [{{ last_good: 1h }}] }}
  dr: {{ url: http://dr, breaker: {{}} }}
routes: [{{ path: /orders, upstream: orders, {keys} }}, {{ path: /dr, upstream: dr }}]
"
    ));
    assert_written_out(&plan);
    let route = plan.routes[0].as_ref().clone();
    let Step::Forward(forward) = route.steps[0].clone() else {
        panic!("{route:?}");
    };
    (route, forward)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn an_upstream_without_these_keys_has_one_attempt_and_no_ladder() {
    let plan = plan_ahead(
        "listen: 127.0.0.1:8080
upstreams: { orders: { url: http://a, breaker: {} } }
routes: [{ path: /orders, upstream: orders }]
",
    );
    let orders = plan.upstreams[0].as_ref().clone();
    let breaker = orders.breaker.clone();
    let plain = Upstream::new("orders".into(), orders.endpoint().clone());
    assert_eq!(orders, Upstream { breaker, ..plain });
    assert!(!orders.has_several());
    assert_eq!(orders.timeout.of_call(), orders.timeout.request);
}

#[test]
fn the_version_of_http_is_chosen_by_alpn_unless_it_is_said() {
    for (keys, version) in [
        ("", HttpVersion::Auto),
        ("http: 1", HttpVersion::One),
        ("http: 2", HttpVersion::Two),
        ("http: \"2\"", HttpVersion::Two),
    ] {
        assert_eq!(orders(keys).http, version, "{keys}");
    }
    let found = lines(&ahead(&file("http: 3")));
    let expected = "error: `http` must be `1`, `2` or `auto`, found `3`; write `2` for HTTP/2, `1` for HTTP/1.1, or `auto` for what ALPN chooses";
    assert!(found.contains(expected), "{found}");
    let warning = "warning: `http: auto` has no effect: ALPN chooses the version within TLS, and no endpoint is `https`; write `http: 2` for HTTP/2 in cleartext, or remove it for HTTP/1.1";
    let found = lines(&ahead(&file("http: auto")));
    assert!(found.contains(warning), "{found}");
    for silent in ["", "http: 1", "http: 2"] {
        assert!(!lines(&ahead(&file(silent))).contains("`http"), "{silent}");
    }
}

#[test]
fn several_endpoints_have_weights_and_are_ejected_by_default() {
    let orders = orders("");
    let endpoints: Vec<_> = orders
        .endpoints
        .iter()
        .map(|it| (it.endpoint.url(), it.weight))
        .collect();
    assert_eq!(
        endpoints,
        [("http://a".to_owned(), 1), ("http://b".to_owned(), 3)]
    );
    assert_eq!(orders.balance, Balance::RoundRobin);
    let ejection = orders.ejection.unwrap();
    let failures = Rule::ConsecutiveFailures {
        threshold: 5,
        within: None,
    };
    assert_eq!(ejection.breaker.trip, [failures]);
    let cooldown = Cooldown {
        base: secs(10),
        factor: 2.0,
        max: secs(300),
        jitter: 0.2,
    };
    assert_eq!(ejection.breaker.cooldown, cooldown);
    assert_eq!(ejection.breaker.ramp, None);
    assert_eq!(ejection.breaker.half_open.probe_timeout, secs(30));
    assert_eq!((ejection.ejected_max, ejection.healthy_min), (0.5, 1));
}

#[test]
fn an_ejection_has_the_rules_of_a_breaker() {
    assert_eq!(orders("ejection: off").ejection, None);
    let ejection = orders(
        "ejection: { failure_rate: 50%, over: 100 calls, min_calls: 10, for: { base: 1s }, max_ejected: 100%, min_healthy: 0, ramp: 10s }",
    );
    let ejection = ejection.ejection.unwrap();
    assert_eq!(ejection.breaker.trip.len(), 1);
    assert!(matches!(
        ejection.breaker.trip[0],
        Rule::FailureRate { min_calls: 10, .. }
    ));
    assert_eq!(ejection.breaker.cooldown.base, secs(1));
    assert_eq!(ejection.breaker.cooldown.max, secs(300));
    assert_eq!(ejection.breaker.ramp, Some(Ramp::linear(secs(10))));
    assert_eq!((ejection.ejected_max, ejection.healthy_min), (1.0, 0));
    let fixed = orders("ejection: { for: 1m }").ejection.unwrap();
    assert_eq!(fixed.breaker.cooldown, Cooldown::fixed(secs(60)));
}

#[test]
fn a_name_that_is_looked_up_may_be_several_endpoints() {
    let upstream = |keys: &str| {
        let plan = plan_ahead(&format!(
            "listen: 127.0.0.1:8080
upstreams: {{ orders: {{ {keys}, breaker: {{}} }} }}
routes: [{{ path: /orders, upstream: orders }}]
"
        ));
        assert_written_out(&plan);
        plan.upstreams[0].as_ref().clone()
    };
    let named = upstream("url: http://orders.internal, resolve: 10s");
    assert_eq!(named.resolve, Some(secs(10)));
    assert!(named.has_several() && named.ejection.is_some());
    assert!(!upstream("url: 'http://[::1]:80', resolve: 10s").has_several());
    assert!(!upstream("url: http://orders.internal").has_several());
}

#[test]
fn an_upstream_hears_its_own_host_the_clients_or_a_name() {
    let named = |text: &'static str| UpstreamHost::Named(HeaderValue::from_static(text));
    for (written, host) in [
        ("host: upstream", UpstreamHost::Own),
        ("host: preserve", UpstreamHost::Preserved),
        ("host: Shop.example", named("shop.example")),
        ("host: 'shop.example:80'", named("shop.example:80")),
        ("host: 10.0.0.1", named("10.0.0.1")),
        ("host: '[::1]'", named("[::1]")),
        ("host: '[::1]:8080'", named("[::1]:8080")),
        ("host: 'preserve:80'", named("preserve:80")),
    ] {
        assert_eq!(orders(written).host, host, "{written}");
    }
    assert_eq!(orders("http: 1").host, UpstreamHost::Own);
}

#[test]
fn redirects_of_an_upstream_are_rewritten_or_kept() {
    assert_eq!(orders("http: 1").location, Location::Rewrite);
    assert_eq!(orders("location: rewrite").location, Location::Rewrite);
    assert_eq!(orders("location: keep").location, Location::Keep);
}

#[test]
fn a_balancer_is_a_word_or_a_hash_of_a_text() {
    assert_eq!(
        orders("balance: least_request").balance,
        Balance::LeastRequest
    );
    assert_eq!(orders("balance: p2c_ewma").balance, Balance::P2cEwma);
    let hashed = orders("balance: { hash: '{header.x-tenant}' }");
    assert_eq!(hashed.balance, Balance::Hash);
    assert_eq!(hashed.hash_key.unwrap().0.len(), 1);
}

#[test]
fn health_checks_have_defaults() {
    let upstream = orders("health: { path: '/healthz?deep=1' }");
    let health = upstream.health.unwrap();
    assert_eq!(health.path, "/healthz?deep=1");
    assert_eq!((health.interval, health.timeout), (secs(5), secs(1)));
    assert_eq!((health.rise, health.fall, health.jitter), (2, 3, 0.2));
    assert_eq!(health.expect.source(), "status == 200");
    let upstream = orders(
        "health: { path: /, interval: 1s, timeout: 2s, rise: 1, fall: 1, jitter: 0%, expect: 'status < 500 && headers[\"x-ok\"] == \"1\"' }",
    );
    let health = upstream.health.unwrap();
    let fields = HeaderMap::from_iter([("x-ok".parse().unwrap(), HeaderValue::from_static("1"))]);
    let answer = |status| fusebox_plan::Call {
        status,
        headers: Some(&fields),
        duration: ms(1),
        error: None,
        body: None,
        grpc_status: None,
        client_subject: "",
    };
    assert_eq!(health.expect.holds(&answer(404)), Ok(true));
    assert_eq!(health.expect.holds(&answer(500)), Ok(false));
}

#[test]
fn health_checks_may_be_the_probes() {
    let text = file("health: { path: /healthz }").replace(
        "breaker: {}, health",
        "breaker: { half_open: { probe: health } }, health",
    );
    let plan = plan_ahead(&text);
    assert_written_out(&plan);
    assert_eq!(plan.upstreams[1].breaker.probe, Probe::Health);
    assert_eq!(plan.upstreams[0].breaker.probe, Probe::Request);
}

#[test]
fn an_empty_retry_is_two_attempts() {
    let upstream = orders("retry: {}");
    assert_eq!(upstream.retry, Some(Retry::default()));
    assert_eq!(upstream.budget, Budget { ratio: 0.2, min: 3 });
    assert_eq!(upstream.hedge, None);
}

#[test]
fn every_key_of_a_retry_is_read() {
    let upstream = orders(
        "timeout: { request: 2s, total: 5s }, retry: { attempts: 3, on: [reset, timeout, \"429\", 503], per_try: 1s, methods: [GET, POST], backoff: { base: 50ms, max: 2s, jitter: none }, budget: { ratio: 10%, min: 0 }, buffer: 1MiB }, hedge: { after: 200ms }",
    );
    let retry = Retry {
        attempts: 3,
        on: RetryOn {
            connect_error: false,
            reset: true,
            timeout: true,
            statuses: vec![
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
            grpc: GrpcCodes::default(),
        },
        per_try: Some(secs(1)),
        methods: vec![Method::GET, Method::POST],
        backoff: Backoff {
            base: ms(50),
            max: secs(2),
            jitter: Jitter::None,
        },
        buffer_max: 1 << 20,
    };
    assert_eq!(upstream.retry, Some(retry));
    assert_eq!(upstream.budget, Budget { ratio: 0.1, min: 0 });
    assert_eq!(upstream.hedge, Some(Hedge { after: ms(200) }));
    assert_eq!(upstream.timeout.of_call(), secs(5));
}

#[test]
fn a_timeout_is_repeated_by_default_exactly_if_each_try_has_a_time_of_its_own() {
    let timeout = |keys: &str| orders(keys).retry.unwrap().on.timeout;
    assert!(!timeout("retry: {}"));
    assert!(timeout("retry: { per_try: 1s }"));
    assert!(!timeout("retry: { per_try: 1s, on: [reset] }"));
}

#[test]
fn a_budget_may_be_its_ratio_alone() {
    assert_eq!(
        orders("retry: { budget: 50% }").budget,
        Budget { ratio: 0.5, min: 3 }
    );
}

#[test]
fn a_bulkhead_is_a_number_of_calls_or_bounds_of_one() {
    let bulkhead = orders("bulkhead: { concurrent: 256, queued: 64, queue_for: 200ms }").bulkhead;
    let expected = Bulkhead {
        concurrent: Concurrent::Fixed(256),
        queued_max: 64,
        queue_for: ms(200),
        streams_max: 1000,
    };
    assert_eq!(bulkhead, Some(expected));
    let adaptive = orders("bulkhead: { concurrent: { adaptive: {} }, streams: 5 }")
        .bulkhead
        .unwrap();
    let bounds = Adaptive { min: 8, max: 1000 };
    assert_eq!(adaptive.concurrent, Concurrent::Adaptive(bounds));
    assert_eq!((adaptive.queued_max, adaptive.streams_max), (0, 5));
}

#[test]
fn a_ladder_has_its_rungs_in_order() {
    let upstream = orders(
        r#"fallback: [{ last_good: 1h }, { upstream: dr }, { respond: { status: 200, headers: { x-why: "{reason}" }, json: { orders: [], why: "{reason} of {breaker}", retry: "{retry_after}", "{other}": "{}" } } }], fallback_on: [refused], last_good: { max_body: 64KiB, memory: 1MiB, disk: 2MiB, key: [header.authorization] }"#,
    );
    assert_eq!(
        upstream.fallback[..2],
        [Rung::LastGood(secs(3600)), Rung::Upstream("dr".into())]
    );
    assert_eq!(
        upstream.fallback_on,
        FallbackOn {
            refused: true,
            failed: false
        }
    );
    let kept = LastGood {
        body_max: 64 << 10,
        memory_max: 1 << 20,
        disk_max: 2 << 20,
        key: vec![AUTHORIZATION],
        obey: true,
    };
    assert_eq!(upstream.last_good, kept);
    let Rung::Respond(answer) = &upstream.fallback[2] else {
        panic!("{:?}", upstream.fallback);
    };
    let facts = Facts {
        reason: "breaker_open",
        retry_after: Some(12),
        breaker: "or\"ders",
    };
    let (fields, body) = answer.fill(&facts);
    assert_eq!(fields["x-why"], "breaker_open");
    assert_eq!(fields["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({ "orders": [], "why": "breaker_open of or\"ders", "retry": "12", "{other}": "{}" })
    );
    let (_, body) = answer.fill(&Facts {
        retry_after: None,
        ..facts
    });
    assert!(String::from_utf8_lossy(&body).contains(r#""retry":"""#));
}

#[test]
fn a_fixed_answer_may_be_for_refused_calls_alone_or_for_failed_ones() {
    let upstream = orders(
        "fallback: [{ respond: { on: [refused], status: 503 } }, { respond: { on: [failed], status: 502 } }]",
    );
    let on: Vec<_> = upstream
        .fallback
        .iter()
        .map(|rung| match rung {
            Rung::Respond(answer) => (answer.on.refused, answer.on.failed),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(on, [(true, false), (false, true)]);
}

#[test]
fn a_rung_may_answer_with_a_text() {
    let upstream = orders("fallback: [{ respond: { status: 503, text: 'later, {reason}' } }]");
    let Rung::Respond(answer) = &upstream.fallback[0] else {
        panic!("{:?}", upstream.fallback);
    };
    let facts = Facts {
        reason: "bulkhead_full",
        retry_after: None,
        breaker: "orders",
    };
    let (fields, body) = answer.fill(&facts);
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fields["content-type"], "text/plain; charset=utf-8");
    assert_eq!(body, "later, bulkhead_full");
}

#[test]
fn fields_of_requests_are_changed_and_credentials_are_never_shown() {
    let text = file(
        "request: { set: { authorization: Bearer s3cret, x-one: '1', x-env: '${VARIABLE:-s3cret}' }, remove: [cookie] }",
    );
    let plan = plan_ahead(&text);
    let request = &plan.upstreams[1].request;
    let mut fields = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("a=b"))]);
    fields.append("x-one", HeaderValue::from_static("other"));
    request.apply(&mut fields, None);
    assert_eq!(fields.len(), 3);
    assert_eq!(fields[AUTHORIZATION], "Bearer s3cret");
    assert_eq!(fields["x-one"], "1");
    let shown = plan.to_json();
    assert_eq!(
        shown["upstreams"]["orders"]["request"],
        json!({ "set": { "authorization": "***", "x-one": "***", "x-env": "***" }, "remove": ["cookie"] })
    );
    assert!(!format!("{plan:?}").contains("s3cret"));
}

#[test]
fn what_variables_and_files_bring_into_answers_and_checks_is_never_shown() {
    let secret = "${VARIABLE:-s3cret}";
    let answer = format!(
        "{{ headers: {{ x-env: '{secret}', x-price: '5 $${{EUR}}' }}, json: {{ plain: '$${{A}}', env: ['a {secret}', '{{reason}}'] }} }}"
    );
    let text = file(&format!(
        "health: {{ path: '/healthz?key={secret}' }}, fallback: [{{ respond: {answer} }}]"
    ));
    let routes = format!(
        "upstream: dr }}, {{ path: /a, respond: {{ text: '{secret}' }}, response: {{ set: {{ x-by: fusebox, x-env: '{secret}' }} }} }}, \
         {{ path: /b, respond: {answer} }}]"
    );
    let text = text.replace("upstream: dr }]", &routes);
    let plan = plan_ahead(&text);
    let shown = plan.to_json();
    let orders = &shown["upstreams"]["orders"];
    assert_eq!(orders["health"]["path"], "/***");
    let rung = &orders["fallback"][0]["respond"];
    let json = json!({ "plain": "$${A}", "env": ["***", "{reason}"] });
    assert_eq!(rung["json"], json);
    assert_eq!(
        (&rung["headers"]["x-env"], &rung["headers"]["x-price"]),
        (&json!("***"), &json!("5 $${EUR}"))
    );
    let route = |path: &str| {
        let all = shown["routes"].as_array().unwrap();
        all.iter().find(|it| it["path"] == path).unwrap().clone()
    };
    assert_eq!(route("/a")["respond"]["body"], "***");
    assert_eq!(
        route("/a")["response"],
        json!({ "set": { "x-by": "fusebox", "x-env": "***" } })
    );
    assert_eq!(route("/b")["respond"]["body"], json.to_string());
    assert!(!shown.to_string().contains("s3cret"), "{shown}");

    // It is sent all the same.
    let Rung::Respond(answer) = &plan.upstreams[1].fallback[0] else {
        panic!("{:?}", plan.upstreams[1].fallback);
    };
    let facts = Facts {
        reason: "reset",
        retry_after: None,
        breaker: "orders",
    };
    let (fields, body) = answer.fill(&facts);
    assert_eq!(fields["x-env"], "s3cret");
    assert_eq!(body, r#"{"plain":"${A}","env":["a s3cret","reset"]}"#);
}

#[test]
fn a_route_has_a_host_and_fields() {
    let (one, _) = route("host: API.example.com, headers: { X-Canary: '1' }, max_concurrency: 100");
    assert_eq!(one.host, Some(HostPattern::Exact("api.example.com".into())));
    assert_eq!(
        one.headers,
        [("x-canary".parse().unwrap(), HeaderValue::from_static("1"))]
    );
    assert_eq!(one.concurrency_max, Some(100));
    let (many, _) = route("host: '*.example.com'");
    let below = HostPattern::Below(".example.com".into());
    assert_eq!(many.host, Some(below));
    let (literal, _) = route("host: '[::1]'");
    assert_eq!(literal.host, Some(HostPattern::Exact("[::1]".into())));
    let (rooted, _) = route("host: a.example.");
    assert_eq!(rooted.host, Some(HostPattern::Exact("a.example".into())));
}

#[test]
fn a_routes_own_retry_ladder_and_bulkhead_take_the_place_of_the_upstreams() {
    let (_, plain) = route("request: { remove: [x-a] }");
    assert_eq!(plain.retry(), Some(&Retry::default()));
    assert_eq!(plain.fallback(), [Rung::LastGood(secs(3600))]);
    assert_eq!(plain.bulkhead(), None);
    let (_, own) =
        route("retry: { attempts: 1 }, fallback: [{ upstream: dr }], bulkhead: { concurrent: 2 }");
    assert_eq!(own.retry().unwrap().attempts, 1);
    assert_eq!(own.fallback(), [Rung::Upstream("dr".into())]);
    assert_eq!(own.bulkhead().unwrap().concurrent, Concurrent::Fixed(2));
    let (_, none) = route("fallback: []");
    assert_eq!(none.fallback(), []);
}

#[test]
fn cors_has_origins() {
    let (one, _) = route(
        "cors: { origins: ['https://App.example.com'], methods: [GET, POST], headers: [x-token], credentials: true, max_age: 1h }, response: { set: { x-served-by: fusebox }, remove: [server] }",
    );
    let cors = Cors {
        origins: Origins::These(vec!["https://app.example.com".into()]),
        methods: Some(vec![Method::GET, Method::POST]),
        headers: vec!["x-token".parse().unwrap()],
        credentials: true,
        max_age: Some(secs(3600)),
    };
    assert_eq!(one.cors, Some(cors));
    assert_eq!(one.response.remove, [SERVER]);
    let (all, _) = route("cors: { origins: ['*'] }");
    assert_eq!(all.cors.unwrap().origins, Origins::All);
}

#[test]
fn routes_of_one_path_may_differ_in_host_or_fields() {
    let plan = plan_ahead(
        "listen: 127.0.0.1:8080
routes:
  - { path: '/a/{x}', respond: {} }
  - { path: '/a/{y}', host: b.example, respond: {} }
  - { path: '/a/{y}', host: b.example, headers: { x-canary: '1' }, methods: [GET], respond: {} }
",
    );
    let names: Vec<_> = plan.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(
        names,
        [
            "/a/{x}",
            "b.example/a/{y}",
            "GET b.example/a/{y} x-canary: 1"
        ]
    );
}

#[test]
fn the_keys_of_grpc_are_read_and_shown() {
    let upstream = orders(
        "grpc: { failure: [UNAVAILABLE, 5, data_loss] }, health: { grpc: true, service: orders.v1 }, retry: { on: [connect_error, UNAVAILABLE, grpc:8] }",
    );
    assert_eq!(upstream.breaker.grpc_failure, GrpcCodes::of(&[5, 14, 15]));
    assert_eq!(
        upstream.retry.as_ref().unwrap().on.grpc,
        GrpcCodes::of(&[8, 14])
    );
    let health = upstream.health.as_ref().unwrap();
    assert_eq!(health.grpc.as_deref(), Some("orders.v1"));
    let defaults = orders("retry: {}");
    assert_eq!(
        defaults.breaker.grpc_failure,
        GrpcCodes::of(&[2, 4, 13, 14, 15])
    );
    assert_eq!(defaults.retry.unwrap().on.grpc, GrpcCodes::of(&[14]));
}

#[test]
fn a_breaker_with_an_expression_says_that_grpc_failure_has_no_effect() {
    let text = file("grpc: { failure: [14] }").replace(
        "breaker: {}, grpc",
        "breaker: { failure: 'grpc_status == 14 || error != \"\"' }, grpc",
    );
    assert_eq!(
        lines(&ahead(&text)),
        "fb.yaml:4:133: warning: `grpc.failure` has no effect: the breaker's `failure` decides, for calls of gRPC too; remove it, and use `grpc_status` in `failure`\n"
    );
}
