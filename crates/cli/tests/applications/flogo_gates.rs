//! Guards of a Flogo application beside their native form: the same requests reach the service in both.

use crate::support::{Dial, Gateway, Program, Upstream};
use serde_json::json;

/// An application that calls the service for requests with a key alone, behind a breaker.
fn app(url: &str) -> String {
    json!({
        "name": "gates", "version": "1",
        "triggers": [{
            "id": "rest", "ref": "github.com/project-flogo/contrib/trigger/rest",
            "settings": { "port": 0 },
            "handlers": [
                {
                    "settings": { "method": "GET", "path": "/handler/:id" },
                    "actions": [
                        { "if": "$.headers.Auth == \"1337\"", "ref": "github.com/project-flogo/microgateway", "settings": { "uri": "microgateway:open" } },
                    ],
                },
                {
                    "settings": { "method": "GET", "path": "/step/:id" },
                    "actions": [{ "ref": "github.com/project-flogo/microgateway", "settings": { "uri": "microgateway:closed" } }],
                },
            ],
        }],
        "resources": [
            { "id": "microgateway:open", "data": definition(url, "") },
            { "id": "microgateway:closed", "data": definition(url, "$.payload.headers.Auth == \"1337\"") },
        ],
    })
    .to_string()
}

fn definition(url: &str, condition: &str) -> serde_json::Value {
    let mut definition = json!({
        "name": "D",
        "steps": [
            { "service": "CB" },
            { "if": condition, "service": "B", "input": { "pathParams": "=$.payload.pathParams" }, "halt": "false" },
            { "if": "$.B.error != nil", "service": "CB", "input": { "operation": "counter" } },
            { "if": "$.B.error == nil", "service": "CB", "input": { "operation": "reset" } },
        ],
        "responses": [
            { "error": true, "if": "$.CB.outputs.tripped == true", "output": { "code": 503, "data": { "e": "open" } } },
            { "error": false, "if": "$.B.outputs.status > 0", "output": { "code": "=$.B.outputs.status", "data": "=$.B.outputs.data" } },
            { "error": true, "if": "$.B.error == nil", "output": { "code": 403, "data": { "e": "no key" } } },
            { "error": true, "output": { "code": 502, "data": { "e": "down" } } },
        ],
        "services": [
            { "name": "CB", "ref": "github.com/project-flogo/microgateway/activity/circuitbreaker", "settings": { "threshold": 2, "timeout": 60 } },
            { "name": "B", "ref": "github.com/project-flogo/contrib/activity/rest", "settings": { "method": "GET", "timeout": 5, "uri": format!("{url}/p/:id") } },
        ],
    });
    if condition.is_empty() {
        definition["responses"].as_array_mut().unwrap().remove(2);
    }
    definition
}

/// The answers to all kinds of requests, first of a service that works, then of one that does not.
fn answers(gateway: &Gateway, service: &Dial) -> Vec<(u16, String)> {
    let ask = |path: &str, fields: &str| {
        let answer = gateway.client().request("GET", path, fields, "");
        (answer.status, answer.text().trim().to_owned())
    };
    let mut answers = Vec::new();
    let all = [
        "Auth: 1337\r\n",
        "",
        "Auth: 1338\r\n",
        "Auth: 1337\r\nAuth: 1337\r\n",
    ];
    for path in ["/handler/1", "/step/1"] {
        service.set(200);
        answers.extend(all.map(|fields| ask(path, fields)));
        service.set(0);
        answers.extend([all[0]; 4].map(|fields| ask(path, fields)));
    }
    answers
}

#[test]
fn a_key_that_a_condition_asks_for_is_asked_for_by_the_converted_route() {
    let (dial, service) = {
        let dial = Dial::at(200);
        let shown = dial.clone();
        // Without kept connections each request is sent once.
        let lines = "Content-Type: application/json\r\nConnection: close\r\n";
        let service = Upstream::start(move |call| match u16::try_from(shown.get()).unwrap() {
            0 => call.close(),
            status => call.respond_with(status, lines, "{\"n\":1}"),
        });
        (dial, service)
    };
    let text = app(&service.url());
    let before = Gateway::run(text.clone());
    let there = answers(&before, &dial);
    let called = service.calls();
    let converted = Program::new()
        .file("app.json", &text)
        .run(["convert", "app.json"]);
    assert_eq!((converted.code, &*converted.stderr), (Some(0), ""));
    let after = Gateway::run(converted.stdout.clone());
    assert_eq!(answers(&after, &dial), there, "{}", converted.stdout);
    assert_eq!(service.calls(), 2 * called);
    assert!(
        there.contains(&(403, "{\"e\":\"no key\"}".to_owned())),
        "{there:?}"
    );
}
