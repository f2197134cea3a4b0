//! Flows of Flogo over HTTP: their results, their errors, and a breaker beside them.

use crate::support::{Dial, Gateway, Response, Setup, Upstream};
use serde_json::{Value, json};

const REST: &str = "github.com/project-flogo/contrib/activity/rest";
const RETURN: &str = "github.com/project-flogo/contrib/activity/actreturn";
const REPLY: &str = "github.com/project-flogo/contrib/activity/actreply";
const LOG: &str = "github.com/project-flogo/contrib/activity/log";

/// An application with a handler `GET /NAME/:id` for each flow.
fn app(flows: &[(&str, Value)]) -> Value {
    let handlers = flows.iter().map(|(name, _)| {
        json!({
            "settings": { "method": "GET", "path": format!("/{name}/:id") },
            "action": {
                "ref": "github.com/project-flogo/flow",
                "settings": { "flowURI": format!("res://flow:{name}") },
                "input": { "id": "=$.pathParams.id" },
            },
        })
    });
    let resources = flows
        .iter()
        .map(|(name, flow)| json!({ "id": format!("flow:{name}"), "data": flow }));
    json!({
        "name": "flows", "type": "flogo:app", "version": "1.0.0",
        "triggers": [{
            "id": "rest", "ref": "github.com/project-flogo/contrib/trigger/rest",
            "settings": { "port": 0 }, "handlers": handlers.collect::<Vec<_>>(),
        }],
        "resources": resources.collect::<Vec<_>>(),
    })
}

fn task(id: &str, activity: &str, settings: &Value, input: &Value) -> Value {
    json!({ "id": id, "name": id.to_uppercase(), "activity": { "ref": activity, "settings": settings, "input": input } })
}

fn returns(id: &str, code: u16, data: &Value) -> Value {
    task(
        id,
        RETURN,
        &json!({ "mappings": { "code": code, "data": data } }),
        &json!({}),
    )
}

/// A call of the path `/p/ID`.
fn call(url: &str) -> Value {
    let settings = json!({ "method": "GET", "uri": format!("{url}/p/:id"), "timeout": 5 });
    task(
        "call",
        REST,
        &settings,
        &json!({ "pathParams": { "mapping": { "id": "=$flow.id" } } }),
    )
}

fn upstream(status: &Dial) -> Upstream {
    let status = status.clone();
    Upstream::start(move |call| match u16::try_from(status.get()).unwrap() {
        0 => call.close(),
        status => call.respond_with(status, "Content-Type: application/json\r\n", r#"{"n":1}"#),
    })
}

#[track_caller]
fn answers(response: &Response, status: u16, body: &str) {
    assert_eq!((response.status, response.text().trim()), (status, body));
}

#[test]
fn a_flow_follows_the_links_whose_conditions_hold() {
    let service = upstream(&Dial::at(200));
    let flow = json!({
        "name": "Pets", "metadata": { "input": [{ "name": "id", "type": "integer" }] },
        "tasks": [
            task("log", LOG, &json!({}), &json!({ "message": "=$flow.id" })),
            call(&service.url()),
            returns("many", 200, &json!({ "mapping": { "n": "=$activity[call].data.n", "next": "=$flow.id + 1" } })),
            returns("few", 404, &json!("none")),
        ],
        "links": [
            { "from": "log", "to": "call" },
            { "from": "call", "to": "many", "type": "expression", "value": "$flow.id > 5 && $activity[call].status == 200" },
            { "from": "call", "to": "few", "type": "exprOtherwise" },
        ],
    });
    let gateway = Gateway::run(app(&[("pets", flow)]).to_string());
    answers(&gateway.get("/pets/7"), 200, r#"{"n":1,"next":8}"#);
    assert_eq!(service.last().target, "/p/7");
    answers(&gateway.get("/pets/3"), 404, "none");
    // The input is converted to the declared type.
    let wrong = gateway.get("/pets/x");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("parsing \"x\""), "{}", wrong.text());
}

#[test]
fn an_error_takes_its_link_else_the_handler_else_ends_the_flow() {
    let service = upstream(&Dial::at(0));
    let tasks = |more: Value| json!([call(&service.url()), returns("ok", 200, &json!("ok")), more]);
    let message = json!({ "mapping": { "of": "=$error[call].activity", "is": "=error.isneterror($error[call])" } });
    let linked = json!({
        "name": "Linked", "tasks": tasks(returns("bad", 502, &message)),
        "links": [{ "from": "call", "to": "ok" }, { "from": "call", "to": "bad", "type": "error" }],
    });
    let handled = json!({
        "name": "Handled", "tasks": [call(&service.url()), returns("ok", 200, &json!("ok"))],
        "links": [{ "from": "call", "to": "ok" }],
        "errorHandler": { "tasks": [returns("bad", 503, &json!("=string.contains($error.message, \"Get \")"))] },
    });
    let failing = json!({ "name": "Failing", "tasks": [call(&service.url())] });
    let text = app(&[
        ("linked", linked),
        ("handled", handled),
        ("failing", failing),
    ])
    .to_string();
    let gateway = Gateway::run(text);
    answers(
        &gateway.get("/linked/1"),
        502,
        r#"{"is":false,"of":"call"}"#,
    );
    answers(&gateway.get("/handled/1"), 503, "true");
    let failed = gateway.get("/failing/1");
    assert_eq!(failed.status, 400);
    assert!(
        failed.text().starts_with("Get \"http://"),
        "{}",
        failed.text()
    );
}

#[test]
fn the_first_reply_is_the_answer_whatever_follows() {
    let service = upstream(&Dial::at(0));
    let reply = task(
        "reply",
        REPLY,
        &json!({ "mappings": { "code": 202, "data": "taken" } }),
        &json!({}),
    );
    let flow = json!({
        "name": "Reply", "tasks": [reply, call(&service.url())],
        "links": [{ "from": "reply", "to": "call" }],
    });
    let gateway = Gateway::run(app(&[("reply", flow)]).to_string());
    answers(&gateway.get("/reply/1"), 202, "taken");
    assert_eq!(service.calls(), 1);
}

#[test]
fn a_flow_without_a_return_has_its_declared_outputs() {
    let flow = json!({
        "name": "Declared",
        "metadata": {
            "input": [{ "name": "id", "type": "string" }, { "name": "data", "type": "string", "value": "default" }],
            "output": [{ "name": "data", "type": "string" }, { "name": "code", "type": "integer", "value": 201 }],
        },
        "tasks": [task("log", LOG, &json!({}), &json!({ "message": "x" }))],
    });
    let gateway = Gateway::run(app(&[("declared", flow)]).to_string());
    answers(&gateway.get("/declared/1"), 201, "default");
}

#[test]
fn a_native_file_puts_a_breaker_before_a_flows_call() {
    let dial = Dial::at(503);
    let service = upstream(&dial);
    let flow = json!({
        "name": "Pets",
        "tasks": [call(&service.url()), returns("ok", 200, &json!("=$activity[call].status")), returns("bad", 502, &json!("=$error[call].message"))],
        "links": [{ "from": "call", "to": "ok" }, { "from": "call", "to": "bad", "type": "error" }],
    });
    let guards =
        "upstreams:\n  call: { breaker: { trip: { consecutive_failures: 2 }, cooldown: 60s } }\n";
    let text = app(&[("pets", flow)]).to_string();
    let gateway = Setup::new(text)
        .workers(1)
        .beside("guards.yaml", guards)
        .start();
    // An answer is judged, though the flow takes it for a success.
    answers(&gateway.get("/pets/1"), 200, "503");
    answers(&gateway.get("/pets/1"), 200, "503");
    let refused = gateway.get("/pets/1");
    assert_eq!(refused.status, 502);
    assert!(
        refused.text().contains("refused the call"),
        "{}",
        refused.text()
    );
    assert_eq!((service.calls(), &*gateway.state("call")), (2, "open"));
}

#[test]
fn a_script_is_a_task_too() {
    let script = "github.com/project-flogo/contrib/activity/jsexec";
    let settings = json!({ "script": "result.twice = Number(parameters.id) * 2" });
    let input = json!({ "parameters": { "mapping": { "id": "=$flow.id" } } });
    let flow = json!({
        "name": "Script",
        "tasks": [task("js", script, &settings, &input), returns("ok", 200, &json!("=$activity[js].result.twice"))],
        "links": [{ "from": "js", "to": "ok" }],
    });
    let gateway = Gateway::run(app(&[("script", flow)]).to_string());
    answers(&gateway.get("/script/21"), 200, "42");
}
