//! Flogo applications in the native form: its content, the reported losses, and that it can be read.

mod support;

use std::time::Duration;

use fusebox_breaker::{Mode, Probes, Rule, settings::History};
use fusebox_plan::plan::{Facts, Plan, RewritePart, Rung, Step};
use fusebox_plan::{Conversion, Source};
use support::{Machine, convert, lines, read_text, read_with};

const EXAMPLE: &str = include_str!("../../../examples/flogo/app.json");

fn converted(text: &str) -> Conversion {
    converted_by(text, false)
}

/// The conversion by somebody who accepts the loss of guards.
fn lossy(text: &str) -> Conversion {
    converted_by(text, true)
}

fn converted_by(text: &str, lossy: bool) -> Conversion {
    let source = Source {
        name: "src/app.json",
        text: text.as_bytes(),
    };
    let machine = Machine {
        lossy,
        ..Machine::default()
    };
    convert(&[source], &machine)
}

fn report(conversion: &Conversion) -> String {
    conversion
        .diagnostics
        .iter()
        .map(|diagnostic| format!("{diagnostic}\n"))
        .collect()
}

/// The plan of the native form, which is read without an error.
#[track_caller]
fn native(conversion: &Conversion) -> Plan {
    let yaml = conversion
        .yaml
        .as_deref()
        .unwrap_or_else(|| panic!("{}", report(conversion)));
    let reading = read_text(yaml);
    assert_eq!(lines(&reading), "", "{yaml}");
    reading.plan.expect("no error, so there is a plan")
}

#[test]
fn the_examples_breaker_call_and_route_are_carried() {
    let conversion = converted(EXAMPLE);
    let plan = native(&conversion);
    assert_eq!(plan.listeners[0].addr.port(), 8080);
    let upstream = &plan.upstreams[0];
    assert_eq!(&*upstream.name, "Orders/CircuitBreaker");
    assert_eq!(upstream.endpoint().url(), "http://127.0.0.1:8081");
    let settings = &upstream.breaker.settings;
    let rule = Rule::ConsecutiveFailures {
        threshold: 5,
        within: None,
    };
    assert_eq!(settings.trip, [rule]);
    assert_eq!(settings.cooldown.base, Duration::from_secs(10));
    assert!(matches!(settings.half_open.probes, Probes::Limited(probes) if probes.get() == 1));
    assert_eq!(settings.history, History::Keep);
    assert_eq!(upstream.breaker.failure.source(), "error != \"\"");
    let route = &plan.routes[0];
    assert_eq!(&*route.name, "GET /orders/:orderId");
    assert_eq!(route.path, "/orders/{orderId}");
    let Step::Forward(forward) = &route.steps[0] else {
        panic!("it forwards");
    };
    assert!(forward.rewrite.is_none());
}

#[test]
fn of_the_example_everything_is_carried_with_its_answers_as_rungs() {
    let conversion = converted(EXAMPLE);
    assert_eq!(report(&conversion), "");
    let plan = native(&conversion);
    let Step::Forward(forward) = &plan.routes[0].steps[0] else {
        panic!("it forwards");
    };
    let answers: Vec<_> = forward.fallback().iter().map(answer).collect();
    assert_eq!(
        answers,
        [
            (
                "refused",
                403,
                r#"{"error":"circuit breaker tripped"}"#.to_owned()
            ),
            (
                "failed",
                502,
                r#"{"error":"connection failure"}"#.to_owned()
            ),
        ]
    );
    let yaml = conversion.yaml.expect("YAML");
    assert!(yaml.contains("timeout: { request: \"10s\" }"), "{yaml}");
    // Without a limit of its own the native one holds.
    let text = with(", \"timeout\": 10 }", " }");
    let line = text
        .lines()
        .position(|line| line.contains("\"name\": \"OrderService\""));
    let line = line.expect("the example has it");
    let waits = format!(
        "  # mends: `OrderService` waits for its answer without a limit, so an upstream that hangs never fails; here 30 s (line {line})\n"
    );
    let yaml = converted(&text).yaml.expect("YAML");
    assert!(yaml.contains(&waits), "{yaml}");
}

/// The calls that a fixed answer is for, its status and body.
fn answer(rung: &Rung) -> (&'static str, u16, String) {
    let Rung::Respond(answer) = rung else {
        panic!("{rung:?}");
    };
    let on = match (answer.on.refused, answer.on.failed) {
        (true, true) => "all",
        (true, false) => "refused",
        _ => "failed",
    };
    let (_, body) = answer.fill(&Facts {
        reason: "",
        retry_after: None,
        breaker: "",
    });
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    (on, answer.status.as_u16(), body)
}

#[test]
fn an_answer_that_depends_on_the_request_is_reported_with_its_line() {
    let text = with(
        "\"error\": \"connection failure\"",
        "\"error\": \"=$.OrderService.error\"",
    );
    let conversion = converted(&text);
    let line = text
        .lines()
        .position(|line| line.contains("=$.OrderService.error\""));
    let line = line.expect("it is there") - 1;
    assert_eq!(
        report(&conversion),
        format!(
            "src/app.json:{line}:11: warning: not carried: the answer to a call that failed (code 502); port this by hand or drop it\n"
        )
    );
    let yaml = conversion.yaml.expect("YAML");
    let comment = format!("# - app.json:{line}: the answer to a call that failed (code 502)\n");
    assert!(yaml.contains(&comment), "{yaml}");
}

/// The example with something else in it.
#[track_caller]
fn with(old: &str, new: &str) -> String {
    assert!(EXAMPLE.contains(old), "the example has {old}");
    EXAMPLE.replace(old, new)
}

#[test]
fn a_recipe_is_known_by_what_it_does() {
    // Other names, other words for the same conditions.
    let text = with(
        "$.OrderService.error != nil\",",
        "!($.OrderService.error == nil)\",",
    )
    .replace("CircuitBreaker", "Fuse")
    .replace("OrderService", "Backend");
    let plan = native(&converted(&text));
    assert_eq!(&*plan.upstreams[0].name, "Orders/Fuse");
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Enforce);
}

#[test]
fn a_breaker_without_reports_of_failures_is_not_carried() {
    let text = with("\"operation\": \"counter\"", "\"operation\": \"nothing\"");
    let refused = converted(&text);
    assert!(
        refused.yaml.is_none() && report(&refused).contains(" error: not carried: the step of")
    );
    let conversion = lossy(&text);
    let plan = native(&conversion);
    assert_eq!(&*plan.upstreams[0].name, "Orders/OrderService");
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Disabled);
    let report = report(&conversion);
    assert!(
        report.contains(
            "the step of `CircuitBreaker`: the breaker is not checked before the call, or does not"
        ),
        "{report}"
    );
}

#[test]
fn a_breaker_that_counts_successes_as_failures_is_not_carried() {
    let text = with(
        "\"if\": \"$.OrderService.error == nil\",\n            \"service\"",
        "\"if\": \"true\",\n            \"service\"",
    );
    assert!(converted(&text).yaml.is_none());
    let plan = native(&lossy(&text));
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Disabled);
}

#[test]
fn path_parameters_are_rewritten() {
    let text = with(
        "/orders/:orderId\", \"method\"",
        "/v2/o/:id/x?key=1\", \"method\"",
    )
    .replace(
        "\"pathParams\": \"=$.payload.pathParams\"",
        "\"pathParams.id\": \"=$.payload.pathParams.orderId\"",
    );
    let conversion = converted(&text);
    let plan = native(&conversion);
    let Step::Forward(forward) = &plan.routes[0].steps[0] else {
        panic!("it forwards");
    };
    let rewrite = forward.rewrite.clone().expect("a rewrite");
    assert_eq!(
        rewrite.0,
        [
            RewritePart::Literal("/v2/o/".into()),
            RewritePart::Param("orderId".into()),
            RewritePart::Literal("/x".into())
        ]
    );
    assert!(report(&conversion).contains("the query `key=1` of the uri"));
}

#[test]
fn a_route_with_a_call_that_has_no_native_form_is_dropped() {
    for (old, new, why) in [
        (
            "\"method\": \"GET\", \"timeout\": 10 }\n          }\n        ]",
            "\"method\": \"POST\", \"timeout\": 10 }\n          }\n        ]",
            "it calls with POST",
        ),
        (
            "=$.payload.pathParams\"",
            "=$.payload.queryParams\"",
            "its parameter `orderId` is not a single segment of the client's path",
        ),
        (
            "/orders/:orderId\" },",
            "/orders/*orderId\" },",
            "its parameter `orderId` is not a single segment of the client's path",
        ),
    ] {
        let conversion = converted(&with(old, new));
        assert!(conversion.yaml.is_none());
        let report = report(&conversion);
        assert!(report.contains(why), "{report}");
        assert!(
            report.contains("error: no part of this application has a native form"),
            "{report}"
        );
        // Something to go on from: a route that answers that it is not there yet.
        let plan = native(&lossy(&with(old, new)));
        let Step::Respond(answer) = &plan.routes[0].steps[0] else {
            panic!("{old}");
        };
        assert_eq!(answer.status.as_u16(), 501);
    }
}

#[test]
fn steps_without_a_native_form_are_named() {
    let text = with(
        "{ \"service\": \"CircuitBreaker\" },",
        "{ \"service\": \"Limit\" }, { \"service\": \"Jwt\" }, { \"if\": \"1 == 2\", \"service\": \"Log\" }, { \"service\": \"CircuitBreaker\" },",
    )
    .replace(
        "\"services\": [",
        "\"services\": [ { \"name\": \"Limit\", \"ref\": \"x/activity/ratelimiter\", \"settings\": { \"limit\": \"1-S\" } }, { \"name\": \"Jwt\", \"ref\": \"x/activity/jwt\" }, { \"name\": \"Log\", \"ref\": \"x/activity/log\" },",
    );
    assert!(converted(&text).yaml.is_none());
    let conversion = lossy(&text);
    let plan = native(&conversion);
    // The breaker beside them is written all the same.
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Enforce);
    let report = report(&conversion);
    assert!(
        report.contains("the step of `Limit`: the rate limiter"),
        "{report}"
    );
    assert!(
        report.contains("the step of `Jwt`: the check of the token"),
        "{report}"
    );
    // A step that never runs is not reported.
    assert!(!report.contains("`Log`"), "{report}");
}

#[test]
fn the_pattern_is_a_recipe_like_others() {
    let text = r#"{ "name": "A", "version": "1", "triggers": [ { "id": "r", "ref": "x/trigger/rest", "settings": { "port": 8080 }, "handlers": [
{ "settings": { "method": "GET", "path": "/t" }, "action": { "ref": "x/microgateway", "settings": { "uri": "pattern://DefaultHttpPattern", "useRateLimiter": false, "useJWT": false, "useCircuitBreaker": true, "mode": "b", "threshold": 3, "period": 20, "timeout": 30, "method": "GET", "backendUrl": "http://h:81/b", "rateLimit": "1-S" } } } ] } ] }"#;
    let conversion = converted(text);
    let plan = native(&conversion);
    assert_eq!(
        &*plan.upstreams[0].name,
        "DefaultHttpPattern/CircuitBreaker"
    );
    assert!(matches!(
        plan.upstreams[0].breaker.settings.trip[0],
        Rule::Failures { threshold: 3, .. }
    ));
    let Step::Forward(forward) = &plan.routes[0].steps[0] else {
        panic!("it forwards");
    };
    let rewrite = forward.rewrite.clone().expect("a rewrite");
    assert_eq!(rewrite.0, [RewritePart::Literal("/b".into())]);
}

#[test]
fn each_mode_is_carried() {
    for mode in ["a", "b", "c", "d"] {
        let text = with("\"mode\": \"a\"", &format!("\"mode\": \"{mode}\""));
        let plan = native(&converted(&text));
        let wanted = own_settings(&text);
        let found = &plan.upstreams[0].breaker.settings;
        assert_eq!(found.trip, wanted.trip, "{mode}");
        if mode != "d" {
            assert_eq!(found.cooldown, wanted.cooldown, "{mode}");
            assert_eq!(found.history, wanted.history, "{mode}");
        }
    }
}

/// The settings that the application's own breaker has.
fn own_settings(text: &str) -> fusebox_breaker::Settings {
    use fusebox_flogo::Activity;
    let plan = read_text(text).plan.expect("the application is read");
    let app = plan.program::<fusebox_flogo::App>();
    let app = app.expect("an application");
    let handler = &app.handlers[0];
    match &handler.choices[0].action.services[0].activity {
        Activity::Breaker(breaker) => breaker.settings.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_with_a_meaning_in_yaml_or_as_variables_are_quoted() {
    let text = EXAMPLE
        .replace("\"microgateway:Orders\"", "\"microgateway:a: ${X} #\\\"b\"")
        .replace("/orders/:orderId\" },", "/yes/:order-id\" },")
        .replace(
            "/orders/:orderId\", \"method\"",
            "/yes/:order-id\", \"method\"",
        );
    let plan = native(&converted(&text));
    assert_eq!(&*plan.upstreams[0].name, "a: ${X} #\"b/CircuitBreaker");
    assert_eq!(plan.routes[0].path, "/yes/{order_id}");
}

#[test]
fn anything_but_a_single_application_is_refused() {
    let native = "listen: 127.0.0.1:1\nroutes: [{ path: /, respond: {} }]\n";
    let conversion = converted(native);
    assert!(conversion.yaml.is_none());
    assert!(report(&conversion).contains("this is the native form already"));
    let source = |text: &'static str| Source {
        name: "x",
        text: text.as_bytes(),
    };
    let conversion = convert(&[source(EXAMPLE), source(EXAMPLE)], &Machine::default());
    assert!(report(&conversion).contains("one application is converted at a time"));
}

const CERT: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n";

#[test]
fn the_tls_of_a_flogo_trigger_is_carried_to_the_native_form() {
    let app = include_str!("../../../examples/flogo/app.json").replace(
        "\"port\": \"=$property[port]\"",
        r#""port": 8080, "enableTLS": true, "certFile": "file:///cert.pem", "keyFile": "key.pem""#,
    );
    let machine = Machine {
        files: std::collections::HashMap::from([
            ("/cert.pem", CERT),
            ("cert.pem", CERT),
            ("key.pem", KEY),
        ]),
        ..Machine::default()
    };
    let source = Source {
        name: "app.json",
        text: app.as_bytes(),
    };
    let conversion = convert(&[source], &machine);
    let yaml = conversion.yaml.expect("YAML");
    let written = "tls: { cert: \"/cert.pem\", key: \"key.pem\" }";
    assert!(yaml.contains(written), "{yaml}");
    let lost: Vec<_> = conversion.diagnostics.iter().map(|it| &it.what).collect();
    let elsewhere = |path: &str| lost.iter().filter(|what| what.contains(path)).count();
    assert_eq!(
        (elsewhere("`key.pem`"), elsewhere("/cert.pem")),
        (1, 0),
        "a relative path begins elsewhere: {lost:?}"
    );
    let reading = read_with(&yaml, &machine);
    let tls = reading.plan.expect("a plan").listeners[0].tls.clone();
    assert_eq!(tls.expect("TLS").pair.key.reveal(), KEY);
}

/// The example with a second service that calls another server, and these steps for the two calls.
fn with_two(url: &str, steps: &str, failed: &str, good: &str) -> String {
    let service = EXAMPLE
        .find("\"name\": \"OrderService\"")
        .expect("the service");
    let open = EXAMPLE[..service].rfind('{').expect("its start");
    let second = format!(
        r#"{{ "name": "Spare", "ref": "github.com/project-flogo/contrib/activity/rest", "settings": {{ "uri": "{url}", "method": "GET", "timeout": 10 }} }}, {{ "name": "Counter", "ref": "github.com/project-flogo/contrib/activity/counter", "settings": {{ "counterName": "n", "op": "increment" }} }}, "#
    );
    let text = format!("{}{second}{}", &EXAMPLE[..open], &EXAMPLE[open..]);
    let from = text
        .find("{\n            \"service\": \"OrderService\"")
        .expect("the call");
    let to = text
        .find("\n        ],\n        \"responses\"")
        .expect("the end of the steps");
    let reports = format!(
        r#"{{ "if": "{failed}", "service": "CircuitBreaker", "input": {{ "operation": "counter" }} }},
           {{ "if": "{good}", "service": "CircuitBreaker", "input": {{ "operation": "reset" }} }}"#
    );
    format!("{}{steps},\n{reports}{}", &text[..from], &text[to..])
}

const INPUT: &str = r#""input": { "pathParams": "=$.payload.pathParams" }, "halt": "false""#;
const SPARE: &str = "http://127.0.0.1:8099/orders/:orderId";

#[test]
fn a_service_that_is_asked_where_another_failed_is_an_endpoint_of_it() {
    let steps = format!(
        r#"{{ "service": "OrderService", {INPUT} }}, {{ "if": "$.OrderService.error != nil", "service": "Spare", {INPUT} }}"#
    );
    let failed = "$.OrderService.error != nil && $.Spare.error != nil";
    let good = "$.OrderService.error == nil || $.Spare.error == nil";
    let conversion = converted(&with_two(SPARE, &steps, failed, good));
    let plan = native(&conversion);
    let urls: Vec<_> = plan.upstreams[0]
        .endpoints
        .iter()
        .map(|it| it.endpoint.url())
        .collect();
    assert_eq!(urls, ["http://127.0.0.1:8081", "http://127.0.0.1:8099"]);
    let retry = plan.upstreams[0].retry.clone().expect("a retry");
    assert_eq!(retry.attempts, 2);
    assert!(retry.on.connect_error && retry.on.reset && retry.on.statuses.is_empty());
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Enforce);
    let yaml = conversion.yaml.expect("YAML");
    assert!(
        yaml.contains("# differs: the steps ask each of `OrderService`, `Spare` where"),
        "{yaml}"
    );
}

#[test]
fn a_service_at_another_path_is_a_rung_where_the_path_only_begins_otherwise() {
    let steps = format!(
        r#"{{ "service": "OrderService", {INPUT} }}, {{ "if": "$.OrderService.error != nil", "service": "Spare", {INPUT} }}"#
    );
    let failed = "$.OrderService.error != nil && $.Spare.error != nil";
    let good = "$.OrderService.error == nil || $.Spare.error == nil";
    let spare = |path: &str| {
        converted(&with_two(
            &SPARE.replace("/orders", path),
            &steps,
            failed,
            good,
        ))
    };
    let plan = native(&spare("/v2/orders"));
    let Step::Forward(forward) = &plan.routes[0].steps[0] else {
        panic!("it forwards");
    };
    assert_eq!(forward.fallback()[0], Rung::Upstream("Orders/Spare".into()));
    let second = plan.upstreams.iter().find(|it| &*it.name == "Orders/Spare");
    assert_eq!(
        second.map(|it| it.endpoint().url()),
        Some("http://127.0.0.1:8099/v2".into())
    );
    let conversion = spare("/others");
    assert!(
        report(&conversion).contains("its calls have different paths"),
        "{}",
        report(&conversion)
    );
}

#[test]
fn services_that_take_turns_by_a_counter_are_endpoints_with_their_shares() {
    let steps = format!(
        r#"{{ "service": "Counter" }}, {{ "if": "$.Counter.outputs.value % 3 != 0", "service": "OrderService", {INPUT} }}, {{ "if": "$.Counter.outputs.value % 3 == 0", "service": "Spare", {INPUT} }}"#
    );
    let failed = "$.OrderService.error != nil || $.Spare.error != nil";
    let good = "$.OrderService.error == nil && $.Spare.error == nil";
    let conversion = converted(&with_two(SPARE, &steps, failed, good));
    let plan = native(&conversion);
    let shares: Vec<_> = plan.upstreams[0]
        .endpoints
        .iter()
        .map(|it| it.weight)
        .collect();
    assert_eq!(shares, [2, 1]);
    assert!(plan.upstreams[0].retry.is_none());
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Enforce);
}

#[test]
fn statuses_that_are_reported_as_failures_are_failures() {
    let text = with("$.OrderService.error != nil\",\n            \"service\"", "$.OrderService.error != nil || $.OrderService.outputs.status >= 500\",\n            \"service\"")
        .replace("$.OrderService.error == nil\",\n            \"service\"", "$.OrderService.error == nil && $.OrderService.outputs.status < 500\",\n            \"service\"");
    let plan = native(&converted(&text));
    assert_eq!(
        plan.upstreams[0].breaker.failure.source(),
        "status >= 500 || error != \"\""
    );
}
