//! The breaker that a Mule flow builds by hand, seen and steered from outside.

use crate::support::mule::setup;
use crate::support::{Program, Refusing, Upstream};
use serde_json::json;

/// The example's flow, which is the document's.
const EXAMPLE: &str = include_str!("../../../../examples/mule/orders.xml");

const NAME: &str = "circuit-breaker-store/circuit-state";

#[test]
fn the_admin_api_shows_the_circuit_that_a_flow_builds() {
    let refusing = Refusing::new();
    let mut gateway = setup(EXAMPLE, &[("Order_Service", &refusing.url())]).start();
    let closed = gateway.breaker(NAME);
    assert_eq!(
        (&closed["kind"], &closed["state"]),
        (&json!("flow"), &json!("closed"))
    );
    assert_eq!(closed["flow"]["count"], 0);
    for failures in 1..=5 {
        assert_eq!(gateway.breaker(NAME)["state"], "closed");
        assert_eq!(gateway.get("/api/orders").status, 503);
        assert_eq!(gateway.breaker(NAME)["flow"]["count"], failures);
    }
    for _ in 0..2 {
        let open = gateway.breaker(NAME);
        assert_eq!(open["state"], "open");
        assert_eq!(open["upstream"], "Order_Service");
        assert_eq!(open["flow"]["store"], "circuit-breaker-store");
        assert_eq!(open["flow"]["key"], "circuit-state");
        assert_eq!(open["flow"]["threshold"], 5);
        assert_eq!(open["flow"]["flaws"].as_array().unwrap().len(), 6);
        let left = open["retry_after"].as_u64().unwrap();
        assert!((1..=70).contains(&left), "{left}");
        assert_eq!(gateway.state(NAME), "open");
        let series = format!("fusebox_breaker_state{{breaker=\"{NAME}\",state=\"open\"}}");
        assert_eq!(gateway.metric(&series), Some(1.0));
        // It is in the store, so a restart changes nothing.
        gateway.restart();
    }
    assert!(gateway.breakers().contains(&NAME.to_owned()));
    let listed = gateway.admin_get("/api/v1/breakers?state=closed").json();
    assert_eq!(listed["total"], 0);
}

#[test]
fn an_operator_opens_and_closes_the_circuit_of_a_flow() {
    let upstream = Upstream::start(|call| call.respond_with(200, "", "fine"));
    let gateway = setup(EXAMPLE, &[("Order_Service", &upstream.url())]).start();
    let path = "/api/v1/breakers/circuit-breaker-store%2Fcircuit-state";
    let order = |what: &str, body| gateway.admin_post(&format!("{path}/{what}"), &body);
    assert_eq!(gateway.get("/api/orders").status, 200);
    let upstreams = gateway.admin_get("/api/v1/upstreams").json();
    let target = &upstreams["upstreams"][0];
    assert_eq!(target["name"], "Order_Service", "{upstreams}");
    assert_eq!(target["endpoints"][0]["url"], upstream.url());
    let opened = order("open", json!({})).json();
    assert_eq!(opened["state"], "open");
    assert_eq!(gateway.get("/api/orders").status, 503);
    assert_eq!(upstream.calls(), 1);
    assert_eq!(order("open", json!({ "for": "10m" })).status, 409);
    assert_eq!(order("release", json!({})).status, 409);
    let closed = order("close", json!({})).json();
    assert_eq!(closed["state"], "closed");
    assert_eq!(gateway.get("/api/orders").status, 200);
    assert_eq!(order("reset", json!({})).json()["flow"]["count"], 0);
}

#[test]
fn a_store_that_is_away_hides_its_circuits_and_not_the_list() {
    let (orders, store) = (Refusing::new(), Refusing::new());
    let away = store.url().replace("http://", "redis://");
    let gateway = setup(EXAMPLE, &[("Order_Service", &orders.url())])
        .arg("--store")
        .arg(away)
        .start();
    let list = gateway.admin_get("/api/v1/breakers");
    assert_eq!(list.status, 200);
    let why = list.json()["incomplete"].as_str().unwrap().to_owned();
    assert!(why.starts_with("circuits of flows: "), "{why}");
    let admin = format!("http://{}", gateway.admin_addr());
    let ls = Program::new().run(["breakers", "--admin", &admin]);
    assert_eq!((ls.code, ls.stdout.as_str()), (Some(0), "no breakers\n"));
    assert!(
        ls.stderr.contains("the list is incomplete"),
        "{}",
        ls.stderr
    );
}

#[test]
fn breakers_shows_it_in_a_terminal() {
    let refusing = Refusing::new();
    let gateway = setup(EXAMPLE, &[("Order_Service", &refusing.url())]).start();
    let admin = format!("http://{}", gateway.admin_addr());
    let listed = Program::new().run(["breakers", "ls", "--admin", &admin]);
    assert!(listed.stdout.contains(NAME), "{listed:?}");
    let shown = Program::new().run(["breakers", "show", NAME, "--admin", &admin]);
    assert!(
        shown.stdout.contains("is closed (a flow's own)"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("0 of 5"), "{shown:?}");
}
