//! The examples that the microgateway was published with, run unchanged but for their addresses and
//! times, with the requests and answers that their descriptions promise.

use crate::support::flogo::{JWT, LIMITER, LOG, REST, app, guarded, handler, single};
use crate::support::{Client, Dial, Gateway, Response, Upstream, eventually, until};
use serde_json::{Value, json};

const PET: &str =
    r#"{"status":"available","name":"sally","id":1,"category":{"name":"string","id":0}}"#;

/// Answers with a pet while the dial shows a status, and breaks the connection at 0.
fn pets(status: &Dial) -> Upstream {
    let status = status.clone();
    Upstream::start(move |call| match u16::try_from(status.get()).unwrap() {
        0 => call.close(),
        status => call.respond_with(status, "Content-Type: application/json\r\n", PET),
    })
}

fn run(app: &Value) -> Gateway {
    Gateway::run(app.to_string())
}

fn get(gateway: &Gateway, path: &str, lines: &str) -> Response {
    gateway.client().request("GET", path, lines, "")
}

#[track_caller]
fn answers(response: &Response, status: u16, body: &Value) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.json(), *body);
}

#[track_caller]
fn is_the_pet(response: &Response) {
    assert_eq!(response.status, 200, "{}", response.text());
    // Names are sorted, whatever the service's order.
    assert_eq!(
        response.text(),
        "{\"category\":{\"id\":0,\"name\":\"string\"},\"id\":1,\"name\":\"sally\",\"status\":\"available\"}\n"
    );
}

fn pass_through(uri: &str) -> Value {
    json!({
        "name": "Pets",
        "steps": [{
            "service": "PetStorePets",
            "input": { "pathParams": "=$.payload.pathParams" },
        }],
        "responses": [{
            "error": false,
            "output": { "code": 200, "data": "=$.PetStorePets.outputs.data" },
        }],
        "services": [{
            "name": "PetStorePets", "description": "Get pets by ID from the petstore", "ref": REST,
            "settings": { "uri": uri, "method": "GET" },
        }],
    })
}

#[test]
fn the_basic_gateway_passes_the_pets_id_on() {
    let upstream = pets(&Dial::at(200));
    let definition = pass_through(&format!("{}/v2/pet/:petId", upstream.url()));
    let settings = json!({ "uri": "microgateway:Pets" });
    let gateway = run(&app(
        json!([handler("GET", "/pets/:petId", settings)]),
        &[("Pets", definition)],
    ));
    is_the_pet(&gateway.get("/pets/1"));
    assert_eq!(upstream.last().target, "/v2/pet/1");
    assert_eq!(
        upstream.last().fields.get("user-agent"),
        Some("Go-http-client/1.1")
    );
}

#[test]
fn a_definition_is_read_from_a_file_and_from_a_service() {
    let upstream = pets(&Dial::at(200));
    let definition = pass_through(&format!("{}/pet/:petId", upstream.url())).to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resource.json");
    std::fs::write(&file, &definition).unwrap();
    let resources = Upstream::start(move |call| call.respond(200, &definition));
    let file = json!({ "uri": format!("file://{}", file.display()) });
    let http = json!({ "uri": format!("{}/pets", resources.url()) });
    let gateway = run(&app(
        json!([
            handler("GET", "/file/:petId", file),
            handler("GET", "/http/:petId", http)
        ]),
        &[],
    ));
    is_the_pet(&gateway.get("/file/1"));
    is_the_pet(&gateway.get("/http/2"));
    assert_eq!(upstream.last().target, "/pet/2");
}

#[test]
fn a_handler_chooses_its_action_by_a_header() {
    let upstream = pets(&Dial::at(200));
    let uri = format!("{}/pet/:petId", upstream.url());
    let mut limited = pass_through(&uri);
    limited["steps"][0]["halt"] = "false".into();
    limited["responses"] = json!([
        {
            "if": "$.payload.pathParams.petId >= '8'", "error": true,
            "output": { "code": 404, "data": { "error": "id must be less than 8" } },
        },
        { "error": false, "output": { "code": 200, "data": "=$.PetStorePets.outputs.data" } },
    ]);
    let handler = json!({
        "settings": { "method": "GET", "path": "/pets/:petId" },
        "actions": [
            {
                "if": "$.headers.Auth == \"1337\"", "ref": crate::support::flogo::MICROGATEWAY,
                "settings": { "uri": "microgateway:Pets" },
            },
            {
                "ref": crate::support::flogo::MICROGATEWAY,
                "settings": { "uri": "microgateway:Limited" },
            },
        ],
    });
    let gateway = run(&app(
        json!([handler]),
        &[("Pets", pass_through(&uri)), ("Limited", limited)],
    ));
    is_the_pet(&gateway.get("/pets/1"));
    let refused = json!({ "error": "id must be less than 8" });
    answers(&gateway.get("/pets/8"), 404, &refused);
    is_the_pet(&get(&gateway, "/pets/8", "Auth: 1337\r\n"));
}

#[test]
fn an_asynchronous_action_answers_before_its_steps_are_done() {
    let definition = json!({
        "name": "Log",
        "steps": [{
            "service": "LogService",
            "input": { "message": "Output: Test log message service invoked" },
        }],
        "responses": [{
            "error": false,
            "output": { "code": 200, "data": "Successful call to action" },
        }],
        "services": [{ "name": "LogService", "ref": LOG }],
    });
    let settings = json!({ "uri": "microgateway:Log", "async": "true" });
    let gateway = run(&app(
        json!([handler("GET", "/endpoint", settings)]),
        &[("Log", definition)],
    ));
    let response = gateway.get("/endpoint");
    assert_eq!(
        (response.status, &*response.text()),
        (200, "Successful call to action")
    );
    gateway.log_line(|line| line["message"] == "Output: Test log message service invoked");
}

const KEY: &str = "qwertyuiopasdfghjklzxcvbnm789101";
/// Issued by `Mashling` for `www.mashling.io` to `tempuser@mail.com`, with the id 1 and no end.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNYXNobGluZyIsImF1ZCI6Ind3dy5tYXNobGluZy5pbyIsInN1YiI6InRlbXB1c2VyQG1haWwuY29tIiwiaWQiOiIxIn0.NDBGq74hxoJHbVGbd1_bcurUVmYpb2aRhM4JCOXUF4o";
/// The same, until November 2019.
const EXPIRED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNYXNobGluZyIsImF1ZCI6Ind3dy5tYXNobGluZy5pbyIsInN1YiI6InRlbXB1c2VyQG1haWwuY29tIiwiaWQiOiIxIiwiZXhwIjoxNTc1MDAwMDAwfQ.ZLmG5O9DTXenDK84xTB0oPNvIsobg8tA1V8mybOGA3I";
/// The same without an end, issued by somebody else.
const FOREIGN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJOb2JvZHkiLCJhdWQiOiJ3d3cubWFzaGxpbmcuaW8iLCJzdWIiOiJ0ZW1wdXNlckBtYWlsLmNvbSIsImlkIjoiMSJ9.qex-ol9mgf68TtAqlT7a019oXCLF0nwT-90ihhAW74g";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn http_pattern(upstream: &Upstream, rate: &str) -> Value {
    handler(
        "GET",
        "/endpoint",
        json!({
            "uri": "pattern://DefaultHttpPattern",
            "useRateLimiter": true, "rateLimit": rate,
            "useJWT": true, "jwtSigningMethod": "HMAC", "jwtKey": KEY,
            "jwtAud": "www.mashling.io", "jwtIss": "Mashling", "jwtSub": "tempuser@mail.com",
            "useCircuitBreaker": true, "mode": "a", "threshold": 2, "timeout": 60, "period": 60,
            "backendUrl": format!("{}/pets", upstream.url()), "method": "POST", "content": { "a": 1 },
        }),
    )
}

#[test]
fn the_default_http_pattern_guards_a_backend() {
    let status = Dial::at(200);
    let upstream = pets(&status);
    let gateway = run(&app(json!([http_pattern(&upstream, "1000-H")]), &[]));
    let ask = |token: &str| get(&gateway, "/endpoint", &bearer(token));
    is_the_pet(&ask(TOKEN));
    let told = |message: &str| json!({ "errorMessage": "", "validationMessage": message });
    answers(&ask(EXPIRED), 401, &told("Token is expired"));
    answers(
        &ask(&TOKEN[..TOKEN.len() - 4]),
        401,
        &told("signature is invalid"),
    );
    answers(&ask(FOREIGN), 401, &told("iss claims do not match"));
    // A backend that is away is answered for with nothing, until the breaker has had enough.
    status.set(0);
    for _ in 0..2 {
        let response = ask(TOKEN);
        assert_eq!((response.status, &*response.text()), (200, ""));
    }
    answers(
        &ask(TOKEN),
        403,
        &json!({ "error": "circuit breaker tripped" }),
    );
    let names = gateway.breakers();
    assert_eq!(
        names
            .iter()
            .filter(|name| gateway.state(name) == "open")
            .count(),
        1
    );
}

#[test]
fn over_its_rate_the_default_http_pattern_says_so() {
    let upstream = pets(&Dial::at(200));
    let gateway = run(&app(json!([http_pattern(&upstream, "1-H")]), &[]));
    is_the_pet(&get(&gateway, "/endpoint", &bearer(TOKEN)));
    let refused = "Rate Limit Exceeded - The service you have requested is over the allowed limit.";
    let again = get(&gateway, "/endpoint", &bearer(TOKEN));
    answers(&again, 403, &json!({ "status": refused }));
    // The original calls the backend all the same.
    assert_eq!(upstream.calls(), 2);
}

#[test]
fn the_default_channel_pattern_leaves_a_message_that_another_handler_takes() {
    let settings = json!({
        "uri": "pattern://DefaultChannelPattern",
        "useJWT": true, "jwtSigningMethod": "HMAC", "jwtKey": KEY,
        "mode": "a", "threshold": 2, "timeout": 60, "period": 60,
        "channel": "test", "value": "test value",
    });
    let definition = json!({
        "name": "Log",
        "steps": [{ "service": "L", "input": { "message": "=got {{$.payload.data}}" } }],
        "services": [{ "name": "L", "ref": LOG }],
    });
    let mut app = app(
        json!([handler("GET", "/endpoint", settings)]),
        &[("Log", definition)],
    );
    app["channels"] = json!(["test:5"]);
    let channel = json!({
        "id": "channel", "name": "flogo-channel",
        "ref": "github.com/project-flogo/contrib/trigger/channel",
        "handlers": [{
            "settings": { "channel": "test" },
            "actions": [{
                "ref": crate::support::flogo::MICROGATEWAY, "settings": { "uri": "microgateway:Log" },
            }],
        }],
    });
    app["triggers"].as_array_mut().unwrap().push(channel);
    let gateway = run(&app);
    let response = get(&gateway, "/endpoint", &bearer(TOKEN));
    answers(&response, 200, &json!({ "response": "Success!" }));
    // The pattern gives `value`, and the activity reads `data`: so the message is empty.
    gateway.log_line(|line| line["message"] == "got ");
    let told = json!({ "errorMessage": "", "validationMessage": "Token is expired" });
    answers(&get(&gateway, "/endpoint", &bearer(EXPIRED)), 401, &told);
}

#[test]
fn a_token_decides_which_pet_is_shown() {
    let upstream = pets(&Dial::at(200));
    let definition = json!({
        "name": "Pets",
        "steps": [
            {
                "service": "JWTValidator",
                "input": { "token": "=$.payload.headers.Authorization" },
            },
            {
                "if": "$.JWTValidator.outputs.valid == true", "service": "PetStorePets",
                "input": { "pathParams.petId": "=$.JWTValidator.outputs.token.claims.id" },
            },
        ],
        "responses": [
            {
                "if": "$.JWTValidator.outputs.valid == true", "error": false,
                "output": { "code": 200, "data": {
                    "error": "JWT token is valid", "pet": "=$.PetStorePets.outputs.data",
                } },
            },
            {
                "if": "$.JWTValidator.outputs.valid == false", "error": true,
                "output": { "code": 401, "data": {
                    "error": "=$.JWTValidator.outputs", "pet": "=$.PetStorePets.outputs.data",
                } },
            },
        ],
        "services": [
            {
                "name": "JWTValidator", "ref": JWT,
                "settings": {
                    "signingMethod": "HMAC", "key": KEY, "aud": "www.mashling.io",
                    "iss": "Mashling", "sub": "tempuser@mail.com",
                },
            },
            {
                "name": "PetStorePets", "ref": REST,
                "settings": { "uri": format!("{}/pet/:petId", upstream.url()), "method": "GET" },
            },
        ],
    });
    let gateway = run(&single(definition));
    let shown = get(&gateway, "/t", &bearer(TOKEN));
    assert_eq!(shown.status, 200);
    assert_eq!(shown.json()["pet"]["name"], "sally");
    assert_eq!(upstream.last().target, "/pet/1");
    let refused = get(&gateway, "/t", &bearer("<Access_Token>"));
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.json()["error"]["validationMessage"],
        "token contains an invalid number of segments"
    );
    assert_eq!(refused.json()["pet"], Value::Null);
    // Without a token nothing is known of it: neither condition holds.
    let nothing = gateway.get("/t");
    assert_eq!((nothing.status, &*nothing.text()), (404, ""));
}

fn limited(upstream: &Upstream, settings: &Value) -> Value {
    json!({
        "name": "Pets",
        "steps": [
            { "service": "RateLimiter", "input": { "token": "=$.payload.headers.Token" } },
            { "service": "PetStorePets", "halt": "false" },
        ],
        "responses": [
            {
                "if": "$.RateLimiter.outputs.error == true", "error": true,
                "output": { "code": 403, "data": { "status": "=$.RateLimiter.outputs.errorMessage" } },
            },
            {
                "if": "$.RateLimiter.outputs.limitReached == true", "error": true,
                "output": { "code": 403, "data": { "status": "Rate Limit Exceeded" } },
            },
            { "error": false, "output": { "code": 200, "data": "=$.PetStorePets.outputs.data" } },
        ],
        "services": [
            { "name": "RateLimiter", "ref": LIMITER, "settings": settings },
            {
                "name": "PetStorePets", "ref": REST,
                "settings": { "uri": format!("{}/pets", upstream.url()), "method": "GET" },
            },
        ],
    })
}

#[test]
fn each_token_has_its_own_number_of_calls() {
    let upstream = pets(&Dial::at(200));
    let gateway = run(&single(limited(&upstream, &json!({ "limit": "3-H" }))));
    for _ in 0..3 {
        is_the_pet(&get(&gateway, "/t", "Token: TOKEN1\r\n"));
    }
    let refused = json!({ "status": "Rate Limit Exceeded" });
    answers(&get(&gateway, "/t", "Token: TOKEN1\r\n"), 403, &refused);
    is_the_pet(&get(&gateway, "/t", "Token: TOKEN2\r\n"));
    answers(
        &gateway.get("/t"),
        403,
        &json!({ "status": "Token not found" }),
    );
}

#[test]
fn a_limit_that_is_reached_ends_with_its_window() {
    let upstream = pets(&Dial::at(200));
    let gateway = run(&single(limited(&upstream, &json!({ "limit": "1-S" }))));
    let mut client = gateway.client();
    let mut ask = || client.request("GET", "/t", "Token: a\r\n", "").status;
    assert_eq!(ask(), 200);
    eventually("the window is full", || ask() == 403);
    eventually("the window ends", || ask() == 200);
}

#[test]
fn a_spike_is_refused_in_part() {
    let upstream = pets(&Dial::at(200));
    let settings = json!({ "limit": "1000000-H", "spikeThreshold": 2, "decayRate": 0.01 });
    let gateway = run(&single(limited(&upstream, &settings)));
    let mut client = gateway.client();
    let mut ask = || client.request("GET", "/t", "Token: a\r\n", "").status;
    for call in 0..256 {
        assert_eq!(ask(), 200, "call {call}");
    }
    eventually("some of a burst are refused", || ask() == 403);
    eventually("later calls pass again", || ask() == 200);
}

#[test]
fn the_breaker_opens_after_failures_and_closes_again_when_the_service_is_back() {
    let status = Dial::at(200);
    let upstream = pets(&status);
    let uri = format!("{}/pets", upstream.url());
    let settings = json!({ "mode": "a", "threshold": 5, "timeout": 1 });
    let gateway = run(&single(guarded(settings, &uri)));
    let failure = json!({ "error": "connection failure" });
    let tripped = json!({ "error": "circuit breaker tripped" });
    assert_eq!(gateway.get("/t").json()["status"], "available");
    status.set(0);
    for _ in 0..4 {
        answers(&gateway.get("/t"), 403, &failure);
    }
    status.set(200);
    assert_eq!(gateway.get("/t").status, 200);
    status.set(0);
    for _ in 0..5 {
        answers(&gateway.get("/t"), 403, &failure);
    }
    let calls = upstream.calls();
    answers(&gateway.get("/t"), 403, &tripped);
    assert_eq!(upstream.calls(), calls);
    let name = &gateway.breakers()[0];
    eventually("the pause is over", || gateway.state(name) == "half_open");
    // One more failure is enough.
    answers(&gateway.get("/t"), 403, &failure);
    answers(&gateway.get("/t"), 403, &tripped);
    eventually("the pause is over", || gateway.state(name) == "half_open");
    status.set(200);
    assert_eq!(gateway.get("/t").status, 200);
    assert_eq!(gateway.state(name), "closed");
}

#[test]
fn the_references_of_the_originals_fork_mean_the_same() {
    let status = Dial::at(0);
    let upstream = pets(&status);
    let app = single(guarded(json!({ "threshold": 1 }), &upstream.url())).to_string();
    let fork = app
        .replace(
            "project-flogo/microgateway",
            "r2d2-ai/aiflow/action/microgateway",
        )
        .replace("project-flogo/contrib", "r2d2-ai/contrib");
    let gateway = Gateway::run(fork);
    assert_eq!(gateway.get("/t").json()["error"], "connection failure");
    assert_eq!(gateway.get("/t").json()["error"], "circuit breaker tripped");
}

#[test]
fn in_mode_b_successes_in_between_do_not_count() {
    let status = Dial::at(0);
    let upstream = pets(&status);
    let settings = json!({ "mode": "b", "threshold": 2, "timeout": 60, "period": 60 });
    let gateway = run(&single(guarded(settings, &upstream.url())));
    assert_eq!(gateway.get("/t").json()["error"], "connection failure");
    status.set(200);
    assert_eq!(gateway.get("/t").status, 200);
    status.set(0);
    assert_eq!(gateway.get("/t").json()["error"], "connection failure");
    assert_eq!(gateway.get("/t").json()["error"], "circuit breaker tripped");
}

#[test]
fn in_mode_c_a_success_in_between_begins_anew() {
    let status = Dial::at(0);
    let upstream = pets(&status);
    let settings = json!({ "mode": "C", "threshold": 2, "timeout": 60, "period": 60 });
    let gateway = run(&single(guarded(settings, &upstream.url())));
    let errors = |from: u64| {
        status.set(from);
        gateway.get("/t").json()["error"].clone()
    };
    assert_eq!(errors(0), "connection failure");
    assert_eq!(errors(200), Value::Null);
    assert_eq!(errors(0), "connection failure");
    assert_eq!(errors(0), "connection failure");
    assert_eq!(errors(0), "circuit breaker tripped");
}

#[test]
fn in_mode_d_failures_make_refusals_likely_and_unknown_outcomes_make_them_less() {
    let status = Dial::at(0);
    let upstream = pets(&status);
    let settings = json!({ "mode": "d", "threshold": 5 });
    let gateway = run(&single(guarded(settings, &upstream.url())));
    let refused = || gateway.get("/t").json()["error"] == "circuit breaker tripped";
    eventually("a call is refused", refused);
    status.set(200);
    until("calls pass again", || {
        let response = gateway.get("/t");
        (response.status == 200).then_some(())
    });
}

#[test]
fn a_reply_carries_what_the_handler_maps() {
    let definition = json!({
        "name": "G",
        "steps": [{ "service": "L" }],
        "responses": [{ "error": false, "output": { "code": 201, "data": { "who": "=$.payload.name" } } }],
        "services": [{ "name": "L", "ref": LOG }],
    });
    let mut handler = handler("POST", "/t", json!({ "uri": "microgateway:G" }));
    handler["actions"][0]["input"] = json!({ "name": "=$.content.first" });
    handler["actions"][0]["output"] = json!({
        "code": "=$.code", "data": "=$.data.who",
        "headers": { "mapping": { "X-Who": "=$.data.who" } },
        "cookies": { "mapping": ["who=1", { "name": "a", "value": "=$.data.who", "path": "/" }] },
    });
    let gateway = run(&app(json!([handler]), &[("G", definition)]));
    let lines = "Content-Type: application/json\r\n";
    let mut client = gateway.client();
    let response = client.request("POST", "/t", lines, r#"{"first":"ann"}"#);
    assert_eq!((response.status, &*response.text()), (201, "ann"));
    assert_eq!(response.fields.get("x-who"), Some("ann"));
    assert_eq!(
        response.fields.all("set-cookie"),
        ["who=1", "a=ann; Path=/"]
    );
    assert_eq!(
        response.fields.get("access-control-allow-origin"),
        Some("*")
    );
    let bad = client.request("POST", "/t", lines, "{bad");
    assert_eq!(bad.status, 400);
    assert_eq!(bad.fields.get("x-content-type-options"), Some("nosniff"));
    assert!(client.get("/T").fields.get("allow").is_none());
    assert_eq!(client.get("/t").fields.get("allow"), Some("OPTIONS, POST"));
    let moved = client.request("POST", "/T/?a=1", "", "");
    assert_eq!(
        (moved.status, moved.fields.get("location")),
        (307, Some("/t?a=1"))
    );
    let lines = "Origin: http://a\r\nAccess-Control-Request-Method: POST\r\n";
    let preflight = client.request("OPTIONS", "/t", lines, "");
    assert_eq!(preflight.status, 200);
    assert!(preflight.fields.has("access-control-allow-methods"));
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let definition = json!({
        "name": "G", "steps": [{ "service": "L" }],
        "services": [{ "name": "L", "ref": LOG }],
    });
    let settings = json!({ "uri": "microgateway:G" });
    let gateway = run(&app(
        json!([handler("PUT", "/t", settings)]),
        &[("G", definition)],
    ));
    let mut client = Client::to(gateway.addr());
    client.send("PUT /t HTTP/1.1\r\nHost: a\r\nContent-Length: 10485761\r\n\r\n");
    assert_eq!(client.response().status, 413);
    // Within it, a handler without responses answers 404.
    assert_eq!(gateway.client().request("PUT", "/t", "", "x").status, 404);
}

#[test]
fn a_client_that_leaves_does_not_keep_its_call_from_the_breaker() {
    let gate = crate::support::Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |call| {
        held.pass();
        call.close();
    });
    let settings = json!({ "threshold": 1, "timeout": 60 });
    let gateway = run(&single(guarded(settings, &upstream.url())));
    let mut client = gateway.client();
    client.send("GET /t HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the call is with the service", || upstream.in_flight() == 1);
    client.wire.close();
    drop(client);
    gate.open();
    let name = gateway.breakers()[0].clone();
    eventually("the breaker has heard of it", || {
        gateway.state(&name) == "open"
    });
}

#[test]
fn a_service_that_does_not_answer_in_time_is_a_failure_of_the_network() {
    let gate = crate::support::Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |call| {
        held.pass();
        call.close();
    });
    let mut definition = pass_through(&format!("{}/slow", upstream.url()));
    definition["services"][0]["settings"]["timeout"] = 1.into();
    definition.as_object_mut().unwrap().remove("responses");
    let gateway = run(&single(definition));
    let response = gateway.get("/t");
    assert_eq!(response.status, 400);
    let cause = "net/http: timeout awaiting response headers";
    assert_eq!(
        response.text(),
        format!("Get \"{}/slow\": {cause}\n", upstream.url())
    );
    gate.open();
}

#[test]
fn a_service_leads_elsewhere_compresses_and_is_followed() {
    let upstream = Upstream::start(|call| match &*call.seen.target.clone() {
        "/loop" => call.respond_with(302, "Location: /loop\r\n", ""),
        "/first" => call.respond_with(302, "Location: second?x=1\r\n", ""),
        "/kept" => call.respond_with(307, "Location: /echo\r\n", ""),
        "/echo" => {
            let text = call.text();
            call.respond(200, &text);
        }
        _ => {
            // `hello`, compressed.
            let body = [
                0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0x86,
                0xa6, 0x10, 0x36, 5, 0, 0, 0,
            ];
            call.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n");
            call.send(body);
        }
    });
    let calling = |name: &str, method: &str, path: &str| {
        let definition = json!({
            "name": name,
            "steps": [{
                "service": "S", "halt": "false",
                "input": { "content": "=$.payload.content" },
            }],
            "responses": [{ "error": false, "output": { "data": {
                "data": "=$.S.outputs.data", "error": "=error.string($.S.error)",
            } } }],
            "services": [{ "name": "S", "ref": REST, "settings": {
                "uri": format!("{}{path}", upstream.url()), "method": method,
            } }],
        });
        let settings = json!({ "uri": format!("microgateway:{name}") });
        (handler("POST", &format!("/{name}"), settings), definition)
    };
    let all = [
        ("first", calling("first", "GET", "/first")),
        ("loop", calling("loop", "GET", "/loop")),
        ("kept", calling("kept", "PUT", "/kept")),
    ];
    let handlers: Vec<_> = all
        .iter()
        .map(|(_, (handler, _))| handler.clone())
        .collect();
    let definitions: Vec<_> = all
        .iter()
        .map(|(name, (_, it))| (*name, it.clone()))
        .collect();
    let gateway = run(&app(handlers.into(), &definitions));
    let ask = |path: &str| gateway.client().post(path, "abc").json();
    assert_eq!(ask("/first")["data"], "hello");
    assert_eq!(upstream.last().target, "/second?x=1");
    assert_eq!(ask("/kept")["data"], "abc");
    // The place is named as the upstream wrote it.
    let wanted = "Get \"/loop\": stopped after 10 redirects";
    assert_eq!(ask("/loop")["error"], wanted);
}

#[test]
fn a_path_parameter_cannot_change_the_rest_of_the_url() {
    let upstream = pets(&Dial::at(200));
    let mut definition = pass_through(&format!("{}/pet/:petId/x?k=v", upstream.url()));
    definition["steps"][0]["input"] = json!({
        "pathParams.petId": "=$.payload.queryParams.id",
        "queryParams.q": "1",
    });
    definition["steps"][0]["halt"] = "false".into();
    let gateway = run(&single(definition));
    gateway.get("/t?id=a%2F..%2Fb%3Fc%23d%25");
    assert_eq!(
        upstream.last().target,
        "/pet/a%2F..%2Fb%3Fc%23d%25/x?k=v&q=1"
    );
    let calls = upstream.calls();
    gateway.get("/t?id=..");
    assert_eq!(upstream.calls(), calls);
}
