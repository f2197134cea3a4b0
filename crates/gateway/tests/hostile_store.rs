//! A store that fails, hangs or lies fails no request and delays none (I8).

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails its test by panicking"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Phase;
use fusebox_gateway::{Gateway, Options, Stores};
use fusebox_plan::{Loader, Source, read};
use fusebox_store::{Fault, HostileStore, Limits, MemoryStore, ObjectStore, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

type Hostile = HostileStore<MemoryStore>;

struct Nothing;

impl Loader for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn hostile() -> Arc<Hostile> {
    Arc::new(HostileStore::new(MemoryStore::new(
        Limits::default(),
        Arc::new(SystemClock),
    )))
}

/// An upstream that answers every request with a status.
async fn upstream(status: &'static str) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

async fn gateway(upstream: SocketAddr, store: Arc<Hostile>) -> (Gateway, SocketAddr) {
    let text = format!(
        "listen: 127.0.0.1:0\nlimits: {{ drain: 1s }}\nupstreams:\n  orders:\n    url: http://{upstream}\n    \
         breaker: {{ trip: {{ consecutive_failures: 2 }}, cooldown: 1h }}\nroutes:\n  - {{ path: /, upstream: orders }}\n"
    );
    let reading = read(
        &[Source {
            name: "t.yaml",
            text: text.as_bytes(),
        }],
        &Nothing,
    );
    let plan = reading
        .plan
        .unwrap_or_else(|| panic!("{:?}", reading.diagnostics));
    let options = Options {
        workers: 1,
        ..Options::default()
    };
    let gateway = Gateway::start(plan, Stores::alone(store), options)
        .await
        .unwrap();
    let addr = gateway.addresses()[0].1;
    (gateway, addr)
}

async fn call(addr: SocketAddr) -> u16 {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Waits until something is so, as long as a busy machine may need.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn persisted(gateway: &Gateway) -> bool {
    gateway.breaker("orders").unwrap().persisted
}

#[tokio::test]
async fn a_failing_store_fails_no_request_and_is_written_to_when_it_is_back() {
    let store = hostile();
    let (gateway, addr) = gateway(upstream("500 Down").await, store.clone()).await;
    until("the first record is written", || persisted(&gateway)).await;
    store.stand(Fault::Fail);
    assert_eq!(
        [call(addr).await, call(addr).await, call(addr).await],
        [500, 500, 503]
    );
    let status = gateway.breaker("orders").unwrap();
    assert_eq!(
        (status.snapshot.phase, status.persisted),
        (Phase::Open, false)
    );
    store.stand(Fault::None);
    until("the trip is written", || persisted(&gateway)).await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_hanging_store_delays_no_request_and_does_not_hold_up_the_end() {
    let store = hostile();
    let (gateway, addr) = gateway(upstream("500 Down").await, store.clone()).await;
    until("the first record is written", || persisted(&gateway)).await;
    store.stand(Fault::Hang);
    let began = Instant::now();
    assert_eq!(
        [call(addr).await, call(addr).await, call(addr).await],
        [500, 500, 503]
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert!(!persisted(&gateway));
    gateway.drain().await;
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_record_that_was_torn_leaves_its_breaker_closed() {
    let store = hostile();
    let (first, addr) = gateway(upstream("500 Down").await, store.clone()).await;
    assert_eq!([call(addr).await, call(addr).await], [500, 500]);
    first.drain().await;
    let object = store
        .inner()
        .get("breakers", "orders")
        .await
        .unwrap()
        .unwrap();
    let half = fusebox_store::NewObject::new(
        object.value.slice(..object.value.len() / 2),
        "application/json",
    );
    store
        .inner()
        .put("breakers", "orders", half, fusebox_store::When::Always)
        .await
        .unwrap();
    let (second, _) = gateway(upstream("200 OK").await, store).await;
    assert_eq!(
        second.breaker("orders").unwrap().snapshot.phase,
        Phase::Closed
    );
    second.drain().await;
}

#[tokio::test]
async fn what_one_gateway_leaves_the_next_takes_up() {
    let store = hostile();
    // The state is that of the upstream at its address.
    let upstream = upstream("500 Down").await;
    let (first, addr) = gateway(upstream, store.clone()).await;
    assert_eq!([call(addr).await, call(addr).await], [500, 500]);
    let generation = first.breaker("orders").unwrap().snapshot.generation;
    first.drain().await;
    let (second, addr) = gateway(upstream, store).await;
    assert_eq!(call(addr).await, 503);
    assert!(second.breaker("orders").unwrap().snapshot.generation > generation);
    second.drain().await;
}
