//! Workers at the same time: what a change or a purge has removed is served to none of them.

use super::*;
use std::sync::atomic::AtomicU64;

/// A runtime for one thread.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

/// The version of a served answer.
async fn version(rig: &Rig, target: &str) -> Option<u64> {
    let served = rig.asks(target).await.ok()?;
    served.1.parse().ok()
}

/// An answer of the upstream that has the version in its body, passed on as a worker does.
fn get(rig: &Rig, target: &str, upstream: &AtomicU64) {
    let none = HeaderMap::new();
    let lookup = rig.lookup(&Method::GET, target, &none);
    let version = upstream.load(Ordering::SeqCst);
    let (status, judged, now) = (StatusCode::OK, Judged::Fine, START + version);
    let recorder = rig
        .last_good
        .observe(&lookup, status, &none, &none, judged, now);
    let mut recorder = recorder.unwrap();
    recorder.push(&Bytes::from(version.to_string()));
    recorder.finish();
}

async fn work(rig: &Rig, seed: u64, upstreams: &[AtomicU64]) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..400 {
        let number = random.usize(..upstreams.len());
        let (target, upstream) = (format!("/{number}"), &upstreams[number]);
        match random.u8(..10) {
            0 => {
                let changed = upstream.fetch_add(1, Ordering::SeqCst) + 1;
                let request = (Method::PUT, &*target, &[][..]);
                rig.answered_at(Duration::ZERO, request, (204, &[], ""));
                let served = version(rig, &target).await;
                assert!(
                    served.is_none_or(|it| it >= changed),
                    "{served:?} {changed}"
                );
            }
            1 if random.u8(..8) == 0 => {
                let changed = upstream.fetch_add(1, Ordering::SeqCst) + 1;
                rig.last_good.purge(Some(&target)).await.unwrap();
                let served = version(rig, &target).await;
                assert!(
                    served.is_none_or(|it| it >= changed),
                    "{served:?} {changed}"
                );
            }
            2..5 => {
                // At most the present version, and not one that a change removed before.
                let _ = version(rig, &target).await;
            }
            _ => get(rig, &target, upstream),
        }
    }
}

#[test]
fn workers_at_the_same_time_never_serve_what_was_removed() {
    // A memory of a few entries, so that many come from the disk.
    let settings = Settings {
        memory_max: 3_000,
        ..Settings::default()
    };
    let store = memory_store();
    let salt = runtime().block_on(Salt::load(&store));
    let (last_good, writer) = LastGood::new("orders", settings, AGE_MAX, store, salt);
    let upstreams: Vec<_> = (0..6).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| runtime().block_on(writer.run()));
        let workers: Vec<_> = (0..3)
            .map(|seed| {
                let (last_good, upstreams) = (last_good.clone(), &upstreams);
                scope.spawn(move || {
                    runtime().block_on(async {
                        let rig = Rig {
                            last_good,
                            writer: tokio::spawn(async {}),
                            scope: Scope::default(),
                        };
                        work(&rig, seed, upstreams).await;
                    });
                })
            })
            .collect();
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        // The writer ends with its upstream, also where a worker failed.
        drop(last_good);
        assert!(results.iter().all(Result::is_ok));
    });
}
