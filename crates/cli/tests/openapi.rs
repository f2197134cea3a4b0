//! The OpenAPI description: how it is had, that answers keep to it, and that schemathesis finds no failure by it.
//!
//! Here the schemas are strict: a member that is not described is a fault.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use fusebox_store::testing::Server;
use serde_json::{Value, json};
use support::{
    Dial, Gateway, Program, Refusing, Setup, Stream, Upstream, eventually, mule, orders, python,
};
use tempfile::TempDir;

const TOKENS: &str = "admin: { token: s3cret, read_token: r3ad }\n";
const BREAKERS: &str = "/api/v1/breakers";
/// The flow's breaker of the example.
const FLOW: &str = "circuit-breaker-store%2Fcircuit-state";

fn description() -> Value {
    let printed = Program::new().run(["openapi"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    serde_json::from_str(&printed.stdout).unwrap()
}

/// Closes every schema that has members and does not say whether there may be others.
fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("properties") && members.contains_key("type") {
                let none = || json!(false);
                members.entry("additionalProperties").or_insert_with(none);
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn strict() -> Value {
    let mut document = description();
    close(&mut document);
    document
}

/// A file with an upstream of two endpoints, with all that may stand around them, and one without a breaker of its own.
fn file(good: &Upstream, bad: &Refusing) -> String {
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    endpoints: [{{ url: {} }}, {{ url: {}, weight: 2 }}]
    health: {{ path: /healthz, interval: 1s, fall: 1 }}
    ejection: {{ consecutive_failures: 1, for: 60s }}
    bulkhead: {{ concurrent: 8, queued: 2, queue_for: 1s }}
    retry: {{ attempts: 2 }}
    fallback: [{{ last_good: 1h }}, {{ respond: {{ status: 200, json: {{ kind: none }} }} }}]
    breaker:
      trip: [{{ consecutive_failures: 50 }}, {{ failure_rate: 50%, slow_rate: 80%, slower_than: 2s, over: 10s }}]
      ramp: {{ over: 10m, from: 5% }}
  search:
    url: {}
    breaker: {{ key: \"{{header.x-tenant}}\", trip: {{ consecutive_failures: 1 }}, cooldown: 60s }}
  shed:
    url: {}
    breaker: {{ trip: {{ adaptive: {{}} }}, mode: monitor }}
routes:
  - {{ path: \"/orders/{{*rest}}\", upstream: orders }}
  - {{ path: \"/search\", upstream: search }}
  - {{ path: \"/shed\", upstream: shed }}
",
        good.url(),
        bad.url(),
        bad.url(),
        good.url(),
    )
}

/// A gateway to which much has happened: calls, failures, a trip, an ejection, a hold and a ramp.
fn eventful(more: &str) -> (Gateway, Upstream, Refusing) {
    let good = Upstream::dialled(&Dial::at(200));
    let bad = Refusing::new();
    let gateway = Gateway::run(file(&good, &bad) + more);
    for path in ["/orders/1", "/orders/2", "/orders/3", "/search", "/shed"] {
        gateway.get(path);
    }
    (gateway, good, bad)
}

/// A failure is a line of this.
fn validate(document: &Value, cases: &[(String, Value, Value)]) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/validate.py");
    let mut python = Command::new(python::program("python3"))
        .args([&script, &file])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    for (what, schema, instance) in cases {
        let case = json!({ "what": what, "schema": schema, "instance": instance });
        writeln!(input, "{case}").unwrap();
    }
    drop(input);
    let done = python.wait_with_output().unwrap();
    let faults = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{faults}");
}

/// Answers of a gateway, with the schemas that the description gives them.
struct Answers<'a> {
    document: &'a Value,
    cases: Vec<(String, Value, Value)>,
}

impl Answers<'_> {
    /// Asks for a path, which is described as another one.
    #[track_caller]
    fn ask(&mut self, of: &Gateway, status: u16, request: &str, described: &str, body: &str) {
        let (method, path) = request.split_once(' ').unwrap();
        let lines = "Authorization: Bearer s3cret\r\nContent-Type: application/json\r\n";
        let answer = of.admin().request(method, path, lines, body);
        assert_eq!(answer.status, status, "{request}: {}", answer.text());
        let operation = &self.document["paths"][described][method.to_lowercase()];
        let content = &operation["responses"][status.to_string()]["content"];
        let schema = &content[answer.fields.get("content-type").unwrap_or_default()]["schema"];
        assert!(schema.is_object(), "{request}: {status} is not described");
        self.cases
            .push((request.to_owned(), schema.clone(), answer.json()));
    }

    /// Asks for what has no parameters.
    #[track_caller]
    fn get(&mut self, of: &Gateway, path: &str) {
        self.ask(of, 200, &format!("GET {path}"), path, "");
    }

    /// Gives a breaker all commands, and shows it after each.
    #[track_caller]
    fn command(&mut self, of: &Gateway, name: &str, commands: &[(&str, u16, &str)]) {
        for (word, status, body) in commands {
            let request = format!("POST {BREAKERS}/{name}/{word}");
            let described = format!("{BREAKERS}/{{name}}/{word}");
            self.ask(of, *status, &request, &described, body);
            self.show(of, name);
            self.get(of, "/api/v1/state");
        }
    }

    #[track_caller]
    fn show(&mut self, of: &Gateway, name: &str) {
        let name = name.replace('/', "%2F");
        let described = format!("{BREAKERS}/{{name}}");
        self.ask(of, 200, &format!("GET {BREAKERS}/{name}"), &described, "");
    }
}

#[test]
fn the_verb_prints_what_the_address_answers_to_those_who_may_read() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(orders(&upstream, "{}") + TOKENS);
    assert_eq!(gateway.admin().get("/openapi.json").status, 401);
    for token in ["s3cret", "r3ad"] {
        let field = format!("Authorization: Bearer {token}\r\n");
        let answer = gateway.admin().request("GET", "/openapi.json", &field, "");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.fields.get("content-type"), Some("application/json"));
        assert_eq!(answer.json(), description());
    }
}

#[test]
fn every_kind_of_problem_is_in_the_documentation() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/admin.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let description = description();
    let kinds = &description["components"]["schemas"]["Problem"]["properties"]["type"]["enum"];
    let kinds = kinds
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap());
    let missing: Vec<_> = kinds
        .filter(|kind| !docs.contains(&format!("`{}`", kind.rsplit(':').next().unwrap())))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn answers_and_events_are_as_described() {
    let document = strict();
    let (gateway, ..) = eventful(TOKENS);
    let lines = "Authorization: Bearer s3cret\r\n";
    let mut stream = Stream::open(&gateway, "?pulse=1s&last_event_id=none", lines);
    let mut answers = Answers {
        document: &document,
        cases: Vec::new(),
    };
    let hold = r#"{"for":"10m","reason":"a drill","by":"ann"}"#;
    let commands = [
        ("open", 200, hold),
        ("release", 200, ""),
        ("close", 200, "{}"),
        ("reset", 200, r#"{"by":"ann"}"#),
        ("open", 409, r#"{"scope":"fleet"}"#),
        ("reset", 400, hold),
    ];
    answers.command(&gateway, "orders", &commands);
    answers.get(&gateway, BREAKERS);
    let (_, _, list) = answers.cases.last().unwrap().clone();
    let all = list["breakers"].as_array().unwrap();
    assert!(all.len() >= 5, "{list}");
    for breaker in all {
        answers.show(&gateway, breaker["name"].as_str().unwrap());
    }
    answers.get(&gateway, "/api/v1/upstreams");
    answers.get(&gateway, "/api/v1/plan");
    answers.ask(
        &gateway,
        404,
        "GET /api/v1/breakers/none",
        "/api/v1/breakers/{name}",
        "",
    );
    let calls = "/api/v1/calls/{name}";
    let mut serve = |status, request: &str, word: &str, body| {
        answers.ask(&gateway, status, request, &format!("{calls}/{word}"), body);
    };
    let failed = r#"{"outcomes":[{"ok":false,"ms":7.5,"kind":"timeout"}]}"#;
    let strange = r#"{"permit":"x","outcomes":[{"ok":true}]}"#;
    serve(200, "POST /api/v1/calls/orders/check", "check", "");
    serve(200, "POST /api/v1/calls/orders/report", "report", failed);
    serve(200, "POST /api/v1/calls/orders/counter", "counter", "");
    serve(200, "POST /api/v1/calls/orders/reset", "reset", "");
    serve(400, "POST /api/v1/calls/orders/report", "report", strange);
    serve(404, "POST /api/v1/calls/none/check", "check", "");
    serve(404, "GET /api/v1/calls/none/check", "check", "");
    answers.command(&gateway, "orders", &[("open", 200, "")]);
    let mut serve = |status, request: &str, word: &str, body| {
        answers.ask(&gateway, status, request, &format!("{calls}/{word}"), body);
    };
    serve(200, "POST /api/v1/calls/orders/check", "check", "");
    serve(200, "POST /api/v1/calls/orders/report", "report", failed);
    serve(503, "GET /api/v1/calls/orders/check", "check", "");
    serve(403, "GET /api/v1/calls/orders/check?deny=403", "check", "");
    let purge = "/api/v1/last-good/purge";
    let mut post = |status, path: &str, body| {
        answers.ask(&gateway, status, &format!("POST {path}"), path, body);
    };
    post(200, purge, r#"{"upstream":"orders"}"#);
    post(404, purge, r#"{"upstream":"search","path":"/"}"#);
    post(200, "/api/v1/reload", "");
    gateway.rewrite("listen: 1\nupstreams: []\n");
    post(422, "/api/v1/reload", "");
    let mut cases = answers.cases;
    let event = json!({ "$ref": "#/components/schemas/Event" });
    let mut seen = Vec::new();
    // The second reload is the last that happens, and rates are told every second.
    while seen.iter().filter(|kind| *kind == "reload").count() < 2
        || !seen.contains(&"pulse".to_owned())
    {
        let frame = stream.next();
        cases.push((format!("event {}", frame.kind), event.clone(), frame.data));
        seen.push(frame.kind);
    }
    for kind in ["gap", "reset", "transition", "hold", "ejection"] {
        assert!(seen.contains(&kind.to_owned()), "no {kind} in {seen:?}");
    }
    validate(&document, &cases);
}

#[test]
fn a_fleet_and_the_breaker_of_a_flow_are_as_described() {
    let document = strict();
    let server = Server::start();
    let upstream = Upstream::dialled(&Dial::at(500));
    let shared = "{ trip: { consecutive_failures: 2, within: 60s }, cooldown: 60s, share: counts }";
    let file = orders(&upstream, shared) + "fleet: { node: n0 }\n";
    let fleet = Setup::new(file).arg("--store").arg(server.url()).start();
    eventually("it reads the fleet's records", || {
        fleet.metric("fusebox_store_up") == Some(1.0)
            && fleet.metric("fusebox_fleet_breakers") == Some(1.0)
    });
    fleet.get("/a");
    let refusing = Refusing::new();
    let example = include_str!("../../../examples/mule/orders.xml");
    let flow = mule::setup(example, &[("Order_Service", &refusing.url())]).start();
    flow.get("/api/orders");
    let mut answers = Answers {
        document: &document,
        cases: Vec::new(),
    };
    let word = r#"{"scope":"fleet"}"#;
    let all = |release| {
        [
            ("open", 200, word),
            ("release", release, word),
            ("close", 200, word),
            ("reset", 200, word),
        ]
    };
    answers.command(&fleet, "orders", &all(200));
    answers.command(&flow, FLOW, &all(409));
    for gateway in [&fleet, &flow] {
        answers.get(gateway, BREAKERS);
        answers.get(gateway, "/api/v1/upstreams");
    }
    validate(&document, &answers.cases);
}

/// Runs schemathesis against an eventful gateway with a configuration of tokens, with a token, if there is one.
#[track_caller]
fn schemathesis(tokens: &str, token: Option<&str>) {
    let (gateway, ..) = eventful(tokens);
    let mut document = strict();
    if tokens.is_empty() {
        // The API is open then, so nothing is to be refused.
        document["security"] = json!([]);
        for path in document["paths"].as_object_mut().unwrap().values_mut() {
            for operation in path.as_object_mut().unwrap().values_mut() {
                operation["security"] = json!([]);
            }
        }
    }
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("openapi.json"), document.to_string()).unwrap();
    let run = |more: &[&str]| {
        let mut st = Command::new(python::program("st"));
        st.current_dir(dir.path())
            .args(["run", "openapi.json", "--no-color"])
            .args(["--url", &format!("http://{}", gateway.admin_addr())])
            // A stream has no end, so nobody can wait for its answer.
            .args(["--exclude-path", "/api/v1/events"])
            // A refusal for proxies is 503, which looks like a fault of the server.
            .args(["--exclude-operation-id", "look_at_call"])
            .args(["--generation-deterministic", "--continue-on-failure"])
            .args(["--suppress-health-check", "all"])
            .args(more);
        if let Some(token) = token {
            st.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        let done = st.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}\n{errors}");
    };
    let long = std::env::var("FUSEBOX_PROVE").is_ok_and(|value| value == "1");
    let examples = if long { "500" } else { "10" };
    let wrong_tokens = "ignored_auth";
    run(&["--exclude-checks", wrong_tokens, "--max-examples", examples]);
    // This check sends two wrong tokens for four requests, and the API answers ten of them in a second with 401.
    if token.is_some() {
        run(&[
            "--checks",
            wrong_tokens,
            "--rate-limit",
            "15/s",
            "--phases",
            "coverage",
            "--mode",
            "positive",
        ]);
    } else {
        run(&["--checks", wrong_tokens, "--max-examples", "5"]);
    }
}

#[test]
fn schemathesis_finds_nothing_where_no_token_is_configured() {
    schemathesis("", None);
}

#[test]
fn schemathesis_finds_nothing_with_the_token() {
    schemathesis(TOKENS, Some("s3cret"));
}

#[test]
fn schemathesis_finds_nothing_with_the_read_token() {
    schemathesis(TOKENS, Some("r3ad"));
}

#[test]
fn schemathesis_finds_nothing_without_a_token() {
    schemathesis(TOKENS, None);
}
