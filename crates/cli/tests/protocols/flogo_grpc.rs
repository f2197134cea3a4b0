//! A gRPC trigger of Flogo that passes its calls on, between grpcio on both sides.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::flogo::MICROGATEWAY;
use crate::support::{Gateway, python};

fn script(name: &str) -> Command {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/protocols")
        .join(name);
    let mut command = Command::new(python::program("python3"));
    command.arg(file).env("GRPC_VERBOSITY", "NONE");
    command
}

#[test]
fn a_grpc_trigger_passes_calls_on_with_their_status() {
    let mut server = script("grpc_server.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let stdout = server.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut port).unwrap();
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
                "settings": { "operatingMode": "grpc-to-grpc", "hosturl": format!("127.0.0.1:{}", port.trim()) },
            }],
        } }],
        "actions": [{ "id": "pass", "ref": MICROGATEWAY, "settings": { "uri": "microgateway:P" } }],
    });
    let gateway = Gateway::run(app.to_string());
    let calls = |scenario: &str| -> Vec<Value> {
        let mut client = script("grpc_client.py");
        let output = client.arg(gateway.addr().to_string()).args([scenario, "1"]);
        let text = String::from_utf8(output.output().unwrap().stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    };
    assert_eq!(calls("Echo"), [json!({ "code": 0, "body": "hello" })]);
    let failed = calls("Fail");
    assert_eq!(
        (&failed[0]["code"], &failed[0]["message"]),
        (&json!(14), &json!("as asked"))
    );
    assert_eq!(calls("streams")[0]["collected"], "a,b,c");
    server.kill().unwrap();
    server.wait().unwrap();
}
