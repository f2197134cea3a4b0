//! A gRPC trigger of Flogo that passes its calls on, between grpcio on both sides.

use serde_json::{Value, json};

use crate::grpc_peers::{Server, run};
use crate::support::Gateway;
use crate::support::flogo::MICROGATEWAY;

#[test]
fn a_grpc_trigger_passes_calls_on_with_their_status() {
    let server = Server::start();
    let app = json!({
        "name": "Test", "type": "flogo:app", "version": "1.0.0",
        "triggers": [{
            "id": "MyProxy", "ref": "github.com/project-flogo/grpc/trigger/grpc",
            "settings": { "port": "0", "protoName": "petstore" },
            "handlers": [{ "settings": { "serviceName": "T" }, "actions": [{ "id": "pass" }] }],
        }],
        "resources": [{ "id": "microgateway:P", "data": {
            "name": "P",
            "steps": [{ "service": "G", "input": { "grpcMthdParamtrs": "=$.payload.grpcData" } }],
            "responses": [{ "error": false, "output": { "code": 200, "data": "=$.G.outputs.body" } }],
            "services": [{
                "name": "G", "ref": "github.com/project-flogo/grpc/activity/grpc",
                "settings": { "operatingMode": "grpc-to-grpc", "hosturl": format!("127.0.0.1:{}", server.port) },
            }],
        } }],
        "actions": [{ "id": "pass", "ref": MICROGATEWAY, "settings": { "uri": "microgateway:P" } }],
    });
    let gateway = Gateway::run(app.to_string());
    let calls =
        |scenario: &str| -> Vec<Value> { run(&gateway.addr().to_string(), &[scenario, "1"]) };
    assert_eq!(calls("Echo"), [json!({ "code": 0, "body": "hello" })]);
    let failed = calls("Fail");
    assert_eq!(
        (&failed[0]["code"], &failed[0]["message"]),
        (&json!(14), &json!("as asked"))
    );
    assert_eq!(calls("streams")[0]["collected"], "a,b,c");
}
