//! Measures the store on a server: `measure_valkey URL [OBJECTS]`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement prints, reads the clock, and stops at the first error"
)]

use fusebox_store::{NewObject, ObjectStore, ValkeyOptions, ValkeyStore, When};
use std::sync::Arc;
use std::time::{Duration, Instant};

const VALUE_BYTES: usize = 300;
const TTL: Duration = Duration::from_secs(3_600);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments
        .next()
        .expect("usage: measure_valkey URL [OBJECTS]");
    let objects = arguments.next().map_or(100_000, |n| n.parse().unwrap());
    let mut options = ValkeyOptions::parse(&url).unwrap();
    options.timeout = Duration::from_secs(10);
    let store = Arc::new(ValkeyStore::open(options).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }
        .build()
        .unwrap()
        .block_on(measure(store, objects));
}

async fn measure(store: Arc<ValkeyStore>, objects: usize) {
    store.clear("measure").await.unwrap();
    println!("{objects} objects of {VALUE_BYTES} bytes");
    let (mut puts, mut gets) = (Vec::new(), Vec::new());
    for n in 0..5_000 {
        let begun = Instant::now();
        put(&store, n).await;
        puts.push(begun.elapsed());
        let begun = Instant::now();
        assert!(store.get("measure", &key(n)).await.unwrap().is_some());
        gets.push(begun.elapsed());
    }
    report("one put alone", &mut puts);
    report("one get alone", &mut gets);

    let begun = Instant::now();
    let local = tokio::task::LocalSet::new();
    let from_many = local.run_until(async {
        let tasks: Vec<_> = (0..200)
            .map(|task| {
                let store = store.clone();
                tokio::task::spawn_local(async move {
                    for n in (task..objects).step_by(200) {
                        put(&store, n).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    from_many.await;
    let rate = objects as f64 / begun.elapsed().as_secs_f64();
    println!("  200 tasks: {rate:.0} puts a second");

    let begun = Instant::now();
    let keys = store.keys("measure", "", objects).await.unwrap();
    println!("  {} keys: {:?}", keys.len(), begun.elapsed());
    let begun = Instant::now();
    store.clear("measure").await.unwrap();
    println!("  clear: {:?}", begun.elapsed());
}

fn key(n: usize) -> String {
    format!("key-{n:08}")
}

async fn put(store: &ValkeyStore, n: usize) {
    let object = NewObject::new(vec![n as u8; VALUE_BYTES], "text/plain").living(TTL);
    let put = store.put("measure", &key(n), object, When::Always).await;
    put.unwrap();
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!("  {what}: p50 {:?}, p99 {:?}", at(50), at(99));
}
