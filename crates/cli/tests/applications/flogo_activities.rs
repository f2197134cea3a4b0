//! Activities that judge and compute: GraphQL requests against a schema, scripts; and the documents of the swagger trigger.

use crate::support::flogo::{app, handler, single};
use crate::support::{Client, Gateway, Upstream};
use serde_json::{Value, json};

const GRAPHQL: &str = "github.com/project-flogo/microgateway/activity/graphql";
const SCRIPT: &str = "github.com/project-flogo/contrib/activity/jsexec";

/// The example of the activity, but for its schema and its address.
fn policed(upstream: &Upstream, schema: &str) -> Value {
    json!({
        "name": "Pets",
        "steps": [
            { "service": "GraphQL", "input": {
                "query": "=$.payload.content", "schemaFile": schema, "maxQueryDepth": 2,
            } },
            { "if": "$.GraphQL.outputs.valid == true", "service": "GraphQLQuery",
              "input": { "content": "=$.payload.content" } },
        ],
        "responses": [
            { "if": "$.GraphQL.outputs.error == true", "error": true,
              "output": { "code": 200, "data": { "error": "=$.GraphQL.outputs.errorMessage" } } },
            { "error": false, "output": { "code": 200, "data": {
                "response": "=$.GraphQLQuery.outputs.data",
                "validationMessage": "=$.GraphQL.outputs.validationMessage",
            } } },
        ],
        "services": [
            { "name": "GraphQLQuery", "ref": crate::support::flogo::REST, "settings": {
                "uri": format!("{}/graphql", upstream.url()), "method": "POST" } },
            { "name": "GraphQL", "ref": GRAPHQL, "settings": { "mode": "a" } },
        ],
    })
}

#[test]
fn a_graphql_request_is_judged_before_its_server_sees_it() {
    let upstream = Upstream::start(|call| call.respond(200, "served"));
    let dir = tempfile::tempdir().unwrap();
    let schema = dir.path().join("schema.graphql");
    std::fs::write(
        &schema,
        "type Query { station(id: Int!): Station } type Station { name: String! near: [Station!]! }",
    )
    .unwrap();
    let settings = json!({ "uri": "microgateway:Pets" });
    let definition = policed(&upstream, schema.to_str().unwrap());
    let app = app(
        json!([handler("POST", "/graphql", settings)]),
        &[("Pets", definition)],
    );
    let gateway = Gateway::run(app.to_string());
    let ask = |query: &str| {
        let body = json!({ "query": query }).to_string();
        let lines = "Content-Type: application/json\r\n";
        gateway
            .client()
            .request("POST", "/graphql", lines, &body)
            .json()
    };
    let valid = "query {station(id: 8000105) { name } }";
    assert_eq!(
        ask(valid),
        json!({
            "response": "served",
            "validationMessage": format!("Valid graphQL query. query = {{\"query\":\"{valid}\"}}\n type = Query \n queryDepth = 2"),
        })
    );
    assert_eq!(
        ask("query {station(id: 8000105) { cityname } }"),
        json!({ "error": "Not a valid graphQL request. Details: [graphql: Cannot query field \"cityname\" on type \"Station\". (line 1, column 31)]" })
    );
    assert_eq!(
        ask("{station(id: 1) {near { name } } }"),
        json!({ "error": "graphQL request query depth[3] is exceeded allowed maxQueryDepth[2]" })
    );
    // One that is long enough to be checked beside the worker.
    let long = format!("{{ station(id: 1) {{ {} }} }}", "name ".repeat(500));
    assert_eq!(ask(&long)["response"], "served");
    assert_eq!(upstream.calls(), 2);
}

fn scripted(script: &str) -> Value {
    json!({
        "name": "JS",
        "steps": [{ "service": "JS", "input": { "parameters.a": 1.0, "parameters.b": "=$.payload.queryParams.b" } }],
        "responses": [
            { "if": "$.JS.outputs.error == true", "error": true,
              "output": { "code": 500, "data": "=$.JS.outputs.errorMessage" } },
            { "error": false, "output": { "code": 200, "data": "=$.JS.outputs.result" } },
        ],
        "services": [{ "name": "JS", "ref": SCRIPT, "settings": { "script": script } }],
    })
}

#[test]
fn a_script_computes_its_result() {
    let sum = scripted("result.sum = parameters.a + Number(parameters.b)");
    let gateway = Gateway::run(single(sum).to_string());
    let response = gateway.get("/t?b=2");
    assert_eq!((response.status, &*response.text()), (200, "{\"sum\":3}\n"));
    assert_eq!(gateway.get("/t?b=x").text(), "json: unsupported value: NaN");
}

#[test]
fn a_script_that_never_ends_is_ended_and_delays_nobody() {
    let definitions = [
        ("endless", scripted("while (true) {}")),
        // A single operation of the engine that does not heed its end.
        ("stuck", scripted("new Array(4294967295).join('')")),
        ("sum", scripted("result.sum = parameters.a")),
    ];
    let handlers = definitions.iter().map(|(name, _)| {
        let settings = json!({ "uri": format!("microgateway:{name}") });
        handler("GET", &format!("/{name}"), settings)
    });
    let app = app(handlers.collect(), &definitions);
    let gateway = Gateway::run(app.to_string());
    for path in ["/endless", "/stuck"] {
        let mut waiting = gateway.client();
        waiting.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        // All workers answer meanwhile.
        for _ in 0..20 {
            assert_eq!(gateway.get("/sum").text(), "{\"sum\":1}\n");
        }
        let response = waiting.response();
        assert_eq!(
            (response.status, &*response.text()),
            (500, "the script did not end within 1 s"),
            "{path}"
        );
    }
}

#[test]
fn a_swagger_trigger_serves_its_documents_on_a_port_of_its_own() {
    let sum = scripted("result.sum = 1");
    let mut app = single(sum);
    let action = app["triggers"][0]["handlers"][0].clone();
    let docs = json!({
        "id": "docs", "ref": "github.com/project-flogo/contrib/trigger/swagger",
        "settings": { "port": 0, "description": "Docs" }, "handlers": [action],
    });
    app["triggers"].as_array_mut().unwrap().push(docs);
    let gateway = Gateway::run(app.to_string());
    let mut client = Client::to(gateway.addr_of("docs"));
    let response = client.get("/swagger/MyProxy");
    assert_eq!(response.status, 200);
    let media_type = response.fields.get("content-type");
    assert_eq!(media_type, Some("application/json; charset=UTF-8"));
    assert_eq!(response.json()["paths"]["/t"]["get"]["tags"][0], "MyProxy");
    assert_eq!(client.get("/swagger/none").status, 404);
    assert_eq!(gateway.get("/t").status, 200);
}

#[test]
fn a_websocket_is_passed_on_and_their_number_is_bounded() {
    let upstream = Upstream::start(|call| {
        assert_eq!(call.seen.target, "/socket?a=1");
        call.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        while let Ok(bytes) = call.wire().read_some() {
            if bytes.is_empty() || !call.send(bytes) {
                return;
            }
        }
    });
    let uri = upstream.url().replace("http://", "ws://") + "/socket";
    let app = json!({
        "name": "Test", "type": "flogo:app", "version": "1.0.0",
        "triggers": [{
            "id": "MyProxy", "ref": "github.com/project-flogo/websocket/trigger/wsserver", "settings": { "port": "0" },
            "handlers": [{ "settings": { "method": "GET", "path": "/ws", "mode": "2" }, "actions": [{ "id": "ws" }] }],
        }],
        "resources": [{ "id": "microgateway:ws", "data": {
            "name": "ws", "responses": [],
            "steps": [{ "service": "WSProxy", "input": { "wsconnection": "=$.payload.wsconnection" } }],
            "services": [{
                "name": "WSProxy", "ref": "github.com/project-flogo/websocket/activity/wsproxy",
                "settings": { "uri": uri, "maxconnections": "1" },
            }],
        } }],
        "actions": [{ "id": "ws", "ref": crate::support::flogo::MICROGATEWAY, "settings": { "uri": "microgateway:ws" } }],
    });
    let gateway = Gateway::run(app.to_string());
    let ask =
        "GET /ws?a=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut first = gateway.client();
    first.send(ask);
    assert_eq!(first.head().status, 101);
    first.send("hello");
    assert_eq!(first.wire.read_exactly(5).unwrap(), b"hello");
    let mut second = gateway.client();
    second.send(ask);
    assert_eq!(second.response().status, 503);
}
