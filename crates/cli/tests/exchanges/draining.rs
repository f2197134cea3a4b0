//! SIGTERM: nobody new, everybody who is being served is served to the end, within a limit.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Client, Dial, Ending, Gate, Gateway, Upstream, eventually, orders};

/// A gateway before an upstream that keeps `/slow` waiting until the gate opens.
fn gateway(drain: &str) -> (Gateway, Upstream, Gate) {
    let gate = Gate::default();
    let door = gate.clone();
    let upstream = Upstream::start(move |call| {
        if call.seen.target.starts_with("/slow") {
            door.pass();
        }
        call.respond(200, "done");
    });
    let yaml = orders(&upstream, "{}") + &format!("limits: {{ drain: {drain} }}\n");
    (Gateway::run(yaml), upstream, gate)
}

/// A request that waits at the upstream.
#[track_caller]
fn begin_slow(gateway: &Gateway, gate: &Gate) -> Client {
    let mut client = gateway.client();
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request waits at the upstream", || gate.waiting() > 0);
    client
}

#[track_caller]
fn await_draining(gateway: &Gateway) {
    gateway.log_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("draining")
    });
}

/// The log's last word: how many connections were cut.
#[track_caller]
fn cut(gateway: &Gateway) -> u64 {
    let line = gateway.log_line(|line| line["message"] == "drained");
    line["cut"].as_u64().unwrap()
}

#[test]
fn what_is_in_flight_is_finished_and_nothing_new_is_begun() {
    let (gateway, upstream, gate) = gateway("60s");
    let mut slow = begin_slow(&gateway, &gate);
    let (addr, mut admin) = (gateway.addr(), gateway.admin());
    assert_eq!(admin.get("/readyz").status, 200);
    gateway.sigterm();
    await_draining(&gateway);
    assert_eq!(admin.get("/readyz").status, 503, "at once");
    let verbose = admin.get("/readyz?verbose").text();
    assert!(
        verbose.contains("listeners: not ready: draining"),
        "{verbose}"
    );
    assert_eq!(admin.get("/healthz").status, 200);
    assert_eq!(gateway.metric("fusebox_draining"), Some(1.0));
    eventually("connections are refused", || {
        TcpStream::connect(addr).is_err()
    });
    assert!(gateway.is_running());
    gate.open();
    let response = slow.response();
    assert_eq!((response.status, response.text().as_str()), (200, "done"));
    assert_eq!(response.fields.get("connection"), Some("close"));
    assert_eq!(slow.ended(), (Vec::new(), Ending::Closed));
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(cut(&gateway), 0);
    assert_eq!(upstream.calls(), 1);
}

#[test]
fn idle_connections_are_closed_at_once() {
    let (gateway, _upstream, gate) = gateway("60s");
    let mut idle: Vec<_> = (0..5).map(|_| gateway.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/a").status, 200);
    }
    let _slow = begin_slow(&gateway, &gate);
    gateway.sigterm();
    for client in &mut idle {
        assert_eq!(client.ended(), (Vec::new(), Ending::Closed));
    }
    assert!(gateway.is_running(), "the slow one is still served");
    gate.open();
}

#[test]
fn a_connection_that_never_said_anything_holds_nobody_up() {
    let (gateway, _upstream, _) = gateway("60s");
    let mut silent = gateway.client();
    assert_eq!(gateway.get("/a").status, 200);
    let begun = Instant::now();
    gateway.sigterm();
    assert_eq!(silent.ended(), (Vec::new(), Ending::Closed));
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn clients_that_keep_their_side_open_hold_nobody_up() {
    let (gateway, _upstream, _) = gateway("60s");
    let mut idle: Vec<_> = (0..20).map(|_| gateway.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/a").status, 200);
    }
    let begun = Instant::now();
    gateway.sigterm();
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    drop(idle);
}

#[test]
fn whoever_had_connected_before_is_served() {
    let (gateway, upstream, _) = gateway("60s");
    // The kernel takes connections and requests for a process that does not run for a moment.
    gateway.signal("STOP");
    let mut waiting: Vec<_> = (0..300).map(|_| gateway.client()).collect();
    for client in &mut waiting {
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    gateway.sigterm();
    gateway.signal("CONT");
    for client in &mut waiting {
        let response = client.response();
        assert_eq!(response.status, 200);
        assert_eq!(client.ended().1, Ending::Closed);
    }
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(upstream.calls(), 300);
}

#[test]
fn a_request_that_takes_longer_than_the_limit_is_cut() {
    let (gateway, _upstream, gate) = gateway("1s");
    let mut slow = begin_slow(&gateway, &gate);
    let begun = Instant::now();
    gateway.sigterm();
    assert_eq!(gateway.wait().code(), Some(0));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(cut(&gateway), 1);
    assert_eq!(slow.ended().0, b"", "no half an answer");
    gate.open();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let (gateway, _upstream, gate) = gateway("10m");
        let _slow = begin_slow(&gateway, &gate);
        gateway.signal(first);
        await_draining(&gateway);
        assert!(gateway.is_running());
        gateway.signal(second);
        assert_eq!(gateway.wait().code(), Some(0));
        gateway.log_line(|line| line["message"] == "ended before the drain was complete");
        gate.open();
    }
}

#[test]
fn with_nothing_to_finish_it_ends_soon() {
    for signal in ["TERM", "INT", "QUIT"] {
        let (gateway, ..) = gateway("10m");
        let begun = Instant::now();
        gateway.signal(signal);
        assert_eq!(gateway.wait().code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
}

#[test]
fn signals_that_ask_for_nothing_end_nothing() {
    let (gateway, _upstream, _) = gateway("60s");
    for signal in ["USR1", "USR2", "ALRM"] {
        gateway.signal(signal);
        assert_eq!(gateway.get("/a").status, 200, "{signal}");
    }
    gateway.log_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("nothing to reopen")
    });
    assert!(gateway.is_running());
}

/// A gateway that still takes requests for so long after a signal.
fn delayed(delay: &str) -> Gateway {
    let yaml = "listen: 127.0.0.1:0\nroutes: [{ path: /a, respond: {} }]\n";
    Gateway::run(format!("{yaml}limits: {{ drain_delay: {delay} }}\n"))
}

#[track_caller]
fn await_leaving(gateway: &Gateway) {
    gateway.log_line(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("leaving")
    });
}

#[test]
fn during_the_drain_delay_it_is_not_ready_and_still_serves() {
    let gateway = delayed("10m");
    let mut kept = gateway.client();
    assert_eq!(kept.get("/a").status, 200);
    gateway.sigterm();
    await_leaving(&gateway);
    assert_eq!(gateway.admin_get("/readyz").status, 503);
    assert_eq!(gateway.admin_get("/healthz").status, 200);
    assert_eq!(gateway.metric("fusebox_draining"), Some(1.0));
    assert_eq!(gateway.get("/a").status, 200, "a new connection");
    let answer = kept.get("/a");
    assert_eq!(
        (answer.status, answer.fields.get("connection")),
        (200, None)
    );
    // A second signal is the end of the delay, not of the process.
    gateway.sigterm();
    await_draining(&gateway);
    assert_eq!(kept.ended(), (Vec::new(), Ending::Closed));
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(cut(&gateway), 0);
}

#[test]
fn the_drain_delay_ends_by_itself() {
    let gateway = delayed("300ms");
    let begun = Instant::now();
    gateway.signal("QUIT");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(cut(&gateway), 0);
}

#[test]
fn a_body_that_flows_is_finished() {
    let gate = Gate::default();
    let door = gate.clone();
    let upstream = Upstream::start(move |call| {
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
        call.send(vec![b'a'; 100_000]);
        door.pass();
        call.send(vec![b'b'; 100_000]);
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status, 200);
    client.wire.skip(100_000).unwrap();
    gateway.sigterm();
    await_draining(&gateway);
    gate.open();
    let rest = client.wire.read_exactly(100_000).unwrap();
    assert!(rest.iter().all(|byte| *byte == b'b'));
    assert_eq!(client.ended(), (Vec::new(), Ending::Closed));
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn an_upload_is_finished() {
    let upstream = Upstream::start(|call| {
        let length = call.body().len();
        call.respond(200, &length.to_string());
    });
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let mut client = gateway.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    client.send(vec![b'a'; 30_000]);
    eventually("the request reaches the upstream", || upstream.calls() == 1);
    gateway.sigterm();
    await_draining(&gateway);
    client.send(vec![b'a'; 30_000]);
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "60000"));
    assert_eq!(gateway.wait().code(), Some(0));
}

/// An open tunnel, whose upstream echoes lines until the client closes.
fn tunnel(drain: &str) -> (Gateway, Upstream, Client) {
    let upstream = Upstream::start(|call| {
        call.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        let mut wire = call.wire();
        while let Ok(line) = wire.read_line() {
            if wire.send(format!("{line}\r\n")).is_err() {
                break;
            }
            wire = call.wire();
        }
        call.close();
    });
    let gateway =
        Gateway::run(orders(&upstream, "{}") + &format!("limits: {{ drain: {drain} }}\n"));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.head().status, 101);
    (gateway, upstream, client)
}

#[track_caller]
fn echo(client: &mut Client, line: &str) -> io::Result<String> {
    client.wire.send(format!("{line}\r\n"))?;
    client.wire.read_line()
}

#[test]
fn a_tunnel_goes_on_until_it_ends() {
    let (gateway, _upstream, mut client) = tunnel("60s");
    assert_eq!(echo(&mut client, "before").unwrap(), "before");
    gateway.sigterm();
    await_draining(&gateway);
    assert_eq!(echo(&mut client, "after").unwrap(), "after");
    assert!(gateway.is_running());
    client.wire.close();
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(cut(&gateway), 0);
}

#[test]
fn a_tunnel_is_cut_at_the_limit() {
    let (gateway, upstream, mut client) = tunnel("1s");
    assert_eq!(echo(&mut client, "before").unwrap(), "before");
    gateway.sigterm();
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(cut(&gateway), 1);
    assert!(echo(&mut client, "after").is_err());
    eventually("the upstream sees its end too", || upstream.open() == 0);
}

#[test]
fn a_client_of_the_admin_api_does_not_keep_it_alive() {
    let (gateway, ..) = gateway("60s");
    let mut admin = gateway.admin();
    assert_eq!(admin.get("/readyz").status, 200);
    let mut half = gateway.admin();
    half.send("GET /read");
    gateway.sigterm();
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_reload_while_it_drains_brings_nothing_back() {
    let (gateway, upstream, gate) = gateway("60s");
    let mut slow = begin_slow(&gateway, &gate);
    let addr = gateway.addr();
    gateway.sigterm();
    await_draining(&gateway);
    gateway.rewrite(&orders(&upstream, "{ cooldown: 7s }"));
    gateway.sighup();
    eventually("connections are refused", || {
        TcpStream::connect(addr).is_err()
    });
    assert_eq!(gateway.admin_get("/readyz").status, 503);
    gate.open();
    assert_eq!(slow.response().status, 200);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn under_traffic_no_request_is_lost() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(orders(&upstream, "{}"));
    let addr = gateway.addr();
    let clients: Vec<_> = (0..6)
        .map(|_| {
            std::thread::spawn(move || {
                let mut served = 0;
                // Each request on a connection of its own, until there is nobody to connect to.
                while let Ok(socket) = TcpStream::connect(addr) {
                    let mut wire = crate::support::Wire::plain(socket).unwrap();
                    let sent = wire.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                    let answer = wire.read_to_end();
                    match (sent, answer) {
                        (Ok(()), Ok((answer, _))) if answer.starts_with(b"HTTP/1.1 200 ") => {
                            assert!(answer.ends_with(b"from upstream"));
                            served += 1;
                        }
                        // The kernel completes a handshake that nobody takes up any more.
                        (_, Ok((answer, Ending::Reset))) if answer.is_empty() => {
                            return (served, 1);
                        }
                        (sent, answer) => panic!("{sent:?}, {answer:?}"),
                    }
                }
                (served, 0)
            })
        })
        .collect();
    eventually("there is traffic", || upstream.calls() > 200);
    gateway.sigterm();
    let ended: Vec<_> = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .collect();
    assert_eq!(gateway.wait().code(), Some(0));
    let (served, late) = ended
        .iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!(
        served,
        upstream.calls(),
        "every call that was made was answered"
    );
    assert!(late <= 6);
    assert_eq!(cut(&gateway), 0);
}
