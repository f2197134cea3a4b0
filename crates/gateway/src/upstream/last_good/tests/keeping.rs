//! Answers that are kept, answers that are not, and removals.

use super::*;

#[tokio::test]
async fn the_last_good_answer_is_the_newest() {
    let rig = Rig::new(Settings::default()).await;
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
    rig.get("/a", 200, &[], "one");
    rig.get("/a?b", 200, &[], "other");
    rig.answered_at(
        Duration::from_millis(5),
        (Method::GET, "/a", &[]),
        (200, &[], "two"),
    );
    // One that was slower, but began before.
    rig.get("/a", 200, &[], "late");
    assert_eq!(rig.asks("/a").await, ok("two"));
    assert_eq!(rig.asks("/a?b").await, ok("other"));
    assert_eq!(rig.asks("/a?c").await, Err(Skipped::None));
}

#[tokio::test]
async fn eight_statuses_are_kept_and_no_other() {
    let rig = Rig::new(Settings::default()).await;
    let mut kept = Vec::new();
    for status in [
        200, 201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 404, 405, 410, 414,
        429, 500, 501, 503,
    ] {
        let target = format!("/{status}");
        rig.get(&target, status, &[("cache-control", "max-age=60")], "");
        if rig.asks(&target).await == Ok((status, String::new())) {
            kept.push(status);
        }
    }
    assert_eq!(kept, [200, 203, 204, 300, 301, 308, 404, 410]);
}

#[tokio::test]
async fn an_answer_that_may_not_be_kept_removes_the_one_before() {
    let rows: [Fields<'_>; 6] = [
        &[("cache-control", "no-store")],
        &[("cache-control", "private, max-age=60")],
        &[("cache-control", "no-cache")],
        &[("set-cookie", "session=1")],
        &[("set-cookie", "session=1"), ("cache-control", "public")],
        &[("vary", "*")],
    ];
    let rig = Rig::new(Settings::default()).await;
    for headers in rows {
        rig.get("/a", 200, &[], "kept");
        assert_eq!(rig.asks("/a").await, ok("kept"));
        rig.get("/a", 200, headers, "secret");
        assert_eq!(rig.asks("/a").await, Err(Skipped::None), "{headers:?}");
        rig.last_good.flush().await;
        assert_eq!(rig.last_good.counts().disk_entries, 0);
    }
}

#[tokio::test]
async fn overload_redirects_and_failures_remove_nothing() {
    let rig = Rig::new(Settings::default()).await;
    rig.get("/a", 200, &[], "kept");
    let no_store: Fields<'_> = &[("cache-control", "no-store")];
    for status in [302, 303, 304, 307, 401, 403, 429, 500, 502, 503, 504] {
        rig.get("/a", status, no_store, "");
        assert_eq!(rig.asks("/a").await, ok("kept"), "{status}");
    }
    // A failure by the breaker's own words, of a status that would be kept.
    let lookup = rig.lookup(&Method::GET, "/a", &HeaderMap::new());
    let (good, fields) = (StatusCode::OK, fields(no_store));
    let last_good = &rig.last_good;
    let observed = last_good.observe(&lookup, good, &fields, &fields, Judged::Failed, START);
    assert!(observed.is_none());
    assert_eq!(rig.asks("/a").await, ok("kept"));
}

#[tokio::test]
async fn a_body_that_fails_its_answer_keeps_and_removes_nothing() {
    for headers in [&[][..], &[("cache-control", "no-store")]] {
        let rig = Rig::new(Settings::default()).await;
        rig.get("/a", 200, &[], "kept");
        let lookup = rig.lookup(&Method::GET, "/a", &HeaderMap::new());
        let (headers, none) = (fields(headers), HeaderMap::new());
        let observe = || {
            let (status, judged) = (StatusCode::OK, Judged::Later);
            rig.last_good
                .observe(&lookup, status, &headers, &none, judged, START + 1)
        };
        // Dropped, as for a body that is cut.
        observe().unwrap().push(&Bytes::from_static(b"error"));
        assert_eq!(rig.asks("/a").await, ok("kept"));
        observe().unwrap().finish();
        assert_ne!(rig.asks("/a").await, ok("kept"));
    }
}

#[tokio::test]
async fn a_change_of_the_uri_removes_its_answers_for_everybody() {
    let rig = Rig::new(keyed(&["authorization"])).await;
    let (ann, bob) = ([("authorization", "ann")], [("authorization", "bob")]);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for (sent, body) in [(&[][..], "all"), (&ann, "ann"), (&bob, "bob")] {
            let request = (Method::GET, "/a", sent);
            rig.answered_at(Duration::ZERO, request, (200, &[], body));
        }
        rig.get("/b", 200, &[], "b");
        // A failure changes nothing.
        let failed = (method.clone(), "/a", &[][..]);
        rig.answered_at(Duration::ZERO, failed, (500, &[], ""));
        rig.get(
            "/a",
            404,
            &[("fusebox-fallback", "respond")],
            "of an inner gateway",
        );
        assert_eq!(rig.ask("/a", &ann).await, ok("ann"));
        let request = (method, "/a", &ann[..]);
        rig.answered_at(Duration::ZERO, request, (201, &[], ""));
        for sent in [&[][..], &ann, &bob] {
            assert_eq!(rig.ask("/a", sent).await, Err(Skipped::None));
        }
        assert_eq!(rig.asks("/b").await, ok("b"));
        rig.last_good.flush().await;
        assert_eq!(rig.ask("/a", &bob).await, Err(Skipped::None));
        assert_eq!(rig.last_good.counts().disk_entries, 1);
    }
}

#[tokio::test]
async fn an_answer_of_a_request_before_a_removal_does_not_come_back_after_it() {
    let rig = Rig::new(Settings::default()).await;
    let none = HeaderMap::new();
    let begin = |target: &str| {
        let lookup = rig.lookup(&Method::GET, target, &none);
        let (status, judged) = (StatusCode::OK, Judged::Fine);
        rig.last_good
            .observe(&lookup, status, &none, &none, judged, START)
            .unwrap()
    };
    for removal in 0..3 {
        let (old, other) = (begin("/a"), begin("/b"));
        match removal {
            0 => rig.answered_at(Duration::ZERO, (Method::POST, "/a", &[]), (200, &[], "")),
            1 => rig.get("/a", 200, &[("cache-control", "no-store")], ""),
            _ => drop(rig.last_good.purge(Some("/a")).await.unwrap()),
        }
        old.finish();
        assert_eq!(rig.asks("/a").await, Err(Skipped::None), "{removal}");
        other.finish();
        rig.get("/a", 200, &[], "new");
        assert_eq!(rig.asks("/a").await, ok("new"));
    }
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_kept() {
    let settings = Settings {
        body_max: 10,
        ..Settings::default()
    };
    let rig = Rig::new(settings).await;
    rig.get("/a", 200, &[], "0123456789");
    assert_eq!(rig.asks("/a").await, ok("0123456789"));
    rig.get("/a", 200, &[], "01234567890");
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
}

#[tokio::test]
async fn ranges_bodies_and_other_methods_are_neither_kept_nor_served() {
    let rig = Rig::new(Settings::default()).await;
    let range: Fields<'_> = &[("range", "bytes=0-1")];
    rig.answered_at(
        Duration::ZERO,
        (Method::GET, "/a", range),
        (200, &[], "whole"),
    );
    rig.answered_at(Duration::ZERO, (Method::HEAD, "/a", &[]), (200, &[], ""));
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
    // A search, say, whose answer is for its body alone.
    let body: Fields<'_> = &[("content-length", "2")];
    rig.answered_at(
        Duration::ZERO,
        (Method::GET, "/a", body),
        (200, &[], "found"),
    );
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
    rig.get("/a", 200, &[], "kept");
    assert_eq!(rig.ask("/a", range).await, Err(Skipped::Range));
    assert_eq!(rig.ask("/a", body).await, Err(Skipped::Body));
    for method in [Method::POST, Method::OPTIONS] {
        let served = rig.served_at(Duration::ZERO, (method, "/a", &[])).await;
        assert_eq!(served, Err(Skipped::Method));
    }
    let no_store: Fields<'_> = &[("cache-control", "no-store")];
    let request = (Method::GET, "/a", no_store);
    rig.answered_at(
        Duration::from_millis(1),
        request,
        (200, &[], "for one only"),
    );
    assert_eq!(rig.asks("/a").await, ok("kept"));
}

#[tokio::test]
async fn a_request_that_asks_for_no_storing_removes_nothing() {
    let rig = Rig::new(Settings::default()).await;
    rig.get("/a", 200, &[], "kept");
    let request: (Method, &str, Fields<'_>) = (Method::GET, "/a", &[("cache-control", "no-store")]);
    rig.answered_at(Duration::from_millis(1), request, (200, &[], "new"));
    assert_eq!(rig.asks("/a").await, ok("kept"));
}

#[tokio::test]
async fn memory_and_disk_keep_their_bounds() {
    let settings = Settings {
        memory_max: 100_000,
        disk_max: 50_000,
        body_max: 4_000,
        ..Settings::default()
    };
    let rig = Rig::new(settings).await;
    let body = "x".repeat(1_000);
    for number in 0..300 {
        let request = (Method::GET, &*format!("/{number}"), &[][..]);
        rig.answered_at(Duration::from_millis(number), request, (200, &[], &body));
    }
    rig.last_good.flush().await;
    let counts = rig.last_good.counts();
    assert!(counts.memory_bytes <= 100_000, "{counts:?}");
    assert!(counts.memory_entries >= 40, "{counts:?}");
    assert!(counts.disk_bytes <= 50_000, "{counts:?}");
    assert!(counts.disk_entries >= 20, "{counts:?}");
    assert_eq!(rig.asks("/299").await, ok(&body));
}

#[tokio::test]
async fn the_disk_lets_go_of_the_entry_used_least_recently() {
    let settings = Settings {
        memory_max: 0,
        disk_max: 4_000,
        ..Settings::default()
    };
    let rig = Rig::new(settings).await;
    let body = "x".repeat(500);
    let get = |number: u64| {
        let request = (Method::GET, &*format!("/{number}"), &[][..]);
        rig.answered_at(Duration::from_millis(number), request, (200, &[], &body));
    };
    for number in 0..4 {
        get(number);
        rig.last_good.flush().await;
    }
    assert_eq!(rig.last_good.counts().disk_entries, 4);
    assert_eq!(rig.asks("/0").await, ok(&body));
    get(4);
    rig.last_good.flush().await;
    assert_eq!(rig.asks("/0").await, ok(&body));
    assert_eq!(rig.asks("/1").await, Err(Skipped::None));
    assert_eq!(rig.asks("/4").await, ok(&body));
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let settings = Settings::default();
    let store = memory_store();
    let salt = Salt::load(&store).await;
    // Nothing takes from the queue while the writer does not run.
    let (last_good, writer) = LastGood::new("orders", settings, AGE_MAX, store, salt);
    let rig = Rig {
        last_good,
        writer: tokio::spawn(async {}),
        scope: Scope::default(),
    };
    for number in 0..1_100 {
        rig.get(&format!("/{number}"), 200, &[], "kept");
    }
    assert_eq!(rig.last_good.counts().dropped, 76);
    assert_eq!(rig.asks("/1099").await, ok("kept"));
    drop(writer);
}

#[tokio::test]
async fn routes_that_set_different_fields_share_nothing() {
    let mut rig = Rig::new(Settings::default()).await;
    let tenant = |value| fields(&[("x-tenant", value)]);
    rig.scope = Scope::of(&tenant("one"));
    rig.get("/a", 200, &[], "one");
    assert_eq!(rig.asks("/a").await, ok("one"));
    for other in [Scope::of(&tenant("two")), Scope::of(&HeaderMap::new())] {
        rig.scope = other;
        assert_eq!(rig.asks("/a").await, Err(Skipped::None));
    }
    // A scope is no credential.
    rig.scope = Scope::of(&tenant("one"));
    rig.get("/a", 200, &[("cache-control", "private")], "secret");
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
}

#[tokio::test]
async fn a_good_answer_that_is_too_long_removes_the_one_before_once_it_is_whole() {
    let settings = Settings {
        body_max: 10,
        ..Settings::default()
    };
    let rig = Rig::new(settings).await;
    let longer: Fields<'_> = &[("content-length", "11")];
    for headers in [&[][..], longer] {
        rig.get("/a", 200, &[], "kept");
        rig.get("/b", 200, &[], "kept");
        let lookup = rig.lookup(&Method::GET, "/a", &HeaderMap::new());
        let (headers, none) = (fields(headers), HeaderMap::new());
        let observe = || {
            let (status, judged) = (StatusCode::OK, Judged::Fine);
            let last_good = &rig.last_good;
            last_good.observe(&lookup, status, &headers, &none, judged, START + 1)
        };
        // Dropped, as for a body that is cut.
        observe().unwrap().push(&Bytes::from_static(b"hello world"));
        assert_eq!(rig.asks("/a").await, ok("kept"));
        let mut whole = observe().unwrap();
        whole.push(&Bytes::from_static(b"hello "));
        whole.push(&Bytes::from_static(b"world"));
        whole.finish();
        assert_eq!(rig.asks("/a").await, Err(Skipped::None));
        assert_eq!(rig.asks("/b").await, ok("kept"));
    }
    // A HEAD has no body that could be too long.
    rig.get("/a", 200, &[], "kept");
    rig.answered_at(Duration::ZERO, (Method::HEAD, "/a", &[]), (200, longer, ""));
    assert_eq!(rig.asks("/a").await, ok("kept"));
}
