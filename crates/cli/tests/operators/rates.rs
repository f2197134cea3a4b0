//! The rates of breakers in pulses and in the state: of an upstream, of keys, of endpoints.

use crate::support::{Dial, Gateway, Stream, Upstream, eventually, orders};
use serde_json::Value;

const PERCENTILES: [&str; 3] = ["p50_ms", "p95_ms", "p99_ms"];

fn state(gateway: &Gateway) -> Value {
    gateway.admin_get("/api/v1/state").json()
}

/// The rates of a breaker in the state.
fn rates(gateway: &Gateway, name: &str) -> Value {
    let state = state(gateway);
    let mut rows = state["breakers"].as_array().unwrap().iter();
    let row = rows.find(|row| row["name"] == name);
    row.unwrap_or_else(|| panic!("{name} in {state}"))["rates"].clone()
}

/// Waits until the breaker's calls are in its rates.
fn sampled(gateway: &Gateway, name: &str) -> Value {
    let mut found = Value::Null;
    eventually("the calls are sampled, and then their times", || {
        found = rates(gateway, name);
        found["calls_per_s"].as_f64().unwrap() > 0.0 && !found["p50_ms"].is_null()
    });
    found
}

#[test]
fn pulses_carry_the_rates_that_the_state_shows() {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let breaker = "{ trip: { consecutive_failures: 3 }, cooldown: 60s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let mut stream = Stream::open(&gateway, "?pulse=1s", "");
    for _ in 0..8 {
        assert_eq!(gateway.get("/a").status, 200);
    }
    status.set(500);
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").status, 500);
    }
    assert_eq!(gateway.get("/a").status, 503);
    let mut sums = [0; 3];
    while sums != [8, 3, 1] {
        let pulse = stream.next_of("pulse");
        assert_eq!(pulse.id, None);
        let orders = &pulse.data["breakers"]["orders"];
        let Some(second) = orders["second"].as_array() else {
            continue;
        };
        for (sum, count) in sums.iter_mut().zip(second) {
            *sum += count.as_u64().unwrap();
        }
        // A breaker may be named for the first time before its first call is counted.
        let is_first = sums == [0; 3];
        let rates = &orders["rates"];
        assert!(is_first || rates["calls_per_s"].as_f64().unwrap() > 0.0);
    }
    let state = state(&gateway);
    let row = &state["breakers"][0];
    let minute = row["minute"].as_array().unwrap();
    assert_eq!(minute.len(), 60);
    let sum = |at: usize| {
        minute
            .iter()
            .map(|it| it[at].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!([0, 1, 2].map(sum), [8_u64, 3, 1]);
    let rates = &row["rates"];
    assert_eq!(rates["failed_ratio"], 0.273);
    for percentile in PERCENTILES {
        assert!(rates[percentile].as_f64().unwrap() > 0.0, "{rates}");
    }
    assert_eq!(row["state"], "open");
    assert!(row["why"].as_str().unwrap().contains("consecutive"));
    assert_eq!(state["counts"]["open"], 1);
}

#[test]
fn each_key_has_times_and_fallback_answers_of_its_own() {
    let upstream = Upstream::start(|call| match call.seen.target == "/bad" {
        true => call.respond(500, "no"),
        false => call.respond(200, "ok"),
    });
    let breaker = "{ key: \"{header.x-tenant}\", trip: { consecutive_failures: 100 } }
    fallback: [ { respond: { status: 200, text: sorry } } ]";
    let gateway = Gateway::run(orders(&upstream, breaker));
    let call = |tenant: &str, path: &str| {
        let tenant = format!("X-Tenant: {tenant}\r\n");
        let response = gateway.client().request("GET", path, &tenant, "");
        assert_eq!(response.status, 200, "{}", response.text());
    };
    for _ in 0..4 {
        call("ann", "/good");
    }
    for _ in 0..3 {
        call("bob", "/bad");
    }
    let ann = sampled(&gateway, "orders/ann");
    let bob = sampled(&gateway, "orders/bob");
    for percentile in PERCENTILES {
        assert!(ann[percentile].as_f64().unwrap() > 0.0, "{ann}");
        assert!(bob[percentile].as_f64().unwrap() > 0.0, "{bob}");
    }
    assert_eq!(ann["fallback_per_s"], 0.0);
    assert!(bob["fallback_per_s"].as_f64().unwrap() > 0.0, "{bob}");
    assert_eq!(bob["failed_ratio"], 1.0);
}

#[test]
fn each_endpoint_has_times_of_its_own() {
    let [one, other] = [(); 2].map(|()| Upstream::start(|call| call.respond(200, "ok")));
    let gateway = Gateway::run(format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    endpoints: [{{ url: {} }}, {{ url: {} }}]
routes:
  - {{ path: \"/{{*rest}}\", upstream: orders }}
",
        one.url(),
        other.url()
    ));
    for _ in 0..4 {
        assert_eq!(gateway.get("/a").status, 200);
    }
    for endpoint in [&one, &other] {
        let rates = sampled(&gateway, &format!("orders@{}", endpoint.addr()));
        for percentile in PERCENTILES {
            assert!(rates[percentile].as_f64().unwrap() > 0.0, "{rates}");
        }
    }
}
