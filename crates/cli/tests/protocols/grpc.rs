//! gRPC: outcomes at the trailers, deadlines, refusals and retries.
//!
//! What gRPC says in fields is the same over every version of HTTP. Here it goes over HTTP/1.1, where a test can say each
//! byte; `grpc_peers` has real clients and servers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Fields, Gateway, Response, Setup, Upstream, eventually, orders, orders_at};

/// One empty message.
const MESSAGE: &str = "\0\0\0\0\0";

/// An answer with one message, and with these lines among its trailers.
fn with_trailers(lines: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\n{MESSAGE}\r\n0\r\n{lines}\r\n"
    )
}

/// An answer that ends with its head, which has these lines.
fn trailers_only(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n{lines}\r\n")
}

/// A server that answers every call with the text of its path: `/t/14` ends with that status in trailers, `/h/14` with
/// that head, `/none` without a status, `/cut` within its body, `/503` by HTTP alone.
fn parrot() -> Upstream {
    Upstream::start(|call| {
        call.body();
        let target = call.seen.target.clone();
        let mut words = target.trim_start_matches('/').split('/');
        let more = call.seen.fields.get("x-want");
        let more = more.map(|it| format!("{it}\r\n")).unwrap_or_default();
        let answer = match (words.next(), words.next()) {
            (Some("t"), Some(code)) => with_trailers(&format!("grpc-status: {code}\r\n{more}")),
            (Some("h"), Some(code)) => trailers_only(&format!("grpc-status: {code}\r\n{more}")),
            (Some("none"), _) => with_trailers("x-other: 1\r\n"),
            (Some("cut"), _) => with_trailers("").replace("0\r\n\r\n", ""),
            (Some("json"), _) => return call.respond(200, "{}"),
            (Some(status), _) => return call.respond(status.parse().unwrap(), "no"),
            (None, _) => unreachable!(),
        };
        call.send(answer);
        if target == "/cut" {
            call.close();
        }
    })
}

fn gateway(upstream: &Upstream, breaker: &str) -> Gateway {
    let fresh = "    pool: { idle: 0 }\n    breaker:";
    Gateway::run(orders(upstream, breaker).replace("    breaker:", fresh))
}

const GRPC: &str = "Content-Type: application/grpc+proto\r\nTE: trailers\r\n";

/// One call of gRPC.
fn call(gateway: &Gateway, path: &str, lines: &str) -> Response {
    let lines = format!("{GRPC}{lines}");
    gateway.client().request("POST", path, &lines, MESSAGE)
}

/// The outcome that a call has added: a success, a failure, or neither.
#[track_caller]
fn outcome(gateway: &Gateway, path: &str, lines: &str) -> (u64, u64, u64) {
    let before = gateway.outcomes("orders");
    let mut client = gateway.client();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: gateway.test\r\n{GRPC}{lines}Content-Length: 5\r\n\r\n{MESSAGE}"
    ));
    client.try_response_to("POST").ok();
    let mut after = before;
    eventually("the call is judged", || {
        after = gateway.outcomes("orders");
        after != before
    });
    (after.0 - before.0, after.1 - before.1, after.2 - before.2)
}

const SUCCESS: (u64, u64, u64) = (1, 0, 0);
const FAILURE: (u64, u64, u64) = (0, 1, 0);
const IGNORED: (u64, u64, u64) = (0, 0, 1);

#[test]
fn a_call_is_judged_by_its_status_in_trailers_or_head() {
    let upstream = parrot();
    let gateway = gateway(&upstream, "{ trip: { consecutive_failures: 1000 } }");
    for code in 0..=17 {
        let right = match code {
            2 | 4 | 13 | 14 | 15 | 17 => FAILURE,
            1 => IGNORED,
            _ => SUCCESS,
        };
        for place in ["t", "h"] {
            let path = format!("/{place}/{code}");
            assert_eq!(outcome(&gateway, &path, ""), right, "{path}");
        }
    }
    let ends = [
        ("/t/x", FAILURE),
        ("/none", FAILURE),
        ("/cut", FAILURE),
        ("/503", FAILURE),
        ("/404", SUCCESS),
        ("/429", SUCCESS),
        // Whoever sends the content type of gRPC to another service moves no breaker.
        ("/json", SUCCESS),
    ];
    for (path, right) in ends {
        assert_eq!(outcome(&gateway, path, ""), right, "{path}");
    }
    assert_eq!(
        gateway.metric("fusebox_upstream_errors_total{upstream=\"orders\",kind=\"truncated\"}"),
        Some(2.0),
        "the answer without a status, and the one that was cut"
    );
}

#[test]
fn a_server_that_fails_in_trailers_opens_the_breaker_after_exactly_five() {
    let upstream = parrot();
    let gateway = gateway(&upstream, "{ cooldown: 60s }");
    for _ in 0..5 {
        assert_eq!(gateway.state("orders"), "closed");
        let answer = call(&gateway, "/t/14", "");
        assert_eq!(answer.trailers.get("grpc-status"), Some("14"));
    }
    assert_eq!(gateway.state("orders"), "open");
    let breaker = gateway.breaker("orders");
    let last = &breaker["last_failures"][0];
    assert_eq!(last["error"], "grpc 14 UNAVAILABLE", "{last}");
    assert_eq!(last["status"], Value::Null);
    let refusal = call(&gateway, "/t/0", "");
    let field = |name| refusal.fields.get(name);
    assert_eq!(refusal.status, 200);
    assert_eq!(field("content-type"), Some("application/grpc"));
    assert_eq!(field("grpc-status"), Some("14"));
    let message = field("grpc-message").unwrap();
    assert_eq!(message, "breaker \"orders\" refused the call: breaker_open");
    let seconds: u64 = field("retry-after").unwrap().parse().unwrap();
    let millis: u64 = field("grpc-retry-pushback-ms").unwrap().parse().unwrap();
    assert_eq!(millis, seconds * 1_000);
    assert!((58..=60).contains(&seconds), "{seconds}");
    assert!(field("fusebox-reason").unwrap().starts_with("breaker_open"));
    assert_eq!(refusal.body, b"");
    assert_eq!(upstream.calls(), 5);
    // Others get what they always got.
    assert_eq!(gateway.client().post("/t/0", "").status, 503);
}

#[test]
fn a_hold_without_an_end_says_no_time() {
    let upstream = parrot();
    let gateway = gateway(&upstream, "{}");
    let hold = |body: Value| {
        let held = gateway.admin_post("/api/v1/breakers/orders/open", &body);
        assert_eq!(held.status, 200, "{}", held.text());
        call(&gateway, "/t/0", "").fields
    };
    let endless = hold(json!({ "reason": "test" }));
    assert_eq!(endless.get("grpc-status"), Some("14"));
    assert!(!endless.has("retry-after") && !endless.has("grpc-retry-pushback-ms"));
    let timed = hold(json!({ "reason": "test", "for": "90s" }));
    assert!(timed.has("retry-after") && timed.has("grpc-retry-pushback-ms"));
}

#[test]
fn our_own_answers_have_the_status_that_fits() {
    let upstream = parrot();
    let yaml = orders(&upstream, "{}").replace("path: \"/{*rest}\"", "path: \"/t/{code}\"");
    let gateway = Gateway::run(yaml);
    let status = |path: &str, lines: &str| {
        let answer = call(&gateway, path, lines);
        assert_eq!(answer.status, 200);
        answer.fields.get("grpc-status").map(str::to_owned)
    };
    assert_eq!(status("/elsewhere", "").as_deref(), Some("12"), "no route");
    for bad in ["1s", "123456789S", ""] {
        let line = format!("grpc-timeout: {bad}\r\n");
        assert_eq!(status("/t/0", &line).as_deref(), Some("3"), "{bad:?}");
    }
    assert_eq!(upstream.calls(), 0);
    let refusing = crate::support::Refusing::new();
    let unreachable = Gateway::run(orders_at(&refusing.url(), "{}"));
    let answer = call(&unreachable, "/t/0", "");
    assert_eq!(answer.fields.get("grpc-status"), Some("14"));
    let silent = Upstream::start(|call| {
        call.hang();
    });
    let slow = "    timeout: { request: 300ms }\n    breaker:";
    let slow = Gateway::run(orders(&silent, "{}").replace("    breaker:", slow));
    let answer = call(&slow, "/t/0", "");
    assert_eq!(answer.fields.get("grpc-status"), Some("4"));
    assert_eq!(slow.outcomes("orders"), FAILURE, "a time-out of ours");
}

#[test]
fn a_clients_own_short_deadline_moves_no_breaker() {
    let silent = Upstream::start(|call| {
        if call.seen.target == "/late" {
            call.body();
            call.send(trailers_only("grpc-status: 4\r\n"));
        } else {
            call.hang();
        }
    });
    let gateway = gateway(
        &silent,
        "{ trip: { consecutive_failures: 1 }, cooldown: 60s }",
    );
    assert_eq!(
        outcome(&gateway, "/hang", "grpc-timeout: 500m\r\n"),
        IGNORED
    );
    let answer = call(&gateway, "/hang", "grpc-timeout: 500m\r\n");
    assert_eq!(answer.fields.get("grpc-status"), Some("4"));
    assert_eq!(
        outcome(&gateway, "/late", "grpc-timeout: 999m\r\n"),
        IGNORED
    );
    assert_eq!(gateway.state("orders"), "closed");
    let errors = |kind: &str| {
        let labels = format!("{{upstream=\"orders\",kind=\"{kind}\"}}");
        gateway.metric(&format!("fusebox_upstream_errors_total{labels}"))
    };
    assert_eq!(
        (errors("timeout"), errors("client")),
        (Some(0.0), Some(2.0))
    );
    // An upstream that says so although it had time is at fault.
    assert_eq!(outcome(&gateway, "/late", "grpc-timeout: 1S\r\n"), FAILURE);
}

#[test]
fn a_short_deadline_is_the_clients_over_a_new_connection_too() {
    // The connection of a call that is given up is closed, so each call makes one.
    let silent = Upstream::start(|call| {
        call.hang();
    });
    let gateway = gateway(
        &silent,
        "{ trip: { consecutive_failures: 1 }, cooldown: 60s }",
    );
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let answer = call(&gateway, "/hang", "grpc-timeout: 100m\r\n");
                    assert_eq!(answer.fields.get("grpc-status"), Some("4"));
                }
            });
        }
    });
    assert_eq!(gateway.outcomes("orders").1, 0);
}

#[test]
fn a_deadline_of_a_second_counts_as_a_timeout_of_the_upstream() {
    let silent = Upstream::start(|call| {
        call.hang();
    });
    let gateway = gateway(&silent, "{}");
    assert_eq!(outcome(&gateway, "/hang", "grpc-timeout: 1S\r\n"), FAILURE);
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["last_failures"][0]["error"], "timeout");
}

#[test]
fn the_deadline_that_is_passed_on_is_reduced_and_never_above_a_timeout_that_is_set() {
    let told = |fields: &Fields| {
        let value = fields.get("grpc-timeout")?;
        let (digits, unit) = value.split_at(value.len() - 1);
        let number: f64 = digits.parse().unwrap();
        Some(
            number
                * match unit {
                    "S" => 1.0,
                    "m" => 1e-3,
                    "u" => 1e-6,
                    "n" => 1e-9,
                    _ => panic!("{value}"),
                },
        )
    };
    let upstream = parrot();
    let plain = gateway(&upstream, "{}");
    call(&plain, "/t/0", "grpc-timeout: 5S\r\n");
    let left = told(&upstream.last().fields).unwrap();
    assert!((1.0..5.0).contains(&left), "{left}");
    call(&plain, "/t/0", "");
    assert_eq!(told(&upstream.last().fields), None, "a stream may be long");
    let bound = "    timeout: { request: 2s }\n    breaker:";
    let bound = Gateway::run(orders(&upstream, "{}").replace("    breaker:", bound));
    call(&bound, "/t/0", "grpc-timeout: 5S\r\n");
    let left = told(&upstream.last().fields).unwrap();
    assert!((0.5..=2.0).contains(&left), "{left}");
}

#[test]
fn a_body_that_is_not_over_by_the_deadline_ends_with_trailers_of_ours() {
    let upstream = Upstream::start(|call| {
        call.body();
        call.send(with_trailers("").replace("0\r\n\r\n", ""));
        call.hang();
    });
    let gateway = gateway(&upstream, "{}");
    let answer = call(&gateway, "/a", "grpc-timeout: 400m\r\n");
    assert_eq!(answer.body, MESSAGE.as_bytes());
    assert_eq!(answer.trailers.get("grpc-status"), Some("4"));
    assert_eq!(gateway.outcomes("orders"), IGNORED);
}

#[test]
fn a_breaker_sees_the_status_in_expressions_and_in_grpc_failure() {
    let upstream = parrot();
    let by_expression = gateway(
        &upstream,
        "{ trip: { consecutive_failures: 1000 }, failure: 'grpc_status == 5 || (grpc_status == -1 && status >= 500)' }",
    );
    for (path, right) in [
        ("/t/5", FAILURE),
        ("/t/14", SUCCESS),
        ("/503", FAILURE),
        ("/h/0", SUCCESS),
    ] {
        assert_eq!(outcome(&by_expression, path, ""), right, "{path}");
    }
    let yaml = orders(&upstream, "{ trip: { consecutive_failures: 1000 } }").replace(
        "    breaker:",
        "    grpc: { failure: [NOT_FOUND, 14] }\n    breaker:",
    );
    let by_list = Gateway::run(yaml);
    for (path, right) in [("/t/5", FAILURE), ("/t/14", FAILURE), ("/t/13", SUCCESS)] {
        assert_eq!(outcome(&by_list, path, ""), right, "{path}");
    }
}

#[test]
fn an_exhausted_upstream_is_heard_as_pushback() {
    let upstream = parrot();
    let cooldown = "cooldown: { base: 1s, max: 40s, jitter: 0% }";
    let gateway = gateway(
        &upstream,
        &format!("{{ trip: {{ consecutive_failures: 100 }}, retry_after: trip, {cooldown} }}"),
    );
    call(&gateway, "/t/8", "");
    assert_eq!(gateway.state("orders"), "closed", "it says no time");
    let want = "X-Want: grpc-retry-pushback-ms: 30000\r\n";
    let answer = call(&gateway, "/t/8", want);
    assert_eq!(answer.trailers.get("grpc-retry-pushback-ms"), Some("30000"));
    let breaker = gateway.breaker("orders");
    assert_eq!(breaker["state"], "open");
    let seconds = breaker["retry_after"].as_u64().unwrap();
    assert!((25..=30).contains(&seconds), "{breaker}");
}

/// A gateway that retries, before a server that fails its first call so.
fn retrying(first: &'static str, retry: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start(move |call| {
        call.body();
        let is_first = call.seen.fields.get("fusebox-attempt").is_none();
        let answer = match is_first {
            true => first.to_owned(),
            false => with_trailers("grpc-status: 0\r\n"),
        };
        call.send(answer);
    });
    let keys = format!("    retry: {retry}\n    breaker:");
    let gateway = Gateway::run(orders(&upstream, "{}").replace("    breaker:", &keys));
    (gateway, upstream)
}

#[test]
fn an_unavailable_head_is_retried_and_a_message_ends_that() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\ngrpc-status: 14\r\n\r\n";
    let (gateway, upstream) = retrying(head, "{}");
    let answer = call(&gateway, "/a", "");
    assert_eq!(answer.trailers.get("grpc-status"), Some("0"));
    assert_eq!(upstream.calls(), 2);
    assert_eq!(gateway.outcomes("orders"), SUCCESS);

    let never = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\ngrpc-status: 14\r\ngrpc-retry-pushback-ms: -1\r\n\r\n";
    let (gateway, upstream) = retrying(never, "{}");
    let answer = call(&gateway, "/a", "");
    assert_eq!(answer.fields.get("grpc-status"), Some("14"));
    assert_eq!(upstream.calls(), 1, "the server wants no repeat");

    let message = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 14\r\n\r\n";
    let (gateway, upstream) = retrying(message, "{}");
    let answer = call(&gateway, "/a", "");
    assert_eq!(answer.trailers.get("grpc-status"), Some("14"));
    assert_eq!(upstream.calls(), 1);

    let exhausted = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\ngrpc-status: 8\r\ngrpc-retry-pushback-ms: 30\r\n\r\n";
    let (gateway, upstream) = retrying(exhausted, "{ on: [connect_error, RESOURCE_EXHAUSTED] }");
    call(&gateway, "/a", "");
    assert_eq!(upstream.calls(), 2);
    let (gateway, upstream) = retrying(exhausted, "{}");
    call(&gateway, "/a", "");
    assert_eq!(upstream.calls(), 1, "not named");
}

#[test]
fn a_rung_without_a_grpc_status_is_nothing_to_a_grpc_client() {
    let upstream = parrot();
    let ladder = |answer: &str| {
        let keys = format!("    fallback: [{{ respond: {answer} }}]\n    breaker:");
        Gateway::run(orders(&upstream, "{}").replace("    breaker:", &keys))
    };
    let plain = ladder("{ json: { degraded: true } }");
    let answer = call(&plain, "/h/14", "");
    assert_eq!(answer.fields.get("grpc-status"), Some("14"));
    assert!(!answer.fields.has("fusebox-fallback"));
    let other = plain.client().post("/503", "");
    assert_eq!(other.fields.get("fusebox-fallback"), Some("respond"));
    let own = ladder("{ headers: { grpc-status: \"5\", grpc-message: \"{reason}\" } }");
    let answer = call(&own, "/h/14", "");
    assert_eq!(answer.fields.get("grpc-status"), Some("5"));
    assert_eq!(answer.fields.get("grpc-message"), Some("grpc_14"));
    assert_eq!(answer.fields.get("content-type"), Some("application/grpc"));
    assert_eq!(answer.fields.get("fusebox-fallback"), Some("respond"));
}

#[test]
fn a_stream_both_ways_flows_and_may_probe() {
    let upstream = Upstream::start(|call| {
        // Answers after the first message, before the client has sent all of its own.
        let message = call.wire().read_chunk().unwrap();
        assert_eq!(message, MESSAGE.as_bytes());
        call.send(with_trailers("").replace("0\r\n\r\n", ""));
        let message = call.wire().read_chunk().unwrap();
        assert_eq!(message, MESSAGE.as_bytes());
        call.send(format!("5\r\n{MESSAGE}\r\n0\r\ngrpc-status: 0\r\n\r\n"));
        call.wire().read_chunk().ok();
    });
    let gateway = gateway(&upstream, "{ cooldown: 50ms }");
    let chat = |gateway: &Gateway| {
        let mut client = gateway.client();
        client.send(format!(
            "POST /chat HTTP/1.1\r\nHost: gateway.test\r\n{GRPC}Transfer-Encoding: chunked\r\n\r\n5\r\n{MESSAGE}\r\n"
        ));
        let head = client.head();
        assert_eq!(head.status, 200);
        assert_eq!(client.wire.read_chunk().unwrap(), MESSAGE.as_bytes());
        client.send(format!("5\r\n{MESSAGE}\r\n"));
        assert_eq!(client.wire.read_chunk().unwrap(), MESSAGE.as_bytes());
        client.send("0\r\n\r\n");
        assert_eq!(client.wire.read_chunk().unwrap(), b"");
        assert_eq!(client.wire.read_line().unwrap(), "grpc-status: 0");
    };
    chat(&gateway);
    eventually("it is a success", || gateway.outcomes("orders") == SUCCESS);
    crate::support::calls::half_open(&gateway, "orders");
    chat(&gateway);
    eventually("the probe closes it", || {
        gateway.state("orders") == "closed"
    });
}

#[test]
fn the_access_log_says_the_grpc_status() {
    let upstream = parrot();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let yaml = orders(&upstream, "{}")
        + &format!(
            "access_log: {{ to: {}, when: 'grpc_status != 16' }}\n",
            file.display()
        );
    let gateway = Setup::new(yaml).workers(1).start();
    call(&gateway, "/t/5", "");
    call(&gateway, "/h/14", "");
    call(&gateway, "/404", "");
    gateway.client().post("/404", "");
    call(&gateway, "/t/16", "");
    let mut lines = Vec::new();
    eventually("four lines", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        lines = text.lines().map(str::to_owned).collect();
        lines.len() == 4
    });
    let status = |at: usize| {
        let line: Value = serde_json::from_str(&lines[at]).unwrap();
        line.get("grpc_status").cloned()
    };
    assert_eq!(status(0), Some(json!(5)));
    assert_eq!(status(1), Some(json!(14)));
    assert_eq!(status(2), Some(Value::Null), "it gave none");
    assert_eq!(status(3), None, "not gRPC");
    let _ = Duration::ZERO;
}

/// An upstream whose health service gives that state.
fn with_health(state: &crate::support::Dial) -> Upstream {
    let state = state.clone();
    Upstream::start(move |call| {
        let body = call.body();
        if call.seen.target != "/grpc.health.v1.Health/Check" {
            call.send(trailers_only("grpc-status: 0\r\n"));
            return;
        }
        assert_eq!(
            call.seen.fields.get("content-type"),
            Some("application/grpc")
        );
        assert_eq!(call.seen.fields.get("te"), Some("trailers"));
        assert_eq!(body, b"\0\0\0\0\x08\x0a\x06orders", "the service's name");
        let state = char::from(u8::try_from(state.get()).unwrap());
        call.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n\
             7\r\n\0\0\0\0\x02\x08{state}\r\n0\r\ngrpc-status: 0\r\n\r\n"
        ));
    })
}

#[test]
fn an_endpoint_is_healthy_while_its_health_service_says_serving() {
    let state = crate::support::Dial::at(1);
    let upstream = with_health(&state);
    let health = "    health: { grpc: true, service: orders, interval: 20ms, rise: 1, fall: 1 }\n    breaker:";
    let gateway = Gateway::run(orders(&upstream, "{}").replace("    breaker:", health));
    let shown = || {
        let shown = gateway.admin_get("/api/v1/upstreams").json();
        shown["upstreams"][0]["endpoints"][0]["health"].clone()
    };
    eventually("it is healthy", || shown() == "healthy");
    state.set(2);
    // The last endpoint is never taken out.
    eventually("it is not", || shown() == "kept");
    gateway.log_line(|line| line["why"] == "NOT_SERVING");
}

#[test]
fn a_stream_that_has_flowed_for_settle_leaves_its_place_in_the_bulkhead() {
    let upstream = Upstream::start(|call| {
        call.body();
        if call.seen.target == "/unary" {
            call.send(with_trailers("grpc-status: 0\r\n"));
            return;
        }
        let begun = with_trailers("").replace("0\r\n\r\n", "");
        let mut goes_on = call.send(begun);
        while goes_on {
            // The pace of the stream, of which some messages must come behind `settle`.
            std::thread::sleep(std::time::Duration::from_millis(20));
            goes_on = call.send(format!("5\r\n{MESSAGE}\r\n"));
        }
    });
    let keys = "    bulkhead: { concurrent: 1, streams: 1 }\n    breaker:";
    let yaml = orders(&upstream, "{ settle: 50ms }").replace("    breaker:", keys);
    let gateway = Gateway::run(yaml);
    let mut client = gateway.client();
    client.send(format!(
        "POST /stream HTTP/1.1\r\nHost: gateway.test\r\n{GRPC}Content-Length: 5\r\n\r\n{MESSAGE}"
    ));
    assert_eq!(client.head().status, 200);
    eventually("the place is free", || {
        call(&gateway, "/unary", "").trailers.get("grpc-status") == Some("0")
    });
}
