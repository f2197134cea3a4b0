//! A native file beside an application: breakers before the requests that the application makes itself.

use crate::support::flogo::{REST, single};
use crate::support::mule::{flow, setup};
use crate::support::{
    Backlogged, Call, Dial, Gateway, Program, Refusing, Setup, Upstream, eventually,
};
use fusebox_store::testing::Server;
use serde_json::{Value, json};

/// A flow that answers 200 with what became of its request.
fn orders(inner: &str) -> String {
    let request = format!(
        "<http:request config-ref='Order_Service' path='/x' method='POST'>{inner}</http:request><set-payload value='fine'/>"
    );
    let handler = "<error-handler>\
        <on-error-continue type='HTTP:CONNECTIVITY'><set-payload value=\"#['away: ' ++ error.description]\"/></on-error-continue>\
        <on-error-continue type='HTTP:TIMEOUT'><set-payload value='slow'/></on-error-continue>\
        <on-error-continue type='ANY'><set-payload value=\"#['rejected: ' ++ error.description]\"/></on-error-continue>\
        </error-handler>";
    flow("orders", "/a", &(request + handler))
}

/// The flow, whose requests go to `url`, with a breaker of that form before them.
fn mule(url: &str, guards: &str) -> Setup {
    setup(orders(""), &[("Order_Service", url)])
        .workers(1)
        .beside("guards.yaml", guards)
}

/// An application whose one service is `PetStorePets`, and which answers 502 where that has an error.
fn pets(url: &str) -> Value {
    single(json!({
        "name": "Pets",
        "steps": [{
            "service": "PetStorePets",
            "halt": "($.PetStorePets.error != nil) && !error.isneterror($.PetStorePets.error)",
        }],
        "responses": [
            {
                "if": "$.PetStorePets.error == nil", "error": false,
                "output": { "code": "=$.PetStorePets.outputs.status", "data": "pets" },
            },
            { "error": true, "output": { "code": 502, "data": "away" } },
        ],
        "services": [{
            "name": "PetStorePets", "ref": REST,
            "settings": { "uri": format!("{url}/pets"), "method": "GET" },
        }],
    }))
}

/// An application that runs `G` on each of these paths, whose `PetStorePets` calls the path's URL.
fn instances(urls: &[(&str, &str)]) -> Value {
    let handlers = urls.iter().map(|(path, url)| {
        let settings = json!({ "uri": "microgateway:G", "base": url });
        crate::support::flogo::handler("GET", path, settings)
    });
    let definition = json!({
        "name": "Pets",
        "steps": [{ "service": "PetStorePets" }],
        "responses": [{ "error": false, "output": { "code": 200, "data": "pets" } }],
        "services": [{
            "name": "PetStorePets", "ref": REST,
            "settings": { "uri": "=$.conf.base", "method": "GET" },
        }],
    });
    crate::support::flogo::app(handlers.collect(), &[("G", definition)])
}

fn flogo(url: &str, guards: &str) -> Setup {
    Setup::new(pets(url).to_string())
        .workers(1)
        .beside("guards.yaml", guards)
}

/// Three failures in a row open it for a minute.
const ORDERS: &str = "upstreams:
  orders:
    applies_to: Order_Service
    breaker: { trip: { consecutive_failures: 3 }, cooldown: 60s }
";
const PETS: &str = "upstreams:
  PetStorePets:
    breaker: { trip: { consecutive_failures: 3 }, cooldown: 60s }
";

#[track_caller]
fn await_written(gateway: &Gateway, breaker: &str) {
    eventually("the breaker's record is written", || {
        gateway.breaker(breaker)["persisted"] == true
    });
}

#[test]
fn a_mule_request_trips_its_breaker_and_is_refused_as_one_without_a_connection() {
    let upstream = Upstream::start(Call::reset);
    let mut gateway = mule(&upstream.url(), ORDERS).start();
    for _ in 0..3 {
        let told = gateway.get("/a").text();
        assert!(told.starts_with("away: "), "{told}");
        assert!(!told.contains("breaker"), "{told}");
    }
    assert_eq!((upstream.calls(), upstream.connections()), (3, 3));
    let refused = |gateway: &Gateway| {
        let told = gateway.get("/a").text();
        let why = "breaker `orders` refused the call: the breaker is open and its cooldown has not ended; retry in ";
        assert!(told.starts_with("away: HTTP POST on resource"), "{told}");
        assert!(told.contains(why), "{told}");
    };
    refused(&gateway);
    let breaker = gateway.breaker("orders");
    assert_eq!(
        (&breaker["state"], &breaker["upstream"]),
        (&json!("open"), &json!("orders"))
    );
    assert_eq!(breaker["counts"]["rejected"], 1);
    assert_eq!(gateway.breakers(), ["orders"]);
    let metrics = [
        (
            "fusebox_breaker_state{breaker=\"orders\",state=\"open\"}",
            1.0,
        ),
        (
            "fusebox_upstream_errors_total{upstream=\"Order_Service\",kind=\"reset\"}",
            3.0,
        ),
    ];
    for (series, value) in metrics {
        assert_eq!(gateway.metric(series), Some(value), "{series}");
    }
    let plan = gateway.admin_get("/api/v1/plan").json();
    assert_eq!(plan["upstreams"]["orders"]["applies_to"], "Order_Service");

    await_written(&gateway, "orders");
    gateway.restart();
    assert_eq!(gateway.state("orders"), "open");
    refused(&gateway);
    assert_eq!(upstream.connections(), 3);
    let reset = gateway.admin_post("/api/v1/breakers/orders/reset", &json!({}));
    assert_eq!(reset.status, 200, "{}", reset.text());
    assert!(!gateway.get("/a").text().contains("breaker"));
    assert_eq!(upstream.connections(), 4);
}

#[test]
fn a_flogo_service_trips_its_breaker_and_its_own_answer_is_given() {
    let upstream = Upstream::start(Call::reset);
    let mut gateway = flogo(&upstream.url(), PETS).start();
    for _ in 0..3 {
        assert_eq!(gateway.get("/t").status, 502);
    }
    assert_eq!(upstream.connections(), 3);
    let refused = gateway.get("/t");
    assert_eq!((refused.status, refused.text()), (502, "away".into()));
    assert_eq!(gateway.count("PetStorePets", "rejected"), 1);
    assert_eq!(gateway.outcomes("PetStorePets"), (0, 3, 0));
    await_written(&gateway, "PetStorePets");
    gateway.restart();
    assert_eq!(gateway.get("/t").status, 502);
    assert_eq!(gateway.state("PetStorePets"), "open");
    assert_eq!(upstream.connections(), 3);
    let series = "fusebox_upstream_errors_total{upstream=\"G/PetStorePets\",kind=\"reset\"}";
    assert_eq!(gateway.metric(series), Some(0.0));
}

#[test]
fn one_breaker_is_before_all_uses_of_a_flogo_service_at_one_address() {
    let upstream = Upstream::start(Call::reset);
    let [a, b, c] = ["/a", "/b?x=1", "/c"].map(|path| upstream.url() + path);
    let app = instances(&[("/a", &a), ("/b", &b), ("/c", &c)]).to_string();
    let guards = "upstreams:\n  orders: { applies_to: G/PetStorePets, breaker: { trip: { consecutive_failures: 3 }, cooldown: 60s } }\n";
    let gateway = Setup::new(app).workers(1).beside("guards.yaml", guards);
    let gateway = gateway.start();
    for path in ["/a", "/b", "/c", "/a", "/b", "/c"] {
        gateway.get(path);
    }
    assert_eq!(upstream.connections(), 3);
    assert_eq!(gateway.breakers(), ["orders"]);
    assert_eq!(gateway.outcomes("orders"), (0, 3, 0));
    assert_eq!(gateway.count("orders", "rejected"), 3);
    let states = gateway.admin_get("/metrics").text();
    let series = "fusebox_breaker_state{breaker=\"orders\",state=\"open\"}";
    assert_eq!(states.matches(series).count(), 1);
}

#[test]
fn a_use_of_a_flogo_service_at_another_address_is_told_by_check() {
    let app = instances(&[
        ("/a", "http://127.0.0.1:1/x"),
        ("/b", "http://127.0.0.1:2"),
        ("/c", "http://127.0.0.1:1"),
        ("/d", "http://127.0.0.1:2/y"),
    ])
    .to_string();
    let check = |guards: &str| checked(&app, guards);
    let one = "upstreams:\n  PetStorePets: { breaker: {} }\n";
    assert_eq!(
        check(one),
        "guards.yaml:2:3: warning: `G#2/PetStorePets` is the same service at another address, http://127.0.0.1:2, and the breaker of `PetStorePets` is not before it; add an upstream with `applies_to: G#2/PetStorePets`\nok: 1 listener, 4 routes, 0 breakers, 4 calls, 1 upstream\n"
    );
    let both = format!("{one}  other: {{ applies_to: G#4/PetStorePets, breaker: {{}} }}\n");
    assert_eq!(
        check(&both),
        "ok: 1 listener, 4 routes, 0 breakers, 4 calls, 2 upstreams\n"
    );
    let twice = format!("{both}  third: {{ applies_to: G#3/PetStorePets, breaker: {{}} }}\n");
    assert!(check(&twice).contains("line 2 stands before `G/PetStorePets` already"));
}

#[test]
fn a_breaker_is_judged_by_statuses_and_closes_again() {
    let guard = |target: &str| {
        format!(
            "upstreams:\n  it: {{ applies_to: {target}, breaker: {{ trip: {{ consecutive_failures: 1 }}, cooldown: 50ms, half_open: {{ successes: 1 }} }} }}\n"
        )
    };
    let status = Dial::at(500);
    let upstream = Upstream::dialled(&status);
    for (gateway, path, bad, good) in [
        (
            mule(&upstream.url(), &guard("Order_Service")).start(),
            "/a",
            200,
            200,
        ),
        (
            flogo(&upstream.url(), &guard("G/PetStorePets")).start(),
            "/t",
            500,
            200,
        ),
    ] {
        status.set(500);
        assert_eq!(gateway.get(path).status, bad);
        assert_eq!(gateway.outcomes("it"), (0, 1, 0));
        status.set(200);
        eventually("a probe has closed it", || {
            let answer = gateway.get(path);
            answer.status == good && gateway.state("it") == "closed"
        });
        // A breaker has no opinion on what the application's own validator rejects.
        status.set(404);
        gateway.get(path);
        assert_eq!(gateway.state("it"), "closed");
    }
}

#[test]
fn a_closed_port_counts_too_and_a_guards_time_bounds_the_applications() {
    let refusing = Refusing::new();
    let gateway = mule(&refusing.url(), ORDERS).start();
    for _ in 0..3 {
        assert!(gateway.get("/a").text().ends_with("Connection refused."));
    }
    assert!(
        gateway
            .get("/a")
            .text()
            .contains("breaker `orders` refused")
    );

    let upstream = Upstream::start(|call| {
        call.hang();
    });
    let time = "timeout: { request: 100ms }, breaker: { trip: { consecutive_failures: 1 }, cooldown: 60s }";
    let guards = format!("upstreams:\n  o: {{ applies_to: Order_Service, {time} }}\n");
    let gateway = mule(&upstream.url(), &guards).start();
    assert_eq!(gateway.get("/a").text(), "slow");
    assert_eq!(gateway.state("o"), "open");
    let guards = format!("upstreams:\n  p: {{ applies_to: PetStorePets, {time} }}\n");
    let gateway = flogo(&upstream.url(), &guards).start();
    assert_eq!(gateway.get("/t").status, 502);
    assert_eq!(gateway.state("p"), "open");
}

#[test]
fn a_guards_time_to_connect_bounds_the_applications() {
    let full = Backlogged::new();
    let time = "timeout: { connect: 100ms }, breaker: { trip: { consecutive_failures: 1 }, cooldown: 60s }";
    let gateway = mule(
        &full.url(),
        &format!("upstreams:\n  o: {{ applies_to: Order_Service, {time} }}\n"),
    )
    .start();
    // A whole exchange may take 10 s, and ends as a timeout.
    let told = gateway.get("/a").text();
    assert!(told.ends_with("Connection timed out."), "{told}");
    let gateway = flogo(
        &full.url(),
        &format!("upstreams:\n  p: {{ applies_to: PetStorePets, {time} }}\n"),
    )
    .start();
    assert_eq!(gateway.get("/t").status, 502);
    assert_eq!(gateway.outcomes("p"), (0, 1, 0));
}

#[test]
fn keys_are_made_of_the_request_that_the_application_makes() {
    let upstream = Upstream::start(|call| {
        let bad = call.seen.fields.get("x-tenant") == Some("bad");
        call.respond(if bad { 500 } else { 200 }, "");
    });
    let guards = "upstreams:\n  a/b: { applies_to: Order_Service, breaker: { key: '{method}{header.x-tenant}', max_keys: 9, trip: { consecutive_failures: 1 }, cooldown: 60s } }\n";
    let app = orders("<http:headers>#[{'X-Tenant': attributes.queryParams.t}]</http:headers>");
    let mut gateway = setup(app, &[("Order_Service", &upstream.url())])
        .beside("guards.yaml", guards)
        .start();
    assert!(gateway.get("/a?t=bad").text().starts_with("rejected: "));
    assert_eq!(gateway.get("/a?t=good").text(), "fine");
    assert_eq!(gateway.breakers(), ["a/b/POST,bad", "a/b/POST,good"]);
    assert!(
        gateway
            .get("/a?t=bad")
            .text()
            .contains("breaker `a/b/POST,bad` refused")
    );
    assert_eq!(
        gateway.metric("fusebox_breaker_keys{upstream=\"a/b\"}"),
        Some(2.0)
    );
    await_written(&gateway, "a/b/POST,bad");
    gateway.restart();
    assert!(
        gateway
            .get("/a?t=bad")
            .text()
            .contains("breaker `a/b/POST,bad` refused")
    );
    assert_eq!(upstream.calls(), 2);
}

#[test]
fn a_breaker_that_looks_into_bodies_sees_them_as_they_are() {
    let upstream = Upstream::start(|call| {
        let packed = call.seen.fields.has("accept-encoding");
        call.respond(200, if packed { "packed" } else { "an error" });
    });
    let guards = "upstreams:\n  PetStorePets: { breaker: { trip: { consecutive_failures: 1 }, failure: 'error != \"\" || body.contains(\"error\")', failure_body: 1KiB } }\n";
    let gateway = flogo(&upstream.url(), guards).start();
    assert_eq!(gateway.get("/t").status, 200);
    assert_eq!(gateway.outcomes("PetStorePets"), (0, 1, 0));
    let gateway = flogo(&upstream.url(), PETS).start();
    assert_eq!(gateway.get("/t").status, 200);
    assert!(upstream.last().fields.has("accept-encoding"));
}

#[test]
fn a_service_at_another_address_has_a_breaker_that_begins_anew() {
    let (upstream, other) = (
        Upstream::start(Call::reset),
        Upstream::dialled(&Dial::at(200)),
    );
    let gateway = flogo(&upstream.url(), PETS).start();
    for _ in 0..3 {
        gateway.get("/t");
    }
    assert_eq!(gateway.state("PetStorePets"), "open");
    gateway.rewrite(&pets(&other.url()).to_string());
    gateway.sighup();
    gateway.log_line(|line| {
        line["message"]
            == "breakers of PetStorePets: the upstream's url changed, so they begin anew"
    });
    eventually("the new one is asked", || gateway.get("/t").status == 200);
    assert_eq!(gateway.state("PetStorePets"), "closed");
}

#[test]
fn a_reload_changes_a_breaker_in_place_and_says_what_is_lost() {
    let upstream = Upstream::start(Call::reset);
    let gateway = mule(&upstream.url(), ORDERS).start();
    for _ in 0..3 {
        gateway.get("/a");
    }
    gateway.rewrite_beside("guards.yaml", &ORDERS.replace("60s", "3m"));
    gateway.sighup();
    gateway.log_line(|line| {
        line["message"] == "reloaded" && line["changed"] == "upstreams changed (1): orders"
    });
    let plan = gateway.admin_get("/api/v1/plan").json();
    assert_eq!(plan["upstreams"]["orders"]["breaker"]["cooldown"], "3m");
    assert_eq!(gateway.state("orders"), "open");
    assert!(
        gateway
            .get("/a")
            .text()
            .contains("breaker `orders` refused")
    );

    gateway.rewrite_beside("guards.yaml", &ORDERS.replace("Order_Service", "Nobody"));
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reload failed; the old plan stays in use");
    assert_eq!(gateway.state("orders"), "open");

    gateway.rewrite_beside("guards.yaml", "version: 1\n");
    gateway.sighup();
    gateway.log_line(|line| {
        line["message"] == "breakers of orders: the upstream is gone, and their state with it"
    });
    eventually("nothing is before it", || {
        !gateway.get("/a").text().contains("breaker")
    });
    assert!(gateway.breakers().is_empty());
    assert_eq!(upstream.connections(), 4);
}

#[test]
fn gateways_share_a_breaker_before_an_applications_requests() {
    let server = Server::start();
    let upstream = Upstream::start(Call::reset);
    let guards = "upstreams:\n  orders: { applies_to: Order_Service, breaker: { trip: { consecutive_failures: 1 }, cooldown: 60s, share: verdict } }\n";
    let start = |node: usize| {
        let guards = format!("{guards}fleet: {{ node: n{node} }}\n");
        let setup = mule(&upstream.url(), &guards);
        setup.arg("--store").arg(server.url()).start()
    };
    let nodes = [start(0), start(1)];
    for node in &nodes {
        eventually("the node reads the fleet's records", || {
            node.metric("fusebox_fleet_breakers") == Some(1.0)
                && node.metric("fusebox_fleet_reads_total") > Some(0.0)
        });
    }
    nodes[0].get("/a");
    eventually("the other is open", || nodes[1].state("orders") == "open");
    assert!(
        nodes[1]
            .get("/a")
            .text()
            .contains("breaker `orders` refused")
    );
    assert_eq!(nodes[1].breaker("orders")["fleet"]["share"], "verdict");
    assert_eq!(upstream.connections(), 1);
}

const BINDS: [&str; 4] = [
    "--bind",
    "HTTP_Listener=http://127.0.0.1:0",
    "--bind",
    "Order_Service=http://127.0.0.1:1",
];

/// The output of `check` with a file named `guards.yaml` beside an application, without the counts of its summary.
fn checked(app: &str, guards: &str) -> String {
    let is_xml = app.starts_with('<');
    let name = if is_xml { "orders.xml" } else { "app.json" };
    let binds = BINDS.into_iter().filter(|_| is_xml);
    let program = Program::new().file(name, app).file("guards.yaml", guards);
    let ended = program.run(["check", name, "guards.yaml"].into_iter().chain(binds));
    let is_refused = ended.stdout.contains("error: ");
    assert_eq!(ended.code, Some(i32::from(is_refused)), "{}", ended.stdout);
    let is_count = |line: &&str| line.starts_with("runs: ") || line.starts_with("blocks: ");
    let lines = ended.stdout.split_inclusive('\n');
    lines.filter(|line| !is_count(line)).collect()
}

#[test]
fn check_counts_what_stands_before_an_application_and_tells_names_that_nothing_has() {
    let app = orders("");
    assert_eq!(
        checked(&app, "upstreams:\n  Order_Service: { breaker: {} }\n"),
        "ok: 1 listener, 1 route, 1 upstream\n"
    );
    assert_eq!(
        checked(&app, "upstreams:\n  Order_Servis: { breaker: {} }\n"),
        "guards.yaml:2:3: error: the application makes no requests by the name `Order_Servis`; did you mean `Order_Service`?\n"
    );
}

#[test]
fn each_mistake_in_a_file_beside_an_application_is_told_once_and_with_its_mend() {
    let app = orders("");
    for applies_to in ["", "[Order_Service]", "${GUARDS_TEST_NOT_SET}"] {
        let guards = format!("upstreams:\n  a: {{ applies_to: {applies_to}, breaker: {{}} }}\n");
        let told = checked(&app, &guards);
        assert_eq!(told.matches("error: ").count(), 1, "{told}");
    }
    assert!(checked(&app, "").ends_with("beside an application, with `upstreams:` alone\n"));
}

#[test]
fn a_file_beside_an_application_is_not_converted_with_it() {
    let program = Program::new().file("orders.xml", &orders(""));
    let program = program.file("guards.yaml", ORDERS);
    let ended = program.run(
        ["convert", "guards.yaml", "orders.xml"]
            .into_iter()
            .chain(BINDS),
    );
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert_eq!(
        ended.stderr,
        "guards.yaml:1:1: error: this file stands beside the application, which is converted by itself; run `convert` without it, then add its `timeout` and `breaker` to the upstreams in the output\n"
    );
}

#[test]
fn a_time_that_no_call_of_the_application_reaches_is_refused() {
    let guards = |target: &str, breaker: &str| {
        format!("upstreams:\n  a:\n    applies_to: {target}\n    breaker: {breaker}\n")
    };
    let orders_with = |attribute: &str| orders("").replace("method='POST'", attribute);
    let (usual, own) = (orders_with(""), orders_with("responseTimeout='12000'"));
    let mut slow_pets = pets("http://127.0.0.1:1");
    slow_pets["resources"][0]["data"]["services"][0]["settings"]["timeout"] = json!(7);
    let slow_pets = slow_pets.to_string();
    for (app, target, breaker, told) in [
        (
            &usual,
            "Order_Service",
            "{ trip: { stalled: 3, longer_than: 10s } }",
            "`longer_than` is 10s, and every call ends after the application's `defaultResponseTimeout`, 10s, so the rule could never trip; lower it, or raise the application's `defaultResponseTimeout`",
        ),
        (
            &own,
            "Order_Service",
            "{ abandoned: 12s }",
            "`abandoned` is 12s, and every call ends after the `responseTimeout` of a request to `Order_Service`, 12s, so no call could be given up so late; lower it, or raise the `responseTimeout` of a request to `Order_Service`",
        ),
        (
            &slow_pets,
            "PetStorePets",
            "{ trip: { slow_rate: 50%, slower_than: 8s } }",
            "`slower_than` is 8s, and every call ends after the `timeout` of `PetStorePets`, 7s, so the rule could never trip; lower it, or raise the `timeout` of `PetStorePets`",
        ),
    ] {
        let line = checked(app, &guards(target, breaker));
        let (place, what) = line.split_once(": error: ").expect("an error");
        assert!(place.starts_with("guards.yaml:4:"), "{place}");
        assert_eq!(what, format!("{told}\n"));
        let shorter = breaker
            .replace("10s", "9s")
            .replace("12s", "11s")
            .replace("8s", "7s");
        let told = checked(app, &guards(target, &shorter));
        assert!(told.starts_with("ok: "), "{told}");
    }
}

/// The first file on a page.
fn sample(page: &str) -> &str {
    let after = page.split("```yaml\n").nth(1);
    after
        .and_then(|rest| rest.split("```").next())
        .expect("a file")
}

#[test]
fn the_files_on_the_pages_are_the_examples_and_are_taken() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let text = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).expect("a file");
    for (dialect, app, binds) in [
        (
            "mule",
            "orders.xml",
            &[
                "--bind",
                "HTTP_Listener=http://127.0.0.1:0",
                "--bind",
                "Order_Service=http://127.0.0.1:1",
            ][..],
        ),
        ("flogo", "app.json", &[]),
    ] {
        let guards = text(&format!("examples/{dialect}/guards.yaml"));
        assert_eq!(sample(&text(&format!("docs/{dialect}.md"))), guards);
        let app = format!("{root}/examples/{dialect}/{app}");
        let program = Program::new().file("guards.yaml", &guards);
        let ended = program.run(["check", &*app, "guards.yaml"].iter().chain(binds));
        assert_eq!(ended.code, Some(0), "{}", ended.stdout);
        assert!(ended.stdout.ends_with("1 upstream\n"), "{}", ended.stdout);
        assert!(!ended.stdout.contains("guards.yaml"), "{}", ended.stdout);
    }
}
