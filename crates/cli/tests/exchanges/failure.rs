//! What counts as a failure where the file says it in an expression of its own.

use crate::support::{Gateway, Refusing, Upstream, eventually, orders, orders_at};

/// An upstream that answers with the status, fields and body that the request asks for.
fn parrot() -> Upstream {
    Upstream::start(|call| {
        let body = call.text();
        let status = call.seen.target.trim_start_matches('/').parse();
        let lines = call
            .seen
            .fields
            .get("x-want")
            .map(|want| format!("{want}\r\n"));
        match status {
            Ok(status) => call.respond_with(status, &lines.unwrap_or_default(), &body),
            Err(_) => call.close(),
        }
    })
}

fn gateway(upstream: &Upstream, failure: &str, more: &str) -> Gateway {
    let breaker =
        format!("{{ trip: {{ consecutive_failures: 100 }}, failure: '{failure}'{more} }}");
    // The end of an idle connection is nobody's failure.
    let fresh = "    pool: { idle: 0 }\n    breaker:";
    Gateway::run(orders(upstream, &breaker).replace("    breaker:", fresh))
}

/// Whether a call counts as a failure under the gateway's expression.
#[track_caller]
fn fails(gateway: &Gateway, path: &str, lines: &str, body: &str) -> bool {
    let before = gateway.outcomes("orders");
    gateway.client().request("POST", path, lines, body);
    let after = gateway.outcomes("orders");
    assert_eq!(after.0 + after.1, before.0 + before.1 + 1, "counted once");
    after.1 > before.1
}

#[test]
fn an_expression_over_the_status_replaces_the_default() {
    let upstream = parrot();
    let gateway = gateway(&upstream, "status == 429 || status in [502, 503]", "");
    for (path, failed) in [
        ("/429", true),
        ("/503", true),
        ("/500", false),
        ("/200", false),
    ] {
        assert_eq!(fails(&gateway, path, "", ""), failed, "{path}");
    }
    assert!(
        !fails(&gateway, "/cut", "", ""),
        "nothing was said of errors"
    );
}

#[test]
fn an_expression_sees_the_answers_fields() {
    let upstream = parrot();
    let gateway = gateway(&upstream, r#"headers["x-health"] == "bad""#, "");
    assert!(fails(&gateway, "/200", "X-Want: X-Health: bad\r\n", ""));
    assert!(!fails(&gateway, "/200", "X-Want: X-Health: good\r\n", ""));
    // Without the field the expression has nothing to say, and the default decides.
    assert!(!fails(&gateway, "/200", "", ""));
    assert!(fails(&gateway, "/500", "", ""));
    let metrics = gateway.admin_get("/metrics").text();
    assert!(
        metrics
            .lines()
            .any(|line| line.contains("expression_errors_total{") && line.ends_with(" 2")),
        "{metrics}"
    );
}

#[test]
fn an_expression_sees_what_went_wrong() {
    let upstream = parrot();
    let gateway = gateway(&upstream, r#"error == "reset" && status == 0"#, "");
    assert!(fails(&gateway, "/cut", "", ""));
    assert!(!fails(&gateway, "/500", "", ""));
    let refusing = Refusing::new();
    let connect = Gateway::run(orders_at(
        &refusing.url(),
        "{ trip: { consecutive_failures: 100 }, failure: 'connect_error' }",
    ));
    assert!(fails(&connect, "/200", "", ""));
    let slow = Upstream::start(|call| {
        call.hang();
    });
    let yaml = orders(&slow, "{ failure: 'timeout && !connect_error' }").replace(
        "    breaker:",
        "    timeout: { request: 300ms }\n    breaker:",
    );
    assert!(fails(&Gateway::run(yaml), "/a", "", ""));
}

#[test]
fn an_expression_sees_how_long_it_took() {
    let slow = Upstream::start(|call| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        call.respond(200, "");
    });
    let yes = gateway(&slow, r#"duration > duration("250ms")"#, "");
    assert!(fails(&yes, "/a", "", ""));
    let no = gateway(&slow, r#"duration > duration("20s")"#, "");
    assert!(!fails(&no, "/a", "", ""));
}

#[test]
fn an_expression_sees_the_body_where_it_asks_for_it() {
    let upstream = parrot();
    let gateway = gateway(
        &upstream,
        r#"body.contains("\"ok\":false")"#,
        ", failure_body: 1KiB",
    );
    assert!(fails(&gateway, "/200", "", r#"{"ok":false}"#));
    assert!(!fails(&gateway, "/200", "", r#"{"ok":true}"#));
    assert!(!fails(&gateway, "/200", "", ""));
    let late = format!("{}{}", " ".repeat(1024), r#"{"ok":false}"#);
    assert!(
        !fails(&gateway, "/200", "", &late),
        "beyond what it may see"
    );
    let whole = gateway.client().post("/200", &late);
    assert_eq!(whole.text(), late, "the client gets all of it");
}

#[test]
fn a_body_that_is_cut_is_judged_by_what_came() {
    let upstream = Upstream::start(|call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        call.close();
    });
    let gateway = gateway(
        &upstream,
        r#"truncated && error == "truncated" && status == 200 && body == "half""#,
        ", failure_body: 1KiB",
    );
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert!(client.try_response_to("GET").is_err());
    assert_eq!(gateway.outcomes("orders"), (0, 1, 0));
}

#[test]
fn a_failure_by_expression_trips_the_breaker_as_any_other() {
    let upstream = parrot();
    let breaker = "{ trip: { consecutive_failures: 2 }, failure: 'status == 404' }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    assert_eq!(gateway.client().post("/404", "").status, 404);
    assert_eq!(
        gateway.client().post("/500", "").status,
        500,
        "a success by that expression"
    );
    assert_eq!(gateway.client().post("/404", "").status, 404);
    assert_eq!(gateway.state("orders"), "closed");
    assert_eq!(gateway.client().post("/404", "").status, 404);
    assert_eq!(gateway.client().post("/404", "").status, 503);
}

#[test]
fn an_expression_sees_how_long_a_call_without_an_answer_took() {
    let upstream = Upstream::start(|call| {
        call.hang();
    });
    let expression = "error == \"timeout\" && duration >= duration(\"400ms\")";
    let yaml = orders(
        &upstream,
        &format!("{{ failure: '{expression}' }}\n    timeout: {{ request: 400ms }}"),
    );
    let gateway = Gateway::run(yaml);
    assert!(fails(&gateway, "/a", "", ""));
}

#[test]
fn what_ignore_matches_neither_counts_nor_breaks_a_row_nor_closes() {
    let upstream = parrot();
    let breaker = "{ trip: { consecutive_failures: 2 }, cooldown: 100ms, ignore: 'status == 404' }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let ask = |path: &str| gateway.client().request("POST", path, "", "").status;
    // One client's 404s between the failures do not hide them.
    for path in ["/500", "/404", "/404", "/500"] {
        ask(path);
    }
    assert_eq!(gateway.outcomes("orders"), (0, 2, 2));
    eventually("a probe may go", || ask("/404") == 404);
    assert_eq!(gateway.state("orders"), "half_open", "it proved nothing");
    assert_eq!(ask("/404"), 404, "its place is free again");
    assert_eq!(ask("/200"), 200);
    assert_eq!(gateway.state("orders"), "closed");
}

#[test]
fn an_ignore_that_fails_ignores_nothing_and_is_counted() {
    let upstream = parrot();
    let breaker = "{ trip: { consecutive_failures: 9, failures: 9, within: 9s }, ignore: 'int(headers[\"x-n\"]) == 1' }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let ask = |path: &str, lines: &str| gateway.client().request("POST", path, lines, "");
    ask("/500", "");
    ask("/200", "");
    ask("/500", "X-Want: X-N: 1\r\n");
    assert_eq!(gateway.outcomes("orders"), (1, 1, 1));
    let series = "fusebox_breaker_expression_errors_total{breaker=\"orders\"}";
    assert_eq!(gateway.metric(series), Some(2.0));
}
