//! A store that fails, hangs, lies and tears: serving continues from memory, and nothing wrong is ever served.

use super::*;
use fusebox_store::{Fault, HostileStore};
use tokio::time::Instant;

type Hostile = Arc<HostileStore<MemoryStore>>;

fn hostile() -> Hostile {
    let memory = MemoryStore::new(Limits::default(), Arc::new(SystemClock));
    Arc::new(HostileStore::new(memory))
}

#[tokio::test(start_paused = true)]
async fn what_memory_holds_is_served_at_once_whatever_the_store_does() {
    for fault in [
        Fault::Fail,
        Fault::LoseAnswer,
        Fault::Lie,
        Fault::Hang,
        Fault::Tear,
    ] {
        let store = hostile();
        let rig = Rig::on(Settings::default(), store.clone()).await;
        store.stand(fault);
        for number in 0..100 {
            let target = format!("/{}", number % 10);
            let before = Instant::now();
            let body = number.to_string();
            let at = Duration::from_millis(number);
            rig.answered_at(at, (Method::GET, &target, &[]), (200, &[], &body));
            assert_eq!(rig.asks(&target).await, ok(&body), "{fault:?}");
            assert_eq!(before.elapsed(), Duration::ZERO, "{fault:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        rig.answered_at(Duration::ZERO, (Method::POST, "/1", &[]), (200, &[], ""));
        assert_eq!(rig.asks("/1").await, Err(Skipped::None));
        rig.get("/1", 200, &[], "new");
        assert_eq!(rig.asks("/1").await, ok("new"), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_delays_one_request_and_no_other() {
    let store = hostile();
    let settings = Settings {
        memory_max: 0,
        ..Settings::default()
    };
    let rig = Rig::on(settings, store.clone()).await;
    rig.get("/a", 200, &[], "a");
    rig.last_good.flush().await;
    store.stand(Fault::Hang);
    let before = Instant::now();
    assert_eq!(rig.asks("/a").await, Err(Skipped::Unreadable));
    assert_eq!(before.elapsed().as_millis() / 10, 25);
    let before = Instant::now();
    assert_eq!(rig.asks("/a").await, Err(Skipped::Unreadable));
    assert_eq!(rig.asks("/other").await, Err(Skipped::None));
    assert_eq!(before.elapsed(), Duration::ZERO);
    store.stand(Fault::None);
    store.release();
    while rig.asks("/a").await != ok("a") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn writes_that_failed_are_made_up_for_once_the_store_is_back() {
    for fault in [Fault::Fail, Fault::Hang, Fault::Tear, Fault::LoseAnswer] {
        let store = hostile();
        let rig = Rig::on(Settings::default(), store.clone()).await;
        rig.get("/gone", 200, &[], "gone");
        rig.get("/kept", 200, &[], "one");
        rig.last_good.flush().await;
        store.stand(fault);
        rig.get("/gone", 200, &[("cache-control", "no-store")], "");
        rig.answered_at(
            Duration::from_millis(1),
            (Method::GET, "/kept", &[]),
            (200, &[], "two"),
        );
        rig.get("/new", 200, &[], "new");
        tokio::time::sleep(Duration::from_secs(20)).await;
        store.stand(Fault::None);
        store.release();
        tokio::time::sleep(Duration::from_secs(1)).await;
        rig.last_good.flush().await;
        rig.kill().await;
        let rig = Rig::on(Settings::default(), store).await;
        assert_eq!(rig.asks("/gone").await, Err(Skipped::None), "{fault:?}");
        assert_eq!(rig.asks("/kept").await, ok("two"), "{fault:?}");
        assert_eq!(rig.asks("/new").await, ok("new"), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_torn_record_is_never_served() {
    let store = hostile();
    let rig = Rig::on(Settings::default(), store.clone()).await;
    store.stand(Fault::Tear);
    rig.get("/a", 200, &[], "whole");
    rig.last_good.flush().await;
    rig.kill().await;
    store.stand(Fault::None);
    let keys = store.keys("last_good/orders", "", 10).await.unwrap();
    assert_eq!(keys.len(), 1);
    let rig = Rig::on(Settings::default(), store.clone()).await;
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
    // The list of the start removes it.
    assert_eq!(rig.last_good.purge(Some("/other")).await.unwrap(), 0);
    assert!(
        store
            .keys("last_good/orders", "", 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_purge_says_that_the_disk_failed_and_can_be_repeated() {
    let store = hostile();
    let rig = Rig::on(Settings::default(), store.clone()).await;
    rig.get("/a", 200, &[], "a");
    rig.last_good.flush().await;
    for path in [Some("/a"), None] {
        for fault in [Fault::Fail, Fault::Hang] {
            store.stand(fault);
            assert!(
                rig.last_good.purge(path).await.is_err(),
                "{path:?} {fault:?}"
            );
            assert!(rig.asks("/a").await.is_err());
        }
    }
    store.stand(Fault::None);
    store.release();
    assert_eq!(rig.last_good.purge(Some("/a")).await.unwrap(), 1);
    rig.kill().await;
    let rig = Rig::on(Settings::default(), store).await;
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_purged_too() {
    let store = hostile();
    let rig = Rig::on(Settings::default(), store.clone()).await;
    store.stand(Fault::LoseAnswer);
    rig.get("/a", 200, &[], "a");
    rig.last_good.flush().await;
    store.stand(Fault::None);
    assert_eq!(rig.last_good.purge(Some("/a")).await.unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let keys = store.keys("last_good/orders", "", 10).await.unwrap();
    assert!(keys.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_the_start_leaves_memory_alone() {
    for fault in [Fault::Fail, Fault::Hang] {
        let store = hostile();
        store.stand(fault);
        let before = Instant::now();
        let rig = Rig::on(keyed(&["authorization"]), store.clone()).await;
        assert!(before.elapsed() <= Duration::from_millis(2_010));
        let sent: Fields<'_> = &[("authorization", "ann")];
        rig.answered_at(Duration::ZERO, (Method::GET, "/a", sent), (200, &[], "a"));
        assert_eq!(rig.ask("/a", sent).await, ok("a"));
        store.stand(Fault::None);
        store.release();
        rig.last_good.flush().await;
        let keys = store.keys("last_good/orders", "", 10).await.unwrap();
        assert!(keys.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_while_its_uri_changes_is_not_served() {
    let store = hostile();
    let settings = Settings {
        memory_max: 0,
        ..Settings::default()
    };
    let rig = Rig::on(settings, store.clone()).await;
    rig.get("/a", 200, &[], "old");
    rig.last_good.flush().await;
    store.stand(Fault::Hang);
    let before = store.calls();
    let change = async {
        while store.calls() == before {
            tokio::task::yield_now().await;
        }
        rig.answered_at(Duration::ZERO, (Method::PUT, "/a", &[]), (204, &[], ""));
        store.release();
    };
    let (served, ()) = tokio::join!(rig.asks("/a"), change);
    assert_eq!(served, Err(Skipped::None));
}
