//! Entries over a restart, and purges that survive it.

use super::*;
use fusebox_store::{EmbeddedOptions, EmbeddedStore};

fn disk_only() -> Settings {
    Settings {
        memory_max: 0,
        ..Settings::default()
    }
}

#[tokio::test]
async fn after_a_restart_the_last_good_answer_is_still_there() {
    for settings in [Settings::default(), disk_only()] {
        let store = memory_store();
        let rig = Rig::on(settings.clone(), store.clone()).await;
        let vary: Fields<'_> = &[("vary", "accept"), ("content-type", "text/plain")];
        let large = "0123456789".repeat(10_000);
        rig.get("/a", 200, vary, "a");
        rig.get("/large", 410, &[], &large);
        rig.last_good.flush().await;
        rig.kill().await;

        let rig = Rig::on(settings, store).await;
        assert_eq!(rig.asks("/large").await, Ok((410, large)));
        let served = rig
            .served_at(Duration::from_secs(9), (Method::GET, "/a", &[]))
            .await;
        let served = served.unwrap();
        assert_eq!(served.headers["content-type"], "text/plain");
        assert_eq!(served.headers["age"], "9");
        assert_eq!(rig.ask("/a", &[("accept", "x")]).await, Err(Skipped::None));
        rig.last_good.flush().await;
        assert_eq!(rig.asks("/a").await, ok("a"));
    }
}

#[tokio::test]
async fn a_file_keeps_the_last_good_answer() {
    let directory = tempfile::tempdir().unwrap();
    for (number, before) in ["", "one", "two"].into_iter().enumerate() {
        let opened = EmbeddedStore::open(directory.path(), EmbeddedOptions::default());
        let rig = Rig::on(keyed(&["authorization"]), Arc::new(opened.unwrap().0)).await;
        let sent: Fields<'_> = &[("authorization", "ann")];
        let found = rig.ask("/a", sent).await;
        match before {
            "" => assert_eq!(found, Err(Skipped::None)),
            _ => assert_eq!(found, ok(before)),
        }
        let body = ["one", "two", "three"][number];
        let request = (Method::GET, "/a", sent);
        rig.answered_at(
            Duration::from_millis(number as u64),
            request,
            (200, &[], body),
        );
        rig.last_good.flush().await;
        rig.kill().await;
    }
}

#[tokio::test]
async fn the_last_writes_are_done_when_an_upstream_goes() {
    let store = memory_store();
    let rig = Rig::on(Settings::default(), store.clone()).await;
    for number in 0..200 {
        rig.get(&format!("/{number}"), 200, &[], "a");
    }
    drop(rig.last_good);
    rig.writer.await.unwrap();
    let keys = store.keys("last_good/orders", "", 1_000).await.unwrap();
    assert_eq!(keys.len(), 200);
}

#[tokio::test]
async fn a_purge_of_a_path_takes_its_queries_variants_and_credentials_for_good() {
    let settings = || keyed(&["authorization"]);
    for is_flushed in [false, true] {
        let store = memory_store();
        let rig = Rig::on(settings(), store.clone()).await;
        let asks: [(&str, Fields<'_>); 4] = [
            ("/a", &[]),
            ("/a?b=c", &[]),
            ("/a", &[("authorization", "ann")]),
            ("/a", &[("accept", "text/plain")]),
        ];
        let vary: Fields<'_> = &[("vary", "accept")];
        for (target, sent) in asks {
            let request = (Method::GET, target, sent);
            rig.answered_at(Duration::ZERO, request, (200, vary, "a"));
        }
        rig.get("/a/b", 200, &[], "b");
        if is_flushed {
            rig.last_good.flush().await;
        }
        assert_eq!(rig.last_good.purge(Some("/a")).await.unwrap(), 4);
        // The list of entries on disk ends with the process.
        rig.kill().await;
        let keys = store.keys("last_good/orders", "", 10).await.unwrap();
        assert!(keys.len() <= 1, "{keys:?}");
        let rig = Rig::on(settings(), store).await;
        for (target, sent) in asks {
            assert_eq!(rig.ask(target, sent).await, Err(Skipped::None));
        }
        if is_flushed {
            assert_eq!(rig.asks("/a/b").await, ok("b"));
        }
    }
}

#[tokio::test]
async fn a_purge_finds_what_an_earlier_process_left_before_all_is_listed() {
    let store = memory_store();
    let rig = Rig::on(Settings::default(), store.clone()).await;
    for number in 0..300 {
        rig.get(&format!("/{}?{number}", number % 2), 200, &[], "a");
    }
    rig.last_good.flush().await;
    rig.kill().await;
    let rig = Rig::on(Settings::default(), store.clone()).await;
    assert_eq!(rig.last_good.purge(Some("/1")).await.unwrap(), 150);
    assert_eq!(rig.asks("/1?1").await, Err(Skipped::None));
    assert_eq!(rig.asks("/0?0").await, ok("a"));
    assert_eq!(rig.last_good.purge(None).await.unwrap(), 150);
    assert_eq!(rig.last_good.counts().entries(), 0);
    rig.kill().await;
    let rig = Rig::on(Settings::default(), store).await;
    assert_eq!(rig.asks("/0?0").await, Err(Skipped::None));
}

#[tokio::test]
async fn removals_survive_a_restart_whether_memory_knows_the_entry_or_not() {
    for settings in [Settings::default(), disk_only()] {
        let store = memory_store();
        let rig = Rig::on(settings.clone(), store.clone()).await;
        for target in ["/a", "/b", "/c"] {
            rig.get(target, 200, &[], target);
        }
        rig.last_good.flush().await;
        rig.kill().await;
        let rig = Rig::on(settings.clone(), store.clone()).await;
        rig.get("/a", 200, &[("cache-control", "no-store")], "");
        rig.answered_at(Duration::ZERO, (Method::PUT, "/b", &[]), (204, &[], ""));
        for target in ["/a", "/b"] {
            assert_eq!(rig.asks(target).await, Err(Skipped::None));
        }
        rig.last_good.flush().await;
        rig.kill().await;
        let rig = Rig::on(settings, store).await;
        for target in ["/a", "/b"] {
            assert_eq!(rig.asks(target).await, Err(Skipped::None));
        }
        assert_eq!(rig.asks("/c").await, ok("/c"));
    }
}

#[tokio::test]
async fn upstreams_share_nothing_but_the_salt() {
    let store = memory_store();
    let salt = Salt::load(&store).await;
    let new = |name: &str| {
        let (store, salt) = (store.clone(), salt.clone());
        let (last_good, writer) = LastGood::new(name, Settings::default(), AGE_MAX, store, salt);
        Rig {
            last_good,
            writer: tokio::spawn(writer.run()),
            scope: Scope::default(),
        }
    };
    let long = "x".repeat(300);
    let rigs = [new("orders"), new("orders/b"), new(&long)];
    rigs[0].get("/a", 200, &[], "a");
    rigs[2].get("/a", 200, &[], "long");
    rigs[2].last_good.flush().await;
    assert_eq!(rigs[1].asks("/a").await, Err(Skipped::None));
    assert_eq!(rigs[1].last_good.purge(None).await.unwrap(), 0);
    assert_eq!(rigs[0].asks("/a").await, ok("a"));
    assert_eq!(rigs[2].last_good.counts().disk_entries, 1);
}

#[tokio::test]
async fn a_disk_that_is_not_to_be_used_any_more_is_emptied() {
    let store = memory_store();
    let rig = Rig::on(Settings::default(), store.clone()).await;
    rig.get("/a", 200, &[], "a");
    rig.last_good.flush().await;
    rig.kill().await;
    let settings = Settings {
        disk_max: 0,
        ..Settings::default()
    };
    let rig = Rig::on(settings, store.clone()).await;
    rig.get("/b", 200, &[], "b");
    assert_eq!(rig.asks("/b").await, ok("b"));
    assert_eq!(rig.last_good.purge(Some("/b")).await.unwrap(), 1);
    assert_eq!(rig.asks("/b").await, Err(Skipped::None));
    let keys = store.keys("last_good/orders", "", 10).await.unwrap();
    assert!(keys.is_empty());
}
