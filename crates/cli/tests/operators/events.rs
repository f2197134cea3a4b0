//! The stream of events and the state to begin with: what is told, to whom, and that nothing is lost or told twice.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{
    Client, Dial, Frame, Gateway, Setup, Stream, Upstream, Wire, eventually, orders,
};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

const BREAKER: &str = "{ trip: { consecutive_failures: 3 }, cooldown: 60s }";

fn gateway(breaker: &str) -> (Gateway, Upstream, Dial) {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let gateway = Gateway::run(orders(&upstream, breaker));
    (gateway, upstream, status)
}

fn state(gateway: &Gateway) -> Value {
    let response = gateway.admin_get("/api/v1/state");
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn event_id(gateway: &Gateway) -> String {
    state(gateway)["event_id"].as_str().unwrap().to_owned()
}

/// Causes events, one for each reset.
fn resets(gateway: &Gateway, count: usize) {
    let mut client = gateway.admin();
    let host = client.host.clone();
    let request = format!(
        "POST /api/v1/breakers/orders/reset HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
    );
    for _ in 0..count.div_ceil(50) {
        client.send(request.repeat(50));
        for _ in 0..50 {
            assert_eq!(client.response().status, 200);
        }
    }
}

/// The members of an event beside those that all have.
fn members(frame: &Frame) -> BTreeSet<&str> {
    let all = frame.data.as_object().unwrap().keys().map(String::as_str);
    let common = ["type", "at", "node"];
    all.filter(|name| !common.contains(name)).collect()
}

#[test]
fn a_trip_is_told_within_a_second() {
    let (gateway, _upstream, status) = gateway(BREAKER);
    let mut stream = Stream::open(&gateway, "", "");
    status.set(500);
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        for _ in 0..3 {
            assert_eq!(gateway.get("/a").status, 500);
        }
        let tripped = Instant::now();
        let told = stream.next();
        quickest = quickest.min(tripped.elapsed());
        let names = "breaker upstream kind from to reason generation retry_at";
        assert_eq!(members(&told), names.split(' ').collect());
        let data = &told.data;
        for (name, value) in [
            ("type", "transition"),
            ("breaker", "orders"),
            ("upstream", "orders"),
            ("kind", "upstream"),
            ("from", "closed"),
            ("to", "open"),
        ] {
            assert_eq!(data[name], value, "{data}");
        }
        let breaker = gateway.breaker("orders");
        for name in ["generation", "reason", "retry_at"] {
            assert_eq!(data[name], breaker[name], "{name}");
        }
        gateway.admin_post("/api/v1/breakers/orders/reset", &json!({}));
        assert_eq!(stream.next().data["to"], "closed");
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
}

#[test]
fn a_hold_and_its_release_name_who_said_so() {
    let (gateway, ..) = gateway(BREAKER);
    let mut stream = Stream::open(&gateway, "?type=hold", "");
    let hold = json!({ "for": "10m", "reason": "moving", "by": "anna" });
    gateway.admin_post("/api/v1/breakers/orders/open", &hold);
    let told = stream.next();
    let names = "breaker hold until reason by";
    assert_eq!(members(&told), names.split(' ').collect());
    let shown = gateway.breaker("orders");
    assert_eq!(told.data["until"], shown["hold"]["until"]);
    let of = |told: &Frame| [told.data["hold"].clone(), told.data["by"].clone()];
    assert_eq!(of(&told), [json!("open"), json!("anna")]);
    assert_eq!(told.data["reason"], "moving");
    gateway.admin_post("/api/v1/breakers/orders/release", &json!({ "by": "bob" }));
    assert_eq!(of(&stream.next()), [Value::Null, json!("bob")]);
}

#[test]
fn a_stream_that_was_cut_continues_without_a_hole() {
    let (gateway, ..) = gateway(BREAKER);
    let mut last = event_id(&gateway);
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let causing = scope.spawn(|| resets(&gateway, 200));
        for length in (1..).map(|it| it % 7 + 1) {
            let mut stream = if length % 2 == 0 {
                Stream::after(&gateway, &last)
            } else {
                Stream::open(&gateway, &format!("?last_event_id={last}"), "")
            };
            for _ in 0..length {
                let frame = stream.next();
                assert_eq!(frame.kind, "transition");
                seen.push(frame.number());
                last = frame.id.unwrap();
                if seen.len() == 200 {
                    causing.join().unwrap();
                    return;
                }
            }
        }
    });
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}

#[test]
fn what_happens_between_the_state_and_the_stream_is_told_once() {
    let (gateway, ..) = gateway(BREAKER);
    std::thread::scope(|scope| {
        let causing = scope.spawn(|| resets(&gateway, 300));
        while !causing.is_finished() {
            let state = state(&gateway);
            let last = state["event_id"].as_str().unwrap();
            let number = |id: &str| id.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
            let events = state["events"].as_array().unwrap();
            let told = events.last();
            let row = &state["breakers"][0];
            if let Some(told) = told {
                assert_eq!(told["id"], last);
                assert!(row["generation"].as_u64() >= told["generation"].as_u64());
            }
            let ids = events.iter().map(|it| number(it["id"].as_str().unwrap()));
            let ids: Vec<_> = ids.collect();
            assert!(ids.windows(2).all(|two| two[0] + 1 == two[1]), "{ids:?}");
            if number(last) < 300 {
                let mut stream = Stream::after(&gateway, last);
                assert_eq!(stream.next().number(), number(last) + 1);
            }
        }
    });
}

#[test]
fn events_that_the_ring_has_dropped_are_counted() {
    let (gateway, ..) = gateway(BREAKER);
    let begin = event_id(&gateway);
    resets(&gateway, 1_050);
    let mut stream = Stream::after(&gateway, &begin);
    let gap = stream.next();
    assert_eq!(
        (gap.kind.as_str(), &gap.data["missed"]),
        ("gap", &json!(50))
    );
    assert_eq!(gap.number(), 50);
    for number in 51..=1_050 {
        assert_eq!(stream.next().number(), number);
    }
    // The gap is known by its own identifier.
    let mut stream = Stream::after(&gateway, gap.id.as_deref().unwrap());
    assert_eq!(stream.next().number(), 51);
}

#[test]
fn an_identifier_of_another_start_is_a_gap_of_unknown_length() {
    let (mut gateway, ..) = gateway(BREAKER);
    resets(&gateway, 50);
    let before = event_id(&gateway);
    gateway.restart();
    resets(&gateway, 50);
    let now = event_id(&gateway);
    let boot = |id: &str| id.rsplit_once('-').unwrap().0.to_owned();
    assert_ne!(boot(&before), boot(&now));
    let beyond = format!("{}-1000000", boot(&now));
    for id in [&before, "nonsense", "", beyond.as_str()] {
        let mut stream = Stream::after(&gateway, id);
        let gap = stream.next();
        assert_eq!(
            (gap.kind.as_str(), &gap.data["missed"]),
            ("gap", &Value::Null)
        );
        assert_eq!(stream.next().kind, "reset");
        let first = stream.next();
        assert_eq!(first.number(), 1, "all that this start has said");
        assert_eq!(boot(first.id.as_deref().unwrap()), boot(&now));
    }
}

/// A listener that reads nothing, with a small buffer in the system.
fn unread(addr: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(&addr.into()).unwrap();
    let mut client = Client {
        wire: Wire::plain(TcpStream::from(socket)).unwrap(),
        host: addr.to_string(),
    };
    client.send(format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {addr}\r\n\r\n"
    ));
    client
}

#[test]
fn a_listener_that_does_not_read_is_cut_off_and_delays_nobody() {
    let (gateway, ..) = gateway(BREAKER);
    let mut slow = unread(gateway.admin_addr());
    let watchers = || state(&gateway)["watchers"].as_u64().unwrap();
    eventually("the slow one listens", || watchers() == 1);
    let mut fast = Stream::open(&gateway, "", "");
    let mut number = 0;
    while watchers() == 2 {
        assert!(number < 50_000, "nothing is cut off");
        resets(&gateway, 500);
        for _ in 0..500 {
            number += 1;
            assert_eq!(fast.next().number(), number);
        }
    }
    resets(&gateway, 50);
    assert_eq!(fast.next().number(), number + 1);
    // The slow one's connection is over, although it could not be told so.
    let (told, _) = slow.wire.read_to_end().unwrap();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(!told.contains(&format!("-{number}\n")), "it was cut off");
}

#[test]
fn the_65th_listener_is_asked_to_come_later() {
    let (gateway, ..) = gateway(BREAKER);
    let open = || Stream::open(&gateway, "?pulse=1s&type=pulse", "");
    let mut all: Vec<_> = (0..64).map(|_| open()).collect();
    let refused = gateway.admin_get("/api/v1/events");
    assert_eq!(refused.status, 503);
    let media_type = refused.fields.get("content-type");
    assert_eq!(media_type, Some("application/problem+json"));
    assert!(refused.fields.has("retry-after"));
    assert_eq!(state(&gateway)["watchers"], 64);
    all.truncate(60);
    eventually("those who have left are missed", || {
        state(&gateway)["watchers"] == 60
    });
    open();
}

#[test]
fn a_drain_ends_the_streams() {
    let (gateway, ..) = gateway(BREAKER);
    let mut stream = Stream::open(&gateway, "", "");
    gateway.sigterm();
    assert_eq!(stream.try_next().unwrap(), None);
    assert!(gateway.wait().success());
}

#[test]
fn the_end_of_a_hold_is_told_at_its_time_without_a_call() {
    let (gateway, ..) = gateway(BREAKER);
    let mut stream = Stream::open(&gateway, "", "");
    let hold = json!({ "for": "100ms", "reason": "a drill", "by": "ann" });
    let path = "/api/v1/breakers/orders/open";
    assert_eq!(gateway.admin_post(path, &hold).status, 200);
    let placed = stream.next_of("hold");
    assert_eq!(placed.data["hold"], "open");
    let ended = stream.next_of("hold");
    assert_eq!(
        [&ended.data["hold"], &ended.data["by"]],
        [&Value::Null, &json!("ann")]
    );
    assert_eq!(gateway.breaker("orders")["hold"], Value::Null);
}

#[test]
fn a_hold_that_outlives_its_process_ends_at_its_time_too() {
    let (mut gateway, ..) = gateway(BREAKER);
    let hold = json!({ "for": "3s", "reason": "a drill", "by": "ann" });
    let path = "/api/v1/breakers/orders/open";
    assert_eq!(gateway.admin_post(path, &hold).status, 200);
    eventually("it is saved", || {
        gateway.breaker("orders")["persisted"] == true
    });
    gateway.restart();
    eventually("the end is told", || {
        let state = state(&gateway);
        let told = state["events"].as_array().unwrap().iter();
        let mut holds = told.filter(|it| it["type"] == "hold");
        holds.any(|it| it["hold"].is_null())
    });
}

#[test]
fn looking_changes_nothing() {
    let breaker = "{ trip: { consecutive_failures: 3 }, cooldown: 100ms }";
    let (gateway, upstream, status) = gateway(breaker);
    status.set(500);
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").status, 500);
    }
    let _stream = Stream::open(&gateway, "?pulse=1s", "");
    let row = |state: &Value| state["breakers"][0].clone();
    let of = |row: &Value| [row["generation"].clone(), row["since"].clone()];
    let calls = upstream.calls();
    let open = state(&gateway);
    // Past the cooldown a call would be a probe.
    eventually("the cooldown ends", || {
        row(&state(&gateway))["state"] == "half_open"
    });
    for _ in 0..60 {
        let now = state(&gateway);
        assert_eq!(row(&now)["generation"], row(&open)["generation"]);
        assert_eq!(now["event_id"], open["event_id"]);
        gateway.admin_get("/api/v1/breakers/orders");
    }
    assert_eq!(of(&row(&state(&gateway))), of(&row(&state(&gateway))));
    assert_eq!(upstream.calls(), calls, "no probe");
    status.set(200);
    assert_eq!(gateway.get("/a").status, 200, "the first call is the probe");
}

#[test]
fn a_key_is_told_of_when_its_breaker_first_changes() {
    let (gateway, _upstream, status) =
        gateway("{ key: \"{header.x-tenant}\", trip: { consecutive_failures: 1 }, cooldown: 60s }");
    let call_as = |tenant: &str| {
        let lines = format!("X-Tenant: {tenant}\r\n");
        gateway.client().request("GET", "/a", &lines, "").status
    };
    let mut stream = Stream::open(&gateway, "", "");
    for tenant in ["a", "b", "<img onerror=x>"] {
        assert_eq!(call_as(tenant), 200);
    }
    status.set(500);
    assert_eq!(call_as("b"), 500);
    let first = stream.next();
    assert_eq!(first.data["breaker"], "orders/b");
    assert_eq!(first.data["upstream"], "orders");
    assert_eq!(first.data["generation"], 1);
    let state = state(&gateway);
    assert_eq!(state["breakers"][0]["name"], "orders/b", "red first");
    assert_eq!(state["counts"]["breakers"], 3);
    // Of one breaker alone.
    let mut stream = Stream::open(&gateway, "?breaker=orders/a&type=transition,hold", "");
    for tenant in ["c", "a"] {
        assert_eq!(call_as(tenant), 500);
    }
    assert_eq!(stream.next().data["breaker"], "orders/a");
}

#[test]
fn an_endpoint_is_told_of_when_it_is_ejected_and_when_its_health_changes() {
    let (status, health) = (Dial::at(500), Dial::at(200));
    let checked = health.clone();
    let one = Upstream::start({
        let status = status.clone();
        move |call| {
            let dial = if call.seen.target == "/healthz" {
                &checked
            } else {
                &status
            };
            call.respond(u16::try_from(dial.get()).unwrap(), "x");
        }
    });
    let other = Upstream::start(|call| call.respond(200, "ok"));
    let gateway = Gateway::run(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    endpoints: [{{ url: {} }}, {{ url: {} }}]
    ejection: {{ consecutive_failures: 1, for: {{ base: 60s, max: 60s }} }}
    health: {{ path: /healthz, interval: 20ms, timeout: 5s, fall: 1, rise: 1, expect: 'status == 200' }}
    breaker: {{ trip: {{ consecutive_failures: 50 }} }}
routes:
  - {{ path: \"/{{*rest}}\", upstream: orders }}
",
        one.url(),
        other.url()
    ));
    let name = one.addr().to_string();
    let mut stream = Stream::open(&gateway, "?type=ejection,health", "");
    // The checks begin by saying that all is well.
    let mut well = [stream.next(), stream.next()].map(|it| it.data["endpoint"].clone());
    well.sort_by_key(Value::to_string);
    let mut both = [json!(name), json!(other.addr().to_string())];
    both.sort_by_key(Value::to_string);
    assert_eq!(well, both);
    while gateway.get("/a").status != 500 {}
    let told = stream.next();
    let names = "upstream endpoint ejected until";
    assert_eq!(members(&told), names.split(' ').collect());
    assert_eq!(told.kind, "ejection");
    assert_eq!(
        [&told.data["endpoint"], &told.data["ejected"]],
        [&json!(name), &json!(true)]
    );
    let row = &state(&gateway)["breakers"];
    let whole = row
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "orders");
    assert_eq!(whole.unwrap()["endpoints"], json!({ "in_use": 1, "of": 2 }));
    health.set(503);
    let told = stream.next();
    let names = "upstream endpoint health";
    assert_eq!(members(&told), names.split(' ').collect());
    assert_eq!(
        [&told.data["endpoint"], &told.data["health"]],
        [&json!(name), &json!("unhealthy")]
    );
}

#[test]
fn a_reload_over_the_api_says_what_changed_or_what_is_wrong() {
    let (gateway, upstream, _) = gateway(BREAKER);
    let mut stream = Stream::open(&gateway, "?type=reload", "");
    let before = state(&gateway)["gateway"]["config"].clone();
    gateway.rewrite(&orders(&upstream, "{ trip: { consecutive_failures: 4 } }"));
    let done = gateway.admin_post("/api/v1/reload", &json!({}));
    assert_eq!(
        (done.status, done.json()),
        (200, json!({ "result": "ok", "changed": ["orders"] }))
    );
    let told = stream.next();
    assert_eq!(
        [&told.data["result"], &told.data["changed"]],
        [&json!("ok"), &json!(["orders"])]
    );
    let after = state(&gateway)["gateway"]["config"].clone();
    assert_eq!(before["file"], after["file"]);
    assert_ne!(before["hash"], after["hash"]);
    gateway.rewrite(&(orders(&upstream, BREAKER) + "nonsense: 1\n"));
    let refused = gateway.admin_post("/api/v1/reload", &json!({}));
    assert_eq!(refused.status, 422);
    let media_type = refused.fields.get("content-type");
    assert_eq!(media_type, Some("application/problem+json"));
    let wrong = refused.json()["diagnostics"].clone();
    let error = wrong
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["severity"] == "error");
    let error = error.unwrap();
    assert!(error["message"].as_str().unwrap().contains("nonsense"));
    assert!(error["line"].is_u64() && error["column"].is_u64() && error["file"].is_string());
    let told = stream.next();
    assert_eq!(
        [&told.data["result"], &told.data["diagnostics"]],
        [&json!("refused"), &wrong]
    );
    assert_eq!(state(&gateway)["gateway"]["config"], after);
    std::fs::remove_file(gateway.config()).unwrap();
    assert_eq!(gateway.admin_post("/api/v1/reload", &json!({})).status, 422);
    assert_eq!(stream.next().data["result"], "failed");
}

#[test]
fn the_read_token_shows_and_steers_nothing() {
    let upstream = Upstream::start(|call| call.respond(200, "ok"));
    let yaml = orders(&upstream, BREAKER)
        + "admin: { addr: 127.0.0.1:0, token: all-of-it, read_token: only-look }\n";
    let gateway = Setup::new(yaml).start();
    let ask = |method: &str, path: &str, token: &str| {
        let lines = format!("Authorization: Bearer {token}\r\n");
        gateway.admin().request(method, path, &lines, "")
    };
    for path in ["/api/v1/state", "/api/v1/breakers", "/metrics"] {
        assert_eq!(ask("GET", path, "only-look").status, 200, "{path}");
        assert_eq!(ask("GET", path, "neither").status, 401, "{path}");
    }
    for path in ["/api/v1/breakers/orders/open", "/api/v1/reload"] {
        let refused = ask("POST", path, "only-look");
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text().contains("this token may only read"));
        assert_eq!(ask("POST", path, "all-of-it").status, 200, "{path}");
    }
    let read_only =
        |token| ask("GET", "/api/v1/state", token).json()["gateway"]["read_only"].clone();
    assert_eq!(
        [read_only("only-look"), read_only("all-of-it")],
        [true, false]
    );
    let plan = ask("GET", "/api/v1/plan", "only-look").text();
    assert!(!plan.contains("only-look") && !plan.contains("all-of-it"));
}

#[test]
fn a_wish_that_is_not_known_is_refused() {
    let (gateway, ..) = gateway(BREAKER);
    for (query, said) in [
        ("pulse=5s", "unknown pulse `5s`; expected 1s"),
        (
            "type=transition,evil",
            "unknown type `evil`; expected transition, hold",
        ),
        ("what=1", "unknown field"),
    ] {
        let refused = gateway.admin_get(&format!("/api/v1/events?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(said), "{detail}");
    }
}
