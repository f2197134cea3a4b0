//! Upstreams, endpoints and failures as an operator sees them, and commands to a single endpoint.

use crate::support::{
    Backlogged, Dial, Exposition, Gate, Gateway, Refusing, Setup, Upstream, eventually,
};
use fusebox_store::testing::Server;
use fusebox_store::{EmbeddedOptions, EmbeddedStore, ObjectStore as _};
use serde_json::{Value, json};

/// A breaker that these tests never trip.
const NEVER: &str = "{ trip: { consecutive_failures: 1000 }, cooldown: 60s }";

/// A file with the upstream `orders` before those URLs, and more keys of it.
fn file(urls: &[String], more: &str) -> String {
    let endpoints: Vec<_> = urls.iter().map(|url| format!("{{ url: {url} }}")).collect();
    format!(
        "listen: 127.0.0.1:0
upstreams:
  orders:
    endpoints: [{}]
    {}
routes:
  - {{ path: \"/{{*rest}}\", upstream: orders }}
",
        endpoints.join(", "),
        more.replace('\n', "\n    ")
    )
}

/// The upstream that answers 200.
fn well() -> Upstream {
    Upstream::start(|call| call.respond(200, "ok"))
}

/// The name of an endpoint's breaker.
fn named(endpoint: &Upstream) -> String {
    format!("orders@{}", endpoint.addr())
}

/// An upstream as the admin API lists it.
#[track_caller]
fn listed(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.admin_get("/api/v1/upstreams").json();
    let all = all["upstreams"].as_array().unwrap();
    let found = all.iter().find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {all:?}")).clone()
}

#[track_caller]
fn order(gateway: &Gateway, breaker: &str, command: &str) -> Value {
    let path = format!("/api/v1/breakers/{breaker}/{command}");
    let response = gateway.admin_post(&path, &json!({ "reason": "a test", "by": "ann" }));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

#[test]
fn a_breaker_shows_its_last_ten_failures_newest_first_until_it_is_reset() {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let breaker = format!("breaker: {NEVER}");
    let gateway = Gateway::run(file(&[upstream.url()], &breaker));
    let call = |number: usize| {
        let id = format!("X-Request-Id: call-{number}\r\n");
        gateway.client().request("GET", "/a", &id, "").status
    };
    let failures = || gateway.breaker("orders")["last_failures"].clone();
    assert_eq!((call(0), failures()), (200, json!([])));
    status.set(503);
    for number in 1..=12 {
        assert_eq!(call(number), 503);
    }
    let shown = failures();
    let ids = shown.as_array().unwrap().iter();
    let ids = ids.map(|it| it["request_id"].as_str().unwrap().to_owned());
    let expected = (3..=12).rev().map(|number| format!("call-{number}"));
    assert!(ids.eq(expected), "{shown}");
    let newest = &shown[0];
    assert_eq!(newest["endpoint"], upstream.addr().to_string());
    assert_eq!(
        (&newest["status"], &newest["error"]),
        (&json!(503), &json!(null))
    );
    assert!(newest["ms"].as_f64().unwrap() > 0.0, "{newest}");
    assert!(newest["at"].as_str().unwrap().starts_with("20"), "{newest}");
    let times = |breaker: &Value| {
        let recent = breaker["recent"].as_array().unwrap().clone();
        (
            breaker["since"].clone(),
            recent,
            breaker["last_failures"].clone(),
        )
    };
    let first = times(&gateway.breaker("orders"));
    for _ in 0..50 {
        assert_eq!(times(&gateway.breaker("orders")), first, "past times move");
    }
    order(&gateway, "orders", "reset");
    assert_eq!(failures(), json!([]));
    assert_eq!(
        (call(13), failures()[0]["request_id"].clone()),
        (503, json!("call-13"))
    );
}

#[test]
fn a_failure_without_an_answer_has_an_error_and_no_status() {
    let (dead, other, full) = (Refusing::new(), Refusing::new(), Backlogged::new());
    let more = format!("breaker: {NEVER}\ntimeout: {{ connect: 300ms }}");
    let yaml = file(&[dead.url(), other.url()], &more).replace(
        "routes:",
        &format!(
            "  full: {{ url: {}, breaker: {NEVER}, timeout: {{ connect: 300ms }} }}\nroutes:\n  - {{ path: /full, upstream: full }}",
            full.url()
        ),
    );
    let gateway = Gateway::run(yaml);
    let failed = |path: &str, breaker: &str| {
        assert!(gateway.get(path).status >= 502);
        let failed = gateway.breaker(breaker)["last_failures"][0].clone();
        assert_eq!(failed["status"], json!(null), "{failed}");
        assert_eq!(failed["request_id"].as_str().unwrap().len(), 32, "{failed}");
        (failed["error"].clone(), failed["ms"].as_f64().unwrap())
    };
    assert_eq!(failed("/a", "orders").0, "refused");
    let (error, took) = failed("/full", "full");
    assert_eq!(error, "connect timed out");
    assert!(took >= 200.0, "{took}");
    let endpoint = listed(&gateway, "orders")["endpoints"][0].clone();
    assert_eq!(
        endpoint["ewma_ms"],
        json!(null),
        "no time is known: {endpoint}"
    );
}

#[test]
fn an_endpoints_breaker_has_its_own_failures_and_the_upstreams_those_of_clients() {
    let bad = Upstream::start(|call| call.respond(500, ""));
    let good = well();
    let more = format!(
        "breaker: {NEVER}
retry: {{ attempts: 2, on: [\"500\"], backoff: {{ base: 1ms, max: 1ms }}, budget: {{ ratio: 100%, min: 100 }} }}
ejection: {{ consecutive_failures: 3, for: {{ base: 60s, max: 60s }} }}"
    );
    let gateway = Gateway::run(file(&[bad.url(), good.url()], &more));
    let mut client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.get("/a").status, 200);
    }
    let upstreams = gateway.breaker("orders");
    assert_eq!(
        (&upstreams["kind"], &upstreams["last_failures"]),
        (&json!("upstream"), &json!([]))
    );
    let endpoints = gateway.breaker(&named(&bad));
    assert_eq!(
        (&endpoints["kind"], &endpoints["upstream"]),
        (&json!("endpoint"), &json!("orders"))
    );
    assert_eq!(endpoints["state"], "open");
    let failures = endpoints["last_failures"].as_array().unwrap();
    assert_eq!(failures.len(), 3);
    for failed in failures {
        assert_eq!(
            (&failed["status"], &failed["endpoint"]),
            (&json!(500), &json!(bad.addr().to_string()))
        );
    }
    let names = |query: &str| {
        let all = gateway
            .admin_get(&format!("/api/v1/breakers{query}"))
            .json();
        let all = all["breakers"].as_array().unwrap().clone();
        all.iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut each = vec![named(&bad), named(&good)];
    each.sort();
    assert_eq!(names("?prefix=orders@"), each);
    assert_eq!(names("?state=open"), [named(&bad)]);
    assert_eq!(names("?limit=1"), ["orders"]);
}

#[test]
fn an_upstream_is_listed_with_its_endpoints_and_what_is_around_them() {
    let (bad, good, other) = (
        Upstream::start(|call| call.respond(500, "")),
        well(),
        well(),
    );
    let more = format!(
        "breaker: {NEVER}
retry: {{ attempts: 2, on: [\"500\"], backoff: {{ base: 1ms, max: 1ms }}, budget: {{ ratio: 100%, min: 100 }} }}
ejection: {{ consecutive_failures: 1, for: {{ base: 60s, max: 60s, jitter: 0% }} }}
bulkhead: {{ concurrent: 7, queued: 2, queue_for: 1s }}"
    );
    let more = file(&[bad.url(), good.url()], &more).replace(
        "routes:",
        &format!(
            "  alone: {{ url: {} }}\nroutes:\n  - {{ path: /alone, upstream: alone }}",
            other.url()
        ),
    );
    let gateway = Gateway::run(more);
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(client.get("/a").status, 200);
    }
    let orders = listed(&gateway, "orders");
    let [first, second] = [&orders["endpoints"][0], &orders["endpoints"][1]];
    let named = bad.addr().to_string();
    assert_eq!(
        (&first["name"], &first["url"]),
        (&json!(named), &json!(format!("http://{named}")))
    );
    assert_eq!(
        (&first["state"], &second["state"]),
        (&json!("open"), &json!("closed"))
    );
    assert_eq!(
        (&first["weight"], &first["health"]),
        (&json!(1), &json!("unknown"))
    );
    assert_eq!(
        (&first["would_eject"], &second["ejected_until"]),
        (&json!(false), &json!(null))
    );
    assert!(
        first["ejected_until"].as_str().unwrap().starts_with("20"),
        "{first}"
    );
    assert_eq!(
        (&first["in_flight"], &second["in_flight"]),
        (&json!(0), &json!(0))
    );
    assert!(second["ewma_ms"].as_f64().unwrap() > 0.0, "{second}");
    assert_eq!(
        orders["bulkhead"],
        json!({ "concurrent": 7, "in_flight": 0, "queued": 0 })
    );
    let ratio = orders["retry"]["budget_ratio"].as_f64().unwrap();
    assert!(ratio > 0.0 && ratio <= 1.0, "{ratio}");
    assert_eq!(orders["last_good"], json!(null));
    let none = json!({ "last_good": 0, "upstream": 0, "respond": 0, "none": 0 });
    assert_eq!(orders["fallback"], none);
    let alone = listed(&gateway, "alone");
    let named = other.addr().to_string();
    let endpoint = json!({
        "name": named, "url": format!("http://{named}"), "weight": 1, "state": "closed", "hold": null,
        "health": "unknown", "ejected": false, "would_eject": false, "ejected_until": null, "in_flight": null, "ewma_ms": null,
    });
    assert_eq!(alone["endpoints"], json!([endpoint]));
    assert_eq!(
        (&alone["bulkhead"], &alone["retry"]),
        (&json!(null), &json!(null))
    );
}

#[test]
fn an_upstream_is_listed_with_its_last_good_answers_and_those_of_its_ladder() {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let more = format!("breaker: {NEVER}\nfallback: [{{ last_good: 1h }}]");
    let gateway = Gateway::run(file(&[upstream.url()], &more));
    let kept = || listed(&gateway, "orders")["last_good"].clone();
    assert_eq!(kept(), json!({ "entries": 0, "bytes": 0 }));
    assert_eq!(gateway.get("/a").status, 200);
    eventually("the answer is kept", || kept()["entries"] == 1);
    assert!(kept()["bytes"].as_u64() > Some(0));
    status.set(500);
    assert_eq!(
        [gateway.get("/a").status, gateway.get("/b").status],
        [200, 500]
    );
    let fallback = json!({ "last_good": 1, "upstream": 0, "respond": 0, "none": 1 });
    assert_eq!(listed(&gateway, "orders")["fallback"], fallback);
}

#[test]
fn rungs_of_all_routes_are_counted_from_zero() {
    let (upstream, spare) = (Upstream::start(|call| call.respond(500, "no")), well());
    let more = format!(
        "breaker: {NEVER}\nfallback: [{{ last_good: 1h }}, {{ respond: {{ status: 203 }} }}]"
    );
    let yaml = file(&[upstream.url()], &more).replace(
        "routes:",
        &format!(
            "  spare: {{ url: {}, breaker: {NEVER} }}\nroutes:\n  - {{ path: /own, upstream: orders, fallback: [{{ upstream: spare }}] }}",
            spare.url()
        ),
    );
    let gateway = Gateway::run(yaml);
    let counts = |gateway: &Gateway| {
        let text = gateway.admin_get("/metrics").text();
        let lines = text.lines().filter_map(|line| {
            line.strip_prefix("fusebox_fallback_total{upstream=\"orders\",rung=")
        });
        lines
            .map(|line| line.replace(['"', '}'], "").replace(",result=", " "))
            .collect::<Vec<_>>()
    };
    let mut expected = [
        "last_good served 0",
        "last_good skipped 0",
        "last_good failed 0",
        "last_good none 0",
        "last_good credential 0",
        "upstream served 0",
        "upstream skipped 0",
        "upstream failed 0",
        "respond served 0",
    ];
    assert_eq!(counts(&gateway), expected);
    assert!(
        !gateway
            .admin_get("/metrics")
            .text()
            .contains("fusebox_fallback_total{upstream=\"spare\"")
    );
    assert_eq!(
        (gateway.get("/a").status, gateway.get("/own").status),
        (203, 200)
    );
    (expected[3], expected[5], expected[8]) =
        ("last_good none 1", "upstream served 1", "respond served 1");
    assert_eq!(counts(&gateway), expected);
}

#[test]
fn an_endpoint_held_open_is_out_at_once_until_it_is_released() {
    let endpoints = [well(), well()];
    let more = format!("breaker: {NEVER}");
    let gateway = Gateway::run(file(&endpoints.each_ref().map(Upstream::url), &more));
    let mut client = gateway.client();
    let mut calls = |count: usize| {
        let before = endpoints.each_ref().map(Upstream::calls);
        for _ in 0..count {
            assert_eq!(client.get("/a").status, 200);
        }
        let after = endpoints.each_ref().map(Upstream::calls);
        [after[0] - before[0], after[1] - before[1]]
    };
    assert_eq!(calls(10), [5, 5]);
    let name = named(&endpoints[0]);
    let held = order(&gateway, &name, "open");
    assert_eq!(
        (&held["kind"], &held["hold"]["by"]),
        (&json!("endpoint"), &json!("ann"))
    );
    assert_eq!(calls(10), [0, 10]);
    let metric = |metric: &str| gateway.metric(&format!("{metric}{{breaker=\"{name}\"}}"));
    assert_eq!(metric("fusebox_breaker_held"), Some(1.0));
    let ejected = format!(
        "fusebox_endpoint_ejected{{upstream=\"orders\",endpoint=\"{}\"}}",
        endpoints[0].addr()
    );
    assert_eq!(gateway.metric(&ejected), Some(1.0));
    order(&gateway, &name, "release");
    eventually("the endpoint is probed and back", || calls(2)[0] > 0);
    eventually("it has its share", || calls(10) == [5, 5]);
    assert_eq!(gateway.metric(&ejected), Some(0.0));
    order(&gateway, &name, "open");
    assert_eq!(calls(4), [0, 4]);
    order(&gateway, &name, "reset");
    assert_eq!(calls(4), [2, 2]);
    let shared = gateway.admin_post(
        &format!("/api/v1/breakers/{name}/open"),
        &json!({ "scope": "fleet" }),
    );
    assert_eq!(shared.status, 409);
}

#[test]
fn an_endpoint_that_is_out_is_out_after_a_power_cut() {
    let bad = Dial::at(500);
    let (failing, held, good) = (Upstream::dialled(&bad), well(), well());
    let urls = [failing.url(), held.url(), good.url()];
    let more = format!(
        "breaker: {NEVER}
ejection: {{ consecutive_failures: 2, for: {{ base: 60s, max: 60s }}, max_ejected: 100% }}"
    );
    let mut gateway = Gateway::run(file(&urls, &more));
    while gateway.state(&named(&failing)) == "closed" {
        gateway.get("/a");
    }
    order(&gateway, &named(&held), "open");
    let shown = |gateway: &Gateway, of: &Upstream| {
        let breaker = gateway.breaker(&named(of));
        (breaker["state"].clone(), breaker["hold"].clone())
    };
    let persisted = |of: &Upstream| gateway.breaker(&named(of))["persisted"] == true;
    eventually("both are written down", || {
        persisted(&failing) && persisted(&held)
    });
    gateway.restart();
    assert_eq!(shown(&gateway, &failing).0, "open");
    assert_eq!(shown(&gateway, &held).1["kind"], "open");
    let counts = || (failing.calls(), held.calls());
    let were = counts();
    let mut client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert_eq!(counts(), were);
}

#[test]
fn an_endpoint_that_a_reload_removes_takes_its_state_with_it() {
    let (held, good, other) = (well(), well(), well());
    let more = format!("breaker: {NEVER}");
    let all = file(&[good.url(), other.url(), held.url()], &more);
    let mut gateway = Gateway::run(all.clone());
    order(&gateway, &named(&held), "open");
    let name = named(&held);
    eventually("the hold is written down", || {
        gateway.breaker(&name)["persisted"] == true
    });
    gateway.rewrite(&file(&[good.url(), other.url()], &more));
    gateway.sighup();
    let lost = format!("breaker {name}: its endpoint is gone, and its state with it");
    gateway.log_line(|line| line.to_string().contains(&lost));
    eventually("it is not listed", || !gateway.breakers().contains(&name));
    let clean = || {
        gateway
            .admin_get("/readyz?verbose")
            .text()
            .contains("nothing waits")
    };
    eventually("its record is removed", clean);
    gateway.rewrite(&all);
    gateway.restart();
    assert_eq!(gateway.breaker(&name)["hold"], json!(null));
}

#[test]
fn an_endpoints_breaker_is_its_nodes_own_in_a_fleet() {
    let endpoints = [well(), well()];
    let server = Server::start();
    let shared = "breaker: { trip: { consecutive_failures: 5 }, cooldown: 60s, share: verdict }";
    let nodes = ["n1", "n2"].map(|node| {
        let yaml = file(&endpoints.each_ref().map(Upstream::url), shared);
        let setup = Setup::new(format!("{yaml}fleet: {{ node: {node} }}\n"));
        setup.workers(1).arg("--store").arg(server.url()).start()
    });
    for node in &nodes {
        eventually("the node shares the upstream's breaker alone", || {
            node.metric("fusebox_fleet_breakers") == Some(1.0)
        });
    }
    let name = named(&endpoints[0]);
    let path = format!("/api/v1/breakers/{name}/open");
    let refused = nodes[0].admin_post(&path, &json!({ "scope": "fleet" }));
    assert_eq!(refused.status, 409, "{}", refused.text());
    let held = order(&nodes[0], &name, "open");
    assert_eq!(
        (&held["hold"]["kind"], &held["fleet"]),
        (&json!("open"), &json!(null))
    );
    assert_eq!(nodes[1].breaker(&name)["hold"], json!(null));
    assert_eq!(nodes[1].breaker("orders")["fleet"]["share"], "verdict");
    endpoints.iter().for_each(Upstream::stop);
    let failures = |node: usize| nodes[node].breaker("orders")["last_failures"].clone();
    assert_eq!(
        [nodes[0].get("/a").status, nodes[1].get("/a").status],
        [502, 502]
    );
    assert_eq!(failures(0)[0]["error"], "refused");
    let reset = nodes[0].admin_post(
        "/api/v1/breakers/orders/reset",
        &json!({ "scope": "fleet" }),
    );
    assert_eq!(reset.status, 200, "{}", reset.text());
    assert_eq!(failures(0), json!([]));
    assert_eq!(
        failures(1)[0]["error"],
        "refused",
        "each node shows its own"
    );
}

#[test]
fn every_metric_of_calls_is_there_under_its_name_and_labels() {
    let gate = Gate::default();
    let slow = Upstream::start({
        let gate = gate.clone();
        move |call| {
            let is_slow = call.seen.target == "/slow";
            if is_slow {
                gate.pass();
            }
            call.respond(if is_slow { 500 } else { 200 }, "");
        }
    });
    let (dead, checked) = (Refusing::new(), well());
    let more = format!(
        "breaker: {NEVER}
retry: {{ attempts: 2, on: [connect_error], backoff: {{ base: 1ms, max: 1ms }} }}
ejection: {{ consecutive_failures: 1, for: {{ base: 60s, max: 60s }} }}
bulkhead: {{ concurrent: 1, queued: 1, queue_for: 30s }}
fallback: [{{ upstream: spare }}, {{ respond: {{ status: 200, text: fixed }} }}]"
    );
    let yaml = file(&[slow.url(), dead.url()], &more).replace(
        "routes:",
        &format!(
            "  spare: {{ endpoints: [{{ url: {} }}, {{ url: {} }}], health: {{ path: /, interval: 50ms, timeout: 1s }}, breaker: {NEVER} }}\nroutes:\n  - {{ name: few, path: /few, upstream: spare, max_concurrency: 9 }}",
            slow.url(),
            checked.url()
        ),
    );
    let gateway = std::sync::Arc::new(Gateway::run(yaml));
    assert_eq!(gateway.get("/a").status, 200);
    let first = std::thread::spawn({
        let gateway = gateway.clone();
        move || gateway.get("/slow").status
    });
    eventually("the first waits", || gate.waiting() == 1);
    let second = std::thread::spawn({
        let gateway = gateway.clone();
        move || gateway.get("/slow").status
    });
    let scrape = || Exposition::prometheus(&gateway.admin_get("/metrics").text()).unwrap();
    let orders = ("upstream", "orders");
    eventually("the second queues", || {
        scrape().value("fusebox_bulkhead_queued", &[orders]) == Some(1.0)
    });
    assert_eq!(gateway.get("/b").status, 200);
    let shown = scrape();
    let value = |name: &str, labels: &[(&str, &str)]| shown.value(name, labels);
    assert_eq!(value("fusebox_bulkhead_in_flight", &[orders]), Some(1.0));
    let full = ("reason", "bulkhead_full");
    assert_eq!(
        value("fusebox_bulkhead_rejected_total", &[orders, full]),
        Some(1.0)
    );
    assert_eq!(
        value("fusebox_bulkhead_in_flight", &[("route", "few")]),
        Some(0.0)
    );
    let ratio = value("fusebox_retry_budget_ratio", &[orders]).unwrap();
    assert!(ratio > 0.0 && ratio <= 1.0, "{ratio}");
    let slow_addr = slow.addr().to_string();
    let at = ("endpoint", slow_addr.as_str());
    let attempts = value(
        "fusebox_attempts_total",
        &[orders, at, ("outcome", "success")],
    );
    assert!(attempts >= Some(1.0), "{attempts:?}");
    for result in [
        "success",
        "failure",
        "budget",
        "breaker_open",
        "body_too_large",
        "too_long",
        "bulkhead",
        "total",
        "left",
    ] {
        let retries = value("fusebox_retries_total", &[orders, ("result", result)]);
        assert!(retries.is_some(), "{result}");
    }
    let rungs = |rung: &str| {
        shown
            .all("fusebox_fallback_total")
            .into_iter()
            .filter(|it| it.labels["rung"] == rung)
            .count()
    };
    assert!(rungs("upstream") > 0);
    let spare = ("upstream", "spare");
    let addr = checked.addr().to_string();
    assert_eq!(
        value("fusebox_endpoint_up", &[spare, ("endpoint", &addr)]),
        Some(1.0)
    );
    assert_eq!(
        value("fusebox_endpoint_ejected", &[spare, ("endpoint", &addr)]),
        Some(0.0)
    );
    gate.open();
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (200, 200));
}

#[test]
fn an_endpoint_held_open_gets_no_call_and_with_all_held_calls_are_refused_as_metric_and_api_say() {
    let (a, b) = (well(), well());
    let more = "breaker: { trip: { consecutive_failures: 5 } }
fallback: [{ respond: { status: 200, text: \"{reason}\" } }]
bulkhead: { concurrent: 10 }
retry: {}";
    let gateway = Gateway::run(file(&[a.url(), b.url()], more));
    let ejected = |endpoint: &Upstream| {
        let labels = format!("upstream=\"orders\",endpoint=\"{}\"", endpoint.addr());
        gateway.metric(&format!("fusebox_endpoint_ejected{{{labels}}}"))
    };
    let shown = || {
        let endpoints = listed(&gateway, "orders")["endpoints"].clone();
        let shown = |at: usize| {
            let it = &endpoints[at];
            (
                it["ejected"].clone(),
                it["hold"].clone(),
                it["state"].clone(),
            )
        };
        [shown(0), shown(1)]
    };
    order(&gateway, &named(&a), "open");
    (0..4).for_each(|_| assert_eq!(gateway.get("/a").text(), "ok"));
    assert_eq!((a.calls(), b.calls()), (0, 4));
    let held = (json!(true), json!("open"), json!("closed"));
    assert_eq!(
        shown(),
        [held.clone(), (json!(false), json!(null), json!("closed"))]
    );

    order(&gateway, &named(&b), "open");
    let refused = gateway.get("/a");
    assert_eq!(refused.text(), "held_open");
    assert_eq!(refused.fields.get("fusebox-fallback"), Some("respond"));
    let reason = refused.fields.get("fusebox-reason").unwrap();
    assert_eq!(reason, "held_open; breaker=\"orders\"; state=closed");
    assert_eq!((a.calls(), b.calls()), (0, 4));
    assert_eq!((ejected(&a), ejected(&b)), (Some(1.0), Some(1.0)));
    assert_eq!(shown(), [held.clone(), held]);
    assert_eq!(gateway.outcomes("orders"), (4, 0, 0));
    assert_eq!(gateway.count("orders", "rejected"), 1);

    order(&gateway, &named(&b), "reset");
    assert_eq!(gateway.get("/a").text(), "ok");
    assert_eq!((ejected(&a), ejected(&b)), (Some(1.0), Some(0.0)));
    assert_eq!((a.calls(), b.calls()), (0, 5));
}

#[test]
fn records_of_endpoints_come_and_leave_with_the_addresses_of_their_name() {
    let (a, b) = (well(), well());
    let by_name = format!("localhost:{}", a.addr().port());
    let more = format!("breaker: {NEVER}\nresolve: 1h");
    let urls = [format!("http://{by_name}"), b.url()];
    let mut gateway = Gateway::run(file(&urls, &more));
    let found = |gateway: &Gateway| {
        let endpoints = listed(gateway, "orders")["endpoints"].clone();
        let mut endpoints = endpoints.as_array().unwrap().clone().into_iter();
        endpoints.find(|it| it["name"] == a.addr().to_string())
    };
    eventually("the name is looked up", || found(&gateway).is_some());
    order(&gateway, &named(&a), "open");
    eventually("its record is written", || {
        gateway.breaker(&named(&a))["persisted"] == true
    });
    gateway.restart();
    eventually("it is held as before", || {
        found(&gateway).is_some_and(|it| it["hold"] == "open" && it["ejected"] == true)
    });
    eventually("all records are written", || {
        gateway
            .breakers()
            .iter()
            .all(|it| gateway.breaker(it)["persisted"] == true)
    });
    gateway.kill9();
    let (store, _) = EmbeddedStore::open(&gateway.data(), EmbeddedOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let keys = runtime
        .block_on(store.keys("breakers", "orders@", 100))
        .unwrap();
    assert!(keys.contains(&named(&a)), "{keys:?}");
    assert!(!keys.contains(&format!("orders@{by_name}")), "{keys:?}");
}
