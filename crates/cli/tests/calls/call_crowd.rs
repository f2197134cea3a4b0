//! Hundreds of clients before a bulkhead: the upstream never has one request more than `concurrent`, places come back
//! whatever the clients do, the queue is exact, and who waits longest is next.
//!
//! About a second; `FUSEBOX_PROVE=1` has every client come forty times.

use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::calls::{NEVER, file, marks};
use crate::support::{Call, Client, Gate, Gateway, Setup, Upstream, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CLIENTS: usize = 500;
const PLACES: usize = 8;

/// The requests that an upstream has at once: those that it has not answered to their end, and whose connection is open.
#[derive(Default)]
struct Load {
    now: Mutex<Vec<(usize, TcpStream)>>,
    most: AtomicUsize,
}

impl Load {
    fn begin(&self, call: &mut Call) {
        let number = call.seen.connection;
        let socket = call.wire().socket().try_clone().unwrap();
        let mut now = self.now.lock().unwrap();
        now.push((number, socket));
        // Its own client may have left too, before the request was read.
        now.retain(|(_, socket)| !is_over(socket));
        self.most.fetch_max(now.len(), Ordering::SeqCst);
    }

    fn end(&self, call: &Call) {
        let number = call.seen.connection;
        self.now.lock().unwrap().retain(|(it, _)| *it != number);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// True if the peer has closed or reset a connection, without a wait and without reading.
fn is_over(socket: &TcpStream) -> bool {
    const PEEK_DONTWAIT: i32 = 0x02 | 0x40;
    let socket = socket2::SockRef::from(socket);
    match socket.recv_with_flags(&mut [MaybeUninit::uninit()], PEEK_DONTWAIT) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// The upstream that serves `/quick` at once, `/slow` with a body in two parts, `/hang` never and `/stall` only half.
fn upstream(load: &Arc<Load>) -> Upstream {
    let load = load.clone();
    Upstream::start(move |call| {
        load.begin(call);
        match &*call.seen.target.clone() {
            "/quick" => {
                // The service's own work, so that calls overlap; nothing is waited for.
                thread::sleep(Duration::from_millis(1));
                load.end(call);
                call.respond(200, "quick");
            }
            "/slow" => {
                call.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsoo");
                // Time between two parts of a body, in which clients leave; nothing is waited for.
                thread::sleep(Duration::from_millis(2));
                load.end(call);
                call.send("ooo");
            }
            hangs => {
                if hangs == "/stall" {
                    call.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsta");
                }
                call.hang();
                load.end(call);
            }
        }
    })
}

/// `in_flight` and `queued` of the bulkhead, as the admin API shows them.
fn places(gateway: &Gateway) -> (u64, u64) {
    let all = gateway.admin_get("/api/v1/upstreams").json();
    let bulkhead = &all["upstreams"][0]["bulkhead"];
    let count = |what: &str| bulkhead[what].as_u64().unwrap();
    (count("in_flight"), count("queued"))
}

/// Clients and upstream need more descriptors than most shells allow by default.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// Clients, each on a thread of its own, that begin together.
fn crowd<T: Send + 'static>(
    count: usize,
    client: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let (client, start) = (Arc::new(client), Arc::new(Barrier::new(count)));
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let (client, start) = (client.clone(), start.clone());
            let small = thread::Builder::new().stack_size(256 * 1024);
            let run = move || {
                start.wait();
                client(number)
            };
            small.spawn(run).unwrap()
        })
        .collect();
    threads.into_iter().map(|it| it.join().unwrap()).collect()
}

/// Sends a request, and leaves with a reset after a moment of its own.
fn leaves(gateway: &Gateway, number: usize, path: &str) {
    let mut client = gateway.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
    // Clients leave at moments that no event marks; whichever it is, the test holds.
    thread::sleep(Duration::from_millis((number * 7 % 30) as u64));
    client.wire.reset();
}

#[test]
fn an_upstream_never_has_one_call_more_than_concurrent_whatever_500_clients_do() {
    raise_descriptors();
    let times = match std::env::var_os("FUSEBOX_PROVE") {
        Some(_) => 40,
        None => 2,
    };
    let load = Arc::new(Load::default());
    let upstream = upstream(&load);
    let bulkhead = format!("bulkhead: {{ concurrent: {PLACES}, queued: 1000, queue_for: 60s }}");
    let yaml = file(&[upstream.url()], NEVER, &[&bulkhead]);
    let gateway = Arc::new(Setup::new(yaml).workers(3).start());
    crowd(CLIENTS, {
        let gateway = gateway.clone();
        move |number| {
            let mut client = gateway.client();
            for _ in 0..times {
                match number % 5 {
                    0 | 1 => assert_eq!(client.get("/quick").text(), "quick"),
                    2 => assert_eq!(client.get("/slow").text(), "sooooo"),
                    3 => leaves(
                        &gateway,
                        number,
                        if number % 2 == 0 { "/hang" } else { "/stall" },
                    ),
                    // It closes its side, and so looks as if it were gone.
                    _ => {
                        let mut client = gateway.client();
                        client.send("GET /quick HTTP/1.1\r\nHost: t\r\n\r\n");
                        client.wire.close();
                    }
                }
            }
        }
    });
    eventually("all places are back", || places(&gateway) == (0, 0));
    assert_eq!(load.most(), PLACES);
    // Not one place less than before, either.
    let full = crowd(PLACES, {
        let gateway = gateway.clone();
        move |_| {
            let mut client = gateway.client();
            client.send("GET /stall HTTP/1.1\r\nHost: t\r\n\r\n");
            assert_eq!(client.head().status, 200);
            client
        }
    });
    assert_eq!(places(&gateway), (PLACES as u64, 0));
    full.into_iter().for_each(|client| client.wire.reset());
    eventually("all places are back", || places(&gateway) == (0, 0));
    assert_eq!(load.most(), PLACES);
}

#[test]
fn of_500_clients_at_once_exactly_those_beyond_places_and_queue_are_refused() {
    raise_descriptors();
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            gate.pass();
            call.respond(200, "ok");
        }
    });
    let bulkhead = format!("bulkhead: {{ concurrent: {PLACES}, queued: 16, queue_for: 60s }}");
    let yaml = file(&[upstream.url()], NEVER, &[&bulkhead]);
    let gateway = Arc::new(Setup::new(yaml).workers(3).start());
    let refused = Arc::new(AtomicUsize::new(0));
    let opener = thread::spawn({
        let (gate, gateway, refused) = (gate.clone(), gateway.clone(), refused.clone());
        move || {
            let most = CLIENTS - PLACES - 16;
            eventually("all others are refused", || {
                refused.load(Ordering::SeqCst) == most && gate.waiting() == PLACES
            });
            let seen = places(&gateway);
            gate.open();
            seen
        }
    });
    let answers = crowd(CLIENTS, {
        let gateway = gateway.clone();
        move |_| {
            let response = gateway.get("/a");
            if response.status == 503 {
                refused.fetch_add(1, Ordering::SeqCst);
            }
            response
        }
    });
    assert_eq!(opener.join().unwrap(), (PLACES as u64, 16));
    let full = answers
        .iter()
        .filter(|it| marks(it) == (503, "", "bulkhead_full"));
    assert_eq!(full.count(), CLIENTS - PLACES - 16);
    assert_eq!(
        answers.iter().filter(|it| it.status == 200).count(),
        PLACES + 16
    );
    assert_eq!(upstream.calls(), PLACES + 16);
    assert_eq!(places(&gateway), (0, 0));
}

#[test]
fn as_many_clients_as_places_and_queue_are_never_refused() {
    raise_descriptors();
    let upstream = Upstream::start(|call| call.respond(200, "ok"));
    let bulkhead = "bulkhead: { concurrent: 4, queued: 20, queue_for: 60s }";
    let yaml = file(&[upstream.url()], NEVER, &[bulkhead]);
    let gateway = Arc::new(Setup::new(yaml).workers(3).start());
    let refused = crowd(24, {
        let gateway = gateway.clone();
        move |_| {
            let mut client: Client = gateway.client();
            (0..50).filter(|_| client.get("/a").status != 200).count()
        }
    });
    assert_eq!(refused.iter().sum::<usize>(), 0);
    assert_eq!(places(&gateway), (0, 0));
}

#[test]
fn places_go_to_those_who_have_waited_longest_on_any_worker() {
    const WAITING: usize = 30;
    let gate = Gate::default();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |call| {
            gate.pass();
            call.respond(200, "ok");
        }
    });
    let bulkhead = "bulkhead: { concurrent: 1, queued: 100, queue_for: 60s }";
    let yaml = file(&[upstream.url()], NEVER, &[bulkhead]);
    let gateway = Setup::new(yaml).workers(3).start();
    let mut clients: Vec<_> = (0..=WAITING)
        .map(|number| {
            let mut client = gateway.client();
            client.send(format!("GET /{number} HTTP/1.1\r\nHost: t\r\n\r\n"));
            eventually("it waits", || places(&gateway) == (1, number as u64));
            client
        })
        .collect();
    // One in the middle leaves, and the others move up.
    clients.remove(WAITING / 2).wire.reset();
    eventually("it has left", || {
        places(&gateway) == (1, WAITING as u64 - 1)
    });
    gate.open();
    for mut client in clients {
        assert_eq!(client.response().status, 200);
    }
    let seen = upstream.seen().into_iter().map(|seen| seen.target);
    let left = format!("/{}", WAITING / 2);
    let all = (0..=WAITING).map(|number| format!("/{number}"));
    let expected: Vec<_> = all.filter(|path| *path != left).collect();
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert_eq!(places(&gateway), (0, 0));
}
