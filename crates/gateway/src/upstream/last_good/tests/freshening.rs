//! Kept answers that a 304 to a client's own revalidation renews.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// The seconds after which an answer of before is as old as the rung allows, and more.
const LATER: Duration = Duration::from_secs(3_000);

async fn kept(headers: Fields<'_>) -> Rig {
    let rig = Rig::new(Settings::default()).await;
    rig.get("/a", 200, headers, "kept");
    rig
}

/// A client's revalidation after a while, answered with a 304 of those fields.
fn revalidated(rig: &Rig, headers: Fields<'_>) {
    let sent: Fields<'_> = &[("if-none-match", "\"1\"")];
    rig.answered_at(LATER, (Method::GET, "/a", sent), (304, headers, ""));
}

async fn later(rig: &Rig) -> Result<Served, Skipped> {
    rig.served_at(LATER + HOUR, (Method::GET, "/a", &[])).await
}

#[tokio::test]
async fn a_304_of_the_same_tag_renews_the_answer_with_its_fields() {
    let rig = kept(&[
        ("etag", "\"1\""),
        ("content-type", "text/plain"),
        ("x-version", "old"),
        ("x-stays", "yes"),
    ])
    .await;
    assert_eq!(later(&rig).await, Err(Skipped::TooOld));
    revalidated(
        &rig,
        &[
            ("etag", "\"1\""),
            ("content-type", "text/html"),
            ("content-length", "0"),
            ("x-version", "new"),
            ("age", "5"),
        ],
    );
    let served = later(&rig).await.unwrap();
    assert_eq!(
        (served.status.as_u16(), &served.body[..]),
        (200, &b"kept"[..])
    );
    let field = |name| served.headers[name].to_str().unwrap();
    assert_eq!(
        [
            field("x-version"),
            field("x-stays"),
            field("content-type"),
            field("content-length")
        ],
        ["new", "yes", "text/plain", "4"]
    );
    assert_eq!(field("age"), "3605");
}

#[tokio::test]
async fn a_304_of_another_answer_or_that_may_not_be_kept_changes_nothing() {
    let strong: Fields<'_> = &[
        ("etag", "\"1\""),
        ("last-modified", "Mon, 01 Jan 2001 00:00:00 GMT"),
    ];
    let rows: [(Fields<'_>, Fields<'_>, bool); 9] = [
        (strong, &[("etag", "\"2\"")], false),
        (strong, &[("etag", "W/\"1\"")], true),
        (&[("etag", "W/\"1\"")], &[("etag", "\"1\"")], false),
        (&[], &[("etag", "\"1\"")], false),
        (strong, &[], false),
        (&[], &[], true),
        (
            strong,
            &[("last-modified", "Mon, 01 Jan 2001 00:00:00 GMT")],
            true,
        ),
        (
            strong,
            &[("last-modified", "Tue, 02 Jan 2001 00:00:00 GMT")],
            false,
        ),
        (
            strong,
            &[("etag", "\"1\""), ("cache-control", "no-store")],
            false,
        ),
    ];
    for (before, after, renews) in rows {
        let rig = kept(before).await;
        revalidated(&rig, after);
        assert_eq!(later(&rig).await.is_ok(), renews, "{before:?} {after:?}");
        assert_eq!(rig.asks("/a").await, ok("kept"), "{after:?}");
    }
}

#[tokio::test]
async fn a_lifetime_begins_again_or_is_that_of_the_304() {
    let must: Fields<'_> = &[
        ("etag", "\"1\""),
        ("cache-control", "max-age=600, must-revalidate"),
    ];
    for (after, fresh_for) in [
        (&[("etag", "\"1\"")][..], 600),
        (
            &[
                ("etag", "\"1\""),
                ("cache-control", "max-age=60, must-revalidate"),
            ],
            60,
        ),
    ] {
        let rig = kept(must).await;
        revalidated(&rig, after);
        let at = |after: u64| LATER + Duration::from_secs(after);
        let asked = (Method::GET, "/a", &[][..]);
        assert!(
            rig.served_at(at(fresh_for - 1), asked.clone())
                .await
                .is_ok()
        );
        let over = rig.served_at(at(fresh_for), asked).await;
        assert_eq!(over, Err(Skipped::MustRevalidate));
    }
}

#[tokio::test]
async fn an_answer_that_only_the_disk_has_is_renewed_too() {
    let store = memory_store();
    let rig = Rig::on(Settings::default(), store.clone()).await;
    rig.get("/a", 200, &[("etag", "\"1\"")], "kept");
    rig.last_good.flush().await;
    rig.kill().await;
    let rig = Rig::on(Settings::default(), store).await;
    revalidated(&rig, &[("etag", "\"1\"")]);
    while later(&rig).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(&later(&rig).await.unwrap().body[..], b"kept");
}

#[tokio::test]
async fn a_removal_between_request_and_304_wins() {
    let rig = kept(&[("etag", "\"1\"")]).await;
    let sent = fields(&[("if-none-match", "\"1\"")]);
    let lookup = rig.lookup(&Method::GET, "/a", &sent);
    rig.answered_at(Duration::ZERO, (Method::PUT, "/a", &[]), (200, &[], ""));
    let (status, headers) = (StatusCode::NOT_MODIFIED, fields(&[("etag", "\"1\"")]));
    let now = START + 1;
    let observed = rig
        .last_good
        .observe(&lookup, status, &headers, &sent, Judged::Fine, now);
    assert!(observed.is_none());
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
}
