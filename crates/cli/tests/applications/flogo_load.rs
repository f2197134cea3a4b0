//! Flogo's breakers under load, over a crash, over a reload, in an operator's hands: the same as any
//! other's.

use std::sync::Barrier;

use crate::support::flogo::{guarded, single};
use crate::support::{Dial, Gateway, Setup, Upstream, eventually, until};
use serde_json::{Value, json};

const PET: &str = r#"{"status":"available"}"#;
const NAME: &str = "G/CircuitBreaker";

/// Answers while the dial shows a status. At 0 it answers nonsense: a failure of the network that is
/// not tried again, as a closed connection may be.
fn pets(status: &Dial) -> Upstream {
    let status = status.clone();
    Upstream::start(move |call| match u16::try_from(status.get()).unwrap() {
        0 => {
            call.send("nonsense\r\n\r\n");
            call.close();
        }
        status => call.respond_with(status, "Content-Type: application/json\r\n", PET),
    })
}

fn definition(upstream: &Upstream, breaker: Value) -> String {
    single(guarded(breaker, &upstream.url())).to_string()
}

#[track_caller]
fn error(gateway: &Gateway) -> Value {
    gateway.get("/t").json()["error"].clone()
}

#[test]
fn two_hundred_clients_on_a_flapping_service_lose_no_outcome_and_trip_it_once_each_time() {
    const CLIENTS: usize = 200;
    const FLAPS: usize = 2;
    let status = Dial::at(200);
    let upstream = pets(&status);
    // The pause is longer than the failures of all clients take on a busy machine.
    let breaker = json!({ "mode": "a", "threshold": 5, "timeout": 3 });
    let gateway = Setup::new(definition(&upstream, breaker))
        .workers(2)
        .start();
    let barrier = Barrier::new(CLIENTS + 1);
    // Compared when the clients are through: they would wait for ever behind a panic.
    let mut told: Vec<(Value, &str)> = Vec::new();
    let answers: Vec<Vec<String>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gateway.client();
                    let rounds = (0..2 * FLAPS).map(|_| {
                        barrier.wait();
                        let said = client.get("/t").json()["error"].to_string();
                        barrier.wait();
                        said
                    });
                    rounds.collect()
                })
            })
            .collect();
        for _ in 0..FLAPS {
            status.set(0);
            barrier.wait();
            barrier.wait();
            told.push((error(&gateway), "circuit breaker tripped"));
            eventually("the pause is over", || gateway.state(NAME) == "half_open");
            status.set(200);
            barrier.wait();
            barrier.wait();
            told.push((gateway.state(NAME).into(), "closed"));
        }
        clients.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for (is, right) in told {
        assert_eq!(is, right);
    }
    let said = |what: &str| {
        let all = answers.iter().flatten();
        all.filter(|said| said.contains(what)).count() as u64
    };
    let (refused, failed, good) = (said("tripped"), said("connection"), said("null"));
    assert_eq!(refused + failed + good, (2 * FLAPS * CLIENTS) as u64);
    let refused = refused + FLAPS as u64;
    assert_eq!(failed + good, upstream.calls() as u64);
    let metric = |name: &str, labels: &str| {
        let series = format!("{name}{{breaker=\"{NAME}\",{labels}}}");
        gateway.metric(&series).unwrap_or(0.0) as u64
    };
    let calls = |outcome| {
        metric(
            "fusebox_breaker_calls_total",
            &format!("outcome=\"{outcome}\""),
        )
    };
    // Every call is told to the breaker once; what comes while it is open counts as late.
    assert_eq!(calls("success"), good);
    assert_eq!(calls("failure") + calls("late"), failed);
    assert_eq!(
        metric("fusebox_breaker_rejected_total", "state=\"open\""),
        refused
    );
    let trips: u64 = [("closed", "open"), ("half_open", "open")]
        .iter()
        .map(|(from, to)| {
            let labels = format!("from=\"{from}\",to=\"{to}\",reason=\"consecutive_failures\"");
            metric("fusebox_breaker_transitions_total", &labels)
        })
        .sum();
    assert_eq!(trips, FLAPS as u64);
}

#[test]
fn a_killed_program_finds_its_breaker_open_again() {
    let upstream = pets(&Dial::at(0));
    let breaker = json!({ "threshold": 1, "timeout": 60 });
    let mut gateway = Gateway::run(definition(&upstream, breaker));
    assert_eq!(error(&gateway), "connection failure");
    let generation = until("the breaker is persisted", || {
        let breaker = gateway.breaker(NAME);
        let generation = breaker["generation"].as_u64().unwrap();
        (breaker["persisted"] == true && breaker["state"] == "open").then_some(generation)
    });
    let breaker = gateway.breaker(NAME);
    let failed = &breaker["last_failures"][0];
    assert_eq!(
        (&breaker["kind"], &failed["error"]),
        (&json!("flow"), &json!("counter"))
    );
    let unknown = ["endpoint", "status", "ms", "request_id"];
    assert!(
        unknown.iter().all(|name| failed[name].is_null()),
        "{failed}"
    );
    gateway.restart();
    assert_eq!(error(&gateway), "circuit breaker tripped");
    assert_eq!(upstream.calls(), 1);
    assert!(gateway.breaker(NAME)["generation"].as_u64().unwrap() > generation);
}

#[test]
fn a_reload_keeps_the_breaker_and_the_limiters_windows() {
    let upstream = pets(&Dial::at(0));
    let breaker = json!({ "threshold": 1, "timeout": 60 });
    let text = definition(&upstream, breaker);
    let gateway = Gateway::run(&text);
    assert_eq!(error(&gateway), "connection failure");
    assert_eq!(error(&gateway), "circuit breaker tripped");
    gateway.rewrite(&text.replace("connection failure", "no connection"));
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reloaded");
    assert_eq!(error(&gateway), "circuit breaker tripped");
    gateway.admin_post(
        &format!("/api/v1/breakers/{}/reset", "G%2FCircuitBreaker"),
        &json!({}),
    );
    assert_eq!(error(&gateway), "no connection");
}

#[test]
fn an_operator_holds_releases_and_resets_it() {
    let upstream = pets(&Dial::at(200));
    let gateway = Gateway::run(definition(&upstream, json!({ "threshold": 1 })));
    let order = |command: &str| {
        let path = format!("/api/v1/breakers/G%2FCircuitBreaker/{command}");
        assert_eq!(
            gateway
                .admin_post(&path, &json!({ "reason": "a test" }))
                .status,
            200
        );
    };
    assert_eq!(gateway.get("/t").status, 200);
    order("open");
    assert_eq!(error(&gateway), "circuit breaker tripped");
    order("release");
    assert_eq!(gateway.get("/t").status, 200);
    assert_eq!(gateway.state(NAME), "closed");
    order("close");
    assert_eq!(gateway.breaker(NAME)["hold"]["kind"], "closed");
    let series = "http_client_request_duration_seconds_count{upstream=\"G/PetStorePets\",http_response_status_code=\"200\"}";
    assert_eq!(gateway.metric(series), Some(2.0));
    order("reset");
    assert_eq!(gateway.breaker(NAME)["hold"], Value::Null);
}

#[test]
fn a_drain_waits_for_an_asynchronous_action() {
    let gate = crate::support::Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |call| {
        held.pass();
        call.respond(200, "done");
    });
    let mut app = single(json!({
        "name": "G",
        "steps": [
            { "service": "S" },
            { "service": "L", "input": { "message": "=\"after \" + $.S.outputs.data" } },
        ],
        "responses": [{ "error": false, "output": { "code": 202, "data": "accepted" } }],
        "services": [
            { "name": "S", "ref": crate::support::flogo::REST, "settings": {
                "uri": upstream.url(), "method": "GET",
            } },
            { "name": "L", "ref": crate::support::flogo::LOG },
        ],
    }));
    app["triggers"][0]["handlers"][0]["actions"][0]["settings"]["async"] = true.into();
    let gateway = Gateway::run(app.to_string());
    assert_eq!(gateway.get("/t").status, 202);
    eventually("the call is with the service", || upstream.in_flight() == 1);
    gateway.sigterm();
    gateway.log_line(|line| {
        line["message"]
            .as_str()
            .is_some_and(|it| it.starts_with("draining"))
    });
    gate.open();
    assert!(gateway.wait().success());
    gateway.log_line(|line| line["message"] == "after done");
}
