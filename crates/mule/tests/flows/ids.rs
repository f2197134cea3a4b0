//! Messages that come twice, and caches that are emptied.

use fusebox_mule::Event;
use fusebox_mule::run::Answer;

use super::{CONFIGS, Line, Running, answer, errors, event};

fn flow(name: &str, inner: &str) -> String {
    format!("<flow name='{name}'>{inner}</flow>\n")
}

fn app(parts: &[String]) -> String {
    let listening = "<flow name='in'><http:listener config-ref='In' path='/'/></flow>";
    format!("{CONFIGS}{listening}\n{}", parts.concat())
}

#[tokio::test]
async fn the_second_message_of_an_id_is_a_duplicate() {
    let store = "<os:object-store name='Seen'/>".to_owned();
    let validator = |more: &str, inner: &str| {
        flow(
            "f",
            &format!("<idempotent-message-validator {more}>{inner}</idempotent-message-validator>"),
        )
    };
    let named = r##"idExpression="#[payload.id]" objectStore="Seen""##;
    let private = r##"idExpression="#[payload.id]" valueExpression="#[payload.n]""##;
    let inner = r#"<os:private-object-store alias="ids" persistent="false"/>"#;
    let own = r##"idExpression="#[payload.id]""##;
    for (more, inner) in [(named, ""), (private, inner), (own, "")] {
        let running = Running::new(&app(&[store.clone(), validator(more, inner)]));
        let message = |id: &str| {
            let pairs = [("id", id.into()), ("n", 1.into())];
            event(fusebox_mule::Value::record(pairs))
        };
        for id in ["a", "b"] {
            assert!(running.run("f", message(id)).await.is_ok());
        }
        let (kind, what) = running.error("f", message("a")).await;
        assert_eq!(kind, "MULE:DUPLICATE_MESSAGE");
        assert_eq!(what, "a message with the id 'a' has come before");
    }
}

#[tokio::test]
async fn an_id_is_the_correlation_id_unless_another_is_given() {
    let both = "<try><idempotent-message-validator/><set-payload value='new'/><error-handler>
<on-error-continue type='MULE:VALIDATION'><set-payload value='again'/></on-error-continue></error-handler></try>";
    let running = Running::new(&app(&[flow("f", both), flow("g", both)]));
    let message = |id: &str| Event {
        correlation_id: id.into(),
        ..Event::default()
    };
    // Each validator has ids of its own.
    for (flow, id, told) in [
        ("f", "1", "new"),
        ("f", "2", "new"),
        ("g", "1", "new"),
        ("f", "1", "again"),
        ("g", "1", "again"),
        ("g", "", "again"),
    ] {
        let told = told.into();
        assert_eq!(
            running.payload(flow, message(id)).await,
            told,
            "{flow} {id}"
        );
    }
}

#[test]
fn a_validator_has_one_store() {
    let two = flow(
        "f",
        r#"<idempotent-message-validator objectStore="Seen"><os:private-object-store alias="ids"/></idempotent-message-validator>"#,
    );
    let app = app(&["<os:object-store name='Seen'/>".to_owned(), two]);
    let said =
        "a.xml:4:95: error: the operation names a store and has a private one; keep one of the two";
    assert_eq!(errors(&app, &Line::default()), [said]);
}

fn counting() -> impl Fn(&fusebox_mule::run::Call) -> Answer + Send + Sync {
    |_| answer(200, "well")
}

#[tokio::test]
async fn a_cache_is_emptied_whole_or_by_key() {
    let cache = r#"<ee:cache cachingStrategy-ref="Kept"><http:request config-ref="Out" path="/"/></ee:cache>"#;
    let strategies = [
        r##"<ee:object-store-caching-strategy name="Kept" keyGenerationExpression="#[payload]"/>"##,
        r#"<ee:object-store-caching-strategy name="Kept"/>"#,
        r##"<os:object-store name="Pots"/><ee:object-store-caching-strategy name="Kept" objectStore="Pots" keyGenerationExpression="#[payload]"/>"##,
    ];
    for strategy in strategies {
        let app = app(&[
            strategy.to_owned(),
            flow("get", cache),
            flow("same", cache),
            flow("key", r#"<ee:invalidate-key cachingStrategy-ref="Kept"/>"#),
            flow(
                "all",
                r#"<ee:invalidate-cache cachingStrategy-ref="Kept"/>"#,
            ),
        ]);
        let running = Running::with(&app, &Line::default(), counting());
        let asked = async |flow: &str, cup: &str| {
            running.run(flow, event(cup)).await.unwrap();
            running.world.calls.lock().unwrap().len()
        };
        let mut calls = Vec::new();
        for (flow, cup) in [
            ("get", "a"),
            ("get", "b"),
            ("same", "a"),
            ("key", "a"),
            ("get", "b"),
            ("get", "a"),
            ("all", "c"),
            ("get", "a"),
            ("get", "b"),
        ] {
            calls.push(asked(flow, cup).await);
        }
        assert_eq!(calls, [1, 2, 2, 2, 2, 3, 3, 4, 5], "{strategy}");
    }
}

#[tokio::test]
async fn a_key_may_be_computed_where_it_is_removed() {
    let app = app(&[
        r##"<ee:object-store-caching-strategy name="Kept" keyGenerationExpression="#[payload]"/>"##
            .to_owned(),
        flow(
            "get",
            r#"<ee:cache cachingStrategy-ref="Kept"><http:request config-ref="Out" path="/"/></ee:cache>"#,
        ),
        flow(
            "key",
            r##"<ee:invalidate-key cachingStrategy-ref="Kept" keyGenerationExpression="#['a']"/>"##,
        ),
    ]);
    let running = Running::with(&app, &Line::default(), counting());
    for flow in ["get", "key", "get"] {
        running.run(flow, event("a")).await.unwrap();
    }
    assert_eq!(running.world.calls.lock().unwrap().len(), 2);
    // As a recipe writes it.
    let meant = app.replace("invalidate-key", "invalidate-cache");
    let meant = meant.replace("keyGenerationExpression=\"#['a']", "keyExpression=\"#['b']");
    let running = Running::with(&meant, &Line::default(), counting());
    for flow in ["get", "key", "get"] {
        running.run(flow, event("a")).await.unwrap();
    }
    assert_eq!(running.world.calls.lock().unwrap().len(), 1);
    let unknown = app.replace("key\" cachingStrategy", "").replace(
        "invalidate-key cachingStrategy-ref=\"Kept\"",
        "invalidate-key cachingStrategy-ref=\"Keep\"",
    );
    let told = super::reading(&unknown, &Line::default()).1;
    assert_eq!(told.len(), 1, "{told:#?}");
}
