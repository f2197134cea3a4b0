//! What a served answer is, and when there is none.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn shown(served: &Served) -> Vec<(String, String)> {
    let headers = served.headers.iter();
    let mut shown: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn a_served_answer_has_its_status_and_fields_and_is_marked() {
    let rig = Rig::new(Settings::default()).await;
    let headers: Fields<'_> = &[
        ("content-type", "text/plain"),
        ("etag", "\"1\""),
        ("age", "7"),
        ("cache-control", "max-age=60"),
        ("expires", "0"),
        ("connection", "close"),
        ("link", "a"),
        ("link", "b"),
    ];
    rig.get("/a", 404, headers, "gone fishing");
    let after = Duration::from_millis(90_900);
    let served = rig
        .served_at(after, (Method::GET, "/a", &[]))
        .await
        .unwrap();
    assert_eq!(served.status, 404);
    assert_eq!(served.body, "gone fishing");
    let expected = [
        ("age", "97"),
        ("cache-control", "no-cache"),
        (
            "cache-status",
            "fusebox; hit; fwd=stale; detail=breaker_open",
        ),
        ("content-length", "12"),
        ("content-type", "text/plain"),
        ("etag", "\"1\""),
        ("fusebox-fallback", "last_good"),
        ("link", "a"),
        ("link", "b"),
        ("via", "1.1 fusebox"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(shown(&served), expected);
}

#[tokio::test]
async fn head_is_served_from_a_stored_get_without_its_body() {
    let rig = Rig::new(Settings::default()).await;
    rig.get("/a", 200, &[("content-type", "text/plain")], "twelve bytes");
    let served = rig
        .served_at(HOUR, (Method::HEAD, "/a", &[]))
        .await
        .unwrap();
    assert_eq!(served.status, 200);
    assert_eq!(served.headers["content-length"], "12");
    assert!(served.body.is_empty());
}

#[tokio::test]
async fn an_answer_without_content_has_no_length() {
    let rig = Rig::new(Settings::default()).await;
    rig.get("/a", 204, &[], "");
    let served = rig.served_at(HOUR, (Method::GET, "/a", &[])).await.unwrap();
    assert_eq!(served.status, 204);
    assert!(!served.headers.contains_key("content-length"));
}

#[tokio::test]
async fn a_client_that_has_the_answer_gets_304() {
    let rig = Rig::new(Settings::default()).await;
    let headers: Fields<'_> = &[
        ("etag", "\"1\""),
        ("last-modified", "Mon, 01 Jan 2001 00:00:00 GMT"),
        ("content-type", "text/plain"),
    ];
    rig.get("/a", 200, headers, "body");
    rig.get("/gone", 410, headers, "body");
    let rows: [(Fields<'_>, u16); 5] = [
        (&[("if-none-match", "\"1\"")], 304),
        (&[("if-none-match", "\"2\"")], 200),
        (&[("if-none-match", "*")], 304),
        (
            &[("if-modified-since", "Tue, 02 Jan 2001 00:00:00 GMT")],
            304,
        ),
        (
            &[("if-modified-since", "Sun, 31 Dec 2000 00:00:00 GMT")],
            200,
        ),
    ];
    for (sent, status) in rows {
        for method in [Method::GET, Method::HEAD] {
            let has_body = status == 200 && method == Method::GET;
            let served = rig.served_at(HOUR, (method, "/a", sent)).await.unwrap();
            assert_eq!(served.status, status, "{sent:?}");
            assert_eq!(!served.body.is_empty(), has_body);
            assert_eq!(served.headers.contains_key("content-length"), status == 200);
            assert_eq!(served.headers["etag"], "\"1\"");
            assert_eq!(served.headers["fusebox-fallback"], "last_good");
        }
    }
    // Conditions are for answers that would be a success.
    let sent: Fields<'_> = &[("if-none-match", "\"1\"")];
    assert_eq!(rig.ask("/gone", sent).await, Ok((410, "body".to_owned())));
}

#[tokio::test]
async fn vary_selects_the_variant() {
    let rig = Rig::new(Settings::default()).await;
    let vary: Fields<'_> = &[("vary", "Accept-Language, Accept")];
    for language in ["de", "en"] {
        let request = (Method::GET, "/a", &[("accept-language", language)][..]);
        rig.answered_at(Duration::ZERO, request, (200, vary, language));
    }
    for language in ["de", "en"] {
        let sent: Fields<'_> = &[("accept-language", language), ("x-other", "1")];
        assert_eq!(rig.ask("/a", sent).await, ok(language));
    }
    let others: [Fields<'_>; 3] = [
        &[],
        &[("accept-language", "fr")],
        &[("accept-language", "de"), ("accept", "text/html")],
    ];
    for sent in others {
        assert_eq!(rig.ask("/a", sent).await, Err(Skipped::None), "{sent:?}");
    }
    rig.last_good.flush().await;
    assert_eq!(rig.last_good.counts().disk_entries, 2);
}

#[tokio::test]
async fn an_answer_is_served_until_the_rungs_age_limit() {
    let rig = Rig::new(Settings::default()).await;
    rig.get("/a", 200, &[("cache-control", "max-age=1000000")], "a");
    let get = (Method::GET, "/a", &[][..]);
    assert!(rig.served_at(HOUR, get.clone()).await.is_ok());
    let later = HOUR + Duration::from_millis(1);
    assert_eq!(rig.served_at(later, get).await, Err(Skipped::TooOld));
}

#[tokio::test]
async fn stale_if_error_counts_from_staleness_and_only_shortens() {
    let rig = Rig::new(Settings::default()).await;
    let rows = [
        ("max-age=60, stale-if-error=30", Duration::from_secs(90)),
        ("stale-if-error=0", Duration::ZERO),
        ("max-age=60, stale-if-error=0", Duration::from_secs(60)),
        ("stale-if-error=1000000", HOUR),
    ];
    for (control, limit) in rows {
        rig.get("/a", 200, &[("cache-control", control)], "a");
        let get = || (Method::GET, "/a", &[][..]);
        assert!(rig.served_at(limit, get()).await.is_ok(), "{control}");
        let later = rig.served_at(limit + Duration::from_millis(1), get()).await;
        assert_eq!(later, Err(Skipped::TooOld), "{control}");
    }
}

#[tokio::test]
async fn an_answer_that_forbids_it_is_served_only_while_fresh() {
    for word in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
        let control = format!("max-age=60, {word}");
        let control: Fields<'_> = &[("cache-control", &control)];
        let get = || (Method::GET, "/a", &[][..]);
        let (fresh, stale) = (Duration::from_millis(59_999), Duration::from_secs(60));
        let rig = Rig::new(Settings::default()).await;
        rig.get("/a", 200, control, "a");
        assert!(rig.served_at(fresh, get()).await.is_ok(), "{word}");
        let forbidden = rig.served_at(stale, get()).await;
        assert_eq!(forbidden, Err(Skipped::MustRevalidate), "{word}");

        let settings = Settings {
            obey: false,
            ..Settings::default()
        };
        let rig = Rig::new(settings).await;
        rig.get("/a", 200, control, "a");
        assert!(rig.served_at(stale, get()).await.is_ok(), "{word}");
    }
}

#[tokio::test]
async fn no_cache_is_served_only_where_it_need_not_be_obeyed() {
    let control: Fields<'_> = &[("cache-control", "no-cache, max-age=60")];
    let rig = Rig::new(Settings::default()).await;
    rig.get("/a", 200, control, "a");
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
    let settings = Settings {
        obey: false,
        ..Settings::default()
    };
    let store = memory_store();
    let rig = Rig::on(settings, store.clone()).await;
    rig.get("/a", 200, control, "a");
    assert_eq!(rig.asks("/a").await, ok("a"));
    rig.last_good.flush().await;
    rig.kill().await;
    // The settings may have changed by the next start.
    let rig = Rig::on(Settings::default(), store).await;
    assert_eq!(rig.asks("/a").await, Err(Skipped::NoCache));
}

#[test]
fn each_reason_has_a_result_of_the_metric() {
    let rows = [
        (Skipped::None, "none"),
        (Skipped::Credential, "credential"),
        (Skipped::Range, "skipped"),
        (Skipped::Method, "skipped"),
        (Skipped::Body, "skipped"),
        (Skipped::TooOld, "skipped"),
        (Skipped::MustRevalidate, "skipped"),
        (Skipped::NoCache, "skipped"),
        (Skipped::Unreadable, "failed"),
    ];
    for (why, result) in rows {
        assert_eq!(why.result().as_str(), result);
    }
}
