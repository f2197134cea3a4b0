//! The circuit breaker that a Mule flow builds out of an object store, as it was published.

use crate::support::mule::{DOCUMENT, setup};
use crate::support::{Dial, Gateway, Refusing, Response, Upstream, eventually};
use fusebox_store::testing::Server;

const AWAY: &str = r##"{"error":"Service temporarily unavailable"}"##;
const OPEN: &str = r##"{"error":"Circuit open — service unavailable"}"##;

#[track_caller]
fn shown(response: &Response) -> (u16, String, String) {
    let media_type = response.fields.get("content-type").unwrap_or_default();
    (response.status, media_type.to_owned(), response.text())
}

#[track_caller]
fn json(status: u16, body: &str) -> (u16, String, String) {
    (status, "application/json".into(), body.into())
}

#[track_caller]
fn orders(gateway: &Gateway) -> (u16, String, String) {
    shown(&gateway.get("/api/orders"))
}

/// Fails five times, which opens the circuit.
#[track_caller]
fn trip(gateway: &Gateway) {
    for _ in 0..5 {
        assert_eq!(orders(gateway), json(503, AWAY));
    }
}

fn answering(body: &'static str) -> impl Fn(&mut crate::support::Call) + Send + Sync {
    move |call| call.respond_with(200, "Content-Type: application/json\r\n", body)
}

#[test]
fn the_document_trips_after_five_refusals_and_stays_open_over_a_kill() {
    let upstream = Upstream::start(answering(r##"{"orders":[]}"##));
    let addr = upstream.addr();
    let mut gateway = setup(DOCUMENT, &[("Order_Service", &upstream.url())]).start();
    assert_eq!(orders(&gateway), json(200, r##"{"orders":[]}"##));
    assert_eq!((upstream.calls(), &*upstream.last().target), (1, "/orders"));
    upstream.stop();
    drop(upstream);
    trip(&gateway);
    let line = gateway.log_line(|line| line["message"] == "Circuit OPEN after 5 failures");
    assert_eq!(line["level"], "WARN");

    let upstream = Upstream::at(addr, None, answering("{}"));
    assert_eq!(orders(&gateway), json(503, OPEN));
    gateway.restart();
    assert_eq!(orders(&gateway), json(503, OPEN));
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn strict_answers_as_mule_does_whatever_the_flow_wanted() {
    let refusing = Refusing::new();
    let url = refusing.url();
    let gateway = setup(DOCUMENT, &[("Order_Service", &url)])
        .arg("--compat")
        .arg("strict")
        .start();
    let failed = format!("HTTP GET on resource '{url}/orders' failed: Connection refused.");
    for _ in 0..5 {
        let plain = (500, "text/plain".to_owned(), failed.clone());
        assert_eq!(orders(&gateway), plain);
    }
    assert_eq!(orders(&gateway), json(200, OPEN));
}

#[test]
fn the_circuit_closes_at_the_sweep_after_its_time() {
    let refusing = Refusing::new();
    let seconds = r##"entryTtl="60" entryTtlUnit="SECONDS""##;
    let sweep = r##"expirationInterval="10" expirationIntervalUnit="SECONDS""##;
    let short = DOCUMENT
        .replace(seconds, r##"entryTtl="3" entryTtlUnit="SECONDS""##)
        .replace(
            sweep,
            r##"expirationInterval="200" expirationIntervalUnit="MILLISECONDS""##,
        );
    let gateway = setup(short, &[("Order_Service", &refusing.url())]).start();
    trip(&gateway);
    assert_eq!(orders(&gateway), json(503, OPEN));
    eventually("the state's entry is swept", || {
        orders(&gateway) == json(503, AWAY)
    });
    // Its count went with it.
    trip_again(&gateway);
}

/// One failure has been seen; four more open the circuit.
#[track_caller]
fn trip_again(gateway: &Gateway) {
    for _ in 0..4 {
        assert_eq!(orders(gateway), json(503, AWAY));
    }
    assert_eq!(orders(gateway), json(503, OPEN));
}

#[test]
fn timeouts_count_and_statuses_do_not() {
    let status = Dial::at(500);
    let shared = status.clone();
    let upstream = Upstream::start(move |call| match shared.get() {
        0 => {
            call.hang();
        }
        status => call.respond(u16::try_from(status).expect("a status"), "no"),
    });
    let url = upstream.url();
    let hasty = DOCUMENT.replace(
        r##"path="/orders" method="GET""##,
        r##"path="/orders" method="GET" responseTimeout="600""##,
    );
    assert_ne!(hasty, DOCUMENT);
    let gateway = setup(hasty, &[("Order_Service", &url)]).start();
    let failed = |why: &str| {
        let told = format!("HTTP GET on resource '{url}/orders' failed: {why}.");
        (500, "text/plain".to_owned(), told)
    };
    for _ in 0..6 {
        assert_eq!(orders(&gateway), failed("internal server error (500)"));
    }
    status.set(429);
    assert_eq!(orders(&gateway), failed("too many requests (429)"));
    status.set(0);
    trip(&gateway);
    assert_eq!(orders(&gateway), json(503, OPEN));
}

#[test]
fn a_reload_keeps_the_circuit() {
    let refusing = Refusing::new();
    let gateway = setup(DOCUMENT, &[("Order_Service", &refusing.url())]).start();
    trip(&gateway);
    gateway.rewrite(&DOCUMENT.replace("/api/orders", "/api/others"));
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reloaded");
    assert_eq!(shown(&gateway.get("/api/others")), json(503, OPEN));
    let gone = gateway.get("/api/orders");
    let told = "No listener for endpoint: /api/orders".to_owned();
    assert_eq!(shown(&gone), (404, "text/plain".into(), told));
}

#[test]
fn many_failures_at_once_lose_counts_but_no_answer() {
    let refusing = Refusing::new();
    let gateway = setup(DOCUMENT, &[("Order_Service", &refusing.url())]).start();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..4 {
                    let answer = shown(&client.get("/api/orders"));
                    assert!(
                        answer == json(503, AWAY) || answer == json(503, OPEN),
                        "{answer:?}"
                    );
                }
            });
        }
    });
    eventually("the circuit opens", || orders(&gateway) == json(503, OPEN));
}

#[test]
fn calls_whose_clients_hang_up_count_all_the_same() {
    let upstream = Upstream::start(|call| {
        call.hang();
    });
    let hasty = DOCUMENT.replace(
        r##"path="/orders" method="GET""##,
        r##"path="/orders" method="GET" responseTimeout="300""##,
    );
    let gateway = setup(hasty, &[("Order_Service", &upstream.url())]).start();
    for _ in 0..5 {
        let mut client = gateway.client();
        client.send("GET /api/orders HTTP/1.1\r\nHost: h\r\n\r\n");
        eventually("the call is under way", || upstream.in_flight() == 1);
        drop(client);
        eventually("the gateway gives it up", || upstream.in_flight() == 0);
    }
    gateway.log_line(|line| line["message"] == "Circuit OPEN after 5 failures");
    assert_eq!(orders(&gateway), json(503, OPEN));
    assert_eq!(upstream.calls(), 5);
}

#[test]
fn gateways_on_one_server_share_the_circuit_and_say_when_it_is_away() {
    let refusing = Refusing::new();
    let mut server = Server::start();
    let start = || {
        setup(DOCUMENT, &[("Order_Service", &refusing.url())])
            .arg("--store")
            .arg(server.url())
            .start()
    };
    let (one, other) = (start(), start());
    for gateway in [&one, &one, &other, &other, &one] {
        assert_eq!(orders(gateway), json(503, AWAY));
    }
    assert_eq!(orders(&one), json(503, OPEN));
    assert_eq!(orders(&other), json(503, OPEN));

    server.kill();
    let away = "the object store is not available".to_owned();
    let (status, media_type, said) = orders(&other);
    // No handler of the flow takes it; and the client learns no address.
    assert_eq!((status, &*media_type, said), (500, "text/plain", away));
    server.restart();
    // The server keeps nothing on a disk: the flow begins anew.
    eventually("the store is there again", || {
        orders(&other) == json(503, AWAY)
    });
}
