//! Measures the embedded store on the disk of a directory: `measure DIRECTORY [OBJECTS]`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement prints, reads the clock, and stops at the first error"
)]

use fusebox_store::{
    Clock, Durability, EmbeddedOptions, EmbeddedStore, ManualClock, NewObject, ObjectStore,
    SystemClock, When,
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const VALUE_BYTES: usize = 300;
const TTL: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .expect("usage: measure DIRECTORY [OBJECTS]");
    let objects = arguments.next().map_or(100_000, |n| n.parse().unwrap());
    let base = Path::new(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(async {
        for durability in [Durability::Immediate, Durability::Process] {
            let data = base.join(format!("measure-{durability:?}"));
            let _ = std::fs::remove_dir_all(&data);
            measure(&data, durability, objects).await;
            std::fs::remove_dir_all(&data).unwrap();
        }
    });
}

async fn measure(data: &Path, durability: Durability, objects: usize) {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let options = EmbeddedOptions {
        durability,
        clock: clock.clone(),
        ..EmbeddedOptions::default()
    };
    let (store, _) = EmbeddedStore::open(data, options.clone()).unwrap();
    let store = Arc::new(store);
    println!("{durability:?}, {objects} objects of {VALUE_BYTES} bytes");

    let mut alone = Vec::new();
    for n in 0..500 {
        let begun = Instant::now();
        put(&store, n).await;
        alone.push(begun.elapsed());
    }
    report("one put alone", &mut alone);

    let begun = Instant::now();
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
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
        })
        .await;
    let rate = objects as f64 / begun.elapsed().as_secs_f64();
    println!("  200 tasks: {rate:.0} puts a second");

    let mut gets = Vec::new();
    for n in 0..20_000 {
        let key = key(n * 7 % objects);
        let begun = Instant::now();
        assert!(store.get("p", &key).await.unwrap().is_some());
        gets.push(begun.elapsed());
    }
    report("one get", &mut gets);

    let begun = Instant::now();
    drop(store);
    let (store, _) = EmbeddedStore::open(data, options).unwrap();
    println!(
        "  close and open, every page verified: {:?}",
        begun.elapsed()
    );

    clock.advance(TTL);
    let (mut slices, mut removed) = (Vec::new(), 0);
    loop {
        let begun = Instant::now();
        let swept = store.sweep(256).await.unwrap();
        slices.push(begun.elapsed());
        removed += swept;
        if swept < 256 {
            break;
        }
    }
    assert_eq!(removed, objects as u64);
    report("one sweep of 256", &mut slices);

    let bytes = std::fs::metadata(data.join("objects.redb")).unwrap().len();
    println!("  file: {} MiB after all was swept", bytes >> 20);
}

fn key(n: usize) -> String {
    format!("key-{n:08}")
}

async fn put(store: &EmbeddedStore, n: usize) {
    let object = NewObject::new(vec![n as u8; VALUE_BYTES], "text/plain").living(TTL);
    store.put("p", &key(n), object, When::Always).await.unwrap();
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "  {what}: p50 {:?}, p99 {:?}, max {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
