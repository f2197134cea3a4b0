//! Reading Flogo applications: diagnostics with their places, and the resulting plans.

mod support;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Mode, Over, Probes, Rule};
use fusebox_flogo::{Activity, App, CounterOperation, Given, Handler, RestActivity, TargetPart};
use fusebox_plan::plan::{Manner, Step};
use fusebox_plan::{Loader, Plan, Reading, Source};
use support::{lines, read};

/// A machine with files, addresses, an environment and settings of the command line.
#[derive(Default)]
struct Host {
    env: HashMap<&'static str, String>,
    files: HashMap<&'static str, String>,
    served: HashMap<&'static str, String>,
    set: HashMap<&'static str, &'static str>,
}

impl Loader for Host {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let beside = format!("beside/{path}");
        self.files.get(beside.as_str()).cloned().ok_or_else(missing)
    }

    fn local(&self, path: &str) -> io::Result<String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        self.files.get(path).cloned().ok_or_else(missing)
    }

    fn fetch(&self, url: &str) -> io::Result<String> {
        let missing = || io::Error::other("it answers 404");
        self.served.get(url).cloned().ok_or_else(missing)
    }

    fn property(&self, name: &str) -> Option<String> {
        self.set.get(name).map(ToString::to_string)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let all = self.env.iter();
        all.map(|(name, value)| (name.to_string(), value.clone()))
            .collect()
    }
}

fn read_on(text: &str, machine: &Host) -> Reading {
    read(
        &[Source {
            name: "app.json",
            text: text.as_bytes(),
        }],
        machine,
    )
}

#[track_caller]
fn plan_on(text: &str, machine: &Host) -> Plan {
    let reading = read_on(text, machine);
    let report = lines(&reading);
    // Most of these applications do less than a real one, which is worth warnings (`lints.rs`).
    assert!(
        !report.contains(": error: "),
        "{report}\n--- the text:\n{text}"
    );
    reading.plan.expect("no error, so there is a plan")
}

#[track_caller]
fn plan_of(text: &str) -> Plan {
    plan_on(text, &Host::default())
}

#[track_caller]
fn refused_on(text: &str, machine: &Host, expected: &str) {
    let reading = read_on(text, machine);
    let report = lines(&reading).replace("app.json:", "");
    assert_eq!(report.trim(), expected.trim(), "\n--- the text:\n{text}");
    assert!(reading.plan.is_none());
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    refused_on(text, &Host::default(), expected);
}

/// An application of one handler, one action and one definition, a line each.
fn app(definition: &str) -> String {
    with_action(
        r#"{ "ref": "github.com/project-flogo/microgateway", "settings": { "uri": "microgateway:Pets" } }"#,
        definition,
    )
}

fn with_action(action: &str, definition: &str) -> String {
    format!(
        r#"{{ "name": "A", "type": "flogo:app", "version": "1.0.0", "channels": null, "triggers": [
{{ "id": "rest", "ref": "github.com/project-flogo/contrib/trigger/rest", "settings": {{ "port": "9096" }}, "handlers": [
{{ "settings": {{ "method": "GET", "path": "/pets/:petId" }}, "action":
{action}
}} ] }} ], "resources": [ {{ "id": "microgateway:Pets", "data":
{definition}
}} ] }}"#
    )
}

/// A definition with these services and steps.
fn with_services(services: &str) -> String {
    app(&format!(
        r#"{{ "name": "Pets", "steps": [ {{ "service": "S" }} ], "services": [
{services} ] }}"#
    ))
}

fn service(kind: &str, settings: &str) -> String {
    let of = match kind {
        "rest" | "log" | "counter" | "channel" | "actreturn" => "project-flogo/contrib",
        _ => "project-flogo/microgateway",
    };
    format!(
        r#"{{ "name": "S", "ref": "github.com/{of}/activity/{kind}", "settings": {settings} }}"#
    )
}

fn program(plan: &Plan) -> Arc<App> {
    plan.program().expect("a Flogo application")
}

fn handler(plan: &Plan, route: usize) -> Arc<Handler> {
    match &plan.routes[route].steps[..] {
        [Step::App(step)] => program(plan).handlers[*step].clone(),
        steps => panic!("one handler is run, not {steps:?}"),
    }
}

fn activity(text: &str, machine: &Host) -> Activity {
    let plan = plan_on(text, machine);
    handler(&plan, 0).choices[0].action.services[0]
        .activity
        .clone()
}

fn rest(settings: &str) -> RestActivity {
    match activity(&with_services(&service("rest", settings)), &Host::default()) {
        Activity::Rest(rest) => *rest,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_application_is_a_listener_a_route_and_a_handler() {
    let plan = plan_of(&app(
        r#"{ "name": "Pets", "steps": [ { "service": "Log", "input": { "message": "=$.payload.pathParams.petId" } } ],
"services": [ { "name": "Log", "ref": "github.com/project-flogo/contrib/activity/log" } ],
"responses": [ { "if": "$.payload.pathParams.petId == '1'", "error": false, "output": { "code": 200, "data": { "a.b": "=$.env", "c": "=1 + 1" } } }, { "error": false } ] }"#,
    ));
    let listener = &plan.listeners[0];
    assert_eq!(
        (&*listener.name, listener.addr.to_string().as_str()),
        ("rest", "0.0.0.0:9096")
    );
    assert_eq!(listener.manner, Manner::App);
    let route = &plan.routes[0];
    assert_eq!(&*route.name, "GET /pets/:petId");
    assert_eq!(route.path, "/pets/{petId}");
    assert_eq!(route.methods.as_deref(), Some(&[http::Method::GET][..]));
    let handler = handler(&plan, 0);
    assert_eq!(&*handler.name, "rest GET /pets/:petId");
    let action = &handler.choices[0].action;
    assert_eq!(&*action.name, "Pets");
    assert_eq!(action.services[0].activity, Activity::Log);
    assert_eq!(action.steps[0].input[0].path, [Arc::from("message")]);
    assert!(action.responses[0].when.is_some() && action.responses[1].data.is_none());
}

#[test]
fn the_keys_of_go_structures_may_be_in_any_case() {
    let text = app(r#"{ "name": "Pets", "steps": [ { "service": "S" } ], "services": [ { "name": "S", "ref": "x/activity/log" } ] }"#)
        .replace("\"triggers\"", "\"Triggers\"")
        .replace("\"handlers\"", "\"HANDLERS\"");
    assert_eq!(plan_of(&text).routes.len(), 1);
}

#[test]
fn all_start_up_errors_are_reported_at_once_with_their_places() {
    refused(
        &app(
            r##"{ "name": "Pets",
"steps": [ { "service": "Nope", "if": "$.x ==" } ],
"services": [ { "name": "S", "ref": "github.com/x/y" },
{ "name": "S", "ref": "#rest" },
{ "name": "T", "ref": "github.com/project-flogo/microgateway/activity/sqld" },
{ "name": "U", "ref": "github.com/project-flogo/microgateway/activity/circuitbreaker", "settings": { "mode": "x", "threshold": 0, "timeout": -1 } } ] }"##,
        ),
        "7:25: error: service not found: Nope; expected one of S, T, U
7:46: error: condition parsing error: $.x ==: unable to compile expression '$.x ==': error parsing expression: expected a value, found the end; correct the expression
8:37: error: can't find activity github.com/x/y; use one of the supported activities: circuitbreaker, rest, ratelimiter, graphql, jwt, jsexec, log, counter, channel, actreturn, actreply
9:11: error: duplicate service name: S; give each service a name of its own; line 8 has it too
10:23: error: can't find activity github.com/project-flogo/microgateway/activity/sqld; the `sqld` activity is not supported: put a web application firewall before the gateway
11:110: error: value 'x' is not valid for 'mode'; use one of a, b, c, d
11:128: error: invalid threshold: 0 is not from 1 to 4294967295; give the number of failures at which the breaker trips
11:142: error: value '-1' is not valid for 'timeout'; give 0 or more seconds",
    );
}

#[test]
fn a_definition_is_compared_with_the_schema() {
    refused(
        &app(
            r#"{ "zzz": 1,
"steps": [ ],
"services": [ { "name": "A", "ref": "r" },
{ "ref": "r", "name": "A" }, 5 ],
"responses": [ { "if": true },
{ "error": false, "output": { } } ] }"#,
        ),
        "6:1: error: error validating schema: The JSON is not valid. See errors: - (root): name is required; add `\"name\"`
6:3: error: error validating schema: The JSON is not valid. See errors: - (root): Additional property zzz is not allowed; expected one of name, steps, responses, services
7:10: error: error validating schema: The JSON is not valid. See errors: - steps: Array must have at least 1 items; add one
9:1: error: error validating schema: The JSON is not valid. See errors: - services: array items[0,1] must be unique; remove one of the two
9:30: error: error validating schema: The JSON is not valid. See errors: - services.2: Invalid type. Expected: object, given: integer; write an object
10:16: error: error validating schema: The JSON is not valid. See errors: - responses.0: error is required; add `\"error\"`
10:24: error: error validating schema: The JSON is not valid. See errors: - responses.0.if: Invalid type. Expected: string, given: boolean; write a text in quotes
11:29: error: error validating schema: The JSON is not valid. See errors: - responses.1.output: data is required; add `\"data\"`",
    );
}

#[test]
fn an_application_needs_name_version_and_a_trigger_that_clients_reach() {
    refused(
        r#"{ "type": "flogo:app", "name": "" }"#,
        "1:1: error: no App name provided; add `\"name\"` to the application
1:1: error: no App version provided; add `\"version\"` to the application",
    );
    refused(
        r#"{ "name": "a", "version": "1", "triggers": [], "resources": [] }"#,
        "1:1: error: the application has no REST trigger, so no client can connect; add one to `triggers`",
    );
}

#[test]
fn text_that_is_not_json_is_an_error_at_its_place() {
    refused(
        "{ \"type\": \"flogo:app\",\n\t\"name\": \"a\" \"version\" }",
        "2:14: error: the application is not valid JSON: expected `,` or `}`; correct it here or just before",
    );
    refused(
        "type: \"flogo:app\"",
        "1:1: error: a Flogo application must be JSON, found YAML; convert the file to JSON",
    );
    refused(
        r#"{ "name": "a", "name": "b", "version": "1", "triggers": [] }"#,
        "1:16: error: the key `name` is already given in line 1; keep one of the two",
    );
}

#[test]
fn there_is_one_application_at_a_time() {
    let good = with_services(&service("log", "{}"));
    let sources = [("app.json", good.as_str()), ("other.json", good.as_str())];
    let reading = read_all(&sources);
    assert!(reading.plan.is_none());
    let told = "this is a Flogo application, and there is another application beside it; run each application by itself; native files may stand beside one";
    assert_eq!(
        lines(&reading),
        format!("app.json:1:1: error: {told}\nother.json:1:1: error: {told}\n")
    );
}

fn read_all(sources: &[(&str, &str)]) -> Reading {
    let sources = sources.iter().map(|(name, text)| Source {
        name,
        text: text.as_bytes(),
    });
    read(&sources.collect::<Vec<_>>(), &Host::default())
}

/// An application of several definitions, each with services of these names that call others.
fn calling(definitions: &[(&str, &[&str])]) -> String {
    let rest = |name: &&str| {
        format!(
            r#"{{ "name": "{name}", "ref": "github.com/project-flogo/contrib/activity/rest", "settings": {{ "uri": "http://127.0.0.1:1/{name}", "method": "GET", "timeout": 20 }} }}"#
        )
    };
    let breaker = r#"{ "name": "CB", "ref": "github.com/project-flogo/microgateway/activity/circuitbreaker", "settings": {} }"#;
    let resources = definitions.iter().map(|(name, services)| {
        let all: Vec<_> = services.iter().map(rest).chain([breaker.to_owned()]).collect();
        format!(
            r#"{{ "id": "microgateway:{name}", "compressed": false, "data": {{ "name": "{name}", "steps": [ {{ "service": "CB" }}, {{ "service": "CB", "input": {{ "operation": "counter" }} }} ], "services": [ {} ] }} }}"#,
            all.join(", ")
        )
    });
    let handlers = definitions.iter().map(|(name, _)| {
        format!(
            r#"{{ "settings": {{ "method": "GET", "path": "/{name}" }}, "actions": [ {{ "ref": "github.com/project-flogo/microgateway", "settings": {{ "uri": "microgateway:{name}" }} }} ] }}"#
        )
    });
    format!(
        r#"{{ "name": "A", "type": "flogo:app", "version": "1", "triggers": [ {{ "id": "t", "ref": "github.com/project-flogo/contrib/trigger/rest", "settings": {{ "port": "8080" }}, "handlers": [ {} ] }} ], "resources": [ {} ] }}"#,
        handlers.collect::<Vec<_>>().join(", "),
        resources.collect::<Vec<_>>().join(", ")
    )
}

#[test]
fn a_native_file_beside_an_application_stands_before_its_services() {
    let app = calling(&[("Pets", &["Store", "Same"]), ("Dogs", &["Same"])]);
    let guards = "upstreams:\n  Store: { timeout: { request: 2s }, breaker: { key: '{method}' } }\n  dogs: { applies_to: Dogs/Same, breaker: {} }\n\
                  limits: { head: 1KiB }\nstore: { kind: memory }\nadmin: { addr: 127.0.0.1:1 }\n";
    // By whichever order they are named.
    let reading = read_all(&[("guards.yaml", guards), ("app.json", &app)]);
    assert_eq!(lines(&reading), "");
    let plan = reading.plan.expect("a plan");
    let targets: Vec<_> = plan
        .guards
        .iter()
        .map(|it| (&*it.name, &*it.targets[0]))
        .collect();
    assert_eq!(targets, [("Store", "Pets/Store"), ("dogs", "Dogs/Same")]);
    let probe = |at: usize| {
        plan.guards[at]
            .breaker
            .settings
            .half_open
            .probe_timeout
            .as_secs()
    };
    // The shorter of the guard's time and the application's, which is 20 s.
    assert_eq!((probe(0), probe(1)), (2, 20));
    assert_eq!(plan.limits.head_bytes_max, 1024);
    assert!(plan.store.is_some() && plan.admin.is_some() && plan.listeners.len() == 1);
    let shown = plan.to_json();
    assert_eq!(shown["upstreams"]["dogs"]["applies_to"], "Dogs/Same");
    assert_eq!(shown["upstreams"]["Store"]["timeout"]["request"], "2s");
}

#[test]
fn a_native_file_is_not_blamed_for_an_application_that_cannot_be_read() {
    let app = calling(&[("Pets", &["Store"])]);
    let guards = "upstreams:\n  s: { applies_to: Store, braker: {} }\n";
    let reading = read_all(&[("g.yaml", guards), ("app.json", &app[..app.len() - 1])]);
    let told = lines(&reading);
    let told: Vec<_> = told.lines().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter()
            .any(|it| it.starts_with("g.yaml:2:27: error: unknown key `braker`")),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|it| it.contains("the application is not valid JSON")),
        "{told:?}"
    );
    // One with a mistake may have more names than could be read.
    let wrong = app.replace(
        "\"method\": \"GET\", \"timeout\"",
        "\"method\": \"GOT\", \"timeout\"",
    );
    let reading = read_all(&[
        ("app.json", &wrong),
        (
            "g.yaml",
            "upstreams:\n  s: { applies_to: Stor, breaker: {} }\n",
        ),
    ]);
    assert!(!lines(&reading).contains("g.yaml"), "{}", lines(&reading));
}

#[test]
fn what_a_native_file_beside_an_application_cannot_mean_is_told_at_its_place() {
    let app = calling(&[("Pets", &["Store", "Same"]), ("Dogs", &["Same"])]);
    let guards = "listen: 127.0.0.1:1
routes: [{ path: /, respond: {} }]
upstreams:
  Stor: { breaker: {} }
  Same: { breaker: {} }
  b: { applies_to: Pets/Store, url: 'http://a', pool: { idle: 1 }, breaker: { key: '{route}' } }
  c: { applies_to: Store, breaker: { key: '{path.id}', max_keys: 9 } }
  Pets: { applies_to: Dogs/Same, breaker: { key: '{method}' } }
  Pets/CB: { applies_to: Pets/Same, breaker: {} }
";
    let reading = read_all(&[("app.json", &app), ("g.yaml", guards)]);
    let expected = "
g.yaml:1:9: error: `listen` has no place beside an application, which listens and routes by itself; remove it, and keep `upstreams`
g.yaml:2:10: error: `routes` has no place beside an application, which listens and routes by itself; remove it, and keep `upstreams`
g.yaml:4:3: error: the application makes no requests by the name `Stor`; did you mean `Store`?
g.yaml:5:3: error: `Same` is the name of several: `Pets/Same`, `Dogs/Same`; write one of these with `applies_to`
g.yaml:6:32: error: this upstream's address is the application's own, which its file says; remove it here
g.yaml:6:63: error: this upstream's pool is the application's own, which its file says; remove it here
g.yaml:6:84: error: `{route}` says nothing here: an application's own requests follow no route; use `{method}`, `{endpoint}` or `{header.NAME}`, or leave the key out
g.yaml:7:3: error: the upstream in line 6 stands before `Pets/Store` already; keep one of the two
g.yaml:7:43: error: `{path.id}` says nothing here: an application's own requests follow no route; use `{method}`, `{endpoint}` or `{header.NAME}`, or leave the key out
g.yaml:8:3: error: a breaker of the upstream `Pets` could have the name of another breaker, `Pets/CB`; rename it, and add `applies_to: Dogs/Same`
g.yaml:9:3: error: a breaker of the upstream `Pets/CB` could have the name of another breaker, `Pets/CB`; rename it, and add `applies_to: Pets/Same`
";
    assert_eq!(lines(&reading).trim(), expected.trim());
}

#[test]
fn triggers_are_known_by_ref_alias_or_type() {
    let good = with_services(&service("log", "{}"));
    let reference = r#""ref": "github.com/project-flogo/contrib/trigger/rest""#;
    let import = |list: &str| format!("\"imports\": [{list}], \"triggers\"");
    for (as_written, imports) in [
        (r#""ref": "github.com/r2d2-ai/contrib/trigger/rest""#, ""),
        (
            r##""ref": "#rest""##,
            r#""github.com/project-flogo/contrib/trigger/rest", "github.com/project-flogo/contrib/activity/rest""#,
        ),
        (
            r##""ref": "#web""##,
            r#""web github.com/project-flogo/contrib/trigger/rest@v1.0.0""#,
        ),
        (
            r#""type": "rest""#,
            r#""github.com/project-flogo/contrib@v1.0.0:/trigger/rest""#,
        ),
    ] {
        let text = good
            .replace(reference, as_written)
            .replace("\"triggers\"", &import(imports));
        assert_eq!(plan_of(&text).listeners.len(), 1, "{as_written}");
    }
    refused(
        &good.replace(reference, r##""ref": "#rest""##),
        "2:24: error: trigger '#rest' not imported; add its package to `imports`, or write the path instead of `#rest`, as in `github.com/project-flogo/contrib/trigger/rest`",
    );
    refused(
        &good.replace("trigger/rest", "trigger/kafka"),
        "2:24: error: trigger 'github.com/project-flogo/contrib/trigger/kafka' not registered; use the REST trigger (`…/trigger/rest`), the channel trigger (`…/trigger/channel`) or the swagger trigger (`…/trigger/swagger`); run other triggers where they ran, and let them call over HTTP",
    );
}

#[test]
fn a_trigger_needs_a_port_and_a_handler_method_and_path() {
    let good = with_services(&service("log", "{}"));
    refused(
        &good.replace("\"port\": \"9096\"", "\"port\": \"many\""),
        "2:95: error: value 'many' is not valid for 'port': strconv.Atoi: parsing \"many\": invalid syntax; write a whole number",
    );
    refused(
        &good.replace("{ \"port\": \"9096\" }", "{ }"),
        "2:85: error: field 'port' is required; add `\"port\"` to the settings",
    );
    refused(
        &good.replace("\"GET\"", "\"HEAD\""),
        "3:27: error: value 'HEAD' is not valid for 'method'; use one of GET, POST, PUT, PATCH, DELETE",
    );
    refused(
        &good.replace("/pets/:petId", "/pets/*all/x"),
        "3:49: error: catch-all routes are only allowed at the end of the path; end the path with it, or use `:name` for one segment",
    );
    refused(
        &good.replace("\"action\"", "\"actoin\""),
        "3:1: error: trigger 'rest' has a handler with no action; add `\"action\"`, or `\"actions\"` with one at least
3:60: warning: unknown key `actoin`, which is ignored; did you mean `action`?",
    );
}

/// A second handler beside that of [`app`].
fn with_second(text: &str, handler: &str) -> String {
    text.replace(
        "\n{ \"settings\": { \"method\"",
        &format!("\n{handler},\n{{ \"settings\": {{ \"method\""),
    )
}

#[test]
fn paths_that_the_router_refuses_are_errors() {
    let good = with_services(&service("log", "{}"));
    let handler = |method: &str, path: &str| {
        format!(
            r#"{{ "settings": {{ "method": "{method}", "path": "{path}" }}, "action": {{ "ref": "x/microgateway", "settings": {{ "uri": "microgateway:Pets" }} }} }}"#
        )
    };
    let plan = plan_of(&with_second(&good, &handler("put", "/pets/:id")));
    assert_eq!(&*plan.routes[0].name, "PUT /pets/:id");
    // A fixed path may stand beside a parameter.
    plan_of(&with_second(&good, &handler("GET", "/pets/new")));
    refused(
        &with_second(&good, &handler("GET", "/pets/:id")),
        "4:1: error: the path `/pets/:petId` conflicts with `/pets/:id` in line 3; change one of the paths, or the method; one place has one parameter",
    );
}

#[test]
fn a_shared_action_is_one_instance_and_an_inline_one_another() {
    let text = r#"{ "name": "A", "version": "1", "triggers": [ { "id": "r", "ref": "x/trigger/rest", "settings": { "port": 1 }, "handlers": [
{ "settings": { "method": "GET", "path": "/a" }, "actions": [ { "id": "x" } ] },
{ "settings": { "method": "GET", "path": "/b" }, "actions": [ { "if": "$.queryParams.q == '1'", "id": "x" }, { "ref": "x/microgateway", "settings": { "uri": "microgateway:G", "async": "true", "k": [1] } } ] } ] } ],
"actions": [ { "id": "x", "ref": "x/microgateway", "settings": { "uri": "microgateway:G" }, "metadata": null } ],
"resources": [ { "id": "microgateway:G", "data": { "name": "other", "steps": [ { "service": "B" }, { "service": "B", "input": { "operation": "counter" } } ], "services": [ { "name": "B", "ref": "github.com/r2d2-ai/aiflow/microgateway/activity/circuitbreaker" } ] } } ] }"#;
    let plan = plan_of(text);
    let (a, b) = (handler(&plan, 0), handler(&plan, 1));
    assert!(std::sync::Arc::ptr_eq(
        &a.choices[0].action,
        &b.choices[0].action
    ));
    let inline = &b.choices[1].action;
    assert_eq!((&*a.choices[0].action.name, &*inline.name), ("G", "G#2"));
    assert!(inline.asynchronous);
    assert_eq!(
        inline.conf.to_json_text().unwrap(),
        r#"{"async":"true","k":[1],"uri":"microgateway:G"}"#
    );
    let Activity::Breaker(breaker) = &inline.services[0].activity else {
        panic!("a breaker");
    };
    assert_eq!(&*breaker.name, "G#2/B");
    refused(
        &text.replace("{ \"id\": \"x\" } ] },", "{ \"id\": \"y\" } ] },"),
        "2:71: error: shared action 'y' does not exists; did you mean `x`?",
    );
}

#[test]
fn unused_actions_and_resources_are_warnings() {
    let good = with_services(&service("log", "{}"));
    let text = good.replace(
        "\"resources\": [",
        r#""actions": [ { "id": "idle", "ref": "x/microgateway", "settings": { "uri": "microgateway:Pets" } } ], "resources": [ { "id": "microgateway:Idle", "data": { "name": "n", "steps": [ { "service": "nope" } ] } },"#,
    );
    let reading = read_on(&text, &Host::default());
    assert!(reading.plan.is_some());
    assert_eq!(
        lines(&reading),
        "app.json:5:31: warning: no handler uses the action `idle`; use it in a handler, or remove it
app.json:5:135: warning: no action uses the resource `microgateway:Idle`; name it in an action's `uri`, or remove it\n"
    );
}

#[test]
fn an_action_without_a_definition_is_an_error() {
    let definition = r#"{ "name": "Pets", "steps": [ { "service": "S" } ], "services": [ { "name": "S", "ref": "x/activity/log" } ] }"#;
    let refuse = |settings: &str, expected: &str| {
        let action = format!(r#"{{ "ref": "x/microgateway", "settings": {settings} }}"#);
        refused(&with_action(&action, definition), expected);
    };
    refuse(
        r#"{ "uri": "microgateway:Pest" }"#,
        "4:49: error: failed to load microgateway URI data: 'x/microgateway': no resource has the id `microgateway:Pest`; did you mean `microgateway:Pets`?",
    );
    refuse(
        "{}",
        "4:1: error: field 'uri' is required; name the definition: `\"uri\": \"microgateway:NAME\"`",
    );
    refuse(
        r#"{ "uri": "" }"#,
        "4:49: error: value '' is not valid for 'uri'; name the definition: `\"uri\": \"microgateway:NAME\"`",
    );
    refuse(
        r#"{ "uri": "https://a/b" }"#,
        "4:49: error: failed to load microgateway URI data: 'x/microgateway': no resource has the id `https://a/b`; fetch the definition into a file and name that: `file:///PATH`",
    );
    refuse(
        r#"{ "uri": "res://microgateway:Pets" }"#,
        "4:49: error: failed to load microgateway URI data: 'x/microgateway': no resource has the id `res://microgateway:Pets`; write `\"uri\": \"microgateway:Pets\"`, or use `file://`, `http://` or `pattern://`",
    );
    refuse(
        r#"{ "uri": "pattern://DefaultHttp" }"#,
        "4:49: error: unexpected end of JSON input: unknown pattern `DefaultHttp`; did you mean `DefaultHttpPattern`?",
    );
    refused(
        &with_action(
            r#"{ "ref": "github.com/project-flogo/stream", "settings": { } }"#,
            definition,
        ),
        "4:10: error: action factory 'github.com/project-flogo/stream' not registered; the microgateway and flows are run: `github.com/project-flogo/microgateway`, `github.com/project-flogo/flow`",
    );
}

const ELSEWHERE: &str = r#"{ "name": "Away", "steps": [ { "service": "S" } ],
"services": [ { "name": "S", "ref": "x/activity/circuitbreaker" } ] }"#;

#[test]
fn a_definition_may_lie_in_a_file_or_behind_an_address() {
    let inline = r#"{ "name": "n", "steps": [ { "service": "x" } ] }"#;
    for (uri, zzz) in [("file://../r.json", false), ("http://host/r.json", true)] {
        let action = format!(r#"{{ "ref": "x/microgateway", "settings": {{ "uri": "{uri}" }} }}"#);
        let text = with_action(&action, inline);
        let machine = |definition: &str| Host {
            files: [("../r.json", definition.to_owned())].into(),
            served: [("http://host/r.json", definition.to_owned())].into(),
            ..Host::default()
        };
        let reading = read_on(&text, &machine(ELSEWHERE));
        let plan = reading.plan.expect("it is read");
        let action = &handler(&plan, 0).choices[0].action;
        assert_eq!(&*action.name, "Away");
        // Only a fetched definition is not compared with the schema.
        let more = ELSEWHERE.replacen("\"steps\"", "\"zzz\": 1, \"steps\"", 1);
        assert_eq!(read_on(&text, &machine(&more)).plan.is_some(), zzz, "{uri}");
        let reading = read_on(
            &text,
            &machine(&ELSEWHERE.replace("circuitbreaker", "nope")),
        );
        let report = lines(&reading);
        let place = format!("{}:2:37: error: can't find", uri.replace("file://", ""));
        assert!(report.contains(&place), "{report}");
        let reading = read_on(&text, &machine("{"));
        assert!(lines(&reading).contains(":1:1: error: error marshalling"));
    }
    // Started elsewhere, the one beside the application is read.
    let action = r#"{ "ref": "x/microgateway", "settings": { "uri": "file://../r.json" } }"#;
    let beside = Host {
        files: [("beside/r.json", ELSEWHERE.to_owned())].into(),
        ..Host::default()
    };
    let reading = read_on(&with_action(action, inline), &beside);
    assert!(reading.plan.is_some(), "{}", lines(&reading));
    assert!(
        lines(&reading).contains("warning: the file `../r.json` is missing here"),
        "{}",
        lines(&reading)
    );
    let missing = |uri: &str| {
        let action = format!(r#"{{ "ref": "x/microgateway", "settings": {{ "uri": "{uri}" }} }}"#);
        lines(&read_on(&with_action(&action, inline), &Host::default()))
    };
    assert!(
        missing("file:///r")
            .starts_with("app.json:4:49: error: File reading error: `/r`: no such file; ")
    );
    assert!(missing("http://h/").starts_with(
        "app.json:4:49: error: Error in accessing specified HTTP url `http://h/`: it answers 404; "
    ));
}

#[test]
fn the_built_in_patterns_need_their_settings() {
    let inline = r#"{ "name": "n", "steps": [ { "service": "x" } ] }"#;
    let with = |settings: &str| {
        let action = format!(r#"{{ "ref": "x/microgateway", "settings": {{ {settings} }} }}"#);
        read_on(&with_action(&action, inline), &Host::default())
    };
    let reading = with(
        r#""uri": "pattern://DefaultHttpPattern", "mode": "a", "method": "GET", "backendUrl": "http://h/b", "rateLimit": "1-S""#,
    );
    let plan = reading.plan.expect("it is read");
    let action = &handler(&plan, 0).choices[0].action;
    assert_eq!(&*action.name, "DefaultHttpPattern");
    assert_eq!((action.steps.len(), action.responses.len()), (7, 6));
    // A missing threshold is the default, not zero.
    let Activity::Breaker(breaker) = &action.services[2].activity else {
        panic!("a breaker");
    };
    let rule = Rule::ConsecutiveFailures {
        threshold: 5,
        within: None,
    };
    assert_eq!(breaker.settings.trip, [rule]);
    let report = lines(&with(r#""uri": "pattern://DefaultHttpPattern""#));
    for what in [
        "value '<nil>' is not valid for 'limit', which is `=$.conf.rateLimit`",
        "value '<nil>' is not valid for 'mode', which is `=$.conf.mode`",
        "value '<nil>' is not valid for 'method', which is `=$.conf.method`",
        "value '<nil>' is not valid for 'uri', which is `=$.conf.backendUrl`",
    ] {
        assert!(
            report.contains(&format!("app.json:4:49: error: {what}")),
            "{report}"
        );
    }
    // The resource that no action uses has an error of its own.
    assert!(report.contains("error: service not found: x"), "{report}");
    assert_eq!(report.lines().count(), 5, "{report}");
    for named in [
        r#""uri": "pattern://DefaultChannelPattern""#,
        r#""pattern": "DefaultChannelPattern""#,
    ] {
        let reading = with(&format!(r#"{named}, "useJWT": false"#));
        let plan = reading.plan.expect("it is read");
        let action = &handler(&plan, 0).choices[0].action;
        assert_eq!(&*action.name, "DefaultChannelPattern");
    }
}

#[test]
fn properties_are_typed_and_seen_everywhere() {
    let text = with_services(&service("log", "{}"))
        .replace(
            "\"channels\": null",
            r#""properties": [ { "name": "port", "type": "int", "value": "9097" }, { "name": "where", "type": "string", "value": "/w" } ]"#,
        )
        .replace("\"9096\"", "\"=$property[port]\"")
        .replace("\"/pets/:petId\"", "\"=$property[where]\"");
    let plan = plan_of(&text);
    assert_eq!(plan.listeners[0].addr.port(), 9097);
    assert_eq!(plan.routes[0].path, "/w");
    let set = Host {
        set: [("port", "9098")].into(),
        ..Host::default()
    };
    assert_eq!(plan_on(&text, &set).listeners[0].addr.port(), 9098);
    let set = Host {
        set: [("port", "x")].into(),
        ..Host::default()
    };
    let report = lines(&read_on(&text, &set));
    assert!(
        report.contains("property `port`: invalid int from --set"),
        "{report}"
    );
    let logs = |name: &str| service("log", &format!(r#"{{ "message": "=$property[{name}]" }}"#));
    let log = |text: String| text.replace(&service("log", "{}"), &logs("port"));
    let plan = plan_of(&log(text.clone()));
    let settings = &handler(&plan, 0).choices[0].action.services[0].settings;
    assert_eq!(
        settings.to_json_text().as_deref(),
        Ok(r#"{"message":9097}"#)
    );
    refused(
        &with_services(&logs("port")),
        "7:99: error: failed to resolve Property: 'port', ensure that property is configured in the application; correct the expression",
    );
}

/// The application's properties, a number and two texts, as its definition sees them.
fn properties_on(machine: &Host) -> Result<String, String> {
    let seen = r#"{ "message": "=$property[up.url]", "addDetails": "=$property[n]", "usePrint": "=$property[any]" }"#;
    let text = with_services(&service("log", seen)).replace(
        "\"channels\": null",
        r#""properties": [ { "name": "up.url", "type": "string", "value": "default" }, { "name": "n", "type": "int", "value": 1 }, { "name": "any", "value": 1.5 } ]"#,
    );
    let reading = read_on(&text, machine);
    // The log activity reads one of them; that is another matter.
    let told = lines(&reading);
    let errors = told.lines().filter(|line| !line.contains(": warning: "));
    let told: String = errors.flat_map(|line| [line, "\n"]).collect();
    let plan = reading.plan.ok_or(told)?;
    let settings = &handler(&plan, 0).choices[0].action.services[0].settings;
    Ok(settings.to_json_text().expect("plain values"))
}

fn with_env(env: &[(&'static str, &str)]) -> Host {
    let env = env.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Host {
        env: env.collect(),
        ..Host::default()
    }
}

#[test]
fn the_environment_gives_properties_their_values_if_it_is_asked_to() {
    let seen = |any: &str, url: &str, n: &str| {
        Ok(format!(
            r#"{{"addDetails":{n},"message":"{url}","usePrint":{any}}}"#
        ))
    };
    let auto = ("FLOGO_APP_PROPS_ENV", "auto");
    for (env, expected) in [
        (
            &[("UP_URL", "env"), ("N", "5")][..],
            seen("1.5", "default", "1"),
        ),
        (
            &[auto, ("UP_URL", "env"), ("N", "5")],
            seen("1.5", "env", "5"),
        ),
        (
            &[("FLOGO_APP_PROPS_ENV", "AUTO"), ("up_url", "env")],
            seen("1.5", "env", "1"),
        ),
        (
            &[auto, ("UP_URL", "c"), ("up_url", "b"), ("up.url", "a")],
            seen("1.5", "a", "1"),
        ),
        (
            &[auto, ("up_url", "b"), ("UP_URL", "c")],
            seen("1.5", "b", "1"),
        ),
        (&[auto, ("any", "7")], seen("7", "default", "1")),
        (
            &[
                ("FLOGO_APP_PROPS_ENV", r#"{"mappings": {"n": "COUNT"}}"#),
                ("COUNT", "9"),
                ("N", "5"),
            ],
            seen("1.5", "default", "9"),
        ),
        (
            &[auto, ("FLOGO_APP_PROP_RESOLVERS", "disabled"), ("N", "5")],
            seen("1.5", "default", "1"),
        ),
    ] {
        assert_eq!(properties_on(&with_env(env)), expected, "{env:?}");
    }
    for (env, expected) in [
        (
            &[auto, ("N", "many")][..],
            "app.json:1:172: error: property `n`: invalid int from the environment variable N: strconv.Atoi: parsing \"many\": invalid syntax; correct the value, or the type\n",
        ),
        (
            &[("FLOGO_APP_PROPS_ENV", "yes")],
            "app.json:1:1: error: FLOGO_APP_PROPS_ENV is neither `auto` nor names of variables: `yes`; set it to `auto`, or to `{\"mappings\": {\"PROPERTY\": \"VARIABLE\"}}`\n",
        ),
        (
            &[("FLOGO_APP_PROP_RESOLVERS", "env")],
            "app.json:1:1: error: FLOGO_APP_PROP_RESOLVERS: Unsupported property resolver type - env. Resolver not registered.; set FLOGO_APP_PROPS_ENV too, or omit `env`\n",
        ),
    ] {
        assert_eq!(
            properties_on(&with_env(env)),
            Err(expected.into()),
            "{env:?}"
        );
    }
}

#[test]
fn a_property_without_a_value_is_the_zero_of_its_type() {
    for (kind, zero) in [
        ("string", r#""""#),
        ("int", "0"),
        ("bool", "false"),
        ("float64", "0"),
        ("object", "null"),
        ("any", "null"),
    ] {
        let seen = service("log", r#"{ "message": "=$property[p]" }"#);
        let text = with_services(&seen).replace(
            "\"channels\": null",
            &format!(r#""properties": [ {{ "name": "p", "type": "{kind}" }} ]"#),
        );
        let plan = plan_of(&text);
        let settings = &handler(&plan, 0).choices[0].action.services[0].settings;
        let expected = format!(r#"{{"message":{zero}}}"#);
        assert_eq!(settings.to_json_text().as_deref(), Ok(&*expected), "{kind}");
    }
}

#[test]
fn the_variable_of_older_documents_is_ignored_with_a_warning() {
    let machine = with_env(&[("FLOGO_APP_PROPS_OVERRIDE", "n=2")]);
    let reading = read_on(&with_services(&service("log", "{}")), &machine);
    assert_eq!(
        lines(&reading),
        "app.json:1:1: warning: FLOGO_APP_PROPS_OVERRIDE is ignored, as by Flogo core 1.x; use FLOGO_APP_PROPS_JSON for a file, FLOGO_APP_PROPS_ENV for variables, or `--set NAME=VALUE`\n"
    );
}

#[test]
fn files_give_properties_their_values_and_the_environment_wins_over_them() {
    let seen = |url: &str, n: &str| {
        Ok(format!(
            r#"{{"addDetails":{n},"message":"{url}","usePrint":1.5}}"#
        ))
    };
    let on = |env: &[(&'static str, &str)]| {
        let files = [
            ("one.json", r#"{"up.url": "one", "n": "7", "other": true}"#),
            ("two.json", r#"{"up.url": "two"}"#),
            ("list.json", "[]"),
            ("bad.json", "{"),
        ];
        properties_on(&Host {
            files: files.map(|(name, text)| (name, text.to_owned())).into(),
            ..with_env(env)
        })
    };
    let files = |paths: &'static str| ("FLOGO_APP_PROPS_JSON", paths);
    let auto = ("FLOGO_APP_PROPS_ENV", "auto");
    assert_eq!(on(&[files("one.json")]), seen("one", "7"));
    assert_eq!(on(&[files("one.json,two.json")]), seen("two", "7"));
    assert_eq!(on(&[files("two.json, one.json")]), seen("one", "7"));
    assert_eq!(on(&[files("one.json"), auto, ("N", "3")]), seen("one", "3"));
    let order = ("FLOGO_APP_PROP_RESOLVERS", "json,env");
    assert_eq!(
        on(&[files("one.json"), auto, order, ("N", "3")]),
        seen("one", "7")
    );
    for (path, why) in [
        ("none.json", "no such file"),
        ("list.json", "expected an object, found array"),
        ("bad.json", "invalid JSON: "),
    ] {
        let told = on(&[files(path)]).expect_err("it is refused");
        let begin = format!(
            "app.json:1:1: error: FLOGO_APP_PROPS_JSON: the file `{path}` cannot be read: {why}"
        );
        assert!(told.starts_with(&begin), "{told}");
    }
}

#[test]
fn an_actions_setting_may_be_a_property() {
    let text = with_action(
        r#"{ "ref": "x/microgateway", "settings": { "uri": "microgateway:Pets", "to": "=$property[to]", "as": "=$.payload" } }"#,
        &format!(
            r#"{{ "name": "Pets", "steps": [ {{ "service": "S" }} ], "services": [ {} ] }}"#,
            service("log", r#"{ "message": "=$.conf.to", "addDetails": "=$.conf.as" }"#)
        ),
    )
    .replace("\"channels\": null", r#""properties": [ { "name": "to", "type": "string", "value": "there" } ]"#);
    let plan = plan_of(&text);
    let settings = &handler(&plan, 0).choices[0].action.services[0].settings;
    let seen = r#"{"addDetails":"=$.payload","message":"there"}"#;
    assert_eq!(settings.to_json_text().as_deref(), Ok(seen));
}

#[test]
fn a_definition_of_the_first_schema_is_read_with_a_warning() {
    let log = service("log", r#"{ "message": "=$.conf.to" }"#);
    let text = app(&format!(
        r#"{{ "name": "Pets", "async": true, "configuration": {{ "to": "there", "uri": "no" }}, "steps": [ {{ "service": "S" }} ], "services": [ {log} ] }}"#
    ));
    let reading = read_on(&text, &Host::default());
    let moved =
        "has belonged to the action since November 2018; move it into the action's `settings`";
    assert_eq!(
        lines(&reading).replace("app.json:", ""),
        format!(
            "6:19: warning: `async` of a definition {moved}\n6:34: warning: `configuration` of a definition {moved}\n"
        )
    );
    let plan = reading.plan.expect("warnings alone");
    let action = &handler(&plan, 0).choices[0].action;
    assert!(action.asynchronous);
    let settings = &action.services[0].settings;
    assert_eq!(
        settings.to_json_text().as_deref(),
        Ok(r#"{"message":"there"}"#)
    );
    let conf = action.conf.to_json_text();
    assert_eq!(
        conf.as_deref(),
        Ok(r#"{"to":"there","uri":"microgateway:Pets"}"#)
    );
}

#[test]
fn a_pattern_that_is_named_in_the_older_way_needs_fewer_settings() {
    let action = r#"{ "ref": "x/microgateway", "settings": { "pattern": "DefaultHttpPattern", "useRateLimiter": true, "rateLimit": "1-S", "useJWT": false, "useCircuitBreaker": true, "backendUrl": "http://localhost:1234/pets" } }"#;
    let unused = format!(
        r#"{{ "name": "Pets", "steps": [ {{ "service": "S" }} ], "services": [ {} ] }}"#,
        service("log", "{}")
    );
    let reading = read_on(&with_action(action, &unused), &Host::default());
    let plan = reading.plan.expect("it is read");
    let services = &handler(&plan, 0).choices[0].action.services;
    let methods = services
        .iter()
        .filter_map(|service| match &service.activity {
            Activity::Rest(rest) => Some(rest.method.as_str()),
            _ => None,
        });
    assert_eq!(methods.collect::<Vec<_>>(), ["GET", "GET"]);
}

#[test]
fn a_slash_at_the_end_of_a_ref_says_nothing() {
    let text = with_services(&service("log", "{}"))
        .replace("trigger/rest\"", "trigger/rest/\"")
        .replace("activity/log\"", "activity/log/\"")
        .replace(
            "project-flogo/microgateway\"",
            "r2d2-ai/aiflow-microgateway/\"",
        );
    assert_eq!(text.matches("/\"").count(), 3, "{text}");
    plan_of(&text);
    let other = text.replace("aiflow-microgateway/", "aiflowmicrogateway/");
    let told = lines(&read_on(&other, &Host::default()));
    let begin = "app.json:4:10: error: action factory 'github.com/r2d2-ai/aiflowmicrogateway' not registered; ";
    assert!(told.starts_with(begin), "{told}");
}

#[test]
fn channels_have_a_size_and_subscriptions() {
    let text = with_services(&service("log", "{}"))
        .replace("\"channels\": null", r#""channels": [ "a:5", "b", "c:x" ]"#)
        .replace(
            "\"triggers\": [",
            r#""triggers": [ { "id": "ch", "ref": "x/trigger/channel", "handlers": [ { "settings": { "channel": "a" }, "action": { "ref": "x/microgateway", "settings": { "uri": "microgateway:Pets" } } } ] },"#,
        );
    let reading = read_on(&text, &Host::default());
    let plan = reading.plan.as_ref().expect("a plan");
    let app = program(plan);
    let channels: Vec<_> = app
        .channels
        .iter()
        .map(|channel| (&*channel.name, channel.capacity))
        .collect();
    assert_eq!(channels, [("a", 5), ("b", 0), ("c", 0)]);
    assert_eq!(&*app.subscriptions[0].channel, "a");
    assert_eq!(&*app.subscriptions[0].handler.name, "ch a");
    assert!(
        lines(&reading)
            .contains("warning: the size `x` of channel 'c' is not a number, so 0 is used")
    );
    let report = lines(&read_on(
        &text.replace("\"channel\": \"a\"", "\"channel\": \"z\""),
        &Host::default(),
    ));
    assert!(
        report.contains("error: unknown engine channel 'z'"),
        "{report}"
    );
    let report = lines(&read_on(&text.replace("\"b\"", "\"a\""), &Host::default()));
    assert!(
        report.contains("error: channel 'a' already exists"),
        "{report}"
    );
}

#[test]
fn functions_are_those_that_are_imported() {
    let with = |imports: &str, message: &str| {
        let text = with_services(&service("log", &format!(r#"{{ "message": "{message}" }}"#)))
            .replace("\"channels\": null", &format!("\"imports\": [{imports}]"));
        lines(&read_on(&text, &Host::default()))
    };
    let renamed = r#""str github.com/project-flogo/contrib/function/string""#;
    assert!(
        with(renamed, "=string.concat('a', 'b')")
            .contains("function [string.concat] is not installed")
    );
}

#[test]
fn settings_are_evaluated_once_over_conf_env_and_async() {
    let machine = Host {
        env: [("WHERE", "http://h:81".to_owned())].into(),
        ..Host::default()
    };
    let action = r#"{ "ref": "x/microgateway", "settings": { "uri": "microgateway:Pets", "verb": "post", "raw": "=1" } }"#;
    let definition = |settings: &str| {
        format!(
            r#"{{ "name": "P", "steps": [ {{ "service": "S" }} ], "services": [
{} ] }}"#,
            service("rest", settings)
        )
    };
    let text = with_action(
        action,
        &definition(
            r#"{ "method": "=$.conf.verb", "uri": "={{$env[WHERE]}}/x", "headers.X": "=$.conf.raw", "headers.Y": "y" }"#,
        ),
    );
    let plan = plan_on(&text, &machine);
    let service = &handler(&plan, 0).choices[0].action.services[0];
    let Activity::Rest(rest) = &service.activity else {
        panic!("a rest activity");
    };
    assert_eq!(rest.method, http::Method::POST);
    assert_eq!(
        (rest.endpoint.port, rest.uri.as_str()),
        (81, "http://h:81/x")
    );
    assert_eq!(
        service.settings.to_json_text().unwrap(),
        r#"{"headers":{"X":"=1","Y":"y"},"method":"post","uri":"http://h:81/x"}"#
    );
    let text = with_action(
        action,
        &definition(r#"{ "method": "GET", "uri": "=$.payload.x", "a": 1, "a.b": 2 }"#),
    );
    refused_on(
        &text,
        &machine,
        "7:111: error: failed to resolve variable: 'payload' in scope; a setting is evaluated at the start: it sees `$.conf`, `$.env` and `$.async`, and no request
7:135: error: 'a.b' cannot be set: 'a' is of the kind float, not an object; a name with dots goes into objects: rename it, or give the object as a whole",
    );
}

#[test]
fn a_rest_activity_has_a_target_and_a_trust() {
    let activity = rest(
        r#"{ "method": "get", "uri": "https://h/p/:id?q=1", "timeout": "5", "proxy": "http://proxy:3128", "headers": { "n": 1 } }"#,
    );
    assert_eq!(activity.timeout, Some(Duration::from_secs(5)));
    assert_eq!(activity.proxy.expect("a proxy").port, 3128);
    assert!(activity.tls.verified && activity.tls.system_roots);
    assert_eq!(
        activity.target,
        [
            TargetPart::Literal("/p/".into()),
            TargetPart::Param("id".into()),
            TargetPart::Literal("?q=1".into())
        ]
    );
    assert_eq!(
        rest(r#"{ "method": "GET", "uri": "http://h", "timeout": 0 }"#).timeout,
        None
    );
}

#[test]
fn a_rest_activity_without_verification_is_a_warning() {
    for setting in [
        r#""skipSSLVerify": true"#,
        r#""sslConfig": { "skipVerify": "true" }"#,
    ] {
        let settings = format!(r#"{{ "method": "GET", "uri": "https://h", {setting} }}"#);
        let reading = read_on(
            &with_services(&service("rest", &settings)),
            &Host::default(),
        );
        assert!(lines(&reading).contains("warning: the server's certificate is not verified"));
        assert!(reading.plan.is_some());
    }
}

#[test]
fn the_files_of_tls_are_read_from_where_the_program_was_started() {
    const CERT: &str = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n";
    let machine = Host {
        files: [
            ("ca.pem", "CA".to_owned()),
            ("c.pem", CERT.to_owned()),
            ("k.pem", KEY.to_owned()),
        ]
        .into(),
        ..Host::default()
    };
    let settings = r#"{ "method": "GET", "uri": "https://h", "sslConfig": { "caFile": "file://ca.pem", "certFile": "c.pem", "keyFile": "k.pem", "useSystemCert": false } }"#;
    let Activity::Rest(rest) = activity(&with_services(&service("rest", settings)), &machine)
    else {
        panic!("a rest activity");
    };
    assert_eq!(rest.tls.authorities.as_deref(), Some("CA"));
    assert!(!rest.tls.system_roots);
    let identity = rest.tls.identity.expect("an identity");
    assert_eq!(
        (identity.certificates, identity.key),
        (CERT.into(), KEY.into())
    );
    let text = with_services(&service("log", "{}")).replace(
        "\"port\": \"9096\"",
        r#""port": 9096, "enableTLS": true, "certFile": "c.pem", "keyFile": "k.pem""#,
    );
    let plan = plan_on(&text, &machine);
    let tls = plan.listeners[0].tls.clone().expect("TLS");
    assert_eq!(
        (tls.pair.certificates.as_str(), tls.pair.key.reveal()),
        (CERT, KEY)
    );
    assert_eq!(
        plan.to_json()["listeners"][0]["tls"],
        serde_json::json!({ "cert": "c.pem", "key": "k.pem", "min": "1.2" }),
        "the files, and nothing of what they hold"
    );
    let report = lines(&read_on(&text, &Host::default()));
    assert!(
        report.contains("the file `c.pem` cannot be read"),
        "{report}"
    );
}

#[test]
fn the_four_modes_are_settings_of_the_machine() {
    let breaker = |settings: &str| {
        let text = with_services(&service("circuitbreaker", settings));
        match activity(&text, &Host::default()) {
            Activity::Breaker(breaker) => breaker.settings,
            other => panic!("{other:?}"),
        }
    };
    let seconds = Duration::from_secs;
    let settings = breaker("{}");
    assert_eq!(settings.cooldown.base, seconds(60));
    assert_eq!(settings.half_open.probes, Probes::Unlimited);
    let rule = |settings: &str| breaker(settings).trip[0];
    assert_eq!(
        rule(r#"{ "mode": "A", "threshold": "3", "timeout": 2.9 }"#),
        Rule::ConsecutiveFailures {
            threshold: 3,
            within: None
        }
    );
    assert_eq!(
        rule(r#"{ "mode": "b", "period": null }"#),
        Rule::Failures {
            threshold: 5,
            over: Over::Time(seconds(60)),
            full: false
        }
    );
    assert_eq!(
        rule(r#"{ "mode": "c", "threshold": 2, "period": 7 }"#),
        Rule::ConsecutiveFailures {
            threshold: 2,
            within: Some(seconds(7))
        }
    );
    assert_eq!(
        rule(r#"{ "mode": "d", "threshold": null }"#),
        Rule::Adaptive { memory: 5 }
    );
    let long = breaker(r#"{ "timeout": 9000000000000000 }"#);
    assert!(long.validate().is_ok());
}

#[test]
fn a_breaker_that_never_rejects_is_a_warning() {
    for settings in [r#"{ "timeout": 0 }"#, r#"{ "mode": "b", "period": 0 }"#] {
        let reading = read_on(
            &with_services(&service("circuitbreaker", settings)),
            &Host::default(),
        );
        assert!(lines(&reading).contains("the breaker never rejects a call"));
        let plan = reading.plan.expect("a plan");
        let Activity::Breaker(breaker) = &handler(&plan, 0).choices[0].action.services[0].activity
        else {
            panic!("a breaker");
        };
        assert_eq!(breaker.settings.mode, Mode::Disabled);
        assert!(breaker.settings.validate().is_ok());
    }
}

#[test]
fn a_repository_of_one_activity_is_refused_by_its_name() {
    let log = service("log", "{}");
    let grpc = log.replace(
        "project-flogo/contrib/activity/log",
        "project-flogo/grpc/activity",
    );
    refused(
        &with_services(&grpc),
        "7:77: error: the mode `` of the `grpc` activity is not supported; `grpc-to-grpc` runs, which passes calls on; others need code that is made from a `.proto` file: call an HTTP interface of the service with the `rest` activity",
    );
}

#[test]
fn limits_and_counters_are_checked() {
    let Activity::RateLimiter(limiter) = activity(
        &with_services(&service(
            "ratelimiter",
            r#"{ "limit": "100-M", "spikeThreshold": "2" }"#,
        )),
        &Host::default(),
    ) else {
        panic!("a rate limiter");
    };
    assert_eq!(
        (limiter.limit, limiter.window),
        (100, Duration::from_secs(60))
    );
    assert_eq!(
        (limiter.spike_threshold, limiter.decay_rate),
        (Some(2.0), 0.01)
    );
    for limit in ["100", "x-S", "0-S", "1-D", "-"] {
        let settings = format!(r#"{{ "limit": "{limit}" }}"#);
        let report = lines(&read_on(
            &with_services(&service("ratelimiter", &settings)),
            &Host::default(),
        ));
        assert!(
            report.contains(&format!("value '{limit}' is not valid for 'limit'")),
            "{report}"
        );
    }
    let Activity::Counter(counter) = activity(
        &with_services(&service(
            "counter",
            r#"{ "counterName": "n", "op": "increment" }"#,
        )),
        &Host::default(),
    ) else {
        panic!("a counter");
    };
    assert_eq!(counter.operation, CounterOperation::Increment);
    refused(
        &with_services(&service("counter", "{}")),
        "7:88: error: field 'counterName' is required; add `\"counterName\"` to the settings",
    );
}

#[test]
fn names_with_dots_need_objects_on_their_way() {
    let text = app(
        r#"{ "name": "P", "services": [ { "name": "S", "ref": "x/activity/log" } ], "steps": [
{ "service": "S", "input": { "a": 1, "a.b": 2, "c": { "d": 1 }, "c.e": "=$.payload" } } ] }"#,
    );
    refused(
        &text,
        "7:38: error: `a.b` cannot be set in `a`, which is not an object; a name with dots goes into objects: rename it, or give the object as a whole",
    );
    let plan = plan_of(&text.replace("\"a\": 1, ", ""));
    let input = &handler(&plan, 0).choices[0].action.steps[0].input;
    let names: Vec<String> = input.iter().map(|one| one.path.join(".")).collect();
    assert_eq!(names, ["a.b", "c", "c.e"]);
    assert!(matches!(input[2].value, Given::Expression(_)));
}

#[test]
fn a_plan_shows_handlers_and_no_secrets() {
    let text = app(
        r#"{ "name": "P", "services": [ { "name": "J", "ref": "x/activity/jwt", "settings": { "key": "s3cret" } }, { "name": "R", "ref": "x/activity/rest", "settings": { "method": "GET", "uri": "http://h/p?key=s3cret" } } ],
"steps": [ { "if": "$.payload.x == 1", "service": "J", "input": { "key": "s3cret", "token": "=$.payload.headers.Authorization" }, "halt": "false" } ],
"responses": [ { "error": true, "output": { "code": 401, "data": { "why": "s3cret" } } } ] }"#,
    )
    .replace("\"settings\": { \"uri\"", "\"settings\": { \"jwtKey\": \"s3cret\", \"uri\"");
    let shown = plan_of(&text).to_json();
    let run = &shown["routes"][0]["run"];
    assert_eq!(run["handler"], "rest GET /pets/:petId");
    let action = &run["actions"][0];
    assert_eq!(action["steps"][0]["if"], "$.payload.x == 1");
    assert_eq!(
        action["steps"][0]["input"]["token"],
        "=$.payload.headers.Authorization"
    );
    assert_eq!(action["services"]["R"]["uri"], "http://h/p");
    assert_eq!(action["responses"][0]["code"], 401);
    assert!(!shown.to_string().contains("s3cret"), "{shown:#}");
}

#[test]
fn two_triggers_with_one_path_have_routes_of_different_names() {
    let text = with_services(&service("log", "{}")).replace(
        "\"triggers\": [",
        r#""triggers": [ { "id": "other", "ref": "x/trigger/rest", "settings": { "port": 9097 }, "handlers": [ { "settings": { "method": "GET", "path": "/pets/:petId" }, "action": { "ref": "x/microgateway", "settings": { "uri": "microgateway:Pets" } } } ] },"#,
    );
    let plan = plan_of(&text);
    let names: Vec<&str> = plan.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["other GET /pets/:petId", "rest GET /pets/:petId"]);
    refused(
        &text.replace("9097", "9096"),
        "2:95: error: the trigger `other` also listens on port 9096; give each REST trigger a port of its own",
    );
    refused(
        &text.replace("\"other\"", "\"rest\""),
        "2:9: error: a trigger with id 'rest' already exists (line 1); give each trigger an id of its own",
    );
}

#[test]
fn a_small_file_does_not_become_a_large_plan() {
    let steps = vec![r#"{ "service": "S" }"#; 2_000].join(",");
    let inline = r#"{ "ref": "x/microgateway", "settings": { "uri": "microgateway:Pets" } }"#;
    let handlers: Vec<String> = (0..1_000)
        .map(|number| {
            format!(r#"{{ "settings": {{ "method": "GET", "path": "/{number}" }}, "action": {inline} }}"#)
        })
        .collect();
    let text = app(&format!(
        r#"{{ "name": "P", "steps": [ {steps} ], "services": [ {{ "name": "S", "ref": "x/activity/log" }} ] }}"#
    ))
    .replace("\"handlers\": [", &format!("\"handlers\": [ {},", handlers.join(",")));
    let reading = read_on(&text, &Host::default());
    assert!(reading.plan.is_none());
    assert!(lines(&reading).contains("the application's actions have more than 1000000 parts"));
}

#[test]
fn an_application_is_recognised_by_its_content() {
    let report = |text: &str| lines(&support::read_text(text));
    assert_eq!(
        report(r#"{"name": "app", "type": "flogo:app", "triggers": [], "resources": []}"#),
        "fb.yaml:1:1: error: no App version provided; add `\"version\"` to the application\n"
    );
}

#[test]
fn a_gateway_of_mashling_is_told_so_once() {
    let text =
        r#"{ "mashling_schema": "1.0", "gateway": { "triggers": [ { "port": "${env.PORT}" } ] } }"#;
    let reading = read_on(text, &Host::default());
    assert!(reading.plan.is_none());
    assert_eq!(reading.diagnostics.len(), 1, "{}", lines(&reading));
    assert!(
        lines(&reading).contains("a gateway of Mashling"),
        "{}",
        lines(&reading)
    );
}
