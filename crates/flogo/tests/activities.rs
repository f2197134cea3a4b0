//! Activities and triggers beside REST: schemas, scripts, documents; what is read, what is said, what converting gives.

mod support;

use std::collections::HashMap;

use fusebox_flogo::{Activity, App};
use fusebox_plan::{Plan, Source};
use serde_json::{Value, json};
use support::{Machine, convert, lines, read_with};

const TRIGGER: &str = "github.com/project-flogo/contrib/trigger/rest";
const MICROGATEWAY: &str = "github.com/project-flogo/microgateway";

/// An application of one handler, whose steps are before a call.
fn app(steps: &Value, service: &Value) -> String {
    let mut steps = steps.as_array().expect("a list of steps").clone();
    let passes = match service["settings"].get("script") {
        Some(_) => "$.S.outputs.error == false",
        None => "$.S.outputs.valid == true",
    };
    steps.push(json!({ "if": passes, "service": "Call" }));
    let call = json!({ "name": "Call", "ref": "x/activity/rest",
        "settings": { "uri": "http://127.0.0.1:9/pets", "method": "GET", "timeout": 1 } });
    json!({ "name": "A", "version": "1.0.0", "type": "flogo:app",
        "triggers": [{ "id": "t", "ref": TRIGGER, "settings": { "port": 9096 }, "handlers": [{
            "settings": { "method": "GET", "path": "/x" },
            "action": { "ref": MICROGATEWAY, "settings": { "uri": "microgateway:P", "file": "own.graphql" } } }] }],
        "resources": [{ "id": "microgateway:P", "data": {
            "name": "P", "steps": steps,
            "responses": [{ "error": false, "output": { "data": "=$.Call.outputs.data" } }],
            "services": [service, call] } }] })
    .to_string()
}

fn machine(files: &[(&'static str, &'static str)]) -> Machine {
    Machine {
        files: files.iter().copied().collect::<HashMap<_, _>>(),
        ..Machine::default()
    }
}

fn program(plan: &Plan) -> &App {
    plan.app
        .as_deref()
        .and_then(|app| app.of::<App>())
        .expect("a Flogo application")
}

/// What is said of an application, without places.
fn said(text: &str, machine: &Machine) -> String {
    let all = lines(&read_with(text, machine));
    let said = all.lines().filter_map(|line| line.split_once(": "));
    said.map(|(_, said)| format!("{said}\n")).collect()
}

fn graphql(name: &str, input: &Value) -> String {
    let service =
        json!({ "name": "S", "ref": format!("x/activity/{name}"), "settings": { "mode": "a" } });
    app(&json!([{ "service": "S", "input": input }]), &service)
}

#[test]
fn the_schema_that_a_step_names_is_read_with_the_application() {
    let files = [
        ("own.graphql", "type Query { a: Int }"),
        ("s", "type Query { b: Int }"),
    ];
    let machine = machine(&files);
    for (given, text) in [
        ("own.graphql", files[0].1),
        ("file://s", files[1].1),
        ("=$.conf.file", files[0].1),
    ] {
        let input =
            json!({ "query": "=$.payload.content", "schemaFile": given, "maxQueryDepth": 2 });
        for name in ["graphql", "gql"] {
            let text_of_app = graphql(name, &input);
            assert_eq!(said(&text_of_app, &machine), "", "{given}");
            let plan = read_with(&text_of_app, &machine).plan.unwrap();
            let app = program(&plan);
            let Activity::GraphQl(activity) = &app.actions()[0].services[0].activity else {
                panic!("not the activity");
            };
            let schemas: Vec<_> = activity.schemas.values().collect();
            assert_eq!(schemas, [&Ok(text.into())], "{given}");
        }
    }
}

#[test]
fn a_schema_that_cannot_be_used_is_a_warning_and_one_that_a_request_chooses_an_error() {
    let files = [
        ("bad", "type Query { a: Nope }"),
        ("broken", "type Query {"),
    ];
    let machine = machine(&files);
    for (given, expected) in [
        (
            json!({ "schemaFile": "none" }),
            "warning: the schema `none` cannot be read: no such file; correct it: until then every request is refused with this\n",
        ),
        (
            json!({ "schemaFile": "bad" }),
            "warning: the schema `bad` cannot be used: Unknown type \"Nope\".; correct it: until then every request is refused with this\n",
        ),
        (
            json!({ "schemaFile": "broken" }),
            "warning: the schema `broken` cannot be used: syntax error: Unexpected end of input, Expected Name (line 1, column 13); correct it: until then every request is refused with this\n",
        ),
        (
            json!({}),
            "warning: the step of `S` has no `schemaFile`; name a file: without a schema every request is refused\n",
        ),
        (
            json!({ "schemaFile": "=$.payload.queryParams.file" }),
            "error: `schemaFile` must be known at the start: failed to resolve variable: 'payload' in scope; name a file, or take it from `$.conf`, `$env[NAME]` or `$property[NAME]`: no request may choose one\n",
        ),
    ] {
        assert_eq!(
            said(&graphql("graphql", &given), &machine),
            expected,
            "{given}"
        );
    }
}

fn script(name: &str, text: &str) -> String {
    let service = json!({ "name": "S", "ref": name, "settings": { "script": text } });
    app(
        &json!([{ "service": "S", "input": { "parameters.a": 1 } }]),
        &service,
    )
}

#[test]
fn a_script_is_compiled_when_it_is_read() {
    let machine = Machine::default();
    for name in [
        "x/activity/jsexec",
        "x/activity/js",
        "github.com/project-flogo/jsexec",
    ] {
        assert_eq!(
            said(&script(name, "result.sum = parameters.a"), &machine),
            "",
            "{name}"
        );
    }
    assert_eq!(
        said(&script("x/activity/js", "result.sum = "), &machine),
        "warning: the script does not compile: SyntaxError: unexpected token in expression: '' at JSServiceScript:1:14; correct it: until then every run has this as its `errorMessage`\n"
    );
    let misspelt = script("x/activity/js", "").replace("parameters.a", "params");
    assert!(said(&misspelt, &machine).contains("`params`"));
}

#[test]
fn converting_names_the_checks_and_scripts_that_are_lost() {
    let converted = |text: &str, lossy: bool| {
        let machine = Machine {
            lossy,
            ..machine(&[("own.graphql", "type Query { a: Int }")])
        };
        let source = Source {
            name: "app.json",
            text: text.as_bytes(),
        };
        let conversion = convert(&[source], &machine);
        let said: Vec<String> = conversion
            .diagnostics
            .iter()
            .map(ToString::to_string)
            .collect();
        (conversion.yaml, said.join("\n"))
    };
    let check = graphql(
        "graphql",
        &json!({ "query": "=$.payload.content", "schemaFile": "own.graphql", "maxQueryDepth": 2 }),
    );
    for (text, words) in [
        (
            check,
            "the step of `S`: the check of GraphQL requests has no native form",
        ),
        (
            script("x/activity/js", "result.a = 1"),
            "the step of `S`: the script has no native form",
        ),
    ] {
        let (yaml, said) = converted(&text, false);
        assert!(
            yaml.is_none() && said.contains(words) && said.contains("error"),
            "{said}"
        );
        let (yaml, said) = converted(&text, true);
        let yaml = yaml.unwrap();
        assert!(
            yaml.contains(words) && !said.contains("error:"),
            "{said}\n{yaml}"
        );
    }
}

fn documented(reference: &str) -> String {
    let handler = |method: &str, path: &str| {
        json!({ "settings": { "method": method, "path": path },
            "actions": [{ "ref": MICROGATEWAY, "settings": { "uri": "microgateway:P" } }] })
    };
    json!({ "name": "swagger", "version": "1.0.0", "description": "This is a simple proxy.", "type": "flogo:app",
        "triggers": [
            { "id": "swagdocs", "ref": reference, "settings": { "port": "1234", "description": "Docs" },
              "handlers": [handler("GET", "/{triggerName}/swagger")] },
            { "id": "MyProxy", "ref": TRIGGER, "settings": { "port": "9096", "description": "Pets" },
              "handlers": [handler("GET", "/pets/:petId"), handler("PUT", "/pets/:petId"), handler("GET", "/all/*rest")] }],
        "resources": [{ "id": "microgateway:P", "data": {
            "name": "P", "steps": [{ "service": "L", "input": { "message": "x" } }], "responses": [],
            "services": [{ "name": "L", "ref": "x/activity/log" }] } }] })
    .to_string()
}

#[test]
fn a_swagger_trigger_answers_with_documents_about_the_triggers() {
    for reference in [
        "github.com/project-flogo/contrib/trigger/swagger",
        "github.com/project-flogo/core/swagger",
    ] {
        let reading = read_with(&documented(reference), &Machine::default());
        let plan = reading.plan.unwrap();
        let routes: Vec<_> = plan
            .routes
            .iter()
            .map(|it| (&*it.name, &*it.path))
            .collect();
        let paths = ["/swagger", "/swagger/swagdocs", "/swagger/MyProxy"];
        for path in paths {
            assert!(routes.iter().any(|(_, it)| *it == path), "{routes:?}");
        }
        let app = program(&plan);
        let document = |path: &str| -> Value {
            let name = format!("swagdocs GET {path}");
            let handler = app.handlers.iter().find(|it| *it.name == *name).unwrap();
            let response = &handler.choices[0].action.responses[0];
            let Some(fusebox_flogo::Data::One(fusebox_flogo::Given::Literal(text))) =
                &response.data
            else {
                panic!("no document");
            };
            serde_json::from_str(&text.to_text()).unwrap()
        };
        let described = |tag: &str, description: &str, names: &[&str]| {
            let parameters = names.iter().map(
                |name| json!({ "in": "path", "name": name, "required": true, "type": "string" }),
            );
            json!({ "description": description, "parameters": parameters.collect::<Vec<_>>(), "tags": [tag],
                "responses": { "200": { "description": description }, "default": { "description": "error" } } })
        };
        assert_eq!(
            document("/swagger/MyProxy"),
            json!({
                "swagger": "2.0", "host": "localhost:9096",
                "info": { "title": "swagger", "version": "1.0.0", "description": "This is a simple proxy." },
                "paths": {
                    "/pets/{petId}": {
                        "get": described("MyProxy", "Pets", &["petId"]),
                        "put": described("MyProxy", "Pets", &["petId"]),
                    },
                    "/all/{rest}": { "get": described("MyProxy", "Pets", &["rest"]) },
                },
            })
        );
        let own = document("/swagger/swagdocs");
        assert_eq!(own["host"], "localhost:1234");
        assert_eq!(
            own["paths"]["/{triggerName}/swagger"]["get"]["tags"][0],
            "swagdocs"
        );
        let all = document("/swagger");
        assert_eq!(all.get("host"), None);
        assert_eq!(all["paths"].as_object().unwrap().len(), 3);
    }
}

#[test]
fn documents_are_carried_over_and_their_handlers_named() {
    let text = documented("github.com/project-flogo/contrib/trigger/swagger");
    let said = said(&text, &Machine::default());
    assert!(
        said.contains("warning: the action of a swagger trigger's handler never runs"),
        "{said}"
    );
    let source = Source {
        name: "app.json",
        text: text.as_bytes(),
    };
    let yaml = convert(&[source], &Machine::default()).yaml.unwrap();
    assert!(yaml.contains("path: \"/swagger/MyProxy\""), "{yaml}");
    assert!(yaml.contains("This is a simple proxy."), "{yaml}");
}

fn sockets(handler: &Value, steps: &Value, service: &Value) -> String {
    json!({ "name": "ws", "version": "1.0.0", "type": "flogo:app",
        "triggers": [{ "id": "ws", "ref": "github.com/project-flogo/websocket/trigger/wsserver",
            "settings": { "port": "9096", "enableTLS": false, "serverCert": "", "enableClientAuth": false },
            "handlers": [{ "settings": handler, "actions": [{ "id": "proxy" }] }] }],
        "resources": [{ "id": "microgateway:P", "data": {
            "name": "P", "steps": steps, "responses": [], "services": [{
                "name": "WSProxy", "ref": "github.com/project-flogo/websocket/activity/wsproxy",
                "settings": service }] } }],
        "actions": [{ "id": "proxy", "ref": MICROGATEWAY, "settings": { "uri": "microgateway:P" } }] })
    .to_string()
}

#[test]
fn a_websocket_trigger_whose_connections_are_passed_on_is_a_native_route() {
    let handler = json!({ "method": "GET", "path": "/ws/{id}", "mode": "2" });
    let steps =
        json!([{ "service": "WSProxy", "input": { "wsconnection": "=$.payload.wsconnection" } }]);
    let service = json!({ "uri": "ws://localhost:8080/ws", "maxconnections": "2" });
    let text = sockets(&handler, &steps, &service);
    assert_eq!(said(&text, &Machine::default()), "");
    let plan = read_with(&text, &Machine::default()).plan.unwrap();
    assert_eq!(plan.listeners[0].manner, fusebox_plan::plan::Manner::Native);
    let [route] = &plan.routes[..] else {
        panic!("one route")
    };
    assert_eq!((&*route.path, &*route.name), ("/ws/{id}", "ws GET /ws/:id"));
    let [upstream] = &plan.upstreams[..] else {
        panic!("one upstream")
    };
    assert_eq!(
        (&*upstream.name, upstream.endpoint().url()),
        ("P/WSProxy", "http://localhost:8080".to_owned())
    );
    let source = Source {
        name: "app.json",
        text: text.as_bytes(),
    };
    let yaml = convert(&[source], &Machine::default()).yaml.unwrap();
    for line in [
        "url: \"http://localhost:8080\"",
        "rewrite: \"/ws\"",
        "concurrent: 2",
    ] {
        assert!(yaml.contains(line), "{line}\n{yaml}");
    }
}

#[test]
fn a_websocket_trigger_that_does_more_is_refused() {
    let handler = |mode: &str| json!({ "method": "GET", "path": "/ws", "mode": mode });
    let pass = json!([{ "service": "WSProxy" }]);
    let service = json!({ "uri": "wss://localhost/ws" });
    for (text, expected) in [
        (
            sockets(&handler("1"), &pass, &service),
            "error: mode 1 of a websocket trigger, an action for each message, is not supported; mode \"2\" with the activity `wsproxy` runs; run others where they ran\n",
        ),
        (
            sockets(
                &handler("2"),
                &json!([{ "service": "WSProxy", "if": "$.payload.headers.A == \"b\"" }]),
                &service,
            ),
            "error: the action `P` does more than pass its requests on; of a websocket trigger's handlers those run whose only step is `wsproxy`; run others where they ran\n",
        ),
        (
            sockets(
                &handler("2"),
                &pass,
                &json!({ "uri": "http://localhost/ws" }),
            ),
            "error: value 'http://localhost/ws' is not valid for 'uri'; write `ws://HOST/PATH` or `wss://HOST/PATH`\n",
        ),
        (
            sockets(
                &handler("2"),
                &pass,
                &json!({ "uri": "ws://localhost/ws", "maxconnections": "0" }),
            ),
            "error: value '0' is not valid for 'maxconnections'; give the most connections at once, 1 or more\n",
        ),
        (
            sockets(&json!({ "method": "GET", "path": "/ws" }), &pass, &service)
                .replace("websocket/trigger/wsserver", "contrib/trigger/rest"),
            "error: `WSProxy` passes on the connection of a websocket trigger, which this is not; give the action to a handler of `…/trigger/wsserver`\n",
        ),
    ] {
        assert_eq!(said(&text, &Machine::default()), expected);
    }
}

fn calls(reference: (&str, &str), handlers: &Value, settings: &Value, response: &Value) -> String {
    json!({ "name": "g", "version": "1.0.0", "type": "flogo:app",
        "triggers": [{ "id": "rpc", "ref": reference.0,
            "settings": { "port": "9096", "protoName": "petstore" }, "handlers": handlers }],
        "resources": [{ "id": "microgateway:P", "data": {
            "name": "P", "steps": [{ "service": "G", "input": { "grpcMthdParamtrs": "=$.payload.grpcData" } }],
            "responses": [
                { "if": "$.G.outputs.body.error == 'true'", "error": true,
                  "output": { "code": 404, "data": "=$.G.outputs.body.details" } },
                { "error": false, "output": { "code": 200, "data": response } },
            ],
            "services": [{ "name": "G", "ref": reference.1, "settings": settings }] } }],
        "actions": [{ "id": "pass", "ref": MICROGATEWAY, "settings": { "uri": "microgateway:P" } }] })
    .to_string()
}

const GRPC: (&str, &str) = (
    "github.com/project-flogo/grpc/trigger/grpc",
    "github.com/project-flogo/grpc/activity/grpc",
);

#[test]
fn a_grpc_trigger_whose_calls_are_passed_on_is_a_native_route() {
    let passes = json!([{ "id": "pass" }]);
    let handlers = json!([
        { "settings": { "serviceName": "PetStoreService" }, "actions": passes },
        { "settings": { "serviceName": "PetStoreService", "methodName": "PetById" }, "actions": passes },
    ]);
    let settings = json!({ "operatingMode": "grpc-to-grpc", "hosturl": "localhost:9000" });
    let whole = json!("=$.G.outputs.body");
    let older = (
        "github.com/project-flogo/grpc/trigger",
        "github.com/project-flogo/grpc/activity",
    );
    for reference in [GRPC, older] {
        let text = calls(reference, &handlers, &settings, &whole);
        assert_eq!(said(&text, &Machine::default()), "", "{reference:?}");
        let plan = read_with(&text, &Machine::default()).plan.unwrap();
        let [listener] = &plan.listeners[..] else {
            panic!("one listener")
        };
        assert_eq!(listener.http2(), fusebox_plan::plan::Http2::Cleartext);
        let paths: Vec<&str> = plan.routes.iter().map(|it| &*it.path).collect();
        assert_eq!(paths, ["/{service}/{method}", "/{service}/PetById"]);
        let [upstream] = &plan.upstreams[..] else {
            panic!("one upstream")
        };
        assert_eq!(upstream.http, fusebox_plan::plan::HttpVersion::Two);
    }
    let text = calls(GRPC, &handlers, &settings, &whole);
    let source = Source {
        name: "app.json",
        text: text.as_bytes(),
    };
    let yaml = convert(&[source], &Machine::default()).yaml.unwrap();
    for line in [
        "http2: cleartext",
        "http: \"2\"",
        "url: \"http://localhost:9000\"",
        "path: \"/{service}/PetById\"",
    ] {
        assert!(yaml.contains(line), "{line}\n{yaml}");
    }
}

#[test]
fn a_grpc_trigger_that_does_more_is_refused() {
    let handlers = json!([{ "settings": {}, "actions": [{ "id": "pass" }] }]);
    let settings = json!({ "operatingMode": "grpc-to-grpc", "hosturl": "localhost:9000" });
    let whole = json!("=$.G.outputs.body");
    let of = |settings: &Value, response: &Value| {
        said(
            &calls(GRPC, &handlers, settings, response),
            &Machine::default(),
        )
    };
    let own = of(&settings, &json!({ "pet": "=$.G.outputs.body.name" }));
    assert!(
        own.contains("the action `P` does more than pass its requests on"),
        "{own}"
    );
    let rest = of(
        &json!({ "operatingMode": "rest-to-grpc", "hosturl": "localhost:9000" }),
        &whole,
    );
    assert!(
        rest.contains("the mode `rest-to-grpc` of the `grpc` activity is not supported"),
        "{rest}"
    );
    let tls = of(
        &json!({ "operatingMode": "grpc-to-grpc", "hosturl": "a:1", "enableTLS": true }),
        &whole,
    );
    assert!(
        tls.contains("`enableTLS` of the `grpc` activity is not supported"),
        "{tls}"
    );
}
