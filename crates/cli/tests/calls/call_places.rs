//! Places in bulkheads: of event streams, tunnels, routes, and of a call before its rung (docs/calls.md).

use std::sync::Arc;
use std::thread;

use crate::support::calls::{FIVE, RESPOND, RETRY, file, file_with, marks};
use crate::support::{Dial, Gate, Gateway, Upstream, eventually};

fn in_flight(gateway: &Gateway) -> Option<f64> {
    gateway.metric("fusebox_bulkhead_in_flight{upstream=\"orders\"}")
}

#[test]
fn an_event_stream_moves_to_the_places_for_streams_while_there_are_some() {
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            if call.seen.target == "/events" {
                call.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
                call.send("9\r\ndata: 1\n\n\r\n");
                gate.pass();
                call.send("0\r\n\r\n");
            } else {
                call.respond(200, "ok");
            }
        }
    });
    let bulkhead = "bulkhead: { concurrent: 1, streams: 1 }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[bulkhead]));
    let open = || {
        let mut client = gateway.client();
        client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.head().status, 200);
        client
    };
    let _first = open();
    assert_eq!(in_flight(&gateway), Some(0.0), "it is a stream");
    assert_eq!(gateway.get("/a").status, 200);
    let _second = open();
    assert_eq!(in_flight(&gateway), Some(1.0), "it has kept its place");
    assert_eq!(marks(&gateway.get("/a")), (503, "", "bulkhead_full"));
    gate.open();
    eventually("both have ended", || {
        gateway.outcomes("orders") == (3, 0, 0)
    });
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn a_tunnel_holds_no_place_for_calls() {
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            if call.seen.fields.has("upgrade") {
                call.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
                call.wire();
                gate.pass();
                call.close();
            } else {
                call.respond(200, "ok");
            }
        }
    });
    let bulkhead = "bulkhead: { concurrent: 1 }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY, bulkhead]));
    let mut client = gateway.client();
    client.send("GET /chat HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
    assert_eq!(client.head().status, 101);
    assert_eq!(in_flight(&gateway), Some(0.0));
    assert_eq!(gateway.get("/a").status, 200);
    gate.open();
    client.ended();
}

#[test]
fn a_place_is_held_until_the_answers_body_has_ended() {
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsoo");
            gate.pass();
            call.send("ooo");
        }
    });
    let bulkhead = "bulkhead: { concurrent: 1 }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY, RESPOND, bulkhead]));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(in_flight(&gateway), Some(1.0));
    assert_eq!(marks(&gateway.get("/a")), (200, "respond", "bulkhead_full"));
    gate.open();
    eventually("the body has ended", || in_flight(&gateway) == Some(0.0));
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
}

#[test]
fn a_call_gives_its_place_back_before_a_rung_is_climbed() {
    let gate = Gate::default();
    let main = Upstream::start(|call| call.respond(500, "main"));
    let spare = Upstream::start({
        let gate = gate.clone();
        move |call| {
            gate.pass();
            call.respond(200, "spare");
        }
    });
    let more = [
        "bulkhead: { concurrent: 1 }",
        "fallback: [{ upstream: spare }]",
    ];
    let gateway = Arc::new(Gateway::run(file_with(&[main.url()], &more, &spare.url())));
    let clients = [(); 2].map(|()| {
        let gateway = gateway.clone();
        thread::spawn(move || gateway.get("/a"))
    });
    eventually("both are at the rung", || gate.waiting() == 2);
    assert_eq!(in_flight(&gateway), Some(0.0));
    gate.open();
    for client in clients {
        assert_eq!(marks(&client.join().unwrap()).1, "upstream=spare");
    }
}

#[test]
fn a_route_has_places_of_its_own() {
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            gate.pass();
            call.respond(200, "ok");
        }
    });
    let yaml = file(&[upstream.url()], FIVE, &[RESPOND]).replace(
        "upstream: orders }",
        "name: all, upstream: orders, max_concurrency: 1 }",
    );
    let gateway = Arc::new(Gateway::run(yaml));
    let first = thread::spawn({
        let gateway = gateway.clone();
        move || gateway.get("/a")
    });
    eventually("the first one", || gate.waiting() == 1);
    assert_eq!(marks(&gateway.get("/a")), (200, "respond", "bulkhead_full"));
    let rejected = "fusebox_bulkhead_rejected_total{route=\"all\",reason=\"bulkhead_full\"}";
    assert_eq!(gateway.metric(rejected), Some(1.0));
    gate.open();
    assert_eq!(first.join().unwrap().status, 200);
    assert_eq!(gateway.count("orders", "rejected"), 0);
    assert_eq!(gateway.outcomes("orders"), (1, 0, 0));
}

#[test]
fn a_call_that_loses_its_place_in_a_pause_leaves_its_failed_answer_to_the_ladder() {
    let (first, second) = (Gate::default(), Gate::default());
    let gates = [first.clone(), second.clone()];
    let next = Dial::at(0);
    let upstream = Upstream::start(move |call| {
        let at = usize::try_from(next.next()).unwrap();
        gates[at.min(1)].pass();
        call.respond(if at == 0 { 503 } else { 200 }, "body");
    });
    let bulkhead = "bulkhead: { concurrent: 1, queued: 1, queue_for: 30s }";
    let gateway = Gateway::run(file(&[upstream.url()], FIVE, &[RETRY, RESPOND, bulkhead]));
    let gateway = Arc::new(gateway);
    let get = || {
        let gateway = gateway.clone();
        thread::spawn(move || gateway.get("/a"))
    };
    let loses = get();
    eventually("the first attempt", || first.waiting() == 1);
    let waits = get();
    let queued = "fusebox_bulkhead_queued{upstream=\"orders\"}";
    eventually("another call waits", || gateway.metric(queued) == Some(1.0));
    first.open();
    let response = loses.join().unwrap();
    assert_eq!(marks(&response), (200, "respond", ""));
    assert_eq!(response.text(), "status_503");
    second.open();
    assert_eq!(marks(&waits.join().unwrap()), (200, "", ""));
    assert_eq!(
        (upstream.calls(), gateway.outcomes("orders")),
        (2, (1, 1, 0))
    );
}
