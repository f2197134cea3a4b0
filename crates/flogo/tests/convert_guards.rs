//! Guards in the native form: kept where there is one, else an error at their line; the breaker beside them is written.

mod support;

use fusebox_breaker::Mode;
use fusebox_plan::plan::{Plan, Step};
use fusebox_plan::{Conversion, Severity, Source};
use support::{Machine, convert, lines, read_text};

/// An action with a breaker around a call; the marks are replaced by a handler's key, steps before the breaker, a
/// condition of the call, and services.
const APP: &str = r#"{ "name": "A", "version": "1", "triggers": [ { "id": "r", "ref": "x/trigger/rest", "settings": { "port": 8080 }, "handlers": [ {
"settings": { "method": "GET", "path": "/pets/:id" },
"actions": [
{ HANDLER "ref": "x/microgateway", "settings": { "uri": "microgateway:P" } } MORE
] } ] } ],
"resources": [ { "id": "microgateway:P", "data": { "name": "P",
"steps": [
BEFORE
{ "service": "CB" },
{ CALL "service": "B", "input": { "pathParams": "=$.payload.pathParams" },
"halt": "$.B.error != nil && !error.isneterror($.B.error)" },
{ "if": "$.B.error != nil", "service": "CB", "input": { "operation": "counter" } },
{ "if": "$.B.error == nil", "service": "CB", "input": { "operation": "reset" } } ],
"responses": [
{ "error": true, "if": "$.CB.outputs.tripped == true", "output": { "code": 503, "data": { "e": "open" } } },
{ "error": false, "if": "$.B.outputs.status > 0", "output": { "code": "=$.B.outputs.status", "data": "=$.B.outputs.data" } },
{ "error": true, "output": { "code": 403, "data": { "e": "no" } } } ],
"services": [
SERVICES
{ "name": "CB", "ref": "x/activity/circuitbreaker", "settings": { "threshold": 3 } },
{ "name": "B", "ref": "x/activity/rest", "settings": { "method": "GET", "timeout": 5, "uri": "http://127.0.0.1:1/pets/:id" } } ] } } ] }"#;

#[derive(Default)]
struct Parts {
    handler: &'static str,
    more: &'static str,
    before: &'static str,
    call: &'static str,
    services: &'static str,
}

impl Parts {
    fn text(&self) -> String {
        APP.replace("HANDLER", self.handler)
            .replace("MORE", self.more)
            .replace("BEFORE", self.before)
            .replace("CALL", self.call)
            .replace("SERVICES", self.services)
    }

    fn converted(&self, lossy: bool) -> Conversion {
        let text = self.text();
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
}

fn report(conversion: &Conversion) -> String {
    let shown = conversion.diagnostics.iter().map(|it| format!("{it}\n"));
    shown.collect()
}

/// The plan of what was written, which checks without a warning.
#[track_caller]
fn native(conversion: &Conversion) -> Plan {
    let report = report(conversion);
    let yaml = conversion
        .yaml
        .as_deref()
        .unwrap_or_else(|| panic!("{report}"));
    let reading = read_text(yaml);
    assert_eq!(lines(&reading), "", "{yaml}");
    reading.plan.expect("no error, so there is a plan")
}

/// A guard is an error at its line; `--lossy` writes the route with its breaker, and names the guard at the top.
#[track_caller]
fn is_lost(parts: &Parts, mark: &str, words: &str) {
    let text = parts.text();
    let at = text
        .find(mark)
        .unwrap_or_else(|| panic!("{mark} is in {text}"));
    let line = text[..at].matches('\n').count() + 1;
    let refused = parts.converted(false);
    assert!(refused.yaml.is_none());
    let errors: Vec<_> = refused
        .diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .collect();
    let here = errors
        .iter()
        .any(|it| it.line as usize == line && it.what.contains(words));
    assert!(here, "line {line}, {words}:\n{}", report(&refused));
    let accepted = parts.converted(true);
    let errors = accepted
        .diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{}", report(&accepted));
    let plan = native(&accepted);
    assert_eq!(&*plan.upstreams[0].name, "P/CB");
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Enforce);
    let yaml = accepted.yaml.expect("YAML");
    let head = &yaml[..yaml.find("version: 1").expect("the version")];
    let comment = head
        .lines()
        .find(|it| it.starts_with(&format!("# - app.json:{line}: ")));
    assert!(comment.is_some_and(|it| it.contains(words)), "{head}");
}

#[test]
fn without_a_guard_nothing_is_lost() {
    let conversion = Parts::default().converted(false);
    assert_eq!(report(&conversion), "");
    native(&conversion);
}

const JWT: &str = r#"{ "name": "J", "ref": "x/activity/jwt", "settings": { "key": "k" } },"#;
const TOKEN: &str =
    r#"{ "service": "J", "input": { "token": "=$.payload.headers.Authorization" } },"#;

#[test]
fn the_check_of_a_token_is_a_guard_however_it_is_used() {
    for call in [
        r#""if": "$.J.outputs.valid == true","#,
        r#""if": "$.J.outputs.token.claims.id == \"7\"","#,
        r#""if": "$.J.outputs.valid == true && $.J.outputs.token.claims.id != \"\"","#,
        "",
    ] {
        let parts = Parts {
            before: TOKEN,
            services: JWT,
            call,
            ..Parts::default()
        };
        is_lost(&parts, TOKEN, "the check of the token");
    }
    let halting = r#"{ "service": "J", "input": { "token": "=$.payload.headers.Authorization" }, "halt": "$.J.outputs.valid != true" },"#;
    let parts = Parts {
        before: halting,
        services: JWT,
        ..Parts::default()
    };
    is_lost(&parts, halting, "the check of the token");
}

#[test]
fn a_rate_limit_is_a_guard() {
    let step = r#"{ "service": "L", "input": { "token": "=$.payload.headers.Token" } },"#;
    for call in [
        r#""if": "$.L.outputs.limitReached == false","#,
        r#""if": "!$.L.outputs.error && $.L.outputs.limitAvailable > 0","#,
    ] {
        let parts = Parts {
            before: step,
            services: r#"{ "name": "L", "ref": "x/activity/ratelimiter", "settings": { "limit": "3-M" } },"#,
            call,
            ..Parts::default()
        };
        is_lost(&parts, step, "the rate limiter");
    }
}

#[test]
fn a_condition_on_the_request_is_a_guard() {
    for call in [
        r#""if": "$.payload.queryParams.key == \"k\"","#,
        r#""if": "!isdefined($.payload.content.debug)","#,
        r#""if": "getValue($.payload.content.open, true) == true","#,
        r#""if": "$.payload.headers.Auth != \"\"","#,
        r#""if": "number.random(10) > 8","#,
        // The field has no other spelling in a request.
        r#""if": "$.payload.headers.auth == \"1337\"","#,
    ] {
        let parts = Parts {
            call,
            ..Parts::default()
        };
        is_lost(&parts, call, "the call is conditional there");
    }
}

#[test]
fn a_step_that_ends_the_others_is_a_guard() {
    let log = r#"{ "name": "X", "ref": "x/activity/log" },"#;
    let halting = r#"{ "service": "X", "halt": "$.payload.headers.Auth != \"1337\"" },"#;
    let parts = Parts {
        before: halting,
        services: log,
        ..Parts::default()
    };
    is_lost(&parts, halting, "ends the steps before the call");
    let denying = r#"{ "if": "$.payload.headers.Auth != \"1337\"", "service": "D" },"#;
    let parts = Parts {
        before: denying,
        services: r#"{ "name": "D", "ref": "x/activity/actreturn", "settings": { "mappings": { "code": 403 } } },"#,
        ..Parts::default()
    };
    is_lost(&parts, denying, "ends the steps before the call");
}

#[test]
fn a_handlers_condition_is_a_guard_where_no_route_can_ask_it() {
    let handler = r#""if": "$.queryParams.key == \"k\"","#;
    let parts = Parts {
        handler,
        ..Parts::default()
    };
    is_lost(&parts, handler, "on a condition");
}

/// The fields, and the upstream or the status, of each route.
fn routes(plan: &Plan) -> Vec<(String, String)> {
    let routes = plan.routes.iter().map(|route| {
        let fields = route.headers.iter();
        let fields: Vec<String> = fields
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("a text")))
            .collect();
        let step = match &route.steps[0] {
            Step::Forward(_) => "call".to_owned(),
            Step::Respond(answer) => answer.status.as_u16().to_string(),
            other => panic!("{other:?}"),
        };
        (fields.join(", "), step)
    });
    routes.collect()
}

fn shown(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(one, two)| ((*one).to_owned(), (*two).to_owned()))
        .collect()
}

#[test]
fn a_condition_on_a_field_of_the_request_is_kept() {
    let parts = Parts {
        handler: r#""if": "$.headers.Auth == \"1337\"","#,
        ..Parts::default()
    };
    let conversion = parts.converted(false);
    assert_eq!(report(&conversion), "");
    let wanted = shown(&[("auth: 1337", "call"), ("", "200")]);
    assert_eq!(routes(&native(&conversion)), wanted);
    let parts = Parts {
        call: r#""if": "$.payload.headers['X-Auth'] == \"1337\" && $.payload.headers.App == 'a'","#,
        ..Parts::default()
    };
    let conversion = parts.converted(false);
    assert_eq!(report(&conversion), "");
    let plan = native(&conversion);
    let (fields, step) = &routes(&plan)[0];
    assert!(fields.contains("x-auth: 1337") && fields.contains("app: a") && step == "call");
    assert_eq!(routes(&plan)[1], (String::new(), "403".to_owned()));
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Enforce);
}

#[test]
fn handlers_by_a_field_are_routes_by_it() {
    let parts = Parts {
        handler: r#""if": "$.headers.Auth == \"1337\"","#,
        more: r#", { "if": "$.headers.Auth == \"1338\"", "ref": "x/microgateway", "settings": { "uri": "microgateway:P" } }, { "ref": "x/microgateway", "settings": { "uri": "microgateway:P" } }"#,
        ..Parts::default()
    };
    let conversion = parts.converted(false);
    assert_eq!(report(&conversion), "");
    let wanted = shown(&[("auth: 1337", "call"), ("auth: 1338", "call"), ("", "call")]);
    assert_eq!(routes(&native(&conversion)), wanted);
    // Fewer fields are asked later, whatever the file's order.
    let parts = Parts {
        handler: r#""if": "$.headers.Auth == \"1337\"","#,
        more: r#", { "if": "$.headers.Auth == \"1337\" && $.headers.App == \"a\"", "ref": "x/microgateway", "settings": { "uri": "microgateway:P" } }, { "ref": "x/microgateway", "settings": { "uri": "microgateway:P" } }"#,
        ..Parts::default()
    };
    assert!(
        report(&parts.converted(false))
            .contains("error: not carried: `r GET /pets/:id` runs `P#2` on a condition")
    );
}

#[test]
fn a_handlers_own_input_has_other_fields() {
    let call = r#""if": "$.payload.headers.Auth == \"1337\"","#;
    let parts = Parts {
        handler: r#""input": { "headers": "=$.queryParams", "pathParams": "=$.pathParams" },"#,
        call,
        ..Parts::default()
    };
    is_lost(&parts, call, "the call is conditional there");
}

#[test]
fn a_breaker_on_the_calls_own_condition_is_written() {
    let text = Parts {
        call: r#""if": "$.payload.queryParams.key == \"k\"","#,
        ..Parts::default()
    }
    .text()
    .replace(
        "{ \"service\": \"CB\" },",
        "{ \"if\": \"$.payload.queryParams.key == \\\"k\\\"\", \"service\": \"CB\" },",
    );
    let source = Source {
        name: "app.json",
        text: text.as_bytes(),
    };
    let machine = Machine {
        lossy: true,
        ..Machine::default()
    };
    let plan = native(&convert(&[source], &machine));
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Enforce);
}

#[test]
fn reports_on_the_calls_own_condition_are_those_of_its_breaker() {
    let call = r#""if": "$.payload.queryParams.key == \"k\"","#;
    let condition = r#"$.payload.queryParams.key == \"k\" && "#;
    let text = Parts {
        call,
        ..Parts::default()
    }
    .text()
    .replace(
        "\"if\": \"$.B.error",
        &format!("\"if\": \"{condition}$.B.error"),
    );
    let source = Source {
        name: "app.json",
        text: text.as_bytes(),
    };
    let machine = Machine {
        lossy: true,
        ..Machine::default()
    };
    let plan = native(&convert(&[source], &machine));
    assert_eq!(plan.upstreams[0].breaker.settings.mode, Mode::Enforce);
}

#[test]
fn a_field_beside_another_guard_is_kept_and_the_other_is_lost() {
    let call = r#""if": "$.J.outputs.valid == true && $.payload.headers.App == \"a\"","#;
    let parts = Parts {
        before: TOKEN,
        services: JWT,
        call,
        ..Parts::default()
    };
    is_lost(&parts, TOKEN, "the check of the token");
    let plan = native(&parts.converted(true));
    assert_eq!(routes(&plan)[0], ("app: a".to_owned(), "call".to_owned()));
    // What a claim says is nobody's field.
    let call = r#""if": "$.J.outputs.token.claims.id == \"7\" && $.payload.headers.App == \"a\"","#;
    let parts = Parts {
        before: TOKEN,
        services: JWT,
        call,
        ..Parts::default()
    };
    is_lost(&parts, call, "the call is conditional there");
}

#[test]
fn an_answer_that_keeps_the_upstreams_from_some_clients_is_a_guard() {
    let hidden = r#""responses": [
{ "error": true, "if": "$.payload.headers.Key != \"s\"", "output": { "code": 401, "data": { "e": "key" } } },"#;
    let convert_text = |text: &str, lossy| {
        let source = Source {
            name: "src/app.json",
            text: text.as_bytes(),
        };
        let machine = Machine {
            lossy,
            ..Machine::default()
        };
        convert(&[source], &machine)
    };
    let text = Parts::default()
        .text()
        .replacen("\"responses\": [", hidden, 1);
    let strict = convert_text(&text, false);
    let line = text[..text.find("401").unwrap()].matches('\n').count() + 1;
    let shown = report(&strict);
    assert!(strict.yaml.is_none(), "{shown}");
    assert!(
        shown.contains(&format!("app.json:{line}:")) && shown.contains("the answer (code 401)"),
        "{shown}"
    );
    let lossy = convert_text(&text, true).yaml.unwrap();
    assert!(
        lossy.contains(&format!("# - app.json:{line}: the answer (code 401)")),
        "{lossy}"
    );
    // The route asks for the field itself.
    let gated = Parts {
        call: r#""if": "$.payload.headers.Key == \"s\"","#,
        ..Parts::default()
    };
    let gated = gated.text().replacen("\"responses\": [", hidden, 1);
    let gated = gated.replacen("\"e\": \"key\"", "\"e\": \"=$.payload.headers.Key\"", 1);
    let yaml = convert_text(&gated, false).yaml.unwrap();
    assert!(yaml.contains("headers: { Key: "), "{yaml}");
    // The upstream's answer in another form keeps nothing back.
    let shown_all = text.replacen("{ \"e\": \"key\" }", "{ \"e\": \"=$.B.outputs.data\" }", 1);
    assert!(convert_text(&shown_all, false).yaml.is_some());
}
