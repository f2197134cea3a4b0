//! A breaker as a service: programs ask over the admin API, make their calls by themselves, and report.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fusebox_store::testing::Server;
use serde_json::{Value, json};

use crate::support::{Dial, Gateway, Program, Response, Setup, Upstream, eventually, orders};

/// A file with nothing but a breaker; `settings` are further ones of it.
fn file(settings: &str) -> String {
    format!("breakers: {{ stripe: {{ trip: {{ consecutive_failures: 5 }}{settings} }} }}\n")
}

const LONG: &str = ", cooldown: 60s";

#[track_caller]
fn ask(gateway: &Gateway, word: &str, body: &Value) -> Response {
    gateway.admin_post(&format!("/api/v1/calls/stripe/{word}"), body)
}

#[track_caller]
fn check(gateway: &Gateway) -> Value {
    let answer = ask(gateway, "check", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[track_caller]
fn permit(gateway: &Gateway) -> String {
    let answer = check(gateway);
    assert_eq!(answer["tripped"], false, "{answer}");
    answer["permit"].as_str().unwrap().to_owned()
}

fn outcomes(permit: &str, ok: bool, count: usize) -> Value {
    let one = json!({ "ok": ok, "ms": 120, "kind": if ok { "" } else { "timeout" } });
    json!({ "permit": permit, "outcomes": vec![one; count] })
}

#[track_caller]
fn report(gateway: &Gateway, permit: &str, ok: bool, count: usize) -> Value {
    let answer = ask(gateway, "report", &outcomes(permit, ok, count));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[track_caller]
fn trip(gateway: &Gateway) {
    let permit = permit(gateway);
    assert_eq!(report(gateway, &permit, false, 5)["tripped"], true);
}

#[test]
fn a_file_with_breakers_alone_is_whole_and_its_gateway_is_ready() {
    let gateway = Gateway::run(file(LONG));
    assert_eq!(gateway.admin_get("/readyz").status, 200);
    let breaker = gateway.breaker("stripe");
    assert_eq!(
        [&breaker["kind"], &breaker["upstream"], &breaker["state"]],
        ["service", "stripe", "closed"]
    );
    let closed = "fusebox_breaker_state{breaker=\"stripe\",state=\"closed\"}";
    assert_eq!(gateway.metric(closed), Some(1.0));
    let rows = gateway.admin_get("/api/v1/state").json()["breakers"].clone();
    assert_eq!(rows[0]["kind"], "service", "{rows}");
    let admin = format!("http://{}", gateway.admin_addr());
    for verb in [&["breakers", "--admin"][..], &["top", "--once", "--admin"]] {
        let args = [verb, &[&admin]].concat();
        let listed = Program::new().run(args);
        assert!(listed.stdout.contains("stripe"), "{listed:?}");
    }
}

#[test]
fn several_reporters_trip_it_at_exactly_the_threshold() {
    let gateway = Gateway::run(file(LONG));
    let permits: Vec<_> = (0..4).map(|_| permit(&gateway)).collect();
    for permit in &permits {
        let counted = report(&gateway, permit, false, 1);
        assert_eq!(
            [&counted["tripped"], &counted["counted"]],
            [&json!(false), &json!(1)]
        );
    }
    assert_eq!(gateway.state("stripe"), "closed");
    let fifth = report(&gateway, &permits[0], false, 1);
    assert_eq!(
        [&fifth["tripped"], &fifth["reason"]],
        [&json!(true), &json!("breaker_open")]
    );
    // No further grant, and what was granted before is late.
    let refused = check(&gateway);
    assert_eq!(refused["reason"], "breaker_open");
    let wait = refused["retry_after"].as_u64().unwrap();
    assert!((30..=60).contains(&wait), "{wait}");
    let late = report(&gateway, &permits[1], false, 3);
    assert_eq!([&late["counted"], &late["late"]], [0, 3]);
    assert_eq!(gateway.outcomes("stripe"), (0, 5, 0));
    assert_eq!(gateway.count("stripe", "late"), 3);
    assert_eq!(gateway.count("stripe", "rejected"), 1);
    let failures = &gateway.breaker("stripe")["last_failures"];
    assert_eq!(failures.as_array().unwrap().len(), 5);
    assert_eq!(
        [&failures[0]["error"], &failures[0]["ms"]],
        [&json!("timeout"), &json!(120.0)]
    );
    let why = gateway.breaker("stripe")["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(why.contains("timeout"), "{why}");
}

#[test]
fn half_open_lets_one_call_through_and_its_success_closes() {
    let gateway = Gateway::run(file(", cooldown: 1ms, half_open: { probe_timeout: 60s }"));
    trip(&gateway);
    eventually("the cooldown is over", || {
        gateway.state("stripe") == "half_open"
    });
    let probe = check(&gateway);
    assert_eq!(
        [&probe["tripped"], &probe["calls"]],
        [&json!(false), &json!(1)]
    );
    let valid = probe["valid_for_ms"].as_u64().unwrap();
    assert!((50_000..=60_000).contains(&valid), "{valid}");
    for _ in 0..3 {
        assert_eq!(check(&gateway)["reason"], "breaker_probing");
    }
    let probe = probe["permit"].as_str().unwrap();
    let two = ask(&gateway, "report", &outcomes(probe, true, 2));
    assert_eq!(two.status, 409, "{}", two.text());
    assert_eq!(report(&gateway, probe, true, 1)["tripped"], false);
    assert_eq!(gateway.state("stripe"), "closed");
    let again = ask(&gateway, "report", &outcomes(probe, true, 1));
    assert_eq!(again.status, 409, "{}", again.text());
}

#[test]
fn a_probe_that_nobody_reports_frees_its_place_and_is_late() {
    let gateway = Gateway::run(file(", cooldown: 1ms, half_open: { probe_timeout: 50ms }"));
    trip(&gateway);
    let mut probe = String::new();
    eventually("a probe is let in", || {
        let answer = check(&gateway);
        probe = answer["permit"].as_str().unwrap_or_default().to_owned();
        !probe.is_empty()
    });
    let mut next = Value::Null;
    eventually("its place is free", || {
        next = check(&gateway);
        next["tripped"] == false
    });
    let late = report(&gateway, &probe, false, 1);
    assert_eq!([&late["counted"], &late["late"]], [0, 1]);
    assert_eq!(
        gateway.state("stripe"),
        "half_open",
        "a missed deadline says nothing"
    );
}

#[test]
fn a_permit_counts_no_more_than_its_calls() {
    let gateway = Gateway::run(file(LONG));
    let grant = check(&gateway);
    let calls = usize::try_from(grant["calls"].as_u64().unwrap()).unwrap();
    assert!(calls > 1, "{grant}");
    let permit = grant["permit"].as_str().unwrap();
    let beyond = ask(&gateway, "report", &outcomes(permit, true, calls + 1));
    assert_eq!(beyond.status, 409);
    assert_eq!(gateway.outcomes("stripe"), (0, 0, 0));
    assert_eq!(report(&gateway, permit, true, calls)["counted"], calls);
    for _ in 0..2 {
        let twice = ask(&gateway, "report", &outcomes(permit, false, 1));
        assert_eq!(twice.status, 409, "{}", twice.text());
    }
    assert_eq!(gateway.outcomes("stripe"), (calls as u64, 0, 0));
}

#[test]
fn forged_permits_are_refused_and_those_of_an_earlier_start_are_late() {
    let mut gateway = Gateway::run(file(LONG));
    let before = permit(&gateway);
    for bad in ["", "abc", &"A".repeat(42), "A".repeat(44).as_str()] {
        assert_eq!(
            ask(&gateway, "report", &outcomes(bad, false, 1)).status,
            400,
            "{bad}"
        );
    }
    let none = json!({ "permit": "abc", "outcomes": [] });
    assert_eq!(ask(&gateway, "report", &none).status, 400);
    let mut forged = before.clone().into_bytes();
    forged[15] = if forged[15] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let refused = ask(&gateway, "report", &outcomes(&forged, false, 1));
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["type"], "urn:fusebox:problem:forged-permit");
    trip(&gateway);
    eventually("it is written down", || {
        gateway.breaker("stripe")["persisted"] == true
    });
    gateway.restart();
    assert_eq!(gateway.state("stripe"), "open");
    assert_eq!(check(&gateway)["reason"], "breaker_open");
    gateway.admin_post("/api/v1/breakers/stripe/reset", &json!({}));
    let late = report(&gateway, &before, false, 5);
    assert_eq!([&late["counted"], &late["late"]], [0, 5]);
    assert_eq!(gateway.state("stripe"), "closed");
    assert_eq!(gateway.count("stripe", "late"), 5);
}

#[test]
fn a_look_moves_nothing_and_says_by_its_status_what_a_call_would_hear() {
    let gateway = Gateway::run(file(", cooldown: 1ms"));
    let look = |query: &str| gateway.admin_get(&format!("/api/v1/calls/stripe/check{query}"));
    assert_eq!(look("").status, 204);
    let hold = |body| gateway.admin_post("/api/v1/breakers/stripe/open", &body);
    hold(json!({ "for": "90s" }));
    let refused = look("?deny=403");
    assert_eq!(refused.status, 403);
    let wait: u64 = refused.fields.get("retry-after").unwrap().parse().unwrap();
    assert!((60..=90).contains(&wait), "{wait}");
    let reason = refused.fields.get("fusebox-reason").unwrap();
    assert_eq!(reason, "held_open; breaker=\"stripe\"; state=closed");
    assert_eq!(look("").status, 503);
    assert_eq!(look("?deny=503").status, 503);
    assert_eq!(look("?deny=404").status, 400);
    // Some proxies ask by the method of their own request.
    let by = |method: &str, query: &str| {
        let path = format!("/api/v1/calls/stripe/check{query}");
        gateway.admin().request(method, &path, "", "").status
    };
    let methods = ["POST", "PUT", "DELETE"];
    assert_eq!(methods.map(|method| by(method, "?deny=403")), [403; 3]);
    assert_eq!(by("PUT", ""), 405);
    assert_eq!(by("GET", "?allow=201"), 400);
    gateway.admin_post("/api/v1/breakers/stripe/release", &json!({}));
    assert_eq!(by("PUT", "?allow=200&deny=403"), 200);
    assert_eq!(by("POST", "?deny=403"), 204);
    hold(json!({}));
    let endless = look("");
    assert_eq!(
        (endless.status, endless.fields.get("retry-after")),
        (503, None)
    );
    assert_eq!(endless.json()["retry_after"], Value::Null);
    let asked = check(&gateway);
    assert_eq!(
        [&asked["reason"], &asked["retry_after"]],
        [&json!("held_open"), &Value::Null]
    );
    gateway.admin_post("/api/v1/breakers/stripe/reset", &json!({}));
    trip(&gateway);
    eventually("a probe would be let in", || look("").status == 204);
    let generation = gateway.breaker("stripe")["generation"].clone();
    for _ in 0..3 {
        assert_eq!(look("").status, 204);
    }
    let breaker = gateway.breaker("stripe");
    assert_eq!(breaker["generation"], generation);
    assert_eq!(check(&gateway)["calls"], 1);
    assert_eq!(look("").status, 503, "the one place is taken");
}

#[test]
fn flogos_words_count_one_failure_and_one_success() {
    let gateway = Gateway::run(file(LONG));
    for _ in 0..4 {
        assert_eq!(
            ask(&gateway, "counter", &json!({ "kind": "declined" })).status,
            200
        );
    }
    assert_eq!(ask(&gateway, "reset", &json!({})).json()["counted"], 1);
    for nth in 1..=5 {
        let counted = gateway
            .admin()
            .request("POST", "/api/v1/calls/stripe/counter", "", "")
            .json();
        assert_eq!(counted["tripped"], nth == 5, "{nth}");
    }
    let late = ask(&gateway, "counter", &json!({})).json();
    assert_eq!([&late["counted"], &late["late"]], [0, 1]);
    assert_eq!(gateway.outcomes("stripe"), (1, 9, 0));
}

#[test]
fn the_service_token_may_do_nothing_else() {
    let tokens = "admin: { addr: 127.0.0.1:0, token: all-of-it, read_token: only-look, service_token: only-calls }\n";
    let gateway = Setup::new(file(LONG) + tokens).start();
    let ask = |method: &str, path: &str, token: &str| {
        let lines = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        gateway.admin().request(method, path, &lines, "{}").status
    };
    let calls = "/api/v1/calls/stripe";
    for word in ["check", "report", "counter", "reset"] {
        let path = format!("{calls}/{word}");
        assert_eq!(ask("POST", &path, "only-calls"), 200, "{word}");
        assert_eq!(ask("POST", &path, "all-of-it"), 200, "{word}");
        assert_eq!(ask("POST", &path, "only-look"), 403, "{word}");
        assert_eq!(ask("POST", &path, "neither"), 401, "{word}");
    }
    let look = format!("{calls}/check");
    for token in ["only-calls", "only-look", "all-of-it"] {
        assert_eq!(ask("GET", &look, token), 204, "{token}");
    }
    for path in [
        "/api/v1/state",
        "/api/v1/breakers",
        "/metrics",
        "/api/v1/plan",
    ] {
        assert_eq!(ask("GET", path, "only-calls"), 403, "{path}");
    }
    for path in ["/api/v1/breakers/stripe/open", "/api/v1/reload"] {
        assert_eq!(ask("POST", path, "only-calls"), 403, "{path}");
    }
    let lines = "Authorization: Bearer all-of-it\r\n";
    let plan = gateway.admin().request("GET", "/api/v1/plan", lines, "");
    assert!(!plan.text().contains("only-calls"));
}

#[test]
fn a_unix_socket_serves_programs_without_a_token() {
    let tokens = "admin: { token: all-of-it, service_token: only-calls }\n";
    let gateway = Setup::new(file(LONG) + tokens)
        .bare()
        .arg("--admin")
        .arg("127.0.0.1:0,unix:admin.sock")
        .start();
    let socket = gateway.config().parent().unwrap().join("admin.sock");
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = "POST /api/v1/calls/stripe/check HTTP/1.1\r\nHost: any\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"permit\""), "{answer}");
}

#[test]
fn an_unknown_name_is_a_problem_with_the_nearest_one() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let keyed = "{ key: \"{header.x-tenant}\", max_keys: 10 }";
    let gateway = Gateway::run(orders(&upstream, keyed) + &file(LONG));
    let post = |name: &str| gateway.admin_post(&format!("/api/v1/calls/{name}/check"), &json!({}));
    let unknown = post("strip");
    assert_eq!(unknown.status, 404);
    let detail = unknown.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("did you mean `stripe`?"), "{detail}");
    assert_eq!(gateway.admin_get("/api/v1/calls/strip/check").status, 404);
    // An upstream with keys is asked by a full name.
    let keyed = post("orders");
    assert_eq!(keyed.status, 404);
    assert!(keyed.text().contains("orders%2FKEY"), "{}", keyed.text());
    assert_eq!(
        gateway
            .admin_get("/api/v1/calls/orders%2Facme/check")
            .status,
        204
    );
    assert_eq!(gateway.breakers(), ["stripe"], "a look makes no breaker");
    assert_eq!(post("orders%2Facme").status, 200);
    assert_eq!(gateway.breakers(), ["orders/acme", "stripe"]);
}

#[test]
fn an_upstreams_breaker_serves_programs_and_requests_alike() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let breaker =
        "{ trip: { consecutive_failures: 3 }, cooldown: 60s, ignore: 'error == \"declined\"' }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let report = |kind: &str, ok: bool| {
        let body = json!({ "outcomes": [{ "ok": ok, "kind": kind }] });
        gateway
            .admin_post("/api/v1/calls/orders/report", &body)
            .json()
    };
    for _ in 0..5 {
        assert_eq!(report("declined", false)["tripped"], false);
    }
    assert_eq!(gateway.outcomes("orders"), (0, 0, 5));
    for nth in 1..=3 {
        assert_eq!(report("reset", false)["tripped"], nth == 3);
    }
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn a_reload_keeps_the_breaker_and_says_which_changed() {
    let gateway = Gateway::run(file(LONG));
    trip(&gateway);
    let early = permit_of_another(&gateway);
    gateway.rewrite(&(file(", cooldown: 90s") + "admin: { addr: 127.0.0.1:0 }\n"));
    let reloaded = gateway.admin_post("/api/v1/reload", &json!({})).json();
    assert!(
        reloaded["changed"]
            .as_array()
            .unwrap()
            .contains(&json!("stripe")),
        "{reloaded}"
    );
    assert_eq!(gateway.state("stripe"), "open");
    assert_eq!(early, 404);
    gateway.rewrite("breakers: { paypal: {} }\n");
    gateway.admin_post("/api/v1/reload", &json!({}));
    assert_eq!(gateway.breakers(), ["paypal"]);
    assert_eq!(ask(&gateway, "check", &json!({})).status, 404);
}

fn permit_of_another(gateway: &Gateway) -> u16 {
    gateway
        .admin_post("/api/v1/calls/paypal/check", &json!({}))
        .status
}

#[test]
fn gateways_of_a_fleet_share_it_as_any_other() {
    let server = Server::start();
    let start = |node: u8| {
        let fleet = format!("fleet: {{ node: n{node} }}\n");
        Setup::new(file(", cooldown: 60s, share: verdict") + &fleet)
            .arg("--store")
            .arg(server.url())
            .start()
    };
    let nodes = [start(0), start(1)];
    for node in &nodes {
        eventually("the node reads the fleet's records", || {
            node.metric("fusebox_fleet_breakers") == Some(1.0)
                && node.metric("fusebox_fleet_reads_total") > Some(0.0)
        });
    }
    let grant = permit(&nodes[1]);
    trip(&nodes[0]);
    eventually("the other is open", || nodes[1].state("stripe") == "open");
    assert_eq!(check(&nodes[1])["tripped"], true);
    assert_eq!(report(&nodes[1], &grant, false, 1)["late"], 1);
    assert_eq!(nodes[1].breaker("stripe")["fleet"]["share"], "verdict");
}

#[test]
fn a_trace_that_names_it_is_replayed() {
    let dir = tempfile::TempDir::new().unwrap();
    let config = dir.path().join("fusebox.yaml");
    std::fs::write(&config, file(LONG)).unwrap();
    let trace = dir.path().join("trace.csv");
    let mut text = "at,ms,status,upstream\n".to_owned();
    for nth in 0..20 {
        text += &format!("{nth},10,{},stripe\n", if nth < 5 { 200 } else { 500 });
    }
    std::fs::write(&trace, text).unwrap();
    let (config, trace) = (config.to_str().unwrap(), trace.to_str().unwrap());
    let args = [
        "simulate", config, "--trace", trace, "--format", "csv", "--json",
    ];
    let ended = Program::new().run(args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    let breaker = &result["breakers"][0];
    assert_eq!(breaker["name"], "stripe", "{result}");
    assert_eq!(breaker["trips"].as_array().unwrap().len(), 1, "{result}");
}

#[test]
fn a_slow_call_counts_by_its_reported_time() {
    let slow = "breakers: { stripe: { trip: { slow_rate: 50%, slower_than: 1s, over: 10s, min_calls: 4 }, cooldown: 60s } }\n";
    let gateway = Gateway::run(slow);
    let permit = permit(&gateway);
    let slow = |ms: u64| json!({ "ok": true, "ms": ms });
    let body = json!({ "permit": permit, "outcomes": [slow(10), slow(2_000), slow(10)] });
    assert_eq!(ask(&gateway, "report", &body).json()["tripped"], false);
    let body =
        json!({ "permit": permit, "outcomes": [slow(Duration::from_secs(3).as_millis() as u64)] });
    assert_eq!(ask(&gateway, "report", &body).json()["tripped"], true);
}
