//! The user that requests are sent for: basic authentication.

use fusebox_mule::Event;
use fusebox_mule::run::Answer;

use super::{Line, Running, answer, errors};

fn app(user: &str, request: &str) -> String {
    format!(
        r#"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="0"/></http:listener-config>
<http:request-config name="Out"><http:request-connection host="h" port="1"><http:authentication>{user}</http:authentication></http:request-connection></http:request-config>
<flow name="f"><http:listener config-ref="In" path="/"/><http:request config-ref="Out" method="POST" path="/pot">{request}</http:request></flow>"#
    )
}

const BASIC: &str = r#"<http:basic-authentication username="tea" password="pot"/>"#;
const LATE: &str =
    r##"<http:basic-authentication username="#['te' ++ 'a']" password="pot" preemptive="false"/>"##;

fn sent(running: &Running) -> Vec<Option<String>> {
    let calls = running.world.calls.lock().unwrap();
    let field = |call: &fusebox_mule::run::Call| {
        let field = call.headers.get("authorization")?;
        Some(field.to_str().unwrap().to_owned())
    };
    calls.iter().map(field).collect()
}

fn asking(way: Option<&str>) -> Answer {
    let mut answer = answer(401, "who");
    if let Some(way) = way {
        answer
            .headers
            .insert("www-authenticate", way.parse().unwrap());
    }
    answer
}

const TEA: &str = "Basic dGVhOnBvdA==";

#[tokio::test]
async fn the_first_request_has_the_user() {
    let running = Running::new(&app(BASIC, ""));
    running.payload("f", Event::default()).await;
    assert_eq!(sent(&running), [Some(TEA.into())]);
    // A field of the request's own stays.
    let own = "<http:headers>#[{Authorization: 'Bearer x'}]</http:headers>";
    let running = Running::new(&app(BASIC, own));
    running.payload("f", Event::default()).await;
    assert_eq!(sent(&running), [Some("Bearer x".into())]);
}

#[tokio::test]
async fn a_user_who_waits_is_sent_once_after_a_401() {
    for way in [Some("Basic realm=\"tea\""), Some("basic"), None] {
        let way = way.map(str::to_owned);
        let running = Running::with(&app(LATE, ""), &Line::default(), move |call| {
            match call.headers.get("authorization") {
                Some(_) => answer(200, "well"),
                None => asking(way.as_deref()),
            }
        });
        assert_eq!(running.payload("f", Event::default()).await, "well".into());
        assert_eq!(sent(&running), [None, Some(TEA.into())]);
    }
    let running = Running::with(&app(LATE, ""), &Line::default(), |_| asking(None));
    let (kind, _) = running.error("f", Event::default()).await;
    assert_eq!(
        (kind.as_str(), sent(&running).len()),
        ("HTTP:UNAUTHORIZED", 2)
    );
}

#[tokio::test]
async fn a_user_is_not_sent_where_nobody_asks_for_one_in_this_way() {
    for (status, way) in [(200, None), (403, None), (401, Some("Digest realm=x"))] {
        let running = Running::with(&app(LATE, ""), &Line::default(), move |_| Answer {
            status,
            ..asking(way)
        });
        running.run("f", Event::default()).await.ok();
        assert_eq!(sent(&running), [None], "{status}");
    }
}

#[test]
fn other_ways_to_authenticate_are_refused_at_their_line() {
    let digest = app(
        r#"<http:digest-authentication username="a" password="b"/>"#,
        "",
    );
    let said = "a.xml:2:97: error: `http:digest-authentication` is not supported; the nearest replacement: `http:basic-authentication`";
    assert_eq!(errors(&digest, &Line::default()), [said]);
    let said = "a.xml:2:76: error: `http:authentication` has no way to authenticate; write `<http:basic-authentication username=\"…\" password=\"…\"/>` into it";
    assert_eq!(errors(&app("", ""), &Line::default()), [said]);
}

#[test]
fn a_password_is_not_in_what_an_application_prints() {
    let (app, _) = super::reading(&app(BASIC, ""), &Line::default());
    let shown = format!("{:?}", app.unwrap().requesters);
    assert!(!shown.contains("pot"), "{shown}");
}
